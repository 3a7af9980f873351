"""What a chain does with a packet."""

from ipaddress import ip_address, ip_network

import pytest

from mydockernet.dialects import iptables
from mydockernet.dialects.fact import Chain, Link, Observed, Route
from mydockernet.packets import netfilter
from mydockernet.packets.packet import Flow, Packet
from mydockernet.value import replace

PACKET = Packet(ip_address("10.1.0.2"), ip_address("192.0.2.9"), "tcp", 80, "web", "eth0")


def seen(text, links=()):
    saved = f"*filter\n{text}\nCOMMIT\n"
    by_name = {link.name: link for link in links}
    return Observed(links=by_name, chains=iptables.read_rules(4, saved), policies=iptables.read_policies(4, saved))


def target(text, packet=PACKET, links=()):
    verdict = netfilter.ask(seen(f":FORWARD ACCEPT [0:0]\n{text}", links), "filter", "FORWARD", packet)
    return verdict.target, verdict.number, len(verdict.doubts)


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ("", True),
        ("-s 10.1.0.0/24", True),
        ("-s 10.2.0.0/24", False),
        ("! -s 10.2.0.0/24", True),
        ("-d 192.0.2.9/32", True),
        ("-i web", True),
        ("-i we+", True),
        ("! -i web", False),
        ("-o eth1", False),
        ("-p tcp -m tcp --dport 80", True),
        ("-p tcp -m tcp --dport 70:90", True),
        ("-p tcp -m tcp --dport 81:", False),
        ("-p udp -m udp --dport 80", False),
        ("-p tcp -m multiport --dports 22,80,90:99", True),
        ("-p tcp -m multiport ! --dports 22,80", False),
        ("-m conntrack --ctstate NEW", True),
        ("-m conntrack --ctstate RELATED,ESTABLISHED", False),
        ("-m state --state NEW", True),
        ("-m devgroup --src-group 0x6d64", True),
        ("-m devgroup --dst-group 28004", False),
        ("-m physdev  --physdev-is-bridged", False),
        ("-m addrtype --dst-type LOCAL", False),
        ('-m comment --comment "-j DROP, or not"', True),
    ],
)
def test_a_condition_is_understood(condition, matches):
    links = [Link("web", group="28004"), Link("eth0")]
    expected = ("DROP", 1, 0) if matches else ("ACCEPT", 0, 0)
    assert target(f"-A FORWARD {condition} -j DROP", links=links) == expected


# A flow of outside to port 8080 of the host, translated to port 80 of a container: its first packet, and an answer.
FLOW = Flow(ip_address("192.0.2.2"), ip_address("192.0.2.1"), 8080)
ASKED = Packet(
    ip_address("192.0.2.2"), ip_address("10.1.0.2"), "tcp", 80, "eth0", "web", frozenset({"NEW", "DNAT"}), first=FLOW
)
ANSWERED = Packet(
    ip_address("10.1.0.2"),
    ip_address("192.0.2.2"),
    "tcp",
    None,
    "web",
    "eth0",
    frozenset({"ESTABLISHED", "DNAT"}),
    from_port=80,
    answer=True,
    first=FLOW,
)


@pytest.mark.parametrize(
    ("condition", "of_the_question", "of_the_answer"),
    [
        ("-m conntrack --ctdir ORIGINAL", True, False),
        ("-m conntrack --ctdir REPLY", False, True),
        ("-m conntrack --ctorigdstport 8080", True, True),
        ("-m conntrack --ctorigdstport 80", False, False),
        ("-m conntrack --ctorigdst 192.0.2.1/32", True, True),
        ("-m conntrack --ctorigsrc 192.0.2.0/24", True, True),
        ("-m conntrack ! --ctorigsrc 192.0.2.0/24", False, False),
        ("-m conntrack --ctorigsrcport 1:1023", False, False),
        ("-m conntrack --ctreplsrc 10.1.0.2/32", True, True),
        ("-m conntrack --ctstate DNAT", True, True),
        ("-m conntrack ! --ctstate NEW", False, True),
        ("-p tcp -m tcp --sport 80", False, True),
        ("-p tcp -m tcp --dport 32768:60999", False, True),
        ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", True, False),
        ("-m devgroup --src-group 0x6d64/0xfffffffe", False, True),
        # The three ways to let only 10.200.0.0/24 use port 8080 that work, and the trap: it also matches the answers.
        (
            "-p tcp -m conntrack --ctstate DNAT --ctdir ORIGINAL --ctorigdstport 8080 ! -s 192.0.2.0/24",
            False,
            False,
        ),
        ("-p tcp -m conntrack --ctstate DNAT --ctorigdstport 8080 ! --ctorigsrc 192.0.2.0/24", False, False),
        (
            "-p tcp -m devgroup --dst-group 28004 -m conntrack --ctstate DNAT --ctorigdstport 8080 ! -s 192.0.2.0/24",
            False,
            False,
        ),
        ("-p tcp -m conntrack --ctstate DNAT --ctorigdstport 8080 ! -s 192.0.2.0/24", False, True),
    ],
)
def test_what_is_asked_about_a_flow_is_understood(condition, of_the_question, of_the_answer):
    links = [Link("web", group="28004"), Link("eth0")]
    for packet, matches in ((ASKED, of_the_question), (ANSWERED, of_the_answer)):
        expected = ("DROP", 1, 0) if matches else ("ACCEPT", 0, 0)
        assert target(f"-A FORWARD {condition} -j DROP", packet, links) == expected


@pytest.mark.parametrize(
    "condition",
    [
        "-m statistic --mode random",
        "-m set --match-set x src",
        "-s 10.1.0.0/255.0.255.0",
        "-m owner --uid-owner 0",
        "-m rpfilter",
    ],
)
def test_what_is_not_understood_is_a_doubt(condition):
    assert target(f"-A FORWARD {condition} -j DROP") == ("ACCEPT", 0, 1)
    assert target(f"-A FORWARD {condition} -j LOG") == ("ACCEPT", 0, 0)


def test_what_can_not_match_anyway_is_no_doubt():
    assert target("-A FORWARD -p udp -m statistic --mode random -j DROP") == ("ACCEPT", 0, 0)


def test_the_first_rule_that_decides_decides():
    assert target("-A FORWARD -j LOG\n-A FORWARD -j ACCEPT\n-A FORWARD -j DROP") == ("ACCEPT", 2, 0)
    assert target("-A FORWARD -p udp -j DROP\n-A FORWARD -j REJECT --reject-with tcp-reset") == ("REJECT", 2, 0)


def test_the_policy_decides_where_no_rule_does():
    verdict = netfilter.ask(seen(":FORWARD DROP [0:0]"), "filter", "FORWARD", PACKET)
    assert verdict.stops
    assert verdict.where == "policy of FORWARD in filter"
    assert netfilter.ask(Observed(), "filter", "FORWARD", PACKET).target == "ACCEPT"


def test_chains_are_gone_into_and_come_back_from():
    chain = ":MINE - [0:0]\n"
    assert target(f"{chain}-A FORWARD -j MINE\n-A FORWARD -j DROP\n-A MINE -j RETURN\n-A MINE -j ACCEPT") == (
        "DROP",
        2,
        0,
    )
    assert target(f"{chain}-A FORWARD -j MINE\n-A MINE -p tcp -j DROP") == ("DROP", 1, 0)
    assert target(f"{chain}-A FORWARD -g MINE\n-A FORWARD -j DROP") == ("ACCEPT", 0, 0)
    assert target(f"{chain}-A FORWARD -j MINE\n-A MINE -j MINE") == ("ACCEPT", 0, 1)


@pytest.mark.parametrize(
    ("condition", "by_web", "by_eth0"),
    [
        ("-m rpfilter", True, False),
        ("-m rpfilter --invert", False, True),
        ("-m rpfilter --loose --invert", False, False),
        ("-m devgroup --src-group 0 -m rpfilter --validmark --invert", False, True),
    ],
)
def test_where_a_packet_should_have_come_in_is_told_by_its_route(condition, by_web, by_eth0):
    routes = (
        Route(ip_network("0.0.0.0/0"), "192.0.2.1", "eth0", "default via 192.0.2.1 dev eth0"),
        Route(ip_network("10.1.0.0/24"), "", "web", "10.1.0.0/24 dev web"),
    )
    found = replace(seen(f":FORWARD ACCEPT [0:0]\n-A FORWARD {condition} -j DROP"), routes=routes)
    for dev, matches in (("web", by_web), ("eth0", by_eth0)):
        verdict = netfilter.ask(found, "filter", "FORWARD", replace(PACKET, inward=dev))
        assert (verdict.stops, verdict.doubts) == (matches, ())


def test_a_chain_that_may_be_called_is_looked_into():
    text = ":MINE - [0:0]\n-A FORWARD -m set --match-set x src -j MINE\n-A MINE -p udp -j DROP\n-A MINE -p tcp -j DROP"
    verdict = netfilter.ask(seen(f":FORWARD ACCEPT [0:0]\n{text}"), "filter", "FORWARD", PACKET)
    assert not verdict.stops
    assert [(doubt.number, doubt.stops) for doubt in verdict.doubts] == [(2, True)]


def test_what_a_packet_is_vague_about_is_a_doubt():
    packet = replace(PACKET, vague=frozenset({"port", "source"}))
    assert target("-A FORWARD -p tcp -m tcp --dport 25 -j DROP", packet) == ("ACCEPT", 0, 1)
    assert target("-A FORWARD -s 10.9.0.0/24 -j DROP", packet) == ("ACCEPT", 0, 1)
    assert target("-A FORWARD -i docker0 -j DROP", packet) == ("ACCEPT", 0, 0)


def test_a_translation_tells_where_to():
    saved = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.1.0.9:81\n"
    )
    found = Observed(chains=iptables.read_rules(4, saved))
    verdict = netfilter.ask(found, "nat", "PREROUTING", PACKET)
    assert (verdict.target, verdict.words) == ("DNAT", ("--to-destination", "10.1.0.9:81"))
    assert verdict.where.startswith("rule 1 of PREROUTING in nat: -p tcp")
    assert Chain(4, "nat", "PREROUTING") == verdict.chain
