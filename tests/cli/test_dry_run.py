"""What --dry-run prints: a POSIX shell script that a person can learn from. It changes nothing."""

import json
import shlex

import pytest

from mydockernet.errors import command_line

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
    host.set_up(SETUP)
    return host


@pytest.mark.parametrize("words", PLANS)
def test_a_plan_is_a_script_with_a_reason_above_each_command(web, words):
    before = web.everything()
    verb, *rest = shlex.split(words)
    script = web.mydockernet([verb, "--dry-run", *rest]).stdout
    web.run("shellcheck", "-s", "sh", "-", stdin=script)
    start, *blocks = script.removesuffix("\n").split("\n\n")
    assert start.splitlines() == ["#!/bin/sh", "set -e"]
    steps = [block.split("\n", 1) for block in blocks]
    assert len(steps) > 3
    assert all(why.startswith("# ") and why[2].isupper() and why[-1] in ".:" for why, _ in steps)
    if verb != "run":
        assert "flock" in steps.pop(0)[1]  # A lock that ends with its process is of no use in JSON.
    told = json.loads(web.mydockernet([verb, "--dry-run", "--format", "json", *rest]).stdout)
    assert [_printed(step) for step in told] == [command for _, command in steps]
    assert [f"# {step['why']}" for step in told] == [why for why, _ in steps]
    assert web.everything() == before


def _printed(step):
    """A step of the JSON as the script has it."""
    if step["argv"][:2] == ["sh", "-c"]:
        return step["argv"][2]
    line = command_line(step["argv"])
    if "stdin" in step:
        return f"{line} <<'END'\n{step['stdin']}END"
    return line + (" || :" if step.get("optional") else "")


def test_the_steps_of_the_json_run_one_by_one_do_the_same(web):
    for step in json.loads(web.mydockernet("connect web c2 -p 81:81 -n --format json").stdout):
        web.run(*step["argv"], stdin=step.get("stdin"), check=not step.get("optional"))
    assert web.mydockernet("check").stdout == ""
    assert web.mydockernet(["list", "--format", "{{.Containers}} {{.State}}"]).stdout == "2 up\n"


@pytest.mark.parametrize(
    "meanwhile",
    [
        "mydockernet connect web c2",
        "mydockernet create other",
        "mydockernet rm -f web",
        "mydockernet publish web c1 99:99",
    ],
)
def test_a_saved_plan_refuses_to_run_once_the_record_has_changed(web, meanwhile):
    web.sh("ip netns add c3")
    script = web.mydockernet("connect web c3 -n").stdout
    web.sh(meanwhile)
    before = web.everything()
    done = web.run("sh", stdin=script, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "mydockernet: error: the record in /var/lib/mydockernet has changed since this plan was made; make a new plan\n"
    )
    assert web.everything() == before


def test_a_plan_for_an_empty_record_refuses_to_run_on_another(host):
    script = host.mydockernet("create web -n").stdout
    host.mydockernet("create other")
    before = host.everything()
    assert host.run("sh", stdin=script, check=False).returncode == 4
    assert host.everything() == before


def test_a_script_waits_for_the_lock_of_the_record(web):
    script = web.mydockernet("create new -n").stdout.replace("--timeout 30", "--timeout 0")
    done = web.run("flock", "/var/lib/mydockernet/lock", "sh", stdin=script, check=False)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == "mydockernet: error: another mydockernet process holds the lock /var/lib/mydockernet/lock\n"


def test_a_script_works_in_a_folder_with_an_odd_name(host):
    folder = "/run/it's a; folder"
    script = host.mydockernet(["create", "web", "-n", "--state-dir", folder]).stdout
    host.run("shellcheck", "-s", "sh", "-", stdin=script)
    host.run("sh", stdin=script)
    assert host.mydockernet(["check", "--state-dir", folder]).stdout == ""
    assert host.mydockernet(["ls", "-q", "--state-dir", folder]).stdout == "web\n"


NO_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")


def test_a_plan_that_would_depend_on_what_may_not_be_read_is_refused(web):
    for words in (["create", "new"], ["rm", "-f", "web"], ["repair"]):
        done = web.run(*NO_RIGHTS, "mydockernet", *words, "-n", check=False)
        assert (done.returncode, done.stdout) == (1, ""), done
        assert "error: the plan depends on what this user cannot read: " in done.stderr
        assert "hint: sudo mydockernet … --dry-run\n" in done.stderr


def test_a_plan_is_refused_where_only_the_links_tell_that_there_are_networks(web):
    web.sh("mv /var/lib/mydockernet /run/elsewhere")
    done = web.run(*NO_RIGHTS, "mydockernet", "create", "new", "-n", check=False)
    assert (done.returncode, done.stdout) == (1, "")


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
    web.fails("create web -n", 4, "already exists")


def test_what_only_a_dry_run_takes_is_refused_without(web):
    web.fails("create new --exit-code", 2, "--exit-code requires --dry-run")
    web.fails("create new --format json", 2, "--format requires --dry-run")


def test_several_names_are_one_plan(web):
    web.mydockernet("create b")
    script = web.mydockernet("rm -f web b -n").stdout
    assert script.count("ip link delete dev ") == 3
    web.run("sh", stdin=script)
    assert "ydockernet" not in str(web.snapshot()).lower()


def test_a_change_that_was_killed_is_taken_back_first(web):
    before = web.snapshot()
    web.mydockernet("create late", env=web.break_programs('"$real" "$@"; kill -9 $PPID', 5), check=False)
    assert web.snapshot() != before
    done = web.mydockernet("rm --ignore nothing -n")
    assert "mydockernet: note: an earlier change was interrupted; this plan rolls it back first\n" in done.stderr
    web.run("sh", stdin=done.stdout)
    assert web.snapshot() == before
