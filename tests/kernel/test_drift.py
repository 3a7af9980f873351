"""What a host does to a network over a year: check names it, repair restores it, and a second repair plans nothing."""

import json
import os
import random
import re

import pytest

from tests.conftest import FIREWALLS
from tests.kernel.lab import ATTACKERS_LOOPBACK, PLACES, TOPOLOGY, made_by_verbs
from tests.kernel.test_attacks import (
    test_a_neighbour_can_not_reach_what_is_published_on_loopback as loopback_is_guarded,
)
from tests.kernel.test_reachability import BOTH, matrix

NOTHING = "#!/bin/sh\nset -e\n"
SETUP = """
sysctl -qew net.bridge.bridge-nf-call-iptables=0
for c in c1 c2; do ip netns add $c; done
mydockernet create dual --subnet 10.3.0.0/24 --subnet fd00:3::/64
mydockernet create six --subnet fd00:4::/64 --no-icc
mydockernet create web --subnet 10.1.0.0/24 --mtu 1400 --no-icc --metric 50 --route 10.7.0.0/16,prohibit,7
mydockernet create b --subnet 10.2.0.0/24 --route 10.9.0.0/16,10.2.0.9
mydockernet connect web c1 -p 8080:80 -p 127.0.0.1:81:81/udp --ingress-rate 10mbit --egress-rate 1mbit
mydockernet connect b c1
mydockernet connect web c2
mydockernet connect dual c2 -p 8083:80
mydockernet connect six c2
ip -br link show master web | grep -o '^c1-[^@]*' > /run/veth
"""
VETH = "$(cat /run/veth)"
LOSSES = {
    "names": ("rm /run/mydockernet-etc/web/hosts", "web: missing or changed names: /run/mydockernet-etc/web"),
    "a changed name": (
        "echo 10.1.0.9 c1 >> /run/mydockernet-etc/dual/hosts",
        "dual: missing or changed names: /run/mydockernet-etc/dual",
    ),
    "the names of two networks": ("rm -r /run/mydockernet-etc/web,b", "web: missing or changed names"),
    "the link to names": ("rm /etc/netns/c1", "web: missing link: /etc/netns/c1 to /run/mydockernet-etc/web,b"),
    "a rate": (f"tc qdisc del dev {VETH} root", "web: rate of c1-"),
    "another rate": (f"tc qdisc replace dev {VETH} root tbf rate 1mbit burst 9k latency 9ms", "web: rate of c1-"),
    "a container's rate": ("ip netns exec c1 tc qdisc del dev eth0 root", "web: rate of eth0 in /run/netns/c1 is not"),
    "a bridge": ("ip link del web", "web: missing bridge: web"),
    "a veth": (f"ip link del {VETH}", "web: missing veth pair: c1-"),
    "a far end's name": (
        "ip -n c1 link set eth0 down; ip -n c1 link set eth0 name x",
        "web: missing veth pair: c1-",
    ),
    "a far end, moved": ("ip -n c1 link set eth0 netns c2 name lost", "web: missing veth pair: c1-"),
    "a master": (f"ip link set {VETH} nomaster", "web: interface c1-"),
    "another master": (f"ip link set {VETH} master b", "web: interface c1-"),
    "a gateway's address": ("ip addr flush dev web", "web: missing address: 10.1.0.1/24 on web"),
    "an address": ("ip -n c1 addr flush dev eth0", "web: missing address: 10.1.0.2/24 on eth0 in /run/netns/c1"),
    "a bridge's mark": ("ip link set web alias ''", "web: missing alias: mydockernet:web on web"),
    "a veth's mark": (f"ip link set {VETH} alias ''", "web: missing alias: mydockernet:web on c1-"),
    "a link group": ("ip link set web group 0", "web: interface web is not in link group 28004"),
    "a veth's link group": (f"ip link set {VETH} group 7", "web: interface c1-"),
    "an MTU": ("ip link set web mtu 1300", "web: MTU of web is not 1400"),
    "a far end's MTU": ("ip -n c1 link set eth0 mtu 1300", "web: MTU of eth0 in /run/netns/c1 is not 1400"),
    "a MAC address": (
        "ip -n c1 link set eth0 address 02:00:00:00:00:99",
        "web: MAC address of eth0 in /run/netns/c1 is not 02:42:0a:01:00:02",
    ),
    "up of a bridge": ("ip link set dev web down", "web: interface web is down"),
    "up of a veth": (f"ip link set {VETH} down", "web: interface c1-"),
    "up of a far end": (
        "ip -n c1 link set eth0 down",
        "interface eth0 in /run/netns/c1 is down",
    ),
    "up of loopback": ("ip -n c1 link set lo down", "interface lo in /run/netns/c1 is down"),
    "a default route": ("ip -n c1 route del default", "web: missing default route: via 10.1.0.1 metric 50 dev eth0"),
    "a default route's metric": (
        "ip -n c1 route del default; ip -n c1 route add default via 10.1.0.1 dev eth0",
        "web: missing default route: via 10.1.0.1 metric 50 dev eth0",
    ),
    "a static route": (
        "ip -n c1 route del 10.9.0.0/16",
        "b: missing route: 10.9.0.0/16 via 10.2.0.9 dev eth1 in /run/netns/c1",
    ),
    "a static route's gateway": (
        "ip -n c1 route replace 10.9.0.0/16 via 10.2.0.8 dev eth1 protocol 28",
        "b: missing route: 10.9.0.0/16 via 10.2.0.9 dev eth1 in /run/netns/c1",
    ),
    "a route that refuses": (
        "ip -n c1 route del prohibit 10.7.0.0/16 metric 7 table 28001; ip -n c2 route del prohibit 10.7.0.0/16",
        "web: missing route: prohibit 10.7.0.0/16 metric 7 table 28001 in /run/netns/c1",
    ),
    "isolation": (f"bridge link set dev {VETH} isolated off", "web: bridge port c1-"),
    "a neighbour's isolation": (
        "bridge link set dev $(mydockernet inspect b | jq -r '.[0].Containers.c1.HostInterface') isolated on",
        "b: bridge port c1-",
    ),
    "hairpin": (f"bridge link set dev {VETH} hairpin off", "web: bridge port c1-"),
    "forwarding": ("sysctl -w net.ipv4.ip_forward=0", "@shared: sysctl net.ipv4.ip_forward is not 1"),
    "IPv6 of a bridge": (
        "sysctl -w net.ipv6.conf.web.disable_ipv6=0",
        "sysctl net.ipv6.conf.web.disable_ipv6 is not 1",
    ),
    "a bridge's MAC address": (
        "ip link set dev web address 02:00:00:00:00:98",
        "web: MAC address of web is not 02:6d:4b:5e:57:f6",
    ),
    "broadcasts": (f"bridge link set dev {VETH} bcast_flood on", "web: bridge port c1-"),
    "a lookup": ("ip -n c1 rule del priority 28001", "web: missing routing rule: from 10.1.0.2 lookup 28001"),
    "a table": (
        "ip -n c1 route flush table 28002",
        "b: missing route: 10.2.0.0/24 table 28002 dev eth1 in /run/netns/c1",
    ),
    "the rules of ebtables": ("ebtables -t nat -F", "web: ebtables chain MYDOCKERNET-c1-"),
    "one rule of ebtables": (
        "ebtables -t nat -D MYDOCKERNET-$(cat /run/veth) 1",
        "web: ebtables chain MYDOCKERNET-c1-",
    ),
    "a rule of others before those of ebtables": (
        "ebtables -t nat -I PREROUTING -j ACCEPT",
        "web: ebtables chain MYDOCKERNET-c1-",
        "ebtables -t nat -D PREROUTING -j ACCEPT",
    ),
    "route_localnet": (
        "sysctl -w net.ipv4.conf.web.route_localnet=0",
        "sysctl net.ipv4.conf.web.route_localnet is not 1",
    ),
    "IPv6, off": (
        "nsenter --net=/run/netns/c1 sysctl -w net.ipv6.conf.eth0.disable_ipv6=0",
        "sysctl net.ipv6.conf.eth0.disable_ipv6 in /run/netns/c1 is not 1",
    ),
    "rp_filter": (
        "nsenter --net=/run/netns/c1 sysctl -w net.ipv4.conf.eth1.rp_filter=1",
        "b: sysctl net.ipv4.conf.eth1.rp_filter",
    ),
    "an IPv6 gateway's address": (
        "ip -6 addr flush dev dual scope global",
        "dual: missing address: fd00:3::1/64 on dual",
    ),
    "an IPv6 address": ("ip -n c2 -6 addr flush dev eth1 scope global", "dual: missing address: fd00:3::2/64 on eth1"),
    "an IPv6 bridge, up": ("ip link set dev dual down", "dual: interface dual is down"),
    "IPv6 of a bridge, on": (
        "sysctl -w net.ipv6.conf.dual.disable_ipv6=1",
        "sysctl net.ipv6.conf.dual.disable_ipv6 is not 0",
    ),
    "IPv6 inside, on": (
        "nsenter --net=/run/netns/c2 sysctl -w net.ipv6.conf.eth1.disable_ipv6=1",
        "sysctl net.ipv6.conf.eth1.disable_ipv6 in /run/netns/c2 is not 0",
    ),
    "router advertisements on a bridge": (
        "sysctl -w net.ipv6.conf.dual.accept_ra=2",
        "dual: sysctl net.ipv6.conf.dual.accept_ra is not 0",
    ),
    "forwarding of IPv6": (
        "sysctl -w net.ipv6.conf.all.forwarding=0",
        "@shared: sysctl net.ipv6.conf.all.forwarding is not 1",
    ),
    "an IPv6 lookup": (
        "ip -n c2 -6 rule del priority 28002",
        "dual: missing routing rule: from fd00:3::2 lookup 28002",
    ),
    "an IPv6 table": (
        "ip -n c2 -6 route flush table 28002",
        "dual: missing route: fd00:3::/64 table 28002 dev eth1 in /run/netns/c2",
    ),
    "an IPv6 default route": (
        "ip -n c2 -6 route del default table 28002",
        "dual: missing route: default table 28002 dev eth1",
    ),
    "the rule of nftables": (
        "nft delete table bridge mydockernet",
        "@shared: nftables table bridge mydockernet is missing or has changed",
    ),
    "the rule of nftables, changed": (
        "nft add rule bridge mydockernet ports accept",
        "@shared: nftables table bridge mydockernet is missing or has changed",
    ),
}
# The rules themselves.
OF_IPTABLES = {
    "a rule of others before our jump": (
        "iptables -I FORWARD -i lo -j ACCEPT",
        "@shared: misplaced rule: filter FORWARD -j MYDOCKERNET-FORWARD",
        "iptables -D FORWARD -i lo -j ACCEPT",
    ),
    "a rule of others in a chain of ours": (
        "iptables -t mangle -I MYDOCKERNET-PREROUTING -j ACCEPT",
        "web: misplaced rule: mangle MYDOCKERNET-PREROUTING -s 10.1.0.0/24 ! -i web -j DROP",
        "iptables -t mangle -D MYDOCKERNET-PREROUTING -j ACCEPT",
    ),
    "the IPv6 filter table": ("ip6tables -F", "@shared: missing rule: filter FORWARD -j MYDOCKERNET-FORWARD"),
    "a rule of others before our jump, IPv6": (
        "ip6tables -I FORWARD -i lo -j ACCEPT",
        "@shared: misplaced rule: filter FORWARD -j MYDOCKERNET-FORWARD",
        "ip6tables -D FORWARD -i lo -j ACCEPT",
    ),
    "the IPv6 rules": (
        "for t in mangle nat filter; do ip6tables -t $t -F; ip6tables -t $t -X; done",
        "@shared: missing chain: filter MYDOCKERNET-FORWARD",
    ),
    "the filter table": ("iptables -F", "@shared: missing rule: filter FORWARD -j MYDOCKERNET-FORWARD"),
    "the nat table": (
        "iptables -t nat -F; iptables -t nat -X MYDOCKERNET-PORTS",
        "@shared: missing chain: nat MYDOCKERNET-PORTS",
    ),
    "all tables": (
        "for t in raw mangle nat filter; do iptables -t $t -F; iptables -t $t -X; done",
        "@shared: missing chain: filter MYDOCKERNET-FORWARD",
    ),
    "the order of rules": (
        "eval iptables -I MYDOCKERNET-FORWARD $(iptables -S MYDOCKERNET-FORWARD | tail -1 | cut -d' ' -f3-)",
        "@shared: misplaced rules: filter MYDOCKERNET-FORWARD",
    ),
    "one rule, and the order": (
        "iptables -D MYDOCKERNET-FORWARD 4; iptables -D MYDOCKERNET-FORWARD 1;"
        "iptables -A MYDOCKERNET-FORWARD -m comment --comment mydockernet:@shared -j MYDOCKERNET-USER",
        "@shared: misplaced rules: filter MYDOCKERNET-FORWARD",
    ),
    "everything but containers": (
        f"ip link del web; ip link del dev b; ip link del {VETH} || true; for l in $(ip -br link show group 28004 |"
        " cut -d@ -f1); do ip link del dev $l || true; done;"
        "for t in raw mangle nat filter; do iptables -t $t -F; iptables -t $t -X; done;"
        "sysctl -w net.ipv4.ip_forward=0",
        "b: missing bridge: b",
    ),
}
OF_NFTABLES = {
    "the table": (
        "nft delete table inet mydockernet",
        "@shared: nftables table inet mydockernet is missing or has changed",
    ),
    "a rule": (
        "nft flush chain inet mydockernet origin",
        "@shared: nftables table inet mydockernet is missing or has changed",
    ),
    "a rule of others before ours": (
        "nft insert rule inet mydockernet forward accept",
        "@shared: nftables table inet mydockernet is missing or has changed",
    ),
    "a subnet": (
        "nft delete element inet mydockernet masq4 '{ 10.2.0.0/24 }'",
        "b: missing nftables element: masq4 10.2.0.0/24",
    ),
    "a port, and another": (
        "nft delete element inet mydockernet ports4 '{ 0.0.0.0/0 . 0.0.0.0/0 . tcp . 8080 }';"
        "nft delete element inet mydockernet ports6 '{ ::/0 . ::/0 . tcp . 8083 }'",
        "web: missing nftables element: ports4 0.0.0.0/0 . 0.0.0.0/0 . tcp . 8080 : 10.1.0.2 . 80",
    ),
    "what a port is translated to": (
        "nft 'delete element inet mydockernet ports4 { 0.0.0.0/0 . 0.0.0.0/0 . tcp . 8080 };"
        "add element inet mydockernet ports4 { 0.0.0.0/0 . 0.0.0.0/0 . tcp . 8080 : 10.1.0.9 . 80 }'",
        "web: missing nftables element: ports4 0.0.0.0/0 . 0.0.0.0/0 . tcp . 8080 : 10.1.0.2 . 80",
    ),
    "an accept beside the rules of others": (
        "iptables -D FORWARD 1",
        "@shared: missing rule: filter FORWARD -m devgroup --dst-group",
    ),
    "a rule of others before it": (
        "iptables -I FORWARD -i lo -j ACCEPT",
        "@shared: misplaced rule: filter FORWARD -m devgroup --src-group",
        "iptables -D FORWARD -i lo -j ACCEPT",
    ),
    "the table, and bridges": (
        f"ip link del web; ip link del dev b; ip link del {VETH} || true; nft delete table inet mydockernet",
        "b: missing bridge: b",
    ),
}


def ours(host):
    """Links, routes and the rules that are mydockernet's; those of the canary may have been flushed with them."""
    seen = host.snapshot()
    rules = {
        (family, table): [rule for rule in body if "ydockernet" in rule.lower()]
        for family in ("rules", "rules6")
        for table, body in seen[family].items()
    }
    rules = {table: body for table, body in rules.items() if body}
    return seen["host"], seen["inside"], rules, seen["table"], seen["frames"], seen["names"], host.sysctls()


def lose_and_repair(host, damage, *told, whole, after=""):
    """check names it and changes nothing; repair restores it; then there is nothing to do. Returns what check said.

    `whole` is what is ours before; `after` takes away what is not ours, which a repair leaves there.
    """
    host.sh(damage)
    broken = host.everything()
    check = host.mydockernet("check", check=False)
    assert check.returncode == 5, (damage, check)
    for text in told:
        assert text in check.stdout, check.stdout
    assert host.everything() == broken
    assert host.mydockernet("repair").stdout == check.stdout
    host.sh(after)
    assert ours(host) == whole, damage
    assert host.mydockernet("repair --dry-run").stdout == NOTHING
    return check.stdout


@pytest.mark.long
@pytest.mark.parametrize(("firewall", "part"), [(firewall, part) for firewall in FIREWALLS for part in range(2)])
def test_what_is_lost_is_named_and_restored(new_host, firewall, part):
    host = new_host(firewall=firewall)
    host.set_up(SETUP)
    whole = ours(host)
    own = {"iptables": OF_IPTABLES, "nftables": OF_NFTABLES}[firewall]
    losses = [*[*LOSSES.values()][FIREWALLS.index(firewall) :: 2], *own.values()]
    for damage, told, *after in losses[part::2]:
        lose_and_repair(host, damage, told, whole=whole, after="".join(after))


def test_each_element_that_is_lost_is_named_and_restored(new_host):
    host = new_host(firewall="nftables")
    host.set_up(SETUP)
    whole = ours(host)
    elements = [*elements_of(host)]
    assert len(elements) > 15
    for part in range(2):
        deleted = (f"nft delete element inet mydockernet {each} '{{ {key} }}'" for each, key in elements[part::2])
        told = [f": missing nftables element: {each} {key}" for each, key in elements[part::2]]
        said = lose_and_repair(host, "; ".join(deleted), *told, whole=whole)
        assert said.count("\n") == len(told)


def elements_of(host):
    """All elements of the table, each as a set and a key."""
    for line in host.sh("nft list table inet mydockernet | tr -d '\n' | tr '}' '\n'").stdout.splitlines():
        if found := re.search(r"(?:set|map) (\w+) \{.*elements = \{(.*)", line):
            yield from (
                (found[1], key) for key in re.findall(r'([^\s,][^,]*?)(?: counter packets .*?)? comment "my', found[2])
            )


def test_each_rule_that_is_lost_or_doubled_is_named_and_restored(host):
    host.set_up(SETUP)
    whole = ours(host)
    rules = [
        (table, rule)
        for table in ("raw", "mangle", "nat", "filter")
        for rule in host.run("iptables", "-t", table, "-S").stdout.splitlines()
        if "mydockernet:" in rule
    ]
    assert len(rules) > 15
    # Every fourth is lost and the one after it doubled; in the end each was both. First and last are neighbors, too.
    parts = 4 if (len(rules) - 1) % 4 else 5
    pairs = list(zip(rules, [*rules[1:], rules[0]], strict=True))
    for part in range(parts):
        damage, told = [], []
        for (table, rule), (other_table, other) in pairs[part::parts]:
            owner, other_owner = (re.search(r"mydockernet:([\w@]+)", text)[1] for text in (rule, other))
            damage += [f"iptables -t {table} {rule.replace('-A', '-D', 1)}", f"iptables -t {other_table} {other}"]
            told += [f"{owner}: missing rule: ", f"{other_owner}: "]
        said = lose_and_repair(host, "; ".join(damage), *told, whole=whole)
        assert said.count(": missing rule: ") == len(pairs[part::parts])


def test_what_carries_our_mark_and_belongs_to_nothing_is_removed(host):
    host.set_up(SETUP)
    said = lose_and_repair(
        host,
        "ip link add old type bridge; ip link set old alias mydockernet:old;"
        "ip link add old1 type veth peer name old2; ip link set old1 alias mydockernet:web;"
        "iptables -t nat -A POSTROUTING -s 10.9.0.0/24 -m comment --comment mydockernet:old -j MASQUERADE;"
        "iptables -t nat -A MYDOCKERNET-PORTS -p tcp --dport 99 -m comment --comment mydockernet:web"
        " -j DNAT --to-destination 10.1.0.9:99",
        "old: leftover interface: old",
        "web: leftover interface: old1",
        "old: leftover rule: nat POSTROUTING -s 10.9.0.0/24",
        "web: leftover rule: nat MYDOCKERNET-PORTS -p tcp",
        whole=ours(host),
    )
    assert said.count("\n") == 4


def test_without_a_network_all_that_is_left_over_is_removed(host):
    before = host.snapshot()
    host.set_up(SETUP + "rm -r /var/lib/mydockernet")
    assert host.mydockernet("check", check=False).returncode == 5
    host.mydockernet("repair")
    host.sh("ip netns del c1; ip netns del c2")
    assert host.snapshot() == before
    assert host.mydockernet("check").stdout == ""


def test_so_are_elements_that_carry_it(new_host):
    host = new_host(firewall="nftables")
    host.set_up(SETUP)
    said = lose_and_repair(
        host,
        """nft add element inet mydockernet masq4 '{ 10.99.0.0/24 comment "mydockernet:old" }'
        nft add element inet mydockernet own_ports4 '{ 0.0.0.0/0 . tcp . 99 comment "mydockernet:web" : 10.1.0.9 . 9 }'
        """,
        "old: leftover nftables element: masq4 10.99.0.0/24",
        "web: leftover nftables element: own_ports4 0.0.0.0/0 . tcp . 99",
        whole=ours(host),
    )
    assert said.count("\n") == 2


def test_what_does_not_carry_it_in_nftables_is_never_touched(new_host):
    host = new_host(firewall="nftables")
    host.set_up(SETUP)
    host.sh(
        "nft add rule inet mydockernet user ip saddr 198.51.100.3 drop; nft add table inet other;"
        "nft add rule inet mydockernet user ip saddr @bridged4 counter;"
        "nft add set inet mydockernet mine '{ type ipv4_addr; }';"
        "nft add element inet mydockernet masq4 '{ 10.99.0.0/24 }'; nft add chain inet mydockernet others"
    )
    before = host.snapshot()
    assert host.mydockernet("check").stdout == ""
    host.mydockernet("repair")
    host.sh("nft flush chain inet mydockernet origin; mydockernet repair")
    assert host.snapshot() == before
    host.mydockernet("rm -f web b dual six")
    assert "198.51.100.3" in host.run("nft", "list", "chain", "inet", "mydockernet", "user").stdout
    assert "drop everything else" not in host.run("nft", "list", "ruleset").stdout


def test_what_does_not_carry_our_mark_is_never_touched(host):
    host.set_up(SETUP)
    host.sh(
        "iptables -A FORWARD -s 198.51.100.1 -j DROP; iptables -A MYDOCKERNET-FORWARD -s 198.51.100.2 -j DROP;"
        "iptables -A MYDOCKERNET-USER -s 198.51.100.3 -j DROP; ip link add foreign group 28004 type bridge;"
        "ip link set foreign alias somebody; ip netns add mydockernet-foreign"
    )
    before = host.snapshot()
    assert host.mydockernet("check").stdout == ""
    host.mydockernet("repair")
    assert host.snapshot() == before


def test_a_container_whose_namespace_is_gone_is_detached_and_told(host):
    host.set_up(SETUP + "ip netns del c1")
    check = host.mydockernet("check", check=False)
    gone = [line for line in check.stdout.splitlines() if "c1" in line]
    assert gone == [f"{n}: container c1 is detached: no namespace at /run/netns/c1" for n in ("b", "web")]
    done = host.mydockernet("repair")
    assert done.stdout == check.stdout
    listed = host.mydockernet(["list", "--format", "{{.Name}} {{.Containers}} {{.State}}"]).stdout
    assert listed == "b 1 up\ndual 1 up\nsix 1 up\nweb 2 up\n"
    assert host.mydockernet("repair --dry-run").stdout == NOTHING
    assert "10.1.0.2" not in str(host.rules())


def test_after_a_reboot_the_networks_are_there_again(new_host):
    """A reboot: the state folder is all that is left."""
    old, new = new_host(), new_host()
    old.set_up(SETUP)
    new.sh("tar -x -C /", stdin=old.sh("tar -c -C / var/lib/mydockernet").stdout)
    check = new.mydockernet("check", check=False).stdout
    assert ": missing bridge: web" in check
    assert "web: container c1 is detached: no namespace at /run/netns/c1\n" in check
    assert new.mydockernet("repair").stdout == check
    old.sh("mydockernet disconnect web c1; mydockernet disconnect b c1; mydockernet disconnect web c2")
    old.sh("mydockernet disconnect dual c2; mydockernet disconnect six c2")
    old.sh("ip netns del c1; ip netns del c2")
    assert ours(new) == ours(old)
    assert new.mydockernet("check").stdout == ""
    assert new.mydockernet("repair --dry-run").stdout == NOTHING


def test_after_a_reboot_any_verb_keeps_ipv6_out_of_networks_without_it(new_host):
    """Also without a repair before it: the record has a network of this kind, but the kernel lacks the rule."""
    old, new = new_host(), new_host()
    old.mydockernet("create web")
    new.sh("tar -x -C /", stdin=old.sh("tar -c -C / var/lib/mydockernet").stdout)
    new.mydockernet("create other")
    table = old.run("nft", "list", "table", "bridge", "mydockernet").stdout
    assert new.run("nft", "list", "table", "bridge", "mydockernet").stdout == table
    new.mydockernet("remove other web")
    assert new.run("nft", "list", "table", "bridge", "mydockernet", check=False).returncode == 1


def containers(host):
    """What is in the five containers of the lab."""
    inside = host.snapshot()["inside"]
    return {name: inside[name] for name in ("a1", "a2", "b1", "i1", "i2")}


ROUTE_OUT = "ip -n i1 route add default via 10.3.0.1; ip -n i1 route add default via fd00:3::1;"
REBOOT = """
for t in raw mangle nat filter; do iptables -t $t -F; iptables -t $t -X; done
for n in $(ls /run/netns); do ip netns delete $n; done
for l in $(ls /sys/class/net); do ip link delete dev $l 2>/dev/null || true; done
sysctl -qw net.ipv4.ip_forward=0
"""


@pytest.mark.parametrize(
    ("driver", "first"), [("bridge", "true"), ("bridge", "mydockernet repair"), ("ptp", "mydockernet repair")]
)
def test_after_a_reboot_one_repair_makes_everything_answer_as_before(make_lab, driver, first):
    """Three networks and five containers; their namespaces are made again by name, in another order."""
    lab = make_lab("", made_by_verbs, driver)
    host = lab.host
    before = containers(host), host.mydockernet("list").stdout
    lab.close()
    host.sh(REBOOT)
    host.sh(first)
    host.sh("for n in i2 b1; do ip netns add $n; done; ip netns add other")
    host.sh(TOPOLOGY.replace(PLACES, "outside neighbour i1 a2 a1") + ATTACKERS_LOOPBACK)
    check = host.mydockernet("check", check=False)
    assert check.returncode == 5
    assert "b: container b1 has a new namespace at /run/netns/b1\n" in check.stdout
    assert host.mydockernet("repair").stdout == check.stdout
    assert host.mydockernet("check").stdout == ""
    host.sh(ROUTE_OUT + "ip netns delete other")  # The test's own, not mydockernet's.
    assert (containers(host), host.mydockernet("list").stdout) == before
    lab.listen_everywhere()
    assert matrix(lab) == BOTH


def test_a_detached_container_keeps_its_address_and_ports_but_no_rule(host):
    host.set_up(SETUP + "ip netns add c3; mydockernet create other; ip netns del c1")
    assert states(host, "web") == "drifted c1 detached c2 up"
    check = host.mydockernet("check", check=False)
    assert "web: container c1 is detached: no namespace at /run/netns/c1\n" in check.stdout
    assert host.mydockernet("repair").stdout == check.stdout
    # On record and nothing left over: a monitor need not hear of it every minute.
    assert host.mydockernet("check").stdout == ""
    assert states(host, "web") == "up c1 detached c2 up"
    assert "10.1.0.2" not in host.run("iptables-save").stdout
    assert host.mydockernet("connect web c3").stdout == "10.1.0.4\n"
    host.fails("connect other c3 --ip 10.1.0.2", 2)
    host.fails("publish web c3 8080:80", 4, 'port 8080/tcp is already in use by container "c1" on network "web"')
    host.fails(
        "publish web c1 99:99", 4, 'the namespace of container "c1" is gone', "mydockernet repair web attaches it again"
    )
    assert host.mydockernet("prune").stdout == "other\n"
    host.sh("ip netns add c1")
    assert host.mydockernet("list --format '{{.Name}} {{.State}}' --filter name=web").stdout == "web drifted\n"
    assert host.mydockernet("check", check=False).returncode == 5
    host.mydockernet("repair")
    assert states(host, "web") == "up c1 up c2 up c3 up"
    assert "--to-destination 10.1.0.2:80" in host.run("iptables-save").stdout


def states(host, network):
    """The state of a network, and of each of its containers by name."""
    (record,) = json.loads(host.mydockernet(f"inspect {network}").stdout)
    return " ".join([record["State"], *(f"{name} {c['State']}" for name, c in record["Containers"].items())])


def test_a_detached_container_can_be_connected_again_or_disconnected(host):
    host.set_up(SETUP + "ip netns del c1; mydockernet repair; ip netns add c1")
    host.fails("connect web c1 --gw-priority 5", 4, "detached, with a different --gw-priority")
    host.fails(
        "connect web c1 --ip 10.1.0.9", 4, 'container "c1" is already on network "web", detached, with a different --ip'
    )
    assert host.mydockernet("connect web c1 -p 8080:80").stdout == "10.1.0.2\n"
    assert states(host, "web") == "up c1 up c2 up"
    assert states(host, "b") == "drifted c1 detached"
    host.mydockernet("repair")
    assert states(host, "b") == "up c1 up"
    host.sh("ip netns del c1; mydockernet repair; mydockernet disconnect web c1; mydockernet disconnect b c1")
    assert states(host, "web") == "up c2 up"
    assert host.mydockernet("check").stdout == ""


def test_a_detached_container_at_a_path_comes_back_and_a_pid_does_not(host):
    host.set_up(SETUP + "touch /run/ns; mount --bind /run/netns/c2 /run/ns; ip netns add c4; mydockernet create d")
    host.sh("mydockernet connect d /run/ns --name db")
    with host.popen("unshare", "-n", "sh", "-c", "echo $$; exec sleep infinity") as container:
        pid = container.stdout.readline().strip()
        host.mydockernet(f"connect d {pid}")
        container.kill()
    host.sh("umount /run/ns; rm /run/ns")
    told = host.mydockernet("repair").stdout
    assert f"d: container {pid} is gone: /proc/{pid}/ns/net\n" in told
    assert "d: container db is detached: no namespace at /run/ns\n" in told
    assert states(host, "d") == "up db detached"
    host.sh("touch /run/ns; mount --bind /run/netns/c4 /run/ns; mydockernet repair")
    assert states(host, "d") == "up db up"


def test_the_number_of_a_namespace_that_is_gone_means_nothing(host):
    """After a reboot numbers come again: that of c1 may be that of another container."""
    host.set_up(SETUP + "ip netns del c1; ip netns add c3; cd /var/lib/mydockernet/networks")
    host.sh(
        "inode=$(stat -L -c %d:%i /run/netns/c3); cd /var/lib/mydockernet/networks; python3 - $inode <<'END'\n"
        "import json, pathlib, sys\n"
        "for name in ('web', 'b'):\n"
        "    path = pathlib.Path(f'{name}.json'); record = json.loads(path.read_text())\n"
        "    for endpoint in record['network']['endpoints']:\n"
        "        if endpoint['name'] == 'c1':\n"
        "            endpoint['namespace']['inode'] = sys.argv[1]\n"
        "    path.write_text(json.dumps(record))\n"
        "END"
    )
    host.mydockernet("connect web c3")
    assert host.mydockernet("disconnect b c3", check=False).returncode == 3
    host.mydockernet("repair")
    assert states(host, "web") == "up c1 detached c2 up c3 up"


@pytest.mark.parametrize("damage", ["all tables", "everything"])
def test_after_a_repair_the_tables_of_reachability_and_attacks_hold_again(make_lab, damage):
    lab = make_lab("", made_by_verbs)
    flush = "for t in raw mangle nat filter; do iptables -t $t -F; iptables -t $t -X; done;"
    flush += flush.replace("iptables", "ip6tables")
    links = "for l in $(ip -br link show type bridge | grep -v canary | cut -d' ' -f1); do ip link del dev $l; done;"
    links += "for l in $(ip -br link show group 28004 | cut -d@ -f1); do ip link del dev $l; done;"
    links += "for l in $(ip -br link show group 28006 | cut -d@ -f1); do ip link del dev $l; done;"
    lab.host.sh(flush + (links if damage == "everything" else ""))
    assert matrix(lab) != BOTH
    lab.host.mydockernet("repair")
    if damage == "everything":
        lab.host.sh(ROUTE_OUT)  # The test's own, not mydockernet's.
    assert matrix(lab) == BOTH
    loopback_is_guarded(lab)


def test_one_network_alone_is_checked_and_repaired(host):
    host.set_up(SETUP + "ip link set dev web down; ip link set dev b down")
    assert host.mydockernet("check b", check=False).stdout == "b: interface b is down\n"
    host.mydockernet("repair b")
    assert host.mydockernet("check b").returncode == 0
    assert "web: interface web is down\n" in host.mydockernet("check web", check=False).stdout
    host.fails("check nope", 3, 'network "nope" not found')
    host.fails("repair nope b", 3, 'network "nope" not found')


def test_check_speaks_json(host):
    host.set_up(SETUP + "ip link set dev web down")
    lines = host.mydockernet("check web --format json", check=False).stdout.splitlines()
    assert json.loads(lines[0]) == {"Network": "web", "State": "missing", "What": "interface web is down"}


def test_a_foreign_interface_in_the_way_of_a_repair_is_told(host):
    host.set_up(SETUP + "ip link del dev b; ip link add dev b type bridge")
    before = host.everything()
    host.fails("repair", 4, 'interface "b" already exists')
    assert host.everything() == before


def test_check_names_a_change_that_was_killed_and_repair_takes_it_back(host):
    host.set_up(SETUP)
    before = host.everything()
    host.mydockernet("create late", env=host.break_programs('"$real" "$@"; kill -9 $PPID', 5), check=False)
    check = host.mydockernet("check", check=False)
    assert "late: interrupted change" in check.stdout
    host.mydockernet("repair")
    assert host.everything() == before


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_two_state_folders_leave_each_other_alone(new_host, firewall):
    host = new_host(firewall=firewall)
    other = {"MYDOCKERNET_STATE_DIR": "/run/other"}
    host.set_up(SETUP)
    host.sh("ip netns add c3; mydockernet create web; mydockernet connect web c3 -p 9090:90", env=other)
    before = host.everything()
    for env in ({}, other):
        assert host.mydockernet("check", env=env).stdout == ""
        assert host.mydockernet("repair", env=env).stdout == ""
    host.sh("iptables -F; iptables -t nat -F; iptables -t raw -F; nft flush ruleset")
    host.sh("mydockernet repair", env=other)
    assert "mydockernet:web@" in host.sh("iptables-save; nft list ruleset").stdout
    host.sh("mydockernet repair")
    host.sh("mydockernet rm -f web b dual six")
    assert host.mydockernet("check", env=other).stdout == ""
    host.sh("mydockernet rm -f web", env=other)
    host.sh("ip netns del c1; ip netns del c2; ip netns del c3")
    assert "ydockernet" not in str(host.snapshot()).lower()
    assert before


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_the_last_network_of_any_state_folder_takes_what_all_shared(new_host, firewall):
    host = new_host(firewall=firewall)
    other = {"MYDOCKERNET_STATE_DIR": "/run/other"}
    before = host.snapshot()["rules"]
    host.sh("ip netns add c1; mydockernet create web; mydockernet connect web c1 -p 8080:80")
    host.sh("mydockernet create x", env=other)
    host.mydockernet("rm -f web")
    host.sh("mydockernet rm x", env=other)
    assert host.snapshot()["rules"] == before
    assert host.snapshot()["table"] == []
    assert host.mydockernet("check").stdout == ""


def test_a_dead_container_of_another_state_folder_is_no_drift_of_ours(host):
    other = {"MYDOCKERNET_STATE_DIR": "/run/other"}
    host.sh("mydockernet create web; ip netns add c1")
    host.sh("mydockernet create x --no-icc; mydockernet connect x c1; ip netns delete c1", env=other)
    host.sh("while ip -br link | grep -q c1-; do sleep 0.1; done")
    assert host.mydockernet("check").stdout == ""


def test_what_a_detached_container_will_have_again_is_not_given_away(host):
    host.sh("ip netns add c1; for n in a b c; do mydockernet create $n; done; mydockernet connect a c1")
    host.sh(
        "mydockernet connect b c1; ip netns delete c1; mydockernet repair; ip netns add c1; mydockernet connect c c1"
    )
    host.mydockernet("repair")
    assert host.mydockernet("check").stdout == ""
    assert host.sh("ip -n c1 -br link show type veth | cut -d@ -f1 | sort").stdout.split() == ["eth0", "eth1", "eth2"]


ROUNDS = int(os.environ.get("MYDOCKERNET_TEST_ROUNDS", "1"))
KILLS = ROUNDS * 12
VERBS = [
    "create late --subnet 10.7.0.0/24",
    "connect b c2 -p 90:90",
    "disconnect web c1",
    "publish web c2 99:99",
    "unpublish web c1 8080:80",
    "rm -f web",
    "repair",
]


@pytest.mark.long
def test_killed_at_any_instant_one_repair_makes_it_before_or_after(host):
    host.set_up(SETUP)
    chance = random.Random(os.environ.get("MYDOCKERNET_TEST_SEED", "1"))
    whole = host.snapshot(), host.state()
    host.sh("cp -a /var/lib/mydockernet /run/saved")
    for turn in range(KILLS):
        verb = VERBS[turn % len(VERBS)]
        delay = chance.uniform(0.05, 0.35)
        host.sh(f"timeout -s KILL {delay:.3f} mydockernet {verb} || true")
        if chance.random() < 0.3:
            host.sh(f"timeout -s KILL {chance.uniform(0.05, 0.35):.3f} mydockernet repair || true")
        host.mydockernet("repair")
        assert host.mydockernet("check").stdout == "", (verb, delay)
        if host.state() == whole[1]:
            assert host.snapshot() == whole[0], (verb, delay)
        # Back to where it began, whatever came of it. What is in a container, no record leads back to.
        for place in ("b c2", "b c1"):  # Without web, it is b that gives c1 its default route.
            host.mydockernet(f"disconnect {place}", check=False)
        host.set_up("rm -r /var/lib/mydockernet; cp -a /run/saved /var/lib/mydockernet; mydockernet repair")
        assert host.snapshot() == whole[0], (verb, delay)


def test_a_repair_that_is_killed_at_any_call_is_finished_by_the_next(host):
    host.set_up(SETUP)
    whole = ours(host)
    for at in range(1, 60, 3 if ROUNDS == 1 else 1):
        host.sh("for t in raw mangle nat filter; do iptables -t $t -F; iptables -t $t -X; done; ip link del dev web")
        env = host.break_programs('"$real" "$@"; kill -9 $PPID; exit 1', at)
        host.mydockernet("repair", env=env, check=False)
        calls = host.calls()
        host.mydockernet("repair")
        assert ours(host) == whole, at
        if calls < at:
            return
    raise AssertionError("it never ended")


def test_a_full_disk_leaves_all_as_it_was(host):
    host.sh(
        "mount -t tmpfs -o size=64k,mode=0700 small /var/lib/mydockernet 2>/dev/null ||"
        " { mkdir -m 0700 /var/lib/mydockernet; mount -t tmpfs -o size=64k,mode=0700 small /var/lib/mydockernet; }"
    )
    host.sh("mydockernet create web; ip netns add c1")
    host.sh("head -c 1m /dev/zero > /var/lib/mydockernet/filler || true")
    before = host.snapshot()
    for words in ("create other", "connect web c1"):
        host.fails(words, 1, "cannot write /var/lib/mydockernet/", "No space left on device")
        assert host.snapshot() == before
    host.sh("rm /var/lib/mydockernet/filler")
    assert host.mydockernet("check").stdout == ""
    host.mydockernet("create other")


def test_a_read_only_state_folder_leaves_all_as_it_was(host):
    host.sh("mydockernet create web; ip netns add c1")
    host.sh("mount --bind /var/lib/mydockernet /var/lib/mydockernet; mount -o remount,bind,ro /var/lib/mydockernet")
    before = host.everything()
    for words in ("create other", "connect web c1", "rm web"):
        host.fails(words, 1, "Read-only file system")
        assert host.everything() == before
    assert host.mydockernet("check").returncode == 0


def test_check_fails_where_root_could_not_read_all_that_it_asks_for(host):
    host.sh("mydockernet create web; ip netns add c1; mydockernet connect web c1")
    unread = {"PATH": f"/run/fake:{host.env['PATH']}"}
    host.sh("mkdir /run/fake; printf '#!/bin/sh\\nexit 9\\n' > /run/fake/iptables-save; chmod +x /run/fake/*")
    host.fails("check", 1, "error: cannot check everything: iptables-save: 9", env=unread)
    rights = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "mydockernet", "check")
    assert "assumed to match the record" in host.run(*rights, env=unread, check=False).stderr
    host.sh(
        "rm /run/fake/*; printf '#!/bin/sh\\ncase $* in --net=*-json*) exit 9;; esac\\n"
        'exec /usr/bin/nsenter "$@"\\n\' > /run/fake/nsenter; chmod +x /run/fake/*'
    )
    done = host.mydockernet("check", env=unread, check=False)
    assert done.returncode == 5
    assert "web: cannot repair container c1: cannot read the namespace /run/netns/c1" in done.stdout
    # A container that can't be looked into hides nothing of the host's.
    host.sh("iptables -F MYDOCKERNET-FORWARD")
    done = host.mydockernet("check", env=unread, check=False)
    assert done.returncode == 5
    assert "@shared: missing rule: " in done.stdout
    host.sh("mydockernet repair; ip netns delete c1")
    assert host.mydockernet("check", env=unread, check=False).returncode == 5


def test_notes_that_only_speak_of_mydockernet_are_left_alone(host):
    host.sh(
        "mydockernet create web; ip link add lab type bridge; ip link set lab alias 'mydockernet:w (of the lab)';"
        "iptables -A INPUT -m comment --comment 'mydockernet: allow the vpn, do not touch' -j ACCEPT"
    )
    before = host.everything()
    assert host.mydockernet("check").stdout == ""
    assert host.mydockernet("repair").stdout == ""
    assert host.everything() == before
