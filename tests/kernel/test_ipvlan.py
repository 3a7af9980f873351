"""The driver ipvlan, as far as a kernel without it goes: dry runs, refusals, and a failure that leaves nothing."""

import json

import pytest

from tests.kernel.test_explain import explain
from tests.kernel.test_macvlan import LAN

OPTIONS = "--driver ipvlan --subnet 192.0.2.0/24 --gateway 192.0.2.2 --ip-range 192.0.2.16/28 -o ipvlan_mode=l2"


@pytest.fixture
def lan(host):
    host.set_up(f"{LAN}mydockernet create lan {OPTIONS}")
    return host


def test_the_dry_run_shows_what_connect_would_do(lan):
    plan = json.loads(lan.mydockernet("connect lan c1 --dry-run --format json").stdout)
    commands = [" ".join(step["argv"]) for step in plan]
    (create,) = (command for command in commands if "link add" in command)
    assert create.startswith("ip link add link up1 name eth0 index ")
    assert create.endswith(" netns /run/netns/c1 group 28007 type ipvlan mode l2")
    assert not any("eth0 address" in command for command in commands)


def test_where_the_kernel_has_none_connect_fails_and_changes_nothing(lan):
    if lan.sh("ip link add link up1 name x type ipvlan", check=False).returncode == 0:
        pytest.skip("this kernel has ipvlan")
    before = lan.everything()
    lan.fails("connect lan c1", 1, "type ipvlan mode l2: failed with status", "Unknown device type")
    assert lan.everything() == before


def test_what_lists_and_explains_knows_it(lan):
    assert lan.mydockernet("ls --format '{{.Driver}} {{.Gateway}} {{.State}}'").stdout == "ipvlan 192.0.2.2 up\n"
    (record,) = json.loads(lan.mydockernet("inspect lan").stdout)
    assert (record["Parent"], record["Mode"], record["Bridge"], record["Rules"]) == ("up1", "l2", None, [])
    assert lan.mydockernet("who up1").stdout == "up1: parent interface of network lan\n"
    assert lan.mydockernet("check").stdout == ""
    assert lan.mydockernet("repair --dry-run").stdout == "#!/bin/sh\nset -e\n"
    assert "problem" not in lan.mydockernet("doctor", check=False).stdout
    lan.sh("ip link set up1 down")
    assert lan.mydockernet("ls --format '{{.State}}'").stdout == "down\n"
    done, _ = explain(lan, "host 192.0.2.2")
    assert done.returncode in (0, 5)
    assert lan.mydockernet("rm lan").stdout == "lan\n"


def test_what_it_can_not_do_is_refused(lan):
    before = lan.everything()
    for words, text in (
        (
            "connect lan c1 --mac 02:00:00:00:00:07",
            "--mac: the driver ipvlan does not support it: its containers share",
        ),
        ("connect lan c1 -p 80:80", "--publish: the driver ipvlan does not support it"),
        ("create x --driver ipvlan --mode bridge", '--mode: "bridge" is no mode of ipvlan: use l2, l3, l3s'),
        (
            "create x --driver ipvlan --host-ip 192.0.2.9",
            "--host-ip: the driver ipvlan does not support it: only macvlan",
        ),
        ("create x --driver ipvlan", "--subnet: the driver ipvlan needs the subnet of the LAN that up1 is on"),
    ):
        lan.fails(words, 2, text)
    assert lan.everything() == before
    lan.mydockernet("create routed --driver ipvlan --mode l3")
    plan = lan.mydockernet("connect routed c2 --dry-run").stdout
    assert "ip route add 0.0.0.0/0 dev eth0 protocol 28" in plan
