"""explain names the culprit: each way to break a network, staged, and what it says of it."""

import json

import pytest

from tests.conftest import CANARY, Host
from tests.kernel.lab import HOST, A, B, Lab

VETH = "$(ip -br link show master a | grep -o '^{}-[^@]*')"
REPAIR_A = "mydockernet repair a"

# What is broken, how, who asks whom, the words of the hop that stops it, the command that fixes it.
BREAKAGES = {
    "no default route": ("ip -n a1 route del default", "a1 192.0.2.2:80", "a1: has no route to 192.0.2.2", REPAIR_A),
    "interface off": ("ip -n a1 link set eth0 down", "a2 a1:80", "a1: its interface eth0 is down", REPAIR_A),
    "interface gone": ("ip -n a1 link set eth0 name x", "a2 a1", "a1: its interface eth0 is missing", REPAIR_A),
    "address gone": ("ip -n a2 addr flush dev eth0", "a1 a2:80", f"a2: no longer has the address {A}.3", REPAIR_A),
    "cable off": (f"ip link set {VETH.format('a1')} down", "a2 a1:80", "the host: interface a1-", REPAIR_A),
    "cable unplugged": (
        f"ip link set {VETH.format('a2')} nomaster",
        "a1 a2",
        "is not attached to bridge a",
        REPAIR_A,
    ),
    "bridge off": ("ip link set dev a down", "a1 a2", "the host: bridge a is down", REPAIR_A),
    "gateway gone": ("ip addr flush dev a", "a1 192.0.2.2:80", f"no longer has the gateway address {A}.1", REPAIR_A),
    "forwarding off": (
        "sysctl -w net.ipv4.ip_forward=0",
        "a1 192.0.2.2:80",
        "net.ipv4.ip_forward is off",
        "sysctl -w net.ipv4.ip_forward=1",
    ),
    "the admin's own DROP": (
        "iptables -A MYDOCKERNET-USER -d 192.0.2.0/24 -j DROP",
        "a1 192.0.2.2:80",
        "rule 1 of MYDOCKERNET-USER in filter: -d 192.0.2.0/24 -j DROP",
        "iptables -t filter -D MYDOCKERNET-USER 1",
    ),
    "a foreign REJECT before ours": (
        "iptables -I FORWARD -p udp -j ACCEPT; iptables -I FORWARD -p tcp --dport 80:90 -j REJECT",
        "a1 192.0.2.2:81",
        "rule 1 of FORWARD in filter: -p tcp -m tcp --dport 80:90 -j REJECT",
        "iptables -t filter -D FORWARD 1",
    ),
    "rules flushed, policy DROP": (
        "iptables -F; iptables -P FORWARD DROP",
        "a1 192.0.2.2:80",
        "policy of FORWARD in filter",
        "mydockernet repair",
    ),
    "nat flushed": ("iptables -t nat -F", "outside host:8080", "no rule translates port 8080 to a1", REPAIR_A),
    "the port's rule gone": (
        "iptables -t nat -F MYDOCKERNET-PORTS",
        "b1 host:8080",
        "no rule translates port 8080 to a1",
        REPAIR_A,
    ),
    "a foreign DNAT in front": (
        "iptables -t nat -I PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.2.0.2:99",
        "outside host:8080",
        "b1: nothing listens on tcp port 99",
        "start the program",
    ),
    "hairpin rule gone": (
        f"iptables -t nat -D POSTROUTING -s {A}.0/24 -o a -m conntrack --ctstate DNAT"
        " -m comment --comment mydockernet:a -j MASQUERADE",
        "a2 host:8080",
        f"a1: would reply directly to {A}.3",
        REPAIR_A,
    ),
    "loopback's rule gone": (
        "iptables -t nat -D POSTROUTING -s 127.0.0.0/8 -o a -m comment --comment mydockernet:a -j MASQUERADE",
        "host host:8081",
        "no rule translates 127.0.0.1",
        REPAIR_A,
    ),
    "loopback not let out": (
        "sysctl -w net.ipv4.conf.a.route_localnet=0",
        "host host:8081",
        "route_localnet of a is off",
        REPAIR_A,
    ),
    "published elsewhere": ("true", "outside host:8081", "port 8081 is published on 127.0.0.1, not on", "8081:80"),
    "not published": ("true", "outside host:8089", "nothing listens on tcp port 8089", "mydockernet publish"),
    "unpublished container": ("true", "outside a1:80", "--dst-group 0x6d64", ""),
    "another network": ("true", "b1 a2:80", "--dst-group 0x6d64", "mydockernet publish a a2 80"),
    "an internal network": ("true", "i1 192.0.2.2:80", "--src-group 0x6d65", ""),
    "into an internal network": ("true", "a1 i1:80", "--dst-group 0x6d65", ""),
    "no program": ("true", "a1 a2:99", "a2: nothing listens on tcp port 99", "start the program"),
    "no way back": (
        "ip -n a1 route del default",
        "outside host:8080",
        "a1: has no route back to 192.0.2.2",
        REPAIR_A,
    ),
    "a container's own rules": (
        "nsenter --net=/run/netns/a2 iptables -A INPUT -s 10.1.0.0/16 -j DROP",
        "a1 a2:80",
        "a2's rule 1 of INPUT in filter: -s 10.1.0.0/16 -j DROP",
        "nsenter --net=/run/netns/a2 iptables -t filter -D INPUT 1",
    ),
    "a shadowing route": (
        f"ip route add {A}.3/32 dev up1",
        "host a2:80",
        f"the host: sends it through up1, but {A}.3 belongs to a2",
        f"ip route del {A}.3 dev up1",
    ),
    "a dead container": ("ip netns del a2", "a1 a2:80", "a2: its namespace is gone", REPAIR_A),
    "an unreachable route": ("ip route add unreachable 198.51.100.7", "a1 198.51.100.7", "(No route to host)", ""),
    "another network, IPv6": ("true", "b1 [fd00:1::3]:80", "--dst-group 0x6d64", "mydockernet publish a a2 80"),
    "an internal network, IPv6": ("true", "i1 [2001:db8:1::2]:80", "--src-group 0x6d65", ""),
    "nat flushed, IPv6": (
        "ip6tables -t nat -F",
        "2001:db8:1::2 [2001:db8:1::1]:8080",
        "no rule translates port 8080 to a1",
        REPAIR_A,
    ),
    "forwarding of IPv6 off": (
        "sysctl -w net.ipv6.conf.all.forwarding=0",
        "a1 [2001:db8:1::2]:80",
        "net.ipv6.conf.all.forwarding is off",
        "sysctl -w net.ipv6.conf.all.forwarding=1",
    ),
    "an admin's rule for IPv6": (
        "ip6tables -I MYDOCKERNET-USER -p tcp -j DROP",
        "a1 [2001:db8:1::2]:81",
        "rule 1 of MYDOCKERNET-USER in filter of ip6tables: -p tcp -j DROP",
        "ip6tables -t filter -D MYDOCKERNET-USER 1",
    ),
    "hairpin rule gone, IPv6": (
        "ip6tables -t nat -D POSTROUTING -s fd00:1::/64 -o a -m conntrack --ctstate DNAT"
        " -m comment --comment mydockernet:a -j MASQUERADE",
        "a2 [2001:db8:1::1]:8080",
        "a1: would reply directly to fd00:1::3",
        REPAIR_A,
    ),
    "no IPv6 default route": (
        "ip -n a1 -6 route del default",
        "a1 [2001:db8:1::2]:80",
        "a1: has no route to 2001:db8:1::2",
        REPAIR_A,
    ),
    "a port on ::1": ("true", "host [::1]:8080", "port 8080 is published, but not on ::1", "127.0.0.1"),
    "published on IPv4 only": ("true", "2001:db8:1::2 [2001:db8:1::1]:8081", "nothing listens on tcp port 8081", ""),
    "the host's own firewall": (
        "iptables -A INPUT -i a -p icmp -j DROP",
        "a1 host",
        "rule 1 of INPUT in filter: -i a -p icmp -j DROP",
        "iptables -t filter -D INPUT 1",
    ),
}
# Fixes that let the packet pass; others are advice, or open something.
MENDS = ("mydockernet repair", "iptables ", "ip6tables ", "nsenter ", "sysctl ", "ip route del ")
WELL = ["a1 a2:80", "a2 a1:81/udp", "a1 192.0.2.2:80", "outside host:8080", "outside host:8080/udp", "host a1:80"]
WELL += ["host host:8080", "host 127.0.0.1:8081", f"host {HOST}:8080", "a1 host:8080", "a2 host:8080", "b1 host:8080"]
WELL += [f"b1 {HOST}:8080", "i1 host", "i1 i2:80", "a1 a1:80", "a1 host", "outside host", "a1 a2"]
WELL += ["a1 [fd00:1::3]:80", "a1 [2001:db8:1::2]:80", "2001:db8:1::2 [2001:db8:1::1]:8080", "a1 fd00:1::3"]
WELL += ["host [2001:db8:1::1]:8080", "a1 [2001:db8:1::1]:8080", "b1 [fd00:2::1]:8080", "i1 [fd00:3::3]:80/udp"]


def explain(host, words):
    argv = ["explain", *words.replace("outside", "192.0.2.2", 1 if words.startswith("outside") else 0).split()]
    done = host.mydockernet([*argv, "--format", "json"], check=False)
    return done, [json.loads(line) for line in done.stdout.splitlines()]


RESTORE = """
iptables-restore /run/rules
ip6tables-restore /run/rules6
sysctl -qw net.ipv6.conf.all.forwarding=1
nsenter --net=/run/netns/a2 iptables -F
ip route del 198.51.100.7 2>/dev/null || :
ip route del 10.1.0.3 dev up1 2>/dev/null || :
mydockernet repair
"""


@pytest.fixture(scope="module")
def well():
    """One lab for many tests, each of which leaves it as it was."""
    host = Host()
    host.sh(CANARY)
    lab = Lab(host)
    host.sh("iptables-save > /run/rules; ip6tables-save > /run/rules6")
    lab.whole = host.everything(), host.sysctls()
    yield lab
    lab.close()
    host.close()


def test_where_all_is_well_it_finds_nothing(well):
    for words in WELL:
        done, hops = explain(well.host, words)
        assert (done.returncode, {hop["State"] for hop in hops}) == (0, {"passes"}), (words, hops, done.stderr)


@pytest.mark.parametrize("name", [name for name in BREAKAGES if name != "a dead container"])
def test_it_names_the_culprit_and_a_command_that_lets_the_packet_pass(well, name):
    try:
        names_the_culprit(well.host, *BREAKAGES[name])
    finally:
        well.host.set_up(RESTORE)
    assert (well.host.everything(), well.host.sysctls()) == well.whole


def test_it_names_a_dead_container(lab):
    names_the_culprit(lab.host, *BREAKAGES["a dead container"])


def names_the_culprit(host, damage, words, what, fix):
    host.sh(damage)
    before = host.everything()
    done, hops = explain(host, words)
    assert done.returncode == 5, (hops, done.stderr)
    assert [hop["State"] for hop in hops].count("stops") == 1
    assert what in hops[-1]["What"]
    assert fix in hops[-1]["Fix"]
    assert host.everything() == before
    if hops[-1]["Fix"].startswith(MENDS) and "namespace is gone" not in what:
        host.sh(hops[-1]["Fix"])
        done, hops = explain(host, words)
        assert done.returncode == 0, hops


def test_where_it_can_not_be_sure_it_says_so(lab):
    lab.host.sh("iptables -I MYDOCKERNET-USER -m statistic --mode random --probability 0.5 -j DROP")
    lab.host.sh("iptables -t nat -F POSTROUTING")
    done, hops = explain(lab.host, "a1 192.0.2.2:80")
    assert done.returncode == 0
    doubts = [hop for hop in hops if hop["State"] == "unsure"]
    assert "rule 1 of MYDOCKERNET-USER in filter: -m statistic" in doubts[0]["What"]
    assert f"with the container's own address, {A}.2" in doubts[-1]["What"]
    assert doubts[-1]["Fix"] == REPAIR_A


def test_what_it_is_asked_has_to_make_sense(well):
    for words, status, text in (
        ("nobody a1", 3, 'FROM: "nobody" is not a container'),
        ("a1 a2:x", 2, 'TO: "a2:x": "x" is not a port'),
        ("a1 a2:80/icmp", 2, "the protocol must be tcp, udp or sctp"),
    ):
        well.host.fails(f"explain {words}", status, text)


def test_people_read_it_line_by_line(well):
    done = well.host.mydockernet(f"explain b1 {A}.3:80", check=False)
    lines = done.stdout.splitlines()
    assert lines[0] == f"  ok  b1: sends it from {B}.2 through eth0, to its gateway {B}.1"
    assert [line for line in lines if line.startswith("STOP  ")] == [lines[-3]]
    assert lines[-1] == "      fix: mydockernet publish a a2 80"


def test_a_static_route_leads_to_a_router_or_refuses(host):
    host.sh("ip netns add c1; ip netns add c2")
    host.mydockernet("create r --subnet 10.4.0.0/24 --route 10.9.0.0/16,10.4.0.9 --route 10.8.0.0/16,unreachable")
    host.mydockernet("connect r c1")
    done = host.mydockernet("explain c1 10.9.1.1")
    assert done.stdout.splitlines()[-2:] == [
        "  ok  10.4.0.9: receives it, as a static route of network r says",
        "      mydockernet does not know how it forwards packets.",
    ]
    done = host.mydockernet("explain c1 10.8.1.1", check=False)
    assert done.returncode == 5
    assert "A static route refuses it: --route 10.8.0.0/16,unreachable." in done.stdout
