"""The facts about routes of a container: the commands that make them, and what counts as drift."""

import json

import pytest

from mydockernet.dialects import ip_json
from mydockernet.dialects.fact import Observed
from mydockernet.dialects.ip_route import DefaultRoute, Refusal, StaticRoute

C1 = "/run/netns/c1"
INSIDE = "nsenter --net=/run/netns/c1 ip route"


def seen(*routes):
    return Observed(inside={C1: ip_json.read(json.dumps([{"protocol": "28", **route} for route in routes]))})


def commands(steps):
    return [" ".join(step.do) for step in steps]


DEFAULT = {"dst": "default", "gateway": "10.1.0.1", "dev": "eth0"}
VIA = {"dst": "10.9.0.0/16", "gateway": "10.1.0.9", "dev": "eth0"}
HOLE = {"type": "blackhole", "dst": "10.8.0.0/16"}

FACTS = {
    "a default route": (
        DefaultRoute("eth0", "10.1.0.1", netns=C1),
        DEFAULT,
        "default via 10.1.0.1 dev eth0",
        "default route: via 10.1.0.1 dev eth0 in /run/netns/c1",
    ),
    "one with a metric": (
        DefaultRoute("eth0", "10.1.0.1", "50", netns=C1),
        {**DEFAULT, "metric": 50},
        "default via 10.1.0.1 dev eth0 metric 50",
        "default route: via 10.1.0.1 metric 50 dev eth0 in /run/netns/c1",
    ),
    "a static route": (
        StaticRoute("eth0", "10.9.0.0/16", "10.1.0.9", netns=C1),
        VIA,
        "10.9.0.0/16 via 10.1.0.9 dev eth0 protocol 28",
        "route: 10.9.0.0/16 via 10.1.0.9 dev eth0 in /run/netns/c1",
    ),
    "one with a metric, in the table of a network": (
        StaticRoute("eth0", "10.9.0.0/16", "10.1.0.9", "7", "28001", netns=C1),
        {**VIA, "metric": 7, "table": "28001"},
        "10.9.0.0/16 via 10.1.0.9 dev eth0 metric 7 table 28001 protocol 28",
        "route: 10.9.0.0/16 via 10.1.0.9 metric 7 table 28001 dev eth0 in /run/netns/c1",
    ),
    "one that refuses": (
        Refusal("blackhole", "10.8.0.0/16", netns=C1),
        HOLE,
        "blackhole 10.8.0.0/16 protocol 28",
        "route: blackhole 10.8.0.0/16 in /run/netns/c1",
    ),
    "one that refuses, with a metric, in the table of a network": (
        Refusal("prohibit", "10.8.0.0/16", "7", "28001", netns=C1),
        {**HOLE, "type": "prohibit", "metric": 7, "table": "28001"},
        "prohibit 10.8.0.0/16 metric 7 table 28001 protocol 28",
        "route: prohibit 10.8.0.0/16 metric 7 table 28001 in /run/netns/c1",
    ),
}


@pytest.mark.parametrize(("fact", "shown", "words", "what"), FACTS.values(), ids=FACTS)
def test_a_route_is_added_seen_and_deleted(fact, shown, words, what):
    assert not fact.holds(seen())
    assert fact.holds(seen(shown))
    assert commands(fact.do(seen())) == [f"{INSIDE} add {words}"]
    assert commands(fact.undo(seen(shown))) == [f"{INSIDE} delete {words}"]
    assert fact.what == what


CHANGED = [
    (FACTS["a default route"][0], {**DEFAULT, "metric": 9}, "default via 10.1.0.1 dev eth0 metric 9"),
    (FACTS["one with a metric"][0], DEFAULT, "default via 10.1.0.1 dev eth0"),
    (FACTS["a static route"][0], {**VIA, "gateway": "10.1.0.7"}, "10.9.0.0/16 via 10.1.0.7 dev eth0 protocol 28"),
    (FACTS["a static route"][0], {**HOLE, "dst": "10.9.0.0/16"}, "blackhole 10.9.0.0/16 protocol 28"),
    (FACTS["one that refuses"][0], {**HOLE, "type": "prohibit"}, "prohibit 10.8.0.0/16 protocol 28"),
]


@pytest.mark.parametrize(("fact", "shown", "words"), CHANGED)
def test_a_route_that_has_changed_makes_room_first(fact, shown, words):
    assert not fact.holds(seen(shown))
    assert commands(fact.do(seen(shown)))[:-1] == [f"{INSIDE} delete {words}"]


@pytest.mark.parametrize("other", [{"metric": 9}, {"table": "28001"}, {"dst": "10.9.0.0/17"}])
def test_a_route_elsewhere_is_neither_it_nor_in_its_way(other):
    fact = FACTS["a static route"][0]
    assert not fact.holds(seen({**VIA, **other}))
    assert len(fact.do(seen({**VIA, **other}))) == 1


def test_ipv6_has_a_metric_of_its_own():
    fact = StaticRoute("eth0", "fd01::/64", "fd00::9", netns=C1)
    assert fact.holds(seen({"dst": "fd01::/64", "gateway": "fd00::9", "dev": "eth0", "metric": 1024}))
