"""Hosts, containers and neighbours to tell who reaches whom: networks a, b, and i, which is internal.

    outside 192.0.2.2 ─── 192.0.2.1 HOST 198.51.100.1 ─── 198.51.100.2 neighbour

outside has routes to the containers' own addresses; neighbour has one to 127.0.0.1: both by way of the host.
"""

import json
import subprocess
import sys
from pathlib import Path

PEER = Path(__file__).parent / "peer.py"
FORGE = Path(__file__).parent / "forge.py"
HOST = "192.0.2.1"
A, B, INTERNAL = "10.1.0", "10.2.0", "10.3.0"
# How strict the host, and what it will have later, is about the way by which a packet comes.
STRICTNESS = "for key in /proc/sys/net/ipv4/conf/*/rp_filter; do echo {} > $key; done\n"

TOPOLOGY = f"""
for n in outside neighbour a1 a2 b1 i1 i2; do ip netns add $n; done
sysctl -qw net.ipv4.ip_forward=1
ip link add dev up1 type veth peer name eth0 netns outside
ip link add dev up2 type veth peer name eth0 netns neighbour
ip address add {HOST}/24 dev up1; ip link set dev up1 up
ip address add 198.51.100.1/24 dev up2; ip link set dev up2 up
ip -n outside address add 192.0.2.2/24 dev eth0; ip -n outside link set dev eth0 up; ip -n outside link set dev lo up
for net in {A} {B} {INTERNAL}; do ip -n outside route add $net.0/24 via {HOST}; done
ip -n neighbour address add 198.51.100.2/24 dev eth0; ip -n neighbour link set dev eth0 up
ip -n outside route add 198.51.100.0/24 via {HOST}; ip -n neighbour route add 192.0.2.0/24 via 198.51.100.1
"""
# An attacker's own: 127.0.0.1 is somebody else's address, and goes out by the gateway.
LOOPBACK_ELSEWHERE = """
ip -n {0} address flush dev lo
ip netns exec {0} sysctl -qw net.ipv4.conf.all.route_localnet=1
ip -n {0} route add 127.0.0.1 via {1} dev {2}
"""
ATTACKERS_LOOPBACK = LOOPBACK_ELSEWHERE.format("neighbour", "198.51.100.1", "eth0")
NETWORKS = f"""
mydockernet create a --subnet {A}.0/24
mydockernet create b --subnet {B}.0/24
mydockernet create i --subnet {INTERNAL}.0/24 --internal
mydockernet connect a a1 -p 8080:80 -p 8080:80/udp -p 127.0.0.1:8081:80 -p 127.0.0.1:8081:80/udp
mydockernet connect a a2
mydockernet connect b b1
mydockernet connect i i1
mydockernet connect i i2
ip -n i1 route add default via {INTERNAL}.1
"""


class Lab:
    """A host with all of it, and a listener in each place, on the ports 80 and 81."""

    def __init__(self, host, before=""):
        self.host = host
        self.listeners = []
        host.sh(TOPOLOGY + ATTACKERS_LOOPBACK + before)
        host.sh(NETWORKS)
        self.listen_everywhere()

    def listen_everywhere(self):
        for name in ("outside", "a1", "a2", "b1", "i1", "i2"):
            self.listen(name, name, "0.0.0.0:80", "0.0.0.0:81", *(["0.0.0.0:8080"] if name == "outside" else []))
        self.listen("", "host", "127.0.0.1:82", f"{INTERNAL}.1:82")

    def listen(self, netns, name, *places):
        self._start(netns, PEER, "listen", name, *places)

    def serve(self, netns, name, *places):
        """Start a victim of the forger's, that wants a whole request before it answers."""
        self._start(netns, FORGE, "serve", name, *places)

    def _start(self, netns, *words):
        command = [*self.host.enter, *_inside(netns), sys.executable, *words]
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
        questions = [(protocol, *target) for target in targets for protocol in ("tcp", "udp")]
        command = [*_inside(netns), sys.executable, PEER, "probe"]
        answers = json.loads(self.host.run(*command, stdin=json.dumps(questions)).stdout)
        return [tcp if tcp == udp else (tcp, udp) for tcp, udp in zip(answers[::2], answers[1::2], strict=True)]


def _inside(netns):
    return ("nsenter", f"--net=/run/netns/{netns}") if netns else ()
