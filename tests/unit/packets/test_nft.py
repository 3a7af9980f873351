"""What a chain of nftables does with a packet, as `nft --json` prints it."""

import json
from ipaddress import ip_address

import pytest

from mydockernet.dialects.fact import Link, Observed
from mydockernet.packets import nft
from mydockernet.packets.packet import Packet
from mydockernet.value import replace

PACKET = Packet(ip_address("10.1.0.2"), ip_address("192.0.2.9"), "tcp", 80, "web", "eth0")
SEEN = Observed(links={"web": Link("web", group="28004"), "eth0": Link("eth0")})
PLACE = {"family": "inet", "table": "t"}


def meta(key):
    return {"meta": {"key": key}}


def ct(key, **more):
    return {"ct": {"key": key, **more}}


def payload(protocol, name):
    return {"payload": {"protocol": protocol, "field": name}}


def match(left, right, op="=="):
    return {"match": {"op": op, "left": left, "right": right}}


def chain(name, rules, **base):
    yield {"chain": {**PLACE, "name": name, **base}}
    for number, expr in enumerate(rules, 1):
        yield {"rule": {**PLACE, "chain": name, "handle": number, "expr": expr}}


def ask(rules, packet=PACKET, policy="accept", others=()):
    base = {"type": "filter", "hook": "forward", "prio": 10, "policy": policy}
    items = [*chain("fwd", rules, **base), *others]
    ruleset = nft.read(json.dumps({"nftables": items}))
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
    ],
)
def test_a_condition_is_understood(condition, matches):
    elements = {"set": {**PLACE, "name": "s", "elem": ["192.0.2.9", {"elem": {"val": "192.0.2.10", "timeout": 9}}]}}
    verdict = ask([[condition, {"counter": {"packets": 0, "bytes": 0}}, {"drop": None}]], others=[elements])
    assert (verdict.stops, verdict.doubts) == (matches, ())


@pytest.mark.parametrize(
    "condition",
    [
        match(meta("mark"), 1),
        match(payload("tcp", "flags"), "syn", "in"),
        match({"concat": [payload("ip", "daddr"), payload("tcp", "dport")]}, {"set": [{"concat": ["10.0.0.1", 80]}]}),
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
    assert [found.table for found in nft.read(text).hooked("forward")] == ["early", "late"]
    assert [found.table for found in nft.read(text, iptables=False).hooked("forward")] == ["early", "filter", "late"]
    assert [found.table for found in nft.read(text).hooked("forward", ("bridge",))] == ["f"]


def test_an_answer_to_what_was_asked_for_passes_as_established():
    answer = replace(PACKET, answer=True, states=frozenset({"ESTABLISHED"}), port=None, from_port=80)
    rules = [[match(ct("state"), {"set": ["established", "related"]}), {"accept": None}], [{"drop": None}]]
    assert ask(rules).stops
    assert not ask(rules, answer).stops
