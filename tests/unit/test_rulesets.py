"""The rules of each firewall: what only nftables has to do in another way."""

import ipaddress

import pytest

from mydockernet import rulesets, validation
from mydockernet.model import PortMapping, PortRange
from mydockernet.rulesets import nftables


def test_each_firewall_has_a_module_and_its_programs():
    assert set(rulesets.MODULES) == set(rulesets.PROGRAMS) == set(validation.FIREWALLS)
    for name in rulesets.MODULES:
        assert rulesets.load(name).__name__ == f"mydockernet.rulesets.{name}"


def elements(host, inner, sources=(), host_ip=None, protocol="tcp"):
    mapping = PortMapping(
        host_ip and ipaddress.ip_address(host_ip),
        PortRange(*host),
        PortRange(*inner),
        protocol,
        tuple(map(ipaddress.ip_network, sources)),
    )
    found = nftables.published("web", "c1", mapping, ipaddress.ip_address("10.1.0.2"))
    return [(each.set, each.key, each.value) for each in found]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (((80, 80), (8, 8)), [("ports4", "0.0.0.0/0 . 0.0.0.0/0 . tcp . 80", "10.1.0.2 . 8")]),
        (((80, 82), (80, 82)), [("ranges4", "0.0.0.0/0 . 0.0.0.0/0 . tcp . 80-82", "10.1.0.2")]),
        # nftables cannot translate a range to other ports.
        (
            ((80, 81), (90, 91)),
            [
                ("ports4", "0.0.0.0/0 . 0.0.0.0/0 . tcp . 80", "10.1.0.2 . 90"),
                ("ports4", "0.0.0.0/0 . 0.0.0.0/0 . tcp . 81", "10.1.0.2 . 91"),
            ],
        ),
        (((80, 80), (8, 8), (), "192.0.2.1"), [("ports4", "0.0.0.0/0 . 192.0.2.1 . tcp . 80", "10.1.0.2 . 8")]),
        # Elements of a set may not overlap; a single address has no length.
        (
            ((80, 80), (8, 8), ("10.0.0.0/8", "10.9.0.0/16", "192.0.2.9/32")),
            [
                ("ports4", "10.0.0.0/8 . 0.0.0.0/0 . tcp . 80", "10.1.0.2 . 8"),
                ("ports4", "192.0.2.9 . 0.0.0.0/0 . tcp . 80", "10.1.0.2 . 8"),
                ("own_ports4", "0.0.0.0/0 . tcp . 80", "10.1.0.2 . 8"),
            ],
        ),
    ],
)
def test_a_published_port_is_an_element(given, wanted):
    assert elements(*given) == wanted


def test_the_comment_of_each_rule_is_known_and_fits():
    """nft(8): at most 128 characters."""
    rules = [line.comment for chain in nftables.TABLE.chains for line in chain.lines]
    assert max(map(len, rules)) <= 128
    for chain in nftables.TABLE.chains:
        assert len({line.comment for line in chain.lines}) == len(chain.lines)
