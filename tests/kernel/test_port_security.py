"""Containers of one network that take each other's place, or speak under each other's address.

`--port-security` stops them, and so does `--no-icc`. On an ordinary network all of it works.
"""

import pytest

from tests.kernel.lab import HOST, NO_CONNTRACK

OUTSIDE = "192.0.2.2"
NETWORKS = {"secure": ("10.4.0", "--port-security"), "noicc": ("10.5.0", "--no-icc"), "open": ("10.6.0", "")}


def containers(network, subnet, options, first):
    """Two victims, whose udp port 80 is published, and a thief with ports of its own, whose kernel keeps out of it."""
    ports = f"{first + 100}-{first + 199}"
    return f"""
        for n in {network}1 {network}2 {network}3; do ip netns add $n; done
        mydockernet create {network} --subnet {subnet}.0/24 {options}
        mydockernet connect {network} {network}1 -p {first + 1}:80/udp
        mydockernet connect {network} {network}2 -p {first + 2}:80/udp
        mydockernet connect {network} {network}3 -p {ports}:{ports} -p {ports}:{ports}/udp
        for p in tcp udp; do
            for n in {network}3 outside; do
                nsenter --net=/run/netns/$n iptables -A INPUT -p $p --dport {first + 100}:{first + 199} -j DROP
            done
        done
    """


def mac(address):
    return "02:42:" + ":".join(f"{int(part):02x}" for part in address.split("."))


def attempts(network, subnet, first):
    """What the thief tries, over frames with and without a tag, as rounds that do not get in each other's way."""
    rounds = {kind: {} for kind in ("flow", "flow under its mac", "flow outside", "gateway", "port")}
    for tagged in (0, 1):
        thief = [f"{network}3", network, bool(tagged)]
        name = f"{network}, tagged" if tagged else network
        flow = {"victim": [f"{subnet}.3", 8000], "forger": thief, "to": HOST}
        flow |= {"friend": [f"{network}3", network], "address": f"{subnet}.4", "gateway": f"{subnet}.1"}
        for protocol in ("tcp", "udp"):
            for under, own_mac in enumerate(("", mac(f"{subnet}.3"))):
                start = first + 100 + 50 * tagged + 25 * under
                rest = {"protocol": protocol, "mac": own_mac, "ports": [start, start + 25]}
                kind = "flow under its mac" if under else "flow"
                rounds[kind][f"{name}: {kind}, {protocol}"] = ("flow", flow | rest)
            outside = {"to": OUTSIDE, "friend": ["outside", "up1"], "address": OUTSIDE, "gateway": HOST}
            rest = {"protocol": protocol, "ports": [first + 100 + 50 * tagged, first + 150 + 50 * tagged]}
            rounds["flow outside"][f"{name}: flow outside, {protocol}"] = ("flow", flow | outside | rest)
        theft = {"thief": thief, "by": "arp", "mac": "", "victim": f"{subnet}.1"}
        rounds["gateway"][f"{name}: gateway"] = ("theft", {**theft, "asks": f"{network}1", "asked": [OUTSIDE, 9]})
        for number, by in enumerate(("arp", "mac"), 1):
            victim = f"{subnet}.{number + 1}"
            theft = {"thief": thief, "by": by, "mac": mac(victim), "victim": victim}
            asks = {"asks": "outside", "asked": [HOST, first + number]}
            rounds["port"][f"{name}: port, by {by}"] = ("theft", theft | asks)
    return rounds


def prepare(make_lab, networks):
    """A lab with these networks, in which everybody has spoken: the bridges know who is where."""
    lab = make_lab("iptables -P FORWARD ACCEPT\n")
    lab.host.sh(NO_CONNTRACK + "sysctl -qew net.bridge.bridge-nf-call-iptables=0")
    for first, network in enumerate(networks, 2):
        subnet, options = NETWORKS[network]
        lab.host.set_up(containers(network, subnet, options, first * 1000))
        lab.serve(f"{network}2", f"{network}2", "0.0.0.0:8000")
        for number in (1, 2, 3):
            lab.listen(f"{network}{number}", f"{network}{number}", "0.0.0.0:80")
            assert lab.ask(f"{network}{number}", (OUTSIDE, 81)) == [f"outside {HOST}"]
    return lab


@pytest.mark.long
def test_a_container_can_not_take_anothers_place(make_lab):
    """With --port-security, and with --no-icc: no port, no address, no gateway, and no flow under another's address."""
    lab = prepare(make_lab, ["secure", "noicc"])
    tries = {}
    for first, network in enumerate(("secure", "noicc"), 2):
        for one in attempts(network, NETWORKS[network][0], first * 1000).values():
            tries |= one
    assert lab.attack(10, tries) == dict.fromkeys(tries)
    # Those who are who they say they are go on as before.
    for network in ("secure", "noicc"):
        for number in (1, 2, 3):
            assert lab.ask(f"{network}{number}", (OUTSIDE, 81)) == [f"outside {HOST}"]
    assert lab.ask("secure1", (f"{NETWORKS['secure'][0]}.3", 80)) == [f"secure2 {NETWORKS['secure'][0]}.2"]
    assert lab.ask("noicc1", (f"{NETWORKS['noicc'][0]}.3", 80)) == ["dropped"]


def test_on_an_ordinary_network_a_container_takes_anothers_place(make_lab):
    """So the test above can fail."""
    lab = prepare(make_lab, ["open"])
    subnet, _ = NETWORKS["open"]
    loot = {"flow": f"open2 {HOST}", "flow under its mac": f"open2 {HOST}", "flow outside": f"open2 {OUTSIDE}"}
    loot["gateway"] = OUTSIDE
    for kind, tries in attempts("open", subnet, 2000).items():
        wanted = {name: loot.get(kind) or f"{subnet}.{2 if name.endswith('arp') else 3}" for name in tries}
        assert lab.attack(30, tries) == wanted
