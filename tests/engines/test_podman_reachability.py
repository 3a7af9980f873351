"""Who must reach whom, and what attacks must not: the same for containers that podman started."""

import pytest

from tests.engines.podman import NEEDS, OURS, PodmanHost
from tests.kernel.lab import DRIVERS, INTERNAL, A, B, Lab
from tests.kernel.test_attacks import (  # noqa: F401 (pytest runs them here, too, with these labs)
    test_a_client_that_knocked_too_early_is_let_in,
    test_a_container_that_leaves_does_not_take_the_gateway_along,
    test_a_containers_own_address_does_not_leak,
    test_a_neighbour_can_not_reach_what_is_published_on_loopback,
    test_a_port_of_the_host_is_not_one_of_what_passes_through,
    test_a_rule_put_before_ours_is_told_and_repaired,
    test_an_admins_rule_decides_in_the_chain_that_is_theirs,
    test_neither_neighbour_nor_container_can_reach_the_hosts_own_loopback,
    test_rules_of_others_before_ours_open_nothing,
    test_the_caller_is_seen_under_its_own_address,
)
from tests.kernel.test_attacks_ipv6 import (  # noqa: F401
    test_a_container_sends_only_from_addresses_behind_its_bridge,
    test_a_port_of_one_family_leaves_the_other_to_the_host,
    test_a_source_in_a_network_that_did_not_come_from_it_is_dropped,
)
from tests.kernel.test_forgery import targets  # noqa: F401
from tests.kernel.test_forgery import test_a_forged_packet_opens_no_flow as no_forged_packet_opens_a_flow
from tests.kernel.test_reachability import BESIDE, BOTH, matrix

pytestmark = pytest.mark.engine(*NEEDS)

NETWORKS = {
    "b": f"--subnet {B}.0/24 --subnet fd00:2::/64",
    "a": f"--subnet {A}.0/24 --subnet fd00:1::/64",
    "i": f"--subnet {INTERNAL}.0/24 --subnet fd00:3::/64 --internal",
}
PUBLISHED = "-p 8080:80 -p 8080:80/udp -p 127.0.0.1:8081:80 -p 127.0.0.1:8081:80/udp"
CONTAINERS = {"a1": f"a {PUBLISHED}", "a2": "a", "b1": "b", "i1": "i", "i2": "i"}


def made_by_podman(host, driver="bridge"):
    """Create the networks of the lab, and its containers instead of its namespaces."""
    for name, words in NETWORKS.items():
        create = f"network create {OURS} -o driver={driver} {words} {name}"
        while host.run("podman", *create.split(), check=False).returncode:
            # podman took `a` for the beginning of the random id of b: b gets another one.
            host.podman("network rm b")
            host.network("b", f"-o driver={driver} {NETWORKS['b']}")
    for name, words in CONTAINERS.items():
        host.sh(f"ip netns del {name}")
        host.start_container(name, f"--network {words}", "sleep 10000")


@pytest.fixture
def make_lab():
    made = []

    def make(before="", _=None, driver="bridge", firewall=""):
        host = PodmanHost(outside=False)
        made.append(host)
        made.insert(0, Lab(host, before, made_by_podman, driver))
        return made[0]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def lab(make_lab):
    return make_lab()


@pytest.fixture(params=DRIVERS)
def each_lab(make_lab, request):
    return make_lab(driver=request.param)


@pytest.mark.long
@pytest.mark.parametrize(
    ("firewall", "bridged", "rp_filter"),
    [("alone", 0, 0), ("FORWARD policy DROP", 0, 2), ("an admin's own DROP before", 1, 1)],
)
@pytest.mark.parametrize("driver", DRIVERS)
def test_who_reaches_whom(make_lab, driver, firewall, bridged, rp_filter):
    """Also on ::1, where podman publishes no port, although it keeps a socket for each that it publishes."""
    lab = make_lab(BESIDE[firewall], driver=driver)
    keys = [f"net.bridge.bridge-nf-call-{program}={bridged}" for program in ("iptables", "ip6tables")]
    lab.host.sh(f"sysctl -qew {' '.join(keys)}")
    lab.host.sh(f"for key in /proc/sys/net/ipv4/conf/*/rp_filter; do echo {rp_filter} > $key; done")
    assert matrix(lab) == BOTH
    if bridged:
        for table in ("mangle", "nat", "filter"):
            lab.host.sh(f"iptables -t {table} -F; ip6tables -t {table} -F")
        lab.host.sh("nft flush ruleset; " + BESIDE[firewall])
        lab.host.mydockernet("repair")
        assert matrix(lab) == BOTH
    lab.host.podman("rm -f -t 0 a1 a2 b1 i1 i2")
    assert "ydockernet" not in str(lab.host.snapshot()).lower()


@pytest.mark.long
def test_a_forged_packet_opens_no_flow(targets):  # noqa: F811
    no_forged_packet_opens_a_flow(targets, 0)
