"""Check a host for common problems of container networks, each with evidence and a fix. Changes nothing.

To find the rules of other programs that drop or accept, it evaluates all rules for typical packets of each network.
"""

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path

from mydockernet import drivers, model, plan, rulesets, strangers
from mydockernet.context import Context
from mydockernet.dialects import iptables, nftables, sysctl
from mydockernet.dialects.fact import BRIDGE_CALLS, FORWARDING, Chain, Fact, Observed, Route, Rule
from mydockernet.dialects.firewalld import InZone
from mydockernet.dialects.iptables_user import leads_to
from mydockernet.dialects.sysctl import RouterAdvertisements
from mydockernet.errors import MydockernetError
from mydockernet.kernel.spawn import environment
from mydockernet.model import Address, Intent, Network
from mydockernet.packets import hops, netfilter, nft, nft_rules
from mydockernet.packets.hooks import Sight, Verdict
from mydockernet.packets.packet import Packet
from mydockernet.rulesets import iptables as ruleset
from mydockernet.value import Value, replace

PROBLEM, NOTICE = "problem", "notice"
RP_FILTER = "net/ipv4/conf/all/rp_filter"
FORWARD = {family: Chain(family, "filter", "FORWARD") for family in (4, 6)}
# What the admin drops or accepts in MYDOCKERNET-USER is intended.
WITHOUT_ADMIN: dict[Chain, tuple[Rule, ...]] = {
    Chain(family, table, ruleset.USER): () for family in (4, 6) for table in ("mangle", "filter")
}
PACKAGES = {
    "ip": "iproute2",
    "ss": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "sysctl": "procps",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
OPTIONAL = ("conntrack",)
# One of these programs is enough, unless a network has its rules in another one.
EITHER = frozenset(programs[0] for programs in rulesets.PROGRAMS.values())


class Finding(Value):
    """A `problem`, or a `notice` of something surprising: what it is, the evidence, and the command that fixes it."""

    kind: str
    what: str
    evidence: str
    fix: str = ""


class Host(Value):
    """The state of a host besides links and rules. `firewalld` and `panic` are the output of firewall-cmd."""

    missing: frozenset[str] = frozenset()
    firewalld: str = ""
    panic: str = ""
    ruleset: nft_rules.Ruleset = nft_rules.Ruleset()


def examine(context: Context) -> tuple[tuple[Finding, ...], tuple[str, ...], tuple[MydockernetError, ...]]:
    """Return all findings, what could not be read of the kernel, and an error for each unreadable state file."""
    intent, errors = context.store.load_each()
    door = context.kernel
    seen = door.observe_zones(door.observe_all_rules(door.observe(), lenient=True))
    doors = {dev for network in intent.values() for dev in model.doors(network)}
    devices = doors | {route.dev for route in seen.routes if route.default}
    strict = [f"net/ipv4/conf/{dev}/rp_filter" for dev in devices & {*seen.links}]
    advertised = RouterAdvertisements().sysctls(seen)
    keys = (*FORWARDING.values(), *BRIDGE_CALLS.values(), RP_FILTER, *strict, *advertised)
    seen = door.observe_sysctls(seen, [("", key) for key in keys])
    path = environment()["PATH"]
    firewalld = _firewalld_is_here()
    host = Host(
        missing=frozenset(p for p in (*PACKAGES, *OPTIONAL) if shutil.which(p, path=path) is None),
        firewalld=door.try_read(("firewall-cmd", "--state")) if firewalld else "",
        panic=door.try_read(("firewall-cmd", "--query-panic")) if firewalld else "",
        ruleset=nft_rules.read(door.try_read(nft_rules.READ)),
    )
    return tuple(diagnose(intent, seen, host)), seen.unread, errors


def _firewalld_is_here(proc: Path = Path("/proc")) -> bool:
    """Whether firewalld runs in this network namespace. firewall-cmd uses D-Bus, and reaches one anywhere."""
    for folder in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")[:4]
            called = any(word.rpartition(b"/")[2] == b"firewalld" for word in words)
            if called and (folder / "ns/net").samefile(proc / "self/ns/net"):
                return True
    return False


def diagnose(intent: Intent, seen: Observed, host: Host) -> Iterator[Finding]:
    """Yield all findings. Pure."""
    used = frozenset(plan.programs(intent.values())) or (EITHER if host.missing >= EITHER else frozenset())
    for program in sorted(host.missing - {*OPTIONAL} - (EITHER - used)):
        yield Finding(PROBLEM, f"{program} is missing", "not on PATH", f"apt install {PACKAGES[program]}")
    yield from _forwarding(intent, seen)
    yield from _own_rules(intent, seen)
    yield from _zones(intent, seen)
    yield from _stopped(intent, seen, host)
    yield from _let_in(intent, seen)
    yield from _firewalls(seen, host, not intent or iptables.PROGRAMS[4] in used)
    yield from _switches(intent, seen)
    if "conntrack" in host.missing:
        yield Finding(
            NOTICE,
            "connections that began before a port was published or unpublished keep their old target",
            "conntrack is not on PATH",
            "apt install conntrack",
        )
    if "nft" in host.missing - used and seen.ipv6 and plan.keeps_out_ipv6(intent):
        yield Finding(
            PROBLEM,
            "containers of a network without IPv6 can send it to each other, if their root enables it",
            "nft is not on PATH",
            "apt install nftables && mydockernet repair",
        )
    for network in intent.values():
        yield from _routes(network, seen)
        yield from _mtu(network, seen)


def _forwarding(intent: Intent, seen: Observed) -> Iterator[Finding]:
    forwarded = [network for network in intent.values() if drivers.load(network.driver).FORWARDS]
    for family, key in FORWARDING.items():
        name = sysctl.dotted(key)
        if any(family in network.families for network in forwarded) and seen.sysctls.get(key) != "1":
            yield Finding(
                PROBLEM,
                f"the host forwards no packets of IPv{family}: containers cannot reach other hosts",
                f"{name} = {seen.sysctls.get(key)}",
                f"sysctl -w {name}=1",
            )
        chain = FORWARD[family]
        if seen.policies.get(chain) == "DROP" and any(map(iptables.is_ours, seen.chains.get(chain, ()))):
            yield Finding(
                NOTICE,
                "the policy of FORWARD is DROP, set by another program: mydockernet's rules take effect before it",
                f"{iptables.PROGRAMS[family]} -S FORWARD: -P FORWARD DROP",
            )
    keeps = RouterAdvertisements()
    if seen.sysctls.get(FORWARDING[6]) == "1" and not keeps.holds(seen):
        for step in keeps.do(seen):
            yield Finding(
                PROBLEM,
                "the host will lose its IPv6 default route or address: it ignores router advertisements as it forwards",
                f"{step.do[-1].partition('=')[0]} = 1",
                " ".join(step.do),
            )


def _own_rules(intent: Intent, seen: Observed) -> Iterator[Finding]:
    """Yield findings about missing rules of mydockernet, and about its rules in a firewall that no network uses."""
    shared = tuple(plan.shared_rules(intent))
    owned = (fact for facts in plan.facts_by_owner(intent).values() for fact in facts)
    rules = (fact for fact in (*shared, *owned) if fact.shown_by() in seen.read and plan.told(fact, seen))
    missing = [fact for fact in rules if not fact.holds(seen) and not fact.beyond(seen)]
    if missing:
        yield Finding(
            PROBLEM,
            "rules of mydockernet are missing or have changed: networks may be open, or published ports closed",
            f"mydockernet check: {len(missing)} differences, such as {missing[0].difference}",
            "mydockernet repair",
        )
    if strangers.find(tuple(intent.values()), seen):
        return
    for firewall, left in _left_over(intent, shared, seen):
        yield Finding(
            PROBLEM,
            f"{firewall} has rules of mydockernet, although no network uses it: they may publish ports",
            left,
            "mydockernet repair",
        )


def _left_over(intent: Intent, shared: Iterable[Fact], seen: Observed) -> Iterator[tuple[str, str]]:
    """Yield each firewall that has rules although no network uses it, and an example of them."""
    used = plan.programs(intent.values())
    beside = {(f.chain, iptables.read_spec(f.words)) for f in shared if isinstance(f, iptables.BesideRule)}
    every = ((chain, rule) for chain, found in seen.chains.items() for rule in found if iptables.is_ours(rule))
    left = [(chain, rule) for chain, rule in every if (chain, rule.spec) not in beside]
    if left and iptables.PROGRAMS[4] not in used:
        chain, rule = left[0]
        yield "iptables", f"iptables-save: {len(left)} rules, such as -t {chain.table} -A {chain.name} {rule.text}"
    # Rules of the admin stay when the last network is removed.
    if nftables.NFT not in used and seen.table and (owned := [*nftables.owned(seen.table)]):
        yield "nftables", f"nft list table {' '.join(nftables.TABLE)}: {len(owned)} rules and elements"


class Probe(Value):
    """A typical packet of a network, with a description that precedes the name of the network."""

    what: str
    network: Network
    hook: str
    packet: Packet


# They stand for any address, and are never compared: such packets are vague.
ANYWHERE = {4: ip_address("192.0.2.0"), 6: ip_address("2001:db8::")}
ANY_FLOW = frozenset({"port", "protocol"})


def _probes(network: Network, family: int, seen: Observed) -> Iterator[Probe]:
    """Yield typical packets of an address family that must pass; none if the network has no interface on the host."""
    first, own, anywhere = _a_door(network), _an_address(network, family), ANYWHERE[family]
    if not first:
        return
    out = Packet(own, anywhere, "tcp", inward=first, vague=ANY_FLOW | {"destination"})
    back = Packet(anywhere, own, "tcp", outward=first, states=frozenset({"ESTABLISHED"}), answer=True)
    uplinks = sorted({route.dev for route in seen.routes if _leads_out(route) and route.family == family})
    for dev in uplinks if network.leads_out else ():
        yield Probe("packets from", network, "PREROUTING", out)
        yield Probe("packets from", network, "FORWARD", replace(out, outward=dev))
        yield Probe("packets from", network, "POSTROUTING", replace(out, outward=dev))
        came = replace(back, inward=dev, vague=ANY_FLOW | {"source"})
        yield Probe("replies to", network, "PREROUTING", replace(came, outward="", vague=came.vague | {"destination"}))
        yield Probe("replies to", network, "FORWARD", came)
        yield Probe("replies to", network, "POSTROUTING", came)
    for _, endpoint in model.endpoints((network,)):
        address = next((a for a in endpoint.addresses if a.version == family), None)
        for mapping in endpoint.ports:
            if address is None or not mapping.serves(family):
                continue
            port, last = mapping.container_ports.first, model.door(network, endpoint)
            packet = Packet(anywhere, address, mapping.protocol, port, outward=last)
            states = frozenset({"NEW"} if network.routed(family) else {"NEW", "DNAT"})
            for dev in uplinks:
                packet = replace(packet, inward=dev, states=states, vague=frozenset({"source"}))
                yield Probe("packets to published ports of", network, "FORWARD", packet)
    if network.bridge and seen.sysctls.get(BRIDGE_CALLS[family]) == "1":
        near = replace(out, outward=first, bridged=True, vague=ANY_FLOW)
        yield Probe("packets within", network, "FORWARD", replace(near, destination=own))


def _a_door(network: Network) -> str:
    """Return the interface of the address below, so that a packet of both is one that could be; empty for none."""
    found = (model.door(network, endpoint) for endpoint in network.endpoints)
    return network.bridge or next(found, "")


def _an_address(network: Network, family: int) -> Address:
    found = (a for endpoint in network.endpoints for a in endpoint.addresses if a.version == family)
    blank = next(s.network.network_address + 2 for s in network.subnets if s.family == family)
    return next(found, blank)


def _stopped(intent: Intent, seen: Observed, host: Host) -> Iterator[Finding]:
    """Yield a finding for each rule of another program that drops packets which must pass. USER chains do not count."""
    without = replace(seen, chains={**seen.chains, **WITHOUT_ADMIN})
    sight = Sight(without, {"": host.ruleset.without(nftables.USER)})
    told: set[str] = set()
    every = (p for network in intent.values() for family in network.families for p in _probes(network, family, seen))
    for probe in every:
        for gate in sight.gates("", probe.hook, probe.packet.family):
            verdict = gate.ask(probe.packet)
            sure = not any(doubt.avoids for doubt in verdict.doubts)
            for found, certain in ((verdict, sure), *((doubt, False) for doubt in verdict.doubts)):
                if found.stops and not found.ours and found.where not in told:
                    told.add(found.where)
                    yield _of_a_stop(found, certain, probe)


def _of_a_stop(verdict: Verdict, certain: bool, probe: Probe) -> Finding:
    if hops.is_panic(verdict):
        return Finding(PROBLEM, "a panic mode drops all packets; mydockernet does not undo that", verdict.where)
    drops = "drops" if certain else "may drop"
    what = f"a rule of another program {drops} {probe.what} {probe.network.name}"
    if isinstance(verdict, nft.Verdict):
        fix = hops.fix_for(verdict, probe.packet)
        return Finding(PROBLEM, f"{what}, whatever others accept", verdict.where, fix)
    if verdict.of_other:
        fix = hops.accept_in_other(verdict.program) if verdict.chain and verdict.chain.table == "filter" else ""
        return Finding(PROBLEM, f"{what}, in the other variant of iptables", verdict.where, fix)
    if verdict.rule is None:
        return Finding(PROBLEM, what, verdict.where, hops.fix_for(verdict, probe.packet))
    # In filter, mydockernet's rules accept the packet if they come first. In mangle, no ACCEPT is final.
    repaired = verdict.chain is not None and verdict.chain.table == "filter"
    fix = "mydockernet repair" if repaired else hops.fix_for(verdict, probe.packet) if certain else ""
    return Finding(PROBLEM, what, verdict.where, fix)


def _let_in(intent: Intent, seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each rule, also in called chains, that accepts what mydockernet's later rules would drop.

    What iptables accepts, nftables drops all the same.
    """
    vague = ANY_FLOW | {"source", "inward"}
    told: set[str] = set()
    for network, family in [
        (net, family)
        for net in filter(_a_door, intent.values())
        if net.has_gateway and net.firewall == "iptables"
        for family in net.families
    ]:
        packet = Packet(ANYWHERE[family], _an_address(network, family), "tcp", outward=_a_door(network), vague=vague)
        without = replace(seen, chains={**seen.chains, **WITHOUT_ADMIN})
        early = netfilter.ask(without, "mangle", "FORWARD", packet)
        verdict = netfilter.ask(without, "filter", "FORWARD", packet)
        for found in (*verdict.doubts, verdict):
            if found.rule and found.target == "ACCEPT" and not found.ours and found.where not in told:
                told.add(found.where)
                closed = early.stops and early.ours
                yield Finding(
                    NOTICE if closed else PROBLEM,
                    "a rule of another program comes before mydockernet's rules and may accept packets that these "
                    "would drop" + (": only mydockernet's rules in mangle still drop them" if closed else ""),
                    f"{iptables.PROGRAMS[family]}: {found.where}",
                    "mydockernet repair",
                )


def _firewalls(seen: Observed, host: Host, in_iptables: bool) -> Iterator[Finding]:
    if seen.other is not None:
        every = [(chain, rule) for chain, found in seen.other.chains.items() for rule in found]
        own = [f"-t {chain.table} -A {chain.name} {rule.text}" for chain, rule in every if iptables.is_ours(rule)]
        if own:
            yield Finding(
                PROBLEM,
                f"{seen.variant} still has rules of mydockernet: the kernel evaluates them, too",
                f"{seen.variant}-save: {len(own)} rules, such as {own[0]}",
                "mydockernet repair",
            )
        elif every:
            yield Finding(
                NOTICE,
                f"{seen.variant} has rules, too: the kernel evaluates both variants, and a DROP in either is final",
                f"{seen.variant}-save: {len(every)} rules, such as -A {every[0][0].name} {every[0][1].text}",
            )
    yield from _ufw(seen) if in_iptables else _ufw_beside_nftables(seen)
    if host.panic.strip() == "yes":
        yield Finding(
            PROBLEM,
            "firewalld is in panic mode: it drops all packets; mydockernet does not undo that",
            "firewall-cmd --query-panic: yes",
        )
    if in_iptables and "running" in host.firewalld and "not" not in host.firewalld:
        yield Finding(
            NOTICE,
            "firewalld is active: when it reloads, it deletes the iptables rules of other programs",
            f"firewall-cmd --state: {host.firewalld.strip()}; docs/upkeep.md has a unit that repairs them",
            "mydockernet repair",
        )


def _ufw(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each family in which ufw is active, and does not see forwarded packets."""
    for family, prefix in ((4, "ufw"), (6, "ufw6")):
        chain, user = (Chain(family, "filter", name) for name in (f"{prefix}-user-forward", ruleset.USER))
        asked = any(leads_to(iptables.words_of(rule.text)) == chain.name for rule in seen.chains.get(user, ()))
        if replace(chain, name=f"{prefix}-user-input") in seen.chains and user in seen.chains and not asked:
            yield Finding(
                NOTICE,
                "ufw is active, but published ports bypass it: packets to containers reach mydockernet's rules first",
                f"{iptables.PROGRAMS[family]}: no rule of {user.name} jumps to {chain.name}",
                f"to let `ufw route` decide: mydockernet user-rules add NETWORK -{family} -j {chain.name}",
            )


def _ufw_beside_nftables(seen: Observed) -> Iterator[Finding]:
    """Yield a finding if ufw is active: what nftables lets pass is accepted before its rules."""
    if Chain(4, "filter", "ufw-user-input") in seen.chains:
        where = " ".join((*nftables.TABLE, nftables.USER))
        yield Finding(
            NOTICE,
            "ufw is active, but published ports bypass it: mydockernet's rules accept packets to containers first",
            f"iptables has the chain ufw-user-input; the chain {where} comes before it",
            "to let only some use a port: publish it with --from, or "
            f"nft add rule {where} ct status dnat ct original proto-dst PORT ct original ip saddr != CIDR drop",
        )


def _zones(intent: Intent, seen: Observed) -> Iterator[Finding]:
    """Yield a finding if firewalld lacks the zones, and one for each interface or subnet that is in none."""
    zoned = (fact for group in plan.facts_by_owner(intent).values() for fact in group if isinstance(fact, InZone))
    lacking = [fact for fact in zoned if not fact.holds(seen)]
    if told := next((fact for fact in lacking if fact.beyond(seen)), None):
        yield Finding(PROBLEM, told.beyond(seen), "firewall-cmd --get-zones, --get-policies", told.way_out())
        return
    for fact in lacking:
        what = f"firewalld may drop packets of {fact.member}: it is not in the zone {fact.zone}"
        yield Finding(PROBLEM, what, "firewall-cmd --get-active-zones", "mydockernet repair")


def _switches(intent: Intent, seen: Observed) -> Iterator[Finding]:
    if seen.sysctls.get(BRIDGE_CALLS[4]) == "1":
        yield Finding(
            NOTICE,
            "br_netfilter is enabled: traffic between containers of one network passes FORWARD, too",
            "net.bridge.bridge-nf-call-iptables = 1; it applies to the whole host, and Kubernetes needs it",
            "sysctl -w net.bridge.bridge-nf-call-iptables=0",
        )
    # The kernel uses the higher of both values: ip-sysctl.rst, rp_filter.
    overall = seen.sysctls.get(RP_FILTER)
    if overall == "1":
        yield _strict("all")
    for dev in sorted(link for link in seen.links if overall == "0"):
        if seen.sysctls.get(f"net/ipv4/conf/{dev}/rp_filter") == "1":
            yield _strict(dev)


def _strict(dev: str) -> Finding:
    return Finding(
        NOTICE,
        "rp_filter is strict: the kernel silently drops packets whose reply would leave by another interface",
        f"net.ipv4.conf.{dev}.rp_filter = 1",
        f"sysctl -w net.ipv4.conf.{dev}.rp_filter=2",
    )


def _routes(network: Network, seen: Observed) -> Iterator[Finding]:
    for subnet in network.subnets if not network.parent else ():
        for route in seen.routes:
            inside = route.destination.version == subnet.family and route.destination.overlaps(subnet.network)
            narrow = route.destination.prefixlen >= subnet.network.prefixlen
            if inside and narrow and route.dev not in model.doors(network) and route.kind != "unreachable":
                yield Finding(
                    PROBLEM,
                    f"a route sends packets for {network.name} to another interface",
                    f"{route.line}; {subnet.network} is on {network.bridge or 'the veth pairs of its containers'}",
                    f"ip route del {route.line}",
                )


def _mtu(network: Network, seen: Observed) -> Iterator[Finding]:
    uplinks = (seen.links.get(route.dev) for route in seen.routes if _leads_out(route))
    door = seen.links.get(_a_door(network))
    for uplink in uplinks:
        if uplink and door and uplink.mtu < door.mtu:
            yield Finding(
                PROBLEM,
                f"packets of {network.name} may be too big for {uplink.name}: long transfers hang",
                f"the MTU of {door.name} is {door.mtu}, the MTU of {uplink.name} is {uplink.mtu}",
                f"create the network again: mydockernet create --mtu {uplink.mtu} {network.name}",
            )


def _leads_out(route: Route) -> bool:
    return route.default and route.kind == "unicast"
