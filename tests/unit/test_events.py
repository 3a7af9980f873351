"""What the kernel and the record tell becomes events, each once."""

from ipaddress import ip_network

import pytest

from mydockernet.dialects.fact import Link
from mydockernet.record.history import FAILED, Entry, Who
from mydockernet.reports import events
from mydockernet.reports.events import KEPT, Event, Sorter, Told, Translator
from mydockernet.value import replace
from tests.unit.dialects.test_monitors import BRIDGE, END, VETH, rule
from tests.unit.values import endpoint, intent, network

WEB = network("web", "10.1.0.0/24", endpoint("c1", veth="v1"))
DB = network("db", "10.2.0.0/24", realm="12ab9f")
LINKS = {
    "web": Link("web", mtu=1500, mac="02:6d:00:00:00:01", group="28004", up=True, index=2),
    "v1": Link("v1", mtu=1500, master="web", mac="02:6d:00:00:00:02", group="28004", up=True, index=3),
}
ETHER = "\\    link/ether 02:6d:00:00:00:01"
UP_AGAIN = f"[LINK]2: web: <UP> mtu 1500 qdisc noqueue state UP group 28004 {ETHER}"


def words(*told, links=LINKS):
    translator = Translator(links)
    return [each.what for one in told for each in translator.read(one)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (UP_AGAIN, []),
        (f"[LINK]Deleted {BRIDGE}{ETHER}", ["interface web deleted"]),
        (f"[LINK]{BRIDGE}{ETHER}", ["interface web is down", "interface web has MTU 1400, not 1500"]),
        (f"[LINK]9: new: <UP> mtu 1500 qdisc noop state UP group 7 {ETHER}", ["interface new created"]),
        (UP_AGAIN.replace("web", "other"), ["interface web renamed to other"]),
        (UP_AGAIN.replace("28004", "default"), ["interface web is in link group default, not 28004"]),
        (
            UP_AGAIN.replace("00:01", "00:09"),
            ["interface web has MAC address 02:6d:00:00:00:09, not 02:6d:00:00:00:01"],
        ),
        (
            f"[LINK]3: v1@if2: <UP> mtu 1500 qdisc noqueue state UP group 28004 {ETHER.replace('01', '02')}",
            ["interface v1 left web"],
        ),
        ("[ADDR]Deleted 2: web    inet 10.1.0.1/24 scope global", ["address 10.1.0.1/24 deleted from web"]),
        ("[ROUTE]10.1.0.0/26 dev eth0 ", ["route added: 10.1.0.0/26 dev eth0"]),
    ],
)
def test_a_change_of_a_link_is_told_as_what_differs_from_before(line, said):
    assert words(line) == said


def test_a_link_that_is_told_twice_is_one_change():
    assert words(f"[LINK]{VETH}", f"[LINK]{VETH}", links={}) == ["interface c1-69bf7b created"]


def test_a_transaction_is_told_once_it_is_complete_with_its_process():
    shared, own = rule(8, b"mydockernet:@shared"), rule(8, b"mydockernet:web", b"MYDOCKERNET-FORWARD")
    translator = Translator({})
    assert [*translator.read(shared + shared + own)] == []
    assert [*translator.read(rule(8, b"somebody's") + END)] == [
        Told("2 rules deleted in ip filter FORWARD", "iptables (4762)", owner="@shared"),
        Told("1 rule deleted in ip filter MYDOCKERNET-FORWARD", "iptables (4762)", owner="web"),
    ]
    assert [*translator.read(END)] == []


@pytest.mark.parametrize(
    ("told", "network"),
    [
        (Told("", devices=frozenset({"web"})), "web"),
        (Told("", devices=frozenset({"v1", "other"})), "web"),
        (Told("", devices=frozenset({"eth0"})), ""),
        (Told("", devices=frozenset({"eth0"}), destination=ip_network("10.1.0.0/26")), "web"),
        (Told("", devices=frozenset({"eth0"}), destination=ip_network("10.0.0.0/8")), "web"),
        (Told("", devices=frozenset({"eth0"}), destination=ip_network("0.0.0.0/0")), ""),
        (Told("", destination=ip_network("fd00::/64")), ""),
        (Told("", owner="web"), "web"),
        (Told("", owner="db@12ab9f"), "db"),
        (Told("", owner="db"), ""),
        (Told("", owner="@shared"), "@shared"),
    ],
)
def test_what_concerns_a_network_is_known_by_its_interfaces_destination_or_mark(told, network):
    assert events.Index(intent(WEB, DB)).concerned(told) == network


FLUSH = Told("10 rules deleted in ip filter FORWARD", "iptables (7)", owner="@shared")
DOWN = Told("interface web is down", devices=frozenset({"web"}))
WHEN = "2026-11-26T10:00:00Z"
ENTRY = Entry(7, WHEN, Who(0, "", "vm"), ("set", "web", "mtu=1400"), ("web",), "done", 1.0)


@pytest.fixture
def sorter():
    return Sorter(intent(WEB, DB))


def test_what_others_change_is_an_event_after_a_moment(sorter):
    sorter.keep(10.0, WHEN, [FLUSH, DOWN, Told("", devices=frozenset({"eth0"}))])
    assert sorter.due(10.1, changing=False) == []
    assert sorter.due(10.0 + KEPT, changing=False) == [
        Event(WHEN, ("@shared",), "iptables (7)", FLUSH.what),
        Event(WHEN, ("web",), "", "interface web is down"),
    ]
    assert sorter.due(20.0, changing=False) == []


def test_what_the_kernel_tells_of_a_change_on_record_is_no_event_of_its_own(sorter):
    sorter.keep(10.0, WHEN, [DOWN, FLUSH])
    assert sorter.due(10.9, changing=True) == []
    event = sorter.recorded(11.0, ENTRY, "root@vm", intent(WEB, DB))
    assert event == Event(WHEN, ("web",), "root@vm", "set web mtu=1400")
    assert sorter.due(12.0, changing=False) == []


def test_a_change_on_record_hides_neither_what_was_before_nor_other_networks(sorter):
    sorter.keep(9.0, WHEN, [DOWN])
    other = Told("interface db is down", devices=frozenset({"db"}))
    sorter.keep(10.9, WHEN, [other])
    sorter.recorded(11.0, ENTRY, "root@vm", intent(WEB, DB))
    assert [event.what for event in sorter.due(12.0, changing=False)] == [DOWN.what, other.what]


def test_a_network_that_was_removed_is_not_told_of_again(sorter):
    sorter.keep(10.9, WHEN, [DOWN])
    sorter.recorded(11.0, ENTRY, "root@vm", intent(DB))
    assert sorter.due(12.0, changing=False) == []


def test_a_change_that_was_killed_does_not_hold_events_back_for_ever(sorter):
    sorter.keep(10.0, WHEN, [DOWN])
    assert sorter.due(39.0, changing=True) == []
    assert len(sorter.due(41.0, changing=True)) == 1


def test_a_change_that_failed_says_so():
    assert events.recorded(replace(ENTRY, result=FAILED), "root@vm").what == "set web mtu=1400 (failed)"
