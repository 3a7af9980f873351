"""Whatever fails, and whenever: all is as it was before, or as it is after. Never between."""

import os
import re
import shutil

import pytest

from tests.conftest import PROGRAMS, firewalls_of

ROUNDS = int(os.environ.get("MYDOCKERNET_TEST_ROUNDS", "1"))
# Of all calls that a verb makes, those that fail, and those at which it is killed: with more rounds, every one.
FAILING, KILLED = (4, 10) if ROUNDS == 1 else (1, 1)

CONTAINERS = "for c in c1 c2; do ip netns add $c; ip -n $c link set lo up; done; mydockernet create web; "
LAN = "ip link add up1 type veth peer name up2; ip link set up1 up"
MACVLAN = "mydockernet create lan --driver macvlan --parent up1 --subnet 192.0.2.0/24 --host-ip 192.0.2.9"
LAB = """
name: shop
networks: {front: , back: {internal: true, ipam: {config: [{subnet: 10.9.0.0/24}]}}}
containers:
  c1: {networks: {front: , back: {ipv4_address: 10.9.0.9}}, ports: ["8080:80"]}
  c2: {networks: [back]}
"""
# With so many containers, their commands run at the same time.
MANY = "networks: {big: }\ncontainers: {" + ", ".join(f"c{n}: {{networks: [big]}}" for n in range(1, 10)) + "}\n"
FILES = f"""
for c in c1 c2; do ip netns add $c; ip -n $c link set lo up; done
cat > /run/lab.yaml <<'END'
{LAB}END
sed 's/10.9.0.9/10.9.0.10/; s/8080/8081/; s/front/ahead/g' /run/lab.yaml > /run/other.yaml
"""
# Two networks of a container exchange the names of their interfaces.
SWAP = """
cat > /run/lab.yaml <<'END'
name: shop
networks: {front: , back: {internal: true, ipam: {config: [{subnet: 10.9.0.0/24}]}}}
containers: {c1: {networks: {front: {interface_name: a1}, back: {interface_name: a2}}, ports: ["8080:80"]}}
END
sed 's/a1/a3/; s/a2/a1/; s/a3/a2/' /run/lab.yaml > /run/swapped.yaml
"""
MANY_FILES = f"""
for n in 1 2 3 4 5 6 7 8 9; do ip netns add c$n; ip -n c$n link set lo up; done
cat > /run/lab.yaml <<'END'
{MANY}END
"""
VERBS = {
    "apply": (FILES, "apply /run/lab.yaml"),
    "apply another file": (f"{FILES}mydockernet apply /run/lab.yaml", "apply --prune /run/other.yaml"),
    "apply a swap": (
        f"{FILES}mydockernet apply /run/lab.yaml\n{SWAP}mydockernet apply /run/lab.yaml",
        "apply /run/swapped.yaml",
    ),
    "apply with one network less": (
        f"{FILES}mydockernet apply /run/lab.yaml\n"
        "sed 's/{front: , back: {ipv4_address: 10.9.0.9}}, ports: [^}]*/{back: }/' /run/lab.yaml > /run/less.yaml",
        "apply --prune /run/less.yaml",
    ),
    "apply to many": (MANY_FILES, "apply /run/lab.yaml"),
    "down": (f"{FILES}mydockernet apply /run/lab.yaml", "down /run/lab.yaml"),
    "down of many": (f"{MANY_FILES}mydockernet apply /run/lab.yaml", "down /run/lab.yaml"),
    "create": ("true", "create web --subnet 10.1.0.0/24 --mtu 1400"),
    "create a second": ("mydockernet create other", "create web"),
    "create, both families": ("true", "create web --ipv6"),
    "remove, both families": ("mydockernet create other; mydockernet create web --ipv6", "remove web"),
    "connect and publish, both families": (
        CONTAINERS + "mydockernet create b --ipv6; mydockernet connect web c1",
        "connect b c1 -p 8080:80",
    ),
    "disconnect, both families": (
        CONTAINERS + "mydockernet create b --ipv6; mydockernet connect web c1; mydockernet connect b c1 -p 8080:80",
        "disconnect b c1",
    ),
    "remove": ("mydockernet create other; mydockernet create web", "remove web"),
    "remove the last": ("mydockernet create web", "remove web"),
    "prune": ("mydockernet create web", "prune"),
    "connect": (CONTAINERS, "connect web c1"),
    "connect and publish": (CONTAINERS + "mydockernet connect web c2", "connect web c1 -p 8080:80 --name other"),
    "connect to a second": (CONTAINERS + "mydockernet connect web c1; mydockernet create b --no-icc", "connect b c1"),
    "create of macvlan": (
        f"{LAN}; mydockernet create other",
        "create lan --driver macvlan --parent up1 --subnet 192.0.2.0/24 --host-ip 192.0.2.9",
    ),
    "connect to macvlan": (f"{LAN}; {CONTAINERS}{MACVLAN}", "connect lan c1"),
    "remove of macvlan": (f"{LAN}; {CONTAINERS}{MACVLAN}; mydockernet connect lan c1", "remove --force lan"),
    "create of ptp": ("mydockernet create other", "create web --driver ptp --subnet 10.1.0.0/24"),
    "connect to ptp and publish": (
        CONTAINERS.replace("create web", "create web --driver ptp") + "mydockernet connect web c2",
        "connect web c1 -p 8080:80",
    ),
    "remove of ptp": (
        CONTAINERS.replace("create web", "create web --driver ptp") + "mydockernet connect web c1 -p 8080:80",
        "remove --force web",
    ),
    "disconnect": (CONTAINERS + "mydockernet connect web c1 -p 8080:80", "disconnect web c1"),
    "connect with routes": (
        CONTAINERS + "mydockernet create r --subnet 10.3.0.0/24 --metric 9 --route 10.9.0.0/16,10.3.0.9 "
        "--route 10.8.0.0/16,blackhole; mydockernet connect web c1",
        "connect r c1",
    ),
    "create without a subnet": ("true", "create web --no-subnet"),
    "connect without a subnet": (CONTAINERS + "mydockernet create n --no-subnet", "connect n c1"),
    "connect to two at once": (CONTAINERS + "mydockernet create b", "connect b,web c1 --ingress-rate 9mbit"),
    "disconnect from two at once": (
        CONTAINERS + "mydockernet create b; mydockernet connect b,web c1",
        "disconnect web,b c1",
    ),
    "connect to one of higher priority": (
        CONTAINERS + "mydockernet connect web c1; mydockernet create b",
        "connect b c1 --gw-priority 1",
    ),
    "disconnect the first of two": (
        CONTAINERS + "mydockernet connect web c1; mydockernet create b; mydockernet connect b c1",
        "disconnect web c1",
    ),
    "connect routed": (
        CONTAINERS + "mydockernet create r --gateway-mode routed --ipv6",
        "connect r c1 -p 80 -p 53/udp",
    ),
    "set IPv6": (CONTAINERS + "mydockernet connect web c1 -p 8080:80", "set web ipv6=true mtu=1400 label=a=b"),
    "set no IPv6": (
        CONTAINERS + "mydockernet create b --ipv6; mydockernet connect web c1; mydockernet connect b c1 -p 8080:80",
        "set b ipv6=false icc=false",
    ),
    "set internal": (CONTAINERS + "mydockernet connect web c1", "set web internal=true"),
    "publish": (CONTAINERS + "mydockernet connect web c1", "publish web c1 8080:80 127.0.0.1:53:53/udp"),
    "unpublish": (CONTAINERS + "mydockernet connect web c1 -p 8080:80 -p 81:81", "unpublish web c1 8080:80"),
    "apply-plan": (
        "mkdir -p /etc/netns; "  # It stays, and a plan that creates it would be refused then.
        + CONTAINERS
        + "mydockernet connect web c1 -p 8080:80 --save-plan /run/c1.plan",
        "apply-plan /run/c1.plan",
    ),
    "batch": (
        CONTAINERS + "mydockernet connect web c1 -p 8080:80; printf '%s\n' > /run/lines "
        "'disconnect web c1' 'create b --ipv6' 'connect web,b c2' 'publish b c2 8080:80' 'create unused' 'prune'",
        "batch /run/lines",
    ),
    "undo of a removal": (
        CONTAINERS
        + "mydockernet connect web c1 -p 8080:80; mydockernet connect web c2; mydockernet remove --force web",
        "undo",
    ),
    "undo of connect": (CONTAINERS + "mydockernet connect web c1 -p 8080:80", "undo"),
    "undo of set": (CONTAINERS + "mydockernet connect web c1; mydockernet set web ipv6=true mtu=1400", "undo"),
    "migrate": (
        CONTAINERS.replace("create web", "create web --firewall iptables")
        + "mydockernet create b --ipv6; mydockernet connect b c1 -p 8080:80",
        "migrate --firewall nftables",
    ),
    "migrate back": (
        CONTAINERS.replace("create web", "create web --firewall nftables") + "mydockernet connect web c1 -p 8080:80",
        "migrate --firewall iptables",
    ),
    "remove by force": (
        CONTAINERS + "mydockernet connect web c1 -p 8080:80; mydockernet connect web c2",
        "remove --force web",
    ),
}


def each_call(host, verb, step=1):
    """Set the host up; yield what was before, for each N until the verb makes fewer than N calls.

    With a step, only each so many calls, beginning with another one for each verb.
    """
    setup, words = VERBS[verb]
    host.env["MYDOCKERNET_FIREWALL"] = OF_VERB[verb]
    host.set_up(setup)
    before = host.everything()
    for at in range(1 + len(words) % step, 100, step):
        yield words, at, before
        if host.calls() < at:
            assert at > 4  # The verb was seen to fail at several calls.
            return


OF_VERB = firewalls_of(VERBS)
# What many containers are read by is tried again, one by one.
TRIED_AGAIN = ("apply to many", "down of many")


def make_undone(host, words):
    host.mydockernet("down /run/lab.yaml" if words.startswith("apply") else "apply /run/lab.yaml")


@pytest.mark.parametrize("verb", TRIED_AGAIN)
def test_of_many_at_once_one_that_fails_is_tried_again_or_nothing_is_changed(host, verb):
    for words, at, before in each_call(host, verb, step=FAILING):
        env = host.break_programs("echo 'no such luck' >&2; exit 9", at)
        done = host.mydockernet(words, env=env, check=False)
        if done.returncode == 0:
            assert host.mydockernet("check").stdout == ""
            make_undone(host, words)
        else:
            assert "no such luck" in done.stderr
        assert host.everything() == before, at


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in TRIED_AGAIN])
def test_a_command_that_fails_is_named_and_nothing_is_changed(host, verb):
    for words, at, before in each_call(host, verb, step=FAILING):
        env = host.break_programs("echo 'no such luck' >&2; exit 9", at)
        done = host.mydockernet(words, env=env, check=False)
        if host.calls() < at:
            assert done.returncode == 0
        else:
            assert done.returncode == 1, (at, done)
            # Of many links, xargs says that one failed.
            assert re.search("failed with status (9|123): no such luck", done.stderr)
            assert done.stderr.startswith(tuple(f"mydockernet: error: {program}" for program in PROGRAMS))
            assert host.everything() == before, at


@pytest.mark.parametrize(
    ("verb", "signal"),
    [
        ("create", "TERM"),
        ("remove", "HUP"),
        ("connect", "INT"),
        ("remove by force", "TERM"),
        ("apply another file", "TERM"),
    ],
)
def test_a_signal_takes_the_change_back(host, verb, signal):
    for words, at, before in each_call(host, verb):
        env = host.break_programs(f"kill -{signal} $PPID", at)
        done = host.mydockernet(words, env=env, check=False)
        if host.calls() < at:
            assert done.returncode == 0
        else:
            assert done.returncode == 1, (at, done)
            assert f"interrupted by SIG{signal}" in done.stderr
            assert host.everything() == before, at


BEFORE, AFTER = "kill -9 $PPID; exit 1", '"$real" "$@"; kill -9 $PPID; exit 1'
# Before a call is, but for the journal, after the one before it: a few verbs are enough.
MOMENTS = [
    *((verb, AFTER) for verb in VERBS),
    *((verb, BEFORE) for verb in ("create", "remove", "connect and publish")),
]


@pytest.mark.parametrize(("verb", "moment"), MOMENTS)
def test_after_kill_9_the_next_verb_brings_it_to_before_or_after(host, verb, moment):
    for words, at, before in each_call(host, verb, step=KILLED):
        env = host.break_programs(moment, at)
        done = host.mydockernet(words, env=env, check=False)
        calls = host.calls()
        host.mydockernet("rm --ignore nothing")
        if done.returncode == 0 and verb in TRIED_AGAIN:
            make_undone(host, words)
        if done.returncode != 0:
            assert host.everything() == before, at
        assert calls >= at or done.returncode == 0


def test_kill_9_during_recovery_is_recovered_from(host):
    before = host.everything()
    for at in range(1, 30):
        host.mydockernet("create web", env=host.break_programs('"$real" "$@"; kill -9 $PPID', 5), check=False)
        host.mydockernet("rm --ignore x", env=host.break_programs('"$real" "$@"; kill -9 $PPID', at), check=False)
        if host.calls() < at:
            break
        host.mydockernet("rm --ignore x")
        assert host.everything() == before, at
    else:
        raise AssertionError("it never ended")


def test_what_can_not_be_taken_back_is_told_and_finished_by_the_next_verb(host):
    before = host.everything()
    env = host.break_programs("true", 1000)
    # iptables-restore always fails; and once the bridge is there, so does ip, which would delete it.
    host.run("tee", "/run/fake/iptables-restore", stdin="#!/bin/sh\necho stuck >&2; exit 3\n")
    broken_ip = 'test ! -e /proc/sys/net/ipv4/conf/web || { echo stuck >&2; exit 3; }; exec /usr/sbin/ip "$@"'
    host.run("tee", "/run/fake/ip", stdin=f"#!/bin/sh\n{broken_ip}\n")
    done = host.fails(
        "create web", 1, "stuck", "the rollback failed too", "hint: the journal holds the change to", env=env
    )
    assert done.stderr.count("\n") == 3
    assert "/var/lib/mydockernet/journal.json" in host.state()
    host.mydockernet("rm --ignore nothing")
    assert host.everything() == before


def test_a_container_that_cannot_be_brought_back_does_not_block_the_others(host):
    host.set_up(CONTAINERS + "mydockernet connect web c1; mydockernet connect web c2")
    before = host.everything()
    deleted = '"$real" "$@"; case "$*" in *"link delete"*) kill -9 $PPID;; esac; exit 0'
    host.mydockernet("disconnect web c1", env=host.break_programs(deleted, "$n"), check=False)
    assert "/var/lib/mydockernet/journal.json" in host.state()
    # From now on, nothing can be changed in c1.
    env = host.break_programs("true", 1000)
    inode = host.sh("stat -Lc %i /run/netns/c1").stdout.strip()
    check = f'test "$(stat -Lc %i ${{1#--net=}})" != {inode} || {{ echo "no such luck" >&2; exit 9; }}'
    host.run("tee", "/run/fake/nsenter", stdin=f'#!/bin/sh\n{check}\nexec {shutil.which("nsenter")} "$@"\n')
    done = host.mydockernet("create other --subnet 10.7.0.0/24", env=env)
    assert "note: web: cannot repair container c1" in done.stderr, done.stderr
    assert "/var/lib/mydockernet/journal.json" not in host.state()
    assert "c1" in host.mydockernet("check", check=False).stdout
    host.mydockernet("rm other")
    host.mydockernet("repair")
    assert host.everything() == before


BROKEN = {
    "empty": "",
    "cut short": '{"version": 1, "network": {"name": "bad", "dri',
    "of a newer version": '{"version": 2, "network": {"surprise": true}}',
    "not JSON": "\x7fELF",
    "not an object": "[]",
    "not a network": '{"version": 1, "network": {"name": "bad"}}',
    "another's": '{"version": 1, "network": 7}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_state_file_is_named_and_kept_and_hides_nothing_else(host, content):
    host.mydockernet("create good")
    path = "/var/lib/mydockernet/networks/bad.json"
    host.run("tee", path, stdin=content)
    before = host.everything()
    for words in ("create bad", "rm bad", "rm good", "create new"):
        host.fails(words, 1, path)
    listed = host.mydockernet("list", check=False)
    assert listed.returncode == 1
    assert listed.stdout.splitlines()[1].startswith("good ")
    assert path in listed.stderr
    assert host.everything() == before


def test_a_symbolic_link_in_the_state_is_not_followed(host):
    host.mydockernet("create good")
    path = "/var/lib/mydockernet/networks/bad.json"
    host.sh(f"ln -s /var/lib/mydockernet/networks/good.json {path}")
    before = host.everything()
    host.fails("create new", 1, path, "symbolic link")
    host.fails("create bad", 1, path, "symbolic link")
    assert "good " in host.mydockernet("list", check=False).stdout
    assert host.everything() == before


def test_a_broken_journal_is_named_and_kept(host):
    host.mydockernet("create good")
    path = "/var/lib/mydockernet/journal.json"
    host.run("tee", path, stdin="{")
    before = host.everything()
    host.fails("create new", 1, path)
    assert host.everything() == before


def test_the_state_is_the_owners_alone(host):
    old_umask = "umask 0; mydockernet create web; stat -c %a {0} {0}/networks {0}/networks/web.json {0}/lock"
    assert host.sh(old_umask.format("/var/lib/mydockernet")).stdout.split()[1:] == ["700", "700", "600", "600"]
    host.sh("chmod 0777 /var/lib/mydockernet")
    host.fails("create new", 1, "is writable by other users", "chmod 0700")
    host.sh("mkdir /run/real; ln -s /run/real /run/link")
    host.fails("create new --state-dir /run/link", 1, "/run/link is not a directory")


def test_the_lock_is_waited_for_and_given_up(host):
    host.mydockernet("create web")
    holder = "flock /var/lib/mydockernet/lock mydockernet rm web --lock-timeout 0.1"
    done = host.run(*holder.split(), check=False)
    assert done.returncode == 6
    assert "another mydockernet process holds the lock" in done.stderr
    assert host.run("flock", "/var/lib/mydockernet/lock", "mydockernet", "list", "-q").stdout == "web\n"


NO_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


def test_without_rights_one_line_says_what_is_missing(host):
    host.mydockernet("create web")
    before = host.everything()
    for words in ("create x", "remove web", "prune"):
        done = host.run(*NO_RIGHTS, "mydockernet", *words.split(), check=False)
        assert (done.returncode, done.stdout) == (1, "")
        error, hint = done.stderr.splitlines()
        assert error.startswith("mydockernet: error: ")
        assert "CAP_NET_ADMIN" in error
        assert "--dry-run" in hint
    listed = host.run(*NO_RIGHTS, "mydockernet", "list")
    assert listed.stdout.splitlines()[1].split()[-1] == "up"
    assert listed.stderr.startswith("mydockernet: note: cannot read everything: iptables-save")
    host.run("chmod", "0", "/var/lib/mydockernet")
    for words in ("list", "ls -q", "inspect web", "prune"):
        done = host.run(*NO_RIGHTS, "mydockernet", *words.split(), check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("mydockernet: error: cannot read /var/lib/mydockernet")
        assert done.stderr.count("\n") == 1
    plan = host.run(*NO_RIGHTS, "mydockernet", "create", "x", "--dry-run", check=False)
    assert (plan.returncode, plan.stdout) == (1, "")
    assert "the plan depends on what this user cannot read" in plan.stderr
    host.run("chmod", "700", "/var/lib/mydockernet")
    assert host.everything() == before


def test_the_dry_run_works_for_an_ordinary_user_with_no_state(host):
    plan = host.run(*NO_RIGHTS, "mydockernet", "create", "web", "-n", "--format", "json")
    assert '"argv"' in plan.stdout
    assert "assumed absent" in plan.stderr
    assert host.state() == {}
    assert host.run("test", "-e", "/var/lib/mydockernet", check=False).returncode == 1


def test_a_missing_program_is_named(host):
    host.sh("mount -t tmpfs none /usr/sbin")
    host.fails("create web", 1, "command not found")


FULL = """
mkdir /run/small; mount -t tmpfs -o size=64k,mode=0700 none /run/small
export MYDOCKERNET_STATE_DIR=/run/small
ip netns add c1
mydockernet create web; mydockernet connect web c1 -p 8080:80; mydockernet create other
head -c 1000000 /dev/zero > /run/small/filler 2>/dev/null || :
"""


def test_on_a_full_disk_a_network_is_still_removed_and_nothing_is_half_done(host):
    before = host.snapshot()
    host.sh(FULL)
    here = {"MYDOCKERNET_STATE_DIR": "/run/small"}
    full = host.snapshot()
    for words in ("create new", "disconnect web c1", "unpublish web c1 8080:80"):
        host.fails(words, 1, "No space left on device", env=here)
        assert host.snapshot() == full
    done = host.mydockernet("rm --force web other", env=here)
    assert done.stdout == "web\nother\n"
    assert "the removal continues without a journal" in done.stderr
    assert host.mydockernet("check", env=here).stdout == ""
    after = host.snapshot()
    assert (after["host"], after["rules"]) == (before["host"], before["rules"])


def test_parents_of_the_state_folder_are_made_for_the_owner_alone_and_checked(host):
    folder = "/run/new/parent/state"
    host.sh(f"umask 0; mydockernet create web --state-dir {folder}")
    made = host.sh(f"stat -c %a /run/new /run/new/parent {folder}")
    assert made.stdout.split() == ["700", "700", "700"]
    host.sh("chmod 0777 /run/new")
    for words in ("create x", "list", "rm web"):
        host.fails(
            f"{words} --state-dir {folder}", 1, "/run/new, above the state directory, is writable by other users"
        )
    host.sh("chmod 1777 /run/new; ln -s /run/new /run/link")
    host.mydockernet("list --state-dir /run/link/parent/state")
    host.sh("chmod 0777 /run/new")
    host.fails("list --state-dir /run/link/parent/state", 1, "/run/new, above the state directory")
