"""What the verbs that look show of real networks."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

WEB = """
for n in c1 c2; do ip netns add $n; done
mydockernet create web --subnet 10.1.0.0/24
mydockernet connect web c1 -p 8080:80
mydockernet connect web c2
"""
LAN = """
ip netns add router; ip netns add c3
ip link add up1 type veth peer name eth0 netns router; ip link set up1 up; ip -n router link set eth0 up
ip -n router address add 192.0.2.2/24 dev eth0
mydockernet create lan --driver macvlan --parent up1 --subnet 192.0.2.0/24 --gateway 192.0.2.2
mydockernet connect lan c3
"""


def stats(host, words):
    lines = host.mydockernet(f"stats {words} --format json").stdout.splitlines()
    return {record["Name"]: record for record in map(json.loads, lines)}


def test_stats_counts_what_each_container_receives_and_sends(host):
    host.set_up(WEB + LAN)
    before = stats(host, "--no-stream")
    host.sh("ip netns exec c1 ping -q -c 5 -i 0.01 -s 1000 10.1.0.1; ip netns exec c3 ping -q -c 3 -i 0.01 192.0.2.2")
    after = stats(host, "--no-stream")

    def more(name, field):
        return after[name][field] - before[name][field]

    # What the host's end of its veth pair transmitted, the container has received.
    host.sh("ip netns exec c1 ping -q -c 1 10.1.0.3")
    (inside,) = json.loads(host.run("ip", "-n", "c1", "-s", "-json", "link", "show", "dev", "eth0").stdout)
    (now,) = stats(host, "web/c1 --no-stream").values()
    assert now["ReceivedPackets"] == inside["stats64"]["rx"]["packets"]
    assert now["SentBytes"] == inside["stats64"]["tx"]["bytes"]
    assert more("web/c1", "SentBytes") >= 5 * 1028
    assert more("web/c2", "SentBytes") < 1028
    assert more("web", "SentBytes") == more("web/c1", "SentBytes") + more("web/c2", "SentBytes")
    # A container on a parent interface has no end on the host: it is counted inside.
    assert more("lan/c3", "SentPackets") >= 3
    assert after["lan/c3"]["ReceiveRate"] is None
    assert isinstance(stats(host, "web/c1 --no-stream --interval 0.01")["web/c1"]["ReceiveRate"], int)


def test_stats_goes_on_in_a_pipe_until_it_is_ended(host):
    host.set_up(WEB)
    watching = host.popen("mydockernet", "stats", "web/c1", "--interval", "0.01", "--format", "{{.Name}}")
    assert [watching.stdout.readline() for _ in range(3)] == ["web/c1\n"] * 3
    watching.terminate()
    _, errors = watching.communicate()
    assert (watching.returncode, errors) == (0, "")
    host.fails("stats nope", 3, 'network "nope" not found')


def test_stats_ends_when_nobody_reads(host):
    host.set_up(WEB)
    assert host.sh("mydockernet stats --interval 0.01 --format json | head -n 1 | wc -l").stdout == "1\n"


class Watch:
    """`events` on a host, and what it has printed."""

    def __init__(self, host, words=""):
        self.host = host
        self.process = host.popen("mydockernet", "events", "--format", "json", *words.split())
        self.seen = []

    def until(self, wanted, script="true"):
        """Run a script until an event has these fields: before it listens, `events` misses what happens."""
        os.set_blocking(self.process.stdout.fileno(), False)
        for _ in range(200):
            self.host.sh(script)
            while line := self.process.stdout.readline():
                self.seen.append(json.loads(line))
            if any(wanted.items() <= event.items() for event in self.seen):
                return self.seen[-1]
            time.sleep(0.1)
        raise AssertionError(self.seen)


def test_events_tells_what_others_change_and_who(host):
    host.set_up(WEB)
    watch = Watch(host)
    toggle = "ip link set web mtu 1400; ip link set web mtu 1500"
    watch.until({"Networks": ["web"], "Who": None, "What": "interface web has MTU 1400, not 1500"}, toggle)
    host.sh("ip link add other type bridge; iptables -D FORWARD 1")
    watch.until({"Networks": ["@shared"], "What": "1 rule deleted in ip filter FORWARD"})
    (flush,) = [event for event in watch.seen if event["Networks"] == ["@shared"]]
    assert flush["Who"].startswith("iptables (")
    assert len(listeners(host)) == 1
    watch.process.terminate()
    assert watch.process.wait() == 0
    assert listeners(host) == []
    assert not any("other" in event["What"] for event in watch.seen)


def listeners(host):
    """The processes of `ip monitor` in the network of a host."""
    own = Path(f"/proc/{host.holder.pid}/ns/net").readlink()
    return [path for path in Path("/proc").glob("[0-9]*") if is_listener(path, own)]


def is_listener(process, network):
    with contextlib.suppress(OSError):
        return b"monitor" in (process / "cmdline").read_bytes() and (process / "ns/net").readlink() == network
    return False


def test_events_tells_a_change_of_mydockernet_once(host):
    host.set_up(WEB)
    watch = Watch(host)
    watch.until({"What": "interface web is down"}, "ip link set web down; ip link set web up")
    watch.seen.clear()
    host.mydockernet("set web mtu=1400")
    host.mydockernet("publish web c2 8081:81")
    watch.until({"What": "publish web c2 8081:81"})
    host.sh("ip link set web mtu 1300")
    watch.until({"What": "interface web has MTU 1300, not 1400"})
    told = [event["What"] for event in watch.seen if "is up" not in event["What"] and "is down" not in event["What"]]
    assert told == ["set web mtu=1400", "publish web c2 8081:81", "interface web has MTU 1300, not 1400"]
    watch.process.kill()
    watch.process.wait()


def test_events_ends_when_nobody_reads(host):
    host.set_up(WEB)
    assert "create web" in host.sh("mydockernet events --since 1h | head -n 1").stdout


def test_metrics_are_written_for_the_collector_and_tell_drift(host):
    host.set_up(WEB)
    assert "mydockernet_drift" not in host.mydockernet("metrics").stdout
    assert host.mydockernet("metrics --check --output /run/web.prom").stdout == ""
    text = (host.root / "run/web.prom").read_text()
    assert 'mydockernet_drift{network="web"} 0\n' in text
    assert 'mydockernet_network_containers{network="web",state="up"} 2\n' in text
    assert 'mydockernet_container_receive_bytes_total{network="web",container="c1"}' in text
    assert host.sh("stat -c %a /run/web.prom; ls -A /run | grep prom").stdout == "644\nweb.prom\n"
    host.sh("ip link set web down; ip netns delete c2")
    drifted = host.mydockernet("metrics --check").stdout
    assert 'mydockernet_drift{network="web"} 1\n' in drifted
    assert 'mydockernet_network_containers{network="web",state="gone"} 1\n' in drifted


def test_whoever_only_looks_waits_for_no_lock(host):
    host.set_up(WEB)
    locked = "flock /var/lib/mydockernet/lock"
    for words in ("stats --no-stream", "topology", "metrics", "capture web --dry-run"):
        assert "web" in host.sh(f"{locked} mydockernet {words}").stdout
    assert "create web" in host.sh(f"{locked} mydockernet events --since 1h | head -n 1").stdout


def wait_for_tcpdump(running):
    said = ""
    while "listening" not in said:
        line = running.stderr.readline()
        assert line, said
        said += line


def capture(host, *words):
    """Run it as the root of the machine: tcpdump wants to become another user, which the root of a sandbox may not."""
    enter = [word for word in host.enter if word not in ("-U", "--preserve-credentials")]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*enter, "mydockernet", "capture", *words], env=host.env, **pipes)


def captured(host, words, ping):
    """What tcpdump prints of the first packet of a ping."""
    running = capture(host, *words.split(), "--", "-n", "-l", "-c", "1", "--immediate-mode", "icmp")
    wait_for_tcpdump(running)
    host.sh(ping, check=False)
    printed, _ = running.communicate()
    assert running.returncode == 0
    return printed


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="tcpdump works only for the root of the machine")


@as_root
def test_capture_shows_a_ping_in_the_right_place(host):
    host.set_up(WEB + LAN)
    ping = "ip netns exec c1 ping -q -c 1 -W 1 10.1.0.3"
    for place in ("web", "web/c1", "web/c2", "web/c2 --host"):
        assert "10.1.0.2 > 10.1.0.3: ICMP echo request" in captured(host, place, ping)
    out = "ip netns exec c3 ping -q -c 1 -W 1 192.0.2.2"
    for place in ("lan", "lan/c3"):
        assert "> 192.0.2.2: ICMP echo request" in captured(host, place, out)
    host.set_up("for c in p1 p2; do ip netns add $c; done; mydockernet create p2p --driver ptp --subnet 10.3.0.0/24")
    host.set_up("mydockernet connect p2p p1; mydockernet connect p2p p2")
    printed = captured(host, "p2p", "ip netns exec p1 ping -q -c 1 -W 1 10.3.0.3")
    assert "10.3.0.2 > 10.3.0.3: ICMP echo request" in printed


@as_root
def test_capture_becomes_tcpdump(host):
    host.set_up(WEB)
    dry = host.mydockernet("capture web/c1 --dry-run -- -n 'icmp or arp'").stdout
    assert dry == "nsenter --net=/run/netns/c1 tcpdump -i eth0 -n 'icmp or arp'\n"
    running = capture(host, "web/c1")
    wait_for_tcpdump(running)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate()
    assert running.returncode == 0
    assert "packets captured" in errors
    assert capture(host, "web", "--", "-y", "NOPE").wait() == 1
    host.fails("capture web/nope", 3, 'no container "nope" on network "web"')
    host.fails("capture web --host", 2, "--host: name a container")
    # /dev/null cannot be executed.
    host.sh("mount --bind /dev/null $(realpath $(command -v tcpdump))")
    host.fails("capture web", 1, "tcpdump is not installed", "hint: apt-get install tcpdump")
