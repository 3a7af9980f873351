"""What other programs do to networks when they start, load their rules or flush them; one repair mends all of it."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.kernel.test_reachability import BOTH, matrix

# Debian's own /etc/nftables.conf.
NFTABLES_CONF = """
flush ruleset
table inet filter {
    chain input { type filter hook input priority filter; }
    chain forward { type filter hook forward priority filter; }
    chain output { type filter hook output priority filter; }
}
"""
# How netfilter-persistent saves, and loads: it flushes first.
SAVE = "iptables-save > /run/rules.v4; ip6tables-save > /run/rules.v6"
LOAD = "iptables-restore < /run/rules.v4; ip6tables-restore < /run/rules.v6"


def test_one_repair_restores_everything_after_a_flush_of_nftables(lab):
    host = lab.host
    host.run("nft", "-f", "-", stdin=NFTABLES_CONF.replace("; }", ";\n }"))
    found = host.mydockernet("check", check=False)
    assert found.returncode == 5
    assert "@shared: missing chain: filter MYDOCKERNET-FORWARD\n" in found.stdout
    host.mydockernet("repair")
    assert host.mydockernet("check").stdout == ""
    assert matrix(lab) == BOTH


def test_rules_that_iptables_persistent_saved_long_ago_are_brought_up_to_date(lab):
    host = lab.host
    host.set_up("mydockernet create old --subnet 10.8.0.0/24; mydockernet publish a a2 9000:80")
    host.sh(SAVE)
    host.set_up("mydockernet rm old; mydockernet unpublish a a2 9000:80; mydockernet publish a a2 9001:80")
    host.sh(LOAD)
    found = host.mydockernet("check", check=False).stdout
    assert "leftover rule: nat MYDOCKERNET-PORTS" in found
    assert "missing rule: nat MYDOCKERNET-PORTS" in found
    assert "old: leftover rule" in found
    host.mydockernet("repair")
    assert host.mydockernet("check").stdout == ""
    host.mydockernet("unpublish a a2 9001:80")
    assert matrix(lab) == BOTH


PROGRAM = ("lib/systemd/systemd-networkd", "usr/lib/systemd/systemd-networkd")
PLACES = [place / name for place in (ROOT / ".venv/beside", Path("/")) for name in PROGRAM]
NETWORKD = next((path for path in PLACES if path.exists()), None)
# It drops its privileges to a user that a namespace may not have, and waits for udev where /sys can be written.
STAGE = """
mount --rbind /sys /sys; mount -o remount,bind,ro /sys
{ grep -v ^systemd-network: /etc/passwd; echo systemd-network:x:0:0::/:/bin/false; } > /run/passwd
mount --bind /run/passwd /etc/passwd
mkdir -p /run/systemd/network /run/systemd/networkd.conf.d
cat > /run/systemd/network/90-all.network <<'END'
[Match]
Name=*
[Network]
LinkLocalAddressing=no
Address=198.18.0.1/30
END
"""
RUN = """
export LD_LIBRARY_PATH={0}/usr/lib/x86_64-linux-gnu/systemd:{0}/lib/x86_64-linux-gnu:{0}/usr/lib/x86_64-linux-gnu
SYSTEMD_LOG_TARGET=console {1} 2> /run/log & networkd=$!
until grep -q 'lo: Configur\\|lo: Link UP' /run/log; do sleep 0.05; done; sleep 1
kill $networkd; wait $networkd || true
"""


@pytest.mark.skipif(NETWORKD is None, reason="systemd-networkd is not here")
def test_systemd_networkd_leaves_networks_alone_with_the_files_of_contrib(host):
    host.set_up(
        "ip link set dev lo up; ip netns add c1; ip netns add c2;"
        "mydockernet create web --subnet 10.1.0.0/24; mydockernet connect web c1;"
        "mydockernet create p --driver ptp --subnet 10.4.0.0/24; mydockernet connect p c2"
    )
    host.sh(STAGE)
    run = RUN.format(ROOT / ".venv/beside", NETWORKD)
    host.sh(run)
    found = host.mydockernet("check", check=False).stdout
    assert "is not attached to bridge web" in found
    assert "p: missing route: unreachable 10.4.0.0/24" in found
    host.mydockernet("repair")
    assert host.mydockernet("check").stdout == ""
    shutil.copy(ROOT / "contrib/networkd/70-mydockernet.network", host.root / "run/systemd/network")
    shutil.copy(ROOT / "contrib/networkd/mydockernet.conf", host.root / "run/systemd/networkd.conf.d")
    host.sh(run)
    assert host.mydockernet("check").stdout == ""
