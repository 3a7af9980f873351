"""What has gone wrong elsewhere, staged: each attack fails; and where one rule stops it, works without that rule."""

import json

import pytest

from tests.conftest import FIREWALLS
from tests.kernel.lab import (
    DRIVERS,
    HOST,
    INTERNAL,
    LOOPBACK_ELSEWHERE,
    OPENED,
    A,
    B,
    made_by_verbs,
    over_ipv6,
)


def test_a_neighbour_can_not_reach_what_is_published_on_loopback(each_lab):
    """moby 45610."""
    assert each_lab.ask("neighbour", ("127.0.0.1", 8081)) == ["dropped"]
    each_lab.lose("loopback")
    assert each_lab.ask("neighbour", ("127.0.0.1", 8081)) == ["a1 198.51.100.2"]


def test_neither_neighbour_nor_container_can_reach_the_hosts_own_loopback(each_lab):
    """CVE-2020-8558: the guard, and route_localnet on bridges alone."""
    each_lab.host.sh(
        LOOPBACK_ELSEWHERE.format("b1", f"{B}.1", "eth0") + LOOPBACK_ELSEWHERE.format("a1", f"{A}.1", "eth0")
    )
    assert each_lab.ask("neighbour", ("127.0.0.1", 82)) == ["dropped"]
    assert each_lab.ask("a1", ("127.0.0.1", 82)) == ["dropped"]
    assert each_lab.ask("b1", ("127.0.0.1", 82)) == ["dropped"]
    keys = each_lab.host.sh("cd /proc/sys/net/ipv4/conf; grep -l 1 */route_localnet").stdout.split()
    assert keys == [f"{each_lab.door('a', 'a1')}/route_localnet"]
    each_lab.lose("loopback")
    assert each_lab.ask("a1", ("127.0.0.1", 82)) == [f"host {A}.2"]


def test_a_port_of_the_host_is_not_one_of_what_passes_through(each_lab):
    """CVE-2025-67499: outside's own port 8080, asked by a container and by a neighbour, is outside's."""
    assert each_lab.ask("a2", ("192.0.2.2", 8080)) == [f"outside {HOST}"]
    assert each_lab.ask("neighbour", ("192.0.2.2", 8080)) == ["outside 198.51.100.2"]


def test_an_address_of_others_can_not_be_published_on(lab):
    """CVE-2020-8554."""
    before = lab.host.everything()
    lab.host.fails("publish a a2 192.0.2.2:80:80", 2, "192.0.2.2 is not an address of this host")
    assert lab.host.everything() == before


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_an_admins_own_translation_comes_first(make_lab, firewall):
    """CVE-2019-9946."""
    first = f"iptables -t nat -A PREROUTING -d {HOST} -p tcp --dport 8080 -j DNAT --to-destination 192.0.2.2:81\n"
    lab = make_lab(first, made_by_verbs, firewall=firewall)
    if firewall == "nftables":  # Even if its table is created later.
        lab.host.sh(f"nft delete table ip nat; {first}")
    assert lab.ask("neighbour", (HOST, 8080)) == [("outside 198.51.100.2", "a1 198.51.100.2")]


@pytest.mark.parametrize("word", ["../../../etc/passwd", "..", "a/../../b", "-rf", "$(id)", "a;id", "a b", "a\n"])
def test_a_name_is_no_path_and_no_option(host, word):
    """CVE-2021-20206."""
    host.mydockernet("create web")
    host.sh("ip netns add c1")
    before = host.everything()
    host.fails(["create", "--", word], 2)
    host.fails(["connect", "--name", word, "web", "c1"], 2)
    host.fails(["connect", "--ifname", word, "web", "c1"], 2)
    host.fails(["create", "x", "--bridge-name", word], 2)
    for verb in ("remove", "inspect"):
        assert host.mydockernet([verb, "--", word], check=False).returncode in (2, 3)
    assert host.everything() == before


def test_the_caller_is_seen_under_its_own_address(each_lab):
    """CVE-2021-20199."""
    assert each_lab.ask("outside", (HOST, 8080)) == ["a1 192.0.2.2"]


def test_a_port_does_not_outlive_its_container(each_lab):
    """moby 32048, podman 27516: the next container with that address is not given the last one's ports."""
    each_lab.host.mydockernet("disconnect a a1")
    each_lab.host.sh("ip netns add a3")
    assert each_lab.host.mydockernet(f"connect a a3 --ip {A}.2 --ip6 fd00:1::2").stdout == f"{A}.2\nfd00:1::2\n"
    each_lab.listen("a3", "a3", "0.0.0.0:80", ":::80")
    assert each_lab.ask("outside", (HOST, 8080), (over_ipv6(HOST), 8080)) == ["refused", "refused"]


RESET = """
import socket, struct
to = socket.inet_aton("192.0.2.2")
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
raw.sendto(struct.pack("!HHIIBBHHH", 4444, 4445, 1, 1, 0x50, 0x04, 0, 0, 0), ("192.0.2.2", 0))
"""
# Counts what arrives from a container's own address, until a packet that is sent last.
SNIFF = """
import socket
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
print("ready", flush=True)
leaked = 0
while True:
    packet = wire.recv(100)
    leaked += packet[12:15] == bytes([10, 1, 0])
    if packet[9] == 17:
        print(leaked, flush=True)
        break
"""


@pytest.mark.parametrize(("guarded", "leaked"), [(True, "0\n"), (False, "1\n")])
def test_a_containers_own_address_does_not_leak(each_lab, guarded, leaked):
    """netavark 774: a reset that belongs to no connection is not translated, so it must not leave."""
    if not guarded:
        each_lab.lose("invalid")
    sniff = f"""
        exec 3< <(ip netns exec outside python3 -c '{SNIFF}'); read -r ready <&3
        ip netns exec a1 python3 -c '{RESET}'
        ip netns exec a1 bash -c 'echo last > /dev/udp/192.0.2.2/81'
        cat <&3
    """
    assert each_lab.host.sh(sniff).stdout == leaked


# What docker 20.10 puts before everything else as it starts, and a container of its own.
DOCKER_FIRST = """
ip link add docker0 type bridge; ip address add 172.17.0.1/16 dev docker0; ip link set docker0 up
ip netns add d1; ip link add vd1 type veth peer name eth0 netns d1; ip link set vd1 master docker0 up
ip -n d1 address add 172.17.0.2/16 dev eth0; ip -n d1 link set eth0 up; ip -n d1 route add default via 172.17.0.1
for chain in DOCKER-USER DOCKER-ISOLATION-STAGE-1 DOCKER; do iptables -N $chain; done
iptables -A DOCKER-USER -j RETURN; iptables -A DOCKER-ISOLATION-STAGE-1 -j RETURN
iptables -I FORWARD -i docker0 -o docker0 -j ACCEPT
iptables -I FORWARD -i docker0 ! -o docker0 -j ACCEPT
iptables -I FORWARD -o docker0 -j DOCKER
iptables -I FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -I FORWARD -j DOCKER-ISOLATION-STAGE-1
iptables -I FORWARD -j DOCKER-USER
iptables -P FORWARD DROP
"""


def test_rules_of_others_before_ours_open_nothing(each_lab):
    """Docker inserts its rules first at every start: its containers enter no network, and check tells it."""
    each_lab.host.sh(DOCKER_FIRST)
    closed = [(f"{A}.2", 80), (f"{B}.2", 80), (f"{INTERNAL}.2", 80)]
    assert each_lab.ask("d1", *closed) == ["dropped"] * 3
    assert each_lab.ask("d1", (HOST, 8080)) == ["a1 172.17.0.2"]
    done = each_lab.host.mydockernet("check", check=False)
    assert done.returncode == 5
    told = {
        "iptables": "@shared: misplaced rule: filter FORWARD -j MYDOCKERNET-FORWARD",
        "nftables": "@shared: misplaced rule: filter FORWARD -m devgroup --src-group 0x6d64/0xfffffffc -j ACCEPT",
    }
    assert told[each_lab.host.firewall] in done.stdout
    each_lab.host.mydockernet("repair")
    each_lab.host.mydockernet("check")
    assert each_lab.ask("d1", *closed) == ["dropped"] * 3
    # And it is mangle, or the table of nftables, that keeps them closed.
    each_lab.host.sh(OPENED[each_lab.host.firewall])
    assert each_lab.ask("d1", *closed) == [f"{name} 172.17.0.2" for name in ("a1", "b1", "i1")]


@pytest.mark.parametrize("chain", ["filter FORWARD", "filter MYDOCKERNET-FORWARD", "mangle MYDOCKERNET-PREROUTING"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_rule_put_before_ours_is_told_and_repaired(make_lab, driver, chain):
    each_lab = make_lab(driver=driver, firewall="iptables")
    table, name = chain.split()
    each_lab.host.sh(f"iptables -t {table} -I {name} -p udp -j DROP; iptables -t {table} -I {name} -p tcp -j DROP")
    assert each_lab.ask("a1", ("192.0.2.2", 81)) == ["dropped"]
    done = each_lab.host.mydockernet("check", check=False)
    assert (done.returncode, "misplaced" in done.stdout) == (5, True)
    each_lab.host.mydockernet("repair")
    assert each_lab.host.mydockernet("check").stdout == ""
    if table == "filter":
        assert each_lab.ask("a1", ("192.0.2.2", 81)) == [f"outside {HOST}"]


def test_an_admins_rule_decides_in_the_chain_that_is_theirs(each_lab):
    """A rule in filter denies; one in both tables of iptables opens."""
    match = "-s 192.0.2.2 -d 10.1.0.2 -p tcp --dport 81"
    nft = each_lab.host.firewall == "nftables"
    if nft:
        each_lab.host.sh("nft add rule inet mydockernet user ip saddr 192.0.2.2 ip daddr 10.1.0.2 tcp dport 81 accept")
    else:
        each_lab.host.sh(f"iptables -I MYDOCKERNET-USER {match} -j ACCEPT")
        assert each_lab.ask("outside", (f"{A}.2", 81)) == ["dropped"]
        each_lab.host.sh(f"iptables -t mangle -I MYDOCKERNET-USER {match} -j ACCEPT")
    assert each_lab.ask("outside", (f"{A}.2", 81)) == [("a1 192.0.2.2", "dropped")]
    deny = "iptables -I MYDOCKERNET-USER -s 192.0.2.2 -j DROP"
    each_lab.host.sh("nft insert rule inet mydockernet user ip saddr 192.0.2.2 drop" if nft else deny)
    assert each_lab.ask("outside", (f"{A}.2", 81), (HOST, 8080)) == ["dropped", "dropped"]


def test_a_container_that_leaves_does_not_take_the_gateway_along(lab):
    """The MAC address of a bridge is its own, not the lowest of its ports."""

    def mac():
        (link,) = json.loads(lab.host.run("ip", "-json", "link", "show", "dev", "a").stdout)
        return link["address"]

    before = mac()
    assert before.startswith("02:6d:")
    lab.host.sh("for n in 1 2 3 4; do ip netns add m$n; mydockernet connect a m$n; done")
    assert mac() == before
    lab.host.sh("for n in 1 2 3 4; do mydockernet disconnect a m$n; done; ip netns delete a2")
    assert mac() == before


def test_a_client_that_knocked_too_early_is_let_in(each_lab):
    """moby 46276, CNI plugins 1277: a flow that the kernel remembers goes to the container, or no longer to it."""
    assert each_lab.knock(9999) == "nobody"
    each_lab.host.mydockernet("publish a a1 9999:80/udp")
    assert each_lab.knock(9999) == "a1"
    each_lab.host.mydockernet("unpublish a a1 9999:80/udp")
    assert each_lab.knock(9999) == "nobody"
    each_lab.host.mydockernet("publish a a2 9999:80/udp")
    assert each_lab.knock(9999) == "a2"
