"""A packet at one point of its path, and the conditions that rules can test. Pure.

A test returns True, False, or None if it cannot be determined. A packet may be `vague` in fields that stand for many
values.
"""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from mydockernet.dialects.fact import Observed
from mydockernet.model import PORT_MAX, Address
from mydockernet.value import Value

# The ports that clients use by default: net.ipv4.ip_local_port_range.
EPHEMERAL = (32768, 60999)
WITH_PORTS = ("tcp", "udp", "sctp", "dccp", "udplite")
PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "ipv6-icmp", "icmpv6": "ipv6-icmp", "132": "sctp"}
# What ping sends, by family.
PING = {4: "icmp", 6: "ipv6-icmp"}
_PING_TYPES = {"icmp": ("8", "0"), "ipv6-icmp": ("128", "129")}


class Flow(Value):
    """A flow as its first packet was sent: source, destination, destination port."""

    source: Address
    destination: Address
    port: int | None


class Packet(Value):
    """A packet at one point of its path: its addresses and ports, its interfaces, and its flow.

    `port` None means the port of a client, which may be any, or ping, which has none. `answer`: it is a reply. `first`
    is the flow before any translation. `vague` names the fields that stand for many values: source, destination,
    protocol, port, inward, outward, states. `mac` and `to_mac` are those of a frame.
    """

    source: Address
    destination: Address
    protocol: str
    port: int | None = None
    inward: str = ""
    outward: str = ""
    states: frozenset[str] = frozenset({"NEW"})
    bridged: bool = False
    local: bool = False
    from_port: int | None = None
    answer: bool = False
    first: Flow | None = None
    mac: str = ""
    to_mac: str = ""
    vague: frozenset[str] = frozenset()

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"{self.source} → {self.destination}{port}"

    @property
    def family(self) -> int:
        """The address family: 4 or 6."""
        return self.source.version

    @property
    def flow(self) -> Flow:
        """The flow that it belongs to."""
        return self.first or Flow(self.source, self.destination, self.port)

    @property
    def replier(self) -> Address:
        """The address that the replies of its flow come from."""
        return self.source if self.answer else self.destination


def any_of(answers: Iterable[bool | None]) -> bool | None:
    """Return True if any answer is True; otherwise None if any is None; otherwise False."""
    answers = tuple(answers)
    return True if True in answers else None if None in answers else False


def all_of(answers: Iterable[bool | None]) -> bool | None:
    """Return False if any answer is False; otherwise None if any is None; otherwise True."""
    answers = tuple(answers)
    return False if False in answers else None if None in answers else True


def in_network(address: Address, value: str) -> bool | None:
    """Whether an address is in `10.0.0.0/8`, or `10.0.0.1-10.0.0.9`."""
    first, dash, last = value.partition("-")
    try:
        if dash:
            low, high = ip_address(first), ip_address(last)
            return low.version == high.version == address.version and int(low) <= int(address) <= int(high)
        network = ip_network(value, strict=False)
    except ValueError:
        return None  # A mask that is not a prefix, or a name.
    return address.version == network.version and address in network


def named(name: str, value: str) -> bool:
    """Whether the name of an interface matches; `eth+` and `eth*` match all names that start with eth."""
    return name.startswith(value[:-1]) if value.endswith(("+", "*")) else name == value


def in_ports(port: int | None, protocol: str, value: str, dash: str = ":") -> bool | None:
    """Whether a port is in `80`, `22,80:90` or `:1023`; None if it depends on the port that a client chose."""
    if protocol not in WITH_PORTS:
        return False
    spans = (part.partition(dash) for part in value.split(","))
    try:
        bounds = [(int(low or 0), int(high or (PORT_MAX if colon else low))) for low, colon, high in spans]
    except ValueError:
        return None
    if port is not None:
        return any(first <= port <= last for first, last in bounds)
    low, high = EPHEMERAL
    return any_of(
        True if first <= low and high <= last else None if first <= high and low <= last else False
        for first, last in bounds
    )


def in_group(seen: Observed, name: str, value: str) -> bool | None:
    """Whether an interface is in the group `28004`, `0x6d64`, `28004-28005` or `0x6d64/0xfffffffe`."""
    link = seen.links.get(name)
    word = "0" if link is None or link.group == "default" else link.group
    number, _, mask = ("0" if value == "default" else value).partition("/")
    first, _, last = number.partition("-")
    try:
        group, low, high = int(word, 0), int(first, 0), int(last or first, 0)
        return group & int(mask, 0) == low & int(mask, 0) if mask else low <= group <= high
    except ValueError:
        return None


def by_its_route(seen: Observed, packet: Packet, loose: bool = False, accept_local: bool = False) -> bool:
    """Whether the route back to the source of a packet leaves by the interface that it arrived on.

    `loose`: any interface will do. `accept_local`: the source may be an address of this host.
    """
    if packet.inward in ("", "lo"):
        return True
    if packet.source in seen.addresses:
        return accept_local
    back = [route for route in seen.routes if route.table == "main" and packet.source in route.destination]
    best = max(back, key=lambda route: route.destination.prefixlen, default=None)
    return best is not None and (best.dev == packet.inward or loose)


def of_protocol(protocol: str, value: str) -> bool:
    """Whether a protocol matches a name or number."""
    return PROTOCOLS.get(value, value) in (protocol, "all", "0")


def of_type(local: bool, value: str) -> bool | None:
    """Whether an address has a routing type: LOCAL or UNICAST."""
    return {"LOCAL": local, "UNICAST": not local}.get(value.upper())


def of_icmp_type(packet: Packet, value: str) -> bool | None:
    """Whether a packet of ping, an echo request or reply, has an ICMP type."""
    if packet.protocol not in _PING_TYPES:
        return False
    number = _PING_TYPES[packet.protocol][packet.answer]
    return value in (number, "echo-reply" if packet.answer else "echo-request", "any")
