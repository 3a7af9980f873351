"""What the verbs that look show of real networks."""

import json

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
