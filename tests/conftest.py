"""A throw-away host for each test that needs a kernel, and the ways to look at it and to break it."""

import functools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import json_output
from tests.loaded import Program

# Started in the background of a script, as CI may, or by nohup, all would be deaf to them.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

# The machine's own /etc/mydockernet.conf is not for tests.
os.environ["MYDOCKERNET_CONFIG"] = os.devnull

ROOT = Path(__file__).parent.parent
STATE = Path("/var/lib/mydockernet")

EBTABLES = ("ebtables", "ebtables-save", "ebtables-restore")
FAKE = "run/fake"
IPTABLES = tuple(f"{program}{part}" for program in ("iptables", "ip6tables") for part in ("", "-restore", "-save"))
FILES = ("install", "dd", "ln", "rm", "mkdir")
PROGRAMS = (
    *("ip", *IPTABLES, "sysctl", "nsenter", "nft", "ss", "tc", "xargs", *EBTABLES, "firewall-cmd", "busctl"),
    *FILES,
)

# All that is to be seen, in few processes, as this is done hundreds of times: @@ and @@@ stand between the parts.
LOOK = """
look() {
    ip $1 -json -details address show && echo @@ && ip $1 -json -batch - <<< $'route show table all\\nrule show' &&
        ip $1 -6 -json rule show
}
look ""; echo @@@; iptables-save; echo @@; ip6tables-save; echo @@; ebtables-save
nft list table bridge mydockernet 2>/dev/null || :
echo @@; nft -j list table inet mydockernet 2>/dev/null || :
shopt -s nullglob
for place in /run/netns/*; do
    if text=$(look "-n ${place##*/}"); then
        printf '@@@%s\\n%s\\n' "${place##*/}" "$text"
    elif mountpoint -q $place; then
        exit 9  # Else it went while it was being looked at.
    fi
done
"""

# What belongs to somebody else, in every table: it must be the same before and after every test.
CANARY_RULES = "".join(
    f"*{table}\n:CANARY - [0:0]\n"
    '-A CANARY -s 203.0.113.9 -m comment --comment "somebody\'s own" -j RETURN\n'
    "-A OUTPUT -j CANARY\nCOMMIT\n"
    for table in ("raw", "mangle", "nat", "filter")
)
CANARY = f"""
ip link add dev canary type bridge
ip address add 203.0.113.1/24 dev canary
ip link set dev canary up
iptables-restore --noflush <<'END'
{CANARY_RULES}END
ip6tables-restore --noflush <<'END'
{CANARY_RULES.replace("203.0.113.9", "2001:db8:9::9")}END
iptables -A FORWARD -i canary -j DROP
"""


def pytest_collection_modifyitems(config, items):
    """Run what fails on a kernel once more. Let each worker begin with its share of the longest tests: else the last of
    them runs alone at the end.
    """
    mine = os.environ.get("MYDOCKERNET_TEST_HALF")
    if mine:
        items[:] = [
            item for item in items if all(str(n) == mine for mark in item.iter_markers("half") for n in mark.args)
        ]
    for item in items:
        # Packets may be late on a busy machine. What fails twice is a defect; the summary has what failed once.
        if "unit" not in item.path.relative_to(ROOT / "tests").parts:
            item.add_marker(pytest.mark.flaky(reruns=1))
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    long = [item for item in items if item.get_closest_marker("long")]
    rest = [item for item in items if not item.get_closest_marker("long")]
    share = -(-len(rest) // workers)
    shares = [(*long[n::workers], *rest[n * share : (n + 1) * share]) for n in range(workers)]
    items[:] = [item for own in shares for item in own]


FIREWALLS = ("iptables", "nftables")


def firewalls_of(rows):
    """A firewall for each of many rows: each has half of them, as most rows are about something else.

    With MYDOCKERNET_TEST_FIREWALL, all rows have that one.
    """
    one = os.environ.get("MYDOCKERNET_TEST_FIREWALL")
    return {row: one or FIREWALLS[number % 2] for number, row in enumerate(rows)}


def half(rows):
    """The rows of a long table that this run tests: all, or every other one with MYDOCKERNET_TEST_HALF 1 or 2.

    .ci/run tests one half on the machine itself and the other one on Debian 13.
    """
    start = int(os.environ.get("MYDOCKERNET_TEST_HALF") or "0")
    return [*rows][start - 1 :: 2] if start else [*rows]


class Host:
    """A network of its own, made by scripts/sandbox and gone with the process that holds it.

    Its networks have the firewall that is given, or else MYDOCKERNET_TEST_FIREWALL.
    """

    firewall = "iptables"

    def __init__(self, firewall=""):
        self.holder = subprocess.Popen(
            [ROOT / "scripts/sandbox", "sh", "-c", "echo ready; exec sleep infinity"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self.holder.stdout.readline() != "ready\n":
            pytest.fail(f"this machine can't make a sandbox: {self.holder.stderr.read()}")
        own = Path(f"/proc/{self.holder.pid}/ns/user").readlink() != Path("/proc/self/ns/user").readlink()
        user = ("-U", "--preserve-credentials") if own else ()
        self.namespaces = ("user", "mnt", "net") if own else ("mnt", "net")
        self.enter = ("nsenter", "-t", str(self.holder.pid), *user, "-m", "-n", "--wdns=/run", "--")
        self.root = Path(f"/proc/{self.holder.pid}/root")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MYDOCKERNET_")}
        self.firewall = firewall or os.environ.get("MYDOCKERNET_TEST_FIREWALL", "iptables")
        self.env["MYDOCKERNET_FIREWALL"] = self.firewall
        self.env["MYDOCKERNET_CONFIG"] = os.environ["MYDOCKERNET_CONFIG"]
        self.env["PATH"] = f"{Path(sys.executable).parent}:{self.env['PATH']}:/usr/sbin:/sbin"

    def close(self):
        self.holder.kill()
        self.holder.communicate()

    def run(self, *argv, stdin=None, env=None, check=True):
        done = subprocess.run(
            [*self.enter, *map(str, argv)], input=stdin, env={**self.env, **(env or {})}, capture_output=True, text=True
        )
        return _well(done, check)

    def popen(self, *argv):
        """A process on this host, with pipes to it."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*self.enter, *map(str, argv)], env=self.env, text=True, **pipes)

    def sh(self, script, **options):
        return self.run("bash", "-euo", "pipefail", "-c", script, **options)

    def set_up(self, script):
        """Run a script of which each verb of the program stands by itself: the verbs through the loaded program."""
        for number, part in enumerate(re.split(r"(?:^|[;\n])\s*mydockernet ([^;\n$|]+)(?=[;\n]|$)", script)):
            if number % 2:
                self.mydockernet(part)
            elif rest := part.strip("; \n"):
                self.sh(rest)

    def mydockernet(self, words="", env=None, check=True):
        argv = shlex.split(words) if isinstance(words, str) else [*words]
        env = {**self.env, **(env or {})}
        done = _well(_program().call(argv, self.holder.pid, self.namespaces, env), check)
        json_output.validate(argv, done.stdout)
        return done

    def at_once(self, verbs, many):
        """Run these verbs, so many at once that each waits for others; returns what each printed."""
        with ThreadPoolExecutor(many) as pool:
            return [done.stdout for done in pool.map(self.mydockernet, verbs)]

    def fails(self, words, status, *texts, **options):
        """Run what is to fail, with this status, nothing on stdout, and these texts in its errors."""
        done = self.mydockernet(words, check=False, **options)
        assert done.returncode == status, done
        assert done.stdout == ""
        assert all(line.startswith(("mydockernet: ", "hint: ")) for line in done.stderr.splitlines()), done.stderr
        for text in texts:
            assert text in done.stderr, done.stderr
        return done

    def snapshot(self):
        """Links, addresses, routes and rules of the host, and links and routes in all named namespaces."""
        here, saved, *inside = self.sh(LOOK).stdout.split("@@@")
        rules, rules6, frames, table = saved.split("@@")
        named = (text.split("\n", 1) for text in inside)
        return {
            "host": _links_and_routes(here, inside=False),
            "inside": {name: _links_and_routes(text, inside=True) for name, text in named},
            "rules": _rules(rules),
            "rules6": _rules(rules6),
            "table": _table(table),
            "frames": sorted(line for line in frames.splitlines() if line.startswith(("-A", ":MY", "\t"))),
            "names": self.names(),
        }

    def names(self):
        """The files with the names of containers as text, and the links to their folders."""
        files = [path for path in (self.root / "run/mydockernet-etc").rglob("*") if path.is_file()]
        links = [*(self.root / "etc/netns").glob("*")]
        found = {path: path.read_text() for path in files} | {path: str(path.readlink()) for path in links}
        return {f"/{path.relative_to(self.root)}": text for path, text in found.items()}

    def rules(self):
        """iptables-save less comments and counters, and less the empty built-in tables that it makes itself."""
        return _rules(self.run("iptables-save").stdout)

    def sysctls(self):
        """The switches that count, of the host and of all named namespaces."""
        keys = (
            "net/ipv4/ip_forward net/ipv6/conf/all/forwarding "
            "net/ipv[46]/conf/*/{accept_dad,accept_ra,autoconf,disable_ipv6,route_localnet,rp_filter}"
        )
        one = f"cd /proc/sys; grep -H . {keys}"
        inside = f"echo $n; nsenter --net=/run/netns/$n bash -c '{one}'"
        return self.sh(f"{one}; for n in $(ls /run/netns); do {inside}; done").stdout

    def state(self):
        """The networks on record, and any journal, as text: not the history, which also has what was rolled back."""
        found = sorted((self.root / STATE.relative_to("/")).rglob("*"))
        files = [
            path
            for path in found
            if path.is_file() and not path.is_symlink() and not path.name.startswith(("lock", "history"))
        ]
        return {f"/{path.relative_to(self.root)}": path.read_text() for path in files}

    def comparable_state(self):
        """The networks on record as text, less what differs from host to host: the numbers of namespaces."""
        return {path: re.sub(r'"inode": "[^"]+"', '"inode": ""', text) for path, text in self.state().items()}

    def everything(self):
        return self.snapshot(), self.state()

    def break_programs(self, action, at, programs=PROGRAMS):
        """Put stand-ins for the programs before the real ones; at the Nth call of any, `action` comes first.

        Returns the environment that has them. Each call takes the first number that nobody has, as an empty file that
        it alone creates (`set -C`): two programs may start at once.
        """
        shutil.rmtree(self.root / FAKE, ignore_errors=True)
        (self.root / FAKE / "calls").mkdir(parents=True)
        for program in programs:
            there = os.pathsep.join(f"{self.root}{folder}" for folder in self.env["PATH"].split(os.pathsep))
            if real := (shutil.which(program, path=there) or "").removeprefix(str(self.root)):
                stand_in = self.root / FAKE / program
                stand_in.write_text(
                    f"#!/bin/sh\nreal={real}\nset -C; n=1\n"
                    f"until {{ true > /{FAKE}/calls/$n; }} 2> /dev/null; do n=$((n + 1)); done; set +C\n"
                    f'if [ $n = {at} ]; then {action}; fi\nexec "$real" "$@"\n'
                )
                stand_in.chmod(0o755)
        return {"PATH": f"/{FAKE}:{self.env['PATH']}"}

    def processes(self, words):
        """How many processes a verb starts. One that nsenter starts takes nsenter's place: it is the same process."""
        env = self.break_programs(f"echo $$ >> /{FAKE}/pids", "$n", (*PROGRAMS, "conntrack"))
        (self.root / FAKE / "pids").touch()
        self.mydockernet(words, env=env)
        return len({*(self.root / FAKE / "pids").read_text().split()})

    def calls(self):
        return len([*(self.root / FAKE / "calls").iterdir()])


@functools.cache
def _program():
    return Program()


def _well(done, check):
    assert not check or done.returncode == 0, done
    assert "Traceback" not in done.stderr, done.stderr
    return done


def _links_and_routes(text, inside):
    links, rest = text.split("@@")
    routes, lookups, lookups6 = map(json.loads, rest.splitlines()[1:])
    return {
        "links": {link["ifname"]: _link(link, inside) for link in json.loads(links)},
        "routes": sorted(
            str(sorted((k, str(v)) for k, v in route.items() if k in ("dst", "dev", "gateway", "table", "type")))
            for route in routes
            # These follow from the MAC address, which is random for the host's end of a veth pair.
            if not route["dst"].startswith(("fe80:", "ff00:"))
        ),
        "lookups": sorted(map(str, (*lookups, *lookups6))),
    }


def _link(link, inside):
    port = link.get("linkinfo", {}).get("info_slave_data", {})
    return (
        link.get("linkinfo", {}).get("info_kind"),
        port.get("isolated"),
        port.get("hairpin"),
        link["group"],
        link["mtu"],
        link.get("ifalias"),
        link.get("master"),
        # The MAC of the host's end of a veth is random, and that of a bridge of others.
        link["address"] if inside or link["address"].startswith("02:6d:") else None,
        "UP" in link["flags"],
        # And a link-local address follows from it.
        sorted(f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] != "link"),
    )


def _rules(text):
    tables = re.findall(r"\*(\w+)\n(.*?)COMMIT", text, re.DOTALL)
    found = {name: re.sub(r" \[\d+:\d+\]", "", body).splitlines() for name, body in tables}
    return {n: sorted(b, key=_in_order) for n, b in found.items() if any(s[0] == "-" for s in b)}


def _table(text):
    """The table of nftables, less handles and counters; the elements of a set have no order."""
    found = []
    text = re.sub(r'"counter": \{.*?\}', '"counter": null', text)
    for item in json.loads(text)["nftables"] if text.strip() else ():
        for kind, body in item.items():
            elements = sorted(map(json.dumps, body.pop("elem", ())))
            body.pop("handle", None)
            if kind != "metainfo":
                found.append((kind, body, elements))
    return found


def _in_order(line):
    """Chains first; then the rules in their order, which has no meaning where no two of ours decide differently."""
    free = line.startswith(("-A MYDOCKERNET-PORTS", "-A MYDOCKERNET-PREROUTING"))
    ours = free or (line.startswith(("-A POSTROUTING", "-A PREROUTING")) and "mydockernet:" in line)
    return line[0] == "-", ours, line if ours else ""


@pytest.fixture
def new_host():
    """Makes hosts, each with somebody else's things on it."""
    hosts = []

    def make(before=CANARY, firewall=""):
        hosts.append(Host(firewall))
        hosts[-1].sh(before)
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


@pytest.fixture
def host(new_host):
    return new_host()


@pytest.fixture
def bare_host(new_host):
    """A host that nobody else has anything on, as a reader's sandbox."""
    return new_host(before="true")
