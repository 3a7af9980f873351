"""The alternative `iptables` is switched: what is of ours in the variant that it was, and what becomes of it."""

import pytest

from tests.kernel.lab import HOST, A

# A folder of PATH in which iptables is one variant.
SWITCH = """
mkdir -p /run/{0}; for program in iptables iptables-save iptables-restore; do
    ln -sf "$(command -v xtables-{0}-multi)" /run/{0}/$program
done
"""
DOCKERS = "-P FORWARD DROP; {0} -A FORWARD -i docker0 ! -o docker0 -j ACCEPT"


@pytest.fixture
def switched(make_lab):
    """A lab made with one variant; and the environments of both."""

    def make(old):
        lab = make_lab()
        host = lab.host
        envs = {}
        for name in ("nft", "legacy"):
            host.sh(SWITCH.format(name))
            envs[name] = {"PATH": f"/run/{name}:{host.env['PATH']}"}
        if old == "legacy":
            host.sh("iptables -F; iptables -t nat -F; iptables -t raw -F; iptables -t mangle -F; iptables -X;")
            host.sh("iptables -t nat -X; iptables -t raw -X; iptables -t mangle -X; mydockernet repair", env=envs[old])
        return lab, envs["nft" if old == "legacy" else "legacy"]

    return make


def ours(host, variant):
    return [line for line in host.sh(f"iptables-{variant}-save").stdout.splitlines() if "ydockernet" in line.lower()]


@pytest.mark.parametrize("old", ["legacy", "nft"])
def test_what_the_old_variant_has_is_left_over_and_goes(switched, old):
    lab, env = switched(old)
    host = lab.host
    assert ours(host, old)
    done = host.mydockernet("check", env=env, check=False)
    assert done.returncode == 5
    assert f"leftover iptables-{old} rule: nat MYDOCKERNET-PORTS -p tcp -m tcp --dport 8080" in done.stdout
    done = host.mydockernet("doctor", env=env, check=False)
    assert done.returncode == 5
    assert f"iptables-{old} still has rules of mydockernet" in done.stdout
    assert " -F" not in done.stdout
    script = host.mydockernet("repair --dry-run", env=env).stdout
    assert f"iptables-{old} -t nat -D POSTROUTING" in script
    # Our own variant has its rules before the other one loses them: nothing is open in between.
    assert script.index("iptables -t filter -I FORWARD") < script.index(f"iptables-{old} -t filter -D FORWARD")
    host.mydockernet("repair", env=env)
    assert ours(host, old) == []
    assert host.mydockernet("check", env=env).stdout == ""
    assert "CANARY" in host.sh("iptables-nft-save").stdout or old == "legacy"
    assert lab.ask("outside", (HOST, 8080), (f"{A}.2", 80)) == ["a1 192.0.2.2", "dropped"]


def test_an_unpublished_port_is_closed_in_both_variants(switched):
    lab, env = switched("legacy")
    host = lab.host
    host.mydockernet("unpublish a a1 8080:80 8080:80/udp", env=env)
    assert lab.ask("outside", (HOST, 8080)) == ["refused"]


def test_the_last_remove_deletes_all_in_both_variants(switched):
    lab, env = switched("nft")
    host = lab.host
    host.mydockernet("rm -f a", env=env)
    assert any("@shared" in line for line in ours(host, "nft"))
    host.mydockernet("rm -f b i", env=env)
    assert ours(host, "nft") == []
    assert ours(host, "legacy") == []


def test_a_drop_of_the_other_variant_is_told_with_a_fix_that_opens_nothing_else(switched):
    lab, env = switched("legacy")
    host = lab.host
    host.mydockernet("repair", env=env)
    host.sh(f"iptables-legacy {DOCKERS.format('iptables-legacy')}")
    assert lab.ask("a1", ("192.0.2.2", 80)) == ["dropped"]
    done = host.mydockernet("explain a1 192.0.2.2:80", env=env, check=False)
    assert done.returncode == 5
    assert "policy of FORWARD in filter of iptables-legacy" in done.stdout
    done = host.mydockernet("doctor", env=env, check=False)
    assert done.returncode == 5
    fix = next(line for line in done.stdout.splitlines() if "fix: iptables-legacy" in line).split("fix: ")[1]
    host.sh(fix)
    assert host.mydockernet("doctor", env=env).returncode == 0
    assert lab.ask("a1", ("192.0.2.2", 80)) == ["outside 192.0.2.1"]
    assert lab.ask("outside", (HOST, 8080), (f"{A}.2", 80)) == ["a1 192.0.2.2", "dropped"]
    assert lab.ask("a1", ("10.2.0.2", 80)) == ["dropped"]
