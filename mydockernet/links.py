"""The dialect of `ip` and `ss` (iproute2): facts about interfaces, addresses and routes; batches; what they print.

Formats: ip(8), ip-link(8), ip-address(8), ip-route(8), ss(8); the JSON as printed by iproute2 6.1.
"""

import ipaddress
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mydockernet.errors import Failed
from mydockernet.facts import (
    TAG,
    Argv,
    Fact,
    Link,
    Lookup,
    Observed,
    Route,
    Socket,
    Step,
    inside,
    marked,
    place,
    tag,
)
from mydockernet.model import IPNetwork

# Every bridge joins one of these link groups when it is made; the filter rules match the group, not the
# bridge, so that their number does not grow with the networks. The group also marks a bridge as ours in the
# instant before it has its alias.
GROUP = "28004"
GROUP_INTERNAL = "28005"

BRIDGE_CALLS_IPTABLES = "net/bridge/bridge-nf-call-iptables"
# ip-route(8) and ip-rule(8): who wrote it, so that what the container's own programs write is told from ours.
PROTOCOL = "28"

READ_LOOKUPS: Argv = ("ip", "-json", "rule", "show")
READ_LINKS: Argv = ("ip", "-json", "-details", "address", "show")
READ_ROUTES: Argv = ("ip", "-json", "route", "show", "table", "all")
# What is asked of a container's: it may have made any number of others.
READ_DEFAULT_ROUTES: Argv = (*READ_ROUTES, "default")
READ_OWN_ROUTES: Argv = (*READ_ROUTES, "protocol", PROTOCOL)
READ_SOCKETS: Argv = ("ss", "--no-header", "--listening", "--numeric", "--tcp", "--udp", "--sctp", "--processes")


def ask_route(destination: str, source: str, inward: str) -> Argv:
    """The command that says which way the kernel would send a packet."""
    came = ("from", source, "iif", inward) if inward else ("from", source) if source else ()
    return ("ip", "-json", "route", "get", destination, *came)


def is_ours(link: Link) -> bool:
    """Whether an interface carries our mark, whichever network's."""
    return marked(link.alias) or (not link.alias and link.group in (GROUP, GROUP_INTERNAL))


def owner(link: Link) -> str:
    """Whose mark an interface carries: NAME, or NAME@REALM."""
    return link.alias.removeprefix(TAG)


def belongs(link: Link | None, owner: str) -> bool:
    """Whether an interface is there, and of this owner; in the instant before it has its alias, nobody else's."""
    return link is not None and (link.alias == tag(owner) if link.alias else is_ours(link))


@dataclass(frozen=True, slots=True)
class OwnNamespace(Fact):
    """A named network namespace of our own making."""

    path: str
    name: str

    @property
    def what(self) -> str:
        return f"the network namespace {self.name}"

    def holds(self, seen: Observed) -> bool:
        return self.path in seen.inside

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = "Make a network namespace: interfaces, routes and rules of its own, as a container has them."
        return (Step(why, ("ip", "netns", "add", self.name)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (Step("Take the namespace away.", ("ip", "netns", "delete", self.name)),)

    def obstacle(self, seen: Observed) -> str:
        return f"a network namespace named {self.name} exists already" if self.path in seen.inside else ""

    def looks_into(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class Bridge(Fact):
    """A bridge, in its link group, with a MAC address of its own unless an older version made it without."""

    name: str
    owner: str
    group: str
    mac: str | None = None

    @property
    def what(self) -> str:
        return f"the bridge {self.name}"

    def holds(self, seen: Observed) -> bool:
        return belongs(seen.links.get(self.name), self.owner)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = (
            f"Create the bridge: a switch inside the kernel that the containers of {self.owner} plug into. "
            f"Its link group, {self.group}, is what the filter rules know it by."
        )
        if self.mac:
            why += " Without a MAC address of its own, it would change it as containers come and go."
        address = ("address", self.mac) if self.mac else ()
        return (Step(why, ("ip", "link", "add", "dev", self.name, "group", self.group, *address, "type", "bridge")),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (
            Step(
                f"Delete the bridge of {self.owner}; its addresses and routes go with it.",
                ("ip", "link", "delete", "dev", self.name, "type", "bridge"),
            ),
        )

    def obstacle(self, seen: Observed) -> str:
        return f"an interface named {self.name} exists already" if self.name in seen.links else ""

    def makes(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Veth(Fact):
    """A pair of interfaces, each the other's far end: one on the host, in the link group; one in a container."""

    name: str
    owner: str
    endpoint: str
    group: str
    peer: str
    peer_netns: str

    @property
    def what(self) -> str:
        return f"the veth pair {self.name}, to {self.peer}{place(self.peer_netns)}"

    def holds(self, seen: Observed) -> bool:
        # Where nobody looked into the container, its end is taken to be there.
        peer_is_there = self.peer_netns not in seen.inside or self.peer in seen.at(self.peer_netns).links
        return self._ours(seen) and peer_is_there

    def do(self, seen: Observed) -> tuple[Step, ...]:
        lost = self.undo(seen) if self._ours(seen) else ()
        peer = ("peer", "name", self.peer, "netns", self.peer_netns)
        return (
            *lost,
            Step(
                f"Make a veth pair, a cable with two ends: {self.name} stays here, {self.peer} goes into "
                f"{self.endpoint}. The link group marks it as one of ours.",
                ("ip", "link", "add", "dev", self.name, "group", self.group, "type", "veth", *peer),
            ),
        )

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (
            Step(
                f"Delete the cable to {self.endpoint}; its far end, with addresses and routes, goes with it.",
                ("ip", "link", "delete", "dev", self.name, "type", "veth"),
            ),
        )

    def obstacle(self, seen: Observed) -> str:
        if self.name in seen.links and not self._ours(seen):
            return f"an interface named {self.name} exists already"
        if self.peer in seen.at(self.peer_netns).links:
            return f"an interface named {self.peer} exists already in {self.endpoint}"
        return ""

    def makes(self) -> str:
        return self.name

    def looks_into(self) -> str:
        return self.peer_netns

    def _ours(self, seen: Observed) -> bool:
        return belongs(seen.links.get(self.name), self.owner)


@dataclass(frozen=True, slots=True)
class _Attribute(Fact):
    """What is set on an interface and goes with it, or, for a far end, with the near one (`cable`)."""

    dev: str
    netns: str = field(default="", kw_only=True)
    cable: str = field(default="", kw_only=True)

    def within(self) -> str:
        return self.cable or self.dev

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return ()

    @property
    def _name(self) -> str:
        return f"{self.dev}{place(self.netns)}"

    def _link(self, seen: Observed) -> Link | None:
        return seen.at(self.netns).links.get(self.dev)

    def _ip(self, *words: str) -> Argv:
        return inside(self.netns, ("ip", *words))


@dataclass(frozen=True, slots=True)
class Alias(_Attribute):
    """The owner's mark on an interface."""

    owner: str

    @property
    def what(self) -> str:
        return f"the owner's mark on {self._name}"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        return link is not None and link.alias == tag(self.owner)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (
            Step(
                "Write the owner on it: only what carries this mark is ever removed again.",
                self._ip("link", "set", "dev", self.dev, "alias", tag(self.owner)),
            ),
        )


@dataclass(frozen=True, slots=True)
class LinkGroup(_Attribute):
    """The link group of an interface, which the filter rules know it by."""

    group: str

    @property
    def what(self) -> str:
        return f"the link group {self.group} of {self._name}"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        return link is not None and link.group == self.group

    def do(self, seen: Observed) -> tuple[Step, ...]:
        if self._link(seen) is None:
            return ()  # It is made with it.
        why = f"Put {self.dev} back into its link group, which the filter rules know it by."
        return (Step(why, self._ip("link", "set", "dev", self.dev, "group", self.group)),)


@dataclass(frozen=True, slots=True)
class Mtu(_Attribute):
    """How many bytes a packet may have on an interface."""

    mtu: int

    @property
    def what(self) -> str:
        return f"the MTU {self.mtu} of {self._name}"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        return link is not None and link.mtu == self.mtu

    def do(self, seen: Observed) -> tuple[Step, ...]:
        # Not as the interface is made: a bridge would forget it when its last port goes.
        why = f"Give {self.dev} its MTU: how many bytes a packet on it may have."
        return (Step(why, self._ip("link", "set", "dev", self.dev, "mtu", str(self.mtu))),)


@dataclass(frozen=True, slots=True)
class StrayLink(Fact):
    """An interface that carries a mark of ours, and that no network has."""

    name: str
    owner: str

    @property
    def what(self) -> str:
        return f"the interface {self.name}"

    def holds(self, seen: Observed) -> bool:
        return self.name in seen.links and is_ours(seen.links[self.name])

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return ()

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = "Delete an interface that carries our mark, but belongs to no network."
        return (Step(why, ("ip", "link", "delete", "dev", self.name)),)

    def makes(self) -> str:
        return self.name


def strays(seen: Observed, known: Collection[str]) -> Iterator[StrayLink]:
    """The interfaces that carry a mark of ours, less the known ones."""
    for link in seen.links.values():
        if link.name not in known and marked(link.alias):
            yield StrayLink(link.name, owner(link))


@dataclass(frozen=True, slots=True)
class HardwareAddress(_Attribute):
    """An interface's MAC address. `made_with` the interface, it needs a step only where it was changed."""

    mac: str
    made_with: bool = field(default=False, kw_only=True)

    @property
    def what(self) -> str:
        return f"the MAC address {self.mac} of {self._name}"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        return link is not None and link.mac == self.mac

    def do(self, seen: Observed) -> tuple[Step, ...]:
        if self.made_with and self._link(seen) is None:
            return ()
        if self.made_with:
            why = f"Give {self.dev} its own MAC address back: it is what containers know their gateway by."
            return (Step(why, self._ip("link", "set", "dev", self.dev, "address", self.mac)),)
        return (
            Step(
                "Give it a MAC address that follows from its IP address: what neighbours remember of it stays right.",
                self._ip("link", "set", "dev", self.dev, "address", self.mac),
            ),
        )


@dataclass(frozen=True, slots=True)
class Master(_Attribute):
    """An interface as a port of a bridge."""

    bridge: str

    @property
    def what(self) -> str:
        return f"the place of {self.dev} on the bridge {self.bridge}"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        return link is not None and link.master == self.bridge

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (
            Step(
                f"Plug the host's end into the bridge {self.bridge}.",
                self._ip("link", "set", "dev", self.dev, "master", self.bridge),
            ),
        )


@dataclass(frozen=True, slots=True)
class PortFlag(_Attribute):
    """A flag of a bridge's port, on or off: isolated, hairpin, bcast_flood (ip-link(8), bridge_slave).

    `default` is what a new port has.
    """

    flag: str
    on: bool
    why: str
    default: bool = False

    @property
    def what(self) -> str:
        return f"the switch {self.flag} of {self.dev}, {self._state}"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        if link is None:
            return False
        now = self.flag in link.flags if link.master else self.default
        return now == self.wanted(seen)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        on = self.wanted(seen)
        if on == self.default and self._link(seen) is None:
            return ()
        why = self.why if on != self.default else f"Set {self.flag} of {self.dev} back: it is a port like any other."
        argv = self._ip("link", "set", "dev", self.dev, "type", "bridge_slave", self.flag, "on" if on else "off")
        return (Step(why, argv),)

    def wanted(self, seen: Observed) -> bool:
        """Whether the flag should be on."""
        return self.on

    @property
    def _state(self) -> str:
        return "on" if self.on else "off"


@dataclass(frozen=True, slots=True)
class Isolated(PortFlag):
    """A port that reaches the host, but no other isolated port. Off while br_netfilter shows frames to iptables.

    It then translates a published port on the bridge itself, and an isolated port could not reach those of its own
    network; the filter of its frames (ebtables) keeps neighbors apart either way.
    """

    def sysctl(self) -> str:
        return BRIDGE_CALLS_IPTABLES

    def wanted(self, seen: Observed) -> bool:
        return self.on and seen.sysctls.get(BRIDGE_CALLS_IPTABLES) != "1"


@dataclass(frozen=True, slots=True)
class InterfaceAddress(_Attribute):
    """An address on an interface, with its prefix length: 10.1.0.1/24."""

    address: str
    why: str

    @property
    def what(self) -> str:
        return f"the address {self.address} of {self._name}"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        return link is not None and self.address in link.addresses

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(self.why, self._ip("address", "add", self.address, "dev", self.dev)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (
            Step(
                f"Take the address {self.address} away from {self.dev}.",
                self._ip("address", "delete", self.address, "dev", self.dev),
            ),
        )


@dataclass(frozen=True, slots=True)
class Up(_Attribute):
    """An interface that is switched on."""

    why: str

    @property
    def what(self) -> str:
        return f"the interface {self._name}, switched on"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        return link is not None and link.up

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(self.why, self._ip("link", "set", "dev", self.dev, "up")),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        if self.dev == "lo":
            return ()  # Whoever else uses the namespace may need it.
        return (Step(f"Switch {self.dev} off.", self._ip("link", "set", "dev", self.dev, "down")),)


@dataclass(frozen=True, slots=True)
class DefaultRoute(_Attribute):
    """The way out for all that has no better one."""

    gateway: str

    @property
    def what(self) -> str:
        return f"the default route via {self.gateway} by {self._name}"

    def holds(self, seen: Observed) -> bool:
        routes = seen.at(self.netns).routes
        return any(r.default and (r.table, r.via, r.dev) == ("main", self.gateway, self.dev) for r in routes)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = "Send what is for elsewhere to the gateway: the host's address on the bridge."
        return (Step(why, self._ip("route", "add", *self._words)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(f"Take the way out by {self.dev} away.", self._ip("route", "delete", *self._words)),)

    @property
    def _words(self) -> Argv:
        return ("default", "via", self.gateway, "dev", self.dev)


@dataclass(frozen=True, slots=True)
class TableRoute(_Attribute):
    """A route in a table of its own, for what a container of several networks sends from one of its addresses."""

    destination: str
    table: str
    gateway: str = ""

    @property
    def what(self) -> str:
        return f"the route to {self.destination} by {self._name}, in table {self.table}"

    def holds(self, seen: Observed) -> bool:
        wanted = ("0.0.0.0/0" if self.destination == "default" else self.destination, self.gateway, self.dev)
        routes = seen.at(self.netns).routes
        return any(r.table == self.table and (str(r.destination), r.via, r.dev) == wanted for r in routes)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = (
            "By the network's gateway to everywhere else."
            if self.gateway
            else f"In a table of its own: by {self.dev} to the neighbors on that network."
        )
        return (Step(why, self._ip("route", "add", *self._words)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(f"Delete the route of table {self.table}.", self._ip("route", "delete", *self._words)),)

    @property
    def _words(self) -> Argv:
        via = ("via", self.gateway) if self.gateway else ()
        return (self.destination, *via, "dev", self.dev, "table", self.table, "protocol", PROTOCOL)


@dataclass(frozen=True, slots=True)
class SourceLookup(Fact):
    """What a container of several networks sends from one of its addresses, it sends by that address's network."""

    source: str
    table: str
    netns: str

    @property
    def what(self) -> str:
        return f"the lookup of table {self.table} for what is sent from {self.source}{place(self.netns)}"

    def holds(self, seen: Observed) -> bool:
        return self._lookup in seen.at(self.netns).lookups

    def lookups(self) -> bool:
        return True

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = (
            f"Send what has the source {self.source} by the network that the address is of. The host drops what comes "
            "by another one, as it looks forged."
        )
        return (Step(why, inside(self.netns, ("ip", "rule", "add", *self._words))),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = f"Delete the lookup for {self.source}."
        return (Step(why, inside(self.netns, ("ip", "rule", "delete", *self._words))),)

    @property
    def _lookup(self) -> Lookup:
        return Lookup(int(self.table), self.source, self.table)

    @property
    def _words(self) -> Argv:
        return ("from", self.source, "lookup", self.table, "priority", self.table, "protocol", PROTOCOL)


def batch(commands: Sequence[Argv]) -> tuple[Argv, str, tuple[int, ...]]:
    """Fold `ip` commands into one `ip -batch -`: its argv, its input, and the command of each of its lines."""
    text = "".join(" ".join(argv[1:]) + "\n" for argv in commands)
    return ("ip", "-batch", "-"), text, tuple(range(len(commands)))


def foldable(argv: Argv) -> bool:
    """Whether a command can stand in a batch, which has no escapes: such words are kept out, not quoted."""
    return argv[:1] == ("ip",) and not any(c in word for word in argv for c in "#\"'\\ \t\r\n")


def read_links(text: str) -> dict[str, Link]:
    """Parse what READ_LINKS prints: interfaces by name. Raises Failed where it is not that."""
    try:
        return {link.name: link for link in map(_link, _objects(text))}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(f"can't read what `{' '.join(READ_LINKS)}` printed: {error!r}") from None


def read_routes(text: str) -> tuple[Route, ...]:
    """Parse what READ_ROUTES prints. Raises Failed where it is not that."""
    try:
        return tuple(route for route in map(_route, _objects(text)) if route is not None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(f"can't read what `{' '.join(READ_ROUTES)}` printed: {error!r}") from None


def read_lookups(text: str) -> frozenset[Lookup]:
    """Parse what READ_LOOKUPS prints, as far as it is about a source address. Raises Failed where it is not that."""
    try:
        return frozenset(
            Lookup(int(str(raw["priority"])), str(raw["src"]), str(raw["table"]))
            for raw in _objects(text)
            if raw.get("src") not in (None, "all") and "table" in raw
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(f"can't read what `{' '.join(READ_LOOKUPS)}` printed: {error!r}") from None


def read_sockets(text: str) -> tuple[Socket, ...]:
    """Parse what READ_SOCKETS prints, as in `tcp LISTEN 0 128 127.0.0.1:53%lo 0.0.0.0:* users:(("named",…))`.

    Lines of other shapes are left out: what they are can't stand in the way of a port. A program's name, at most 15
    bytes of its owner's choice, is printed as it is, line breaks too; it is too short for a line of this shape.
    """
    sockets = []
    for line in text.split("\n"):
        found = _SOCKET.fullmatch(line)
        if found is None:
            continue
        protocol, host, port, program = found.groups()
        host = host.strip("[]").partition("%")[0]
        try:
            address = None if host in ("*", "0.0.0.0", "::") else ipaddress.ip_address(host)
        except ValueError:
            continue
        sockets.append(Socket(protocol, address, int(port), program or "a program"))
    return tuple(sockets)


_SOCKET = re.compile(
    r"(tcp|udp|sctp) +(?:LISTEN|UNCONN) +\d+ +\d+ +(\S+):(\d{1,5}) +\S+:\*"
    r'(?: +users:\(\("([^"]*)(?:".*)?| .*)?',
    re.ASCII | re.DOTALL,
)


def _objects(text: str) -> Iterable[dict[str, object]]:
    # ip prints nothing at all, or empty objects, where there is nothing to show. It escapes no control characters.
    return [found for found in json.loads(text or "[]", strict=False) if found]


def _link(raw: dict) -> Link:  # type: ignore[type-arg]
    details = raw.get("linkinfo", {})
    addresses = (f"{a['local']}/{a['prefixlen']}" for a in raw.get("addr_info", ()) if "local" in a)
    return Link(
        name=str(raw["ifname"]),
        kind=str(details.get("info_kind", "")),
        group=str(raw.get("group", "default")),
        alias=str(raw.get("ifalias") or ""),
        mac=str(raw.get("address", "")),
        mtu=int(raw.get("mtu", 0)),
        up="UP" in raw.get("flags", ()),
        master=str(raw.get("master", "")),
        flags=frozenset(flag for flag, on in details.get("info_slave_data", {}).items() if on is True),
        addresses=frozenset(addresses),
    )


def _route(raw: dict) -> Route | None:  # type: ignore[type-arg]
    destination = str(raw["dst"])
    if raw.get("type") in ("multicast", "broadcast"):
        return None
    default = "::/0" if ":" in str(raw.get("gateway", "")) else "0.0.0.0/0"
    network: IPNetwork = ipaddress.ip_network(default if destination == "default" else destination, strict=False)
    words = [str(raw["type"]) if "type" in raw else "", destination]
    words += [f"{key} {raw[key]}" for key in ("gateway", "dev", "table") if key in raw]
    words = [word.replace("gateway", "via") for word in words]
    return Route(
        network,
        str(raw.get("gateway", "")),
        str(raw.get("dev", "")),
        " ".join(filter(None, words)),
        str(raw.get("type", "unicast")),
        str(raw.get("prefsrc", "")),
        str(raw.get("table", "main")),
    )
