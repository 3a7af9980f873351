"""What only the driver macvlan has: hosts of a LAN, on a parent interface of the host, outside its routes and rules."""

import json

import pytest

from tests.kernel.test_drift import NOTHING, lose_and_repair, ours
from tests.kernel.test_explain import explain

# The LAN has a host of its own, router, beside this one.
LAN = """
for n in c1 c2 router; do ip netns add $n; ip -n $n link set lo up; done
ip link add up1 type veth peer name eth0 netns router
ip addr add 192.0.2.1/24 dev up1; ip link set up1 up; ip route add default via 192.0.2.2
ip -n router addr add 192.0.2.2/24 dev eth0; ip -n router link set eth0 up
"""
OPTIONS = "--driver macvlan --subnet 192.0.2.0/24 --gateway 192.0.2.2 --ip-range 192.0.2.16/28"
SETUP = f"{LAN}mydockernet create lan {OPTIONS} --host-ip 192.0.2.9; mydockernet connect lan c1\n"
PING = "ip netns exec {} ping -q -c 1 -W 1 {}"


def reaches(host, *pairs):
    return [host.sh(PING.format(*pair), check=False).returncode == 0 for pair in pairs]


def test_containers_are_hosts_of_the_lan(host):
    before = host.snapshot()
    host.set_up(LAN)
    with_lan = host.snapshot()
    host.set_up(f"mydockernet create lan {OPTIONS}; mydockernet connect lan c1; mydockernet connect lan c2")
    assert host.rules() == before["rules"]
    assert reaches(host, ("c1", "192.0.2.2"), ("c1", "192.0.2.17"), ("router", "192.0.2.16")) == [True] * 3
    # The kernel carries nothing between a parent and what is on it.
    assert reaches(host, ("c1", "192.0.2.1")) == [False]
    assert host.sh("ping -q -c 1 -W 1 192.0.2.16", check=False).returncode == 1
    (link,) = json.loads(host.run("ip", "-n", "c1", "-json", "link", "show", "dev", "eth0").stdout)
    assert (link["ifalias"], link["address"]) == ("mydockernet:lan", "02:42:c0:00:02:10")
    host.mydockernet("rm -f lan")
    assert host.snapshot() == with_lan


def test_with_an_address_of_its_own_the_host_reaches_its_containers(host):
    host.set_up(SETUP)
    host.sh("ping -q -c 1 -W 1 192.0.2.16")
    assert reaches(host, ("c1", "192.0.2.9"), ("c1", "192.0.2.1")) == [True, True]
    assert "192.0.2.16 dev lan proto 28" in host.run("ip", "route").stdout
    assert host.mydockernet("connect lan c2").stdout == "192.0.2.17\n"
    host.mydockernet("disconnect lan c2")
    assert "192.0.2.17" not in host.run("ip", "route").stdout


@pytest.mark.parametrize("mode", ["private", "vepa"])
def test_modes_in_which_containers_do_not_reach_each_other_without_a_switch(host, mode):
    host.set_up(
        f"{LAN}mydockernet create lan {OPTIONS} -o macvlan_mode={mode} -o parent=up1; mydockernet connect lan c1"
    )
    host.mydockernet("connect lan c2")
    assert reaches(host, ("c1", "192.0.2.17"), ("c1", "192.0.2.2")) == [False, True]
    assert host.mydockernet("check").stdout == ""
    (record,) = json.loads(host.mydockernet("inspect lan").stdout)
    assert (record["Parent"], record["Mode"], record["Bridge"]) == ("up1", mode, None)
    _, hops = explain(host, "c1 c2")
    assert hops[-1]["State"] == ("stops" if mode == "private" else "unsure"), hops


def test_passthru_has_room_for_one(host):
    host.set_up(f"{LAN}mydockernet create lan {OPTIONS} --mode passthru; mydockernet connect lan c1")
    assert reaches(host, ("c1", "192.0.2.2")) == [True]
    before = host.everything()
    host.fails("connect lan c2", 4, 'network "lan" is full: the mode passthru allows one container')
    assert host.everything() == before
    host.mydockernet("rm -f lan")


def test_internal_has_no_default_route(host):
    host.set_up(f"{LAN}mydockernet create lan {OPTIONS} --internal; mydockernet connect lan c1")
    assert host.run("ip", "-n", "c1", "route", "show", "default").stdout == ""
    assert reaches(host, ("c1", "192.0.2.2")) == [True]


def test_ipv6(host):
    host.set_up(
        f"{LAN}ip -n router addr add fd00:2::2/64 dev eth0 nodad;"
        f"mydockernet create lan {OPTIONS} --subnet fd00:2::/64 --gateway fd00:2::2 --host-ip fd00:2::9;"
        "mydockernet connect lan c1"
    )
    assert host.sh("for i in 1 2 3; do ip netns exec c1 ping -6 -q -c 1 -W 1 fd00:2::2 && break; done")
    host.sh("ping -6 -q -c 1 -W 1 fd00:2::1")
    assert host.mydockernet("check").stdout == ""
    host.fails("create six --ipv6 --driver macvlan --subnet 192.0.2.0/24", 2, "--subnet: the driver macvlan needs")


LOSSES = {
    "a container's interface": ("ip -n c1 link del eth0", "lan: missing macvlan: eth0 in /run/netns/c1, mode bridge"),
    "its name": (
        "ip -n c1 link set eth0 down; ip -n c1 link set eth0 name other",
        "lan: missing macvlan: eth0 in /run/netns/c1",
    ),
    "its alias and its group": (
        "ip -n c1 link set eth0 alias mine; ip -n c1 link set eth0 group 0",
        "lan: missing alias: mydockernet:lan on eth0 in /run/netns/c1",
        "ip -n c1 link set eth0 group 28007",
    ),
    "its mode": ("ip -n c1 link set eth0 type macvlan mode private", "lan: missing macvlan: eth0 in /run/netns/c1"),
    "another in its place": (
        "ip -n c1 link del eth0; ip -n c1 link add eth0 type bridge; ip -n c1 link set eth0 name mine;"
        "ip -n c1 link del mine",
        "lan: missing macvlan: eth0 in /run/netns/c1",
    ),
    "its MAC address": ("ip -n c1 link set eth0 address 02:00:00:00:00:99", "lan: MAC address of eth0 in"),
    "its routes": ("ip -n c1 route del default", "lan: missing default route: via 192.0.2.2"),
    "the host's interface": ("ip link del lan", "lan: missing macvlan: lan, mode bridge, on up1"),
    "the host's address": ("ip addr flush dev lan", "lan: missing address: 192.0.2.9/32 on lan"),
    "the host's route": ("ip route del 192.0.2.16", "lan: missing route: 192.0.2.16/32 dev lan"),
    "the host's interface, up": ("ip link set lan down", "lan: interface lan is down"),
}


@pytest.mark.half(2)
def test_what_is_lost_is_named_and_restored(host):
    host.set_up(SETUP)
    whole = ours(host)
    for damage, told, *after in LOSSES.values():
        lose_and_repair(host, damage, told, whole=whole, after="".join(after))


HIDDEN = """
ip -n c1 link set eth0 down; ip -n c1 link set eth0 name {}
ip -n c1 link set dev {} alias x; ip -n c1 link set dev {} group 0; ip -n c1 link set dev {} address 02:00:00:00:00:01
"""


@pytest.mark.parametrize("name", ["hidden", "-x", 'a"b', "a#b"])
@pytest.mark.parametrize("verb", ["disconnect lan c1", "rm -f lan"])
def test_a_container_that_hides_its_interface_does_not_keep_it(host, verb, name):
    """Its root may change everything but the index."""
    host.set_up(SETUP)
    host.sh(HIDDEN.replace("{}", f"'{name}'"))
    host.mydockernet(verb)
    assert [link["ifname"] for link in json.loads(host.run("ip", "-n", "c1", "-json", "link").stdout)] == ["lo"]


def test_an_interface_that_is_not_ours_blocks_the_repair_of_that_container_only(host):
    host.set_up(SETUP + "mydockernet connect lan c2; ip -n c2 link del eth0")
    host.sh("ip -n c1 link del eth0; ip -n c1 link add eth0 type bridge")
    done = host.mydockernet("repair", check=False)
    assert done.returncode == 5
    assert 'cannot repair container c1: interface "eth0" already exists in /run/netns/c1' in done.stderr
    assert reaches(host, ("c2", "192.0.2.2")) == [True]
    assert "blocked" in host.mydockernet("check --format json", check=False).stdout


def test_without_its_parent_a_network_is_missing_and_told(host):
    host.set_up(SETUP)
    assert host.mydockernet("ls --format {{.State}}").stdout == "up\n"
    host.sh("ip link set up1 down")
    assert host.mydockernet("ls --format {{.State}}").stdout == "down\n"
    host.sh("ip link del up1")
    assert host.mydockernet("ls --format {{.State}}").stdout == "missing\n"
    done = host.mydockernet("repair", check=False)
    assert done.returncode != 0
    assert 'there is no interface "up1"' in done.stderr
    host.mydockernet("rm -f lan")
    assert host.state() == {}


def test_after_a_reboot_one_repair_restores_it(host):
    host.set_up(SETUP)
    whole = ours(host)
    host.sh("ip netns del c1; ip link del up1; ip netns del router; ip netns del c2")
    host.sh(LAN)
    host.mydockernet("repair")
    host_side, inside = ours(host)[:2]
    assert (host_side["routes"], inside["c1"]) == (whole[0]["routes"], whole[1]["c1"])
    assert host.mydockernet("repair --dry-run").stdout == NOTHING


INVALID = [
    ("create x --driver macvlan", 2, "--subnet: the driver macvlan needs the subnet of the LAN that up1 is on"),
    ("create x --driver macvlan", 2, "hint: --subnet 192.0.2.0/24, and --ip-range"),
    ("create x --driver macvlan --parent nope", 2, '--parent: there is no interface "nope"'),
    ("create x --driver macvlan --parent a/b", 2, '--parent: invalid interface name "a/b"'),
    ("create x --driver macvlan --parent lo", 2, "--parent: lo leads to no LAN"),
    ("create x --driver macvlan --parent port", 2, "--parent: port is a port of web"),
    (
        "create x --driver macvlan --mode l2",
        2,
        '--mode: "l2" is no mode of macvlan: use bridge, private, vepa, passthru',
    ),
    ("create x --driver macvlan --subnet 192.0.2.0/24 --mtu 9000", 2, "--mtu: 9000 is more than the MTU of up1, 1500"),
    (
        "create x --driver macvlan --subnet 192.0.2.0/24 --host-ip 10.1.0.9",
        2,
        "--host-ip: 10.1.0.9 is not in 192.0.2.0/24",
    ),
    (
        "create x --driver macvlan --subnet 192.0.2.0/24 --host-ip 192.0.2.255",
        2,
        "--host-ip: 192.0.2.255 is the network or",
    ),
    (
        "create x --driver macvlan --subnet 192.0.2.0/24 --gateway 192.0.2.2 --host-ip 192.0.2.1",
        2,
        "--host-ip: 192.0.2.1 is already an address of the host",
    ),
    ("create x --driver macvlan --host-ip y", 2, "--host-ip: 'y'"),
    (
        "create x --driver macvlan --mode passthru --host-ip 192.0.2.9",
        2,
        "--host-ip: in the mode passthru, the parent has room for one container only",
    ),
    (
        "create x --driver macvlan --no-icc",
        2,
        "--no-icc: the driver macvlan does not support it: its packets do not pass",
    ),
    ("create x --driver macvlan --no-masquerade", 2, "--no-masquerade: the driver macvlan does not support it"),
    ("create x --driver macvlan --no-masquerade6", 2, "--no-masquerade6: the driver macvlan does not support it"),
    ("create x --driver macvlan --port-security", 2, "--port-security: the driver macvlan does not support it"),
    (
        "create x --driver macvlan --bridge-name br9",
        2,
        "--bridge-name: the driver macvlan does not support it: it has no",
    ),
    ("create x --parent up1", 2, "--parent: the driver bridge does not support it: it has no parent interface"),
    ("create x --mode bridge", 2, "--mode: the driver bridge does not support it: it has no parent interface"),
    ("create x --host-ip 10.1.0.9", 2, "--host-ip: the driver bridge does not support it: the host has the address of"),
    ("create x --driver ptp --parent up1", 2, "--parent: the driver ptp does not support it"),
    ("create x --driver macvlan --subnet 192.0.2.0/25", 4, 'overlaps 192.0.2.0/24 of network "lan"'),
    ("create x --driver macvlan --subnet 203.0.113.0/24", 4, "overlaps 203.0.113.0/24 of the host's route"),
    (
        "connect lan c2 -p 80:80",
        2,
        "--publish: the driver macvlan does not support it: other hosts reach its containers",
    ),
    ("publish lan c1 80:80", 2, "--publish: the driver macvlan does not support it"),
    ("connect lan c2 --ip 192.0.2.1", 4, "--ip: 192.0.2.1 is already in use by the host"),
    ("connect lan c2 --ip 192.0.2.9", 4, "--ip: 192.0.2.9 is already in use by the host"),
    ("connect lan c2 --ip 192.0.2.2", 4, "--ip: 192.0.2.2 is the gateway"),
]


def test_what_it_can_not_do_is_refused(host):
    host.set_up(
        SETUP + "mydockernet create web; ip link add port type veth peer name trop; ip link set port master web"
    )
    before = host.everything()
    for words, status, text in INVALID:
        host.fails(words, status, text)
    assert host.everything() == before
    host.sh("ip route del default")
    host.fails("create x --driver macvlan --subnet 10.9.0.0/24", 2, "--parent: the host has no default route")
    host.mydockernet(f"create lan {OPTIONS} --parent up1 --host-ip 192.0.2.9 --ignore")
    host.fails(f"create lan {OPTIONS} --parent up1 --mode vepa --host-ip 192.0.2.9 --ignore", 4, "with other settings")


TRACES = {
    "c1 c2": ("passes", "c2: receives it and replies to 192.0.2.16 through eth0"),
    "c1 192.0.2.2": ("passes", "up1: frames of c1 leave through it, past the routes and rules of the host"),
    "c1 198.51.100.1": ("passes", "up1: frames of c1 leave through it, past the routes and rules of the host"),
    "192.0.2.2 c1": ("passes", "c1: receives it and replies to 192.0.2.2 through eth0"),
    "c1 host": ("passes", "the host: 192.0.2.9 is its own address"),
    "c1 192.0.2.1": ("passes", "the host: 192.0.2.1 is its own address"),
    "host c1": ("passes", "c1: receives it and replies to 192.0.2.9 through eth0"),
}
APART = {
    "c1 host": ("stops", "up1: carries no frames between the host and its macvlan interfaces"),
    "host c1": ("stops", "up1: carries no frames between the host and its macvlan interfaces"),
    "c1 c2": ("passes", "c2: receives it"),
}


@pytest.mark.parametrize(("options", "traces"), [("--host-ip 192.0.2.9", TRACES), ("", APART)])
def test_explain_follows_the_parent(host, options, traces):
    host.set_up(
        f"{LAN}mydockernet create lan {OPTIONS} {options}; mydockernet connect lan c1; mydockernet connect lan c2"
    )
    for words, (state, what) in traces.items():
        done, hops = explain(host, words)
        assert hops[-1]["State"] == state, (words, hops)
        assert what in hops[-1]["What"]
    assert "problem" not in host.mydockernet("doctor", check=False).stdout
    host.sh("ip link set up1 down")
    done, hops = explain(host, "c1 c2")
    assert (done.returncode, hops[-1]["What"]) == (5, "the host: parent interface up1 is down")


def test_who_knows_its_parts(host):
    host.set_up(SETUP)
    assert host.mydockernet("who 192.0.2.9 192.0.2.16 192.0.2.2 192.0.2.20 up1 lan 02:42:c0:00:02:10").stdout == (
        "192.0.2.9: the host's address on network lan, on lan\n"
        "192.0.2.16: container c1 on network lan\n"
        "192.0.2.2: gateway of network lan, on the LAN of up1\n"
        "192.0.2.20: no container has this address of network lan\n"
        "up1: parent interface of network lan\n"
        "lan: the host's interface on network lan\n"
        "02:42:c0:00:02:10: container c1 on network lan: macvlan eth0 on up1\n"
    )
    table = host.mydockernet("inspect lan --format table").stdout
    assert "c1         192.0.2.16  every port  the LAN of up1; the host  192.0.2.16" in table


def test_set_changes_a_network_in_use(host):
    host.set_up(SETUP)
    before = host.everything()
    for words, text in (
        ("icc=false", "icc=false: the driver macvlan does not support it"),
        ("masquerade=false", "masquerade=false: the driver macvlan does not support it"),
        ("mtu=9000", "mtu=9000: the MTU of up1 is 1500"),
        ("ipv6=true", "ipv6=true: the network has the subnets of the LAN that up1 is on: use subnet=CIDR"),
        ("mode=private", "mode cannot be changed"),
        ("parent=lo", "parent cannot be changed"),
        ("host-ip=192.0.2.8", "host-ip cannot be changed"),
    ):
        host.fails(f"set lan {words}", 2, text)
    assert host.everything() == before
    host.mydockernet("set lan mtu=1400 internal=true subnet=fd00:2::/64")
    assert host.run("ip", "-n", "c1", "route", "show", "default").stdout == ""
    assert "fd00:2::2/64" in host.run("ip", "-n", "c1", "address", "show", "dev", "eth0").stdout
    assert host.mydockernet("check").stdout == ""


def test_a_parent_that_is_gone_blocks_no_verb(host):
    """Not even if the host has an interface on it, and routes through that."""
    host.set_up(
        "ip link add dev p type veth peer name q; ip link set dev p up; ip netns add c1; mydockernet create web;"
        "mydockernet create m -d macvlan --parent p --subnet 192.0.2.0/24 --host-ip 192.0.2.50;"
        "mydockernet connect m c1; ip link delete dev p"
    )
    for verb in ("connect web c1", "disconnect web c1", "disconnect m c1", "remove m", "check"):
        host.mydockernet(verb)
