"""What a container's root and an ordinary user can name things: none of it reaches a parser or a terminal as it is."""

import json

import pytest

from mydockernet.dialects import ss

RED = "\x1b[31mRED"
# Control characters, invalid UTF-8, quotes; as an alias and as an interface's name.
MESS = r"""
nsenter --net=/run/netns/evil ip link set dev eth0 alias $'\x1b[31mRED\n"\xff\\'
nsenter --net=/run/netns/evil ip link add name $'x\x01\x1b[5m' type bridge
"""


@pytest.fixture
def evil(host):
    host.sh("mydockernet create web; for n in evil good; do ip netns add $n; mydockernet connect web $n; done")
    host.sh(MESS)
    return host


def test_names_and_aliases_with_control_characters_stop_no_verb(evil):
    assert evil.mydockernet("check").stdout == ""
    evil.mydockernet("repair")
    evil.sh("iptables -F")
    evil.mydockernet("repair")
    evil.mydockernet("publish web evil 8080:80")
    for words in (
        "inspect web",
        "inspect web --format table",
        "explain good evil",
        "list",
        "rules",
        "doctor",
        "who eth0",
    ):
        done = evil.mydockernet(words, check=False)
        assert done.returncode in (0, 3, 5), done
        assert all(c.isprintable() or c == "\n" for c in done.stdout + done.stderr), done
    (record,) = json.loads(evil.mydockernet("inspect web").stdout)
    assert record["Containers"]["evil"]["Link"]["Alias"].startswith(RED)
    evil.mydockernet("disconnect web evil")


LISTEN = """
import ctypes, socket, sys
ctypes.CDLL(None).prctl(15, sys.argv[1].encode())
one = socket.socket(); one.bind(("0.0.0.0", 8080)); one.listen()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["\ntcp x 1 1 *:7 ", "\x1b[31m\rRED", 'a",pid=1\n'])
def test_a_process_is_told_by_a_printable_name_and_makes_no_false_listener(host, name):
    host.sh("mydockernet create web; ip netns add c1; mydockernet connect web c1")
    listener = host.popen("python3", "-c", LISTEN, name)
    assert listener.stdout.readline() == "ready\n"
    done = host.fails("publish web c1 8080:80", 4, "port 8080/tcp is already in use by ")
    who = host.mydockernet("who 8080")
    assert all(c.isprintable() or c == "\n" for c in done.stderr + who.stdout)
    host.mydockernet("publish web c1 7:80")
    listener.communicate("")


def test_only_whole_lines_of_a_listening_socket_are_read():
    text = (
        'tcp   LISTEN 0      5          0.0.0.0:8080      0.0.0.0:*    users:(("\n'
        'tcp x 1 1 *:7 ",pid=1,fd=3))\n'
        'udp   UNCONN 0      0            [::1]:82           [::]:*    users:(("a b",pid=1,fd=4),("c",pid=2,fd=4))\n'
        "tcp   LISTEN 0      5     10.1.0.1%web:53        0.0.0.0:*\n"
    )
    found = [(s.protocol, str(s.address), s.port, s.program) for s in ss.read_sockets(text)]
    assert found == [
        ("tcp", "None", 8080, "a program"),
        ("udp", "::1", 82, "a b"),
        ("tcp", "10.1.0.1", 53, "a program"),
    ]


def test_an_mtu_too_small_for_ipv6_blocks_no_verb(host):
    """The kernel then deletes the sysctls of IPv6, and a container's root can set it."""
    host.set_up("ip netns add c1; mydockernet create web --ipv6; mydockernet create other; mydockernet connect web c1")
    host.sh("ip -n c1 link set dev eth0 mtu 1000")
    host.mydockernet("connect other c1")
    host.mydockernet("check")
    host.sh("ip -n c1 link set dev eth0 mtu 1000")
    host.mydockernet("repair")
    host.mydockernet("check")


def test_a_network_may_have_such_an_mtu_without_ipv6(host):
    host.set_up("ip netns add c1; mydockernet create web --mtu 1000; mydockernet connect web c1")
    disabled = (
        "cat /proc/sys/net/ipv6/conf/web/disable_ipv6; ip netns exec c1 cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6"
    )
    for mtu in (1500, 900, 1500):
        host.mydockernet("check")
        host.mydockernet(f"set web mtu={mtu}")
    assert host.sh(disabled).stdout == "1\n1\n"
    host.mydockernet("set web mtu=1000")
    assert "--mtu: 1000 is too small for IPv6" in host.mydockernet("set web ipv6=true", check=False).stderr
    assert host.mydockernet("create x --ipv6 --mtu 1000", check=False).returncode == 2
    host.mydockernet("check")
