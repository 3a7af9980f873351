"""Name servers: dnsmasq for a network, asked by dig and getent from real containers."""

import re

import pytest

from tests.cli.test_readme import session, shown
from tests.engines.podman import NEEDS as PODMAN
from tests.engines.podman import PodmanHost

pytestmark = pytest.mark.engine("dnsmasq", "dig")

WEB = """
for c in c1 c2; do ip netns add $c; done
mydockernet create web --subnet 10.1.0.0/24 --subnet fd00:1::/64 --dns dnsmasq --firewall {0}
mydockernet connect web c1 --alias mail
mydockernet connect web c2
"""


@pytest.fixture
def host(engine_host):
    """A host that asks another one for all names that it does not know."""
    engine_host.sh(
        "ip netns add far; ip link add uplink type veth peer name eth0 netns far; "
        "ip address add 192.0.2.1/24 dev uplink; ip link set dev uplink up; "
        "ip -n far address add 192.0.2.2/24 dev eth0; ip -n far link set dev eth0 up; "
        "echo nameserver 192.0.2.2 > /etc/resolv.conf; "
        "ip netns exec far dnsmasq --conf-file=/dev/null --no-hosts "
        "--no-resolv --pid-file=/run/far.pid --address=/example.org/203.0.113.5"
    )
    return engine_host


def dig(host, words, netns="c1"):
    """What is answered, or the status if that is nothing."""
    said = host.run("ip", "netns", "exec", netns, "dig", "+tries=1", "+time=2", *words.split(), check=False).stdout
    answers = re.findall(r"^[^;\s]\S*\s+\d+\s+IN\s+\S+\s+(\S+)$", said, re.MULTILINE)
    return answers or (re.findall(r"status: (\w+)", said) or ["no answer"])[0]


@pytest.mark.parametrize("firewall", ["iptables", "nftables"])
def test_names_addresses_and_other_names_are_answered_over_udp_and_tcp(host, firewall):
    host.sh(WEB.format(firewall))
    assert dig(host, "c2") == dig(host, "c2.web") == dig(host, "C2 +tcp") == ["10.1.0.3"]
    assert dig(host, "mail AAAA", "c2") == ["fd00:1::2"]
    assert dig(host, "-x 10.1.0.3") == dig(host, "-x fd00:1::3") == ["c2."]
    assert dig(host, "example.org") == dig(host, "example.org +tcp") == ["203.0.113.5"]
    assert dig(host, "nobody") == dig(host, "nobody.web") == "NXDOMAIN"
    assert host.sh("ip netns exec c1 getent ahosts c2").stdout.splitlines()[0].startswith("fd00:1::3 ")
    assert host.mydockernet("check").stdout == ""


def test_a_name_without_an_address_of_a_family_is_no_unknown_name(host):
    host.sh("ip netns add c1; mydockernet create web --dns; mydockernet connect web c1")
    assert dig(host, "c1 AAAA") == "NOERROR"


@pytest.mark.parametrize("firewall", ["iptables", "nftables"])
def test_no_published_port_takes_the_name_server_over(host, firewall):
    host.sh(WEB.format(firewall))
    host.fails("publish web c2 10.1.0.1:53:53/udp", 4, "in use by dnsmasq")
    host.sh("mydockernet publish web c2 53:53 53:53/udp")
    assert dig(host, "c2") == dig(host, "c2 +tcp") == ["10.1.0.3"]
    assert dig(host, "example.org @192.0.2.1", "far") == "no answer"  # It is published, and nobody listens in c2.


def test_an_internal_network_asks_nobody(host):
    host.sh(
        "ip netns add c1; mydockernet create web --internal --dns dnsmasq; mydockernet connect web c1 --ip 10.208.0.9"
    )
    assert dig(host, "c1") == ["10.208.0.9"]
    assert dig(host, "example.org") == "REFUSED"


def test_a_host_that_lets_nothing_in_answers_its_containers(host):
    host.sh(WEB.format("iptables") + "iptables -P INPUT DROP; iptables -A INPUT -i uplink -j ACCEPT")
    assert dig(host, "c2") == ["10.1.0.3"]


def test_a_name_goes_with_its_container(host):
    host.sh(WEB.format("iptables"))
    assert dig(host, "c2") == ["10.1.0.3"]
    host.sh("mydockernet disconnect web c2")
    assert dig(host, "c2") == "NXDOMAIN"
    host.sh("mydockernet connect web c2 --name renamed; ip netns add c3; mydockernet connect web c3; ip netns del c3")
    assert dig(host, "renamed") == ["10.1.0.4"]
    host.sh("mydockernet repair")
    assert dig(host, "c3") == "NXDOMAIN"


def test_a_network_in_use_gets_a_name_server_and_loses_it(host):
    host.sh("ip netns add c1; mydockernet create web; mydockernet connect web c1; mydockernet set web dns=dnsmasq")
    assert dig(host, "c1") == ["10.208.0.2"]
    assert dig(host, "example.org") == ["203.0.113.5"]
    host.mydockernet("set web dns=192.0.2.2")
    assert dig(host, "example.org") == ["203.0.113.5"]
    assert host.mydockernet("check").stdout == ""
    host.mydockernet("set web dns-=dnsmasq")
    assert host.sh("cat /run/mydockernet-etc/web/resolv.conf").stdout == "nameserver 192.0.2.2\n"
    assert [path.suffix for path in (host.root / "run/mydockernet").iterdir()] == [".lock"]
    host.fails("set web dns-=dnsmasq", 3, "has no name server")


def test_check_tells_that_it_was_killed_and_repair_starts_it(host):
    host.sh(WEB.format("iptables") + "kill $(cat /run/mydockernet/dnsmasq-web.pid); sleep 0.3")
    assert host.mydockernet("check", check=False).stdout == "web: missing name server: dnsmasq for web\n"
    assert host.sh("ip netns exec c1 getent hosts c2").stdout.split()[0] == "fd00:1::3"  # By the hosts file.
    assert host.mydockernet("list --format {{.State}}").stdout == "drifted\n"
    host.mydockernet("repair")
    assert dig(host, "c2") == ["10.1.0.3"]
    host.sh("echo 1 > /run/mydockernet/dnsmasq-web.pid")
    assert "name server" in host.mydockernet("check", check=False).stdout


def test_what_has_its_port_is_named_and_nothing_is_left(host):
    host.sh(
        "dnsmasq --conf-file=/dev/null --no-hosts --pid-file=/run/other.pid --listen-address=0.0.0.0 --bind-interfaces"
    )
    before = host.everything()
    host.fails("create web --dns dnsmasq", 4, "port 53 is already in use by dnsmasq, listening on *:53")
    assert host.everything() == before


GUEST = """
ip netns add guest
ip link add tap0 type veth peer name eth0 netns guest
ip link set dev tap0 up master web
ip -n guest link set dev eth0 up
ip netns exec guest busybox udhcpc -i eth0 -n -q -f -t 9 -T 1 -s /bin/true 2>&1
"""


@pytest.mark.parametrize("firewall", ["iptables", "nftables"])
def test_a_guest_that_asks_is_given_an_address_that_no_container_has(host, firewall):
    host.sh(f"mydockernet create web --subnet 10.1.0.0/24 --dhcp 10.1.0.2-10.1.0.9 --firewall {firewall}")
    if firewall == "iptables":
        host.sh("iptables -P INPUT DROP")
    assert re.search(r"lease of 10\.1\.0\.[2-9] obtained from 10\.1\.0\.1", host.sh(GUEST).stdout)
    host.sh("ip netns add c1")
    host.fails("connect web c1 --ip 10.1.0.5", 4, "10.1.0.5 is among those that are given by DHCP")
    assert host.sh("mydockernet connect web c1").stdout == "10.1.0.10\n"
    assert host.mydockernet("check").stdout == ""
    host.sh("ip link delete dev tap0; mydockernet rm -f web")
    assert [path.suffix for path in (host.root / "run/mydockernet").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--subnet 10.1.0.0/24 --dhcp 10.2.0.2-10.2.0.9", "--dhcp: 10.2.0.2-10.2.0.9 is within no subnet"),
        ("--subnet fd00:1::/64 --dhcp fd00:1::2-fd00:1::9", "only IPv4 addresses are given by DHCP"),
        ("--driver ptp --dhcp 10.1.0.2-10.1.0.9", "--dhcp: the driver ptp does not support it"),
        ("--dns web", "--dns: 'web' does not appear to be an IPv4 or IPv6 address"),
        ("--no-gateway --subnet 10.1.0.0/24 --dns dnsmasq", "--dns: without a gateway"),
    ],
)
def test_what_cannot_be_served_is_refused(host, words, message):
    host.fails(f"create web {words}", 2, message)


def test_removal_leaves_nothing(host):
    host.sh(WEB.format("iptables") + "mydockernet rm -f web")
    assert [path.suffix for path in (host.root / "run/mydockernet").iterdir()] == [".lock"]
    assert host.sh("pgrep --exact --count dnsmasq").stdout == "1\n"  # The one of the host outside.
    assert "10.1.0.1" not in host.sh("iptables-save").stdout


def test_the_dry_run_does_what_the_verb_does(host):
    host.sh("mydockernet create web --dns dnsmasq --dns 192.0.2.2 --dry-run | sh")
    host.sh("ip netns add c1; mydockernet connect web c1")
    assert host.mydockernet("check").stdout == ""
    assert dig(host, "c1") == ["10.208.0.2"]
    assert dig(host, "example.org") == ["203.0.113.5"]


def test_the_session_of_the_page_is_what_happens(engine_host):
    shown(engine_host, session("docs/names.md", " dnsmasq"))


@pytest.mark.engine(*PODMAN)
def test_podman_asks_for_names_unless_it_is_told_not_to():
    host = PodmanHost()
    try:
        host.podman("network create --driver mydockernet --subnet 10.5.0.0/24 web")
        host.podman("network create --driver mydockernet --disable-dns mute")
        host.podman(f"run -d --name c1 --network web --rootfs {host.rootfs} busybox httpd -f -h /")
        busybox = f"--rootfs {host.rootfs} busybox"
        fetch = "for n in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://c1/hello && break || sleep 0.2; done"
        assert host.podman(f'run --rm --network web {busybox} sh -c "{fetch}"') == "hello"
        assert "nameserver 10.5.0.1" in host.podman(f"run --rm --network web {busybox} cat /etc/resolv.conf")
        pid = host.podman("inspect --format {{.State.Pid}} c1")
        assert host.sh(f"nsenter -t {pid} -n dig +short c1 @10.5.0.1").stdout == "10.5.0.2\n"
        assert "10.5.0.1" not in host.podman(f"run --rm --network mute {busybox} cat /etc/resolv.conf")
        host.podman("rm -f -t 0 c1")
        assert [path.suffix for path in (host.root / "run/mydockernet").iterdir()] == [".lock"]
    finally:
        host.close()
