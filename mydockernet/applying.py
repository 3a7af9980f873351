"""The verbs apply and down: all → all that some files declare, and all → all without it, each as one transition.

What a file declares is made as if nothing of it were there yet, so that the file alone decides how it is. Only subnets,
addresses and host ports that it leaves open are those that are there already.
"""

import contextlib
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from mydockernet import addressing, choices, creation, transitions
from mydockernet.creation import Wish
from mydockernet.declaration import PROJECT, Declaration, DeclaredContainer, DeclaredNetwork
from mydockernet.dialects.fact import Observed
from mydockernet.errors import Conflict, Invalid, MydockernetError, NotFound, NotPermitted, placed, quoted
from mydockernet.kernel import namespaces
from mydockernet.model import Address, Endpoint, Intent, Namespace, Network, Subnet, endpoints
from mydockernet.ports import PortWish, asked_for
from mydockernet.transitions import Connection, Transition
from mydockernet.value import Value, replace

# How often to look for namespaces that are not there yet, in seconds.
PAUSE = 0.1
# More than a file with a pid has, in bytes.
PIDFILE_MAX = 64


class Found(Value):
    """A declared container, and its namespace."""

    container: DeclaredContainer
    namespace: Namespace


def apply(declaration: Declaration, prune: bool = False) -> Transition:
    """Return the transition to all that is declared. With `prune`, what else has the label of the project is removed.

    Containers that are not declared stay on declared networks. Raises NotFound, Invalid and Conflict with everything
    that is wrong, each at its place in the file.
    """

    def resolve() -> Transition:
        found, errors = _find(declaration.containers)
        _raise(errors)
        wanted = tuple(wish for each in found for wish in _ports_of(each.container))

        def move(intent: Intent, seen: Observed) -> Intent:
            return _declared(declaration, found, prune, intent, seen)

        spaces = tuple(each.namespace for each in found)
        return Transition(move, spaces, bool(wanted), asked_for(wanted))

    return Transition(lambda intent, seen: resolve().move(intent, seen), resolve=resolve)


def down(declaration: Declaration, prune: bool = False, force: bool = False) -> Transition:
    """Return the transition to all that there is without what is declared. What is not there is no error.

    Declared containers leave external networks, too: those that the project connected them to or, without a project,
    those that the files put them on. Raises Conflict for a network that
    a container uses which is not declared, unless `force` is set.
    """
    names = {network.name for network in declaration.networks if network.wish}
    containers = {c.name: {name for name, _ in c.connections} for c in declaration.containers}

    def move(intent: Intent, seen: Observed) -> Intent:
        going = {*names} | {n.name for n in intent.values() if prune and _of(n, declaration.project)}
        errors: list[MydockernetError] = []
        for declared in declaration.networks:
            if declared.wish and declared.name in intent:
                with _noted(errors, declared.place):
                    _require_own(intent[declared.name], declared.wish, declaration.project)
        left: dict[str, Network] = {}
        for network in intent.values():
            stay = tuple(e for e in network.endpoints if not _leaves(e, network, containers, declaration, prune))
            if network.name not in going:
                left[network.name] = network if stay == network.endpoints else replace(network, endpoints=stay)
                continue
            errors += _in_use(network, stay, seen, force)
        _raise(errors)
        return left

    return Transition(move)


def wait_for(declaration: Declaration, seconds: float) -> None:
    """Wait until the namespaces of all declared containers are there, but no longer than this; `apply` raises then."""
    until = time.monotonic() + seconds
    while _find(declaration.containers)[1] and time.monotonic() < until:
        time.sleep(PAUSE)


def _find(containers: Iterable[DeclaredContainer]) -> tuple[tuple[Found, ...], list[MydockernetError]]:
    """Return the declared containers with their namespaces, and an error for each whose namespace is not found."""
    found: dict[str, Found] = {}
    errors: list[MydockernetError] = []
    for container in containers:
        try:
            namespace = namespaces.find(_word(container))[1]
            other = found.setdefault(namespace.key, Found(container, namespace))
            if other.container != container:
                raise Conflict(f"it is the namespace of container {quoted(other.container.name)}, too")
        except MydockernetError as error:
            errors.append(placed(container.place, error))
    return tuple(found.values()), errors


def _word(container: DeclaredContainer) -> str:
    """Return the word for the namespace of a container. Raises NotFound, NotPermitted, Invalid for a bad pidfile."""
    if not container.pidfile:
        return container.word or container.name
    try:
        # Neither a pipe nor an endless device holds it up.
        handle = os.open(container.pidfile, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            text = (file.read(PIDFILE_MAX) or b"").decode("ascii", "replace").strip()
    except PermissionError:
        raise NotPermitted(f"cannot read {container.pidfile}: Permission denied") from None
    except OSError as error:
        raise NotFound(f"cannot read {container.pidfile}: {error.strerror}") from None
    except ValueError:
        raise NotFound(f"cannot read {container.pidfile}: it has a null byte") from None
    if not text.isdecimal():
        raise Invalid(f"{container.pidfile} does not hold a pid")
    return f"/proc/{text}/ns/net"


def _ports_of(container: DeclaredContainer) -> Iterator[PortWish]:
    yield from container.publish
    for _, connection in container.connections:
        yield from connection.publish


def _declared(
    declaration: Declaration, found: tuple[Found, ...], prune: bool, intent: Intent, seen: Observed
) -> Intent:
    """Return the intent with all that is declared."""
    errors: list[MydockernetError] = []
    for declared in declaration.networks:
        with _noted(errors, declared.place):
            _require_there(declared, intent, declaration.project)
    _raise(errors)
    old = {(network.name, endpoint.name): endpoint for network, endpoint in _replaced(declaration, found, intent)}
    bare = _pruned(declaration, old, prune, intent, seen, errors)
    ours = [intent[declared.name] for declared in declaration.networks if declared.wish and declared.name in intent]
    pruned = [network for name, network in intent.items() if name not in bare]
    seen = _without(seen, [*ours, *pruned], intent, bare)
    after: Intent = {name: network for name, network in bare.items() if network.name not in {own.name for own in ours}}
    for declared in declaration.networks:
        if declared.wish:
            with _noted(errors, declared.place):
                wish = _labeled(declared.wish, declaration.project)
                wish = replace(wish, usual_firewall=choices.firewall(None, wish.usual_firewall, intent, seen))
                after = _renewed(wish, bare.get(declared.name), after, seen)
    _raise(errors)
    places = {}
    asked = _asked(declaration)
    for each in found:
        with _noted(errors, each.container.place):
            places[each.container.name] = _places(each, declaration.project, asked, old, after)
    _raise(errors)
    claimed = _claimed(wish for container in places.values() for wish in container)
    # Those that leave a host port open come last, as others may ask for the one that would be chosen.
    for each in sorted(found, key=lambda each: _chooses_port(places[each.container.name])):
        with _noted(errors, each.container.place):
            for name, connection in places[each.container.name]:
                avoid = frozenset(claimed[name] - {connection.ip, connection.ip6})
                after = transitions.connect([name], replace(connection, avoid=avoid)).move(after, seen)
    _raise(errors)
    return _in_order(after, intent, bare, [each.container.name for each in found])


def _labeled(wish: Wish, project: str) -> Wish:
    return replace(wish, labels=_with_project(wish.labels, project))


def _with_project(labels: tuple[tuple[str, str], ...], project: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({**dict(labels), PROJECT: project}.items())) if project else labels


def _replaced(declaration: Declaration, found: tuple[Found, ...], intent: Intent) -> Iterator[tuple[Network, Endpoint]]:
    """Yield the endpoints in whose place there are declared ones, or none: of declared containers, on their networks.

    A declared container is also taken off networks that the project had connected it to.
    """
    by_key = {each.namespace.key: each.container for each in found}
    by_name = {each.container.name: each.container for each in found}
    for network, endpoint in endpoints(intent.values()):
        container = by_name.get(endpoint.name) or by_key.get(endpoint.namespace.key)
        if container is None or endpoint.engine:
            continue
        if any(name == network.name for name, _ in container.connections) or _has(endpoint, declaration.project):
            yield network, endpoint


def _has(endpoint: Endpoint, project: str) -> bool:
    return bool(project) and (PROJECT, project) in endpoint.labels


def _of(network: Network, project: str) -> bool:
    return bool(project) and (PROJECT, project) in network.labels


def _require_there(declared: DeclaredNetwork, intent: Intent, project: str) -> None:
    """Raise NotFound for an external network that does not exist, Conflict for one that is another project's."""
    network = intent.get(declared.name)
    if network is None:
        if declared.wish is None:
            what = f"network {quoted(declared.name)} does not exist, and the file says that it is external"
            raise NotFound(what, hint=f"mydockernet create {declared.name}")
    elif declared.wish:
        _require_own(network, declared.wish, project)


def _require_own(network: Network, wish: Wish, project: str) -> None:
    """Raise Conflict for a network of another project. A file of several projects, as of export, has their labels."""
    other = dict(network.labels).get(PROJECT)
    if other not in (None, project or dict(wish.labels).get(PROJECT)):
        what = f"network {quoted(network.name)} belongs to project {quoted(other)}"
        raise Conflict(what, hint="declare it as external to use it as it is")


def _pruned(
    declaration: Declaration,
    replaced: Collection[tuple[str, str]],
    prune: bool,
    intent: Intent,
    seen: Observed,
    errors: list[MydockernetError],
) -> dict[str, Network]:
    """Return the intent without what is replaced and, with `prune`, without what is no longer declared."""
    named = {declared.name for declared in declaration.networks}
    bare = {}
    for name, network in intent.items():
        stay = tuple(
            endpoint
            for endpoint in network.endpoints
            if (name, endpoint.name) not in replaced and not (prune and _has(endpoint, declaration.project))
        )
        if prune and _of(network, declaration.project) and name not in named:
            errors += _in_use(network, stay, seen, force=False)
            continue
        bare[name] = network if stay == network.endpoints else replace(network, endpoints=stay)
    return bare


def _leaves(
    endpoint: Endpoint,
    network: Network,
    containers: Mapping[str, Collection[str]],
    declaration: Declaration,
    prune: bool,
) -> bool:
    """Whether `down` takes a container off a network. `containers` are those declared, with their networks."""
    if endpoint.engine:
        return False
    if endpoint.name in containers:
        declared = any(n.name == network.name and n.wish for n in declaration.networks)
        project = declaration.project
        return declared or (_has(endpoint, project) if project else network.name in containers[endpoint.name])
    return prune and _has(endpoint, declaration.project)


def _in_use(network: Network, stay: Iterable[Endpoint], seen: Observed, force: bool) -> list[MydockernetError]:
    users = [endpoint.name for endpoint in stay if not force and transitions.plugged(endpoint, seen)]
    if not users:
        return []
    what = f"network {quoted(network.name)} is in use by {', '.join(map(quoted, users))}"
    return [Conflict(what, hint=f"mydockernet inspect {network.name} shows its containers")]


def _without(seen: Observed, ours: Iterable[Network], intent: Intent, bare: Mapping[str, Network]) -> Observed:
    """Return an observation without what declared or pruned networks, and the endpoints that are gone, have."""
    stay = {(network.name, endpoint.name) for network, endpoint in endpoints(bare.values())}
    gone = [("", dev) for network in ours for dev in (network.bridge, network.host_interface)]
    for network, endpoint in endpoints(intent.values()):
        if (network.name, endpoint.name) not in stay:
            gone += [("", endpoint.veth), (endpoint.namespace.path, endpoint.interface)]
    blocks = {subnet.network for network in ours for subnet in network.subnets}
    seen = seen.without(*(place for place in gone if place[1]))
    return replace(seen, routes=tuple(route for route in seen.routes if route.destination not in blocks))


def _renewed(wish: Wish, old: Network | None, intent: Intent, seen: Observed) -> Intent:
    """Return an intent with a declared network, and on it the containers that are not declared."""
    if old is None:
        return creation.create(wish).move(intent, seen)
    made = creation.create(_with_subnets(wish, old)).move(intent, seen)
    lasts = {subnet.network: subnet.last for subnet in old.subnets}
    network = made[wish.name]
    subnets = tuple(replace(s, last=lasts.get(s.network)) for s in network.subnets)
    # A file declares no rules of the admin: those on record stay.
    network = replace(network, subnets=subnets, user_rules=old.user_rules)
    for endpoint in old.endpoints:
        network = _with_undeclared(network, old, endpoint, seen)
    return {**made, wish.name: network}


def _with_subnets(wish: Wish, old: Network) -> Wish:
    """Return a wish with the subnets that the network has already, where the wish leaves them open."""
    sizes = list(wish.sizes)
    kept = list(wish.subnets)
    for size in wish.open_sizes:
        for subnet in old.subnets:
            same = subnet.family == size.family and size.prefixlen in (None, subnet.network.prefixlen)
            if same and all(other.network != subnet.network for other in kept):
                kept += _plain(subnet)
                if size in sizes:
                    sizes.remove(size)
                break
    return replace(wish, subnets=tuple(kept), sizes=tuple(sizes))


def _plain(subnet: Subnet) -> tuple[Subnet, ...]:
    """Return a subnet with nothing but its block, and the gateway that follows from it."""
    return addressing.read_subnets([str(subnet.network)], (), (), ())


def _with_undeclared(network: Network, old: Network, endpoint: Endpoint, seen: Observed) -> Network:
    """Return a declared network with a container on it that is not declared. Raises Conflict if it cannot stay."""
    what = f"container {quoted(endpoint.name)}, which is not declared, is on network {quoted(network.name)}"
    hint = f"mydockernet disconnect {network.name} {endpoint.name}"
    if any((getattr(network, key) != getattr(old, key)) for key in ("driver", "parent", "mode", "bridge")):
        raise Conflict(f"{what}, whose driver changes", hint=hint)
    if endpoint.ports and not network.leads_out:
        raise Conflict(f"{what}, and publishes ports, which the network no longer can", hint=hint)
    kept = tuple(a for a in endpoint.addresses if any(a in subnet.network for subnet in network.subnets))
    if endpoint.addresses and not kept:
        raise Conflict(f"{what}, and has no address in its new subnets", hint=hint)
    clash = [address for address in kept if any(addressing.unusable(s, address) for s in network.subnets)]
    if clash:
        raise Conflict(f"{what}, with {clash[0]}, which is the gateway's or reserved now", hint=hint)
    missing = [f for f in network.families if f not in {address.version for address in kept}]
    more = choices.addresses(network, {4: None, 6: None}, seen, missing)
    addresses = tuple(sorted((*kept, *more), key=lambda address: address.version))
    return replace(network, endpoints=(*network.endpoints, replace(endpoint, addresses=addresses)))


def _asked(declaration: Declaration) -> dict[tuple[str, Address], str]:
    """Return the addresses that the files name, each with its network and the container."""
    return {
        (network, address): container.name
        for container in declaration.containers
        for network, wish in container.connections
        for address in (wish.ip, wish.ip6)
        if address
    }


def _places(
    found: Found,
    project: str,
    asked: Mapping[tuple[str, Address], str],
    old: Mapping[tuple[str, str], Endpoint],
    intent: Intent,
) -> tuple[tuple[str, Connection], ...]:
    """Return the networks of a declared container, each with what it asks of it or, where that is open, has there.

    Raises NotFound for a network that does not exist, Invalid for a port that none of them can publish.
    """
    container = found.container
    given = _assigned(container, intent)
    places = []
    for name, connection in container.connections:
        wish = replace(
            connection,
            name=container.name,
            namespace=found.namespace,
            labels=_with_project(connection.labels, project),
            publish=(*connection.publish, *given[name]),
        )
        there = old.get((name, container.name)) or _by_namespace(old, name, found.namespace)
        free = [a for a in there.addresses if asked.get((name, a)) in (None, container.name)] if there else []
        places.append((name, _as_it_was(wish, there, free, intent[name]) if there else wish))
    return tuple(places)


def _by_namespace(old: Mapping[tuple[str, str], Endpoint], network: str, namespace: Namespace) -> Endpoint | None:
    """Return the endpoint that a container had on a network under another name."""
    return next((e for (name, _), e in old.items() if name == network and e.namespace.key == namespace.key), None)


def _as_it_was(wish: Connection, there: Endpoint, free: Iterable[Address], network: Network) -> Connection:
    """Return a wish with the addresses and host ports that a container has already, where the wish leaves them open."""
    had = {address.version: address for address in free if _may_keep(address, network)}
    publish = []
    for port in wish.publish:
        same = next((m for m in there.ports if port.chooses and port.means(m, there.families)), None)
        publish.append(replace(port, host_ports=same.host_ports) if same else port)
    return replace(wish, ip=wish.ip or had.get(4), ip6=wish.ip6 or had.get(6), publish=tuple(publish))


def _may_keep(address: Address, network: Network) -> bool:
    subnets = [subnet for subnet in network.subnets if address in subnet.network]
    taken = any(address in endpoint.addresses for endpoint in network.endpoints)
    return bool(subnets) and not taken and not addressing.unusable(subnets[0], address)


def _assigned(container: DeclaredContainer, intent: Intent) -> dict[str, list[PortWish]]:
    """Return the ports of a container by the network that is the first to be able to publish them."""
    networks = [transitions.find_network(intent, name) for name, _ in container.connections]
    given: dict[str, list[PortWish]] = {network.name: [] for network in networks}
    problems = []
    for wish in container.publish:
        able = next((network for network in networks if _can_publish(network, wish)), None)
        if able:
            given[able.name].append(wish)
        else:
            problems.append(f"{wish.word}: none of its networks can publish it")
    if problems:
        raise Invalid(*problems)
    return given


def _can_publish(network: Network, wish: PortWish) -> bool:
    if not network.leads_out or choices.refused(network.driver, {"--publish": True}):
        return False
    return wish.host_ip is None or wish.host_ip.version in network.families


def _claimed(places: Iterable[tuple[str, Connection]]) -> dict[str, set[Address]]:
    """Return the addresses that containers ask for, or keep, by network."""
    claimed: dict[str, set[Address]] = {}
    for name, wish in places:
        claimed.setdefault(name, set()).update(address for address in (wish.ip, wish.ip6) if address)
    return claimed


def _chooses_port(places: Iterable[tuple[str, Connection]]) -> bool:
    return any(port.chooses for _, wish in places for port in wish.publish)


def _in_order(after: Intent, before: Intent, bare: Mapping[str, Network], declared: Sequence[str]) -> Intent:
    """Return an intent in which the declared containers of a network stand last, as the file has them.

    If nothing else has changed, they stay in the order in which they are: it has no meaning.
    """
    place = {name: n for n, name in enumerate(declared)}
    ordered = {}
    for name, network in after.items():
        others = {endpoint.name for endpoint in bare[name].endpoints} if name in bare else set()

        def position(endpoint: Endpoint, others: Collection[str] = others) -> int:
            return -1 if endpoint.name in others else place.get(endpoint.name, -1)

        ends = tuple(sorted(network.endpoints, key=position))
        old = before.get(name)
        if old and {*ends} == {*old.endpoints}:
            ends = old.endpoints
        ordered[name] = network if ends == network.endpoints else replace(network, endpoints=ends)
    return ordered


@contextlib.contextmanager
def _noted(errors: list[MydockernetError], place: str) -> Iterator[None]:
    """Note an error, with its place in the file, instead of raising it."""
    try:
        yield
    except MydockernetError as error:
        errors.append(placed(place, error))


def _raise(errors: Sequence[MydockernetError]) -> None:
    """Raise all errors as one, of the kind of the first."""
    if errors:
        messages = dict.fromkeys(message for error in errors for message in error.messages)
        raise type(errors[0])(*messages, hint=errors[0].hint)
