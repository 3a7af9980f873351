"""The facts of networks on a parent interface of the host: what the drivers macvlan and ipvlan share. Pure.

A container has an interface on the parent. Its packets bypass the routes and rules of the host.
"""

from collections.abc import Iterator

from mydockernet import inside
from mydockernet.dialects import ip, ip_route, ip_sublink
from mydockernet.dialects.fact import Fact
from mydockernet.model import Endpoint, Network

# Why options are refused that both drivers do not support.
NO_BRIDGE = "it has no bridge"
DIRECT = "its packets do not pass the host's rules"
OWN_SOURCE = "its packets always leave with the container's own address"
OWN_ADDRESSES = "other hosts reach its containers at their own addresses"


def network_facts(network: Network, kind: str) -> Iterator[Fact]:
    """Yield the interface of the host on the network, if it has one."""
    dev = network.host_interface
    if not dev:
        return
    why = (
        f"Give the host an interface on {network.parent} like that of a container: it does not reach the containers "
        f"through {network.parent} itself."
    )
    mac = network.mac or ""
    yield ip_sublink.Sublink(dev, network.owner, network.parent, kind, network.mode, why, mac)
    yield ip.Alias(dev, network.owner)
    if mac:
        yield ip.HardwareAddress(dev, mac, made_with=True)
    if network.mtu:
        yield ip.Mtu(dev, network.mtu)


def network_switches(network: Network) -> Iterator[Fact]:
    """Yield the sysctls of the host's interface."""
    if network.host_interface:
        yield from inside.door_switches(network, network.host_interface)


def network_start(network: Network) -> Iterator[Fact]:
    """Yield the addresses of the host's interface, which need IPv6 to be enabled or disabled first."""
    dev = network.host_interface
    if not dev:
        return
    for address in network.host_addresses:
        why = f"Give the host its address on {network.name}. Only routes to the containers lead through {dev}."
        yield ip.InterfaceAddress(dev, f"{address}/{address.max_prefixlen}", why)
    yield ip.Up(dev, "Enable the host's interface.")


def cable_facts(network: Network, endpoint: Endpoint, kind: str) -> Iterator[Fact]:
    """Yield the interface of a container."""
    netns, name = endpoint.namespace.path, endpoint.name
    if endpoint.namespace.own:
        yield ip.OwnNamespace(netns, netns.rpartition("/")[2])
    yield ip_sublink.Sublink(
        endpoint.interface,
        network.owner,
        network.parent,
        kind,
        network.mode,
        f"Create {endpoint.interface} in {name}, on the host's interface {network.parent}. The index identifies it: "
        "nothing can change that.",
        number=endpoint.index,
        cable=endpoint.cable,
        netns=netns,
    )
    yield ip.Alias(endpoint.interface, network.owner, netns=netns, cable=endpoint.cable)


def cable_start(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the host's routes to a container."""
    name = endpoint.name
    for address in endpoint.addresses if network.host_interface else ():
        why = f"Route to {name} through the host's interface."
        yield ip_route.PlainRoute(network.host_interface, f"{address}/{address.max_prefixlen}", why)
