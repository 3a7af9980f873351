"""What commonly breaks container networks on a host, each with what shows it and what mends it. Changes nothing."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from mydockernet import kernel, rules
from mydockernet.actions import Context
from mydockernet.errors import MydockernetError
from mydockernet.facts import SHARED, Chain, Observed, Route, tag
from mydockernet.model import Network
from mydockernet.plan import Intent

PROBLEM, NOTICE = "problem", "notice"
FORWARDING = "net/ipv4/ip_forward"
BRIDGE_CALLS_IPTABLES = "net/bridge/bridge-nf-call-iptables"
RP_FILTER = "net/ipv4/conf/all/rp_filter"
FORWARD = Chain(4, "filter", "FORWARD")
AHEAD = ("-m", "comment", "--comment", tag(SHARED), "-j", rules.FORWARD)
# Where iptables over nf_tables keeps its rules; the rest belongs to others.
IPTABLES_TABLES = ("raw", "mangle", "nat", "filter", "security")
PACKAGES = {
    "ip": "iproute2",
    "ss": "iproute2",
    "iptables": "iptables",
    "sysctl": "procps",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A `problem`, or a `notice` of what may surprise: what it is, what shows it, the command that mends it."""

    kind: str
    what: str
    evidence: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """What is asked of a host besides its links and rules: what programs answered, empty where one is missing."""

    missing: frozenset[str] = frozenset()
    version: str = ""
    other_rules: str = ""
    firewalld: str = ""
    nft_chains: str = ""


def examine(context: Context) -> tuple[tuple[Finding, ...], tuple[str, ...], tuple[MydockernetError, ...]]:
    """All findings, what could not be read to tell, and the state files that could not be."""
    intent, errors = context.store.load_each()
    door = context.kernel
    seen = door.observe(lenient=True)
    seen = door.observe_sysctls(seen, [("", key) for key in (FORWARDING, BRIDGE_CALLS_IPTABLES, RP_FILTER)])
    version = door.try_read(("iptables", "--version"))
    other = "iptables-legacy-save" if "nf_tables" in version else "iptables-nft-save"
    path = kernel.environment()["PATH"]
    host = Host(
        missing=frozenset(program for program in (*PACKAGES, "conntrack") if shutil.which(program, path=path) is None),
        version=version,
        other_rules=door.try_read((other,)),
        firewalld=door.try_read(("firewall-cmd", "--state")),
        nft_chains=door.try_read(("nft", "--json", "list", "chains")),
    )
    return tuple(diagnose(intent, seen, host)), seen.unread, errors


def diagnose(intent: Intent, seen: Observed, host: Host) -> Iterator[Finding]:
    """Each finding. Pure."""
    for program in sorted(host.missing - {"conntrack"}):
        yield Finding(PROBLEM, f"{program} is missing", "not on PATH", f"apt install {PACKAGES[program]}")
    yield from _forwarding(intent, seen)
    yield from _firewalls(seen, host)
    yield from _switches(intent, seen)
    if "conntrack" in host.missing:
        yield Finding(
            NOTICE,
            "flows that began before a port was published or unpublished keep going their old way",
            "conntrack is not on PATH",
            "apt install conntrack",
        )
    for network in intent.values():
        yield from _routes(network, seen)
        yield from _mtu(network, seen)


def _forwarding(intent: Intent, seen: Observed) -> Iterator[Finding]:
    if intent and seen.sysctls.get(FORWARDING) != "1":
        yield Finding(
            PROBLEM,
            "the host hands no packets on: containers reach nothing beyond it",
            f"net.ipv4.ip_forward = {seen.sysctls.get(FORWARDING)}",
            "sysctl -w net.ipv4.ip_forward=1",
        )
    first = next(iter(seen.chains.get(FORWARD, ())), None)
    before = list(_until_ours(seen))
    if seen.policies.get(FORWARD) == "DROP":
        kind = NOTICE if first and rules.is_ours(first) else PROBLEM
        yield Finding(
            kind,
            "others have set the policy of FORWARD to DROP"
            + (": the rules of mydockernet decide before it" if kind == NOTICE else ""),
            "iptables -S FORWARD: -P FORWARD DROP",
            "" if kind == NOTICE else "mydockernet repair" if intent else "iptables -P FORWARD ACCEPT",
        )
    if before:
        accepts = any("-j ACCEPT" in rule for rule in before)
        yield Finding(
            PROBLEM if accepts else NOTICE,
            f"rules of others in FORWARD, {len(before)}, come before those of mydockernet, and may "
            + ("let into networks what should stay out" if accepts else "stop what networks should let through"),
            f"iptables -S FORWARD: -A FORWARD {before[0]}",
            f"iptables -D FORWARD {' '.join(AHEAD)} && mydockernet repair, which puts those of mydockernet first again",
        )


def _until_ours(seen: Observed) -> Iterator[str]:
    chain = seen.chains.get(FORWARD, ())
    if not any(map(rules.is_ours, chain)):
        return
    for rule in chain:
        if rules.is_ours(rule):
            return
        yield rule.text


def _firewalls(seen: Observed, host: Host) -> Iterator[Finding]:
    own = "nf_tables" if "nf_tables" in host.version else "legacy"
    other = "legacy" if own == "nf_tables" else "nf_tables"
    if found := [line for line in host.other_rules.splitlines() if line.startswith("-A ")]:
        yield Finding(
            PROBLEM,
            f"rules of both variants of iptables, {own} and {other}: each is asked, and a DROP of either counts",
            f"{len(found)} rules of the {other} variant, as: {found[0]}",
            f"iptables-{'nft' if other == 'nf_tables' else 'legacy'} -F  (or move them over)",
        )
    if any(chain.name.startswith("ufw-") for chain in seen.chains):
        yield Finding(
            NOTICE,
            "ufw is active: `ufw reload` may put its rules before those of mydockernet",
            "chains named ufw-…",
            "mydockernet check, after each reload",
        )
    if "running" in host.firewalld and "not" not in host.firewalld:
        yield Finding(
            NOTICE,
            "firewalld is active: its reload wipes the rules of others",
            f"firewall-cmd --state: {host.firewalld.strip()}",
            "mydockernet repair, after each reload; docs/upkeep.md has the unit that does it",
        )
    for table, chain in _foreign_drops(host.nft_chains):
        yield Finding(
            PROBLEM,
            "an nftables chain of others drops what it does not know, whatever iptables accepts",
            f"nft list chain {table} {chain}: hook forward, policy drop",
            f"nft add rule {table} {chain} meta iifgroup 28004-28005 accept",
        )


def _foreign_drops(text: str) -> Iterator[tuple[str, str]]:
    try:
        items = json.loads(text or "{}").get("nftables", ())
    except (ValueError, AttributeError):
        return
    for item in items:
        chain = item.get("chain", {})
        if chain.get("hook") == "forward" and chain.get("policy") == "drop":
            family, table = chain.get("family"), chain.get("table")
            if (family, table) not in {(f, t) for f in ("ip", "ip6") for t in IPTABLES_TABLES}:
                yield f"{family} {table}", str(chain.get("name"))


def _switches(intent: Intent, seen: Observed) -> Iterator[Finding]:
    if seen.sysctls.get(BRIDGE_CALLS_IPTABLES) == "1":
        yield Finding(
            NOTICE,
            "br_netfilter is on: what containers of one network say to each other passes FORWARD too",
            "net.bridge.bridge-nf-call-iptables = 1",
            "sysctl -w net.bridge.bridge-nf-call-iptables=0",
        )
    if seen.sysctls.get(RP_FILTER) == "1":
        yield Finding(
            NOTICE,
            "rp_filter is strict: a packet whose answer would leave by another interface is dropped in silence",
            "net.ipv4.conf.all.rp_filter = 1",
            "sysctl -w net.ipv4.conf.all.rp_filter=2",
        )


def _routes(network: Network, seen: Observed) -> Iterator[Finding]:
    for subnet in network.subnets:
        for route in seen.routes:
            inside = route.destination.version == subnet.family and route.destination.overlaps(subnet.network)
            narrow = route.destination.prefixlen >= subnet.network.prefixlen
            if inside and narrow and route.dev != network.bridge:
                yield Finding(
                    PROBLEM,
                    f"a route leads addresses of {network.name} elsewhere",
                    f"{route.line}, against {subnet.network} on {network.bridge}",
                    f"ip route del {route.line}",
                )


def _mtu(network: Network, seen: Observed) -> Iterator[Finding]:
    uplinks = (seen.links.get(route.dev) for route in seen.routes if _leads_out(route))
    bridge = seen.links.get(network.bridge)
    for uplink in uplinks:
        if uplink and bridge and uplink.mtu < bridge.mtu:
            yield Finding(
                PROBLEM,
                f"packets of {network.name} may be too big for the way out: long transfers hang",
                f"the MTU of {network.bridge} is {bridge.mtu}, that of {uplink.name} {uplink.mtu}",
                f"make it again: mydockernet create --mtu {uplink.mtu} {network.name}",
            )


def _leads_out(route: Route) -> bool:
    return route.default and route.kind == "unicast"
