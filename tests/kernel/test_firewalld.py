"""Beside a real firewalld, with either of its backends: who reaches whom, and what is left after each event.

The rules of the networks are in iptables; test_every_firewall.py has those in nftables.
"""

import contextlib
import json
import os
import signal
import subprocess
import time

import pytest

from tests.conftest import CANARY, ROOT, Host
from tests.kernel.firewalld import BACKENDS, SHIPPED, Firewalld, needs_firewalld
from tests.kernel.lab import HOST, INTERNAL, A, Lab, over_ipv6
from tests.kernel.test_reachability import BOTH, matrix

pytestmark = needs_firewalld

# What programs of the host offer is for firewalld to open: its zones are closed, and its backends refuse differently.
OF_THE_HOST = {("outside", HOST, 8081): "closed", ("i1", f"{INTERNAL}.1", 82): "closed"}
OF_THE_HOST |= {(place, over_ipv6(address), port): said for (place, address, port), said in OF_THE_HOST.items()}
REFUSALS = ("refused", "dropped", ("refused", "dropped"), ("dropped", "refused"))
PTP = {
    ("p1", "192.0.2.2", 81): f"outside {HOST}",
    ("p1", "10.4.0.3", 81): "p2 10.4.0.2",
    ("p1", "10.5.0.2", 81): "dropped",
    ("q1", "10.5.0.3", 81): "q2 10.5.0.2",
    ("q1", "192.0.2.2", 81): "dropped",
    ("p1", f"{A}.2", 81): "dropped",
}
ROWS = BOTH | PTP
BESIDE = ROWS | OF_THE_HOST
ZONES = {"mydockernet": ["a", "b", "10.4.0.0/24"], "mydockernet-int": ["i", "10.5.0.0/24"]}
BRIDGED = "sysctl -qew net.bridge.bridge-nf-call-iptables={0} net.bridge.bridge-nf-call-ip6tables={0}"


def answers(lab, rows):
    """What is answered to the questions of these rows."""
    found = matrix(lab, rows)
    return {row: "closed" if rows[row] == "closed" and said in REFUSALS else said for row, said in found.items()}


@pytest.fixture(scope="module", params=BACKENDS)
def well(request):
    """One lab for many tests, each of which leaves it as it was."""
    host = Host("iptables")
    host.sh(CANARY)
    with contextlib.closing(Firewalld(host, request.param)) as firewalld:
        lab = Lab(host)
        host.sh(BRIDGED.format(1))
        host.set_up(
            "for n in p1 p2 q1 q2; do ip netns add $n; done; mydockernet create p --driver ptp --subnet 10.4.0.0/24;"
            "mydockernet create q --driver ptp --internal --subnet 10.5.0.0/24; mydockernet connect p p1;"
            "mydockernet connect p p2; mydockernet connect q q1; mydockernet connect q q2"
        )
        for name in ("p1", "p2", "q1", "q2"):
            lab.listen(name, name, "0.0.0.0:81")
        yield lab, firewalld
        lab.close()
    host.close()


@pytest.fixture
def lab(well):
    lab, firewalld = well
    yield lab
    if firewalld.process.poll() is not None:
        firewalld.start()
    if lab.host.mydockernet("check", check=False).stdout:
        lab.host.mydockernet("repair")


@pytest.fixture
def firewalld(well):
    return well[1]


@pytest.mark.parametrize("bridged", [1, 0])
def test_all_rows_hold_beside_firewalld(lab, firewalld, bridged):
    lab.host.sh(BRIDGED.format(bridged))
    assert answers(lab, BESIDE) == BESIDE
    lab.host.sh(BRIDGED.format(1))
    assert {zone: sorted(members) for zone, members in firewalld.zones().items()} == {
        zone: sorted(members) for zone, members in ZONES.items()
    }


# The commands are the same for either backend.
ONCE = pytest.mark.parametrize("well", BACKENDS[:1], indirect=True)


@pytest.mark.parametrize("event", ["reload", "stop"])
def test_one_repair_restores_all_rows(lab, firewalld, event):
    restored_after(event, lab, firewalld)


@ONCE
@pytest.mark.parametrize("event", ["complete_reload", "hup", "restart"])
def test_one_repair_restores_all_rows_after_rarer_events(lab, firewalld, event):
    restored_after(event, lab, firewalld)


def restored_after(event, lab, firewalld):
    getattr(firewalld, event)()
    found = lab.host.mydockernet("check", check=False)
    assert found.returncode == 5
    missing = [line for line in found.stdout.splitlines() if "firewalld zone" in line]
    assert missing == (
        []
        if event == "stop"
        else [
            f"{name}: missing firewalld zone: {zone} for {member}"
            for name, zone, member in (
                ("a", "mydockernet", "a"),
                ("b", "mydockernet", "b"),
                ("p", "mydockernet", "10.4.0.0/24"),
                ("i", "mydockernet-int", "i"),
                ("q", "mydockernet-int", "10.5.0.0/24"),
            )
        ]
    )
    said = lab.host.mydockernet("repair").stdout.splitlines()
    assert {*missing} <= {*said}
    rows = ROWS if event == "stop" else BESIDE
    assert answers(lab, rows) == rows
    assert lab.host.mydockernet("check").stdout == ""


@ONCE
def test_an_open_port_of_the_zone_is_open_to_containers_only(lab, firewalld):
    firewalld.cmd("--zone=mydockernet --add-port=83/tcp --add-port=83/udp")
    lab.listen("", "host", "0.0.0.0:83")
    assert lab.ask("a1", (f"{A}.1", 83)) == [f"host {A}.2"]
    assert lab.ask("outside", (HOST, 83)) == ["dropped"]
    assert lab.ask("i1", (f"{INTERNAL}.1", 83)) == ["dropped"]


@ONCE
def test_the_zone_comes_with_a_network_and_goes_with_it(lab, firewalld):
    host = lab.host
    before = firewalld.zones()
    script = host.mydockernet("create new --subnet 10.9.0.0/24 --dry-run").stdout
    assert (
        "# Put new into a zone of firewalld. Otherwise, firewalld may reject what containers send.\n"
        "firewall-cmd --zone=mydockernet --add-interface=new\n"
    ) in script
    host.mydockernet("create new --subnet 10.9.0.0/24")
    assert "new" in firewalld.zones()["mydockernet"]
    assert host.mydockernet("create new --subnet 10.9.0.0/24 --ignore --dry-run").stdout.count("\n") < 3
    host.mydockernet("set new internal=true")
    assert "new" in firewalld.zones()["mydockernet-int"]
    host.sh("ip link delete dev new")
    host.mydockernet("rm new")
    assert firewalld.zones() == before


@ONCE
def test_doctor_and_list_name_a_bridge_that_is_in_no_zone(lab, firewalld):
    firewalld.cmd("--zone=mydockernet --remove-interface=b")
    found = lab.host.mydockernet("doctor", check=False).stdout
    what = "problem: firewalld may drop packets of b: it is not in the zone mydockernet\n"
    assert what in found
    assert lab.host.mydockernet(["list", "--format", "{{.Name}} {{.State}}"]).stdout.splitlines()[:3] == [
        "a up",
        "b drifted",
        "i up",
    ]
    lab.host.mydockernet("repair")
    assert what not in lab.host.mydockernet("doctor", check=False).stdout


@ONCE
def test_a_zone_that_an_admin_chose_stays(lab, firewalld):
    host = lab.host
    firewalld.cmd("--zone=trusted --add-interface=mine")
    host.mydockernet("create mine")
    assert host.mydockernet("check").stdout == ""
    host.mydockernet("rm mine")
    assert firewalld.zones()["trusted"] == ["mine"]
    firewalld.cmd("--zone=trusted --remove-interface=mine")


@ONCE
def test_a_bridge_that_no_network_needs_any_more_leaves_the_zone(lab, firewalld):
    firewalld.cmd("--zone=mydockernet --add-interface=gone --add-interface=canary")
    assert lab.host.mydockernet("check", check=False).stdout == (
        "@shared: leftover firewalld zone: mydockernet for gone\n"
    )
    lab.host.mydockernet("repair")
    assert "gone" not in firewalld.zones()["mydockernet"]
    firewalld.cmd("--zone=mydockernet --remove-interface=canary")


@ONCE
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("action", ["exit 1", "kill -9 $PPID; exit 1"])
def test_a_change_that_firewalld_ends_is_rolled_back(lab, firewalld, action, at):
    """Of two networks that are made together, the first zone, or the second, is where it fails or is killed."""
    host, before = lab.host, (lab.host.everything(), firewalld.zones())
    env = host.break_programs(action, at, ("firewall-cmd",))
    lines = "create new --subnet 10.9.0.0/24\ncreate new2 --internal --subnet 10.10.0.0/24\n"
    done = host.run("mydockernet", "batch", "-", stdin=lines, env=env, check=False)
    assert done.returncode
    if "kill" in action:
        host.mydockernet("repair")
    assert (host.everything(), firewalld.zones()) == before


@ONCE
def test_a_firewalld_of_another_network_namespace_is_left_alone(lab, firewalld):
    """D-Bus is the same in each: firewall-cmd there would change this one."""
    before = firewalld.zones()
    inside = ("ip", "netns", "exec", "neighbour", "mydockernet", "--state-dir", "/run/elsewhere")
    lab.host.run(*inside, "create", "elsewhere")
    assert firewalld.zones() == before
    lab.host.run(*inside, "rm", "elsewhere")


MISSING = (
    'firewalld has no zone "mydockernet" and no policy "mydockernet-out", and may drop packets of {0}: '
    "cp -R contrib/firewalld/zones contrib/firewalld/policies /usr/lib/firewalld/ && "
    "firewall-cmd --reload && mydockernet repair"
)


def test_without_the_zones_networks_work_as_far_as_they_can_and_it_is_told(new_host):
    host = new_host(firewall="iptables")
    with contextlib.closing(Firewalld(host, "nftables", installed=False)) as firewalld:
        assert MISSING.format("web") in host.mydockernet("create web").stderr
        assert host.mydockernet("check", check=False).stdout == f"web: {MISSING.format('web')}\n"
        done = host.fails("repair", 5, MISSING.format("web").partition(":")[0])
        assert "hint: cp -R contrib/firewalld/zones" in done.stderr
        lines = host.mydockernet("doctor --format json", check=False).stdout.splitlines()
        fixes = {found["Fix"] for found in map(json.loads, lines) if "firewalld has no zone" in found["What"]}
        assert fixes == {MISSING.partition(": ")[2]}
        host.sh(f"cd {ROOT}; {fixes.pop().replace('/usr/lib/firewalld', '/run/firewalld/lib')}")
        assert host.mydockernet("check").stdout == ""
        assert firewalld.zones() == {"mydockernet": ["web"]}
        assert "firewalld has no zone" not in host.mydockernet("doctor", check=False).stdout
        # A panic is the admin's own.
        firewalld.cmd("--panic-on")
        found = host.mydockernet("doctor --format json", check=False)
        assert found.returncode == 5
        assert "panic mode" in found.stdout
        assert host.mydockernet("check").stdout == ""
        firewalld.cmd("--panic-off")
        host.mydockernet("rm web")
        assert firewalld.zones() == {}


@ONCE
def test_the_watcher_repairs_after_each_reload(lab, firewalld):
    host = lab.host
    host.sh("iptables -F MYDOCKERNET-FORWARD")
    watcher = subprocess.Popen(
        [*host.enter, SHIPPED / "mydockernet-firewalld"],
        env=host.env,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )

    def well_again():
        until = time.monotonic() + 20
        while host.mydockernet("check", check=False).stdout:
            assert time.monotonic() < until
            time.sleep(0.1)
        return True

    assert well_again(), "it repairs when it begins to listen"
    firewalld.reload()
    assert well_again()
    os.killpg(watcher.pid, signal.SIGTERM)
    watcher.wait()
