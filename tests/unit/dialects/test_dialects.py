"""What ip, ss, sysctl and iptables-save print, and how rules are told apart."""

import json

import pytest

from mydockernet.dialects import ip, ip_json, iptables, ss, sysctl
from mydockernet.dialects.fact import Chain, Link, Lookup, Observed, Rule, Socket
from mydockernet.errors import Failed

CHAIN = Chain(4, "filter", "FORWARD")

LINKS = [
    {
        "ifname": "web",
        "flags": ["BROADCAST", "UP"],
        "mtu": 1400,
        "group": "28004",
        "address": "02:00:00:00:00:01",
        "ifalias": "mydockernet:web",
        "linkinfo": {"info_kind": "bridge"},
        "addr_info": [{"family": "inet", "local": "10.1.0.1", "prefixlen": 24}, {"family": "inet6"}],
    },
    {},
    {
        "ifname": "c1-0102",
        "flags": [],
        "master": "web",
        "linkinfo": {"info_kind": "veth", "info_slave_data": {"hairpin": True, "isolated": False, "cost": 2}},
        "addr_info": [],
    },
]


def test_links_are_read():
    found = ip_json.read(json.dumps(LINKS)).links
    web, veth = found["web"], found["c1-0102"]
    assert (web.kind, web.group, web.alias, web.mtu, web.up) == ("bridge", "28004", "mydockernet:web", 1400, True)
    assert web.addresses == {"10.1.0.1/24"}
    assert (veth.master, veth.flags, veth.up, veth.group) == ("web", {"hairpin"}, False, "default")
    assert ip_json.read("") == Observed()


def test_routes_are_read():
    text = [
        {"type": "unicast", "dst": "default", "gateway": "10.0.0.1", "dev": "eth0", "table": "main"},
        {"dst": "10.1.0.0/24", "dev": "web", "prefsrc": "10.1.0.1"},
        {"type": "unreachable", "dst": "198.51.100.7"},
        {"type": "broadcast", "dst": "10.1.0.255", "dev": "web", "table": "local"},
        {"type": "local", "dst": "10.1.0.1", "dev": "web", "table": "local"},
    ]
    default, net, blocked, own = ip_json.read(json.dumps(text)).routes
    assert (default.default, default.line) == (True, "default via 10.0.0.1 dev eth0")
    assert (str(net.destination), net.source, net.default) == ("10.1.0.0/24", "10.1.0.1", False)
    assert (blocked.kind, blocked.line) == ("unreachable", "unreachable 198.51.100.7")
    assert (own.kind, own.line) == ("local", "local 10.1.0.1 dev web table local")


@pytest.mark.parametrize("text", ["{", "[1]", '[{"ifname": 3, "mtu": "x"}]', '{"a": 1}', "null"])
def test_what_is_not_ips_json_is_an_error_that_names_the_command(text):
    with pytest.raises(Failed, match="cannot parse the output of `ip -json"):
        ip_json.read(text)


def test_a_batch_prints_an_array_per_line():
    rules = [
        {"priority": 0, "src": "all", "table": "local"},
        {"priority": 28001, "src": "10.1.0.2", "table": "28001", "protocol": "28"},
        {"priority": 30000, "src": "10.9.0.0", "srclen": 24, "action": "unreachable"},
    ]
    route = {"type": "unicast", "dst": "default", "gateway": "10.1.0.1", "dev": "eth0", "table": "main"}
    text = "\n".join(json.dumps(part) for part in (LINKS, [route], [route], rules)) + "\n"
    seen = ip_json.read(text)
    assert [*seen.links] == ["web", "c1-0102"]
    assert [found.line for found in seen.routes] == ["default via 10.1.0.1 dev eth0"]
    assert seen.lookups == {Lookup(28001, "10.1.0.2", "28001")}


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("net/ipv4/conf/br0.1/forwarding", "br0.1"),
        ("net/ipv6/neigh/eth0/mcast_solicit", "eth0"),
        ("net/ipv4/conf/all/forwarding", ""),
        ("net/ipv4/ip_forward", ""),
        ("net/ipv4", ""),
        ("net/ipv4/conf", ""),
    ],
)
def test_the_interface_of_a_sysctl(key, name):
    assert sysctl.interface(key) == name


def test_sockets_are_read():
    text = (
        'tcp   LISTEN 0 128 127.0.0.1:53 0.0.0.0:* users:(("named",pid=1,fd=3))\n'
        "udp   UNCONN 0 0   192.0.2.1%eth0:68 0.0.0.0:*\n"
        "tcp   LISTEN 0 5   *:80 *:*\n"
        "tcp   LISTEN 0 5   [::1]:631 [::]:*\n"
        "nonsense\n"
    )
    found = ss.read_sockets(text)
    assert [(s.protocol, str(s.address), s.port, s.program) for s in found] == [
        ("tcp", "127.0.0.1", 53, "named"),
        ("udp", "192.0.2.1", 68, "a program"),
        ("tcp", "None", 80, "a program"),
        ("tcp", "::1", 631, "a program"),
    ]
    assert isinstance(found[0], Socket)


def test_a_batch_of_ip_takes_only_words_that_need_no_quotes():
    assert ip.batch([("ip", "link", "set", "dev", "web", "up"), ("ip", "route")]) == (
        ("ip", "-batch", "-"),
        "link set dev web up\nroute\n",
        (0, 1),
    )
    assert ip.foldable(("ip", "link", "show"))
    for word in ("a#b", "a b", "a'b", 'a"b', "a\\b", "a\nb"):
        assert not ip.foldable(("ip", "link", word))
    assert not ip.foldable(("iptables", "-L"))


def test_switches_have_two_spellings():
    assert sysctl.dotted("net/ipv4/conf/br0.9/accept_ra") == "net.ipv4.conf.br0/9.accept_ra"
    assert sysctl.read("net.ipv4.conf.br0/9.rp_filter = 2\nx\n") == {"net/ipv4/conf/br0.9/rp_filter": "2"}


SAME = [
    ("-s 10.0.0.1 -p tcp --dport 80 -j ACCEPT", "-s 10.0.0.1/32 -p tcp -m tcp --dport 80 -j ACCEPT"),
    ("-m devgroup --src-group 28004 -j DROP", "-m devgroup --src-group 0x6d64 -j DROP"),
    ("-m conntrack --ctstate DNAT,NEW -j ACCEPT", "-m conntrack --ctstate NEW,DNAT -j ACCEPT"),
    ("-p udp --dport 53 -d 10.0.0.1 -j DROP", "-d 10.0.0.1/32 -p udp -m udp --dport 53 -j DROP"),
]
DIFFERENT = [
    ("-s 10.0.0.1 -j DROP", "! -s 10.0.0.1 -j DROP"),
    ("-i web -j DROP", "-o web -j DROP"),
    ("-j DROP", "-j ACCEPT"),
    ("-p tcp --dport 80 -j DROP", "-p tcp --dport 81 -j DROP"),
    ("-m comment --comment a -j DROP", "-m comment --comment b -j DROP"),
]


def spec(text):
    return iptables.read_spec(iptables.words_of(text))


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_rule_is_the_same_in_whatever_spelling(one, other):
    assert spec(one) == spec(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_differs_is_another_rule(one, other):
    assert spec(one) != spec(other)


def test_rules_are_read_with_counters_comments_and_quotes():
    text = (
        "# Generated\n*filter\n:FORWARD DROP [1:2]\n:MINE - [0:0]\n"
        '[7:420] -A FORWARD -m comment --comment "say \\"hi\\" twice" -j DROP\n'
        "-A FORWARD -m comment --comment mydockernet:web -j MINE\nCOMMIT\n*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
    )
    found = iptables.read_rules(4, text)
    first, second = found[CHAIN]
    assert (first.packets, first.bytes, first.comment) == (7, 420, 'say "hi" twice')
    assert [iptables.is_ours(rule) for rule in (first, second)] == [False, True]
    assert found[Chain(4, "nat", "OUTPUT")] == found[Chain(4, "filter", "MINE")] == ()
    assert iptables.read_policies(4, text) == {CHAIN: "DROP", Chain(4, "nat", "OUTPUT"): "ACCEPT"}
    assert iptables.words_of(first.text)[3] == 'say "hi" twice'


def test_a_restore_knows_which_command_each_line_is_of():
    one = ("iptables", "-t", "nat", "-N", "A", "--wait")
    two = ("iptables", "-t", "nat", "-A", "A", "-j", "RETURN", "--wait")
    three = ("iptables", "-t", "filter", "-F", "B", "--wait")
    argv, text, owners = iptables.batch([one, two, three])
    assert argv == ("iptables-restore", "--noflush", "--wait")
    assert text == "*nat\n-N A\n-A A -j RETURN\nCOMMIT\n*filter\n-F B\nCOMMIT\n"
    assert owners == (0, 0, 1, 2, 2, 2, 2)


@pytest.mark.parametrize("mark", ["mydockernet:web", "mydockernet:web@1f2e3d", "mydockernet:@shared"])
def test_a_mark_is_a_name_alone_or_with_a_realm(mark):
    assert iptables.is_ours(Rule(frozenset(), mark, ""))
    assert ip.is_ours(Link("x", alias=mark))


NOTES = ("mydockernet: allow the vpn", "mydockernet:w (uplink)", "mydockernet:", "mydockernet:a@b", "mydockernet:web\n")


@pytest.mark.parametrize("note", [*NOTES, "mydockernet:web@1f2e3d4", "mydockernet:@other", "my mydockernet:web"])
def test_what_only_speaks_of_us_is_no_mark(note):
    rule = Rule(frozenset(), note, f'-m comment --comment "{note}" -j DROP')
    assert not iptables.is_ours(rule)
    assert not ip.is_ours(Link("x", alias=note))
    seen = Observed(links={"x": Link("x", alias=note)}, chains={CHAIN: (rule,)})
    assert [*ip.strays(seen, ()), *iptables.strays(seen, (), ())] == []
