"""The dialect of `nft`: a table of constant rules, and the elements of its sets and maps, as facts.

Formats: nft(8), libnftables-json(5), of 1.0.
"""

import json
from collections.abc import Iterable, Iterator, Sequence

from mydockernet.dialects.fact import SHARED, TAG, Argv, Fact, Observed, OwnTable, Step, marked, tag
from mydockernet.errors import Failed
from mydockernet.model import IPNetwork
from mydockernet.value import Value

NFT = "nft"
TABLE = ("inet", "mydockernet")
# It fails if the table does not exist.
READ: Argv = (NFT, "-j", "list", "table", *TABLE)
ABSENT = "No such file or directory"
# The admin's own chain, which is never flushed.
USER = "user"


class Line(Value):
    """A constant rule: its expression, and what it does, in words."""

    text: str
    why: str

    @property
    def comment(self) -> str:
        """The comment of the rule. An observation tells rules by it: nft prints them in other words in each version."""
        return f"{tag(SHARED)}: {self.why}"

    @property
    def sentence(self) -> str:
        """What it does, as a sentence."""
        return f"{self.why[0].upper()}{self.why[1:]}."


class Chain(Value):
    """A chain: its hook as nft takes it, empty if other chains jump to it, and its rules."""

    name: str
    why: str
    hook: str = ""
    lines: tuple[Line, ...] = ()


class Elements(Value):
    """A set, or a map from its keys to values, with its type as nft takes it.

    If it is `counted`, each element counts the packets that match it.
    """

    name: str
    type: str
    why: str
    counted: bool = True

    @property
    def _kind(self) -> str:
        return "map" if " : " in self.type else "set"

    @property
    def words(self) -> Argv:
        """What follows `add`."""
        interval = " flags interval;" if "addr" in self.type else ""
        counter = " counter;" if self.counted else ""
        return (self._kind, *TABLE, self.name, f"{{ type {self.type};{interval}{counter} }}")


class Table(Fact):
    """The table of mydockernet: its chains, rules, sets. What creates it keeps the admin's rules and all elements."""

    chains: tuple[Chain, ...]
    sets: tuple[Elements, ...]

    @property
    def what(self) -> str:
        return f"nftables table: {' '.join(TABLE)}"

    @property
    def difference(self) -> str:
        return f"nftables table {' '.join(TABLE)} is missing or has changed"

    def firewall(self) -> str:
        return "nftables"

    def shown_by(self) -> str:
        return NFT

    def holds(self, seen: Observed) -> bool:
        if seen.table is None:
            return False
        there = seen.table.chains
        return all(seen.table.types.get(each.name) == each.type for each in self.sets) and all(
            chain.name in there
            and (chain.name == USER or there[chain.name] == (chain.hook, *(line.comment for line in chain.lines)))
            for chain in self.chains
        )

    def remains(self, seen: Observed) -> bool:
        return seen.table is not None

    def do(self, seen: Observed) -> tuple[Step, ...]:
        there = seen.table.chains if seen.table else ()
        flushed = [chain.name for chain in self.chains if chain.name in there and chain.name != USER]
        return tuple(
            Step(why, (NFT, *words))
            for why, words in (
                ("Create a table for the rules of all networks.", ("add", "table", *TABLE)),
                *((each.why, ("add", *each.words)) for each in self.sets),
                *((chain.why, _add_chain(chain)) for chain in self.chains),
                *(("Delete the rules of the chain.", ("flush", "chain", *TABLE, name)) for name in flushed),
                *((line.sentence, _add_rule(chain, line)) for chain in self.chains for line in chain.lines),
            )
        )

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        if seen.table is None or not seen.table.chains.get(USER, ())[1:]:
            return (Step("Delete the table: it has all rules of mydockernet.", (NFT, "delete", "table", *TABLE)),)
        # The admin's own rules stay, in a chain that nothing leads to, and the sets that they may name.
        names = [chain.name for chain in self.chains if chain.name in seen.table.chains and chain.name != USER]
        flushed = (("Delete the rules of the chain.", ("flush", "chain", *TABLE, name)) for name in names)
        deleted = (("Delete a chain that nothing leads to.", ("delete", "chain", *TABLE, name)) for name in names)
        return tuple(Step(why, (NFT, *words)) for why, words in (*flushed, *deleted))

    def obstacle(self, seen: Observed) -> str:
        if seen.table is None:
            return ""
        types = {each.name: each.type for each in self.sets}
        if any(types.get(name, there) != there for name, there in seen.table.types.items()):
            return f"nftables table {' '.join(TABLE)} has sets of other types: another version created it"
        ours = any(line.startswith(TAG) for lines in seen.table.chains.values() for line in lines)
        if ours or seen.table.types or not seen.table.chains.keys() - {USER}:
            return ""
        return f"nftables table {' '.join(TABLE)} of another program already exists"


class Element(Fact):
    """An element of a set, or of a map with a `value`, with the mark of its owner.

    The commands in `flows` end the connections that it lets in or, if it has a value, translates: when it is deleted;
    and when it is created those that do not end of themselves, as PortRule does.
    """

    set: str
    key: str
    owner: str
    why: str
    value: str = ""
    flows: tuple[Argv, ...] = ()

    @property
    def what(self) -> str:
        return f"nftables element: {self.set} {self._content}"

    def firewall(self) -> str:
        return "nftables"

    def shown_by(self) -> str:
        return NFT

    def slot(self) -> str:
        return f"nftables {self.set} {self.key}"

    def holds(self, seen: Observed) -> bool:
        return seen.table is not None and seen.table.elements.get((self.set, self.key)) == (self.value, tag(self.owner))

    def obstacle(self, seen: Observed) -> str:
        _, comment = seen.table.elements.get((self.set, self.key), ("", "")) if seen.table else ("", "")
        theirs = comment.removeprefix(TAG)
        if not marked(comment) or theirs.partition("@")[2] == self.owner.partition("@")[2]:
            return ""
        return f"nftables element {self.set} {self._content} of another state directory already exists: {theirs}"

    def do(self, seen: Observed) -> tuple[Step, ...]:
        comment = f'comment "{tag(self.owner)}"'
        element = f"{self.key} {comment} : {self.value}" if self.value else f"{self.key} {comment}"
        other = seen.table is not None and (self.set, self.key) in seen.table.elements
        return (
            *((_delete(self.set, self.key, f"Delete what {self.set} has for the same key."),) if other else ()),
            Step(self.why, (NFT, "add", "element", *TABLE, self.set, f"{{ {element} }}")),
            *(step for step in self._forget(seen) if self.value and "tcp" not in step.do),
        )

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = f"Delete an element of {self.owner}: {self.set} {self._content}."
        return (_delete(self.set, self.key, why), *self._forget(seen))

    def _forget(self, seen: Observed) -> Iterator[Step]:
        why = "Forget earlier connections: the kernel would keep treating them as before."
        return (Step(why, argv, optional=True) for argv in self.flows if seen.conntrack)

    @property
    def _content(self) -> str:
        return f"{self.key} : {self.value}" if self.value else self.key


class StrayElement(Fact):
    """An element that carries a mark of mydockernet but that no network needs."""

    set: str
    key: str
    owner: str

    @property
    def what(self) -> str:
        return f"nftables element: {self.set} {self.key}"

    def firewall(self) -> str:
        return "nftables"

    def shown_by(self) -> str:
        return NFT

    def holds(self, seen: Observed) -> bool:
        return True  # It was found by observation.

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return ()

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = "Delete an element that carries mydockernet's mark but that no network needs."
        return (_delete(self.set, self.key, why),)


def _delete(name: str, key: str, why: str) -> Step:
    return Step(why, (NFT, "delete", "element", *TABLE, name, f"{{ {key} }}"))


def owned(table: OwnTable) -> Iterator[str]:
    """Yield the comments of the rules and elements that carry a mark of mydockernet."""
    yield from (line for lines in table.chains.values() for line in lines if line.startswith(tag(SHARED)))
    yield from (comment for _, comment in table.elements.values() if marked(comment))


def strays(seen: Observed, known: Iterable[Fact]) -> Iterator[StrayElement]:
    """Yield the elements that carry a mark of mydockernet and are not known."""
    keys = {(fact.set, fact.key) for fact in known if isinstance(fact, Element)}
    for (name, key), (_, comment) in seen.table.elements.items() if seen.table else ():
        if marked(comment) and (name, key) not in keys:
            yield StrayElement(name, key, comment.removeprefix(TAG))


def marks_of(subnet: IPNetwork, seen: Observed) -> Iterator[str]:
    """Yield the mark of the owner of the subnet of a network without a bridge."""
    if seen.table and (found := seen.table.elements.get((f"routed{subnet.version}", str(subnet)))):
        yield found[1]


def batch(commands: Sequence[Argv]) -> tuple[Argv, str, tuple[int, ...]]:
    """Combine commands into one `nft -f`, which is one transaction.

    Returns its argv, its input, and for each line of the input the index of its command.
    """
    lines = [" ".join(argv[1:]) for argv in commands]
    return (NFT, "-f", "-"), "\n".join(lines) + "\n", tuple(range(len(lines)))


def foldable(argv: Argv) -> bool:
    """Whether `batch` can combine a command with others: one about the table."""
    return argv[0] == NFT and argv[3:5] == TABLE and not any("\n" in word for word in argv)


def read(text: str) -> OwnTable:
    """Parse the output of READ. Raises Failed."""
    chains: dict[str, tuple[str, ...]] = {}
    types: dict[str, str] = {}
    elements: dict[tuple[str, str], tuple[str, str]] = {}
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    try:
        for kind, body in (pair for each in json.loads(text)["nftables"] for pair in each.items()):
            if kind == "chain":
                chains.setdefault(body["name"], (_hook(body),))
            elif kind in ("set", "map"):
                types[body["name"]] = _type(body)
                for element in body.get("elem", ()):
                    key, value, comment, counter = _element(element, types[body["name"]])
                    elements[body["name"], key] = (value, comment)
                    counts.update(_count((body["name"], key), counter))
            elif kind == "rule":
                chains[body["chain"]] = (*chains[body["chain"]], body.get("comment", ""))
                # The hook comes before the comments of the rules.
                place = (body["chain"], str(len(chains[body["chain"]]) - 1))
                for counter in (each["counter"] for each in body["expr"] if "counter" in each):
                    counts.update(_count(place, counter))
    except (ValueError, AttributeError, TypeError, KeyError, IndexError):
        raise Failed(f"cannot parse the output of `{' '.join(READ)}`") from None
    return OwnTable(chains, types, elements, counts)


def _hook(body: dict) -> str:  # type: ignore[type-arg]
    if "hook" not in body:
        return ""
    return f"type {body['type']} hook {body['hook']} priority {body['prio']}; policy {body['policy']};"


def _type(body: dict) -> str:  # type: ignore[type-arg]
    sides = [body["type"], *([body["map"]] if "map" in body else [])]
    return " : ".join(side if isinstance(side, str) else " . ".join(side) for side in sides)


def _count(place: tuple[str, str], counter: object) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
    """Yield the place of a counter, and its packets and bytes; nothing if there is none."""
    if isinstance(counter, dict):
        yield place, (int(counter["packets"]), int(counter["bytes"]))


def _element(element: object, kind: str) -> tuple[str, str, str, object]:
    """Return key, value, comment and counter of an element of a set or map of some type."""
    value: object = ""
    counter: object = None
    columns, _, of_map = kind.partition(" : ")
    if of_map and isinstance(element, list):
        element, value = element
    comment = ""
    if isinstance(element, dict) and "elem" in element:
        comment, counter = element["elem"].get("comment", ""), element["elem"].get("counter")
        element = element["elem"]["val"]
    parts = element["concat"] if isinstance(element, dict) and "concat" in element else [element]
    names = zip(columns.split(" . "), map(_words, parts), strict=True)
    key = " . ".join(quoted_name(word) if column == "ifname" else word for column, word in names)
    return key, _words(value), comment, counter


def quoted_name(dev: str) -> str:
    """Return the name of an interface as a word that is no keyword of nft."""
    return f'"{dev}"'


def _words(value: object) -> str:
    """Return a value as nft takes it."""
    match value:
        case {"concat": parts}:
            return " . ".join(map(_words, parts))
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case {"range": [first, last]}:
            return f"{first}-{last}"
    return str(value)


def _add_chain(chain: Chain) -> Argv:
    return ("add", "chain", *TABLE, chain.name, *((f"{{ {chain.hook} }}",) if chain.hook else ()))


def _add_rule(chain: Chain, line: Line) -> Argv:
    return ("add", "rule", *TABLE, chain.name, line.text, "comment", f'"{line.comment}"')
