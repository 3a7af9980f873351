"""Subnets, ranges, pools and free addresses."""

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mydockernet.addressing import (
    DEFAULT_POOLS,
    Size,
    Taken,
    capacity,
    free_address,
    free_subnet,
    local_pool,
    overlap,
    read_pools,
    read_route,
    read_size,
    read_subnets,
    size_problems,
    unusable,
)
from mydockernet.errors import Conflict, Invalid
from mydockernet.model import AddressRange, Reservation
from mydockernet.static_routes import StaticRoute
from mydockernet.value import replace
from tests.unit.values import subnet

ip = ipaddress.ip_address


def read(*subnets, gateways=(), ranges=(), reserved=()):
    return read_subnets(subnets, gateways, ranges, reserved)


def test_host_bits_name_the_gateway():
    (found,) = read("192.168.10.7/24")
    assert (str(found.network), str(found.gateway)) == ("192.168.10.0/24", "192.168.10.7")
    assert read("192.168.10.0/24")[0].gateway == ip("192.168.10.1")
    assert read("192.168.10.0/24", gateways=["192.168.10.9"])[0].gateway == ip("192.168.10.9")
    assert read("10.0.0.1/24", gateways=["10.0.0.1"])[0].gateway == ip("10.0.0.1")
    assert read("10.0.0.0/31")[0].gateway == ip("10.0.0.0")


def test_without_a_gateway_containers_can_have_its_address():
    one = replace(subnet("10.1.0.0/30"), gateway=None)
    assert (capacity(one), free_address(one, ())) == (2, ip("10.1.0.1"))
    assert unusable(one, ip("10.1.0.1")) == ""
    assert free_address(one, [ip("10.1.0.1"), ip("10.1.0.2")]) is None


def test_each_word_goes_to_the_subnet_that_it_is_in():
    one, two = read(
        "10.1.0.0/24",
        "10.2.0.0/24",
        gateways=["10.2.0.9"],
        ranges=["10.1.0.128/25", "10.2.0.5-10.2.0.7"],
        reserved=["10.1.0.3", "nas=10.2.0.6"],
    )
    assert (one.gateway, two.gateway) == (ip("10.1.0.1"), ip("10.2.0.9"))
    assert one.ranges == (AddressRange(ip("10.1.0.128"), ip("10.1.0.255")),)
    assert two.ranges == (AddressRange(ip("10.2.0.5"), ip("10.2.0.7")),)
    assert one.reserved == (Reservation(ip("10.1.0.3")),)
    assert two.reserved == (Reservation(ip("10.2.0.6"), "nas"),)


WRONG = [
    ({"subnets": ["10.1.0.0"]}, '--subnet: "10.1.0.0" has no prefix length'),
    ({"subnets": ["10.1.0.0/40"]}, '--subnet: "10.1.0.0/40" is not a subnet, as in 192.168.10.0/24'),
    ({"subnets": ["banana/24"]}, '--subnet: "banana/24" is not a subnet, as in 192.168.10.0/24'),
    ({"subnets": ["x/24"]}, "--subnet: "),
    ({"subnets": ["10.1.0.0/32"]}, "--subnet: 10.1.0.0/32 has no room"),
    ({"subnets": ["127.0.0.0/24"]}, "--subnet: 127.0.0.0/24 includes loopback"),
    ({"subnets": ["224.1.0.0/24"]}, "includes loopback, link-local, multicast or reserved addresses"),
    ({"subnets": ["fe80::/64"]}, "includes loopback, link-local, multicast or reserved addresses"),
    ({"subnets": ["fd00::/128"]}, "--subnet: fd00::/128 has no room for a gateway and a container: use /127 or larger"),
    ({"subnets": ["fe80::1%eth0/64"]}, "--subnet: "),
    ({"gateways": ["fd00::1"]}, "--gateway: fd00::1 is not in 10.1.0.0/24"),
    (
        {"subnets": ["fd00::/64"], "gateways": ["fd00::"]},
        "--gateway: fd00:: is the address of all routers of fd00::/64",
    ),
    ({"ranges": ["10.1.0.2-fd00::1"]}, "--ip-range: 10.1.0.2-fd00::1: the addresses are of different families"),
    ({"reserved": ["fe80::1%eth0"]}, '--reserve: "fe80::1%eth0": an address with an interface is valid on one link'),
    ({"subnets": ["10.1.0.255/24"]}, "the gateway is the broadcast address"),
    (
        {"subnets": ["10.1.0.0/24", "10.1.0.128/25"]},
        "--subnet: 10.1.0.128/25 overlaps 10.1.0.0/24, which is given as well",
    ),
    ({"gateways": ["10.2.0.1"]}, "--gateway: 10.2.0.1 is not in 10.1.0.0/24"),
    ({"gateways": ["10.1.0.255"]}, "--gateway: 10.1.0.255 is the network or broadcast address"),
    ({"gateways": ["10.1.0.2", "10.1.0.3"]}, "--gateway: 10.1.0.3: 10.1.0.0/24 already has the gateway 10.1.0.2"),
    ({"subnets": [], "gateways": ["10.1.0.2"]}, "--gateway: 10.1.0.2 needs a --subnet"),
    ({"ranges": ["10.1.0.0/23"]}, "--ip-range: 10.1.0.0/23 is not within 10.1.0.0/24"),
    ({"ranges": ["10.1.0.9-10.1.0.3"]}, "--ip-range: 10.1.0.9-10.1.0.3: the first address is higher than the last"),
    ({"ranges": ["10.1.0.9"]}, '--ip-range: "10.1.0.9" is neither CIDR nor FIRST-LAST'),
    ({"ranges": ["10.2.0.0/25"]}, "--ip-range: 10.2.0.0/25 is not in 10.1.0.0/24"),
    ({"reserved": ["10.2.0.1"]}, "--reserve: 10.2.0.1 is not in 10.1.0.0/24"),
    ({"reserved": ["a b=10.1.0.1"]}, '--reserve: "a b=10.1.0.1": a name may contain only'),
]


@pytest.mark.parametrize(("words", "text"), WRONG)
def test_a_wrong_word_is_named_with_its_option(words, text):
    given_words = {"subnets": ["10.1.0.0/24"], "gateways": [], "ranges": [], "reserved": [], **words}
    with pytest.raises(Invalid) as caught:
        read_subnets(**given_words)
    assert [message for message in caught.value.messages if text in message], caught.value.messages


def test_all_wrong_words_are_told_at_once():
    with pytest.raises(Invalid) as caught:
        read("10.1.0.0/24", "x", gateways=["y"], ranges=["z"], reserved=["w"])
    assert len(caught.value.messages) == 4


def test_pools_are_read():
    (one, two) = read_pools("10.208.0.0/12/26, 192.168.0.0/16")
    assert (str(one.block), one.prefixlen, two.prefixlen) == ("10.208.0.0/12", 26, 24)
    for wrong in ("", "x", "10.0.0.0/8/4", "10.0.0.0/8/31", "fd00::/8/127", "fe80::/64", "127.0.0.0/8", "10.0.0.1/8"):
        with pytest.raises(Invalid, match="MYDOCKERNET_POOLS"):
            read_pools(wrong)


def test_a_pool_of_ipv6_gives_subnets_of_64_bits():
    pools = (*DEFAULT_POOLS, *read_pools("fd12:3456:789a::/48"))
    assert str(free_subnet(pools, [], Size(6)).network) == "fd12:3456:789a::/64"
    assert str(free_subnet(pools, taken("fd12:3456:789a::/64"), Size(6)).network) == "fd12:3456:789a:1::/64"
    assert str(free_subnet(pools, taken("fd12:3456:789a::/64")).network) == "10.208.0.0/24"
    with pytest.raises(Conflict, match="no free subnet is left in the pools: they have none of IPv6"):
        free_subnet(DEFAULT_POOLS, [], Size(6))


def test_each_host_has_its_own_local_pool():
    one, other = local_pool("one"), local_pool("other")
    assert one == local_pool("one") != other
    assert one.block.subnet_of(ipaddress.ip_network("fd00::/8"))
    assert (one.block.prefixlen, one.prefixlen) == (48, 64)


def test_an_ipv6_subnet_has_no_broadcast_address():
    (found,) = read("fd00::/120")
    assert (found.gateway, capacity(found)) == (ip("fd00::1"), 254)
    assert unusable(found, ip("fd00::ff")) == ""
    assert unusable(found, ip("fd00::")) == "the address of all routers of fd00::/120"
    (small,) = read("fd00::/127")
    assert (small.gateway, str(free_address(small, []))) == (ip("fd00::"), "fd00::1")


def taken(*blocks):
    return [Taken(ipaddress.ip_network(block), "somebody") for block in blocks]


def test_the_first_free_piece_of_the_pools_is_taken():
    assert str(free_subnet(DEFAULT_POOLS, []).network) == "10.208.0.0/24"
    assert str(free_subnet(DEFAULT_POOLS, taken("10.208.0.0/24", "10.208.2.0/24")).network) == "10.208.1.0/24"
    assert str(free_subnet(DEFAULT_POOLS, taken("10.208.0.128/25")).network) == "10.208.1.0/24"
    assert str(free_subnet(read_pools("10.1.0.0/24,10.2.0.0/24"), taken("10.0.0.0/15")).network) == "10.2.0.0/24"
    with pytest.raises(Conflict, match=r"no free subnet is left in 10\.1\.0\.0/24"):
        free_subnet(read_pools("10.1.0.0/24"), taken("10.1.0.0/30"))


@given(st.sets(st.integers(0, 15)))
def test_a_free_piece_overlaps_nothing(pieces):
    pools = read_pools("10.0.0.0/28/30")
    blocks = taken(*(f"10.0.0.{piece}/32" for piece in pieces))
    try:
        found = free_subnet(pools, blocks).network
    except Conflict:
        assert {piece // 4 for piece in pieces} == {0, 1, 2, 3}
    else:
        assert overlap(found, blocks) is None


def test_the_next_address_goes_on_from_the_last_and_wraps():
    net = replace(subnet("10.1.0.0/29"), reserved=(Reservation(ip("10.1.0.4")),))
    assert str(free_address(net, [])) == "10.1.0.2"
    assert str(free_address(replace(net, last=ip("10.1.0.3")), [])) == "10.1.0.5"
    assert str(free_address(replace(net, last=ip("10.1.0.6")), [])) == "10.1.0.2"
    assert str(free_address(replace(net, last=ip("10.1.0.6")), [ip("10.1.0.2")])) == "10.1.0.3"


def test_the_small_and_the_ranged():
    assert str(free_address(subnet("10.1.0.0/31"), [])) == "10.1.0.0"
    assert free_address(subnet("10.1.0.0/30"), [ip("10.1.0.2")]) is None
    ranged = replace(subnet(), ranges=(AddressRange(ip("10.1.0.8"), ip("10.1.0.9")),))
    assert str(free_address(ranged, [])) == "10.1.0.8"
    assert free_address(ranged, [ip("10.1.0.8"), ip("10.1.0.9")]) is None
    assert capacity(ranged) == 2
    assert capacity(subnet()) == 253


@given(
    st.integers(24, 31),
    st.sets(st.integers(0, 255)),
    st.sets(st.integers(0, 255), max_size=3),
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=2),
    st.integers(0, 255) | st.none(),
)
def test_an_address_that_is_chosen_is_free_and_none_only_where_none_is(prefixlen, used, reserved, spans, last):
    base = subnet(f"10.1.0.0/{prefixlen}")
    every = {number: ip("10.1.0.0") + number for number in range(base.network.num_addresses)}
    spans = [(a, b) for a, b in spans if a <= b < len(every)]
    net = replace(
        base,
        gateway=every[1],
        reserved=tuple(Reservation(every[n]) for n in reserved if n in every),
        ranges=tuple(AddressRange(every[a], every[b]) for a, b in spans),
        last=every.get(last),
    )
    in_use = {every[n] for n in used if n in every and not unusable(net, every[n])}
    room = {a for a in every.values() if not spans or any(a in span for span in net.ranges)}
    free = {a for a in room if not unusable(net, a)} - in_use
    found = free_address(net, in_use)
    assert found in free if free else found is None
    assert capacity(net) == len(room - {a for a in room if unusable(net, a)})


@pytest.mark.parametrize("block", ["10.0.0.0/8", "10.1.0.0/16"])
def test_a_thousand_in_use_are_passed_over(block):

    net = subnet(block)
    used = [net.network.network_address + n for n in range(2, 1002)]
    assert free_address(replace(net, last=used[-1]), used) == used[-1] + 1
    assert free_address(net, used) == used[-1] + 1


def test_a_route_has_a_gateway_or_refuses():
    to = ipaddress.ip_network("10.9.0.0/16")
    assert read_route("10.9.0.0/16,10.1.0.5") == StaticRoute(to, ip("10.1.0.5"))
    assert read_route("10.9.0.0/16,10.1.0.5,7") == StaticRoute(to, ip("10.1.0.5"), metric=7)
    assert read_route("10.9.0.0/16,prohibit,7") == StaticRoute(to, None, "prohibit", 7)
    for word in ("10.9.0.0/16,10.1.0.5,7", "10.9.0.0/16,blackhole", "fd00:9::/64,fd00:1::5"):
        assert str(read_route(word)) == word


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("10.9.0.0/16", '"10.9.0.0/16" is not DST,GW[,METRIC], as in 10.9.0.0/16,10.1.0.5'),
        ("a,b,c,d", '"a,b,c,d" is not DST,GW[,METRIC]'),
        ("10.9.0.1/16,blackhole", '"10.9.0.1/16" has host bits set'),
        ("10.9.0.1,blackhole", '"10.9.0.1" is not a destination, as in 10.9.0.0/16'),
        ("x/8,blackhole", '"x/8" is not a destination'),
        ("10.9.0.0/16,drop", 'the gateway "drop" is neither an address nor one of blackhole, unreachable, prohibit'),
        ("10.9.0.0/16,10.1.0.5,-1", 'the metric "-1" is not a number'),
        ("10.9.0.0/16,10.1.0.5,", 'the metric "" is not a number'),
    ],
)
def test_what_is_no_route_is_refused(word, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        read_route(word)


def test_an_unspecified_address_gives_the_size_of_a_subnet():
    assert read_size("0.0.0.0/26") == Size(4, 26)
    assert read_size("::/96") == Size(6, 96)
    assert [read_size(word) for word in ("0.0.0.1/24", "10.1.0.0/24", "0.0.0.0", "x")] == [None] * 4


def test_a_subnet_of_a_size_is_the_next_free_one():
    def free(prefixlen, *blocks):
        return str(free_subnet(DEFAULT_POOLS, taken(*blocks), Size(4, prefixlen)).network)

    assert free(24) == "10.208.0.0/24"
    assert free(16, "10.208.0.0/24") == "10.209.0.0/16"
    assert free(28, "10.208.0.0/28", "10.208.0.32/28") == "10.208.0.16/28"
    assert free(12) == "10.208.0.0/12"
    pools = read_pools("10.1.0.0/24,10.2.0.0/16")
    assert str(free_subnet(pools, [], Size(4, 20)).network) == "10.2.0.0/20"
    with pytest.raises(Conflict, match="no free subnet is left"):
        free(13, "10.208.0.0/24", "10.216.0.0/24")


@pytest.mark.parametrize(("word", "problem"), [("0.0.0.0/8", "/12 to /30"), ("0.0.0.0/31", "/12 to /30")])
def test_a_size_must_fit_into_a_pool(word, problem):
    assert size_problems(read_size("0.0.0.0/12"), "0.0.0.0/12", DEFAULT_POOLS) == []
    (found,) = size_problems(read_size(word), word, DEFAULT_POOLS)
    assert found == f"--subnet: {word}: choose a size from {problem}, which the pools have"
