"""What belongs to others is never touched, never taken over; what can't be is refused, with nothing touched."""

import pytest


def test_a_foreign_interface_of_the_networks_name_is_left_alone(host):
    host.sh("ip link add dev web type bridge; ip addr add 198.51.100.1/24 dev web")
    before = host.snapshot()
    host.mydockernet("create web")
    bridge = host.mydockernet(["list", "--format", "{{.Bridge}}"]).stdout.strip()
    assert bridge.startswith("br-")
    assert len(bridge) == 15
    host.mydockernet("rm web")
    assert host.snapshot() == before


def test_a_foreign_interface_of_the_bridges_name_is_a_conflict(host):
    host.sh("ip link add dev taken type bridge")
    before = host.everything()
    host.fails("create web --bridge-name taken", 4, 'interface "taken" already exists')
    assert host.everything() == before


def test_an_interface_that_took_the_place_of_our_bridge_is_left_alone(host):
    host.mydockernet("create web")
    host.sh("ip link del dev web; ip link add dev web type bridge")
    host.mydockernet("rm web")
    assert "web" in host.snapshot()["host"]["links"]


def test_a_foreign_rule_like_ours_but_for_the_mark_is_left_alone(host):
    host.sh("iptables -t nat -A POSTROUTING -s 10.1.0.0/24 ! -o web -j MASQUERADE")
    before = host.snapshot()
    host.mydockernet("create web --subnet 10.1.0.0/24")
    host.mydockernet("rm web")
    assert host.snapshot() == before


@pytest.mark.parametrize("rule", ["true", "iptables -A MYDOCKERNET-FORWARD -s 198.51.100.1 -j DROP"])
def test_a_foreign_chain_of_our_name_is_a_conflict(host, rule):
    host.sh(f"iptables -N MYDOCKERNET-FORWARD; {rule}")
    before = host.everything()
    host.fails("create web", 4, 'chain "MYDOCKERNET-FORWARD" of another program already exists in table filter')
    assert host.everything() == before


INVALID = [
    ("create ../x", 2, 'NAME: invalid name "../x"'),
    (["create", "a b"], 2, 'NAME: invalid name "a b"'),
    (["create", ""], 2, 'NAME: invalid name ""'),
    ("create " + "n" * 65, 2, "NAME: "),
    ("create web --subnet nonsense/24", 2, '--subnet: "nonsense/24" is not a subnet, as in 192.168.10.0/24'),
    ("create web --subnet 10.1.0.0", 2, '--subnet: "10.1.0.0"'),
    ("create web --subnet 10.1.0.0/33", 2, "--subnet: "),
    ("create web --subnet 10.1.0.0/32", 2, "--subnet: "),
    ("create web --subnet 127.1.0.0/24", 2, "--subnet: "),
    ("create web --subnet 10.1.0.255/24", 2, "--subnet: "),
    ("create web --subnet fe80::/64", 2, "--subnet: fe80::/64 includes loopback, link-local, multicast or reserved"),
    ("create web --subnet fd00::/128", 2, "--subnet: fd00::/128 has no room for a gateway and a container"),
    ("create web --subnet fd00::/64 --gateway fd00::", 2, "--gateway: fd00:: is the address of all routers"),
    ("create web --subnet 10.1.0.0/24 --gateway 10.2.0.1", 2, "--gateway: 10.2.0.1 is not in 10.1.0.0/24"),
    ("create web --subnet 10.1.0.0/24 --gateway 10.1.0.255", 2, "--gateway: 10.1.0.255"),
    (
        "create web --subnet 10.1.0.1/24 --gateway 10.1.0.2",
        2,
        "--gateway: 10.1.0.2: 10.1.0.0/24 already has the gateway 10.1.0.1",
    ),
    ("create web --gateway 10.1.0.1", 2, "--gateway: 10.1.0.1 needs a --subnet"),
    ("create web --subnet 10.1.0.0/24 --ip-range 10.2.0.0/25", 2, "--ip-range: 10.2.0.0/25 is not in"),
    ("create web --subnet 10.1.0.0/24 --ip-range 10.1.0.0/23", 2, "--ip-range: 10.1.0.0/23 is not within"),
    (
        "create web --subnet 10.1.0.0/24 --ip-range 10.1.0.9-10.1.0.3",
        2,
        "--ip-range: 10.1.0.9-10.1.0.3: the first address is higher than the last",
    ),
    ("create web --subnet 10.1.0.0/24 --reserve db=10.2.0.1", 2, "--reserve: db=10.2.0.1 is not in"),
    ("create web --subnet 10.1.0.0/24 --subnet 10.1.0.128/25", 2, "--subnet: 10.1.0.128/25 overlaps 10.1.0.0/24"),
    ("create web --subnet 10.7.0.0/16", 4, '--subnet: 10.7.0.0/16 overlaps 10.7.1.0/24 of network "other"'),
    ("create web --subnet 203.0.113.0/25", 4, "--subnet: 203.0.113.0/25 overlaps 203.0.113.0/24 of the host's route"),
    ("create web --subnet 198.51.100.64/26", 4, "of the host's route `198.51.100.0/24 via 203.0.113.2 dev canary`"),
    ("create web --mtu 67", 2, "--mtu: 67 is out of range: use 68 to 65535"),
    ("create web --mtu 65536", 2, "--mtu: 65536 is out of range"),
    ("create web --mtu big", 2, "--mtu: 'big' is not a number"),
    ("create web --bridge-name sixteen-letters-", 2, '--bridge-name: invalid interface name "sixteen-letters-"'),
    ("create web --bridge-name default", 2, '--bridge-name: the kernel reserves the name "default"'),
    ("create web --bridge-name other", 4, '--bridge-name: other is already the bridge of network "other"'),
    ("create web --driver overlay", 2, '--driver: unknown driver "overlay"'),
    ("create web --label =x", 2, '--label: invalid label "=x"'),
    ("create web --frobnicate", 2, "--frobnicate"),
    ("create", 2, "NAME"),
    ("frobnicate", 2, "there is no verb 'frobnicate'"),
    ("list --filter colour=red", 2, "--filter: 'colour=red'"),
    ("list --format {{.Nope}}", 2, "--format: there is no field 'Nope'"),
    ("list --format nonsense", 2, "--format: 'nonsense'"),
]


def test_each_invalid_value_is_named_with_its_option_and_touches_nothing(host):
    host.sh("ip route add 198.51.100.0/24 via 203.0.113.2; mydockernet create other --subnet 10.7.1.0/24")
    before = host.everything()
    for words, status, text in INVALID:
        host.fails(words, status, text)
    assert host.everything() == before


def test_several_wrong_values_are_reported_together(host):
    done = host.fails(
        "create ../x --subnet 10.1.0.0/24 --gateway 10.2.0.1 --mtu 1 --driver x "
        "--bridge-name sixteen-letters- --label =",
        2,
    )
    for option in ("NAME", "--gateway", "--mtu", "--driver", "--bridge-name", "--label"):
        assert f"mydockernet: error: {option}: " in done.stderr


def test_a_subnet_is_chosen_that_overlaps_nothing(host):
    host.sh("ip route add 10.208.0.0/23 via 203.0.113.2; ip route add blackhole 10.208.3.7")
    host.sh("for n in a b; do mydockernet create $n; done")
    assert host.mydockernet(["list", "--format", "{{.Subnet}}"]).stdout == "10.208.2.0/24\n10.208.4.0/24\n"
    pools = {"MYDOCKERNET_POOLS": "10.99.0.0/30/30,10.98.0.0/23"}
    host.mydockernet("create c", env=pools)
    host.mydockernet("create d", env=pools)
    assert host.mydockernet(["list", "--format", "{{.Subnet}}"]).stdout.split()[2:] == ["10.99.0.0/30", "10.98.0.0/24"]
    host.mydockernet("create e", env=pools)
    host.fails("create f", 4, "no free subnet is left in 10.99.0.0/30, 10.98.0.0/23", env=pools)
    host.fails("create f", 2, "MYDOCKERNET_POOLS: rubbish", env={"MYDOCKERNET_POOLS": "rubbish"})
