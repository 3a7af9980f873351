"""The zones of firewalld: what its D-Bus says, when a network needs a command, and how commands are joined."""

import json

import pytest

from mydockernet.dialects.fact import Link, Observed, Zones
from mydockernet.dialects.firewalld import (
    INSTALL,
    POLICY,
    READ,
    ZONE,
    ZONE_INTERNAL,
    InZone,
    read,
    read_pid,
    settings,
    strays,
    with_lasting,
)
from mydockernet.kernel.door import Kernel
from mydockernet.kernel.folding import fold
from mydockernet.kernel.proc import is_here

WEB = InZone("web", ZONE, "web")
LASTING = InZone("web", ZONE, "web", lasting=True)
KNOWN = frozenset({"public", ZONE, ZONE_INTERNAL, POLICY})


def seen(known=KNOWN, **members):
    return Observed(zones=Zones(members, known))


def commands(steps):
    return [" ".join(step.do) for step in steps]


def test_the_output_of_busctl_becomes_zones():
    active = {ZONE: {"interfaces": ["web"], "sources": ["10.4.0.0/24"]}, "public": {"interfaces": ["eth0"]}}
    texts = [json.dumps({"type": "", "data": [data]}) for data in (active, ["public", ZONE], [POLICY])]
    assert read(*texts) == Zones(
        {"web": ZONE, "10.4.0.0/24": ZONE, "eth0": "public"}, frozenset({"public", ZONE, POLICY})
    )
    assert read_pid('{"type":"u","data":[4711]}') == 4711


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"data":[]}', '{"data":["x"]}', '{"type":"b","data":[true]}'])
def test_what_busctl_does_not_say_is_no_firewalld(text):
    assert read_pid(text) is None
    assert read(text, text, text) is None


def test_without_firewalld_there_is_nothing_to_do():
    assert WEB.holds(Observed())
    assert not WEB.beyond(Observed())
    assert not WEB.remains(Observed())
    assert WEB.undo(Observed()) == ()


def test_an_unbound_bridge_is_bound_and_a_bound_one_is_released():
    assert commands(WEB.do(seen())) == ["firewall-cmd --zone=mydockernet --add-interface=web"]
    there = seen(web=ZONE)
    assert WEB.holds(there)
    assert WEB.remains(there)
    assert commands(WEB.undo(there)) == ["firewall-cmd --zone=mydockernet --remove-interface=web"]


def lasting(*zones, **members):
    return Observed(zones=Zones(members, KNOWN, dict(zones)))


def test_beside_nftables_it_outlives_a_reload():
    stays = "firewall-cmd --permanent --zone=mydockernet"
    assert commands(LASTING.do(seen())) == [
        "firewall-cmd --zone=mydockernet --add-interface=web",
        f"{stays} --add-interface=web",
    ]
    assert not LASTING.holds(seen(web=ZONE))
    assert commands(LASTING.do(seen(web=ZONE))) == [f"{stays} --add-interface=web"]
    both = lasting(("web", ZONE), web=ZONE)
    assert LASTING.holds(both)
    assert commands(LASTING.undo(both))[1:] == [f"{stays} --remove-interface=web"]
    # Beside iptables it must not.
    assert not WEB.holds(both)
    assert commands(WEB.do(both)) == [f"{stays} --remove-interface=web"]
    # Without a network, it is left over.
    assert [stray.what for stray in strays(lasting(("gone", ZONE)), [WEB])] == ["firewalld zone: mydockernet for gone"]


def test_what_lasts_is_read_from_the_settings_of_the_zones():
    path = '{"type":"o","data":["/org/fedoraproject/FirewallD1/config/zone/6"]}'
    ((zone, argv),) = settings(path, "")
    assert (zone, argv[-3:]) == (
        ZONE,
        ("/org/fedoraproject/FirewallD1/config/zone/6", "org.fedoraproject.FirewallD1.config.zone", "getSettings2"),
    )
    data = {"interfaces": {"type": "as", "data": ["web"]}, "sources": {"type": "as", "data": ["10.4.0.0/24"]}}
    shown = json.dumps({"type": "a{sv}", "data": [data]})
    assert with_lasting(Zones(), [(ZONE, shown)]).lasting == {"web": ZONE, "10.4.0.0/24": ZONE}
    assert with_lasting(Zones(), [(ZONE, "{")]) == Zones()


def test_a_subnet_is_bound_as_a_source():
    assert commands(InZone("10.4.0.0/24", ZONE, "p").do(seen())) == [
        "firewall-cmd --zone=mydockernet --add-source=10.4.0.0/24"
    ]


def test_a_network_that_becomes_internal_changes_its_zone():
    internal = InZone("web", ZONE_INTERNAL, "web")
    assert not internal.holds(seen(web=ZONE))
    assert internal.slot() == WEB.slot()
    assert commands(internal.do(seen(web=ZONE))) == ["firewall-cmd --zone=mydockernet-int --change-interface=web"]


def test_the_zone_of_an_admin_stays():
    there = seen(known=frozenset({"trusted"}), web="trusted")
    assert WEB.holds(there)
    assert not WEB.remains(there)
    assert WEB.undo(there) == ()


@pytest.mark.parametrize("lacking", [{ZONE}, {POLICY}, {ZONE, POLICY}])
def test_missing_files_are_told_and_fail_nothing(lacking):
    for there in (seen(known=KNOWN - lacking), seen(known=KNOWN - lacking, web=ZONE)):
        assert not WEB.holds(there)
        assert all(f'"{name}"' in WEB.beyond(there) for name in lacking)
        assert WEB.way_out() == " && ".join(INSTALL)
    assert bool(WEB.do(seen(known=KNOWN - lacking))) is (ZONE not in lacking)


def test_only_what_is_gone_is_left_over():
    there = Observed(
        links={"other": Link("other")},
        zones=Zones({"web": ZONE, "gone": ZONE, "other": ZONE, "10.9.0.0/24": ZONE, "eth9": "public"}, KNOWN),
    )
    assert [stray.member for stray in strays(there, [WEB])] == ["gone"]


def test_commands_of_one_zone_become_one():
    facts = [WEB, InZone("b", ZONE, "b"), InZone("10.4.0.0/24", ZONE, "p"), InZone("i", ZONE_INTERNAL, "i")]
    steps = [step for fact in facts for step in (*fact.do(seen()),)] + [*WEB.undo(seen(web=ZONE))]
    assert [batch.argv for batch in fold(steps)] == [
        ("firewall-cmd", "--zone=mydockernet", "--add-interface=web", "--add-interface=b"),
        ("firewall-cmd", "--zone=mydockernet", "--add-source=10.4.0.0/24"),
        ("firewall-cmd", "--zone=mydockernet-int", "--add-interface=i"),
        ("firewall-cmd", "--zone=mydockernet", "--remove-interface=web"),
    ]


@pytest.mark.parametrize(("bus", "client"), [(False, True), (True, False)])
def test_without_a_bus_or_a_client_no_process_is_started(monkeypatch, bus, client):
    monkeypatch.setattr("mydockernet.kernel.door.has_bus", lambda: bus)
    monkeypatch.setattr(Kernel, "has", lambda self, program: client)

    def none(commands):
        raise AssertionError(commands)

    assert Kernel(none, together=none).observe_zones(Observed()) == Observed()


@pytest.mark.parametrize("here", [True, False])
def test_a_firewalld_of_another_network_namespace_counts_as_none(monkeypatch, tmp_path, here):
    for name, inode in (("self", "this"), ("7", "this" if here else "other")):
        (tmp_path / name / "ns").mkdir(parents=True)
        (tmp_path / inode).touch()
        (tmp_path / name / "ns/net").symlink_to(tmp_path / inode)
    assert is_here(7, tmp_path) is here
    assert not is_here(8, tmp_path)
    assert not is_here(None, tmp_path)


def test_reading_asks_who_firewalld_is_before_it_is_believed():
    assert READ[0][-1] == "org.fedoraproject.FirewallD1"
    assert "GetConnectionUnixProcessID" in READ[0]
