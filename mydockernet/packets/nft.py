"""Parse the output of `nft --json list ruleset`, and evaluate the rules of other programs for a packet. Pure.

Format: libnftables-json(5). Tables that belong to iptables are skipped, because netfilter.py evaluates them. A rule
with an unknown condition is a doubt, as there.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from mydockernet.dialects import ebtables
from mydockernet.dialects.fact import Argv, Observed
from mydockernet.packets import packet as asked
from mydockernet.packets.packet import Packet
from mydockernet.value import EMPTY, Value, replace

READ: Argv = ("nft", "--json", "list", "ruleset")
STOPS = ("drop", "reject")
ENDS = ("accept", "queue", *STOPS)
TRANSLATES = ("dnat", "snat", "masquerade", "redirect", "tproxy")
SILENT = ("counter", "log", "comment", "mangle", "notrack", "ct helper", "ct timeout", "flow", "meter", "fwd", "dup")
# The chains of iptables: https://wiki.nftables.org, "Legacy xtables tools".
IPTABLES_TABLES = ("raw", "mangle", "nat", "filter", "security")
IPTABLES_CHAINS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")


class Match(Value):
    """A condition: a field as nft names it, as in `ip saddr`, and the values that it matches (or not, if `negated`)."""

    field: str
    values: tuple[str, ...]
    negated: bool = False


class Decision(Value):
    """What a rule does with a packet that matches: accept, drop, reject, jump or goto (to a chain), return, dnat…"""

    kind: str
    chain: str = ""


class Rule(Value):
    """A rule: its conditions and its decision, or for a verdict map the field (`by`) and the decision per value."""

    handle: int
    matches: tuple[Match, ...] = ()
    decision: Decision | None = None
    by: str = ""
    decisions: tuple[tuple[str, Decision], ...] = ()


class Chain(Value):
    """A chain; one with a hook is a base chain."""

    family: str
    table: str
    name: str
    hook: str = ""
    priority: int = 0
    policy: str = "accept"
    kind: str = ""
    rules: tuple[Rule, ...] = ()

    @property
    def place(self) -> str:
        """Family, table and name, as nft takes them."""
        return f"{self.family} {self.table} {self.name}"


class Ruleset(Value):
    """All chains, by family, table and name."""

    chains: Mapping[tuple[str, str, str], Chain] = EMPTY

    def hooked(self, hook: str, families: tuple[str, ...] = ("ip", "inet")) -> tuple[Chain, ...]:
        """Return the base chains of a hook, in the order in which the kernel evaluates them."""
        found = (c for c in self.chains.values() if c.hook == hook and c.family in families)
        return tuple(sorted(found, key=lambda chain: chain.priority))


class Verdict(Value):
    """The fate of a packet in a base chain, by which rule (none: by the policy), and the doubts about it."""

    base: Chain
    decision: str
    chain: Chain
    rule: Rule | None = None
    doubts: tuple["Verdict", ...] = ()

    @property
    def stops(self) -> bool:
        """Whether the packet is dropped."""
        return self.decision in STOPS

    @property
    def ours(self) -> bool:
        """Whether it is a rule of mydockernet: no nftables rule is."""
        return False

    @property
    def avoids(self) -> bool:
        """Whether a packet that matches skips the rest of the chain."""
        return self.decision in ("accept", "return")

    @property
    def where(self) -> str:
        """The rule by chain and handle."""
        if self.rule is None:
            return f"policy of nftables chain {self.base.place}: {self.decision}"
        words = [f"{m.field} {'!= ' if m.negated else ''}{', '.join(m.values)}" for m in self.rule.matches]
        text = " ".join([*words, self.decision])
        return f"rule with handle {self.rule.handle} of nftables chain {self.chain.place}: {text}"


def read(text: str, iptables: bool = True) -> Ruleset:
    """Parse the output of nft; empty if that is empty or malformed. With `iptables`, skip the chains of iptables."""
    try:
        items = json.loads(text or "{}", strict=False)["nftables"]
    except (ValueError, KeyError, TypeError):
        return Ruleset()
    chains: dict[tuple[str, str, str], Chain] = {}
    sets: dict[tuple[str, str, str], tuple[Any, ...]] = {}
    rules: list[tuple[tuple[str, str, str], Mapping[str, Any]]] = []
    for item in items if isinstance(items, list) else ():
        for kind, body in item.items() if isinstance(item, dict) else ():
            if not isinstance(body, dict):
                continue
            family, table, name = (str(body.get(key, "")) for key in ("family", "table", "name"))
            of_iptables = family in ("ip", "ip6") and table in IPTABLES_TABLES and name in IPTABLES_CHAINS
            if kind == "chain" and not (iptables and of_iptables):
                chains[family, table, name] = _chain(family, table, name, body)
            elif kind in ("set", "map"):
                elements = body.get("elem", ())
                sets[family, table, name] = tuple(elements) if isinstance(elements, list) else ()
            elif kind == "rule":
                rules.append(((family, table, str(body.get("chain", ""))), body))
    for key, body in rules:
        if key in chains:
            rule = _rule(body, partial(_elements, sets, *key[:2]))
            chains[key] = replace(chains[key], rules=(*chains[key].rules, rule))
    return Ruleset(chains)


def _elements(
    sets: Mapping[tuple[str, str, str], tuple[Any, ...]], family: str, table: str, name: str
) -> tuple[Any, ...]:
    return sets.get((family, table, name), ())


def _chain(family: str, table: str, name: str, body: Mapping[str, Any]) -> Chain:
    priority = body.get("prio", 0)
    return Chain(
        family,
        table,
        name,
        str(body.get("hook", "")),
        priority if isinstance(priority, int) else 0,
        str(body.get("policy", "accept")),
        str(body.get("type", "")),
    )


UNKNOWN = Match("?", ())


def _rule(body: Mapping[str, Any], elements: Callable[[str], tuple[Any, ...]]) -> Rule:
    handle = body.get("handle", 0)
    rule = Rule(handle if isinstance(handle, int) else 0)
    statements = body.get("expr", ())
    for statement in statements if isinstance(statements, list) else ():
        for kind, inner in statement.items() if isinstance(statement, dict) else ():
            if kind == "match":
                rule = replace(rule, matches=(*rule.matches, _match(inner, elements)))
            elif kind == "vmap":
                by, decisions = _map(inner, elements)
                rule = replace(rule, by=by, decisions=decisions)
            elif (decision := _decision(kind, inner)) is not None:
                rule = replace(rule, decision=decision)
            elif kind not in SILENT:
                rule = replace(rule, matches=(*rule.matches, UNKNOWN))
    return rule


def _decision(kind: str, inner: Any) -> Decision | None:
    if kind in ("jump", "goto"):
        return Decision(kind, str(inner.get("target", ""))) if isinstance(inner, dict) else None
    return Decision(kind) if kind in (*ENDS, *TRANSLATES, "return", "continue") else None


def _match(inner: Any, elements: Callable[[str], tuple[Any, ...]]) -> Match:
    if not isinstance(inner, dict):
        return UNKNOWN
    values = tuple(_values(inner.get("right"), elements))
    return Match(_field(inner.get("left")), values, inner.get("op") == "!=")


def _map(inner: Any, elements: Callable[[str], tuple[Any, ...]]) -> tuple[str, tuple[tuple[str, Decision], ...]]:
    if not isinstance(inner, dict):
        return "?", ()
    data = inner.get("data")
    rows = elements(data[1:]) if isinstance(data, str) and data.startswith("@") else ()
    if isinstance(data, dict) and isinstance(data.get("set"), list):
        rows = tuple(data["set"])
    found = []
    for row in rows:
        if isinstance(row, list) and len(row) == 2 and isinstance(row[1], dict):
            for kind, target in row[1].items():
                decision = _decision(kind, target)
                found += [(value, decision) for value in _values(row[0], elements) if decision]
    return _field(inner.get("key")), tuple(found)


def _field(left: Any) -> str:
    """Parse the left side of a match: `meta iifname`, `ip saddr`, `ct original ip saddr`, `fib daddr type`."""
    if not isinstance(left, dict) or len(left) != 1:
        return "?"
    ((kind, inner),) = left.items()
    if kind == "&" and isinstance(inner, list) and inner and isinstance(inner[0], dict) and "ct" in inner[0]:
        return _field(inner[0])
    if not isinstance(inner, dict):
        return "?"
    if kind == "payload":
        return f"{inner.get('protocol')} {inner.get('field')}"
    if kind == "fib":
        flags = inner.get("flags")
        return f"fib {' '.join(map(str, flags)) if isinstance(flags, list) else flags} {inner.get('result')}"
    words = (kind, inner.get("dir", ""), inner.get("key", ""))
    return " ".join(str(word) for word in words if word) if kind in ("meta", "ct") else "?"


def _values(right: Any, elements: Callable[[str], tuple[Any, ...]]) -> Iterator[str]:
    """Parse the right side of a match: one value or those of a set; a range as `1-9`, a prefix as `10.0.0.0/8`."""
    if isinstance(right, str) and right.startswith("@"):
        for element in elements(right[1:]):
            yield from _values(element, lambda name: ())
    elif isinstance(right, list):
        for each in right:
            yield from _values(each, elements)
    elif isinstance(right, dict):
        for kind, inner in right.items():
            if kind == "set":
                yield from _values(inner, elements)
            elif kind == "elem" and isinstance(inner, dict):
                yield from _values(inner.get("val"), elements)
            elif kind == "prefix" and isinstance(inner, dict):
                yield f"{inner.get('addr')}/{inner.get('len')}"
            elif kind == "range" and isinstance(inner, list) and len(inner) == 2:
                yield f"{inner[0]}-{inner[1]}"
            else:
                yield "?"
    else:
        yield str(right)


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
        answers = [_matches(seen, packet, match) for match in rule.matches]
        if False in answers:
            continue
        for certain, decision in _decided(seen, packet, rule, None not in answers):
            inner = ruleset.chains.get((chain.family, chain.table, decision.chain))
            verdict = Verdict(base, decision.kind, chain, rule)
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
            elif decision.kind in TRANSLATES or not certain:
                if decision.kind in (*ENDS, *TRANSLATES):
                    doubts.append(verdict)
            elif decision.kind in ENDS:
                yield verdict
                return


def _decided(seen: Observed, packet: Packet, rule: Rule, certain: bool) -> Iterator[tuple[bool, Decision]]:
    """Yield what a rule that matches, or may match, decides, and whether that is certain."""
    for value, decision in rule.decisions:
        answer = _matches(seen, packet, Match(rule.by, (value,)))
        if answer is not False:
            yield certain and answer is True, decision
        if answer is True:
            return
    if rule.decision:
        yield certain, rule.decision


def _matches(seen: Observed, packet: Packet, match: Match) -> bool | None:
    protocol = match.field.partition(" ")[0]
    if protocol == "arp" or (protocol in ("ip6", "icmpv6") and packet.family == 4):
        return False
    if protocol in ("ip", "icmp") and packet.family == 6:
        return False
    if protocol in asked.WITH_PORTS and "protocol" not in packet.vague and packet.protocol != protocol:
        return False
    vague, known = FIELDS.get(match.field, ("", None))
    if known is None or vague in packet.vague or "?" in match.values:
        return None
    answer = asked.any_of(known(seen, packet, value) for value in match.values)
    return answer if answer is None else answer != match.negated


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
    "fib daddr type": ("destination", lambda seen, p, value: asked.of_type(p.local, value)),
    "fib saddr type": ("source", lambda seen, p, value: asked.of_type(p.source in seen.addresses, value)),
}
