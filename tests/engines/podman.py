"""A host with podman, whose networks of the driver mydockernet are made through the plugin; and what it is asked."""

import json
import shlex
import subprocess
import sys

from tests.engines.conftest import EngineHost
from tests.kernel.lab import PEER

NEEDS = ("podman>=5", "netavark", "runc", "busybox")
PLUGINS = "/usr/local/libexec/netavark"
# What the driver of podman's own is without --driver.
OURS = "--driver mydockernet"
OUTSIDE = """
ip netns add outside
ip link add dev up1 type veth peer name eth0 netns outside
ip address add 192.0.2.1/24 dev up1
ip address add 2001:db8:1::1/64 dev up1 nodad
ip link set dev up1 up
ip -n outside address add 192.0.2.2/24 dev eth0
ip -n outside address add 2001:db8:1::2/64 dev eth0 nodad
ip -n outside link set dev eth0 up
ip -n outside link set dev lo up
"""


class PodmanHost(EngineHost):
    """A host with podman and the plugin, and with a namespace `outside`, which is 192.0.2.2 and 2001:db8:1::2."""

    def __init__(self, outside=True):
        super().__init__()
        self.listeners = []
        self.sh(OUTSIDE * outside + "mkdir -m 0700 /var/lib/mydockernet /var/lib/containers")
        self.mydockernet("engines install netavark")

    def reboot(self):
        """Return what this host is after a reboot: another one, with the files that outlive it. This one ends."""
        again = PodmanHost()
        for place in ("etc/containers", "var/lib/containers", "var/lib/mydockernet"):
            subprocess.run(["cp", "-a", f"{self.root / place}/.", f"{again.root / place}/"], check=True)
        self.close()
        return again

    def close(self):
        for listener in self.listeners:
            listener.kill()
            listener.communicate()
        super().close()

    def podman(self, words, check=True):
        return self.run("podman", *shlex.split(words), check=check).stdout.strip()

    def refuses(self, words):
        """What podman says when it fails."""
        done = self.run("podman", *shlex.split(words), check=False)
        assert done.returncode, done
        return done.stderr

    def network(self, name, words=""):
        """Create a network through the plugin; returns podman's file of it."""
        self.podman(f"network create {OURS} {words} {name}")
        return json.loads(self.podman(f"network inspect {name}"))[0]

    def start_container(self, name, words, command="httpd -f -h /"):
        """Run a container that serves /hello, and give its namespace its name."""
        self.podman(f"run -d --name {name} {words} --rootfs {self.rootfs} busybox {command}")
        self.name_namespace(name)

    def name_namespace(self, name):
        """Let the namespace of a container have its name, too, for `ip netns exec` and the likes."""
        key = self.podman(f"inspect {name} --format {{{{.NetworkSettings.SandboxKey}}}}")
        place = f"/run/netns/{name}"
        self.sh(f"umount {place} 2>/dev/null || true; touch {place}; mount --bind {key} {place}")

    def status(self, name):
        """What podman says of the networks of a container, by name."""
        return json.loads(self.podman(f"inspect {name}"))[0]["NetworkSettings"]["Networks"]

    def listen(self, name, *ports, address="0.0.0.0"):
        """Answer in a container with its name and the caller's address, over TCP and UDP."""
        places = json.dumps([[name, name, address, port] for port in ports])
        command = [*self.enter, sys.executable, PEER, "listen", places]
        self.listeners.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert self.listeners[-1].stdout.readline() == "ready\n"

    def ask(self, netns, address, port):
        """What is answered from there, over tcp and udp, which must be the same."""
        both = [[netns, protocol, address, port] for protocol in ("tcp", "udp")]
        tcp, udp = json.loads(self.run(sys.executable, PEER, "probe", stdin=json.dumps(both)).stdout)
        return tcp if tcp == udp else (tcp, udp)
