"""The verbs that change something, each as a transition from the intent and an observation to the new intent.

A transition validates its arguments, chooses what they leave open, and raises if the change is not allowed. The planner
turns the difference into commands.
"""

from collections.abc import Callable, Iterable

from mydockernet import choices, drivers, ports
from mydockernet.addressing import DEFAULT_POOLS, Pool
from mydockernet.dialects.fact import Observed
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
    StaticRoute,
    Subnet,
    endpoints,
    name_problems,
    way_out,
)
from mydockernet.plan import Scope
from mydockernet.ports import PortWish
from mydockernet.value import Value, replace

# linux/net/bridge/br_private.h: BR_MAX_PORTS, less port 0, which is never assigned.
MAX_PORTS = 1023


class Transition(Value):
    """The `move` of a verb, and what it must observe besides the host: `namespaces` and listening `sockets`.

    If `ports` are given, only sockets on these host ports matter.

    With `mends`, drift in that scope is repaired even if the intent does not change. A transition with `resolve` names
    its namespace by an argument that must be looked up under the lock: call `resolve` for the transition to perform.
    """

    move: Callable[[Intent, Observed], Intent]
    namespaces: tuple[Namespace, ...] = ()
    sockets: bool = False
    ports: frozenset[int] | None = None
    mends: Scope | None = None
    resolve: Callable[[], "Transition"] | None = None


class Wish(Value):
    """The arguments of `create`; what is empty or None is left open.

    With `ipv6`, the network has a subnet of each family, whether it is given or not.
    """

    name: str
    driver: str = "bridge"
    subnets: tuple[Subnet, ...] = ()
    ipv6: bool = False
    internal: bool = False
    icc: bool = True
    masquerade: bool = True
    masquerade6: bool = True
    gateway_mode: str = "nat"
    gateway_mode6: str = "nat"
    mtu: int | None = None
    bridge: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    pools: tuple[Pool, ...] = DEFAULT_POOLS
    realm: str = ""
    port_security: bool = False
    parent: str | None = None
    mode: str | None = None
    host_addresses: tuple[Address, ...] = ()
    routes: tuple[StaticRoute, ...] = ()
    metric: int | None = None
    dns: tuple[Address, ...] = ()

    @property
    def open_families(self) -> tuple[int, ...]:
        """The address families that need a subnet, but for which none is given."""
        given = {subnet.family for subnet in self.subnets}
        needed = (4, 6) if self.ipv6 else () if given else (4,)
        return tuple(family for family in needed if family not in given)


def create(wish: Wish, ignore: bool = False) -> Transition:
    """None → N. With `ignore`, an identical network may exist already. Raises Conflict."""

    def move(intent: Intent, seen: Observed) -> Intent:
        if problems := refused(wish):
            raise Invalid(*problems)
        existing = intent.get(wish.name)
        if existing is not None:
            if ignore and _satisfies(existing, wish):
                return intent
            if ignore:
                shows = f"mydockernet inspect {wish.name} shows its settings"
                raise Conflict(f"network {quoted(wish.name)} already exists, with other settings", hint=shows)
            other = "choose another name, or use --ignore to accept an identical network"
            raise Conflict(f"network {quoted(wish.name)} already exists", hint=other)
        parent, mode = "", ""
        if modes := drivers.load(wish.driver).MODES:
            parent, mode = choices.parent(wish.parent, seen), wish.mode or modes[0]
            choices.fit(
                wish.driver, parent, mode, wish.subnets, wish.open_families, wish.host_addresses, wish.mtu, seen
            )
        host_interface = choices.bridge_name(wish.name, intent, seen, "host-") if wish.host_addresses else ""
        on_lan = mode in drivers.load(wish.driver).LAN_MODES
        network = Network(
            name=wish.name,
            bridge=wish.bridge or (choices.bridge_name(wish.name, intent, seen) if _has_bridge(wish.driver) else ""),
            subnets=choices.subnets(
                wish.subnets, wish.open_families, wish.pools, intent, seen, parent if on_lan else ""
            ),
            driver=wish.driver,
            internal=wish.internal,
            icc=wish.icc,
            masquerade=wish.masquerade,
            masquerade6=wish.masquerade6,
            gateway_mode=wish.gateway_mode,
            gateway_mode6=wish.gateway_mode6,
            mtu=wish.mtu,
            labels=wish.labels,
            realm=wish.realm,
            port_security=wish.port_security,
            parent=parent,
            mode=mode,
            host_interface=host_interface,
            host_addresses=wish.host_addresses,
            routes=wish.routes,
            metric=wish.metric,
            dns=wish.dns,
        )
        if network.bridge or network.host_interface:
            network = replace(network, mac=choices.bridge_mac(network.owner))
        if not network.bridge:
            return {**intent, network.name: network}
        holder = next((n.name for n in intent.values() if n.bridge == network.bridge), None)
        if holder:
            raise Conflict(f"--bridge-name: {network.bridge} is already the bridge of network {quoted(holder)}")
        return {**intent, network.name: network}

    return Transition(move)


def refused(wish: Wish) -> list[str]:
    """Return a message for each option of a wish that its driver, which must exist, does not support."""
    driver = drivers.load(wish.driver)
    given = {
        "--bridge-name": wish.bridge is not None,
        "--no-icc": not wish.icc,
        "--no-masquerade": not wish.masquerade,
        "--no-masquerade6": not wish.masquerade6,
        "--gateway-mode": (wish.gateway_mode, wish.gateway_mode6) != ("nat", "nat"),
        "--port-security": wish.port_security,
        "--parent": wish.parent is not None,
        "--mode": wish.mode is not None,
        "--host-ip": bool(wish.host_addresses),
        "--route": any(route.gateway for route in wish.routes),
    }
    problems = choices.refused(wish.driver, given)
    if driver.MODES and wish.mode not in (None, *driver.MODES):
        problems.append(f"--mode: {quoted(wish.mode or '')} is no mode of {wish.driver}: use {', '.join(driver.MODES)}")
    if wish.mode == "passthru" and wish.host_addresses and "--host-ip" not in driver.REFUSED:
        problems.append("--host-ip: in the mode passthru, the parent has room for one container only")
    return problems


def _has_bridge(driver: str) -> bool:
    return "--bridge-name" not in drivers.load(driver).REFUSED


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


class Connection(Value):
    """The arguments of `connect`; what is empty or None is left open."""

    name: str
    namespace: Namespace
    ip: Address | None = None
    ip6: Address | None = None
    mac: str | None = None
    interface: str | None = None
    publish: tuple[PortWish, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    default_route: bool = True
    gw_priority: int = 0
    aliases: tuple[str, ...] = ()
    dns: tuple[Address, ...] = ()
    hostname: str = ""


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
    if problems := choices.refused(network.driver, {"--publish": bool(wish.publish), "--mac": wish.mac is not None}):
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
    if network.bridge and sum(link.master == network.bridge for link in seen.links.values()) >= MAX_PORTS:
        raise Conflict(f"network {quoted(network.name)} is full: a bridge has {MAX_PORTS} ports")
    # A detached endpoint will return with its interface and its order.
    away = [e for _, e in endpoints(intent.values()) if e.detached and e.namespace.path == wish.namespace.path]
    mine = [*(endpoint for _, endpoint in places), *(e for e in away if e != there)]
    used = {*inside.links, *(endpoint.interface for endpoint in mine)}
    if there:
        endpoint = _returned(network, there, wish)
    else:
        addresses = choices.addresses(network, {4: wish.ip, 6: wish.ip6}, seen)
        shares = "--mac" in drivers.load(network.driver).REFUSED
        mac = "" if shares else wish.mac or choices.endpoint_mac(addresses[0])
        if holder := next((e.name for e in network.endpoints if mac and e.mac == mac), None):
            raise Conflict(f"--mac: {mac} is already in use by container {quoted(holder)}")
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
        )
    if endpoint.interface in used:
        holder = f"container {quoted(endpoint.name)}"
        raise Conflict(f"--ifname: interface {quoted(endpoint.interface)} already exists in {holder}")
    _refuse_clashing_routes(network, endpoint.name, places)
    defaults = (route for route in inside.routes if route.default and route.table == "main")
    foreign = next((route for route in defaults if network.metric in (None, route.metric)), None)
    if foreign and not way_out(places) and way_out([(network, endpoint)]):
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
        return intent

    return Transition(move)


def publish(network_name: str, container: str, wishes: tuple[PortWish, ...]) -> Transition:
    """N → N + ports. Raises NotFound, Invalid, Conflict."""

    def move(intent: Intent, seen: Observed) -> Intent:
        network = find_network(intent, network_name)
        endpoint = find_endpoint(network, container)
        if problems := choices.refused(network.driver, {"--publish": True}):
            raise Invalid(*problems)
        if not namespaces.alive(endpoint.namespace):
            again = "attaches it again once it is back" if endpoint.namespace.returns else "updates the record"
            raise Conflict(
                f"the namespace of container {quoted(endpoint.name)} is gone",
                hint=f"mydockernet repair {network.name} {again}",
            )
        added = choices.port_mappings(network, endpoint, wishes, intent, seen)
        return _with_ports(intent, network, endpoint, (*endpoint.ports, *added))

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
        return _with_ports(intent, network, endpoint, tuple(kept))

    return Transition(move)


def repair(scope: Scope) -> Transition:
    """N → N, but containers whose namespace is gone or back are detached, dropped or attached. Raises NotFound."""

    def move(intent: Intent, seen: Observed) -> Intent:
        return {**intent, **{network.name: _current(network) for network in scoped(intent, scope)}}

    return Transition(move, mends=scope)


def scoped(intent: Intent, scope: Scope) -> tuple[Network, ...]:
    """Return the networks of a scope. Raises NotFound with every name that does not exist."""
    if unknown := [no_network(name) for name in scope.names if name not in intent]:
        raise NotFound(*(message for error in unknown for message in error.messages), hint=unknown[0].hint)
    return tuple(intent[name] for name in scope.names or sorted(intent))


def _current(network: Network) -> Network:
    """Return a network with the current namespaces of its containers, without containers that cannot return."""
    known = ((endpoint, _namespace_now(endpoint.namespace)) for endpoint in network.endpoints)
    return replace(network, endpoints=tuple(replace(e, namespace=now) for e, now in known if now))


def _namespace_now(namespace: Namespace) -> Namespace | None:
    if namespaces.alive(namespace):
        return namespace
    return (namespaces.at(namespace.path) or replace(namespace, inode=DETACHED)) if namespace.returns else None


def _places(intent: Intent, namespace: Namespace) -> list[tuple[Network, Endpoint]]:
    """Return the places of a container. A namespace that is gone does not count: its inode may be in use again."""
    same = [place for place in endpoints(intent.values()) if place[1].namespace.key == namespace.key]
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
    return endpoint.namespace.returns and not namespaces.alive(endpoint.namespace)


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


def _satisfies(network: Network, wish: Wish) -> bool:
    """Whether a network is what a wish asks for; what the wish leaves open matches any value."""
    modes = ("masquerade", "masquerade6", "gateway_mode", "gateway_mode6")
    keys = ("driver", "internal", "icc", *modes, "mtu", "port_security", "metric", "dns")
    same = all(getattr(network, key) == getattr(wish, key) for key in keys)
    return (
        same
        and dict(network.labels) == dict(wish.labels)
        and {replace(s, last=None) for s in network.subnets if s.family not in wish.open_families} == {*wish.subnets}
        and {*wish.open_families} <= {*network.families}
        and {*network.routes} == {*wish.routes}
        and wish.bridge in (None, network.bridge)
        and wish.parent in (None, network.parent)
        and wish.mode in (None, network.mode)
        and wish.host_addresses == network.host_addresses
    )


def _with_ports(intent: Intent, network: Network, endpoint: Endpoint, mappings: tuple[PortMapping, ...]) -> Intent:
    changed = tuple(replace(e, ports=mappings) if e == endpoint else e for e in network.endpoints)
    return {**intent, network.name: replace(network, endpoints=changed)}
