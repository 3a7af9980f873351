"""The sequence that all changing verbs share, its dry run, and the audit of `check`.

lock → recover → load → validate, observe → plan → journal → apply → save → clear the journal → history → unlock
"""

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from mydockernet import cables, drift, plan
from mydockernet.context import Context
from mydockernet.dialects import ip
from mydockernet.dialects.fact import Observed, Step
from mydockernet.drift import Drift
from mydockernet.dry_run import Record
from mydockernet.errors import (
    CommandFailed,
    Conflict,
    Failed,
    Interrupted,
    LeftOut,
    MydockernetError,
    NoSpace,
    NotPermitted,
    quoted,
)
from mydockernet.facing import Facing, Goal, face, goal_of
from mydockernet.kernel import namespaces
from mydockernet.kernel.door import Kernel
from mydockernet.model import Endpoint, Intent, Network
from mydockernet.plan import Change, Scope
from mydockernet.record.store import Unconfirmed, unconfirmed
from mydockernet.recording import Recorder
from mydockernet.transitions import Transition, repair
from mydockernet.value import Value, replace

# How often to plan again because something disappeared during a change.
ATTEMPTS = 10
KEEP = "mydockernet confirm keeps it"


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


def perform(context: Context, transition: Transition, confirm: float | None = None) -> Outcome:
    """Make a change completely or not at all, and return it.

    With `confirm`, it is rolled back after this many seconds unless `confirmation.confirm` is called before.

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
        change = plan.difference(before, plan.of_one_firewall(before, transition.move(before, seen), seen))
        if not change and transition.mends is None:
            return Outcome(change, recovered)
        waiting = context.store.unconfirmed()
        if waiting and confirm is not None:
            raise Conflict(_waits(waiting), hint=KEEP)
        _leave_room(waiting, before, change.done(before), seen)
        goal = goal_of((before,), change.done(before), transition.mends)
        facing = face(goal, seen, context.kernel)
        steps = plan.plan(*facing.sides)
        if transition.approve:
            transition.approve(steps)
        if not change and not steps:
            return Outcome(change, recovered, left=facing.left)
        found = drift.find(before, goal.target, *facing.sides) if transition.mends else ()
        mended = tuple(each for each in found if each.state != "blocked")
        notes = (*recovered, *(note for place in change.left for note in _missing(*place, seen)), *_warnings(facing))
        recorder.change, recorder.undoes = change, transition.undoes
        stop_if_told()
        try:
            context.store.write_journal(change.before, change.after, context.words)
            if confirm is not None:
                _wait_for_confirmation(context, change, confirm)
        except NoSpace as full:
            # During a removal the record itself holds what is left, until all of it is gone.
            if any(change.after.values()) or not change or confirm is not None:
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
        if confirm is not None:
            _wait_for_confirmation(context, change, confirm)
        context.store.clear_journal()
        notes = (*notes, *recorder.done((d.owner for d in mended), "; ".join(map(str, reached.left))))
        return Outcome(change, notes, mended, reached.left)


def preview(context: Context, wanted: Sequence[Transition]) -> Preview:
    """Plan some changes, one after the other, without rights or a lock; nothing is written.

    Raises NotPermitted if the plan depends on something that this user cannot read, Conflict as `perform` does.
    """
    notes: list[str] = []
    errors: list[MydockernetError] = []
    before: Intent = {}
    pending = waiting = None
    store = context.store
    digest = store.digest()  # First: if the record changes after this, the script refuses to run.
    try:
        pending, waiting, before = store.journal(), store.unconfirmed(), store.load()
    except NotPermitted as error:
        notes.append(f"{error}; assumed empty")
    seen = observe(context.kernel, before, lenient=True)
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
            after = plan.of_one_firewall(after, transition.move(after, seen), seen)
        except MydockernetError as error:
            errors.append(error)
    notes += [f"cannot read everything: {why}; assumed absent" for why in seen.unread[unread:]]
    after = plan.difference(begun[0], after).done(begun[0])  # In the order in which `perform` has them.
    if not errors:
        _leave_room(waiting, begun[0], after, seen)
    mends = None if errors else next((transition.mends for transition in wanted if transition.mends), None)
    goal = goal_of(begun, after, mends)
    files = store.files(plan.difference(before, after).after)
    if pending:
        files[store.journal_path] = None
    record = Record(str(store.folder.absolute()), digest, files, not store.ready())
    sides = None if pending else (before, after)
    if not (goal.concern.networks or mends):
        return Preview((), tuple(notes), tuple(errors), (), record, sides)
    facing = face(goal, seen, context.kernel, lenient=True)
    steps, back = plan.plan(*facing.sides), plan.back(*facing.sides)
    for transition in resolved if not errors else ():
        if transition.approve:
            transition.approve(steps)
    notes += _warnings(facing)
    return Preview(steps, tuple(notes), (*errors, *facing.left), back, record, sides, mends)


def settle(context: Context) -> tuple[str, ...]:
    """Roll back what was interrupted, and what was not confirmed in time. Returns notes. Raises Locked, Failed."""
    context.kernel.require_rights()
    with context.store.lock(context.lock_timeout), context.kernel.lock(context.lock_timeout), _signals():
        return recover(context)


def recover(context: Context) -> tuple[str, ...]:
    """Roll back the change that a killed process left in the journal, unless it was complete, and a change that was
    not confirmed in time.

    A container in which something keeps failing is left to `repair`, as it must not block all others. Returns notes on
    these.
    """
    store = context.store
    notes: tuple[str, ...] = ()
    if pending := store.journal():
        recorder = Recorder(context)
        recorder.change = change = Change(*pending)
        stored = store.load()
        complete = change.done(stored) == stored
        left = () if complete else _rolled_back(context, recorder, change)
        notes = (*left, *recorder.recovered(complete, "; ".join(left)))
        waiting = store.unconfirmed()
        if waiting and not complete and waiting.after == change.after:
            store.clear_unconfirmed()
        store.clear_journal()
    if (waiting := store.unconfirmed()) and not waiting.left:
        recorder = Recorder(context)
        change, stored = Change(waiting.before, waiting.after), store.load()
        what = f"the change to {', '.join(map(quoted, change.after))} was not confirmed in time"
        # A rollback that was killed may have written some of the networks already.
        if all(stored.get(name) in (change.before[name], change.after[name]) for name in change.after):
            left = _rolled_back(context, recorder, change)
            notes = (*notes, f"{what}, and is rolled back", *left, *recorder.unconfirmed("; ".join(left)))
        else:
            notes = (*notes, f"{what}, but is not rolled back: its networks have changed on the record")
        store.clear_unconfirmed()
    return notes


def _rolled_back(context: Context, recorder: Recorder, change: Change) -> tuple[str, ...]:
    """Roll back a change, and return notes on what is left to repair."""
    recorder.change = change
    left: tuple[LeftOut, ...] = ()
    try:
        _roll_back(context, change)
    except MydockernetError:
        left = _roll_back(context, change, Scope(tuple(change.before), context.store.realm)).left
    return tuple(str(error) for error in left)


def _wait_for_confirmation(context: Context, change: Change, seconds: float) -> None:
    """Write down that a change is to be rolled back after some seconds from now. Raises NoSpace, Failed."""
    context.store.write_unconfirmed(unconfirmed(change.before, change.after, seconds), context.words)


def _leave_room(waiting: Unconfirmed | None, before: Intent, after: Intent, seen: Observed) -> None:
    """Raise Conflict for a change in the way of the rollback of the one that waits to be confirmed."""
    if waiting is None or before == after:
        return
    if {*waiting.after} & {*plan.difference(before, after).after}:
        raise Conflict(_waits(waiting), hint=KEEP)
    from mydockernet import fitting

    rolled_back = Change(waiting.before, waiting.after).undone
    already = fitting.misfits(before, rolled_back(before), seen)
    if taken := [why for why in fitting.misfits(after, rolled_back(after), seen) if why not in already]:
        raise Conflict(*(f"{_waits(waiting)}; then {why}" for why in taken), hint=KEEP)


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
        waiting = None if errors else context.store.unconfirmed()
        seen = context.kernel.observe_all_rules(context.kernel.observe(), lenient=True)
        target = repair(scope).move(intent, seen)
        facing = face(goal_of((intent,), target, None if errors else scope), seen, context.kernel, True)
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
    waits = (f"{_waits(waiting)}: mydockernet confirm",) if waiting else ()
    return Audit(found, (*unlocked, *waits, *assumed), errors)


def _waits(waiting: Unconfirmed) -> str:
    what = f"the change to {', '.join(map(quoted, waiting.after))}"
    return f"{what} is rolled back in {waiting.left:.0f} s, unless it is confirmed"


def observe(kernel: Kernel, intent: Intent, lenient: bool = False) -> Observed:
    """Return the links and routes of the host, and the rules of the firewall that its networks, or a first one, use.

    Raises what Kernel.observe_rules raises.
    """
    seen = kernel.observe()
    return kernel.observe_rules(seen, plan.programs(intent.values(), seen.firewalls[:1]), lenient)


def _look(kernel: Kernel, transition: Transition, seen: Observed | None = None, lenient: bool = False) -> Observed:
    """Extend an observation by what a transition needs."""
    if not seen or not seen.links:
        seen = kernel.observe()
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
            facing = face(goal, kernel.observe(), kernel)
            steps = plan.plan(*facing.sides)
            if attempts and failure.argv in tried and failure.argv not in {step.do for step in steps}:
                attempts -= 1
                continue
            if not {*culprits} - {*goal.failed}:
                raise
            goal = replace(goal, failed={**goal.failed, **dict.fromkeys(culprits, str(failure))})
            facing = face(goal, kernel.observe(), kernel)
            steps = plan.plan(*facing.sides)


def _warnings(facing: Facing) -> tuple[str, ...]:
    """Return what a change cannot bring about, but is made without; a repair reports it as an error."""
    return () if facing.mends else tuple(f"{fact.beyond(facing.seen)}: {fact.way_out()}" for fact in facing.beyond)


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
    reached = _reach(goal, face(goal, context.kernel.observe(), context.kernel), context.kernel)
    if before != stored:
        context.store.save(change.before)
    return reached


def _roll_back_after(failure: BaseException, context: Context, change: Change, last: Sequence[Step]) -> None:
    try:
        _roll_back(context, change)
        context.kernel.apply(last)
        waiting = context.store.unconfirmed()
        if waiting and waiting.after == change.after:
            context.store.clear_unconfirmed()
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
