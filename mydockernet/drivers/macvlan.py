"""The driver `macvlan`: the facts of a network whose containers are hosts of the LAN, with MAC addresses of their own.

    LAN ─ parent interface ─┬─ the host
                            ├─ macvlan, in a container
                            └─ macvlan, in a container

The host and its own macvlan interfaces do not reach each other through the parent. Pure.
"""

from collections.abc import Iterator

from mydockernet import inside, parent
from mydockernet.dialects.fact import Fact
from mydockernet.inside import Places
from mydockernet.model import Endpoint, Network

FORWARDS = False
MODES = ("bridge", "private", "vepa", "passthru")
LAN_MODES = MODES
# The options that it does not support, each with the reason.
REFUSED = {
    "--dns dnsmasq": "the host is not the gateway of its containers",
    "--no-gateway": "its gateway is a router of the LAN: use --no-default-route",
    "--no-subnet": "its containers have addresses of the LAN",
    "--bridge-name": parent.NO_BRIDGE,
    "--no-icc": f"{parent.DIRECT}; --mode private keeps its containers apart",
    "--gateway-mode": parent.DIRECT,
    "--no-masquerade": parent.OWN_SOURCE,
    "--no-masquerade6": parent.OWN_SOURCE,
    "--port-security": parent.DIRECT,
    "--firewall": parent.DIRECT,
    "--publish": parent.OWN_ADDRESSES,
    "--ingress-rate": "no interface of the host sends to its containers",
}


def network_facts(network: Network) -> Iterator[Fact]:
    """Yield the interface of the host on the network, if it has one."""
    return parent.network_facts(network, "macvlan")


def rule_facts(network: Network) -> Iterator[Fact]:
    """Yield the rules of one network: none, as its packets do not pass the host's."""
    yield from ()


def cable_facts(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the interface of a container."""
    return parent.cable_facts(network, endpoint, "macvlan")


def network_switches(network: Network) -> Iterator[Fact]:
    """Yield the sysctls of the host's interface."""
    return parent.network_switches(network)


def cable_switches(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the sysctls of the host's end: none, as there is no such end."""
    yield from ()


def network_start(network: Network) -> Iterator[Fact]:
    """Yield the addresses of the host's interface."""
    return parent.network_start(network)


def cable_start(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the host's routes to a container."""
    return parent.cable_start(network, endpoint)


def container_facts(network: Network, endpoint: Endpoint, places: Places) -> Iterator[Fact]:
    """Yield the addresses and routes of a container. `places` are all networks of the container."""
    return inside.container_facts(network, endpoint, places)
