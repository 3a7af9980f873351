"""What a change faces: the facts of what was and of what is to be, and an observation that is enough to judge them."""

from collections.abc import Mapping, Sequence

from mydockernet import cables, model, plan, rulesets, strangers, variants
from mydockernet.dialects import ebtables, etc, iptables, nft_frames
from mydockernet.dialects.fact import Fact, Observed
from mydockernet.dialects.iptables import OwnRule, read_spec
from mydockernet.errors import LeftOut
from mydockernet.kernel import namespaces
from mydockernet.kernel.door import Kernel
from mydockernet.kernel.proc import list_files, observe_files
from mydockernet.model import Intent
from mydockernet.plan import Concern, Scope
from mydockernet.transitions import scoped
from mydockernet.value import EMPTY, Value, replace


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
    It is a repair if it `mends`.
    """

    target: Intent
    had: tuple[Fact, ...]
    want: tuple[Fact, ...]
    seen: Observed
    spared: frozenset[str]
    obstructed: Mapping[str, str]
    mends: bool = False

    @property
    def beyond(self) -> tuple[Fact, ...]:
        """The facts of the target that no step can create."""
        return tuple(fact for fact in self.want if fact.beyond(self.seen))

    @property
    def sides(self) -> tuple[tuple[Fact, ...], tuple[Fact, ...], Observed]:
        """The arguments of the planner."""
        return cables.without(self.had, self.spared), cables.without(self.want, self.spared), self.seen

    @property
    def left(self) -> tuple[LeftOut, ...]:
        """An error for each container, and for each fact, that a repair cannot repair."""
        return (
            *(
                LeftOut(f"{network}: {what}", hint=f"fix the cause, then run mydockernet repair {network}")
                for network, _, what in cables.told(self.obstructed, self.target)
            ),
            *(LeftOut(fact.beyond(self.seen), hint=fact.way_out()) for fact in self.beyond if self.mends),
        )


def goal_of(begun: tuple[Intent, ...], target: Intent, mends: Scope | None = None) -> Goal:
    """Return a goal whose concern covers the target and all that the kernel may have of what was begun."""
    concerns = [plan.difference(intent, target).concern for intent in begun]
    if mends is not None:
        concerns.append(plan.concern_of(network for intent in (*begun, target) for network in scoped(intent, mends)))
    networks = frozenset(name for concern in concerns for name in concern.networks)
    containers = frozenset(key for concern in concerns for key in concern.containers)
    return Goal(begun, target, Concern(networks, containers, ipv6=any(c.ipv6 for c in concerns)), mends)


def face(goal: Goal, seen: Observed, kernel: Kernel, lenient: bool = False) -> Facing:
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
        seen = kernel.observe_all_rules(seen, lenient)
    else:
        seen = kernel.observe_rules(seen, plan.programs(known), lenient)
    others = strangers.find(known, seen, leaving=goal.mends)
    # A network that the host does not forward packets for shares nothing.
    had_shared = any(any(plan.shared_rules(intent)) for intent in goal.begun)
    last = not others and had_shared and not any(plan.shared_rules(goal.target))
    joins = plan.programs(goal.target.values()) != plan.programs(goal.begun[0].values())
    if others and joins and goal.mends is None and len(goal.begun) == 1:
        seen = kernel.observe_all_rules(seen, lenient)
        strangers.require_same_firewall(strangers.find(known, seen), goal.target)
    if goal.mends is not None:
        if kernel.has(ebtables.READ_FRAMES[0]):
            seen = kernel.observe_frames(seen, lenient)
        seen = observe_files(kernel.observe_zones(seen), list_files(etc.places()))
        had = (*had, *plan.left_over(had, want, goal.mends, seen, alone=not others))
    elif last and kernel.forwards6() and iptables.PROGRAMS[4] in seen.read:
        seen = kernel.observe_rules(seen, (iptables.PROGRAMS[6],), lenient)
    if last:
        # The last network of all state directories deletes what they shared.
        had = (*had, *plan.every_shared(seen))
    want = tuple(dict.fromkeys((*want, *strangers.kept_for(others, goal.begun))))
    want = (*want, *_in_other_variant(goal, had, want, seen))
    had, want, seen = _bridged(goal, last, had, want, seen, kernel)
    had, want = _without_those_beside(goal, had, want)
    sights = plan.to_look_at(had, want, seen)
    seen = kernel.observe_rules(seen, sights.programs, lenient)
    everywhere = model.attached(network for intent in (goal.target, *goal.begun) for network in intent.values())
    kernel.hold(e.namespace for _, e in everywhere if e.namespace.path in sights.namespaces)
    lenient = lenient or goal.mends is not None
    seen = kernel.observe_inside(seen, sights.namespaces, lenient)
    seen = kernel.observe_lookups6(seen, sights.lookups6, lenient)
    if sights.frames and goal.mends is None:
        seen = kernel.observe_frames(seen, lenient)
    if sights.zones and goal.mends is None:
        seen = kernel.observe_zones(seen)
    seen = observe_files(seen, sights.files, sights.servers)
    seen = kernel.observe_sysctls(seen, sights.sysctls, lenient)
    if goal.mends is not None:  # Otherwise it is enough to know that there is one.
        seen = kernel.observe_rates(seen, sights.shaped, lenient)
    if goal.mends is None:
        return Facing(goal.target, had, want, seen, cables.lost_elsewhere(goal.begun, goal.target, want, seen), {})
    # A problem in one container must not stop the repair of the others.
    obstructed = {**cables.obstructed(goal.target, had, want, seen), **goal.failed}
    spared = cables.with_namespaces(obstructed, goal.target)
    return Facing(goal.target, had, want, seen, spared, obstructed, mends=True)


def _without_those_beside(
    goal: Goal, had: tuple[Fact, ...], want: tuple[Fact, ...]
) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    """Return the facts without those that stay in chains of other programs: they are read only to mend them."""
    if goal.mends is not None or len(goal.begun) > 1:
        return had, want
    stay = {
        fact
        for fact in {*had} & {*want}
        if fact.firewall() and fact.shown_by() not in rulesets.PROGRAMS[fact.firewall()]
    }
    return tuple(fact for fact in had if fact not in stay), tuple(fact for fact in want if fact not in stay)


def _bridged(
    goal: Goal, last: bool, had: tuple[Fact, ...], want: tuple[Fact, ...], seen: Observed, kernel: Kernel
) -> tuple[tuple[Fact, ...], tuple[Fact, ...], Observed]:
    """Return the facts, and the observation with the rules of nftables about bridged frames.

    They are read only to mend them, if it is unknown which of several intents the kernel has, or if it has no bridge
    that they are for, as after a reboot: nft takes a process, and their commands have the same result whatever is
    there. Without nft there are no such facts; doctor tells it.
    """
    if not kernel.has(nft_frames.READ[0]):
        had, want = (tuple(fact for fact in facts if not fact.bridged()) for facts in (had, want))
    needed = {last or plan.keeps_out_ipv6(intent) for intent in goal.begun}
    if not any(fact.bridged() for fact in (*had, *want)):
        return had, want, seen
    stands = last or any(network.bridge in seen.links for intent in goal.begun for network in intent.values())
    if goal.mends is None and (needed == {False} or (needed == {True} and stands)):
        return had, want, replace(seen, bridged=nft_frames.THERE if needed.pop() else "")
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
