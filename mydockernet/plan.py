"""The facts of an intent, and the planner, which turns two sets of facts and an observation into steps. Pure.

An intent is all networks by name. A plan covers only what a change can affect: the facts of the networks and containers
that differ, and the facts that all networks share.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from mydockernet import drivers, inside, names, rulesets, sweep
from mydockernet.dialects import conntrack, ebtables, etc, firewalld, ip, ip_route, iptables, nft_frames, nftables
from mydockernet.dialects.fact import FORWARDING, SHARED, Fact, File, Observed, Step
from mydockernet.dialects.sysctl import RouterAdvertisements, Sysctl
from mydockernet.errors import Conflict, quoted
from mydockernet.model import Endpoint, Intent, Network, attached, endpoints
from mydockernet.value import Value, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mydockernet.drivers import Driver

Place = tuple[str, str]

Attachment = tuple[Network, Endpoint]


class Concern(Value):
    """What a plan covers: networks by name, containers by the key of their namespace.

    `lost` are endpoints (network, name) whose container is gone: their veth pairs are neither created nor deleted.
    `ipv6`: one of these networks has IPv6, or had it; otherwise the shared rules of IPv6 stay as they are.
    """

    networks: frozenset[str]
    containers: frozenset[str]
    lost: frozenset[Place] = frozenset()
    ipv6: bool = True


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
        """The networks that differ, and the containers of the endpoints that were added, removed or changed.

        If a network differs in more than its endpoints, all its containers are concerned.
        """
        before, after = (
            {(network.name, endpoint) for network, endpoint in endpoints(side.values())}
            for side in (self.before, self.after)
        )
        deep = {name for name, network in self.after.items() if _bare(network) != _bare(self.before[name])}
        changed = before ^ after | {place for place in before | after if place[0] in deep}
        return Concern(
            frozenset(self.after),
            frozenset(endpoint.namespace.key for _, endpoint in changed),
            ipv6=any(6 in network.families for network in (*self.before.values(), *self.after.values()) if network),
        )

    @property
    def left(self) -> tuple[tuple[Network, Endpoint], ...]:
        """The endpoints that are removed, each with its network."""
        stay = {(network.name, endpoint.name) for network, endpoint in endpoints(self.after.values())}
        return tuple(pair for pair in endpoints(self.before.values()) if (pair[0].name, pair[1].name) not in stay)


def _bare(network: Network | None) -> Network | None:
    """Return a network without what `connect` and `disconnect` change."""
    if network is None:
        return None
    return replace(network, endpoints=(), subnets=tuple(replace(subnet, last=None) for subnet in network.subnets))


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
        *(fact for network in networks for fact in _driver(network).network_facts(network)),
        *_by_program(
            *(fact for fact in shared_rules(intent) if concern.ipv6 or family(fact) != 6),
            *(fact for network in networks for fact in _driver(network).rule_facts(network)),
            *(fact for places in containers.values() for place in places for fact in inside.port_facts(*place)),
        ),
        *(fact for place in cables for fact in _driver(place[0]).cable_facts(*place)),
        *shared_switches(intent),
        *(fact for network in networks for fact in _driver(network).network_switches(network)),
        *(fact for place in cables for fact in _driver(place[0]).cable_switches(*place)),
        *(fact for network in networks for fact in _driver(network).network_start(network)),
        *(fact for place in cables for fact in _driver(place[0]).cable_start(*place)),
        *(fact for places in reachable for fact in _inside(places)),
        *(fact for place in cables for fact in inside.rate_facts(*place)),
        *(fact for _, fact in names.name_facts(intent.values(), concern.networks, concern.containers)),
    )


def _by_program(*rules: Fact) -> list[Fact]:
    """Return rules with those of one program, and of one zone, together, in the same order otherwise."""
    return sorted(rules, key=lambda fact: (family(fact) or 9, fact.zone if isinstance(fact, firewalld.InZone) else ""))


def family(fact: Fact) -> int:
    """Return the address family of a fact of iptables; 0 for others."""
    if isinstance(fact, iptables.Order):
        fact = fact.rules[0]
    return fact.chain.family if isinstance(fact, iptables.OwnRule | iptables.OwnChain) else 0


def _driver(network: Network) -> "Driver":
    return drivers.load(network.driver)


def _inside(places: Collection[Attachment]) -> Iterator[Fact]:
    """Yield the facts inside a container that has these places."""
    for network, endpoint in places:
        yield inside.container_mtu(network, endpoint)
    for network, endpoint in places:
        yield from inside.container_switches(network, endpoint, places)
    for network, endpoint in places:
        yield from _driver(network).container_facts(network, endpoint, places)


def facts_by_owner(intent: Intent) -> dict[Place, tuple[Fact, ...]]:
    """Return the facts by (network, endpoint). The facts of a network itself have an empty endpoint."""
    containers: dict[str, list[Attachment]] = {}
    for network, endpoint in attached(intent.values()):
        containers.setdefault(endpoint.namespace.key, []).append((network, endpoint))
    owned: dict[Place, tuple[Fact, ...]] = {}
    for name in sorted(intent):
        network = intent[name]
        driver = _driver(network)
        owned[name, ""] = (
            *driver.network_facts(network),
            *driver.rule_facts(network),
            *driver.network_switches(network),
            *driver.network_start(network),
        )
        for endpoint in network.endpoints:
            if endpoint.detached:
                owned[name, endpoint.name] = ()
                continue
            places = containers[endpoint.namespace.key]
            owned[name, endpoint.name] = (
                *inside.port_facts(network, endpoint),
                *driver.cable_facts(network, endpoint),
                *driver.cable_switches(network, endpoint),
                *driver.cable_start(network, endpoint),
                inside.container_mtu(network, endpoint),
                *inside.container_switches(network, endpoint, places),
                *driver.container_facts(network, endpoint, places),
                *inside.rate_facts(network, endpoint),
            )
    for place, fact in names.name_facts(intent.values(), intent, containers):
        owned[place] = (*owned[place], fact)
    return owned


def left_over(
    had: Collection[Fact], want: Collection[Fact], scope: Scope, seen: Observed, alone: bool
) -> tuple[Fact, ...]:
    """Return what the kernel shows with a mark of mydockernet that no network needs.

    `alone`: no other state directory has networks on this host.
    """
    shared = every_shared(seen) if alone else ()
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
        *(stray for stray in nftables.strays(seen, (*had, *want)) if scope.covers(stray.owner)),
        *(stray for stray in etc.strays(seen, (*had, *want)) if scope.covers(stray.owner)),
        *(ebtables.strays(seen, (*had, *want), {link.name for link in loose}) if alone and not scope.names else ()),
        *(ip_route.strays(seen, (*had, *want)) if alone and not scope.names else ()),
        *(firewalld.strays(seen, (*had, *want)) if alone and not scope.names else ()),
    )


def told(fact: Fact, seen: Observed) -> bool:
    """Whether an observation can tell if a fact holds. It cannot if that part was not, or could not be, observed."""
    if seen.blind and (fact.firewall() or fact.bridged()):
        return False
    if seen.frameless and fact.frames():
        return False
    return not fact.looks_into() or fact.looks_into() in seen.inside


def shared_facts(intent: Intent) -> Iterator[Fact]:
    """Yield the facts that all networks share; none if there is no network."""
    yield from shared_rules(intent)
    yield from shared_switches(intent)


def shared_rules(intent: Intent) -> Iterator[Fact]:
    """Yield the rules that all networks share, or all of one firewall."""
    for name in rulesets.MODULES:
        networks = [network for network in forwarded(intent) if network.firewall == name]
        publishing = {family for network in networks for family in (4, 6) if network.keeps_ports(family)}
        if networks:
            loopback = any(network.on_loopback for network in networks)
            yield from rulesets.load(name).shared(_families(networks), publishing, loopback)
    if keeps_out_ipv6(intent):
        yield nft_frames.NoIPv6()


def programs(networks: Iterable[Network], otherwise: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the programs whose rules show what networks have, IPv6 apart; without networks, those of `otherwise`."""
    names = {network.firewall for network in networks if _driver(network).FORWARDS} or {*otherwise}
    return tuple(rulesets.PROGRAMS[name][0] for name in sorted(names))


def keeps_out_ipv6(intent: Intent) -> bool:
    """Whether a network has a bridge and IPv4 only."""
    return any(network.bridge and network.families == (4,) for network in intent.values())


def every_shared(seen: Observed) -> tuple[Fact, ...]:
    """Return all rules that networks can share, without those of other programs with the same names."""
    rules = (fact for name in rulesets.MODULES for fact in rulesets.load(name).shared((4, 6), (4, 6), True))
    return tuple(fact for fact in (*rules, nft_frames.NoIPv6()) if not fact.obstacle(seen))


def shared_switches(intent: Intent) -> Iterator[Fact]:
    """Yield the sysctls that all networks share."""
    stays = "It stays enabled when the last network is removed, as other programs may rely on it."
    families = {family for network in forwarded(intent) if network.has_gateway for family in network.families}
    if 4 in families:
        why = f"Enable IP forwarding between the interfaces of the host. {stays}"
        yield Sysctl(FORWARDING[4], "1", why)
    if 6 in families:
        yield RouterAdvertisements()
        yield Sysctl(FORWARDING[6], "1", f"Enable forwarding of IPv6, too. {stays}")


def _families(networks: Collection[Network]) -> list[int]:
    """Return the families that need rules: IPv4 always, since a container can send it on a network without it, too.

    On a network without IPv6 the bridge has it disabled.
    """
    return [4, *((6,) if any(6 in network.families for network in networks) else ())]


def forwarded(intent: Intent) -> list[Network]:
    """Return the networks whose packets the host forwards."""
    return [network for network in intent.values() if _driver(network).FORWARDS]


def plan(had: Iterable[Fact], want: Iterable[Fact], seen: Observed) -> tuple[Step, ...]:
    """Return the steps from the facts `had` to the facts `want`, given an observation.

    Facts of `had` that are not in `want` are deleted in reverse order, if they hold; facts of `want` are created, if
    they do not hold. Raises Conflict if something of another program is in the way.
    """
    # Two networks of a container that `run` creates need its namespace once.
    had, want = tuple(had), tuple(dict.fromkeys(want))
    known, slots = set(had), {fact.slot() for fact in had} - {""}
    goes = [fact for fact in reversed(_going(had, want)) if fact.remains(seen)]
    # Rules that move to another firewall are deleted when all are there: no packet may slip through between.
    firewalls = {fact.firewall() for fact in want} - {""}
    moved = {fact.firewall() for fact in goes} - {*firewalls, ""} if firewalls else set()
    # What is deleted with an interface has to be created again, even if the new interface has the same name.
    then = seen.without(*(place for fact in goes for place in fact.frees()))
    for fact in goes:
        then = fact.aftermath(then)
    lacking = {fact for fact in want if not fact.holds(then)}
    new = (fact for fact in want if fact in lacking or not (fact in known or fact.slot() in slots))
    obstacles = list(filter(None, (fact.obstacle(then) for fact in new)))
    if obstacles:
        raise Conflict(
            *obstacles, hint="mydockernet does not take over what it did not create: rename it, or use another name"
        )
    remade = {fact.makes() for fact in lacking} - {""}
    missing = [fact for fact in want if fact in lacking or fact.within() in remade]
    do = (step for fact in missing for step in fact.do(then))
    first = [fact for fact in goes if fact.firewall() not in moved]
    last = [step for fact in goes if fact.firewall() in moved for step in fact.undo(seen)]
    steps = (*sweep.steps(first, seen), *do, *last)
    # The connections that moved rules let in are let in by the new ones.
    return tuple(_flows_last(step for step in steps if not (moved and step.do[0] == conntrack.CONNTRACK)))


def _flows_last(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield steps with those that end flows behind the rules around them, so that one process changes all of these."""
    held: list[Step] = []
    for step in steps:
        if step.do[0] == conntrack.CONNTRACK:
            held.append(step)
            continue
        if held and step.do[0] not in iptables.PROGRAMS.values() and not nftables.foldable(step.do):
            yield from held
            held.clear()
        yield step
    yield from held


def back(had: Iterable[Fact], want: Iterable[Fact], seen: Observed) -> tuple[Step, ...]:
    """Return the steps that delete again what a plan from `had` to `want` creates and what does not exist yet, and
    those that rewrite the files which it changes as they were.
    """
    had, want = tuple(had), tuple(want)
    coming, kept = _going(want, had), set(want)
    rewritten = [fact for fact in had if fact.files() and fact not in kept and fact.holds(seen)]
    changed = {path: File("text") for fact in rewritten for path in fact.files() if path in seen.files}
    then = replace(seen, files={**seen.files, **changed})
    return (
        *(step for fact in reversed(coming) if not fact.holds(seen) for step in fact.undo(seen)),
        *(step for fact in rewritten for step in fact.do(then)),
    )


class Sights(Value):
    """What a plan must observe besides the links of the host.

    `namespaces` by path, those of them with routing rules for IPv6 (`lookups6`), `sysctls` as (namespace, key), the
    `programs` whose rules are needed, and whether those of ebtables (`frames`) and the zones of firewalld are. `shaped`
    are the namespaces, and the host as an empty path, whose interfaces have rates. `files` are paths, and
    `servers` are pid files.
    """

    namespaces: frozenset[str]
    lookups6: frozenset[str]
    sysctls: frozenset[tuple[str, str]]
    programs: tuple[str, ...]
    frames: bool
    shaped: frozenset[str]
    zones: bool
    files: frozenset[str]
    servers: frozenset[str]


def to_look_at(had: Iterable[Fact], want: Iterable[Fact], seen: Observed) -> Sights:
    """Return what to observe for a plan. Facts that disappear with an interface need no observation."""
    going, want = _going(tuple(had), tuple(want)), tuple(want)
    every = (*going, *want)
    paths = {fact.looks_into() for fact in want} | {
        fact.looks_into() for fact in going if fact.netns or not fact.makes()
    }
    read = {(fact.netns, key) for fact in every for key in fact.sysctls(seen)}
    return Sights(
        frozenset(paths - {""}),
        frozenset(fact.netns for fact in every if fact.lookups6()),
        frozenset(read),
        tuple(sorted({fact.shown_by() for fact in every} - {""})),
        any(fact.frames() for fact in every),
        frozenset(fact.netns for fact in every if fact.shaped()),
        any(fact.zoned() for fact in every),
        frozenset(path for fact in every for path in fact.files()),
        frozenset(path for fact in every for path in fact.servers()),
    )


def of_one_firewall(before: Intent, after: Intent, seen: Observed) -> Intent:
    """Return an intent whose rules are all in one firewall, which is installed. Raises Conflict for another."""
    of_host = forwarded(after)
    used = {network.firewall for network in of_host}
    if missing := sorted(used - {*seen.firewalls}) if seen.firewalls else ():
        raise Conflict(f"the firewall {missing[0]} is not installed")
    if len(used) < 2:
        return after
    stays = [n for n in of_host if n.name in before and before[n.name].firewall == n.firewall]
    other = next((network for network in of_host if stays and network.firewall != stays[0].firewall), of_host[0])
    raise Conflict(
        f"network {quoted(other.name)} would use {other.firewall}, but others use another firewall",
        hint=f"mydockernet migrate --firewall {other.firewall} moves all networks",
    )


def _going(had: tuple[Fact, ...], want: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """Return the facts of `had` that are not in `want`, without those that are replaced or go with an interface."""
    kept = set(want)
    replaced = {fact.slot() for fact in want} - {""}
    goes = [fact for fact in dict.fromkeys(had) if fact not in kept and fact.slot() not in replaced]
    deleted = {fact.makes() for fact in goes} - {""}
    return tuple(fact for fact in goes if fact.within() not in deleted)


def _with(intent: Intent, changes: Mapping[str, Network | None]) -> Intent:
    merged: dict[str, Network | None] = {**intent, **changes}
    return {name: network for name, network in sorted(merged.items()) if network is not None}
