"""The door: what is folded into one command, which step an error leads back to, what an observation runs and reads."""

import contextlib
import json
import socket
import subprocess
import sys
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mydockernet.dialects.fact import Chain, Link, Observed, Route, Socket, Step
from mydockernet.dialects.iptables import read_rules
from mydockernet.errors import CommandFailed, Failed
from mydockernet.kernel.door import Kernel
from mydockernet.kernel.folding import Batch, fold
from mydockernet.kernel.proc import in_use, read_sysctls
from mydockernet.kernel.spawn import where
from mydockernet.value import replace

RULE = ("-j", "DROP", "--wait")
IP_BATCH, RESTORE = ("ip", "-batch", "-"), ("iptables-restore", "--noflush", "--wait")


def steps(*lines, optional=False):
    """A step of each line of words."""
    return tuple(Step("", tuple(line.split()), optional) for line in lines)


def folded(*plan):
    return [(batch.argv, batch.stdin) for batch in fold(plan)]


def test_neighbours_of_one_program_are_folded_and_the_order_stays():
    plan = steps(
        "ip link add dev web type bridge",
        "ip link set dev web up",
        "iptables -t filter -N A --wait",
        "iptables -t filter -A A -j DROP --wait",
        "iptables -t nat -A B -j DROP --wait",
        "ip6tables -t filter -N A --wait",
        "ip6tables -t filter -N B --wait",
        "sysctl -w net.ipv4.ip_forward=1",
        "sysctl -w net.ipv4.a=2",
        "ip link set dev web down",
    )
    assert folded(*plan) == [
        (IP_BATCH, "link add dev web type bridge\nlink set dev web up\n"),
        (RESTORE, "*filter\n-N A\n-A A -j DROP\nCOMMIT\n*nat\n-A B -j DROP\nCOMMIT\n"),
        (("ip6tables-restore", "--noflush", "--wait"), "*filter\n-N A\n-N B\nCOMMIT\n"),
        (("sysctl", "-w", "net.ipv4.ip_forward=1", "net.ipv4.a=2"), ""),
        (("ip", "link", "set", "dev", "web", "down"), ""),
    ]


def test_one_namespace_is_one_batch():
    inside = "nsenter --net=/run/netns/{} ip link set dev eth0 {}"
    plan = steps(
        inside.format("c1", "up"),
        inside.format("c1", "down"),
        inside.format("c2", "up"),
        "ip link set dev web up",
        "ip link set dev web down",
        "nsenter --net=/run/netns/c1 sysctl -w a=1",
        "nsenter --net=/run/netns/c1 sysctl -w b=2",
    )
    enter = ("nsenter", "--net=/run/netns/c1")
    assert folded(*plan) == [
        ((*enter, *IP_BATCH), "link set dev eth0 up\nlink set dev eth0 down\n"),
        (("nsenter", "--net=/run/netns/c2", "ip", "link", "set", "dev", "eth0", "up"), ""),
        (IP_BATCH, "link set dev web up\nlink set dev web down\n"),
        ((*enter, "sysctl", "-w", "a=1", "b=2"), ""),
    ]


def test_one_step_runs_as_it_was_shown():
    for line in ("ip link set dev web up", "iptables -t nat -A B -j DROP --wait", "sysctl -w a=1", "anything else"):
        assert folded(*steps(line)) == [(tuple(line.split()), "")]


def test_optional_steps_run_alone():
    up = "ip link set dev web up"
    plan = (*steps(up, up), *steps(up, up, optional=True), *steps(up, up))
    two, one = (IP_BATCH, "link set dev web up\n" * 2), (("ip", "link", "set", "dev", "web", "up"), "")
    assert folded(*plan) == [two, one, one, two]


@pytest.mark.parametrize("odd", ["a b", "a#b", 'a"b', "it's", "a\\b", "a\tb", "a\nb", "#"])
def test_words_that_a_batch_can_not_hold_run_alone(odd):
    for start, end in ((("ip", "link", "set", "dev", "web", "alias"), ()), (("iptables", "-t", "nat", "-N"), RULE)):
        plain, strange = Step("", (*start, "plain", *end)), Step("", (*start, odd, *end))
        assert [argv for argv, _ in folded(plain, strange, plain)] == [plain.do, strange.do, plain.do]


def test_programs_of_no_dialect_run_alone():
    plan = steps("conntrack -D -p tcp", "conntrack -D -p udp", "iptables -N X", "iptables -N Y", "sysctl -n a")
    assert folded(*plan) == [(step.do, "") for step in plan]


WORDS = st.lists(st.text("ab1-.:/ '\"#\\\n", min_size=1, max_size=4), max_size=3).map(tuple)
HEADS = st.sampled_from(
    [("ip",), ("ip6tables",), ("sysctl", "-w"), ("conntrack",), ("nsenter", "--net=/n", "ip"), ("nsenter", "--net=/m")]
)
ANY_STEP = st.one_of(
    st.builds(lambda head, words, optional: Step("", (*head, *words, "x"), optional), HEADS, WORDS, st.booleans()),
    st.builds(lambda table, words: Step("", ("iptables", "-t", table, *words, "--wait")), st.just("nat"), WORDS),
)


@given(st.lists(ANY_STEP, max_size=12))
def test_folding_loses_no_step_and_keeps_the_order(plan):
    batches = list(fold(plan))
    assert [step for batch in batches for step in batch.steps] == plan
    assert all(0 <= index < len(batch.steps) for batch in batches for index in batch.lines)
    for batch in batches:
        if batch.argv[-3:] == IP_BATCH:  # Whatever stands in a word: as many lines as commands.
            assert batch.stdin.count("\n") == len(batch.steps) == len(batch.lines)


def test_a_plan_runs_as_it_was_folded_and_is_announced_step_by_step(calls, spawn, monkeypatch, tmp_path):
    monkeypatch.setattr("mydockernet.kernel.proc.SYSCTLS", tmp_path)
    announced, moments = [], []
    calls(*IP_BATCH)
    calls("conntrack", "-D", returncode=1, stderr="0 flow entries have been deleted")
    calls(*RESTORE)
    plan = (
        *steps("ip link add dev web type bridge", "ip link set dev web up"),
        *steps("conntrack -D", optional=True),
        *steps("iptables -t nat -N A --wait", "iptables -t nat -N B --wait"),
    )
    Kernel(spawn, announced.append).apply(plan, lambda: moments.append(len(announced)))
    assert calls.ran == [
        (IP_BATCH, "link add dev web type bridge\nlink set dev web up\n"),
        (("conntrack", "-D"), ""),
        (RESTORE, "*nat\n-N A\n-N B\nCOMMIT\n"),
    ]
    assert announced == [step.do for step in plan]
    assert moments == [0, 2, 3]


def test_flows_are_not_ended_where_there_are_none(calls, spawn, monkeypatch, tmp_path):
    (tmp_path / "net/netfilter").mkdir(parents=True)
    monkeypatch.setattr("mydockernet.kernel.proc.SYSCTLS", tmp_path)
    calls("conntrack", "-D")
    calls("conntrack", "-D")
    for count, ran in (("0\n", 0), ("1\n", 1), (None, 2)):
        path = tmp_path / "net/netfilter/nf_conntrack_count"
        path.write_text(count) if count else path.unlink()
        Kernel(spawn).apply(steps("conntrack -D", optional=True))
        assert len(calls.ran) == ran


def test_of_many_searches_for_flows_only_those_run_that_find_one(calls, spawn, monkeypatch, tmp_path):
    monkeypatch.setattr("mydockernet.kernel.proc.SYSCTLS", tmp_path)
    flow = "tcp 6 99 ESTABLISHED src=192.0.2.2 dst=192.0.2.1 sport=9003 dport=9007 src=10.1.0.2 dst=192.0.2.2 sport=80 "
    calls("conntrack", "-L", "-p", "tcp", stdout=f"{flow}dport=9001 [ASSURED]\n")
    calls("conntrack", "-L", "-p", "udp", "-f", "ipv6", returncode=1)
    searches = [f"conntrack -D -p tcp --orig-port-dst {port}" for port in range(9002, 9009)]
    calls(*searches[5].split())
    six = "conntrack -D -p udp --orig-port-dst 53 -f ipv6"  # It cannot be listed, so it is searched for.
    calls(*six.split())
    Kernel(spawn).apply(steps(*searches, six, optional=True))
    assert [" ".join(argv) for argv, _ in calls.ran] == [
        "conntrack -L -p tcp",
        "conntrack -L -p udp -f ipv6",
        searches[5],
        six,
    ]


def test_what_is_told_to_stop_stops_before_the_next_command(calls, kernel):
    def stop():
        if calls.ran:
            raise Failed("stop")

    calls("ip", "link")
    with pytest.raises(Failed, match="stop"):
        kernel.apply(steps("ip link", "sysctl -w a=1"), stop)
    assert calls.ran == [(("ip", "link"), "")]


IP_PLAN = steps("ip link add dev a type bridge", "ip link set dev a up", "ip address add 10.1.0.1/24 dev a")
RULES_PLAN = steps(
    "iptables -t filter -N A --wait",
    "iptables -t filter -A A -j DROP --wait",
    "iptables -t nat -A B -j DROP --wait",
)
# Lines of the input of iptables-restore: 1 *filter 2 -N A 3 -A A 4 COMMIT 5 *nat 6 -A B 7 COMMIT.
BLAME = [
    (IP_PLAN, "RTNETLINK answers: File exists\nCommand failed -:1\n", 0, "RTNETLINK answers: File exists"),
    (IP_PLAN, "Error: Nexthop has invalid gateway.\nCommand failed -:3\n", 2, "Error: Nexthop has invalid gateway."),
    (RULES_PLAN, "iptables-restore: line 2 failed", 0, "iptables-restore: line 2 failed"),
    (RULES_PLAN, "iptables-restore: line 6 failed", 2, "iptables-restore: line 6 failed"),
    (RULES_PLAN, "line 3: RULE_APPEND failed (No such file)", 1, "line 3: RULE_APPEND failed (No such file)"),
    (
        RULES_PLAN,
        "iptables-restore v1.8.9: bad\nError occurred at line: 3\nTry `iptables-restore -h' for more.",
        1,
        "iptables-restore v1.8.9: bad\nError occurred at line: 3",
    ),
]


@pytest.mark.parametrize(("plan", "stderr", "culprit", "said"), BLAME)
def test_an_error_of_a_batch_leads_back_to_the_one_command(calls, kernel, plan, stderr, culprit, said):
    calls(*(IP_BATCH if plan is IP_PLAN else RESTORE), returncode=2, stderr=stderr)
    with pytest.raises(CommandFailed) as caught:
        kernel.apply(plan)
    assert (caught.value.argv, caught.value.status, caught.value.stderr) == (plan[culprit].do, 2, said)


@pytest.mark.parametrize("stderr", ["", "no luck", "Command failed -:0", "Command failed -:99", "line x failed"])
def test_an_error_that_leads_nowhere_shows_the_batch(calls, kernel, stderr):
    calls(*IP_BATCH, returncode=1, stderr=stderr)
    with pytest.raises(CommandFailed) as caught:
        kernel.apply(IP_PLAN)
    assert caught.value.argv == IP_BATCH


def test_an_error_of_a_single_command_is_its_own_whatever_it_says(calls, kernel):
    calls(*IP_PLAN[1].do, returncode=-9, stderr="line 7")
    with pytest.raises(CommandFailed, match="ip link set dev a up: was killed by signal 9: line 7"):
        kernel.apply(IP_PLAN[1:2])


@given(st.text() | st.text("0123456789²٣-: \n").map("Command failed -:{0} line {0}".format))
def test_whatever_a_program_says_one_step_or_none_is_at_fault(stderr):
    assert Batch(IP_BATCH, "", (0, 1, 2), IP_PLAN).at_fault(stderr) in (None, *IP_PLAN)


LINKS = [
    {
        "ifname": "web",
        "group": "28004",
        "ifalias": "mydockernet:web",
        "mtu": 1500,
        "flags": ["BROADCAST", "UP"],
        "address": "02:42:0a:01:00:01",
        "linkinfo": {"info_kind": "bridge"},
        "addr_info": [{"local": "10.1.0.1", "prefixlen": 24}, {}],
    },
    {},
    {"ifname": "c1-1", "master": "web", "linkinfo": {"info_slave_data": {"isolated": True, "hairpin": False}}},
]
WEB = Link(
    "web",
    "bridge",
    "28004",
    "mydockernet:web",
    "02:42:0a:01:00:01",
    1500,
    True,
    addresses=frozenset({"10.1.0.1/24"}),
)
CABLE = Link("c1-1", master="web", flags=frozenset({"isolated"}))
ROUTES = [{"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"}, {"type": "broadcast", "dst": "10.1.0.255"}]
DEFAULT = Route(ip_network("0.0.0.0/0"), "192.0.2.1", "eth0", "default via 192.0.2.1 dev eth0")
SAVED = """\
*filter
:INPUT ACCEPT [0:0]
:OURS - [0:0]
[3:180] -A OURS -s 10.1.0.2/32 -m comment --comment "mydockernet:web" -j DROP
COMMIT
"""
READ = ("ip", "-json", "-details", "-batch", "-")
HOST = "address show\nroute show table all\nneighbor show nud permanent\n"
CONTAINER = "address show\nroute show table all default\nroute show table all protocol 28\nrule show\n"
INPUT, OURS = Chain(4, "filter", "INPUT"), Chain(4, "filter", "OURS")
SOCKETS = 'tcp LISTEN 0 128 127.0.0.1%lo:53 0.0.0.0:* users:(("named",pid=7,fd=3))\nodd line\n'
SS = ("ss", "--no-header", "--listening", "--numeric", "--tcp", "--udp", "--sctp", "--processes")


@pytest.fixture
def shown(calls):
    """The commands of an observation, inside a namespace where a path is given; options for each."""

    def show(path="", links=None, saved=None):
        enter = ("nsenter", f"--net={path}") if path else ()
        calls(*enter, *READ, **(links or {"stdout": f"{json.dumps(LINKS)}\n{json.dumps(ROUTES)}\n"}))
        calls(*enter, "iptables-save", "--counters", **(saved or {"stdout": SAVED}))

    return show


@pytest.mark.parametrize("conntrack", ["", "/usr/sbin/conntrack"])
def test_an_observation_is_two_commands(shown, calls, kernel, monkeypatch, conntrack):
    monkeypatch.setattr("mydockernet.kernel.door.where", lambda program: conntrack)
    shown()
    seen = kernel.observe_rules(kernel.observe(), ["iptables"])
    assert calls.ran == [(READ, HOST), (("iptables-save", "--counters"), "")]
    assert seen == Observed(
        links={"web": WEB, "c1-1": CABLE},
        routes=(DEFAULT,),
        chains=read_rules(4, SAVED),
        policies={INPUT: "ACCEPT"},
        ipv6=seen.ipv6,
        conntrack=bool(conntrack),
        firewalls=("iptables", "nftables") if conntrack else (),
        read=frozenset({"iptables"}),
    )
    (rule,) = seen.chains[OURS]
    assert (rule.comment, rule.packets, rule.bytes) == ("mydockernet:web", 3, 180)


def test_a_program_is_looked_for_on_path(monkeypatch, tmp_path):
    (tmp_path / "folder/tool").mkdir(parents=True)
    for place in ("plain/tool", "good/tool"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).touch()
    (tmp_path / "good/tool").chmod(0o755)
    monkeypatch.setenv("PATH", ":".join(f"{tmp_path}/{name}" for name in ("none", "folder", "plain", "good")))
    assert where("tool") == f"{tmp_path}/good/tool"
    assert where("tools") == ""


def test_a_kernel_with_nothing_to_show_is_read(shown, kernel):
    shown(links={"stdout": "[]\n"}, saved={"stdout": ""})
    seen = kernel.observe_rules(kernel.observe(), ["iptables"])
    assert (seen.links, seen.routes, seen.chains, seen.unread) == ({}, (), {}, ())


@pytest.mark.parametrize("text", ["{", "[1]", '"x"', '[{"no": "name"}]', "7", '[{"ifname": "a", "addr_info": 7}]'])
def test_what_can_not_be_read_names_the_command(shown, kernel, text):
    shown(links={"stdout": text})
    with pytest.raises(Failed, match="cannot parse the output of `ip -json -details -batch -`"):
        kernel.observe()


REFUSED = {"returncode": 4, "stderr": "iptables-save: Permission denied (you must be root)\nmore\n"}


def test_rules_that_may_not_be_read_are_an_error_or_when_lenient_a_note(shown, kernel):
    shown(saved=REFUSED)
    shown(saved=REFUSED)
    with pytest.raises(CommandFailed, match="iptables-save --counters: failed with status 4: iptables-save: Perm"):
        kernel.observe_rules(kernel.observe(), ["iptables"])
    seen = kernel.observe_rules(kernel.observe(), ["iptables"], lenient=True)
    assert seen.unread == ("iptables-save: iptables-save: Permission denied (you must be root)",)
    assert (seen.links["web"], seen.chains) == (WEB, {})


def test_links_that_may_not_be_read_are_an_error(shown, kernel):
    shown(links={"returncode": 1})
    with pytest.raises(CommandFailed, match=r"\(no message\)"):
        kernel.observe()


def test_namespaces_are_looked_into_once_where_they_are_there(shown, calls, kernel, tmp_path):
    (tmp_path / "c1").touch()
    here, gone = str(tmp_path / "c1"), str(tmp_path / "gone")
    shown(here)
    seen = kernel.observe_inside(kernel.observe_inside(Observed(), [here, gone, here]), [here])
    assert calls.ran == [(("nsenter", f"--net={here}", *READ), CONTAINER)]
    assert {path: inside.links for path, inside in seen.inside.items()} == {here: {"web": WEB, "c1-1": CABLE}}


def test_a_namespace_that_goes_while_it_is_looked_at_is_not_there(fp, kernel, tmp_path):
    path = tmp_path / "c1"
    path.touch()
    fp.register([fp.any()], returncode=1, callback=lambda process: path.unlink())
    assert kernel.observe_inside(Observed(), [str(path)]).inside == {}


def test_a_namespace_that_refuses_is_an_error_or_when_lenient_a_note(shown, kernel, tmp_path):
    path = tmp_path / "c1"
    path.touch()
    for _ in range(2):
        shown(str(path), links={"returncode": 1, "stderr": "nsenter: Operation not permitted\n"})
    with pytest.raises(CommandFailed):
        kernel.observe_inside(Observed(), [str(path)])
    seen = kernel.observe_inside(Observed(), [str(path)], lenient=True)
    assert (seen.inside, seen.unread) == ({}, ("nsenter: nsenter: Operation not permitted",))


@pytest.mark.parametrize("printed", ['[{"ifname": 7', json.dumps([{"ifname": f"v{n}"} for n in range(300_000)])])
def test_a_namespace_that_prints_nonsense_or_no_end_is_an_error_or_when_lenient_a_note(fp, kernel, tmp_path, printed):
    (tmp_path / "c1").touch()
    fp.register([fp.any()], stdout=printed, occurrences=2)
    path = str(tmp_path / "c1")
    with pytest.raises(Failed):
        kernel.observe_inside(Observed(), [path])
    seen = kernel.observe_inside(Observed(), [path], lenient=True)
    assert (seen.inside, len(seen.unread)) == ({}, 1)


def test_all_that_is_to_see_of_the_host_and_a_namespace(shown, calls, kernel, tmp_path):
    path = str(tmp_path)
    shown(path)
    calls(*SS, stdout="")
    calls("nsenter", f"--net={path}", *SS, stdout=SOCKETS)
    inside = kernel.observe_whole(Observed(read=frozenset({"iptables"})), [path, "/no/such/path"]).inside
    assert [*inside] == [path]
    assert inside[path].chains[OURS][0].packets == 3
    assert [(s.protocol, str(s.address), s.port, s.program) for s in inside[path].sockets] == [
        ("tcp", "127.0.0.1", 53, "named")
    ]


def test_sockets_of_the_host(calls, kernel):
    calls(*SS, stdout="udp UNCONN 0 0 *:68 *:*\n")
    assert kernel.observe_sockets(Observed()).sockets == (Socket("udp", None, 68, "a program"),)


@pytest.mark.parametrize(("ports", "asked"), [(None, True), ({8080, 53}, True), ({80}, False), (set(), False)])
def test_ss_is_asked_only_where_a_port_may_be_taken(calls, kernel, monkeypatch, ports, asked):
    monkeypatch.setattr("mydockernet.kernel.door.in_use", lambda port: port == 53)
    calls(*SS, stdout=SOCKETS)
    programs = {socket.program for socket in kernel.observe_sockets(Observed(), ports).sockets}
    assert programs == ({"named"} if asked else set())
    assert len(calls.ran) == asked


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, ""), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::")],
)
def test_a_port_is_in_use_whatever_address_it_is_bound_to(kind, family, address):
    with socket.socket(family, kind) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((address, 0))
        port = holder.getsockname()[1]
        assert in_use(port)
    assert not in_use(port)


def test_sysctls_of_the_host_are_read_without_a_process(monkeypatch, tmp_path):
    monkeypatch.setattr("mydockernet.kernel.proc.SYSCTLS", tmp_path)
    (tmp_path / "net").mkdir()
    (tmp_path / "net/a.b").write_text("1\n")
    assert read_sysctls(["net/a.b", "net/none", "net"]) == {"net/a.b": "1"}


def test_sysctls_of_a_namespace_are_read_by_one_command_and_those_of_no_interface_by_none(calls, kernel, monkeypatch):
    monkeypatch.setattr("mydockernet.kernel.door.read_sysctls", lambda keys: dict.fromkeys(keys, "1"))
    there = Observed(links={"eth0": Link("eth0")})
    seen = Observed(inside={"/n": there, "/empty": Observed()})
    calls("nsenter", "--net=/n", "sysctl", "-e", "net.a", "net.ipv4.conf.eth0.b", stdout="net.a = x y\n")
    keys = ("net/ipv4/conf/eth0/b", "net/ipv4/conf/eth1/b")
    wanted = [("", "net/ipv4/ip_forward"), ("/n", "net/a"), ("/unseen", "net/a")]
    wanted += [(path, key) for path in ("/n", "/empty") for key in keys]
    seen = kernel.observe_sysctls(seen, wanted)
    assert seen.sysctls == {"net/ipv4/ip_forward": "1"}
    assert seen.inside == {"/n": replace(there, sysctls={"net/a": "x y"}), "/empty": Observed()}
    assert len(calls.ran) == 1


GET = ("ip", "-json", "route", "get", "10.1.0.2")
FOUND = '[{"dst": "10.1.0.2", "dev": "web", "prefsrc": "10.1.0.1", "flags": [], "uid": 0, "cache": []}]'


@pytest.mark.parametrize(
    ("question", "argv"),
    [
        (("", "10.1.0.2"), GET),
        (("", "10.1.0.2", "192.0.2.1"), (*GET, "from", "192.0.2.1")),
        (("", "10.1.0.2", "192.0.2.1", "eth0"), (*GET, "from", "192.0.2.1", "iif", "eth0")),
        (("/n", "10.1.0.2"), ("nsenter", "--net=/n", *GET)),
    ],
)
def test_the_way_of_a_packet_is_asked_of_the_kernel(calls, kernel, question, argv):
    calls(*argv, stdout=FOUND)
    route = kernel.route(*question)
    assert (route.dev, route.source, route.destination) == ("web", "10.1.0.1", ip_network("10.1.0.2/32"))
    assert [ran for ran, _ in calls.ran] == [argv]


@pytest.mark.parametrize(
    ("stderr", "said"),
    [("RTNETLINK answers: Network is unreachable\n", "Network is unreachable"), ("odd\n", "odd"), ("", "status 2")],
)
def test_where_there_is_no_way_the_kernels_word_is_passed_on(calls, kernel, stderr, said):
    calls(*GET, returncode=2, stderr=stderr)
    assert kernel.route("", "10.1.0.2") == said


@pytest.mark.parametrize(
    ("capabilities", "enough"), [("000001ffffffffff", True), ("0000000000001000", True), ("0000000000000fff", False)]
)
def test_the_right_to_change_the_network_is_looked_for_first(kernel, monkeypatch, tmp_path, capabilities, enough):
    status = tmp_path / "status"
    status.write_text(f"Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t{capabilities}\n")
    monkeypatch.setattr("mydockernet.kernel.door.Path", lambda path: status)
    with contextlib.nullcontext() if enough else pytest.raises(Failed, match="CAP_NET_ADMIN"):
        kernel.require_rights()


def python(code, *before):
    """What a python prints that has a Kernel and runs this; in a process of its own."""
    start = "import os, sys, time\nfrom mydockernet.kernel.door import Kernel\nfrom mydockernet.errors import Locked\n"
    argv = [*before, sys.executable, "-c", start + code]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


HOLD_AND_TRY = """
def other(**how):
    if (pid := os.fork()) == 0:
        try:
            with Kernel().lock(0.05, **how):
                print("taken", flush=True)
        except Locked as error:
            print("refused", flush=True)
        os._exit(0)
    os.waitpid(pid, 0)

with Kernel().lock(1):
    other()
    other(shared=True)
with Kernel().lock(1, shared=True):
    other(shared=True)
    other()
other()
"""


def test_of_two_processes_in_one_namespace_one_waits_unless_both_only_read():
    # Where nobody else's tests hold the lock.
    own_namespace = ("unshare", "-rnm", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh")
    assert python(HOLD_AND_TRY, *own_namespace) == ["refused", "refused", "taken", "refused", "taken"]


@pytest.mark.parametrize(
    ("command", "status"),
    [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -2 $$", 130), ("exec no-such-program", 127)],
)
def test_a_command_that_is_handed_the_terminal_ends_as_in_a_shell(kernel, command, status):
    assert kernel.hand_over(("sh", "-c", command)) == status


def test_a_command_that_is_handed_the_terminal_has_our_streams_and_environment(monkeypatch):
    monkeypatch.setenv("MYDOCKERNET_CANARY", "kept")
    code = "Kernel().hand_over(('sh', '-c', 'read word; echo $word $MYDOCKERNET_CANARY; echo err >&2'))"
    done = subprocess.run(
        [sys.executable, "-c", f"from mydockernet.kernel.door import Kernel; {code}"],
        input="in\n",
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("in kept\n", "err\n")


@pytest.mark.parametrize("signal", ["TERM", "HUP"])
def test_a_signal_goes_on_to_the_command(signal):
    loop = f"trap 'exit 7' {signal}; kill -{signal} $PPID; while :; do sleep 0.02; done"
    code = (
        f"import signal as s; x = Kernel().hand_over(('sh', '-c', {loop!r})); print(x, s.getsignal(s.SIG{signal}) == 0)"
    )
    assert python(code) == ["7", "True"]


def test_a_command_that_is_handed_the_terminal_can_be_told_to_stop(kernel):
    """What is held back while it is started is not held back from it."""
    assert kernel.hand_over(("grep", "-q", "^SigBlk:\\s0*$", "/proc/self/status")) == 0


def test_an_interrupt_is_left_to_the_command():
    code = "print(Kernel().hand_over(('sh', '-c', 'kill -INT $PPID; exit 5')))"
    assert python(code) == ["5"]


def test_a_command_does_not_outlive_us():
    """setpriv --pdeathsig: the pipe that the command holds is closed by its death."""
    code = "Kernel().hand_over(('sh', '-c', 'echo up; kill -9 $PPID; exec sleep 60'))"
    done = subprocess.run(
        [sys.executable, "-c", f"from mydockernet.kernel.door import Kernel; {code}"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stdout) == (-9, "up\n")
