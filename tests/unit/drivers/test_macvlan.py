"""The plans of the driver macvlan as whole values."""

import ipaddress

from mydockernet.dialects.fact import Link
from mydockernet.value import replace
from tests.unit.test_plan import commands, standing
from tests.unit.values import BRIDGE_MAC, containers, endpoint, intent, network

INSIDE = "nsenter --net=/run/netns/c1"
HOST = replace(containers("c1", "c2"), links={"up1": Link("up1", "veth", index=2, up=True)})


def lan(*endpoints, host=False, **more):
    host_side = {"host_interface": "lan", "host_addresses": (ipaddress.ip_address("192.0.2.9"),), "mac": BRIDGE_MAC}
    own = {"driver": "macvlan", "parent": "up1", "mode": "bridge", **(host_side if host else {})}
    return network("lan", "192.0.2.0/24", *endpoints, **{**own, **more})


def guest(**more):
    return endpoint(address="192.0.2.16", veth="", index=300000001, **more)


def test_a_network_is_nothing_in_the_kernel_but_for_the_hosts_interface():
    assert commands({}, intent(lan()), HOST) == []
    assert commands({}, intent(lan(host=True)), HOST) == [
        f"ip link add link up1 name lan address {BRIDGE_MAC} group 28007 type macvlan mode bridge",
        "ip link set dev lan alias mydockernet:lan",
        "sysctl -w net.ipv6.conf.lan.disable_ipv6=1",
        "ip address add 192.0.2.9/32 dev lan",
        "ip link set dev lan up",
    ]


def test_a_container():
    net, full = lan(host=True), lan(guest(), host=True)
    coming = commands(intent(net), intent(full), standing(net, host=HOST))
    assert coming == [
        "ip link add link up1 name eth0 index 300000001 netns /run/netns/c1 group 28007 type macvlan mode bridge",
        f"{INSIDE} ip link set dev eth0 alias mydockernet:lan",
        "ip route add 192.0.2.16/32 dev lan protocol 28",
        f"{INSIDE} sysctl -w net.ipv6.conf.eth0.disable_ipv6=1",
        f"{INSIDE} sysctl -w net.ipv6.conf.eth0.accept_ra=0",
        f"{INSIDE} sysctl -w net.ipv6.conf.eth0.autoconf=0",
        f"{INSIDE} ip link set dev eth0 address 02:42:c0:00:02:10",
        f"{INSIDE} ip address add 192.0.2.16/24 dev eth0",
        f"{INSIDE} ip link set dev lo up",
        f"{INSIDE} ip link set dev eth0 up",
        f"{INSIDE} ip route add default via 192.0.2.1 dev eth0",
    ]
    assert commands(intent(full), intent(net), standing(full, host=HOST)) == [
        "ip route delete 192.0.2.16/32 dev lan protocol 28",
        f"{INSIDE} ip link delete dev eth0",
    ]
    assert commands(intent(full), {}, standing(full, host=HOST)) == [
        f"{INSIDE} ip link delete dev eth0",
        "ip link delete dev lan",
    ]


def test_it_needs_no_rules_and_leaves_those_of_others():
    web = network("web")
    both = standing(web, lan(guest()), host=HOST)
    left = commands(intent(web, lan(guest())), intent(lan(guest())), both)
    assert sum("-X MYDOCKERNET" in line for line in left) == 5
    assert not any("iptables" in line for line in commands(intent(web, lan(guest())), intent(web), both))


def test_another_mode_replaces_the_interfaces():
    before, after = lan(guest(), host=True), lan(guest(), host=True, mode="private")
    there = standing(before, host=HOST)
    changed = commands(intent(before), intent(after), there)
    assert [line for line in changed if "delete" in line or line.endswith("private")] == [
        "ip link delete dev lan",
        f"ip link add link up1 name lan address {BRIDGE_MAC} group 28007 type macvlan mode private",
        f"{INSIDE} ip link delete dev eth0",
        "ip link add link up1 name eth0 index 300000001 netns /run/netns/c1 group 28007 type macvlan mode private",
    ]
    again = standing(after, host=HOST)
    assert commands(intent(after), intent(after), again) == []
