"""What the rules of iptables do with a packet, as far as what is seen can tell. Pure.

Traversal and targets: iptables(8), iptables-extensions(8). What a rule asks that is not known here is a doubt: the
rule is taken not to match, and named.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from mydockernet import rules
from mydockernet.facts import Argv, Chain, Observed, Rule
from mydockernet.model import PORT_MAX, Address

ENDS = ("ACCEPT", "DROP", "REJECT", "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "QUEUE", "NFQUEUE")
MARKS = ("MARK", "CONNMARK", "CONNSECMARK", "SECMARK", "TCPMSS", "TOS", "DSCP", "TTL", "CHECKSUM", "CT")
GOES_ON = ("LOG", "NFLOG", *MARKS)
NO_MATCH = ("-m", "--comment")


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet at a place of its way: from where to where, by which interfaces, and of what kind of flow."""

    source: Address
    destination: Address
    protocol: str
    port: int | None = None
    inward: str = ""
    outward: str = ""
    states: frozenset[str] = frozenset({"NEW"})
    bridged: bool = False
    local: bool = False

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"{self.source} → {self.destination}{port}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a packet in a chain, by which rule (none: the chain's policy), and what may change that."""

    target: str
    words: Argv = ()
    chain: Chain | None = None
    number: int = 0
    rule: Rule | None = None
    doubts: tuple[str, ...] = ()

    @property
    def stops(self) -> bool:
        """Whether the packet ends here."""
        return self.target in ("DROP", "REJECT")

    @property
    def where(self) -> str:
        """The rule as a person finds it again: by table, chain and number."""
        if self.chain is None:
            return "no rule"
        if self.rule is None:
            return f"the policy of {self.chain.name} in {self.chain.table}"
        return f"rule {self.number} of {self.chain.name} in {self.chain.table}: {self.rule.text}"


def ask(seen: Observed, table: str, chain: str, packet: Packet) -> Verdict:
    """What a table's built-in chain does with a packet."""
    place = Chain(packet.source.version, table, chain)
    doubts: list[str] = []
    verdict = next(_walk(seen, place, packet, doubts, frozenset()), None)
    if verdict is None:
        policy = seen.policies.get(place, "ACCEPT")
        return Verdict(policy, chain=place if place in seen.chains else None, doubts=tuple(doubts))
    return Verdict(verdict.target, verdict.words, verdict.chain, verdict.number, verdict.rule, tuple(doubts))


def _walk(
    seen: Observed, place: Chain, packet: Packet, doubts: list[str], above: frozenset[Chain]
) -> Iterator[Verdict]:
    """The first verdict that ends the way through a chain; nothing, where it returns."""
    for number, rule in enumerate(seen.chains.get(place, ()), 1):
        conditions, target, words = _parts(rule)
        answers = [_matches(seen, packet, *condition) for condition in conditions]
        if False in answers:
            continue
        verdict = Verdict(target, words, place, number, rule)
        inner = Chain(place.family, place.table, target)
        if None in answers:
            if target not in GOES_ON and target:
                doubts.append(verdict.where)
        elif target in ENDS:
            yield verdict
            return
        elif target == "RETURN":
            return
        elif inner in seen.chains and inner not in above:
            yield from _walk(seen, inner, packet, doubts, above | {place})
            if (False, "-g", target) in rule.spec:
                return
        elif target and target not in GOES_ON:
            doubts.append(verdict.where)


def _parts(rule: Rule) -> tuple[list[tuple[bool, str, str]], str, Argv]:
    """A rule's conditions, its target, and the target's own words."""
    conditions: list[tuple[bool, str, str]] = []
    target = ""
    words = rules.words_of(rule.text)
    for negated, option, values in rules.options(words):
        if option in ("-j", "-g"):
            target = values[0] if values else ""
            return conditions, target, words[words.index(option) + 2 :]
        conditions.append((negated, option, " ".join(values)))
    return conditions, target, ()


def _matches(seen: Observed, packet: Packet, negated: bool, option: str, value: str) -> bool | None:
    if option in NO_MATCH:
        return True
    known = MATCHES.get(option)
    answer = known(seen, packet, value) if known else None
    return answer if answer is None else answer != negated


def _in_network(address: Address, value: str) -> bool | None:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        return None  # A mask that is no prefix.
    return address.version == network.version and address in network


def _named(name: str, value: str) -> bool:
    return name.startswith(value[:-1]) if value.endswith("+") else name == value


def _in_ports(port: int | None, value: str) -> bool | None:
    spans = (part.partition(":") for part in value.split(","))
    try:
        bounds = [(int(low or 0), int(high or (PORT_MAX if colon else low))) for low, colon, high in spans]
    except ValueError:
        return None
    return port is not None and any(first <= port <= last for first, last in bounds)


def _in_group(seen: Observed, name: str, value: str) -> bool | None:
    link = seen.links.get(name)
    group = "0" if link is None or link.group == "default" else link.group
    try:
        return int(group) == int(value, 0)
    except ValueError:
        return None


def _of_type(local: bool, value: str) -> bool | None:
    return {"LOCAL": local, "UNICAST": not local}.get(value)


MATCHES: dict[str, Callable[[Observed, Packet, str], bool | None]] = {
    "-s": lambda seen, packet, value: _in_network(packet.source, value),
    "-d": lambda seen, packet, value: _in_network(packet.destination, value),
    "-i": lambda seen, packet, value: _named(packet.inward, value),
    "-o": lambda seen, packet, value: _named(packet.outward, value),
    "-p": lambda seen, packet, value: value in (packet.protocol, "all"),
    "--dport": lambda seen, packet, value: _in_ports(packet.port, value),
    "--dports": lambda seen, packet, value: _in_ports(packet.port, value),
    "--src-group": lambda seen, packet, value: _in_group(seen, packet.inward, value),
    "--dst-group": lambda seen, packet, value: _in_group(seen, packet.outward, value),
    "--physdev-is-bridged": lambda seen, packet, value: packet.bridged,
    "--ctstate": lambda seen, packet, value: bool(packet.states & set(value.split(","))),
    "--state": lambda seen, packet, value: bool(packet.states & set(value.split(","))),
    "--dst-type": lambda seen, packet, value: _of_type(packet.local, value),
    "--src-type": lambda seen, packet, value: _of_type(packet.source in seen.addresses, value),
}
