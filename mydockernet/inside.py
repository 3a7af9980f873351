"""The facts of a container that do not depend on the driver of its network: inside it, its published ports. Pure.

`places` are all networks of a container, each with its endpoint.
"""

from collections.abc import Collection, Iterator

from mydockernet import rulesets
from mydockernet.dialects import firewalld, ip, ip_route, ip_sublink, tc
from mydockernet.dialects.fact import GROUP, GROUP_APART, GROUP_INTERNAL, Fact
from mydockernet.dialects.sysctl import Sysctl
from mydockernet.model import MTU_IPV6, Endpoint, Network, gives_default_route, placed, way_out

# A container on several networks has routing table 28000 + N for its Nth network.
FIRST_TABLE = 28000
EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
NO_DAD = "Skip duplicate address detection, which takes a second or two: use the addresses"

Places = Collection[tuple[Network, Endpoint]]


def group(network: Network) -> str:
    """Return the link group of the interfaces of a network, which the shared rules match."""
    return GROUP_APART if not network.has_gateway else GROUP_INTERNAL if network.internal else GROUP


def in_zone(network: Network, member: str) -> Fact:
    """Return the zone of firewalld of a bridge, or of a subnet."""
    leads_out = network.has_gateway and not network.internal
    zone = firewalld.ZONE if leads_out else firewalld.ZONE_INTERNAL
    return firewalld.InZone(member, zone, network.owner, lasting=network.firewall == "nftables")


def translation_facts(network: Network, home: rulesets.Home) -> Iterator[Fact]:
    """Yield the rules that translate addresses of a subnet or, in the gateway mode routed, those that let ICMP in."""
    rules, family = rulesets.load(network.firewall), home.subnet.version
    if network.routed(family) and not network.internal:
        yield from rules.icmp(network.owner, home.subnet)
    if network.masquerades(family):
        yield from rules.masquerade(network.owner, home)
    if network.publishes(family):
        yield from rules.hairpin(network.owner, home)


def name_server_facts(network: Network, home: rulesets.Home) -> Iterator[Fact]:
    """Yield the rules about the name server of a network, at its gateway in a subnet."""
    gateway = next(subnet.gateway for subnet in network.subnets if subnet.network == home.subnet)
    if network.resolver and gateway:
        yield from rulesets.load(network.firewall).name_server(network.owner, home, gateway, bool(network.dhcp))


def port_facts(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the rules that publish ports of a container."""
    rules = rulesets.load(network.firewall)
    for mapping in endpoint.ports:
        for address in endpoint.addresses:
            if not mapping.serves(address.version):
                continue
            kind = rules.opened if network.routed(address.version) else rules.published
            yield from kind(network.owner, endpoint.name, mapping, address)


def route_localnet(dev: str) -> Fact:
    """Return the sysctl that lets the host reach a port that is published on 127.0.0.1, through an interface."""
    return Sysctl(
        f"net/ipv4/conf/{dev}/route_localnet",
        "1",
        f"Allow packets from the host's 127.0.0.1 to leave by {dev}; the kernel drops them otherwise.",
        dev=dev,
        otherwise="0",
    )


def door_switches(network: Network, dev: str) -> Iterator[Fact]:
    """Yield the sysctls about IPv6 of an interface of the host that leads to containers."""
    if not network.carries_ipv6:
        return
    if 6 not in network.families or not network.has_gateway:
        why = (
            f"Disable IPv6 on {dev}: no rule filters it. A container that enabled it could reach the host, or become "
            "its default route by a router advertisement."
        )
        yield Sysctl(f"net/ipv6/conf/{dev}/disable_ipv6", "1", why, dev=dev)
        return
    for key, value, why in (
        ("disable_ipv6", "0", f"Enable IPv6 on {dev}."),
        ("accept_ra", "0", "Ignore router advertisements of containers: one could become the host's router."),
        ("accept_dad", "0", f"{NO_DAD} of {dev} at once."),
    ):
        yield Sysctl(f"net/ipv6/conf/{dev}/{key}", value, why, dev=dev)


def container_mtu(network: Network, endpoint: Endpoint) -> Fact:
    """Return the MTU of the interface of a container, on which it depends whether the interface has IPv6."""
    netns, cable = endpoint.namespace.path, endpoint.cable
    if network.mtu:
        return ip.Mtu(endpoint.interface, network.mtu, netns=netns, cable=cable)
    return ip_sublink.RoomForIPv6(endpoint.interface, MTU_IPV6, netns=netns, cable=cable)


def container_switches(network: Network, endpoint: Endpoint, places: Places) -> Iterator[Fact]:
    """Yield the sysctls of the interface of a container."""
    cable, dev = endpoint.cable, endpoint.interface
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
    for key, value, why in keys if network.carries_ipv6 else ():
        yield Sysctl(f"net/ipv6/conf/{dev}/{key}", value, why, dev=cable, netns=netns)
    if len(places) > 1:
        yield Sysctl(
            f"net/ipv4/conf/{dev}/rp_filter",
            "2",
            "Accept packets even if the reply would leave by another network of the container.",
            dev=cable,
            netns=netns,
        )


def container_facts(
    network: Network, endpoint: Endpoint, places: Places, on_link: bool = True, by_gateway: bool = True
) -> Iterator[Fact]:
    """Yield the addresses and routes of a container.

    `on_link`: it reaches the other containers of its network directly, and not through the gateway. `by_gateway`: it
    reaches everything else through the gateway, and not directly.
    """
    cable, dev = endpoint.cable, endpoint.interface
    netns, name = endpoint.namespace.path, endpoint.name
    if endpoint.mac:
        yield ip.HardwareAddress(dev, endpoint.mac, netns=netns, cable=cable)
    for subnet, address in placed(network, endpoint):
        prefixlen = subnet.network.prefixlen if on_link else subnet.network.max_prefixlen
        yield ip.InterfaceAddress(dev, f"{address}/{prefixlen}", f"Give {name} its address.", netns=netns, cable=cable)
    yield ip.Up("lo", f"Enable loopback in {name}: programs expect their own 127.0.0.1.", netns=netns, cable=cable)
    yield ip.Up(dev, f"Enable {name}'s end.", netns=netns, cable=cable)
    for subnet, _ in placed(network, endpoint) if not on_link else ():
        gateway = f"{subnet.gateway}/{subnet.network.max_prefixlen}"
        why = f"Route to the gateway directly: it is the other end of {dev}."
        yield ip_route.PlainRoute(dev, gateway, why, netns=netns, cable=cable)
        why = f"Route to the other containers of {network.name} through the gateway."
        yield ip_route.PlainRoute(dev, str(subnet.network), why, str(subnet.gateway), netns=netns, cable=cable)
    for subnet, _ in placed(network, endpoint):
        if not subnet.gateway or way_out(places, subnet.family) != (network, endpoint):
            continue
        if by_gateway:
            yield ip_route.DefaultRoute(dev, str(subnet.gateway), _metric(network.metric), netns=netns, cable=cable)
        else:
            why = f"Route everything else through {dev}: the kernel routes it on."
            yield ip_route.PlainRoute(dev, EVERYWHERE[subnet.family], why, netns=netns, cable=cable)
    yield from _static_routes(network, endpoint, "main")
    if len(places) > 1:
        yield from _source_routing(network, endpoint, on_link, by_gateway)


def rate_facts(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the limits on how fast a container receives and sends: each is one of the interface that sends."""
    cable = endpoint.cable
    if endpoint.ingress:
        why = f"Send to {endpoint.name} no faster than {endpoint.ingress} per second."
        yield tc.Shaper(endpoint.veth, endpoint.ingress, why, cable=cable)
    if endpoint.egress:
        why = f"Let {endpoint.name} send no faster than {endpoint.egress} per second."
        yield tc.Shaper(endpoint.interface, endpoint.egress, why, netns=endpoint.namespace.path, cable=cable)


def _source_routing(network: Network, endpoint: Endpoint, on_link: bool, by_gateway: bool) -> Iterator[Fact]:
    """Yield the routes and rules by which a container on several networks uses the network of each of its addresses."""
    table = str(FIRST_TABLE + endpoint.order)
    netns, dev, cable = endpoint.namespace.path, endpoint.interface, endpoint.cable
    for subnet, address in placed(network, endpoint):
        through = "" if on_link else str(subnet.gateway)
        yield ip_route.TableRoute(dev, str(subnet.network), table, through, netns=netns, cable=cable)
        if gives_default_route(network, endpoint) and subnet.gateway:
            to, via = ("default", str(subnet.gateway)) if by_gateway else (EVERYWHERE[subnet.family], "")
            yield ip_route.TableRoute(dev, to, table, via, netns=netns, cable=cable)
        yield ip_route.SourceLookup(str(address), table, netns=netns)
    # Packets that already have a source address, such as replies, use this table only.
    yield from _static_routes(network, endpoint, table)


def _static_routes(network: Network, endpoint: Endpoint, table: str) -> Iterator[Fact]:
    """Yield the static routes of a network in a routing table of a container."""
    netns, dev, cable = endpoint.namespace.path, endpoint.interface, endpoint.cable
    for route in network.routes:
        to, metric = str(route.destination), _metric(route.metric)
        if route.gateway:
            yield ip_route.StaticRoute(dev, to, str(route.gateway), metric, table, netns=netns, cable=cable)
        else:
            yield ip_route.Refusal(route.kind, to, metric, table, netns=netns)


def _metric(metric: int | None) -> str:
    return "" if metric is None else str(metric)
