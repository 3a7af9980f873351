"""The types of the planner: what must be true (Fact), what the kernel shows (Observed), what to do (Step).

This module knows no program: the other modules of this package define the kinds of facts.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from ipaddress import ip_interface

from mydockernet.model import Address, IPNetwork
from mydockernet.validation import NAME
from mydockernet.value import EMPTY, Value, field, replace

Argv = tuple[str, ...]

TAG = "mydockernet:"
# No network can have this name, because names contain no @.
SHARED = "@shared"

# Every bridge is created in one of these link groups. The filter rules match the group, not the bridge, so that all
# networks share them. The group also marks a bridge as mydockernet's in the moment before it has its alias.
GROUP = "28004"

GROUP_INTERNAL = "28005"
# The ports of bridges whose containers may use IPv6. Those of other bridges are in the group of their bridge.
GROUP_IPV6_PORTS = "28006"

# Interfaces that no shared rule matches, because their packets do not pass the host.
GROUP_APART = "28007"

GROUPS = (GROUP, GROUP_INTERNAL, GROUP_IPV6_PORTS, GROUP_APART)
# Interfaces that are about to be deleted together.
GROUP_LEAVING = "28008"

# br_netfilter, by address family.
BRIDGE_CALLS = {4: "net/bridge/bridge-nf-call-iptables", 6: "net/bridge/bridge-nf-call-ip6tables"}

# Whether the host forwards packets, by address family.
FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}

# The protocol of ip-route(8) and ip-rule(8) that marks routes and rules as mydockernet's.
PROTOCOL = "28"


def tag(owner: str) -> str:
    """Return the mark of an owner (NAME, NAME@REALM or SHARED): the alias of a link, or the comment of a rule."""
    return TAG + owner


_MARK = re.compile(f"{TAG}(?:{NAME.pattern}(?:@[0-9a-f]{{6}})?|{SHARED})")


def marked(text: str) -> bool:
    """Whether an alias or a comment is a mark of mydockernet: NAME, NAME@REALM or @shared, and nothing more.

    Anything else may be an admin's note, as in `mydockernet: do not touch`.
    """
    return _MARK.fullmatch(text) is not None


def inside(netns: str, argv: Argv) -> Argv:
    """Return a command as it runs in the namespace at a path, through nsenter(1); unchanged for the host (no path)."""
    return ("nsenter", f"--net={netns}", *argv) if netns else argv


class Step(Value):
    """One command, its input, and a sentence that says why it is needed.

    The failure of an `optional` step is ignored.
    """

    why: str
    do: Argv
    optional: bool = False
    stdin: str = ""


class Link(Value):
    """A network interface as `ip -json -details addr show` shows it. `flags` are those of a bridge port.

    `advertised`: the kernel gave it an address or a default route that a router advertises (IPv6).
    `lower` is the interface below it, or the other end of a veth pair: its name, or its index in another namespace.
    `queue` is the kind of its root qdisc (tc(8)).
    """

    name: str
    kind: str = ""
    group: str = "default"
    alias: str = ""
    mac: str = ""
    mtu: int = 0
    up: bool = False
    master: str = ""
    flags: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    advertised: bool = False
    index: int = 0
    lower: str = ""
    mode: str = ""
    queue: str = ""


class Route(Value):
    """A route, and its `line` as a user knows it.

    `kind` is the type of ip-route(8), mostly unicast or local; `source` is the source address that it sets; `protocol`
    is what added it, by name or number, as `kernel` or `ra`.
    """

    destination: IPNetwork
    via: str
    dev: str
    line: str
    kind: str = "unicast"
    source: str = ""
    table: str = "main"
    protocol: str = ""
    metric: int = 0

    @property
    def family(self) -> int:
        """The address family: 4 or 6."""
        return self.destination.version

    @property
    def default(self) -> bool:
        """Whether it is a default route."""
        return self.destination.prefixlen == 0


class Lookup(Value):
    """A rule of ip-rule(8): packets from a source address use a routing table."""

    priority: int
    source: str
    table: str


class Socket(Value):
    """A listening socket of the host. `address` None means all addresses."""

    protocol: str
    address: Address | None
    port: int
    program: str


class Rule(Value):
    """A rule as `iptables-save --counters` shows it.

    `spec` is a form that ignores the order and spelling of its words; `comment` is part of it.
    """

    spec: frozenset[tuple[bool, str, str]]
    comment: str
    text: str
    packets: int = 0
    bytes: int = 0


class Chain(Value):
    """A chain, identified by family (4 or 6), table and name."""

    family: int
    table: str
    name: str


class Ranks(Value):
    """Where rules are in a chain: by spec the number of the `first` one, from 1, and how many `copies` there are.

    The first `ours` rules, or all, carry a mark of mydockernet.
    """

    first: Mapping[frozenset[tuple[bool, str, str]], int]
    copies: Mapping[frozenset[tuple[bool, str, str]], int]
    ours: int


class OwnTable(Value):
    """The table of mydockernet in nftables: its chains, each with its hook and the comments of its rules; its sets and
    maps, each with its type; and their elements, each as (set, key) → (value, comment).

    `counts` has the packets and bytes that an element, or a rule as (chain, number), has matched, if it counts them.
    """

    chains: Mapping[str, tuple[str, ...]]
    types: Mapping[str, str]
    elements: Mapping[tuple[str, str], tuple[str, str]]
    counts: Mapping[tuple[str, str], tuple[int, int]] = EMPTY


class Zones(Value):
    """What firewalld knows: the zone of each interface and source, and the names of all zones and policies.

    `lasting` are the members of mydockernet's zones after a reload.
    """

    members: Mapping[str, str] = EMPTY
    known: frozenset[str] = frozenset()
    lasting: Mapping[str, str] = EMPTY


class File(Value):
    """A file: text, a link with its target as `text`, or something else, as a folder has no text."""

    kind: str
    text: str = ""


class Observed(Value):
    """What the kernel shows now, parsed once. `unread` lists what could not be read and is assumed absent.

    `blind` means that this includes the rules of iptables, `frameless` those of ebtables. `bridged` are the rules of
    nftables about bridged frames; None if they were not observed. `neighbors` are the permanent ones, as interface,
    address and MAC address. `inside` has the same for the
    namespaces of containers, by path. `frames` are the rules of ebtables by chain. `other` has the chains of the other
    variant of iptables, if it has any, and `variant` is the program that changes them. `rates` are those of interfaces
    with a token bucket filter, in bytes per second; None if they were not observed. `table` is that of mydockernet in
    nftables, if it exists. `firewalls` are those whose program is installed, and `read` the programs whose rules were
    read. `zones` are those of firewalld; None if they were not observed, or if it does not run on this host.
    `files` are those that exist, by path. `servers` are the commands of servers by their pid file,
    empty if it does not run any more. With `systemd`, that is what starts the services of this host.
    """

    links: Mapping[str, Link] = EMPTY
    routes: tuple[Route, ...] = ()
    chains: Mapping[Chain, tuple[Rule, ...]] = EMPTY
    policies: Mapping[Chain, str] = EMPTY
    sysctls: Mapping[str, str | None] = EMPTY
    ipv6: bool = True
    sockets: tuple[Socket, ...] = ()
    conntrack: bool = False
    rates: Mapping[str, int] | None = None
    frames: Mapping[str, tuple[frozenset[tuple[str, str]], ...]] = EMPTY
    bridged: str | None = None
    neighbors: frozenset[tuple[str, str, str]] = frozenset()
    lookups: frozenset[Lookup] = frozenset()
    unread: tuple[str, ...] = ()
    blind: bool = False
    frameless: bool = False
    inside: Mapping[str, "Observed"] = EMPTY
    other: "Observed | None" = None
    variant: str = ""
    table: OwnTable | None = None
    firewalls: tuple[str, ...] = ()
    read: frozenset[str] = frozenset()
    zones: Zones | None = None
    files: Mapping[str, File] = EMPTY
    servers: Mapping[str, Argv] = EMPTY
    systemd: bool = False

    @property
    def addresses(self) -> frozenset[Address]:
        """The addresses of the interfaces."""
        known: frozenset[Address] = self._once("", self._addresses)
        return known

    def ranks(self, chain: Chain) -> Ranks:
        """Return where the rules of a chain are."""
        known: Ranks = self._once(chain, lambda: _ranks(self.chains.get(chain, ())))
        return known

    def _addresses(self) -> frozenset[Address]:
        return frozenset(ip_interface(word).ip for link in self.links.values() for word in link.addresses)

    def at(self, netns: str) -> "Observed":
        """Return the observation of a namespace by path: empty if it was not observed, that of the host for no path."""
        return self.inside.get(netns, NOTHING) if netns else self

    def without(self, *places: tuple[str, str]) -> "Observed":
        """Return the observation without some interfaces and their routes. Each is the path of its namespace, empty
        for the host, and its name.
        """
        gone: dict[str, set[str]] = {}
        for netns, dev in places:
            gone.setdefault(netns, set()).add(dev)
        left = {netns: self.inside[netns]._without(devs) for netns, devs in gone.items() if netns in self.inside}
        return replace(self._without(gone.get("", ())), inside={**self.inside, **left})

    def _without(self, devs: Collection[str]) -> "Observed":
        # The ports of a bridge stay, but belong to none.
        links = {
            name: replace(link, master="") if link.master in devs else link
            for name, link in self.links.items()
            if name not in devs
        }
        return replace(self, links=links, routes=tuple(route for route in self.routes if route.dev not in devs))

    def with_link(self, netns: str, link: Link) -> "Observed":
        """Return the same observation with a changed interface of a namespace, or of the host."""
        there = self.at(netns)
        there = replace(there, links={**there.links, link.name: link})
        return replace(self, inside={**self.inside, netns: there}) if netns else there

    def with_sysctls(self, values: Mapping[str, str | None]) -> "Observed":
        """Return the same observation with the values of some sysctls (None: the key does not exist)."""
        return replace(self, sysctls={**self.sysctls, **values})


def _ranks(rules: tuple[Rule, ...]) -> Ranks:
    first: dict[frozenset[tuple[bool, str, str]], int] = {}
    copies: dict[frozenset[tuple[bool, str, str]], int] = {}
    for number, rule in enumerate(rules, 1):
        first.setdefault(rule.spec, number)
        copies[rule.spec] = copies.get(rule.spec, 0) + 1
    ours = next((number for number, rule in enumerate(rules) if not marked(rule.comment)), len(rules))
    return Ranks(first, copies, ours)


NOTHING = Observed()


def place(netns: str) -> str:
    """Return ` in PATH` for the end of a message; empty for the host."""
    return f" in {netns}" if netns else ""


class Fact(Value, ABC):
    """Something that must be true in the kernel: how to observe, create, delete and describe it.

    `netns` is the path of its namespace; empty for the host.
    """

    netns: str = field(default="", kw_only=True)

    @abstractmethod
    def holds(self, seen: Observed) -> bool:
        """Whether the observation shows it."""

    @property
    @abstractmethod
    def what(self) -> str:
        """Its description as KIND: DETAIL, as in `address: 10.1.0.1/24 on web`."""

    @property
    def difference(self) -> str:
        """What `check` prints if it does not hold, as in `missing address: 10.1.0.1/24 on web`."""
        return f"missing {self.what}"

    @abstractmethod
    def do(self, seen: Observed) -> tuple[Step, ...]:
        """Return the steps that make it true. Called if it does not hold."""

    @abstractmethod
    def undo(self, seen: Observed) -> tuple[Step, ...]:
        """Return the steps that delete it; none if it stays. Called if it holds."""

    def remains(self, seen: Observed) -> bool:
        """Whether the observation shows something of it, perhaps changed, that `undo` deletes."""
        return self.holds(seen)

    def beyond(self, seen: Observed) -> str:
        """Return a message about what `do` cannot create, so that it does not hold; empty if there is nothing."""
        return ""

    def way_out(self) -> str:
        """Return the command that removes what `beyond` is about."""
        return ""

    def obstacle(self, seen: Observed) -> str:
        """Return a message about something of another program that is in its place; empty if there is nothing."""
        return ""

    def frees(self) -> tuple[tuple[str, str], ...]:
        """Return the interfaces that `undo` deletes: the path of the namespace, empty for the host, and the name."""
        return ()

    def aftermath(self, seen: Observed) -> Observed:
        """Return an observation as it will be after `undo`, if that deletes more than the fact itself."""
        return seen

    def within(self) -> str:
        """Return the interface whose deletion deletes this as well, so that no `undo` is needed; empty for none."""
        return ""

    def makes(self) -> str:
        """Return the interface that `do` creates and `undo` deletes, with all facts within it; empty for none."""
        return ""

    def slot(self) -> str:
        """Return what only one fact can have: if a wanted one has the same, its `do` replaces this; empty for none."""
        return ""

    def looks_into(self) -> str:
        """Return the path of the namespace that `holds` must observe; empty for the host."""
        return self.netns

    def sysctls(self, seen: Observed) -> tuple[str, ...]:
        """Return the sysctls that `holds` must observe, given the links and routes."""
        return ()

    def firewall(self) -> str:
        """Return the firewall that it is a rule of: iptables, nftables, or nothing."""
        return ""

    def shown_by(self) -> str:
        """Return the program whose rules `holds` must observe: iptables, ip6tables, nft, or nothing."""
        return ""

    def lookups6(self) -> bool:
        """Whether `holds` must observe the routing rules for IPv6 of its namespace."""
        return False

    def bridged(self) -> bool:
        """Whether `holds` must observe the rules of nftables about bridged frames."""
        return False

    def shaped(self) -> bool:
        """Whether `holds` can observe the rate of an interface."""
        return False

    def zoned(self) -> bool:
        """Whether `holds` must observe the zones of firewalld."""
        return False

    def frames(self) -> bool:
        """Whether `holds` must observe the rules of ebtables."""
        return False

    def files(self) -> tuple[str, ...]:
        """Return the paths of the files that `holds` must observe."""
        return ()

    def servers(self) -> tuple[str, ...]:
        """Return the pid files of the servers that `holds` must observe."""
        return ()


class Attribute(Fact):
    """An attribute of an interface, which disappears with it.

    `cable` is the host's end of the veth pair if the interface is inside a container.
    """

    dev: str
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

    def _inside(self, *argv: str) -> Argv:
        return inside(self.netns, argv)
