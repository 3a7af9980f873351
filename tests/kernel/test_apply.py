"""Files that declare networks and containers: all of it, or none of it, and the file alone decides."""

import os
import random
import re
import signal
import time

import pytest
from hypothesis import HealthCheck, given, settings

from tests.files import files

ROUNDS = int(os.environ.get("MYDOCKERNET_TEST_ROUNDS", "1"))

LAB = """
name: shop
networks:
  front:
  back:
    internal: true
    ipam: {config: [{subnet: 10.1.0.0/24}]}
containers:
  web:
    networks:
      front: {aliases: [www]}
      back: {ipv4_address: 10.1.0.10}
    ports: ["8080:80"]
  db:
    networks: [back]
"""


def write(host, text, name="lab.yaml"):
    host.run("tee", f"/run/{name}", stdin=text)
    return f"/run/{name}"


@pytest.fixture
def lab(host):
    """A host with three namespaces, and the file of a lab in /run/lab.yaml."""
    host.sh("for c in web db c3; do ip netns add $c; ip -n $c link set lo up; done")
    write(host, LAB)
    return host


def plan(host, words="apply /run/lab.yaml"):
    return host.mydockernet(f"{words} --dry-run").stdout


def applied(host, text, words=""):
    return host.mydockernet(f"apply {words} {write(host, text)}").stdout.splitlines()


def test_what_is_declared_is_made_and_told(lab):
    before = lab.snapshot()
    assert applied(lab, LAB) == [
        "+ network back: bridge, 10.1.0.0/24, internal",
        "+ container web on back: eth1, 10.1.0.10",
        "+ container db on back: eth0, 10.1.0.2",
        "+ network front: bridge, 10.208.0.0/24",
        "+ container web on front: eth0, 10.208.0.2, 8080:80/tcp",
    ]
    assert lab.mydockernet("check").stdout == ""
    lab.sh("ip netns exec web ping -c1 -W2 10.1.0.2; ip netns exec web ping -c1 -W2 10.208.0.1")
    assert lab.mydockernet("ps --filter label=mydockernet.project=shop -q").stdout.split() == ["db", "web"]
    lab.mydockernet("down /run/lab.yaml")
    assert lab.snapshot() == before
    assert lab.state() == {}


def test_a_second_time_nothing_is_planned(lab):
    lab.mydockernet("apply /run/lab.yaml")
    before = lab.everything()
    assert plan(lab) == "#!/bin/sh\nset -e\n"
    assert lab.mydockernet("apply /run/lab.yaml").stdout == ""
    assert lab.mydockernet("apply --dry-run --exit-code /run/lab.yaml").returncode == 0
    assert lab.everything() == before


def test_if_nothing_is_to_change_it_tells_of_drift(lab):
    lab.mydockernet("apply /run/lab.yaml")
    assert lab.mydockernet("apply /run/lab.yaml").stderr == ""
    lab.sh("ip link delete front")
    told = lab.mydockernet("apply /run/lab.yaml")
    assert told.stdout == ""
    assert "nothing to change, but front is missing: mydockernet repair" in told.stderr


CHANGES = {
    "an address": (("10.1.0.10", "10.1.0.20"), ["~ container web on back: addresses: 10.1.0.10 → 10.1.0.20"]),
    "a port": (("8080:80", "8081:80"), ["~ container web on front: ports: 8080:80/tcp → 8081:80/tcp"]),
    "an alias": (("[www]", "[www, w3]"), ["~ container web on front: aliases: www → www, w3"]),
    "a subnet": (
        ("10.1.0", "10.2.0"),
        [
            "~ network back: subnets: 10.1.0.0/24 gateway 10.1.0.1 → 10.2.0.0/24 gateway 10.2.0.1",
            "~ container web on back: addresses: 10.1.0.10 → 10.2.0.10",
            "~ container db on back: addresses: 10.1.0.2 → 10.2.0.2",
        ],
    ),
    "internal": (("internal: true", "internal: false"), ["~ network back: internal: yes → no"]),
    "IPv6": (
        ("internal: true", "internal: true\n    enable_ipv6: true"),
        [
            "~ network back: subnets: 10.1.0.0/24 gateway 10.1.0.1 → 10.1.0.0/24 gateway 10.1.0.1, fd",
            "~ container web on back: addresses: 10.1.0.10 → 10.1.0.10, fd",
            "~ container db on back: addresses: 10.1.0.2 → 10.1.0.2, fd",
        ],
    ),
    "the MTU": (
        ("internal: true", "internal: true\n    driver_opts: {mtu: 1400}"),
        ["~ network back: mtu: none → 1400"],
    ),
    "the driver": (
        ("  front:\n", "  front: {driver: ptp}\n"),
        ["~ network front: driver: bridge → ptp; bridge: front → none"],
    ),
    "the bridge": (
        ("  front:\n", "  front: {bridge_name: br9}\n"),
        ["~ network front: bridge: front → br9"],
    ),
    "the interface": (
        ("10.1.0.10}", "10.1.0.10, interface_name: e9}"),
        ["~ container web on back: interface: eth1 → e9"],
    ),
    "the MAC address": (
        ("10.1.0.10}", "10.1.0.10, mac_address: '02:00:00:00:00:09'}"),
        ["~ container web on back: mac"],
    ),
    "a network more for a container": (
        ("networks: [back]", "networks: [back, front]"),
        ["+ container db on front: eth1, 10.208.0.3"],
    ),
    "another namespace": (("  db:\n", "  db:\n    netns: c3\n"), ["~ container db on back: connected again"]),
    "a network more": (("  front:\n", "  front:\n  new:\n"), ["+ network new: bridge, 10.208.1.0/24"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_in_the_file_changes_and_nothing_else(lab, change):
    """And all is as if the first file had never been applied."""
    (old, new), told = CHANGES[change]
    changed = LAB.replace(old, new)
    assert changed != LAB
    lab.mydockernet("apply /run/lab.yaml")
    found = applied(lab, changed)
    assert len(found) == len(told)
    assert all(line.startswith(begin) for line, begin in zip(found, told, strict=True)), found
    assert lab.mydockernet("check").stdout == ""
    assert plan(lab) == "#!/bin/sh\nset -e\n"
    seen = lab.snapshot()
    lab.mydockernet("down /run/lab.yaml")
    lab.mydockernet("apply /run/lab.yaml")
    assert lab.snapshot() == seen


def test_the_script_of_a_dry_run_does_the_same(lab, new_host):
    other = new_host()
    other.sh("for c in web db c3; do ip netns add $c; ip -n $c link set lo up; done")
    write(other, LAB)
    lab.run("sh", stdin=plan(lab))
    other.mydockernet("apply /run/lab.yaml")
    assert lab.snapshot() == other.snapshot()
    assert lab.comparable_state() == other.comparable_state()


def test_what_is_no_longer_declared_goes_only_with_prune(lab):
    lab.mydockernet("apply /run/lab.yaml")
    lab.mydockernet("create by-hand")
    lab.mydockernet("connect by-hand db")
    less = LAB.replace("  db:\n    networks: [back]\n", "").replace("  front:\n  back", "  back")
    less = less.replace("      front: {aliases: [www]}\n", "").replace('    ports: ["8080:80"]\n', "")
    # A container that is declared is on those networks of the project that it declares, and on no other.
    assert applied(lab, less) == [
        "~ container web on back: interface: eth1 → eth0",
        "- container web on front",
    ]
    assert sorted(applied(lab, less, "--prune")) == ["- container db on back", "- network front"]
    assert lab.mydockernet("list -q").stdout.split() == ["back", "by-hand"]
    assert lab.mydockernet("check").stdout == ""


def test_a_container_by_hand_stays_on_a_declared_network(lab):
    lab.mydockernet("apply /run/lab.yaml")
    lab.mydockernet("connect back c3 --ip 10.1.0.30")
    assert applied(lab, LAB.replace("10.1.0.10", "10.1.0.11"), "--prune") == [
        "~ container web on back: addresses: 10.1.0.10 → 10.1.0.11"
    ]
    assert lab.mydockernet(["ps", "--filter", "name=c3", "--format", "{{.Addresses}}"]).stdout == '["10.1.0.30"]\n'
    lab.fails(
        "apply " + write(lab, LAB.replace("10.1.0", "10.2.0")), 4, "lab.yaml:5:3: networks.back", "c3", "no address"
    )
    lab.fails("down /run/lab.yaml", 4, 'network "back" is in use by "c3"')
    lab.mydockernet("down --force /run/lab.yaml")
    assert lab.mydockernet("list -q").stdout == ""


def test_an_address_that_the_file_gives_is_not_chosen_for_another(lab):
    fixed = "networks: {n: {ipam: {config: [{subnet: 10.5.0.0/29}]}}}\ncontainers:\n  web: {networks: [n]}\n"
    fixed += "  db: {networks: {n: {ipv4_address: 10.5.0.2}}}\n"
    assert "+ container web on n: eth0, 10.5.0.3" in applied(lab, fixed)
    # And what is there is kept, unless another one is given it.
    assert applied(lab, fixed.replace("10.5.0.2", "10.5.0.3")) == [
        "~ container web on n: addresses: 10.5.0.3 → 10.5.0.4",
        "~ container db on n: addresses: 10.5.0.2 → 10.5.0.3",
    ]
    assert lab.mydockernet("check").stdout == ""


def test_everything_wrong_is_told_at_its_place_and_nothing_is_done(lab):
    before = lab.everything()
    bad = LAB.replace("  db:\n", "  db9:\n").replace('"8080:80"', '"8080:80", "10.9.9.9:1:1"')
    done = lab.fails("apply " + write(lab, bad), 3, "/run/lab.yaml:", "db9")
    assert len(done.stderr.splitlines()) == 2
    lab.fails(
        "apply " + write(lab, LAB.replace("front:\n", "lan: {external: true}\n", 1).replace("front:", "lan:")),
        3,
        'network "lan" does not exist',
        "/run/lab.yaml:4:3: networks.lan: ",
    )
    lab.fails(
        "apply " + write(lab, LAB.replace('"8080:80"', '"10.9.9.9:1:1"')), 2, "10.9.9.9 is not an address of this host"
    )
    lab.fails("apply " + write(lab, LAB.replace("10.1.0", "203.0.113")), 4, "overlaps", "networks.back")
    lab.fails("apply --prune " + write(lab, LAB.replace("name: shop\n", "")), 2, "--prune")
    lab.fails("apply /run/nothing.yaml", 1, "cannot read /run/nothing.yaml: No such file or directory")
    lab.fails("apply /dev/zero", 2, "/dev/zero is larger than 8 MiB")
    assert lab.everything() == before


@pytest.mark.parametrize(
    ("where", "status", "said"),
    [
        (r'pidfile: "a\0b"', 3, r"cannot read a\x00b"),
        (r'path: "/a\0b"', 3, r"no network namespace at /a\x00b"),
        (f"netns: {'a' * 300}", 3, "not found"),
        (f"path: /{'a' * 300}", 1, "File name too long"),
        ("pidfile: /run/fifo", 2, "does not hold a pid"),
        ("pidfile: /dev/zero", 2, "does not hold a pid"),
        (f"pidfile: /run/{'a' * 300}", 3, "File name too long"),
    ],
)
def test_a_place_where_no_namespace_can_be_is_an_error_with_its_line(lab, where, status, said):
    lab.sh("mkfifo /run/fifo")
    file = write(lab, f"networks: {{n: }}\ncontainers:\n  web: {{{where}, networks: [n]}}\n")
    lab.fails(f"apply {file}", status, "/run/lab.yaml:3:3: containers.web: ", said)


def test_a_rate_that_is_no_longer_declared_ends(lab):
    limited = LAB.replace("aliases: [www]", "ingress_rate: 10mbit, egress_rate: 2mbit")
    applied(lab, LAB)
    before = lab.snapshot()
    applied(lab, limited)
    assert "tbf" in lab.sh("tc qdisc show; tc -n web qdisc show").stdout
    applied(lab, LAB)
    assert "tbf" not in lab.sh("tc qdisc show; tc -n web qdisc show").stdout
    assert lab.snapshot() == before


def test_networks_of_another_project_are_left_alone(lab):
    lab.mydockernet("apply /run/lab.yaml")
    lab.fails("apply " + write(lab, LAB.replace("shop", "depot")), 4, 'network "back" belongs to project "shop"')
    lab.fails("down /run/lab.yaml", 4, 'network "back" belongs to project "shop"')
    # As external ones, they can be used, and are neither changed nor removed.
    use = "name: depot\nnetworks: {back: {external: true}}\ncontainers: {c3: {networks: [back]}}\n"
    assert applied(lab, use) == ["+ container c3 on back: eth0, 10.1.0.3"]
    assert lab.mydockernet("down /run/lab.yaml").stdout == "- container c3 on back\n"


def test_it_waits_for_namespaces(lab):
    lab.run("ip", "netns", "delete", "db")
    lab.fails("apply /run/lab.yaml", 3, "containers.db")
    lab.fails("apply --wait 0.3 /run/lab.yaml", 3, "containers.db")
    waiting = lab.popen("mydockernet", "apply", "--wait", "60", "/run/lab.yaml")
    lab.run("ip", "netns", "add", "db")
    out, err = waiting.communicate()
    assert (waiting.returncode, err) == (0, "")
    assert "+ container db on back" in out


# The rules of networks stand in the order of these, which has no meaning: that of their names, as with apply.
VARIED = """
mydockernet create back --internal --no-icc --bridge-name br9 --subnet 10.209.0.0/16 --ip-range 10.209.1.0/24 \
    --reserve printer=10.209.0.9
mydockernet create far --driver ptp --subnet 10.3.0.0/24 --no-masquerade --route 10.99.0.0/16,blackhole --metric 7
mydockernet create front --ipv6 --subnet 10.1.0.0/24 --subnet fd00:1::/64 --label team=a --mtu 1400
mydockernet create l2 --no-subnet
mydockernet create routed --gateway-mode routed --subnet 10.4.0.0/24 --dns 10.4.0.53
mydockernet create up --no-gateway --subnet 10.6.0.0/24
mydockernet connect back web --alias www --hostname web.example
mydockernet connect front web --from 192.0.2.0/24 -p 8080:80 -p 127.0.0.1:53:53/udp -p 9000-9009:9000-9009 \
    --gw-priority 5
mydockernet connect far db --ifname far0 --mac 02:00:00:00:00:77 --no-default-route
mydockernet connect routed db -p 443 --ingress-rate 10mbit --egress-rate 2mbit
mydockernet connect l2 c3 --name other
mydockernet connect up c3 --name other
mydockernet connect front c3 --name other --ip6 fd00:1::99 -p 81
"""


@pytest.mark.half(2)
def test_an_export_makes_the_same_elsewhere(lab, new_host):
    lab.sh(VARIED)
    file = lab.mydockernet("export").stdout
    other = new_host()
    other.sh("for c in web db c3; do ip netns add $c; ip -n $c link set lo up; done")
    other.run("mydockernet", "apply", "-", stdin=file)
    assert other.mydockernet("check").stdout == ""
    assert other.snapshot() == lab.snapshot()
    # What was chosen here is given there: so the last address that was chosen is not on record.
    records = [{p: re.sub(r'"last": [^,}]+', "", t) for p, t in h.comparable_state().items()} for h in (lab, other)]
    assert records[0] == records[1]
    assert other.mydockernet("export").stdout == file
    assert lab.run("mydockernet", "apply", "--dry-run", "-", stdin=file).stdout == "#!/bin/sh\nset -e\n"


@pytest.mark.half(2)
def test_of_two_at_once_one_comes_after_the_other_and_connects_lose_nothing(host):
    names = [f"c{n}" for n in range(50)]
    host.sh(f"for c in {' '.join(names)}; do ip netns add $c; done")
    host.mydockernet("create by-hand")
    for number, some in enumerate((names[:4], names[4:8])):
        lines = "".join(f"  {name}: {{networks: [n{number}]}}\n" for name in some)
        write(host, f"name: p{number}\nnetworks: {{n{number}: }}\ncontainers:\n{lines}", f"{number}.yaml")
    rest = [f"connect --lock-timeout 300 by-hand {name}" for name in names]
    host.at_once([*(f"apply --lock-timeout 300 /run/{n}.yaml" for n in (0, 1, 0, 1)), *rest], 8)
    assert host.mydockernet(["list", "--format", "{{.Name}} {{.Containers}} {{.State}}"]).stdout.splitlines() == [
        "by-hand 50 up",
        "n0 4 up",
        "n1 4 up",
    ]
    assert host.mydockernet("check").stdout == ""


# --confirm


def confirming(lab, seconds):
    """Apply a first file, then another one that has to be confirmed; returns what was before that."""
    lab.mydockernet("apply /run/lab.yaml")
    before = lab.everything()
    write(lab, LAB.replace("10.1.0.10", "10.1.0.20").replace("8080", "8081"))
    return before, f"apply --confirm {seconds} /run/lab.yaml"


CONFIRM = "/var/lib/mydockernet/confirm.json"


def expire(host):
    """Let the time be over in which the change can be confirmed."""
    host.sh(f"""sed -i -E 's/"until": [0-9.]+/"until": 0/' {CONFIRM}""")


def expire_unwatched(host):
    """The same once the process is gone that would roll the change back."""
    host.sh(f"cp {CONFIRM} /run/confirm.json; mydockernet confirm; sleep 1.5; cp -p /run/confirm.json {CONFIRM}")
    expire(host)


def until_it_is(host, wanted):
    """Wait until the host is as it was; nobody calls the program meanwhile."""
    for _ in range(600):
        if host.state().keys() == wanted[1].keys() and host.everything() == wanted:
            return
        time.sleep(0.1)
    assert host.everything() == wanted


def test_what_nobody_confirms_is_rolled_back(lab):
    before, words = confirming(lab, 1)
    done = lab.mydockernet(words)
    assert "it is rolled back in 1 s" in done.stderr
    until_it_is(lab, before)
    assert "not confirmed" in lab.mydockernet("history").stdout
    lab.fails("confirm", 3, "no change waits")


def test_what_is_confirmed_stays(lab):
    before, words = confirming(lab, 2)
    lab.mydockernet(words)
    after = lab.snapshot()
    assert lab.mydockernet("confirm").stdout.split() == ["back", "front"]
    time.sleep(2.5)
    assert lab.snapshot() == after != before[0]
    assert "/var/lib/mydockernet/confirm.json" not in lab.state()


@pytest.mark.parametrize("victim", ["the terminal", "mydockernet in the middle"])
def test_it_is_rolled_back_also_if_the_process_is_killed(lab, victim):
    before, words = confirming(lab, 1)
    if victim == "the terminal":
        # All processes of its session, the shell first.
        shell = lab.popen("setsid", "-w", "bash", "-c", f"echo $$; mydockernet {words}; echo done; sleep 600")
        session = int(shell.stdout.readline())
        while "done" not in shell.stdout.readline():
            assert shell.poll() is None
        lab.sh(f"pkill -KILL -s {session}", check=False)
        shell.kill()
        shell.communicate()
    else:
        env = lab.break_programs('"$real" "$@"; kill -9 $PPID; exit 1', 6)
        assert lab.mydockernet(words, env=env, check=False).returncode != 0
    until_it_is(lab, before)


def test_if_nobody_is_left_the_next_verb_rolls_back(lab):
    before, words = confirming(lab, 300)
    lab.mydockernet(words)
    expire_unwatched(lab)
    lab.mydockernet("rm --ignore nothing")
    assert lab.everything() == before


def test_while_a_change_waits_no_other_one_touches_its_networks(lab):
    _, words = confirming(lab, 300)
    lab.mydockernet(words)
    write(lab, LAB)
    for other in ("disconnect back db", "apply /run/lab.yaml", "rm -f back"):
        lab.fails(other, 4, "unless it is confirmed", "mydockernet confirm")
    assert "is rolled back in" in lab.mydockernet("check").stderr
    assert lab.mydockernet("create another").stdout == "another\n"
    lab.mydockernet("confirm")
    lab.mydockernet("disconnect back db")


def test_while_a_change_waits_no_other_one_takes_what_its_rollback_needs(lab):
    """Else two networks would have one subnet, and two containers one port, after the rollback."""
    lab.mydockernet("apply /run/lab.yaml")
    before = lab.everything()
    rest = write(lab, "name: shop\nnetworks: {rest: }\n", "rest.yaml")
    lab.mydockernet(f"apply --prune --confirm 300 {rest}")
    lab.mydockernet("create other --subnet 10.99.0.0/24")
    lab.fails("create thief --subnet 10.1.0.0/25", 4, "10.1.0.0/24", "unless it is confirmed", "mydockernet confirm")
    lab.fails("connect other web -p 8080:80", 4, "8080", "unless it is confirmed")
    lab.fails("connect other web", 4, "eth0", "unless it is confirmed")
    lab.fails("connect other web --dry-run", 4, "eth0", "unless it is confirmed")
    lab.fails("set rest mtu=1400 --dry-run", 4, "unless it is confirmed")
    lab.mydockernet("connect other web --ifname eth5")
    lab.mydockernet("rm --force other")
    expire(lab)
    until_it_is(lab, before)


def test_a_rollback_of_what_was_not_confirmed_that_is_killed_goes_on(lab):
    """It has then written the first of two networks."""
    before, words = confirming(lab, 300)
    first = lab.run("cat", "/var/lib/mydockernet/networks/back.json").stdout
    lab.mydockernet(words)
    lab.run("tee", "/var/lib/mydockernet/networks/back.json", stdin=first)
    expire_unwatched(lab)
    assert "was not confirmed in time, and is rolled back" in lab.mydockernet("repair").stderr
    assert lab.everything() == before


def test_what_was_not_confirmed_and_cannot_be_rolled_back_is_told(lab):
    _, words = confirming(lab, 300)
    lab.mydockernet(words)
    path = "/var/lib/mydockernet/networks/back.json"
    lab.sh(f'sed -i \'s/"mtu": null/"mtu": 1300/\' {path}')
    expire_unwatched(lab)
    told = lab.mydockernet("repair").stderr
    assert "was not confirmed in time, but is not rolled back: its networks have changed on the record" in told


# Faults


def many(count):
    """A file with so many containers that their commands run together."""
    lines = "".join(f"  c{n}: {{networks: [big], ports: ['{7000 + n}:80']}}\n" for n in range(count))
    return f"name: big\nnetworks: {{big: {{ipam: {{config: [{{subnet: 10.7.0.0/24}}]}}}}}}\ncontainers:\n{lines}"


def many_containers(host, count=10):
    host.sh(f"for n in $(seq 0 {count - 1}); do ip netns add c$n; ip -n c$n link set lo up; done")
    return write(host, many(count))


@pytest.mark.long
@pytest.mark.half(1)
def test_killed_at_any_instant_it_is_as_before_or_as_after(host):
    path = many_containers(host)
    dice = random.Random(13)
    before = host.everything()
    host.mydockernet(f"apply {path}")
    after = host.everything()
    verbs, ends = ("down", "apply"), (before, after)
    for number in range(6 * ROUNDS):
        verb = verbs[number % 2]
        process = host.popen("mydockernet", verb, path)
        time.sleep(dice.uniform(0.05, 1.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        host.mydockernet("rm --ignore nothing")
        assert host.everything() in ends, number
        host.mydockernet(f"{verb} {path}")
        assert host.snapshot() == ends[number % 2][0], number


@pytest.mark.half(2)
def test_wherever_the_disk_becomes_full_nothing_is_half_done(host):
    path = many_containers(host)
    host.sh("mkdir /run/small; mount -t tmpfs -o size=96k,mode=0700 none /run/small")
    here = {"MYDOCKERNET_STATE_DIR": "/run/small"}
    host.mydockernet("create other", env=here)
    before = host.snapshot()
    results = []
    for room in range(0, 40, 4):
        host.sh(f"head -c 1000000 /dev/zero > /run/small/filler || truncate -s -{room}k /run/small/filler")
        done = host.mydockernet(f"apply {path}", env=here, check=False)
        results.append(done.returncode)
        if done.returncode == 0:
            break
        assert "No space left on device" in done.stderr
        assert host.snapshot() == before, room
    assert results[0] == 1
    assert results[-1] == 0
    # Some of them failed only when the new record was written.
    assert len(results) > 3
    assert host.mydockernet("check", env=here).stdout == ""
    host.sh("head -c 1000000 /dev/zero >> /run/small/filler || :")
    host.mydockernet(f"down {path}", env=here)
    assert host.snapshot() == before


# Any file after any other


@pytest.mark.long
@settings(
    max_examples=6 * ROUNDS,
    derandomize=ROUNDS == 1,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(first=files(), second=files())
@pytest.mark.half(1)
def test_a_file_after_another_is_as_that_file_alone(lab, first, second):
    lab.sh("ip netns list", check=True)
    clean = lab.snapshot()
    applied(lab, second)
    alone = lab.snapshot(), lab.comparable_state()
    assert lab.mydockernet("check").stdout == ""
    lab.mydockernet("down --prune /run/lab.yaml")
    assert lab.snapshot() == clean
    applied(lab, first)
    applied(lab, second, "--prune")
    assert lab.mydockernet("check").stdout == ""
    assert (lab.snapshot(), lab.comparable_state()) == alone
    assert plan(lab, "apply --prune /run/lab.yaml") == "#!/bin/sh\nset -e\n"
    lab.mydockernet("down --prune /run/lab.yaml")
    assert lab.snapshot() == clean
