"""What containers receive and send, as rows of stats."""

import pytest

from mydockernet.dialects.net_dev import Traffic
from mydockernet.model import DETACHED, Namespace
from mydockernet.record.network_json import network_to_json
from mydockernet.record.outline import outline_from_json
from mydockernet.reports import stats
from mydockernet.reports.selection import choose
from mydockernet.reports.stats import Row
from tests.unit.values import endpoint, network

KNOWN = {"web": ["c1", "c2"], "lab": ["c1"]}
AWAY = endpoint("away", "10.1.0.9", namespace=Namespace("/run/netns/away", DETACHED))
WEB = network("web", "10.1.0.0/24", endpoint("c2", "10.1.0.3", veth="v2"), endpoint("c1", veth="v1"), AWAY)
LAN = network("lan", "10.2.0.0/24", endpoint("c3", "10.2.0.2", veth="", index=7), driver="macvlan", parent="up0")


def watched(*words):
    outlines = {each.name: outline_from_json(network_to_json(each)) for each in (WEB, LAN)}
    known = {name: [place.name for place in outline.places] for name, outline in outlines.items()}
    return stats.watched(outlines, choose(known, words)[0])


def test_words_name_networks_and_containers():
    assert choose(KNOWN, []) == ({"lab": None, "web": None}, ())
    assert choose(KNOWN, ["web/c1", "lab", "web/c2"]) == ({"lab": None, "web": {"c1", "c2"}}, ())
    assert choose(KNOWN, ["web", "web/c1"]) == choose(KNOWN, ["web/c1", "web"]) == ({"web": None}, ())


def test_each_word_that_names_nothing_is_an_error():
    chosen, errors = choose(KNOWN, ["web", "nope", "web/nope", "nope/c1"])
    assert chosen == {"web": None}
    assert [str(error) for error in errors] == [
        'network "nope" not found',
        'no container "nope" on network "web"',
        'network "nope" not found',
    ]


def test_a_network_has_a_row_with_the_sum_of_its_containers():
    both = watched("web")
    now = stats.sample(both, {"v1": Traffic(10, 1, 0, 20, 2, 0), "v2": Traffic(1, 1, 1, 2, 1, 1)}, {})
    assert stats.rows(both, now) == [
        Row("web", "", "web", Traffic(11, 2, 1, 22, 3, 1), None),
        Row("web", "away", AWAY.veth, None, None, "detached"),
        Row("web", "c1", "v1", Traffic(10, 1, 0, 20, 2, 0), None),
        Row("web", "c2", "v2", Traffic(1, 1, 1, 2, 1, 1), None),
    ]


def test_one_container_is_shown_without_its_network():
    one = watched("web/c1")
    assert [row.container for row in stats.rows(one, stats.sample(one, {}, {}))] == ["c1"]


def test_rates_are_bits_per_second_between_two_samples():
    one = watched("web/c1")
    before = stats.sample(one, {"v1": Traffic(1000, 1, 0, 500, 1, 0)}, {})
    now = stats.sample(one, {"v1": Traffic(2000, 2, 0, 500, 1, 0)}, {})
    assert stats.rows(one, now, before, 2.0)[0].rates == (4000, 0)


def test_a_counter_that_went_back_is_that_of_a_new_interface():
    one = watched("web/c1")
    before = stats.sample(one, {"v1": Traffic(1000, 1, 0, 500, 1, 0)}, {})
    now = stats.sample(one, {"v1": Traffic(100, 1, 0, 50, 1, 0)}, {})
    assert stats.rows(one, now, before, 1.0)[0].rates == (800, 400)


def test_a_container_that_has_just_come_has_no_rate_and_adds_none():
    both = watched("web")
    before = stats.sample(both, {"v1": Traffic(0)}, {})
    now = stats.sample(both, {"v1": Traffic(1), "v2": Traffic(9999)}, {})
    assert [row.rates for row in stats.rows(both, now, before, 1.0)] == [(8, 0), None, (8, 0), None]


def test_a_container_without_a_host_end_is_counted_inside():
    lan = watched("lan")
    (space,) = stats.without_host_end(lan)
    assert space.path == "/run/netns/c3"
    now = stats.sample(lan, {}, {space.path: {"eth0": Traffic(5)}})
    assert [row.traffic for row in stats.rows(lan, now)] == [Traffic(5), Traffic(5)]
    unread = stats.rows(lan, stats.sample(lan, {}, {}))
    assert [(row.traffic, row.note) for row in unread] == [(Traffic(), ""), (None, "eth0 in it cannot be read")]


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0B"), (999, "999B"), (1000, "1.00kB"), (12_345, "12.3kB"), (999_999, "1.00MB"), (123_456_789, "123MB")],
)
def test_quantities_have_three_digits(number, shown):
    assert stats.quantity(number, "B") == shown
