"""List the differences between the kernel and the record, in words. Pure."""

from collections.abc import Collection, Iterator

from mydockernet import model, plan
from mydockernet.dialects import etc
from mydockernet.dialects.fact import SHARED, Fact, Observed
from mydockernet.dialects.ip import StrayLink
from mydockernet.dialects.iptables import Order, OwnRule, StrayRule
from mydockernet.dialects.nftables import Element, StrayElement
from mydockernet.model import Intent
from mydockernet.value import Value
from mydockernet.variants import Absent


class Drift(Value):
    """One difference, and the network that it belongs to: NAME, NAME@REALM or @shared.

    `state` is missing, misplaced, left over or unfinished. For a container it is gone (repair drops it from the
    record), detached (repair detaches it, or attaches it again) or blocked (repair cannot repair it), as something of
    another program may be. `container` is empty if it is about the network itself, or what all networks share.
    """

    owner: str
    state: str
    what: str
    container: str = ""

    def __str__(self) -> str:
        return f"{self.owner}: {self.what}"


def find(
    intent: Intent,
    target: Intent,
    had: Collection[Fact],
    want: Collection[Fact],
    seen: Observed,
    unfinished: Collection[str] = (),
) -> tuple[Drift, ...]:
    """List what a plan from `had` to `want` repairs, and the containers that differ between `intent` and `target`.

    `unfinished` are the names of networks in the journal of an interrupted change.
    """
    return (
        *(Drift(name, "unfinished", "interrupted change") for name in unfinished),
        *(gone := tuple(_gone(intent, target))),
        *_missing(target, want, seen, {drift.owner for drift in gone}),
        *_left_over(intent, had, want, seen),
    )


def _gone(intent: Intent, target: Intent) -> Iterator[Drift]:
    for network, endpoint in plan.difference(intent, target).left:
        what = f"container {endpoint.name} is gone: {endpoint.namespace.path}"
        yield Drift(network.name, "gone", what, endpoint.name)
    known = {(net.name, e.name): e.namespace for net, e in model.endpoints(intent.values())}
    for network, endpoint in model.endpoints(target.values()):
        if known.get((network.name, endpoint.name), endpoint.namespace) == endpoint.namespace:
            continue
        why = "is detached: no namespace" if endpoint.detached else "has a new namespace"
        what = f"container {endpoint.name} {why} at {endpoint.namespace.path}"
        yield Drift(network.name, "detached", what, endpoint.name)


def _missing(target: Intent, want: Collection[Fact], seen: Observed, known: Collection[str]) -> Iterator[Drift]:
    """`known` are the networks of which it is told already that a container is gone, and so its name."""
    owners = {fact: place for place, group in plan.facts_by_owner(target).items() for fact in group}
    for fact in want:
        if plan.told(fact, seen) and not fact.holds(seen):
            state = "left over" if isinstance(fact, Absent) else "misplaced" if isinstance(fact, Order) else "missing"
            owner, container = (fact.owner, "") if isinstance(fact, Absent) else owners.get(fact, (SHARED, ""))
            if fact.files() and owner in known:
                continue
            if why := fact.beyond(seen):
                yield Drift(owner, "blocked", f"{why}: {fact.way_out()}", container)
            else:
                yield Drift(owner, state, fact.difference, container)


def _left_over(intent: Intent, had: Collection[Fact], want: Collection[Fact], seen: Observed) -> Iterator[Drift]:
    # The line about a container that is gone stands for all that it left.
    known = {*want, *plan.facts(intent, plan.concern_of(intent.values()))}
    for fact in dict.fromkeys(had):
        if fact not in known and plan.told(fact, seen) and fact.remains(seen) and fact.undo(seen):
            owner = (
                fact.owner
                if isinstance(fact, StrayLink | StrayRule | OwnRule | Element | StrayElement | etc.Stray)
                else SHARED
            )
            yield Drift(owner, "left over", f"leftover {fact.what}")
