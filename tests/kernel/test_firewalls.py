"""Beside the rules of other programs: explain and doctor see what drops, and each fix that they print lets it pass."""

import json

import pytest

from tests.conftest import CANARY, Host
from tests.kernel.lab import HOST, A, Lab

# The shape of firewalld's default backend: its zones are chains, and a last rule rejects.
FIREWALLD = """
table inet firewalld {
  chain filter_FORWARD {
    type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    ip6 daddr { ::/96, ::ffff:0.0.0.0/96 } reject with icmpv6 type addr-unreachable
    jump filter_FORWARD_ZONES
    reject with icmpx admin-prohibited
  }
  chain filter_FORWARD_ZONES {
    iifname "up9" goto filter_FWD_other
    goto filter_FWD_public
  }
  chain filter_FWD_other {
    accept
  }
  chain filter_FWD_public {
    jump filter_FWD_public_allow
    reject with icmpx admin-prohibited
  }
  chain filter_FWD_public_allow {
    iifname { "up8", "up9" } oifname "up2" accept
  }
}
"""
SERVER = "table inet filter { chain forward { type filter hook forward priority 0; policy drop; }; }"
BRIDGE = "table bridge f { chain forward { type filter hook forward priority 0; policy drop; }; }"
EARLY = "table ip early { chain pre { type filter hook prerouting priority -160; policy drop; iifname != a accept; }; }"
PANIC = """
table inet firewalld_policy_drop {
  chain raw_prerouting { type filter hook prerouting priority -291; policy drop; }
  chain raw_output { type filter hook output priority -291; policy drop; }
}
"""
OUT, OPEN = ("192.0.2.2", 80), ["outside 192.0.2.1"]


def labs(firewall=""):
    """Yield one lab for many tests, each of which leaves it as it was."""
    host = Host(firewall)
    host.sh(CANARY)
    lab = Lab(host)
    host.sh("ip route add default via 192.0.2.2 dev up1; sysctl -qew net.bridge.bridge-nf-call-iptables=1")
    host.sh("iptables-save > /run/rules; ip6tables-save > /run/rules6; nft list ruleset > /run/before")
    yield lab
    lab.close()
    host.close()


def leave(lab):
    """Undo what a test has done to the rules of such a lab."""
    restore = "iptables-restore /run/rules; ip6tables-restore /run/rules6"
    lab.host.set_up(f"nft flush ruleset; {restore}; rm -rf /run/fake; mydockernet repair")


@pytest.fixture(scope="module")
def well():
    yield from labs()


@pytest.fixture
def lab(well):
    yield well
    leave(well)


def load(host, ruleset):
    host.run("nft", "-f", "-", stdin=ruleset.replace("; }", "\n}").replace("; ", ";\n").replace("{ chain", "{\nchain"))


def look(host, words, *option):
    done = host.mydockernet([*words.split(), "--format", "json"], check=False, **dict(option))
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def explain(host, words):
    return look(host, f"explain {words}")


def problems(host, **options):
    status, found = look(host, "doctor", *options.items())
    kept = [finding for finding in found if finding["Kind"] == "problem"]
    assert status == (5 if kept else 0)
    return kept


def test_a_host_that_is_well_has_no_problem(lab):
    assert problems(lab.host) == []


@pytest.mark.parametrize("ruleset", [FIREWALLD, SERVER], ids=["firewalld", "server"])
def test_a_foreign_nft_chain_that_drops_is_seen_and_the_fix_lets_all_pass(lab, ruleset):
    host = lab.host
    load(host, ruleset)
    assert lab.ask("a1", OUT, (f"{A}.3", 80)) == ["dropped", "dropped"]
    for words in ("a1 192.0.2.2:80", "a1 a2:80"):
        status, hops = explain(host, words)
        assert (status, hops[-1]["State"]) == (5, "stops"), words
        assert "nftables chain inet " in hops[-1]["What"]
    found = problems(host)
    assert all("whatever others accept" in each["What"] for each in found)
    assert {each["Fix"] for each in found} == {hops[-1]["Fix"]}
    host.sh(hops[-1]["Fix"])
    assert lab.ask("a1", OUT, (f"{A}.3", 80)) == [*OPEN, f"a2 {A}.2"]
    assert lab.ask("outside", (HOST, 8080), (f"{A}.2", 80)) == ["a1 192.0.2.2", "dropped"]
    assert lab.ask("a1", ("10.2.0.2", 80)) == ["dropped"]
    assert (
        explain(host, "a1 192.0.2.2:80")[0] == explain(host, "outside_ host:8080".replace("outside_", "192.0.2.2"))[0]
    )
    assert explain(host, "a1 a2:80")[0] == 0
    assert problems(host) == []


@pytest.mark.parametrize(
    ("ruleset", "words", "target"), [(BRIDGE, "a1 a2:80", (f"{A}.3", 80)), (EARLY, "a1 192.0.2.2:80", OUT)]
)
def test_chains_of_bridges_and_of_other_hooks_are_on_the_way_too(lab, ruleset, words, target):
    host = lab.host
    load(host, ruleset)
    assert lab.ask("a1", target) == ["dropped"]
    status, hops = explain(host, words)
    assert (status, hops[-1]["State"]) == (5, "stops")
    assert "nftables chain" in hops[-1]["What"]
    while status == 5:
        before = hops[-1]
        host.sh(before["Fix"])
        status, hops = explain(host, words)
        assert hops[-1] != before
    # What explain is asked about passes; what doctor lets pass, all do.
    answered = lab.ask("a1", target)[0]
    assert (answered if isinstance(answered, str) else answered[0]) == (
        "outside 192.0.2.1" if target == OUT else f"a2 {A}.2"
    )
    while found := problems(host):
        host.sh(found[0]["Fix"])
        assert found[0] not in problems(host)
    assert lab.ask("a1", target) == (OPEN if target == OUT else [f"a2 {A}.2"])


def test_what_a_rule_asks_that_can_not_be_told_is_a_doubt_and_never_ok(lab):
    load(lab.host, "table ip t { chain c { type filter hook forward priority 5; meta mark 0x7 drop; }; }")
    status, hops = explain(lab.host, "a1 192.0.2.2:80")
    assert (status, hops[-1]["State"]) == (0, "unsure")
    assert "unless a rule marked with ? drops it" in hops[-1]["What"]
    assert any("meta mark 7 drop" in hop["What"] for hop in hops if hop["State"] == "unsure")
    assert ["may drop packets" in each["What"] for each in problems(lab.host)] == [True]


@pytest.mark.parametrize(
    "panic",
    [
        f"nft -f - <<'E'\n{PANIC}\nE\n",
        "for chain in PREROUTING OUTPUT; do iptables -t raw -P $chain DROP; done",
    ],
    ids=["nft", "iptables"],
)
def test_a_panic_mode_is_named_and_not_fought(lab, panic):
    lab.host.sh(
        panic.replace("; }", "\n}").replace("; ", ";\n").replace("{ type", "{\ntype") if "nft" in panic else panic
    )
    status, hops = explain(lab.host, "a1 192.0.2.2:80")
    assert (status, hops[-1]["Fix"]) == (5, "")
    assert "panic mode" in hops[-1]["Why"]
    found = problems(lab.host)
    assert found
    assert all("panic mode" in each["What"] and not each["Fix"] for each in found)
    lab.host.sh("for chain in PREROUTING OUTPUT; do iptables -t raw -P $chain ACCEPT; done")


# Rules of the admin that let only 192.0.2.0/24 and 10.0.0.0/8 use port 8080; the last one is a trap.
TO_8080 = "-p tcp -m conntrack --ctstate DNAT --ctorigdstport 8080"
ONLY = {
    f"{TO_8080} --ctdir ORIGINAL ! -s 192.0.2.0/24": True,
    f"{TO_8080} ! --ctorigsrc 192.0.2.0/24": True,
    f"-m devgroup --dst-group 28004 {TO_8080} ! -s 192.0.2.0/24": True,
    f"{TO_8080} ! -s 192.0.2.0/24": False,
}


@pytest.mark.parametrize("rule", ONLY)
def test_a_rule_about_the_original_flow_is_understood(lab, rule):
    lab.host.sh(f"iptables -A MYDOCKERNET-USER {rule} -j DROP")
    for name, address, passes in (("outside", "192.0.2.2", ONLY[rule]), ("b1", "b1", False)):
        answered = lab.ask(name, (HOST, 8080))[0]
        tcp = answered if isinstance(answered, str) else answered[0]
        assert (tcp != "dropped") is passes
        status, hops = explain(lab.host, f"{address} {HOST}:8080")
        assert (status == 0) is passes, hops
        assert "unsure" not in {hop["State"] for hop in hops}


# How the rules of another program stop ours, and what doctor says.
FOREIGN = {
    "before ours": "iptables -I FORWARD -p udp -j ACCEPT; iptables -I FORWARD -j DROP",
    "in a chain called before ours": "iptables -N X; iptables -A X -o up1 -j DROP; iptables -I FORWARD -j X",
    "put into a chain of ours": "iptables -I MYDOCKERNET-FORWARD -d 192.0.2.0/24 -j DROP",
    "in mangle": "iptables -t mangle -I FORWARD -i a -j DROP",
    "before routing": "iptables -t mangle -I PREROUTING -i a -j DROP",
}


@pytest.mark.parametrize("how", FOREIGN)
def test_a_foreign_drop_before_ours_is_a_problem_and_its_fix_lets_it_pass(lab, how):
    host = lab.host
    host.sh(FOREIGN[how])
    assert lab.ask("a1", OUT) == ["dropped"]
    found = problems(host)
    assert any("drop" in each["What"] for each in found)
    for _ in range(4):
        if not found:
            break
        host.sh(found[0]["Fix"])
        found = problems(host)
    assert found == []
    assert lab.ask("a1", OUT) == OPEN
    assert explain(host, "a1 192.0.2.2:80")[0] == 0


def test_an_accept_in_a_chain_called_before_ours_is_told(lab):
    lab.host.sh("iptables -N THEIRS; iptables -A THEIRS -i up1 -j ACCEPT; iptables -I FORWARD -j THEIRS")
    _, found = look(lab.host, "doctor")
    told = [each for each in found if "may accept packets" in each["What"]]
    assert [each["Evidence"] for each in told] == ["iptables: rule 1 of THEIRS in filter: -i up1 -j ACCEPT"]
    lab.host.sh(told[0]["Fix"])
    assert not [each for each in look(lab.host, "doctor")[1] if "may accept packets" in each["What"]]


def test_a_published_port_is_named_instead_of_publishing_it_again(lab):
    host = lab.host
    _, hops = explain(host, "b1 a2:81")
    assert hops[-1]["Fix"] == "mydockernet publish a a2 81"
    host.sh(f"{hops[-1]['Fix']} >/dev/null")
    _, hops = explain(host, "b1 a2:81")
    assert hops[-1]["Fix"] == ""
    port = hops[-1]["Why"].split("connect to port ")[1].split()[0]
    assert explain(host, f"b1 host:{port}")[0] == 0
    assert lab.ask("b1", (HOST, int(port)))[0][0] == f"a2 {A}.1"
    host.sh(f"mydockernet unpublish a a2 {port}:81")


# A stand-in for firewalld and its client, and where the former runs.
FAKE = """
mkdir -p /run/fake
printf '#!/bin/sh\\ncase $1 in --state) echo running;; --query-panic) echo {panic};; esac\\n' > /run/fake/firewall-cmd
chmod +x /run/fake/firewall-cmd
{where} bash -c 'exec -a /usr/sbin/firewalld sleep 1000' </dev/null >/dev/null 2>&1 &
echo $!
"""


@pytest.mark.parametrize("here", [True, False])
def test_firewalld_is_asked_only_where_it_is_this_hosts(lab, here):
    host = lab.host
    where = "" if here else "ip netns exec b1"
    process = host.sh(FAKE.format(panic="yes", where=where)).stdout.strip()
    env = {"PATH": f"/run/fake:{host.env['PATH']}"}
    host.sh(f"until grep -q firewalld /proc/{process}/cmdline; do sleep 0.05; done")
    found = look(host, "doctor", ("env", env))[1]
    host.sh(f"kill {process}")
    told = [each for each in found if "firewalld" in each["What"]]
    assert [(each["Kind"], each["Fix"]) for each in told] == (
        [("problem", ""), ("notice", "mydockernet repair")] if here else []
    )
