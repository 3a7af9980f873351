"""The iptables rules that open and close networks, as facts. Pure.

The rules of two networks, one of them internal:

    mangle PREROUTING ─ unknown flow ─► MYDOCKERNET-PREROUTING ─┬─ from a bridge, source not behind it    DROP
                                    └─ from SUBNET, not through its bridge    DROP, one per network
    mangle FORWARD ─► MYDOCKERNET-FORWARD ─┬─► MYDOCKERNET-USER   the admin's own rules come first
                                    ├─ bridged, one network       RETURN
                                    ├─ from, or to, internal      DROP
                                    ├─ from a network, INVALID    DROP
                                    └─ to a network, no reply     DROP
    filter FORWARD ─► MYDOCKERNET-FORWARD ─┬─► MYDOCKERNET-USER   here as well
                                    ├─ bridged, one network       ACCEPT
                                    ├─ from, or to, internal      DROP
                                    ├─ from a network, INVALID    DROP
                                    ├─ to a network, a reply      ACCEPT
                                    ├─ to a network               DROP
                                    └─ from a network             ACCEPT
    POSTROUTING ── from SUBNET, not to its bridge ── MASQUERADE   one per network

An ACCEPT ends only its own table. So the drops are in mangle, where no ACCEPT in filter overrides them, and the accepts
are in filter, where other programs may drop. If a port of the first network is published on every address:

    raw PREROUTING ─ from or to 127.0.0.0/8, not through lo ─ DROP     the guards, while a port is published on loopback
    PREROUTING, OUTPUT ── to an address of the host ─► MYDOCKERNET-PORTS ── port 8080 ── DNAT to 10.1.0.2:80
    POSTROUTING ── from SUBNET, to its bridge, translated ─ MASQUERADE   so that the reply returns through the host
    POSTROUTING ── from 127.0.0.0/8, to its bridge ── MASQUERADE         a container cannot reply to 127.0.0.1

A network without a gateway has these instead of the rules that are one per network:

    mangle INPUT ── from its bridge ── DROP                              the host is not on it
    mangle MYDOCKERNET-FORWARD ── from its bridge, not bridged ── DROP   nothing leaves it through the host
    filter MYDOCKERNET-FORWARD ── from its bridge, bridged ── ACCEPT     containers reach each other
"""

from collections.abc import Collection, Iterable, Iterator

from mydockernet.dialects import conntrack
from mydockernet.dialects.fact import GROUP, GROUP_APART, GROUP_INTERNAL, SHARED, Argv, Chain, Fact
from mydockernet.dialects.iptables import EarlyOrder, EarlyRule, Order, OwnChain, OwnRule, PortRule
from mydockernet.dialects.iptables_user import UserOrder, UserRule
from mydockernet.model import Address, IPNetwork, PortMapping, bracketed
from mydockernet.rulesets import Home

FORWARD = "MYDOCKERNET-FORWARD"

PREROUTING = "MYDOCKERNET-PREROUTING"

USER = "MYDOCKERNET-USER"

PORTS = "MYDOCKERNET-PORTS"


def shared_forward(family: int) -> tuple[Fact, ...]:
    """Return the chains that filter forwarded packets of a family (4 or 6). All networks share them."""
    return (*_shared_mangle(family), *_shared_filter(family))


def _shared_mangle(family: int) -> tuple[Fact, ...]:
    """Return the drops, in the mangle table, which the kernel evaluates before filter."""
    guard = Chain(family, "mangle", PREROUTING)
    jump = OwnRule(
        Chain(family, "mangle", "PREROUTING"),
        SHARED,
        ("!", "-i", "lo", "-m", "conntrack", "!", "--ctstate", "RELATED,ESTABLISHED"),
        (PREROUTING,),
        "Check the source address of every packet that belongs to no known connection.",
        first=True,
    )
    own_addresses = tuple(
        OwnRule(guard, SHARED, (*_group("src", group), "-m", "rpfilter", "--invert"), ("DROP",), why)
        for group, why in (
            (GROUP, "Drop packets of containers whose source address the host does not reach through that bridge."),
            (GROUP_INTERNAL, "Do the same for containers of internal networks."),
        )
    )
    rows = (
        (_BRIDGED, "RETURN", "Skip traffic between containers on one bridge: br_netfilter sends it through here, too."),
        *_internal(),
        _invalid(),
        (
            (*_group("dst", GROUP), "-m", "conntrack", "!", "--ctstate", ANSWERS),
            "DROP",
            "Drop everything else to a network: only replies and traffic to published ports get in.",
        ),
    )
    if family == 6:
        # The kernel drops these packets itself if they are IPv4. A host receives its own multicast as if from outside.
        match = ("!", "-d", "ff00::/8", "-m", "addrtype", "--src-type", "LOCAL")
        why = "Drop packets from others that claim to be from the host."
        own_addresses = (*own_addresses, OwnRule(guard, SHARED, match, ("DROP",), why))
    return (
        OwnChain(guard, "Create a chain that drops packets with a forged source address."),
        *(fact for rule in own_addresses for fact in (rule, Order((rule,)))),
        jump,
        Order((jump,)),
        *_forwarding(
            family,
            "mangle",
            rows,
            "Create a chain for packets that are never forwarded. The kernel evaluates the mangle table before filter, "
            "so no ACCEPT in filter can override it.",
            "Send all forwarded packets through that chain first.",
        ),
    )


def _shared_filter(family: int) -> tuple[Fact, ...]:
    """Return the accepts, which take effect before the rules and policies of other programs, and the drops again."""
    rows = (
        (
            (*_BRIDGED, *_group("src", GROUP)),
            "ACCEPT",
            "Allow traffic between containers on one bridge: br_netfilter sends it through here, too.",
        ),
        (
            (*_BRIDGED, *_group("src", GROUP_INTERNAL)),
            "ACCEPT",
            "Do the same for containers on one bridge of an internal network.",
        ),
        *_internal(),
        _invalid(),
        (
            (*_group("dst", GROUP), "-m", "conntrack", "--ctstate", ANSWERS),
            "ACCEPT",
            "Accept replies, and traffic to published ports.",
        ),
        (
            _group("dst", GROUP),
            "DROP",
            "Drop everything else: traffic to unpublished ports, from other networks, from hosts that route to a "
            "container.",
        ),
        (_group("src", GROUP), "ACCEPT", "Allow containers to reach the outside."),
    )
    return _forwarding(
        family,
        "filter",
        rows,
        "Create one chain for the rules of all networks.",
        "Send all forwarded packets through that chain first, before the rules of other programs.",
    )


Row = tuple[Argv, str, str]

_BRIDGED: Argv = ("-m", "physdev", "--physdev-is-bridged")

ANSWERS = "RELATED,ESTABLISHED,DNAT"


def _forwarding(family: int, table: str, rows: Iterable[Row], why_chain: str, why_jump: str) -> tuple[Fact, ...]:
    """Return the chain of a table that FORWARD jumps to; it evaluates the admin's own chain first."""
    chain, user = Chain(family, table, FORWARD), Chain(family, table, USER)
    rules: list[OwnRule] = []
    for match, target, why in (((), USER, "Evaluate the admin's own rules first."), *rows):
        after = tuple(rule.words for rule in rules)
        rules.append(OwnRule(chain, SHARED, match, (target,), why, after=after, late=bool(rules)))
    jump = OwnRule(Chain(family, table, "FORWARD"), SHARED, (), (FORWARD,), why_jump, first=True)
    return (
        OwnChain(
            user, "Create a chain for the admin's own rules about containers. mydockernet never flushes it.", True
        ),
        OwnChain(chain, why_chain),
        *rules,
        Order(tuple(rules)),
        jump,
        Order((jump,)),
    )


def _group(direction: str, number: str) -> Argv:
    return ("-m", "devgroup", f"--{direction}-group", number)


def _internal() -> tuple[Row, ...]:
    return (
        (_group("src", GROUP_INTERNAL), "DROP", "Drop packets that would leave an internal network."),
        (_group("dst", GROUP_INTERNAL), "DROP", "Drop packets that would enter an internal network."),
    )


def _invalid() -> Row:
    return (
        (*_group("src", GROUP), "-m", "conntrack", "--ctstate", "INVALID"),
        "DROP",
        "Drop INVALID packets: they would bypass NAT and expose the container's address.",
    )


def _elsewhere(home: Home) -> Argv:
    """Return what matches packets that arrive from elsewhere than a network."""
    return ("!", "-i", home.bridge) if home.bridge else ("-m", "devgroup", "!", "--src-group", home.group)


def _inwards(home: Home) -> Argv:
    """Return what matches packets to a network."""
    return ("-o", home.bridge) if home.bridge else ("-d", str(home.subnet))


def bridged(owner: str, bridge: str) -> Iterator[Fact]:
    """Yield what lets containers on one bridge reach each other: nothing, as a shared rule does."""
    yield from ()


def source_guard(owner: str, home: Home) -> Iterator[Fact]:
    """Yield the rule that drops packets from a network's addresses if they arrive from elsewhere.

    Without it, a packet with a forged source opens a connection in the name of a container, and the replies get in.
    """
    rule = OwnRule(
        Chain(home.subnet.version, "mangle", PREROUTING),
        owner,
        ("-s", str(home.subnet), *_elsewhere(home)),
        ("DROP",),
        f"Drop packets from addresses of {owner} that did not arrive through {home.door}: they could open a connection "
        "in the name of a container, and the replies would get in.",
    )
    yield rule
    yield Order((rule,))


def icc(owner: str, home: Home) -> Iterator[Fact]:
    """Yield the rules that let the containers of a network without a bridge reach each other through the host."""
    within: Argv = ("-s", str(home.subnet), "-d", str(home.subnet))
    flows = (conntrack.forget(home.subnet.version, *within),)
    what = f"traffic between containers of {owner}: the host routes it."
    yield from _early(owner, home.subnet.version, (*within, *_group("src", home.group)), what, flows)


def opened(owner: str, endpoint: str, mapping: PortMapping, address: Address) -> Iterator[Fact]:
    """Yield the rules that let others reach published ports at the container's own address, without NAT."""
    family, inner = address.version, str(mapping.container_ports).replace("-", ":")
    blocks = [block for block in mapping.sources if block.version == family]
    callers: list[tuple[Argv, str]] = [(_from(block), f" from {block}") for block in blocks]
    for caller, whom in callers if mapping.sources else [((), "")]:
        match = (*caller, "-d", str(address), *_not_shut_in(), "-p", mapping.protocol, "--dport", inner)
        flows = tuple(
            conntrack.forget(family, "-p", mapping.protocol, *caller, "-d", str(address), "--dport", str(port))
            for port in range(mapping.container_ports.first, mapping.container_ports.last + 1)
        )
        what = f"packets{whom} to {mapping.protocol} port {inner} of {endpoint}."
        yield from _early(owner, family, match, what, flows)


def _from(block: IPNetwork) -> Argv:
    """Return what matches packets from a block; iptables-save omits one that has all addresses."""
    return ("-s", str(block)) if block.prefixlen else ()


def icmp(owner: str, subnet: IPNetwork) -> Iterator[Fact]:
    """Yield the rules that let ICMP reach containers at their own addresses, as ping and path MTU discovery need it."""
    protocol = "icmp" if subnet.version == 4 else "ipv6-icmp"
    match = ("-d", str(subnet), *_not_shut_in(), "-p", protocol)
    yield from _early(owner, subnet.version, match, f"ICMP to containers of {owner}.")


def _not_shut_in() -> Argv:
    """Return what matches packets that come neither from an internal network nor from one without a gateway."""
    return tuple(
        word for group in (GROUP_INTERNAL, GROUP_APART) for word in ("-m", "devgroup", "!", "--src-group", group)
    )


def _early(owner: str, family: int, match: Argv, what: str, flows: tuple[Argv, ...] = ()) -> Iterator[Fact]:
    """Yield the rules of one network that let packets pass before the shared rules drop them."""
    yield from _behind_user(owner, family, "mangle", match, "RETURN", f"Skip {what}", flows)
    yield from _behind_user(owner, family, "filter", match, "ACCEPT", f"Allow {what}")


def _behind_user(
    owner: str, family: int, table: str, match: Argv, target: str, why: str, flows: tuple[Argv, ...] = ()
) -> Iterator[Fact]:
    """Yield a rule of one network about forwarded packets: behind the jump to the admin's chain, before the drops."""
    for fact in shared_forward(family):
        if isinstance(fact, Order) and len(fact.rules) > 1 and fact.rules[0].chain.table == table:
            rule = EarlyRule(fact.rules[0].chain, owner, match, (target,), why, flows=flows)
            yield rule
            yield EarlyOrder((rule,), fact)


def masquerade(owner: str, home: Home) -> Iterator[Fact]:
    """Yield the rule that gives packets from containers to the outside the host's address."""
    subnet = home.subnet
    yield OwnRule(
        Chain(subnet.version, "nat", "POSTROUTING"),
        owner,
        ("-s", str(subnet), "!", *_inwards(home)),
        ("MASQUERADE",),
        f"Masquerade packets that leave {owner}: they get the host's address, as no other host can route to {subnet}.",
    )


def layer2(owner: str, bridge: str, family: int) -> Iterator[Fact]:
    """Yield the rules of a network that the host has no address on: its containers reach each other, not the host.

    Its bridge is in a link group that no shared rule matches: the host has no route to its containers, so the check of
    source addresses would drop what br_netfilter sends through it.
    """
    why = f"Drop packets from {owner} to the host: it has no address on that network."
    to_host = OwnRule(Chain(family, "mangle", "INPUT"), owner, ("-i", bridge), ("DROP",), why, first=True)
    yield to_host
    yield Order((to_host,))
    beyond = ("-i", bridge, "-m", "physdev", "!", "--physdev-is-bridged")
    why = f"Drop packets that would leave {owner} through the host."
    yield from _behind_user(owner, family, "mangle", beyond, "DROP", why)
    between = ("-i", bridge, "-m", "physdev", "--physdev-is-bridged")
    why = f"Allow traffic between containers of {owner}: br_netfilter sends it through here, too."
    yield from _behind_user(owner, family, "filter", between, "ACCEPT", why)


def hairpin(owner: str, home: Home) -> Iterator[Fact]:
    """Yield the rule that lets a container reach a port that its own network publishes."""
    yield OwnRule(
        Chain(home.subnet.version, "nat", "POSTROUTING"),
        owner,
        ("-s", str(home.subnet), *_inwards(home), "-m", "conntrack", "--ctstate", "DNAT"),
        ("MASQUERADE",),
        f"Masquerade packets from containers of {owner} to published ports of {owner}: the reply must return through "
        "the host, which translates it back.",
    )


def name_server(owner: str, home: Home, gateway: Address, leases: bool) -> Iterator[Fact]:
    """Yield the rules that let containers ask the name server of their network, which no published port takes over.

    If it `leases` addresses, others may ask for one.
    """
    family = gateway.version
    arrives: Argv = ("-i", home.bridge) if home.bridge else _group("src", home.group)
    accept = f"Let containers of {owner} ask its name server, whatever else the host lets in."
    keep = f"Keep the name server of {owner}, even if port 53 of all addresses is published."
    for protocol in ("udp", "tcp"):
        question: Argv = ("-d", str(gateway), "-p", protocol, "--dport", "53")
        for rule in (
            OwnRule(Chain(family, "filter", "INPUT"), owner, (*arrives, *question), ("ACCEPT",), accept, first=True),
            OwnRule(Chain(family, "nat", PORTS), owner, question, ("RETURN",), keep, first=True),
        ):
            yield rule
            yield Order((rule,))
    if leases and family == 4:
        why = f"Let those on {owner} that have no address ask for one (DHCP)."
        asks: Argv = (*arrives, "-p", "udp", "--dport", "67")
        rule = OwnRule(Chain(4, "filter", "INPUT"), owner, asks, ("ACCEPT",), why, first=True)
        yield rule
        yield Order((rule,))


def from_loopback(owner: str, home: Home) -> Iterator[Fact]:
    """Yield the rule that lets the host reach a container through a port published on 127.0.0.1."""
    yield OwnRule(
        Chain(4, "nat", "POSTROUTING"),
        owner,
        ("-s", "127.0.0.0/8", *_inwards(home)),
        ("MASQUERADE",),
        "Masquerade packets that the host sends from 127.0.0.1: a container could not reply to that address.",
    )


def loopback_guards() -> tuple[Fact, ...]:
    """Return the rules that drop packets from other hosts to and from 127.0.0.0/8."""
    rows = (
        (
            "-d",
            "Drop packets to 127.0.0.0/8 from outside the host: once a port is published there, the kernel no longer "
            "does so itself.",
        ),
        ("-s", "Drop packets from outside the host with a source address in 127.0.0.0/8."),
    )
    rules = tuple(
        OwnRule(
            Chain(4, "raw", "PREROUTING"), SHARED, (end, "127.0.0.0/8", "!", "-i", "lo"), ("DROP",), why, first=True
        )
        for end, why in rows
    )
    return tuple(fact for rule in rules for fact in (rule, Order((rule,))))


def _not_translated(family: int) -> tuple[OwnRule, ...]:
    """Return the rules before those of published ports: addresses from which no packet can reach a container."""
    if family == 4:
        return ()
    chain = Chain(family, "nat", PORTS)
    own = OwnRule(chain, SHARED, ("-d", "::1"), ("RETURN",), "Leave ::1 alone: no packet from it can leave the host.")
    link = OwnRule(
        chain,
        SHARED,
        ("-d", "fe80::/10"),
        ("RETURN",),
        "Leave link-local addresses alone, too: the host does not forward packets from them.",
        after=(own.words,),
    )
    return (own, link)


def ports(family: int) -> tuple[Fact, ...]:
    """Return the chain for the published ports of all networks, and the jumps to it."""
    chain = Chain(family, "nat", PORTS)
    local = ("-m", "addrtype", "--dst-type", "LOCAL")
    from_outside = "Evaluate that chain for packets to one of the host's own addresses, not for forwarded packets."
    from_host = "Evaluate that chain for packets that the host sends to itself, too."
    left_alone = _not_translated(family)
    return (
        OwnChain(chain, "Create a chain for published ports."),
        *left_alone,
        *((Order(left_alone),) if left_alone else ()),
        OwnRule(Chain(family, "nat", "PREROUTING"), SHARED, local, (PORTS,), from_outside),
        OwnRule(Chain(family, "nat", "OUTPUT"), SHARED, local, (PORTS,), from_host),
    )


def shared(families: Iterable[int], publishing: Collection[int], on_loopback: bool) -> Iterator[Fact]:
    """Yield the facts that all networks share, for some address families.

    `publishing` are those of published ports; `on_loopback`: one is published on 127.0.0.1.
    """
    for family in families:
        yield from shared_forward(family)
        if family == 4 and on_loopback:
            yield from loopback_guards()
        if family in publishing:
            yield from ports(family)


def user_rules(owner: str, rules: Iterable[Argv], families: Iterable[int]) -> Iterator[Fact]:
    """Yield the rules of the admin that are on record, in their order: those about these address families."""
    for family in families:
        made: list[UserRule] = []
        for number, (of, *words) in enumerate(rules, 1):
            if of == f"-{family}":
                why = f"Rule {number} of the admin, on record with {owner}."
                after = tuple(rule.words for rule in made)
                made.append(UserRule(Chain(family, "filter", USER), owner, tuple(words), (), why, after=after))
        if made:
            yield from made
            yield UserOrder(tuple(made))


def published(owner: str, endpoint: str, mapping: PortMapping, address: Address) -> Iterator[Fact]:
    """Yield the rules that translate published ports of the host to an address of a container."""
    host, inner, family = mapping.host_ports, mapping.container_ports, address.version
    to = f"{bracketed(address)}:{inner}" + (f"/{host.first}" if len(host) > 1 else "")
    only = ("-d", str(mapping.only_ip)) if mapping.only_ip else ()
    ports = range(host.first, host.last + 1)
    own: Argv = ("-m", "addrtype", "--src-type", "LOCAL")
    callers: list[tuple[Argv, str]] = [((), "")]
    if mapping.sources:
        blocks = [block for block in mapping.sources if block.version == family]
        callers = [*((_from(block), f" for {block}") for block in blocks), (own, " for the host itself")]
    rules = tuple(
        PortRule(
            Chain(family, "nat", PORTS),
            owner,
            (*caller, *only, "-p", mapping.protocol, "--dport", str(host).replace("-", ":")),
            ("DNAT", "--to-destination", to),
            f"Publish {mapping.protocol} port {host} on {mapping.published_on(family)}{whom}: translate it to port "
            f"{inner} of {endpoint}.",
            after=tuple(rule.words for rule in _not_translated(family)) or None,
            # The last one is for all the others as well.
            flows=conntrack.translated(family, mapping, ports, *(() if (caller, whom) == callers[-1] else caller)),
        )
        for caller, whom in callers
    )
    for rule in rules:
        yield rule
        yield Order((rule,))
