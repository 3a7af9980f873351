"""Words of `create` and `connect` → a file for `apply`, for those who import from other programs. Pure.

What has no equivalent is noted, each with the network or the container that it belongs to.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable

from mydockernet import option_keys, validation
from mydockernet.errors import Invalid, quoted
from mydockernet.fronts import manifest_keys
from mydockernet.fronts.manifest_format import Document, usual_gateway
from mydockernet.fronts.manifest_keys import NUMBER, PAIRS, PORTS, SWITCH, TEXTS, Key
from mydockernet.wishes import ConnectWords, CreateWords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mydockernet.fronts.yaml_text import Tree

SAID = manifest_keys.phrases((*manifest_keys.NETWORK, *manifest_keys.CONNECTION))


class Draft:
    """A file while it is written."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.networks: dict[str, dict[str, Tree]] = {}
        self.containers: dict[str, dict[str, Any]] = {}

    def note(self, what: str, why: str) -> None:
        """Note something without an equivalent, once."""
        if f"{what}: {why}" not in self.notes:
            self.notes.append(f"{what}: {why}")

    def note_containers(self, program: str) -> None:
        """Note what the list of networks of an engine, docker or podman, does not tell about its containers."""
        if not self.containers:
            return
        first = next(iter(self.containers))
        pid = f"{program} inspect --format '{{{{.State.Pid}}}}' {first}"
        self.note("containers", f"apply --container {first}=PID names the namespace of one; {pid} prints its pid")
        self.note(
            "published ports", f"they are not in the output of {program} network inspect: {program} port shows them"
        )

    def network(self, words: CreateWords) -> bool:
        """Add a network. Returns whether its name is one that a network can have."""
        what = f"network {quoted(words.name)}"
        if problems := validation.name_problems(words.name):
            self.note(what, f"left out: {problems[0].partition(': ')[2]}")
            return False
        self._fold_options(words, what)
        tree = _tree(manifest_keys.NETWORK, words, CreateWords)
        tree.pop("name", None)
        if subnets := self._subnets(words, what):
            tree["ipam"] = {"config": subnets}
        self.networks[words.name] = tree
        return True

    def _fold_options(self, words: CreateWords, what: str) -> None:
        """Set the words that the keys of --opt stand for, and note those that stand for none."""
        given = words.opt
        for option in given or ("",):
            words.opt = [option] if option else []
            for problem in option_keys.apply_keys(words):
                said = manifest_keys.reworded(problem.removeprefix("--opt: ").partition("; use ")[0], SAID)
                self.note(what, f"left out: {said}")
            words.ipam_driver = None
        words.opt = []

    def _subnets(self, words: CreateWords, what: str) -> list[Tree]:
        """Return the subnets, each with the addresses that are in it."""
        entries: list[tuple[Any, dict[str, Any]]] = []
        for word in words.subnet:
            try:
                entries.append((ipaddress.ip_network(word, strict=False), {"subnet": word}))
            except ValueError as error:
                self.note(what, f"left out: {error}")
        for key, some in (("gateway", words.gateway), ("ip_range", words.ip_range), ("reserve", words.reserve)):
            for word in some:
                address = _address(word)
                holder = next((entry for block, entry in entries if address in block), None) if address else None
                if holder is None:
                    self.note(what, f"left out: {key} {word} is in none of its subnets")
                elif key == "gateway":
                    holder[key] = word
                else:
                    holder.setdefault(key, []).append(word)
        for _, entry in entries:
            with contextlib.suppress(Invalid):
                if entry.get("gateway") == usual_gateway(entry["subnet"]):
                    del entry["gateway"]
            if len(entry.get("ip_range", ())) == 1:
                (entry["ip_range"],) = entry["ip_range"]
            named = dict(_pair(word) for word in entry.get("reserve", ()) if "=" in word)
            if named and len(named) == len(entry["reserve"]):
                del entry["reserve"]
                entry["aux_addresses"] = named
        return [entry for _, entry in entries]

    def connection(self, container: str, network: str, words: ConnectWords) -> bool:
        """Add a container to a network. Returns whether its name is one that a container can have."""
        if problems := validation.name_problems(container):
            self.note(f"container {quoted(container)}", f"left out: {problems[0].partition(': ')[2]}")
            return False
        holder = self.containers.setdefault(container, {"networks": {}})
        holder["networks"][network] = _tree(manifest_keys.CONNECTION, words, ConnectWords)
        return True

    def document(self) -> Document:
        """Return the file."""
        tree: dict[str, Tree] = {}
        if self.networks:
            tree["networks"] = {**self.networks}
        if self.containers:
            tree["containers"] = {**self.containers}
        return Document(tree, tuple(self.notes))


def _tree(keys: Iterable[Key], words: object, usual: object) -> dict[str, Tree]:
    """Return the keys that stand for the words, but for those that have their defaults."""
    found: dict[str, Tree] = {}
    for key in keys:
        value = getattr(words, key.word, None) if key.word else None
        if value is None or value == "" or value == getattr(usual, key.word) or key.word == "opt":
            continue
        if key.takes == SWITCH:
            found[key.name] = not value if key.word.startswith("no_") else bool(value)
        elif key.takes == NUMBER:
            found[key.name] = int(value) if str(value).lstrip("-").isdecimal() else str(value)
        elif key.takes == PAIRS:
            found[key.name] = dict(_pair(word) for word in value)
        elif key.takes == PORTS:
            found[key.name] = [str(word).removesuffix("/tcp") for word in value]
        elif key.takes == TEXTS:
            found[key.name] = [str(word) for word in value]
        else:
            found[key.name] = str(value)
    return {name: value for name, value in found.items() if value not in ([], {})}


def _pair(word: str) -> tuple[str, Tree]:
    key, _, value = word.partition("=")
    return key, value


def _address(word: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the first address of FIRST-LAST, CIDR or [NAME=]IP, or None."""
    try:
        return ipaddress.ip_address(word.rpartition("=")[2].partition("-")[0].partition("/")[0])
    except ValueError:
        return None
