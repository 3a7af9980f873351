"""The admin's own rules on record: added, removed, restored in their order, and gone with their network."""

import pytest

from tests.conftest import CANARY, Host
from tests.kernel.lab import HOST, A


@pytest.fixture(scope="module")
def web():
    """A host with a network without IPv6, web, and one with it, six."""
    host = Host("iptables")
    host.sh(CANARY)
    host.mydockernet("create web --subnet 10.1.0.0/24")
    host.mydockernet("create six --subnet 10.2.0.0/24 --subnet fd00:2::/64")
    yield host
    host.close()


@pytest.fixture
def host(web):
    before = web.everything()
    yield web
    for name in ("web", "six"):
        while web.mydockernet(f"user-rules list {name}").stdout:
            web.mydockernet(f"user-rules remove {name} 1")
    assert web.everything() == before


def listed(host, name="web"):
    lines = host.mydockernet(f"user-rules list {name}").stdout.splitlines()
    return [line.partition(": ")[2] for line in lines]


def chain(host, program="iptables"):
    lines = host.run(program, "-S", "MYDOCKERNET-USER").stdout.splitlines()[1:]
    return [
        line.removeprefix("-A MYDOCKERNET-USER ").replace('-m comment --comment "mydockernet:web" ', "")
        for line in lines
    ]


# A rule as it may be given, and as it is recorded.
FORMS = {
    "-s 10.0.0.5/24 -j DROP": "-4 -s 10.0.0.0/24 -j DROP",
    "--source 10.0.0.5 --jump REJECT": "-4 -s 10.0.0.5/32 -j REJECT --reject-with icmp-port-unreachable",
    "-j DROP -p 6 --dport http ! -i eth0": "-4 '!' -i eth0 -p tcp -m tcp --dport 80 -j DROP",
    "-p tcp -m conntrack --ctstate DNAT --ctorigdstport 8080 ! --ctorigsrc 10.200.0.0/24 -j DROP": (
        "-4 -p tcp -m conntrack --ctstate DNAT '!' --ctorigsrc 10.200.0.0/24 --ctorigdstport 8080 -j DROP"
    ),
    "-m multiport -p udp --dports 53,67 -j ACCEPT": "-4 -p udp -m multiport --dports 53,67 -j ACCEPT",
    "-m iprange --src-range 10.0.0.1-10.0.0.9 -j RETURN": "-4 -m iprange --src-range 10.0.0.1-10.0.0.9 -j RETURN",
    "-m devgroup --dst-group 28004 -j LOG --log-prefix 'a  b' --log-level 4": (
        "-4 -m devgroup --dst-group 0x6d64 -j LOG --log-prefix 'a  b'"
    ),
    "-m limit --limit 5/s -p icmp -g CANARY": "-4 -p icmp -m limit --limit 5/sec -g CANARY",
    "-m state --state NEW,RELATED -m mark --mark 7 -j ACCEPT": (
        "-4 -m state --state NEW,RELATED -m mark --mark 0x7 -j ACCEPT"
    ),
    "-m time --timestart 08:00 --timestop 17:00 -j ACCEPT": None,  # With a date that depends on the version.
    "-m mac --mac-source 02:42:0a:01:00:02 -j DROP": "-4 -m mac --mac-source 02:42:0a:01:00:02 -j DROP",
    "-m string --algo bm --string '-j ACCEPT' -j DROP": "-4 -m string --string '-j ACCEPT' --algo bm -j DROP",
}


def test_a_rule_is_recognized_in_whatever_form_it_was_given(host):
    for given in FORMS:
        host.mydockernet(f"user-rules add web {given}")
    # Versions of iptables print a few of their options in another order.
    for rule, wanted in zip(listed(host), FORMS.values(), strict=True):
        assert wanted is None or sorted(rule.split()) == sorted(wanted.split())
    assert host.mydockernet("check").stdout == ""
    host.sh("iptables -F MYDOCKERNET-USER")
    assert host.mydockernet("check", check=False).stdout.count("web: missing rule: filter MYDOCKERNET-USER") == len(
        FORMS
    )
    host.mydockernet("repair")
    assert host.mydockernet("check").stdout == ""
    assert len(chain(host)) == len(FORMS)


def test_rules_keep_their_order_among_those_added_by_hand(host):
    host.sh("iptables -A MYDOCKERNET-USER -s 203.0.113.7 -j DROP")
    for last in (1, 2, 3):
        host.mydockernet(f"user-rules add web -s 10.0.0.{last} -j DROP")
    host.sh("iptables -I MYDOCKERNET-USER -s 203.0.113.8 -j DROP")
    wanted = [
        f"-s {address}/32 -j DROP" for address in ("203.0.113.8", "10.0.0.1", "10.0.0.2", "10.0.0.3", "203.0.113.7")
    ]
    assert chain(host) == wanted
    assert host.mydockernet("check").stdout == ""
    own = "MYDOCKERNET-USER -s 10.0.0.2 -j DROP -m comment --comment mydockernet:web"
    host.sh(f"iptables -D {own}; iptables -A {own}")
    assert "must be there once each, in order" in host.mydockernet("check", check=False).stdout
    host.mydockernet("repair")
    assert [rule for rule in chain(host) if "10.0.0." in rule] == wanted[1:4]
    assert host.mydockernet("check").stdout == ""
    host.mydockernet("user-rules remove web --source 10.0.0.2/32 -j DROP")
    host.mydockernet("user-rules remove web 1")
    assert listed(host) == ["-4 -s 10.0.0.3/32 -j DROP"]
    assert host.mydockernet("check").stdout == ""
    host.mydockernet("undo")
    assert listed(host) == ["-4 -s 10.0.0.1/32 -j DROP", "-4 -s 10.0.0.3/32 -j DROP"]
    host.sh("iptables -D MYDOCKERNET-USER -s 203.0.113.7 -j DROP; iptables -D MYDOCKERNET-USER -s 203.0.113.8 -j DROP")


def test_a_rule_is_for_the_families_that_it_is_about(host):
    assert host.mydockernet("user-rules add six -i eth7 -j DROP").stdout == "-4 -i eth7 -j DROP\n-6 -i eth7 -j DROP\n"
    assert host.mydockernet("user-rules add six -s fd00:9::/64 -j DROP").stdout == "-6 -s fd00:9::/64 -j DROP\n"
    assert host.mydockernet("user-rules add six -6 -i eth8 -j DROP").stdout == "-6 -i eth8 -j DROP\n"
    assert host.mydockernet("user-rules add six -p icmpv6 -j ACCEPT").stdout == "-6 -p ipv6-icmp -j ACCEPT\n"
    assert len(chain(host, "ip6tables")) == 4
    host.fails("user-rules add web -d fd00:9::1 -j DROP", 2, 'network "web" has no IPv6 subnet')
    host.fails("user-rules add six -s fd00:9::1 -d 10.0.0.1 -j DROP", 2, "about both IPv4 and IPv6")


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ("-t nat -j DROP", 2, "-t: only a rule can be given"),
        ("-A FORWARD -j DROP", 2, "-A: only a rule"),
        # getopt(3) takes the beginning of a long option.
        ("--tab=nat -j DROP", 2, "--tab=nat: only a rule"),
        ("-m comment --comm x -j DROP", 2, "--comment: the comment is mydockernet's mark"),
        ("--append FORWARD -j DROP", 2, "--append: only a rule"),
        ("--table=nat -j DROP", 2, "--table=nat: only a rule"),
        ("-D MYDOCKERNET-USER 1 -F -j DROP", 2, "-F: only a rule"),
        ("--modprobe /bin/x -j DROP", 2, "--modprobe: only a rule"),
        ("-s 10.0.0.1", 2, "it has no -j TARGET or -g CHAIN"),
        ("-s 10.0.0.1 -m comment --comment mine -j DROP", 2, "--comment: the comment is mydockernet's mark"),
        ("-s 10.0.0.1,10.0.0.2 -j DROP", 2, "iptables makes 2 rules of it"),
        ("-m nothing -j DROP", 2, "nothing"),
        ("-s 10.0.0.1 --dport 80 -j DROP", 2, "dport"),
        ("'' -j DROP", 2, ""),
        ("-j NOWHERE", 3, 'iptables has no chain "NOWHERE"'),
    ],
)
def test_what_is_no_rule_is_refused_and_nothing_changes(host, words, status, text):
    host.fails(f"user-rules add web {words}", status, text)


def test_rules_of_one_firewall_are_not_taken_to_another(host):
    host.mydockernet("user-rules add web -s 10.0.0.1 -j DROP")
    host.fails("migrate --firewall nftables", 4, 'network "web" has rules of the admin in the words of iptables')


@pytest.mark.parametrize("moment", ["exit 9", "kill -9 $PPID; exit 1"])
def test_a_rule_that_cannot_be_added_is_taken_back(host, moment):
    """The first call of iptables only tries it out, in a namespace that ends with it."""
    before = host.everything()
    env = host.break_programs(moment, 2, ("iptables",))
    assert host.mydockernet("user-rules add web -s 10.0.0.1 -j DROP", env=env, check=False).returncode
    host.mydockernet("rm --ignore nothing")
    assert host.everything() == before
    assert host.calls() == 2


def test_words_never_reach_a_shell(host):
    prefix = "$(touch /run/x)`touch /run/x`;'\""
    host.mydockernet(["user-rules", "add", "web", "-j", "LOG", "--log-prefix", prefix[:29]])
    assert not (host.root / "run/x").exists()
    assert host.mydockernet("check").stdout == ""


def test_errors_of_the_verb(host):
    host.fails("user-rules add nothing -j DROP", 3, 'network "nothing" not found')
    host.fails("user-rules remove web 1", 3, 'network "web" has no rule 1')
    host.fails("user-rules remove web -s 10.9.9.9 -j DROP", 3, "has no rule")
    host.mydockernet("user-rules add web -s 10.0.0.1 -j DROP")
    host.fails("user-rules add web --source 10.0.0.1/32 -j DROP", 4, "already has the rule -4 -s 10.0.0.1/32 -j DROP")
    host.fails("user-rules add web", 2, "NETWORK or RULE is missing")
    host.fails("user-rules list nothing", 3)
    assert host.mydockernet("user-rules list").stdout == "web 1: -4 -s 10.0.0.1/32 -j DROP\n"


def test_rules_go_with_their_network_and_stay_through_apply(host):
    host.mydockernet("create gone --subnet 10.3.0.0/24")
    host.mydockernet("user-rules add gone -s 10.3.0.0/24 -d 192.0.2.7 -j DROP")
    done = host.mydockernet("export gone")
    assert 'the user rules of network "gone" are left out: apply keeps those on record' in done.stderr
    host.run("tee", "/run/gone.yaml", stdin=done.stdout)
    host.mydockernet("apply /run/gone.yaml")
    assert len(listed(host, "gone")) == 1
    assert host.mydockernet("check").stdout == ""
    host.mydockernet("rm gone")
    assert chain(host) == []


def test_a_rule_on_record_decides_before_the_network_does(make_lab):
    lab = make_lab(firewall="iptables")
    assert lab.ask("outside", (HOST, 8080)) == ["a1 192.0.2.2"]
    lab.host.mydockernet(f"user-rules add a -s 192.0.2.0/24 -d {A}.2 -j DROP")
    for damage in ("true", "iptables -F; iptables -t mangle -F"):
        lab.host.sh(damage)
        lab.host.mydockernet("repair")
        assert lab.ask("outside", (HOST, 8080)) == ["dropped"]
        assert lab.ask("b1", (HOST, 8080)) == [f"a1 {A}.1"]
