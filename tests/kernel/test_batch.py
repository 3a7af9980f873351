"""A batch has the result of its lines, one by one, but all of them or none."""

import pytest

from tests.kernel.test_failures import CONTAINERS

LAB = """\
# A lab of two networks.
mydockernet create front --subnet 10.1.0.0/24 --label 'color=#fff'   # with a label
network create back --internal --subnet 10.2.0.0/24

connect front,back c1
connect front c2 --publish 8080:80
publish front c2 127.0.0.1:53:53/udp
unpublish front c2 8080:80
set front mtu=1400 reserve=nas=10.1.0.9
create unused --subnet 10.3.0.0/24
prune
"""


def batch(host, text, options="", **more):
    host.run("tee", "/run/lab", stdin=text)
    return host.mydockernet(f"batch /run/lab {options}", **more)


def test_a_batch_has_the_result_of_its_lines_one_by_one(new_host):
    at_once, one_by_one = new_host(), new_host()
    for host in (at_once, one_by_one):
        host.set_up(CONTAINERS)
    done = batch(at_once, LAB)
    printed = ""
    for line in LAB.splitlines():
        words = line.partition("   #")[0].removeprefix("mydockernet ")
        if words and words[0] != "#":
            printed += one_by_one.mydockernet(words).stdout
    assert done.stdout == printed
    assert at_once.snapshot() == one_by_one.snapshot()
    assert at_once.sysctls() == one_by_one.sysctls()
    assert at_once.comparable_state() == one_by_one.comparable_state()
    assert at_once.mydockernet("check").stdout == ""


def test_the_dry_run_of_a_batch_piped_into_sh_does_the_same(new_host):
    by_verb, by_script = new_host(), new_host()
    for host in (by_verb, by_script):
        host.set_up(CONTAINERS)
    before = by_script.everything()
    script = batch(by_script, LAB, "--dry-run").stdout
    assert by_script.everything() == before
    by_script.run("sh", stdin=script)
    batch(by_verb, LAB)
    assert by_script.snapshot() == by_verb.snapshot()
    assert by_script.comparable_state() == by_verb.comparable_state()


@pytest.mark.parametrize("driver", ["bridge", "ptp"])
def test_what_is_removed_can_be_made_again_in_one_batch(host, driver):
    host.set_up(CONTAINERS.replace("create web", "create web --subnet 10.1.0.0/24"))
    host.mydockernet("connect web c1 -p 8080:80")
    lines = f"rm -f web\ncreate web --subnet 10.1.0.0/24 --driver {driver}\nconnect web c2 -p 8080:80\nconnect web c1\n"
    assert batch(host, lines).stdout == "web\nweb\n10.1.0.2\n10.1.0.3\n"
    assert host.mydockernet("check").stdout == ""
    assert host.sh("ip netns exec c1 ping -c 1 -W 5 10.1.0.2").returncode == 0


def test_stdin_is_read_and_the_rest_is_as_for_any_verb(host):
    before = host.everything()
    script = host.run("mydockernet", "batch", "-", "--dry-run", stdin="create a\ncreate b\n").stdout
    assert script.startswith("#!/bin/sh\n")
    assert host.run("mydockernet", "batch", "-", "--save-plan", "/run/plan", stdin="create a\ncreate b\n").stdout == ""
    assert host.everything() == before
    assert host.mydockernet("apply-plan /run/plan").stdout == "a\nb\n"
    assert host.run("mydockernet", "batch", "-", stdin="").stdout == ""
    assert host.run("mydockernet", "batch", "-", stdin="rm a\nrm b").stdout == "a\nb\n"
    assert [line.split()[3] for line in host.mydockernet("history").stdout.splitlines()[1:]] == ["apply-plan", "batch"]


def test_all_lines_that_cannot_be_read_are_named_and_nothing_is_done(host):
    before = host.everything()
    lines = (
        'create good\ncreate web --mtu x\nfrob\n\ncreate "web\nconnect web c1 --dry-run\nrun web -- true\nconnect web\n'
    )
    done = batch(host, lines, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    errors = [line for line in done.stderr.splitlines() if not line.startswith("hint: ")]
    verbs = "is no verb of a batch: use create, remove, connect, disconnect, publish, unpublish, set, prune"
    assert errors == [
        "mydockernet: error: /run/lab:2: --mtu: 'x' is not a number",
        f'mydockernet: error: /run/lab:3: "frob" {verbs}',
        "mydockernet: error: /run/lab:5: no closing quotation",
        "mydockernet: error: /run/lab:6: unknown option: --dry-run",
        f'mydockernet: error: /run/lab:7: "run" {verbs}',
        "mydockernet: error: /run/lab:8: the following arguments are required: CONTAINER",
    ]
    assert host.everything() == before


@pytest.mark.parametrize(
    "option",
    ["--save-plan x", "--lock-timeout 1", "--state-dir /x", "--format json", "--exit-code", "-n", "-v", "--help"],
)
def test_options_of_the_batch_are_not_options_of_its_lines(host, option):
    done = batch(host, f"create web {option}\n", check=False)
    assert done.returncode == 2
    assert f"/run/lab:1: unknown option: {option.split()[0]}" in done.stderr


@pytest.mark.parametrize(
    ("lines", "status", "text"),
    [
        ("create a\ncreate a", 4, '/run/lab:2: network "a" already exists'),
        (
            "create a --subnet 10.7.0.0/24\ncreate b --subnet 10.7.0.0/16",
            4,
            "/run/lab:2: --subnet: 10.7.0.0/16 overlaps",
        ),
        ("create a\nconnect a nope", 3, '/run/lab:2: container "nope" not found'),
        ("create a\nconnect a c1\nrm a", 4, '/run/lab:3: network "a" is in use by "c1"'),
        ("connect web c1 -p 80:80\nconnect web c2 -p 80:80", 4, "/run/lab:2: 80:80: port 80/tcp is already in use by"),
        (
            "connect web c1 --ip 10.1.0.9\nconnect web c2 --ip 10.1.0.9",
            4,
            "/run/lab:2: --ip: 10.1.0.9 is already in use",
        ),
        ("rm web\nconnect web c1", 3, '/run/lab:2: network "web" not found'),
        ("set web/c1 gw-priority=1", 3, '/run/lab:1: container "c1" is not on network "web"'),
    ],
)
def test_a_line_that_is_refused_is_named_and_nothing_is_done(host, lines, status, text):
    host.set_up(CONTAINERS.replace("create web", "create web --subnet 10.1.0.0/24"))
    before = host.everything()
    host.run("tee", "/run/lab", stdin=lines)
    host.fails("batch /run/lab", status, text)
    assert host.everything() == before


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ("batch /run/nope", 1, "cannot read /run/nope: No such file or directory"),
        ("batch /run", 1, "cannot read /run: Is a directory"),
        ("batch /run/bytes", 2, "/run/bytes: it is not UTF-8"),
    ],
)
def test_files_that_cannot_be_read_are_named(bare_host, words, status, text):
    bare_host.sh(r"printf '\377' > /run/bytes")
    bare_host.fails(words, status, text)
