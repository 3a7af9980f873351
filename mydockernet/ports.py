"""Parse published ports, choose free ones, and name the holder of one that is in use. Pure."""

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from mydockernet.dialects.fact import Socket
from mydockernet.errors import Conflict, Invalid, quoted
from mydockernet.model import (
    PROTOCOLS,
    Address,
    Endpoint,
    IPNetwork,
    Network,
    PortMapping,
    PortRange,
    bracketed,
    meet,
)
from mydockernet.value import Value, replace

# Where a host port is chosen from: Linux's own range for that (ip(7), ip_local_port_range).
CHOICE = PortRange(32768, 60999)

_SPEC = re.compile(r"(?:(?:(\[[^]]*\]|[^:\[\]]*):)?(\d+(?:-\d+)?)?:)?(\d+(?:-\d+)?)(?:/(\w+))?", re.ASCII)


class PortWish(Value):
    """A SPEC of --publish or publish. `word` is its text; fields that it leaves open are None."""

    word: str
    host_ip: Address | None
    host_ports: PortRange | None
    container_ports: PortRange
    protocol: str
    sources: tuple[IPNetwork, ...] = ()

    @property
    def chooses(self) -> bool:
        """Whether it leaves the port of the host open."""
        return self.host_ports is None or len(self.host_ports) != len(self.container_ports)

    def concerns(self, mapping: PortMapping) -> bool:
        """Whether the choice of its host port may depend on a mapping."""
        return self.chooses or self.host_ports is None or self.host_ports.overlaps(mapping.host_ports)

    def means(self, mapping: PortMapping, families: Collection[int]) -> bool:
        """Whether a mapping matches this SPEC; fields that it leaves open match any value.

        If the container has addresses of one family only, all addresses of that family are all addresses.
        """
        host = self.host_ip
        if mapping.host_ip is None and host and host.is_unspecified and set(families) == {host.version}:
            host = None
        return (
            (self.protocol, self.container_ports) == (mapping.protocol, mapping.container_ports)
            and host in (None, mapping.host_ip)
            and self.host_ports in (None, mapping.host_ports)
        )


class Taken(Value):
    """Ports of the host that are in use, and their holder for messages. `host_ip` None means all addresses."""

    protocol: str
    host_ip: Address | None
    ports: PortRange
    holder: str


def read_specs(words: Sequence[str], option: str, sources: Iterable[str] = ()) -> tuple[PortWish, ...]:
    """Parse `[HOSTIP:]HOSTPORT[-HOSTPORT]:PORT[-PORT][/tcp|udp|sctp]`, `HOSTIP::PORT` or `PORT`, as docker takes them.

    `sources` are the values of --from, for all of them. Raises Invalid, with every problem, each with its option.
    """
    problems: list[str] = []
    wishes: list[PortWish] = []
    blocks: list[IPNetwork] = []
    for word in sources:
        try:
            blocks.append(ipaddress.ip_network(word))
        except ValueError as error:
            problems.append(f"--from: {error}")
    if blocks and not words:
        problems.append("--from: there is no port to publish")
    for word in words:
        try:
            wishes.append(replace(_read(word), sources=tuple(dict.fromkeys(blocks))))
        except Invalid as error:
            problems += [f"{option}: {quoted(word)}: {message}" for message in error.messages]
    if problems:
        raise Invalid(*problems)
    return tuple(wishes)


def choose(
    wishes: Sequence[PortWish], taken: Iterable[Taken], addresses: Iterable[Address], families: Collection[int] = (4,)
) -> tuple[PortMapping, ...]:
    """Return the mappings for some wishes, with a free host port where one is open.

    `addresses` are those of the host, `families` those of the container's addresses. Raises Conflict for a port that is
    taken, with its holder; Invalid for an address that the host does not have, or of a family that the container lacks.
    """
    taken, addresses = list(taken), frozenset(addresses)
    mappings = []
    for wish in wishes:
        host = wish.host_ip
        if host and host.version not in families:
            raise Invalid(f"{wish.word}: the container has no IPv{host.version} address on this network")
        if host and not (host.is_loopback or host.is_unspecified or host in addresses):
            raise Invalid(f"{wish.word}: {host} is not an address of this host")
        host_ports = _host_ports(wish, taken)
        mapping = PortMapping(wish.host_ip, host_ports, wish.container_ports, wish.protocol, wish.sources)
        mappings.append(mapping)
        taken.append(held(mapping, "this same command"))
    return tuple(mappings)


def asked_for(wishes: Iterable[PortWish]) -> frozenset[int] | None:
    """Return the host ports that wishes name; None if a port has to be chosen among the free ones."""
    named: list[int] = []
    for wish in wishes:
        if wish.host_ports is None or len(wish.host_ports) != len(wish.container_ports):
            return None
        named += range(wish.host_ports.first, wish.host_ports.last + 1)
    return frozenset(named)


def read_inner(word: str) -> tuple[int, str]:
    """Parse `PORT[/PROTOCOL]` of a container: the port and the protocol. Raises Invalid."""
    port, _, protocol = word.partition("/")
    if not port.isdecimal() or (protocol or "tcp") not in PROTOCOLS:
        raise Invalid(f"PORT: {quoted(word)} is not PORT[/{'|'.join(PROTOCOLS)}]")
    return PortRange(int(port), int(port)).first, protocol or "tcp"


def reached_at(network: Network, endpoint: Endpoint, mapping: PortMapping) -> Iterator[tuple[str, PortRange]]:
    """Yield where others reach published ports: `0.0.0.0` or `[::]` for all addresses of the host, and the ports.

    On a routed network that is the container's own address.
    """
    for address in endpoint.addresses:
        if not mapping.serves(address.version):
            continue
        if network.routed(address.version):
            yield bracketed(address), mapping.container_ports
        elif mapping.host_ip is not None:
            yield bracketed(mapping.host_ip), mapping.host_ports
        else:
            yield {4: "0.0.0.0", 6: "[::]"}[address.version], mapping.host_ports


def shown(
    network: Network, endpoint: Endpoint, mappings: Iterable[PortMapping], inner: tuple[int, str] | None = None
) -> Iterator[str]:
    """Yield mappings as docker port prints them, `80/tcp -> 0.0.0.0:8080`; for an `inner` port only the host's side."""
    for mapping in mappings:
        first = mapping.container_ports.first
        for host, span in reached_at(network, endpoint, mapping):
            if inner is None:
                sources = f" from {', '.join(map(str, mapping.sources))}" if mapping.sources else ""
                yield f"{mapping.container_ports}/{mapping.protocol} -> {host}:{span}{sources}"
            elif inner[1] == mapping.protocol and first <= inner[0] <= mapping.container_ports.last:
                yield f"{host}:{span.first + inner[0] - first}"


def held(mapping: PortMapping, holder: str) -> Taken:
    """Return the host ports of a mapping as in use by its holder."""
    return Taken(mapping.protocol, mapping.host_ip, mapping.host_ports, holder)


def listened(socket: Socket) -> Taken:
    """Return the port of a listening socket as in use by its program."""
    where = f"{socket.address or '*'}:{socket.port}"
    return Taken(
        socket.protocol, socket.address, PortRange(socket.port, socket.port), f"{socket.program}, listening on {where}"
    )


def _read(word: str) -> PortWish:
    found = _SPEC.fullmatch(word)
    if found is None:
        raise Invalid("expected [HOSTIP:]HOSTPORT[-HOSTPORT]:PORT[-PORT][/tcp|udp|sctp], HOSTIP::PORT or PORT")
    host, host_ports, container_ports, protocol = found.groups()
    wish = PortWish(
        word,
        None if host is None else _host_ip(host),
        _range(host_ports) if host_ports else None,
        _range(container_ports),
        (protocol or "tcp").lower(),
    )
    # PortMapping validates the rest. If a range of host ports is given for a single container port, one is chosen.
    host_range = wish.host_ports if wish.host_ports and len(wish.container_ports) > 1 else wish.container_ports
    PortMapping(wish.host_ip, host_range, wish.container_ports, wish.protocol)
    return wish


def _host_ip(word: str) -> Address | None:
    try:
        address = ipaddress.ip_address(word.strip("[]"))
    except ValueError:
        raise Invalid(f"{quoted(word)} is not an IP address") from None
    if address.version == 6 and address.is_loopback:
        raise Invalid("the kernel cannot translate ::1: publish on 127.0.0.1, or on another address of the host")
    if address.version == 6 and address.is_link_local:
        raise Invalid(f"{address} is valid on one link only: publish on another address of the host")
    return address


def _range(word: str) -> PortRange:
    first, _, last = word.partition("-")
    return PortRange(int(first), int(last or first))


def _host_ports(wish: PortWish, taken: Iterable[Taken]) -> PortRange:
    """Return the host ports of a wish, or free ones from the range that it allows. Raises Conflict."""
    concern = [t for t in taken if t.protocol == wish.protocol and meet(t.host_ip, wish.host_ip)]
    size = len(wish.container_ports)
    if wish.host_ports and len(wish.host_ports) == size:
        holder = next((t for t in concern if t.ports.overlaps(wish.host_ports)), None)
        if holder:
            raise Conflict(f"{wish.word}: port {holder.ports}/{wish.protocol} is already in use by {holder.holder}")
        return wish.host_ports
    room = wish.host_ports or CHOICE
    start = room.first
    for span in sorted((t.ports for t in concern), key=lambda span: span.first):
        if span.first >= start + size:
            break
        start = max(start, span.last + 1)
    if start + size - 1 > room.last:
        needed = f"{size} free {wish.protocol} ports in a row" if size > 1 else f"free {wish.protocol} port"
        raise Conflict(f"{wish.word}: no {needed} left in {room}")
    return PortRange(start, start + size - 1)
