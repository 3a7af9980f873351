"""Parse subnets, ranges and pools, and choose free ones. Pure, on top of ipaddress."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Sequence

from mydockernet.digests import sha256
from mydockernet.errors import Conflict, Invalid, quoted
from mydockernet.model import Address, AddressRange, IPNetwork, Reservation, Subnet
from mydockernet.static_routes import REFUSALS, StaticRoute
from mydockernet.value import Value, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")

# RFC 1122 3.2.1.3: "this network", loopback; RFC 5771: multicast; RFC 1112: class E. RFC 4291: ::, ::1, addresses that
# contain those of IPv4, link-local, site-local, multicast.
UNUSABLE = tuple(
    ipaddress.ip_network(block)
    for block in (
        *("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/96", "::ffff:0:0/96", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
)
NO_HOSTS = "includes loopback, link-local, multicast or reserved addresses"
# The prefix length of a subnet that a pool does not set.
PREFIX_LENGTHS = {4: 24, 6: 64}


class Pool(Value):
    """A block that subnets are chosen from, and the prefix length of each."""

    block: IPNetwork
    prefixlen: int


DEFAULT_POOLS: tuple[Pool, ...] = (Pool(ipaddress.ip_network("10.208.0.0/12"), 24),)


def local_pool(host: str) -> Pool:
    """Return the pool of unique local IPv6 addresses of a host: fd00::/8 and 40 bits derived from what identifies it.

    RFC 4193, 3.2: two hosts have different ones, almost certainly. A dry run and a real one choose the same.
    """
    block = b"\xfd" + sha256(f"mydockernet {host}".encode()).digest()[:5] + bytes(10)
    return Pool(ipaddress.IPv6Network((block, 48)), PREFIX_LENGTHS[6])


class Size(Value):
    """A subnet to choose from the pools: its family, and its prefix length; None leaves it to the pool."""

    family: int
    prefixlen: int | None = None


class Taken(Value):
    """A block that a new subnet must not overlap, and its owner for messages, as in `network "web"`."""

    block: IPNetwork
    owner: str


def read_subnets(
    subnets: Sequence[str], gateways: Sequence[str], ranges: Sequence[str], reserved: Sequence[str]
) -> tuple[Subnet, ...]:
    """Parse the values of --subnet, --gateway, --ip-range and --reserve.

    The host bits of a subnet, if set, give its gateway (192.168.10.7/24); otherwise it is the first address. Raises
    Invalid with every problem, each with its option.
    """
    problems: list[str] = []
    found: list[Subnet] = []
    named_gateways: set[IPNetwork] = set()
    for word in subnets:
        subnet = _try(_subnet, "--subnet", word, problems)
        if subnet is None:
            continue
        clash = next((s for s in found if s.network.overlaps(subnet.network)), None)
        if clash:
            problems.append(f"--subnet: {word} overlaps {clash.network}, which is given as well")
            continue
        if names_gateway(word):
            named_gateways.add(subnet.network)
        found.append(subnet)
    complete = len(found) == len(subnets)

    def place(option: str, address: Address, word: str) -> int | None:
        """Return the index of the subnet of an address. Adds no problem if an invalid subnet may be it."""
        for index, subnet in enumerate(found):
            if address in subnet.network:
                return index
        if not subnets:
            problems.append(f"{option}: {word} needs a --subnet that contains it")
        elif complete:
            problems.append(f"{option}: {word} is not in {' or '.join(str(s.network) for s in found)}")
        return None

    for word in gateways:
        gateway = _try(read_address, "--gateway", word, problems)
        index = None if gateway is None else place("--gateway", gateway, word)
        if gateway is None or index is None:
            continue
        subnet = found[index]
        if subnet.network in named_gateways and subnet.gateway != gateway:
            problems.append(f"--gateway: {word}: {subnet.network} already has the gateway {subnet.gateway}")
        elif gateway in _edges(subnet.network):
            problems.append(f"--gateway: {word} is {_edge(subnet.network)}")
        else:
            named_gateways.add(subnet.network)
            found[index] = replace(subnet, gateway=gateway)
    for word in ranges:
        span = _try(read_range, "--ip-range", word, problems)
        index = None if span is None else place("--ip-range", span.first, word)
        if span is None or index is None:
            continue
        subnet = found[index]
        if span.last not in subnet.network:
            problems.append(f"--ip-range: {word} is not within {subnet.network}")
        else:
            found[index] = replace(subnet, ranges=(*subnet.ranges, span))
    for word in reserved:
        reservation = _try(read_reservation, "--reserve", word, problems)
        index = None if reservation is None else place("--reserve", reservation.address, word)
        if reservation is not None and index is not None:
            found[index] = replace(found[index], reserved=(*found[index].reserved, reservation))
    if problems:
        raise Invalid(*problems)
    return tuple(found)


def read_size(word: str) -> Size | None:
    """Parse a subnet without an address, as docker's 0.0.0.0/24 and ::/64, which only has a size. None for others."""
    try:
        network = ipaddress.ip_network(word)
    except ValueError:
        return None
    return Size(network.version, network.prefixlen) if network.network_address.is_unspecified and "/" in word else None


def size_problems(size: Size, word: str, pools: Collection[Pool]) -> list[str]:
    """Return the problems of the size of a subnet: it must fit into a pool, and have room for two addresses."""
    blocks = [pool.block for pool in pools if pool.block.version == size.family]
    widest = min((block.prefixlen for block in blocks), default=0)
    longest = 30 if size.family == 4 else 126
    if not blocks or size.prefixlen is None or widest <= size.prefixlen <= longest:
        return []
    return [f"--subnet: {word}: choose a size from /{widest} to /{longest}, which the pools have"]


def names_gateway(word: str) -> bool:
    """Whether the host bits of a subnet name its gateway."""
    try:
        interface = ipaddress.ip_interface(word)
    except ValueError:
        return False
    return interface.ip != interface.network.network_address


def read_route(word: str) -> StaticRoute:
    """Parse the value of --route: DST,GW[,METRIC] or DST,KIND[,METRIC], with KIND one of REFUSALS.

    Raises ValueError.
    """
    to, *rest = word.split(",")
    if len(rest) not in (1, 2):
        raise ValueError(f"{quoted(word)} is not DST,GW[,METRIC], as in 10.9.0.0/16,10.1.0.5")
    try:
        if "/" not in to:
            raise ValueError("no prefix length")
        destination = ipaddress.ip_network(to)
    except ValueError as error:
        known = "has host bits set" in str(error)
        why = "has host bits set" if known else "is not a destination, as in 10.9.0.0/16"
        raise ValueError(f"{word}: {quoted(to)} {why}") from None
    if rest[1:] and not re.fullmatch("[0-9]{1,12}", rest[1], re.ASCII):
        raise ValueError(f"{word}: the metric {quoted(rest[1])} is not a number")
    metric = int(rest[1]) if rest[1:] else None
    if rest[0] in REFUSALS:
        return StaticRoute(destination, None, rest[0], metric)
    try:
        return StaticRoute(destination, read_address(rest[0]), metric=metric)
    except ValueError:
        ways = f"an address nor one of {', '.join(REFUSALS)}"
        raise ValueError(f"{word}: the gateway {quoted(rest[0])} is neither {ways}") from None


def read_pools(text: str) -> tuple[Pool, ...]:
    """Parse MYDOCKERNET_POOLS: CIDR[/PREFIXLEN],… as in 10.208.0.0/12/24. The default prefix length is 24, for IPv6 64.

    Raises Invalid.
    """
    pools = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        block_text, prefix_text = word, None
        if word.count("/") == 2:
            block_text, _, prefix_text = word.rpartition("/")
        try:
            block = ipaddress.ip_network(block_text)
            prefixlen = int(prefix_text) if prefix_text else max(PREFIX_LENGTHS[block.version], block.prefixlen)
        except ValueError as error:
            raise Invalid(f"MYDOCKERNET_POOLS: {word}: {error}") from None
        longest = block.max_prefixlen - 2
        if not block.prefixlen <= prefixlen <= longest:
            raise Invalid(f"MYDOCKERNET_POOLS: {word}: the prefix length must be from {block.prefixlen} to {longest}")
        if any(block.overlaps(unusable) for unusable in UNUSABLE):
            raise Invalid(f"MYDOCKERNET_POOLS: {word} {NO_HOSTS}")
        pools.append(Pool(block, prefixlen))
    if not pools:
        raise Invalid("MYDOCKERNET_POOLS: no pool given")
    return tuple(pools)


def free_subnet(pools: Iterable[Pool], taken: Iterable[Taken], size: Size = Size(4)) -> Subnet:  # noqa: B008 (a value)
    """Return the first subnet of a size in the pools that overlaps no taken block; its gateway is its first address.

    The cost is that of sorting `taken`, whatever the size of the pools. Raises Conflict if none is free.
    """
    spans = sorted(
        (int(t.block.network_address), int(t.block.broadcast_address)) for t in taken if t.block.version == size.family
    )
    pools = tuple(pool for pool in pools if pool.block.version == size.family)
    for pool in pools:
        prefixlen = size.prefixlen or pool.prefixlen
        if prefixlen < pool.block.prefixlen:
            continue
        count = 1 << (pool.block.max_prefixlen - prefixlen)
        start = int(pool.block.network_address)
        end = int(pool.block.broadcast_address)
        for first, last in spans:
            if last < start:
                continue
            if first >= start + count:
                break
            start = (last // count + 1) * count
        if start + count - 1 <= end:
            lowest = type(pool.block.network_address)(start)
            return Subnet(ipaddress.ip_network(f"{lowest}/{prefixlen}"), lowest + 1)
    blocks = ", ".join(str(pool.block) for pool in pools) or f"the pools: they have none of IPv{size.family}"
    raise Conflict(f"no free subnet is left in {blocks}", hint="choose one with --subnet, or set MYDOCKERNET_POOLS")


def free_address(subnet: Subnet, used: Collection[Address], leased: Collection[AddressRange] = ()) -> Address | None:
    """Return the next free address after the last one assigned, wrapping around at the end; None if all are in use.

    Those that are `leased` are in use, too. The cost depends on the number of addresses in use, not on the size of the
    subnet.
    """
    kept = {int(a) for a in (*_kept(subnet), *used)}
    whole = AddressRange(subnet.network.network_address, subnet.network.broadcast_address)
    spans = [(int(span.first), int(span.last)) for span in subnet.ranges or (whole,)]
    last = int(subnet.last) if subnet.last else -1
    later = [(max(first, last + 1), end) for first, end in spans if end > last]
    for first, end in (*sorted(later), *sorted(spans)):
        for number in range(first, end + 1):
            address = type(subnet.network.network_address)(number)
            if number not in kept and not any(address in span for span in leased):
                return address
    return None


def capacity(subnet: Subnet) -> int:
    """Return how many addresses of a subnet containers can have, in use or not."""
    spans = subnet.ranges or (AddressRange(subnet.network.network_address, subnet.network.broadcast_address),)
    kept = {*_kept(subnet)}
    total, end = 0, -1
    for span in sorted(spans, key=lambda span: int(span.first)):
        total += max(0, int(span.last) - max(int(span.first), end + 1) + 1)
        end = max(end, int(span.last))
    return total - sum(any(address in span for span in spans) for address in kept)


def unusable(subnet: Subnet, address: Address) -> str:
    """Return why no container can have an address, as in `the gateway of 10.1.0.0/24`; empty if one can."""
    if address in _edges(subnet.network):
        return _edge(subnet.network)
    if address == subnet.gateway:
        return f"the gateway of {subnet.network}"
    kept = next((r for r in subnet.reserved if r.address == address), None)
    return f"reserved{f' for {kept.name}' if kept.name else ''}" if kept else ""


def overlap(network: IPNetwork, taken: Iterable[Taken]) -> Taken | None:
    """Return the first taken block that a subnet overlaps, or None."""
    return next((t for t in taken if t.block.version == network.version and t.block.overlaps(network)), None)


def _try(read: Callable[[str], T], option: str, word: str, problems: list[str]) -> T | None:
    try:
        return read(word)
    except ValueError as error:
        problems.append(f"{option}: {error}")
        return None


def _subnet(word: str) -> Subnet:
    if "/" not in word:
        raise ValueError(f"{quoted(word)} has no prefix length: write it as in 192.168.10.0/24")
    try:
        interface = ipaddress.ip_interface(word)
    except ValueError:  # Its own message speaks of an interface.
        raise ValueError(f"{quoted(word)} is not a subnet, as in 192.168.10.0/24") from None
    network = interface.network
    if network.prefixlen == network.max_prefixlen:
        raise ValueError(f"{word} has no room for a gateway and a container: use /{network.prefixlen - 1} or larger")
    if any(network.overlaps(block) for block in UNUSABLE):
        raise ValueError(f"{word} {NO_HOSTS}")
    if interface.ip != network.network_address and interface.ip in _edges(network):
        raise ValueError(f"{word}: the gateway is the broadcast address")
    named = interface.ip != network.network_address
    first = network.network_address + bool(_edges(network))
    return Subnet(network, interface.ip if named else first)


def read_address(word: str) -> Address:
    """Parse an address. Raises ValueError, also for one with a zone, as in fe80::1%eth0."""
    if "%" in word:
        raise ValueError(f"{quoted(word)}: an address with an interface is valid on one link only")
    return ipaddress.ip_address(word)


def read_range(word: str) -> AddressRange:
    """Parse CIDR or FIRST-LAST. Raises ValueError."""
    if "/" in word:
        block = ipaddress.ip_network(word, strict=False)
        return AddressRange(read_address(str(block.network_address)), read_address(str(block.broadcast_address)))
    first, dash, last = word.partition("-")
    if not dash:
        raise ValueError(f"{quoted(word)} is neither CIDR nor FIRST-LAST")
    span = AddressRange(read_address(first), read_address(last))
    if span.first.version != span.last.version:
        raise ValueError(f"{word}: the addresses are of different families")
    if int(span.first) > int(span.last):
        raise ValueError(f"{word}: the first address is higher than the last")
    return span


def read_reservation(word: str) -> Reservation:
    """Parse [NAME=]IP. Raises ValueError."""
    name, _, address = word.rpartition("=")
    if name and not re.fullmatch(r"[\w.-]{1,64}", name, re.ASCII):
        raise ValueError(f"{quoted(word)}: a name may contain only letters, digits, _ . -")
    return Reservation(read_address(address), name)


def _kept(subnet: Subnet) -> tuple[Address, ...]:
    """Return the addresses of a subnet that no container can have."""
    gateway = (subnet.gateway,) if subnet.gateway else ()
    return (*_edges(subnet.network), *gateway, *(r.address for r in subnet.reserved))


def _edges(network: IPNetwork) -> tuple[Address, ...]:
    """Return the network and broadcast addresses; a /31 or /127 has neither (RFC 3021, RFC 6164).

    The first address of an IPv6 subnet belongs to all its routers (RFC 4291, 2.6.1); there is no broadcast address.
    """
    if network.prefixlen >= network.max_prefixlen - 1:
        return ()
    if network.version == 6:
        return (network.network_address,)
    return (network.network_address, network.broadcast_address)


def _edge(network: IPNetwork) -> str:
    """Say what the addresses of `_edges` are."""
    kind = "network or broadcast address" if network.version == 4 else "address of all routers"
    return f"the {kind} of {network}"
