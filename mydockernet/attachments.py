"""What container engines ask for, as transitions: attach a container to networks, detach it, retain those in a list.

An engine knows its containers by an id, and their interfaces by name. It may create a network for its first container:
such a network is removed with its last one. What an engine left behind when it was killed is removed on the way, since
it starts its containers anew, in other namespaces.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator

from mydockernet import choices, creation, model, transitions
from mydockernet.creation import Wish
from mydockernet.dialects.fact import Observed
from mydockernet.digests import sha256
from mydockernet.errors import Conflict, Invalid, quoted
from mydockernet.kernel import namespaces
from mydockernet.model import Endpoint, Intent, Network, PortMapping
from mydockernet.ports import PortWish
from mydockernet.transitions import Connection, Transition
from mydockernet.validation import name_problems
from mydockernet.value import Value, replace

# Engines start many containers at once, and each of them waits for the others. Seconds.
LOCK_TIMEOUT = 120.0
HASH = re.compile("[0-9a-f]{16,}")


class Attachment(Value):
    """A network that an engine wants a container on, and how. `wish` creates it if it does not exist yet."""

    network: str
    connection: Connection
    wish: Wish | None = None


def attach(
    engine: str, container: str, wanted: Iterable[Attachment], again: bool = False, every_port: bool = False
) -> Transition:
    """Connect a container to networks, which are created if need be, in one transition.

    With `again`, a container that is there already stays as it is, or is connected anew if it is to be different.

    Of its ports, a network leaves out those that it cannot publish, and those that another one of the container
    publishes: engines ask each network for all of them. With `every_port`, one of the networks must publish it. Sockets
    that listen on them are no obstacle: they are the engine's own. Raises what `create` and `connect` raise, Conflict
    if the container is there already, and Invalid for a port that is not published.
    """
    wanted = tuple(wanted)

    def move(intent: Intent, seen: Observed) -> Intent:
        before, intent = intent, _without(intent, lambda endpoint: _left_behind(endpoint, seen))
        for each in wanted:
            connection = replace(each.connection, engine=engine, id=container)
            old = find(intent, engine, container, each.network, connection.interface)
            moved = old and old.namespace.key != connection.namespace.key
            if old and (not again or (moved and namespaces.alive(old.namespace))):
                what = f"container {quoted(old.name)} is already on network {quoted(each.network)}"
                raise Conflict(f"{what}: it is in {old.namespace.path}")
            if old and _as_wished(intent, intent[each.network], old, connection):
                continue
            if old:
                # The name of its veth stays taken, so that another pair takes its place.
                intent, seen = _without(intent, (old,).__contains__), seen.without((old.namespace.path, old.interface))
            if each.wish:
                intent = _with_network(intent, each.wish, engine, seen)
            network = transitions.find_network(intent, each.network)
            connection = replace(
                connection,
                name=_free_name(intent, engine, container, connection),
                publish=tuple(_publishable(intent, network, connection)),
            )
            intent = transitions.connect([each.network], connection).move(intent, seen)
        if every_port and (missing := [*_unpublished(intent, wanted, engine, container)]):
            raise Invalid(*(f"{word}: none of the container's networks can publish it" for word in missing))
        return transitions.lasting(intent, before)

    return Transition(move, tuple({each.connection.namespace for each in wanted}))


def detach(
    engine: str, container: str, network: str | None = None, interface: str | None = None, keep_ports: bool = False
) -> Transition:
    """Disconnect a container from a network, or from all; it need not be there. One interface, or all of them.

    With `keep_ports`, another network of the container publishes the ports that this one did, if there is one that can.
    """

    def move(intent: Intent, seen: Observed) -> Intent:
        def leaves(endpoint: Endpoint) -> bool:
            return _is(endpoint, engine, container) and interface in (None, endpoint.interface)

        names = [*intent] if network is None else [network]
        after = _without(intent, leaves, names)
        if keep_ports:
            left = (intent[name] for name in names if name in intent)
            for mapping in (m for _, endpoint in model.endpoints(left) if leaves(endpoint) for m in endpoint.ports):
                after = _published_elsewhere(after, engine, container, mapping)
        return transitions.lasting(after, names)

    return Transition(move)


def retain(engine: str, network: str, valid: Collection[tuple[str, str]]) -> Transition:
    """Disconnect those containers of an engine from a network whose id and interface are not in this list."""

    def move(intent: Intent, seen: Observed) -> Intent:
        def leaves(endpoint: Endpoint) -> bool:
            return endpoint.engine == engine and (endpoint.id, endpoint.interface) not in valid

        return transitions.lasting(_without(intent, leaves, [network]), [network])

    return Transition(move)


def room(network: str, wish: Wish | None = None) -> Transition:
    """N → N, if another container would have room on a network. Raises what `attach` raises if it would not."""

    def move(intent: Intent, seen: Observed) -> Intent:
        before, intent = intent, _without(intent, lambda endpoint: _left_behind(endpoint, seen))
        if wish:
            intent = _with_network(intent, wish, "", seen)
        found = transitions.find_network(intent, network)
        choices.addresses(found, {4: None, 6: None}, seen)
        transitions.require_port(found, seen)
        return before

    return Transition(move)


def find(intent: Intent, engine: str, container: str, network: str, interface: str | None = None) -> Endpoint | None:
    """Return the endpoint of a container on a network, at this interface if one is named."""
    for _, endpoint in model.endpoints([intent.get(network)]):
        if _is(endpoint, engine, container) and interface in (None, endpoint.interface):
            return endpoint
    return None


def _is(endpoint: Endpoint, engine: str, container: str) -> bool:
    return (endpoint.engine, endpoint.id) == (engine, container)


def _without(intent: Intent, leaves: Callable[[Endpoint], bool], names: Iterable[str] | None = None) -> Intent:
    """Return an intent without some endpoints of these networks, or of all."""
    changed = dict(intent)
    for name in intent if names is None else names:
        network = intent.get(name)
        if network and any(map(leaves, network.endpoints)):
            changed[name] = replace(network, endpoints=tuple(e for e in network.endpoints if not leaves(e)))
    return changed


def _left_behind(endpoint: Endpoint, seen: Observed) -> bool:
    """Whether an engine's container is gone without a word: its namespace, and its veth pair with it."""
    return bool(endpoint.engine) and endpoint.veth not in seen.links and not namespaces.alive(endpoint.namespace)


def _with_network(intent: Intent, wish: Wish, engine: str, seen: Observed) -> Intent:
    """Return an intent with the network of a wish. Raises what `create` raises."""
    old = intent.get(wish.name)
    if old and old.engine and not old.endpoints:
        # All of its containers were left behind: it is over, too.
        seen, intent = seen.without(("", old.bridge)), {name: net for name, net in intent.items() if net != old}
    made_by = intent[wish.name].engine if wish.name in intent else engine
    intent = creation.create(wish, ignore=True).move(intent, seen)
    return {**intent, wish.name: replace(intent[wish.name], engine=made_by)}


def _as_wished(intent: Intent, network: Network, endpoint: Endpoint, wish: Connection) -> bool:
    """Whether an endpoint is what a connection asks for; what that leaves open matches anything."""
    return (
        endpoint.namespace == wish.namespace
        and all(address in endpoint.addresses for address in (wish.ip, wish.ip6) if address)
        and wish.mac in (None, endpoint.mac)
        and wish.interface in (None, endpoint.interface)
        and wish.aliases == endpoint.aliases
        and (wish.ingress, wish.egress) == (endpoint.ingress, endpoint.egress)
        and all(any(p.means(mapping, endpoint.families) for p in wish.publish) for mapping in endpoint.ports)
        and not any(_publishable(intent, network, wish))
    )


def _free_name(intent: Intent, engine: str, container: str, wish: Connection) -> str:
    """Return the name that the engine gives the container, or its id: the first that is valid and free.

    Of an id that is a hash, as docker and podman have it, the first 12 digits are enough.
    """
    short = container[:12] if HASH.fullmatch(container) else container[:64]
    hashed = f"{engine.partition(':')[0]}-{sha256(container.encode()).hexdigest()[:12]}"
    names = (wish.name, f"{wish.name}-{wish.interface}", short, container[:64], hashed)
    return next(
        (
            name
            for name in names
            if not name_problems(name)
            and all(
                _is(other, engine, container) for _, other in model.endpoints(intent.values()) if other.name == name
            )
        ),
        names[-1],
    )


def _published(intent: Intent, engine: str, container: str) -> list[tuple[PortMapping, tuple[int, ...]]]:
    """Return the ports that a container publishes on its networks, each with the address families that it has there."""
    return [
        (mapping, endpoint.families)
        for _, endpoint in model.endpoints(intent.values())
        if _is(endpoint, engine, container)
        for mapping in endpoint.ports
    ]


def _unpublished(intent: Intent, wanted: Iterable[Attachment], engine: str, container: str) -> Iterator[str]:
    """Yield the ports, as they were asked for, that a container publishes on none of its networks."""
    published = _published(intent, engine, container)
    for wish in dict.fromkeys(wish for each in wanted for wish in each.connection.publish):
        if not any(wish.means(mapping, families) for mapping, families in published):
            yield wish.word


def _publishable(intent: Intent, network: Network, connection: Connection) -> Iterator[PortWish]:
    """Yield the ports that this network can publish and no other network of the container does."""
    if not network.leads_out or choices.refused(network.driver, {"--publish": True}):
        return
    published = _published(intent, connection.engine, connection.id)
    for wish in connection.publish:
        if wish.host_ip and wish.host_ip.version not in network.families:
            continue
        if not any(wish.means(mapping, families) for mapping, families in published):
            yield wish


def _published_elsewhere(intent: Intent, engine: str, container: str, mapping: PortMapping) -> Intent:
    """Return an intent in which the first network of a container that can publish a port does so, if there is one."""
    places = [(n, e) for n, e in model.attached(intent.values()) if _is(e, engine, container)]
    for network, endpoint in sorted(places, key=lambda place: place[1].order):
        able = network.leads_out and not choices.refused(network.driver, {"--publish": True})
        translates = any(network.translates(endpoint, mapping, family) for family in endpoint.families)
        if able and translates and namespaces.alive(endpoint.namespace):
            return transitions.with_ports(intent, network, endpoint, (*endpoint.ports, mapping))
    return intent
