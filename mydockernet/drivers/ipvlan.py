"""The driver `ipvlan`: the facts of a network whose containers share the MAC address of a parent interface. Pure.

In the mode l2 they are hosts of the LAN. In l3 and l3s the kernel routes to them by address, without ARP and without a
gateway: other hosts need a route to the subnet.
"""

from collections.abc import Iterator

from mydockernet import inside, parent
from mydockernet.dialects.fact import Fact
from mydockernet.inside import Places
from mydockernet.model import Endpoint, Network

FORWARDS = False
MODES = ("l2", "l3", "l3s")
LAN_MODES = ("l2",)
# The options that it does not support, each with the reason.
REFUSED = {
    "--dns dnsmasq": "the host is not the gateway of its containers",
    "--no-gateway": "its gateway is a router of the LAN: use --no-default-route",
    "--no-subnet": "its containers have addresses of the LAN",
    "--bridge-name": parent.NO_BRIDGE,
    "--no-icc": parent.DIRECT,
    "--gateway-mode": parent.DIRECT,
    "--no-masquerade": parent.OWN_SOURCE,
    "--no-masquerade6": parent.OWN_SOURCE,
    "--port-security": parent.DIRECT,
    "--firewall": parent.DIRECT,
    "--publish": parent.OWN_ADDRESSES,
    "--ingress-rate": "no interface of the host sends to its containers",
    "--mac": "its containers share the MAC address of the parent",
    "--host-ip": "only macvlan gives the host an interface of its own",
}


def network_facts(network: Network) -> Iterator[Fact]:
    """Yield the links of a network: none, as the parent is not mydockernet's."""
    yield from ()


def rule_facts(network: Network) -> Iterator[Fact]:
    """Yield the rules of one network: none, as mydockernet filters none of its packets."""
    yield from ()


def cable_facts(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the interface of a container."""
    return parent.cable_facts(network, endpoint, "ipvlan")


def network_switches(network: Network) -> Iterator[Fact]:
    """Yield the sysctls of a network: none, as it has no interface on the host."""
    yield from ()


def cable_switches(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the sysctls of the host's end: none, as there is no such end."""
    yield from ()


def network_start(network: Network) -> Iterator[Fact]:
    """Yield what enables a network: nothing, as the parent is not mydockernet's."""
    yield from ()


def cable_start(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the host's routes to a container: none."""
    yield from ()


def container_facts(network: Network, endpoint: Endpoint, places: Places) -> Iterator[Fact]:
    """Yield the addresses and routes of a container. `places` are all networks of the container."""
    return inside.container_facts(network, endpoint, places, by_gateway=network.mode in LAN_MODES)
