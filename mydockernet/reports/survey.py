"""The networks on record, with what the kernel shows of each. Changes nothing."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from mydockernet import drivers, plan
from mydockernet.context import Context
from mydockernet.dialects import iptables, nft_frames, nftables
from mydockernet.dialects.fact import SHARED, TAG, Fact, Observed, OwnTable, marked, tag
from mydockernet.errors import MydockernetError
from mydockernet.kernel import namespaces
from mydockernet.kernel.proc import observe_files
from mydockernet.model import Endpoint, Network
from mydockernet.value import Value, replace

NO_REASON = "No network of this record needs this rule."


class OwnedRule(Value):
    """A rule of mydockernet in the kernel, or an element of its table: its owner, its place, and the reason for it.

    `chain` is the set of an element, which has no `number`. Not everything counts `packets` and `bytes`.
    """

    owner: str
    program: str
    table: str
    chain: str
    number: int | None
    text: str
    packets: int | None
    bytes: int | None
    why: str


class Shown(Value):
    """A network with what the kernel shows of it. `state` is up, down, missing or drifted.

    The state of its containers, by name, is up or drifted; if the namespace is gone, it is detached if it may return,
    and otherwise gone.
    """

    network: Network
    state: str
    containers: Mapping[str, str]
    seen: Observed
    rules: tuple[OwnedRule, ...]


class Survey(Value):
    """All networks, all rules of mydockernet, notes on what could not be read, and an error per unreadable file."""

    networks: tuple[Shown, ...]
    rules: tuple[OwnedRule, ...]
    notes: tuple[str, ...]
    errors: tuple[MydockernetError, ...]


def survey(context: Context, inside: Collection[str] = (), everywhere: bool = False) -> Survey:
    """Return all networks with what the kernel shows of each. `inside`: the networks whose containers are observed.

    `everywhere`: the rules of all firewalls are read, also of those that no network uses.
    """
    intent, errors = context.store.load_each()
    shared = tuple(plan.shared_facts(intent))
    owned = plan.facts_by_owner(intent)
    seen = context.kernel.observe()
    if everywhere:
        seen = context.kernel.observe_all_rules(seen, lenient=True)
    seen = context.kernel.observe_rules(seen, plan.programs(intent.values()), lenient=True)
    within = [endpoint.namespace for name in inside if name in intent for endpoint in intent[name].endpoints]
    context.kernel.hold(within)
    seen = context.kernel.observe_inside(seen, sorted({namespace.path for namespace in within}), lenient=True)
    every = [*shared, *(fact for group in owned.values() for fact in group)]
    sights = plan.to_look_at((), every, seen)
    seen = observe_files(seen, sights.files, sights.servers)
    seen = context.kernel.observe_sysctls(seen, sights.sysctls, lenient=True)
    seen = context.kernel.observe_rates(seen, sights.shaped, lenient=True)
    if iptables.PROGRAMS[6] in sights.programs:
        seen = context.kernel.observe_rules(seen, (iptables.PROGRAMS[6],), lenient=True)
    if sights.frames:
        seen = context.kernel.observe_frames(seen, lenient=True)
    if sights.zones:
        seen = context.kernel.observe_zones(seen)
    seen = replace(seen, bridged=nft_frames.THERE)  # `check` reads that; here it would take a process.
    seen = context.kernel.observe_lookups6(seen, sights.lookups6, lenient=True)
    found = tuple(_rules(every, seen))
    forwarded = {name for name, network in intent.items() if drivers.load(network.driver).FORWARDS}
    shown = tuple(
        _show(intent[name], owned, shared if name in forwarded else (), found, seen) for name in sorted(intent)
    )
    notes = tuple(f"cannot read everything: {why}; the state may be incomplete" for why in seen.unread)
    return Survey(shown, found, notes, errors)


def _rules(every: Iterable[Fact], seen: Observed) -> Iterator[OwnedRule]:
    every = tuple(every)
    reasons = {(f.chain, iptables.read_spec(f.words)): f.why for f in every if isinstance(f, iptables.OwnRule)}
    for chain, chain_rules in seen.chains.items():
        for number, rule in enumerate(chain_rules, 1):
            if iptables.is_ours(rule):
                why = reasons.get((chain, rule.spec), NO_REASON)
                place = (iptables.PROGRAMS[chain.family], chain.table, chain.name, number)
                yield OwnedRule(rule.comment.removeprefix(TAG), *place, rule.text, rule.packets, rule.bytes, why)
    if seen.table is not None:
        yield from _of_table(seen.table, every)


def _of_table(table: OwnTable, every: Collection[Fact]) -> Iterator[OwnedRule]:
    """Yield the rules and elements of the table of mydockernet. The comment of a rule says which one it is."""
    place = (nftables.NFT, " ".join(nftables.TABLE))
    facts = (fact for fact in every if isinstance(fact, nftables.Table))
    lines = {line.comment: line for fact in facts for chain in fact.chains for line in chain.lines}
    for name, (_, *comments) in table.chains.items():
        for number, comment in enumerate(comments, 1):
            packets, size = table.counts.get((name, str(number)), (None, None))
            if comment.startswith(tag(SHARED)):
                line = lines.get(comment)
                text, why = (line.text, line.sentence) if line else ("", NO_REASON)
                yield OwnedRule(SHARED, *place, name, number, text, packets, size, why)
    reasons = {(fact.set, fact.key): fact.why for fact in every if isinstance(fact, nftables.Element)}
    for (name, key), (value, comment) in table.elements.items():
        if marked(comment):
            packets, size = table.counts.get((name, key), (None, None))
            text = f"{key} : {value}" if value else key
            why = reasons.get((name, key), NO_REASON)
            yield OwnedRule(comment.removeprefix(TAG), *place, name, None, text, packets, size, why)


def _show(
    network: Network,
    owned: Mapping[plan.Place, tuple[Fact, ...]],
    shared: tuple[Fact, ...],
    found: tuple[OwnedRule, ...],
    seen: Observed,
) -> Shown:
    own = {endpoint: facts for (name, endpoint), facts in owned.items() if name == network.name}
    found = tuple(owned_rule for owned_rule in found if owned_rule.owner == network.owner)
    states = {endpoint.name: _container(endpoint, own[endpoint.name], seen) for endpoint in network.endpoints}
    as_recorded = all(states[endpoint.name] == "up" or _stays_away(endpoint) for endpoint in network.endpoints)
    return Shown(network, _state(network, own[""], shared, as_recorded, seen), states, seen, found)


def _container(endpoint: Endpoint, facts: Iterable[Fact], seen: Observed) -> str:
    if namespaces.alive(endpoint.namespace):
        return _holding(facts, seen)
    return "detached" if endpoint.returns else "gone"


def _stays_away(endpoint: Endpoint) -> bool:
    """Whether a container is detached on record and has not returned."""
    return endpoint.detached and namespaces.at(endpoint.namespace.path) is None


def _state(
    network: Network, own: Collection[Fact], shared: Iterable[Fact], containers_hold: bool, seen: Observed
) -> str:
    dev = network.bridge or network.parent
    link = seen.links.get(dev)
    if dev and link is None:
        return "missing"
    if link and not link.up:
        return "down"
    alone = (
        fact for fact in own if not (isinstance(fact, iptables.Order) or fact.zoned() or fact.files() or fact.servers())
    )
    if not dev and not any(fact.holds(seen) for fact in alone):
        return "missing"
    return _holding((*own, *shared), seen) if containers_hold else "drifted"


def _holding(facts: Iterable[Fact], seen: Observed) -> str:
    """Return "up" if all facts that were observed hold, else "drifted"."""
    told = (fact for fact in facts if plan.told(fact, seen))
    return "up" if all(fact.holds(seen) for fact in told) else "drifted"
