"""Containers on networks: what connect, disconnect, publish and unpublish do to the kernel, and what is left after."""

import json
import os

import pytest

from tests.conftest import firewalls_of, half

ADD = "for c in {}; do ip netns add $c; ip -n $c link set lo up; done; "
WEB = ADD.format("c1 c2") + "mydockernet create web --subnet 10.1.0.0/24; "
DUAL = ADD.format("c1 c2") + "mydockernet create web --subnet 10.1.0.0/24 --subnet fd00:1::/64; "
SIX = ADD.format("c1 c2") + "mydockernet create web --subnet fd00:1::/64; "
PTP = WEB.replace("create web", "create web --driver ptp")
LAN = (
    "ip link add up1 type veth peer name up2; ip link set up1 up; ip addr add 192.0.2.1/24 dev up1; "
    + ADD.format("c1 c2")
    + "mydockernet create lan --driver macvlan --parent up1 --subnet 192.0.2.0/24 --host-ip 192.0.2.9; "
)
ROUTED = (
    "mydockernet create r --subnet 10.3.0.0/24 --metric 50 --route 10.9.0.0/16,10.3.0.9 --route 10.8.0.0/16,blackhole "
    "--route 10.7.0.0/16,prohibit,7; "
)

PLANS = {
    "connect": (WEB, "connect web c1"),
    "connect with all options": (
        WEB,
        "connect web c1 --ip 10.1.0.77 --mac 02:00:00:00:00:07 --ifname lan0 -p 8080:80 "
        "-p 127.0.0.1:5000-5002:53-55/udp --no-default-route --name db --label a=b "
        "--alias www --dns 10.1.0.9 --hostname www.example.org --ingress-rate 10mbit --egress-rate 1.5mbit,64kbit",
    ),
    "connect without icc": (WEB + "mydockernet create b --no-icc --mtu 1400 --subnet 10.2.0.0/24", "connect b c1"),
    "connect, internal": (WEB + "mydockernet create b --internal --subnet 10.2.0.0/24", "connect b c1"),
    "connect to a second": (
        WEB + "mydockernet connect web c1; mydockernet create b --subnet 10.2.0.0/24",
        "connect b c1 -p 53:53/sctp",
    ),
    "connect, both families": (DUAL, "connect web c1 -p 8080:80 -p [::]:53:53/udp -p 0.0.0.0:54:54/udp"),
    "connect, IPv6 only": (SIX, "connect web c1 --ip6 fd00:1::77 -p 8080:80"),
    "connect without icc, both families": (
        WEB + "mydockernet create b --no-icc --subnet 10.2.0.0/24 --subnet fd00:2::/64",
        "connect b c1",
    ),
    "connect to a second, both families": (
        DUAL + "mydockernet connect web c1; mydockernet create b --subnet 10.2.0.0/24 --subnet fd00:2::/64",
        "connect b c1",
    ),
    "create IPv6 beside IPv4": (WEB + "mydockernet connect web c1", "create d --ipv6"),
    "disconnect, both families": (DUAL + "mydockernet connect web c1 -p 80:80", "disconnect web c1"),
    "unpublish, both families": (DUAL + "mydockernet connect web c1 -p 80:80", "unpublish web c1 80:80"),
    "remove IPv6 beside IPv4": (DUAL + "mydockernet create b; mydockernet connect web c1 -p 80:80", "rm -f web"),
    "remove IPv4 beside IPv6": (SIX + "mydockernet create b; mydockernet connect b c1", "rm -f b"),
    "set the MTU, labels and ranges": (
        WEB + "mydockernet connect web c1; mydockernet connect web c2",
        "set web mtu=1400 label=a=b label=c reserve=nas=10.1.0.9 ip-range=10.1.0.128/25",
    ),
    "set no icc": (DUAL + "mydockernet connect web c1 -p 80:80; mydockernet connect web c2", "set web icc=false"),
    "set icc": (
        ADD.format("c1") + "mydockernet create web --no-icc --ipv6; mydockernet connect web c1",
        "set web icc=true",
    ),
    "set internal": (DUAL + "mydockernet connect web c1; mydockernet connect web c2", "set web internal=true"),
    "set not internal": (
        ADD.format("c1") + "mydockernet create web --internal; mydockernet connect web c1",
        "set web internal=false",
    ),
    "set no masquerade": (DUAL + "mydockernet connect web c1", "set web masquerade=no masquerade6=yes"),
    "set port security": (DUAL + "mydockernet connect web c1", "set web port-security=on"),
    "set IPv6": (
        WEB + "mydockernet connect web c1 -p 80:80; mydockernet connect web c2; mydockernet create other",
        "set web ipv6=true",
    ),
    "set no IPv6": (DUAL + "mydockernet connect web c1 -p 80:80; mydockernet create other", "set web ipv6=false"),
    "set a subnet": (WEB + "mydockernet connect web c1", "set web subnet=fd00:1::/64 subnet=10.9.0.0/24"),
    "set no subnet": (
        WEB + "mydockernet set web subnet=10.9.0.0/24; mydockernet connect web c1",
        "set web subnet-=10.9.0.0/24",
    ),
    "create isolated": (WEB, "create i --gateway-mode isolated --subnet 10.4.0.0/24 --ipv6"),
    "connect isolated": (WEB + "mydockernet create i --gateway-mode isolated --ipv6", "connect i c1"),
    "set the priority of a gateway": (
        DUAL + "mydockernet create b --ipv6; mydockernet connect web c1; mydockernet connect b c1",
        "set b/c1 gw-priority=5 alias=db",
    ),
    "set name servers": (
        DUAL + "mydockernet set web dns=9.9.9.9; mydockernet connect web c1",
        "set web dns=fd00::53 dns-=9.9.9.9",
    ),
    "set a metric": (DUAL + "mydockernet connect web c1", "set web metric=77"),
    "set no default route": (WEB + "mydockernet connect web c1", "set web/c1 default-route=false label=a=b"),
    "create of a size": (WEB, "create n --subnet 0.0.0.0/26 --subnet ::/80 --subnet 10.9.0.0/24"),
    "create without a gateway": (WEB, "create n --no-gateway --subnet 10.4.0.0/24"),
    "create without a subnet": ("true", "create n --no-subnet"),
    "connect without a gateway": (
        WEB + "mydockernet connect web c1; mydockernet create n --no-gateway --subnet 10.4.0.0/24",
        "connect n c1",
    ),
    "connect without a subnet": (WEB + "mydockernet create n --no-subnet", "connect n c1"),
    "connect without default routes": (WEB + "mydockernet create n --no-default-route", "connect n c1"),
    "remove without a subnet": (WEB + "mydockernet create n --no-subnet; mydockernet connect n c1", "rm -f n"),
    "repair without a gateway": (
        WEB + "mydockernet create n --no-gateway; mydockernet connect n c1; iptables -t mangle -F; ip link del dev n",
        "repair",
    ),
    "connect with routes": (WEB + ROUTED + "mydockernet connect web c1", "connect r c1"),
    "disconnect with routes": (
        WEB + ROUTED + "mydockernet connect r c1; mydockernet connect web c1; mydockernet connect r c2",
        "disconnect r c1",
    ),
    "repair of routes": (
        WEB + ROUTED + "mydockernet connect r c1; mydockernet connect web c1;"
        "ip -n c1 route flush proto 28; ip -n c1 route flush table 28001",
        "repair",
    ),
    "connect to two at once": (WEB + "mydockernet create b --subnet 10.2.0.0/24", "connect b,web c1"),
    "disconnect from two at once": (
        WEB + "mydockernet create b --subnet 10.2.0.0/24; mydockernet connect b,web c1",
        "disconnect web,b c1",
    ),
    "run on two": (WEB + "mydockernet create b --subnet 10.2.0.0/24", "run b,web --name job -- true"),
    "connect to one of higher priority": (
        WEB + "mydockernet create b --subnet 10.2.0.0/24; mydockernet connect b c1",
        "connect web c1 --gw-priority 7",
    ),
    "disconnect the one of higher priority": (
        WEB + "mydockernet connect web c1; mydockernet create b --subnet 10.2.0.0/24; "
        "mydockernet connect b c1 --gw-priority 7",
        "disconnect b c1",
    ),
    "disconnect the first of two": (
        WEB + "mydockernet connect web c1; mydockernet create b --subnet 10.2.0.0/24; mydockernet connect b c1",
        "disconnect web c1",
    ),
    "publish": (WEB + "mydockernet connect web c1", "publish web c1 80 9090:90/udp"),
    "publish for some": (
        DUAL + "mydockernet connect web c1",
        "publish web c1 80:80 90:90/udp --from 192.0.2.0/24 --from 2001:db8::/32",
    ),
    "create routed": (WEB, "create r --gateway-mode routed --subnet 10.4.0.0/24 --ipv6"),
    "connect routed": (
        ADD.format("c1") + "mydockernet create web --gateway-mode6 routed --subnet 10.4.0.0/24 --subnet fd00:4::/64",
        "connect web c1 -p 8080:80 -p 5000-5001:53-54/udp --from 192.0.2.0/24 --from 2001:db8::/32",
    ),
    "set routed": (DUAL + "mydockernet connect web c1 -p 80:80", "set web gateway-mode=routed gateway-mode6=nat"),
    "set nat": (
        ADD.format("c1") + "mydockernet create web --gateway-mode routed; mydockernet connect web c1 -p 80",
        "set web gateway-mode=nat",
    ),
    "unpublish for some": (WEB + "mydockernet connect web c1 -p 80:80 --from 192.0.2.0/24", "unpublish web c1 80"),
    "unpublish": (WEB + "mydockernet connect web c1 -p 80:80 -p 81:81", "unpublish web c1 80"),
    "remove by force": (WEB + "mydockernet connect web c1 -p 80:80; mydockernet connect web c2", "rm -f web"),
    "prune": (WEB + "mydockernet create b; mydockernet connect web c1; mydockernet create d", "prune"),
    "repair": (WEB + "mydockernet connect web c1 -p 80:80; iptables -F; ip link del web", "repair"),
    "run": (WEB + "mydockernet connect web c1", "run web --name job -p 80:80 -- true"),
    "macvlan: connect": (LAN, "connect lan c1 --ip 192.0.2.30"),
    "macvlan: connect to a second, a bridge": (
        LAN + "mydockernet connect lan c1; mydockernet create b --subnet 10.2.0.0/24",
        "connect b c1",
    ),
    "macvlan: disconnect": (LAN + "mydockernet connect lan c1; mydockernet connect lan c2", "disconnect lan c1"),
    "macvlan: remove by force": (LAN + "mydockernet connect lan c1; mydockernet connect lan c2", "rm -f lan"),
    "macvlan: repair": (LAN + "mydockernet connect lan c1; ip -n c1 link del eth0; ip link del lan", "repair"),
    "macvlan: run": (LAN, "run lan --name job -- true"),
    "ptp: connect": (PTP, "connect web c1 -p 80:80"),
    "ptp: connect to a second, a bridge": (
        PTP + "mydockernet connect web c1; mydockernet create b --subnet 10.2.0.0/24",
        "connect b c1",
    ),
    "ptp: disconnect the first of two": (
        PTP
        + "mydockernet create b --driver ptp --internal --subnet 10.2.0.0/24; mydockernet connect web c1 -p 80:80;"
        + "mydockernet connect b c1",
        "disconnect web c1",
    ),
    "ptp: remove by force": (PTP + "mydockernet connect web c1 -p 80:80; mydockernet connect web c2", "rm -f web"),
    "ptp: repair": (PTP + "mydockernet connect web c1 -p 80:80; iptables -F; ip route flush proto 28", "repair"),
    "ptp: connect, dual-stack": (PTP.replace("/24", "/24 --subnet fd00:1::/64"), "connect web c1 -p 80:80"),
    "ptp: remove by force, IPv6 only": (
        PTP.replace("10.1.0.0/24", "fd00:1::/64") + "mydockernet connect web c1 -p 80:80",
        "rm -f web",
    ),
    "ptp: run": (PTP, "run web --name job -p 80:80 -- true"),
}


@pytest.mark.parametrize(
    ("setup", "words", "firewall"),
    [pytest.param(*PLANS[name], firewall, id=name) for name, firewall in half(firewalls_of(PLANS).items())],
)
def test_the_dry_run_piped_into_sh_does_what_the_verb_does(new_host, setup, words, firewall):
    by_verb, by_script = new_host(firewall=firewall), new_host(firewall=firewall)
    for host in (by_verb, by_script):
        host.set_up(setup)
    before = by_script.everything()
    verb, *rest = words.split()
    plan = by_script.mydockernet([verb, "--dry-run", *rest])
    assert by_script.everything() == before
    by_script.run("sh", stdin=plan.stdout)
    by_verb.mydockernet(words)
    assert by_script.snapshot() == by_verb.snapshot()
    assert by_script.sysctls() == by_verb.sysctls()
    if verb == "run":  # It leaves the record as it is; the verb counts the address as given.
        assert by_script.state() == before[1]
    else:
        assert by_script.comparable_state() == by_verb.comparable_state()
    for host in (by_verb, by_script):
        assert host.mydockernet("check").stdout == ""
        assert host.mydockernet("repair --dry-run").stdout == "#!/bin/sh\nset -e\n"
    assert by_script.mydockernet("list").stdout == by_verb.mydockernet("list").stdout
    changes_nothing_a_second_time(by_verb, words)


def changes_nothing_a_second_time(host, words):
    before = host.snapshot(), host.sysctls()
    again = host.mydockernet(words, check=False)
    assert again.returncode == (
        0
        if words.startswith(("run", "prune", "repair", "rm -f", "set")) and "-=" not in words
        else 3
        if words.startswith(("disc", "unp", "rm", "set"))
        else 4
    )
    assert (host.snapshot(), host.sysctls()) == before


def test_connect_prints_the_address_and_disconnect_leaves_nothing(host):
    host.set_up(WEB)
    before = host.snapshot()
    ip = host.mydockernet("connect web c1 -p 8080:80").stdout
    assert ip == "10.1.0.2\n"
    assert host.mydockernet("connect web c2").stdout == "10.1.0.3\n"
    assert host.run("ip", "netns", "exec", "c1", "ping", "-c1", "-W5", "10.1.0.3")
    assert host.mydockernet("disconnect web c1").stdout == ""
    host.mydockernet("disconnect web c2")
    assert host.snapshot() == before
    host.fails("disconnect web c2", 3, 'container "c2" is not on network "web"')
    host.mydockernet("disconnect --force web c2")


def test_an_address_just_freed_is_not_handed_out_at_once(host):
    host.sh(ADD.format("c1 c2") + "mydockernet create web --subnet 10.1.0.0/29 --reserve 10.1.0.5")
    given = []
    for _ in range(5):
        given.append(host.mydockernet("connect web c1").stdout.strip())
        host.mydockernet("disconnect web c1")
    assert given == ["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.6", "10.1.0.2"]


def test_a_full_network_says_so(host):
    host.sh(ADD.format("c1 c2") + "mydockernet create tiny --subnet 10.1.0.0/30; mydockernet connect tiny c1")
    before = host.everything()
    host.fails("connect tiny c2", 4, 'network "tiny" is full: all 1 addresses of 10.1.0.0/30 are in use')
    assert host.everything() == before
    host.mydockernet("create pair --subnet 10.2.0.0/31")
    assert host.mydockernet("connect pair c2").stdout == "10.2.0.1\n"


def test_a_bridge_with_all_its_ports_taken_says_so(host):
    host.sh(ADD.format("c1") + "mydockernet create big --subnet 10.1.0.0/16")
    ports = "".join(f"link add dev p{n} type veth peer name q{n}\nlink set dev p{n} master big\n" for n in range(1023))
    host.run("ip", "-batch", "-", stdin=ports)
    host.fails("connect big c1", 4, 'network "big" is full: a bridge has 1023 ports')


INVALID = [
    ("connect nope c1", 3, 'network "nope" not found'),
    ("connect web c1 --ingress-rate 1x", 2, "--ingress-rate: '1x' is not a rate such as 10mbit"),
    ("connect web c1 --egress-rate 1mbit,", 2, "--egress-rate: '' is not a rate such as 10mbit"),
    ("connect web nope", 3, 'container "nope" not found'),
    ("connect web 999999999", 3, "no network namespace at /proc/999999999/ns/net"),
    ("connect web /etc/passwd", 2, "CONTAINER: /etc/passwd is not a network namespace"),
    ("connect web /proc/self/ns/mnt", 2, "CONTAINER: /proc/self/ns/mnt is a namespace of another type"),
    ("connect web /proc/self/ns/net", 2, 'CONTAINER: "/proc/self/ns/net" is in the host\'s own network namespace'),
    ("connect web c1", 4, 'container "c1" is already on network "web"'),
    ("connect inside,web c1", 4, 'container "c1" is already on network "web"'),
    ("connect web,nope c2", 3, 'network "nope" not found'),
    ("connect web, c2", 3, 'network "" not found'),
    ("connect web,web c2", 2, 'argument NETWORK[,NETWORK…]: "web" is given twice'),
    ("connect web,inside c2 --ip 10.1.0.9", 2, "--ip: it is for one network, not 2: connect that one by itself"),
    ("connect web,inside c2 --mac 02:00:00:00:00:07", 2, "--mac: it is for one network, not 2"),
    ("connect web,inside c2 --ifname x", 2, "--ifname: it is for one network, not 2"),
    ("connect web,inside c2 -p 80:80", 2, "--publish: it is for one network, not 2"),
    ("disconnect web,inside c1", 3, 'container "c1" is not on network "inside"'),
    ("connect web c2 --name c1", 4, 'container "c1" is already on network "web"'),
    ("connect web c1 --name again", 4, 'container "c1" is already on network "web"'),
    ("connect web c2 --ip 10.2.0.9", 2, "--ip: 10.2.0.9 is not in 10.1.0.0/24"),
    ("connect web c2 --ip x", 2, "--ip: 'x'"),
    ("connect web c2 --ip 10.1.0.255", 4, "--ip: 10.1.0.255 is the network or broadcast address"),
    ("connect web c2 --ip 10.1.0.1", 4, "--ip: 10.1.0.1 is the gateway"),
    ("connect web c2 --ip 10.1.0.2", 4, '--ip: 10.1.0.2 is already in use by container "c1"'),
    ("connect web c2 --ip6 fd00::1", 2, '--ip6: network "web" has no IPv6 subnet'),
    ("connect web c2 --ip fd00::1", 2, "--ip: fd00::1 is an IPv6 address"),
    ("connect web c2 -p [::]:80:80", 2, "[::]:80:80: the container has no IPv6 address on this network"),
    ("connect routed c2 -p 8080:80", 2, '8080:80: network "routed" is routed: a port is reached at the container'),
    ("connect routed c2 -p 127.0.0.1::80", 2, '127.0.0.1::80: network "routed" is routed'),
    ("create x --gateway-mode open", 2, '--gateway-mode: unknown mode "open": use nat, routed, isolated'),
    ("create x --gateway-mode6 isolated", 2, '--gateway-mode: unknown mode "isolated"'),
    ("set web/c1 gw-priority=x", 2, 'gw-priority=x: "x" is not a number'),
    ("set web/c1 alias-=db", 3, 'alias-=db: it is no alias of container "c1"'),
    ("set web metric=0", 2, "metric=0: the metric 0 is out of range"),
    ("set web gateway-mode=isolated", 2, "gateway-mode=isolated: whether the host has an address on a network is dec"),
    ("set web gateway-mode=open", 2, 'gateway-mode=open: unknown mode "open"'),
    ("connect six c2 --ip6 10.1.0.9", 2, "--ip6: 10.1.0.9 is an IPv4 address"),
    ("connect six c2 --ip6 fd00:1::1", 4, "--ip6: fd00:1::1 is the gateway of fd00:1::/64"),
    ("connect six c2 --ip6 fd00:2::1", 2, "--ip6: fd00:2::1 is not in fd00:1::/64"),
    ("connect six c2 -p [2001:db8::9]:80:80", 2, "[2001:db8::9]:80:80: 2001:db8::9 is not an address of this host"),
    ("connect web c2 --mac 01:00:00:00:00:01", 2, '--mac: invalid MAC address "01:00:00:00:00:01"'),
    ("connect web c2 --mac 02:42:0a:01:00:02", 4, '--mac: 02:42:0a:01:00:02 is already in use by container "c1"'),
    ("connect web c2 --mac 02:6d:4b:5e:57:f6", 4, '--mac: 02:6d:4b:5e:57:f6 is that of the host on network "web"'),
    ("connect web c2 --ifname ../x", 2, '--ifname: invalid interface name "../x"'),
    ("connect web c2 --ifname lo", 4, '--ifname: interface "lo" already exists in container "c2"'),
    ("connect web c2 --name ../x", 2, '--name: invalid name "../x"'),
    ("connect web c2 -p x", 2, '--publish: "x": expected [HOSTIP:]'),
    ("connect web c2 -p 0:80", 2, '--publish: "0:80": 0: ports must be from 1 to 65535'),
    ("connect web c2 -p 80:65536", 2, '--publish: "80:65536"'),
    ("connect web c2 -p 90-80:80-90", 2, '--publish: "90-80:80-90"'),
    ("connect web c2 -p 80-81:80-82", 2, '--publish: "80-81:80-82"'),
    ("connect web c2 -p 80:80/icmp", 2, '--publish: "80:80/icmp"'),
    ("connect web c2 -p 1.2.3:80:80", 2, '--publish: "1.2.3:80:80": "1.2.3" is not an IP address'),
    ("connect web c2 -p [::1]:80:80", 2, '--publish: "[::1]:80:80": the kernel cannot translate ::1'),
    ("connect web c2 -p 192.0.2.9:80:80", 2, "192.0.2.9:80:80: 192.0.2.9 is not an address of this host"),
    ("connect web c2 -p 8080:80", 4, '8080:80: port 8080/tcp is already in use by container "c1" on network "web"'),
    (
        "connect web c2 -p 127.0.0.1:8079-8082:80-83",
        4,
        'port 8080/tcp is already in use by container "c1" on network "web"',
    ),
    ("connect web c2 -p 81:81 -p 81:82", 4, "81:82: port 81/tcp is already in use by this same command"),
    ("connect web c2 -p 7777:80", 4, "7777:80: port 7777/tcp is already in use by"),
    ("connect web c2 -p 203.0.113.1:7777:80", 4, "port 7777/tcp is already in use by"),
    ("connect l2 c2 --ip 10.1.0.9", 2, '--ip: network "l2" has no subnet'),
    ("connect l2 c2 -p 80:80", 2, '80:80: network "l2" has no subnet: it cannot publish ports'),
    ("connect closed c2 -p 80:80", 2, '80:80: network "closed" has no gateway: it cannot publish ports'),
    ("create x --subnet 0.0.0.0/8", 2, "--subnet: 0.0.0.0/8: choose a size from /12 to /30, which the pools have"),
    ("create x --subnet 0.0.0.0/24 --gateway 10.9.0.1", 2, "--gateway: 10.9.0.1 needs a --subnet that contains it"),
    ("create x --no-subnet --subnet 10.9.0.0/24", 2, "--no-subnet contradicts --subnet"),
    ("create x --no-subnet --gateway 10.9.0.1", 2, "--no-subnet contradicts --gateway"),
    ("create x --no-subnet --ip-range 10.9.0.0/25", 2, "--no-subnet contradicts --ip-range"),
    ("create x --no-subnet --reserve 10.9.0.9", 2, "--no-subnet contradicts --reserve"),
    ("create x --no-subnet --route 10.9.0.0/16,10.8.0.1", 2, "--no-subnet contradicts --route"),
    ("create x --no-gateway --subnet 10.9.0.7/24", 2, "--no-gateway contradicts --subnet 10.9.0.7/24, which names a"),
    ("create x --subnet 10.9.0.0/24 --no-gateway --gateway 10.9.0.1", 2, "--no-gateway contradicts --gateway 10.9.0.1"),
    ("create x --no-gateway --no-icc", 2, "--no-icc: without a gateway"),
    ("create x --no-subnet --port-security", 2, "--port-security: without a subnet"),
    ("connect inside c2 -p 80:80", 2, '80:80: network "inside" is internal'),
    ("connect web c3", 4, 'container "c3" already has a default route: default via 10.9.0.1'),
    ("publish web c1 8080:80", 4, 'port 8080/tcp is already in use by container "c1" on network "web"'),
    ("publish web c2 80:80", 3, 'container "c2" is not on network "web"'),
    ("unpublish web c1 81", 3, '81 is not published by container "c1" on network "web"'),
    ("disconnect nope c1", 3, 'network "nope" not found'),
    ("set nope mtu=1400", 3, 'network "nope" not found'),
    ("set web/c9 label=a", 3, 'container "c9" is not on network "web"'),
    (
        "set web nope=1",
        2,
        'unknown key "nope": use dns, gateway-mode, gateway-mode4, gateway-mode6, icc, internal, ip-range,',
    ),
    ("set web/c1 mtu=1400", 2, 'unknown key "mtu": use alias, default-route'),
    ("set web mtu", 2, '"mtu" is not KEY=VALUE'),
    ("set web mtu-=1400", 2, "mtu-=1400: mtu has one value: use mtu=VALUE"),
    ("set web mtu=x", 2, 'mtu=x: "x" is not a number'),
    ("set web mtu=1", 2, "mtu=1: 1 is out of range: use 68 to 65535"),
    ("set web icc=maybe", 2, "icc=maybe: use true or false"),
    ("set web driver=macvlan", 2, "driver cannot be changed: the containers would have to be connected again"),
    ("set web gateway=10.1.0.9", 2, "gateway cannot be changed: it is the default route of the containers"),
    ("set web/c1 ip=10.1.0.9", 2, "ip cannot be changed: programs in the container use it: disconnect"),
    ("set web label==x", 2, 'label==x: invalid label "=x"'),
    ("set web label-=a", 3, 'label-=a: there is no label "a"'),
    ("set web reserve=10.2.0.1", 2, "reserve=10.2.0.1: 10.2.0.1 is not in 10.1.0.0/24"),
    ("set web reserve-=10.1.0.9", 3, "reserve-=10.1.0.9: it is not reserved"),
    ("set web ip-range=10.1.0.0/23", 2, "ip-range=10.1.0.0/23: it is not within 10.1.0.0/24"),
    ("set web ip-range-=10.1.0.128/25", 3, "ip-range-=10.1.0.128/25: 10.1.0.0/24 has no such range"),
    ("set web subnet=x", 2, 'subnet=x: "x" has no prefix length'),
    ("set web subnet=10.1.0.0/25", 4, "overlaps 10.1.0.0/24"),
    ("set web subnet-=10.1.0.0/24", 4, 'subnet-=10.1.0.0/24: it is the only subnet of network "web"'),
    ("set web subnet-=10.5.0.0/24", 3, 'subnet-=10.5.0.0/24: network "web" has no such subnet'),
    ("set web internal=true", 4, 'internal=true: "c1" publishes ports, which no internal network can'),
    ("remove web", 4, 'network "web" is in use by "c1"'),
    ("run web", 2, "the command must follow --"),
    ("run nope -- true", 3, 'network "nope" not found'),
]


def test_each_invalid_value_is_named_and_touches_nothing(host):
    host.sh(
        WEB + ADD.format("c3") + "ip -n c3 link add dev x type bridge; ip -n c3 address add 10.9.0.2/24 dev x;"
        "ip -n c3 link set x up; ip -n c3 route add default via 10.9.0.1;"
        "mydockernet create inside --internal; mydockernet create six --subnet fd00:1::/64;"
        "mydockernet create routed --gateway-mode routed;"
        "mydockernet connect web c1 -p 8080:80;"
        "mydockernet create l2 --no-subnet; mydockernet create closed --no-gateway"
    )
    listen = 'import socket; s = socket.create_server(("203.0.113.1", 7777)); print("ready", flush=True); input()'
    before = host.everything()
    with host.popen("python3", "-c", listen) as listener:
        assert listener.stdout.readline() == "ready\n"
        for words, status, text in INVALID:
            host.fails(words, status, text)
        host.mydockernet("connect web c2 -p 127.0.0.1:7777:80")
        listener.kill()
    host.mydockernet("disconnect web c2")
    assert host.snapshot() == before[0]


def test_wrong_values_of_connect_are_reported_together(host):
    host.set_up(WEB)
    words = "connect web c1 --ip x --mac y --ifname ../z --name .a -p 1:2:3:4 --label = --ip6 z --gw-priority high "
    words += "--alias a..b --dns x --hostname -"
    done = host.fails(words, 2)
    for option in (
        "--ip",
        "--mac",
        "--ifname",
        "--name",
        "--publish",
        "--label",
        "--ip6",
        "--gw-priority",
        "--alias",
        "--dns",
        "--hostname",
    ):
        assert f"mydockernet: error: {option}: " in done.stderr


def test_a_free_port_is_chosen_and_printed(host):
    host.set_up(WEB + "mydockernet connect web c1 -p 80 -p 127.0.0.1::81/udp -p 9000-9010:82")
    (record,) = json.loads(host.mydockernet("inspect web").stdout)
    assert record["Containers"]["c1"]["Ports"] == ["32768:80/tcp", "127.0.0.1:32768:81/udp", "9000:82/tcp"]
    assert host.mydockernet("publish web c1 90 9000-9010:91 70-72:70-72").stdout == (
        "0.0.0.0:32769\n0.0.0.0:9001\n0.0.0.0:70-72\n"
    )
    rules = host.run("iptables", "-t", "nat", "-S", "MYDOCKERNET-PORTS").stdout
    assert rules.count("--dport 70:72 ") == 1


def test_a_port_that_was_chosen_is_told_on_stderr(host):
    host.set_up(WEB)
    done = host.mydockernet("connect web c1 -p 80 -p 127.0.0.1::81/udp -p 9000:82")
    assert done.stdout == "10.1.0.2\n"
    assert done.stderr == (
        "mydockernet: note: published 80/tcp -> 0.0.0.0:32768\nmydockernet: note: published 81/udp -> 127.0.0.1:32768\n"
    )
    done = host.mydockernet("publish web c1 90 9001:91")
    assert done.stdout == "0.0.0.0:32769\n0.0.0.0:9001\n"
    assert done.stderr == "mydockernet: note: published 90/tcp -> 0.0.0.0:32769\n"


def test_port_lists_what_a_container_publishes(host):
    host.set_up(WEB + "mydockernet connect web c1 -p 8080:80 -p 127.0.0.1:5000-5002:53-55/udp -p 8081:80")
    host.mydockernet("connect web c2")
    assert host.mydockernet("port web c1").stdout == (
        "80/tcp -> 0.0.0.0:8080\n53-55/udp -> 127.0.0.1:5000-5002\n80/tcp -> 0.0.0.0:8081\n"
    )
    assert host.mydockernet("port web c1 80").stdout == "0.0.0.0:8080\n0.0.0.0:8081\n"
    assert host.mydockernet("network port web /run/netns/c1 54/udp").stdout == "127.0.0.1:5001\n"
    assert host.mydockernet("port web c2").stdout == ""
    host.fails("port web c1 53", 3, "53/tcp is not published by c1 on the network web", "mydockernet port web c1")
    host.fails("port web c1 x", 2, 'PORT: "x" is not PORT[/tcp|udp|sctp]')
    host.fails("port web c1 0", 2, "ports must be from 1 to 65535")
    host.fails("port web nope", 3, 'container "nope" is not on network "web"')
    host.fails("port nope c1", 3, 'network "nope" not found')
    host.fails("unpublish web c1 8080", 3, '8080 is not published by container "c1"', "hint: published: 8080:80/tcp")
    host.sh("ip netns del c1; mydockernet repair >/dev/null")
    done = host.mydockernet("port web c1 80")
    assert done.stdout == "0.0.0.0:8080\n0.0.0.0:8081\n"
    assert "c1 is detached: its ports are kept for it" in done.stderr


def test_a_container_on_several_networks(host):
    host.set_up(WEB + "mydockernet create b --subnet 10.2.0.0/24; mydockernet create i --internal --subnet 10.3.0.0/24")
    before = host.snapshot()

    def route():
        return host.run("ip", "-n", "c1", "route", "show", "default").stdout.split()[2:5]

    host.sh("mydockernet connect i c1; mydockernet connect web c1; mydockernet connect b c1")
    links = json.loads(host.run("ip", "-n", "c1", "-json", "address").stdout)
    assert [(link["ifname"], link["addr_info"][0]["local"]) for link in links[1:]] == [
        ("eth0", "10.3.0.2"),
        ("eth1", "10.1.0.2"),
        ("eth2", "10.2.0.2"),
    ]
    assert route() == ["10.1.0.1", "dev", "eth1"]
    host.mydockernet("disconnect web c1")
    assert route() == ["10.2.0.1", "dev", "eth2"]
    host.mydockernet("connect web c1")
    assert route() == ["10.2.0.1", "dev", "eth2"]
    host.sh("mydockernet rm -f b")
    assert route() == ["10.1.0.1", "dev", "eth1"]
    host.sh("mydockernet create b --subnet 10.2.0.0/24; mydockernet connect b c1 --gw-priority 2")
    assert route() == ["10.2.0.1", "dev", "eth2"]
    (record,) = json.loads(host.mydockernet("inspect b").stdout)
    assert record["Containers"]["c1"]["GwPriority"] == 2
    assert host.mydockernet("check").stdout == ""
    host.sh("mydockernet disconnect web c1; mydockernet connect web c1 --gw-priority 3")
    assert route() == ["10.1.0.1", "dev", "eth1"]
    host.sh("mydockernet disconnect web c1; mydockernet connect web c1 --gw-priority -1")
    assert route() == ["10.2.0.1", "dev", "eth2"]
    host.sh("mydockernet rm -f b")
    assert route() == ["10.1.0.1", "dev", "eth1"]
    host.sh("mydockernet rm -f web; mydockernet rm -f i; mydockernet create web --subnet 10.1.0.0/24")
    host.sh("mydockernet create b --subnet 10.2.0.0/24; mydockernet create i --internal --subnet 10.3.0.0/24")
    assert host.snapshot() == before


def test_several_networks_are_connected_at_once_or_none_is(host):
    host.set_up(WEB + "mydockernet create b --subnet 10.2.0.0/24; mydockernet create i --internal --subnet 10.3.0.0/24")
    before = host.everything()
    host.fails("connect b,nope c1", 3, 'network "nope" not found')
    assert host.everything() == before
    assert host.mydockernet("connect i,b,web c1 --name x --label k=v").stdout == "10.3.0.2\n10.2.0.2\n10.1.0.2\n"
    (record,) = json.loads(host.mydockernet("inspect x").stdout)
    networks = record["Networks"]
    assert {name: (net["Interface"], net["Labels"]) for name, net in networks.items()} == {
        "i": ("eth0", {"k": "v"}),
        "b": ("eth1", {"k": "v"}),
        "web": ("eth2", {"k": "v"}),
    }
    assert "via 10.2.0.1 dev eth1" in host.run("ip", "-n", "c1", "route", "show", "default").stdout
    assert host.mydockernet("run b,i,web -- ls /sys/class/net").returncode == 0
    host.fails("disconnect i,b,nope x", 3)
    assert host.mydockernet("disconnect i,b,web x").stdout == ""
    host.mydockernet("disconnect --force i,b c2")
    assert host.snapshot() == before[0]


def test_a_subnet_of_a_size_is_chosen_from_the_pools(host):
    host.mydockernet("create a --subnet 0.0.0.0/28")
    host.mydockernet("create b --subnet 0.0.0.0/28")
    host.mydockernet("create c --subnet 0.0.0.0/16 --subnet ::/96")
    host.mydockernet("create d --subnet 0.0.0.0/28 --subnet 0.0.0.0/28")
    shown = host.mydockernet(["list", "--format", "{{.Name}} {{.Subnet}}"]).stdout.splitlines()
    assert shown[:2] == ["a 10.208.0.0/28", "b 10.208.0.16/28"]
    assert shown[2].startswith("c 10.209.0.0/16,fd")
    assert shown[2].endswith("::/96")
    assert shown[3] == "d 10.208.0.32/28,10.208.0.48/28"
    assert host.mydockernet("create a --ignore --subnet 0.0.0.0/28").returncode == 0
    assert host.mydockernet("create a --ignore").returncode == 0
    assert host.mydockernet("create d --ignore --subnet 0.0.0.0/28 --subnet 10.208.0.32/28").returncode == 0
    host.fails("create a --ignore --subnet 0.0.0.0/27", 4, "with other settings")
    host.fails("create d --ignore --subnet 0.0.0.0/28", 4, "with other settings")


def test_the_mtu_is_that_of_the_default_route_when_the_network_is_created(host):
    host.sh(
        "ip netns add c1; ip link add wan type veth peer name far; ip link set dev wan mtu 1420; ip link set dev far up"
    )
    host.sh("ip address add 192.0.2.1/24 dev wan; ip link set dev wan up; ip route add default via 192.0.2.2")
    plan = host.mydockernet("create web --subnet 10.1.0.0/24 --dry-run").stdout
    assert "ip link set dev web mtu 1420\n" in plan
    host.mydockernet("create web --subnet 10.1.0.0/24")
    host.mydockernet("create b --mtu 1500")
    host.mydockernet("connect web c1")
    # From then on it is as it is: another default route is no drift.
    host.sh("ip link set dev wan mtu 1300; ip route del default")
    assert host.mydockernet("check").stdout == ""
    mtus = [json.loads(host.mydockernet(f"inspect {name}").stdout)[0]["MTU"] for name in ("web", "b")]
    assert mtus == [1420, 1500]
    assert "mtu 1420" in host.run("ip", "-n", "c1", "link", "show", "dev", "eth0").stdout
    host.mydockernet("create web --ignore --subnet 10.1.0.0/24")
    host.fails("create web --ignore --subnet 10.1.0.0/24 --mtu 1300", 4, "with other settings")
    host.mydockernet("create c")
    assert json.loads(host.mydockernet("inspect c").stdout)[0]["MTU"] is None


def test_names_and_name_servers_are_kept_on_record_and_shown(host):
    host.set_up(WEB + "mydockernet create b --dns 10.1.0.9 --dns 9.9.9.9 --dns 10.1.0.9")
    host.mydockernet("connect b,web c1 --alias www --network-alias db_1 --dns 1.1.1.1 --hostname www.example.org")
    host.mydockernet("connect b c2")
    network, container = json.loads(host.mydockernet("inspect b c1").stdout)
    assert network["DNS"] == ["10.1.0.9", "9.9.9.9"]
    keys = ("Aliases", "DNS", "Hostname")
    given = [["www", "db_1"], ["1.1.1.1"], "www.example.org"]
    for place in (*container["Networks"].values(), network["Containers"]["c1"]):
        assert [place[key] for key in keys] == given
    assert [network["Containers"]["c2"][key] for key in keys] == [[], [], ""]
    assert "www.example.org" in host.mydockernet("inspect c1 --format table").stdout
    # It is the same container when it returns.
    host.sh("ip netns del c1; ip netns add c1; mydockernet connect b c1")
    (container,) = json.loads(host.mydockernet("inspect c1").stdout)
    assert [container["Networks"]["b"][key] for key in keys] == given
    host.mydockernet("create b --ignore --dns 10.1.0.9 --dns 9.9.9.9")
    host.fails("create b --ignore", 4, "with other settings")
    host.fails("create c --dns x --dns 0.0.0.0", 2, "--dns: 'x'", "--dns: 0.0.0.0 cannot be the address")


def test_static_routes_are_in_every_container_and_leave_with_the_network(host):
    host.set_up(WEB + ROUTED)
    before = host.snapshot()
    for name in ("c1", "c2"):
        host.mydockernet(f"connect r {name}")
    shown = host.run("ip", "-n", "c1", "route").stdout.splitlines()
    assert [line.strip() for line in shown if "kernel" not in line] == [
        "default via 10.3.0.1 dev eth0 metric 50",
        "prohibit 10.7.0.0/16 proto 28 metric 7",
        "blackhole 10.8.0.0/16 proto 28",
        "10.9.0.0/16 via 10.3.0.9 dev eth0 proto 28",
    ]
    # Replies already have a source address: they must find the routes as well.
    host.mydockernet("connect web c1")
    way = host.run("ip", "-n", "c1", "route", "get", "10.9.1.1", "from", "10.3.0.2").stdout
    assert "via 10.3.0.9 dev eth0" in way
    (record,) = json.loads(host.mydockernet("inspect r").stdout)
    assert record["Routes"] == ["10.9.0.0/16,10.3.0.9", "10.8.0.0/16,blackhole", "10.7.0.0/16,prohibit,7"]
    assert record["Metric"] == 50
    for words in ("disconnect r c1", "disconnect web c1", "rm -f r"):
        host.mydockernet(words)
    host.mydockernet("create r --subnet 10.3.0.0/24")
    assert host.snapshot() == before


def test_routes_of_two_networks_of_a_container_do_not_clash(host):
    host.set_up(WEB + ROUTED + "mydockernet connect web c1; mydockernet connect r c2")
    host.mydockernet("create s --subnet 10.4.0.0/24 --route 10.9.0.0/16,blackhole --route 10.3.0.0/24,10.4.0.9,5")
    host.mydockernet("create t --subnet 10.9.0.0/16")
    clash = (
        'the route 10.9.0.0/16,blackhole of network "s" clashes with network "r", and container "c2" would be on both'
    )
    host.fails("connect s c2", 4, clash)
    host.mydockernet("connect s c1")
    host.fails("connect t c2", 4, 'the route 10.9.0.0/16,10.3.0.9 of network "r" clashes with network "t"')
    # A default route with another metric may stand beside that of the container itself.
    host.sh(
        "ip netns add c4; ip -n c4 link add x type bridge; ip -n c4 address add 10.99.0.2/24 dev x; "
        "ip -n c4 link set x up; ip -n c4 route add default via 10.99.0.1"
    )
    host.fails("connect web c4", 4, 'container "c4" already has a default route: default via 10.99.0.1')
    host.mydockernet("connect r c4")
    assert host.sh("ip -n c4 route show default | wc -l").stdout == "2\n"


def test_a_container_is_a_name_a_pid_or_a_path(host):
    host.set_up(WEB)
    with host.popen("unshare", "-n", "sh", "-c", "echo $$; exec sleep infinity") as container:
        pid = container.stdout.readline().strip()
        assert host.mydockernet(f"connect web {pid}").stdout == "10.1.0.2\n"
        assert host.mydockernet("connect web /run/netns/c1").stdout == "10.1.0.3\n"
        host.fails(f"connect web /proc/{pid}/ns/net", 4, f'container "{pid}" is already on network "web"')
        host.fails("connect web c1", 4, 'container "c1" is already on network "web"')
        (record,) = json.loads(host.mydockernet("inspect web").stdout)
        assert {name: c["State"] for name, c in record["Containers"].items()} == {pid: "up", "c1": "up"}
        host.mydockernet(f"disconnect web /proc/{pid}/ns/net")
        container.kill()
    host.mydockernet("disconnect web /run/netns/c1")


def test_a_pid_that_came_again_is_not_the_container(host):
    host.set_up(WEB)
    with host.popen("unshare", "-n", "sh", "-c", "echo $$; exec sleep infinity") as container:
        pid = container.stdout.readline().strip()
        host.mydockernet(f"connect web {pid}")
        # As if the process had begun at another time.
        host.sh('sed -i \'s/"started": [0-9]*/"started": 1/\' /var/lib/mydockernet/networks/web.json')
        (record,) = json.loads(host.mydockernet("inspect web").stdout)
        assert record["Containers"][pid]["State"] == "gone"
        host.fails(f"publish web {pid} 80:80", 4, f'the namespace of container "{pid}" is gone')
        host.fails(f"connect web {pid}", 4, "but its namespace is gone", "hint: mydockernet repair web")
        done = host.mydockernet("rm web")
        assert f'the namespace of container "{pid}" was already gone' in done.stderr
        container.kill()


VANISHING = {
    "the namespace": "ip netns del c1; while ip link show $(cat /run/veth) >/dev/null 2>&1; do sleep 0.05; done",
    "the interface": "ip link del $(cat /run/veth)",
    "the bridge": "ip link del web",
    "all rules": "for t in raw nat filter; do iptables -t $t -F; done; iptables -t filter -X; iptables -t nat -X",
    "everything": "ip netns del c1; ip link del web; for t in raw nat filter; do iptables -t $t -F; done",
    "a chain": "iptables -F MYDOCKERNET-FORWARD; iptables -F FORWARD; iptables -X MYDOCKERNET-FORWARD",
}


@pytest.mark.parametrize("last", ["disconnect web c1; mydockernet rm web", "rm -f web"], ids=["disconnect", "remove"])
@pytest.mark.parametrize(("what", "damage"), VANISHING.items(), ids=VANISHING)
def test_what_vanished_is_no_obstacle(host, what, damage, last):
    host.sh("for t in raw nat filter mangle; do iptables -t $t -F; iptables -t $t -X; done")
    before = host.snapshot()
    host.set_up(WEB)
    host.sh("mydockernet connect web c1 -p 8080:80; mydockernet connect web c2")
    host.sh("mydockernet inspect web | jq -r '.[0].Containers.c1.HostInterface' > /run/veth")
    host.sh(damage)
    done = host.sh(f"mydockernet disconnect web c2; mydockernet {last}")
    if what != "all rules" and what != "a chain":
        assert "was already gone" in done.stderr
    host.sh("ip netns del c1 2>/dev/null || true; ip netns del c2")
    assert host.snapshot() == before
    assert host.state() == {}


def test_a_dead_container_does_not_keep_a_network(host):
    host.set_up(WEB + "mydockernet connect web c1; mydockernet connect web c2; ip netns del c1")
    host.fails("rm web", 4, 'network "web" is in use by "c2"')
    host.sh("ip netns del c2")
    done = host.mydockernet("rm web")
    assert 'the namespace of container "c1" was already gone: /run/netns/c1' in done.stderr
    assert 'the namespace of container "c2" was already gone: /run/netns/c2' in done.stderr


def test_a_dead_container_on_another_network_is_no_obstacle(host):
    host.sh(
        WEB + "mydockernet create b; mydockernet connect web c1 -p 80:80; mydockernet connect b c1; ip netns del c1"
    )
    host.sh("mydockernet connect web c2; mydockernet disconnect web c1; mydockernet rm b; mydockernet rm -f web")
    assert host.state() == {}


# Those that wait ask for the lock a hundred times a second: all hundred together would mostly do that.
AT_ONCE = 10 * int(os.environ.get("MYDOCKERNET_TEST_ROUNDS", "1"))


@pytest.mark.long
@pytest.mark.half(1)
def test_a_hundred_connects_and_disconnects_side_by_side(host):
    containers = [f"c{number}" for number in range(100)]
    host.sh(f"for c in {' '.join(containers)}; do ip netns add $c; ip -n $c link set lo up; done")
    host.mydockernet("create web --ipv6")
    before = host.snapshot()
    given = host.at_once([f"connect -p 80 --lock-timeout 300 web {c}" for c in containers], AT_ONCE)
    assert [len({both.split()[family] for both in given}) for family in (0, 1)] == [100, 100]
    seen = host.snapshot()
    rules = [(of, table, rule) for of in ("rules", "rules6") for table, body in seen[of].items() for rule in body]
    assert len(rules) == len(set(rules))
    assert sum("-j DNAT" in rule for *_, rule in rules) == 200
    assert host.mydockernet(["list", "--format", "{{.Containers}} {{.State}}"]).stdout == "100 up\n"
    host.at_once([f"disconnect --lock-timeout 300 web {c}" for c in containers], AT_ONCE)
    assert host.snapshot() == before
