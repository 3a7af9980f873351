"""What a new network can be asked to be, and which drivers refuse it."""

from ipaddress import ip_network

import pytest

from mydockernet import addressing
from mydockernet.addressing import Size
from mydockernet.creation import Wish, create, refused
from mydockernet.dialects.fact import Link, Observed, Route
from mydockernet.errors import Conflict
from tests.unit.values import subnet

ROUTE = addressing.read_route("10.9.0.0/16,10.1.0.9")


@pytest.mark.parametrize(
    ("driver", "asked", "problem"),
    [
        ("ptp", {"has_gateway": False}, "--no-gateway: the driver ptp does not support it"),
        ("ptp", {"has_subnet": False}, "--no-subnet: the driver ptp does not support it"),
        ("ptp", {"routes": (ROUTE,)}, "--route: the driver ptp does not support it"),
        ("macvlan", {"has_gateway": False}, "--no-gateway: the driver macvlan does not support it"),
        ("macvlan", {"has_subnet": False}, "--no-subnet: the driver macvlan does not support it"),
        ("ipvlan", {"has_gateway": False}, "--no-gateway: the driver ipvlan does not support it"),
        ("ipvlan", {"has_subnet": False}, "--no-subnet: the driver ipvlan does not support it"),
    ],
)
def test_a_driver_says_what_it_does_not_support(driver, asked, problem):
    (found,) = refused(Wish("x", driver, **asked))
    assert found.startswith(problem)


def test_every_driver_takes_routes_that_refuse_packets():
    refusal = addressing.read_route("10.9.0.0/16,blackhole")
    assert [refused(Wish("x", driver, routes=(refusal,))) for driver in ("bridge", "ptp", "macvlan")] == [[], [], []]


def test_the_sizes_that_are_asked_for_are_chosen_beside_what_is_given():
    wish = Wish("x", subnets=(subnet(),), sizes=(Size(4, 28), Size(4, 28)))
    made = create(wish).move({}, Observed())["x"]
    assert [str(found.network) for found in made.subnets] == ["10.1.0.0/24", "10.208.0.0/28", "10.208.0.16/28"]
    assert create(wish, ignore=True).move({"x": made}, Observed()) == {"x": made}
    with pytest.raises(Conflict, match="with other settings"):
        create(Wish("x", subnets=(subnet(),), sizes=(Size(4, 28),)), ignore=True).move({"x": made}, Observed())


def test_a_network_on_a_parent_leaves_the_mtu_to_the_parent():
    everywhere = ip_network("0.0.0.0/0")
    links = {"eth0": Link("eth0", mtu=9000), "up1": Link("up1", mtu=1500, up=True)}
    seen = Observed(links=links, routes=(Route(everywhere, "192.0.2.1", "eth0", "default via 192.0.2.1 dev eth0"),))
    assert create(Wish("x", subnets=(subnet(),))).move({}, seen)["x"].mtu == 9000
    assert create(Wish("x", "macvlan", (subnet(),), parent="up1")).move({}, seen)["x"].mtu is None
