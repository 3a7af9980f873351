"""The rules that open and close networks, as facts. The table has the module of each firewall, loaded on use."""

from mydockernet.model import IPNetwork
from mydockernet.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Protocol

    from mydockernet.dialects.fact import Argv, Fact
    from mydockernet.model import Address, PortMapping

    class Ruleset(Protocol):
        """What the module of a firewall has. `owner` is the name in the mark of a network; a rule may take none."""

        def shared(self, families: Iterable[int], publishing: Collection[int], on_loopback: bool) -> Iterator[Fact]: ...

        def bridged(self, owner: str, bridge: str) -> Iterator[Fact]: ...

        def layer2(self, owner: str, bridge: str, family: int) -> Iterator[Fact]: ...

        def source_guard(self, owner: str, home: "Home") -> Iterator[Fact]: ...

        def icc(self, owner: str, home: "Home") -> Iterator[Fact]: ...

        def icmp(self, owner: str, subnet: IPNetwork) -> Iterator[Fact]: ...

        def masquerade(self, owner: str, home: "Home") -> Iterator[Fact]: ...

        def hairpin(self, owner: str, home: "Home") -> Iterator[Fact]: ...

        def from_loopback(self, owner: str, home: "Home") -> Iterator[Fact]: ...

        def name_server(self, owner: str, home: "Home", gateway: Address, leases: bool) -> Iterator[Fact]: ...

        def user_rules(self, owner: str, rules: Iterable[Argv], families: Iterable[int]) -> Iterator[Fact]: ...

        def opened(self, owner: str, endpoint: str, mapping: PortMapping, address: Address) -> Iterator[Fact]: ...

        def published(self, owner: str, endpoint: str, mapping: PortMapping, address: Address) -> Iterator[Fact]: ...


MODULES = {
    "iptables": "iptables",
    "nftables": "nftables",
}


# The programs that show the rules of each: for IPv4, or both families, and for IPv6.
PROGRAMS = {
    "iptables": ("iptables", "ip6tables"),
    "nftables": ("nft",),
}


class Home(Value):
    """Where the containers of a subnet are: behind a bridge, or each behind an interface of a link group."""

    subnet: IPNetwork
    group: str
    bridge: str = ""

    @property
    def door(self) -> str:
        """The interface that their packets arrive by, in words."""
        return "its bridge" if self.bridge else "the interface of a container"


def load(name: str) -> "Ruleset":
    """Return the module of a firewall."""
    module: Ruleset = __import__(f"mydockernet.rulesets.{MODULES[name]}", fromlist=[name])
    return module
