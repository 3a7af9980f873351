"""What `ip monitor` prints, and what the kernel tells of rules."""

import struct
from ipaddress import ip_network

import pytest

from mydockernet.dialects import ip_monitor, nft_monitor
from mydockernet.dialects.ip_monitor import AddressChange, LinkChange, RouteChange
from mydockernet.dialects.nft_monitor import Generation, RuleChange

# As iproute2 6.1 prints it.
VETH = "3: c1-69bf7b@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master web state UP group 28004 "
PORT = "3: c1-69bf7b@web: <BROADCAST,MULTICAST,UP> mtu 1500 master web state UP "
BRIDGE = "2: web: <BROADCAST,MULTICAST> mtu 1400 qdisc noop state DOWN group 28004 "


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (
            f"[LINK]{VETH}\\    link/ether ea:05:09:d9:07:8b brd ff:ff:ff:ff:ff:ff link-netnsid 0",
            LinkChange(3, "c1-69bf7b", True, False, "web", "1500", "28004", "ea:05:09:d9:07:8b"),
        ),
        (
            f"[LINK]Deleted {BRIDGE}\\    link/ether 02:6d:4b:5e:57:f6 brd ff:ff:ff:ff:ff:ff",
            LinkChange(2, "web", False, True, "", "1400", "28004", "02:6d:4b:5e:57:f6"),
        ),
        ("[ADDR]2: web    inet 10.1.0.1/24 scope global web\\   …", AddressChange(2, "10.1.0.1/24", False)),
        ("[ADDR]Deleted 2: web    inet6 fd00::1/64 scope global \\   …", AddressChange(2, "fd00::1/64", True)),
        (
            "[ROUTE]10.1.0.0/26 dev eth0 scope link ",
            RouteChange(ip_network("10.1.0.0/26"), "eth0", "10.1.0.0/26 dev eth0 scope link", False),
        ),
        (
            "[ROUTE]Deleted unreachable 10.1.0.0/24 proto 28 ",
            RouteChange(ip_network("10.1.0.0/24"), "", "unreachable 10.1.0.0/24 proto 28", True),
        ),
        (
            "[ROUTE]10.1.0.7 via 10.9.0.1 dev eth0 ",
            RouteChange(ip_network("10.1.0.7/32"), "eth0", "10.1.0.7 via 10.9.0.1 dev eth0", False),
        ),
        (
            "[ROUTE]default via fe80::1 dev eth0 proto ra ",
            RouteChange(ip_network("::/0"), "eth0", "default via fe80::1 dev eth0 proto ra", False),
        ),
    ],
)
def test_a_line_of_ip_monitor_is_a_change(line, change):
    assert ip_monitor.read(line) == change


@pytest.mark.parametrize(
    "line",
    [
        f"[LINK]{PORT}\\    link/ether ea:05:09:d9:07:8b",
        "[ROUTE]10.1.0.0/24 dev web proto kernel scope link src 10.1.0.1 ",
        "[ROUTE]local 10.1.0.1 dev web table local proto kernel scope host src 10.1.0.1 ",
        "[ROUTE]broadcast 10.1.0.255 dev web table local proto kernel scope link src 10.1.0.1 ",
        "[NEIGH]dev web lladdr 02:6d:4b:5e:57:f6 PERMANENT",
        "",
    ],
)
def test_a_line_that_follows_from_another_one_tells_nothing(line):
    assert ip_monitor.read(line) is None


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def message(kind, *attributes, family=2, subsystem=10):
    body = struct.pack("=BBH", family, 0, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), subsystem << 8 | kind, 0, 0, 0) + body


def rule(kind, comment=b"", chain=b"FORWARD"):
    """A rule of iptables: its comment is somewhere in its expressions."""
    return message(
        kind, attribute(1, b"filter\0"), attribute(2, chain + b"\0"), attribute(4, b"\1\2" + comment + b"\0")
    )


END = message(15, attribute(1, b"\0\0\0\7"), attribute(2, struct.pack(">I", 4762)), attribute(3, b"iptables\0"))


def test_rules_and_elements_are_told_with_the_marks_of_their_owners():
    datagram = rule(6, b"mydockernet:web") + rule(8, b"mydockernet:@shared") + rule(8, b"another one's") + END
    assert [*nft_monitor.read(datagram)] == [
        RuleChange("rule", True, "ip filter FORWARD", frozenset({"web"})),
        RuleChange("rule", False, "ip filter FORWARD", frozenset({"@shared"})),
        RuleChange("rule", False, "ip filter FORWARD", frozenset()),
        Generation("iptables", 4762),
    ]
    several = attribute(3, b"mydockernet:web\0mydockernet:db@12ab9f\0")
    elements = message(14, attribute(1, b"mydockernet\0"), attribute(2, b"ports4\0"), several, family=1)
    assert [*nft_monitor.read(elements)] == [
        RuleChange("element", False, "inet mydockernet ports4", frozenset({"web", "db@12ab9f"}))
    ]


@pytest.mark.parametrize("cut", range(0, len(END), 7))
def test_a_message_that_is_cut_off_is_left_out(cut):
    assert [*nft_monitor.read(rule(6) + END[:cut])] == [*nft_monitor.read(rule(6))]


def test_other_messages_are_left_out():
    assert [*nft_monitor.read(message(0) + message(3) + message(6, subsystem=1) + b"\0" * 40)] == []
