"""The dialect of `iptables`: facts about chains and rules, input of iptables-restore, output of iptables-save.

Formats: iptables(8), iptables-extensions(8), iptables-save(8), iptables-restore(8), of 1.8.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from mydockernet.dialects.fact import (
    SHARED,
    TAG,
    Argv,
    Chain,
    Fact,
    Observed,
    Rule,
    Step,
    marked,
    tag,
)
from mydockernet.errors import Failed, quoted
from mydockernet.value import replace

PROGRAMS = {4: "iptables", 6: "ip6tables"}
OWN = "MYDOCKERNET-"

Spec = frozenset[tuple[bool, str, str]]


class OwnChain(Fact):
    """A chain of mydockernet. Chains have no comment: the marks of its rules and of the jumps to it show its owner."""

    chain: Chain
    why: str
    for_admin: bool = False

    @property
    def what(self) -> str:
        return f"chain: {self.chain.table} {self.chain.name}"

    def firewall(self) -> str:
        return "iptables"

    def shown_by(self) -> str:
        return PROGRAMS[self.chain.family]

    def holds(self, seen: Observed) -> bool:
        return self.chain in seen.chains

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(self.why, _command(self.chain, "-N", ())),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        if any(not is_ours(rule) for rule in seen.chains.get(self.chain, ())):
            return ()  # It has rules of other programs: they stay, and so does the chain.
        if any(not is_ours(rule) for rule in _leading_to(self.chain, seen)):
            return ()
        return (Step(f"Delete the chain {self.chain.name}, which is empty now.", _command(self.chain, "-X", ())),)

    def obstacle(self, seen: Observed) -> str:
        rules = (*seen.chains.get(self.chain, ()), *_leading_to(self.chain, seen))
        if self.for_admin or self.chain not in seen.chains or any(map(is_ours, rules)):
            return ""
        return f"chain {quoted(self.chain.name)} of another program already exists in table {self.chain.table}"


class OwnRule(Fact):
    """A rule of mydockernet: its match, its target, and the owner in its comment.

    It is appended, or inserted as the `first` rule of the chain. With `after`, the words of the rules that precede it
    in a chain of mydockernet, it is inserted behind those; if it is `late`, also behind the rules of
    single networks.
    """

    chain: Chain
    owner: str
    match: Argv
    target: Argv
    why: str
    first: bool = False
    after: tuple[Argv, ...] | None = None
    late: bool = False

    @property
    def words(self) -> Argv:
        """The rule as iptables takes it, without command and chain."""
        return (*self.match, "-m", "comment", "--comment", tag(self.owner), "-j", *self.target)

    @property
    def what(self) -> str:
        return f"rule: {self.chain.table} {self.summary}"

    def firewall(self) -> str:
        return "iptables"

    def shown_by(self) -> str:
        return PROGRAMS[self.chain.family]

    def holds(self, seen: Observed) -> bool:
        return self._place(seen) is not None

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(self.why, self._command(seen)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        owner = "a shared rule" if self.owner == SHARED else f"a rule of {self.owner}"
        why = f"Delete {owner}: {self.chain.table} {self.summary}."
        return (Step(why, _command(self.chain, "-D", self.words)),) * max(1, self.copies(seen))

    def slot(self) -> str:
        # Another container may need the same rule, for another reason.
        return f"{self.chain.family} {self.chain.table} {self.chain.name} {' '.join(self.words)}"

    def copies(self, seen: Observed) -> int:
        """Return how often the observation shows it."""
        return seen.ranks(self.chain).copies.get(read_spec(self.words), 0)

    @property
    def summary(self) -> str:
        """The rule without its comment: `FORWARD -j MYDOCKERNET-FORWARD`."""
        return " ".join((self.chain.name, *self.match, "-j", *self.target))

    def _place(self, seen: Observed) -> int | None:
        return seen.ranks(self.chain).first.get(read_spec(self.words))

    def _command(self, seen: Observed) -> Argv:
        if self.first:
            return _command(self.chain, "-I", self.words)
        # Missing rules among those before this one are inserted before it.
        there, ranks = seen.chains.get(self.chain, ()), seen.ranks(self.chain)
        places = [ranks.first.get(read_spec(words)) for words in self.after or ()]
        if self.late:
            places += [n for n, rule in enumerate(there, 1) if is_ours(rule) and rule.comment != tag(SHARED)]
        place = max((p for p in places if p is not None), default=0) + places.count(None) + 1
        if self.after is None and self.chain.name.startswith(OWN) and ranks.ours < len(there):
            return _command(self.chain, "-I", self.words)
        if self.after is None or place > len(there) + places.count(None):
            return _command(self.chain, "-A", self.words)
        return _command(self.chain, "-I", self.words, str(place))


class PortRule(OwnRule):
    """A rule that translates a port. The kernel evaluates it only for the first packet of a flow.

    When it is created or deleted, the commands in `flows` delete the entries of conntrack for that port. Those of TCP
    need it only at the end: a port that was not published refused connections, and the kernel begins a new entry when
    the same client tries again.
    """

    flows: tuple[Argv, ...] = ()

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (*OwnRule.do(self, seen), *(step for step in self._forget(seen) if "tcp" not in step.do))

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (*OwnRule.undo(self, seen), *self._forget(seen))

    def _forget(self, seen: Observed) -> Iterable[Step]:
        why = "Forget earlier connections to this port: the kernel would keep translating them as before."
        return (Step(why, argv, optional=True) for argv in self.flows if seen.conntrack)


class Order(Fact):
    """The order of rules in one chain: those that exist are there once, in order, before those of other programs."""

    rules: tuple[OwnRule, ...]

    @property
    def what(self) -> str:
        if len(self.rules) == 1:
            return f"{self.rules[0].what} (must be there once, before the rules of other programs)"
        chain = f"{self._chain.table} {self._chain.name}"
        return f"rules: {chain} (must be there once each, in order, before the rules of other programs)"

    def firewall(self) -> str:
        return self.rules[0].firewall()

    def shown_by(self) -> str:
        return self.rules[0].shown_by()

    @property
    def difference(self) -> str:
        return f"misplaced {self.what}"

    def holds(self, seen: Observed) -> bool:
        places = [place for place in (rule._place(seen) for rule in self.rules) if place is not None]
        before = max(places, default=0)
        once = all(rule.copies(seen) <= 1 for rule in self.rules)
        # The first of several is the jump to the admin's chain: no rule of a network may precede it.
        admins_first = len(self.rules) == 1 or self.rules[0]._place(seen) in (None, 1)
        return places == sorted(places) and once and admins_first and before <= seen.ranks(self._chain).ours

    def do(self, seen: Observed) -> tuple[Step, ...]:
        # Missing rules have just been added.
        return (
            *(
                replace(s, why=f"{s.why} It is misplaced; the next step inserts it again.")
                for rule in self.rules
                for s in rule.undo(seen)
            ),
            *(
                Step(rule.why, _command(rule.chain, "-I", rule.words, str(place)))
                for place, rule in enumerate(self.rules, 1)
            ),
        )

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return ()

    @property
    def _chain(self) -> Chain:
        return self.rules[0].chain


class EarlyRule(OwnRule):
    """A rule of one network in a shared chain, behind the jump to the admin's chain, before the other shared rules.

    The shared rules accept replies. So when a rule that lets packets in is deleted, the commands in `flows` end the
    connections that it let in.
    """

    flows: tuple[Argv, ...] = ()

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = "Forget the connections that this rule let in: their packets would count as replies."
        ends = (Step(why, argv, optional=True) for argv in self.flows if seen.conntrack)
        return (*OwnRule.undo(self, seen), *ends)

    def _command(self, seen: Observed) -> Argv:
        return _command(self.chain, "-I", self.words, "2")


class BesideRule(OwnRule):
    """A rule in a chain of other programs that accepts what nftables has let pass, if they may drop it there."""

    def firewall(self) -> str:
        return "nftables"

    def holds(self, seen: Observed) -> bool:
        drops = seen.policies.get(self.chain) == "DROP"
        others = drops or any(not is_ours(rule) for rule in seen.chains.get(self.chain, ()))
        return not others or OwnRule.holds(self, seen)

    def remains(self, seen: Observed) -> bool:
        return OwnRule.holds(self, seen)


class EarlyOrder(Order):
    """The place of an EarlyRule among the `shared` rules of its chain."""

    shared: Order

    def holds(self, seen: Observed) -> bool:
        place = self.rules[0]._place(seen)
        others = [rule._place(seen) for rule in self.shared.rules[1:]]
        early = place is None or all(other is None or place < other for other in others)
        # If the shared rules are inserted again, they come before this one.
        return Order.holds(self, seen) and self.shared.holds(seen) and early

    def do(self, seen: Observed) -> tuple[Step, ...]:
        (rule,) = self.rules
        why = f"{rule.why} It is misplaced; the next step inserts it again."
        return (*(replace(step, why=why) for step in rule.undo(seen)), Step(rule.why, rule._command(seen)))


class StrayRule(Fact):
    """A rule that carries a mark of mydockernet but that no network needs; or, with `has`, surplus copies of a rule."""

    chain: Chain
    owner: str
    words: Argv
    copies: int
    has: OwnRule | None = None

    @property
    def what(self) -> str:
        copies = f" ({self.copies} copies)" if self.copies > 1 else ""
        return f"rule: {self.chain.table} {self.chain.name} {' '.join(self.words)}{copies}"

    def holds(self, seen: Observed) -> bool:
        return True  # It was found by observation.

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return ()

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = "Delete a rule that carries mydockernet's mark but that no network needs."
        if self.has is None:
            return (Step(why, _command(self.chain, "-D", self.words)),) * self.copies
        # iptables cannot delete a particular copy: delete all of them, and add the rule again in its place.
        return (*self.has.undo(seen), *OwnRule.do(self.has, seen))


def strays(seen: Observed, known: Iterable[OwnRule], kept: Iterable[OwnRule]) -> Iterator[StrayRule]:
    """Yield the rules that carry a mark of mydockernet and are not known, and surplus copies of those that are kept."""
    specs = {(rule.chain, read_spec(rule.words)) for rule in known}
    one_each = {(rule.chain, read_spec(rule.words)): rule for rule in kept}
    for chain, chain_rules in seen.chains.items():
        for rule, copies in Counter(replace(r, packets=0, bytes=0) for r in chain_rules if is_ours(r)).items():
            has = one_each.get((chain, rule.spec))
            if (chain, rule.spec) not in specs:
                yield StrayRule(chain, rule.comment.removeprefix(TAG), words_of(rule.text), copies)
            elif has and copies > 1:
                yield StrayRule(chain, has.owner, has.words, copies, has)


def is_ours(rule: Rule) -> bool:
    """Whether a rule carries a mark of mydockernet."""
    return marked(rule.comment)


def batch(commands: Sequence[Argv]) -> tuple[Argv, str, tuple[int, ...]]:
    """Combine commands of one family into one `iptables-restore --noflush`.

    Returns its argv, its input, and for each line of the input the index of its command. Lines that open or close a
    table belong to the adjacent command.
    """
    lines: list[str] = []
    owners: list[int] = []
    table = ""
    for index, argv in enumerate(commands):
        if argv[2] != table:
            opening = ([] if not table else ["COMMIT"]) + [f"*{argv[2]}"]
            lines += opening
            owners += [index] * len(opening)
            table = argv[2]
        lines.append(" ".join(argv[3:-1]))
        owners.append(index)
    lines.append("COMMIT")
    owners.append(len(commands) - 1)
    return (f"{commands[0][0]}-restore", "--noflush", "--wait"), "\n".join(lines) + "\n", tuple(owners)


def foldable(argv: Argv) -> bool:
    """Whether `batch` can combine a command with others: one built by `_command`, of words that need no quotes."""
    return (
        argv[0] in ("iptables", "ip6tables", "iptables-legacy", "iptables-nft")
        and argv[1:2] == ("-t",)
        and argv[-1:] == ("--wait",)
        and not any(c in word for word in argv for c in "#\"'\\ \t\n")
    )


def read_rules(family: int, text: str) -> dict[Chain, tuple[Rule, ...]]:
    """Parse the output of `iptables-save --counters`: the rules of each chain, in order. Raises Failed."""
    chains: dict[Chain, list[Rule]] = {}
    table = ""
    for line in text.split("\n"):
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            chains.setdefault(Chain(family, table, line[1:].split(" ", 1)[0]), [])
        elif line.startswith(("-A ", "[")):
            try:
                chain, rule = _read_rule(line)
            except ValueError:
                raise Failed(f"cannot parse this line of {PROGRAMS[family]}-save: {line!r}") from None
            chains.setdefault(Chain(family, table, chain), []).append(rule)
    return {chain: tuple(rules) for chain, rules in chains.items()}


def read_policies(family: int, text: str) -> dict[Chain, str]:
    """Parse the policies of the built-in chains in the output of iptables-save, as in `:FORWARD DROP [0:0]`."""
    policies: dict[Chain, str] = {}
    table = ""
    for line in text.split("\n"):
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":") and len(words := line[1:].split()) > 1 and words[1] != "-":
            policies[Chain(family, table, words[0])] = words[1]
    return policies


def read_spec(words: Iterable[str]) -> Spec:
    """Return a rule in a form that ignores the order and spelling of its words: (negated, option, value) per option.

    iptables-save reorders matches, adds `-m tcp`, writes 10.0.0.1 as 10.0.0.1/32 and 28004 as 0x6d64.
    """
    return frozenset((no, option, _value(option, values)) for no, option, values in options(words) if option != "-m")


# Options whose value may look like an option.
WORDY = ("--comment", "--log-prefix", "--nflog-prefix", "--string")


def options(words: Iterable[str]) -> list[tuple[bool, str, list[str]]]:
    """Return the options of a rule in order: whether a ! precedes it, its name, its values."""
    found: list[tuple[bool, str, list[str]]] = []
    negated = False
    for word in words:
        if word == "!":
            negated = True
        elif word.startswith("-") and len(word) > 1 and not _wants_a_word(found):
            found.append((negated, word, []))
            negated = False
        elif found:
            found[-1][2].append(word)
    return found


_ESCAPED = re.compile(r"\\(.)")
_WORDS = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_COUNTED = re.compile(r"(?:\[(\d+):(\d+)\] )?-A (\S+) ?(.*)")


def _read_rule(line: str) -> tuple[str, Rule]:
    found = _COUNTED.fullmatch(line)
    if found is None:
        raise ValueError(line)
    packets, size, chain, text = found.groups()
    words = words_of(text)
    comment = next((words[i + 1] for i, w in enumerate(words[:-1]) if w == "--comment"), "")
    return chain, Rule(read_spec(words), comment, text, int(packets or 0), int(size or 0))


def _wants_a_word(found: list[tuple[bool, str, list[str]]]) -> bool:
    return bool(found) and found[-1][1] in WORDY and not found[-1][2]


def words_of(text: str) -> Argv:
    """Split a rule of iptables-save into words, without its quotes and escapes."""
    if '"' not in text:
        return tuple(text.split())
    every = _WORDS.findall(text)
    return tuple((_ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted) or bare for quoted, bare in every)


def _value(option: str, values: Sequence[str]) -> str:
    if option.endswith("-group") and len(values) == 1:
        try:
            return str(int(values[0], 0))
        except ValueError:
            return values[0]
    if option == "--ctstate":
        return ",".join(sorted(" ".join(values).split(",")))
    return " ".join(values).removesuffix("/32").removesuffix("/128")


def _leading_to(chain: Chain, seen: Observed) -> Iterable[Rule]:
    targets = {(False, "-j", chain.name), (False, "-g", chain.name)}
    return (
        rule
        for place, rules in seen.chains.items()
        if (place.family, place.table) == (chain.family, chain.table)
        for rule in rules
        if targets & rule.spec
    )


def _command(chain: Chain, verb: str, words: Argv, place: str = "") -> Argv:
    # --wait matters if iptables is the legacy variant: another program may hold its lock.
    places = (place,) if place else ()
    return (PROGRAMS[chain.family], "-t", chain.table, verb, chain.name, *places, *words, "--wait")
