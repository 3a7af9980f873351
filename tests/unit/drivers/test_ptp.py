"""The plans of the driver ptp as whole values."""

from mydockernet.dialects import iptables
from mydockernet.value import replace
from tests.unit.test_plan import commands, standing
from tests.unit.values import endpoint, intent, mapping, network

COMMENT = "-m comment --comment mydockernet:web"
INSIDE = "nsenter --net=/run/netns/c1"
EARLY = "MYDOCKERNET-FORWARD 2 -s 10.1.0.0/24 -d 10.1.0.0/24 -m devgroup --src-group"


def ptp(name="web", text="10.1.0.0/24", *endpoints, **more):
    return network(name, text, *endpoints, driver="ptp", **more)


def made(**options):
    """The commands for a second network, without what all share."""
    first = network("x", "10.9.0.0/24")
    return commands(intent(first), intent(first, ptp(**options)), standing(first))


def test_a_network_is_a_route_and_some_rules():
    assert made() == [
        "ip route add unreachable 10.1.0.0/24 protocol 28",
        f"iptables -t mangle -A MYDOCKERNET-PREROUTING -s 10.1.0.0/24 -m devgroup ! --src-group 28004 {COMMENT} -j DROP"
        " --wait",
        f"iptables -t mangle -I {EARLY} 28004 {COMMENT} -j RETURN --wait",
        f"iptables -t filter -I {EARLY} 28004 {COMMENT} -j ACCEPT --wait",
        f"iptables -t nat -A POSTROUTING -s 10.1.0.0/24 ! -d 10.1.0.0/24 {COMMENT} -j MASQUERADE --wait",
    ]


def test_what_a_network_was_asked_to_be():
    assert not any("FORWARD" in line for line in made(icc=False))
    assert not any("MASQUERADE" in line for line in made(masquerade=False))
    internal = made(internal=True)
    assert not any("MASQUERADE" in line or "28004" in line for line in internal)
    assert sum("28005" in line for line in internal) == 3


def test_a_container():
    net, full = ptp(mtu=1400), ptp("web", "10.1.0.0/24", endpoint(ports=(mapping(),)), mtu=1400)
    coming = commands(intent(net), intent(full), standing(net))
    assert [line for line in coming if not line.startswith("iptables")] == [
        "ip link add dev c1-0102 group 28004 type veth peer name eth0 netns /run/netns/c1",
        "ip link set dev c1-0102 alias mydockernet:web",
        "ip link set dev c1-0102 mtu 1400",
        "sysctl -w net.ipv6.conf.c1-0102.disable_ipv6=1",
        "sysctl -w net.ipv4.conf.c1-0102.route_localnet=1",
        "ip address add 10.1.0.1/32 dev c1-0102",
        "ip link set dev c1-0102 up",
        "ip route add 10.1.0.2/32 dev c1-0102 protocol 28",
        f"{INSIDE} ip link set dev eth0 mtu 1400",
        f"{INSIDE} sysctl -w net.ipv6.conf.eth0.disable_ipv6=1",
        f"{INSIDE} sysctl -w net.ipv6.conf.eth0.accept_ra=0",
        f"{INSIDE} sysctl -w net.ipv6.conf.eth0.autoconf=0",
        f"{INSIDE} ip link set dev eth0 address 02:42:0a:01:00:02",
        f"{INSIDE} ip address add 10.1.0.2/32 dev eth0",
        f"{INSIDE} ip link set dev lo up",
        f"{INSIDE} ip link set dev eth0 up",
        f"{INSIDE} ip route add 10.1.0.1/32 dev eth0 protocol 28",
        f"{INSIDE} ip route add 10.1.0.0/24 via 10.1.0.1 dev eth0 protocol 28",
        f"{INSIDE} ip route add default via 10.1.0.1 dev eth0",
    ]
    nat = [line for line in coming if "-t nat" in line and "@shared" not in line and " -A " in line]
    assert nat == [
        f"iptables -t nat -A POSTROUTING -s 10.1.0.0/24 -d 10.1.0.0/24 -m conntrack --ctstate DNAT {COMMENT}"
        " -j MASQUERADE --wait",
        f"iptables -t nat -A POSTROUTING -s 127.0.0.0/8 -d 10.1.0.0/24 {COMMENT} -j MASQUERADE --wait",
        f"iptables -t nat -A MYDOCKERNET-PORTS -p tcp --dport 8080 {COMMENT} -j DNAT --to-destination 10.1.0.2:80"
        " --wait",
    ]
    going = commands(intent(full), {}, standing(full))
    assert "ip link delete dev c1-0102 type veth" in going
    assert going[-1] == "ip route delete unreachable 10.1.0.0/24 protocol 28"


def test_a_second_network_of_a_container_is_reached_through_its_gateway():
    first = network("a", "10.9.0.0/24", endpoint(address="10.9.0.2"))
    second = ptp("web", "10.1.0.0/24", endpoint(interface="eth1", order=2), internal=True)
    bare = replace(second, endpoints=())
    coming = commands(intent(first, bare), intent(first, second), standing(first, bare))
    assert [line for line in coming if "table 28002" in line] == [
        f"{INSIDE} ip route add 10.1.0.0/24 via 10.1.0.1 dev eth1 table 28002 protocol 28"
    ]


def test_a_misplaced_rule_between_containers_is_moved():
    net = ptp()
    seen = standing(net)
    (chain,) = (c for c in seen.chains if (c.table, c.name) == ("filter", "MYDOCKERNET-FORWARD"))
    rules = list(seen.chains[chain])
    rules.append(rules.pop(1))
    moved = commands(intent(net), intent(net), replace(seen, chains={**seen.chains, chain: tuple(rules)}))
    assert [line.split()[3:6] for line in moved] == [["-D", chain.name, "-s"], ["-I", chain.name, "2"]]
    assert iptables.is_ours(rules[-1])
