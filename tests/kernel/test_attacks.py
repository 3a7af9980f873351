"""What has gone wrong elsewhere, staged: each attack fails; and where one rule stops it, works without that rule."""

import pytest

from tests.kernel.lab import HOST, LOOPBACK_ELSEWHERE, A, B


def delete_rule(host, table, chain, *parts):
    """Delete the one rule of a chain that has these parts."""
    rules = host.run("iptables", "-t", table, "-S", chain).stdout.splitlines()
    (found,) = [rule for rule in rules if all(part in rule for part in parts)]
    host.sh(f"iptables -t {table} {found.replace('-A', '-D', 1)}")


def test_a_neighbour_can_not_reach_what_is_published_on_loopback(lab):
    """moby 45610."""
    assert lab.ask("neighbour", ("127.0.0.1", 8081)) == ["dropped"]
    delete_rule(lab.host, "raw", "PREROUTING", "127.0.0.0/8")
    assert lab.ask("neighbour", ("127.0.0.1", 8081)) == ["a1 198.51.100.2"]


def test_neither_neighbour_nor_container_can_reach_the_hosts_own_loopback(lab):
    """CVE-2020-8558: the guard, and route_localnet on bridges alone."""
    lab.host.sh(LOOPBACK_ELSEWHERE.format("b1", f"{B}.1", "eth0") + LOOPBACK_ELSEWHERE.format("a1", f"{A}.1", "eth0"))
    assert lab.ask("neighbour", ("127.0.0.1", 82)) == ["dropped"]
    assert lab.ask("a1", ("127.0.0.1", 82)) == ["dropped"]
    assert lab.ask("b1", ("127.0.0.1", 82)) == ["dropped"]
    keys = lab.host.sh("cd /proc/sys/net/ipv4/conf; grep -l 1 */route_localnet").stdout.split()
    assert keys == ["a/route_localnet"]
    delete_rule(lab.host, "raw", "PREROUTING", "127.0.0.0/8")
    assert lab.ask("a1", ("127.0.0.1", 82)) == [f"host {A}.2"]


def test_a_port_of_the_host_is_not_one_of_what_passes_through(lab):
    """CVE-2025-67499: outside's own port 8080, asked by a container and by a neighbour, is outside's."""
    assert lab.ask("a2", ("192.0.2.2", 8080)) == [f"outside {HOST}"]
    assert lab.ask("neighbour", ("192.0.2.2", 8080)) == ["outside 198.51.100.2"]


def test_an_address_of_others_can_not_be_published_on(lab):
    """CVE-2020-8554."""
    before = lab.host.everything()
    lab.host.fails("publish a a2 192.0.2.2:80:80", 2, "192.0.2.2 is not an address of this host")
    assert lab.host.everything() == before


def test_an_admins_own_translation_comes_first(make_lab):
    """CVE-2019-9946."""
    lab = make_lab(
        f"iptables -t nat -A PREROUTING -d {HOST} -p tcp --dport 8080 -j DNAT --to-destination 192.0.2.2:81\n"
    )
    assert lab.ask("neighbour", (HOST, 8080)) == [("outside 198.51.100.2", "a1 198.51.100.2")]


def test_the_host_believes_no_router_advertisement_of_a_container(lab):
    """CVE-2020-10749."""
    veths = lab.host.mydockernet(["inspect", "a", "--format", "{{json .Containers}}"]).stdout
    for dev in ("a", "b", "i", *[word for word in veths.split('"') if "-" in word and "/" not in word]):
        assert lab.host.run("cat", f"/proc/sys/net/ipv6/conf/{dev}/accept_ra").stdout == "0\n", dev


def test_a_container_without_ipv6_subnet_has_no_ipv6(lab):
    """CVE-2024-32473."""
    assert "inet6" not in lab.host.run("ip", "-n", "a1", "address", "show", "dev", "eth0").stdout


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


def test_the_caller_is_seen_under_its_own_address(lab):
    """CVE-2021-20199."""
    assert lab.ask("outside", (HOST, 8080)) == ["a1 192.0.2.2"]


def test_a_port_does_not_outlive_its_container(lab):
    """moby 32048, podman 27516: the next container with that address is not given the last one's ports."""
    lab.host.mydockernet("disconnect a a1")
    lab.host.sh("ip netns add a3")
    assert lab.host.mydockernet(f"connect a a3 --ip {A}.2").stdout == f"{A}.2\n"
    lab.listen("a3", "a3", "0.0.0.0:80")
    assert lab.ask("outside", (HOST, 8080)) == ["refused"]


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
def test_a_containers_own_address_does_not_leak(lab, guarded, leaked):
    """netavark 774: a reset that belongs to no connection is not translated, so it must not leave."""
    if not guarded:
        delete_rule(lab.host, "filter", "MYDOCKERNET-FORWARD", "INVALID")
    sniff = f"""
        exec 3< <(ip netns exec outside python3 -c '{SNIFF}'); read -r ready <&3
        ip netns exec a1 python3 -c '{RESET}'
        ip netns exec a1 bash -c 'echo last > /dev/udp/192.0.2.2/81'
        cat <&3
    """
    assert lab.host.sh(sniff).stdout == leaked


KNOCK = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(1)
client.bind(("192.0.2.2", 5555))
client.sendto(b"?", ("192.0.2.1", 9999))
try:
    print(client.recv(100).decode())
except OSError:
    print("nobody")
"""


def test_a_client_that_knocked_too_early_is_let_in(lab):
    """moby 46276, CNI plugins 1277: a flow that the kernel remembers goes to the container, or no longer to it."""

    def knock():
        return lab.host.run("ip", "netns", "exec", "outside", "python3", "-c", KNOCK).stdout.split()[0]

    assert knock() == "nobody"
    lab.host.mydockernet("publish a a1 9999:80/udp")
    assert knock() == "a1"
    lab.host.mydockernet("unpublish a a1 9999:80/udp")
    assert knock() == "nobody"
    lab.host.mydockernet("publish a a2 9999:80/udp")
    assert knock() == "a2"
