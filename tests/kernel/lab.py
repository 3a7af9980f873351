"""Hosts, containers and neighbours to tell who reaches whom: networks a, b, and i, which is internal.

    outside 192.0.2.2 ─── 192.0.2.1 HOST 198.51.100.1 ─── 198.51.100.2 neighbour

All have addresses of both families; over_ipv6() returns that of IPv6 for one of IPv4. outside has routes to the
containers' own addresses; neighbour has one to 127.0.0.1: both by way of the host.
"""

import functools
import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import STATE, Host

PEER = Path(__file__).parent / "peer.py"
FORGE = Path(__file__).parent / "forge.py"
HOST = "192.0.2.1"
A, B, INTERNAL = "10.1.0", "10.2.0", "10.3.0"
# How strict the host, and what it will have later, is about the way by which a packet comes.
STRICTNESS = "for key in /proc/sys/net/ipv4/conf/*/rp_filter; do echo {} > $key; done\n"

# The networks and hosts of IPv6 that stand for those of IPv4.
OVER_IPV6 = {
    "10.1.0.": "fd00:1::",
    "10.2.0.": "fd00:2::",
    "10.3.0.": "fd00:3::",
    "192.0.2.": "2001:db8:1::",
    "198.51.100.": "2001:db8:2::",
    "127.0.0.": "::",
    "0.0.0.0": "::",
}


def over_ipv6(text):
    """The same text with the addresses of IPv6 instead of those of IPv4."""
    return functools.reduce(lambda text, pair: text.replace(*pair), OVER_IPV6.items(), text)


PLACES = "outside neighbour a1 a2 b1 i1 i2"
# The kernel refuses udp by ICMP, and only so often a second: all that is asked at once would find some of it dropped.
# Nor does it look for a neighbor while its link-local address is tentative: what is sent in that second is lost.
TOPOLOGY = f"""
for n in {PLACES}; do ip netns add $n; done
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
ip -batch - <<'END'
link add dev up1 type veth peer name eth0 netns outside
link add dev up2 type veth peer name eth0 netns neighbour
END
sysctl -qw net.ipv6.conf.{{up1,up2}}.accept_dad=0
for n in outside neighbour; do ip netns exec $n sysctl -qw net.ipv6.conf.eth0.accept_dad=0; done
ip -batch - <<'END'
address add {HOST}/24 dev up1
address add {over_ipv6(HOST)}/64 dev up1 nodad
link set dev up1 up
address add 198.51.100.1/24 dev up2
address add 2001:db8:2::1/64 dev up2 nodad
link set dev up2 up
END
ip -n outside -batch - <<'END'
address add 192.0.2.2/24 dev eth0
address add 2001:db8:1::2/64 dev eth0 nodad
link set dev eth0 up
link set dev lo up
route add {A}.0/24 via {HOST}
route add {B}.0/24 via {HOST}
route add {INTERNAL}.0/24 via {HOST}
route add 198.51.100.0/24 via {HOST}
route add fd00::/16 via {over_ipv6(HOST)}
route add 2001:db8:2::/64 via {over_ipv6(HOST)}
END
ip -n neighbour -batch - <<'END'
address add 198.51.100.2/24 dev eth0
address add 2001:db8:2::2/64 dev eth0 nodad
link set dev eth0 up
route add 192.0.2.0/24 via 198.51.100.1
route add 2001:db8:1::/64 via 2001:db8:2::1
END
"""
# An attacker's own: 127.0.0.1 is somebody else's address, and goes out by the gateway.
LOOPBACK_ELSEWHERE = """
ip -n {0} address flush dev lo
ip netns exec {0} sysctl -qw net.ipv4.conf.all.route_localnet=1
ip -n {0} route add 127.0.0.1 via {1} dev {2}
"""
ATTACKERS_LOOPBACK = LOOPBACK_ELSEWHERE.format("neighbour", "198.51.100.1", "eth0")
# Else publishing a hundred ports asks it to forget the flows of each, one process a port.
NO_CONNTRACK = "mount --bind /dev/null $(command -v conntrack || echo /dev/null)\n"
VERBS = f"""
create a --driver DRIVER --subnet {A}.0/24 --subnet fd00:1::/64
create b --driver DRIVER --subnet {B}.0/24 --subnet fd00:2::/64
create i --driver DRIVER --subnet {INTERNAL}.0/24 --subnet fd00:3::/64 --internal
connect a a1 -p 8080:80 -p 8080:80/udp -p 127.0.0.1:8081:80 -p 127.0.0.1:8081:80/udp
connect a a2
connect b b1
connect i i1
connect i i2
""".strip().splitlines()


# Those whose networks keep to the same rules.
DRIVERS = ("bridge", "ptp")
# How to lose a rule that an attack must get past. With iptables, it is a table, a chain, and parts of the rule.
RULES = {
    "loopback": {
        "iptables": (("raw", "PREROUTING", "-d 127.0.0.0/8"),),
        "nftables": (("raw", "packets to 127.0.0.0/8"),),
    },
    "sources of loopback": {
        "iptables": (("raw", "PREROUTING", "-s 127.0.0.0/8"),),
        "nftables": (("raw", "a source in 127.0.0.0/8"),),
    },
    "the subnet of b": {
        "iptables": (("mangle", "MYDOCKERNET-PREROUTING", f"-s {B}.0/24"),),
        "nftables": (("origin", "IPv4", "through its bridge"),),
    },
    "what is behind a bridge": {
        "iptables": (("mangle", "MYDOCKERNET-PREROUTING", "0x6d64", "rpfilter"),),
        "nftables": (("origin", "not behind their interface"),),
    },
    "invalid": {
        "iptables": (("mangle", "MYDOCKERNET-FORWARD", "INVALID"), ("filter", "MYDOCKERNET-FORWARD", "INVALID")),
        "nftables": (("forward", "drop invalid packets"),),
    },
}
# How all rules about forwarded packets are lost, and all rules.
OPENED = {
    "iptables": "iptables -t mangle -D FORWARD 1; iptables -D FORWARD 1",
    "nftables": "nft flush chain inet mydockernet forward",
}
WIPED = "for t in mangle nat filter; do iptables -t $t -F; ip6tables -t $t -F; done; nft flush ruleset"


def made_by_verbs(host, driver="bridge"):
    for words in VERBS:
        host.mydockernet(words.replace("DRIVER", driver))


def made_by_repair(host, driver="bridge"):
    """From the record alone, as after a reboot: that is one command, and test_drift.py shows that it does the same."""
    for path, text in record(driver, host.firewall).items():
        file = host.root / path.lstrip("/")
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o600)
    (host.root / STATE.relative_to("/")).chmod(0o700)
    host.mydockernet("repair")


@functools.cache
def record(driver, firewall):
    """What the verbs leave on record."""
    host = Host(firewall)
    host.sh(TOPOLOGY)
    made_by_verbs(host, driver)
    kept = host.state()
    host.close()
    return kept


KNOCK = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(1)
client.bind(("", 5555))
client.sendto(b"?", (sys.argv[1], int(sys.argv[2])))
try:
    print(client.recv(100).decode())
except OSError:
    print("nobody")
"""


class Lab:
    """A host with all of it, and a listener in each place, on the ports 80 and 81."""

    def __init__(self, host, before="", make=made_by_repair, driver="bridge"):
        self.host, self.driver = host, driver
        self.listeners = []
        host.sh(TOPOLOGY + ATTACKERS_LOOPBACK + before)
        make(host, driver)
        host.sh(f"ip -n i1 route add default via {INTERNAL}.1; ip -n i1 route add default via fd00:3::1")
        self.listen_everywhere()

    def lose(self, rule):
        """Delete one of RULES."""
        for place, *parts in RULES[rule][self.host.firewall]:
            if self.host.firewall == "nftables":
                rules = self.host.run("nft", "-a", "list", "chain", "inet", "mydockernet", place).stdout.splitlines()
                (handle,) = [line.split()[-1] for line in rules if all(part in line for part in parts)]
                self.host.sh(f"nft delete rule inet mydockernet {place} handle {handle}")
                continue
            chain, *words = parts
            rules = self.host.run("iptables", "-t", place, "-S", chain).stdout.splitlines()
            (found,) = [line for line in rules if all(word in line for word in words)]
            self.host.sh(f"iptables -t {place} {found.replace('-A', '-D', 1)}")

    def door(self, network, container):
        """The interface of the host that the container's packets pass."""
        if self.driver == "bridge":
            return network
        return self.host.mydockernet(
            ["inspect", network, "--format", f"{{{{.Containers.{container}.HostInterface}}}}"]
        ).stdout.strip()

    def listen_everywhere(self):
        everywhere = [[name, name, "0.0.0.0", port] for name in PLACES.split() for port in (80, 81)]
        own = [["outside", "outside", "0.0.0.0", 8080]]
        own += [["", "host", address, 82] for address in ("127.0.0.1", f"{INTERNAL}.1")]
        places = [one for one in everywhere if one[0] != "neighbour"] + own
        places += [[netns, name, over_ipv6(address), port] for netns, name, address, port in places]
        self._start(PEER, "listen", json.dumps(places))

    def listen(self, netns, name, *places):
        there = [(netns, name, address, int(port)) for address, port in (place.rsplit(":", 1) for place in places)]
        self._start(PEER, "listen", json.dumps(there))

    def knock(self, port):
        """Who answers outside on a udp port of the host: always the same flow, which the kernel remembers."""
        client = ("ip", "netns", "exec", "outside", "python3", "-c", KNOCK, HOST, port)
        return self.host.run(*client).stdout.split()[0]

    def serve(self, netns, name, *places):
        """Start a victim of the forger's, that wants a whole request before it answers."""
        self._start(FORGE, "serve", netns, name, *places)

    def _start(self, *words):
        command = [*self.host.enter, sys.executable, *words]
        self.listeners.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert self.listeners[-1].stdout.readline() == "ready\n"

    def attack(self, seconds, attacks):
        """What each of these attacks got from its victim: all at once, each until it succeeds or time is up."""
        command = [sys.executable, FORGE, "attack", seconds]
        results = json.loads(self.host.run(*command, stdin=json.dumps(attacks)).stdout)
        print({name: f"{said!r} after {tries} tries" for name, (said, tries) in results.items()})
        return {name: said for name, (said, _) in results.items()}

    def close(self):
        for listener in self.listeners:
            listener.kill()
            listener.communicate()
        self.listeners.clear()

    def ask(self, netns, *targets):
        """What is answered from there: NAME CALLER, refused or dropped, over tcp and udp, which must be the same.

        A target is an address and a port, and perhaps the address to ask from.
        """
        return self.ask_at_once((netns, *target) for target in targets)

    def ask_at_once(self, questions):
        """The same for questions from many places: each has the place first, and then the target."""
        both = [(netns, protocol, *target) for netns, *target in questions for protocol in ("tcp", "udp")]
        answers = json.loads(self.host.run(sys.executable, PEER, "probe", stdin=json.dumps(both)).stdout)
        return [tcp if tcp == udp else (tcp, udp) for tcp, udp in zip(answers[::2], answers[1::2], strict=True)]
