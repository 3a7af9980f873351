"""Select the cables that a plan leaves alone: those outside its concern, and those that it cannot repair. Pure.

A cable is a veth pair, identified by the name of its end on the host, or else the interface of a container. All facts
of an endpoint depend on its cable, except for its published ports.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from mydockernet import model
from mydockernet.dialects.fact import Argv, Fact, Observed, Step, inside
from mydockernet.dialects.ip import Up
from mydockernet.model import Intent

LOOPBACK = "127.0.0.1/8"


def without(facts: Iterable[Fact], spared: Collection[str]) -> tuple[Fact, ...]:
    """Return the facts that depend neither on the spared cables nor on the spared namespaces."""
    return tuple(fact for fact in facts if (fact.makes() or fact.within() or fact.netns or None) not in spared)


def lost_elsewhere(begun: Collection[Intent], target: Intent, want: Collection[Fact], seen: Observed) -> frozenset[str]:
    """Return the missing cables of endpoints that a change does not concern: only repair creates them again.

    So are the host's own interfaces that cannot be created now, as when their parent interface is gone.
    """
    same = {(network.name, endpoint) for network, endpoint in model.attached(target.values())}
    for intent in begun:
        same &= {(network.name, endpoint) for network, endpoint in model.attached(intent.values())}
    cables = {endpoint.cable for _, endpoint in same}
    had = {network.host_interface for intent in begun for network in intent.values()} - {""}
    missing = [fact for fact in want if fact.makes() and not fact.holds(seen)]
    possible = {fact.makes() for fact in want if fact.makes() and not fact.obstacle(seen)}
    hosts = {name for name in had if name not in possible and name not in seen.links}
    return frozenset(fact.makes() for fact in missing if fact.makes() in cables) | hosts


def with_namespaces(spared: Collection[str], target: Intent) -> frozenset[str]:
    """Return these cables, and the paths of namespaces that no other cable of the target leads to."""
    places = [endpoint for _, endpoint in model.attached(target.values())]
    spared = frozenset(spared)
    others = {endpoint.namespace.path for endpoint in places if endpoint.cable not in spared}
    return spared | {endpoint.namespace.path for endpoint in places if endpoint.namespace.path not in others}


def obstructed(target: Intent, had: Iterable[Fact], want: Iterable[Fact], seen: Observed) -> dict[str, str]:
    """Return the cables that cannot be repaired, each with the reason: an obstacle, or an unreadable namespace."""
    known = set(had)
    paths = {endpoint.cable: endpoint.namespace.path for _, endpoint in model.attached(target.values())}
    found: dict[str, str] = {}
    for fact in want:
        cable = fact.makes() or fact.within()
        if cable not in paths or cable in found:
            continue
        if paths[cable] not in seen.inside:
            found[cable] = f"cannot read the namespace {paths[cable]}"
        elif (fact not in known or not fact.holds(seen)) and (obstacle := fact.obstacle(seen)):
            found[cable] = obstacle
    return found


def at_fault(argv: Argv, target: Intent, want: Iterable[Fact], seen: Observed) -> frozenset[str]:
    """Return the cables that a failed command was for; none if it was not for a single container."""
    cables = {endpoint.cable: endpoint.namespace.path for _, endpoint in model.attached(target.values())}
    made = (fact for fact in want if any(step.do == argv for step in fact.do(seen)))
    exactly = frozenset({fact.makes() or fact.within() for fact in made} & {*cables})
    # If a batch does not say which of its commands failed, its namespace is still known.
    return exactly or frozenset(cable for cable, path in cables.items() if argv[:2] == inside(path, ())[:2])


def told(left: Mapping[str, str], target: Intent) -> tuple[tuple[str, str, str], ...]:
    """Return (network, container, message) for each cable that is left alone."""
    return tuple(
        (network.name, endpoint.name, f"cannot repair container {endpoint.name}: {left[endpoint.cable]}")
        for network, endpoint in model.endpoints(target.values())
        if endpoint.cable in left
    )


def loopback_as_it_was(want: Iterable[Fact], seen: Observed) -> Iterator[Step]:
    """Yield the steps that disable loopback again in containers where it was down before."""
    for fact in want:
        if isinstance(fact, Up) and fact.dev == "lo" and fact.netns in seen.inside and not fact.holds(seen):
            down = ("ip", "link", "set", "dev", "lo", "down")
            yield Step("Disable loopback again, as before.", inside(fact.netns, down), optional=True)
            link = seen.at(fact.netns).links.get("lo")
            if link and LOOPBACK not in link.addresses:
                delete = ("ip", "address", "delete", LOOPBACK, "dev", "lo")
                why = "Delete the address that the kernel added to loopback."
                yield Step(why, inside(fact.netns, delete), optional=True)
