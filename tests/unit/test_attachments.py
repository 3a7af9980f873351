"""What engines ask for: a container attached once, its networks made and removed with it, nothing left behind."""

from ipaddress import ip_address

import pytest

from mydockernet import attachments, ports
from mydockernet.attachments import Attachment, attach, detach, find, retain, room
from mydockernet.creation import Wish, create
from mydockernet.dialects.fact import Link, Observed
from mydockernet.errors import Conflict, Invalid, NotFound
from mydockernet.kernel import namespaces
from mydockernet.model import Namespace
from mydockernet.transitions import Connection
from mydockernet.value import replace
from tests.unit.values import endpoint, intent, network, subnet

ID = "0123456789abcdef"
WISH = Wish("web", subnets=(subnet(),))


@pytest.fixture(autouse=True)
def gone(monkeypatch):
    """The paths of namespaces that are gone."""
    paths = set()
    monkeypatch.setattr(namespaces, "alive", lambda namespace: namespace.path not in paths)
    return paths


def wanted(name="web", wish=WISH, netns="/run/netns/c1", **more):
    connection = Connection(
        more.pop("container", "c1"), Namespace(netns, f"4:{netns}"), **{"interface": "eth0", **more}
    )
    return Attachment(name, connection, wish)


def attached(*many, before=None, seen=None, container=ID, **more):
    return attach("podman", container, many, **more).move(before or {}, seen or Observed())


def linked(*endpoints):
    return Observed(links={e.veth: Link(e.veth) for e in endpoints})


def test_the_first_container_makes_the_network_that_is_described_and_the_last_takes_it_away():
    made = attached(wanted())
    (one,) = made["web"].endpoints
    assert (made["web"].engine, one.engine, one.id, one.name) == ("podman", "podman", ID, "c1")
    two = attached(wanted(netns="/run/netns/c2", container="c2"), before=made, seen=linked(one), container="other")
    assert detach("podman", ID).move(two, Observed())["web"].endpoints == two["web"].endpoints[1:]
    assert detach("podman", "other").move(detach("podman", ID).move(two, Observed()), Observed()) == {}


def test_a_network_of_the_admin_is_used_and_stays():
    ours = intent(network())
    made = attached(wanted(wish=None), before=ours)
    assert len(made["web"].endpoints) == 1
    assert made["web"].engine == ""
    after = detach("podman", ID).move(made, Observed())
    assert after == {"web": replace(network(), subnets=made["web"].subnets)}


def test_a_network_of_an_engine_stays_once_an_admin_asks_for_it_too():
    made = attached(wanted())
    kept = create(WISH, ignore=True).move(made, Observed())
    assert kept["web"].engine == ""
    seen = linked(*kept["web"].endpoints)
    more = attached(wanted(netns="/run/netns/c2", container="c2"), before=kept, seen=seen, container="other")
    assert more["web"].engine == ""
    assert "web" in detach("podman", "other").move(detach("podman", ID).move(more, Observed()), Observed())


def test_ids_that_begin_alike_have_names_of_their_own():
    made = {}
    for n in range(5):
        one = wanted(container="", netns=f"/run/netns/{n}")
        seen = linked(*made["web"].endpoints) if made else Observed()
        made = attached(one, before=made, seen=seen, container="x" * 70 + str(n))
    assert len({e.name for e in made["web"].endpoints}) == 5


def test_one_that_is_not_described_must_exist():
    with pytest.raises(NotFound, match='network "web" not found'):
        attached(wanted(wish=None))


def test_one_that_is_described_otherwise_than_it_is_is_refused():
    with pytest.raises(Conflict, match="already exists, with other settings"):
        attached(wanted(wish=replace(WISH, internal=True)), before=intent(network()))


def test_the_same_again_is_refused_unless_it_is_expected():
    made = attached(wanted())
    seen = linked(*made["web"].endpoints)
    with pytest.raises(Conflict, match='container "c1" is already on network "web"'):
        attached(wanted(), before=made, seen=seen)
    assert attached(wanted(), before=made, seen=seen, again=True) == made
    moved = attached(wanted(ip=ip_address("10.1.0.9")), before=made, seen=seen, again=True)
    assert [str(e.addresses[0]) for e in moved["web"].endpoints] == ["10.1.0.9"]
    (port,) = ports.read_specs(["8080:80"], "-p")
    more = attached(wanted(publish=(port,)), before=made, seen=seen, again=True)
    assert [str(m) for m in more["web"].endpoints[0].ports] == ["8080:80/tcp"]
    assert attached(wanted(publish=(port,)), before=more, seen=seen, again=True) == more
    assert attached(wanted(), before=more, seen=seen, again=True)["web"].endpoints[0].ports == ()


def test_what_an_engine_left_behind_goes_when_it_asks_for_anything(gone):
    left = endpoint("old", "10.1.0.9", engine="cni", id="old")
    admins = endpoint("admin", "10.1.0.8")
    gone |= {left.namespace.path, admins.namespace.path}
    before = intent(network("web", "10.1.0.0/24", left, admins), network("apart", "10.2.0.0/24", engine="cni"))
    made = attached(wanted(wish=None, ip=ip_address("10.1.0.9")), before=before)
    assert [e.name for e in made["web"].endpoints] == ["admin", "c1"]
    assert "apart" not in made


def test_a_namespace_that_cannot_be_seen_is_not_gone_while_its_veth_pair_is_there(gone):
    there = endpoint("there", "10.1.0.9", engine="cni", id="there")
    gone.add(there.namespace.path)
    made = attached(wanted(wish=None), before=intent(network("web", "10.1.0.0/24", there)), seen=linked(there))
    assert [e.name for e in made["web"].endpoints] == ["there", "c1"]


def test_a_network_that_was_left_behind_is_made_anew_with_other_settings(gone):
    left = endpoint("old", "10.1.0.2", engine="podman", id="old")
    gone.add(left.namespace.path)
    before = intent(network("web", "10.1.0.0/24", left, engine="podman"))
    made = attached(wanted(wish=Wish("web", subnets=(subnet(),), internal=True)), before=before)
    assert made["web"].internal
    assert [e.name for e in made["web"].endpoints] == ["c1"]


@pytest.mark.parametrize(
    ("asked", "taken", "name"),
    [
        ("c1", (), "c1"),
        ("c1", ("c1",), "c1-eth0"),
        ("c1", ("c1", "c1-eth0"), ID[:12]),
        ("", (), ID[:12]),
        ("../x", (), ID[:12]),
        ("x" * 65, (ID[:12],), ID),
    ],
)
def test_the_name_is_that_of_the_engine_if_it_is_valid_and_free(asked, taken, name):
    others = [endpoint(each, f"10.1.0.{n}", veth=f"veth{n}") for n, each in enumerate(taken, 7)]
    made = attached(
        wanted(container=asked, netns="/run/netns/x"), before=intent(network("web", "10.1.0.0/24", *others))
    )
    assert made["web"].endpoints[-1].name == name


def test_an_id_that_is_a_name_is_used_as_a_whole():
    made = attached(wanted(container=""), container="default-web_server.1")
    assert made["web"].endpoints[0].name == "default-web_server.1"


def test_the_same_container_has_the_same_name_on_all_its_networks():
    made = attached(wanted(), wanted("db", Wish("db", subnets=(subnet("10.2.0.0/24"),)), interface="eth1"))
    assert [e.name for name in ("web", "db") for e in made[name].endpoints] == ["c1", "c1"]


def test_each_port_is_published_once_by_a_network_that_can():
    specs = ports.read_specs(["8080:80", "[2001:db8::1]:9090:90"], "-p")
    many = [
        wanted("inner", Wish("inner", subnets=(subnet("10.3.0.0/24"),), internal=True), publish=specs),
        wanted(publish=specs, interface="eth1"),
        wanted("db", Wish("db", subnets=(subnet("10.2.0.0/24"), subnet("fd00::/64"))), publish=specs, interface="eth2"),
    ]
    seen = Observed(links={"up1": Link("up1", addresses=frozenset({"2001:db8::1/64"}))})
    made = attached(*many, seen=seen)
    published = {name: [str(m) for e in net.endpoints for m in e.ports] for name, net in made.items()}
    assert published == {"inner": [], "web": ["8080:80/tcp"], "db": ["[2001:db8::1]:9090:90/tcp"]}


def test_a_port_that_no_network_can_publish_is_refused_if_all_are_required():
    (port,) = ports.read_specs(["8080:80"], "-p")
    inner = wanted(wish=replace(WISH, internal=True), publish=(port,))
    assert attached(inner)["web"].endpoints[0].ports == ()
    with pytest.raises(Invalid, match="8080:80: none of the container's networks can publish it"):
        attached(inner, every_port=True)


def test_one_interface_leaves_or_all_that_a_list_does_not_have():
    made = attached(wanted())
    assert find(made, "podman", ID, "web", "eth0") == made["web"].endpoints[0]
    assert find(made, "cni", ID, "web") is None
    assert detach("podman", ID, "web", "eth1").move(made, Observed()) == made
    assert detach("podman", ID, "nowhere").move(made, Observed()) == made
    assert detach("cni", ID).move(made, Observed()) == made
    assert retain("podman", "web", {(ID, "eth0")}).move(made, Observed()) == made
    assert retain("cni", "web", ()).move(made, Observed()) == made
    assert retain("podman", "web", {(ID, "eth1")}).move(made, Observed()) == {}


def test_the_ports_of_a_network_that_it_leaves_stay_published_on_another_if_they_are_to_be_kept(gone):
    (port,) = ports.read_specs(["8080:80"], "-p")
    made = attached(
        wanted(publish=(port,)),
        wanted("inner", Wish("inner", subnets=(subnet("10.3.0.0/24"),), internal=True), interface="eth1"),
        wanted("db", Wish("db", subnets=(subnet("10.2.0.0/24"),)), interface="eth2"),
    )

    def left(**options):
        after = detach("podman", ID, "web", "eth0", **options).move(made, Observed())
        return {name: [str(mapping) for e in net.endpoints for mapping in e.ports] for name, net in after.items()}

    assert left() == {"inner": [], "db": []}
    assert left(keep_ports=True) == {"inner": [], "db": ["8080:80/tcp"]}
    assert detach("podman", ID, keep_ports=True).move(made, Observed()) == {}
    gone.add(made["db"].endpoints[0].namespace.path)
    assert left(keep_ports=True) == {"inner": [], "db": []}


def test_the_sockets_of_the_engine_are_not_asked_for():
    assert not attach("podman", ID, [wanted()]).sockets
    assert attachments.attach("podman", ID, [wanted(), wanted()]).namespaces == (wanted().connection.namespace,)


def test_a_network_has_room_while_another_container_would_get_an_address(gone):
    small = intent(network(text="10.1.0.0/29"))
    assert room("web").move(small, Observed()) == small
    for number in range(5):
        assert room("web").move(small, Observed())
        one = wanted(wish=None, netns=f"/run/netns/n{number}", container=f"n{number}")
        small = attached(one, before=small, seen=linked(*small["web"].endpoints), container=f"id{number}")
    everything = linked(*small["web"].endpoints)
    with pytest.raises(Conflict, match="all 5 addresses"):
        room("web").move(small, everything)
    # What an engine left behind takes no room.
    gone.add("/run/netns/n0")
    assert room("web").move(small, linked(*small["web"].endpoints[1:])) == small


def test_a_network_that_does_not_exist_has_room_if_it_could_be_created():
    assert room("web", WISH).move({}, Observed()) == {}
    with pytest.raises(Conflict, match="overlaps"):
        room("web", WISH).move(intent(network("other")), Observed())
    with pytest.raises(NotFound):
        room("web").move({}, Observed())


def test_a_bridge_without_a_free_port_has_no_room():
    ports = Observed(links={f"v{n}": Link(f"v{n}", master="web") for n in range(1023)})
    with pytest.raises(Conflict, match="full"):
        room("web").move(intent(network()), ports)
