"""The verbs, and the one choreography that all changing verbs share.

    lock → recover → load → validate, observe → plan → journal → apply → save → clear the journal → unlock

A verb is a Transition: from the intent, and what is seen, to the new intent; it raises where it may not be.
"""

import contextlib
import hashlib
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType

from mydockernet import addressing, plan, rules
from mydockernet.addressing import DEFAULT_POOLS, Pool, Taken
from mydockernet.errors import Conflict, Failed, Interrupted, MydockernetError, NotFound, NotPermitted
from mydockernet.facts import Fact, Observed, Rule, Step, tag
from mydockernet.kernel import Kernel
from mydockernet.model import INTERFACE, SYSCTL_NAMES, Network, Subnet
from mydockernet.plan import Change, Intent
from mydockernet.store import JsonStore

Transition = Callable[[Intent, Observed], Intent]


@dataclass(frozen=True, slots=True)
class Context:
    """Where a verb works: the record, the kernel, and how many seconds it waits for the lock."""

    store: JsonStore
    kernel: Kernel
    lock_timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What `create` was asked for; what is empty or None was left open."""

    name: str
    driver: str = "bridge"
    subnets: tuple[Subnet, ...] = ()
    internal: bool = False
    icc: bool = True
    masquerade: bool = True
    mtu: int | None = None
    bridge: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    pools: tuple[Pool, ...] = field(default=DEFAULT_POOLS)


def create(wish: Wish, ignore: bool = False) -> Transition:
    """None → N. With `ignore`, an identical network is fine. Raises Conflict."""

    def transition(intent: Intent, seen: Observed) -> Intent:
        existing = intent.get(wish.name)
        if existing is not None:
            if ignore and _satisfies(existing, wish):
                return intent
            what = "a different network" if ignore else "a network"
            raise Conflict(f"{what} named {wish.name} exists already", hint=f"mydockernet inspect {wish.name}")
        network = Network(
            name=wish.name,
            bridge=wish.bridge or _bridge_name(wish.name, intent, seen),
            subnets=_choose_subnets(wish, intent, seen),
            driver=wish.driver,
            internal=wish.internal,
            icc=wish.icc,
            masquerade=wish.masquerade,
            mtu=wish.mtu,
            labels=wish.labels,
        )
        holder = next((n.name for n in intent.values() if n.bridge == network.bridge), None)
        if holder:
            raise Conflict(f"--bridge-name: {network.bridge} is the bridge of the network {holder}")
        return {**intent, network.name: network}

    return transition


def remove(name: str, force: bool = False, ignore: bool = False) -> Transition:
    """N → None. Raises NotFound, but not with `ignore`; Conflict while containers are on it, but not with `force`."""

    def transition(intent: Intent, seen: Observed) -> Intent:
        network = intent.get(name)
        if network is None:
            if ignore:
                return intent
            raise no_network(name)
        if network.endpoints and not force:
            names = ", ".join(endpoint.name for endpoint in network.endpoints)
            raise Conflict(f"the network {name} is in use by {names}", hint="--force disconnects them first")
        return {other: kept for other, kept in intent.items() if other != name}

    return transition


def no_network(name: str) -> NotFound:
    """The error for a name that no network has."""
    return NotFound(f"no network is named {name!r}", hint="mydockernet list shows those there are")


def perform(context: Context, transition: Transition) -> Change:
    """Make a change, as a whole or not at all. Returns what changed, or raises with all as it was before."""
    context.kernel.require_rights()
    with context.store.lock(context.lock_timeout), _signals() as stop_if_told:
        recover(context)
        before = context.store.load()
        seen = context.kernel.observe()
        change = plan.difference(before, transition(before, seen))
        if not change.after:
            return change
        steps = _plan(context.kernel, seen, (before,), change.done(before), change)
        stop_if_told()
        context.store.write_journal(change.before, change.after)
        try:
            context.kernel.apply(steps, stop_if_told)
            stop_if_told()
            context.store.save(change.after)
        except BaseException as failure:
            _roll_back_after(failure, context, change)
            raise
        context.store.clear_journal()
        return change


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be done, and what could not be read to tell."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    errors: tuple[MydockernetError, ...]


def preview(context: Context, transitions: Iterable[Transition]) -> Preview:
    """The plan of some changes, one after the other: no rights, no lock, nothing written."""
    notes: list[str] = []
    errors: list[MydockernetError] = []
    before: Intent = {}
    pending = None
    try:
        pending, before = context.store.journal(), context.store.load()
    except NotPermitted as error:
        notes.append(f"{error}; taken as empty")
    seen = context.kernel.observe(lenient=True)
    notes += [f"can't read the rules ({why}); taken as absent" for why in seen.unread]
    begun: tuple[Intent, ...] = (before,)
    if pending:
        notes.append("a change was interrupted; this plan finishes or undoes it as well")
        change = Change(*pending)
        if change.done(before) != before:
            begun = (change.undone(before), change.done(before))
            before = begun[0]
    after = before
    for transition in transitions:
        try:
            after = transition(after, seen)
        except MydockernetError as error:
            errors.append(error)
    concerned = plan.difference(before, after)
    if pending and len(begun) > 1:
        concerned = Change({**pending[0], **concerned.before}, {**pending[0], **concerned.after})
    steps = _plan(context.kernel, seen, begun, after, concerned) if concerned.after else ()
    return Preview(steps, tuple(notes), tuple(errors))


def recover(context: Context) -> None:
    """Bring a change that a killed process left back to before it, or note that it was complete."""
    pending = context.store.journal()
    if pending is None:
        return
    change = Change(*pending)
    stored = context.store.load()
    if change.done(stored) != stored:
        _roll_back(context, change)
    context.store.clear_journal()


def _roll_back(context: Context, change: Change) -> None:
    stored = context.store.load()
    before, after = change.undone(stored), change.done(stored)
    seen = context.kernel.observe()
    context.kernel.apply(_plan(context.kernel, seen, (before, after), before, change))
    if before != stored:
        context.store.save(change.before)


def _roll_back_after(failure: BaseException, context: Context, change: Change) -> None:
    try:
        _roll_back(context, change)
        context.store.clear_journal()
    except MydockernetError as again:
        raise Failed(
            str(failure),
            f"and taking it back failed too: {again}",
            hint=f"what is left of the change to {', '.join(change.after)} is in the journal; "
            "the next create or remove undoes it first",
        ) from failure


def _plan(kernel: Kernel, seen: Observed, begun: Sequence[Intent], target: Intent, change: Change) -> tuple[Step, ...]:
    """The commands from what any of the intents begun implied to what the target does."""
    names = change.after.keys()
    had = tuple(dict.fromkeys(fact for intent in begun for fact in plan.facts(intent, names)))
    want = plan.facts(target, names)
    known = [network.bridge for intent in (*begun, target) for network in intent.values()]
    if plan.strangers(known, seen):
        want = tuple(dict.fromkeys((*want, *(fact for intent in begun for fact in plan.shared_facts(intent)))))
    return plan.plan(had, want, kernel.observe_sysctls(seen, plan.sysctls_of(had, want)))


@dataclass(frozen=True, slots=True)
class OwnedRule:
    """A rule that the kernel shows, where it stands, and why."""

    table: str
    chain: str
    rule: Rule
    why: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A network with what the kernel shows of it. `state` is up, down, missing or drifted."""

    network: Network
    state: str
    seen: Observed
    rules: tuple[OwnedRule, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """Networks as they are, what could not be read of the kernel, and the files that could not be."""

    networks: tuple[Shown, ...]
    notes: tuple[str, ...]
    errors: tuple[MydockernetError, ...]


def names(context: Context) -> tuple[tuple[Network, ...], tuple[MydockernetError, ...]]:
    """The networks on record, by name, without a look at the kernel; and the files that could not be read."""
    networks, errors = context.store.load_each()
    return tuple(networks[name] for name in sorted(networks)), errors


def survey(context: Context) -> Survey:
    """All networks, with what the kernel shows of each."""
    intent, errors = context.store.load_each()
    if not intent:
        return Survey((), (), errors)
    facts = plan.facts(intent, intent)
    seen = context.kernel.observe(lenient=True)
    seen = context.kernel.observe_sysctls(seen, plan.sysctls_of(facts))
    shared = tuple(plan.shared_facts(intent))
    shown = tuple(_show(intent[name], shared, seen) for name in sorted(intent))
    notes = tuple(f"can't read the rules ({why}); the state is told without them" for why in seen.unread)
    return Survey(shown, notes, errors)


def _show(network: Network, shared: tuple[Fact, ...], seen: Observed) -> Shown:
    own = (*plan.bridge_facts(network), *plan.masquerade_facts(network))
    reasons = {rules.read_spec(f.words): f.why for f in own if isinstance(f, rules.OwnRule)}
    found = tuple(
        OwnedRule(chain.table, chain.name, rule, reasons.get(rule.spec, "left over: no network needs it"))
        for chain, chain_rules in seen.chains.items()
        for rule in chain_rules
        if rule.comment == tag(network.name)
    )
    return Shown(network, _state(network, (*own, *shared), seen), seen, found)


def _state(network: Network, facts: Iterable[Fact], seen: Observed) -> str:
    link = seen.links.get(network.bridge)
    if link is None:
        return "missing"
    if not link.up:
        return "down"
    told = (f for f in facts if not (seen.unread and isinstance(f, rules.OwnRule | rules.OwnChain)))
    return "up" if all(fact.holds(seen) for fact in told) else "drifted"


def _bridge_name(name: str, intent: Intent, seen: Observed) -> str:
    """The network's own name where an interface may have it and none has; else br- and a hash."""
    free = name not in seen.links and all(network.bridge != name for network in intent.values())
    if INTERFACE.fullmatch(name) and name not in SYSCTL_NAMES and free:
        return name
    return "br-" + hashlib.sha256(name.encode()).hexdigest()[:12]


def _choose_subnets(wish: Wish, intent: Intent, seen: Observed) -> tuple[Subnet, ...]:
    taken = [
        *(Taken(s.network, f"the network {n.name}") for n in intent.values() for s in n.subnets),
        *(Taken(route.destination, f"the host's route `{route.line}`") for route in seen.routes),
    ]
    if not wish.subnets:
        return (addressing.free_subnet(wish.pools, taken),)
    clashes = [(s.network, addressing.overlap(s.network, taken)) for s in wish.subnets]
    problems = [f"--subnet: {network} overlaps {clash.block}, of {clash.owner}" for network, clash in clashes if clash]
    if problems:
        raise Conflict(*problems, hint="without --subnet, a free one is chosen")
    return wish.subnets


def _satisfies(network: Network, wish: Wish) -> bool:
    """Whether a network is what a wish would make; what the wish leaves open, any value satisfies."""
    same = all(
        getattr(network, key) == getattr(wish, key) for key in ("driver", "internal", "icc", "masquerade", "mtu")
    )
    return (
        same
        and dict(network.labels) == dict(wish.labels)
        and (not wish.subnets or set(network.subnets) == set(wish.subnets))
        and wish.bridge in (None, network.bridge)
    )


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[], None]]:
    """Hold SIGINT, SIGTERM and SIGHUP back. Yields what raises Interrupted, once one of them has come."""
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)

    def stop_if_told() -> None:
        if received:
            raise Interrupted(f"stopped by {signal.Signals(received[0]).name}; all is as it was before")

    # One that is ignored already, as SIGHUP is under nohup, stays so.
    told = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    caught = [number for number in told if signal.getsignal(number) is not signal.SIG_IGN]
    previous = [signal.signal(number, remember) for number in caught]
    try:
        yield stop_if_told
    finally:
        for number, handler in zip(caught, previous, strict=True):
            signal.signal(number, handler)
