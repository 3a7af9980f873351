"""What is printed: results on stdout, one record a line; the rest on stderr, one line an error; the exit codes."""

import contextlib
import json
import os
import pty
import re
import subprocess
import termios

import pytest

THREE = """
mydockernet create a --label k=1
mydockernet create bb --label k=2 --label x
mydockernet create ccc --internal
"""


@pytest.fixture
def three(host):
    host.set_up(f"{THREE} ip netns add c1; mydockernet connect a c1 -p 8080:80")
    return host


def test_a_table_in_a_pipe_is_one_plain_record_a_line(three):
    out = three.mydockernet("list").stdout
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "a", "bb", "ccc"]
    assert three.sh("mydockernet list | awk 'NR>1{print $1}'").stdout == "a\nbb\nccc\n"
    assert out.isascii()
    assert out.splitlines()[1].split() == ["a", "10.208.0.0/24", "10.208.0.1", "bridge", "1", "up"]


def test_a_name_is_never_cut_in_a_pipe(host):
    name = "n" * 64
    host.mydockernet(f"create {name}")
    assert host.mydockernet("list", env={"COLUMNS": "40"}).stdout.splitlines()[1].startswith(f"{name} ")


def in_terminal(host, *words, columns=80):
    """What is printed to a terminal that is this wide, without colors."""
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (24, columns))
    out = b""
    with subprocess.Popen([*host.enter, "mydockernet", *words], env=host.env, stdout=writer) as process:
        os.close(writer)
        with contextlib.suppress(OSError):  # It has ended.
            while more := os.read(reader, 100_000):
                out += more
    os.close(reader)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[\d;]*m", "", out.decode()).replace("\r", "")


def test_a_table_in_a_terminal_has_borders(three):
    assert in_terminal(three, "list").startswith("╭")


def test_at_80_columns_a_long_name_leaves_the_state_whole(host):
    host.mydockernet(["create", "n" * 42])
    lines = in_terminal(host, "list").splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[3].endswith("│ bridge │ 0          │ up    │")


def test_at_80_columns_rules_take_a_few_lines_each(three):
    out = in_terminal(three, "rules")
    rules = len(three.mydockernet("rules --format json").stdout.splitlines())
    assert len(out.splitlines()) < 4 * rules
    assert max(map(len, out.splitlines())) <= 80
    place = out.split(maxsplit=1)[0]
    assert three.mydockernet(["who", place]).stdout.startswith(f"{place}: rule of all networks: ")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("-q", "a bb ccc"),
        ("-q --filter name=c", "ccc"),
        ("-q --filter name=a --filter name=b", "a bb"),
        ("-q --filter label=k", "a bb"),
        ("-q -f label=k=2 -f label=x", "bb"),
        ("-q --filter driver=bridge --filter name=bb", "bb"),
        ("-q --filter driver=none", ""),
        ("--format {{.Name}}", "a bb ccc"),
    ],
)
def test_a_list_is_filtered(three, words, names):
    assert three.mydockernet(f"ls {words}").stdout.split() == names.split()


def test_json_is_one_object_a_line(three):
    records = [json.loads(line) for line in three.mydockernet("list --format json").stdout.splitlines()]
    assert [record["Name"] for record in records] == ["a", "bb", "ccc"]
    assert records[1]["Labels"] == {"k": "2", "x": ""}
    assert records[2]["Internal"] is True
    assert three.sh("mydockernet ls --format json | jq -r .Containers").stdout == "1\n0\n0\n"


def test_a_template_knows_the_fields(three):
    out = three.mydockernet(["list", "--format", r"{{.Name}}\t{{.Subnet}}\n{{ json .Labels }}"]).stdout
    assert out.startswith('a\t10.208.0.0/24\n{"k": "1"}\nbb\t')
    three.fails(["list", "--format", "{{.Nmae}}"], 2, "--format: there is no field 'Nmae'; there are: Name, ")
    three.fails(["list", "--format", "nonsense"], 2, "--format: 'nonsense' is neither table nor json")


def test_a_template_of_docker_works_as_it_is_typed(three):
    for words, out in {
        ("inspect", "a", "-f", "{{range .Containers}}{{.Name}} {{.Addresses}}{{end}}"): 'c1 ["10.208.0.2"]\n',
        ("inspect", "a", "-f", "{{range $k, $v := .Containers}}{{$k}}{{end}} {{len .Containers}}"): "c1 1\n",
        ("inspect", "a", "-f", '{{index .Labels "k"}} {{(index .Subnets 0).Gateway}}'): "1 10.208.0.1\n",
        ("inspect", "a", "-f", "{{join .Containers.c1.Addresses `,`}}"): "10.208.0.2\n",
        ("ls", "--format", "{{if .Internal}}{{.Name}} is internal{{else}}-{{end}}"): "-\n-\nccc is internal\n",
        ("ls", "--format", r"table {{.Name}}\t{{.State}}"): "NAME  STATE\na     up\nbb    up\nccc   up\n",
    }.items():
        assert three.mydockernet(words).stdout == out
    chains = three.mydockernet(["rules", "ccc", "--format", "{{if eq .Owner `ccc`}}{{.Chain}}{{end}}"]).stdout.split()
    assert chains == ["MYDOCKERNET-PREROUTING"]
    three.fails(["ls", "--format", "{{range .Labels}}"], 2, "--format: {{range .Labels}} has no {{end}}")


def test_inspect_tells_intent_and_kernel(three):
    (record,) = json.loads(three.mydockernet("inspect a").stdout)
    assert record["Subnets"] == [{"Subnet": "10.208.0.0/24", "Gateway": "10.208.0.1", "IPRanges": [], "Reserved": {}}]
    assert "10.208.0.1/24" in record["Link"]["Addresses"]
    assert record["Containers"]["c1"]["Ports"] == ["8080:80/tcp"]
    assert record["Containers"]["c1"]["Link"]["MAC"] == "02:42:0a:d0:00:02"
    assert {rule["Chain"] for rule in record["Rules"]} == {
        "MYDOCKERNET-PREROUTING",
        "POSTROUTING",
        "MYDOCKERNET-PORTS",
    }
    assert all({"Packets", "Bytes", "Rule", "Why"} <= set(rule) for rule in record["Rules"])
    assert len(json.loads(three.mydockernet("inspect a bb").stdout)) == 2
    done = three.mydockernet("inspect nope a", check=False)
    assert done.returncode == 3
    assert [found["Name"] for found in json.loads(done.stdout)] == ["a"]


def test_inspect_shows_who_reaches_a_container(three):
    lines = three.mydockernet("inspect a --format table").stdout.splitlines()
    rows = [" ".join(line.split()) for line in lines if line.startswith("c1")]
    assert rows == [
        "c1 10.208.0.2 every port the host; containers on a 10.208.0.2",
        "c1 10.208.0.2 80/tcp anywhere: outside, the host, every container *:8080",
    ]


def test_rules_tell_owner_reason_and_counters(three):
    records = [json.loads(line) for line in three.mydockernet("rules a --format json").stdout.splitlines()]
    assert {record["Owner"] for record in records} == {"a", "@shared"}
    assert all(record["Why"] and isinstance(record["Packets"], int) for record in records)
    assert {r["Owner"] for r in map(json.loads, three.mydockernet("rules --format json").stdout.splitlines())} == {
        "a",
        "bb",
        "ccc",
        "@shared",
    }
    assert three.mydockernet("rules").stdout.splitlines()[0].split()[:4] == ["OWNER", "PROGRAM", "TABLE", "CHAIN"]


def test_rules_give_each_rule_the_reason_of_its_own_chain(three):
    records = [json.loads(line) for line in three.mydockernet("rules --format json").stdout.splitlines()]
    jumps = {r["Chain"]: r["Why"] for r in records if r["Table"] == "nat" and "MYDOCKERNET-PORTS" in r["Rule"]}
    assert "to one of the host's own addresses" in jumps["PREROUTING"]
    assert "that the host sends to itself" in jumps["OUTPUT"]


def test_who_tells_whose_it_is(three):
    veth = json.loads(three.mydockernet("inspect a").stdout)[0]["Containers"]["c1"]["HostInterface"]
    for word, owner in {
        "10.208.0.2": "container c1 on network a",
        "10.208.0.1": "gateway of network a, on a",
        "10.208.0.77": "unused address of network a",
        "8080": "container c1 on network a: 8080:80/tcp",
        "8080/tcp": "container c1 on network a: 8080:80/tcp",
        "bb": "bridge of network bb",
        veth: f"container c1 on network a: veth pair {veth} to eth0",
        "02:42:0a:d0:00:02": f"container c1 on network a: veth pair {veth} to eth0",
        "FORWARD/1": "rule of all networks: ",
        "filter/CANARY/1": "rule of another program: ",
    }.items():
        assert three.mydockernet(["who", word]).stdout.startswith(f"{word}: {owner}"), word
    three.fails("who 8080/udp", 3, "nothing here owns '8080/udp'")


def test_doctor_tells_what_is_wrong_and_how_to_fix_it(three):
    three.sh("sysctl -qew net.bridge.bridge-nf-call-iptables=0; sysctl -qw net.ipv4.conf.all.rp_filter=0")
    assert three.mydockernet("doctor").stdout == ""
    three.sh(
        "sysctl -qw net.ipv4.ip_forward=0; sysctl -qw net.ipv4.conf.all.rp_filter=1; iptables -P FORWARD DROP;"
        "iptables -I FORWARD -s 198.51.100.1 -j DROP; iptables -N ufw-before-forward;"
        "ip route add 10.208.0.128/25 dev canary; ip link set canary mtu 1400;"
        "ip route add default via 203.0.113.9 dev canary; sysctl -qew net.bridge.bridge-nf-call-iptables=1"
    )
    done = three.mydockernet("doctor --format json", check=False)
    assert done.returncode == 5
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(finding["What"] and finding["Evidence"] for finding in found)
    fixes = " | ".join(finding["Fix"] for finding in found)
    for fix in (
        "sysctl -w net.ipv4.ip_forward=1",
        "mydockernet repair",
        "sysctl -w net.bridge.bridge-nf-call-iptables=0",
        "sysctl -w net.ipv4.conf.all.rp_filter=2",
        "ip route del 10.208.0.128/25",
        "mydockernet create --mtu 1400 a",
    ):
        assert fix in fixes


def test_a_reader_that_has_enough_is_no_error(three):
    assert three.sh("mydockernet inspect a bb ccc | head -n 1; mydockernet rules | head -c 1 >/dev/null").stderr == ""


def test_verbose_shows_each_command_as_it_runs(host):
    done = host.mydockernet("create web -v")
    assert done.stdout == "web\n"
    assert done.stderr.splitlines()[0].startswith("+ ip link add dev web ")
    assert all(line.startswith("+ ") for line in done.stderr.splitlines())


def test_old_fingers_find_their_words(host):
    for words in ("network create -d bridge a", "create --internal b", "network ls -q", "rm b", "network rm -f a"):
        host.mydockernet(words)


def test_the_options_of_docker_make_the_network_that_they_make_there(host):
    host.mydockernet(
        "network create --driver bridge --attachable --scope local --ipam-driver default --subnet 10.9.0.0/24 "
        "--aux-address router=10.9.0.5 -o com.docker.network.bridge.name=br9 --opt com.docker.network.driver.mtu=1400 "
        "-o com.docker.network.bridge.enable_icc=false -o com.docker.network.bridge.enable_ip_masquerade=false foo"
    )
    (record,) = json.loads(host.mydockernet("inspect foo").stdout)
    assert record["Subnets"][0]["Reserved"] == {"router": "10.9.0.5"}
    assert [record[key] for key in ("Bridge", "MTU", "ICC", "Masquerade")] == ["br9", 1400, False, False]
    host.fails(
        "create bar -o mtu=big -o nope=1",
        2,
        "--opt: there is no option with the key 'nope'",
        "--mtu: 'big' is not a number",
    )


def test_force_means_what_it_means_in_docker(three):
    assert three.mydockernet("rm -f nosuch").stdout == ""
    assert three.mydockernet("rm -f nosuch bb").stdout == "bb\n"
    assert three.mydockernet("rm -f nosuch", check=False).stderr == ""
    three.fails("rm nosuch", 3, 'network "nosuch" not found')
    assert three.mydockernet("prune -f --filter name=nosuch").stdout == ""
    assert three.mydockernet("network prune -f").stdout == "ccc\n"
    assert three.mydockernet("ls -q -f name=a").stdout == "a\n"


def test_options_stand_before_or_after_names(host):
    host.mydockernet("create web --subnet 10.1.0.0/24")
    host.mydockernet("--state-dir /run/x create --subnet 10.2.0.0/24 web2")
    assert host.mydockernet("ls -q --state-dir /run/x").stdout == "web2\n"
    assert host.mydockernet("rm web2 --state-dir /run/x").stdout == "web2\n"
    assert host.mydockernet("rm -- web").stdout == "web\n"


def test_the_exit_codes(three):
    for words, status in {
        "list": 0,
        "create --subnet x new": 2,
        "create": 2,
        "create a": 4,
        "create new --subnet 10.208.0.0/25": 4,
        "frobnicate": 2,
        "create new --nope": 2,
        "rm nope": 3,
        "rm a": 4,
        "inspect nope": 3,
        "connect a nope": 3,
        "create new --dry-run --exit-code": 5,
        "check": 0,
    }.items():
        done = three.mydockernet(words, check=False)
        assert done.returncode == status, (words, done)
        if status in (2, 3, 4):
            error, *hint = done.stderr.splitlines()
            assert error.startswith("mydockernet: error: ")
            assert len(hint) <= 1
            assert all(line.startswith("hint: ") for line in hint)


@pytest.fixture
def places(three):
    """A container c1 on a and bb, and c2 on bb, whose namespace is gone."""
    three.set_up("ip netns add c2; mydockernet connect bb c1 --label k=1; mydockernet connect bb c2; ip netns del c2")
    return three


def test_ps_lists_each_container_on_each_of_its_networks(places):
    assert [line.split() for line in places.mydockernet("ps").stdout.splitlines()] == [
        ["NAME", "NETWORK", "ADDRESSES", "PORTS", "STATE"],
        ["c1", "a", "10.208.0.2", "8080:80/tcp", "up"],
        ["c1", "bb", "10.208.1.2", "-", "up"],
        ["c2", "bb", "10.208.1.3", "-", "detached"],
    ]


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ("-q", "c1\nc2\n"),
        ("-aq", "c1\nc2\n"),
        ("-q -f network=a", "c1\n"),
        ("-q --filter state=detached", "c2\n"),
        ("-q --filter name=2 --filter network=a", ""),
        ("-f label=k --format {{.Name}}/{{.Network}}", "c1/bb\n"),
        ("-f label=k=2 --format {{.Name}}", ""),
    ],
)
def test_ps_is_filtered(places, words, out):
    assert places.mydockernet(f"ps {words}").stdout == out


def test_ps_refuses_a_filter_of_networks(host):
    host.fails(
        "ps --filter driver=bridge", 2, "--filter: 'driver=bridge' is not name=PART, network=NETWORK, state=STATE"
    )


def test_ps_speaks_json(places):
    first = json.loads(places.mydockernet("ps --format json").stdout.splitlines()[0])
    assert {key: first[key] for key in ("Name", "Network", "Addresses", "Ports", "State", "Interface")} == {
        "Name": "c1",
        "Network": "a",
        "Addresses": ["10.208.0.2"],
        "Ports": ["8080:80/tcp"],
        "State": "up",
        "Interface": "eth0",
    }


def test_inspect_shows_a_container_on_all_of_its_networks(places):
    (shown,) = json.loads(places.mydockernet("inspect c1").stdout)
    assert (shown["Name"], [*shown["Networks"]]) == ("c1", ["a", "bb"])
    assert shown["Networks"]["a"]["Link"]["Addresses"] == ["10.208.0.2/24"]
    assert places.mydockernet(["inspect", "c1", "--format", "{{.Networks.bb.Addresses}}"]).stdout == '["10.208.1.2"]\n'
    assert "10.208.1.2" in places.mydockernet("inspect c1 --format table").stdout
    places.fails("inspect nosuch --format {{.Name}}", 3, 'no network or container "nosuch"')
