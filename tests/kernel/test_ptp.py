"""What only the driver ptp has: its routes, its order of rules, its traces. The other tests run for it as well."""

import pytest

from tests.conftest import CANARY, Host
from tests.kernel.lab import A, Lab
from tests.kernel.test_drift import lose_and_repair, ours
from tests.kernel.test_explain import WELL, explain

SETUP = """
for c in c1 c2; do ip netns add $c; done
mydockernet create web --driver ptp --subnet 10.1.0.0/24 --mtu 1400
mydockernet create b --driver ptp --subnet 10.2.0.0/24 --no-icc
mydockernet connect web c1 -p 8080:80
mydockernet connect b c1
mydockernet connect web c2
mydockernet inspect web | jq -r '.[0].Containers.c1.HostInterface' > /run/veth
"""
VETH = "$(cat /run/veth)"
# Deletes the rule that lets containers reach each other, and keeps its words in $rule.
ICC = """
rule=$(iptables -S MYDOCKERNET-FORWARD | grep -e "-s 10.1.0.0/24" | sed 's/-A MYDOCKERNET-FORWARD//; s/"//g')
iptables -D MYDOCKERNET-FORWARD $rule
"""
LOSSES = {
    "a veth": (f"ip link del {VETH}", "web: missing veth pair: c1-"),
    "a veth that is down": (f"ip link set {VETH} down", "web: missing route: 10.1.0.2/32 dev c1-"),
    "a gateway's address": (f"ip addr flush dev {VETH}", "web: missing address: 10.1.0.1/32 on c1-"),
    "a route to a container": ("ip route del 10.1.0.2", "web: missing route: 10.1.0.2/32 dev c1-"),
    "all routes": ("ip route flush proto 28", "b: missing route: unreachable 10.2.0.0/24"),
    "a link group": (f"ip link set {VETH} group 7", "web: interface c1-"),
    "an MTU": (f"ip link set {VETH} mtu 1300", "web: MTU of c1-"),
    "a container's routes": (
        "ip -n c1 route flush dev eth0",
        "web: missing route: 10.1.0.1/32 dev eth0 in /run/netns/c1",
    ),
    "a container's subnet": ("ip -n c1 route del 10.1.0.0/24", "web: missing route: 10.1.0.0/24 via 10.1.0.1 dev eth0"),
    "a table": ("ip -n c1 route flush table 28002", "b: missing route: 10.2.0.0/24 table 28002 dev eth1"),
    "route_localnet": (f"sysctl -w net.ipv4.conf.{VETH}.route_localnet=0", "route_localnet is not 1"),
    "IPv6": (f"sysctl -w net.ipv6.conf.{VETH}.disable_ipv6=0", "disable_ipv6 is not 1"),
    "the rule for neighbors": (ICC, "web: missing rule: filter MYDOCKERNET-FORWARD -s 10.1.0.0/24"),
    "its order": (
        ICC + "iptables -A MYDOCKERNET-FORWARD $rule",
        "web: misplaced rule: filter MYDOCKERNET-FORWARD -s 10.1.0.0/24",
    ),
    "its order before the admin's chain": (
        ICC + "iptables -I MYDOCKERNET-FORWARD $rule",
        "@shared: misplaced rules: filter MYDOCKERNET-FORWARD",
    ),
    "all tables": (
        "for t in raw mangle nat filter; do iptables -t $t -F; iptables -t $t -X; done",
        "@shared: missing chain: filter MYDOCKERNET-FORWARD",
    ),
    "everything": (
        "for l in $(ip -br link show group 28004 | cut -d@ -f1); do ip link del $l; done; ip route flush proto 28;"
        "for t in raw mangle nat filter; do iptables -t $t -F; iptables -t $t -X; done",
        "web: missing route: unreachable 10.1.0.0/24",
    ),
}


@pytest.mark.long
@pytest.mark.half(1)
def test_what_is_lost_is_named_and_restored(host):
    host.set_up(SETUP)
    whole = ours(host)
    for damage, told in LOSSES.values():
        lose_and_repair(host, damage, told, whole=whole)


def test_without_a_network_all_that_is_left_over_is_removed(host):
    before = host.snapshot()
    host.set_up(SETUP + "ip route add unreachable 203.0.113.128/25; rm -r /var/lib/mydockernet")
    said = host.mydockernet("check", check=False).stdout
    assert "@shared: leftover route: unreachable 10.1.0.0/24\n" in said
    assert "203.0.113" not in said
    host.mydockernet("repair")
    host.sh("ip netns del c1; ip netns del c2; ip route del unreachable 203.0.113.128/25")
    assert host.snapshot() == before


def test_another_state_directory_keeps_the_shared_rules(host):
    before = host.snapshot()
    host.set_up("mydockernet create web --driver ptp; mydockernet create b --driver ptp --state-dir /run/x")
    assert host.mydockernet("ls").stdout.split()[-1] == "up"
    host.mydockernet("rm web")
    assert host.mydockernet("check --state-dir /run/x").stdout == ""
    assert host.mydockernet("repair").stdout == ""
    assert host.mydockernet("check --state-dir /run/x").stdout == ""
    host.mydockernet("rm b --state-dir /run/x")
    assert host.snapshot() == before


def test_a_network_without_containers_is_missing_once_nothing_of_it_is_left(host):
    host.set_up("mydockernet create web --driver ptp --subnet 10.1.0.0/24; mydockernet create other")
    host.sh("ip route del unreachable 10.1.0.0/24")
    assert host.mydockernet("ls --format '{{.Name}} {{.State}}'").stdout == "other up\nweb drifted\n"
    host.sh(
        "for t in mangle nat filter; do iptables -t $t -S | grep :web | sed s/-A/-D/ | xargs -rL1 iptables -t $t; done"
    )
    assert host.mydockernet("ls --format '{{.Name}} {{.State}}'").stdout == "other up\nweb missing\n"


def test_a_subnet_that_something_else_uses_is_refused(host):
    host.set_up("mydockernet create web --driver ptp --subnet 10.1.0.0/24")
    host.fails("create b --subnet 10.1.0.0/25", 4, '--subnet: 10.1.0.0/25 overlaps 10.1.0.0/24 of network "web"')
    host.sh("ip route add unreachable 10.3.0.0/16")
    host.fails("create b --driver ptp --subnet 10.3.1.0/24", 4, "of the host's route `unreachable 10.3.0.0/16`")


def test_what_it_can_not_do_is_refused(host):
    before = host.everything()
    host.fails(
        "create web --driver ptp --bridge-name br9 --port-security",
        2,
        "--bridge-name: the driver ptp does not support it: it has no bridge\n",
        "--port-security: the driver ptp does not support it: it has no bridge whose frames",
    )
    assert host.everything() == before


DUAL = """
for c in c1 c2; do ip netns add $c; done
mydockernet create web --driver ptp --subnet 10.1.0.0/24 --subnet fd00:1::/64
mydockernet create six --driver ptp --no-icc --subnet fd00:6::/64
mydockernet connect web c1 -p 8080:80; mydockernet connect web c2; mydockernet connect six c2
"""
LOSSES_6 = {
    "a route to a container": ("ip route del fd00:1::2", "web: missing route: fd00:1::2/128 dev c1-"),
    "a gateway": (f"ip addr flush dev {VETH}", "web: missing address: fd00:1::1/128 on c1-"),
    "IPv6": (f"sysctl -w net.ipv6.conf.{VETH}.disable_ipv6=1", "web: sysctl net.ipv6.conf.c1-"),
    "all routes": ("ip -6 route flush proto 28", "six: missing route: unreachable fd00:6::/64"),
    "a container's routes": ("ip -6 -n c1 route flush proto 28", "web: missing route: fd00:1::1/128 dev eth0"),
    "the rules": ("ip6tables -F; ip6tables -t mangle -F; ip6tables -t nat -F", "missing rule: filter FORWARD"),
}


def test_ipv6_is_routed_and_repaired(host):
    before = host.snapshot()
    host.set_up(DUAL + "mydockernet inspect web | jq -r '.[0].Containers.c1.HostInterface' > /run/veth")
    ping = "ip netns exec {} ping -6 -q -c 1 -W 1 {}"
    host.sh(ping.format("c1", "fd00:1::1") + "; " + ping.format("c1", "fd00:1::3") + "; ping -6 -q -c 1 -W 1 fd00:1::2")
    for there in ("fd00:6::2", "fd00:1::77"):
        assert host.sh(ping.format("c1", there), check=False).returncode == 1, there
    whole = ours(host)
    for damage, told in LOSSES_6.values():
        lose_and_repair(host, damage, told, whole=whole)
    host.mydockernet("rm -f web six")
    host.sh("ip netns del c1; ip netns del c2")
    assert host.snapshot()["host"] == before["host"]
    assert "ydockernet" not in str(host.snapshot()).lower()


def test_set_changes_a_network_in_use(host):
    host.set_up(SETUP)
    before = host.everything()
    host.fails(
        "set web port-security=true", 2, "port-security=true: the driver ptp does not support it: it has no bridge"
    )
    assert host.everything() == before
    ping = "ip netns exec c1 ping -q -c 1 -W 1 10.1.0.3"
    host.sh(ping)
    host.mydockernet("set web icc=false subnet=fd00:1::/64")
    assert host.sh(ping, check=False).returncode == 1
    host.sh("ping -6 -q -c 1 -W 1 fd00:1::2")
    assert host.mydockernet("check").stdout == ""
    host.mydockernet("set web icc=true subnet-=fd00:1::/64")
    host.sh(ping)
    assert host.mydockernet("check").stdout == ""


# What is between the containers, and what is asked and answered: over tcp and udp.
NO_ICC = {
    ("c1", "10.4.0.3", 81): "dropped",
    ("c2", "10.4.0.2", 80): "dropped",
    ("c2", "10.4.0.1", 8090): "c1 10.4.0.1",
    ("c1", "10.4.0.1", 8090): "c1 10.4.0.1",
    ("", "10.4.0.2", 80): "c1 10.4.0.1",
}


@pytest.mark.parametrize("internal", ["", "--internal"])
def test_no_icc_keeps_containers_apart(make_lab, internal):
    lab = make_lab(driver="ptp")
    lab.host.set_up(
        "ip netns add c1; ip netns add c2;"
        f"mydockernet create c --driver ptp --no-icc --subnet 10.4.0.0/24 {internal};"
        f"mydockernet connect c c1 {'' if internal else '-p 8090:80 -p 8090:80/udp'}; mydockernet connect c c2"
    )
    for name in ("c1", "c2"):
        lab.listen(name, name, "0.0.0.0:80", "0.0.0.0:81")
    wanted = {key: answer for key, answer in NO_ICC.items() if not internal or key[2] != 8090}
    assert dict(zip(wanted, lab.ask_at_once(wanted), strict=True)) == wanted


def test_an_unused_address_is_unreachable_and_does_not_leave_by_the_default_route(make_lab):
    lab = make_lab("ip route add default via 192.0.2.2", driver="ptp")
    ping = "ip netns exec a1 ping -c 1 -W 1 10.1.0.77 || true"
    assert f"From {A}.1 icmp_seq=1 Destination Host Unreachable" in lab.host.sh(ping).stdout
    lab.host.sh(f"ip route del unreachable {A}.0/24")
    assert "Unreachable" not in lab.host.sh(ping).stdout


BREAKAGES = {
    "no route to a container": (
        f"ip route del {A}.2",
        "a2 a1:80",
        "the host: has no route to a1",
        "mydockernet repair a",
    ),
    "no route from the host": (f"ip route del {A}.2", "host a1:80", f"has no route to {A}.2", "mydockernet repair a"),
    "no gateway": (
        "ip addr flush dev $(ip -br link | grep -o '^a1-[^@]*')",
        "a1 a2:80",
        f"no longer has the gateway address {A}.1 on a1-",
        "mydockernet repair a",
    ),
    "an unused address": ("true", f"a1 {A}.77", f"a: no container has the address {A}.77", "mydockernet list"),
    "its own port without the hairpin rule": (
        "eval iptables -t nat $(iptables -t nat -S POSTROUTING | grep 'DNAT.*:a\"' | sed s/-A/-D/)",
        "a1 host:8080",
        f"a1: drops it, as {A}.2 is its own address",
        "mydockernet repair a",
    ),
    "the guard": ("true", "b1 a2:80", "--dst-group 0x6d64", "mydockernet publish a a2 80"),
    "loopback not let out": (
        "sysctl -w net.ipv4.conf.$(ip -br link | grep -o '^a1-[^@]*').route_localnet=0",
        "host host:8081",
        "the host: route_localnet of a1-",
        "mydockernet repair a",
    ),
}


@pytest.fixture(scope="module")
def well():
    host = Host()
    host.sh(CANARY)
    lab = Lab(host, driver="ptp")
    yield lab
    lab.close()
    host.close()


@pytest.mark.half(2)
def test_where_all_is_well_explain_finds_nothing(well):
    for words in WELL:
        done, hops = explain(well.host, words)
        assert (done.returncode, {hop["State"] for hop in hops}) == (0, {"passes"}), (words, hops, done.stderr)
        assert "bridge" not in done.stdout
    done = well.host.mydockernet("doctor", check=False)
    assert "problem" not in done.stdout


@pytest.mark.parametrize("name", BREAKAGES)
def test_explain_names_the_culprit(well, name):
    damage, words, what, fix = BREAKAGES[name]
    well.host.sh(damage)
    done, hops = explain(well.host, words)
    well.host.mydockernet("repair")
    assert done.returncode == 5
    assert what in hops[-1]["What"]
    assert fix in hops[-1]["Fix"]


def test_who_and_inspect_know_its_parts(well):
    veth = well.door("a", "a1")
    said = well.host.mydockernet(f"who {A}.1 {veth}").stdout
    assert said == (
        f"{A}.1: gateway of network a, on each veth pair\n{veth}: container a1 on network a: veth pair {veth} to eth0\n"
    )
    assert (
        well.host.mydockernet("inspect a --format '{{.Driver}} {{json .Bridge}} {{.State}}'").stdout == "ptp null up\n"
    )
