"""Published ports: how a SPEC is read, which ports are free, who has which."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mydockernet import ports
from mydockernet.dialects.fact import Socket
from mydockernet.errors import Conflict, Invalid
from mydockernet.model import PortMapping, PortRange
from tests.unit.values import endpoint, mapping, network

ip = ipaddress.ip_address
HOST = [ip("192.0.2.1"), ip("2001:db8::1")]


def choose(*words, taken=(), addresses=HOST, families=(4, 6)):
    return [str(found) for found in ports.choose(ports.read_specs(words, "SPEC"), taken, addresses, families)]


def choose_one(word):
    (found,) = ports.choose(ports.read_specs([word], "SPEC"), (), HOST, (4, 6))
    return found


@pytest.mark.parametrize(
    ("word", "chosen"),
    [
        ("80", "32768:80/tcp"),
        ("80/udp", "32768:80/udp"),
        ("8080:80", "8080:80/tcp"),
        ("8080:80/SCTP", "8080:80/sctp"),
        ("127.0.0.1:8080:80", "127.0.0.1:8080:80/tcp"),
        ("127.0.0.1::80", "127.0.0.1:32768:80/tcp"),
        ("192.0.2.1:1:1", "192.0.2.1:1:1/tcp"),
        ("0.0.0.0:80:80", "0.0.0.0:80:80/tcp"),
        ("[::]:80:80", "[::]:80:80/tcp"),
        ("[2001:db8::1]:80:80", "[2001:db8::1]:80:80/tcp"),
        ("[2001:db8::1]::80", "[2001:db8::1]:32768:80/tcp"),
        (":80:80", None),
        ("9000-9002:80-82", "9000-9002:80-82/tcp"),
        ("80-82", "32768-32770:80-82/tcp"),
        ("9000-9010:80", "9000:80/tcp"),
    ],
)
def test_a_spec_is_read_as_docker_reads_it(word, chosen):
    if chosen is None:
        with pytest.raises(Invalid):
            choose(word)
    else:
        assert choose(word) == [chosen]


def test_sources_are_blocks_of_either_family_for_all_specs():
    wishes = ports.read_specs(["80:80", "81:81"], "SPEC", ["10.0.0.0/8", "2001:db8::/32", "10.0.0.0/8"])
    assert [list(map(str, wish.sources)) for wish in wishes] == [["10.0.0.0/8", "2001:db8::/32"]] * 2
    (found, _) = ports.choose(wishes, (), HOST, (4, 6))
    assert found.told == "80:80/tcp from 10.0.0.0/8, 2001:db8::/32"
    assert (found.admits(ip("10.1.2.3")), found.admits(ip("192.0.2.9"))) == (True, False)
    for words, blocks, problem in (
        (["80:80"], ["10.0.0.1/8"], "--from: 10.0.0.1/8 has host bits set"),
        (["80:80"], ["x"], "--from: "),
        ([], ["10.0.0.0/8"], "--from: there is no port to publish"),
    ):
        with pytest.raises(Invalid, match=problem):
            ports.read_specs(words, "SPEC", blocks)


def test_a_host_address_is_of_a_family_that_the_container_has():
    for word, family in (("[::]:80:80", 6), ("0.0.0.0:80:80", 4), ("192.0.2.1:80:80", 4)):
        other = 10 - family
        with pytest.raises(Invalid, match=f"the container has no IPv{family} address on this network"):
            choose(word, families=[other])
    for word, what in (("[::1]:80:80", "the kernel cannot translate ::1"), ("[fe80::1]:80:80", "one link only")):
        with pytest.raises(Invalid, match=what):
            choose(word)


def test_a_port_on_all_addresses_of_one_family_leaves_it_to_the_other():
    taken = [ports.held(choose_one("0.0.0.0:80:80"), "x")]
    assert choose("[::]:80:80", taken=taken) == ["[::]:80:80/tcp"]
    for word in ("80:80", "192.0.2.1:80:80", "0.0.0.0:80:80"):
        with pytest.raises(Conflict):
            choose(word, taken=taken)


@pytest.mark.parametrize(
    ("word", "mapping", "families", "means"),
    [
        ("8080:80", "[::]:8080:80", (4, 6), True),
        ("0.0.0.0:8080:80", "8080:80", (4,), True),
        ("0.0.0.0:8080:80", "8080:80", (4, 6), False),
        ("[::]:8080:80", "8080:80", (6,), True),
        ("[::]:8080:80", "0.0.0.0:8080:80", (4, 6), False),
    ],
)
def test_all_addresses_of_a_family_are_all_addresses_of_a_container_that_has_no_other(word, mapping, families, means):
    (wish,) = ports.read_specs([word], "SPEC")
    assert wish.means(choose_one(mapping), families) == means


@pytest.mark.parametrize(
    ("word", "families", "lines"),
    [
        ("8080:80", (4,), ["80/tcp -> 0.0.0.0:8080"]),
        ("8080:80", (4, 6), ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]),
        ("[2001:db8::1]:8080:80", (4, 6), ["80/tcp -> [2001:db8::1]:8080"]),
    ],
)
def test_a_port_is_shown_as_docker_shows_it(word, families, lines):
    addresses = " ".join({4: "10.1.0.2", 6: "fd00::2"}[family] for family in families)
    place = network("web", "10.1.0.0/24 fd00::/64"), endpoint("c1", addresses), [choose_one(word)]
    assert list(ports.shown(*place)) == lines
    assert list(ports.shown(*place, (80, "tcp"))) == [line[10:] for line in lines]


def test_on_a_routed_network_a_port_is_shown_at_the_containers_own_address():
    place = network("web", "10.1.0.0/24 fd00::/64", gateway_mode6="routed"), endpoint("c1", "10.1.0.2 fd00::2")
    assert list(ports.shown(*place, [choose_one("8080:80")])) == ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [fd00::2]:80"]


NONSENSE = "|:|x|0:80|80:0|65536|80:80:80:80|80-70:80-70|1-2:1-3|80/icmp|[::1]:80:80|1.2.3:80:80|80 |٨٠|-80|80-"


@pytest.mark.parametrize("word", NONSENSE.split("|"))
def test_what_is_no_spec_is_named(word):
    with pytest.raises(Invalid, match="--publish: "):
        ports.read_specs([word], "--publish")


def test_a_port_of_a_container_or_of_a_program_is_taken():
    by_container = [ports.held(mapping(8080), 'container "c1" on network "web"')]
    with pytest.raises(Conflict, match='8080:80: port 8080/tcp is already in use by container "c1" on network "web"'):
        choose("8080:80", taken=by_container)
    with pytest.raises(Conflict):
        choose("127.0.0.1:8079-8081:80-82", taken=by_container)
    assert choose("8080:80/udp", "8081:80", taken=by_container) == ["8080:80/udp", "8081:80/tcp"]
    by_program = [ports.listened(Socket("tcp", ip("127.0.0.1"), 25, "postfix"))]
    with pytest.raises(Conflict, match=r"already in use by postfix, listening on 127\.0\.0\.1:25"):
        choose("25:25", taken=by_program)
    assert choose("192.0.2.1:25:25", taken=by_program) == ["192.0.2.1:25:25/tcp"]
    with pytest.raises(Conflict, match="this same command"):
        choose("80:80", "80:81")


def test_a_host_address_is_one_of_the_hosts():
    with pytest.raises(Invalid, match=r"192\.0\.2\.9 is not an address of this host"):
        choose("192.0.2.9:80:80")


def test_free_ports_lie_between_those_that_are_taken():
    held = [ports.held(mapping(port), "x") for port in (32768, 32770, 32771)]
    assert choose("80", "81", "82-83", taken=held) == ["32769:80/tcp", "32772:81/tcp", "32773-32774:82-83/tcp"]
    whole = [ports.Taken("tcp", None, ports.CHOICE, "x")]
    with pytest.raises(Conflict, match="no free tcp port left in 32768-60999"):
        choose("80", taken=whole)


RANGES = st.tuples(st.integers(1, 65000), st.integers(1, 65000), st.integers(0, 500))
MAPPINGS = st.builds(
    lambda span, host, protocol: PortMapping(
        host, PortRange(span[0], span[0] + span[2]), PortRange(span[1], span[1] + span[2]), protocol
    ),
    RANGES,
    st.none() | st.ip_addresses().filter(lambda a: a.version == 4 or not (a.is_loopback or a.is_link_local)),
    st.sampled_from(["tcp", "udp", "sctp"]),
)


@given(MAPPINGS)
def test_what_is_printed_can_be_read_again(found):
    (wish,) = ports.read_specs([str(found)], "SPEC")
    assert wish.means(found, (4, 6))
    assert ports.choose([wish], (), [found.host_ip], (4, 6)) == (found,)


@given(MAPPINGS, MAPPINGS)
def test_clashes_are_mutual(one, other):
    assert one.clashes(other) == other.clashes(one)
    assert one.clashes(one)


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["8080:80", "127.0.0.1:53-54:53-54/udp"], {8080, 53, 54}),
        (["8080:80", "81"], None),
        (["8000-8009:80"], None),
        ([], set()),
    ],
)
def test_the_ports_that_are_asked_for_unless_one_has_to_be_chosen(words, asked):
    assert ports.asked_for(ports.read_specs(words, "SPEC")) == asked
