"""The driver `bridge`: the facts of a network with a bridge, and of the containers on it. Pure.

A container has a cable, a veth pair: one end is a port of the bridge, the other one an interface of the container.
"""

from collections.abc import Collection, Iterator

from mydockernet import ruleset
from mydockernet.dialects import ebtables, ip, ip_route
from mydockernet.dialects.fact import GROUP, GROUP_INTERNAL, GROUP_IPV6_PORTS, Fact
from mydockernet.dialects.sysctl import Sysctl
from mydockernet.model import Endpoint, Network, attached, placed, way_out

# A container on several networks has routing table 28000 + N for its Nth network.
FIRST_TABLE = 28000
NO_DAD = "Skip duplicate address detection, which takes a second or two: use the addresses"


def bridge_facts(network: Network) -> Iterator[Fact]:
    """Yield the bridge of a network and its addresses. It forwards nothing before `bridge_start`."""
    yield ip.Bridge(network.bridge, network.owner, _group(network), network.mac)
    yield ip.Alias(network.bridge, network.owner)
    if network.mac:
        yield ip.HardwareAddress(network.bridge, network.mac, made_with=True)
    yield ip.LinkGroup(network.bridge, _group(network))
    if network.mtu:
        yield ip.Mtu(network.bridge, network.mtu)
    yield from _gateways(network, 4)


def _gateways(network: Network, family: int) -> Iterator[Fact]:
    """Yield the host's addresses of a family."""
    for subnet in network.subnets:
        if subnet.family == family:
            yield ip.InterfaceAddress(
                network.bridge,
                subnet.gateway_interface,
                f"Give the host its address on {network.name}: the gateway of its containers. The prefix length also "
                f"adds the route to {subnet.network}.",
            )


def rule_facts(network: Network) -> Iterator[Fact]:
    """Yield the rules of one network: those that drop forged sources, and those that translate addresses."""
    mappings = [mapping for _, endpoint in attached([network]) for mapping in endpoint.ports]
    for subnet in network.subnets:
        yield from ruleset.source_guard(network.owner, subnet.network, network.bridge)
    for subnet in network.subnets:
        if network.masquerades(subnet.family):
            yield ruleset.masquerade(network.owner, subnet.network, network.bridge)
    for subnet in network.subnets:
        if any(mapping.serves(subnet.family) for mapping in mappings):
            yield ruleset.hairpin(network.owner, subnet.network, network.bridge)
    if 4 in network.families and any(mapping.on_loopback for mapping in mappings):
        yield ruleset.from_loopback(network.owner, network.bridge)


def port_facts(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the rules that publish ports of a container."""
    for mapping in endpoint.ports:
        for address in endpoint.addresses:
            if mapping.serves(address.version):
                yield from ruleset.published(network.owner, endpoint.name, mapping, address)


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
        gateways = tuple(subnet.gateway for subnet, _ in placed(network, endpoint))
        yield ebtables.PortFilter(veth, name, endpoint.mac, endpoint.addresses, to, gateways)
    group = GROUP_IPV6_PORTS if 6 in network.families else _group(network)
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


def bridge_switches(network: Network) -> Iterator[Fact]:
    """Yield the sysctls of a bridge."""
    bridge = network.bridge
    if 6 in network.families:
        for key, value, why in (
            ("disable_ipv6", "0", "Enable IPv6 on the bridge."),
            ("accept_ra", "0", "Ignore router advertisements of containers: one could become the host's router."),
            ("accept_dad", "0", f"{NO_DAD} of the bridge at once."),
        ):
            yield Sysctl(f"net/ipv6/conf/{bridge}/{key}", value, why, dev=bridge)
    else:
        yield Sysctl(
            f"net/ipv6/conf/{bridge}/disable_ipv6",
            "1",
            "Disable IPv6 on the bridge: no rule filters it. A container that enabled it could reach the host, or "
            "become its default route by a router advertisement.",
            dev=bridge,
        )
    mappings = (mapping for _, endpoint in attached([network]) for mapping in endpoint.ports)
    if 4 in network.families and any(mapping.on_loopback for mapping in mappings):
        yield Sysctl(
            f"net/ipv4/conf/{bridge}/route_localnet",
            "1",
            "Allow packets from the host's 127.0.0.1 to leave by this bridge; the kernel drops them otherwise.",
            dev=bridge,
            otherwise="0",
        )


def cable_switches(endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the sysctls of the host's end of a veth pair."""
    veth = endpoint.veth
    why = "Disable IPv6 on the host's end: a port of a bridge needs no address."
    yield Sysctl(f"net/ipv6/conf/{veth}/disable_ipv6", "1", why, dev=veth)


def bridge_start(network: Network) -> Iterator[Fact]:
    """Yield the addresses that need IPv6 to be enabled first, and what enables the bridge."""
    yield from _gateways(network, 6)
    yield ip.Up(network.bridge, "Enable the bridge. Until then it forwards no frames.")


def neighbors(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the host's neighbor entries for a container, if it may send only from its own addresses.

    ebtables checks the address that an ARP reply is about, but not that of a neighbor advertisement.
    """
    if network.checks_senders:
        for address in endpoint.addresses:
            if address.version == 6:
                yield ip_route.Neighbor(network.bridge, str(address), endpoint.mac, endpoint.name)


def container_switches(
    network: Network, endpoint: Endpoint, places: Collection[tuple[Network, Endpoint]]
) -> Iterator[Fact]:
    """Yield the sysctls of the container's end of a veth pair. `places` are all networks of the container."""
    veth, dev = endpoint.veth, endpoint.interface
    netns, name = endpoint.namespace.path, endpoint.name
    on = 6 in network.families
    keys = (
        ("disable_ipv6", "0", f"Enable IPv6 in {name}.")
        if on
        else ("disable_ipv6", "1", f"Disable IPv6 in {name}: its network has none, and no rule filters it."),
        ("accept_ra", "0", "Ignore router advertisements."),
        ("autoconf", "0", "Do not configure addresses automatically."),
        *((("accept_dad", "0", f"{NO_DAD} at once."),) if on else ()),
    )
    for key, value, why in keys:
        yield Sysctl(f"net/ipv6/conf/{dev}/{key}", value, why, dev=veth, netns=netns)
    if len(places) > 1:
        yield Sysctl(
            f"net/ipv4/conf/{dev}/rp_filter",
            "2",
            "Accept packets even if the reply would leave by another network of the container.",
            dev=veth,
            netns=netns,
        )


def container_facts(
    network: Network, endpoint: Endpoint, places: Collection[tuple[Network, Endpoint]]
) -> Iterator[Fact]:
    """Yield the addresses and routes of a container. `places` are all networks of the container."""
    veth, dev = endpoint.veth, endpoint.interface
    netns, name = endpoint.namespace.path, endpoint.name
    if network.mtu:
        yield ip.Mtu(dev, network.mtu, netns=netns, cable=veth)
    yield ip.HardwareAddress(dev, endpoint.mac, netns=netns, cable=veth)
    for subnet, address in placed(network, endpoint):
        yield ip.InterfaceAddress(
            dev, f"{address}/{subnet.network.prefixlen}", f"Give {name} its address.", netns=netns, cable=veth
        )
    yield ip.Up("lo", f"Enable loopback in {name}: programs expect their own 127.0.0.1.", netns=netns, cable=veth)
    yield ip.Up(dev, f"Enable {name}'s end.", netns=netns, cable=veth)
    if (network, endpoint) == way_out(places):
        for subnet, _ in placed(network, endpoint):
            yield ip_route.DefaultRoute(dev, str(subnet.gateway), netns=netns, cable=veth)
    if len(places) > 1:
        yield from _source_routing(network, endpoint)


def _source_routing(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the routes and rules by which a container on several networks uses the network of each of its addresses."""
    table = str(FIRST_TABLE + endpoint.order)
    netns, dev, veth = endpoint.namespace.path, endpoint.interface, endpoint.veth
    for subnet, address in placed(network, endpoint):
        yield ip_route.TableRoute(dev, str(subnet.network), table, netns=netns, cable=veth)
        if endpoint.default_route and not network.internal:
            yield ip_route.TableRoute(dev, "default", table, str(subnet.gateway), netns=netns, cable=veth)
        yield ip_route.SourceLookup(str(address), table, netns=netns)


def _group(network: Network) -> str:
    return GROUP_INTERNAL if network.internal else GROUP
