"""Whether a value from an earlier time still fits: what it needs anew may have been taken meanwhile. Pure."""

from collections.abc import Iterable, Iterator

from mydockernet import addressing, choices
from mydockernet.dialects.fact import PROTOCOL, Observed
from mydockernet.errors import Conflict, Invalid, quoted
from mydockernet.model import Address, Endpoint, Intent, Network, PortMapping, doors, endpoints
from mydockernet.ports import PortWish
from mydockernet.value import replace


def misfits(now: Intent, target: Intent, seen: Observed) -> list[str]:
    """Return a message for each subnet, interface, address and port that is new in `target` and taken already."""
    known = {(network.name, endpoint.name): endpoint for network, endpoint in endpoints(now.values())}
    new = [
        (network, endpoint, known.get((network.name, endpoint.name)))
        for network in target.values()
        if network != now.get(network.name)
        for endpoint in network.endpoints
        if endpoint != known.get((network.name, endpoint.name))
    ]
    return [
        *(line for network in target.values() for line in _of_network(network, now, target, seen)),
        *(line for network, endpoint, old in new for line in _of_endpoint(network, endpoint, old, now, target, seen)),
        *(line for network, endpoint, old in new for line in _of_ports(network, endpoint, old, target, seen)),
    ]


def _of_network(network: Network, now: Intent, target: Intent, seen: Observed) -> Iterator[str]:
    old = now.get(network.name)
    if old == network:
        return
    had = {subnet.network for subnet in old.subnets} if old else set()
    fresh = [subnet.network for subnet in network.subnets if subnet.network not in had]
    own = {dev for each in now.values() for dev in (*doors(each), each.host_interface)}
    others = [each for each in target.values() if each.name != network.name]
    if fresh:
        taken = [
            *(addressing.Taken(s.network, f"network {quoted(each.name)}") for each in others for s in each.subnets),
            *(
                addressing.Taken(route.destination, f"the host's route `{route.line}`")
                for route in seen.routes
                if not (route.default or route.dev in own or route.protocol == PROTOCOL)
                and not (network.parent and route.dev == network.parent)
            ),
        ]
        for block in fresh:
            if clash := addressing.overlap(block, taken):
                yield f"{block} of network {quoted(network.name)} overlaps {clash.block} of {clash.owner}"
    if old is None:
        for dev in filter(None, (network.bridge, network.host_interface)):
            if holder := next((each.name for each in others if dev in (each.bridge, each.host_interface)), None):
                yield f"the interface {dev} of network {quoted(network.name)} is now that of network {quoted(holder)}"
        if network.parent and network.parent not in seen.links:
            yield f"the interface {network.parent}, the parent of network {quoted(network.name)}, no longer exists"


def _of_endpoint(
    network: Network, endpoint: Endpoint, old: Endpoint | None, now: Intent, target: Intent, seen: Observed
) -> Iterator[str]:
    place = f"of container {quoted(endpoint.name)} on network {quoted(network.name)}"
    # Before the change, the gateways of the networks are addresses of the host as well.
    gateways = {subnet.gateway for each in now.values() for subnet in each.subnets}
    used: dict[Address | str, str] = dict.fromkeys((*(seen.addresses - gateways), *network.host_addresses), "the host")
    used |= {subnet.gateway: "the host" for subnet in network.subnets if subnet.gateway}
    for other in network.endpoints:
        if other.name != endpoint.name:
            used |= dict.fromkeys((*other.addresses, *filter(None, (other.mac,))), f"container {quoted(other.name)}")
    for what in (*endpoint.addresses, *filter(None, (endpoint.mac,))):
        if what in used and not (old and what in (*old.addresses, old.mac)):
            yield f"{what} {place} is now in use by {used[what]}"
    for address in endpoint.addresses:
        if not any(address in subnet.network for subnet in network.subnets):
            yield f"{address} {place} is in none of its subnets"
    if old is None or old.interface != endpoint.interface:
        for each, there in endpoints(target.values()):
            same = there.interface == endpoint.interface and there.namespace.key == endpoint.namespace.key
            if same and each.name != network.name:
                yield f"the interface {endpoint.interface} {place} is now that of network {quoted(each.name)}"


def _of_ports(
    network: Network, endpoint: Endpoint, old: Endpoint | None, target: Intent, seen: Observed
) -> Iterator[str]:
    wanted = [mapping for mapping in endpoint.ports if not (old and mapping in old.ports)]
    if not wanted:
        return
    bare = replace(endpoint, ports=tuple(mapping for mapping in endpoint.ports if mapping not in wanted))
    without = replace(network, endpoints=tuple(bare if e == endpoint else e for e in network.endpoints))
    # An engine holds the ports of its containers open itself.
    free = replace(seen, sockets=()) if endpoint.engine else seen
    try:
        choices.port_mappings(without, bare, tuple(_wishes(wanted)), {**target, network.name: without}, free)
    except (Conflict, Invalid) as error:
        yield from error.messages


def _wishes(mappings: Iterable[PortMapping]) -> Iterator[PortWish]:
    for m in mappings:
        yield PortWish(str(m), m.host_ip, m.host_ports, m.container_ports, m.protocol, m.sources)


def host_ports(places: Iterable[Endpoint]) -> frozenset[int]:
    """Return the host ports that these endpoints publish."""
    spans = (mapping.host_ports for endpoint in places for mapping in endpoint.ports)
    return frozenset(port for span in spans for port in range(span.first, span.last + 1))
