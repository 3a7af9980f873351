"""Several transitions as one: each sees the effect of those before it, and all are made or none. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_interface

from mydockernet.dialects.fact import PROTOCOL, Link, Observed
from mydockernet.errors import MydockernetError, placed
from mydockernet.model import Intent, IPNetwork, Network, attached
from mydockernet.plan import Change, difference
from mydockernet.transitions import Transition
from mydockernet.value import Value, replace


class Part(Value):
    """A transition, and its `place` in a file: FILE:LINE."""

    place: str
    transition: Transition


def sequence(parts: Sequence[Part], changes: list[Change]) -> Transition:
    """Return the transition that makes all of these, in order. `changes` receives the change of each.

    Raises what they raise, with the place. What the first of them that fails would have been told about is not tried.
    """

    def resolve() -> Transition:
        resolved = [Part(part.place, _resolved(part)) for part in parts]
        transitions = [part.transition for part in resolved]
        asked = [transition.ports for transition in transitions if transition.sockets]
        known = [ports for ports in asked if ports is not None]
        spaces = dict.fromkeys(space for transition in transitions for space in transition.namespaces)
        return Transition(
            lambda intent, seen: _moved(resolved, changes, intent, seen),
            tuple(spaces),
            bool(asked),
            frozenset().union(*known) if len(known) == len(asked) else None,
        )

    return Transition(lambda intent, seen: resolve().move(intent, seen), resolve=resolve)


def _resolved(part: Part) -> Transition:
    try:
        return part.transition.resolve() if part.transition.resolve else part.transition
    except MydockernetError as error:
        raise placed(part.place, error) from None


def _moved(parts: Sequence[Part], changes: list[Change], intent: Intent, seen: Observed) -> Intent:
    changes.clear()
    for part in parts:
        try:
            after = part.transition.move(intent, seen)
        except MydockernetError as error:
            raise placed(part.place, error) from None
        change = difference(intent, after)
        changes.append(change)
        seen = afterwards(change, seen)
        intent = after
    return intent


def afterwards(change: Change, seen: Observed) -> Observed:
    """Return an observation as it would be after a change: which interfaces, addresses and routes there would be.

    The host's ends of veth pairs that the change deletes stay: a container that is connected again gets a new pair,
    with another name. Otherwise a plan for both changes together would keep the old one, with all that is on it.
    """
    veths = {("", endpoint.veth) for _, endpoint in attached(change.before.values())}
    had, has = {*_interfaces(change.before.values())}, {*_interfaces(change.after.values())}
    seen = seen.without(*(had - has - veths))
    for path, dev in has - had:
        there = seen.at(path)
        links = {**there.links, dev: there.links.get(dev, Link(dev))}
        seen = _with(seen, path, replace(there, links=links)) if not path or path in seen.inside else seen
    lost = {*_blocks(change.before.values())} - {*_blocks(change.after.values())}
    if not lost:
        return seen
    own = {dev for path, dev in had if not path}
    links = {name: _without(link, lost) if name in own else link for name, link in seen.links.items()}
    ours = (route.destination in lost and (route.dev in own or route.protocol == PROTOCOL) for route in seen.routes)
    routes = tuple(route for route, goes in zip(seen.routes, [*ours], strict=True) if not goes)
    return replace(seen, links=links, routes=routes)


def _interfaces(networks: Iterable[Network | None]) -> Iterator[tuple[str, str]]:
    """Yield the interfaces of networks: the path of the namespace, empty for the host, and the name."""
    for network in filter(None, networks):
        yield from (("", dev) for dev in (network.bridge, network.host_interface) if dev)
        for _, endpoint in attached([network]):
            yield endpoint.namespace.path, endpoint.interface
            if endpoint.veth:
                yield "", endpoint.veth


def _blocks(networks: Iterable[Network | None]) -> Iterator[IPNetwork]:
    return (subnet.network for network in networks if network for subnet in network.subnets)


def _without(link: Link, lost: Iterable[IPNetwork]) -> Link:
    stay = (word for word in link.addresses if not any(ip_interface(word).ip in block for block in lost))
    return replace(link, addresses=frozenset(stay))


def _with(seen: Observed, path: str, there: Observed) -> Observed:
    return replace(seen, inside={**seen.inside, path: there}) if path else there
