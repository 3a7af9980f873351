"""The driver `bridge`: the facts of a network with a bridge, and of the containers on it. Pure.

A container has a cable, a veth pair: one end is a port of the bridge, the other one an interface of the container.
"""

from collections.abc import Iterator

from mydockernet import inside, rulesets
from mydockernet.dialects import ebtables, ip, ip_route
from mydockernet.dialects.fact import GROUP_IPV6_PORTS, Fact
from mydockernet.dialects.sysctl import Sysctl
from mydockernet.inside import Places
from mydockernet.model import Endpoint, Network, placed

FORWARDS = True
MODES: tuple[str, ...] = ()
LAN_MODES = MODES
# The options that it does not support, each with the reason.
REFUSED = {
    "--parent": "it has no parent interface",
    "--mode": "it has no parent interface",
    "--host-ip": "the host has the address of the gateway",
}


def network_facts(network: Network) -> Iterator[Fact]:
    """Yield the bridge of a network and its addresses. It forwards nothing before `network_start`."""
    yield ip.Bridge(network.bridge, network.owner, inside.group(network), network.mac)
    yield ip.Alias(network.bridge, network.owner)
    if network.mac:
        yield ip.HardwareAddress(network.bridge, network.mac, made_with=True)
    yield ip.LinkGroup(network.bridge, inside.group(network))
    if network.mtu:
        yield ip.Mtu(network.bridge, network.mtu)
    yield from _gateways(network, 4)


def _gateways(network: Network, family: int) -> Iterator[Fact]:
    """Yield the host's addresses of a family."""
    for subnet in network.subnets:
        if subnet.family == family and subnet.gateway:
            yield ip.InterfaceAddress(
                network.bridge,
                subnet.gateway_interface,
                f"Give the host its address on {network.name}: the gateway of its containers. The prefix length also "
                f"adds the route to {subnet.network}.",
            )


def rule_facts(network: Network) -> Iterator[Fact]:
    """Yield the rules of one network: those that drop forged sources, and those that translate addresses."""
    rules, families = rulesets.load(network.firewall), sorted({4, *network.families})
    yield inside.in_zone(network, network.bridge)
    yield from rules.user_rules(network.owner, network.user_rules, families)
    if not network.has_gateway:
        for family in families:
            yield from rules.layer2(network.owner, network.bridge, family)
        return
    if network.icc:
        yield from rules.bridged(network.owner, network.bridge)
    homes = [rulesets.Home(subnet.network, inside.group(network), network.bridge) for subnet in network.subnets]
    for home in homes:
        yield from rules.source_guard(network.owner, home)
    for home in homes:
        yield from inside.translation_facts(network, home)
        yield from inside.name_server_facts(network, home)
    if network.on_loopback:
        yield from rules.from_loopback(network.owner, homes[0])


def cable_facts(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the veth pair of a container, and the settings of the host's end.

    That end may be up from the start: it carries no frames until the container's end is up, too.
    """
    veth, dev = endpoint.veth, endpoint.interface
    netns, name = endpoint.namespace.path, endpoint.name
    if endpoint.namespace.own:
        yield ip.OwnNamespace(netns, netns.rpartition("/")[2])
    if network.checks_senders:
        to = None if network.icc else network.mac
        gateways = tuple(subnet.gateway for subnet, _ in placed(network, endpoint) if subnet.gateway)
        yield ebtables.PortFilter(veth, name, endpoint.mac, endpoint.addresses, to, gateways)
    # Without a subnet, the host knows nothing of what the containers send to each other.
    ipv6 = 6 in network.families or not network.subnets
    group = GROUP_IPV6_PORTS if ipv6 else inside.group(network)
    yield ip.Veth(veth, network.owner, name, group, dev, netns)
    yield ip.Alias(veth, network.owner)
    yield ip.LinkGroup(veth, group)
    if network.mtu:
        yield ip.Mtu(veth, network.mtu)
    yield ip.Master(veth, network.bridge)
    # On a network of an older version, whose bridge has no fixed MAC address, ebtables does not isolate the containers.
    why = "Isolate the port: it can reach the host, but no other isolated port."
    if network.mac:
        yield ip.Isolated(veth, "isolated", not network.icc, why, families=network.families)
    else:
        yield ip.PortFlag(veth, "isolated", not network.icc, why)
    yield ip.PortFlag(
        veth, "bcast_flood", network.icc, "Do not forward broadcasts of other containers to this port.", default=True
    )
    yield ip.PortFlag(
        veth,
        "hairpin",
        bool(endpoint.ports),
        "Allow frames to leave by the port they arrived on: the container can then use its own published ports.",
    )
    yield ip.Up(veth, "Enable the host's end.")


def network_switches(network: Network) -> Iterator[Fact]:
    """Yield the sysctls of a bridge."""
    yield from inside.door_switches(network, network.bridge)
    if network.on_loopback:
        yield inside.route_localnet(network.bridge)


def cable_switches(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the sysctls of the host's end of a veth pair."""
    veth = endpoint.veth
    if not network.carries_ipv6:
        return
    why = "Disable IPv6 on the host's end: a port of a bridge needs no address."
    yield Sysctl(f"net/ipv6/conf/{veth}/disable_ipv6", "1", why, dev=veth)


def network_start(network: Network) -> Iterator[Fact]:
    """Yield the addresses that need IPv6 to be enabled first, and what enables the bridge."""
    yield from _gateways(network, 6)
    yield ip.Up(network.bridge, "Enable the bridge. Until then it forwards no frames.")


def cable_start(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the host's neighbor entries for a container, if it may send only from its own addresses.

    ebtables checks the address that an ARP reply is about, but not that of a neighbor advertisement.
    """
    if network.checks_senders and network.has_gateway:
        for address in endpoint.addresses:
            if address.version == 6:
                yield ip_route.Neighbor(network.bridge, str(address), endpoint.mac, endpoint.name)


def container_facts(network: Network, endpoint: Endpoint, places: Places) -> Iterator[Fact]:
    """Yield the addresses and routes of a container. `places` are all networks of the container."""
    return inside.container_facts(network, endpoint, places)
