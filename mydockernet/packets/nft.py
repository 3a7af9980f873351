"""Evaluate the rules of nftables for a packet: those of mydockernet, and those of other programs. Pure.

A rule with an unknown condition is a doubt: it is assumed not to match, and reported.
"""

from collections.abc import Callable, Iterable, Iterator

from mydockernet.dialects import ebtables
from mydockernet.dialects.fact import Observed
from mydockernet.packets import packet as asked
from mydockernet.packets.nft_rules import ENDS, STOPS, TRANSLATES, UNKNOWN, Chain, Decision, Element, Rule, Ruleset
from mydockernet.packets.packet import Packet
from mydockernet.value import Value, replace

CHANGES = {"masquerade": "source", "snat": "source", "dnat": "destination", "redirect": "destination"}


class Found(Value):
    """An element of a set or map that a packet matches, and in a map what it is translated to."""

    named: str
    element: Element
    to: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What it is an element of: `set same`, `map ports4`."""
        return f"{'map' if self.to else 'set'} {self.named.removeprefix('@')}"

    @property
    def text(self) -> str:
        """The element as nft prints it, without its comment."""
        return f"{self.element.key} : {' . '.join(self.to)}" if self.to else self.element.key


class Verdict(Value):
    """The fate of a packet in a base chain, by which rule (none: by the policy), and the doubts about it.

    `to` is what it is translated to. `found` are the elements by which the rule matched.
    """

    base: Chain
    decision: str
    chain: Chain
    rule: Rule | None = None
    doubts: tuple["Verdict", ...] = ()
    to: tuple[str, ...] = ()
    found: tuple[Found, ...] = ()

    @property
    def stops(self) -> bool:
        """Whether the packet is dropped."""
        return self.decision in STOPS

    @property
    def ours(self) -> bool:
        """Whether it is a rule of mydockernet; the admin's own rules in its table are not."""
        return self.chain.ours and self.rule is not None and self.rule.ours

    @property
    def avoids(self) -> bool:
        """Whether a packet that matches skips the rest of the chain."""
        return self.decision in ("accept", "return")

    @property
    def changes(self) -> str:
        """What it translates: the source, the destination, or nothing."""
        return CHANGES.get(self.decision, "")

    @property
    def where(self) -> str:
        """The rule by chain, and by its number, as `rules` shows it, or by the handle that nft needs to delete it."""
        if self.rule is None:
            return f"policy of nftables chain {self.base.place}: {self.decision}"
        which = f"rule {self.rule.number}" if self.ours else f"rule with handle {self.rule.handle}"
        return f"{which} of nftables chain {self.chain.place}: {self.rule.told(self.decision)}"


def ask(seen: Observed, ruleset: Ruleset, base: Chain, packet: Packet) -> Verdict:
    """Evaluate a base chain for a packet."""
    doubts: list[Verdict] = []
    found = next(_walk(seen, ruleset, base, base, packet, doubts, 0), None)
    verdict = found or Verdict(base, base.policy, base)
    return replace(verdict, doubts=tuple(doubts))


DEEPEST = 16  # NFT_JUMP_STACK_SIZE


def _walk(
    seen: Observed, ruleset: Ruleset, base: Chain, chain: Chain, packet: Packet, doubts: list[Verdict], depth: int
) -> Iterator[Verdict]:
    """Yield the verdict that ends the evaluation of a chain; nothing if it returns."""
    for rule in chain.rules:
        answers, found = _matched(seen, packet, rule)
        if False in answers:
            continue
        for certain, decision, row in _decided(seen, packet, rule, None not in answers):
            inner = ruleset.chains.get((chain.family, chain.table, decision.chain))
            verdict = Verdict(base, decision.kind, chain, rule, to=decision.to, found=(*found, *row))
            if base.family == "bridge" and decision.chain.startswith(ebtables.OWN):
                continue  # nft does not print the conditions of ebtables; the caller evaluates these rules.
            if decision.kind in ("jump", "goto"):
                decided = False
                for inside in (
                    _walk(seen, ruleset, base, inner, packet, doubts, depth + 1) if (inner and depth < DEEPEST) else ()
                ):
                    if certain:
                        yield inside
                        decided = True
                    else:
                        doubts.append(inside)
                if certain and (decided or decision.kind == "goto"):
                    return
            elif decision.kind == "return":
                if certain:
                    return
                doubts.append(verdict)
            elif not certain or decision.kind == "tproxy":
                if decision.kind in (*ENDS, *TRANSLATES):
                    doubts.append(verdict)
            elif decision.kind in (*ENDS, *TRANSLATES):
                yield verdict
                return


def _matched(seen: Observed, packet: Packet, rule: Rule) -> tuple[list[bool | None], list[Found]]:
    """Return whether each condition of a rule matches, and the elements of sets by which they do."""
    answers: list[bool | None] = []
    found: list[Found] = []
    for match in rule.matches:
        answer, element = _looked_up(seen, packet, match.fields, match.elements)
        if match.negated and answer is not None and _of_its_kind(packet, match.fields):
            answer = not answer
        elif element and match.named:
            found.append(Found(match.named, element))
        answers.append(answer)
    return answers, found


def _decided(
    seen: Observed, packet: Packet, rule: Rule, certain: bool
) -> Iterator[tuple[bool, Decision, tuple[Found, ...]]]:
    """Yield what a rule that matches, or may match, decides, whether that is certain, and by which element of a map."""
    for element, decision in rule.rows:
        answer, _ = _looked_up(seen, packet, rule.by, (element,))
        if answer is not False:
            yield certain and answer is True, decision, (Found(rule.named, element, decision.to),)
        if answer is True:
            return
    if rule.decision:
        yield certain, rule.decision, ()


def _looked_up(
    seen: Observed, packet: Packet, fields: tuple[str, ...], elements: Iterable[Element]
) -> tuple[bool | None, Element | None]:
    """Return whether some fields of a packet match one of the elements, and which one does for certain."""
    if not _of_its_kind(packet, fields):
        return False, None
    unsure = False
    for element in elements:
        answer = asked.all_of(_matches(seen, packet, *pair) for pair in zip(fields, element.words, strict=False))
        if answer:
            return True, element
        unsure = unsure or answer is None
    return None if unsure else False, None


def _of_its_kind(packet: Packet, fields: Iterable[str]) -> bool:
    """Whether a packet may have all of these fields: those of its address family and protocol."""
    for field in fields:
        protocol = field.partition(" ")[0]
        if protocol == "arp" or (protocol in ("ip6", "icmpv6") and packet.family == 4):
            return False
        if protocol in ("ip", "icmp") and packet.family == 6:
            return False
        if protocol in asked.WITH_PORTS and "protocol" not in packet.vague and packet.protocol != protocol:
            return False
    return True


def _matches(seen: Observed, packet: Packet, field: str, word: str) -> bool | None:
    vague, known = FIELDS.get(field, ("", None))
    if known is None or vague in packet.vague or word == UNKNOWN:
        return None
    return known(seen, packet, word)


def _by_its_route(seen: Observed, packet: Packet, word: str) -> bool | None:
    """Evaluate `fib saddr . iif oif`, which exists if the route to the source leaves by the interface it came by."""
    if "source" in packet.vague or not seen.routes or word not in ("exists", "missing"):
        return None
    return asked.by_its_route(seen, packet) == (word == "exists")


def _in_states(packet: Packet, value: str) -> bool | None:
    return True if value.upper() in packet.states else None if "states" in packet.vague else False


Test = Callable[[Observed, Packet, str], bool | None]
_PORT: tuple[str, Test] = ("port", lambda seen, p, value: asked.in_ports(p.port, p.protocol, value, "-"))
_FROM_PORT: tuple[str, Test] = ("port", lambda seen, p, value: asked.in_ports(p.from_port, p.protocol, value, "-"))
_IN: tuple[str, Test] = ("inward", lambda seen, p, value: asked.named(p.inward, value))
_OUT: tuple[str, Test] = ("outward", lambda seen, p, value: asked.named(p.outward, value))
_PROTOCOL: tuple[str, Test] = ("protocol", lambda seen, p, value: asked.of_protocol(p.protocol, value))
_FAMILIES = {4: ("ipv4", "ip"), 6: ("ipv6", "ip6")}
_FAMILY: tuple[str, Test] = ("", lambda seen, p, value: value in _FAMILIES[p.family])
FIELDS: dict[str, tuple[str, Test | None]] = {
    "meta iifname": _IN,
    "meta iif": _IN,
    "meta oifname": _OUT,
    "meta oif": _OUT,
    "meta iifgroup": ("inward", lambda seen, p, value: asked.in_group(seen, p.inward, value)),
    "meta oifgroup": ("outward", lambda seen, p, value: asked.in_group(seen, p.outward, value)),
    "meta nfproto": _FAMILY,
    "meta protocol": _FAMILY,
    "ether type": _FAMILY,
    "ether saddr": ("", lambda seen, p, value: value == p.mac if p.mac else None),
    "ether daddr": ("", lambda seen, p, value: value == p.to_mac if p.to_mac else None),
    "meta l4proto": _PROTOCOL,
    "ip protocol": _PROTOCOL,
    "ip saddr": ("source", lambda seen, p, value: asked.in_network(p.source, value)),
    "ip daddr": ("destination", lambda seen, p, value: asked.in_network(p.destination, value)),
    "ip6 nexthdr": _PROTOCOL,
    "ip6 saddr": ("source", lambda seen, p, value: asked.in_network(p.source, value)),
    "ip6 daddr": ("destination", lambda seen, p, value: asked.in_network(p.destination, value)),
    **{f"{protocol} dport": _PORT for protocol in ("th", *asked.WITH_PORTS)},
    **{f"{protocol} sport": _FROM_PORT for protocol in ("th", *asked.WITH_PORTS)},
    "icmp type": ("protocol", lambda seen, p, value: asked.of_icmp_type(p, value)),
    "icmpv6 type": ("protocol", lambda seen, p, value: asked.of_icmp_type(p, value)),
    "ct state": ("", lambda seen, p, value: _in_states(p, value)),
    "ct status": ("", lambda seen, p, value: _in_states(p, value) if value in ("dnat", "snat") else None),
    "ct direction": ("", lambda seen, p, value: value == ("reply" if p.answer else "original")),
    "ct original ip saddr": ("source", lambda seen, p, value: asked.in_network(p.flow.source, value)),
    "ct original ip daddr": ("destination", lambda seen, p, value: asked.in_network(p.flow.destination, value)),
    "ct original proto-dst": ("port", lambda seen, p, value: asked.in_ports(p.flow.port, p.protocol, value, "-")),
    "ct reply ip saddr": ("destination", lambda seen, p, value: asked.in_network(p.replier, value)),
    # Newer versions of nft print oif as check.
    **{f"fib saddr . iif {result}": ("inward", _by_its_route) for result in ("oif", "check")},
    "fib daddr type": ("destination", lambda seen, p, value: asked.of_type(p.local, value)),
    "fib saddr type": ("source", lambda seen, p, value: asked.of_type(p.source in seen.addresses, value)),
}
