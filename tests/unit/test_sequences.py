"""Transitions in a row: each sees what those before it leave, and errors have their place."""

import pytest

from mydockernet import transitions
from mydockernet.cli.plans import _without_comment
from mydockernet.dialects.fact import Link, Observed, Route
from mydockernet.errors import Conflict, NotFound
from mydockernet.model import Namespace
from mydockernet.plan import difference
from mydockernet.sequences import Part, afterwards, sequence
from mydockernet.transitions import Transition
from mydockernet.value import replace
from tests.unit.values import endpoint, intent, network

NOTHING = Observed()
WEB, DB = network(), network("db", "10.2.0.0/24")


def to(*networks):
    return Transition(lambda before, seen: {**before, **intent(*networks)})


def of(*wanted):
    return [Part(f"lab:{number}", transition) for number, transition in enumerate(wanted, 1)]


def test_each_sees_the_networks_of_those_before():
    made = []
    after = sequence(of(to(WEB), to(DB), transitions.remove("web")), made).move({}, NOTHING)
    assert after == intent(DB)
    assert [dict(change.after) for change in made] == [{"web": WEB}, {"db": DB}, {"web": None}]


def test_an_error_has_the_place_of_its_transition():
    with pytest.raises(NotFound) as refused:
        sequence(of(to(WEB), transitions.remove("nope")), []).move({}, NOTHING)
    assert refused.value.messages == ('lab:2: network "nope" not found',)
    assert refused.value.hint == "mydockernet list shows all networks"


def test_an_error_of_looking_up_a_namespace_has_its_place():
    def resolve():
        raise NotFound('container "c9" not found')

    with pytest.raises(NotFound, match=r'^lab:1: container "c9" not found$'):
        sequence(of(Transition(lambda before, seen: before, resolve=resolve)), []).resolve()


def test_it_observes_what_any_of_them_needs():
    one, two = Namespace("/run/netns/c1", "4:1"), Namespace("/run/netns/c2", "4:2")
    parts = of(
        Transition(None, (one,)), Transition(None, (two, one), True, frozenset({80})), Transition(None, (), True, {81})
    )
    whole = sequence(parts, []).resolve()
    assert (whole.namespaces, whole.sockets, whole.ports) == ((one, two), True, {80, 81})
    assert sequence([*parts, Part("", Transition(None, sockets=True))], []).resolve().ports is None
    assert not sequence(parts[:1], []).resolve().sockets


def test_a_second_run_forgets_the_changes_of_the_first():
    made = []
    whole = sequence(of(to(WEB)), made)
    whole.move({}, NOTHING)
    whole.move({}, NOTHING)
    assert len(made) == 1


def seen_with(net, *, inside=()):
    block = net.subnets[0]
    links = {net.bridge: Link(net.bridge, addresses=frozenset({block.gateway_interface}))}
    links |= {e.veth: Link(e.veth) for e in net.endpoints}
    there = {e.namespace.path: Observed(links={e.interface: Link(e.interface)}) for e in inside}
    route = Route(block.network, "", net.bridge, "", protocol="kernel")
    return Observed(links={**links, "up1": Link("up1")}, routes=(route,), inside=there)


def test_what_is_removed_is_seen_no_more():
    c1 = endpoint()
    web = network("web", "10.1.0.0/24", c1)
    seen = afterwards(difference(intent(web), {}), seen_with(web, inside=[c1]))
    assert {*seen.links} == {"up1", c1.veth}  # A new pair gets another name.
    assert (seen.routes, seen.addresses) == ((), frozenset())
    assert seen.inside[c1.namespace.path].links == {}


def test_what_is_added_is_seen():
    c1 = endpoint()
    web = network("web", "10.1.0.0/24", c1)
    seen = afterwards(difference({}, intent(web)), Observed(inside={c1.namespace.path: NOTHING}))
    assert {*seen.links} == {"web", c1.veth}
    assert {*seen.inside[c1.namespace.path].links} == {"eth0"}
    assert transitions.plugged(c1, seen) is False  # Its namespace does not exist here.


def test_a_subnet_that_is_taken_away_is_free():
    two = replace(WEB, subnets=(*WEB.subnets, *network(text="10.9.0.0/24").subnets))
    gone = two.subnets[1]
    link = Link("web", addresses=frozenset(s.gateway_interface for s in two.subnets))
    routes = tuple(Route(s.network, "", "web", "", protocol="kernel") for s in two.subnets)
    foreign = Route(gone.network, "", "up1", "")
    seen = afterwards(difference(intent(two), intent(WEB)), Observed(links={"web": link}, routes=(*routes, foreign)))
    assert seen.routes == (routes[0], foreign)
    assert seen.addresses == {WEB.subnets[0].gateway}


def test_networks_that_have_containers_or_are_not_wanted_are_not_pruned():
    used = network("used", "10.3.0.0/24", endpoint())
    pruned = transitions.prune(lambda net: net.name != "db").move(intent(WEB, DB, used), NOTHING)
    assert pruned == intent(DB, used)


def test_all_or_nothing_means_that_the_first_error_ends_it():
    later = []
    with pytest.raises(Conflict):
        sequence(
            of(
                Transition(lambda before, seen: (_ for _ in ()).throw(Conflict("taken"))),
                Transition(lambda before, seen: later.append(1) or before),
            ),
            [],
        ).move({}, NOTHING)
    assert later == []


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("create web # why", "create web "),
        ("# all of it", ""),
        ("  # all of it", "  "),
        ("create web --label a=b#c", "create web --label a=b#c"),
        ("create web --label '# no' # yes", "create web --label '# no' "),
        ('create web --label "a \\" # no"', 'create web --label "a \\" # no"'),
        (r"create web --label \# # yes", r"create web --label \# "),
        (r"create web --label '\' # yes", r"create web --label '\' "),
    ],
)
def test_comments_begin_as_in_sh(line, left):
    assert _without_comment(line) == left
