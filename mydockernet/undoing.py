"""`undo`: from the history to a transition that goes back to the values before a change, where that makes sense.

A change is undone alone, not those after it: what they changed stays. So a network that has changed since is refused.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from mydockernet import fitting
from mydockernet.dialects.fact import Observed
from mydockernet.errors import Conflict, NotFound, command_line, quoted
from mydockernet.model import Endpoint, Intent, Namespace, Network, endpoints
from mydockernet.record.history import DONE, UNCONFIRMED, VALUES, Entry, History
from mydockernet.transitions import Transition, lasting, namespace_now
from mydockernet.value import replace

# Of a network: itself, with an empty key, and its endpoints, by name.
Parts = dict[str, tuple[Network | Endpoint | None, Network | Endpoint | None]]


def undo(history: History, number: int | None, told: Callable[[Entry], None] = lambda entry: None) -> Transition:
    """Go back to the values before a change: the one with this ID, or the last one that a user made.

    `told` is called with the change, once it is known. Raises NotFound, and Conflict with all that has changed since.
    """

    def resolve() -> Transition:
        entries, _ = history.read()
        done = made(entries)
        entry = _chosen(entries, done, number)
        told(entry)
        later = [each for each in done if each.id > entry.id]
        back = [endpoint for _, endpoint in endpoints(entry.before.values())]
        ports = fitting.host_ports(back)

        def move(intent: Intent, seen: Observed) -> Intent:
            return _undone(entry, later, intent, seen)

        inside = tuple(dict.fromkeys(e.namespace for e in back if not (e.detached or e.namespace.own)))
        return Transition(move, inside, bool(ports), ports, undoes=entry.id)

    return Transition(lambda intent, seen: resolve().move(intent, seen), resolve=resolve)


def made(entries: Sequence[Entry]) -> list[Entry]:
    """Return the changes that were made. One that was rolled back as it was not confirmed is undone by that."""
    found: list[Entry] = []
    for entry in entries:
        if entry.result == DONE:
            found.append(entry)
        elif entry.result == UNCONFIRMED:
            sides = (entry.before, entry.after)
            same = (each.id for each in reversed(found) if (each.before, each.after) == sides)
            found.append(replace(entry, before=entry.after, after=entry.before, undoes=next(same, 0)))
    return found


def title(entry: Entry) -> str:
    """Return a change for a message: its ID and its words."""
    return f"{entry.id}: {command_line(entry.words) or 'unknown'}"


def undone_by(done: Sequence[Entry]) -> dict[int, int]:
    """Return the changes that are undone: by their ID, the ID of the undo. One that is undone itself does not count."""
    found: dict[int, int] = {}
    for entry in reversed(done):
        if entry.undoes and entry.id not in found:
            found.setdefault(entry.undoes, entry.id)
    return found


def _chosen(entries: Sequence[Entry], done: Sequence[Entry], number: int | None) -> Entry:
    undone = undone_by(done)
    if number is None:
        for entry in reversed(done):
            if not entry.undoes and entry.id not in undone and entry.networks and _by_user(entry):
                return entry
        raise Conflict("the history has no change that could be undone", hint="mydockernet history")
    found = next((entry for entry in entries if entry.id == number), None)
    if found is None:
        raise NotFound(f"the history has no change {number}", hint="mydockernet history shows all changes")
    if found.result != DONE:
        raise Conflict(f"change {title(found)}: it was not made, but {found.result}")
    if by := next((entry for entry in entries if entry.id == undone.get(number)), None):
        if by.result != DONE:
            raise Conflict(f"change {title(found)} is already undone: it was {by.result}")
        again = f"mydockernet undo {by.id} makes it again"
        raise Conflict(f"change {title(found)} is already undone, by {by.id}", hint=again)
    if found.cut != VALUES and not any(_changes(found)):
        raise Conflict(f"change {title(found)}: it changed no value of a network, so there is nothing to undo")
    return found


def _by_user(entry: Entry) -> bool:
    """Whether a user made a change of values, not an engine, `run`, or a repair that only found what is gone."""
    places = [*endpoints(entry.before.values()), *endpoints(entry.after.values())]
    automatic = any(endpoint.engine or endpoint.namespace.own for _, endpoint in places)
    return entry.cut == VALUES or (any(_changes(entry)) and not automatic)


def _changes(entry: Entry) -> Iterator[bool]:
    for name in entry.after:
        for one, other in _parts(entry.before[name], entry.after[name]).values():
            yield _plain(one) != _plain(other)


def _parts(before: Network | None, after: Network | None) -> Parts:
    """Return what differs, or may differ, between two values of a network."""
    had, has = ({e.name: e for e in network.endpoints} if network else {} for network in (before, after))
    return {"": (before, after), **{name: (had.get(name), has.get(name)) for name in {**had, **has}}}


def _plain(part: Network | Endpoint | None) -> Network | Endpoint | None:
    """Return a part without what changes by itself: the namespace that a path leads to, the last address assigned."""
    if isinstance(part, Endpoint):
        return replace(part, namespace=Namespace(part.namespace.path))
    if part is None:
        return None
    return replace(part, endpoints=(), subnets=tuple(replace(subnet, last=None) for subnet in part.subnets))


def _since(name: str, later: Sequence[Entry]) -> Entry | None:
    """Return the last change that made a network differ, if these changes together do.

    Undos of these changes, and what they undo, are named only if there is nothing else to name.
    """
    undone = undone_by(later)
    quits = {*undone, *(by for number, by in undone.items() if any(entry.id == number for entry in later))}
    net: Parts = {}
    last: dict[str, Entry] = {}
    for entry in later:
        if entry.cut == VALUES and name in entry.networks:
            return entry
        if name in entry.after:
            for key, (before, after) in _parts(entry.before[name], entry.after[name]).items():
                net[key] = (net.get(key, (before, None))[0], after)
                if _plain(before) != _plain(after) and not (entry.id in quits and key in last):
                    last[key] = entry
    differs = [last[key] for key, (before, after) in net.items() if _plain(before) != _plain(after)]
    return max(differs, key=lambda entry: (entry.id not in quits, entry.id), default=None)


def _undone(entry: Entry, later: Sequence[Entry], intent: Intent, seen: Observed) -> Intent:
    if entry.cut == VALUES:
        raise Conflict(f"change {entry.id} cannot be undone: it was too large for the history to keep its values")
    problems, hint = [], None
    for name in entry.after:
        if why := _changed(name, entry, intent):
            by = _since(name, later)
            problems.append(f"{why} (by change {title(by)})" if by else f"{why}, by nothing that the history has")
            hint = f"mydockernet undo {by.id} undoes that change" if by else None
        elif by := _since(name, later):
            problems.append(f"network {quoted(name)} has changed since (by change {title(by)})")
            hint = f"mydockernet undo {by.id} undoes that change"
    if problems:
        raise Conflict(*(f"change {entry.id} cannot be undone: {why}" for why in problems), hint=hint)
    target = dict(intent)
    for name, new in entry.after.items():
        old = entry.before[name]
        if old is None:
            del target[name]
        elif new is None:
            target[name] = replace(old, endpoints=tuple(_revived(old, e, problems) for e in old.endpoints))
        else:
            target[name] = _merged(old, new, intent[name], entry.positions.get(name, {}), problems)
    numbered = _in_order(intent, target)
    problems += fitting.misfits(intent, numbered, seen)
    if problems:
        raise Conflict(*(f"change {entry.id} cannot be undone: {why}" for why in problems))
    return lasting(numbered, entry.after)


def _changed(name: str, entry: Entry, intent: Intent) -> str:
    """Return how a network differs from what a change left; empty if it does not."""
    now, new = intent.get(name), entry.after[name]
    if new is None:
        return f"network {quoted(name)} exists again" if now else ""
    if now is None:
        return f"network {quoted(name)} no longer exists"
    current = _parts(now, None)
    expected = _parts(new, None)
    if entry.before[name] is not None:
        # The entry has only the endpoints that it changed.
        current = {key: current.get(key, (None, None)) for key in _parts(entry.before[name], new)}
        expected = {key: expected.get(key, (None, None)) for key in current}
    same = {key: _plain(part) for key, (part, _) in current.items()} == {
        key: _plain(part) for key, (part, _) in expected.items()
    }
    return "" if same else f"network {quoted(name)} has changed since"


def _merged(old: Network, new: Network, now: Network, positions: Mapping[str, int], problems: list[str]) -> Network:
    """Return a network as it is now with the parts that a change made from `old` to `new` as they were before."""
    had, has = ({e.name: e for e in network.endpoints} for network in (old, new))
    kept = []
    for endpoint in now.endpoints:
        if endpoint.name in had:
            kept.append(replace(had[endpoint.name], namespace=endpoint.namespace))
        elif endpoint.name not in has:
            kept.append(endpoint)
    for name, endpoint in had.items():
        if name not in has:
            kept.insert(positions.get(name, len(kept)), _revived(old, endpoint, problems))
    own = replace(old, endpoints=()) != replace(new, endpoints=())
    return replace(old if own else now, endpoints=tuple(kept))


def _revived(network: Network, endpoint: Endpoint, problems: list[str]) -> Endpoint:
    """Return an endpoint with its present namespace: detached if that is gone, but may return."""
    if namespace := namespace_now(endpoint):
        return replace(endpoint, namespace=namespace)
    what = f"container {quoted(endpoint.name)} of network {quoted(network.name)} is gone for good"
    problems.append(f"{what}: {endpoint.namespace.path}")
    return endpoint


def _in_order(before: Intent, target: Intent) -> Intent:
    """Return an intent in which the networks of each container are numbered differently: the old ones keep theirs."""
    known = {(network.name, endpoint.name) for network, endpoint in endpoints(before.values())}
    orders: dict[str, set[int]] = {}
    for network, endpoint in endpoints(target.values()):
        if (network.name, endpoint.name) in known:
            orders.setdefault(endpoint.namespace.key, set()).add(endpoint.order)
    numbered = {}
    for name, network in target.items():
        places = []
        for endpoint in network.endpoints:
            used = orders.setdefault(endpoint.namespace.key, set())
            if (name, endpoint.name) not in known:
                order = endpoint.order if endpoint.order not in used else max(used) + 1
                used.add(order)
                endpoint = endpoint if order == endpoint.order else replace(endpoint, order=order)
            places.append(endpoint)
        numbered[name] = replace(network, endpoints=tuple(places)) if tuple(places) != network.endpoints else network
    return numbered
