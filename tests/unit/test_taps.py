"""Where packets are captured, and the command for that."""

import pytest

from mydockernet.errors import Invalid, NotFound
from mydockernet.model import DETACHED, Namespace
from mydockernet.reports import taps
from mydockernet.value import replace
from tests.unit.values import endpoint, network

C1 = endpoint(veth="v1")
C2 = endpoint("c2", "10.1.0.3", veth="v2")
WEB = network("web", "10.1.0.0/24", C1, C2)
PTP = network("p2p", "10.1.0.0/24 fd00:1::/64", C1, C2, driver="ptp")
LAN = network("lan", "10.1.0.0/24", replace(C1, veth="", index=7), driver="macvlan", parent="up0")


def test_a_network_is_captured_on_its_bridge():
    tap = taps.of_network(WEB)
    assert (tap.namespace, tap.note) == (None, "")
    assert tap.command(["-n", "icmp"]) == ("tcpdump", "-i", "web", "-n", "icmp")


def test_a_container_is_captured_inside_or_at_its_end_on_the_host():
    tap = taps.of_container(WEB, C1, on_host=False)
    assert (tap.namespace, tap.command([])) == (C1.namespace, ("tcpdump", "-i", "eth0"))
    tap = taps.of_container(WEB, C1, on_host=True)
    assert (tap.namespace, tap.command([])) == (None, ("tcpdump", "-i", "v1"))
    (alone,) = LAN.endpoints
    assert taps.of_container(LAN, alone, on_host=False).namespace == C1.namespace
    with pytest.raises(Invalid, match=r"^--host: on a macvlan network"):
        taps.of_container(LAN, alone, on_host=True)
    with pytest.raises(NotFound, match='container "c1" is detached'):
        taps.of_container(WEB, replace(C1, namespace=Namespace("/run/netns/c1", DETACHED)), on_host=False)


def test_a_network_without_a_bridge_is_captured_by_its_addresses():
    tap = taps.of_network(PTP)
    nets = "net 10.1.0.0/24 or net fd00:1::/64"
    assert tap.note == 'network "p2p" has no bridge: capturing on all interfaces'
    assert tap.command([]) == ("tcpdump", "-i", "any", nets)
    assert taps.of_network(LAN).command([]) == ("tcpdump", "-i", "up0", "net 10.1.0.0/24")
    assert taps.of_network(replace(PTP, endpoints=(C1,))).command([]) == ("tcpdump", "-i", "v1")
    with pytest.raises(NotFound, match='no container is on network "p2p"'):
        taps.of_network(replace(PTP, endpoints=()))


@pytest.mark.parametrize(
    ("words", "options", "added"),
    [
        ("icmp or arp", "", "icmp or arp"),
        ("-n -c 3 icmp", "-n -c 3", "icmp"),
        ("icmp -w icmp", "-w icmp", "icmp"),
        ("-nc3 --immediate-mode", "-n -c 3 --immediate-mode", ""),
        ("--snapshot-length=64 port 80", "--snapshot-length=64", "port 80"),
    ],
)
def test_the_filter_of_the_user_is_added_to_that_of_the_network(words, options, added):
    nets = "net 10.1.0.0/24 or net fd00:1::/64"
    both = f"({nets}) and ({added})" if added else nets
    assert taps.of_network(PTP).command(words.split()) == ("tcpdump", "-i", "any", *options.split(), both)


def test_what_tcpdump_does_not_have_is_refused():
    with pytest.raises(Invalid, match=r"^tcpdump: option --nope not recognized"):
        taps.of_network(PTP).command(["--nope"])
