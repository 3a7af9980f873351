"""A packet at a place of its way, and what can be asked about it. Pure.

An answer is True, False, or None: that can't be told from here. A packet may be `vague` about what stands for many.
"""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from mydockernet.dialects.fact import Observed
from mydockernet.model import PORT_MAX, Address
from mydockernet.value import Value

# What a client's own port is chosen from: net.ipv4.ip_local_port_range.
EPHEMERAL = (32768, 60999)
WITH_PORTS = ("tcp", "udp", "sctp", "dccp", "udplite")
PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "132": "sctp"}


class Flow(Value):
    """A flow as its first packet was sent: from where, to where, to which port."""

    source: Address
    destination: Address
    port: int | None


class Packet(Value):
    """A packet at a place of its way: from where to where, by which interfaces, and of what kind of flow.

    No port: of a client, that chose it freely; or icmp, that has none. `answer`: it goes back to who began the flow.
    `first` is the flow as it was before any translation. `vague` has the fields that stand for many values: source,
    destination, protocol, port, inward, outward, states. `mac` and `to_mac` are those of a frame.
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
    def flow(self) -> Flow:
        """The flow that it is of."""
        return self.first or Flow(self.source, self.destination, self.port)

    @property
    def replier(self) -> Address:
        """Where the answers of its flow come from."""
        return self.source if self.answer else self.destination


def any_of(answers: Iterable[bool | None]) -> bool | None:
    """True where one is; else None where one is; else False."""
    answers = tuple(answers)
    return True if True in answers else None if None in answers else False


def in_network(address: Address, value: str) -> bool | None:
    """Whether an address is in `10.0.0.0/8`, or `10.0.0.1-10.0.0.9`."""
    first, dash, last = value.partition("-")
    try:
        if dash:
            low, high = ip_address(first), ip_address(last)
            return low.version == high.version == address.version and int(low) <= int(address) <= int(high)
        network = ip_network(value, strict=False)
    except ValueError:
        return None  # A mask that is no prefix, or a name.
    return address.version == network.version and address in network


def named(name: str, value: str) -> bool:
    """Whether an interface has that name; `eth+` and `eth*` stand for all that begin so."""
    return name.startswith(value[:-1]) if value.endswith(("+", "*")) else name == value


def in_ports(port: int | None, protocol: str, value: str, dash: str = ":") -> bool | None:
    """Whether a port is among `80`, `22,80:90`, `:1023`; of one that a client chose, as far as that can be told."""
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


def of_protocol(protocol: str, value: str) -> bool:
    """Whether a protocol is meant by its name or number."""
    return PROTOCOLS.get(value, value) in (protocol, "all", "0")


def of_type(local: bool, value: str) -> bool | None:
    """Whether an address is of a type that routing gives it, LOCAL or UNICAST."""
    return {"LOCAL": local, "UNICAST": not local}.get(value.upper())


def of_icmp_type(packet: Packet, value: str) -> bool | None:
    """Whether it is an echo request, or the reply to one: what ping sends."""
    if packet.protocol != "icmp":
        return False
    kind = ("0", "echo-reply") if packet.answer else ("8", "echo-request")
    return value in (*kind, "any")
