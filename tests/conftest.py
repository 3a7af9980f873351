"""A throw-away host for each test that needs a kernel, and the ways to look at it and to break it."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STATE = Path("/var/lib/mydockernet")

# What belongs to somebody else, in every table: it must be the same before and after every test.
CANARY = """
ip link add dev canary type bridge
ip address add 203.0.113.1/24 dev canary
ip link set dev canary up
for table in raw mangle nat filter; do
    iptables -t $table -N CANARY
    iptables -t $table -A CANARY -s 203.0.113.9 -m comment --comment "somebody's own" -j RETURN
    iptables -t $table -A OUTPUT -j CANARY
done
iptables -A FORWARD -i canary -j DROP
"""


class Host:
    """A network of its own, made by scripts/sandbox and gone with the process that holds it."""

    def __init__(self):
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
        self.enter = ("nsenter", "-t", str(self.holder.pid), *user, "-m", "-n", "--")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MYDOCKERNET_")}
        self.env["PATH"] = f"{Path(sys.executable).parent}:{self.env['PATH']}:/usr/sbin:/sbin"

    def close(self):
        self.holder.kill()
        self.holder.communicate()

    def run(self, *argv, stdin=None, env=None, check=True):
        done = subprocess.run(
            [*self.enter, *map(str, argv)], input=stdin, env={**self.env, **(env or {})}, capture_output=True, text=True
        )
        assert not check or done.returncode == 0, (argv, done)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def sh(self, script, **options):
        return self.run("bash", "-euo", "pipefail", "-c", script, **options)

    def mydockernet(self, words="", **options):
        argv = shlex.split(words) if isinstance(words, str) else words
        return self.run("mydockernet", *argv, **options)

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
        """Links, addresses, routes and rules: what is left of them is a leak."""
        links = {
            link["ifname"]: (
                link.get("linkinfo", {}).get("info_kind"),
                link["group"],
                link["mtu"],
                link.get("ifalias"),
                "UP" in link["flags"],
                # A link-local address follows from the random MAC of a bridge.
                sorted(f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] != "link"),
            )
            for link in json.loads(self.run("ip", "-json", "-details", "address", "show").stdout)
        }
        routes = sorted(
            str(sorted((k, str(v)) for k, v in route.items() if k in ("dst", "dev", "gateway", "table", "type")))
            for route in json.loads(self.run("ip", "-json", "-4", "route", "show", "table", "all").stdout)
        )
        return {"links": links, "routes": routes, "rules": self.rules()}

    def rules(self):
        """iptables-save less comments and counters, and less the empty built-in tables that it makes itself."""
        tables = re.findall(r"\*(\w+)\n(.*?)COMMIT", self.run("iptables-save").stdout, re.DOTALL)
        found = {name: re.sub(r" \[\d+:\d+\]", "", body).splitlines() for name, body in tables}
        return {n: sorted(b, key=lambda s: s[0] == "-") for n, b in found.items() if any(s[0] == "-" for s in b)}

    def sysctls(self, *bridges):
        keys = ["net/ipv4/ip_forward", *(f"net/ipv6/conf/{bridge}/accept_ra" for bridge in bridges)]
        return self.run("sysctl", *keys).stdout

    def state(self):
        """The networks on record, and any journal, as text."""
        files = self.sh(f"find {STATE} -type f ! -name lock 2>/dev/null | sort || true").stdout.split()
        return {path: self.run("cat", path).stdout for path in files}

    def everything(self):
        return self.snapshot(), self.state()

    def break_programs(self, action, at):
        """Put stand-ins for the programs before the real ones; at the Nth call of any, `action` comes first.

        Returns the environment that has them. Counting is in a file, as each call is a process of its own.
        """
        folder = self.sh("rm -rf /run/fake; mkdir /run/fake; echo 0 > /run/fake/count; echo /run/fake").stdout.strip()
        for program in ("ip", "iptables", "iptables-restore", "iptables-save", "sysctl"):
            script = (
                f"#!/bin/bash\nreal=$(PATH=${{PATH#/run/fake:}} command -v {program})\n"
                f"read -r n < {folder}/count; echo $((n + 1)) > {folder}/count\n"
                f'if [ $((n + 1)) = {at} ]; then {action}; fi\nexec "$real" "$@"\n'
            )
            self.sh(f"cat > {folder}/{program}; chmod +x {folder}/{program}", stdin=script)
        return {"PATH": f"{folder}:{self.env['PATH']}"}

    def calls(self):
        return int(self.run("cat", "/run/fake/count").stdout)


@pytest.fixture
def new_host():
    """Makes hosts, each with somebody else's things on it."""
    hosts = []

    def make():
        hosts.append(Host())
        hosts[-1].sh(CANARY)
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


@pytest.fixture
def host(new_host):
    return new_host()
