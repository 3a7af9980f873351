"""Plans as whole values; and laws that hold for any plan."""

import ipaddress
import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mydockernet import plan, strangers
from mydockernet.dialects import ip, iptables
from mydockernet.dialects.fact import GROUP, SHARED, Chain, Link, Observed, Rule, tag
from mydockernet.drivers import bridge
from mydockernet.errors import Conflict
from mydockernet.plan import Scope, concern_of
from mydockernet.rulesets import iptables as ruleset
from mydockernet.static_routes import StaticRoute
from mydockernet.value import replace
from tests.unit.values import BRIDGE_MAC, ON_FILES, Machine, containers, endpoint, intent, mapping, network

TAGGED = ("-m", "comment", "--comment")


def steps(before, after, seen):
    """The plan from one intent to another, about all that there is in both."""
    concern = concern_of([*before.values(), *after.values()])
    return plan.plan(plan.facts(before, concern), plan.facts(after, concern), seen)


def commands(before, after, seen):
    """The commands of that plan, less those about names, which test_names.py is about."""
    return [" ".join(step.do) for step in steps(before, after, seen) if step.do[0] not in ON_FILES]


def standing(*networks, host=None):
    """A machine on which these networks are."""
    machine = Machine(host or containers("c1", "c2"))
    machine.run(steps({}, intent(*networks), machine.seen))
    return machine.seen


BRIDGE = [
    f"ip link add dev web group 28004 address {BRIDGE_MAC} type bridge",
    "ip link set dev web alias mydockernet:web",
    "ip address add 10.1.0.1/24 dev web",
]
START = ["sysctl -w net.ipv6.conf.web.disable_ipv6=1", "ip link set dev web up"]
GUARD = (
    "iptables -t mangle -A MYDOCKERNET-PREROUTING -s 10.1.0.0/24 ! -i web -m comment --comment mydockernet:web"
    " -j DROP --wait"
)
MASQUERADE = (
    "iptables -t nat -A POSTROUTING -s 10.1.0.0/24 ! -o web -m comment --comment mydockernet:web -j MASQUERADE --wait"
)


def test_the_first_network():
    made = commands({}, intent(network()), Observed())
    shared = [line for line in made if line not in (*BRIDGE, GUARD, MASQUERADE, *START)]
    forwarding, frames = shared.pop(), shared.pop()
    assert forwarding == "sysctl -w net.ipv4.ip_forward=1"
    assert "meta iifgroup { 28004, 28005, 28007 } meta protocol { 8021ad, 8021q, ip6 } drop" in frames
    assert made == [*BRIDGE, *shared, GUARD, MASQUERADE, frames, forwarding, *START]
    owner = "-m comment --comment mydockernet:@shared -j"
    forward = "iptables -t filter -A MYDOCKERNET-FORWARD"
    mangle = forward.replace("filter", "mangle")
    guard = mangle.replace("FORWARD", "PREROUTING")
    assert shared == [
        "iptables -t mangle -N MYDOCKERNET-PREROUTING --wait",
        f"{guard} -m devgroup --src-group 28004 -m rpfilter --invert {owner} DROP --wait",
        f"{guard} -m devgroup --src-group 28005 -m rpfilter --invert {owner} DROP --wait",
        f"iptables -t mangle -I PREROUTING ! -i lo -m conntrack ! --ctstate RELATED,ESTABLISHED {owner}"
        " MYDOCKERNET-PREROUTING --wait",
        "iptables -t mangle -N MYDOCKERNET-USER --wait",
        "iptables -t mangle -N MYDOCKERNET-FORWARD --wait",
        f"{mangle} {owner} MYDOCKERNET-USER --wait",
        f"{mangle} -m physdev --physdev-is-bridged {owner} RETURN --wait",
        f"{mangle} -m devgroup --src-group 28005 {owner} DROP --wait",
        f"{mangle} -m devgroup --dst-group 28005 {owner} DROP --wait",
        f"{mangle} -m devgroup --src-group 28004 -m conntrack --ctstate INVALID {owner} DROP --wait",
        f"{mangle} -m devgroup --dst-group 28004 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT {owner} DROP --wait",
        f"iptables -t mangle -I FORWARD {owner} MYDOCKERNET-FORWARD --wait",
        "iptables -t filter -N MYDOCKERNET-USER --wait",
        "iptables -t filter -N MYDOCKERNET-FORWARD --wait",
        f"{forward} {owner} MYDOCKERNET-USER --wait",
        f"{forward} -m physdev --physdev-is-bridged -m devgroup --src-group 28004 {owner} ACCEPT --wait",
        f"{forward} -m physdev --physdev-is-bridged -m devgroup --src-group 28005 {owner} ACCEPT --wait",
        f"{forward} -m devgroup --src-group 28005 {owner} DROP --wait",
        f"{forward} -m devgroup --dst-group 28005 {owner} DROP --wait",
        f"{forward} -m devgroup --src-group 28004 -m conntrack --ctstate INVALID {owner} DROP --wait",
        f"{forward} -m devgroup --dst-group 28004 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT {owner} ACCEPT"
        " --wait",
        f"{forward} -m devgroup --dst-group 28004 {owner} DROP --wait",
        f"{forward} -m devgroup --src-group 28004 {owner} ACCEPT --wait",
        f"iptables -t filter -I FORWARD {owner} MYDOCKERNET-FORWARD --wait",
    ]


def test_a_second_network_adds_only_its_own():
    first = network("other", "10.9.0.0/24")
    assert commands(intent(first), intent(first, network()), standing(first)) == [*BRIDGE, GUARD, MASQUERADE, *START]


def test_what_a_network_was_asked_to_be():
    def made(**options):
        return commands({}, intent(network(**options)), standing(network("x", "10.9.0.0/24")))

    assert MASQUERADE not in made(masquerade=False)
    assert MASQUERADE not in made(internal=True)
    assert made(internal=True)[0] == f"ip link add dev web group 28005 address {BRIDGE_MAC} type bridge"
    assert GUARD in made(internal=True)
    assert "ip link set dev web mtu 1400" in made(mtu=1400)
    assert made(realm="abc123")[1] == "ip link set dev web alias mydockernet:web@abc123"


def test_a_network_without_a_gateway_has_rules_of_its_own_instead_of_those_that_lead_out():
    net = no_gateway(network())
    mark = "-m comment --comment mydockernet:web -j"
    own = [
        f"iptables -t mangle -I INPUT -i web {mark} DROP --wait",
        f"iptables -t mangle -I MYDOCKERNET-FORWARD 2 -i web -m physdev ! --physdev-is-bridged {mark} DROP --wait",
        f"iptables -t filter -I MYDOCKERNET-FORWARD 2 -i web -m physdev --physdev-is-bridged {mark} ACCEPT --wait",
    ]
    made = commands({}, intent(net), Observed())
    assert [line for line in made if "mydockernet:web" in line and "iptables" in line] == own
    assert made[0] == f"ip link add dev web group 28007 address {BRIDGE_MAC} type bridge"
    assert not any("address add" in line or "ip_forward" in line for line in made)
    # Without a subnet, its containers may send IPv6 to each other.
    assert commands({}, intent(no_subnet(network())), Observed()) == [line for line in made if line[:3] != "nft"]


def test_a_container_on_a_network_of_layer_2_has_no_address():
    net = no_subnet(network("web", "10.1.0.0/24", endpoint()))
    made = commands(intent(replace(net, endpoints=())), intent(net), standing(replace(net, endpoints=())))
    assert not any("address add" in line or "route" in line for line in made)
    assert made[-1] == "nsenter --net=/run/netns/c1 ip link set dev eth0 up"


def test_a_container():
    net = network("web", "10.1.0.0/24")
    inside = "nsenter --net=/run/netns/c1"
    assert commands(intent(net), intent(replace(net, endpoints=(endpoint(),))), standing(net)) == [
        "ip link add dev c1-0102 group 28004 type veth peer name eth0 netns /run/netns/c1",
        "ip link set dev c1-0102 alias mydockernet:web",
        "ip link set dev c1-0102 master web",
        "ip link set dev c1-0102 up",
        "sysctl -w net.ipv6.conf.c1-0102.disable_ipv6=1",
        f"{inside} sysctl -w net.ipv6.conf.eth0.disable_ipv6=1",
        f"{inside} sysctl -w net.ipv6.conf.eth0.accept_ra=0",
        f"{inside} sysctl -w net.ipv6.conf.eth0.autoconf=0",
        f"{inside} ip link set dev eth0 address 02:42:0a:01:00:02",
        f"{inside} ip address add 10.1.0.2/24 dev eth0",
        f"{inside} ip link set dev lo up",
        f"{inside} ip link set dev eth0 up",
        f"{inside} ip route add default via 10.1.0.1 dev eth0",
    ]


def test_what_a_container_was_asked_to_be():
    def made(**options):
        net = network("web", "10.1.0.0/24", **options)
        return "\n".join(commands(intent(net), intent(replace(net, endpoints=(endpoint(),))), standing(net)))

    assert "isolated on" in made(icc=False)
    assert "bcast_flood off" in made(icc=False)
    assert "ebtables" not in made()
    assert "ebtables" in made(icc=False)
    assert made(icc=False).count("-d 02:6d:00:00:00:01") == 2
    assert made(port_security=True).count("-j RETURN") == 2
    assert "route add default" not in made(internal=True)
    assert made(mtu=1400).count("mtu 1400") == 2


def test_an_old_network_without_icc_keeps_its_ports_isolated():
    """Its bridge has no MAC address on record, so the filter of its frames does not keep neighbors apart."""
    old = network("web", "10.1.0.0/24", endpoint(), icc=False, mac=None)
    seen = Observed(sysctls={"net/bridge/bridge-nf-call-iptables": "1"})
    facts = bridge.cable_facts(old, endpoint())
    (flag,) = [fact for fact in facts if getattr(fact, "flag", "") == "isolated"]
    assert flag.wanted(seen)
    assert not ip.Isolated("c1-0102", "isolated", True, "why").wanted(seen)


def test_a_published_port_comes_after_its_guards_and_goes_before_them():
    net = network("web", "10.1.0.0/24", endpoint())
    published = replace(net, endpoints=(endpoint(ports=(mapping(host_ip="127.0.0.1"),)),))
    coming = commands(intent(net), intent(published), standing(net))
    dnat = (
        "iptables -t nat -A MYDOCKERNET-PORTS -d 127.0.0.1 -p tcp --dport 8080"
        " -m comment --comment mydockernet:web -j DNAT --to-destination 10.1.0.2:80 --wait"
    )
    guard = (
        "iptables -t raw -I PREROUTING -d 127.0.0.0/8 ! -i lo -m comment --comment mydockernet:@shared -j DROP --wait"
    )
    routed = "sysctl -w net.ipv4.conf.web.route_localnet=1"
    assert coming[:2] == [guard, guard.replace("-d", "-s")]
    assert coming.index(guard) < coming.index(dnat) < coming.index(routed)
    going = commands(intent(published), intent(net), standing(published))
    ends = [routed.replace("=1", "=0"), dnat.replace("-A", "-D"), guard.replace("-I", "-D")]
    assert [going.index(line) for line in ends] == sorted(going.index(line) for line in ends)


def test_where_conntrack_is_installed_flows_are_forgotten():
    net = network("web", "10.1.0.0/24", endpoint(ports=(mapping(protocol="udp"),)))
    seen = replace(standing(net), conntrack=True)
    found = [s for s in steps(intent(net), {}, seen) if s.do[0] == "conntrack"]
    assert [(step.do, step.optional) for step in found] == [
        (("conntrack", "-D", "-p", "udp", "--orig-port-dst", "8080"), True)
    ]


def test_the_rules_of_many_ports_stand_together_and_their_flows_end_after_that():
    net = network(
        "web",
        "10.1.0.0/24",
        endpoint(ports=(mapping(protocol="udp"), mapping(81, 81), mapping(82, 82, protocol="udp"))),
    )
    first = [step.do[0] for step in steps({}, intent(net), Observed(conntrack=True))]
    assert first.count("conntrack") == 2
    at = first.index("conntrack")
    assert first[at - 1] == "iptables"
    assert first[at : at + 2] == ["conntrack"] * 2
    assert "iptables" not in first[at:]


def test_a_second_network_of_a_container():
    first = network("a", "10.1.0.0/24", endpoint())
    second = network("b", "10.2.0.0/24", endpoint(address="10.2.0.2", interface="eth1", order=2))
    bare = replace(second, endpoints=())
    made = commands(intent(first, bare), intent(first, second), standing(first, bare))
    assert [line for line in made if "rp_filter" in line or ("default" in line and "table" not in line)] == [
        "nsenter --net=/run/netns/c1 sysctl -w net.ipv4.conf.eth0.rp_filter=2",
        "nsenter --net=/run/netns/c1 sysctl -w net.ipv4.conf.eth1.rp_filter=2",
    ]
    left = commands(intent(first, second), intent(replace(first, endpoints=()), second), standing(first, second))
    inside = "nsenter --net=/run/netns/c1 ip"
    assert [line for line in made if "28001" in line or "28002" in line] == [
        f"{inside} route add 10.1.0.0/24 dev eth0 table 28001 protocol 28",
        f"{inside} route add default via 10.1.0.1 dev eth0 table 28001 protocol 28",
        f"{inside} rule add from 10.1.0.2 lookup 28001 priority 28001 protocol 28",
        f"{inside} route add 10.2.0.0/24 dev eth1 table 28002 protocol 28",
        f"{inside} route add default via 10.2.0.1 dev eth1 table 28002 protocol 28",
        f"{inside} rule add from 10.2.0.2 lookup 28002 priority 28002 protocol 28",
    ]
    assert left == [
        f"{inside} rule delete from 10.2.0.2 lookup 28002 priority 28002 protocol 28",
        f"{inside} route delete default via 10.2.0.1 dev eth1 table 28002 protocol 28",
        f"{inside} route delete 10.2.0.0/24 dev eth1 table 28002 protocol 28",
        f"{inside} rule delete from 10.1.0.2 lookup 28001 priority 28001 protocol 28",
        "ip link delete dev c1-0102 type veth",
        "nsenter --net=/run/netns/c1 ip route add default via 10.2.0.1 dev eth1",
    ]


def test_what_goes_along_with_a_bridge_or_a_cable_is_not_undone():
    net = network("web", "10.1.0.0/24", endpoint())
    other = network("other", "10.9.0.0/24")
    assert commands(intent(net, other), intent(other), standing(net, other)) == [
        "ip link delete dev c1-0102 type veth",
        MASQUERADE.replace("-A", "-D"),
        GUARD.replace("-A", "-D"),
        "ip link delete dev web type bridge",
    ]


@pytest.mark.parametrize(
    "foreign",
    [
        {"links": {"web": Link("web")}},
        {"links": {"web": Link("web", "bridge", "28004", "mydockernet:web@abc123")}},
        {"chains": {Chain(4, "filter", "MYDOCKERNET-FORWARD"): (Rule(frozenset(), "", "-j DROP"),)}},
    ],
    ids=["a link", "another folder's bridge", "a chain"],
)
def test_nothing_of_others_is_taken_over(foreign):
    with pytest.raises(Conflict, match="already exists"):
        steps({}, intent(network()), Observed(**foreign))


@pytest.mark.parametrize("driver", ["bridge", "ptp"])
def test_two_folders_share_the_filter_rules(driver):
    mine, other = network("mine", "10.9.0.0/24"), network(realm="abc123", driver=driver)
    seen = standing(mine, other)
    assert strangers.find([mine], seen)
    assert not strangers.find([mine, other], seen)
    assert not strangers.find([mine], seen, leaving=Scope((), "abc123"))


# Laws, for any intent

PORT = st.builds(
    mapping, st.integers(1, 65535), st.integers(1, 65535), st.sampled_from([None, "127.0.0.1"]), st.just("tcp")
)


def routes(number):
    """Static routes that the Nth network may have; one goes through the host, as some networks isolate containers."""
    to = ipaddress.ip_network(f"10.10{number}.0.0/16")
    through_host = StaticRoute(to, ipaddress.ip_address(f"10.{number}.0.1"), metric=number or None)
    return [through_host, StaticRoute(to, None, "blackhole", 77)]


def served(net):
    """The same network with a name server."""
    return replace(net, resolver="dnsmasq")


@st.composite
def intents(draw, firewalls=("iptables", "nftables")):
    networks = []
    # A port of the host is published once.
    ports = {str(port.host_ports) + str(port.host_ip): port for port in draw(st.lists(PORT, max_size=6))}
    firewall = draw(st.sampled_from(firewalls))
    for number in range(draw(st.integers(1, 3))):
        places = draw(st.sets(st.sampled_from(["c1", "c2", "c3"])))
        networks.append(
            network(
                f"net{number}",
                f"10.{number}.0.0/24",
                *(
                    endpoint(
                        name,
                        f"10.{number}.0.{4 + place}",
                        interface=f"eth{number}",
                        order=number + 1,
                        default_route=draw(st.booleans()),
                        gw_priority=draw(st.integers(-1, 1)),
                        ports=tuple(ports.popitem()[1] for _ in range(draw(st.integers(0, min(2, len(ports)))))),
                    )
                    for place, name in enumerate(sorted(places))
                ),
                internal=draw(st.booleans()),
                icc=draw(st.booleans()),
                port_security=draw(st.booleans()),
                driver=draw(st.sampled_from(["bridge", "ptp"])),
                firewall=firewall,
                default_route=draw(st.booleans()),
                masquerade=draw(st.booleans()),
                mtu=draw(st.sampled_from([None, 1400])),
                metric=draw(st.sampled_from([None, 50])),
                routes=tuple(draw(st.lists(st.sampled_from(routes(number)), unique=True))),
            )
        )
        networks[-1] = draw(st.sampled_from([lambda net: net, served, no_gateway, no_subnet]))(networks[-1])
    return intent(*networks)


def no_gateway(net):
    """The same network without a gateway, and all that needs one."""
    if net.driver != "bridge":
        return net
    places = tuple(replace(e, ports=()) for e in net.endpoints)
    subnets = tuple(replace(s, gateway=None) for s in net.subnets)
    return replace(net, icc=True, subnets=subnets, endpoints=places)


def no_subnet(net):
    """The same network without a subnet, and all that needs one."""
    if net.driver != "bridge":
        return net
    places = tuple(replace(e, ports=(), addresses=()) for e in net.endpoints)
    refusals = tuple(route for route in net.routes if not route.gateway)
    return replace(net, icc=True, port_security=False, subnets=(), endpoints=places, routes=refusals)


@st.composite
def changes(draw):
    """An intent before and after: networks, containers and ports come and go; what a network is stays."""

    def some(whole):
        return intent(
            *(
                replace(
                    net,
                    endpoints=tuple(
                        replace(e, ports=tuple(port for port in e.ports if draw(st.booleans())))
                        for e in net.endpoints
                        if draw(st.booleans())
                    ),
                )
                for net in whole.values()
                if draw(st.booleans())
            )
        )

    whole = draw(intents())
    return some(whole), some(whole)


HOST = containers("c1", "c2", "c3")


@given(changes())
def test_what_a_plan_led_to_leaves_nothing_to_plan(change):
    before, after = change
    machine = Machine(HOST)
    machine.run(steps({}, before, machine.seen))
    assert steps(before, before, machine.seen) == ()
    machine.run(steps(before, after, machine.seen))
    assert steps(after, after, machine.seen) == ()


@given(intents())
def test_what_was_made_goes_without_a_trace(made):
    machine = Machine(HOST)
    machine.run(steps({}, made, machine.seen))
    machine.run(steps(made, {}, machine.seen))
    assert machine.seen.links == {}
    assert not any(rules[1:] for rules in machine.seen.frames.values())
    assert not any(chain.startswith("MYDOCKERNET") for chain in machine.seen.frames)
    assert not any(machine.seen.chains.values())
    assert not any(chain.name.startswith("MYDOCKERNET") for chain in machine.seen.chains)
    assert machine.seen.table is None
    assert {k for k, v in machine.seen.sysctls.items() if v == "1"} <= {"net/ipv4/ip_forward"}
    assert all(set(inside.links) == {"lo"} and inside.routes == () for inside in machine.seen.inside.values())


@given(intents())
def test_each_word_of_a_command_is_one(made):
    for step in steps({}, made, HOST):
        assert step.why
        assert all(isinstance(word, str) and word for word in step.do)
    facts = plan.facts(made, concern_of(made.values()))
    assert all(len(fact.makes()) <= 15 for fact in facts)
    assert all(len(fact.chain.name) <= 28 for fact in facts if isinstance(fact, iptables.OwnRule | iptables.OwnChain))
    assert all(fact.what and fact.difference for fact in facts)


@given(intents())
def test_rules_move_to_another_firewall_and_back_without_a_moment_between(made):
    """At each moment, all rules of one of the two are there."""
    other = {"iptables": "nftables", "nftables": "iptables"}
    moved = {name: replace(net, firewall=other[net.firewall]) for name, net in made.items()}
    machine = Machine(HOST)
    before = machine.run(steps({}, made, machine.seen))
    wanted = [
        [fact for fact in plan.facts(side, concern_of(side.values())) if fact.firewall()] for side in (made, moved)
    ]
    for step in steps(made, moved, machine.seen):
        machine.run([step])
        assert any(all(fact.holds(machine.seen) for fact in facts) for facts in wanted)
    assert steps(moved, moved, machine.seen) == ()
    machine.run(steps(moved, made, machine.seen))
    there, then = ({c: {*rules} for c, rules in seen.chains.items() if rules} for seen in (machine.seen, before))
    assert (there, machine.seen.table) == (then, before.table)


@given(intents(("nftables",)), st.data())
def test_whatever_of_nftables_is_lost_is_put_back(made, data):
    machine = Machine(HOST)
    whole = machine.run(steps({}, made, machine.seen))
    table = whole.table
    for part in ("chains", "elements"):
        kept = {key: value for key, value in getattr(table, part).items() if data.draw(st.booleans())}
        table = replace(table, **{part: kept})
    machine.seen = replace(whole, table=data.draw(st.sampled_from([table, None])))
    machine.run(steps(made, made, machine.seen))
    assert machine.seen.table == whole.table


@given(intents(("iptables",)), st.data())
def test_whatever_rule_is_lost_is_put_back_in_its_place(made, data):
    machine = Machine(HOST)
    whole = machine.run(steps({}, made, machine.seen))
    chains = dict(whole.chains)
    for chain in data.draw(st.sets(st.sampled_from(sorted(chains, key=str)), min_size=1)):
        chains[chain] = tuple(rule for rule in chains[chain] if data.draw(st.booleans()))
    machine.seen = replace(whole, chains=chains)
    machine.run(steps(made, made, machine.seen))
    assert steps(made, made, machine.seen) == ()
    for chain in chains:
        ordered = chain.name == ruleset.FORWARD
        now, then = machine.seen.chains[chain], whole.chains[chain]
        assert set(now) == set(then), chain
        # The order of the rules of single networks has no meaning; they stand behind the jump to the admin's chain.
        shared = [[rule for rule in rules if rule.comment == tag(SHARED)] for rules in (now, then)]
        assert not ordered or (shared[0] == shared[1] and shared[0][:1] == list(now[:1])), chain


@given(intents(), st.data())
def test_whatever_of_a_link_is_lost_is_put_back(made, data):
    machine = Machine(HOST)
    whole = machine.run(steps({}, made, machine.seen))
    assume(whole.links)
    name = data.draw(st.sampled_from(sorted(whole.links)))
    link = whole.links[name]
    lost = data.draw(
        st.sampled_from(
            [{"up": False}, {"alias": ""}, {"addresses": frozenset()}, {"master": ""}, {"group": "0"}, {"mtu": 9000}]
        )
    )
    machine.seen = replace(whole, links={**whole.links, name: replace(link, **lost)})
    machine.run(steps(made, made, machine.seen))
    assert replace(machine.seen.links[name], mtu=0) == replace(link, mtu=0)


@given(intents(("iptables",)))
def test_guards_stand_wherever_what_they_guard_does(made):
    machine = Machine(HOST)
    for step in itertools.chain(steps({}, made, machine.seen)):
        machine.run([step])
        chains = machine.seen.chains
        for rule in chains.get(Chain(4, "nat", ruleset.PORTS), ()):
            assert "-j DNAT" in rule.text or rule.text.endswith("-j RETURN")
            if "-d 127.0.0.1" in rule.text or "-d" not in rule.text.split():
                assert chains.get(Chain(4, "raw", "PREROUTING"))
        own = sum(net.driver == "ptp" or not net.has_gateway for net in made.values())
        assert len(chains.get(Chain(4, "filter", ruleset.FORWARD), ())) in range(10 + own)
        if any(link.kind == "veth" for link in machine.seen.links.values()):
            assert chains[Chain(4, "filter", "FORWARD")]


@given(intents())
def test_what_a_plan_makes_the_way_back_takes_away(made):
    machine = Machine(HOST)
    concern = concern_of(made.values())
    want = plan.facts(made, concern)
    back = plan.back((), want, machine.seen)
    machine.run(plan.plan((), want, machine.seen))
    machine.run(back)
    assert machine.seen.links == {}
    assert not any(machine.seen.chains.values())


@given(intents())
def test_a_repair_of_what_is_well_finds_nothing_left_over(made):
    machine = Machine(HOST)
    seen = machine.run(steps({}, made, machine.seen))
    want = plan.facts(made, concern_of(made.values()))
    over = plan.left_over(want, want, Scope((), ""), seen, alone=True)
    assert plan.plan((*want, *over), want, seen) == ()
    nothing = plan.left_over((), (), Scope((), ""), seen, alone=True)
    machine.run(plan.plan(nothing, (), seen))
    assert machine.seen.links == {}
    assert not any(machine.seen.chains.values())


def test_one_bridge_is_known_by_its_group_before_it_has_its_mark():
    assert ip.belongs(Link("web", "bridge", GROUP), "web")
    assert not ip.belongs(Link("web", "bridge", GROUP, "mydockernet:web@abc123"), "web")
    assert not ip.belongs(Link("web", "bridge"), "web")
    assert not ip.belongs(None, "web")


def test_a_rule_that_another_container_needs_stays():
    old = network("web", "10.1.0.0/24", endpoint("c1", ports=(mapping(),)))
    new = network("web", "10.1.0.0/24", endpoint("c2", ports=(mapping(),)))
    assert not [line for line in commands(intent(old), intent(new), standing(old)) if "--dport 8080" in line]
