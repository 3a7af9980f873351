"""What doctor finds, given what is installed and what the kernel shows."""

import pytest

from mydockernet.dialects.fact import Chain, Observed, OwnTable
from mydockernet.reports import doctor
from mydockernet.value import replace
from tests.unit.values import intent, network


def found(*networks, missing=(), **seen):
    host = doctor.Host(missing=frozenset(missing))
    return [(each.kind, each.what) for each in doctor.diagnose(intent(*networks), Observed(**seen), host)]


@pytest.mark.parametrize(
    ("firewalls", "missing", "told"),
    [
        ((), ["iptables"], []),
        ((), ["nft"], []),
        ((), ["iptables", "nft"], ["iptables is missing", "nft is missing"]),
        (("iptables",), ["iptables"], ["iptables is missing"]),
        (("iptables",), ["nft"], []),
        (("nftables",), ["iptables"], []),
        (("nftables",), ["nft"], ["nft is missing"]),
        (("nftables",), ["ip"], ["ip is missing"]),
    ],
)
def test_only_the_program_that_networks_need_must_be_there(firewalls, missing, told):
    networks = [network("web", "10.1.0.0/24", firewall=firewall) for firewall in firewalls]
    assert [what for kind, what in found(*networks, missing=missing, ipv6=False) if "is missing" in what] == told


@pytest.mark.parametrize("firewall", ["iptables", "nftables"])
def test_ufw_is_named_as_bypassed(firewall):
    chains = {Chain(4, "filter", name): () for name in ("ufw-user-input", "MYDOCKERNET-USER")}
    told = [what for _, what in found(network("web", "10.1.0.0/24", firewall=firewall), chains=chains)]
    assert [what.partition(":")[0] for what in told if "ufw" in what] == [
        "ufw is active, but published ports bypass it"
    ]


def test_rules_in_a_firewall_that_no_network_uses_are_a_problem_but_not_those_of_the_admin():
    admins = OwnTable({"user": ("", "")}, {"masq4": "ipv4_addr"}, {("masq4", "10.9.0.0/24"): ("", "")})
    ours = replace(admins, elements={("masq4", "10.9.0.0/24"): ("", "mydockernet:old")})
    for table, kinds in ((admins, []), (ours, ["problem"])):
        for networks in ((), (network("web", "10.1.0.0/24"),)):
            told = found(*networks, table=table)
            assert [kind for kind, what in told if what.startswith("nftables has rules of mydockernet")] == kinds
