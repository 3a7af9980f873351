"""Beside a real ufw: it lets through what networks need, and a rule on record makes `ufw route` decide."""

import pytest

from tests.kernel.lab import HOST, A, B, over_ipv6
from tests.kernel.test_reachability import BOTH, matrix
from tests.kernel.ufw import Ufw, needs_ufw

pytestmark = needs_ufw

# ufw drops what would reach programs of the host itself.
BESIDE = BOTH | {(place, address, port): "dropped" for place, address, port in BOTH if (place, port) == ("i1", 82)}
BESIDE |= {(place, address, port): "dropped" for place, address, port in BOTH if (place, port) == ("outside", 8081)}
EVENTS = ("reload", "disable", "--force enable", "--force reset")


@pytest.fixture
def beside(make_lab):
    """A lab, and ufw, which is enabled."""
    lab = make_lab(firewall="iptables")
    ufw = Ufw(lab.host)
    ufw("--force enable")
    return lab, ufw


def test_all_rows_hold_beside_ufw_and_after_each_event(beside):
    lab, ufw = beside
    assert matrix(lab, BESIDE) == BESIDE
    for event in EVENTS:
        ufw(event)
        assert lab.host.mydockernet("check").stdout == "", event
        rows = BOTH if "reset" in event or event == "disable" else BESIDE
        assert matrix(lab, rows) == rows, event


PUBLISHED = [("outside", HOST, 8080), ("b1", HOST, 8080), ("outside", over_ipv6(HOST), 8080)]
OPEN = ["a1 192.0.2.2", f"a1 {A}.1", "a1 2001:db8:1::2"]
SHUT = ["dropped", f"a1 {A}.1", "a1 2001:db8:1::2"]


def test_ufw_decides_about_forwarded_packets_if_a_rule_on_record_asks_it(beside):
    lab, ufw = beside
    host = lab.host
    told = host.mydockernet("doctor", check=False).stdout
    assert "ufw is active, but published ports bypass it" in told
    assert "mydockernet user-rules add NETWORK -4 -j ufw-user-forward" in told
    ufw("deny 8080")
    ufw(f"route deny from 192.0.2.0/24 to {A}.2 port 80")
    assert lab.ask_at_once(PUBLISHED) == OPEN
    host.fails("user-rules add a -j ufw-user-forward", 3, 'ip6tables has no chain "ufw-user-forward"')
    host.mydockernet("user-rules add a -4 -j ufw-user-forward")
    host.mydockernet("user-rules add a -6 -j ufw6-user-forward")
    assert lab.ask_at_once(PUBLISHED) == SHUT
    assert "ufw is active" not in host.mydockernet("doctor", check=False).stdout
    # An earlier rule that allows opens; ports that are not published stay closed whatever ufw allows.
    ufw(f"route insert 1 allow from 192.0.2.2 to {A}.2 port 80")
    ufw(f"route allow from 192.0.2.2 to {A}.2 port 81")
    assert lab.ask_at_once(PUBLISHED) == OPEN
    assert lab.ask("outside", (f"{A}.2", 81)) == ["dropped"]
    ufw(f"--force route delete allow from 192.0.2.2 to {A}.2 port 80")
    for event, answers in (("reload", SHUT), ("disable", OPEN), ("--force enable", SHUT), ("--force reset", OPEN)):
        ufw(event)
        found = host.mydockernet("check", check=False)
        assert lab.ask_at_once(PUBLISHED) == answers, (event, found)
        assert found.stdout == "", event
    ufw("--force enable")
    host.mydockernet("rm -f a b i")
    assert "ydockernet" not in str(host.snapshot()).lower()


def test_a_chain_of_ufw_that_is_gone_blocks_no_repair(beside):
    lab, ufw = beside
    host = lab.host
    host.mydockernet("user-rules add a -4 -j ufw-user-forward")
    ufw("disable")
    # As after a reboot on which ufw does not start.
    host.sh("for t in mangle nat filter; do iptables -t $t -F; iptables -t $t -X; done")
    done = host.mydockernet("repair", check=False)
    assert done.returncode == 5
    assert 'iptables has no chain "ufw-user-forward", to which a rule of the admin jumps' in done.stderr
    assert matrix(lab) == BOTH
    assert host.mydockernet("check", check=False).stdout == (
        'a: iptables has no chain "ufw-user-forward", to which a rule of the admin jumps: '
        "MYDOCKERNET-USER -j ufw-user-forward: create it, and run mydockernet repair\n"
    )
    ufw("--force enable")
    host.mydockernet("repair")
    assert host.mydockernet("check").stdout == ""


ONLY = "-p tcp -m conntrack --ctstate DNAT --ctorigdstport 8080 ! --ctorigsrc 192.0.2.0/24 -j DROP"


def test_only_some_reach_a_published_port(beside):
    """By --from, and by a rule on record, which asks for the source of the whole flow."""
    lab, _ = beside
    lab.host.mydockernet("publish a a2 9000:80 9000:80/udp --from 192.0.2.0/24")
    asked = [("outside", HOST, 9000), ("b1", HOST, 9000), ("neighbour", "198.51.100.1", 9000)]
    assert lab.ask_at_once(asked) == ["a2 192.0.2.2", "dropped", "dropped"]
    for protocol in ("tcp", "udp"):
        lab.host.mydockernet(f"user-rules add a {ONLY.replace('tcp', protocol)}")
    asked = [("outside", HOST, 8080), ("b1", HOST, 8080), ("b1", f"{B}.1", 8080), ("neighbour", "198.51.100.1", 8080)]
    assert lab.ask_at_once(asked) == ["a1 192.0.2.2", "dropped", "dropped", "dropped"]
    assert lab.ask("b1", ("192.0.2.2", 81)) == [f"outside {HOST}"]
