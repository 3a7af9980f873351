"""One container's mess stays its own: whatever is in it, the others are repaired, and it is told."""

import json

import pytest

SETUP = """
for c in c1 evil c2; do ip netns add $c; done
mydockernet create web --subnet 10.1.0.0/24
mydockernet create b --subnet 10.2.0.0/24
for c in c1 evil c2; do mydockernet connect web $c; done
mydockernet publish web c2 8080:80
mydockernet connect b evil
"""
DAMAGE = "iptables -F; iptables -t nat -F; for c in c1 c2; do ip -n $c address flush dev eth0; done;"
MESSES = {
    "a bridge in place of its interface": (
        "ip -n evil link del eth0; ip -n evil link add eth0 type bridge",
        "ip -n evil link del eth0",
        'interface "eth0" already exists in container "evil"',
    ),
    "a default route of its own": (
        "ip -n evil link add x type bridge; ip -n evil address add 10.9.0.2/24 dev x; ip -n evil link set x up;"
        "ip -n evil route del default; ip -n evil route add default via 10.9.0.1",
        "ip -n evil link del x",
        "route add default via 10.1.0.1 dev eth0: failed with status 2: RTNETLINK answers: File exists",
    ),
}


def states(host):
    records = json.loads(host.mydockernet("inspect web b").stdout)
    return {(r["Name"], name): c["State"] for r in records for name, c in r["Containers"].items()}


@pytest.mark.parametrize(("mess", "tidy", "why"), MESSES.values(), ids=MESSES)
def test_repair_mends_the_others_and_tells_of_the_one(host, mess, tidy, why):
    host.set_up(SETUP)
    whole = host.snapshot()["inside"]
    rules = [rule for body in host.rules().values() for rule in body if "mydockernet:" in rule]
    host.sh(DAMAGE + mess)
    assert host.mydockernet("check", check=False).returncode == 5
    assert "\niptables " in host.mydockernet("repair --dry-run", check=False).stdout
    for _ in range(2):  # The second finds only what the first left.
        done = host.mydockernet("repair", check=False)
        assert done.returncode == 5, done
        error, hint = done.stderr.splitlines()
        assert error.startswith("mydockernet: error: web: cannot repair container evil: ")
        assert why in error
        assert hint == "hint: fix the cause, then run mydockernet repair web"
        assert [rule for body in host.rules().values() for rule in body if "mydockernet:" in rule] == rules
        assert states(host) == {
            ("web", "c1"): "up",
            ("web", "evil"): "drifted",
            ("web", "c2"): "up",
            ("b", "evil"): "up",
        }
    check = host.mydockernet("check", check=False)
    assert check.returncode == 5
    assert all("evil" in line for line in check.stdout.splitlines()), check.stdout
    host.sh(tidy)
    host.mydockernet("repair")
    assert host.mydockernet("check").stdout == ""
    assert host.snapshot()["inside"] == whole


def test_what_can_not_be_read_is_told_and_keeps_no_other_from_being_repaired(host):
    host.set_up(SETUP + "mkdir /run/fake; cp /bin/sh /run/fake/; rm /run/fake/sh")
    host.sh(
        "cat > /run/fake/nsenter; chmod +x /run/fake/nsenter",
        stdin='#!/bin/sh\n[ "${1#--net=}" -ef /run/netns/evil ] && { echo "no memory" >&2; exit 1; }\n'
        'exec "$(PATH=${PATH#/run/fake:} command -v nsenter)" "$@"\n',
    )
    fake = {"PATH": f"/run/fake:{host.env['PATH']}"}
    blocked = "cannot repair container evil: cannot read the namespace /run/netns/evil"
    check = host.mydockernet("check", env=fake, check=False)
    assert check.returncode == 5
    assert check.stdout == f"b: {blocked}\nweb: {blocked}\n"
    host.sh(DAMAGE)
    done = host.mydockernet("repair", env=fake, check=False)
    assert done.returncode == 5
    assert f"mydockernet: error: web: {blocked}\n" in done.stderr
    assert host.mydockernet("check").stdout == ""


def test_a_lost_cable_of_another_network_is_left_for_repair(host):
    host.set_up(SETUP)
    host.sh("ip link del $(mydockernet inspect b | jq -r '.[0].Containers.evil.HostInterface')")
    host.mydockernet("disconnect web evil")
    assert host.sh("ip -br -n evil link").stdout.split()[0::3][:1] == ["lo"]
    assert "eth" not in host.sh("ip -br -n evil link").stdout
    assert "b: missing veth pair: evil-" in host.mydockernet("check", check=False).stdout
    host.mydockernet("connect web evil")
    assert "eth1" not in host.sh("ip -br -n evil link").stdout
    host.mydockernet("repair")
    assert states(host)["b", "evil"] == "up"


@pytest.mark.parametrize("state", ["down", "up"])
def test_a_connect_that_is_rolled_back_leaves_loopback_as_it_was(host, state):
    host.set_up(SETUP + f"ip netns add c3; ip -n c3 link set lo {state}; mkdir /run/fake")
    host.sh(
        "cat > /run/fake/iptables; chmod +x /run/fake/iptables",
        stdin='#!/bin/sh\ncase "$*" in *" -A MYDOCKERNET-PORTS"*) exit 1;; esac\n'
        'exec "$(PATH=${PATH#/run/fake:} command -v iptables)" "$@"\n',
    )
    before = host.everything()
    done = host.mydockernet("connect web c3 -p 81:81", env={"PATH": f"/run/fake:{host.env['PATH']}"}, check=False)
    assert done.returncode == 1
    assert host.everything() == before
