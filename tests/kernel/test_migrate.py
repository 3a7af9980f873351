"""The rules of all networks move from one firewall to another, and back, under traffic."""

import pytest

from tests.conftest import FIREWALLS
from tests.kernel.lab import HOST, made_by_verbs
from tests.kernel.test_reachability import BOTH, matrix

OTHER = {"iptables": "nftables", "nftables": "iptables"}
# Writes down when neither of the two has the rules that close networks; a program in a container does not see them.
GAP = (
    "[ $(readlink /proc/self/ns/net) != {} ] "
    "|| nft list chain inet mydockernet forward 2>/dev/null | grep -q 'drop everything else' "
    "|| iptables -t mangle -S MYDOCKERNET-FORWARD 2>/dev/null | grep -q DNAT.*DROP "
    "|| echo open >> /run/gaps"
)


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_there_and_back_again(make_lab, firewall):
    lab = make_lab("", made_by_verbs, firewall=firewall)
    before = lab.host.everything()
    here = lab.host.run("readlink", "/proc/self/ns/net").stdout.strip()
    # Its programs are looked for on the PATH that the stand-ins are not on.
    env = lab.host.break_programs(f"(PATH={lab.host.env['PATH']}; {GAP.format(here)})", "$n")
    done = lab.host.mydockernet(f"migrate --firewall {OTHER[firewall]}", env=env)
    assert done.stdout == ""
    assert lab.host.calls() > 3
    assert lab.host.sh("cat /run/gaps", check=False).stdout == ""
    assert matrix(lab) == BOTH
    assert lab.host.mydockernet("check").stdout == ""
    left = str(lab.host.snapshot())
    assert ("MYDOCKERNET-" in left) == (OTHER[firewall] == "iptables")
    assert lab.host.mydockernet(f"migrate --firewall {OTHER[firewall]} --dry-run").stdout.startswith("#!/bin/sh")
    lab.host.mydockernet("undo")
    assert lab.host.everything() == before
    assert matrix(lab) == BOTH


STAYS = """
import socket, sys
client = socket.create_connection((sys.argv[1], 8080), timeout=2)
print("connected", flush=True)
sys.stdin.readline()
client.sendall(b"?")
print(client.recv(100).decode(), flush=True)
"""


def test_a_connection_survives(make_lab):
    lab = make_lab("", made_by_verbs)
    client = lab.host.popen("ip", "netns", "exec", "outside", "python3", "-c", STAYS, HOST)
    assert client.stdout.readline() == "connected\n"
    lab.host.mydockernet("migrate --firewall nftables")
    said, _ = client.communicate("\n")
    assert said == "a1 192.0.2.2\n"


def test_networks_of_one_host_have_one_firewall(host):
    host.mydockernet("create web")
    host.fails(
        "create other --firewall nftables",
        4,
        'network "other" would use nftables, but others use another firewall',
        "hint: mydockernet migrate --firewall nftables moves all networks",
    )
    host.mydockernet("migrate --firewall nftables")
    host.mydockernet("create other")
    host.fails("create third --firewall ufw", 2, '--firewall: "ufw" is unknown: use iptables or nftables')


@pytest.mark.parametrize(("missing", "has"), [("iptables-save", "nftables"), ("nft", "iptables")])
def test_where_only_one_is_installed_it_is_that_one(host, missing, has):
    host.sh(f"mount --bind /dev/null $(command -v {missing})")
    env = {"MYDOCKERNET_FIREWALL": ""}
    host.mydockernet("create web", env=env)
    assert ('"firewall": "nftables"' in str(host.state())) == (has == "nftables")
    assert host.mydockernet("check", env=env).stdout == ""
    host.mydockernet("rm web", env=env)
    (other,) = {*FIREWALLS} - {has}
    host.fails(f"create web --firewall {other}", 4, f"the firewall {other} is not installed", env=env)


ADMINS = """
flush ruleset
table inet mydockernet {
  chain user {
    ip saddr 192.0.2.2 tcp dport 80 drop
    ip saddr 192.0.2.2 udp dport 80 drop
  }
}
"""


def test_an_admins_own_rules_may_be_in_a_file_that_flushes_all_others(make_lab):
    """As /etc/nftables.conf is on Debian: repair adds the rest to the table that it has begun."""
    lab = make_lab("", made_by_verbs, firewall="nftables")
    lab.host.run("nft", "-f", "-", stdin=ADMINS)
    assert lab.host.mydockernet("check", check=False).returncode == 5
    lab.host.mydockernet("repair")
    assert lab.host.mydockernet("check").stdout == ""
    assert lab.ask("outside", (HOST, 8080)) == ["dropped"]
    assert lab.ask("neighbour", (HOST, 8080)) == ["a1 198.51.100.2"]
    assert lab.ask("a1", ("192.0.2.2", 81)) == [f"outside {HOST}"]


def test_rules_on_record_are_in_the_words_of_iptables(host):
    host.mydockernet("create web --firewall iptables")
    host.mydockernet("user-rules add web -p tcp --dport 81 -j DROP")
    before = host.everything()
    host.fails(
        "migrate --firewall nftables",
        4,
        'network "web" has rules of the admin in the words of iptables',
        "hint: mydockernet user-rules list web",
    )
    assert host.everything() == before


@pytest.mark.parametrize("first", FIREWALLS)
def test_networks_of_another_state_directory_must_use_the_same_one(host, first):
    """Each firewall would drop what only the other one lets pass."""
    other, there = OTHER[first], {"MYDOCKERNET_STATE_DIR": "/run/other"}
    host.mydockernet(f"create web --firewall {first}")
    before = host.everything()
    conflict = f"networks of another state directory use {first}: all networks of one host must use the same firewall"
    host.fails(f"create db --firewall {other}", 4, conflict, env=there)
    host.sh(f"mydockernet create db --firewall {first}", env=there)
    host.fails(f"migrate --firewall {other}", 4, conflict)
    host.fails("publish db nothing 80:80", 3, env=there)
    host.sh("mydockernet rm db", env=there)
    assert host.everything() == before


def test_a_port_of_another_state_directory_is_not_taken_over(new_host):
    host = new_host(firewall="nftables")
    there = {"MYDOCKERNET_STATE_DIR": "/run/other"}
    host.set_up("ip netns add c1; ip netns add c2; mydockernet create web; mydockernet connect web c1 -p 8080:80")
    host.sh("mydockernet create db", env=there)
    before = host.everything()
    host.fails("connect db c2 -p 8080:80", 4, "of another state directory already exists: web", env=there)
    assert host.everything() == before


def test_ports_that_overlap_in_a_container_are_open_until_the_last_one_closes(make_lab):
    lab = make_lab("", made_by_verbs, firewall="nftables")
    host = lab.host
    host.set_up(
        "ip netns add r1; mydockernet create r --gateway-mode routed --subnet 10.4.0.0/24; ip -n outside route add "
        "10.4.0.0/24 via 192.0.2.1; mydockernet connect r r1 -p 70-80 -p 70-80/udp -p 80 -p 80/udp"
    )
    lab.listen("r1", "r1", "0.0.0.0:80")
    host.mydockernet("unpublish r r1 70-80 70-80/udp")
    assert host.mydockernet("check").stdout == ""
    assert lab.ask("outside", ("10.4.0.2", 80)) == ["r1 192.0.2.2"]
    host.mydockernet("unpublish r r1 80 80/udp")
    assert lab.ask("outside", ("10.4.0.2", 80)) == ["dropped"]
