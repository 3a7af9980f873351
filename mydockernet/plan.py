"""The facts of an intent, and the planner, which turns two sets of facts and an observation into steps. Pure.

An intent is all networks by name. A plan covers only what a change can affect: the facts of the networks and containers
that differ, and the facts that all networks share.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from mydockernet import ruleset
from mydockernet.dialects import ebtables, ip, iptables
from mydockernet.dialects.fact import SHARED, Fact, Observed, Step
from mydockernet.dialects.sysctl import Sysctl
from mydockernet.drivers import bridge
from mydockernet.errors import Conflict
from mydockernet.model import Endpoint, Intent, Network, attached, endpoints
from mydockernet.value import Value

Place = tuple[str, str]

Attachment = tuple[Network, Endpoint]


class Concern(Value):
    """What a plan covers: networks by name, containers by the key of their namespace.

    `lost` are endpoints (network, name) whose container is gone: their veth pairs are neither created nor deleted.
    """

    networks: frozenset[str]
    containers: frozenset[str]
    lost: frozenset[Place] = frozenset()


class Scope(Value):
    """What a check or a repair covers: networks by name (empty: all), and the realm of the state directory."""

    names: tuple[str, ...]
    realm: str

    def covers(self, owner: str) -> bool:
        """Whether the owner in a mark, NAME or NAME@REALM, belongs to this realm and these networks."""
        name, _, realm = owner.partition("@")
        return realm == self.realm and (not self.names or name in self.names)


class Change(Value):
    """The networks that differ, before and after a change; None stands for no network."""

    before: Mapping[str, Network | None]
    after: Mapping[str, Network | None]

    def __bool__(self) -> bool:
        return bool(self.after)

    def undone(self, intent: Intent) -> Intent:
        """Return an intent with this change undone."""
        return _with(intent, self.before)

    def done(self, intent: Intent) -> Intent:
        """Return an intent with this change made."""
        return _with(intent, self.after)

    @property
    def concern(self) -> Concern:
        """The networks that differ, and the containers of the endpoints that were added, removed or changed."""
        before, after = (
            {(network.name, endpoint) for network, endpoint in endpoints(side.values())}
            for side in (self.before, self.after)
        )
        return Concern(frozenset(self.after), frozenset(endpoint.namespace.key for _, endpoint in before ^ after))

    @property
    def left(self) -> tuple[tuple[Network, Endpoint], ...]:
        """The endpoints that are removed, each with its network."""
        stay = {(network.name, endpoint.name) for network, endpoint in endpoints(self.after.values())}
        return tuple(pair for pair in endpoints(self.before.values()) if (pair[0].name, pair[1].name) not in stay)


def difference(before: Intent, after: Intent) -> Change:
    """Return the change from one intent to another."""
    names = sorted(n for n in {*before, *after} if before.get(n) != after.get(n))
    return Change({n: before.get(n) for n in names}, {n: after.get(n) for n in names})


def concern_of(networks: Iterable[Network]) -> Concern:
    """Return the concern of some networks and all containers on them."""
    networks = tuple(networks)
    return Concern(frozenset(n.name for n in networks), frozenset(e.namespace.key for _, e in endpoints(networks)))


def facts(intent: Intent, concern: Concern) -> tuple[Fact, ...]:
    """Return the facts of an intent within a concern, in the order in which they are created.

    They are deleted in reverse order, so guards come before what they guard. Facts of one program stand together, so
    that one process creates them all.
    """
    networks = [intent[name] for name in sorted(concern.networks) if name in intent]
    containers: dict[str, list[Attachment]] = {key: [] for key in sorted(concern.containers)}
    for network, endpoint in attached(intent.values()):
        if endpoint.namespace.key in containers:
            containers[endpoint.namespace.key].append((network, endpoint))
    reachable = [
        [(network, endpoint) for network, endpoint in places if (network.name, endpoint.name) not in concern.lost]
        for places in containers.values()
    ]
    cables = [place for places in reachable for place in places]
    return (
        *(fact for network in networks for fact in bridge.bridge_facts(network)),
        *shared_rules(intent),
        *(fact for network in networks for fact in bridge.rule_facts(network)),
        *(fact for places in containers.values() for place in places for fact in bridge.port_facts(*place)),
        *(fact for place in cables for fact in bridge.cable_facts(*place)),
        *shared_switches(intent),
        *(fact for network in networks for fact in bridge.bridge_switches(network)),
        *(fact for _, endpoint in cables for fact in bridge.cable_switches(endpoint)),
        *(fact for network in networks for fact in bridge.bridge_start(network)),
        *(fact for places in reachable for fact in _inside(places)),
    )


def _inside(places: Collection[Attachment]) -> Iterator[Fact]:
    """Yield the facts inside a container that has these places."""
    for _, endpoint in places:
        yield from bridge.container_switches(endpoint, places)
    for network, endpoint in places:
        yield from bridge.container_facts(network, endpoint, places)


def facts_by_owner(intent: Intent) -> dict[Place, tuple[Fact, ...]]:
    """Return the facts by (network, endpoint). The facts of a network itself have an empty endpoint."""
    containers: dict[str, list[Attachment]] = {}
    for network, endpoint in attached(intent.values()):
        containers.setdefault(endpoint.namespace.key, []).append((network, endpoint))
    owned: dict[Place, tuple[Fact, ...]] = {}
    for name in sorted(intent):
        network = intent[name]
        owned[name, ""] = (
            *bridge.bridge_facts(network),
            *bridge.rule_facts(network),
            *bridge.bridge_switches(network),
            *bridge.bridge_start(network),
        )
        for endpoint in network.endpoints:
            if endpoint.detached:
                owned[name, endpoint.name] = ()
                continue
            owned[name, endpoint.name] = (
                *bridge.port_facts(network, endpoint),
                *bridge.cable_facts(network, endpoint),
                *bridge.cable_switches(endpoint),
                *bridge.container_switches(endpoint, containers[endpoint.namespace.key]),
                *bridge.container_facts(network, endpoint, containers[endpoint.namespace.key]),
            )
    return owned


def left_over(
    had: Collection[Fact], want: Collection[Fact], scope: Scope, seen: Observed, alone: bool
) -> tuple[Fact, ...]:
    """Return what the kernel shows with a mark of mydockernet that no network needs.

    `alone`: no other state directory has networks on this host.
    """
    shared = tuple(f for f in ruleset.every_shared(4) if not f.obstacle(seen)) if alone else ()
    known = {fact.makes() for fact in (*had, *want)}
    every = [fact for fact in (*had, *want, *shared) if isinstance(fact, iptables.OwnRule)]
    ordered = {rule for fact in want if isinstance(fact, iptables.Order) for rule in fact.rules}
    kept = [fact for fact in want if isinstance(fact, iptables.OwnRule) and fact not in ordered]
    loose = tuple(stray for stray in ip.strays(seen, known) if scope.covers(stray.owner))
    return (
        *loose,
        *shared,
        *(
            stray
            for stray in iptables.strays(seen, every, kept)
            if scope.covers(stray.owner) or (stray.owner == SHARED and (alone or stray.has))
        ),
        *(ebtables.strays(seen, (*had, *want), {link.name for link in loose}) if alone and not scope.names else ()),
    )


def told(fact: Fact, seen: Observed) -> bool:
    """Whether an observation can tell if a fact holds. It cannot if that part was not, or could not be, observed."""
    if seen.blind and isinstance(fact, iptables.OwnRule | iptables.OwnChain | iptables.Order):
        return False
    if seen.frameless and fact.frames():
        return False
    return not fact.looks_into() or fact.looks_into() in seen.inside


def shared_facts(intent: Intent) -> Iterator[Fact]:
    """Yield the facts that all networks share; none if there is no network."""
    yield from shared_rules(intent)
    yield from shared_switches(intent)


def shared_rules(intent: Intent) -> Iterator[Fact]:
    """Yield the rules that all networks share."""
    mappings = [m for _, endpoint in attached(intent.values()) for m in endpoint.ports]
    for family in _families(intent):
        yield from ruleset.shared_forward(family)
        if any(mapping.on_loopback for mapping in mappings):
            yield from ruleset.loopback_guards()
        if mappings:
            yield from ruleset.ports(family)


def shared_switches(intent: Intent) -> Iterator[Fact]:
    """Yield the sysctls that all networks share."""
    if 4 in _families(intent):
        yield Sysctl(
            "net/ipv4/ip_forward",
            "1",
            "Enable IP forwarding between the interfaces of the host. It stays enabled when the last network is "
            "removed, as other programs may rely on it.",
        )


def _families(intent: Intent) -> list[int]:
    return sorted({subnet.family for network in intent.values() for subnet in network.subnets})


def plan(had: Iterable[Fact], want: Iterable[Fact], seen: Observed) -> tuple[Step, ...]:
    """Return the steps from the facts `had` to the facts `want`, given an observation.

    Facts of `had` that are not in `want` are deleted in reverse order, if they hold; facts of `want` are created, if
    they do not hold. Raises Conflict if something of another program is in the way.
    """
    had, want = tuple(had), tuple(want)
    known = set(had)
    new = (fact for fact in want if fact not in known or not fact.holds(seen))
    obstacles = list(filter(None, (fact.obstacle(seen) for fact in new)))
    if obstacles:
        raise Conflict(
            *obstacles, hint="mydockernet does not take over what it did not create: rename it, or use another name"
        )
    goes = [fact for fact in reversed(_going(had, want)) if fact.holds(seen)]
    remade = {fact.makes() for fact in want if not fact.holds(seen)} - {""}
    missing = [fact for fact in want if not fact.holds(seen) or fact.within() in remade]
    return (
        *(step for fact in goes for step in fact.undo(seen)),
        *(step for fact in missing for step in fact.do(seen)),
    )


def back(had: Iterable[Fact], want: Iterable[Fact], seen: Observed) -> tuple[Step, ...]:
    """Return the steps that delete again what a plan from `had` to `want` creates and what does not exist yet."""
    coming = _going(tuple(want), tuple(had))
    return tuple(step for fact in reversed(coming) if not fact.holds(seen) for step in fact.undo(seen))


class Sights(Value):
    """What a plan must observe besides the links and rules of the host.

    `namespaces` by path, `sysctls` as (namespace, key), and whether the rules of ebtables are needed (`frames`).
    """

    namespaces: frozenset[str]
    sysctls: frozenset[tuple[str, str]]
    frames: bool


def to_look_at(had: Iterable[Fact], want: Iterable[Fact]) -> Sights:
    """Return what to observe for a plan. Facts that disappear with an interface need no observation."""
    going, want = _going(tuple(had), tuple(want)), tuple(want)
    paths = {fact.looks_into() for fact in want} | {fact.looks_into() for fact in going if not fact.makes()}
    read = {(fact.netns, fact.sysctl()) for fact in (*going, *want) if fact.sysctl()}
    frames = any(fact.frames() for fact in (*going, *want))
    return Sights(frozenset(paths - {""}), frozenset(read), frames)


def strangers(known: Collection[str], seen: Observed, leaving: Scope | None = None) -> bool:
    """Whether the host has bridges of another state directory: marked by mydockernet, but not among the `known` ones.

    They need the shared chains, which therefore stay. Unknown bridges that `leaving` covers are leftovers to delete.
    """
    bridges = (link for link in seen.links.values() if link.kind == "bridge" and link.name not in known)
    return any(ip.is_ours(link) and not (leaving and leaving.covers(ip.owner(link))) for link in bridges)


def _going(had: tuple[Fact, ...], want: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """Return the facts of `had` that are not in `want`, without those that disappear with an interface."""
    kept = set(want)
    goes = [fact for fact in dict.fromkeys(had) if fact not in kept]
    deleted = {fact.makes() for fact in goes} - {""}
    return tuple(fact for fact in goes if fact.within() not in deleted)


def _with(intent: Intent, changes: Mapping[str, Network | None]) -> Intent:
    merged: dict[str, Network | None] = {**intent, **changes}
    return {name: network for name, network in sorted(merged.items()) if network is not None}
