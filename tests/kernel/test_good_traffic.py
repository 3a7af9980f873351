"""What must pass, however strict the host is about where a packet comes from: the guards stop nobody else."""

import pytest

from tests.kernel.lab import DRIVERS, HOST, STRICTNESS, A, B
from tests.kernel.test_reachability import matrix

OUTSIDE, NEIGHBOR = "192.0.2.2", "198.51.100.2"
# both is on two networks, and published on the second one; inner is a namespace behind the container a2.
TOPOLOGY = """
ip netns add both; ip netns add inner
mydockernet connect a both
mydockernet connect b both -p 8090:80 -p 8090:80/udp
mydockernet publish a a2 8085:85 8085:85/udp
ip -n a2 link add in0 type veth peer name eth0 netns inner
ip -n a2 address add 172.31.0.1/24 dev in0; ip -n a2 link set in0 up
ip -n inner address add 172.31.0.2/24 dev eth0; ip -n inner link set eth0 up
ip -n inner route add default via 172.31.0.1
ip netns exec a2 bash -eu <<'END'
sysctl -qw net.ipv4.ip_forward=1
iptables -t nat -A POSTROUTING -s 172.31.0.0/24 -o eth0 -j MASQUERADE
for p in tcp udp; do
    iptables -t nat -A PREROUTING -i eth0 -p $p --dport 85 -j DNAT --to-destination 172.31.0.2:80
done
END
"""
# From a place, to an address and port, and perhaps from an address.
REACH = {
    # A container on two networks answers by either, ...
    ("outside", HOST, 8090): f"both {OUTSIDE}",
    ("neighbour", HOST, 8090): f"both {NEIGHBOR}",
    ("a1", HOST, 8090): f"both {B}.1",
    ("b1", HOST, 8090): f"both {B}.1",
    ("a1", f"{A}.4", 81): f"both {A}.2",
    ("b1", f"{B}.3", 81): f"both {B}.2",
    ("", f"{A}.4", 81): f"both {A}.1",
    ("", f"{B}.3", 81): f"both {B}.1",
    # ... and opens flows by either, under the address of its choice.
    ("both", OUTSIDE, 81): f"outside {HOST}",
    ("both", OUTSIDE, 81, f"{A}.4"): f"outside {HOST}",
    ("both", OUTSIDE, 81, f"{B}.3"): f"outside {HOST}",
    ("both", f"{A}.2", 81, f"{A}.4"): f"a1 {A}.4",
    ("both", f"{B}.2", 81, f"{B}.3"): f"b1 {B}.3",
    ("both", HOST, 8080, f"{A}.4"): f"a1 {A}.1",
    ("both", HOST, 8080, f"{B}.3"): f"a1 {A}.1",
    # Hairpin: a container reaches a port of its own.
    ("a1", HOST, 8080): f"a1 {A}.1",
    ("a2", HOST, 8080): f"a1 {A}.1",
    ("both", HOST, 8090): f"both {B}.1",
    # The host's own loopback.
    ("", "127.0.0.1", 8080): f"a1 {A}.1",
    ("", "127.0.0.1", 8081): f"a1 {A}.1",
    ("", "127.0.0.1", 8090): f"both {B}.1",
    ("", HOST, 8090): f"both {HOST}",
    # Out, under the host's address.
    ("b1", OUTSIDE, 81): f"outside {HOST}",
    # A namespace inside a container, both ways.
    ("inner", OUTSIDE, 81): f"outside {HOST}",
    ("inner", f"{A}.2", 81): f"a1 {A}.3",
    ("inner", HOST, 8080): f"a1 {A}.1",
    ("inner", HOST, 8090): f"both {B}.1",
    ("outside", HOST, 8085): f"inner {OUTSIDE}",
}


@pytest.mark.parametrize("rp_filter", "012")
@pytest.mark.parametrize("driver", DRIVERS)
def test_good_traffic_is_untouched(make_lab, driver, rp_filter):
    lab = make_lab(STRICTNESS.format(rp_filter), driver=driver)
    lab.host.sh(TOPOLOGY)
    # On each address by itself: over udp a server on 0.0.0.0 answers from whichever address its default route has.
    lab.listen("both", "both", *(f"{address}:{port}" for address in (f"{A}.4", f"{B}.3") for port in (80, 81)))
    lab.listen("inner", "inner", "0.0.0.0:80")
    assert matrix(lab, REACH) == REACH
