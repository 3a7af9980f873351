"""Trace a packet and name the rule that drops it. Reads the live kernel and changes nothing."""

import contextlib
from collections.abc import Iterator

from mydockernet import model
from mydockernet.addressing import read_address
from mydockernet.context import Context
from mydockernet.dialects.fact import BRIDGE_CALLS, FORWARDING, Observed, inside
from mydockernet.errors import Invalid, NotFound, quoted
from mydockernet.kernel import namespaces
from mydockernet.model import PORT_MAX, PORT_MIN, Intent
from mydockernet.packets import nft_rules
from mydockernet.packets.hooks import Sight
from mydockernet.packets.hops import STOPS, Hop, Party, Question
from mydockernet.packets.host import AskRoute, Ended
from mydockernet.packets.walk import Walk
from mydockernet.value import replace


def answer(context: Context, source: str, target: str) -> tuple[tuple[Hop, ...], tuple[str, ...]]:
    """Return the hops from `source` to `target`, up to the first that drops the packet, and what could not be read.

    Raises NotFound or Invalid if `source` or `target` names nothing.
    """
    door = context.kernel
    intent = context.store.load()
    seen = door.observe_all_rules(door.observe(), lenient=True)
    question = read_question(source, target, intent, seen)
    places = (*question.source.places, *question.target.places)
    # A published port may lead to any container.
    every = [e.namespace for _, e in (*model.endpoints(intent.values()), *places)]
    alive = [namespace for namespace in every if namespaces.alive(namespace)]
    door.hold(alive)
    seen = door.observe_whole(seen, sorted({namespace.path for namespace in alive}))
    seen = door.observe_sysctls(seen, _switches(intent, seen))
    if any(network.checks_senders for network in intent.values()):
        seen = door.observe_frames(seen)
    rulesets = {netns: nft_rules.read(door.try_read(inside(netns, nft_rules.READ))) for netns in ("", *seen.inside)}
    return explain(question, intent, Sight(seen, rulesets), door.route), seen.unread


def _switches(intent: Intent, seen: Observed) -> Iterator[tuple[str, str]]:
    """Yield the sysctls that matter: those of the host, and those in containers on several networks."""
    doors = {dev for network in intent.values() for dev in model.doors(network)}
    yield from (("", key) for key in (*FORWARDING.values(), *BRIDGE_CALLS.values()))
    yield from (("", f"net/ipv4/conf/{dev}/route_localnet") for dev in doors)
    devices = {*doors, *(route.dev for route in seen.routes)} & {*seen.links}
    yield from (("", f"net/ipv4/conf/{dev}/rp_filter") for dev in ("all", *devices))
    places = [(e.namespace.path, e.interface) for _, e in model.endpoints(intent.values())]
    for path, interface in places:
        if sum(path == other for other, _ in places) > 1:
            yield from ((path, f"net/ipv4/conf/{dev}/rp_filter") for dev in ("all", interface))


def read_question(source: str, target: str, intent: Intent, seen: Observed) -> Question:
    """Parse `FROM` and `TO[:PORT[/tcp|udp|sctp]]`; a container may be NETWORK/NAME. Raises NotFound, Invalid.

    An IPv6 address with a port is in brackets.
    """
    name, colon, rest = ("", "", "") if _is_address(target) else target.rpartition(":")
    port, slash, protocol = rest.partition("/")
    if colon and not (port.isdecimal() and PORT_MIN <= int(port) <= PORT_MAX):
        raise Invalid(f"TO: {quoted(target)}: {quoted(port)} is not a port")
    if colon and slash and protocol not in ("tcp", "udp", "sctp"):
        raise Invalid(f"TO: {quoted(target)}: the protocol must be tcp, udp or sctp")
    if not colon:
        return Question(_party("FROM", source, intent, seen), _party("TO", target, intent, seen))
    ends = _party("FROM", source, intent, seen), _party("TO", name, intent, seen)
    return Question(*ends, protocol or "tcp", int(port))


def _is_address(word: str) -> bool:
    try:
        return bool(read_address(word))
    except ValueError:
        return False


def _party(option: str, word: str, intent: Intent, seen: Observed) -> Party:
    everywhere = list(model.endpoints(intent.values()))
    if word == "host":
        return Party(word, host=True)
    try:
        address = read_address(word.removeprefix("[").removesuffix("]"))
    except ValueError:
        address = None
    network = ""
    if address:
        place = next((place for place in everywhere if address in place[1].addresses), None)
        if place is None:
            return Party(word, address=address, host=address in seen.addresses or address.is_loopback)
        found = [place]
    else:
        network, _, name = word.rpartition("/")
        found = [(net, e) for net, e in everywhere if e.name == name and network in ("", net.name)]
    chosen = found[0] if found and (address or network) else None
    if not found:
        try:
            key = namespaces.find(word)[1].key
        except (NotFound, Invalid):
            raise NotFound(
                f"{option}: {quoted(word)} is not a container on a network",
                hint="use the name of a container, host, or an address",
            ) from None
        found = [place for place in everywhere if place[1].namespace.key == key]
    if found and not any(endpoint.addresses for _, endpoint in found):
        raise Invalid(f"{option}: {quoted(word)} has no address: network {quoted(found[0][0].name)} has no subnet")
    keys = {endpoint.namespace.key for _, endpoint in found}
    if len(keys) > 1:
        raise Invalid(f"{option}: {quoted(word)} matches several containers", hint="use NETWORK/NAME")
    if not found:
        connects = f"mydockernet connect NETWORK {word} connects it"
        raise NotFound(f"{option}: {quoted(word)} is not on any network", hint=connects)
    places = tuple(place for place in everywhere if place[1].namespace.key in keys and place[1].addresses)
    return Party(found[0][1].name, places, address, chosen=chosen)


def explain(question: Question, intent: Intent, sight: Sight, route: AskRoute) -> tuple[Hop, ...]:
    """Return the hops of a packet, up to the one that drops it, if any.

    `route` asks the kernel for a route (netns, destination, source, incoming interface). If it is open which network of
    a container is meant, the first path that passes is returned, or all of them.
    """
    ways = []
    for each in _ways(question):
        walk = Walk(each, intent, sight, route)
        with contextlib.suppress(Ended):
            walk.start()
        if walk.hops[-1].state != STOPS:
            return tuple(walk.hops)
        ways.append(walk.hops)
    return tuple(hop for hops in ways for hop in hops)


def _ways(question: Question) -> tuple[Question, ...]:
    source, target = question.source, question.target
    names = {network.name for network, _ in source.places}
    if target.chosen or len(target.places) < 2 or any(network.name in names for network, _ in target.places):
        return (question,)
    return tuple(replace(question, target=replace(target, chosen=place)) for place in target.places)
