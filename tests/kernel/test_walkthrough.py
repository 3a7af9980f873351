"""The tutorial's session, and the main promises, on the real kernel."""

import json
import re

import pytest

OPTION_SETS = [
    "web",
    "--subnet 192.168.10.1/24 web",
    "--subnet 10.9.0.0/16 --gateway 10.9.1.1 --ip-range 10.9.2.0/24 --reserve router=10.9.0.9 --mtu 1400 web",
    "--internal web",
    "--no-masquerade --no-icc --label a=b --bridge-name br0.web web",
    "--subnet 10.1.0.0/24 --subnet 10.2.0.0/24 a-name.longer_than-15-characters",
    "all",
    "up",
]


def test_the_walk_through_of_the_tutorial(host):
    before = host.snapshot()
    assert host.mydockernet("create --driver bridge --subnet 192.168.10.1/24 testbridge").stdout == "testbridge\n"
    header, row = host.mydockernet("list").stdout.splitlines()
    assert header.split() == ["NAME", "SUBNET", "GATEWAY", "DRIVER", "CONTAINERS", "STATE"]
    assert row.split() == ["testbridge", "192.168.10.0/24", "192.168.10.1", "bridge", "0", "up"]
    assert "alias mydockernet:testbridge" in host.run("ip", "link", "show", "dev", "testbridge").stdout
    assert "inet 192.168.10.1/24 " in host.run("ip", "addr", "show", "dev", "testbridge").stdout
    listing = host.run("iptables", "-t", "nat", "-vnL", "POSTROUTING").stdout
    assert re.search(r"MASQUERADE .* !testbridge +192\.168\.10\.0/24 .* mydockernet:testbridge ", listing)
    assert host.run("sysctl", "-n", "net.ipv4.ip_forward").stdout == "1\n"
    assert host.mydockernet("remove testbridge").stdout == "testbridge\n"
    assert host.snapshot() == before
    assert host.state() == {}


@pytest.mark.parametrize("options", OPTION_SETS)
def test_the_dry_run_piped_into_sh_does_what_the_verb_does(new_host, options):
    by_verb, by_script = new_host(), new_host()
    name = options.split()[-1]
    untouched = by_script.snapshot()
    plan = by_script.mydockernet(f"create {options} --dry-run")
    assert by_script.everything() == (untouched, {})
    assert by_script.sh("test ! -e /var/lib/mydockernet").returncode == 0
    by_script.run("sh", stdin=plan.stdout)
    by_verb.mydockernet(f"create {options}")
    assert by_script.snapshot() == by_verb.snapshot()
    assert by_script.sysctls() == by_verb.sysctls()
    assert by_script.state() == by_verb.state()
    assert by_script.mydockernet(["list", "--format", "{{.Name}} {{.State}}"]).stdout == f"{name} up\n"
    assert by_script.sh("stat -c %a /var/lib/mydockernet /var/lib/mydockernet/*").stdout.split() == [
        "700",
        "600",
        "700",
    ]
    for host in (by_script, by_verb):
        assert host.mydockernet("check").stdout == ""
        host.run("sh", stdin=host.mydockernet(f"rm {name} --dry-run").stdout)
        assert host.everything() == (untouched, {})


def test_a_second_create_changes_nothing(host):
    host.mydockernet("create --subnet 10.1.0.0/24 --label x=1 web")
    before = host.everything()
    host.fails("create --subnet 10.1.0.0/24 --label x=1 web", 4, 'network "web" already exists')
    assert host.mydockernet("create --ignore --subnet 10.1.0.0/24 --label x=1 web").stdout == "web\n"
    assert host.mydockernet("create --ignore --subnet 10.1.0.1/24 --label x=1 web").returncode == 0
    plan = host.mydockernet("create --ignore --label x=1 web --dry-run --exit-code")
    assert plan.stdout == "#!/bin/sh\nset -e\n"
    host.fails(
        "create --ignore --subnet 10.2.0.0/24 --label x=1 web", 4, 'network "web" already exists, with other settings'
    )
    host.fails("create --ignore web --label x=1 --internal", 4, 'network "web" already exists, with other settings')
    assert host.everything() == before


def test_a_second_remove_finds_nothing(host):
    host.mydockernet("create web")
    host.mydockernet("rm web")
    before = host.everything()
    host.fails("rm web", 3, 'network "web" not found')
    assert host.mydockernet("rm --ignore web").returncode == 0
    assert host.everything() == before


def test_a_pipeline_makes_and_removes_networks(host):
    before = host.snapshot()
    done = host.sh("for n in a b c; do mydockernet create $n; done; mydockernet ls -q | xargs mydockernet network rm")
    assert done.stdout == "a\nb\nc\na\nb\nc\n"
    assert host.snapshot() == before


def test_of_several_names_each_is_tried(host):
    host.mydockernet("create a")
    host.mydockernet("create b")
    done = host.mydockernet("rm a nope b worse", check=False)
    assert (done.returncode, done.stdout) == (3, "a\nb\n")
    assert '"nope"' in done.stderr
    assert '"worse"' in done.stderr


def test_prune_removes_what_no_container_is_on(host):
    before = host.snapshot()
    host.sh("mydockernet create a --label k=1; mydockernet create b --label k=2; mydockernet create c")
    assert host.mydockernet("prune --filter label=k=2").stdout == "b\n"
    assert host.mydockernet("prune").stdout == "a\nc\n"
    assert host.snapshot() == before


@pytest.mark.long
@pytest.mark.half(1)
def test_fifty_creates_at_once(host):
    before = host.snapshot()
    host.at_once([f"create n{number} --lock-timeout 300" for number in range(50)], 50)
    records = [json.loads(line) for line in host.mydockernet("list --format json").stdout.splitlines()]
    assert len(records) == len({r["Subnet"] for r in records}) == 50
    assert {r["State"] for r in records} == {"up"}
    rules = [(table, rule) for table, body in host.rules().items() for rule in body]
    assert len(rules) == len(set(rules))
    host.at_once([f"rm n{number} --lock-timeout 300" for number in range(50)], 50)
    assert host.snapshot() == before


def test_the_filter_rules_are_as_many_with_one_network_as_with_two_hundred(host):
    host.mydockernet("create n0 --subnet 10.100.0.0/24")
    one = host.rules()["filter"]
    host.mydockernet("create i --internal")
    # A record of two hundred, and the repair that makes them all.
    host.sh(
        "cd /var/lib/mydockernet/networks; for i in $(seq 199); do"
        ' sed "s/"n0"/"n$i"/; s/10[.]100[.]0[.]/10.100.$i./g" n0.json > n$i.json; chmod 600 n$i.json; done'
    )
    host.mydockernet("repair")
    assert host.mydockernet(["ls", "--format", "{{.State}}"]).stdout == "up\n" * 201
    assert host.rules()["filter"] == one
    assert sum("mydockernet:n" in rule for rule in host.rules()["nat"]) == 200


def test_the_admins_own_chain_is_kept_while_it_has_rules(host):
    host.mydockernet("create web")
    host.run("iptables", "-A", "MYDOCKERNET-USER", "-s", "198.51.100.7", "-j", "DROP")
    host.mydockernet("rm web")
    assert host.run("iptables", "-S", "MYDOCKERNET-USER").stdout.count("-s 198.51.100.7/32") == 1
    host.mydockernet("create web")
    host.mydockernet("rm web")
    host.sh("iptables -F MYDOCKERNET-USER; iptables -X MYDOCKERNET-USER")
    assert "MYDOCKERNET" not in str(host.rules())


def test_two_state_folders_share_a_host(host):
    before = host.snapshot()
    host.sh("export MYDOCKERNET_STATE_DIR=/run/other; mydockernet create web")
    host.mydockernet("create web")
    host.mydockernet("rm web")
    other = {"MYDOCKERNET_STATE_DIR": "/run/other"}
    assert "up" in host.mydockernet("list", env=other).stdout
    host.mydockernet("rm web", env=other)
    assert host.snapshot() == before


@pytest.mark.parametrize(
    ("damage", "state"),
    [
        ("true", "up"),
        ("ip link set dev web down", "down"),
        ("ip link del dev web", "missing"),
        ("ip addr flush dev web", "drifted"),
        ("iptables -F", "drifted"),
        ("iptables -t nat -F", "drifted"),
        ("sysctl -qw net.ipv4.ip_forward=0", "drifted"),
    ],
)
def test_the_state_is_read_from_the_kernel_and_removal_bears_any(host, damage, state):
    before = host.snapshot()
    host.mydockernet("create web")
    host.sh(damage)
    assert host.mydockernet(["list", "--format", "{{.State}}"]).stdout == f"{state}\n"
    host.mydockernet("rm web")
    after = host.snapshot()
    # iptables -F took the canary's rules too; nothing of ours may be left.
    assert after["host"]["links"] == before["host"]["links"]
    assert "ydockernet" not in str(after).lower()


def test_a_lost_rule_is_put_back_in_its_place_by_the_next_create(host):
    host.mydockernet("create a")
    whole = host.run("iptables", "-S", "MYDOCKERNET-FORWARD").stdout
    host.sh("iptables -I MYDOCKERNET-FORWARD -s 198.51.100.1 -j RETURN; iptables -D MYDOCKERNET-FORWARD 3")
    host.sh("iptables -D MYDOCKERNET-FORWARD 6; iptables -D MYDOCKERNET-FORWARD 8")
    host.mydockernet("create b")
    host.sh("iptables -D MYDOCKERNET-FORWARD -s 198.51.100.1 -j RETURN")
    assert host.run("iptables", "-S", "MYDOCKERNET-FORWARD").stdout == whole
