"""Who must reach whom, and what attacks must not: the same for containers that podman started."""

import pytest

from tests.engines.podman import NEEDS, OURS, PodmanHost
from tests.kernel.lab import DRIVERS, INTERNAL, A, B, Lab
from tests.kernel.test_attacks import (
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
from tests.kernel.test_attacks_ipv6 import (
    test_a_container_sends_only_from_addresses_behind_its_bridge,
    test_a_port_of_one_family_leaves_the_other_to_the_host,
    test_a_source_in_a_network_that_did_not_come_from_it_is_dropped,
)
from tests.kernel.test_reachability import BOTH, FIREWALLS, matrix

__all__ = [name for name in dir() if name.startswith("test_")]

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

    def make(before="", _=None, driver="bridge"):
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


# podman keeps a socket for each port: ::1 is none of the published addresses, but that socket accepts and never answers.
REACH = BOTH | {("", "::1", 8080): "dropped"}


@pytest.mark.long
@pytest.mark.parametrize(("bridged", "rp_filter"), [("0", "0"), ("1", "1")])
@pytest.mark.parametrize("firewall", FIREWALLS.values(), ids=FIREWALLS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_who_reaches_whom(make_lab, driver, firewall, bridged, rp_filter):
    lab = make_lab(firewall, driver=driver)
    keys = [f"net.bridge.bridge-nf-call-{program}={bridged}" for program in ("iptables", "ip6tables")]
    lab.host.sh(f"sysctl -qew {' '.join(keys)}")
    lab.host.sh(f"for key in /proc/sys/net/ipv4/conf/*/rp_filter; do echo {rp_filter} > $key; done")
    assert matrix(lab, REACH) == REACH
    if rp_filter == "1":
        for table in ("mangle", "nat", "filter"):
            lab.host.sh(f"iptables -t {table} -F; ip6tables -t {table} -F")
        lab.host.sh("nft flush ruleset; " + firewall)
        lab.host.mydockernet("repair")
        assert matrix(lab, REACH) == REACH
    lab.host.podman("rm -f -t 0 a1 a2 b1 i1 i2")
    assert "ydockernet" not in str(lab.host.snapshot()).lower()
