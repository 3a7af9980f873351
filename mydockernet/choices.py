"""Choose what the arguments of a verb leave open: subnets, addresses, ports, MAC addresses, names. Pure.

Nothing is chosen that something else has already; what was asked for is refused then, and the message names the holder.
"""

import itertools
import re
from collections.abc import Collection, Iterable, Mapping

from mydockernet import addressing, drivers, ports
from mydockernet.addressing import Pool, Size
from mydockernet.dialects import dnsmasq
from mydockernet.dialects.fact import Observed, Socket
from mydockernet.digests import sha256
from mydockernet.errors import Conflict, Invalid, quoted
from mydockernet.model import (
    MTU_IPV6,
    Address,
    Endpoint,
    Intent,
    Network,
    PortMapping,
    Subnet,
    endpoints,
)
from mydockernet.ports import PortWish
from mydockernet.validation import INTERFACE, MTU_MAX, MTU_MIN, SYSCTL_NAMES

# What the kernel gives a bridge and a veth pair.
USUAL_MTU = 1500


def bridge_name(name: str, intent: Intent, seen: Observed, prefix: str = "br-") -> str:
    """Return the name of the network if it is a valid and free interface name; otherwise a prefix and a hash."""
    used = {*seen.links, *(dev for network in intent.values() for dev in (network.bridge, network.host_interface))}
    if INTERFACE.fullmatch(name) and name not in {*SYSCTL_NAMES, *used}:
        return name
    return (prefix + _digest(name))[:15]


def firewall(asked: str | None, usual: str, intent: Intent, seen: Observed) -> str:
    """Return the firewall of a new network: that of the others, the usual one, or one that is installed."""
    others = [network.firewall for network in intent.values() if drivers.load(network.driver).FORWARDS]
    if asked or others:
        return asked or others[0]
    return next((name for name in (usual, *seen.firewalls) if name), "iptables")


def parent(asked: str | None, seen: Observed) -> str:
    """Return the parent interface of a new network: by default, that of the host's default route. Raises Invalid."""
    defaults = (route.dev for route in seen.routes if route.default and route.kind == "unicast" and route.dev)
    name = asked or next(defaults, "")
    if not name:
        raise Invalid("--parent: the host has no default route whose interface could be the parent")
    link = seen.links.get(name)
    if link is None:
        raise Invalid(f"--parent: there is no interface {quoted(name)}")
    if name == "lo":
        raise Invalid("--parent: lo leads to no LAN")
    if link.master:
        raise Invalid(f"--parent: {name} is a port of {link.master}", hint=f"--parent {link.master}")
    return name


def refused(driver: str, given: Mapping[str, bool]) -> list[str]:
    """Return a message for each option that is given and that a driver does not support."""
    reasons = drivers.load(driver).REFUSED
    return [
        f"{option}: the driver {driver} does not support it: {reasons[option]}"
        for option, asked in given.items()
        if asked and option in reasons
    ]


def fit(
    driver: str,
    parent: str,
    mode: str,
    subnets: tuple[Subnet, ...],
    families: tuple[int, ...],
    host_addresses: tuple[Address, ...],
    mtu: int | None,
    seen: Observed,
) -> None:
    """Raise Invalid with everything that does not fit the parent interface of a network.

    `families` are those that need a subnet, but for which none is given.
    """
    link, problems, hint = seen.links[parent], [], ""
    if mode in drivers.load(driver).LAN_MODES and families:
        problems.append(f"--subnet: the driver {driver} needs the subnet of the LAN that {parent} is on")
        there = (r for r in seen.routes if r.dev == parent and r.protocol == "kernel" and r.kind == "unicast")
        lan = next((r.destination for r in there if r.destination.version in families), None)
        hint = f"--subnet {lan}, and --ip-range for the addresses that nothing else there assigns" if lan else ""
    if mtu and mtu > link.mtu:
        problems.append(f"--mtu: {mtu} is more than the MTU of {parent}, {link.mtu}")
    for address in host_addresses:
        subnet = next((s for s in subnets if address in s.network), None)
        if subnet is None and subnets:
            problems.append(f"--host-ip: {address} is not in {' or '.join(str(s.network) for s in subnets)}")
        elif subnet and (reason := addressing.unusable(subnet, address)):
            problems.append(f"--host-ip: {address} is {reason}")
        elif address in seen.addresses:
            problems.append(f"--host-ip: {address} is already an address of the host")
    if problems:
        raise Invalid(*problems, hint=hint)


def subnets(
    asked: tuple[Subnet, ...],
    sizes: Iterable[Size],
    pools: tuple[Pool, ...],
    intent: Intent,
    seen: Observed,
    parent: str = "",
) -> tuple[Subnet, ...]:
    """Return the subnets of a new network: those `asked` for, and free ones of these sizes from the pools.

    The routes of a `parent` may overlap: the subnet is that of its LAN. Raises Conflict.
    """
    sizes = tuple(sizes)
    if not seen.ipv6 and (any(size.family == 6 for size in sizes) or any(subnet.family == 6 for subnet in asked)):
        raise Conflict("IPv6 is disabled in the kernel of this host: there is no /proc/sys/net/ipv6")
    taken = [
        *(addressing.Taken(s.network, f"network {quoted(n.name)}") for n in intent.values() for s in n.subnets),
        *(
            addressing.Taken(route.destination, f"the host's route `{route.line}`")
            for route in seen.routes
            if not route.default and not (parent and route.dev == parent)
        ),
    ]
    clashes = [(s.network, addressing.overlap(s.network, taken)) for s in asked]
    problems = [f"--subnet: {network} overlaps {clash.block} of {clash.owner}" for network, clash in clashes if clash]
    if problems:
        raise Conflict(*problems, hint="omit --subnet to choose a free one")
    chosen = list(asked)
    for size in sizes:
        own = [addressing.Taken(subnet.network, "this network") for subnet in chosen]
        chosen.append(addressing.free_subnet(pools, [*taken, *own], size))
    return tuple(sorted(chosen, key=lambda subnet: subnet.family))


def mtu(seen: Observed, parent: str = "", ipv6: bool = False, usual: int | None = None) -> int | None:
    """Return the `usual` MTU, or else that of the interface of the host's default route; None if that is 1500.

    Of several default routes, the one that the kernel prefers counts, IPv4 first. An interface on a parent has the MTU
    of the parent: it matters only if it is too small for IPv6. With `ipv6`, it is at least large enough for that.
    """
    if parent:
        found = seen.links[parent].mtu
        return found if found < MTU_IPV6 else None
    if usual is not None:
        return max(usual, MTU_IPV6) if ipv6 else usual
    defaults = (route for route in seen.routes if route.default and route.table == "main" and route.dev in seen.links)
    best = min(defaults, key=lambda route: (route.destination.version, route.metric), default=None)
    found = seen.links[best.dev].mtu if best else 0
    if ipv6 and found:
        found = max(found, MTU_IPV6)
    return found if found != USUAL_MTU and MTU_MIN <= found <= MTU_MAX else None


def addresses(
    network: Network,
    asked: Mapping[int, Address | None],
    seen: Observed,
    families: Collection[int] | None = None,
    avoid: Collection[Address] = (),
) -> tuple[Address, ...]:
    """Return the addresses of a new endpoint, one per family: that which is `asked` for, or the next free one.

    `families` are those of the network, unless others are given. None of those to `avoid` is chosen. Raises Invalid,
    Conflict.
    """
    for family, address in asked.items():
        if address is not None and not network.subnets:
            raise Invalid(f"{_OPTIONS[family]}: network {quoted(network.name)} has no subnet")
        if address is not None and family not in network.families:
            raise Invalid(f"{_OPTIONS[family]}: network {quoted(network.name)} has no IPv{family} subnet")
    wanted = network.families if families is None else families
    return tuple(_address(network, family, asked[family], seen, avoid) for family in wanted)


_OPTIONS = {4: "--ip", 6: "--ip6"}


def _address(
    network: Network, family: int, asked: Address | None, seen: Observed, avoid: Collection[Address]
) -> Address:
    option = _OPTIONS[family]
    used = dict.fromkeys((*seen.addresses, *network.host_addresses), "the host")
    for endpoint in network.endpoints:
        used |= dict.fromkeys(endpoint.addresses, f"container {quoted(endpoint.name)}")
    candidates = [subnet for subnet in network.subnets if subnet.family == family]
    if asked is not None:
        subnet = next((s for s in candidates if asked in s.network), None)
        if subnet is None:
            raise Invalid(f"{option}: {asked} is not in {' or '.join(str(s.network) for s in candidates)}")
        if reason := addressing.unusable(subnet, asked):
            raise Conflict(f"{option}: {asked} is {reason}")
        if any(asked in span for span in network.dhcp):
            raise Conflict(f"{option}: {asked} is among those that are given by DHCP")
        if asked in used:
            raise Conflict(f"{option}: {asked} is already in use by {used[asked]}")
        return asked
    for subnet in candidates:
        address = addressing.free_address(subnet, {*used, *avoid} if avoid else used, network.dhcp)
        if address is not None:
            return address
    room = sum(addressing.capacity(subnet) for subnet in candidates)
    room -= sum(int(span.last) - int(span.first) + 1 for span in network.dhcp if family == 4)
    where = " or ".join(str(span) for s in candidates for span in s.ranges or (s.network,))
    raise Conflict(f"network {quoted(network.name)} is full: all {room} addresses of {where} are in use")


def port_mappings(
    network: Network, endpoint: Endpoint, wishes: tuple[PortWish, ...], intent: Intent, seen: Observed
) -> tuple[PortMapping, ...]:
    """Return the published ports that are asked for, with a free host port where none is. Raises Invalid, Conflict."""
    if wishes and not network.leads_out:
        why = "is internal" if network.internal else "has no gateway" if network.subnets else "has no subnet"
        raise Invalid(f"{wishes[0].word}: network {quoted(network.name)} {why}: it cannot publish ports")
    translated = [family for family in endpoint.families if not network.routed(family)]
    for wish in wishes:
        at_host = wish.host_ip and network.routed(wish.host_ip.version)
        if at_host or (not translated and wish.host_ports not in (None, wish.container_ports)):
            raise Invalid(
                f"{wish.word}: network {quoted(network.name)} is routed: a port is reached at the container's address",
                hint=f"write {wish.container_ports}/{wish.protocol}",
            )
    if not translated:
        return tuple(PortMapping(None, w.container_ports, w.container_ports, w.protocol, w.sources) for w in wishes)
    taken = [
        *(
            ports.held(mapping, f"container {quoted(other.name)} on network {quoted(net.name)}")
            for net, other in endpoints(intent.values())
            for mapping in other.ports
            if any(wish.concerns(mapping) for wish in wishes)
            and any(net.translates(other, mapping, family) for family in other.families)
        ),
        *(ports.listened(socket) for socket in seen.sockets if not _gives_way(socket, intent, wishes)),
    ]
    return ports.choose(wishes, taken, seen.addresses, endpoint.families)


def _gives_way(socket: Socket, intent: Intent, wishes: Iterable[ports.PortWish]) -> bool:
    """Whether a socket is that of a name server of ours, which keeps its port if all other addresses publish it."""
    own = {subnet.gateway for network in intent.values() if network.resolver for subnet in network.subnets}
    asked = {wish.host_ip for wish in wishes}
    return socket.port == dnsmasq.PORT and socket.address in own and socket.address not in asked


def endpoint_mac(network: Network, endpoint: str, own: tuple[Address, ...]) -> str:
    """Return a locally administered MAC address for an endpoint with these addresses.

    It is derived from the first one as docker does, 02:42 and its last 4 bytes; without one, or if another endpoint has
    that, from the names.
    """
    derived = ":".join(f"{byte:02x}" for byte in (0x02, 0x42, *own[0].packed[-4:])) if own else ""
    if derived and all(other.mac != derived for other in network.endpoints):
        return derived
    return _hashed_mac("6e", f"{network.owner}/{endpoint}")


def bridge_mac(owner: str) -> str:
    """Return a locally administered MAC address derived from the name of a network; no container gets one like it."""
    return _hashed_mac("6d", owner)


def _hashed_mac(second: str, text: str) -> str:
    return ":".join(("02", second, *re.findall("..", _digest(text)[:8])))


def veth_name(network: str, endpoint: str, intent: Intent, seen: Observed) -> str:
    """Return a free name for the host's end of a veth pair: up to 8 letters of the container's name, and a hash."""
    slug = re.sub(r"[^a-zA-Z0-9]+", "", endpoint)[:8] or "veth"
    names = (f"{slug}-{_digest(f'{network}/{endpoint}/{attempt}')[:6]}" for attempt in itertools.count())
    others = [other.veth for _, other in endpoints(intent.values())]
    return next(name for name in names if name not in seen.links and name not in others)


def link_index(network: str, endpoint: str) -> int:
    """Return an index for an interface in a container, larger than those that the kernel gives."""
    return int(_digest(f"{network}/{endpoint}")[:7], 16) + 0x10000000


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def interface_name(used: Collection[str]) -> str:
    """Return the first free name ethN for an interface of a container."""
    return next(name for name in map("eth{}".format, itertools.count()) if name not in used)
