"""What is in the history of a real host, and what undo makes of it."""

import json

import pytest

from tests.conftest import STATE
from tests.kernel.test_failures import CONTAINERS, FULL, VERBS

HISTORY = f"{STATE}/history.jsonl"


def shown(host, number):
    (record,) = map(json.loads, host.mydockernet(f"history show {number} --format json").stdout.splitlines())
    return record


def listed(host, options=""):
    return [json.loads(line) for line in host.mydockernet(f"history --format json {options}").stdout.splitlines()]


ONES = [verb for verb, (_, words) in VERBS.items() if words != "undo"]


@pytest.mark.parametrize("verb", ONES)
def test_undo_brings_everything_back(host, verb):
    setup, words = VERBS[verb]
    host.set_up(setup)
    before = host.everything()
    host.mydockernet(words)
    after = host.everything()
    done = host.mydockernet("undo")
    assert done.stdout.endswith(f": {words}\n")
    assert host.mydockernet("check").stdout == ""
    assert host.everything() == before
    host.mydockernet(f"undo {listed(host)[-1]['Id']}")
    assert host.everything() == after


def test_a_change_is_recorded_with_all_that_it_did(host):
    host.set_up(CONTAINERS)
    host.mydockernet("connect web c1 -p 8080:80", env={"SUDO_USER": "alice"})
    record = shown(host, 2)
    assert record["When"].endswith("Z")
    assert record["Who"] == f"alice@{host.run('uname', '-n').stdout.strip()}"
    assert (record["Uid"], record["What"]) == (0, "connect web c1 -p 8080:80")
    assert (record["Networks"], record["Result"], record["Error"]) == (["web"], "done", "")
    assert 0 < record["Seconds"] < 60
    assert record["Before"]["web"]["endpoints"] == []
    assert [e["name"] for e in record["After"]["web"]["endpoints"]] == ["c1"]
    commands = [command["argv"] for command in record["Commands"]]
    assert ["nsenter", "--net=/run/netns/c1", "ip", "link", "set", "dev", "eth0", "up"] in commands
    assert record["RollbackCommands"] == []
    text = host.mydockernet("history show 2").stdout
    assert text.startswith("change 2: connect web c1 -p 8080:80\nwhen: ")
    assert "\n  nsenter --net=/run/netns/c1 ip link set dev eth0 up\n" in text


def test_what_failed_is_recorded_with_its_error_and_its_rollback(host):
    env = host.break_programs("echo 'no such luck' >&2; exit 9", 4)
    host.fails("create web", 1, "no such luck", env=env)
    (record,) = listed(host)
    assert record["Result"] == "rolled back"
    assert "failed with status 9: no such luck" in record["Error"]
    whole = shown(host, 1)
    assert any("add" in command["argv"] for command in whole["Commands"])
    assert any("delete" in command["argv"] for command in whole["RollbackCommands"])


def test_an_interrupted_change_is_recorded_when_it_is_rolled_back(host):
    host.mydockernet("create web", env=host.break_programs("kill -9 $PPID; exit 1", 4), check=False)
    assert listed(host) == []
    host.mydockernet("rm --ignore nothing")
    (record,) = listed(host)
    assert (record["What"], record["Result"]) == ("create web", "rolled back after an interruption")
    assert any("delete" in command["argv"] for command in shown(host, 1)["RollbackCommands"])


def test_a_change_that_was_interrupted_when_it_was_complete_is_done(host):
    host.mydockernet("create web")
    network = json.loads(host.sh(f"rm {HISTORY}; cat {STATE}/networks/web.json").stdout)["network"]
    journal = {"version": 1, "words": ["create", "web"], "before": {"web": None}, "after": {"web": network}}
    host.run("tee", f"{STATE}/journal.json", stdin=json.dumps(journal))
    host.mydockernet("rm --ignore nothing")
    (record,) = listed(host)
    assert (record["What"], record["Result"]) == ("create web", "done")
    host.mydockernet("undo")
    assert host.mydockernet("ls -q").stdout == ""


def test_a_rollback_that_failed_is_recorded_and_the_next_command_ends_it(host):
    env = host.break_programs("true", 1000)
    host.run("tee", "/run/fake/iptables-restore", stdin="#!/bin/sh\necho stuck >&2; exit 3\n")
    broken_ip = 'test ! -e /proc/sys/net/ipv4/conf/web || { echo stuck >&2; exit 3; }; exec /usr/sbin/ip "$@"'
    host.run("tee", "/run/fake/ip", stdin=f"#!/bin/sh\n{broken_ip}\n")
    host.fails("create web", 1, "the rollback failed too", env=env)
    host.mydockernet("rm --ignore nothing")
    assert [(record["What"], record["Result"]) for record in listed(host)] == [
        ("create web", "failed"),
        ("create web", "rolled back after an interruption"),
    ]


def test_changes_at_once_are_numbered_one_by_one(host):
    host.at_once([f"create n{number}" for number in range(6)], 6)
    records = listed(host)
    assert [record["Id"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert {record["What"] for record in records} == {f"create n{number}" for number in range(6)}


def test_what_changes_nothing_is_not_recorded(host):
    host.set_up(CONTAINERS)
    for words in ("create web --ignore", "rm --ignore x", "repair", "prune --filter name=x", "create b --dry-run"):
        host.mydockernet(words)
    host.fails("create web", 4)
    host.fails("connect web nope", 3)
    assert [record["What"] for record in listed(host)] == ["create web"]


def test_repair_run_and_the_front_ends_are_recorded(host):
    host.set_up(CONTAINERS)
    host.sh("ip link delete dev web")
    host.mydockernet("repair")
    host.mydockernet("run web --name job -- true")
    env = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "x1", "CNI_NETNS": "/run/netns/c1", "CNI_IFNAME": "eth0"}
    config = {"cniVersion": "1.0.0", "name": "n", "type": "mydockernet", "network": "web"}
    host.sh("mydockernet cni", stdin=json.dumps(config), env={**env, "CNI_PATH": "/x"})
    assert [record["What"] for record in listed(host)] == [
        "create web",
        "repair",
        "run web --name job -- true",
        "run web --name job -- true",
        "cni ADD x1",
    ]
    assert listed(host)[1]["Networks"] == ["web"]


def test_a_script_of_a_dry_run_writes_no_history(host):
    host.run("sh", stdin=host.mydockernet("create web --dry-run").stdout)
    assert listed(host) == []


def test_the_list_is_selected_by_network_and_time(host):
    host.set_up(CONTAINERS + "mydockernet create other; mydockernet connect web c1")
    assert [r["What"] for r in listed(host, "--network other")] == ["create other"]
    assert len(listed(host, "--since 1h30m")) == len(listed(host, "--since 2020-01-01T10:00Z")) == 3
    assert listed(host, "--since 2999-01-01") == []
    table = host.mydockernet("history").stdout.splitlines()
    assert table[0].split() == ["ID", "WHEN", "WHO", "WHAT", "RESULT"]
    assert [row.split()[0] for row in table[1:]] == ["1", "2", "3"]
    assert host.mydockernet(["history", "--format", "{{.Id}} {{.What}}"]).stdout.splitlines()[0] == "1 create web"


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ("history --since yesterday", 2, "--since: 'yesterday' is not a time such as"),
        ("history --since 2h5", 2, "--since: '2h5' is not a time such as"),
        ("history show", 2, "'show' is not `show ID`"),
        ("history tell 1", 2, "'tell' is not `show ID`"),
        ("history show x", 2, "ID: 'x' is not the number of a change"),
        ("history show 7", 3, "the history has no change 7"),
        ("undo 7", 3, "the history has no change 7"),
        ("undo x", 2, "ID: 'x' is not the number of a change"),
        ("undo", 4, "the history has no change that could be undone"),
    ],
)
def test_wrong_words_are_refused(bare_host, words, status, text):
    bare_host.fails(words, status, text)


def test_undo_has_a_dry_run(new_host):
    by_verb, by_script = new_host(), new_host()
    for host in (by_verb, by_script):
        host.set_up(CONTAINERS + "mydockernet connect web c1 -p 8080:80; mydockernet disconnect web c1")
    before = by_script.everything()
    plan = by_script.mydockernet("undo --dry-run")
    assert by_script.everything() == before
    by_script.run("sh", stdin=plan.stdout)
    by_verb.mydockernet("undo")
    assert by_script.snapshot() == by_verb.snapshot()
    assert by_script.comparable_state() == by_verb.comparable_state()


def test_an_undo_that_makes_no_sense_changes_nothing(host):
    host.set_up(CONTAINERS + "mydockernet create b --subnet 10.2.0.0/24; mydockernet remove b")
    host.sh("ip link add dev b type bridge; ip address add 10.2.0.9/16 dev b; ip link set dev b up")
    before = host.everything()
    host.fails("undo", 4, 'change 3 cannot be undone: 10.2.0.0/24 of network "b" overlaps 10.2.0.0/16 of the host')
    assert host.everything() == before
    host.sh("ip address flush dev b")
    before = host.everything()
    host.fails("undo", 4, 'interface "b" already exists')
    host.mydockernet("connect web c1")
    host.fails("undo 1", 4, 'network "web" has changed since (by change 4: connect web c1)', "hint: mydockernet undo 4")
    host.mydockernet("undo")
    assert host.everything() == before


def test_undo_detaches_a_container_that_is_gone_but_may_return(host):
    host.set_up(CONTAINERS + "mydockernet connect web c1 -p 80:80; mydockernet disconnect web c1")
    host.sh("ip netns delete c1")
    host.mydockernet("undo")
    assert host.mydockernet("ps").stdout.splitlines()[1].split()[-1] == "detached"
    host.sh("ip netns add c1")
    host.mydockernet("repair")
    assert host.mydockernet("check").stdout == ""
    assert host.mydockernet("ps").stdout.splitlines()[1].split()[-1] == "up"


def test_undo_refuses_a_process_that_has_ended(host):
    host.set_up(CONTAINERS)
    host.sh(
        "unshare -n sleep 99 & p=$!; until [ $(readlink /proc/$p/ns/net) != $(readlink /proc/self/ns/net) ];"
        "do sleep 0.01; done; mydockernet connect web $p --name job; mydockernet disconnect web job; kill $p; wait || :"
    )
    host.fails("undo", 4, 'container "job" of network "web" is gone for good: /proc/')


def test_a_full_disk_for_the_history_fails_no_verb(host):
    before = host.snapshot()
    host.sh(FULL)
    here = {"MYDOCKERNET_STATE_DIR": "/run/small"}
    done = host.mydockernet("rm --force web other", env=here)
    assert done.stdout == "web\nother\n"
    after = host.snapshot()
    assert (after["host"], after["rules"]) == (before["host"], before["rules"])


@pytest.mark.parametrize(
    "damage",
    [
        "mkdir {0}",
        "mkfifo {0}",
        "ln -s /dev/full {0}",
        "touch {0}; chmod 0666 {0}",
        "mkdir /run/full; mount -t tmpfs -o size=4k none /run/full; touch /run/full/empty {0};"
        "head -c 8000 /dev/zero 2>/dev/null > /run/full/rest || :; mount --bind /run/full/empty {0}",
        "touch {0}; mount --bind {0} {0}; mount -o remount,bind,ro {0}",
    ],
)
def test_whatever_is_wrong_with_the_history_fails_no_verb(host, damage):
    host.mydockernet("create web")
    host.sh(f"rm {HISTORY}; {damage.format(HISTORY)}")
    done = host.mydockernet("create other")
    assert done.stdout == "other\n"
    assert done.stderr.startswith(f"mydockernet: note: cannot write this change to the history {HISTORY}: ")
    assert done.stderr.count("\n") == 1
    host.fails("rm nope", 3)
    assert host.mydockernet("check").stdout == ""


def test_garbage_in_the_history_is_a_note(host):
    host.mydockernet("create web")
    host.sh(f"printf 'garbage\\n\\0\\377\\n' >> {HISTORY}")
    host.mydockernet("set web mtu=1400")
    done = host.mydockernet("history")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ID", "1", "2"]
    assert done.stderr == f"mydockernet: note: 2 lines of {HISTORY} cannot be read\n"
    host.mydockernet("undo")


def test_only_root_reads_the_history(host):
    host.mydockernet("create web")
    host.run("chmod", "0", "/var/lib/mydockernet")
    done = host.run("setpriv", "--bounding-set=-all", "--inh-caps=-all", "mydockernet", "history", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mydockernet: error: cannot read /var/lib/mydockernet")
