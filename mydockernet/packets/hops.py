"""The texts of `explain`: the ends, the hops, and the command that lets a dropped packet pass. Pure."""

from mydockernet import rulesets
from mydockernet.dialects import iptables, nftables
from mydockernet.dialects.fact import GROUP, GROUP_APART, SHARED, TAG, Argv, inside, tag
from mydockernet.model import Address, Endpoint, Network, PortMapping, bracketed
from mydockernet.packets import nft, nft_rules
from mydockernet.packets.hooks import Verdict
from mydockernet.packets.packet import Packet
from mydockernet.rulesets import iptables as ruleset
from mydockernet.value import Value

PASSES, STOPS, UNSURE = "passes", "stops", "unsure"

Place = tuple[Network, Endpoint]

PANIC = "The host is in a panic mode that drops all traffic. mydockernet does not undo that."
PANIC_TABLE = "firewalld_policy_drop"
GROUPS = f"{GROUP}-{GROUP_APART}"


class Hop(Value):
    """One step on the path of a packet: whether it `passes`, `stops` or is `unsure`, where, why, and the fix."""

    state: str
    what: str
    why: str = ""
    fix: str = ""


class Party(Value):
    """An end of the path: a container by its places, or the host or another machine by its address.

    Without an address, the host has the one that the other end would use. `chosen` is the place that the user named.
    """

    name: str
    places: tuple[Place, ...] = ()
    address: Address | None = None
    host: bool = False
    chosen: Place | None = None


class Question(Value):
    """The arguments of `explain`. Without a port, the packet is that of ping."""

    source: Party
    target: Party
    protocol: str = ""
    port: int | None = None

    @property
    def family(self) -> int:
        """The address family: that of an address of an end, or else the first that the containers have in common."""
        for party in (self.source, self.target):
            if party.address:
                return party.address.version
        having = [{f for _, e in party.places for f in e.families} for party in (self.source, self.target)]
        common = set.intersection(*(families or {4, 6} for families in having))
        return min(common, default=4)

    def address_of(self, endpoint: Endpoint) -> Address | None:
        """Return the address of a container that the question is about; None if it has none of that family."""
        return next((a for a in endpoint.addresses if a.version == self.family), None)


def is_panic(verdict: Verdict) -> bool:
    """Whether a verdict looks like a panic mode: that of firewalld, or any policy that drops before filter."""
    if isinstance(verdict, nft.Verdict):
        return verdict.base.table == PANIC_TABLE
    return verdict.rule is None and verdict.chain is not None and verdict.chain.table in ("raw", "mangle")


def why_stopped(verdict: Verdict) -> str:
    """Return why a rule or a policy drops a packet."""
    if is_panic(verdict):
        return PANIC
    if verdict.ours or is_admins(verdict):
        return reason(verdict)
    if isinstance(verdict, nft.Verdict):
        return "This nftables chain is not mydockernet's: the kernel evaluates it whatever others accept."
    return "No rule matches, so the policy applies." if verdict.rule is None else "This rule is not mydockernet's."


def is_admins(verdict: Verdict) -> bool:
    """Whether it is a rule that the admin added to the chain that mydockernet evaluates first."""
    if isinstance(verdict, nft.Verdict):
        return verdict.chain.ours and verdict.chain.name == nftables.USER
    return verdict.chain is not None and verdict.chain.name == ruleset.USER


def decides(verdict: Verdict) -> bool:
    """Whether a packet passes by a rule that a trace shows: one about forwarded packets in a table of filters."""
    if isinstance(verdict, nft.Verdict):
        return verdict.base.ours and verdict.base.hook == "forward"
    return verdict.rule is not None and verdict.chain is not None and verdict.chain.table == "filter"


def reason(verdict: Verdict) -> str:
    """Return the reason of a rule: that of mydockernet, with the elements by which it matches, or that of the admin."""
    if is_admins(verdict):
        return "The admin added this rule."
    if isinstance(verdict, nft.Verdict):
        return _reason_of_nft(verdict)
    if verdict.rule is None or verdict.chain is None:
        return ""
    shared = (rulesets.load(name).shared((verdict.chain.family,), (4, 6), True) for name in rulesets.MODULES)
    every = (fact for facts in shared for fact in facts if isinstance(fact, iptables.OwnRule))
    spec = verdict.rule.spec
    guarded = verdict.chain.name == ruleset.PREROUTING and verdict.stops
    other = "Its source address belongs to a network, but it did not arrive through that network." if guarded else ""
    if verdict.chain.name == ruleset.FORWARD and not verdict.stops:
        other = "Both containers are on one network."
    return next((f.why for f in every if f.chain == verdict.chain and iptables.read_spec(f.words) == spec), other)


def _reason_of_nft(verdict: nft.Verdict) -> str:
    if verdict.rule is None:
        return "No rule drops what leaves a network."
    why = verdict.rule.comment.removeprefix(f"{tag(SHARED)}: ")
    return of_elements(f"{why[:1].upper()}{why[1:]}.", verdict)


def of_elements(why: str, verdict: Verdict) -> str:
    """Return a reason, with the elements of mydockernet by which the rule matched, and their owners."""
    found = verdict.found if isinstance(verdict, nft.Verdict) else ()
    owned = ((each, owner_of(each.element.comment)) for each in found if each.element.comment.startswith(TAG))
    told = (f"The {each.kind} has an element of network {owner}: {each.text}." for each, owner in owned)
    return " ".join([why, *told])


def fix_for(verdict: Verdict, packet: Packet, netns: str = "") -> str:
    """Return the command that lets a packet pass a rule or policy of another program; empty if none should.

    It lets no more pass than necessary, and never disables a whole firewall.
    """
    if is_panic(verdict) or (verdict.ours and not is_admins(verdict)):
        return ""
    if isinstance(verdict, nft.Verdict) and verdict.rule and is_admins(verdict):
        argv = ("nft", "delete", "rule", *verdict.chain.place.split(), "handle", str(verdict.rule.handle))
        return " ".join(inside(netns, argv))
    if isinstance(verdict, nft.Verdict):
        ways = _pass_nft(verdict.base, packet, netns)
        return " && ".join(
            " ".join(inside(netns, ("nft", "insert", "rule", *verdict.base.place.split(), *each))) for each in ways
        )
    chain = verdict.chain
    assert chain is not None
    if verdict.rule is not None and verdict.ours:
        words = (f"-{chain.family}", verdict.rule.text.replace(f'-m comment --comment "{verdict.rule.comment}" ', ""))
        return " ".join(("mydockernet user-rules remove", owner_of(verdict.rule.comment), *words))
    if verdict.rule is not None:
        argv = inside(netns, (verdict.program, "-t", chain.table, "-D", chain.name, str(verdict.number)))
        return " ".join(argv)
    if netns or chain.name != "FORWARD":
        argv = (verdict.program, "-t", chain.table, "-I", chain.name, *_pass_iptables(packet), "-j", "ACCEPT")
        return " ".join(inside(netns, argv))
    return accept_in_other(verdict.program) if verdict.of_other else "mydockernet repair"


def owner_of(mark: str) -> str:
    """Return the name of the network in a mark."""
    return mark.removeprefix(TAG).partition("@")[0]


def accept_in_other(program: str) -> str:
    """Return the commands that accept the networks in the filter table of the other variant of iptables.

    The rules in the current variant still decide.
    """
    both = f"0x{int(GROUP):x}/0xfffffffe"
    return " && ".join(
        f"{program} -I FORWARD -m devgroup --{direction}-group {both} -j ACCEPT" for direction in ("src", "dst")
    )


_OUR_GROUPS = tuple(("meta", f"{direction}group", GROUPS, "accept") for direction in ("oif", "iif"))


def _pass_nft(base: nft_rules.Chain, packet: Packet, netns: str) -> tuple[Argv, ...]:
    if base.family == "bridge":
        # ARP frames must pass, too.
        name = "oifname" if base.hook in ("output", "postrouting") else "iifname"
        return (("meta", name, packet.outward if name == "oifname" else packet.inward, "accept"),)
    if base.hook == "forward" and not netns:
        return _OUR_GROUPS
    if packet.answer:
        return (("ct", "state", "established,related", "accept"),)
    if packet.vague:
        return (("meta", "iifgroup", GROUPS, "accept"),) if base.hook == "prerouting" else ()
    port = (packet.protocol, "dport", str(packet.port)) if packet.port else ("meta", "l4proto", packet.protocol)
    ip = "ip" if packet.family == 4 else "ip6"
    return ((ip, "saddr", str(packet.source), ip, "daddr", str(packet.destination), *port, "accept"),)


def _pass_iptables(packet: Packet) -> Argv:
    if packet.answer:
        return ("-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED")
    port = ("--dport", str(packet.port)) if packet.port else ()
    return ("-s", str(packet.source), "-d", str(packet.destination), "-p", packet.protocol, *port)


def published(place: Place, packet: Packet) -> PortMapping | None:
    """Return the mapping that publishes a port of a container, or None."""
    found = (m for m in place[1].ports if m.protocol == packet.protocol and m.serves(packet.family))
    inner = packet.port
    return next((m for m in found if inner and m.container_ports.first <= inner <= m.container_ports.last), None)


def publish(place: Place, packet: Packet) -> tuple[str, str]:
    """Return how to reach a container through a published port: an advice, and the command that publishes the port."""
    mapping = published(place, packet)
    if mapping is None:
        command = f"mydockernet publish {place[0].name} {place[1].name} {packet.port or 'PORT'}"
        if place[0].routed(packet.family):
            return "Publish the port: on this network that opens it at the container's own address.", command
        return "Publish the port and connect to the port of the host instead.", command
    assert packet.port is not None
    port = mapping.host_ports.first + packet.port - mapping.container_ports.first
    where = f"{bracketed(mapping.only_ip)}:{port}" if mapping.only_ip else f"port {port} of the host"
    return f"The port is published: connect to {where} instead.", ""
