"""explain over containers on several networks: which network is meant, which way answers go, where rp_filter drops."""

import json

import pytest

from tests.conftest import CANARY, Host
from tests.kernel.lab import Lab

# c is on t1 and t2, and listens on its address on t2 alone; and on t3, where only bridged neighbors are secured.
MORE = """
for n in c d; do ip netns add $n; done
mydockernet create t1 --subnet 10.7.1.0/24; mydockernet create t2 --subnet 10.7.2.0/24
mydockernet create t3 --subnet 10.7.3.0/24 --no-icc
mydockernet connect t1 c; mydockernet connect t2 c -p 8090:8081; mydockernet connect t3 c
mydockernet connect t3 d
"""


@pytest.fixture(scope="module")
def well():
    host = Host()
    host.sh(CANARY)
    lab = Lab(host)
    host.sh(MORE)
    lab.listen("c", "c", "10.7.2.2:8081")
    lab.listen("d", "d", "0.0.0.0:80")
    host.sh("iptables-save > /run/rules")
    yield lab
    lab.close()
    host.close()


def explain(host, words):
    done = host.mydockernet(["explain", *words.split(), "--format", "json"], check=False)
    assert done.returncode in (0, 5), done
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_container_can_be_named_with_its_network(well):
    for words, status, last in (
        ("host t2/c:8081", 0, "receives it"),
        ("host t1/c:8081", 5, "listens only on 10.7.2.2, not on 10.7.1.2"),
        ("host t2/c", 0, "receives it"),
        ("host t2/c:8081/udp", 0, "receives it"),
        ("t1/c t3/d:80", 5, "may send only to the host"),
    ):
        done, hops = explain(well.host, words)
        assert (done, last in hops[-1]["What"]) == (status, True), (words, hops)
        assert "unsure" not in {hop["State"] for hop in hops}, (words, hops)
    assert explain(well.host, "c t3/d:80")[1][-1]["Fix"] == "mydockernet publish t3 d 80"
    assert "10.7.2.1 through t2" in explain(well.host, "host t2/c")[1][0]["What"]
    well.host.fails("explain host t2/c:x", 2, '"x" is not a port')
    well.host.fails("explain host t9/c:80", 3, '"t9/c" is not a container')


def test_all_networks_of_a_container_are_looked_at(well):
    status, hops = explain(well.host, "host c:8081")
    assert status == 0
    assert "through 10.7.1" not in str(hops)
    # From outside none of them leads there: each way is told.
    status, hops = explain(well.host, "192.0.2.2 c:8081")
    assert (status, [hop["State"] for hop in hops].count("stops")) == (5, 3)


def test_frames_that_port_security_lets_pass_are_no_doubt(well):
    for words in ("d host", "host d:80", "d 192.0.2.2:80"):
        status, hops = explain(well.host, words)
        assert (status, {hop["State"] for hop in hops}) == (0, {"passes"}), (words, hops)


def test_strict_rp_filter_is_seen_where_it_drops(well):
    host = well.host
    assert well.ask("outside", ("192.0.2.1", 8090)) == [("c 192.0.2.2", "refused")]
    host.sh(
        "for r in $(ip -n c rule | grep 'from 10.7' | cut -d: -f1); do ip -n c rule del pref $r; done;"
        "sysctl -qw net.ipv4.conf.all.rp_filter=1; sysctl -qw net.ipv4.conf.t1.rp_filter=1"
    )
    try:
        status, hops = explain(host, "192.0.2.2 host:8090")
        assert well.ask("outside", ("192.0.2.1", 8090))[0][0] == "dropped"
        assert status == 5
        assert "rp_filter of t1 drops packets from 10.7.2.2" in hops[-1]["What"]
        found = host.mydockernet("doctor", check=False).stdout
        assert "fix: sysctl -w net.ipv4.conf.all.rp_filter=2" in found
        host.sh(hops[-1]["Fix"])
        assert "rp_filter" not in explain(host, "192.0.2.2 host:8090")[1][-1]["What"]
    finally:
        host.sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.t1.rp_filter=0; mydockernet repair")


def test_an_interface_with_strict_rp_filter_is_told_by_doctor_and_the_fix_clears_it(well):
    host = well.host
    host.sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.t1.rp_filter=1")
    found = host.mydockernet("doctor", check=False).stdout
    assert "net.ipv4.conf.t1.rp_filter = 1" in found
    host.sh(next(line for line in found.splitlines() if "conf.t1.rp_filter=2" in line).split("fix: ")[1])
    assert "rp_filter" not in host.mydockernet("doctor", check=False).stdout
    host.sh("sysctl -qw net.ipv4.conf.t1.rp_filter=0")
