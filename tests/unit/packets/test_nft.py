"""What a chain of nftables does with a packet, as `nft --json` prints it."""

import json
from ipaddress import ip_address, ip_network

import pytest

from mydockernet.dialects.fact import Link, Observed, Route
from mydockernet.packets import nft, nft_rules
from mydockernet.packets.packet import Packet
from mydockernet.value import replace

PACKET = Packet(ip_address("10.1.0.2"), ip_address("192.0.2.9"), "tcp", 80, "web", "eth0")
SEEN = Observed(
    links={"web": Link("web", group="28004"), "eth0": Link("eth0")},
    routes=(Route(ip_network("10.1.0.0/24"), "", "web", "10.1.0.0/24 dev web"),),
)
PLACE = {"family": "inet", "table": "t"}


def meta(key):
    return {"meta": {"key": key}}


def ct(key, **more):
    return {"ct": {"key": key, **more}}


def payload(protocol, name):
    return {"payload": {"protocol": protocol, "field": name}}


def both(*fields):
    return {"concat": fields}


BEHIND = {"fib": {"result": "oif", "flags": ["saddr", "iif"]}}
RANGE = {"range": [80, 90]}


def match(left, right, op="=="):
    return {"match": {"op": op, "left": left, "right": right}}


def chain(name, rules, **base):
    yield {"chain": {**PLACE, "name": name, **base}}
    for number, expr in enumerate(rules, 1):
        yield {"rule": {**PLACE, "chain": name, "handle": number, "expr": expr}}


def ask(rules, packet=PACKET, policy="accept", others=()):
    base = {"type": "filter", "hook": "forward", "prio": 10, "policy": policy}
    items = [*chain("fwd", rules, **base), *others]
    ruleset = nft_rules.read(json.dumps({"nftables": items}))
    return nft.ask(SEEN, ruleset, ruleset.hooked("forward")[0], packet)


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        (match(meta("iifname"), "web"), True),
        (match(meta("iifname"), "we*"), True),
        (match(meta("iifname"), "lo", "!="), True),
        (match(meta("oifname"), {"set": ["eth1", "eth0"]}), True),
        (match(meta("iifgroup"), {"range": [28004, 28005]}), True),
        (match(meta("oifgroup"), {"set": [28004, 28005]}), False),
        (match(meta("nfproto"), "ipv6"), False),
        (match(meta("l4proto"), {"set": ["tcp", "udp"]}), True),
        (match(payload("ip", "protocol"), "icmp"), False),
        (match(payload("ip", "saddr"), {"prefix": {"addr": "10.0.0.0", "len": 8}}), True),
        (match(payload("ip", "saddr"), {"range": ["10.1.0.1", "10.1.0.9"]}), True),
        (match(payload("ip", "daddr"), "@s"), True),
        (match(payload("ip6", "daddr"), "::1", "!="), False),
        (match(payload("tcp", "dport"), {"range": [80, 90]}), True),
        (match(payload("udp", "dport"), 80, "!="), False),
        (match(ct("state"), "new", "in"), True),
        (match(ct("state"), {"set": ["established", "related"]}), False),
        (match(ct("state"), "invalid", "in"), False),
        (match(ct("status"), "dnat", "in"), False),
        (match({"&": [ct("status"), "dnat"]}, "dnat"), False),
        (match(ct("direction"), "original"), True),
        (match(ct("ip saddr", dir="original"), {"prefix": {"addr": "10.1.0.0", "len": 16}}), True),
        (match(ct("proto-dst", dir="original"), 8080), False),
        (match({"fib": {"result": "type", "flags": ["daddr"]}}, "local"), False),
        (match(BEHIND, False), False),
        (match(BEHIND, True), True),
        (match(both(meta("iifname"), payload("ip", "saddr")), "@pairs"), True),
        (match(both(meta("iifname"), payload("ip", "saddr")), "@pairs", "!="), False),
        (match(both(meta("oifname"), payload("ip", "saddr")), "@pairs"), False),
        (match(both(meta("iifname"), payload("ip6", "saddr")), "@pairs", "!="), False),
        (match(both(payload("ip", "daddr"), payload("th", "dport")), {"set": [both("192.0.2.9", RANGE)]}), True),
        (match(meta("iifname"), "@empty"), False),
        (match(meta("iifname"), "@empty", "!="), True),
    ],
)
def test_a_condition_is_understood(condition, matches):
    elements = {"set": {**PLACE, "name": "s", "elem": ["192.0.2.9", {"elem": {"val": "192.0.2.10", "timeout": 9}}]}}
    pair = {"val": both("web", {"prefix": {"addr": "10.1.0.0", "len": 24}}), "comment": "mydockernet:web"}
    pairs = {"set": {**PLACE, "name": "pairs", "elem": [{"elem": pair}]}}
    others = [elements, pairs, {"set": {**PLACE, "name": "empty"}}]
    verdict = ask([[condition, {"counter": {"packets": 0, "bytes": 0}}, {"drop": None}]], others=others)
    assert (verdict.stops, verdict.doubts) == (matches, ())


@pytest.mark.parametrize(
    "condition",
    [
        match(meta("mark"), 1),
        match(payload("tcp", "flags"), "syn", "in"),
        match({"fib": {"result": "oif", "flags": ["saddr", "mark", "iif"]}}, False),
        {"xt": {"type": "match", "name": "devgroup"}},
        {"limit": {"rate": 3, "burst": 5, "per": "second"}},
        {"something new": {}},
    ],
)
def test_what_is_not_understood_is_a_doubt(condition):
    verdict = ask([[condition, {"drop": None}]])
    assert not verdict.stops
    assert [doubt.stops for doubt in verdict.doubts] == [True]


def test_it_is_stopped_by_the_policy_by_a_last_rule_and_through_a_chain():
    zones = [*chain("zones", [[{"goto": {"target": "public"}}], [{"accept": None}]])]
    public = [*chain("public", [[match(meta("iifname"), "x"), {"accept": None}], [{"reject": {}}]])]
    assert ask([], policy="drop").where == "policy of nftables chain inet t fwd: drop"
    assert ask([[{"log": None}], [{"drop": None}]]).where.startswith("rule with handle 2 of nftables chain")
    verdict = ask([[{"jump": {"target": "zones"}}]], others=[*zones, *public])
    assert verdict.where == "rule with handle 2 of nftables chain inet t public: reject"
    assert not ask([[{"goto": {"target": "zones"}}]], others=zones).stops
    assert not ask([[{"jump": {"target": "fwd"}}]]).stops


def test_a_drop_after_what_may_spare_the_packet_is_told_with_that_doubt():
    for spare in ("accept", "return"):
        verdict = ask([[match(meta("mark"), 1), {spare: None}], [{"drop": None}]])
        assert verdict.stops
        assert [doubt.avoids for doubt in verdict.doubts] == [True]


def test_a_verdict_map_decides_by_value():
    rows = {"set": [["eth9", {"accept": None}], ["web", {"drop": None}]]}
    assert ask([[{"vmap": {"key": meta("iifname"), "data": rows}}]]).stops
    assert not ask([[{"vmap": {"key": meta("oifname"), "data": rows}}]]).stops


def test_frames_of_a_bridge_and_other_hooks_are_kept_apart():
    items = [
        {"chain": {"family": "bridge", "table": "f", "name": "c", "hook": "forward", "prio": 0, "policy": "drop"}},
        {"chain": {"family": "ip", "table": "late", "name": "c", "hook": "forward", "prio": 5}},
        {"chain": {"family": "inet", "table": "early", "name": "c", "hook": "forward", "prio": -5}},
        {"chain": {"family": "ip6", "table": "six", "name": "c", "hook": "forward", "prio": 0}},
        {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "prio": 0}},
    ]
    text = json.dumps({"nftables": items})
    everything = nft_rules.read(text, iptables=False)
    assert [found.table for found in nft_rules.read(text).hooked("forward")] == ["early", "late"]
    assert [found.table for found in everything.hooked("forward")] == ["early", "filter", "late"]
    assert [found.table for found in everything.hooked("forward", ("bridge",))] == ["f"]


def test_an_answer_to_what_was_asked_for_passes_as_established():
    answer = replace(PACKET, answer=True, states=frozenset({"ESTABLISHED"}), port=None, from_port=80)
    rules = [[match(ct("state"), {"set": ["established", "related"]}), {"accept": None}], [{"drop": None}]]
    assert ask(rules).stops
    assert not ask(rules, answer).stops


def translated(addr, packet=PACKET, **more):
    """What a rule translates to, by which element, and how it is written."""
    key = both(payload("ip", "saddr"), payload("ip", "daddr"), meta("l4proto"), payload("th", "dport"))
    anyone = {"prefix": {"addr": "0.0.0.0", "len": 0}}
    rows = [
        [both(anyone, anyone, "udp", 80), both("10.1.0.7", 53)],
        [{"elem": {"val": both(anyone, "192.0.2.9", "tcp", RANGE), "comment": "mydockernet:web"}}, "10.1.0.3"],
    ]
    ports = {"map": {**PLACE, "name": "ports", "type": [], "map": "", "elem": rows}}
    dnat = {"family": "ip", "addr": {"map": {"key": key, "data": addr}} if addr == "@ports" else addr, **more}
    verdict = ask([[{"dnat": dnat}], [{"drop": None}]], packet, others=[ports])
    found = verdict.found[0] if verdict.found else None
    return verdict.decision, verdict.to, found and (found.element.comment, found.text), verdict.where


def test_a_map_decides_what_a_packet_is_translated_to():
    text = "0.0.0.0/0 . 192.0.2.9 . tcp . 80-90 : 10.1.0.3"
    where = "rule with handle 1 of nftables chain inet t fwd: dnat to ip saddr . ip daddr . meta l4proto . th dport map"
    assert translated("@ports") == ("dnat", ("10.1.0.3",), ("mydockernet:web", text), f"{where} @ports")
    # If the map has no element for it, the next rules are evaluated.
    assert translated("@ports", replace(PACKET, port=91))[0] == "drop"
    assert translated("10.2.0.2", port=99)[:2] == ("dnat", ("10.2.0.2", "99"))
    assert translated({"range": ["10.2.0.2", "10.2.0.9"]})[:2] == ("dnat", ())


def test_only_rules_in_the_own_table_with_the_own_mark_are_those_of_mydockernet():
    def of(table, comment):
        place = {"family": "inet", "table": table, "name": "c"}
        base = {"chain": {**place, "hook": "forward", "prio": 0, "policy": "accept"}}
        rule = {"rule": {**place, "chain": "c", "handle": 7, "comment": comment, "expr": [{"drop": None}]}}
        ruleset = nft_rules.read(json.dumps({"nftables": [base, rule]}))
        return nft.ask(SEEN, ruleset, ruleset.hooked("forward")[0], PACKET)

    own = of("mydockernet", "mydockernet:@shared: drop everything")
    assert (own.ours, own.where) == (True, "rule 1 of nftables chain inet mydockernet c: drop")
    assert not of("t", "mydockernet:@shared: drop everything").ours
    assert not of("mydockernet", "").ours
