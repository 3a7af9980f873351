"""The admin's own rules about forwarded packets, on record as a part of a network: user-rules add, remove.

A rule is what follows `iptables -A MYDOCKERNET-USER`. It is recorded as iptables-save shows it, so that check
recognizes it whatever form it was given in.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network

from mydockernet import drivers
from mydockernet.dialects.fact import Argv, Observed, Step
from mydockernet.dialects.iptables import PROGRAMS
from mydockernet.dialects.iptables_user import leads_to
from mydockernet.errors import Conflict, Invalid, NotFound, quoted
from mydockernet.kernel import trial
from mydockernet.model import Intent, Network
from mydockernet.transitions import Transition, find_network
from mydockernet.value import replace

FAMILIES = {"-4": 4, "--ipv4": 4, "-6": 6, "--ipv6": 6}
# Options of iptables(8) that are commands, or that name the table, and the one by which it runs another program.
COMMANDS = "ACDEFILNPRSVXZMthw"
LONG_COMMANDS = (
    *("append", "check", "delete", "delete-chain", "flush", "help", "insert", "list", "list-rules", "modprobe"),
    *("new-chain", "policy", "rename-chain", "replace", "table", "version", "wait", "zero"),
)


def add(name: str, words: Argv) -> Transition:
    """N → N + rules of the admin: one for each address family that the rule is about.

    Raises NotFound, Invalid for words that are no rule, and Conflict for a rule that the network has already.
    """

    made: list[Argv] = []

    def move(intent: Intent, seen: Observed) -> Intent:
        network = _filtered(intent, name)
        made[:] = _spelled(network, words)
        if again := [rule for rule in made if rule in network.user_rules]:
            shows = f"mydockernet user-rules list {name} shows them"
            raise Conflict(
                *(f"network {quoted(name)} already has the rule {' '.join(rule)}" for rule in again), hint=shows
            )
        return {**intent, name: replace(network, user_rules=(*network.user_rules, *made))}

    def approve(steps: tuple[Step, ...]) -> None:
        """Raise NotFound if a rule is left out because it jumps to a chain that does not exist."""
        commands = {" ".join(step.do) for step in steps}
        for of, *rest in made:
            program = PROGRAMS[FAMILIES[of]]
            if leads_to(rest) and not any(c.startswith(program) and " ".join(rest) in c for c in commands):
                chain = f"RULE: {program} has no chain {quoted(leads_to(rest))}"
                raise NotFound(
                    chain, hint="create it first; a rule that begins with -4 or -6 is for that address family only"
                )

    return Transition(move, approve=approve)


def remove(name: str, words: Argv) -> Transition:
    """N + rules → N: the rule with a number of the list, or those that these words become. Raises NotFound, Invalid."""

    def move(intent: Intent, seen: Observed) -> Intent:
        network = _filtered(intent, name)
        rules = network.user_rules
        if len(words) == 1 and words[0].isdecimal():
            gone = rules[int(words[0]) - 1 : int(words[0])] if int(words[0]) else ()
        else:
            gone = tuple(rule for rule in _spelled(network, words) if rule in rules)
        if not gone:
            shows = f"mydockernet user-rules list {name} shows its rules"
            raise NotFound(f"network {quoted(name)} has no rule {' '.join(words)}", hint=shows)
        return {**intent, name: replace(network, user_rules=tuple(rule for rule in rules if rule not in gone))}

    return Transition(move)


def _filtered(intent: Intent, name: str) -> Network:
    """Return a network whose packets the rules of the admin can see. Raises NotFound, Invalid."""
    network = find_network(intent, name)
    if not drivers.load(network.driver).FORWARDS:
        raise Invalid(f"NETWORK: the host does not forward the packets of a network of {network.driver}")
    if network.firewall != "iptables":
        raise Invalid(f"NETWORK: the rules of {quoted(name)} are in {network.firewall}; only iptables has user rules")
    return network


def _spelled(network: Network, words: Argv) -> Iterator[Argv]:
    """Yield the rules that words become, each with its address family first. Raises Invalid with every problem."""
    if problems := [*word_problems(words)]:
        raise Invalid(*problems)
    asked = {FAMILIES[word] for word in words if word in FAMILIES}
    rest = tuple(word for word in words if word not in FAMILIES)
    about = asked | {family for word in rest for family in _families(word)}
    if len(about) > 1:
        raise Invalid("RULE: it is about both IPv4 and IPv6: add one rule for each")
    if about - {4, *network.families}:
        raise Invalid(f"RULE: network {quoted(network.name)} has no IPv6 subnet")
    for family in sorted(about or network.families or {4}):
        rules = trial.spell(family, rest)
        if len(rules) != 1:
            raise Invalid(f"RULE: iptables makes {len(rules)} rules of it: add each by itself")
        yield (f"-{family}", *rules[0])


def word_problems(words: Sequence[str]) -> Iterator[str]:
    """Yield a message for each word that cannot be part of a rule, and one if the rule decides nothing."""
    for word in words:
        # getopt(3) takes any unambiguous beginning of a long option.
        long = word.removeprefix("--").partition("=")[0] if word.startswith("--") else ""
        short = word[1:2] if word.startswith("-") and not word.startswith("--") and word not in FAMILIES else ""
        if long and "comment".startswith(long):
            yield "RULE: --comment: the comment is mydockernet's mark of the network"
        elif (long and any(name.startswith(long) for name in LONG_COMMANDS)) or (short and short in COMMANDS):
            yield f"RULE: {word}: only a rule can be given, not a command, a table or a chain"
    if not any(word in trial.JUMPS for word in words):
        yield "RULE: it has no -j TARGET or -g CHAIN"


def _families(word: str) -> Iterable[int]:
    """Return the address family that a word is about, as an address or as a protocol; empty if it is about neither."""
    if word in ("icmpv6", "ipv6-icmp"):
        return (6,)
    if word == "icmp":
        return (4,)
    found = set()
    for part in re.split("[,-]", word) if re.search("[.:]", word) else ():
        try:
            found.add(ip_network(part, strict=False).version)
        except ValueError:
            continue
    return found
