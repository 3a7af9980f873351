"""The drivers: a network → its facts. The table has the module of each driver, which is loaded on use."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Protocol

    from mydockernet.dialects.fact import Fact
    from mydockernet.inside import Places
    from mydockernet.model import Endpoint, Network

    class Driver(Protocol):
        """What the module of a driver has. The planner puts the facts of all networks in this order."""

        @property
        def FORWARDS(self) -> bool:
            """Whether the host forwards the packets of its containers, so that the shared rules apply."""

        @property
        def MODES(self) -> tuple[str, ...]:
            """The values of --mode, the default first; empty if it has no parent interface."""

        @property
        def LAN_MODES(self) -> tuple[str, ...]:
            """Those modes in which the subnet is that of the parent's LAN."""

        @property
        def REFUSED(self) -> Mapping[str, str]:
            """The options that it does not support, each with the reason."""

        def network_facts(self, network: Network) -> Iterator[Fact]: ...

        def rule_facts(self, network: Network) -> Iterator[Fact]: ...

        def cable_facts(self, network: Network, endpoint: Endpoint) -> Iterator[Fact]: ...

        def network_switches(self, network: Network) -> Iterator[Fact]: ...

        def cable_switches(self, network: Network, endpoint: Endpoint) -> Iterator[Fact]: ...

        def network_start(self, network: Network) -> Iterator[Fact]: ...

        def cable_start(self, network: Network, endpoint: Endpoint) -> Iterator[Fact]: ...

        def container_facts(self, network: Network, endpoint: Endpoint, places: Places) -> Iterator[Fact]: ...


MODULES = {
    "bridge": "bridge",
    "ptp": "ptp",
    "macvlan": "macvlan",
    "ipvlan": "ipvlan",
}


def load(name: str) -> "Driver":
    """Return the module of a driver."""
    module: Driver = __import__(f"mydockernet.drivers.{MODULES[name]}", fromlist=[name])
    return module
