"""The plans of the driver ipvlan as whole values. Many kernels, as that of CI, lack it."""

import pytest

from mydockernet import choices
from mydockernet.creation import Wish, create, refused
from mydockernet.dialects.fact import Link
from mydockernet.errors import Invalid
from mydockernet.model import Namespace
from mydockernet.transitions import Connection, connect, publish
from mydockernet.value import replace
from tests.unit.test_plan import commands, standing
from tests.unit.values import containers, endpoint, intent, network, subnet

INSIDE = "nsenter --net=/run/netns/c1"
HOST = replace(containers("c1", "c2"), links={"up1": Link("up1", "veth", index=2, up=True, mtu=1500)})


def lan(*endpoints, mode="l2", **more):
    return network("lan", "192.0.2.0/24", *endpoints, driver="ipvlan", parent="up1", mode=mode, **more)


def guest(**more):
    return replace(endpoint(address="192.0.2.16", veth="", index=300000001, **more), mac="")


@pytest.mark.parametrize(
    ("mode", "default"),
    [
        ("l2", "default via 192.0.2.1 dev eth0"),
        ("l3", "0.0.0.0/0 dev eth0 protocol 28"),
        ("l3s", "0.0.0.0/0 dev eth0 protocol 28"),
    ],
)
def test_a_container_shares_the_mac_address_and_has_a_gateway_only_on_a_lan(mode, default):
    net, full = lan(mode=mode), lan(guest(), mode=mode)
    assert commands({}, intent(net), HOST) == []
    assert commands(intent(net), intent(full), standing(net, host=HOST)) == [
        f"ip link add link up1 name eth0 index 300000001 netns /run/netns/c1 group 28007 type ipvlan mode {mode}",
        f"{INSIDE} ip link set dev eth0 alias mydockernet:lan",
        f"{INSIDE} sysctl -w net.ipv6.conf.eth0.disable_ipv6=1",
        f"{INSIDE} sysctl -w net.ipv6.conf.eth0.accept_ra=0",
        f"{INSIDE} sysctl -w net.ipv6.conf.eth0.autoconf=0",
        f"{INSIDE} ip address add 192.0.2.16/24 dev eth0",
        f"{INSIDE} ip link set dev lo up",
        f"{INSIDE} ip link set dev eth0 up",
        f"{INSIDE} ip route add {default}",
    ]
    there = standing(full, host=HOST)
    assert commands(intent(full), intent(full), there) == []
    assert commands(intent(full), {}, there) == [f"{INSIDE} ip link delete dev eth0"]


def test_a_second_network_without_a_gateway():
    first = network("a", "10.9.0.0/24", endpoint(address="10.9.0.2"))
    second = lan(guest(interface="eth1", order=2), mode="l3")
    seen = standing(first, replace(second, endpoints=()), host=HOST)
    coming = commands(intent(first, replace(second, endpoints=())), intent(first, second), seen)
    assert [line for line in coming if "route add" in line and "28002" in line] == [
        f"{INSIDE} ip route add 192.0.2.0/24 dev eth1 table 28002 protocol 28",
        f"{INSIDE} ip route add 0.0.0.0/0 dev eth1 table 28002 protocol 28",
    ]


def test_what_it_can_not_do_is_refused():
    wish = Wish(
        "x",
        "ipvlan",
        icc=False,
        masquerade=False,
        masquerade6=False,
        bridge="br9",
        port_security=True,
        mode="bridge",
        host_addresses=(subnet().gateway,),
    )
    options = [problem.partition(":")[0] for problem in refused(wish)]
    assert options == [*("--bridge-name", "--no-icc", "--no-masquerade", "--port-security", "--host-ip", "--mode")]
    net = intent(lan(guest()))
    with pytest.raises(Invalid, match="--mac: the driver ipvlan does not support it: its containers share the MAC"):
        connect(["lan"], Connection("c2", Namespace("/run/netns/c2", "4:2"), mac="02:00:00:00:00:01")).move(net, HOST)
    with pytest.raises(Invalid, match="--publish: the driver ipvlan does not support it"):
        publish("lan", "c1", ()).move(net, HOST)


def test_only_on_a_lan_it_needs_a_subnet():
    with pytest.raises(Invalid, match="--subnet: the driver ipvlan needs the subnet of the LAN that up1 is on"):
        create(Wish("x", "ipvlan", parent="up1")).move({}, HOST)
    made = create(Wish("x", "ipvlan", parent="up1", mode="l3")).move({}, HOST)["x"]
    assert (made.mode, made.bridge, str(made.subnets[0].network)) == ("l3", "", "10.208.0.0/24")


def test_the_index_is_one_that_the_kernel_does_not_give():
    assert 0x10000000 <= choices.link_index("lan", "c1") < 0x80000000
    assert choices.link_index("lan", "c1") != choices.link_index("lan", "c2")
