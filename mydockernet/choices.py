"""Choose what the arguments of a verb leave open: subnets, addresses, ports, MAC addresses, names. Pure.

Nothing is chosen that something else has already; what was asked for is refused then, and the message names the holder.
"""

import itertools
import re
from collections.abc import Collection, Mapping

from mydockernet import addressing, ports
from mydockernet.addressing import Pool
from mydockernet.dialects.fact import Observed
from mydockernet.errors import Conflict, Invalid, quoted
from mydockernet.model import (
    INTERFACE,
    SYSCTL_NAMES,
    Address,
    Endpoint,
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


def subnets(
    asked: tuple[Subnet, ...], families: Collection[int], pools: tuple[Pool, ...], intent: Intent, seen: Observed
) -> tuple[Subnet, ...]:
    """Return the subnets of a new network: those `asked` for, and a free one of the pools for each of `families`.

    Raises Conflict.
    """
    if not seen.ipv6 and (6 in families or any(subnet.family == 6 for subnet in asked)):
        raise Conflict("IPv6 is disabled in the kernel of this host: there is no /proc/sys/net/ipv6")
    taken = [
        *(addressing.Taken(s.network, f"network {quoted(n.name)}") for n in intent.values() for s in n.subnets),
        *(
            addressing.Taken(route.destination, f"the host's route `{route.line}`")
            for route in seen.routes
            if not route.default
        ),
    ]
    clashes = [(s.network, addressing.overlap(s.network, taken)) for s in asked]
    problems = [f"--subnet: {network} overlaps {clash.block} of {clash.owner}" for network, clash in clashes if clash]
    if problems:
        raise Conflict(*problems, hint="omit --subnet to choose a free one")
    chosen = [addressing.free_subnet(pools, taken, family) for family in families]
    return tuple(sorted((*asked, *chosen), key=lambda subnet: subnet.family))


def addresses(
    network: Network, asked: Mapping[int, Address | None], families: Collection[int] | None = None
) -> tuple[Address, ...]:
    """Return the addresses of a new endpoint, one per family: that which is `asked` for, or the next free one.

    `families` are those of the network, unless others are given. Raises Invalid, Conflict.
    """
    for family, address in asked.items():
        if address is not None and family not in network.families:
            raise Invalid(f"{_OPTIONS[family]}: network {quoted(network.name)} has no IPv{family} subnet")
    wanted = network.families if families is None else families
    return tuple(_address(network, family, asked[family]) for family in wanted)


_OPTIONS = {4: "--ip", 6: "--ip6"}


def _address(network: Network, family: int, asked: Address | None) -> Address:
    option = _OPTIONS[family]
    used = {address: endpoint.name for endpoint in network.endpoints for address in endpoint.addresses}
    candidates = [subnet for subnet in network.subnets if subnet.family == family]
    if asked is not None:
        subnet = next((s for s in candidates if asked in s.network), None)
        if subnet is None:
            raise Invalid(f"{option}: {asked} is not in {' or '.join(str(s.network) for s in candidates)}")
        if asked in used:
            raise Conflict(f"{option}: {asked} is already in use by container {quoted(used[asked])}")
        if reason := addressing.unusable(subnet, asked):
            raise Conflict(f"{option}: {asked} is {reason}")
        return asked
    for subnet in candidates:
        address = addressing.free_address(subnet, used)
        if address is not None:
            return address
    room = sum(addressing.capacity(subnet) for subnet in candidates)
    where = " or ".join(str(span) for s in candidates for span in s.ranges or (s.network,))
    raise Conflict(f"network {quoted(network.name)} is full: all {room} addresses of {where} are in use")


def port_mappings(
    network: Network, endpoint: Endpoint, wishes: tuple[PortWish, ...], intent: Intent, seen: Observed
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
    return ports.choose(wishes, taken, seen.addresses, endpoint.families)


def endpoint_mac(address: Address) -> str:
    """Return a locally administered MAC address derived from an address as docker does: 02:42 and its last 4 bytes."""
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
