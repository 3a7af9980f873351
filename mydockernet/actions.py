"""The sequence that all changing verbs share, its dry run, and the audit of `check`.

lock → recover → load → validate, observe → plan → journal → apply → save → clear the journal → history → unlock
"""

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType

from mydockernet import cables, drift, model, plan, variants
from mydockernet.context import Context
from mydockernet.dialects import ebtables, ip, nftables
from mydockernet.dialects.fact import Fact, Observed, Step
from mydockernet.dialects.iptables import OwnRule, read_spec
from mydockernet.drift import Drift
from mydockernet.dry_run import Record
from mydockernet.errors import (
    CommandFailed,
    Failed,
    Interrupted,
    LeftOut,
    MydockernetError,
    NoSpace,
    NotPermitted,
    quoted,
)
from mydockernet.kernel import namespaces
from mydockernet.kernel.door import Kernel
from mydockernet.model import Endpoint, Intent, Network
from mydockernet.plan import Change, Concern, Scope
from mydockernet.recording import Recorder
from mydockernet.transitions import Transition, repair, scoped
from mydockernet.value import EMPTY, Value, replace

# How often to plan again because something disappeared during a change.
ATTEMPTS = 10


class Outcome(Value):
    """What a verb changed, with `notes` on what was already missing and the drift that it repaired (`mended`).

    `left` has an error for each container that a repair could not repair.
    """

    change: Change
    notes: tuple[str, ...] = ()
    mended: tuple[Drift, ...] = ()
    left: tuple[LeftOut, ...] = ()


class Preview(Value):
    """What a verb would do: the `steps` to the kernel, those to the `record`, and the steps that undo it (`back`).

    `notes` say what could not be read, `errors` which transitions failed. `sides` are all networks before and after,
    unless an interrupted change is rolled back first; a repair `mends` that scope.
    """

    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    errors: tuple[MydockernetError, ...]
    back: tuple[Step, ...] = ()
    record: Record | None = None
    sides: tuple[Intent, Intent] | None = None
    mends: Scope | None = None


class Audit(Value):
    """All drift, `notes` on what this user cannot read, and `errors` for what is unreadable even for root."""

    drifts: tuple[Drift, ...]
    notes: tuple[str, ...]
    errors: tuple[MydockernetError, ...]


class Goal(Value):
    """The intent to reach, from a state that may mix several others that were `begun`, the oldest first.

    `failed` are cables that a repair could not repair, each with the reason.
    """

    begun: tuple[Intent, ...]
    target: Intent
    concern: Concern
    mends: Scope | None = None
    failed: Mapping[str, str] = EMPTY


class Facing(Value):
    """The facts of what was begun (`had`) and of the target (`want`), and an observation.

    `spared` are cables that are left alone; `obstructed` are those that a repair cannot repair, each with the reason.
    """

    target: Intent
    had: tuple[Fact, ...]
    want: tuple[Fact, ...]
    seen: Observed
    spared: frozenset[str]
    obstructed: Mapping[str, str]

    @property
    def sides(self) -> tuple[tuple[Fact, ...], tuple[Fact, ...], Observed]:
        """The arguments of the planner."""
        return cables.without(self.had, self.spared), cables.without(self.want, self.spared), self.seen

    @property
    def left(self) -> tuple[LeftOut, ...]:
        """An error for each container that a repair cannot repair."""
        return tuple(
            LeftOut(f"{network}: {what}", hint=f"fix the cause, then run mydockernet repair {network}")
            for network, _, what in cables.told(self.obstructed, self.target)
        )


def perform(context: Context, transition: Transition) -> Outcome:
    """Make a change completely or not at all, and return it.

    Raises what the transition raises, Locked, Interrupted, or Failed. Unless its message says otherwise, the change has
    been rolled back.
    """
    context.kernel.require_rights()
    timeout = context.lock_timeout
    with context.store.lock(timeout), context.kernel.lock(timeout), _signals() as stop_if_told:
        recovered = recover(context)
        recorder = Recorder(context)
        before = context.store.load()
        transition = _resolved(transition)
        seen = _look(context.kernel, transition)
        change = plan.difference(before, transition.move(before, seen))
        if not change and transition.mends is None:
            return Outcome(change, recovered)
        goal = _goal((before,), change.done(before), transition.mends)
        facing = _facing(goal, seen, context.kernel)
        steps = plan.plan(*facing.sides)
        if transition.approve:
            transition.approve(steps)
        if not change and not steps:
            return Outcome(change, recovered, left=facing.left)
        mended = drift.find(before, goal.target, *facing.sides) if transition.mends else ()
        notes = (*recovered, *(note for place in change.left for note in _missing(*place, seen)))
        recorder.change, recorder.undoes = change, transition.undoes
        stop_if_told()
        try:
            context.store.write_journal(change.before, change.after, context.words)
        except NoSpace as full:
            # During a removal the record itself holds what is left, until all of it is gone.
            if any(change.after.values()) or not change:
                raise
            notes = (*notes, f"{full}; the removal continues without a journal")
        try:
            reached = _reach(goal, facing, context.kernel, stop_if_told)
            stop_if_told()
            context.store.save(change.after)
        except BaseException as failure:
            with recorder.rolling_back(failure):
                _roll_back_after(failure, context, change, (*cables.loopback_as_it_was(facing.want, facing.seen),))
            raise
        context.store.clear_journal()
        notes = (*notes, *recorder.done((d.owner for d in mended), "; ".join(map(str, reached.left))))
        return Outcome(change, notes, mended, reached.left)


def preview(context: Context, wanted: Sequence[Transition]) -> Preview:
    """Plan some changes, one after the other, without rights or a lock; nothing is written.

    Raises NotPermitted if the plan depends on something that this user cannot read.
    """
    notes: list[str] = []
    errors: list[MydockernetError] = []
    before: Intent = {}
    pending = None
    store = context.store
    digest = store.digest()  # First: if the record changes after this, the script refuses to run.
    try:
        pending, before = store.journal(), store.load()
    except NotPermitted as error:
        notes.append(f"{error}; assumed empty")
    seen = context.kernel.observe(lenient=True)
    unread = len(seen.unread)
    notes += [f"cannot read everything: {why}; assumed absent" for why in seen.unread]
    if notes and (before or any(ip.is_ours(link) for link in seen.links.values())):
        raise NotPermitted(
            f"the plan depends on what this user cannot read: {notes[0].partition('; assumed')[0]}",
            hint="sudo mydockernet … --dry-run",
        )
    begun: tuple[Intent, ...] = (before,)
    if pending and Change(*pending).done(before) != before:
        notes.append("an earlier change was interrupted; this plan rolls it back first")
        begun = (Change(*pending).undone(before), Change(*pending).done(before))
    after = begun[0]
    resolved = []
    for unresolved in wanted:
        try:
            resolved.append(transition := _resolved(unresolved))
            seen = _look(context.kernel, transition, seen, lenient=True)
            after = transition.move(after, seen)
        except MydockernetError as error:
            errors.append(error)
    notes += [f"cannot read everything: {why}; assumed absent" for why in seen.unread[unread:]]
    mends = None if errors else next((transition.mends for transition in wanted if transition.mends), None)
    goal = _goal(begun, after, mends)
    files = store.files(plan.difference(before, after).after)
    if pending:
        files[store.journal_path] = None
    record = Record(str(store.folder.absolute()), digest, files, not store.ready())
    sides = None if pending else (before, after)
    if not (goal.concern.networks or mends):
        return Preview((), tuple(notes), tuple(errors), (), record, sides)
    facing = _facing(goal, seen, context.kernel, lenient=True)
    steps, back = plan.plan(*facing.sides), plan.back(*facing.sides)
    for transition in resolved if not errors else ():
        if transition.approve:
            transition.approve(steps)
    return Preview(steps, tuple(notes), (*errors, *facing.left), back, record, sides, mends)


def recover(context: Context) -> tuple[str, ...]:
    """Roll back the change that a killed process left in the journal, unless it was complete.

    A container in which something keeps failing is left to `repair`, as it must not block all others. Returns notes on
    these.
    """
    pending = context.store.journal()
    if pending is None:
        return ()
    change = Change(*pending)
    recorder, stored = Recorder(context), context.store.load()
    recorder.change = change
    left: tuple[LeftOut, ...] = ()
    complete = change.done(stored) == stored
    if not complete:
        try:
            _roll_back(context, change)
        except MydockernetError:
            left = _roll_back(context, change, Scope(tuple(change.before), context.store.realm)).left
    told = tuple(str(error) for error in left)
    notes = recorder.recovered(complete, "; ".join(told))
    context.store.clear_journal()
    return (*told, *notes)


def audit(context: Context, scope: Scope) -> Audit:
    """Compare the kernel with the record. Changes nothing, and needs only the rights to read. Raises NotFound."""
    with contextlib.ExitStack() as locked:
        unlocked: tuple[str, ...] = ()
        try:
            locked.enter_context(context.kernel.lock(context.lock_timeout, shared=True))
        except NotPermitted:
            unlocked = ("checked without the lock, which only root can take: a change may be in progress",)
        intent, errors = context.store.load_each()
        pending = None if errors else context.store.journal()
        seen = context.kernel.observe(lenient=True)
        target = repair(scope).move(intent, seen)
        facing = _facing(_goal((intent,), target, None if errors else scope), seen, context.kernel, True)
    unfinished = Change(*pending).after if pending else ()
    blocked = tuple(Drift(name, "blocked", what, c) for name, c, what in cables.told(facing.obstructed, target))
    found = (*drift.find(intent, target, facing.had, facing.want, facing.seen, unfinished), *blocked)
    unread = facing.seen.unread
    if context.kernel.may_change():
        # For root, an incomplete observation is an error. A container that cannot be read is drift.
        whole = [why for why in unread if why in seen.unread or facing.seen.frameless]
        errors = (*errors, *(Failed(f"cannot check everything: {why}") for why in whole))
        unread = tuple(why for why in unread if why not in whole)
    assumed = (f"cannot read everything: {why}; assumed to match the record" for why in unread)
    return Audit(found, (*unlocked, *assumed), errors)


def _goal(begun: tuple[Intent, ...], target: Intent, mends: Scope | None = None) -> Goal:
    """Return a goal whose concern covers the target and all that the kernel may have of what was begun."""
    concerns = [plan.difference(intent, target).concern for intent in begun]
    if mends is not None:
        concerns.append(plan.concern_of(network for intent in (*begun, target) for network in scoped(intent, mends)))
    networks = frozenset(name for concern in concerns for name in concern.networks)
    containers = frozenset(key for concern in concerns for key in concern.containers)
    return Goal(begun, target, Concern(networks, containers, ipv6=any(c.ipv6 for c in concerns)), mends)


def _facing(goal: Goal, seen: Observed, kernel: Kernel, lenient: bool = False) -> Facing:
    """Return the facts of a goal, and the observation with all that is needed to judge them."""
    # An endpoint that stays although its container is gone: nothing can be done about its cable.
    concern = goal.concern
    old = {(network.name, endpoint.name) for network, endpoint in model.endpoints(goal.begun[0].values())}
    lost = frozenset(
        (network.name, endpoint.name)
        for network, endpoint in model.endpoints(goal.target.values())
        if endpoint.namespace.key in concern.containers
        and (network.name, endpoint.name) in old
        and not endpoint.detached
        and not namespaces.alive(endpoint.namespace)
    )
    concern = replace(concern, lost=lost)
    had = tuple(dict.fromkeys(fact for intent in goal.begun for fact in plan.facts(intent, concern)))
    want = plan.facts(goal.target, concern)
    known = [network for intent in (*goal.begun, goal.target) for network in intent.values()]
    if goal.mends is not None:
        seen = kernel.observe_rules6(seen, lenient)
    strangers = plan.strangers(known, seen, leaving=goal.mends)
    # A network that the host does not forward packets for shares nothing.
    had_shared = any(any(plan.shared_rules(intent)) for intent in goal.begun)
    last = not strangers and had_shared and not any(plan.shared_rules(goal.target))
    if goal.mends is not None:
        if kernel.has(ebtables.READ_FRAMES[0]):
            seen = kernel.observe_frames(seen, lenient)
        had = (*had, *plan.left_over(had, want, goal.mends, seen, alone=not strangers))
    elif last and kernel.forwards6():
        seen = kernel.observe_rules6(seen, lenient)
    if last:
        # The last network of all state directories deletes what they shared.
        had = (*had, *plan.every_shared(seen))
    want = tuple(dict.fromkeys((*want, *plan.kept_for(strangers, goal.begun))))
    want = (*want, *_in_other_variant(goal, had, want, seen))
    had, want, seen = _bridged(goal, last, had, want, seen, kernel)
    sights = plan.to_look_at(had, want, seen)
    if sights.ipv6:
        seen = kernel.observe_rules6(seen, lenient)
    everywhere = model.attached(network for intent in (goal.target, *goal.begun) for network in intent.values())
    kernel.hold(e.namespace for _, e in everywhere if e.namespace.path in sights.namespaces)
    lenient = lenient or goal.mends is not None
    seen = kernel.observe_inside(seen, sights.namespaces, lenient)
    seen = kernel.observe_lookups6(seen, sights.lookups6, lenient)
    if sights.frames and goal.mends is None:
        seen = kernel.observe_frames(seen, lenient)
    seen = kernel.observe_sysctls(seen, sights.sysctls, lenient)
    if goal.mends is not None:  # Otherwise it is enough to know that there is one.
        seen = kernel.observe_rates(seen, sights.shaped, lenient)
    if goal.mends is None:
        return Facing(goal.target, had, want, seen, cables.lost_elsewhere(goal.begun, goal.target, want, seen), {})
    # A problem in one container must not stop the repair of the others.
    obstructed = {**cables.obstructed(goal.target, had, want, seen), **goal.failed}
    spared = cables.with_namespaces(obstructed, goal.target)
    return Facing(goal.target, had, want, seen, spared, obstructed)


def _bridged(
    goal: Goal, last: bool, had: tuple[Fact, ...], want: tuple[Fact, ...], seen: Observed, kernel: Kernel
) -> tuple[tuple[Fact, ...], tuple[Fact, ...], Observed]:
    """Return the facts, and the observation with the rules of nftables about bridged frames.

    They are read only to mend them, if it is unknown which of several intents the kernel has, or if it has no bridge
    that they are for, as after a reboot: nft takes a process, and their commands have the same result whatever is
    there. Without nft there are no such facts; doctor tells it.
    """
    if not kernel.has(nftables.READ[0]):
        had, want = (tuple(fact for fact in facts if not fact.bridged()) for facts in (had, want))
    needed = {last or plan.keeps_out_ipv6(intent) for intent in goal.begun}
    if not any(fact.bridged() for fact in (*had, *want)):
        return had, want, seen
    stands = last or any(network.bridge in seen.links for intent in goal.begun for network in intent.values())
    if goal.mends is None and (needed == {False} or (needed == {True} and stands)):
        return had, want, replace(seen, bridged=nftables.THERE if needed.pop() else "")
    return had, want, kernel.observe_bridged(seen)


def _in_other_variant(
    goal: Goal, had: Sequence[Fact], want: Sequence[Fact], seen: Observed
) -> tuple[variants.Absent, ...]:
    """Return what to delete from the other variant of iptables.

    A repair deletes all that it covers, any verb what it deletes from the current variant, and the last removal
    everything.
    """
    realms = {network.realm for intent in goal.begun for network in intent.values()}
    last = () if goal.target else tuple(Scope((), realm) for realm in realms)
    scopes = (goal.mends,) if goal.mends else last
    going = {(f.chain, read_spec(f.words)) for f in {*had} - {*want} if isinstance(f, OwnRule)}

    def covers(owner: str) -> bool:
        return any(scope.covers(owner) for scope in scopes)

    return tuple(variants.left_over(seen, covers, going, bool(scopes)))


def _look(kernel: Kernel, transition: Transition, seen: Observed | None = None, lenient: bool = False) -> Observed:
    """Extend an observation by what a transition needs."""
    if not seen or not seen.links:
        seen = kernel.observe(lenient=lenient)
    if transition.sockets and not seen.sockets:
        seen = kernel.observe_sockets(seen, transition.ports)
    kernel.hold(transition.namespaces)
    return kernel.observe_inside(seen, (namespace.path for namespace in transition.namespaces), lenient)


def _resolved(transition: Transition) -> Transition:
    return transition.resolve() if transition.resolve else transition


def _reach(goal: Goal, facing: Facing, kernel: Kernel, before_each: Callable[[], None] = lambda: None) -> Facing:
    """Run the steps to a goal, and return the facing that they were planned from. Raises CommandFailed.

    A container may end between an observation and a command, and its interface with it. If a step fails because its
    object is gone, plan again from a new observation. In a repair, a failed step for one container ends the repair of
    that container only.
    """
    attempts = ATTEMPTS
    steps = plan.plan(*facing.sides)
    goal = replace(goal, begun=(*goal.begun, goal.target))
    while True:
        try:
            kernel.apply(steps, before_each)
            return facing
        except CommandFailed as failure:
            tried = {step.do for step in steps}
            culprits = cables.at_fault(failure.argv, goal.target, facing.want, facing.seen) if goal.mends else ()
            facing = _facing(goal, kernel.observe(), kernel)
            steps = plan.plan(*facing.sides)
            if attempts and failure.argv in tried and failure.argv not in {step.do for step in steps}:
                attempts -= 1
                continue
            if not {*culprits} - {*goal.failed}:
                raise
            goal = replace(goal, failed={**goal.failed, **dict.fromkeys(culprits, str(failure))})
            facing = _facing(goal, kernel.observe(), kernel)
            steps = plan.plan(*facing.sides)


def _missing(network: Network, endpoint: Endpoint, seen: Observed) -> Iterator[str]:
    """Yield what was already missing of an endpoint that is removed."""
    if endpoint.detached:
        return
    if not namespaces.alive(endpoint.namespace):
        yield f"the namespace of container {quoted(endpoint.name)} was already gone: {endpoint.namespace.path}"
    if endpoint.veth and endpoint.veth not in seen.links:
        yield f"the interface of container {quoted(endpoint.name)} was already gone: {endpoint.veth}"
    if network.bridge and network.bridge not in seen.links:
        yield f"the bridge of network {quoted(network.name)} was already gone: {network.bridge}"


def _roll_back(context: Context, change: Change, mends: Scope | None = None) -> Facing:
    """Roll back a change. With `mends`, as a repair: what fails in one container is left out of what is returned."""
    stored = context.store.load()
    before, after = change.undone(stored), change.done(stored)
    goal = Goal((before, after), before, change.concern, mends)
    reached = _reach(goal, _facing(goal, context.kernel.observe(), context.kernel), context.kernel)
    if before != stored:
        context.store.save(change.before)
    return reached


def _roll_back_after(failure: BaseException, context: Context, change: Change, last: Sequence[Step]) -> None:
    try:
        _roll_back(context, change)
        context.kernel.apply(last)
        context.store.clear_journal()
    except MydockernetError as again:
        raise Failed(
            str(failure),
            f"the rollback failed too: {again}",
            hint=f"the journal holds the change to {', '.join(map(quoted, change.after))}; "
            "the next command that changes something rolls it back first",
        ) from failure


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[], None]]:
    """Hold back SIGINT, SIGTERM and SIGHUP. Yields a function that raises Interrupted if one of them has arrived."""
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)

    def stop_if_told() -> None:
        if received:
            raise Interrupted(f"interrupted by {signal.Signals(received[0]).name}; nothing has changed")

    # A signal that is ignored already, as SIGHUP is under nohup, stays ignored.
    told = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    caught = [number for number in told if signal.getsignal(number) is not signal.SIG_IGN]
    previous = [signal.signal(number, remember) for number in caught]
    try:
        yield stop_if_told
    finally:
        for number, handler in zip(caught, previous, strict=True):
            signal.signal(number, handler)
