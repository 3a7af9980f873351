"""The vocabulary of the planner: what must be true (Fact), what is seen (Observed), what is to do (Step).

Knows no program's dialect: links.py, sysctls.py and rules.py each bring their kinds of fact.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mydockernet.model import IPNetwork

Argv = tuple[str, ...]

TAG = "mydockernet:"
# No network can be called so: the @ is not in a name.
SHARED = "@shared"


def tag(owner: str) -> str:
    """The mark of an owner, a network's name or SHARED: a link's alias, a rule's comment."""
    return TAG + owner


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and the sentence that says why it is there."""

    why: str
    do: Argv


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface as `ip -json -details addr show` shows it."""

    name: str
    kind: str
    group: str
    alias: str
    mtu: int
    up: bool
    addresses: frozenset[str]


@dataclass(frozen=True, slots=True)
class Route:
    """A destination that the host has a route to, and the route's line as a person knows it."""

    destination: IPNetwork
    line: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as `iptables-save --counters` shows it.

    `spec` is the rule whatever the order and spelling of its words; `comment` is taken from it.
    """

    spec: frozenset[tuple[bool, str, str]]
    comment: str
    text: str
    packets: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain's place: the family (4 or 6), the table, its name."""

    family: int
    table: str
    name: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What the kernel shows now, parsed once. `unread` says what could not be read, and was taken as absent."""

    links: Mapping[str, Link] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    chains: Mapping[Chain, tuple[Rule, ...]] = field(default_factory=dict)
    sysctls: Mapping[str, str | None] = field(default_factory=dict)
    ipv6: bool = True
    unread: tuple[str, ...] = ()

    def with_sysctls(self, values: Mapping[str, str | None]) -> "Observed":
        """The same, with the values of these sysctls (None: there is no such key)."""
        return replace(self, sysctls={**self.sysctls, **values})


class Fact(ABC):
    """Something that must be true in the kernel. Written once, it yields all its forms."""

    @abstractmethod
    def holds(self, seen: Observed) -> bool:
        """Whether the kernel shows it."""

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

    def deletes(self) -> str:
        """The interface that undoing this deletes, with all that is within it; empty for none."""
        return ""

    def sysctl(self) -> str:
        """The sysctl that has to be read to tell whether this holds; empty for none."""
        return ""
