"""A script of ip and iptables commands, as tutorials show them → a file for `apply`. It is read, never executed. Pure.

A bridge becomes a network, and so does a veth pair between the host and a namespace (the driver ptp), and a parent of
macvlan or ipvlan interfaces. A namespace with an interface on one becomes a container. ip(8), iptables(8).
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator, Sequence

from mydockernet.errors import Invalid, printable, quoted
from mydockernet.fronts import shell_lines
from mydockernet.fronts.manifest_draft import Draft
from mydockernet.fronts.manifest_format import Document
from mydockernet.model import Address, IPNetwork
from mydockernet.wishes import ConnectWords, CreateWords

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

# Commands that change nothing about networks, as they stand in such scripts.
HARMLESS = (
    *("arping", "cat", "cd", "clear", "curl", "date", "echo", "exit", "export", "false", "grep", "head", "ls", "nc"),
    *("modprobe", "ping", "ping6", "printf", "ps", "python", "python3", "read", "set", "shift", "sleep", "sysctl"),
    *("tail", "tcpdump", "tee", "test", "traceroute", "trap", "true", "wait", "wget", "which", "[", ":"),
)
# The words that begin loops and conditions, and those that end them.
BLOCKS = {"for": "done", "while": "done", "until": "done", "if": "fi", "case": "esac"}
SHELLS = ("sh", "bash", "dash")
LOOPBACK = "lo"
# What ip has as objects, with their short forms.
OBJECTS = {"l": "link", "a": "address", "addr": "address", "r": "route", "n": "netns"}
SHOWS = ("show", "list", "ls", "get", "identify", "pids", "monitor", "lst", "sh")


class _Link:
    """A network interface, from line `number`. `peer` is the other end of a veth pair, `lower` the parent."""

    def __init__(self, name: str, kind: str, netns: str, number: int) -> None:
        self.name = name
        self.number = number
        self.kind = kind
        self.netns = netns
        self.peer: _Link | None = None
        self.lower = ""
        self.mode = ""
        self.master = ""
        self.mtu = ""
        self.mac = ""
        self.addresses: list[Interface] = []


def read(raw: bytes) -> Document:
    """Return what the commands of a script build. Raises Invalid if it is not text."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Invalid("the script is not UTF-8") from None
    script = _Script()
    for line in shell_lines.read(text):
        script.take(line)
    script.finish()
    return script.draft.document()


class _Script:
    """What the commands have built so far."""

    def __init__(self) -> None:
        self.draft = Draft()
        self.links: list[_Link] = []
        self.namespaces: list[str] = []
        self.gateways: dict[str, list[Address]] = {}
        self.masqueraded: list[IPNetwork | None] = []
        # The address of a container, the port as a SPEC, and the line.
        self.forwards: list[tuple[str, str, int]] = []
        self.number = 0
        # The ends of the loops and conditions that a command stands in.
        self.blocks: list[str] = []

    def note(self, number: int, text: str, why: str) -> None:
        """Note a command that has no equivalent."""
        shown = text if len(text) <= 80 else f"{text[:80]}…"
        self.draft.note(f"line {number}", f"{printable(shown)}: {why}")

    def take(self, line: shell_lines.Line) -> None:
        """Take a command."""
        self.number = line.number
        first = line.words[0] if line.words else ""
        if first in BLOCKS:
            self.blocks.append(BLOCKS[first])
            if len(self.blocks) == 1:
                self.note(line.number, line.text, "left out to its end: loops and conditions are not read")
        elif self.blocks:
            if first == self.blocks[-1]:
                self.blocks.pop()
        elif line.broken:
            self.note(line.number, line.text, line.broken)
        elif not self._run(list(line.words), ""):
            self.note(line.number, line.text, "left out: it has no equivalent")

    def _run(self, words: list[str], netns: str) -> bool:
        """Take the words of a command in a namespace. Returns whether it is understood."""
        program, *rest = words or [":"]
        if program == "ip":
            return self._ip(rest, netns)
        if program in SHELLS and rest[:1] == ["-c"] and len(rest) > 1:
            done = [not line.broken and self._run([*line.words], netns) for line in shell_lines.read(rest[1])]
            return all(done)
        if program == "nsenter":
            name = next((word.rpartition("/")[2] for word in rest if word.startswith("--net=")), "")
            inner = list(itertools.dropwhile(lambda word: word.startswith("-"), rest))
            return bool(name) and self._run(inner, name)
        if program in ("iptables", "ip6tables"):
            return not netns and self._iptables(rest)
        if program == "brctl":
            return not netns and self._brctl(rest)
        return program in HARMLESS

    def _ip(self, words: list[str], netns: str) -> bool:
        while words and words[0].startswith("-"):
            option = words.pop(0)
            if option in ("-n", "-netns") and words:
                netns = words.pop(0)
            elif option in ("-b", "-batch"):
                return False
        if not words:
            return True
        kind, *rest = words
        kind = OBJECTS.get(kind, kind)
        action, *rest = rest or ["show"]
        if action in SHOWS:
            return True
        if kind == "netns":
            if action == "exec" and len(rest) >= 2:
                return self._run(rest[1:], rest[0])
            if action == "add" and rest:
                self.namespaces += rest[:1]
            return action in ("add", "exec") and bool(rest)
        if kind == "link":
            return self._link(action, rest, netns)
        if kind == "address" and action in ("add", "a", "replace"):
            return self._address(rest, netns)
        if kind == "route" and action in ("add", "a", "replace"):
            return self._route(rest, netns)
        return False

    def _find(self, name: str, netns: str) -> _Link | None:
        return next((link for link in reversed(self.links) if (link.name, link.netns) == (name, netns)), None)

    def _link(self, action: str, words: list[str], netns: str) -> bool:
        if action in ("add", "a") and "type" in words:
            cut = words.index("type")
            return self._new_link(words[:cut], words[cut + 1 :], netns)
        if action not in ("set", "s"):
            return False
        words = words[1:] if words[:1] == ["dev"] else words
        name, *rest = words or [""]
        if name == LOOPBACK:
            return True
        link = self._find(name, netns)
        # An interface that the script has not made, such as that of the LAN, is only brought up.
        return self._changed(link, rest) if link else set(rest) <= {"up"}

    def _changed(self, link: _Link, words: list[str]) -> bool:
        """Take what `ip link set` says of an interface."""
        words = list(words)
        while words:
            word = words.pop(0)
            if word in ("up", "down"):
                continue
            if not words:
                return False
            value = words.pop(0)
            if word == "netns":
                link.netns = "" if value == "1" else value
            elif word == "master":
                link.master = value
            elif word == "mtu":
                link.mtu = value
            elif word == "address":
                link.mac = value
            elif word == "name":
                link.name = value
            else:
                return False
        return True

    def _new_link(self, head: list[str], tail: list[str], netns: str) -> bool:
        given = _pairs(head)
        named = [word for n, word in enumerate(head) if not (n and head[n - 1] in _TAKES) and word not in _TAKES]
        name = given.get("name") or given.get("dev") or (named[0] if named else "")
        kind, *rest = tail or [""]
        if not name or kind not in ("bridge", "veth", "macvlan", "ipvlan"):
            return False
        link = _Link(name, kind, given.get("netns", netns), self.number)
        link.mtu, link.mac, link.lower = given.get("mtu", ""), given.get("address", ""), given.get("link", "")
        self.links.append(link)
        if kind == "veth":
            if "peer" not in rest:
                return False
            more = _pairs(rest[rest.index("peer") + 1 :])
            plain = [word for word in rest[rest.index("peer") + 1 :] if word not in _TAKES]
            peer = _Link(more.get("name") or (plain[0] if plain else ""), kind, more.get("netns", netns), self.number)
            peer.mac = more.get("address", "")
            link.peer, peer.peer = peer, link
            self.links.append(peer)
        link.mode = _pairs(rest).get("mode", "") if kind in ("macvlan", "ipvlan") else ""
        return True

    def _brctl(self, words: list[str]) -> bool:
        action, *rest = words or ["show"]
        if action == "addbr" and rest:
            self.links.append(_Link(rest[0], "bridge", "", self.number))
        elif action == "addif" and len(rest) == 2 and (link := self._find(rest[1], "")):
            link.master = rest[0]
        else:
            return action in ("show", "stp")
        return True

    def _address(self, words: list[str], netns: str) -> bool:
        given = _pairs(words)
        name = given.get("dev", "")
        if name == LOOPBACK:
            return True
        link = self._find(name, netns)
        word = next((word for word in words if "/" in word or word[:1].isdigit()), "")
        try:
            address = ipaddress.ip_interface(word)
        except ValueError:
            return False
        if link is None:
            return False
        link.addresses.append(address)
        return True

    def _route(self, words: list[str], netns: str) -> bool:
        given = _pairs(words)
        if netns and words[:1] in (["default"], ["0.0.0.0/0"], ["::/0"]) and "via" in given:
            try:
                self.gateways.setdefault(netns, []).append(ipaddress.ip_address(given["via"]))
            except ValueError:
                return False
            return True
        return False

    def _iptables(self, words: list[str]) -> bool:
        """Take a rule. Those that accept what is forwarded need no equivalent."""
        given = _pairs(words, _RULE)
        chain = given.get("-A") or given.get("-I") or ""
        target = given.get("-j", "")
        if "-P" in words:
            return words[-1] == "ACCEPT"
        if target == "MASQUERADE" and chain == "POSTROUTING":
            try:
                self.masqueraded.append(ipaddress.ip_network(given["-s"], strict=False) if "-s" in given else None)
            except ValueError:
                return False
            return True
        if target == "DNAT" and chain in ("PREROUTING", "OUTPUT"):
            to, port = given.get("--to-destination", ""), given.get("--dport", "").replace(":", "-")
            if not port or not to:
                return False
            address, _, inner = to.strip("[").replace("]", "").rpartition(":") if _has_port(to) else (to, "", port)
            host = given.get("-d", "").partition("/")[0]
            shown = f"[{host}]" if ":" in host else host
            spec = f"{shown}:{port}:{inner}" if host else f"{port}:{inner}"
            self.forwards.append((address, f"{spec}/{given.get('-p', 'tcp')}", self.number))
            return True
        return target == "ACCEPT" and chain == "FORWARD"

    def finish(self) -> None:
        """Make networks and containers of it."""
        for link in self.links:
            if link.kind == "bridge" and not link.netns:
                self._bridge(link)
            elif link.kind == "bridge":
                self.note(link.number, link.name, "left out: a bridge in a namespace has no equivalent")
        for link in self.links:
            if link.kind == "veth" and link.netns and link.peer and not link.peer.netns and not link.peer.master:
                self._cable(link, link.peer)
            elif link.kind == "veth" and link.netns and link.peer and link.peer.netns and link.name < link.peer.name:
                why = "left out: a veth pair between two namespaces has no equivalent"
                self.note(link.number, f"{link.name} and {link.peer.name}", why)
            elif link.kind in ("macvlan", "ipvlan"):
                self._sublink(link)
        for address, spec, number in self.forwards:
            self._publish(address, spec, number)
        known = {link.netns for link in self.links}
        for name in self.namespaces:
            if name not in known:
                self.draft.note(f"namespace {quoted(name)}", "left out: it is on no network")

    def _masquerades(self, block: IPNetwork) -> bool:
        return any(
            some is None or (some.version == block.version and some.overlaps(block)) for some in self.masqueraded
        )

    def _bridge(self, bridge: _Link) -> None:
        ports = [link.peer for link in self.links if link.master == bridge.name and link.peer and link.peer.netns]
        mtu = bridge.mtu or next((port.mtu for port in ports if port.mtu), None)
        words = CreateWords(name=bridge.name, mtu=mtu)
        blocks = _described(words, bridge.addresses, [port.addresses for port in ports])
        if not blocks:
            words.no_subnet = True
        elif not bridge.addresses:
            words.no_gateway = True
        elif not any(map(self._masquerades, blocks)):
            words.no_masquerade = True
        if self.draft.network(words):
            for port in ports:
                own = [address.ip for address in bridge.addresses]
                self._container(port, bridge.name, own, not words.no_gateway and not words.no_subnet)

    def _cable(self, inner: _Link, outer: _Link) -> None:
        """Make a network of the driver ptp of a veth pair between the host and a namespace."""
        name = inner.netns if inner.netns not in self.draft.networks else f"{inner.netns}-{inner.name}"
        words = CreateWords(name=name, driver="ptp", mtu=outer.mtu or inner.mtu or None)
        blocks = _described(words, outer.addresses, [inner.addresses])
        if not blocks:
            self.note(inner.number, outer.name, "left out: neither end of the veth pair has an address")
            return
        if not any(map(self._masquerades, blocks)):
            words.no_masquerade = True
        if self.draft.network(words):
            self._container(inner, name, [address.ip for address in outer.addresses], True)

    def _sublink(self, link: _Link) -> None:
        name = f"{link.kind}-{link.lower}"
        if not link.netns:
            self.note(link.number, link.name, f"left out: give the host an address on {name} by host_ip")
            return
        words = CreateWords(name=name, driver=link.kind, parent=link.lower or None, mode=link.mode or None)
        same = [other.addresses for other in self.links if (other.kind, other.lower) == (link.kind, link.lower)]
        _described(words, [], same)
        gateways = self.gateways.get(link.netns, [])
        words.gateway = [str(gateway) for gateway in gateways]
        if name not in self.draft.networks and not self.draft.network(words):
            return
        self._container(link, name, gateways, True)

    def _container(self, link: _Link, network: str, gateways: Sequence[Address], leads_out: bool) -> None:
        words = ConnectWords(ifname=link.name, mac=link.mac or None)
        for address in link.addresses:
            setattr(words, "ip" if address.version == 4 else "ip6", str(address.ip))
        routes = self.gateways.get(link.netns, [])
        if leads_out and not any(gateway in gateways for gateway in routes):
            words.no_default_route = True
            for gateway in routes:
                self.note(link.number, link.netns, f"its default route via {gateway} is left out: it is not the host's")
        self.draft.connection(link.netns, network, words)

    def _publish(self, address: str, spec: str, number: int) -> None:
        for keys in self.draft.containers.values():
            for connection in keys["networks"].values():
                if address in (connection.get("ipv4_address"), connection.get("ipv6_address")):
                    ports = keys.setdefault("ports", [])
                    short = spec.removesuffix("/tcp")
                    if short not in ports:
                        ports.append(short)
                    return
        self.note(number, f"port {spec}", f"left out: no container has the address {quoted(address)}")


_TAKES = ("dev", "name", "link", "mtu", "address", "netns", "up")
_RULE = ("-A", "-I", "-j", "-s", "-d", "-p", "-i", "-o", "--dport", "--to-destination", "-t", "-m")
_LONG = {
    "--source": "-s",
    "--destination": "-d",
    "--protocol": "-p",
    "--append": "-A",
    "--jump": "-j",
    "--to": "--to-destination",
}


def _pairs(words: Sequence[str], keys: Sequence[str] = ()) -> dict[str, str]:
    """Return the words that follow each word, by that word."""
    words = [_LONG.get(word, word) for word in words]
    return {word: value for word, value in itertools.pairwise(words) if not keys or word in keys}


def _has_port(destination: str) -> bool:
    return destination.count(":") == 1 or "]:" in destination


def _described(words: CreateWords, own: Sequence[Interface], others: Sequence[Sequence[Interface]]) -> list[IPNetwork]:
    """Set the subnets and gateways of a network: those of the host's addresses, or else those of its containers."""
    blocks: list[IPNetwork] = []
    for address in _all(own, others):
        if address.network not in blocks and address.network.num_addresses > 1:
            blocks.append(address.network)
    words.subnet = [str(block) for block in blocks]
    words.gateway = [str(address.ip) for address in own if address.network in blocks]
    return blocks


def _all(own: Sequence[Interface], others: Sequence[Sequence[Interface]]) -> Iterator[Interface]:
    yield from own
    for some in others:
        yield from some
