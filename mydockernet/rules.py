"""The dialect of `iptables`: facts about chains and rules, restore text, and what iptables-save prints.

Formats: iptables(8), iptables-extensions(8), iptables-save(8), iptables-restore(8), of 1.8.
The rules themselves, as they stand when two networks, one of them internal, exist:

    mangle PREROUTING ─ no known flow ─► MYDOCKERNET-PREROUTING ─┬─ from a network, and not an address behind it  DROP
                                    └─ from SUBNET, not by its bridge    DROP, one a network
    mangle FORWARD ─► MYDOCKERNET-FORWARD ─┬─► MYDOCKERNET-USER   the admin's own rules come first
                                    ├─ bridged, one network       RETURN
                                    ├─ from, or to, internal      DROP
                                    ├─ from a network, INVALID    DROP
                                    └─ to a network, no reply     DROP
    filter FORWARD ─► MYDOCKERNET-FORWARD ─┬─► MYDOCKERNET-USER   and again here
                                    ├─ bridged, one network       ACCEPT
                                    ├─ from, or to, internal      DROP
                                    ├─ from a network, INVALID    DROP
                                    ├─ to a network, a reply      ACCEPT
                                    ├─ to a network               DROP
                                    └─ from a network             ACCEPT
    POSTROUTING ── from SUBNET, not to its bridge ── MASQUERADE   one a network

An ACCEPT ends the way through one table only. So the drops stand in mangle, where no ACCEPT in filter overrides them,
and the accepts in filter, where others may drop. With a port of the first network published on every address:

    raw PREROUTING ─ from or to 127.0.0.0/8, not by lo ─ DROP     the guards; while a port answers on loopback
    PREROUTING, OUTPUT ── to an address of the host ─► MYDOCKERNET-PORTS ── port 8080 ── DNAT to 10.1.0.2:80
    POSTROUTING ── from SUBNET, to its bridge, translated ─ MASQUERADE   so that the answer comes back this way
    POSTROUTING ── from 127.0.0.0/8, to its bridge ── MASQUERADE         a container can't answer to 127.0.0.1
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mydockernet.errors import Failed
from mydockernet.facts import SHARED, TAG, Argv, Chain, Fact, Observed, Rule, Step, marked, tag
from mydockernet.links import GROUP, GROUP_INTERNAL
from mydockernet.model import Address, IPNetwork, PortMapping

PROGRAMS = {4: "iptables", 6: "ip6tables"}
OWN = "MYDOCKERNET-"
FORWARD = "MYDOCKERNET-FORWARD"
PREROUTING = "MYDOCKERNET-PREROUTING"
USER = "MYDOCKERNET-USER"
PORTS = "MYDOCKERNET-PORTS"

Spec = frozenset[tuple[bool, str, str]]


@dataclass(frozen=True, slots=True)
class OwnChain(Fact):
    """A chain of ours. Chains carry no comment: what is in it, or leads to it, tells whose it is."""

    chain: Chain
    why: str
    for_admin: bool = False

    @property
    def what(self) -> str:
        return f"the chain {self.chain.name} in {self.chain.table}"

    def holds(self, seen: Observed) -> bool:
        return self.chain in seen.chains

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(self.why, _command(self.chain, "-N", ())),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        if any(not is_ours(rule) for rule in seen.chains.get(self.chain, ())):
            return ()  # Somebody's rules are in it; they stay, and so does it.
        if any(not is_ours(rule) for rule in _leading_to(self.chain, seen)):
            return ()
        return (Step(f"Delete the chain {self.chain.name}, now empty.", _command(self.chain, "-X", ())),)

    def obstacle(self, seen: Observed) -> str:
        rules = (*seen.chains.get(self.chain, ()), *_leading_to(self.chain, seen))
        if self.for_admin or self.chain not in seen.chains or any(map(is_ours, rules)):
            return ""
        return f"an iptables chain named {self.chain.name} exists already in {self.chain.table}, and is not ours"


@dataclass(frozen=True, slots=True)
class OwnRule(Fact):
    """A rule of ours: what it matches, where it sends that, and the owner in its comment.

    It is appended; or inserted as the chain's `first`; or, where `after` holds the rules that it is to follow
    in a chain of ours, put back behind them.
    """

    chain: Chain
    owner: str
    match: Argv
    target: Argv
    why: str
    first: bool = False
    after: tuple["OwnRule", ...] | None = None

    @property
    def words(self) -> Argv:
        """The rule as iptables takes it, without the command and the chain."""
        return (*self.match, "-m", "comment", "--comment", tag(self.owner), "-j", *self.target)

    @property
    def what(self) -> str:
        return f"the rule {self.summary}, of {self.chain.table}"

    def holds(self, seen: Observed) -> bool:
        return self._place(seen) is not None

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(self.why, self._command(seen)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = f"Delete the rule of {'the shared chains' if self.owner == SHARED else self.owner}: {self.summary}."
        return (Step(why, _command(self.chain, "-D", self.words)),) * max(1, self.copies(seen))

    def copies(self, seen: Observed) -> int:
        """How often the kernel shows it."""
        spec = read_spec(self.words)
        return sum(rule.spec == spec for rule in seen.chains.get(self.chain, ()))

    @property
    def summary(self) -> str:
        """The rule in short, for a sentence."""
        return f"{' '.join(self.match) or 'everything'} to {' '.join(self.target)}, in {self.chain.name}"

    def _place(self, seen: Observed) -> int | None:
        spec = read_spec(self.words)
        rules = seen.chains.get(self.chain, ())
        return next((place for place, rule in enumerate(rules, 1) if rule.spec == spec), None)

    def _command(self, seen: Observed) -> Argv:
        if self.first:
            return _command(self.chain, "-I", self.words)
        # The missing ones of the rules before this one are put back before it.
        places = [rule._place(seen) for rule in self.after or ()]
        place = max((p for p in places if p is not None), default=0) + places.count(None) + 1
        there = seen.chains.get(self.chain, ())
        if self.after is None and self.chain.name.startswith(OWN) and not all(map(is_ours, there)):
            return _command(self.chain, "-I", self.words)
        if self.after is None or place > len(there) + places.count(None):
            return _command(self.chain, "-A", self.words)
        return _command(self.chain, "-I", self.words, str(place))


@dataclass(frozen=True, slots=True)
class PortRule(OwnRule):
    """A rule that translates a port. The kernel asks it only about a flow's first packet.

    So when it comes or goes, what is remembered of the `flows` to that port has to be forgotten.
    """

    flows: tuple[Argv, ...] = ()

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (*OwnRule.do(self, seen), *self._forget(seen))

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (*OwnRule.undo(self, seen), *self._forget(seen))

    def _forget(self, seen: Observed) -> Iterable[Step]:
        why = "Forget flows to this port that began earlier: the kernel would go on sending them the old way."
        return (Step(why, argv, optional=True) for argv in self.flows if seen.conntrack)


@dataclass(frozen=True, slots=True)
class Order(Fact):
    """Rules of one chain, each once, in their order, and before all rules of others; as far as they are there."""

    rules: tuple[OwnRule, ...]

    @property
    def what(self) -> str:
        rules = self.rules[0].summary if len(self.rules) == 1 else f"the rules in {self._chain.name}"
        return f"{rules}, of {self._chain.table}: once each, in order, before any rule of others"

    def holds(self, seen: Observed) -> bool:
        places = [place for place in (rule._place(seen) for rule in self.rules) if place is not None]
        before = seen.chains.get(self._chain, ())[: max(places, default=0)]
        once = all(rule.copies(seen) <= 1 for rule in self.rules)
        return places == sorted(places) and once and all(map(is_ours, before))

    def do(self, seen: Observed) -> tuple[Step, ...]:
        # Those that were missing have just been added.
        return (
            *(Step("Take it out, to put it in its place.", step.do) for r in self.rules for step in r.undo(seen)),
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


@dataclass(frozen=True, slots=True)
class StrayRule(Fact):
    """A rule that carries a mark of ours, and that no network has; or, where one `has` it, too many copies of it."""

    chain: Chain
    owner: str
    words: Argv
    copies: int
    has: OwnRule | None = None

    @property
    def what(self) -> str:
        copies = f"{self.copies} times " if self.copies > 1 else ""
        return f"the rule {' '.join(self.words)}, {copies}in {self.chain.name} of {self.chain.table}"

    def holds(self, seen: Observed) -> bool:
        return True  # It was made from what is seen.

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return ()

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = "Delete a rule that carries our mark, but that no network needs."
        if self.has is None:
            return (Step(why, _command(self.chain, "-D", self.words)),) * self.copies
        # Which of them goes can't be told in words: all go, and it is put back where it belongs.
        return (*self.has.undo(seen), *OwnRule.do(self.has, seen))


def strays(seen: Observed, known: Iterable[OwnRule], kept: Iterable[OwnRule]) -> Iterator[StrayRule]:
    """The rules that carry a mark of ours, less the known ones; and of those that are kept the copies too many."""
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
    """Whether a rule carries our mark, whichever network's."""
    return marked(rule.comment)


def shared_forward(family: int) -> tuple[Fact, ...]:
    """The chains of all networks of a family that say what is forwarded: the same number, however many networks."""
    return (*_shared_mangle(family), *_shared_filter(family))


def _shared_mangle(family: int) -> tuple[Fact, ...]:
    """The drops, in a table that is asked before filter."""
    guard = Chain(family, "mangle", PREROUTING)
    jump = OwnRule(
        Chain(family, "mangle", "PREROUTING"),
        SHARED,
        ("!", "-i", "lo", "-m", "conntrack", "!", "--ctstate", "RELATED,ESTABLISHED"),
        (PREROUTING,),
        "Check the source of every packet that belongs to no known connection.",
        first=True,
    )
    own_addresses = tuple(
        OwnRule(guard, SHARED, (*_group("src", group), "-m", "rpfilter", "--invert"), ("DROP",), why)
        for group, why in (
            (GROUP, "Drop what a container sends from an address that the host would not reach by that bridge."),
            (GROUP_INTERNAL, "The same for containers of an internal network."),
        )
    )
    rows = (
        (_BRIDGED, "RETURN", "Leave frames between containers on one bridge alone; br_netfilter makes them pass here."),
        *_internal(),
        _invalid(),
        (
            (*_group("dst", GROUP), "-m", "conntrack", "!", "--ctstate", ANSWERS),
            "DROP",
            "Drop whatever else would enter a network: only replies and traffic to published ports get in.",
        ),
    )
    return (
        OwnChain(guard, "Create a chain that tells whether a packet comes from where its source address belongs."),
        *(fact for rule in own_addresses for fact in (rule, Order((rule,)))),
        jump,
        Order((jump,)),
        *_forwarding(
            family,
            "mangle",
            rows,
            "Create a chain for what is never forwarded. It is in the mangle table, which the kernel consults before "
            "filter: no ACCEPT there can override it.",
            "Send what the host forwards through that chain first.",
        ),
    )


def _shared_filter(family: int) -> tuple[Fact, ...]:
    """What is accepted, whatever policy or rules others have after it; and the drops again."""
    rows = (
        (
            (*_BRIDGED, *_group("src", GROUP)),
            "ACCEPT",
            "Let containers on one bridge talk, where br_netfilter makes even bridged frames pass here.",
        ),
        (
            (*_BRIDGED, *_group("src", GROUP_INTERNAL)),
            "ACCEPT",
            "The same for containers on one bridge of an internal network.",
        ),
        *_internal(),
        _invalid(),
        (
            (*_group("dst", GROUP), "-m", "conntrack", "--ctstate", ANSWERS),
            "ACCEPT",
            "Accept what enters a network as a reply, or translated by a published port.",
        ),
        (
            _group("dst", GROUP),
            "DROP",
            "And nothing else: no unpublished port, no other network, no neighbor who routes to a container.",
        ),
        (_group("src", GROUP), "ACCEPT", "Let containers reach the outside."),
    )
    return _forwarding(
        family,
        "filter",
        rows,
        "Create one chain for the rules of all networks, so that it is plain whose they are.",
        "Send what the host forwards through that chain first, whatever policy or rules others have.",
    )


Row = tuple[Argv, str, str]
_BRIDGED: Argv = ("-m", "physdev", "--physdev-is-bridged")
ANSWERS = "RELATED,ESTABLISHED,DNAT"


def _forwarding(family: int, table: str, rows: Iterable[Row], why_chain: str, why_jump: str) -> tuple[Fact, ...]:
    """The chain of a table that FORWARD jumps to, with the admin's own chain first in it."""
    chain, user = Chain(family, table, FORWARD), Chain(family, table, USER)
    rules: list[OwnRule] = []
    for match, target, why in (((), USER, "Evaluate the admin's own rules first."), *rows):
        rules.append(OwnRule(chain, SHARED, match, (target,), why, after=tuple(rules)))
    jump = OwnRule(Chain(family, table, "FORWARD"), SHARED, (), (FORWARD,), why_jump, first=True)
    return (
        OwnChain(user, "Create a chain for the admin's own rules about containers; it is never flushed.", True),
        OwnChain(chain, why_chain),
        *rules,
        Order(tuple(rules)),
        jump,
        Order((jump,)),
    )


def _group(direction: str, number: str) -> Argv:
    return ("-m", "devgroup", f"--{direction}-group", number)


def _internal() -> tuple[Row, ...]:
    return (
        (_group("src", GROUP_INTERNAL), "DROP", "Let nothing out of an internal network."),
        (_group("dst", GROUP_INTERNAL), "DROP", "Let nothing into an internal network."),
    )


def _invalid() -> Row:
    return (
        (*_group("src", GROUP), "-m", "conntrack", "--ctstate", "INVALID"),
        "DROP",
        "Drop INVALID packets: they would bypass NAT and expose the container's address.",
    )


def source_guard(owner: str, subnet: IPNetwork, bridge: str) -> tuple[Fact, ...]:
    """The rule by which nobody but its own containers sends from a network's addresses.

    Else a packet with a forged source opens a connection in a container's name, and its replies get in.
    """
    rule = OwnRule(
        Chain(subnet.version, "mangle", PREROUTING),
        owner,
        ("-s", str(subnet), "!", "-i", bridge),
        ("DROP",),
        f"Drop packets that claim to come from {owner} but did not arrive by its bridge: they could open a connection "
        "in a container's name, and what answers it would be let in.",
    )
    return (rule, Order((rule,)))


def masquerade(owner: str, subnet: IPNetwork, bridge: str) -> OwnRule:
    """The rule by which containers reach the outside under the host's address."""
    return OwnRule(
        Chain(subnet.version, "nat", "POSTROUTING"),
        owner,
        ("-s", str(subnet), "!", "-o", bridge),
        ("MASQUERADE",),
        f"Let what leaves {owner} for elsewhere carry the host's address, as nobody outside knows a way back "
        f"to {subnet}.",
    )


def hairpin(owner: str, subnet: IPNetwork, bridge: str) -> OwnRule:
    """The rule by which a container reaches a port that its own network publishes."""
    return OwnRule(
        Chain(subnet.version, "nat", "POSTROUTING"),
        owner,
        ("-s", str(subnet), "-o", bridge, "-m", "conntrack", "--ctstate", "DNAT"),
        ("MASQUERADE",),
        f"Let a container of {owner} that asks for a published port of its own network be answered through the host, "
        "which has to translate the answer back.",
    )


def from_loopback(owner: str, bridge: str) -> OwnRule:
    """The rule by which the host reaches a container through a port on its 127.0.0.1."""
    return OwnRule(
        Chain(4, "nat", "POSTROUTING"),
        owner,
        ("-s", "127.0.0.0/8", "-o", bridge),
        ("MASQUERADE",),
        "Let what the host sends through its own 127.0.0.1 carry an address that a container can answer to.",
    )


def loopback_guards() -> tuple[Fact, ...]:
    """The rules that keep everybody else away from what is published on 127.0.0.1, and from claiming to be it."""
    rows = (
        (
            "-d",
            "Let nobody else send to the host's 127.0.0.1: the kernel refuses that by itself only until a port is "
            "published there.",
        ),
        ("-s", "And let nobody else claim to be it."),
    )
    rules = tuple(
        OwnRule(
            Chain(4, "raw", "PREROUTING"), SHARED, (end, "127.0.0.0/8", "!", "-i", "lo"), ("DROP",), why, first=True
        )
        for end, why in rows
    )
    return tuple(fact for rule in rules for fact in (rule, Order((rule,))))


def ports(family: int) -> tuple[Fact, ...]:
    """The chain of the published ports of all networks, and what leads to it."""
    chain = Chain(family, "nat", PORTS)
    local = ("-m", "addrtype", "--dst-type", "LOCAL")
    from_outside = (
        "Ask it about what comes in for one of the host's own addresses; what only passes through is left alone."
    )
    from_host = "And about what the host sends to itself."
    return (
        OwnChain(chain, "Make a chain for published ports."),
        OwnRule(Chain(family, "nat", "PREROUTING"), SHARED, local, (PORTS,), from_outside),
        OwnRule(Chain(family, "nat", "OUTPUT"), SHARED, local, (PORTS,), from_host),
    )


def every_shared(family: int) -> tuple[Fact, ...]:
    """All that networks can share of a family."""
    return (*shared_forward(family), *(loopback_guards() if family == 4 else ()), *ports(family))


def published(owner: str, endpoint: str, mapping: PortMapping, address: Address) -> tuple[Fact, ...]:
    """The rule that leads ports of the host to a container."""
    host, inner = mapping.host_ports, mapping.container_ports
    to = f"{address}:{inner}" if len(host) == 1 else f"{address}:{inner}/{host.first}"
    only = ("-d", str(mapping.host_ip)) if mapping.host_ip else ()
    of_flow = ("--orig-dst", str(mapping.host_ip)) if mapping.host_ip else ()
    rule = PortRule(
        Chain(address.version, "nat", PORTS),
        owner,
        (*only, "-p", mapping.protocol, "--dport", str(host).replace("-", ":")),
        ("DNAT", "--to-destination", to),
        f"Publish: lead {mapping.protocol} port {host} of {mapping.host_ip or 'every address of the host'} to port "
        f"{inner} of {endpoint}.",
        flows=tuple(
            ("conntrack", "-D", "-p", mapping.protocol, "--orig-port-dst", str(port), *of_flow)
            for port in range(host.first, host.last + 1)
        ),
    )
    return (rule, Order((rule,)))


def batch(commands: Sequence[Argv]) -> tuple[Argv, str, tuple[int, ...]]:
    """Fold iptables commands of one family into one `iptables-restore --noflush`.

    Returns its argv, its input, and for each line of the input the command that the line is of; the lines that
    only open or close a table count to the command at hand.
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
    """Whether a command is one that `_command` builds, of words that need no quotes."""
    return (
        argv[0] in ("iptables", "ip6tables", "iptables-legacy", "iptables-nft")
        and argv[1:2] == ("-t",)
        and argv[-1:] == ("--wait",)
        and not any(c in word for word in argv for c in "#\"'\\ \t\n")
    )


def read_rules(family: int, text: str) -> dict[Chain, tuple[Rule, ...]]:
    """Parse what `iptables-save --counters` printed: the rules of each chain, in order. Raises Failed."""
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
                raise Failed(f"can't read this line of {PROGRAMS[family]}-save: {line!r}") from None
            chains.setdefault(Chain(family, table, chain), []).append(rule)
    return {chain: tuple(rules) for chain, rules in chains.items()}


def read_policies(family: int, text: str) -> dict[Chain, str]:
    """The policies in what iptables-save printed, of the built-in chains: `:FORWARD DROP [0:0]`."""
    policies: dict[Chain, str] = {}
    table = ""
    for line in text.split("\n"):
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":") and len(words := line[1:].split()) > 1 and words[1] != "-":
            policies[Chain(family, table, words[0])] = words[1]
    return policies


def read_spec(words: Iterable[str]) -> Spec:
    """A rule whatever the order and the spelling of its words: (negated, option, value) of each option.

    iptables-save reorders matches, adds `-m tcp`, writes 10.0.0.1 as 10.0.0.1/32 and 28004 as 0x6d64.
    """
    return frozenset((no, option, _value(option, values)) for no, option, values in options(words) if option != "-m")


# Options whose value may be any words, such that look like options too.
WORDY = ("--comment", "--log-prefix", "--nflog-prefix", "--string")


def options(words: Iterable[str]) -> list[tuple[bool, str, list[str]]]:
    """The options among a rule's words, in order: whether a ! stands before it, its name, its values."""
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
    """The words of a rule as iptables-save wrote it, with its quotes and escapes taken off."""
    return tuple(re.sub(r"\\(.)", r"\1", quoted) or bare for quoted, bare in _WORDS.findall(text))


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
    # --wait matters where iptables is the legacy variant, whose lock others may hold.
    places = (place,) if place else ()
    return (PROGRAMS[chain.family], "-t", chain.table, verb, chain.name, *places, *words, "--wait")
