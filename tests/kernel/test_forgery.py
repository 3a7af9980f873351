"""Packets under false addresses: they open no flow, steal no port, and reach nothing; without the guard, they do.

Every attack wants an answer from a port that is not published. See forge.py for how it is done.
"""

import pytest

from tests.kernel.lab import DRIVERS, HOST, NO_CONNTRACK, STRICTNESS, A, B

C = "10.5.0"
NEIGHBOR, OUTSIDE = "198.51.100.2", "192.0.2.2"
STUB = "127.0.0.53"  # Where systemd-resolved listens: on the host's loopback, and not on 127.0.0.1.
# a2, a3 and c1 are attackers too; no attacker's own kernel answers, or resets, the flows that it knows nothing of.
ATTACKERS = f"""
{NO_CONNTRACK}ip netns add a3; ip netns add c1
mydockernet create c --driver DRIVER --subnet {C}.0/24
mydockernet connect a a3 -p 7300-7399:7300-7399 -p 7300-7399:7300-7399/udp
mydockernet connect c c1 -p 7400-7499:7400-7499 -p 7400-7499:7400-7499/udp
for n in outside neighbour a2 a3 c1; do for p in tcp udp; do
    nsenter --net=/run/netns/$n iptables -A INPUT -p $p --dport 7000:7999 -j DROP
done; done
"""


def against(victim, forger, to, friend, address, gateway, first):
    """One attack over tcp and udp."""
    rest = {"victim": victim, "forger": forger, "to": to, "friend": friend, "address": address, "gateway": gateway}
    ports = (first, first + 100)
    return [("flow", {"protocol": protocol, "ports": ports, **rest}) for protocol in ("tcp", "udp")]


B1 = (f"{B}.2", 8000)
IN_A3, IN_C1 = ("a3", "a"), ("c1", "c")
AT_NEIGHBOR, AT_OUTSIDE = ("neighbour", "up2"), ("outside", "up1")
ROWS = {
    "a neighbor alone": against(B1, AT_NEIGHBOR, NEIGHBOR, AT_NEIGHBOR, NEIGHBOR, "198.51.100.1", 7000),
    "a neighbor and a host outside": against(B1, AT_NEIGHBOR, OUTSIDE, AT_OUTSIDE, OUTSIDE, HOST, 7100),
    "a container and a host outside": against(B1, IN_A3, OUTSIDE, AT_OUTSIDE, OUTSIDE, HOST, 7200),
    "a container by its own port": against(B1, IN_A3, HOST, IN_A3, f"{A}.4", f"{A}.1", 7300),
    # br_netfilter makes a flow even of what stays on one bridge.
    "two containers of one bridge": against(
        B1, [*IN_A3, False, "02:42:0a:01:00:03"], f"{A}.3", ("a2", "a"), f"{A}.3", f"{A}.1", 7500
    ),
    "two containers of two networks": against((STUB, 53), IN_A3, HOST, IN_C1, f"{C}.2", f"{C}.1", 7400),
}
ATTACKS = {f"{name}, {p}": one for name, both in ROWS.items() for p, one in zip(("tcp", "udp"), both, strict=True)}
CALLER = {
    "a neighbor alone": f"b1 {NEIGHBOR}",
    "a neighbor and a host outside": f"b1 {OUTSIDE}",
    "a container and a host outside": f"b1 {OUTSIDE}",
    "a container by its own port": f"b1 {HOST}",
    "two containers of one bridge": f"b1 {A}.3",
    "two containers of two networks": f"stub {HOST}",
}
# What the attackers get where they succeed.
LOOT = {name: CALLER[name.rsplit(",", 1)[0]] for name in ATTACKS}


def attacks_on(lab):
    """The attacks, with the interfaces that the containers of a lab have on the host."""
    if lab.driver == "bridge":
        return ATTACKS

    def door(end):
        name, network = end[:2]
        return end if network.startswith("up") else (name, lab.door(network, name))

    return {
        name: (kind, {**one, "forger": door(one["forger"]), "friend": door(one["friend"])})
        for name, (kind, one) in ATTACKS.items()
        if "one bridge" not in name
    }


@pytest.fixture(params=DRIVERS)
def targets(make_lab, request):
    """Makes a lab with the attackers and their victims."""

    def make(rp_filter):
        lab = make_lab(STRICTNESS.format(rp_filter), driver=request.param)
        lab.host.set_up(ATTACKERS.replace("DRIVER", request.param))
        lab.serve("b1", "b1", f"0.0.0.0:{B1[1]}")
        lab.serve("", "stub", f"{STUB}:53")
        return lab

    return make


def surroundings(lab, policy, bridged):
    # Where the kernel has no br_netfilter, it stays off.
    lab.host.sh(f"iptables -P FORWARD {policy}; sysctl -qew net.bridge.bridge-nf-call-iptables={bridged}")


@pytest.mark.long
@pytest.mark.parametrize("rp_filter", "012")
def test_a_forged_packet_opens_no_flow(targets, rp_filter):
    """Ten seconds long with either policy, over tcp and udp; and those who may get in still do."""
    lab = targets(rp_filter)
    for policy, bridged in (("ACCEPT", 1), ("DROP", 0)):
        surroundings(lab, policy, bridged)
        attacks = attacks_on(lab)
        assert (policy, lab.attack(10, attacks)) == (policy, dict.fromkeys(attacks))
        assert lab.ask("outside", (HOST, 8080)) == [f"a1 {OUTSIDE}"]
        assert lab.ask("b1", (OUTSIDE, 81)) == [f"outside {HOST}"]


def test_without_the_guard_of_its_subnet_each_forged_packet_opens_a_flow(targets):
    """So the test above can fail: the rules of b, of containers and of 127.0.0.0/8 are what stops the attacks."""
    lab = targets(0)
    surroundings(lab, "ACCEPT", 1)
    for rule in ("the subnet of b", "what is behind a bridge", "sources of loopback"):
        lab.lose(rule)
    bridged = lab.host.run("cat", "/proc/sys/net/bridge/bridge-nf-call-iptables", check=False).stdout == "1\n"
    possible = {name: one for name, one in attacks_on(lab).items() if bridged or "one bridge" not in name}
    assert lab.attack(60, possible) == {name: LOOT[name] for name in possible}


def test_a_container_opens_no_flow_in_the_name_of_a_host_outside(targets):
    """The host forwards nothing between its neighbors but replies; a container must not make theirs out of nothing."""
    lab = targets(0)
    lab.serve("outside", "outside", f"{OUTSIDE}:{B1[1]}")
    surroundings(lab, "DROP", 0)
    lab.host.sh("iptables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT")
    forger = ("a3", lab.door("a", "a3"))
    flows = against((OUTSIDE, B1[1]), forger, NEIGHBOR, AT_NEIGHBOR, NEIGHBOR, "198.51.100.1", 7600)
    row = dict(zip(("tcp", "udp"), flows, strict=True))
    assert lab.attack(5, row) == dict.fromkeys(row)
    lab.lose("what is behind a bridge")
    assert lab.attack(60, row) == dict.fromkeys(row, f"outside {NEIGHBOR}")
