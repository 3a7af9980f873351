"""What --dry-run prints: a POSIX shell script that a person can learn from. It changes nothing."""

import json
import shlex

import pytest

SETUP = (
    "ip netns add c1; ip netns add c2; mydockernet create web --subnet 10.1.0.0/24; mydockernet connect web c1 -p 80:80"
)
PLANS = [
    "create new",
    "create new --subnet 10.2.0.0/24 --subnet 10.3.0.0/24 --mtu 1400 --no-icc --label 'a=$(id) `id` \"'",
    "create new --internal --bridge-name br0.9",
    "connect web c2 -p 8080:80 -p 127.0.0.1:5000-5002:53-55/udp --ip 10.1.0.9 --name other",
    "disconnect web c1",
    "publish web c1 81 82:82/udp",
    "unpublish web c1 80",
    "rm -f web",
    "run web --name job -p 81:81 -- sh -c 'exit 1'",
]


@pytest.fixture
def web(host):
    host.sh(SETUP)
    return host


@pytest.mark.parametrize("words", PLANS)
def test_a_plan_is_a_script_with_a_reason_above_each_command(web, words):
    before = web.everything()
    verb, *rest = shlex.split(words)
    script = web.mydockernet([verb, "--dry-run", *rest]).stdout
    web.run("shellcheck", "-s", "sh", "-", stdin=script)
    lines = script.splitlines()
    assert lines[:2] == ["#!/bin/sh", "set -e"]
    steps = list(zip(lines[2::3], lines[3::3], lines[4::3], strict=True))
    assert len(steps) > 3
    assert all(blank == "" and why.startswith("# ") and why[2].isupper() and why[-1] in ".:" for blank, why, _ in steps)
    told = json.loads(web.mydockernet([verb, "--dry-run", "--format", "json", *rest]).stdout)
    commands = [shlex.split(command.removesuffix(" || :")) for _, _, command in steps]
    assert [step["argv"] for step in told] == commands
    assert [f"# {step['why']}" for step in told] == [why for _, why, _ in steps]
    assert web.everything() == before


def test_it_takes_no_lock_and_needs_no_folder(host):
    plan = host.run("flock", "/run/lock/held", "mydockernet", "create", "new", "-n", "--state-dir", "/nowhere/at/all")
    assert "ip link add dev new " in plan.stdout
    host.mydockernet("create web")
    host.run("flock", "/var/lib/mydockernet/lock", "mydockernet", "rm", "web", "-n", "--lock-timeout", "0")


def test_its_exit_code_tells_whether_there_is_something_to_do(web):
    assert web.mydockernet("create new -n").returncode == 0
    assert web.mydockernet("create new -n --exit-code", check=False).returncode == 5
    assert web.mydockernet("repair -n --exit-code").returncode == 0
    assert web.mydockernet("create web --ignore -n --exit-code").returncode == 0
    web.fails("create web -n", 4, "exists already")


def test_what_only_a_dry_run_takes_is_refused_without(web):
    web.fails("create new --exit-code", 2, "--exit-code goes with --dry-run")
    web.fails("create new --format json", 2, "--format goes with --dry-run")


def test_several_names_are_one_plan(web):
    web.mydockernet("create b")
    script = web.mydockernet("rm -f web b -n").stdout
    assert script.count("ip link delete dev ") == 3
    web.run("sh", stdin=script)
    assert "ydockernet" not in str(web.snapshot()).lower()


def test_a_change_that_was_killed_is_taken_back_first(web):
    before = web.snapshot()
    web.mydockernet("create late", env=web.break_programs('"$real" "$@"; kill -9 $PPID', 7), check=False)
    assert web.snapshot() != before
    done = web.mydockernet("rm --ignore nothing -n")
    assert "mydockernet: note: a change was interrupted; this plan takes it back first\n" in done.stderr
    web.run("sh", stdin=done.stdout)
    assert web.snapshot() == before
