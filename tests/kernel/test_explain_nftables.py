"""What explain and doctor say of a host whose networks are in nftables: the truth, and fixes that let packets pass."""

import json

import pytest

from tests.kernel.lab import HOST, A
from tests.kernel.test_explain import REPAIR_A, WELL
from tests.kernel.test_firewalls import FIREWALLD, OPEN, OUT, SERVER, labs, leave, load, look, problems

TABLE = "inet mydockernet"
PORT = f"{TABLE} ports4 '{{ 0.0.0.0/0 . 0.0.0.0/0 . tcp . 8080 }}'"
USER = f"nft add rule {TABLE} user"
GUARD = f"nftables chain {TABLE} origin: ip saddr @bridged4 iifname . ip saddr != @behind4 drop"
FORWARD = f"of nftables chain {TABLE} forward:"

# What is broken, how, who asks whom, the words of the hop that stops it, the command that fixes it.
BREAKAGES = {
    "the table gone": (f"nft delete table {TABLE}", "outside host:8080", "no rule translates port 8080", REPAIR_A),
    "a port's element gone": (f"nft delete element {PORT}", "b1 host:8080", "no rule translates port 8080", REPAIR_A),
    "a bridge's element gone": (
        f"nft delete element {TABLE} behind4 '{{ \"a\" . {A}.0/24 }}'",
        "a1 192.0.2.2:80",
        GUARD,
        REPAIR_A,
    ),
    "the admin's own rule": (
        f"{USER} ip daddr 192.0.2.0/24 tcp dport 80 drop",
        "a1 192.0.2.2:80",
        f"of nftables chain {TABLE} user: ip daddr 192.0.2.0/24 tcp dport 80 drop",
        f"nft delete rule {TABLE} user handle ",
    ),
    "another network": ("true", "b1 a2:80", f"{FORWARD} oifgroup 28004 drop", "mydockernet publish a a2 80"),
    "an internal network": ("true", "i1 192.0.2.2:80", f"{FORWARD} iifgroup 28005 drop", ""),
    "into an internal network": ("true", "a1 i1:80", f"{FORWARD} oifgroup 28005 drop", ""),
}


@pytest.fixture(scope="module")
def well():
    yield from labs("nftables")


@pytest.fixture
def lab(well):
    yield well
    leave(well)


def explain(host, words):
    words = words.replace("outside", "192.0.2.2", 1) if words.startswith("outside") else words
    return look(host, f"explain {words}")


def fix_all(host):
    """Run the fixes of doctor, one after the other, until it finds no problem."""
    for _ in range(4):
        if not (found := problems(host)):
            return
        host.sh(found[0]["Fix"])
    assert problems(host) == []


def test_where_all_is_well_nothing_is_found(well):
    for words in WELL[::2]:
        status, hops = explain(well.host, words)
        assert (status, {hop["State"] for hop in hops}) == (0, {"passes"}), (words, hops)
    assert problems(well.host) == []


def test_a_trace_names_the_rule_and_the_element_with_its_owner(well):
    hops = {hop["What"]: hop["Why"] for hop in explain(well.host, "b1 host:8080")[1]}
    publish = f"the host's rule 4 of nftables chain {TABLE} publish: meta l4proto {{ tcp, udp, sctp }} dnat to "
    assert hops[f"{publish}ip saddr . ip daddr . meta l4proto . th dport map @ports4"] == (
        f"The port is published: the packet continues to {A}.2:80. "
        f"The map ports4 has an element of network a: 0.0.0.0/0 . 0.0.0.0/0 . tcp . 8080 : {A}.2 . 80."
    )
    assert any(f"{FORWARD} oifgroup 28004 ct status dnat accept" in what for what in hops)
    assert any("The set masq4 has an element of network b: 10.2.0.0/24." in why for why in hops.values())


@pytest.mark.parametrize("name", BREAKAGES)
def test_explain_names_the_culprit_and_its_fix_lets_the_packet_pass(lab, name):
    damage, words, what, fix = BREAKAGES[name]
    lab.host.sh(damage)
    status, hops = explain(lab.host, words)
    assert (status, [hop["State"] for hop in hops].count("stops")) == (5, 1)
    assert what in hops[-1]["What"]
    assert hops[-1]["Fix"].startswith(fix)
    assert bool(fix) is bool(hops[-1]["Fix"])
    if fix and damage != "true":
        lab.host.sh(hops[-1]["Fix"])
        assert explain(lab.host, words)[0] == 0
        fix_all(lab.host)


# Rules of the admin that let only 192.0.2.0/24 use port 8080; the last one is a trap, as it drops replies, too.
TO_8080 = "ct status dnat ct original proto-dst 8080"
ONLY = {
    f"{TO_8080} ct direction original ip saddr != 192.0.2.0/24": True,
    f"{TO_8080} ct original ip saddr != 192.0.2.0/24": True,
    f"{TO_8080} ip saddr != 192.0.2.0/24": False,
}


@pytest.mark.parametrize("rule", ONLY)
def test_an_admins_rule_about_the_original_flow_is_understood(lab, rule):
    lab.host.sh(f"{USER} meta l4proto tcp {rule} drop")
    for name, passes in (("outside", ONLY[rule]), ("b1", False)):
        answered = lab.ask(name, (HOST, 8080))[0]
        assert ((answered if isinstance(answered, str) else answered[0]) != "dropped") is passes
        status, hops = explain(lab.host, f"{name} {HOST}:8080")
        assert ((status == 0), "unsure" in {hop["State"] for hop in hops}) == (passes, False)
    # What the admin drops is intended.
    assert problems(lab.host) == []


@pytest.mark.parametrize(
    "foreign",
    [
        f"nft -f - <<'E'\n{FIREWALLD}E",
        SERVER,
        "iptables -P FORWARD DROP",
        "iptables -I FORWARD -o a -j DROP",
        "iptables -t mangle -A FORWARD -i a -j DROP",
    ],
    ids=["firewalld", "server", "policy", "before ours", "in mangle"],
)
def test_what_another_program_drops_is_named_and_the_fixes_let_it_pass(lab, foreign):
    host = lab.host
    if "{" in foreign:
        load(host, FIREWALLD if "firewalld" in foreign else foreign)
    else:
        # The canary's own rule has the accepts there already.
        host.sh(f"iptables -F FORWARD; {foreign}")
    assert lab.ask("a1", OUT) == ["dropped"]
    status, hops = explain(host, "a1 192.0.2.2:80")
    assert (status, hops[-1]["State"]) == (5, "stops")
    assert hops[-1]["Fix"]
    fix_all(host)
    assert explain(host, "a1 192.0.2.2:80")[0] == 0
    assert lab.ask("a1", OUT, ("10.2.0.2", 80)) == [*OPEN, "dropped"]
    assert lab.ask("outside", (HOST, 8080), (f"{A}.2", 80)) == ["a1 192.0.2.2", "dropped"]


def test_rules_of_iptables_that_come_back_are_a_problem_and_repair_deletes_them(lab):
    host = lab.host
    host.mydockernet("migrate --firewall iptables")
    host.sh("iptables-save > /run/old")
    host.mydockernet("migrate --firewall nftables")
    assert problems(host) == []
    host.sh("iptables-restore /run/old")
    assert "a: leftover rule: nat MYDOCKERNET-PORTS" in host.mydockernet("check", check=False).stdout
    found = {each["What"].partition(",")[0]: each["Fix"] for each in problems(host)}
    assert found["iptables has rules of mydockernet"] == "mydockernet repair"
    host.mydockernet("repair")
    assert problems(host) == []
    assert "MYDOCKERNET" not in host.run("iptables-save").stdout


def test_an_accept_of_another_program_opens_nothing(lab):
    lab.host.sh("iptables -I FORWARD -j ACCEPT; nft insert rule ip filter FORWARD accept")
    assert lab.ask("outside", (f"{A}.2", 80)) == ["dropped"]
    assert not [each for each in look(lab.host, "doctor")[1] if "may accept packets" in each["What"]]


def test_rules_lists_the_elements_of_a_network_with_what_they_counted(lab):
    assert lab.ask("outside", (HOST, 8080), (f"{A}.2", 80)) == ["a1 192.0.2.2", "dropped"]
    records = look(lab.host, "rules a")[1]
    assert {(record["Program"], record["Table"]) for record in records} == {("nft", TABLE), ("iptables", "filter")}
    elements = {(record["Chain"], record["Rule"]): record for record in records if record["Owner"] == "a"}
    published = elements["ports4", f"0.0.0.0/0 . 0.0.0.0/0 . tcp . 8080 : {A}.2 . 80"]
    assert published["Packets"] == 1
    assert published["Number"] is None
    why = "Publish tcp port 8080 on every address of the host: translate it to port 80 of a1."
    assert published["Why"] == why
    # What is only a condition of another one counts nothing.
    assert elements["behind4", f'"a" . {A}.0/24']["Packets"] is None
    drop = next(record for record in records if record["Rule"] == "oifgroup 28004 counter drop")
    assert (drop["Owner"], drop["Chain"], drop["Packets"] > 0) == ("@shared", "forward", True)
    assert drop["Why"] == "Drop everything else to a network: only replies and published ports get in."
    (inspected,) = json.loads(lab.host.mydockernet("inspect a").stdout)
    assert inspected["Firewall"] == "nftables"
    assert {record["Rule"] for record in inspected["Rules"]} == {rule for _, rule in elements}


def test_who_finds_the_owner_of_an_element_and_of_a_rule(lab):
    stray = '{ 0.0.0.0/0 . 0.0.0.0/0 . tcp . 999 comment "mydockernet:gone" : 10.1.0.9 . 80 }'
    lab.host.run("nft", "add", "element", *TABLE.split(), "ports4", stray)
    words = ["who", f"{A}.0/24", "a . a", "8080/tcp", "999/tcp", "nft/forward/15"]
    said = lab.host.mydockernet(words).stdout.splitlines()
    assert f"{A}.0/24: element of network a in the set masq4: {A}.0/24" in said
    assert 'a . a: element of network a in the set same: "a" . "a"' in said
    assert "8080/tcp: container a1 on network a: 8080:80/tcp" in said
    assert said[-2].startswith("999/tcp: element of network gone in the map ports4: ")
    assert said[-1].startswith("nft/forward/15: rule of all networks: drop everything else to a network: ")
    assert lab.host.mydockernet("who 999/udp", check=False).returncode == 3
