"""The files of other programs become files for `apply`; what has no equivalent is named."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mydockernet.errors import Invalid
from mydockernet.fronts import import_cni, import_docker, import_podman, manifest, yaml_text, yaml_tree

DOCKER = [
    {
        "Name": "shop_back",
        "Id": "0123456789ab",
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv4": True,
        "EnableIPv6": True,
        "IPAM": {
            "Driver": "default",
            "Options": {},
            "Config": [
                {
                    "Subnet": "172.20.0.0/16",
                    "IPRange": "172.20.5.0/24",
                    "Gateway": "172.20.0.9",
                    "AuxiliaryAddresses": {"nas": "172.20.1.5"},
                },
                {"Subnet": "fd00:5::/64", "Gateway": "fd00:5::1/64"},
            ],
        },
        "Internal": True,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {
            "89ab": {
                "Name": "web-1",
                "EndpointID": "cdef",
                "MacAddress": "02:42:ac:14:05:02",
                "IPv4Address": "172.20.5.2/16",
                "IPv6Address": "fd00:5::2/64",
            }
        },
        "Options": {
            "com.docker.network.bridge.enable_icc": "false",
            "com.docker.network.driver.mtu": "1400",
            "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
        },
        "Labels": {"team": "a"},
    }
]


def imported(module, value):
    """The tree and the notes of a document, and whether `apply` can read it."""
    found = module.read(json.dumps(value).encode())
    if found.tree:
        manifest.read([("a.yml", yaml_text.write(found.tree))], "")
    return found.tree, list(found.notes)


def docker(**more):
    return imported(import_docker, [{"Name": "web", "Driver": "bridge", **more}])


def test_networks_of_docker_become_networks():
    tree, notes = imported(import_docker, DOCKER)
    assert tree["networks"] == {
        "shop_back": {
            "internal": True,
            "icc": False,
            "mtu": 1400,
            "labels": {"team": "a"},
            "ipam": {
                "config": [
                    {
                        "subnet": "172.20.0.0/16",
                        "gateway": "172.20.0.9",
                        "ip_range": "172.20.5.0/24",
                        "aux_addresses": {"nas": "172.20.1.5"},
                    },
                    {"subnet": "fd00:5::/64"},
                ]
            },
        }
    }
    address = {"ipv4_address": "172.20.5.2", "ipv6_address": "fd00:5::2", "mac_address": "02:42:ac:14:05:02"}
    assert tree["containers"] == {"web-1": {"networks": {"shop_back": address}}}
    assert [note.partition(":")[0] for note in notes] == ["containers", "published ports"]
    assert "docker inspect --format '{{.State.Pid}}' web-1" in notes[0]


def test_networks_of_docker_without_subnets_or_with_one_family():
    assert docker()[0] == {"networks": {"web": {}}}
    assert docker(EnableIPv6=True)[0]["networks"]["web"] == {"enable_ipv6": True}
    only6 = {"ipam": {"config": [{"subnet": "::/64"}]}}
    assert docker(EnableIPv4=False, EnableIPv6=True)[0]["networks"]["web"] == only6
    assert docker(IPAM={"Driver": "null"})[0]["networks"]["web"] == {"subnet": False}


def test_macvlan_networks_of_docker_keep_their_parent_and_mode():
    more = {"Driver": "macvlan", "Options": {"parent": "eth1", "macvlan_mode": "vepa"}}
    more["IPAM"] = {"Config": [{"Subnet": "192.168.7.0/24", "Gateway": "192.168.7.254"}]}
    assert docker(**more)[0]["networks"]["web"] == {
        "driver": "macvlan",
        "parent": "eth1",
        "mode": "vepa",
        "ipam": {"config": [{"subnet": "192.168.7.0/24", "gateway": "192.168.7.254"}]},
    }


@pytest.mark.parametrize(
    ("more", "note"),
    [
        ({"Name": "bridge"}, 'network "bridge": left out: it is docker\'s own'),
        ({"Driver": "overlay", "Scope": "swarm"}, "left out: the driver overlay of the scope swarm has no equivalent"),
        ({"Ingress": True}, "left out: Ingress is true, which has no equivalent"),
        ({"Name": "-x"}, 'network "-x": left out: invalid name "-x"'),
        ({"Options": {"foo": "bar"}}, "left out: there is no option with the key 'foo'"),
        ({"Options": {"com.docker.network.bridge.inhibit_ipv4": "true"}}, "not supported: use gateway: false, which"),
        ({"IPAM": {"Driver": "infoblox"}}, "left out: the IPAM driver infoblox has no equivalent"),
        ({"IPAM": {"Options": {"a": "b"}}}, "left out: the IPAM option a=b has no equivalent"),
        (
            {"Containers": {"1": {"Name": "a b", "IPv4Address": "10.0.0.2/8"}}},
            'container "a b": left out: invalid name',
        ),
    ],
)
def test_what_docker_has_without_an_equivalent_is_named(more, note):
    (found,) = docker(**more)[1]
    assert note in found


PODMAN = {
    "name": "podnet",
    "id": "2f259bab93aa",
    "driver": "bridge",
    "network_interface": "podman1",
    "created": "2026-11-26T10:00:00Z",
    "subnets": [
        {
            "subnet": "10.89.0.0/24",
            "gateway": "10.89.0.1",
            "lease_range": {"start_ip": "10.89.0.10", "end_ip": "10.89.0.20"},
        }
    ],
    "routes": [{"destination": "10.9.0.0/16", "gateway": "10.89.0.5", "metric": 7}],
    "ipv6_enabled": False,
    "internal": False,
    "dns_enabled": False,
    "network_dns_servers": ["9.9.9.9"],
    "labels": {"a": "b"},
    "options": {"mtu": "1400", "isolate": "true"},
    "ipam_options": {"driver": "host-local"},
}


def test_networks_of_podman_become_networks():
    wanted = {
        "networks": {
            "podnet": {
                "labels": {"a": "b"},
                "mtu": 1400,
                "bridge_name": "podman1",
                "routes": ["10.9.0.0/16,10.89.0.5,7"],
                "dns": ["9.9.9.9"],
                "ipam": {"config": [{"subnet": "10.89.0.0/24", "ip_range": "10.89.0.10-10.89.0.20"}]},
            }
        }
    }
    # `podman network inspect` prints an array; a file of /etc/containers/networks is one network.
    assert imported(import_podman, PODMAN) == imported(import_podman, [PODMAN]) == (wanted, [])


def test_containers_of_podman_become_containers():
    interface = {"subnets": [{"ipnet": "10.89.0.12/24", "gateway": "10.89.0.1"}], "mac_address": "aa:bb:cc:dd:ee:f0"}
    tree, notes = imported(
        import_podman, [{**PODMAN, "containers": {"1f": {"name": "c1", "interfaces": {"eth0": interface}}}}]
    )
    connection = {"ipv4_address": "10.89.0.12", "mac_address": "aa:bb:cc:dd:ee:f0", "interface_name": "eth0"}
    assert tree["containers"] == {"c1": {"networks": {"podnet": connection}}}
    assert [note.partition(":")[0] for note in notes] == ["containers", "published ports"]


def test_networks_that_podman_keeps_with_mydockernet_are_read_with_their_driver():
    ours = {"name": "a", "driver": "mydockernet", "options": {"driver": "ptp", "icc": "false"}}
    assert imported(import_podman, ours) == ({"networks": {"a": {"driver": "ptp", "icc": False}}}, [])


@pytest.mark.parametrize(
    ("more", "note"),
    [
        ({"driver": "wireguard"}, 'network "podnet": left out: the driver wireguard has no equivalent'),
        ({"dns_enabled": True}, 'network "podnet": left out: dns_enabled, as mydockernet serves no names'),
        ({"options": {"vlan": "7"}}, "left out: there is no option with the key 'vlan'"),
        ({"ipam_options": {"driver": "dhcp"}}, 'left out: ipam_options.driver: "dhcp" is not supported'),
        ({"new_key": 7}, 'network "podnet": left out: new_key: it is not supported'),
    ],
)
def test_what_podman_has_without_an_equivalent_is_named(more, note):
    (found,) = import_podman.read(json.dumps({**PODMAN, **more}).encode()).notes
    assert note in found


IPAM = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.22.0.0/16", "rangeStart": "10.22.0.10"}]],
    "routes": [{"dst": "0.0.0.0/0"}],
}
BRIDGE = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "mtu": 1400, "ipam": IPAM}
CNI = {
    "cniVersion": "0.4.0",
    "name": "mynet",
    "plugins": [BRIDGE, {"type": "portmap", "capabilities": {"portMappings": True}}],
}


def test_a_list_of_cni_plugins_becomes_a_network():
    ipam = {"config": [{"subnet": "10.22.0.0/16", "ip_range": "10.22.0.10-10.22.255.254"}]}
    wanted = {"networks": {"mynet": {"mtu": 1400, "bridge_name": "cni0", "ipam": ipam}}}
    assert imported(import_cni, CNI) == imported(import_cni, [CNI]) == (wanted, [])


@pytest.mark.parametrize(
    ("plugin", "keys"),
    [
        (
            {"type": "macvlan", "master": "eth1", "mode": "private"},
            {"driver": "macvlan", "parent": "eth1", "mode": "private"},
        ),
        ({"type": "ipvlan", "master": "eth1"}, {"driver": "ipvlan", "parent": "eth1"}),
        ({"type": "ptp", "ipMasq": True}, {"driver": "ptp"}),
        ({"type": "ptp"}, {"driver": "ptp", "masquerade": False}),
        ({"type": "bridge"}, {"gateway": False, "masquerade": False}),
    ],
)
def test_other_cni_plugins_become_networks_of_their_driver(plugin, keys):
    ipam = {"type": "host-local", "subnet": "10.1.0.0/24", "routes": []}
    tree, _ = imported(import_cni, {"name": "a", **plugin, "ipam": ipam})
    found = {key: value for key, value in tree["networks"]["a"].items() if key not in ("ipam", "default_route")}
    assert found == keys


@pytest.mark.parametrize(
    ("plugin", "note"),
    [
        ({**BRIDGE, "vlan": 5}, "left out: vlan: 5: mydockernet's bridges have no VLANs"),
        ({**BRIDGE, "ipam": {"type": "dhcp"}}, 'left out: ipam.type: "dhcp": mydockernet assigns addresses itself'),
        ({"type": "sriov"}, 'network "a": left out: the plugin "sriov" has no equivalent'),
    ],
)
def test_what_cni_has_without_an_equivalent_is_named(plugin, note):
    (found,) = import_cni.read(json.dumps({"name": "a", **plugin}).encode()).notes
    assert note in found


@pytest.mark.parametrize("module", [import_docker, import_podman, import_cni])
@pytest.mark.parametrize("raw", [b"", b"{", b"7", b"[7]", b'"a"', b"\xff", b'[{"a": 1, "a": 2}]'])
def test_what_is_not_json_of_that_shape_is_an_error(module, raw):
    with pytest.raises(Invalid, match="document"):
        module.read(raw)


KEYS = [
    *DOCKER[0],
    *PODMAN,
    *BRIDGE,
    *IPAM,
    "Subnet",
    "Gateway",
    "plugins",
    "type",
    "Name",
    "name",
    "containers",
    "dst",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 70000)
    | st.sampled_from(["", "bridge", "10.1.0.0/24", "10.1.0.1", "a b", "\x1b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)


@pytest.mark.parametrize("module", [import_docker, import_podman, import_cni])
@given(
    st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8), max_size=2),
    st.sampled_from([DOCKER[0], PODMAN, CNI, {}]),
)
@settings(deadline=None, max_examples=40)
def test_any_json_is_imported_or_refused(module, found, more):
    with contextlib.suppress(Invalid):
        text = yaml_text.write(module.read(json.dumps([{**more, **each} for each in found]).encode()).tree)
        assert not text or yaml_tree.read("a.yml", text)
