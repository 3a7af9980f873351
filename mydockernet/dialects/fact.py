"""The vocabulary of the planner: what must be true (Fact), what is seen (Observed), what is to do (Step).

Knows no program's dialect: the other files of this folder each bring their kinds of fact.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from ipaddress import ip_interface

from mydockernet.model import NAME, Address, IPNetwork
from mydockernet.value import EMPTY, Value, field, replace

Argv = tuple[str, ...]

TAG = "mydockernet:"
# No network can be called so: the @ is not in a name.
SHARED = "@shared"

# Every bridge joins one of these link groups when it is made; the filter rules match the group, not the
# bridge, so that their number does not grow with the networks. The group also marks a bridge as ours in the
# instant before it has its alias.
GROUP = "28004"

GROUP_INTERNAL = "28005"

BRIDGE_CALLS_IPTABLES = "net/bridge/bridge-nf-call-iptables"

# ip-route(8) and ip-rule(8): who wrote it, so that what the container's own programs write is told from ours.
PROTOCOL = "28"


def tag(owner: str) -> str:
    """The mark of an owner, a network's name or SHARED: a link's alias, a rule's comment."""
    return TAG + owner


_MARK = re.compile(f"{TAG}(?:{NAME.pattern}(?:@[0-9a-f]{{6}})?|{SHARED})")


def marked(text: str) -> bool:
    """Whether a link's alias or a rule's comment is a mark of ours: NAME, NAME@REALM or @shared, and nothing more.

    Anything else may be an admin's note about us, as in `mydockernet: do not touch`.
    """
    return _MARK.fullmatch(text) is not None


def inside(netns: str, argv: Argv) -> Argv:
    """A command as it runs in the namespace at a path, by nsenter(1); the host's needs nothing."""
    return ("nsenter", f"--net={netns}", *argv) if netns else argv


class Step(Value):
    """One command, what it reads, and the sentence that says why it is there.

    If `optional`, its failure is no failure.
    """

    why: str
    do: Argv
    optional: bool = False
    stdin: str = ""


class Link(Value):
    """A network interface as `ip -json -details addr show` shows it. `flags` are those of a bridge's port."""

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


class Route(Value):
    """A destination that there is a route to, and the route's line as a person knows it.

    `kind` is that of ip-route(8), unicast or local for most; `source` the address that it gives to what is sent.
    """

    destination: IPNetwork
    via: str
    dev: str
    line: str
    kind: str = "unicast"
    source: str = ""
    table: str = "main"

    @property
    def default(self) -> bool:
        """Whether it is for everything that has no better one."""
        return self.destination.prefixlen == 0


class Lookup(Value):
    """A rule of ip-rule(8) that sends what has a source address to a routing table."""

    priority: int
    source: str
    table: str


class Socket(Value):
    """A socket of the host that listens. No address: on all of them."""

    protocol: str
    address: Address | None
    port: int
    program: str


class Rule(Value):
    """A rule as `iptables-save --counters` shows it.

    `spec` is the rule whatever the order and spelling of its words; `comment` is taken from it.
    """

    spec: frozenset[tuple[bool, str, str]]
    comment: str
    text: str
    packets: int = 0
    bytes: int = 0


class Chain(Value):
    """A chain's place: the family (4 or 6), the table, its name."""

    family: int
    table: str
    name: str


class Observed(Value):
    """What the kernel shows now, parsed once. `unread` says what could not be read, and was taken as absent.

    `blind`: the rules of iptables are among that; `frameless`: those of ebtables are.
    `inside` has the same of the containers' namespaces, by path. `frames` are the rules of ebtables by chain. `other`
    has the chains of the other variant of iptables, where it has any, and `variant` the program that changes those.
    """

    links: Mapping[str, Link] = EMPTY
    routes: tuple[Route, ...] = ()
    chains: Mapping[Chain, tuple[Rule, ...]] = EMPTY
    policies: Mapping[Chain, str] = EMPTY
    sysctls: Mapping[str, str | None] = EMPTY
    ipv6: bool = True
    sockets: tuple[Socket, ...] = ()
    conntrack: bool = False
    frames: Mapping[str, tuple[frozenset[tuple[str, str]], ...]] = EMPTY
    lookups: frozenset[Lookup] = frozenset()
    unread: tuple[str, ...] = ()
    blind: bool = False
    frameless: bool = False
    inside: Mapping[str, "Observed"] = EMPTY
    other: "Observed | None" = None
    variant: str = ""

    @property
    def addresses(self) -> frozenset[Address]:
        """The addresses of the interfaces."""
        return frozenset(ip_interface(word).ip for link in self.links.values() for word in link.addresses)

    def at(self, netns: str) -> "Observed":
        """What is seen in the namespace at a path, nothing where it was not looked at; the host's for no path."""
        return self.inside.get(netns, NOTHING) if netns else self

    def with_sysctls(self, values: Mapping[str, str | None]) -> "Observed":
        """The same, with the values of these sysctls (None: there is no such key)."""
        return replace(self, sysctls={**self.sysctls, **values})


NOTHING = Observed()


def place(netns: str) -> str:
    """Where that is, to end a phrase with; nothing, for the host."""
    return f" in {netns}" if netns else ""


class Fact(Value, ABC):
    """Something that must be true in the kernel. Written once, it yields all its forms.

    `netns` is the path of the namespace that it is true in; empty for the host's.
    """

    netns: str = field(default="", kw_only=True)

    @abstractmethod
    def holds(self, seen: Observed) -> bool:
        """Whether the kernel shows it."""

    @property
    @abstractmethod
    def what(self) -> str:
        """The thing itself, as KIND: DETAIL, as in `address: 10.1.0.1/24 on web`."""

    @property
    def difference(self) -> str:
        """What `check` reports where this does not hold: `missing address: 10.1.0.1/24 on web`."""
        return f"missing {self.what}"

    @abstractmethod
    def do(self, seen: Observed) -> tuple[Step, ...]:
        """What makes it true, where it does not hold."""

    @abstractmethod
    def undo(self, seen: Observed) -> tuple[Step, ...]:
        """What takes it away, where it is seen; nothing, where it is to stay."""

    def obstacle(self, seen: Observed) -> str:
        """What of somebody else's stands where this would go; empty when the way is free."""
        return ""

    def within(self) -> str:
        """The interface whose deletion takes this along, so that nobody needs to undo it; empty for none."""
        return ""

    def makes(self) -> str:
        """The interface that this makes, and its undoing deletes, with all that is within it; empty for none."""
        return ""

    def looks_into(self) -> str:
        """The path of the namespace that has to be seen to tell whether this holds; empty for the host's alone."""
        return self.netns

    def sysctl(self) -> str:
        """The sysctl that has to be read to tell whether this holds; empty for none."""
        return ""

    def frames(self) -> bool:
        """Whether the rules of ebtables have to be read to tell whether this holds."""
        return False
