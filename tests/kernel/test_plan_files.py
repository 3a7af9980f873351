"""A plan file makes the change that its verb would have made, or none: if the kernel has changed since, it says how."""

import json

import pytest

from tests.kernel.test_failures import CONTAINERS, NO_RIGHTS, VERBS

PLAN = "/run/change.plan"
KINDS = (
    "create, both families",
    "remove the last",
    "prune",
    "connect and publish, both families",
    "connect to macvlan",
    "connect to ptp and publish",
    "disconnect from two at once",
    "set IPv6",
    "publish",
    "unpublish",
    "remove by force",
    "undo of a removal",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_file_makes_the_change_of_its_verb(new_host, kind):
    setup, words = VERBS[kind]
    by_verb, by_plan = new_host(), new_host()
    for host in (by_verb, by_plan):
        host.set_up(setup)
    before = by_plan.everything()
    saved = by_plan.mydockernet(f"{words} --save-plan {PLAN}")
    assert saved.stdout == ""
    assert by_plan.everything() == before
    by_plan.mydockernet(f"apply-plan {PLAN}")
    by_verb.mydockernet(words)
    assert by_plan.snapshot() == by_verb.snapshot()
    assert by_plan.sysctls() == by_verb.sysctls()
    assert by_plan.comparable_state() == by_verb.comparable_state()
    assert by_plan.mydockernet("check").stdout == ""
    by_plan.fails(f"apply-plan {PLAN}", 4, "since the plan was made")


def test_a_plan_for_two_networks_is_one_change(host):
    host.set_up("mydockernet create a; mydockernet create b")
    host.mydockernet(f"rm a b --save-plan {PLAN}")
    assert host.mydockernet(f"apply-plan {PLAN}").stdout == "a\nb\n"
    assert host.mydockernet("ls -q").stdout == ""


def test_a_plan_has_the_order_in_which_its_commands_will_run(host):
    host.sh("ip netns add c1")
    lines = "".join(f"create {name}\nconnect {name} c1 -p {port}:80\n" for port, name in enumerate("zyx", 8080))
    host.run("mydockernet", "batch", "-", "--save-plan", PLAN, stdin=lines)
    assert host.mydockernet(f"apply-plan {PLAN}").stdout == "x\ny\nz\n"


def test_a_repair_is_planned_and_made(host):
    host.set_up(CONTAINERS + "mydockernet connect web c1 -p 80:80")
    before = host.everything()
    host.sh("ip link delete dev web; iptables -t nat -F")
    host.mydockernet(f"repair --save-plan {PLAN}")
    host.mydockernet(f"apply-plan {PLAN}")
    assert host.mydockernet("check").stdout == ""
    assert host.snapshot()["host"] == before[0]["host"]


def test_a_plan_is_made_without_root_and_by_way_of_pipes(host):
    plan = host.run(*NO_RIGHTS, "mydockernet", "create", "web", "--save-plan", "-")
    assert json.loads(plan.stdout)["after"]["web"]["name"] == "web"
    assert host.state() == {}
    refused = host.run(*NO_RIGHTS, "mydockernet", "apply-plan", "-", stdin=plan.stdout, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "CAP_NET_ADMIN" in refused.stderr
    assert host.run("mydockernet", "apply-plan", "-", stdin=plan.stdout).stdout == "web\n"


def test_a_plan_has_a_dry_run_and_is_printed_beside_its_file(host):
    script = host.mydockernet(f"create web --dry-run --save-plan {PLAN}").stdout
    assert script.startswith("#!/bin/sh\n")
    assert host.mydockernet(f"apply-plan {PLAN} --dry-run").stdout == script
    assert host.state() == {}


SINCE = {
    "a route": (
        "ip link add dev up1 type bridge; ip address add 10.9.0.1/16 dev up1; ip link set dev up1 up",
        'b: 10.9.7.0/24 of network "b" overlaps 10.9.0.0/16 of the host',
    ),
    "an interface": ("ip link add dev b type bridge", 'interface "b" already exists'),
    "a rule": (
        "iptables -t mangle -F MYDOCKERNET-FORWARD",
        "a command is needed now that the plan does not have: iptables",
    ),
    "a sysctl": ("sysctl -qw net.ipv4.ip_forward=0", "a command is needed now that the plan does not have: sysctl -w"),
    "the record": ("mydockernet set web mtu=1400", 'network "web" has changed on the record since the plan was made'),
}


@pytest.mark.parametrize(("change", "said"), SINCE.values(), ids=SINCE)
def test_what_has_changed_since_is_named_and_nothing_is_done(host, change, said):
    host.set_up("mydockernet create web")
    host.mydockernet(f"create b --subnet 10.9.7.0/24 --save-plan {PLAN}")
    host.sh(change)
    before = host.everything()
    host.fails(f"apply-plan {PLAN}", 4, said.removeprefix("b: "))
    assert host.everything() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ip netns delete c1", "is gone: /run/netns/c1"),
        ("ip netns delete c1; ip netns add c1", 'the namespace of container "c1" is another one now: /run/netns/c1'),
        ("ip -n c1 link add dev eth0 type bridge", 'interface "eth0" already exists'),
    ],
)
def test_a_container_that_is_not_as_it_was_is_named(host, change, said):
    host.set_up(CONTAINERS)
    host.mydockernet(f"connect web c1 -p 8080:80 --save-plan {PLAN}")
    host.sh(change)
    before = host.everything()
    host.fails(f"apply-plan {PLAN}", 4, said)
    assert host.everything() == before


def test_a_port_that_is_taken_since_is_named(host):
    host.set_up(CONTAINERS)
    host.mydockernet(f"connect web c1 -p 8080:80 --save-plan {PLAN}")
    listener = host.popen("python3", "-m", "http.server", "8080")
    host.sh("until ss -Hltn | grep -q :8080; do sleep 0.05; done")
    host.fails(f"apply-plan {PLAN}", 4, "8080:80/tcp: port 8080/tcp is already in use by ")
    listener.kill()
    listener.communicate()
    host.mydockernet(f"apply-plan {PLAN}")


def test_commands_that_someone_edited_are_never_run(host):
    host.mydockernet(f"create web --save-plan {PLAN}")
    plan = json.loads((host.root / PLAN[1:]).read_text())
    plan["commands"].insert(0, {"command": "touch /run/evil", "why": "Create the bridge."})
    host.run("tee", PLAN, stdin=json.dumps(plan))
    host.fails(f"apply-plan {PLAN}", 4, "a command of the plan is not what is needed now: touch /run/evil")
    assert not (host.root / "run/evil").exists()
    assert host.mydockernet("ls -q").stdout == ""


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ("apply-plan /run/nope", 1, "cannot read /run/nope: No such file or directory"),
        ("apply-plan /run", 1, "cannot read /run: Is a directory"),
        ("apply-plan /dev/null", 2, "/dev/null: the document is not JSON"),
        ("apply-plan /bin/sh", 2, "/bin/sh: the document is not"),
        ("create web --save-plan /dev/null", 2, "--save-plan: /dev/null is not a regular file; - is stdout"),
        ("create web --save-plan /run/nope/x", 1, "cannot write /run/nope/x: No such file or directory"),
        ("create web --save-plan=", 2, "--save-plan: it is empty"),
        ("rm nope --save-plan /run/x", 3, 'network "nope" not found'),
        ("run web --save-plan /run/x -- true", 2, "unknown option: --save-plan"),
        ("engines install --save-plan /run/x", 2, "unknown option: --save-plan"),
    ],
)
def test_wrong_words_are_refused(bare_host, words, status, text):
    bare_host.fails(words, status, text)
    assert not (bare_host.root / "run/x").exists()


def test_an_interrupted_change_is_rolled_back_before_a_plan_is_saved(host):
    host.mydockernet("create web", env=host.break_programs("kill -9 $PPID; exit 1", 5), check=False)
    host.fails(f"create web --save-plan {PLAN}", 4, "an earlier change was interrupted", "hint: mydockernet repair")
