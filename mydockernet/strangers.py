"""Networks of other state directories, as their marks in the kernel show them, and what they need. Pure."""

from collections.abc import Collection, Iterable, Iterator

from mydockernet import plan
from mydockernet.dialects import ip, iptables, nftables
from mydockernet.dialects.fact import PROTOCOL, TAG, Fact, Observed
from mydockernet.errors import Conflict
from mydockernet.model import Intent, Network
from mydockernet.plan import Scope
from mydockernet.value import Value


class Stranger(Value):
    """A network of another state directory: whether it has a bridge, and IPv6, and which firewall has its rules."""

    bridged: bool
    ipv6: bool
    firewall: str


def find(networks: Collection[Network], seen: Observed, leaving: Scope | None = None) -> tuple[Stranger, ...]:
    """Return the networks of other state directories: marked by mydockernet, but not among these `networks`.

    What `leaving` covers are leftovers to delete.
    """
    known = {network.bridge for network in networks}
    # As long as the table of nftables was not read, those with iptables.
    marks = {comment for _, comment in seen.table.elements.values()} if seen.table else set()
    bridges = (link for link in seen.links.values() if link.kind == "bridge" and link.name not in known)
    found = (b for b in bridges if ip.is_ours(b) and not (leaving and leaving.covers(ip.owner(b))))
    return (
        *(
            Stranger(
                True,
                any(":" in a and not a.startswith("fe80:") for a in link.addresses),
                "nftables" if link.alias in marks else "iptables",
            )
            for link in found
        ),
        *_routed_strangers(networks, seen, leaving),
    )


def _routed_strangers(networks: Collection[Network], seen: Observed, leaving: Scope | None) -> Iterator[Stranger]:
    """Yield the networks without a bridge: those with a route that no known network needs.

    The owner of the subnet is in the comment of its rules. If it has none, only a repair takes it for a leftover.
    """
    known = {subnet.network for network in networks for subnet in network.subnets}
    realms = {*(network.realm for network in networks), *((leaving.realm,) if leaving else ())}
    for route in seen.routes:
        if route.kind != "unreachable" or route.protocol != PROTOCOL or route.destination in known:
            continue
        of = (False, "-s", str(route.destination))
        every = (rule for rules in seen.chains.values() for rule in rules if of in rule.spec and iptables.is_ours(rule))
        in_table = {*nftables.marks_of(route.destination, seen)}
        marks = {*(rule.comment for rule in every), *in_table}
        owners = {mark.removeprefix(TAG).partition("@")[2] for mark in marks}
        if owners - realms or not (owners or leaving):
            yield Stranger(False, route.destination.version == 6, "nftables" if in_table else "iptables")


def require_same_firewall(strangers: Collection[Stranger], target: Intent) -> None:
    """Raise Conflict if networks of other state directories have their rules in another firewall than these.

    Each firewall would drop what only the other one knows of.
    """
    own = {network.firewall for network in plan.forwarded(target)}
    if other := sorted({stranger.firewall for stranger in strangers} - own) if own else ():
        raise Conflict(
            f"networks of another state directory use {other[0]}: all networks of one host must use the same firewall",
            hint=f"create networks with --firewall {other[0]}; to migrate, first remove the networks of one directory",
        )


def kept_for(strangers: Collection[Stranger], begun: Iterable[Intent]) -> Iterator[Fact]:
    """Yield the shared facts of some intents that networks of other state directories need, too, and which stay."""
    ipv6 = any(stranger.ipv6 for stranger in strangers)
    for fact in (fact for intent in begun for fact in plan.shared_facts(intent) if strangers):
        if fact.bridged():
            needed = any(stranger.bridged and not stranger.ipv6 for stranger in strangers)
        else:
            needed = ipv6 or plan.family(fact) != 6
        if needed:
            yield fact
