"""Who must reach whom, with real listeners, whatever else the host's firewall has."""

import pytest

from tests.kernel.lab import HOST, INTERNAL, A, B, made_by_verbs, over_ipv6

# From a place, to an address and port: what is answered, over tcp and udp. None stands for any caller.
REACH = {
    ("a1", f"{A}.3", 81): "a2 10.1.0.2",
    ("a1", f"{B}.2", 81): "dropped",
    ("b1", f"{A}.2", 80): "dropped",
    ("a1", "192.0.2.2", 81): f"outside {HOST}",
    ("b1", "192.0.2.2", 8080): f"outside {HOST}",
    ("outside", HOST, 8080): "a1 192.0.2.2",
    ("", "127.0.0.1", 8080): f"a1 {A}.1",
    ("", HOST, 8080): "a1 192.0.2.1",
    ("", "127.0.0.1", 8081): f"a1 {A}.1",
    ("", f"{A}.2", 81): f"a1 {A}.1",
    ("a1", HOST, 8080): f"a1 {A}.1",
    ("a2", HOST, 8080): f"a1 {A}.1",
    ("b1", HOST, 8080): f"a1 {A}.1",
    ("a1", f"{A}.1", 8080): f"a1 {A}.1",
    ("a2", f"{A}.1", 8080): f"a1 {A}.1",
    ("b1", f"{B}.1", 8080): f"a1 {A}.1",
    ("outside", f"{A}.2", 80): "dropped",
    ("outside", f"{A}.2", 81): "dropped",
    ("neighbour", "127.0.0.1", 8081): "dropped",
    ("neighbour", "127.0.0.1", 8080): "dropped",
    ("neighbour", "127.0.0.1", 82): "dropped",
    ("outside", HOST, 8081): "refused",
    ("i1", f"{INTERNAL}.1", 82): f"host {INTERNAL}.2",
    ("i1", f"{INTERNAL}.3", 81): f"i2 {INTERNAL}.2",
    ("i1", "192.0.2.2", 81): "dropped",
    ("i1", f"{A}.2", 81): "dropped",
    ("i1", HOST, 8080): "dropped",
    ("outside", f"{INTERNAL}.2", 81): "dropped",
    ("a1", f"{INTERNAL}.2", 81): "dropped",
}
# The same over IPv6, but for loopback: the kernel translates no packet to ::1, so no port is published there.
REACH_6 = {
    (netns, over_ipv6(address), port): over_ipv6(said)
    for (netns, address, port), said in REACH.items()
    if not address.startswith("127.")
} | {
    ("", "::1", 8080): "refused",
    ("", "::1", 82): "host ::1",
    ("neighbour", "::1", 82): "dropped",
}
BOTH = REACH | REACH_6
FIREWALLS = {
    "alone": "",
    "FORWARD policy DROP": "iptables -P FORWARD DROP; ip6tables -P FORWARD DROP",
    "an admin's own DROP before": "iptables -A FORWARD -j DROP; ip6tables -A FORWARD -j DROP",
}


def matrix(lab, reach=BOTH):
    """The answers to all of these questions, asked at once."""
    return dict(zip(reach, lab.ask_at_once(reach), strict=True))


@pytest.mark.parametrize(("bridged", "rp_filter"), [("0", "0"), ("1", "1"), ("1", "2")])
@pytest.mark.parametrize("firewall", FIREWALLS.values(), ids=FIREWALLS)
def test_who_reaches_whom(make_lab, firewall, bridged, rp_filter):
    lab = make_lab(firewall, made_by_verbs)
    # Where the kernel has no br_netfilter, it is off in both.
    keys = [f"net.bridge.bridge-nf-call-{program}={bridged}" for program in ("iptables", "ip6tables")]
    lab.host.sh(f"sysctl -qew {' '.join(keys)}")
    lab.host.sh(f"for key in /proc/sys/net/ipv4/conf/*/rp_filter; do echo {rp_filter} > $key; done")
    assert matrix(lab) == BOTH
    damage = "for t in mangle nat filter; do iptables -t $t -F; ip6tables -t $t -F; done; nft flush ruleset"
    if rp_filter == "1":
        lab.host.sh(damage + "; " + firewall)
        lab.host.mydockernet("repair")
        assert matrix(lab) == BOTH
    lab.host.sh("mydockernet rm -f a b i")
    assert "ydockernet" not in str(lab.host.snapshot()).lower()
