"""What create and connect choose where they were left a choice."""

import json

import pytest

from mydockernet import choices
from mydockernet.dialects import ip_json
from mydockernet.dialects.fact import Link, Observed
from mydockernet.value import replace
from tests.unit.values import endpoint, network


def host(mtus, *routes):
    """A host with interfaces that have these MTUs, and default routes: (interface, metric, gateway)."""
    text = [
        {"dst": "default", "gateway": gateway, "dev": dev, **({"metric": metric} if metric else {})}
        for dev, metric, gateway in routes
    ]
    links = {name: Link(name, mtu=mtu) for name, mtu in mtus.items()}
    return replace(ip_json.read(json.dumps(text)), links=links)


MTUS = {"eth0": 1500, "eth1": 9000, "wg0": 1420, "odd": 65536}
V4, V6 = "192.0.2.1", "fe80::1"


@pytest.mark.parametrize(
    ("routes", "mtu"),
    [
        ([], None),
        ([("eth0", 0, V4)], None),
        ([("eth1", 0, V4)], 9000),
        ([("wg0", 0, V4)], 1420),
        ([("wg0", 100, V4), ("eth1", 50, V4)], 9000),
        ([("wg0", 1024, V6)], 1420),
        ([("wg0", 1024, V6), ("eth1", 2000, V4)], 9000),
        ([("odd", 0, V4)], None),
        ([("gone", 0, V4)], None),
    ],
)
def test_the_mtu_is_that_of_the_way_out_of_the_host(routes, mtu):
    assert choices.mtu(host(MTUS, *routes)) == mtu


def test_the_mtu_is_large_enough_for_ipv6_only_if_it_must_be():
    seen = host({"eth0": 1000}, ("eth0", 0, V4))
    assert [choices.mtu(seen), choices.mtu(seen, ipv6=True), choices.mtu(seen, "eth0")] == [1000, 1280, 1000]
    assert choices.mtu(host({"eth0": 9000}), "eth0") is None


def test_a_mac_address_follows_from_the_address_or_else_from_the_names():
    net = network()
    assert choices.endpoint_mac(net, "c1", endpoint().addresses) == "02:42:0a:01:00:02"
    alike = replace(net, endpoints=(endpoint("c9", "10.1.0.2"),))
    assert choices.endpoint_mac(alike, "c1", endpoint().addresses).startswith("02:6e:")
    hashed = choices.endpoint_mac(net, "c1", ())
    assert hashed.startswith("02:6e:")
    assert hashed == choices.endpoint_mac(net, "c1", ())
    others = (choices.endpoint_mac(net, "c2", ()), choices.endpoint_mac(replace(net, name="b"), "c1", ()))
    assert hashed not in others


def test_an_interface_has_the_first_free_name():
    assert choices.interface_name([]) == "eth0"
    assert choices.interface_name(["lo", "eth0", "eth2"]) == "eth1"


def test_a_bridge_is_named_like_its_network_if_that_is_free():
    assert choices.bridge_name("web", {}, Observed()) == "web"
    for seen in (Observed(links={"web": Link("web")}),):
        assert choices.bridge_name("web", {}, seen).startswith("br-")
    assert choices.bridge_name("all", {}, Observed()).startswith("br-")


def test_the_usual_mtu_wins_over_that_of_the_host_but_not_over_that_of_a_parent():
    seen = host({"eth0": 1400}, ("eth0", 0, V4))
    assert [choices.mtu(seen, usual=1450), choices.mtu(seen, usual=1000, ipv6=True)] == [1450, 1280]
    assert choices.mtu(host({"eth0": 1500}), "eth0", usual=9000) is None
