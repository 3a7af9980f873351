"""How the kernel differs from the intent, in words. Pure."""

from collections.abc import Collection, Iterator

from mydockernet import model, plan
from mydockernet.dialects.fact import SHARED, Fact, Observed
from mydockernet.dialects.ip import StrayLink
from mydockernet.dialects.iptables import Order, OwnRule, StrayRule
from mydockernet.model import Intent
from mydockernet.value import Value
from mydockernet.variants import Absent


class Drift(Value):
    """One thing that is not as it should be, and whose.

    `state` is missing, misplaced, left over, unfinished; or, of a container: gone (it will be dropped from the record),
    detached (it is remembered, or is back), blocked (something keeps repair from its work).
    """

    owner: str
    state: str
    what: str

    def __str__(self) -> str:
        return f"{self.owner}: {self.state}: {self.what}"


def find(
    intent: Intent,
    target: Intent,
    had: Collection[Fact],
    want: Collection[Fact],
    seen: Observed,
    unfinished: Collection[str] = (),
) -> tuple[Drift, ...]:
    """What a plan from `had` to `want` would put right, and what it would drop of the intent to reach the target."""
    return (
        *(Drift(name, "unfinished", "a change that a process began, and did not end") for name in unfinished),
        *_gone(intent, target),
        *_missing(target, want, seen),
        *_left_over(intent, had, want, seen),
    )


def _gone(intent: Intent, target: Intent) -> Iterator[Drift]:
    for network, endpoint in plan.difference(intent, target).left:
        yield Drift(network.name, "gone", f"the container {endpoint.name}, with {endpoint.namespace.path}")
    known = {(net.name, e.name): e.namespace for net, e in model.endpoints(intent.values())}
    for network, endpoint in model.endpoints(target.values()):
        if known.get((network.name, endpoint.name), endpoint.namespace) == endpoint.namespace:
            continue
        why = "there is no" if endpoint.detached else "there is another"
        what = f"the container {endpoint.name}: {why} namespace at {endpoint.namespace.path}"
        yield Drift(network.name, "detached", what)


def _missing(target: Intent, want: Collection[Fact], seen: Observed) -> Iterator[Drift]:
    owners = {fact: name for (name, _), group in plan.facts_by_owner(target).items() for fact in group}
    for fact in want:
        if plan.told(fact, seen) and not fact.holds(seen):
            state = "left over" if isinstance(fact, Absent) else "misplaced" if isinstance(fact, Order) else "missing"
            owner = fact.owner if isinstance(fact, Absent) else owners.get(fact, SHARED)
            yield Drift(owner, state, fact.what)


def _left_over(intent: Intent, had: Collection[Fact], want: Collection[Fact], seen: Observed) -> Iterator[Drift]:
    # What a container that is gone has left is told with it.
    known = {*want, *plan.facts(intent, plan.concern_of(intent.values()))}
    for fact in dict.fromkeys(had):
        if fact not in known and plan.told(fact, seen) and fact.holds(seen) and fact.undo(seen):
            owner = fact.owner if isinstance(fact, StrayLink | StrayRule | OwnRule) else SHARED
            yield Drift(owner, "left over", fact.what)
