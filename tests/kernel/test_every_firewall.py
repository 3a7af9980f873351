"""Who reaches whom, with each dialect of rules beside each other firewall.

With iptables-nft, this is in test_reachability, test_firewalld, test_ufw and test_beside.
"""

import contextlib
import json

import pytest

from tests.conftest import half
from tests.kernel import test_firewalld, test_ufw
from tests.kernel.firewalld import BACKENDS, Firewalld, needs_firewalld
from tests.kernel.lab import Lab, made_by_verbs
from tests.kernel.test_beside import START, STOP, dockers, needs
from tests.kernel.test_firewalls import SERVER, load
from tests.kernel.test_reachability import BOTH, matrix
from tests.kernel.ufw import Ufw, needs_ufw

pytestmark = pytest.mark.long

# As update-alternatives does it.
LEGACY = """
cp -a /etc/alternatives /run/alternatives
for program in iptables ip6tables; do
    for end in '' -save -restore; do ln -sf /usr/sbin/$program-legacy$end /run/alternatives/$program$end; done
done
mount --bind /run/alternatives /etc/alternatives
"""
DIALECTS = ("iptables-legacy", "nftables")
# What of the host itself firewalld closes.
FIREWALLD = BOTH | test_firewalld.OF_THE_HOST


@pytest.fixture(params=[*half(DIALECTS[:1]), DIALECTS[1]])
def host(new_host, request):
    """A host whose networks have rules in a dialect."""
    host = new_host(firewall="nftables" if request.param == "nftables" else "iptables")
    if request.param == "iptables-legacy":
        host.sh(LEGACY)
        assert "legacy" in host.run("iptables", "--version").stdout
    return host


@pytest.fixture
def lab(host):
    made = []

    def make():
        made.append(Lab(host, make=made_by_verbs))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_alone(lab):
    there = lab()
    assert matrix(there) == BOTH
    there.host.mydockernet("rm -f a b i")
    left = there.host.sh("iptables-legacy-save; ip6tables-legacy-save; nft list ruleset").stdout
    assert "ydockernet" not in left.lower()


@needs_firewalld
@pytest.mark.parametrize("backend", BACKENDS)
def test_beside_firewalld(host, lab, backend):
    with contextlib.closing(Firewalld(host, backend)) as firewalld:
        there = lab()
        assert test_firewalld.answers(there, FIREWALLD) == FIREWALLD
        if host.firewall == "iptables":
            firewalld.reload()
            host.mydockernet("repair")
            assert test_firewalld.answers(there, FIREWALLD) == FIREWALLD
            return
        # The table of nftables stays, and so do the zones: all rows hold without a repair.
        for event in ("reload", "complete_reload", "restart", "hup", "stop"):
            getattr(firewalld, event)()
            rows = BOTH if event == "stop" else FIREWALLD
            assert closed(test_firewalld.answers(there, rows)) == closed(rows), event
            found = host.mydockernet("check", check=False).stdout.splitlines()
            # Only what stands beside the rules of others in iptables was flushed with those.
            assert all("rule: filter FORWARD -m devgroup" in line for line in found), event
            assert backend == "iptables" or not found
        # Removed without firewalld, they are left over in its zones.
        host.mydockernet("rm -f a b i")
        firewalld.start()
        assert "@shared: leftover firewalld zone: mydockernet for a" in host.mydockernet("check", check=False).stdout
        host.mydockernet("repair")
        assert firewalld.zones() == {}
        firewalld.reload()
        assert firewalld.zones() == {}


def closed(rows):
    """The rows with one word for what is closed: the rules of firewalld, which may come first, refuse."""
    return {row: "closed" if said in ("dropped", *test_firewalld.REFUSALS) else said for row, said in rows.items()}


@needs_ufw
def test_beside_ufw(host, lab):
    there = lab()
    ufw = Ufw(host)
    ufw("--force enable")
    host.mydockernet("repair")
    assert matrix(there, test_ufw.BESIDE) == test_ufw.BESIDE
    ufw("--force reset")
    host.mydockernet("repair")
    assert matrix(there) == BOTH


def test_beside_a_ruleset_that_drops_after_what_doctor_says(host, lab):
    there = lab()
    load(host, SERVER)
    assert matrix(there) != BOTH
    for _ in range(5):
        said = host.mydockernet("doctor --format json", check=False).stdout.splitlines()
        fixes = [found["Fix"] for found in map(json.loads, said) if found["Kind"] == "problem"]
        if not fixes:
            break
        host.sh(fixes[0])
    assert fixes == []
    assert matrix(there) == BOTH


@needs("dockerd")
def test_beside_docker(host, lab):
    host.sh("mkdir /run/dk")
    there = lab()
    host.sh(START, env=dockers(host))
    try:
        host.mydockernet("repair")
        assert matrix(there) == BOTH
        host.mydockernet("rm -f a b i")
    finally:
        host.sh(STOP)


def rules(host, *tables):
    """The number of rules of mydockernet, of nftables or in these tables of iptables."""
    if host.firewall == "nftables":
        return host.run("nft", "-j", "list", "table", "inet", "mydockernet").stdout.count('"rule":')
    saved = (host.run("iptables-save", "-t", table).stdout for table in tables)
    return sum(text.count("--comment mydockernet:") + text.count('--comment "mydockernet:') for text in saved)


def test_the_number_of_rules_does_not_depend_on_that_of_networks(host):
    """With iptables that of filter; each network has a rule in mangle, about its addresses, and one in nat."""
    host.mydockernet("create first")
    before = rules(host, "filter"), rules(host, "mangle", "nat")
    many = {f"n{number}": {"ipam": {"config": [{"subnet": f"10.9.{number}.0/24"}]}} for number in range(200)}
    host.run("mydockernet", "apply", "-", stdin=json.dumps({"networks": many}))
    own = 0 if host.firewall == "nftables" else 2 * len(many)
    assert (rules(host, "filter"), rules(host, "mangle", "nat")) == (before[0], before[1] + own)
