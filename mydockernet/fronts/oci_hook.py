"""The hook of OCI runtimes: connects a container whose annotations ask for networks, and disconnects it at its end.

    mydockernet.networks    web,db:ip=10.1.0.9:ifname=eth7    NETWORK[:KEY=VALUE…],… with ip, ip6, mac, ifname
    mydockernet.publish     8080:80,127.0.0.1:53:53/udp       as --publish of connect, by the first network that can
    mydockernet.name        c1                                its name in mydockernet, instead of its id

Runtimes run it at createRuntime and at poststop, and write the state of the container to its stdin (OCI runtime
specification, runtime.md "State" and config.md "POSIX-platform Hooks"). The state tells which of the two it is: at
poststop, the container is stopped. A container is found by its id, as its process is gone then.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from mydockernet import actions, attachments, documents, messages, names, process, wishes
from mydockernet.attachments import Attachment
from mydockernet.context import from_environment
from mydockernet.dialects import etc
from mydockernet.dialects.fact import Step
from mydockernet.errors import Invalid, MydockernetError, quoted
from mydockernet.kernel import namespaces
from mydockernet.model import Intent, attached
from mydockernet.transitions import Transition
from mydockernet.wishes import ConnectWords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

ENGINE = "oci"
PREFIX = "mydockernet."
KNOWN = ("networks", "publish", "name")
OPTIONS = ("ip", "ip6", "mac", "ifname")


def program() -> NoReturn:
    """Run the hook and end the process."""
    process.open_streams()
    process.leave(main(sys.stdin.buffer.read(), os.environ))


def main(state: bytes, environ: Mapping[str, str]) -> int:
    """Connect or disconnect the container of a state, and return the exit code. Errors go to stderr."""
    try:
        transition = _wanted(state)
        if transition:
            words = ("oci-hook", *_of(state))
            context = from_environment(environ, attachments.LOCK_TIMEOUT, words)
            actions.perform(context, transition)
            context.kernel.apply(tuple(_mounts(state, context.store.load())))
        return 0
    except MydockernetError as error:
        return messages.report(error)
    except OSError as error:
        return messages.report(MydockernetError(str(error)))


def _of(raw: bytes) -> tuple[str, str]:
    """Return the status and the id of a container in its state."""
    state = documents.parse(raw)
    return state.text("status"), state.text("id")


def _wanted(raw: bytes) -> Transition | None:
    """Return what a state asks for; None if it asks for nothing. Raises Invalid."""
    state = documents.parse(raw)
    container, status, pid = state.text("id"), state.text("status"), state.number("pid")
    annotations = state.fields("annotations")
    state.check()
    if f"{PREFIX}networks" not in annotations:
        return None
    if not container:
        raise Invalid("the state of the container has no id")
    if status == "stopped":
        return attachments.detach(ENGINE, container)
    if not pid or pid < 0:
        raise Invalid("the state of the container has no pid, and it is not stopped")
    # Those of others may be anything.
    asked = {key: annotations.text(key) for key in annotations.values if key.startswith(PREFIX)}
    state.check()
    networks = asked[f"{PREFIX}networks"]
    unknown = [key for key in asked if key.removeprefix(PREFIX) not in KNOWN]
    if unknown:
        known = ", ".join(PREFIX + key for key in KNOWN)
        raise Invalid(*(f"there is no annotation {quoted(key)}: use {known}" for key in unknown))
    publish = [word.strip() for word in asked.get(f"{PREFIX}publish", "").split(",") if word.strip()]
    name = asked.get(f"{PREFIX}name", "")
    wanted = [_attachment(word, publish, name, pid) for word in map(str.strip, networks.split(","))]
    return attachments.attach(ENGINE, container, wanted, again=True, every_port=True)


def _mounts(raw: bytes, intent: Intent) -> Iterator[Step]:
    """Yield the steps that mount the names over those in the root file system of a container that is being created.

    Its processes do not run yet, and its mount namespace still has the root of the host, where the path of the bundle
    means something. What the image has is left alone unless it is a plain file.
    """
    state = documents.parse(raw)
    container, pid, bundle = state.text("id"), state.number("pid"), state.text("bundle")
    places = [(net, e) for net, e in attached(intent.values()) if (e.engine, e.id) == (ENGINE, container)]
    if not (places and pid and bundle):
        return
    try:
        root = documents.parse((Path(bundle) / "config.json").read_bytes()).fields("root").text("path")
    except (OSError, MydockernetError):
        return
    for name in (etc.HOSTS, etc.RESOLV):
        source, target = Path(names.folder(places)) / name, Path(bundle) / root / "etc" / name
        if source.exists() and target.is_file() and not target.is_symlink():
            enter = ("nsenter", f"--mount={namespaces.PROC / str(pid)}/ns/mnt")
            why = f"Mount {name} into the container: it finds the others by name."
            yield Step(why, (*enter, "mount", "--bind", str(source), str(target)), optional=True)


def _attachment(word: str, publish: list[str], name: str, pid: int) -> Attachment:
    """Read one of the networks of an annotation. Raises Invalid."""
    network, *options = re.split(rf":(?=(?:{'|'.join(OPTIONS)})=)", word)
    if ":" in network:
        raise Invalid(f"{PREFIX}networks: {quoted(word)} is not NETWORK[:KEY=VALUE…] with {', '.join(OPTIONS)}")
    pairs = [option.partition("=")[::2] for option in options]
    words = ConnectWords(networks=(network,), publish=publish, name=name or None, **dict(pairs))
    _, namespace = namespaces.find(str(namespaces.PROC / str(pid) / "ns/net"))
    return Attachment(network, wishes.read_connect(words, name, namespace))
