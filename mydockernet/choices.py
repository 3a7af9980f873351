"""Choose what the arguments of a verb leave open: subnets, addresses, ports, MAC addresses, names. Pure.

Nothing is chosen that something else has already; what was asked for is refused then, and the message names the holder.
"""

import itertools
import re
from collections.abc import Collection

from mydockernet import addressing, ports
from mydockernet.addressing import Pool
from mydockernet.dialects.fact import Observed
from mydockernet.errors import Conflict, Invalid, quoted
from mydockernet.model import (
    INTERFACE,
    SYSCTL_NAMES,
    Address,
    Intent,
    Network,
    PortMapping,
    Subnet,
    endpoints,
)
from mydockernet.ports import PortWish


def bridge_name(name: str, intent: Intent, seen: Observed) -> str:
    """Return the name of the network if it is a valid and free interface name; otherwise br- and a hash."""
    free = name not in seen.links and all(network.bridge != name for network in intent.values())
    if INTERFACE.fullmatch(name) and name not in SYSCTL_NAMES and free:
        return name
    return "br-" + _digest(name)[:12]


def subnets(asked: tuple[Subnet, ...], pools: tuple[Pool, ...], intent: Intent, seen: Observed) -> tuple[Subnet, ...]:
    """Return the subnets of a new network: those `asked` for, or a free one of the pools. Raises Conflict."""
    taken = [
        *(addressing.Taken(s.network, f"network {quoted(n.name)}") for n in intent.values() for s in n.subnets),
        *(
            addressing.Taken(route.destination, f"the host's route `{route.line}`")
            for route in seen.routes
            if not route.default
        ),
    ]
    if not asked:
        return (addressing.free_subnet(pools, taken),)
    clashes = [(s.network, addressing.overlap(s.network, taken)) for s in asked]
    problems = [f"--subnet: {network} overlaps {clash.block} of {clash.owner}" for network, clash in clashes if clash]
    if problems:
        raise Conflict(*problems, hint="omit --subnet to choose a free one")
    return asked


def addresses(network: Network, ip: Address | None) -> tuple[Address, ...]:
    """Return the addresses of a new endpoint: `ip`, or the next free one. Raises Invalid, Conflict."""
    used = {address: endpoint.name for endpoint in network.endpoints for address in endpoint.addresses}
    if ip is not None:
        subnet = next((s for s in network.subnets if ip in s.network), None)
        if subnet is None:
            raise Invalid(f"--ip: {ip} is not in {' or '.join(str(s.network) for s in network.subnets)}")
        if ip in used:
            raise Conflict(f"--ip: {ip} is already in use by container {quoted(used[ip])}")
        if reason := addressing.unusable(subnet, ip):
            raise Conflict(f"--ip: {ip} is {reason}")
        return (ip,)
    for subnet in network.subnets:
        address = addressing.free_address(subnet, used)
        if address is not None:
            return (address,)
    room = sum(addressing.capacity(subnet) for subnet in network.subnets)
    where = " or ".join(str(span) for s in network.subnets for span in s.ranges or (s.network,))
    raise Conflict(f"network {quoted(network.name)} is full: all {room} addresses of {where} are in use")


def port_mappings(
    network: Network, wishes: tuple[PortWish, ...], intent: Intent, seen: Observed
) -> tuple[PortMapping, ...]:
    """Return the published ports that are asked for, with a free host port where none is. Raises Invalid, Conflict."""
    if wishes and network.internal:
        raise Invalid(f"{wishes[0].word}: network {quoted(network.name)} is internal: it cannot publish ports")
    taken = [
        *(
            ports.held(mapping, f"container {quoted(endpoint.name)} on network {quoted(net.name)}")
            for net, endpoint in endpoints(intent.values())
            for mapping in endpoint.ports
        ),
        *map(ports.listened, seen.sockets),
    ]
    return ports.choose(wishes, taken, seen.addresses)


def endpoint_mac(address: Address) -> str:
    """Return a locally administered MAC address derived from an IPv4 address as docker does: 02:42 and its bytes."""
    return ":".join(f"{byte:02x}" for byte in (0x02, 0x42, *address.packed[-4:]))


def bridge_mac(owner: str) -> str:
    """Return a locally administered MAC address derived from the name of a network; no container gets one like it."""
    return ":".join(("02", "6d", *re.findall("..", _digest(owner)[:8])))


def veth_name(network: str, endpoint: str, intent: Intent, seen: Observed) -> str:
    """Return a free name for the host's end of a veth pair: up to 8 letters of the container's name, and a hash."""
    slug = re.sub(r"[^a-zA-Z0-9]+", "", endpoint)[:8] or "veth"
    used = {*seen.links, *(other.veth for _, other in endpoints(intent.values()))}
    names = (f"{slug}-{_digest(f'{network}/{endpoint}/{attempt}')[:6]}" for attempt in itertools.count())
    return next(name for name in names if name not in used)


def _digest(text: str) -> str:
    import hashlib  # It takes 3 ms to load.

    return hashlib.sha256(text.encode()).hexdigest()


def interface_name(used: Collection[str]) -> str:
    """Return the first free name ethN for an interface of a container."""
    return next(name for name in map("eth{}".format, itertools.count()) if name not in used)
