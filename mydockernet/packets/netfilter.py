"""Evaluate the rules of iptables for a packet. Pure.

Traversal and targets: iptables(8), iptables-extensions(8). A rule with an unknown condition is a doubt: it is assumed
not to match, and reported.
"""

from collections.abc import Callable, Iterator

from mydockernet.dialects import iptables
from mydockernet.dialects.fact import Argv, Chain, Observed, Rule
from mydockernet.packets import packet as asked
from mydockernet.packets.packet import Packet
from mydockernet.value import Value, replace

ENDS = ("ACCEPT", "DROP", "REJECT", "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "QUEUE", "NFQUEUE")
MARKS = ("MARK", "CONNMARK", "CONNSECMARK", "SECMARK", "TCPMSS", "TOS", "DSCP", "TTL", "CHECKSUM", "CT")
GOES_ON = ("LOG", "NFLOG", "TRACE", "NOTRACK", *MARKS)
CHANGES = {"MASQUERADE": "source", "SNAT": "source", "DNAT": "destination", "REDIRECT": "destination"}
NO_MATCH = ("--comment",)
RPFILTER = ("--invert", "--loose", "--validmark", "--accept-local")
# Modules whose conditions are only the options that follow them.
PLAIN_MODULES = (
    *(
        "addrtype",
        "comment",
        "conntrack",
        "devgroup",
        "icmp",
        "icmp6",
        "limit",
        "mark",
        "multiport",
        "owner",
        "physdev",
    ),
    *("set", "state", "statistic", "tcp", "udp", "sctp"),
)


class Verdict(Value):
    """The fate of a packet in a chain, by which rule (none: by the policy), and the doubts about it.

    `program` shows and changes the rule: iptables or ip6tables, or the other variant of iptables.
    """

    target: str
    words: Argv = ()
    chain: Chain | None = None
    number: int = 0
    rule: Rule | None = None
    doubts: tuple["Verdict", ...] = ()
    program: str = "iptables"

    @property
    def stops(self) -> bool:
        """Whether the packet is dropped."""
        return self.target in ("DROP", "REJECT")

    @property
    def ours(self) -> bool:
        """Whether the rule carries a mark of mydockernet."""
        return self.rule is not None and iptables.is_ours(self.rule)

    @property
    def of_other(self) -> bool:
        """Whether it belongs to the other variant of iptables."""
        return self.program not in iptables.PROGRAMS.values()

    @property
    def avoids(self) -> bool:
        """Whether a packet that matches skips the rest of the chain."""
        return self.target in ("ACCEPT", "RETURN")

    @property
    def changes(self) -> str:
        """What it translates: the source, the destination, or nothing."""
        return CHANGES.get(self.target, "")

    @property
    def to(self) -> tuple[str, ...]:
        """The address, and perhaps the ports, that it translates the destination to; empty if the rule names none."""
        if "--to-destination" not in self.words:
            return ()
        to = self.words[self.words.index("--to-destination") + 1].split("/")[0]
        address, _, port = to[1:].partition("]:") if to.startswith("[") else to.partition(":")
        return (address, *((port,) if port else ()))

    @property
    def where(self) -> str:
        """The rule by table, chain and number."""
        if self.chain is None:
            return "no rule"
        variant = f" of {self.program}" if self.program != iptables.PROGRAMS[4] else ""
        if self.rule is None:
            return f"policy of {self.chain.name} in {self.chain.table}{variant}"
        return f"rule {self.number} of {self.chain.name} in {self.chain.table}{variant}: {self.rule.text}"


def ask(seen: Observed, table: str, chain: str, packet: Packet, program: str = "") -> Verdict:
    """Evaluate a built-in chain of a table for a packet. `program` is given for the other variant of iptables."""
    place = Chain(packet.family, table, chain)
    program = program or iptables.PROGRAMS[packet.family]
    doubts: list[Verdict] = []
    verdict = next(_walk(seen, place, packet, doubts, frozenset()), None)
    if verdict is None:
        policy = seen.policies.get(place, "ACCEPT")
        verdict = Verdict(policy, chain=place if place in seen.chains else None)
    told = tuple(replace(doubt, program=program) for doubt in doubts)
    return replace(verdict, doubts=told, program=program)


def _walk(
    seen: Observed, place: Chain, packet: Packet, doubts: list[Verdict], above: frozenset[Chain]
) -> Iterator[Verdict]:
    """Yield the verdict that ends the evaluation of a chain; nothing if it returns."""
    for number, rule in enumerate(seen.chains.get(place, ()), 1):
        conditions, target, words = _parts(rule)
        answers = [_matches(seen, packet, *condition) for condition in conditions]
        if False in answers:
            continue
        verdict = Verdict(target, words, place, number, rule)
        inner = Chain(place.family, place.table, target)
        known = inner in seen.chains and inner not in above
        if None in answers and known:
            # It may jump to that chain, and be decided there.
            doubts.extend(_walk(seen, inner, packet, doubts, above | {place}))
        elif None in answers:
            if target not in GOES_ON and target:
                doubts.append(verdict)
        elif target in ENDS:
            yield verdict
            return
        elif target == "RETURN":
            return
        elif known:
            decided = False
            for inside in _walk(seen, inner, packet, doubts, above | {place}):
                yield inside
                decided = True
            if decided or (False, "-g", target) in rule.spec:
                return
        elif target and target not in GOES_ON:
            doubts.append(verdict)


def _parts(rule: Rule) -> tuple[list[tuple[bool, str, str]], str, Argv]:
    """Return the conditions of a rule, its target, and the options of the target."""
    conditions: list[tuple[bool, str, str]] = []
    target = ""
    words = iptables.words_of(rule.text)
    for negated, option, values in iptables.options(words):
        if option in ("-j", "-g"):
            target = values[0] if values else ""
            return conditions, target, words[words.index(option) + 2 :]
        if option in RPFILTER and conditions and conditions[-1][1:2] == ("-m",):
            conditions[-1] = (*conditions[-1][:2], f"{conditions[-1][2]} {option}")
        else:
            conditions.append((negated, option, " ".join(values)))
    return conditions, target, ()


def _matches(seen: Observed, packet: Packet, negated: bool, option: str, value: str) -> bool | None:
    if option in NO_MATCH:
        return True
    field, known = MATCHES.get(option, ("", None))
    answer = None if known is None or field in packet.vague else known(seen, packet, value)
    return answer if answer is None else answer != negated


def _of_module(seen: Observed, packet: Packet, value: str) -> bool | None:
    """Evaluate a module without options of its own: rpfilter with its flags."""
    module, *flags = value.split() or [""]
    if module != "rpfilter":
        return True if module in PLAIN_MODULES and not flags else None
    if {"source", "inward"} & packet.vague or not seen.routes:
        return None
    found = asked.by_its_route(seen, packet, "--loose" in flags, "--accept-local" in flags)
    return found != ("--invert" in flags)


def _in_states(packet: Packet, value: str) -> bool | None:
    wanted = set(value.split(","))
    return True if packet.states & wanted else None if "states" in packet.vague else False


def _sent_both_ways(packet: Packet, value: str) -> bool | None:
    """Evaluate `--tcp-flags FIN,SYN,RST,ACK SYN`, which `--syn` stands for."""
    if packet.protocol != "tcp":
        return False
    return not packet.answer and "NEW" in packet.states if value == "FIN,SYN,RST,ACK SYN" else None


def _client_port(packet: Packet, value: str, port: int | None) -> bool | None:
    return asked.in_ports(port, packet.protocol, value)


# How to evaluate each option, and the field of the packet that it needs.
MATCHES: dict[str, tuple[str, Callable[[Observed, Packet, str], bool | None] | None]] = {
    "-m": ("", lambda seen, packet, value: _of_module(seen, packet, value)),
    "-s": ("source", lambda seen, packet, value: asked.in_network(packet.source, value)),
    "-d": ("destination", lambda seen, packet, value: asked.in_network(packet.destination, value)),
    "-i": ("inward", lambda seen, packet, value: asked.named(packet.inward, value)),
    "-o": ("outward", lambda seen, packet, value: asked.named(packet.outward, value)),
    "-p": ("protocol", lambda seen, packet, value: asked.of_protocol(packet.protocol, value)),
    "--dport": ("port", lambda seen, packet, value: _client_port(packet, value, packet.port)),
    "--dports": ("port", lambda seen, packet, value: _client_port(packet, value, packet.port)),
    "--sport": ("port", lambda seen, packet, value: _client_port(packet, value, packet.from_port)),
    "--sports": ("port", lambda seen, packet, value: _client_port(packet, value, packet.from_port)),
    "--tcp-flags": ("protocol", lambda seen, packet, value: _sent_both_ways(packet, value)),
    "--icmp-type": ("protocol", lambda seen, packet, value: asked.of_icmp_type(packet, value)),
    "--icmpv6-type": ("protocol", lambda seen, packet, value: asked.of_icmp_type(packet, value)),
    "--src-group": ("inward", lambda seen, packet, value: asked.in_group(seen, packet.inward, value)),
    "--dst-group": ("outward", lambda seen, packet, value: asked.in_group(seen, packet.outward, value)),
    "--physdev-is-bridged": ("", lambda seen, packet, value: packet.bridged),
    "--ctstate": ("", lambda seen, packet, value: _in_states(packet, value)),
    "--state": ("", lambda seen, packet, value: _in_states(packet, value)),
    "--ctproto": ("protocol", lambda seen, packet, value: asked.of_protocol(packet.protocol, value)),
    "--ctdir": ("", lambda seen, packet, value: value == ("REPLY" if packet.answer else "ORIGINAL")),
    "--ctorigsrc": ("source", lambda seen, packet, value: asked.in_network(packet.flow.source, value)),
    "--ctorigdst": ("destination", lambda seen, packet, value: asked.in_network(packet.flow.destination, value)),
    "--ctreplsrc": ("destination", lambda seen, packet, value: asked.in_network(packet.replier, value)),
    "--ctorigsrcport": ("port", lambda seen, packet, value: _client_port(packet, value, None)),
    "--ctorigdstport": ("port", lambda seen, packet, value: _client_port(packet, value, packet.flow.port)),
    "--dst-type": ("destination", lambda seen, packet, value: asked.of_type(packet.local, value)),
    "--src-type": ("source", lambda seen, packet, value: asked.of_type(packet.source in seen.addresses, value)),
}
