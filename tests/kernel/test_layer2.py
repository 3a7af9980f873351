"""Networks that the host has no address on: containers reach each other, and neither the host nor what is behind it."""

import json

import pytest

from tests.kernel.test_drift import lose_and_repair, ours

SETUP = """
for n in outside c1 c2; do ip netns add $n; done
ip link add dev up1 type veth peer name eth0 netns outside
ip address add 192.0.2.1/24 dev up1; ip link set dev up1 up
ip -n outside address add 192.0.2.2/24 dev eth0; ip -n outside link set dev eth0 up
ip -n outside route add default via 192.0.2.1
mydockernet create other --subnet 10.9.0.0/24
mydockernet create l2 {}
mydockernet connect l2 c1
mydockernet connect l2 c2
for n in c1 c2; do ip -n $n address replace 10.77.0.${{n#c}}/24 dev eth0; done
for key in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $key; done
sysctl -qew net.bridge.bridge-nf-call-iptables={}
iptables -P FORWARD {}
"""
# A container sends straight to the bridge, as if that were its gateway.
AIM = "ip -n c1 neigh replace 10.77.0.9 lladdr {} dev eth0; ip -n c1 route replace 192.0.2.0/24 via 10.77.0.9 dev eth0"
LISTEN = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 99)); s.settimeout(float(sys.argv[2])); print("ready", flush=True)
try: print(s.recvfrom(9)[0].decode())
except TimeoutError: print("nothing")
"""
SEND = "import socket, sys; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'hello', (sys.argv[1], 99))"


def heard(host, target, netns=()):
    """What a program at an address hears when c1 sends it a packet."""
    with host.popen(*netns, "python3", "-c", LISTEN, target, "0.7") as listener:
        assert listener.stdout.readline() == "ready\n"
        host.run("ip", "netns", "exec", "c1", "python3", "-c", SEND, target)
        return listener.stdout.readline().strip()


def set_up(host, options, filtered=0, policy="ACCEPT"):
    host.set_up(SETUP.format(options, filtered, policy))
    (record,) = json.loads(host.mydockernet("inspect l2").stdout)
    host.sh(AIM.format(record["Link"]["MAC"]))


@pytest.mark.parametrize("options", ["--no-subnet", "--no-gateway --subnet 10.77.0.0/24"])
@pytest.mark.parametrize("filtered", [0, 1])
def test_containers_reach_each_other_and_nothing_else(host, options, filtered):
    set_up(host, options, filtered, "DROP")
    host.run("ip", "netns", "exec", "c1", "ping", "-c1", "-W5", "10.77.0.2")
    outside = ("ip", "netns", "exec", "outside")
    host.sh("iptables -P FORWARD ACCEPT")
    assert heard(host, "192.0.2.1") == "nothing"
    assert heard(host, "192.0.2.2", outside) == "nothing"
    # The test would see it.
    host.sh("iptables -t mangle -F")
    assert heard(host, "192.0.2.1") == "hello"
    assert heard(host, "192.0.2.2", outside) == "hello"
    assert "l2: missing rule: mangle INPUT -i l2 -j DROP" in host.mydockernet("check", check=False).stdout
    host.mydockernet("repair")
    assert heard(host, "192.0.2.1") == "nothing"
    assert heard(host, "192.0.2.2", outside) == "nothing"


def test_a_network_of_layer_2_has_no_addresses_and_needs_no_forwarding(host):
    host.sh("ip netns add c1; sysctl -qw net.ipv4.ip_forward=0")
    before = host.snapshot()
    host.mydockernet("create l2 --ipam-driver none")
    done = host.mydockernet("connect l2 c1")
    assert done.stdout == done.stderr == ""
    (record,) = json.loads(host.mydockernet("inspect l2").stdout)
    assert (record["Subnets"], record["Link"]["Addresses"]) == ([], [])
    container = record["Containers"]["c1"]
    assert (container["Addresses"], container["DefaultRoute"]) == ([], False)
    assert container["MAC"].startswith("02:6e:")
    assert host.run("sysctl", "-n", "net.ipv4.ip_forward").stdout == "0\n"
    assert host.mydockernet("list").stdout.splitlines()[1].split() == ["l2", "-", "-", "bridge", "1", "up"]
    assert host.mydockernet("ps").stdout.splitlines()[1].split() == ["c1", "l2", "-", "-", "up"]
    assert "containers on l2" in host.mydockernet("inspect l2 --format table").stdout
    host.fails("explain c1 192.0.2.1", 2, 'FROM: "c1" has no address: network "l2" has no subnet')
    assert "internal error" not in host.mydockernet("doctor", check=False).stderr
    host.mydockernet("create l2 --ignore --no-subnet")
    host.fails("create l2 --ignore", 4, "with other settings")
    # The MAC address stays the same when it reconnects.
    host.sh("mydockernet disconnect l2 c1; mydockernet connect l2 c1")
    assert host.mydockernet("inspect l2 --format '{{.Containers.c1.MAC}}'").stdout.strip() == container["MAC"]
    host.mydockernet("rm -f l2")
    host.sh("ip -n c1 link set lo down")
    assert host.snapshot()["rules"] == before["rules"]


def test_without_a_gateway_or_default_route_it_says_why_nothing_gets_out(host):
    host.sh("ip netns add c1; ip netns add c2")
    host.mydockernet("create n --no-gateway --subnet 10.4.0.0/24")
    host.mydockernet("create r --no-default-route --subnet 10.5.0.0/24")
    assert host.mydockernet("connect n c1").stdout == "10.4.0.1\n"
    assert host.mydockernet("connect r c2").stdout == "10.5.0.2\n"
    for name, why in (("c1", "Network n has no gateway"), ("c2", "Network r was created with --no-default-route")):
        assert host.run("ip", "-n", name, "route", "show", "default").stdout == ""
        assert why in host.mydockernet(f"explain {name} 192.0.2.9", check=False).stdout
    host.run("ip", "netns", "exec", "c2", "ping", "-c1", "-W5", "10.5.0.1")
    host.mydockernet("publish r c2 8080:80")
    host.fails("publish n c1 8080:80", 2, 'network "n" has no gateway')
    (record,) = json.loads(host.mydockernet("inspect n").stdout)
    assert record["Subnets"][0]["Gateway"] is None
    host.mydockernet("create n --ignore --no-gateway --subnet 10.4.0.0/24")
    host.fails("create n --ignore --subnet 10.4.0.0/24", 4, "with other settings")


LOSSES = [
    (
        "iptables -t mangle -F INPUT; iptables -D MYDOCKERNET-FORWARD -i l2 -m physdev --physdev-is-bridged "
        "-m comment --comment mydockernet:l2 -j ACCEPT",
        "l2: missing rule: filter MYDOCKERNET-FORWARD -i l2 -m physdev --physdev-is-bridged -j ACCEPT",
    ),
    (
        "iptables -t mangle -I INPUT -i l2 -j ACCEPT",
        "l2: misplaced rule: mangle INPUT -i l2 -j DROP",
        "iptables -t mangle -D INPUT -i l2 -j ACCEPT",
    ),
    ("ip link set l2 group 28004", "l2: interface l2 is not in link group 28007"),
    ("ip link del l2", "l2: missing bridge: l2"),
    ("ip -n c1 link set eth0 address 02:00:00:00:00:99", "l2: MAC address of eth0 in /run/netns/c1 is not 02:6e:"),
    (
        "for t in raw mangle nat filter; do iptables -t $t -F; iptables -t $t -X; done",
        "l2: missing rule: mangle MYDOCKERNET-FORWARD -i l2 -m physdev ! --physdev-is-bridged -j DROP",
    ),
]


def test_what_is_lost_of_it_is_named_and_restored(host):
    host.set_up("ip netns add c1; mydockernet create l2 --no-subnet; mydockernet connect l2 c1")
    whole = ours(host)
    for damage, told, *after in LOSSES:
        lose_and_repair(host, damage, told, whole=whole, after="".join(after))


def test_without_a_gateway_ipv6_stays_between_containers_too(host):
    host.sh("ip netns add c1; ip netns add c2")
    host.mydockernet("create n --no-gateway --subnet 10.4.0.0/24 --subnet fd00:4::/64")
    assert host.mydockernet("connect n c1").stdout == "10.4.0.1\nfd00:4::1\n"
    host.mydockernet("connect n c2")
    host.run("ip", "netns", "exec", "c1", "ping", "-6", "-c1", "-W5", "fd00:4::2")
    for filtered in "01":
        host.sh(f"sysctl -qew net.bridge.bridge-nf-call-ip6tables={filtered}; ip6tables -P FORWARD DROP")
        host.run("ip", "netns", "exec", "c1", "ping", "-6", "-c1", "-W5", "fd00:4::2")
    assert host.run("ip", "-6", "address", "show", "dev", "n").stdout == ""
    assert host.mydockernet("check").stdout == ""
    host.mydockernet("rm -f n")
    assert "ydockernet" not in host.run("ip6tables-save").stdout


def test_set_adds_no_gateway_where_there_is_none(host):
    host.set_up("ip netns add c1; mydockernet create n --no-gateway --subnet 10.4.0.0/24; mydockernet connect n c1")
    host.mydockernet("set n ipv6=true")
    host.mydockernet("set n subnet=10.5.0.0/24")
    host.mydockernet("set n subnet=10.5.0.0/24")
    (record,) = json.loads(host.mydockernet("inspect n").stdout)
    assert [subnet["Gateway"] for subnet in record["Subnets"]] == [None] * 3
    assert host.mydockernet("check").stdout == ""
    host.fails("set n icc=false", 2, "--no-icc: without a gateway")
    host.mydockernet("create l2 --no-subnet")
    host.fails("set l2 ipv6=true", 4, 'network "l2" has no subnet, and its containers no addresses')
