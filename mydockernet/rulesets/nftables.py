"""The nftables rules that open and close networks, as facts. Pure.

All rules are constant, in one table, `inet mydockernet`. A network or a published port is an element of its sets:

    raw         from or to 127.0.0.0/8, not through lo ─ drop
    origin      unknown flow ─┬─ from a container, source not behind its interface ─ drop
                              └─ from a subnet, not through its bridge ─ drop
    prerouting, output ── to an address of the host ─► publish ── port in ports4 ── dnat to its value
    input       from a network without a gateway ─ drop
    forward ─┬─► user                                           the admin's own rules come first
             ├─ from a bridge to itself, in `same` ─ accept     br_netfilter sends bridged frames through here
             ├─ open4, icmp4, icc4 ─ accept                     what one network lets in
             ├─ from or to internal ─ drop
             ├─ from a network, invalid ─ drop
             ├─ to a network, a reply or a published port ─ accept
             └─ to a network ─ drop
    postrouting  from a subnet in masq4, not to its own network ─ masquerade
                 from a subnet to its own network, translated ─ masquerade      so that the reply returns here
                 from 127.0.0.0/8 to a network ─ masquerade

An accept ends only the chain of this table: other programs may drop the packet on the same hook. So there are rules in
the chain FORWARD of iptables, too, if it drops anything.
"""

from collections.abc import Collection, Iterable, Iterator
from ipaddress import collapse_addresses

from mydockernet.dialects import conntrack
from mydockernet.dialects.fact import GROUP, GROUP_APART, GROUP_INTERNAL, SHARED, Argv, Fact
from mydockernet.dialects.fact import Chain as IptablesChain
from mydockernet.dialects.iptables import BesideRule, Order
from mydockernet.dialects.nftables import USER, Chain, Element, Elements, Line, Table, quoted_name
from mydockernet.model import Address, IPNetwork, PortMapping
from mydockernet.rulesets import Home

OURS = f"{{ {GROUP}, {GROUP_INTERNAL} }}"
SHUT_IN = f"{{ {GROUP_INTERNAL}, {GROUP_APART} }}"
# The link groups 28004 to 28007, for devgroup.
ANY_GROUP = "0x6d64/0xfffffffc"
# Behind the usual priority of NAT, -100, so that an admin's own translation comes first.
BEHIND_OTHERS = -95
PROTOCOLS = "{ tcp, udp, sctp }"
PORT = "meta l4proto . th dport"
FAMILIES = ((4, "ip", "ipv4_addr", "icmp"), (6, "ip6", "ipv6_addr", "ipv6-icmp"))


def _sets() -> Iterator[Elements]:
    yield Elements("same", "ifname . ifname", "Create a set for bridges whose containers may reach each other.")
    yield Elements("apart", "ifname", "Create a set for bridges that the host has no address on.")
    for n, _, address, _ in FAMILIES:
        two, port = f"{address} . {address}", "inet_proto . inet_service"
        yield from (
            Elements(f"bridged{n}", address, "Create a set for the subnets of networks with a bridge.", False),
            Elements(f"behind{n}", f"ifname . {address}", "Create a set for each bridge with its subnets.", False),
            Elements(f"routed{n}", address, "Create a set for the subnets of networks without a bridge.", False),
            Elements(f"within{n}", two, "Create a set for traffic inside such a subnet.", False),
            Elements(f"icc{n}", two, "Create a set for such traffic that is allowed."),
            Elements(f"masq{n}", address, "Create a set for the subnets that others cannot route to."),
            Elements(f"icmp{n}", address, "Create a set for the subnets that may be pinged from outside."),
            Elements(f"open{n}", f"{two} . {port}", "Create a set for who may reach which address and port."),
            Elements(f"ports{n}", f"{two} . {port} : {address} . inet_service", "Create a map for published ports."),
            Elements(
                f"ranges{n}", f"{two} . {port} : {address}", "Create a map for ranges of ports that stay the same."
            ),
            Elements(
                f"own_ports{n}",
                f"{address} . {port} : {address} . inet_service",
                "Create a map for ports that only some may use, for the host itself.",
            ),
            Elements(f"names{n}", address, "Create a set for the addresses of name servers."),
            Elements(f"own_ranges{n}", f"{address} . {port} : {address}", "Create the same for ranges of ports."),
        )


def _chains() -> Iterator[Chain]:
    yield Chain(USER, "Create a chain for the admin's own rules about containers. mydockernet never flushes it.")
    yield Chain(
        "raw",
        "Create a chain that keeps packets from outside away from 127.0.0.0/8.",
        "type filter hook prerouting priority -300; policy accept;",
        (
            Line('iif != "lo" ip daddr 127.0.0.0/8 counter drop', "drop packets to 127.0.0.0/8 from outside the host"),
            Line(
                'iif != "lo" ip saddr 127.0.0.0/8 counter drop',
                "drop packets from outside with a source in 127.0.0.0/8",
            ),
        ),
    )
    yield Chain(
        "origin",
        "Create a chain that drops packets with a forged source address.",
        "type filter hook prerouting priority -150; policy accept;",
        (
            Line('iif "lo" return', "skip packets of the host to itself"),
            Line("ct state { established, related } return", "skip packets of known connections"),
            # The kernel itself drops these packets of IPv4. A host receives its own multicast as if from outside.
            Line(
                "ip6 daddr != ff00::/8 fib saddr type local counter drop",
                "drop packets from others that claim to be from the host",
            ),
            Line(
                f"iifgroup {OURS} fib saddr . iif oif missing counter drop",
                "drop packets of containers whose source address is not behind their interface",
            ),
            *(
                Line(
                    f"{ip} saddr @bridged{n} iifname . {ip} saddr != @behind{n} counter drop",
                    f"drop IPv{n} packets from a network that did not arrive through its bridge",
                )
                for n, ip, _, _ in FAMILIES
            ),
            *(
                Line(
                    f"{ip} saddr @routed{n} iifgroup != {OURS} counter drop",
                    f"drop IPv{n} packets from a network without a bridge that arrive from elsewhere",
                )
                for n, ip, _, _ in FAMILIES
            ),
        ),
    )
    yield Chain("publish", "Create a chain for published ports.", "", (*_publish(),))
    local = Line(
        "fib daddr type local jump publish", "look for a published port if the packet is to an address of the host"
    )
    yield Chain(
        "prerouting",
        "Create a chain that sends packets from others to published ports on.",
        f"type nat hook prerouting priority {BEHIND_OTHERS}; policy accept;",
        (local,),
    )
    yield Chain(
        "output",
        "Create a chain that does so with packets that the host sends to itself.",
        f"type nat hook output priority {BEHIND_OTHERS}; policy accept;",
        (local,),
    )
    yield Chain(
        "input",
        "Create a chain that keeps networks without a gateway away from the host.",
        "type filter hook input priority 0; policy accept;",
        (Line("iifname @apart counter drop", "drop packets to the host from a network without a gateway"),),
    )
    yield Chain(
        "forward",
        "Create a chain for forwarded packets.",
        "type filter hook forward priority 0; policy accept;",
        (*_forward(),),
    )
    yield Chain(
        "postrouting",
        "Create a chain that gives packets the host's address.",
        "type nat hook postrouting priority 105; policy accept;",
        (*_postrouting(),),
    )


def _publish() -> Iterator[Line]:
    yield Line("ip6 daddr { ::1, fe80::/10 } return", "leave ::1 and link-local addresses alone")
    for n, ip, _, _ in FAMILIES:
        question = f"{ip} daddr @names{n} meta l4proto {{ tcp, udp }} th dport 53"
        yield Line(f"{question} return", f"leave questions to the name servers of networks over IPv{n} alone")
    for n, ip, _, _ in FAMILIES:
        anyone, own = f"{ip} saddr . {ip} daddr . {PORT}", f"{ip} daddr . {PORT}"
        for name, key, whom, who in (
            ("ports", anyone, "", "for those who may use it"),
            ("ranges", anyone, "", "if it is one of a range"),
            ("own_ports", own, "fib saddr type local ", "for the host itself"),
            ("own_ranges", own, "fib saddr type local ", "for the host itself, if it is one of a range"),
        ):
            text = f"{whom}meta l4proto {PROTOCOLS} dnat {ip} to {key} map @{name}{n}"
            yield Line(text, f"translate a published IPv{n} port, {who}")


def _forward() -> Iterator[Line]:
    yield Line(f"jump {USER}", "evaluate the admin's own rules first")
    yield Line("iifname . oifname @same counter accept", "allow traffic between containers on one bridge")
    yield Line("iifname @apart counter drop", "drop what would leave a network without a gateway")
    for n, ip, _, icmp in FAMILIES:
        yield Line(
            f"iifgroup {OURS} {ip} saddr . {ip} daddr @icc{n} counter accept",
            f"allow IPv{n} between containers of one network without a bridge",
        )
        yield Line(
            f"iifgroup != {SHUT_IN} meta l4proto {icmp} {ip} daddr @icmp{n} counter accept",
            f"allow ICMP to containers of routed networks over IPv{n}",
        )
        yield Line(
            f"iifgroup != {SHUT_IN} {ip} saddr . {ip} daddr . {PORT} @open{n} counter accept",
            f"allow packets to IPv{n} ports that routed networks publish",
        )
    yield Line(f"iifgroup {GROUP_INTERNAL} counter drop", "drop packets that would leave an internal network")
    yield Line(f"oifgroup {GROUP_INTERNAL} counter drop", "drop packets that would enter an internal network")
    yield Line(f"iifgroup {GROUP} ct state invalid counter drop", "drop invalid packets, which would bypass NAT")
    yield Line(f"oifgroup {GROUP} ct state {{ established, related }} counter accept", "accept replies")
    yield Line(f"oifgroup {GROUP} ct status dnat counter accept", "accept packets to published ports")
    yield Line(
        f"oifgroup {GROUP} counter drop", "drop everything else to a network: only replies and published ports get in"
    )


def _postrouting() -> Iterator[Line]:
    for n, ip, _, _ in FAMILIES:
        by_bridge, by_subnet = f"oifname . {ip} saddr", f"{ip} saddr . {ip} daddr"
        yield Line(
            f"{by_bridge} != @behind{n} {by_subnet} != @within{n} {ip} saddr @masq{n} counter masquerade",
            f"masquerade IPv{n} packets that leave their network",
        )
        for key, name in ((by_bridge, "behind"), (by_subnet, "within")):
            what = "through its bridge" if name == "behind" else "without a bridge"
            yield Line(
                f"ct status dnat {key} @{name}{n} counter masquerade",
                f"masquerade IPv{n} packets to a published port of their own network {what}",
            )
    yield Line(
        f"ip saddr 127.0.0.0/8 oifgroup {OURS} counter masquerade",
        "masquerade packets from 127.0.0.1: a container could not reply",
    )


TABLE = Table((*_chains(),), (*_sets(),))


def shared(families: Iterable[int], publishing: Collection[int], on_loopback: bool) -> Iterator[Fact]:
    """Yield the facts that all networks share, for some address families; the table is for both."""
    yield TABLE
    for family in families:
        chain = IptablesChain(family, "filter", "FORWARD")
        for end, what in (("src", "from"), ("dst", "to")):
            rule = BesideRule(
                chain,
                SHARED,
                ("-m", "devgroup", f"--{end}-group", ANY_GROUP),
                ("ACCEPT",),
                f"Accept packets {what} containers in the table of iptables, too: other programs may drop them there, "
                "and nftables has dropped what is not allowed.",
                first=True,
            )
            yield rule
            yield Order((rule,))


def bridged(owner: str, bridge: str) -> Iterator[Fact]:
    """Yield what lets containers on one bridge reach each other."""
    dev = quoted_name(bridge)
    why = f"Allow traffic between containers of {owner}: br_netfilter sends it through the forward chain, too."
    yield Element("same", f"{dev} . {dev}", owner, why)


def name_server(owner: str, home: Home, gateway: Address, leases: bool) -> Iterator[Fact]:
    """Yield what keeps a published port from taking over the name server of a network."""
    why = f"Keep the name server of {owner}, even if port 53 of all addresses is published."
    yield Element(f"names{gateway.version}", str(gateway), owner, why)


def layer2(owner: str, bridge: str, family: int) -> Iterator[Fact]:
    """Yield the rules of a network that the host has no address on: its containers reach each other, not the host."""
    yield from bridged(owner, bridge)
    why = f"Drop packets from {owner} to the host, and those that would leave it through the host."
    yield Element("apart", quoted_name(bridge), owner, why)


def source_guard(owner: str, home: Home) -> Iterator[Fact]:
    """Yield what drops packets from a network's addresses if they arrive from elsewhere.

    Without it, a packet with a forged source opens a connection in the name of a container, and the replies get in.
    """
    family, subnet = home.subnet.version, str(home.subnet)
    if home.bridge:
        why = f"Expect packets from {subnet} through {home.bridge} only: it is the bridge of {owner}."
        yield Element(f"behind{family}", f"{quoted_name(home.bridge)} . {subnet}", owner, why)
        why = f"Drop packets from {subnet} that did not arrive through {home.door}: they could open a connection in "
        yield Element(f"bridged{family}", subnet, owner, f"{why}the name of a container, and the replies would get in.")
    else:
        why = f"Packets from {subnet} to {subnet} stay in {owner}."
        yield Element(f"within{family}", f"{subnet} . {subnet}", owner, why)
        why = f"Drop packets from {subnet} that did not arrive through {home.door}."
        yield Element(f"routed{family}", subnet, owner, why)


def icc(owner: str, home: Home) -> Iterator[Fact]:
    """Yield what lets the containers of a network without a bridge reach each other through the host."""
    subnet, family = str(home.subnet), home.subnet.version
    flows = (conntrack.forget(family, "-s", subnet, "-d", subnet),)
    why = f"Allow traffic between containers of {owner}: the host routes it."
    yield Element(f"icc{family}", f"{subnet} . {subnet}", owner, why, flows=flows)


def icmp(owner: str, subnet: IPNetwork) -> Iterator[Fact]:
    """Yield what lets ICMP reach containers at their own addresses, as ping and path MTU discovery need it."""
    yield Element(f"icmp{subnet.version}", str(subnet), owner, f"Allow ICMP to containers of {owner}.")


def masquerade(owner: str, home: Home) -> Iterator[Fact]:
    """Yield what gives packets from containers to the outside the host's address."""
    subnet = str(home.subnet)
    why = f"Masquerade packets that leave {owner}: they get the host's address, as no other host can route to {subnet}."
    yield Element(f"masq{home.subnet.version}", subnet, owner, why)


def hairpin(owner: str, home: Home) -> Iterator[Fact]:
    """Yield what lets a container reach a port that its own network publishes: nothing, as a shared rule does."""
    yield from ()


def from_loopback(owner: str, home: Home) -> Iterator[Fact]:
    """Yield what lets the host reach a container through 127.0.0.1: nothing, as a shared rule does."""
    yield from ()


def opened(owner: str, endpoint: str, mapping: PortMapping, address: Address) -> Iterator[Fact]:
    """Yield what lets others reach published ports at the container's own address, without NAT."""
    family, inner = address.version, mapping.container_ports
    for caller, whom in _callers(mapping, family):
        of_flow = ("-p", mapping.protocol, *(("-s", caller) if whom else ()), "-d", str(address), "--dport")
        # Two ranges of host ports may lead to the same ports, and elements of a set may not overlap: one for each port.
        for port in range(inner.first, inner.last + 1):
            why = f"Allow packets{whom} to {mapping.protocol} port {port} of {endpoint}."
            key = f"{caller} . {address} . {mapping.protocol} . {port}"
            yield Element(f"open{family}", key, owner, why, flows=(conntrack.forget(family, *of_flow, str(port)),))


def published(owner: str, endpoint: str, mapping: PortMapping, address: Address) -> Iterator[Fact]:
    """Yield what translates published ports of the host to an address of a container."""
    host, inner, family = mapping.host_ports, mapping.container_ports, address.version
    on = str(mapping.only_ip) if mapping.only_ip else EVERY[family]
    callers = [(f"{caller} . {on}", whom, "") for caller, whom in _callers(mapping, family)]
    if mapping.sources:
        callers.append((on, " for the host itself", "own_"))
    for key, whom, own in callers:
        # The last one is for all the others as well.
        source = () if (key, whom, own) == callers[-1] else ("-s", key.partition(" ")[0])
        for ports, to in _spans(mapping):
            why = (
                f"Publish {mapping.protocol} port {ports[0] if to else host} on {mapping.published_on(family)}{whom}: "
                f"translate it to port {to or inner} of {endpoint}."
            )
            yield Element(
                f"{own}{'ports' if to else 'ranges'}{family}",
                f"{key} . {mapping.protocol} . {ports[0]}{f'-{ports[-1]}' if len(ports) > 1 else ''}",
                owner,
                why,
                f"{address} . {to}" if to else str(address),
                conntrack.translated(family, mapping, ports, *source),
            )


EVERY = {4: "0.0.0.0/0", 6: "::/0"}


def _callers(mapping: PortMapping, family: int) -> list[tuple[str, str]]:
    """Return who may use published ports: each block, and ` from` it in words."""
    if not mapping.sources:
        return [(EVERY[family], "")]
    # The elements of a set may not overlap.
    blocks = collapse_addresses(block for block in mapping.sources if block.version == family)  # type: ignore[type-var]
    return [(_plain(block), f" from {block}") for block in blocks]


def _plain(block: IPNetwork) -> str:
    """Return a block as nft prints it: a single address without its length."""
    return str(block.network_address) if block.prefixlen == block.max_prefixlen else str(block)


def _spans(mapping: PortMapping) -> Iterator[tuple[range, int]]:
    """Yield host ports, and the port that they are translated to; 0 if each stays the same.

    nftables can translate a range to another address, but not to other ports: then each port is an element.
    """
    host, inner = mapping.host_ports, mapping.container_ports
    ports = range(host.first, host.last + 1)
    if len(ports) > 1 and host == inner:
        yield ports, 0
        return
    for port in ports:
        yield range(port, port + 1), inner.first + port - host.first


def user_rules(owner: str, rules: Iterable[Argv], families: Iterable[int]) -> Iterator[Fact]:
    """Yield nothing: only networks with iptables have rules of the admin on record."""
    yield from ()
