"""Parse the output of `nft --json list ruleset` into chains and rules. Pure.

Format: libnftables-json(5). Tables that belong to iptables are skipped, because netfilter.py evaluates them.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from mydockernet.dialects.fact import SHARED, Argv, tag
from mydockernet.dialects.nftables import TABLE
from mydockernet.value import EMPTY, Value, replace

READ: Argv = ("nft", "--json", "list", "ruleset")
STOPS = ("drop", "reject")
ENDS = ("accept", "queue", *STOPS)
TRANSLATES = ("dnat", "snat", "masquerade", "redirect", "tproxy")
SILENT = ("counter", "log", "comment", "mangle", "notrack", "ct helper", "ct timeout", "flow", "meter", "fwd", "dup")
# The chains of iptables: https://wiki.nftables.org, "Legacy xtables tools".
IPTABLES_TABLES = ("raw", "mangle", "nat", "filter", "security")
IPTABLES_CHAINS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
UNKNOWN = "?"


class Element(Value):
    """What a field is compared with: a word for each part of a concatenation. In a set it may have a comment."""

    words: tuple[str, ...]
    comment: str = ""

    @property
    def key(self) -> str:
        """The words as nft takes them."""
        return " . ".join(self.words)


class Match(Value):
    """A condition: fields as nft names them, as in `ip saddr`, and what they match (or not, if `negated`).

    `named` is the set that has the elements, as in `@ports`.
    """

    fields: tuple[str, ...]
    elements: tuple[Element, ...]
    negated: bool = False
    named: str = ""

    def __str__(self) -> str:
        if UNKNOWN in self.fields:
            return "…"
        keys = [element.key for element in self.elements]
        values = self.named or (keys[0] if len(keys) == 1 else f"{{ {', '.join(keys)} }}")
        return f"{_written(self.fields)} {'!= ' if self.negated else ''}{values}"


class Decision(Value):
    """What a rule does with a packet that matches: accept, drop, jump or goto (to a chain), return, dnat…

    `to` is the address, and perhaps the port, that it translates to.
    """

    kind: str
    chain: str = ""
    to: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} to {':'.join(self.to)}" if self.to else " ".join(filter(None, (self.kind, self.chain)))


class Rule(Value):
    """A rule: its conditions and its decision, or for a map the fields (`by`) and the decision per element.

    `named` is the map, as in `@ports`. `number` is its place in the chain, from 1.
    """

    handle: int
    number: int
    matches: tuple[Match, ...] = ()
    decision: Decision | None = None
    by: tuple[str, ...] = ()
    rows: tuple[tuple[Element, Decision], ...] = ()
    named: str = ""
    comment: str = ""

    @property
    def ours(self) -> bool:
        """Whether it carries the mark of the rules that all networks share."""
        return self.comment.startswith(tag(SHARED))

    def told(self, decision: str) -> str:
        """Return it in words, with what it decided."""
        words = [str(match) for match in self.matches]
        key, where = _written(self.by), self.named or "{ … }"
        if not key or (self.decision and self.decision.kind == decision):
            words.append(str(self.decision or decision))
        elif decision in TRANSLATES:
            words.append(f"{decision} to {key} map {where}")
        else:
            words.append(f"{key} vmap {where}: {decision}")
        return " ".join(words)


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

    @property
    def ours(self) -> bool:
        """Whether it is in the table of mydockernet."""
        return (self.family, self.table) == TABLE


class Ruleset(Value):
    """All chains, by family, table and name."""

    chains: Mapping[tuple[str, str, str], Chain] = EMPTY

    def hooked(self, hook: str, families: tuple[str, ...] = ("ip", "inet")) -> tuple[Chain, ...]:
        """Return the base chains of a hook, in the order in which the kernel evaluates them."""
        found = (c for c in self.chains.values() if c.hook == hook and c.family in families)
        return tuple(sorted(found, key=lambda chain: chain.priority))

    def without(self, name: str) -> "Ruleset":
        """Return the same with one chain of mydockernet's table empty."""
        key = (*TABLE, name)
        chains = {**self.chains, key: replace(self.chains[key], rules=())} if key in self.chains else self.chains
        return Ruleset(chains)


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
    held: dict[tuple[str, str, str], list[Rule]] = {key: [] for key in chains}
    for key, body in rules:
        if key in chains:
            held[key].append(_rule(body, len(held[key]) + 1, partial(_elements, sets, *key[:2])))
    return Ruleset({key: replace(chain, rules=tuple(held[key])) for key, chain in chains.items()})


Elements = Callable[[str], tuple[Any, ...]]


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


NOT_UNDERSTOOD = Match((UNKNOWN,), (Element((UNKNOWN,)),))


def _rule(body: Mapping[str, Any], number: int, elements: Elements) -> Rule:
    handle = body.get("handle", 0)
    rule = Rule(handle if isinstance(handle, int) else 0, number, comment=str(body.get("comment", "")))
    statements = body.get("expr", ())
    for statement in statements if isinstance(statements, list) else ():
        for kind, inner in statement.items() if isinstance(statement, dict) else ():
            if kind == "match":
                rule = replace(rule, matches=(*rule.matches, _match(inner, elements)))
            elif (mapped := _mapped(kind, inner)) is not None:
                by, rows, named = _map(kind, mapped, elements)
                rule = replace(rule, by=by, rows=rows, named=named)
            elif (decision := _decision(kind, inner)) is not None:
                rule = replace(rule, decision=decision)
            elif kind not in SILENT:
                rule = replace(rule, matches=(*rule.matches, NOT_UNDERSTOOD))
    return rule


def _mapped(kind: str, inner: Any) -> Any:
    """Return the map that a statement looks a packet up in; None if it is no such statement."""
    if kind == "vmap":
        return inner
    address = inner.get("addr") if kind in TRANSLATES and isinstance(inner, dict) else None
    return address.get("map") if isinstance(address, dict) else None


def _decision(kind: str, inner: Any) -> Decision | None:
    if kind in ("jump", "goto"):
        return Decision(kind, str(inner.get("target", ""))) if isinstance(inner, dict) else None
    if kind in TRANSLATES and isinstance(inner, dict) and isinstance(inner.get("addr"), str):
        port = inner.get("port", "")
        return Decision(kind, to=(inner["addr"], *((str(port),) if isinstance(port, int) and port else ())))
    return Decision(kind) if kind in (*ENDS, *TRANSLATES, "return", "continue") else None


def _match(inner: Any, elements: Elements) -> Match:
    if not isinstance(inner, dict):
        return NOT_UNDERSTOOD
    right = inner.get("right")
    named = right if isinstance(right, str) and right.startswith("@") else ""
    return Match(_fields(inner.get("left")), tuple(_values(right, elements)), inner.get("op") == "!=", named)


def _map(
    kind: str, inner: Any, elements: Elements
) -> tuple[tuple[str, ...], tuple[tuple[Element, Decision], ...], str]:
    if not isinstance(inner, dict):
        return (UNKNOWN,), (), ""
    data = inner.get("data")
    named = data if isinstance(data, str) and data.startswith("@") else ""
    rows = elements(named[1:]) if named else ()
    if isinstance(data, dict) and isinstance(data.get("set"), list):
        rows = tuple(data["set"])
    found = []
    for row in rows:
        if isinstance(row, list) and len(row) == 2:
            decisions = _row(kind, row[1], elements)
            found += [(element, decision) for decision in decisions for element in _values(row[0], elements)]
    return _fields(inner.get("key")), tuple(found), named


def _row(kind: str, value: Any, elements: Elements) -> Iterator[Decision]:
    """Yield what a map decides: the verdict of a vmap, or what to translate to."""
    if kind == "vmap":
        found = (_decision(verdict, target) for verdict, target in value.items()) if isinstance(value, dict) else ()
        yield from filter(None, found)
    else:
        yield from (Decision(kind, to=element.words) for element in _values(value, elements))


def _fields(left: Any) -> tuple[str, ...]:
    """Parse the left side of a match: one field, or those of a concatenation."""
    if isinstance(left, dict) and isinstance(left.get("concat"), list):
        return tuple(map(_field, left["concat"]))
    return (_field(left),)


def _field(left: Any) -> str:
    """Parse a field: `meta iifname`, `ip saddr`, `ct original ip saddr`, `fib daddr type`."""
    if not isinstance(left, dict) or len(left) != 1:
        return UNKNOWN
    ((kind, inner),) = left.items()
    if kind == "&" and isinstance(inner, list) and inner and isinstance(inner[0], dict) and "ct" in inner[0]:
        return _field(inner[0])
    if not isinstance(inner, dict):
        return UNKNOWN
    if kind == "payload":
        return f"{inner.get('protocol')} {inner.get('field')}"
    if kind == "fib":
        flags = inner.get("flags")
        return f"fib {_concatenated(map(str, flags)) if isinstance(flags, list) else flags} {inner.get('result')}"
    words = (kind, inner.get("dir", ""), inner.get("key", ""))
    return " ".join(str(word) for word in words if word) if kind in ("meta", "ct") else UNKNOWN


def _written(fields: Iterable[str]) -> str:
    """Return fields as nft prints them: it omits the first word of those about interfaces."""
    return _concatenated(field.removeprefix("meta ") if field[5:8] in ("iif", "oif") else field for field in fields)


def _concatenated(words: Iterable[str]) -> str:
    return " . ".join(words)


def _values(right: Any, elements: Elements) -> Iterator[Element]:
    """Parse the right side of a match: one value or those of a set; a range as `1-9`, a prefix as `10.0.0.0/8`."""
    if isinstance(right, str) and right.startswith("@"):
        for element in elements(right[1:]):
            # An element of a map has a value, too.
            yield from _values(element[0] if isinstance(element, list) and element else element, lambda name: ())
    elif isinstance(right, list):
        for each in right:
            yield from _values(each, elements)
    elif isinstance(right, dict) and "set" in right:
        yield from _values(right["set"], elements)
    elif isinstance(right, dict) and isinstance(right.get("elem"), dict):
        comment = str(right["elem"].get("comment", ""))
        yield from (replace(each, comment=comment) for each in _values(right["elem"].get("val"), elements))
    elif isinstance(right, dict) and isinstance(right.get("concat"), list):
        yield Element(tuple(map(_word, right["concat"])))
    else:
        yield Element((_word(right),))


def _word(value: Any) -> str:
    """Parse one value."""
    if isinstance(value, bool):
        return "exists" if value else "missing"
    if not isinstance(value, dict):
        return str(value)
    match value:
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case {"range": [first, last]}:
            return f"{first}-{last}"
    return UNKNOWN
