"""The driver `ptp`: the facts of a network without a bridge, and of the containers on it. Pure.

A container has a cable of its own, a veth pair, and the host routes between the cables:

    container 10.1.0.2 ═ 10.1.0.1 host 10.1.0.1 ═ 10.1.0.3 container
"""

from collections.abc import Iterator

from mydockernet import inside, rulesets
from mydockernet.dialects import ip, ip_route
from mydockernet.dialects.fact import Fact
from mydockernet.inside import Places
from mydockernet.model import Endpoint, Network, placed

FORWARDS = True
MODES: tuple[str, ...] = ()
LAN_MODES = MODES
# The options that it does not support, each with the reason.
REFUSED = {
    "--bridge-name": "it has no bridge",
    "--dhcp": "it has no bridge to which others could connect",
    "--port-security": "it has no bridge whose frames could be filtered; the host accepts a new connection only "
    "from an address of the container",
    "--no-gateway": "all packets of its containers go through the host",
    "--no-subnet": "the host routes by address",
    "--route": "the host would have to forward to that gateway",
    "--parent": "it has no parent interface",
    "--mode": "it has no parent interface",
    "--host-ip": "the host has the address of the gateway",
}


def network_facts(network: Network) -> Iterator[Fact]:
    """Yield the routes that reserve the subnets of a network."""
    for subnet in network.subnets:
        yield ip_route.Unreachable(str(subnet.network), network.name)


def rule_facts(network: Network) -> Iterator[Fact]:
    """Yield the rules of one network: those that drop forged sources, and those that translate addresses.

    The host has a route to each container. So the shared rule with rpfilter lets a container send from its own address
    only, and this network's rule needs to match only packets from outside.
    """
    rules = rulesets.load(network.firewall)
    yield from rules.user_rules(network.owner, network.user_rules, network.families)
    for subnet in network.subnets:
        yield inside.in_zone(network, str(subnet.network))
        home = rulesets.Home(subnet.network, inside.group(network))
        yield from rules.source_guard(network.owner, home)
        if network.icc:
            yield from rules.icc(network.owner, home)
        yield from inside.translation_facts(network, home)
        yield from inside.name_server_facts(network, home)
        if subnet.family == 4 and network.on_loopback:
            yield from rules.from_loopback(network.owner, home)


def cable_facts(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the veth pair of a container. The host's end is down before `cable_start`."""
    veth, name = endpoint.veth, endpoint.name
    netns, group = endpoint.namespace.path, inside.group(network)
    if endpoint.namespace.own:
        yield ip.OwnNamespace(netns, netns.rpartition("/")[2])
    yield ip.Veth(veth, network.owner, name, group, endpoint.interface, netns)
    yield ip.Alias(veth, network.owner)
    yield ip.LinkGroup(veth, group)
    if network.mtu:
        yield ip.Mtu(veth, network.mtu)


def network_switches(network: Network) -> Iterator[Fact]:
    """Yield the sysctls of a network: none, as it has no interface of its own."""
    yield from ()


def cable_switches(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the sysctls of the host's end of a veth pair."""
    yield from inside.door_switches(network, endpoint.veth)
    if any(mapping.on_loopback and network.translates(endpoint, mapping, 4) for mapping in endpoint.ports):
        yield inside.route_localnet(endpoint.veth)


def network_start(network: Network) -> Iterator[Fact]:
    """Yield what enables a network: nothing, as it has no interface of its own."""
    yield from ()


def cable_start(network: Network, endpoint: Endpoint) -> Iterator[Fact]:
    """Yield the addresses and routes of the host's end, which need IPv6 to be enabled or disabled first."""
    veth, name = endpoint.veth, endpoint.name
    for subnet, _ in placed(network, endpoint):
        why = f"Give the host's end the gateway's address, as on the veth pair of each container of {network.name}."
        yield ip.InterfaceAddress(veth, f"{subnet.gateway}/{subnet.network.max_prefixlen}", why)
    yield ip.Up(veth, "Enable the host's end.")
    for _, address in placed(network, endpoint):
        yield ip_route.PlainRoute(veth, f"{address}/{address.max_prefixlen}", f"Route to {name} through its veth pair.")


def container_facts(network: Network, endpoint: Endpoint, places: Places) -> Iterator[Fact]:
    """Yield the addresses and routes of a container. `places` are all networks of the container."""
    return inside.container_facts(network, endpoint, places, on_link=False)
