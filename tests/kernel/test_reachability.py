"""Who must reach whom, with real listeners, whatever else the host's firewall has."""

import pytest

from tests.kernel.lab import HOST, INTERNAL, A, B, made_by_verbs

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
FIREWALLS = {
    "alone": "",
    "FORWARD policy DROP": "iptables -P FORWARD DROP",
    "an admin's own DROP before": "iptables -A FORWARD -j DROP",
}


def matrix(lab, reach=REACH):
    """The answers to all of these questions, asked at once."""
    return dict(zip(reach, lab.ask_at_once(reach), strict=True))


@pytest.mark.parametrize(("bridged", "rp_filter"), [("0", "0"), ("1", "1"), ("1", "2")])
@pytest.mark.parametrize("firewall", FIREWALLS.values(), ids=FIREWALLS)
def test_who_reaches_whom(make_lab, firewall, bridged, rp_filter):
    lab = make_lab(firewall, made_by_verbs)
    # Where the kernel has no br_netfilter, it is off in both.
    lab.host.sh(f"sysctl -qew net.bridge.bridge-nf-call-iptables={bridged}")
    lab.host.sh(f"for key in /proc/sys/net/ipv4/conf/*/rp_filter; do echo {rp_filter} > $key; done")
    assert matrix(lab) == REACH
    lab.host.sh("mydockernet rm -f a b i")
    assert "ydockernet" not in str(lab.host.snapshot()).lower()
