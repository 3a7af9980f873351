"""Who must reach whom, with real listeners, whatever else the host's firewall has."""

import itertools
import sys

import pytest

from tests.conftest import FIREWALLS, half
from tests.kernel.lab import DRIVERS, HOST, INTERNAL, WIPED, A, B, made_by_verbs, over_ipv6

# From a place, to an address and port: what is answered, over tcp and udp. None stands for any caller.
REACH = {
    ("a1", f"{A}.3", 81): "a2 10.1.0.2",
    ("a1", f"{B}.2", 81): "dropped",
    ("b1", f"{A}.2", 80): "dropped",
    ("a1", "192.0.2.2", 81): f"outside {HOST}",
    ("b1", "192.0.2.2", 8080): f"outside {HOST}",
    ("outside", HOST, 8080): "a1 192.0.2.2",
    ("", "127.0.0.1", 8080): f"a1 {A}.1",
    ("", HOST, 8080): "a1 192.0.2.1",
    ("", "127.0.0.1", 8081): f"a1 {A}.1",
    ("", f"{A}.2", 81): f"a1 {A}.1",
    ("a1", HOST, 8080): f"a1 {A}.1",
    ("a2", HOST, 8080): f"a1 {A}.1",
    ("b1", HOST, 8080): f"a1 {A}.1",
    ("a1", f"{A}.1", 8080): f"a1 {A}.1",
    ("a2", f"{A}.1", 8080): f"a1 {A}.1",
    ("b1", f"{B}.1", 8080): f"a1 {A}.1",
    ("outside", f"{A}.2", 80): "dropped",
    ("outside", f"{A}.2", 81): "dropped",
    ("neighbour", "127.0.0.1", 8081): "dropped",
    ("neighbour", "127.0.0.1", 8080): "dropped",
    ("neighbour", "127.0.0.1", 82): "dropped",
    ("outside", HOST, 8081): "refused",
    ("i1", f"{INTERNAL}.1", 82): f"host {INTERNAL}.2",
    ("i1", f"{INTERNAL}.3", 81): f"i2 {INTERNAL}.2",
    ("i1", "192.0.2.2", 81): "dropped",
    ("i1", f"{A}.2", 81): "dropped",
    ("i1", HOST, 8080): "dropped",
    ("outside", f"{INTERNAL}.2", 81): "dropped",
    ("a1", f"{INTERNAL}.2", 81): "dropped",
}
# The same over IPv6, but for loopback: the kernel translates no packet to ::1, so no port is published there.
REACH_6 = {
    (netns, over_ipv6(address), port): over_ipv6(said)
    for (netns, address, port), said in REACH.items()
    if not address.startswith("127.")
} | {
    ("", "::1", 8080): "refused",
    ("", "::1", 82): "host ::1",
    ("neighbour", "::1", 82): "dropped",
}
BOTH = REACH | REACH_6
BESIDE = {
    "alone": "",
    "FORWARD policy DROP": "iptables -P FORWARD DROP; ip6tables -P FORWARD DROP",
    "an admin's own DROP before": "iptables -A FORWARD -j DROP; ip6tables -A FORWARD -j DROP",
}


ROUTED = """
ip netns add r1
ip -n outside route add 10.4.0.0/24 via 192.0.2.1
mydockernet create r --subnet 10.4.0.0/24 --subnet fd00:4::/64 --gateway-mode routed
mydockernet connect r r1 -p 80 -p 80/udp
"""
# On a routed network: published ports at the container's own address, with everyone's own address; and nothing else.
ROUTED_REACH = {
    ("outside", "10.4.0.2", 80): "r1 192.0.2.2",
    ("outside", "10.4.0.2", 81): "dropped",
    ("outside", HOST, 80): "refused",
    ("neighbour", "10.4.0.2", 80): "dropped",
    ("r1", "192.0.2.2", 81): "outside 10.4.0.2",
    ("r1", f"{A}.2", 80): "dropped",
    ("b1", "10.4.0.2", 80): "r1 10.4.0.1",
    ("b1", "10.4.0.2", 81): "dropped",
    ("i1", "10.4.0.2", 80): "dropped",
    ("", "10.4.0.2", 81): "r1 10.4.0.1",
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("driver", "firewall", "beside"),
    half(
        [
            *((driver, "iptables", beside) for beside in BESIDE for driver in DRIVERS),
            *((driver, "nftables", "an admin's own DROP before") for driver in DRIVERS),
        ]
    ),
)
def test_who_reaches_a_routed_network(make_lab, driver, firewall, beside):
    lab = make_lab(BESIDE[beside], firewall=firewall)
    lab.host.set_up(ROUTED.replace("create r", f"create r --driver {driver}"))
    lab.listen("r1", "r1", "0.0.0.0:80", "0.0.0.0:81", ":::80", ":::81")
    wanted = ROUTED_REACH | {
        (place, over_ipv6(address).replace("10.4.0.", "fd00:4::"), port): over_ipv6(said).replace("10.4.0.", "fd00:4::")
        for (place, address, port), said in ROUTED_REACH.items()
    }
    for damage in ("true", f"{WIPED}; {BESIDE[beside]}"):
        lab.host.sh(damage)
        lab.host.mydockernet("repair")
        assert matrix(lab, wanted) == wanted
        for address in ("10.4.0.2", "fd00:4::2"):
            assert lab.host.run("ip", "netns", "exec", "outside", "ping", "-c1", "-W1", address).returncode == 0
            lab.host.mydockernet(f"explain {over_ipv6('192.0.2.2') if ':' in address else '192.0.2.2'} r/r1:80")
    assert lab.host.mydockernet("port r r1 80").stdout == "10.4.0.2:80\n[fd00:4::2]:80\n"
    lab.host.sh("mydockernet rm -f r; ip netns del r1; ip -n outside route del 10.4.0.0/24")
    assert not any(left in str(lab.host.snapshot()) for left in ("10.4.0", "fd00:4", "mydockernet:r"))


ECHOS = "ip netns exec {} awk '/^Icmp: [0-9]/ {{print $10}} /^Udp: [0-9]/ {{print $2 + $3}}' /proc/net/snmp"
KNOCK = """
ip netns exec {0} ping -c 2 -i 0.2 -W 0.2 {1} >/dev/null || true
ip netns exec {0} bash -c 'echo >/dev/udp/{1}/80'
sleep 0.2
"""


def test_nothing_of_a_network_without_a_gateway_enters_a_routed_one(host):
    """Not even one way, and whichever network was created first: rules of single networks have no order."""
    host.set_up(
        "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0; ip netns add c1; ip netns add c2;"
        "mydockernet create apart --no-gateway --subnet 10.5.0.0/24; mydockernet connect apart c1;"
        "mydockernet create r --gateway-mode routed --subnet 10.4.0.0/24; mydockernet connect r c2 -p 80/udp;"
        "ip -n c1 route add default dev eth0;"
        "ip -n c1 neighbor add 10.4.0.2 lladdr $(cat /sys/class/net/apart/address) dev eth0"
    )
    host.sh(KNOCK.format("c1", "10.4.0.2"))
    assert host.sh(ECHOS.format("c2")).stdout == "0\n0\n"


def test_no_icmp_enters_an_internal_network_that_is_routed(host):
    host.set_up(
        "ip netns add c1; ip netns add c2;"
        "mydockernet create i --internal --gateway-mode routed --subnet 10.4.0.0/24; mydockernet connect i c2;"
        "mydockernet create web; mydockernet connect web c1"
    )
    host.sh(KNOCK.format("c1", "10.4.0.2"))
    assert host.sh(ECHOS.format("c2")).stdout == "0\n0\n"


KEEP_ASKING = """
import socket, sys
asker = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(0.5)
asker.connect((sys.argv[1], int(sys.argv[2])))
for _ in sys.stdin:
    asker.send(b"?")
    try:
        print(asker.recv(100).decode().split()[0], flush=True)
    except OSError:
        print("nothing", flush=True)
"""


def asking(lab, netns, *where):
    """What asks there again and again, with one socket, and so as one flow."""
    process = lab.host.popen("ip", "netns", "exec", netns, "python3", "-c", KEEP_ASKING, *where)

    def ask():
        process.stdin.write("\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    lab.listeners.append(process)
    return ask


SAME_PORT = """
import socket
def ask():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("", 40000)); s.settimeout(5)
        try:
            s.connect(("192.0.2.1", 9090)); s.sendall(b"?"); return s.recv(99).decode()
        except ConnectionRefusedError:
            return "refused"
print(ask(), flush=True); input(); print(ask(), flush=True)
"""


def test_a_port_is_open_at_once_for_a_client_that_it_refused(lab):
    """From the same port again, as entries of conntrack for TCP are not deleted when a port is published."""
    lab.listen("a2", "a2", "0.0.0.0:90")
    client = lab.host.popen("ip", "netns", "exec", "outside", sys.executable, "-c", SAME_PORT)
    assert client.stdout.readline() == "refused\n"
    lab.host.mydockernet("publish a a2 9090:90")
    client.stdin.write("\n")
    client.stdin.flush()
    assert client.stdout.readline().startswith("a2 192.0.2.2")
    client.communicate()


def test_what_is_closed_ends_the_flows_that_it_let_in(lab):
    """A routed port that is unpublished, and containers of ptp that no longer reach each other."""
    lab.host.set_up(ROUTED)
    lab.host.set_up(
        "ip netns add p1; ip netns add p2; mydockernet create p --driver ptp --subnet 10.5.0.0/24 --subnet fd00:5::/64;"
        "mydockernet connect p p1; mydockernet connect p p2"
    )
    for name in ("r1", "p2"):
        lab.listen(name, name, "0.0.0.0:80", ":::80")
    asks = [asking(lab, "outside", address, 80) for address in ("10.4.0.2", "fd00:4::2")]
    asks += [asking(lab, "p1", address, 80) for address in ("10.5.0.3", "fd00:5::3")]
    assert [ask() for ask in asks] == ["r1", "r1", "p2", "p2"]
    lab.host.mydockernet("unpublish r r1 80 80/udp")
    lab.host.mydockernet("set p icc=false")
    assert [ask() for ask in asks] == ["nothing"] * 4


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_a_port_for_some_is_refused_to_others(make_lab, firewall):
    lab = make_lab(firewall=firewall)
    lab.host.mydockernet("publish a a2 9000:80 9000:80/udp --from 192.0.2.0/24 --from 2001:db8:1::/64")
    lab.host.mydockernet("publish a a2 9001:80 9001:80/udp --from 10.2.0.0/16")
    asked = {
        ("outside", HOST, 9000): "a2 192.0.2.2",
        ("outside", over_ipv6(HOST), 9000): "a2 2001:db8:1::2",
        ("neighbour", "198.51.100.1", 9000): "refused",
        ("neighbour", "2001:db8:2::1", 9000): "refused",
        ("", HOST, 9000): "a2 192.0.2.1",
        ("", "127.0.0.1", 9000): "a2 10.1.0.1",
        ("b1", HOST, 9000): "refused",
        ("b1", HOST, 9001): "a2 10.1.0.1",
        ("b1", over_ipv6(HOST), 9001): "refused",
        ("outside", HOST, 9001): "refused",
        ("", over_ipv6(HOST), 9001): "a2 2001:db8:1::1",
    }
    assert matrix(lab, asked) == asked
    if firewall == "iptables":
        said = lab.host.mydockernet("explain 198.51.100.2 198.51.100.1:9000", check=False)
        assert "STOP  the host: port 9000 is published for 192.0.2.0/24, 2001:db8:1::/64 only\n" in said.stdout
    assert lab.host.mydockernet("port a a2").stdout.splitlines()[0] == (
        "80/tcp -> 0.0.0.0:9000 from 192.0.2.0/24, 2001:db8:1::/64"
    )
    lab.host.sh(WIPED)
    lab.host.mydockernet("repair")
    assert matrix(lab, asked) == asked
    lab.host.mydockernet("unpublish a a2 9000:80 9000:80/udp 9001:80 9001:80/udp")
    assert "9000" not in lab.host.run("nft", "list", "ruleset").stdout


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_a_port_for_everybody_is_restored_and_removed(new_host, firewall):
    """iptables-save does not show a source that has all addresses; elements of nftables may not overlap."""
    host = new_host(firewall=firewall)
    host.set_up("ip netns add c1; mydockernet create web; mydockernet connect web c1")
    before = host.snapshot()
    host.mydockernet("publish web c1 1111:1 --from 0.0.0.0/0 --from 10.0.0.0/8")
    assert host.mydockernet("check").stdout == ""
    host.mydockernet("unpublish web c1 1111:1")
    assert host.snapshot() == before


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_a_source_that_is_no_longer_one_loses_its_flows(make_lab, firewall):
    lab = make_lab(firewall=firewall)
    host = lab.host
    host.mydockernet("publish a a2 9000:80/udp --from 192.0.2.0/24 --from 10.9.0.0/16")
    assert lab.knock(9000) == "a2"
    host.sh("mydockernet export a > /run/a.yaml; sed -i 's#192.0.2.0/24#10.8.0.0/16#' /run/a.yaml")
    host.mydockernet("apply /run/a.yaml")
    assert lab.knock(9000) == "nobody"


def matrix(lab, reach=BOTH):
    """The answers to all of these questions, asked at once."""
    return dict(zip(reach, lab.ask_at_once(reach), strict=True))


@pytest.mark.long
@pytest.mark.parametrize(
    ("driver", "firewall", "beside", "bridged", "rp_filter"),
    half(
        (driver, firewall, *where)
        for where in [("alone", "0", "0"), ("alone", "1", "2"), *((beside, "1", "1") for beside in BESIDE)]
        for firewall, driver in itertools.product(FIREWALLS, DRIVERS)
    ),
)
def test_who_reaches_whom(make_lab, driver, firewall, beside, bridged, rp_filter):
    lab = make_lab(BESIDE[beside], made_by_verbs, driver=driver, firewall=firewall)
    # Where the kernel has no br_netfilter, it is off in both.
    keys = [f"net.bridge.bridge-nf-call-{program}={bridged}" for program in ("iptables", "ip6tables")]
    lab.host.sh(f"sysctl -qew {' '.join(keys)}")
    lab.host.sh(f"for key in /proc/sys/net/ipv4/conf/*/rp_filter; do echo {rp_filter} > $key; done")
    assert matrix(lab) == BOTH
    if rp_filter == "1":
        lab.host.sh(f"{WIPED}; {BESIDE[beside]}")
        lab.host.mydockernet("repair")
        assert matrix(lab) == BOTH
    lab.host.sh("mydockernet rm -f a b i")
    assert "ydockernet" not in str(lab.host.snapshot()).lower()
