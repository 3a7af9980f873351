"""The words of a file → those of `create` and `connect`, which wishes.py reads. Messages name the key and its place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from mydockernet import addressing, model, option_keys, ports, wishes
from mydockernet.creation import Wish
from mydockernet.errors import Invalid
from mydockernet.fronts import manifest_keys
from mydockernet.fronts.manifest_fields import Section, Word
from mydockernet.fronts.manifest_keys import NUMBER, PAIRS, SWITCH, TEXT, TEXTS, Key
from mydockernet.ports import PortWish
from mydockernet.transitions import Connection
from mydockernet.value import replace
from mydockernet.wishes import ConnectWords, CreateWords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SPAN = re.compile(r"\d{1,5}(?:-\d{1,5})?", re.ASCII)
# The option of a message, by the word that it is in.
_WORDS = {"NAME": "name", "--from": "sources"}
IFNAME = "com.docker.network.endpoint.ifname"
SWARM = ("overlay",)


class _Words:
    """The words of one network or connection, with their places, by which messages are translated."""

    def __init__(self, section: Section, keys: Sequence[Key]) -> None:
        self.section = section
        self.keys = keys
        self.words: dict[str, Any] = {}
        self.places: dict[str, list[Word]] = {}

    def take(self, section: Section, keys: Iterable[Key], leave: Collection[str] = ()) -> None:
        """Take the values of the keys that stand for one word each."""
        for key in keys:
            if not key.word or key.name in leave or key.name not in section:
                continue
            if key.takes == SWITCH:
                value = section.switch(key.name)
                if value is not None:
                    self.place(key.word, Word(str(value).lower(), section.at_of(key.name), section.path_of(key.name)))
                    self.words[key.word] = not value if key.word.startswith("no_") else value
            elif key.takes in (TEXT, NUMBER):
                word = section.word(key.name) if key.takes == TEXT else section.number(key.name)
                if word:
                    self.place(key.word, word)
                    self.words[key.word] = word.text
            elif key.takes == TEXTS:
                self.add(key.word, section.words(key.name))
            elif key.takes == PAIRS:
                self.add(key.word, (_paired(name, word) for name, word in section.pairs(key.name)))

    def add(self, name: str, words: Iterable[Word]) -> None:
        """Add to a word that has several values."""
        for word in words:
            self.words.setdefault(name, []).append(word.text)
            self.place(name, word)

    def place(self, name: str, word: Word) -> None:
        """Remember where a value stands."""
        self.places.setdefault(name, []).append(word)

    def explain(self, message: str) -> str:
        """Return a message about options as one about this file: with the place and the key of the value at fault."""
        option, colon, rest = message.partition(": ")
        if not colon or not re.fullmatch(r"--[a-z0-9-]+|[A-Z]+", option):
            option, _, rest = message.partition(" ")
            rest = message
        name = _WORDS.get(option, option.removeprefix("--").replace("-", "_"))
        found = _at_fault(self.places.get(name, ()), rest)
        said = manifest_keys.phrases(self.keys)
        body = manifest_keys.reworded(rest, said)
        if found:
            return f"{found.place}: {body}"
        prefix = f"{said[option]}: " if option in said and rest != message else ""
        return f"{self.section.place}: {prefix}{body}"

    def refuse(self, error: Invalid) -> None:
        """Note the messages of an error."""
        self.section.problems += map(self.explain, error.messages)


def _paired(name: str, word: Word) -> Word:
    return replace(word, text=f"{name}={word.text}")


def _at_fault(words: Sequence[Word], message: str) -> Word | None:
    """Return the value that a message is about: it begins with it, or quotes it, or has it, or it is the last one."""

    def rank(word: Word) -> tuple[int, int, int]:
        key, _, value = word.text.partition("=")
        begins = message.startswith((word.text, f'"{word.text}"', f"'{word.text}'"))
        quotes = any(f"{mark}{text}{mark}" in message for text in (word.text, key) for mark in "\"'")
        has = max((len(text) for text in (word.text, key, value) if text in message), default=0)
        return (len(word.text) if begins else 0, len(word.text) if quotes else 0, has)

    # Of equals, the last one repeats the others.
    return max(enumerate(words), key=lambda pair: (*rank(pair[1]), pair[0]))[1] if words else None


def network(section: Section, name: str, realm: str) -> Wish | None:
    """Return the wish for a network that a section describes, or None if something is wrong, which is noted."""
    section.refuse_unknown(manifest_keys.NETWORK)
    before = len(section.problems)
    found = _Words(section, manifest_keys.NETWORK)
    found.take(section, manifest_keys.NETWORK, leave=("name", "driver_opts", *_misplaced(section)))
    found.words["name"] = name
    if word := section.word("name"):
        found.place("name", word)
    driver = section.word("driver")
    if driver and driver.text in SWARM:
        section.refuse("driver", f"{driver.text} needs a swarm; mydockernet networks one host")
        found.words.pop("driver")
    _options(section, found)
    _subnets(section.section("ipam"), found)
    _families(section, found)
    section.switch("attachable")
    try:
        wish = wishes.read_create(CreateWords(**found.words), realm)
    except Invalid as error:
        found.refuse(error)
        return None
    return wish if len(section.problems) == before else None


def _misplaced(section: Section) -> list[str]:
    """Note the addresses that are given where only true and false can be, and return their keys."""
    found = [key for key in ("subnet", "gateway") if key in section and section.values[key].text[:1].isdigit()]
    for key in found:
        section.refuse(key, f"it must be true or false: a {key} stands in ipam.config[].{key}")
    return found


def _options(section: Section, found: _Words) -> None:
    """Read driver_opts: each key is an option of docker or podman."""
    known = {**option_keys.KEYS, **option_keys.FLAGS}
    for name, word in section.pairs("driver_opts"):
        pair = _paired(name, word)
        found.add("opt", [pair])
        if name in known:
            found.place(known[name], word)


def _subnets(ipam: Section, found: _Words) -> None:
    ipam.refuse_unknown(manifest_keys.IPAM)
    if driver := ipam.word("driver"):
        if driver.text in ("default", "host-local", "none"):
            found.words["ipam_driver"] = driver.text
            found.place("no_subnet", driver)
        else:
            ipam.refuse("driver", f"mydockernet assigns addresses itself: use default or none, not {driver.text}")
    for entry in ipam.sections("config"):
        entry.refuse_unknown(manifest_keys.SUBNET)
        if "subnet" not in entry:
            entry.say(entry.at, entry.path, "subnet is missing")
            continue
        for key in manifest_keys.SUBNET:
            if key.takes == TEXT:
                found.add(key.word, filter(None, [entry.word(key.name)]))
        found.take(entry, (key for key in manifest_keys.SUBNET if key.takes != TEXT))
        _within(entry)


def _within(entry: Section) -> None:
    """Check that the addresses of an entry are in the subnet of the same entry, as far as they are valid."""
    subnet = entry.text("subnet")
    try:
        block = addressing.read_subnets([subnet], [], [], [])[0].network
    except (Invalid, IndexError):
        return
    given = [(word, word.text.partition("-")[0].partition("/")[0]) for word in entry.words("ip_range")]
    given += [(word, word.text) for word in (entry.word("gateway"),) if word]
    given += [(word, word.text) for _, word in entry.pairs("aux_addresses")]
    given += [(word, word.text.rpartition("=")[2]) for word in entry.words("reserve")]
    for word, text in given:
        try:
            address = addressing.read_address(text)
        except ValueError:
            continue
        if address not in block:
            entry.say(word.at, word.path, f"{text} is not in {block}")


def _families(section: Section, found: _Words) -> None:
    """Read enable_ipv4, which no option of `create` has: without IPv4, the subnets are all of IPv6."""
    if section.switch("enable_ipv4") is not False:
        return
    subnets = found.words.get("subnet", [])
    if old := [word for word in found.places.get("subnet", ()) if ":" not in word.text]:
        section.say(old[0].at, old[0].path, f"{old[0].text} contradicts enable_ipv4: false")
    elif not (subnets or section.switch("enable_ipv6")):
        section.refuse(
            "enable_ipv4", "without IPv4, it needs enable_ipv6: true; a network without any is subnet: false"
        )
    else:
        found.words["subnet"] = subnets or ["::/64"]
        found.words["ipv6"] = False


def connection(section: Section, name: str, container: Section, shared: Iterable[Key]) -> Connection | None:
    """Return the connection to one network that a section describes, with the `shared` keys of its container.

    None if something is wrong, which is noted.
    """
    section.refuse_unknown(manifest_keys.CONNECTION)
    before = len(section.problems)
    found = _Words(section, manifest_keys.CONNECTION)
    found.take(container, shared)
    found.take(section, manifest_keys.CONNECTION)
    for key, word in section.pairs("driver_opts"):
        if key == IFNAME:
            found.words["ifname"] = word.text
            found.place("ifname", word)
        else:
            section.say(word.at, word.path, f"only {IFNAME} is known here")
    section.number("priority")
    for key, other in (("rate_in", "ingress_rate"), ("rate_out", "egress_rate")):
        if key in section and other in section:
            section.refuse(key, f"it is the same as {other}: use one of them")
    published = publish(section, "ports")
    try:
        wish = wishes.read_connect(ConnectWords(**found.words), name, model.Namespace(""))
    except Invalid as error:
        found.refuse(error)
        return None
    return replace(wish, publish=published) if len(section.problems) == before else None


def publish(section: Section, key: str) -> tuple[PortWish, ...]:
    """Return the ports that a list declares, in the short or the long form of compose. Notes what is wrong."""
    if key not in section:
        return ()
    node = section.values[key]
    found: list[PortWish] = []
    if node.kind != "list":
        section.refuse(key, "it must be a list")
    for n, item in enumerate(node.items):
        path = f"{section.path_of(key)}[{n}]"
        sources: list[Word] = []
        if item.kind == "text":
            spec = Word(_bracketed(item.text), item.at, path)
        else:
            long = Section(item, path, item.at, section.problems)
            spec, sources = Word(_long(long), item.at, path), long.words("from")
            if not spec.text:
                continue
        words = _Words(section, manifest_keys.CONNECTION)
        words.places = {"publish": [spec], "sources": sources}
        try:
            found += ports.read_specs([spec.text], "--publish", [word.text for word in sources])
        except Invalid as error:
            words.refuse(error)
    return tuple(found)


def _bracketed(text: str) -> str:
    """Return a port in the short form as the command line has it: compose allows fd00::1:8080:80 without brackets."""
    host, *rest = text.rsplit(":", 2)
    try:
        return ":".join((model.bracketed(addressing.read_address(host)), *rest))
    except ValueError:
        return text


def _long(section: Section) -> str:
    """Return a port in the long form as SPEC; empty if something is wrong, which is noted."""
    before = len(section.problems)
    section.refuse_unknown(manifest_keys.PORT)
    target, published = section.text("target"), section.text("published")
    host, protocol = section.text("host_ip"), section.text("protocol")
    if "target" not in section:
        section.say(section.at, section.path, "target, the port of the container, is missing")
    for key, text in (("target", target), ("published", published)):
        if text and not _SPAN.fullmatch(text):
            section.refuse(key, f"{text!r} is neither a port nor FIRST-LAST")
    if host:
        try:
            host = f"{model.bracketed(addressing.read_address(host.strip('[]')))}:"
        except ValueError as error:
            section.refuse("host_ip", str(error))
    if protocol and protocol.lower() not in model.PROTOCOLS:
        section.refuse("protocol", f"{protocol!r} is none of {', '.join(model.PROTOCOLS)}")
    if section.text("mode") not in ("", "host"):
        section.refuse("mode", f"{section.text('mode')} needs a swarm: use host, or leave it out")
    if len(section.problems) > before:
        return ""
    outer = f"{host}{published}:" if host or published else ""
    return f"{outer}{target}/{protocol.lower() or 'tcp'}"
