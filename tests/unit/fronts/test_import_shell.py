"""A script of ip and iptables commands becomes a file for `apply`, without being run."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mydockernet.fronts import import_shell, manifest, shell_lines, yaml_text


def imported(text):
    found = import_shell.read(text.encode())
    if found.tree:
        manifest.read([("a.yml", yaml_text.write(found.tree))], "")
    return found.tree, list(found.notes)


TUTORIAL = """\
#!/bin/bash
set -e
BR=br0
# Two namespaces, each with a cable to the bridge.
sudo ip netns add netns0
sudo ip netns add netns1
sudo ip link add $BR type bridge
sudo ip link set ${BR} up
sudo ip addr add 172.18.0.1/16 dev br0
sudo ip link add veth0 type veth peer name ceth0
sudo ip link set ceth0 netns netns0
sudo ip link set veth0 master br0 && sudo ip link set veth0 up
sudo nsenter --net=/var/run/netns/netns0 ip link set lo up
sudo ip netns exec netns0 ip link set ceth0 up
sudo ip netns exec netns0 ip addr add 172.18.0.10/16 dev ceth0
ip -n netns0 route add default via 172.18.0.1
ip link add veth1 type veth peer name eth0 netns netns1
ip link set veth1 master br0 up
ip netns exec netns1 sh -c 'ip addr add 172.18.0.20/16 dev eth0; ip link set eth0 up'
echo 1 > /proc/sys/net/ipv4/ip_forward
iptables -t nat -A POSTROUTING -s 172.18.0.0/16 ! -o br0 \\
    -j MASQUERADE
iptables -t nat -A PREROUTING -d 10.0.2.15 -p tcp -m tcp --dport 5000 -j DNAT --to-destination 172.18.0.10:80
iptables -t nat -A OUTPUT -d 10.0.2.15 -p tcp -m tcp --dport 5000 -j DNAT --to-destination 172.18.0.10:80
iptables -A FORWARD -i br0 -j ACCEPT
ping -c 1 172.18.0.10
"""


def test_a_tutorial_becomes_a_network_with_containers():
    tree, notes = imported(TUTORIAL)
    assert tree["networks"] == {"br0": {"ipam": {"config": [{"subnet": "172.18.0.0/16"}]}}}
    assert tree["containers"] == {
        "netns0": {
            "networks": {"br0": {"ipv4_address": "172.18.0.10", "interface_name": "ceth0"}},
            "ports": ["10.0.2.15:5000:80"],
        },
        "netns1": {
            "networks": {"br0": {"ipv4_address": "172.18.0.20", "interface_name": "eth0", "default_route": False}},
        },
    }
    assert notes == []


BRIDGE = "ip link add br0 type bridge\nip addr add 10.1.0.9/24 dev br0\n"
CABLE = "ip link add v1 type veth peer name eth0 netns c1\nip link set v1 master br0\n"
ADDRESS = "ip -n c1 addr add 10.1.0.2/24 dev eth0\n"
MASQUERADE = "iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE\n"


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (BRIDGE + MASQUERADE, {"ipam": {"config": [{"subnet": "10.1.0.0/24", "gateway": "10.1.0.9"}]}}),
        (BRIDGE, {"masquerade": False, "ipam": {"config": [{"subnet": "10.1.0.0/24", "gateway": "10.1.0.9"}]}}),
        ("brctl addbr br0\n", {"subnet": False}),
        ("ip l add name br0 mtu 1400 type bridge\n", {"subnet": False, "mtu": 1400}),
        ("ip link add br0 type bridge\nip link set br0 mtu 1400\n", {"subnet": False, "mtu": 1400}),
        (
            "ip link add br0 type bridge\n" + CABLE + ADDRESS,
            {"gateway": False, "ipam": {"config": [{"subnet": "10.1.0.0/24"}]}},
        ),
    ],
)
def test_a_bridge_becomes_a_network(text, keys):
    assert imported(text)[0]["networks"] == {"br0": keys}


def test_a_veth_pair_to_the_host_becomes_a_network_of_the_driver_ptp():
    text = "ip netns add c1\nip link add v1 type veth peer name v2\nip link set v2 netns c1\n"
    text += "ip addr add 10.1.0.1/24 dev v1\nip -n c1 addr add 10.1.0.2/24 dev v2\nip -n c1 link set v2 name eth0\n"
    text += "ip -n c1 route add default via 10.1.0.1\n"
    tree, notes = imported(text + MASQUERADE)
    assert tree["networks"] == {"c1": {"driver": "ptp", "ipam": {"config": [{"subnet": "10.1.0.0/24"}]}}}
    assert tree["containers"] == {"c1": {"networks": {"c1": {"ipv4_address": "10.1.0.2", "interface_name": "eth0"}}}}
    assert notes == []


def test_macvlan_interfaces_become_a_network_on_their_parent():
    text = "ip link add mv1 link eth1 type macvlan mode private\nip link set mv1 netns c1\n"
    text += "ip -n c1 addr add 192.168.7.5/24 dev mv1\nip -n c1 route add default via 192.168.7.254\n"
    tree, _ = imported(text)
    assert tree["networks"]["macvlan-eth1"] == {
        "driver": "macvlan",
        "parent": "eth1",
        "mode": "private",
        "ipam": {"config": [{"subnet": "192.168.7.0/24", "gateway": "192.168.7.254"}]},
    }
    assert tree["containers"]["c1"]["networks"] == {
        "macvlan-eth1": {"ipv4_address": "192.168.7.5", "interface_name": "mv1"}
    }


@pytest.mark.parametrize(
    ("rule", "port"),
    [
        ("-p tcp --dport 8080 -j DNAT --to-destination 10.1.0.2:80", "8080:80"),
        ("-p udp --dport 53 -j DNAT --to 10.1.0.2", "53:53/udp"),
        (
            "-d 192.0.2.1/32 -p tcp --dport 8000:8009 -j DNAT --to-destination 10.1.0.2:9000-9009",
            "192.0.2.1:8000-8009:9000-9009",
        ),
    ],
)
def test_rules_that_translate_become_ports(rule, port):
    text = BRIDGE + CABLE + ADDRESS + f"iptables -t nat -A PREROUTING {rule}\n"
    assert imported(text)[0]["containers"]["c1"]["ports"] == [port]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            "iptables -A INPUT -i br0 -j DROP",
            "line 1: iptables -A INPUT -i br0 -j DROP: left out: it has no equivalent",
        ),
        (
            "\n\ntc qdisc add dev v1 root netem delay 10ms",
            "line 3: tc qdisc add dev v1 root netem delay 10ms: left out",
        ),
        ("ip link add vx type vxlan id 7", "line 1: ip link add vx type vxlan id 7: left out: it has no equivalent"),
        ("ip route add 10.9.0.0/16 via 10.1.0.5", "line 1: ip route add 10.9.0.0/16 via 10.1.0.5: left out"),
        ("ip link add $X type bridge", "line 1: ip link add $X type bridge: the value of $X is not known"),
        ("ip link add 'br0 type bridge", "line 1: ip link add 'br0 type bridge: its quotes are not closed"),
        ("ip netns add c1", 'namespace "c1": left out: it is on no network'),
        (
            "for i in 1 2; do\n  ip netns add c$i\ndone",
            "line 1: for i in 1 2: left out to its end: loops and conditions",
        ),
        ("rm -rf /", "line 1: rm -rf /: left out: it has no equivalent"),
        ("ip link add a netns x type veth peer name b netns y", "line 1: a and b: left out: a veth pair between two"),
        (
            "iptables -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.1.0.2:80",
            'line 1: port 80:80/tcp: left out: no container has the address "10.1.0.2"',
        ),
        (
            "iptables -t nat -A POSTROUTING -s x -j MASQUERADE",
            "line 1: iptables -t nat -A POSTROUTING -s x -j MASQUERADE: left",
        ),
    ],
)
def test_what_has_no_equivalent_is_named_with_its_line(text, note):
    (found,) = imported(text)[1]
    assert found.startswith(note)


def test_a_default_route_that_leads_elsewhere_is_named():
    text = BRIDGE + CABLE + ADDRESS + "ip -n c1 route add default via 10.1.0.7\n"
    tree, notes = imported(text)
    assert tree["containers"]["c1"]["networks"]["br0"]["default_route"] is False
    assert notes == ["line 3: c1: its default route via 10.1.0.7 is left out: it is not the host's"]


def test_control_characters_of_a_script_reach_no_terminal():
    assert imported("evil \x1b[31m")[1] == [r"line 1: evil \x1b[31m: left out: it has no equivalent"]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("a 'b c' \"d\"", [(1, "a", "b c", "d")]),
        ("a; b && c || d | e", [(1, "a"), (1, "b"), (1, "c"), (1, "d"), (1, "e")]),
        ("a \\\n  b\nc", [(1, "a", "b"), (3, "c")]),
        ("# a\n  # b\na # c", [(3, "a")]),
        ("a >x 2>/dev/null b", [(1, "a", "b")]),
        ("X=1 Y=2\na $X ${Y}", [(2, "a", "1", "2")]),
        ("sudo -E ip a\n/sbin/ip b", [(1, "ip", "a"), (2, "ip", "b")]),
    ],
)
def test_the_commands_of_a_script_are_found_with_their_lines(text, commands):
    assert [(line.number, *line.words) for line in shell_lines.read(text)] == commands


WORDS = sorted(
    {*TUTORIAL.split(), "'", '"', "$X", "`a`", "\\", "-n", "netns", "exec", "sh", "-c", "peer", "type", "-j", "DNAT"}
)


@given(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), max_size=8).map("\n".join), st.integers(0, 26)
)
@settings(deadline=None, max_examples=200)
def test_any_script_is_read(text, at):
    lines = TUTORIAL.splitlines()
    import_shell.read("\n".join([*lines[:at], text, *lines[at:]]).encode())
