"""An undo goes back to the value before, and what came after it stays; where that makes no sense, it says why."""

from ipaddress import ip_address

import pytest

from mydockernet.dialects.fact import Link, Observed
from mydockernet.errors import Conflict, NotFound
from mydockernet.model import DETACHED, Namespace
from mydockernet.record import history
from mydockernet.record.history import DONE, UNCONFIRMED, Entry, History, Who
from mydockernet.undoing import undo, undone_by
from mydockernet.value import replace
from tests.unit.values import endpoint, intent, mapping, network, subnet

NOTHING = Observed()
C1, C2 = endpoint(), endpoint("c2", "10.1.0.3")
WEB = network()


@pytest.fixture
def past(tmp_path):
    return Past(History(tmp_path))


class Past:
    """A history, and the networks that are the result of it."""

    def __init__(self, record):
        self.record = record
        self.now = {}

    def change(self, words, *networks, result=DONE, undoes=0):
        after = intent(*networks)
        names = sorted(n for n in {*self.now, *after} if self.now.get(n) != after.get(n))
        sides = {n: self.now.get(n) for n in names}, {n: after.get(n) for n in names}
        kept = history.changed(*(reversed(sides) if result == UNCONFIRMED else sides))
        who = Who(0, "", "host")
        entry = Entry(0, "", who, tuple(words.split()), tuple(names), result, 0.0, "", *kept, undoes=undoes)
        assert self.record.append(entry) == ""
        if result in (DONE, UNCONFIRMED):
            self.now = after

    def undo(self, number=None, seen=NOTHING):
        """Undo a change, record that, and return the networks."""
        transition = undo(self.record, number).resolve()
        after = transition.move(self.now, seen)
        self.change("undo", *after.values(), undoes=transition.undoes)
        return self.now

    def refusal(self, number=None, seen=NOTHING, kind=Conflict):
        before = dict(self.now)
        with pytest.raises(kind) as refused:
            undo(self.record, number).resolve().move(self.now, seen)
        assert self.now == before
        return str(refused.value), refused.value.hint


@pytest.fixture(autouse=True)
def alive(monkeypatch):
    """The namespaces that exist: those of c1 and c2, but for what a test takes away."""
    there = {e.namespace.path: e.namespace for e in (C1, C2)}
    monkeypatch.setattr("mydockernet.kernel.namespaces.alive", lambda namespace: namespace in there.values())
    monkeypatch.setattr("mydockernet.kernel.namespaces.at", there.get)
    return there


def test_each_undo_goes_one_step_back(past):
    states = [{}]
    for words, *networks in (
        ("create web", WEB),
        ("connect web c1", replace(WEB, endpoints=(C1,))),
        ("set web mtu=1400", replace(WEB, endpoints=(C1,), mtu=1400)),
        ("connect web c2", replace(WEB, endpoints=(C1, C2), mtu=1400)),
        ("disconnect web c1", replace(WEB, endpoints=(C2,), mtu=1400)),
        ("rm web",),
    ):
        past.change(words, *networks)
        states.append(past.now)
    for state in reversed(states[:-1]):
        assert past.undo() == state
    assert past.refusal()[0] == "the history has no change that could be undone"


def test_an_undo_can_be_undone(past):
    past.change("create web", WEB)
    past.change("set web mtu=1400", replace(WEB, mtu=1400))
    past.undo()
    assert past.undo(3) == intent(replace(WEB, mtu=1400))
    assert past.undo() == intent(WEB)
    assert undone_by(past.record.read()[0]) == {2: 5, 3: 4}


def test_what_is_undone_is_not_undone_again(past):
    past.change("create web", WEB)
    past.undo()
    assert past.refusal(1) == ("change 1: create web is already undone, by 2", "mydockernet undo 2 makes it again")


def test_a_network_that_changed_since_is_refused_with_the_later_change(past):
    past.change("create web", WEB)
    past.change("connect web c1", replace(WEB, endpoints=(C1,)))
    past.change("create other", replace(WEB, endpoints=(C1,)), network("other", "10.2.0.0/24"))
    said, hint = past.refusal(1)
    assert said == ('change 1 cannot be undone: network "web" has changed since (by change 2: connect web c1)')
    assert hint == "mydockernet undo 2 undoes that change"


def test_the_change_that_is_named_is_none_that_is_undone(past):
    past.change("create web", WEB)
    past.change("connect web c1", replace(WEB, endpoints=(C1,)))
    past.change("rm -f web")
    past.undo()
    assert "by change 2: connect web c1" in past.refusal(1)[0]


def test_changes_of_other_networks_are_no_obstacle_and_stay(past):
    other = network("other", "10.2.0.0/24")
    past.change("create web", WEB)
    past.change("create other", WEB, other)
    assert past.undo(1) == intent(other)


def test_what_cancels_itself_out_is_no_obstacle(past):
    job = endpoint("run-1", "10.1.0.9", namespace=Namespace("/run/netns/x", "", 7, 7))
    past.change("create web", WEB)
    past.change("set web mtu=1400", replace(WEB, mtu=1400))
    past.change("run web -- true", replace(WEB, mtu=1400, endpoints=(job,)))
    assert "by change 3: run web -- true" in past.refusal(2)[0]
    past.change("run web -- true", replace(WEB, mtu=1400))
    assert past.undo() == intent(WEB)


def test_what_an_engine_or_a_repair_did_is_not_undone_by_itself(past):
    podman = replace(C1, engine="podman", id="x")
    past.change("create web", WEB)
    past.change("netavark setup x", replace(WEB, endpoints=(podman,)))
    away = replace(podman, namespace=replace(C1.namespace, inode=DETACHED))
    past.change("repair", replace(WEB, endpoints=(away,)))
    assert "has changed since (by change 2: netavark setup x)" in past.refusal()[0]
    assert past.refusal(3)[0].endswith("it changed no value of a network, so there is nothing to undo")


def test_the_network_is_gone_or_exists_again(past):
    past.change("create web", WEB)
    past.change("set web mtu=1400", replace(WEB, mtu=1400))
    past.change("rm web")
    assert 'network "web" no longer exists (by change 3: rm web)' in past.refusal(2)[0]
    past.change("create web", network(text="10.9.0.0/24"))
    assert 'network "web" exists again (by change 4: create web)' in past.refusal(3)[0]


def test_a_change_of_a_script_is_noticed_too(past):
    past.change("create web", WEB)
    past.change("set web mtu=1400", replace(WEB, mtu=1400))
    past.now = intent(replace(WEB, mtu=1300))
    assert 'network "web" has changed since, by nothing that the history has' in past.refusal()[0]


def test_a_container_that_is_gone_but_may_return_is_detached(past, alive):
    past.change("create web", WEB)
    past.change("connect web c1", replace(WEB, endpoints=(C1,)))
    past.change("disconnect web c1", WEB)
    del alive[C1.namespace.path]
    away = replace(C1, namespace=replace(C1.namespace, inode=DETACHED))
    assert past.undo() == intent(replace(WEB, endpoints=(away,)))


def test_a_container_that_has_returned_is_attached(past, alive):
    past.change("create web", WEB)
    past.change("connect web c1", replace(WEB, endpoints=(C1,)))
    past.change("disconnect web c1", WEB)
    alive[C1.namespace.path] = again = Namespace(C1.namespace.path, "4:777")
    assert past.undo() == intent(replace(WEB, endpoints=(replace(C1, namespace=again),)))


def test_a_container_that_is_gone_for_good_is_named(past):
    process = replace(C1, namespace=Namespace("/proc/77/ns/net", "4:7", 77, 1))
    past.change("create web", WEB)
    past.change("connect web 77", replace(WEB, endpoints=(process,)))
    past.change("disconnect web 77", WEB)
    said, _ = past.refusal()
    assert said == 'change 3 cannot be undone: container "c1" of network "web" is gone for good: /proc/77/ns/net'


def test_containers_that_changed_their_namespace_keep_the_new_one(past):
    past.change("create web", WEB)
    past.change("connect web c1", replace(WEB, endpoints=(C1,)))
    past.change("publish web c1 8080:80", replace(WEB, endpoints=(replace(C1, ports=(mapping(),)),)))
    new = replace(C1, namespace=Namespace(C1.namespace.path, "4:777"))
    past.change("repair", replace(WEB, endpoints=(replace(new, ports=(mapping(),)),)))
    assert past.undo() == intent(replace(WEB, endpoints=(new,)))


def test_what_is_taken_since_is_named_with_its_holder(past):
    port = replace(C1, ports=(mapping(),))
    past.change("create web", WEB)
    past.change("connect web c1", replace(WEB, endpoints=(port,)))
    past.change("rm web")
    taken = network(
        "other",
        "10.1.0.0/16",
        endpoint("c2", "10.1.5.3", ports=(mapping(),)),
        bridge="web",
    )
    past.change("create other", taken)
    said, _ = past.refusal(3)
    assert said.split("; ") == [
        'change 3 cannot be undone: 10.1.0.0/24 of network "web" overlaps 10.1.0.0/16 of network "other"',
        'change 3 cannot be undone: the interface web of network "web" is now that of network "other"',
        'change 3 cannot be undone: 8080:80/tcp: port 8080/tcp is already in use by container "c2" on network "other"',
    ]


def test_an_address_that_is_taken_since_is_named_with_its_holder(past):
    past.change("create web", WEB)
    past.change("connect web c1", replace(WEB, endpoints=(C1,)))
    past.change("disconnect web c1", WEB)
    seen = Observed(links={"x": Link("x", addresses=frozenset({"10.1.0.2/32"}))})
    assert '10.1.0.2 of container "c1" on network "web" is now in use by the host' in past.refusal(3, seen)[0]


def test_a_container_that_is_on_another_network_meanwhile_is_numbered_after_it(past):
    other = network("other", "10.2.0.0/24")
    past.change("create web other", WEB, other)
    past.change("connect web c1", replace(WEB, endpoints=(C1,)), other)
    past.change("disconnect web c1", WEB, other)
    there = replace(other, endpoints=(endpoint("c1", "10.2.0.2", interface="eth1"),))
    past.change("connect other c1", WEB, there)
    assert past.undo(3) == intent(replace(WEB, endpoints=(replace(C1, order=2),)), there)


def test_an_interface_that_another_network_has_now_is_named(past):
    other = network("other", "10.2.0.0/24")
    past.change("create web", WEB, other)
    past.change("connect web c1", replace(WEB, endpoints=(C1,)), other)
    past.change("disconnect web c1", WEB, other)
    past.change("connect other c1", WEB, replace(other, endpoints=(endpoint("c1", "10.2.0.2"),)))
    assert past.refusal(3)[0].removeprefix("change 3 cannot be undone: ") == (
        'the interface eth0 of container "c1" on network "web" is now that of network "other"'
    )


def test_an_address_that_the_undo_frees_is_not_in_use(past):
    """The gateway of the one network is the address of a container on the other."""
    there = replace(subnet(), gateway=ip_address("10.1.0.9"))
    before = network("old", "", endpoint("c1", "10.1.0.1"), subnets=(there,))
    past.change("create old", before)
    past.change("apply new", WEB)
    seen = Observed(links={"web": Link("web", addresses=frozenset({"10.1.0.1/24"}))})
    assert past.undo(2, seen) == intent(before)


def test_what_was_not_made_is_not_undone(past):
    past.change("create web", WEB)
    past.change("rm web", result="rolled back")
    assert past.undo() == {}
    assert past.refusal(2)[0] == "change 2: rm web: it was not made, but rolled back"


def test_a_change_whose_values_were_too_large_is_not_undone_nor_passed_over(past, monkeypatch):
    past.change("create web", WEB)
    with monkeypatch.context() as small:
        small.setattr(history, "LIMIT", 100)
        past.change("set web mtu=1400", replace(WEB, mtu=1400))
    assert past.refusal()[0] == ("change 2 cannot be undone: it was too large for the history to keep its values")
    assert 'network "web" has changed since (by change 2: set web mtu=1400)' in past.refusal(1)[0]


def test_what_was_not_confirmed_is_undone_already(past):
    past.change("create web", WEB)
    past.change("set web mtu=1400", replace(WEB, mtu=1400))
    past.change("set web mtu=1400", WEB, result=UNCONFIRMED)
    assert past.refusal(2)[0] == (
        "change 2: set web mtu=1400 is already undone: it was rolled back, as it was not confirmed"
    )
    assert past.undo() == {}


def test_a_change_that_there_is_not(past):
    assert past.refusal(7, kind=NotFound)[0] == "the history has no change 7"
