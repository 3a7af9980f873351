"""The dialect of `sysctl`: facts about the kernel's switches. Format: sysctl(8), proc_sys_net(5)."""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from mydockernet.dialects.fact import Argv, Fact, Observed, Step, inside, place

FOLDER = Path("/proc/sys")


class Sysctl(Fact):
    """A switch and its value. With a `dev`, it is that interface's and goes with it.

    `otherwise` is the value that it gets back when the fact goes; without one, it stays.
    """

    key: str
    value: str
    why: str
    dev: str = ""
    otherwise: str = ""

    @property
    def what(self) -> str:
        return f"sysctl: {dotted(self.key)}={self.value}{place(self.netns)}"

    @property
    def difference(self) -> str:
        return f"sysctl {dotted(self.key)}{place(self.netns)} is not {self.value}"

    def within(self) -> str:
        return self.dev

    def sysctl(self) -> str:
        return self.key

    def holds(self, seen: Observed) -> bool:
        if self.key.startswith("net/ipv6/") and not seen.ipv6:
            return True  # A kernel without IPv6 has nothing to switch.
        return seen.at(self.netns).sysctls.get(self.key) == self.value

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(self.why, self._set(self.value)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        if not self.otherwise:
            return ()
        return (Step(f"Reset {dotted(self.key)}.", self._set(self.otherwise)),)

    def _set(self, value: str) -> Argv:
        return inside(self.netns, ("sysctl", "-w", f"{dotted(self.key)}={value}"))


_SWAPPED = str.maketrans("/.", "./")


def dotted(key: str) -> str:
    """A key as people write it: net/ipv4/conf/br0.1/forwarding is net.ipv4.conf.br0/1.forwarding."""
    return key.translate(_SWAPPED)


def batch(commands: Sequence[Argv]) -> tuple[Argv, str, tuple[int, ...]]:
    """Fold `sysctl -w` commands into one; it names the key at fault, so no line leads back to a command."""
    return ("sysctl", "-w", *(argv[2] for argv in commands)), "", ()


def foldable(argv: Argv) -> bool:
    """Whether a command is one of ours that sets a switch."""
    return argv[:2] == ("sysctl", "-w") and len(argv) == 3


def interface(key: str) -> str:
    """The interface that a key belongs to, as eth0 of net/ipv6/conf/eth0/autoconf; empty where it is nobody's own."""
    parts = key.split("/")
    return parts[3] if parts[2:3] in (["conf"], ["neigh"]) and parts[3] not in ("all", "default") else ""


def read_files(keys: Iterable[str]) -> dict[str, str]:
    """The values of this network namespace's own sysctls, from /proc/sys; a key that does not exist has none."""
    values = {}
    for key in keys:
        with contextlib.suppress(OSError):
            values[key] = (FOLDER / key).read_text().strip()
    return values


def read_command(keys: Iterable[str]) -> Argv:
    """The command that prints the values of some switches, and leaves out those that there are not."""
    return ("sysctl", "-e", *map(dotted, keys))


def read(text: str) -> dict[str, str]:
    """Parse what it prints, `net.ipv4.ip_forward = 1` a line: the values by key."""
    lines = (line.partition(" = ") for line in text.split("\n"))
    return {key.translate(_SWAPPED): value.strip() for key, equals, value in lines if equals}
