"""Values of an admin that contradict each other are refused, each with its option."""

import ipaddress

import pytest

from mydockernet import addressing
from mydockernet.errors import Invalid
from mydockernet.model import endpoints, way_out
from mydockernet.static_routes import route_problems
from mydockernet.validation import host_problems
from mydockernet.value import replace
from tests.unit.values import endpoint, network, subnet

ROUTES = [
    ("10.9.0.0/16,10.5.0.1", "the gateway 10.5.0.1 is not in the network's subnet, 10.1.0.0/24 or 10.2.0.0/24"),
    ("fd00::/64,blackhole", "the network has no IPv6 subnet"),
    ("10.9.0.0/16,fd00::1", "destination and gateway are of different address families"),
    ("10.1.0.0/24,10.2.0.9", "10.1.0.0/24 is a subnet of the network itself"),
    ("0.0.0.0/0,10.1.0.9", "the default route is not a static route: --gateway gives it"),
    ("10.9.0.0/16,blackhole,0", "the metric 0 is out of range: use 1 to 4294967295"),
    ("10.9.0.0/16,10.1.0.9,4294967296", "the metric 4294967296 is out of range: use 1 to 4294967295"),
]


@pytest.mark.parametrize(("word", "problem"), ROUTES)
def test_a_route_that_the_network_can_not_have_is_refused(word, problem):
    route = addressing.read_route(word)
    assert route_problems([route], [subnet().network, subnet("10.2.0.0/24").network]) == [f"--route: {word}: {problem}"]
    with pytest.raises(Invalid, match=problem.split(",")[0]):
        network(routes=(route,))


def test_a_destination_may_be_given_again_only_with_another_metric():
    words = ("10.9.0.0/16,10.1.0.9", "10.9.0.0/16,blackhole,9", "10.9.0.0/16,unreachable,9")
    routes = [addressing.read_route(word) for word in words]
    assert route_problems(routes, [subnet().network]) == [
        "--route: 10.9.0.0/16,unreachable,9: a route to 10.9.0.0/16 with the same metric is given as well"
    ]


def test_containers_that_reach_the_host_only_have_no_other_gateway():
    through_a_container, through_the_host = map(addressing.read_route, ("10.9.0.0/16,10.1.0.9", "10.9.0.0/16,10.1.0.1"))
    network(icc=False, routes=(through_the_host,))
    with pytest.raises(Invalid, match=r"10\.1\.0\.9 cannot be reached: with --no-icc, containers reach only the host"):
        network(icc=False, routes=(through_a_container,))


def test_a_metric_is_one_of_the_kernel():
    network(metric=4294967295)
    with pytest.raises(Invalid, match="--metric: the metric 0 is out of range"):
        network(metric=0)


def test_the_network_of_the_highest_priority_is_the_way_out_and_the_first_of_equals():
    def way(*priorities, **more):
        nets = [
            network(f"n{number}", f"10.{number}.0.0/24", endpoint(order=number, gw_priority=priority, **more))
            for number, priority in enumerate(priorities, 1)
        ]
        found = way_out(reversed([*endpoints(nets)]), 4)
        return found and found[0].name

    assert way(0, 0) == "n1"
    assert way(0, 1, 1) == "n2"
    assert way(-1, 0) == "n2"
    assert way(0, -1) == "n1"
    assert way(9, default_route=False) is None


def test_each_address_family_has_a_way_out_of_its_own():
    old = network("old", "10.1.0.0/24", endpoint("c1", "10.1.0.2", order=1))
    new = network("new", "10.2.0.0/24 fd00:2::/64", endpoint("c1", "10.2.0.2 fd00:2::2", order=2))
    found = [way_out(endpoints([old, new]), family) for family in (4, 6)]
    assert [place and place[0].name for place in found] == ["old", "new"]


@pytest.mark.parametrize("name", ["www", "db_1", "x.example.org", "a" * 63, "_dns._udp", "0"])
def test_names_of_hosts_may_have_dots_and_underscores(name):
    assert host_problems(name, "--alias") == []


@pytest.mark.parametrize("name", ["", "-x", "x-", "a..b", ".a", "a.", "a b", "a\n", "ä", "a" * 64, "a." * 127])
def test_no_other_word_is_the_name_of_a_host(name):
    (problem,) = host_problems(name, "--alias")
    assert problem.startswith("--alias: invalid host name ")
    with pytest.raises(Invalid, match="--alias"):
        endpoint(aliases=(name,))


def test_a_hostname_is_as_long_as_the_kernel_takes():
    endpoint(hostname="a" * 31 + "." + "b" * 32)
    with pytest.raises(Invalid, match=r"--hostname: invalid host name .* at most 64 in all"):
        endpoint(hostname="a" * 32 + "." + "b" * 32)


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "::", "ff02::1"])
def test_what_can_not_be_a_name_server_is_refused(address):
    for make in (network, endpoint):
        with pytest.raises(Invalid, match=f"--dns: {address} cannot be the address of a name server"):
            make(dns=(ipaddress.ip_address(address),))


def test_without_a_gateway_nothing_leads_out():
    net = network(subnets=(replace(subnet(), gateway=None),))
    assert (net.has_gateway, net.leads_out, way_out([(net, endpoint())], 4)) == (False, False, None)
    assert (network().has_gateway, network().leads_out, network(internal=True).leads_out) == (True, True, False)
    assert way_out([(network(default_route=False), endpoint())], 4) is None
    with pytest.raises(Invalid, match="--no-icc: without a gateway, its containers would reach nothing at all"):
        replace(net, icc=False)
    with pytest.raises(Invalid, match="--port-security: without a subnet, its containers have no addresses"):
        replace(net, subnets=(), port_security=True)
    replace(net, port_security=True)
