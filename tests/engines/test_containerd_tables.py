"""The tables of who reaches whom, and the attacks, with containers of containerd that the CNI plugin attached."""

import pytest

from tests.engines.containerd import made_by_containerd
from tests.kernel.lab import Lab
from tests.kernel.test_attacks import (  # noqa: F401 (pytest runs them here with the labs of this module)
    test_a_client_that_knocked_too_early_is_let_in,
    test_a_container_that_leaves_does_not_take_the_gateway_along,
    test_a_containers_own_address_does_not_leak,
    test_a_neighbour_can_not_reach_what_is_published_on_loopback,
    test_a_port_does_not_outlive_its_container,
    test_a_port_of_the_host_is_not_one_of_what_passes_through,
    test_a_rule_put_before_ours_is_told_and_repaired,
    test_an_address_of_others_can_not_be_published_on,
    test_an_admins_rule_decides_in_the_chain_that_is_theirs,
    test_neither_neighbour_nor_container_can_reach_the_hosts_own_loopback,
    test_rules_of_others_before_ours_open_nothing,
    test_the_caller_is_seen_under_its_own_address,
)
from tests.kernel.test_attacks_ipv6 import (  # noqa: F401
    test_a_container_sends_only_from_addresses_behind_its_bridge,
    test_a_link_local_address_of_the_host_is_left_to_the_host,
    test_a_port_of_one_family_leaves_the_other_to_the_host,
    test_a_source_in_a_network_that_did_not_come_from_it_is_dropped,
    test_a_stale_flow_of_ipv6_is_forgotten,
    test_nobody_believes_a_containers_router_advertisement,
)
from tests.kernel.test_reachability import BESIDE, BOTH, matrix

pytestmark = [pytest.mark.engine("containerd", "ctr", "runc", "busybox"), pytest.mark.long]


@pytest.fixture
def make_lab(new_engine_host):
    labs = []

    def make(before="", *_, **__):
        labs.append(Lab(new_engine_host(), before, made_by_containerd))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def lab(make_lab):
    return make_lab()


@pytest.fixture
def each_lab(lab):
    return lab


@pytest.mark.parametrize("firewall", BESIDE.values(), ids=BESIDE)
def test_who_reaches_whom(make_lab, firewall):
    lab = make_lab(firewall)
    assert matrix(lab) == BOTH
    damage = "for t in mangle nat filter; do iptables -t $t -F; ip6tables -t $t -F; done; nft flush ruleset"
    lab.host.sh(f"{damage}; {firewall or 'true'}")
    lab.host.mydockernet("repair")
    assert matrix(lab) == BOTH
    lab.host.sh("mydockernet rm -f a b i")
    assert "ydockernet" not in str(lab.host.snapshot()).lower()
