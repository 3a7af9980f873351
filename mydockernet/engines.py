"""The files by which container engines find mydockernet: where each engine looks, and what is there.

A plugin is a program that starts Python without the module `site`, which takes a third of the time of a call: it knows
the folders of mydockernet and sh, because `engines install` writes them into it.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mydockernet.dialects.fact import Step
from mydockernet.value import Value

# What engines install puts into each program, and by which uninstall and status know it.
MARK = "mydockernet engines install"
# execve(2): the kernel reads 255 characters of the first line, and splits it at blanks.
SHEBANG_MAX = 255


class Place(Value):
    """A file that an engine looks for: whether it is a `program`, its text, and who reads it."""

    path: str
    text: str
    why: str
    program: bool = False

    @property
    def mode(self) -> str:
        """The mode of the file, in octal."""
        return "0755" if self.program else "0644"


def places(front: str) -> tuple[Place, ...]:
    """Return the files of a front end. Raises KeyError."""
    return {
        "cni": (
            Place(
                "/opt/cni/bin/mydockernet",
                _program("cni"),
                "The CNI plugin, where containerd, nerdctl, CRI-O and podman 4 look for plugins.",
                program=True,
            ),
            # After all others: the first configuration in the folder is the default network.
            Place(
                "/etc/cni/net.d/90-mydockernet.conflist",
                _json(CONFLIST),
                "A CNI network, created with its first container. It does not become the default if there is another.",
            ),
        ),
        "netavark": (
            Place(
                "/usr/local/libexec/netavark/mydockernet",
                _program("netavark"),
                "The plugin of netavark: podman network create --driver mydockernet.",
                program=True,
            ),
        ),
        "oci-hook": (
            Place(HOOK, _program("oci_hook"), "The hook of runc, crun and others.", program=True),
            Place(
                "/usr/share/containers/oci/hooks.d/mydockernet.json",
                _json(HOOKS_D),
                "Lets podman and CRI-O run the hook for each container with the annotation mydockernet.networks.",
            ),
        ),
    }[front]


FRONTS = ("cni", "netavark", "oci-hook")
HOOK = "/usr/local/libexec/mydockernet-oci-hook"

CONFLIST = {
    "cniVersion": "1.0.0",
    "name": "mydockernet",
    "plugins": [
        {
            "type": "mydockernet",
            "capabilities": dict.fromkeys(("portMappings", "ips", "mac", "dns", "aliases"), True),
        }
    ],
}
# oci-hooks(5)
HOOKS_D = {
    "version": "1.0.0",
    "hook": {"path": HOOK},
    "when": {"annotations": {"^mydockernet\\.networks$": ".+"}},
    "stages": ["createRuntime", "poststop"],
}


def state(place: Place, root: str) -> str:
    """Return the state of a file: installed, missing, changed, or outdated (of another version). Raises OSError."""
    path = under(root, place)
    if not path.exists():
        return "missing"
    if not path.is_file():
        return "changed"
    text = path.read_text(errors="replace")
    return "installed" if text == place.text else "outdated" if place.program and MARK in text else "changed"


def under(root: str, place: Place) -> Path:
    """Return the path of a file under another root directory."""
    return Path(root) / place.path.lstrip("/")


def install(fronts: Iterable[str], root: str) -> tuple[tuple[Step, ...], list[str]]:
    """Return the steps that install the files, and notes on those that somebody changed, which stay. Raises OSError."""
    found = _states(fronts, root)
    steps = tuple(
        Step(place.why, ("install", "-D", "-m", place.mode, "/dev/stdin", str(under(root, place))), stdin=place.text)
        for place, now in found
        if now in ("missing", "outdated")
    )
    return steps, _changed(found, root)


def uninstall(fronts: Iterable[str], root: str) -> tuple[tuple[Step, ...], list[str]]:
    """Return the steps that delete the files, and notes on those that somebody changed, which stay. Raises OSError."""
    found = _states(fronts, root)
    steps = tuple(
        Step(f"Delete {place.path.rpartition('/')[2]}.", ("rm", str(under(root, place))))
        for place, now in reversed(found)
        if now in ("installed", "outdated")
    )
    return steps, _changed(found, root)


def _states(fronts: Iterable[str], root: str) -> list[tuple[Place, str]]:
    return [(place, state(place, root)) for front in fronts for place in places(front)]


def _changed(found: Iterable[tuple[Place, str]], root: str) -> list[str]:
    return [f"{under(root, place)} has been changed: it stays as it is" for place, now in found if now == "changed"]


def _program(module: str) -> str:
    """Return the text of a program that runs a front end with this Python and these modules."""
    return _started(sys.executable, [str(Path(path).absolute()) for path in sys.path if path], module)


def _started(python: str, folders: Sequence[str], module: str) -> str:
    line = f"#!{python} -SEP"
    code = (
        f"# Written by `{MARK}`, removed by `mydockernet engines uninstall`.\n"
        "import gc, sys\n"
        "gc.disable()\n"
        f"sys.path[:] = {folders!r}\n"
        f"from mydockernet.fronts.{module} import program\n"
        "program()\n"
    )
    if len(line) < SHEBANG_MAX and " " not in python:
        return f"{line}\n{code}"
    import shlex

    return f'#!/bin/sh\nexec {shlex.quote(python)} -SEP -c {shlex.quote(code)} "$@"\n'


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
