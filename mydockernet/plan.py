"""Facts of an intent, and the planner: from what is and what shall be to the commands between. Pure.

An intent is all networks by name. A plan works out only what a change can concern: the facts of the networks
that differ, and those that hang on all of them.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mydockernet import links, rules
from mydockernet.errors import Conflict
from mydockernet.facts import Fact, Observed, Step
from mydockernet.model import Network
from mydockernet.sysctls import Sysctl

Intent = Mapping[str, Network]


@dataclass(frozen=True, slots=True)
class Change:
    """Networks before and after, of those alone that differ; None stands for no network."""

    before: Mapping[str, Network | None]
    after: Mapping[str, Network | None]

    def undone(self, intent: Intent) -> Intent:
        """An intent with this change taken back."""
        return _with(intent, self.before)

    def done(self, intent: Intent) -> Intent:
        """An intent with this change made."""
        return _with(intent, self.after)


def difference(before: Intent, after: Intent) -> Change:
    """What a verb changed."""
    names = sorted(n for n in {*before, *after} if before.get(n) != after.get(n))
    return Change({n: before.get(n) for n in names}, {n: after.get(n) for n in names})


def facts(intent: Intent, concern: Collection[str]) -> tuple[Fact, ...]:
    """What must be true for an intent to hold, as far as it concerns these networks, in order of making."""
    networks = [intent[name] for name in sorted(concern) if name in intent]
    return (
        *(fact for network in networks for fact in bridge_facts(network)),
        *shared_facts(intent),
        *(fact for network in networks for fact in masquerade_facts(network)),
    )


def bridge_facts(network: Network) -> Iterable[Fact]:
    """The bridge of a network, with its addresses."""
    group = links.GROUP_INTERNAL if network.internal else links.GROUP
    yield links.Bridge(network.bridge, network.name, group, network.mtu)
    yield links.Alias(network.bridge, network.name)
    yield Sysctl(
        f"net/ipv6/conf/{network.bridge}/accept_ra",
        "0",
        "Believe no router advertisement from a container: one could make itself the host's way out.",
        dev=network.bridge,
    )
    for subnet in network.subnets:
        yield links.InterfaceAddress(
            network.bridge,
            subnet.gateway_interface,
            f"Give the host its address on {network.name}: the gateway of its containers. The prefix length also "
            f"makes the route to {subnet.network}.",
        )
    yield links.Up(network.bridge, "Switch the bridge on; until then it forwards nothing.")


def shared_facts(intent: Intent) -> Iterable[Fact]:
    """What all networks hang on; nothing, where there is no network."""
    for family in sorted({subnet.family for network in intent.values() for subnet in network.subnets}):
        yield from rules.shared_filter(family)
        if family == 4:
            yield Sysctl(
                "net/ipv4/ip_forward",
                "1",
                "Make the host a router: it hands packets on between its interfaces. This one stays on when the "
                "last network goes, as others may have come to rely on it.",
            )


def masquerade_facts(network: Network) -> Iterable[Fact]:
    """How what leaves a network is translated."""
    if network.masquerade and not network.internal:
        for subnet in network.subnets:
            yield rules.masquerade(network.name, subnet.network, network.bridge)


def plan(had: Iterable[Fact], want: Iterable[Fact], seen: Observed) -> tuple[Step, ...]:
    """The commands from what was (`had`) to what shall be (`want`), given what is seen.

    What was, shall not be, and is seen, is removed in reverse order; what shall be, and is not seen, is made.
    Raises Conflict where something of somebody else's stands in the way of what is to be made.
    """
    had, want = tuple(had), tuple(want)
    kept, known = set(want), set(had)
    goes = [fact for fact in dict.fromkeys(reversed(had)) if fact not in kept and fact.holds(seen)]
    deleted = {fact.deletes() for fact in goes} - {""}
    obstacles = list(filter(None, (fact.obstacle(seen) for fact in want if fact not in known)))
    if obstacles:
        raise Conflict(*obstacles, hint="nothing of others is taken over; rename or remove it, and try again")
    missing = [fact for fact in want if not fact.holds(seen)]
    return (
        *(step for fact in goes if fact.within() not in deleted for step in fact.undo(seen)),
        *(step for fact in missing for step in fact.do(seen)),
    )


def sysctls_of(*of: Iterable[Fact]) -> frozenset[str]:
    """The sysctls that have to be read before these facts can be planned."""
    return frozenset(fact.sysctl() for some in of for fact in some) - {""}


def strangers(known: Collection[str], seen: Observed) -> bool:
    """Whether the host has bridges of ours that are not among the known ones: another state folder's.

    They use the shared chains too, which therefore stay.
    """
    return any(links.is_ours(link) and name not in known for name, link in seen.links.items())


def _with(intent: Intent, changes: Mapping[str, Network | None]) -> Intent:
    merged: dict[str, Network | None] = {**intent, **changes}
    return {name: network for name, network in sorted(merged.items()) if network is not None}
