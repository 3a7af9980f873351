"""The verbs that change something, each as a transition from the intent and an observation to the new intent.

A transition validates its arguments, chooses what they leave open, and raises if the change is not allowed. The planner
turns the difference into commands.
"""

from collections.abc import Callable, Iterable

from mydockernet import choices, drivers, ports
from mydockernet.dialects.fact import Observed, Step
from mydockernet.errors import Conflict, Invalid, NotFound, no_network, quoted
from mydockernet.kernel import namespaces
from mydockernet.model import (
    DETACHED,
    Address,
    Endpoint,
    Intent,
    Namespace,
    Network,
    PortMapping,
    endpoints,
    way_out,
)
from mydockernet.plan import Scope
from mydockernet.ports import PortWish
from mydockernet.rates import Limit
from mydockernet.validation import name_problems
from mydockernet.value import Value, replace

# linux/net/bridge/br_private.h: BR_MAX_PORTS, less port 0, which is never assigned.
MAX_PORTS = 1023


class Transition(Value):
    """The `move` of a verb, and what it must observe besides the host: `namespaces` and listening `sockets`.

    If `ports` are given, only sockets on these host ports matter.

    With `mends`, drift in that scope is repaired even if the intent does not change. A transition with `resolve` names
    its namespace by an argument that must be looked up under the lock: call `resolve` for the transition to perform.
    `undoes` is the ID of the change that it undoes, for the history, or 0. `approve` raises if the planned steps are
    not those that were expected.
    """

    move: Callable[[Intent, Observed], Intent]
    namespaces: tuple[Namespace, ...] = ()
    sockets: bool = False
    ports: frozenset[int] | None = None
    mends: Scope | None = None
    resolve: Callable[[], "Transition"] | None = None
    undoes: int = 0
    approve: Callable[[tuple[Step, ...]], None] | None = None


def remove(name: str, force: bool = False, ignore: bool = False) -> Transition:
    """N → None.

    Raises NotFound unless `ignore` is set, and Conflict while live containers are on the network unless `force` is set.
    """

    def move(intent: Intent, seen: Observed) -> Intent:
        network = intent.get(name)
        if network is None:
            if ignore:
                return intent
            raise no_network(name)
        in_use = [e.name for e in network.endpoints if not force and plugged(e, seen)]
        if in_use:
            raise Conflict(
                f"network {quoted(name)} is in use by {', '.join(map(quoted, in_use))}",
                hint=f"mydockernet inspect {name} shows its containers",
            )
        return {other: kept for other, kept in intent.items() if other != name}

    return Transition(move)


def prune(wanted: Callable[[Network], bool]) -> Transition:
    """All → all but the networks without containers that are `wanted`."""

    def move(intent: Intent, seen: Observed) -> Intent:
        return {name: network for name, network in intent.items() if network.endpoints or not wanted(network)}

    return Transition(move)


def migrate(firewall: str) -> Transition:
    """All → all, with their rules in another firewall. Raises Conflict for rules of the admin that are on record."""

    def move(intent: Intent, seen: Observed) -> Intent:
        if kept := [net for net in intent.values() if net.user_rules and net.firewall != firewall]:
            what = (f"network {quoted(net.name)} has rules of the admin in the words of {net.firewall}" for net in kept)
            hint = (
                f"mydockernet user-rules list {kept[0].name} shows them: remove them, then add them to the chain user"
            )
            raise Conflict(*what, hint=f"{hint} of {firewall}")
        return {
            name: replace(network, firewall=firewall) if drivers.load(network.driver).FORWARDS else network
            for name, network in intent.items()
        }

    return Transition(move)


class Connection(Value):
    """The arguments of `connect`; what is empty or None is left open.

    If it `yields`, it leaves the default route to another program that the container has one of. Of the addresses to
    `avoid`, none is chosen.
    """

    name: str
    namespace: Namespace
    ip: Address | None = None
    ip6: Address | None = None
    mac: str | None = None
    interface: str | None = None
    publish: tuple[PortWish, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    default_route: bool = True
    yields: bool = False
    gw_priority: int = 0
    aliases: tuple[str, ...] = ()
    dns: tuple[Address, ...] = ()
    hostname: str = ""
    engine: str = ""
    id: str = ""
    ingress: Limit | None = None
    egress: Limit | None = None
    avoid: frozenset[Address] = frozenset()


def connect(names: Iterable[str], wish: Connection) -> Transition:
    """N → N + endpoint on each of these networks; a detached endpoint is attached again.

    Raises NotFound, Invalid, Conflict.
    """
    names = tuple(names)

    def move(intent: Intent, seen: Observed) -> Intent:
        for name in names:
            intent = _connected(name, wish, intent, seen)
        return intent

    return Transition(move, (wish.namespace,), bool(wish.publish), ports.asked_for(wish.publish))


def _connected(network_name: str, wish: Connection, intent: Intent, seen: Observed) -> Intent:
    network = find_network(intent, network_name)
    given = {"--publish": bool(wish.publish), "--mac": wish.mac is not None, "--ingress-rate": wish.ingress is not None}
    if problems := choices.refused(network.driver, given):
        raise Invalid(*problems)
    inside = seen.at(wish.namespace.path)
    places = _places(intent, wish.namespace)
    there = next((e for e in network.endpoints if e.name == wish.name), None)
    there = there or next((endpoint for net, endpoint in places if net == network), None)
    there = there or next(
        (e for e in network.endpoints if e.namespace.path == wish.namespace.path and _may_return(e)), None
    )
    back = there is not None and there.name == wish.name and _may_return(there)
    if there and not back:
        gone = "" if namespaces.alive(there.namespace) else ", but its namespace is gone"
        raise Conflict(
            f"container {quoted(there.name)} is already on network {quoted(network.name)}{gone}",
            hint=f"mydockernet repair {network.name} updates the record"
            if gone
            else f"mydockernet inspect {network.name} shows its containers",
        )
    require_port(network, seen)
    # A detached endpoint will return with its interface and its order.
    path = wish.namespace.path
    away = [e for _, e in endpoints(intent.values()) if e.namespace.path == path and e.detached]
    mine = [*(endpoint for _, endpoint in places), *(e for e in away if e != there)]
    used = {*inside.links, *(endpoint.interface for endpoint in mine)}
    if there:
        endpoint = _returned(network, there, wish)
    else:
        addresses = choices.addresses(network, {4: wish.ip, 6: wish.ip6}, seen, avoid=wish.avoid)
        shares = "--mac" in drivers.load(network.driver).REFUSED
        mac = "" if shares else wish.mac or choices.endpoint_mac(network, wish.name, addresses)
        if holder := next((e.name for e in network.endpoints if mac and e.mac == mac), None):
            raise Conflict(f"--mac: {mac} is already in use by container {quoted(holder)}")
        if mac and mac == network.mac:
            raise Conflict(f"--mac: {mac} is that of the host on network {quoted(network.name)}")
        lone = network.mode == "passthru" and network.endpoints
        if lone:
            raise Conflict(f"network {quoted(network.name)} is full: the mode passthru allows one container")
        endpoint = Endpoint(
            name=wish.name,
            namespace=wish.namespace,
            addresses=addresses,
            mac=mac,
            interface=wish.interface or choices.interface_name(used),
            veth="" if network.parent else choices.veth_name(network_name, wish.name, intent, seen),
            index=choices.link_index(network.owner, wish.name) if network.parent else 0,
            order=max((endpoint.order for endpoint in mine), default=0) + 1,
            default_route=wish.default_route,
            labels=wish.labels,
            gw_priority=wish.gw_priority,
            aliases=wish.aliases,
            dns=wish.dns,
            hostname=wish.hostname,
            engine=wish.engine,
            id=wish.id,
            ingress=wish.ingress,
            egress=wish.egress,
        )
    if endpoint.interface in used:
        holder = f"container {quoted(endpoint.name)}"
        raise Conflict(f"--ifname: interface {quoted(endpoint.interface)} already exists in {holder}")
    _refuse_clashing_routes(network, endpoint.name, places)
    for foreign in inside.routes:
        if not (foreign.default and foreign.table == "main" and network.metric in (None, foreign.metric)):
            continue
        if way_out(places, foreign.family) or not way_out([(network, endpoint)], foreign.family):
            continue
        if wish.yields:
            endpoint = replace(endpoint, default_route=False)
            continue
        raise Conflict(
            f"container {quoted(endpoint.name)} already has a default route: {foreign.line}",
            hint="use --no-default-route to keep that route",
        )
    if there:
        others = tuple(endpoint if e == there else e for e in network.endpoints)
        return {**intent, network.name: replace(network, endpoints=others)}
    endpoint = replace(endpoint, ports=choices.port_mappings(network, endpoint, wish.publish, intent, seen))
    chosen = [address for address in endpoint.addresses if address not in (wish.ip, wish.ip6)]
    subnets = tuple(replace(s, last=next((a for a in chosen if a in s.network), s.last)) for s in network.subnets)
    grown = replace(network, subnets=subnets, endpoints=(*network.endpoints, endpoint))
    return {**intent, network.name: grown}


def require_port(network: Network, seen: Observed) -> None:
    """Raise Conflict if the bridge of a network has no port left."""
    if not network.bridge or len(seen.links) + len(network.endpoints) < MAX_PORTS:
        return
    ports = {link.name for link in seen.links.values() if link.master == network.bridge}
    if len(ports | {endpoint.veth for endpoint in network.endpoints if not endpoint.detached}) >= MAX_PORTS:
        raise Conflict(f"network {quoted(network.name)} is full: a bridge has {MAX_PORTS} ports")


def connect_word(names: Iterable[str], wish: Connection, word: str) -> Transition:
    """Connect the namespace that a word names: a name under /run/netns, a pid or a path; the container's default name.

    Raises what namespaces.find raises, and Invalid if the word is not a valid name and `wish` has none.
    """

    def resolve() -> Transition:
        name, namespace = namespaces.find(word)
        if not wish.name and name_problems(name):
            raise Invalid(f"CONTAINER: {quoted(name)} is not a valid name", hint="choose one with --name")
        return connect(names, replace(wish, name=wish.name or name, namespace=namespace))

    return Transition(lambda intent, seen: resolve().move(intent, seen), resolve=resolve)


def disconnect(names: Iterable[str], container: str | Namespace, ignore: bool = False) -> Transition:
    """N + endpoint → N for each of these networks, also if its namespace is gone. Raises NotFound unless `ignore`."""
    names = tuple(names)

    def move(intent: Intent, seen: Observed) -> Intent:
        for name in names:
            try:
                network = find_network(intent, name)
                endpoint = find_endpoint(network, container)
            except NotFound:
                if ignore:
                    continue
                raise
            rest = tuple(e for e in network.endpoints if e != endpoint)
            intent = {**intent, network.name: replace(network, endpoints=rest)}
        return lasting(intent, names)

    return Transition(move)


def lasting(intent: Intent, names: Iterable[str]) -> Intent:
    """Return an intent without those of these networks that an engine created and that have no container left."""
    over = {name for name in names if name in intent and intent[name].engine and not intent[name].endpoints}
    return {name: network for name, network in intent.items() if name not in over}


def publish(network_name: str, container: str, wishes: tuple[PortWish, ...]) -> Transition:
    """N → N + ports. Raises NotFound, Invalid, Conflict."""

    def move(intent: Intent, seen: Observed) -> Intent:
        network = find_network(intent, network_name)
        endpoint = find_endpoint(network, container)
        if problems := choices.refused(network.driver, {"--publish": True}):
            raise Invalid(*problems)
        if not namespaces.alive(endpoint.namespace):
            again = "attaches it again once it is back" if endpoint.returns else "updates the record"
            raise Conflict(
                f"the namespace of container {quoted(endpoint.name)} is gone",
                hint=f"mydockernet repair {network.name} {again}",
            )
        added = choices.port_mappings(network, endpoint, wishes, intent, seen)
        return with_ports(intent, network, endpoint, (*endpoint.ports, *added))

    return Transition(move, sockets=True, ports=ports.asked_for(wishes))


def unpublish(network_name: str, container: str, wishes: tuple[PortWish, ...]) -> Transition:
    """N + ports → N. Raises NotFound for ports that are not published."""

    def move(intent: Intent, seen: Observed) -> Intent:
        network = find_network(intent, network_name)
        endpoint = find_endpoint(network, container)
        kept = list(endpoint.ports)
        unknown, near = [], []
        for wish in wishes:
            found = [mapping for mapping in kept if wish.means(mapping, endpoint.families)]
            near += [
                str(mapping)
                for mapping in endpoint.ports
                if not found and (wish.host_ports or wish.container_ports).overlaps(mapping.host_ports)
            ]
            kept = [mapping for mapping in kept if mapping not in found]
            if not found:
                place = f"container {quoted(endpoint.name)} on network {quoted(network.name)}"
                unknown.append(f"{wish.word} is not published by {place}")
        if unknown:
            shows = f"mydockernet port {network.name} {endpoint.name} shows its published ports"
            raise NotFound(*unknown, hint=f"published: {', '.join(near)}" if near else shows)
        return with_ports(intent, network, endpoint, tuple(kept))

    return Transition(move)


def repair(scope: Scope) -> Transition:
    """N → N, but containers whose namespace is gone or back are detached, dropped or attached. Raises NotFound."""

    def move(intent: Intent, seen: Observed) -> Intent:
        current = {network.name: _current(network) for network in scoped(intent, scope)}
        return lasting({**intent, **current}, current)

    return Transition(move, mends=scope)


def scoped(intent: Intent, scope: Scope) -> tuple[Network, ...]:
    """Return the networks of a scope. Raises NotFound with every name that does not exist."""
    if unknown := [no_network(name) for name in scope.names if name not in intent]:
        raise NotFound(*(message for error in unknown for message in error.messages), hint=unknown[0].hint)
    return tuple(intent[name] for name in scope.names or sorted(intent))


def _current(network: Network) -> Network:
    """Return a network with the current namespaces of its containers, without containers that cannot return."""
    known = ((endpoint, namespace_now(endpoint)) for endpoint in network.endpoints)
    return replace(network, endpoints=tuple(replace(e, namespace=now) for e, now in known if now))


def namespace_now(endpoint: Endpoint) -> Namespace | None:
    """Return the present namespace of a container, detached if it is gone, or None if it cannot return either."""
    namespace = endpoint.namespace
    if namespaces.alive(namespace):
        return namespace
    return (namespaces.at(namespace.path) or replace(namespace, inode=DETACHED)) if endpoint.returns else None


def _places(intent: Intent, namespace: Namespace) -> list[tuple[Network, Endpoint]]:
    """Return the places of a container. A namespace that is gone does not count: its inode may be in use again."""
    key = namespace.key
    same = [place for place in endpoints(intent.values()) if place[1].namespace.key == key]
    return [(network, e) for network, e in same if e.namespace.own or namespaces.alive(e.namespace)]


def _refuse_clashing_routes(network: Network, container: str, places: Iterable[tuple[Network, Endpoint]]) -> None:
    """Raise Conflict if a static route of a network, or of another one of the container, is in the way of the other."""
    for other, _ in places:
        for net, far in ((network, other), (other, network)):
            for route in net.routes:
                if any(map(route.clashes, far.routes)) or any(s.network == route.destination for s in far.subnets):
                    raise Conflict(
                        f"the route {route} of network {quoted(net.name)} clashes with network {quoted(far.name)}, "
                        f"and container {quoted(container)} would be on both"
                    )


def _may_return(endpoint: Endpoint) -> bool:
    return endpoint.returns and not namespaces.alive(endpoint.namespace)


def _returned(network: Network, endpoint: Endpoint, wish: Connection) -> Endpoint:
    """Return a detached endpoint with the namespace of a wish. Raises Conflict if the wish differs from what it had."""
    differs = [
        word
        for word, same in (
            ("--ip", wish.ip is None or wish.ip in endpoint.addresses),
            ("--ip6", wish.ip6 is None or wish.ip6 in endpoint.addresses),
            ("--mac", wish.mac in (None, endpoint.mac)),
            ("--ifname", wish.interface in (None, endpoint.interface)),
            ("--publish", all(any(p.means(m, endpoint.families) for m in endpoint.ports) for p in wish.publish)),
            ("--gw-priority", wish.gw_priority in (0, endpoint.gw_priority)),
            ("--ingress-rate", wish.ingress in (None, endpoint.ingress)),
            ("--egress-rate", wish.egress in (None, endpoint.egress)),
        )
        if not same
    ]
    if differs:
        raise Conflict(
            f"container {quoted(endpoint.name)} is already on network {quoted(network.name)}, detached, "
            f"with a different {', '.join(differs)}",
            hint=f"without these options it is attached as it was; mydockernet inspect {network.name} shows how",
        )
    return replace(
        endpoint,
        namespace=wish.namespace,
        labels=wish.labels or endpoint.labels,
        aliases=wish.aliases or endpoint.aliases,
        dns=wish.dns or endpoint.dns,
        hostname=wish.hostname or endpoint.hostname,
    )


def find_network(intent: Intent, name: str) -> Network:
    """Return the network of a name. Raises NotFound."""
    if name not in intent:
        raise no_network(name)
    return intent[name]


def find_endpoint(network: Network, container: str | Namespace) -> Endpoint:
    """Return the endpoint of a container, given by name, by a word for its namespace, or by the namespace itself.

    Raises NotFound.
    """
    for endpoint in network.endpoints:
        if container in (endpoint.name, endpoint.namespace, endpoint.namespace.path):
            return endpoint
    try:
        key = namespaces.find(container)[1].key if isinstance(container, str) else ""
    except (NotFound, Invalid):
        key = ""
    for endpoint in network.endpoints:
        if endpoint.namespace.key == key and namespaces.alive(endpoint.namespace):
            return endpoint
    raise NotFound(
        f"container {quoted(str(container))} is not on network {quoted(network.name)}",
        hint=f"mydockernet inspect {network.name} shows its containers",
    )


def plugged(endpoint: Endpoint, seen: Observed) -> bool:
    """Whether a container is alive and its veth pair, if it has one, exists."""
    return (not endpoint.veth or endpoint.veth in seen.links) and namespaces.alive(endpoint.namespace)


def with_ports(intent: Intent, network: Network, endpoint: Endpoint, mappings: tuple[PortMapping, ...]) -> Intent:
    """Return an intent in which an endpoint of a network has these ports instead of its own."""
    changed = tuple(replace(e, ports=mappings) if e == endpoint else e for e in network.endpoints)
    return {**intent, network.name: replace(network, endpoints=changed)}
