"""A configuration of CNI → the words of create and connect, compared whole; and what it says of all that is wrong."""

import json

import pytest

from mydockernet import documents
from mydockernet.errors import Invalid
from mydockernet.fronts import cni_config
from mydockernet.fronts.cni_format import ENVIRONMENT, UNSUPPORTED, CNIError

HEAD = {"cniVersion": "1.1.0", "name": "web", "type": "mydockernet"}
IPAM = {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}
BRIDGE = {"bridge": "cni0", "isGateway": True, "ipMasq": True}


def read(config, **args):
    return cni_config.read(documents.parse(json.dumps({**HEAD, **config}).encode()), args)


def given(words):
    """The words that are not at their defaults."""
    return {name: value for name, value in vars(words).items() if value != getattr(type(words), name) and value != []}


# In mydockernet's words, in those of other plugins, or in both: the words of create.
DESCRIBED = {
    "nothing": ({}, {}),
    "own words": (
        {
            "driver": "ptp",
            "subnets": ["10.1.0.0/24", "fd00:1::/64"],
            "gateways": ["10.1.0.9"],
            "ipRanges": ["10.1.0.64/26"],
            "reserve": ["printer=10.1.0.7"],
            "routes": ["10.9.0.0/16,10.1.0.5"],
            "icc": False,
            "masquerade": False,
            "internal": True,
            "mtu": 1400,
            "metric": 50,
            "gatewayMode": "routed",
            "portSecurity": True,
            "labels": {"a": "b", "c": ""},
            "options": {"com.docker.network.driver.mtu": "1400"},
            "dns": {"nameservers": ["10.1.0.1"]},
        },
        {
            "driver": "ptp",
            "subnet": ["10.1.0.0/24", "fd00:1::/64"],
            "gateway": ["10.1.0.9"],
            "ip_range": ["10.1.0.64/26"],
            "reserve": ["printer=10.1.0.7"],
            "route": ["10.9.0.0/16,10.1.0.5"],
            "no_icc": True,
            "no_masquerade": True,
            "internal": True,
            "mtu": "1400",
            "metric": "50",
            "gateway_mode": "routed",
            "port_security": True,
            "label": ["a=b", "c="],
            "opt": ["com.docker.network.driver.mtu=1400"],
            "dns": ["10.1.0.1"],
        },
    ),
    "what is left open": (
        {"mtu": 0, "driver": "", "subnets": [], "icc": True, "internal": False, "labels": {}, "hairpinMode": False},
        {},
    ),
    "bridge and host-local": (
        {**BRIDGE, "hairpinMode": True, "forceAddress": False, "ipam": {**IPAM, "dataDir": "/x", "resolvConf": "/y"}},
        {"bridge_name": "cni0", "subnet": ["10.1.0.0/24"]},
    ),
    "a default gateway": (
        {"isDefaultGateway": True, "ipMasq": True, "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}},
        {"subnet": ["10.1.0.0/24"]},
    ),
    "a gateway, but no default route": (
        {**BRIDGE, "ipam": {"type": "host-local", "subnet": "10.1.0.0/24", "gateway": "10.1.0.9"}},
        {"bridge_name": "cni0", "subnet": ["10.1.0.0/24"], "gateway": ["10.1.0.9"], "no_default_route": True},
    ),
    "the defaults of bridge": (
        {"ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}},
        {
            "subnet": ["10.1.0.0/24"],
            "no_gateway": True,
            "no_masquerade": True,
            "no_default_route": True,
            # host-local does not assign the address of the gateway, which is somebody else on the bridge.
            "reserve": ["gateway=10.1.0.1"],
        },
    ),
    "no ipam": ({**BRIDGE, "ipam": {}}, {"bridge_name": "cni0", "no_subnet": True, "no_default_route": True}),
    "all words of bridge": (
        {
            **BRIDGE,
            "ipMasqBackend": "iptables",
            "macspoofchk": True,
            "portIsolation": True,
            "mtu": 1400,
            "vlan": 0,
            "vlanTrunk": [],
            "preserveDefaultVlan": True,
            "promiscMode": False,
            "enabledad": False,
            "disableContainerInterface": False,
            "ipam": IPAM,
        },
        {
            "bridge_name": "cni0",
            "port_security": True,
            "no_icc": True,
            "mtu": "1400",
            "subnet": ["10.1.0.0/24"],
        },
    ),
    "ranges": (
        {
            **BRIDGE,
            "ipam": {
                "type": "host-local",
                "ranges": [
                    [
                        {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.20"},
                        {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.200"},
                        {"subnet": "10.2.0.0/24", "rangeEnd": "10.2.0.9", "gateway": "10.2.0.100"},
                    ],
                    [{"subnet": "fd00:1::/64", "rangeStart": "fd00:1::100"}],
                ],
                "routes": [
                    {"dst": "::/0", "gw": "fd00:1::1", "priority": 5},
                    {"dst": "10.9.0.0/16"},
                    {"dst": "10.8.0.0/16", "gw": "10.1.0.5", "priority": 7},
                    {"dst": "fd00:9::/48"},
                ],
            },
        },
        {
            "bridge_name": "cni0",
            "subnet": ["10.1.0.0/24", "10.2.0.0/24", "fd00:1::/64"],
            "gateway": ["10.2.0.100"],
            "ip_range": [
                "10.1.0.9-10.1.0.20",
                "10.1.0.200-10.1.0.254",
                "10.2.0.1-10.2.0.9",
                "fd00:1::100-fd00:1::ffff:ffff:ffff:ffff",
            ],
            "metric": "5",
            "route": ["10.9.0.0/16,10.1.0.1", "10.8.0.0/16,10.1.0.5,7", "fd00:9::/48,fd00:1::1"],
        },
    ),
    "a range that is the whole subnet": (
        {
            **BRIDGE,
            "ipam": {
                **IPAM,
                "ranges": [[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9"}, {"subnet": "10.1.0.0/24"}]],
            },
        },
        {"bridge_name": "cni0", "subnet": ["10.1.0.0/24"]},
    ),
    "ranges of the runtime": (
        {
            **BRIDGE,
            "ipam": {"type": "host-local", "routes": IPAM["routes"]},
            "runtimeConfig": {"ipRanges": [[{"Subnet": "10.1.0.0/24", "RangeStart": "", "Gateway": "10.1.0.9"}]]},
        },
        {"bridge_name": "cni0", "subnet": ["10.1.0.0/24"], "gateway": ["10.1.0.9"]},
    ),
    "ranges of the runtime, and own words": (
        {"mtu": 1400, "runtimeConfig": {"ipRanges": [[{"subnet": "10.1.0.0/24", "rangeEnd": "10.1.0.9"}]]}},
        {"mtu": "1400", "subnet": ["10.1.0.0/24"], "ip_range": ["10.1.0.1-10.1.0.9"]},
    ),
    "macvlan": (
        {"driver": "macvlan", "master": "eth1", "mode": "private", "linkInContainer": False, "ipam": IPAM},
        {"driver": "macvlan", "parent": "eth1", "mode": "private", "subnet": ["10.1.0.0/24"]},
    ),
    "ptp": (
        {"driver": "ptp", "ipMasq": True, "ipam": IPAM},
        {"driver": "ptp", "subnet": ["10.1.0.0/24"]},
    ),
    "own words without masquerading": ({"ipMasq": False, "isGateway": True}, {"no_masquerade": True}),
    "own words without a gateway": ({"isGateway": False}, {"no_gateway": True}),
}


@pytest.mark.parametrize("case", DESCRIBED)
def test_a_configuration_describes_a_network(case):
    config, words = DESCRIBED[case]
    assert given(read(config).create) == {"name": "web", **words}


def test_a_configuration_names_a_network():
    request = read({"network": "lan", "capabilities": {"ips": True}, "cni.dev/x": 1, "dns": {"domain": "a.b"}})
    assert (request.network, request.create, request.dns) == ("lan", None, {"domain": "a.b"})
    with pytest.raises(Invalid, match='subnets: it describes a network, but "lan" must exist already'):
        read({"network": "lan", "subnets": ["10.1.0.0/24"]})
    with pytest.raises(Invalid, match=r"runtimeConfig\.ipRanges: it describes a network"):
        read({"network": "lan", "runtimeConfig": {"ipRanges": [[{"subnet": "10.1.0.0/24"}]]}})
    with pytest.raises(CNIError, match="foo: 1: there is no such key"):
        read({"network": "lan", "foo": 1})


PORTS = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
# How a container joins: the words of connect.
JOINS = {
    "nothing": ({}, {}, {}),
    "portMappings": (
        {
            "runtimeConfig": {
                "portMappings": [
                    *PORTS,
                    {"hostPort": 53, "containerPort": 53, "protocol": "UDP", "hostIP": "127.0.0.1"},
                    {"HostPort": 81, "ContainerPort": 80, "Protocol": "", "HostIP": "fd00::1"},
                ]
            },
            "portMappings": [{"hostPort": 90, "containerPort": 90}],
        },
        {},
        {"publish": ["8080:80/tcp", "127.0.0.1:53:53/udp", "[fd00::1]:81:80/tcp", "90:90/tcp"]},
    ),
    "neighboring ports": (
        {
            "portMappings": [
                *({"hostPort": 9000 + n, "containerPort": 80 + n} for n in range(3)),
                *({"hostPort": 9003 + n, "containerPort": 90 + n, "protocol": "udp"} for n in range(2)),
                {"hostPort": 9005, "containerPort": 90, "protocol": "udp"},
            ],
        },
        {},
        {"publish": ["9000-9002:80-82/tcp", "9003-9004:90-91/udp", "9005:90/udp"]},
    ),
    "ips and mac": (
        {"runtimeConfig": {"ips": ["10.1.0.5/16", "fd00:1::5"], "mac": "02:00:00:00:00:05"}},
        {},
        {"ip": "10.1.0.5", "ip6": "fd00:1::5", "mac": "02:00:00:00:00:05"},
    ),
    "CNI_ARGS": (
        {},
        {"IP": "10.1.0.5", "MAC": "02:00:00:00:00:05", "K8S_POD_NAME": "pod"},
        {"ip": "10.1.0.5", "mac": "02:00:00:00:00:05", "name": "pod"},
    ),
    "a name that is none": ({}, {"K8S_POD_NAME": "a/b"}, {}),
    "args win over CNI_ARGS": (
        {"args": {"cni": {"ips": ["10.1.0.6"], "mac": "02:00:00:00:00:06", "labels": [{"key": "a", "value": "b"}]}}},
        {"IP": "10.1.0.5", "MAC": "02:00:00:00:00:05"},
        {"ip": "10.1.0.6", "mac": "02:00:00:00:00:06", "label": ["a=b"]},
    ),
    "capabilities win over args": (
        {
            "runtimeConfig": {"ips": ["10.1.0.7"], "mac": "02:00:00:00:00:07"},
            "args": {"cni": {"ips": ["10.1.0.6"], "mac": "02:00:00:00:00:06"}},
        },
        {},
        {"ip": "10.1.0.7", "mac": "02:00:00:00:00:07"},
    ),
    "aliases": ({"runtimeConfig": {"aliases": ["db", "sql"]}}, {}, {"alias": ["db", "sql"]}),
    "aliases of podman 4": (
        {"runtimeConfig": {"aliases": {"web": ["db"], "other": ["x"]}}},
        {},
        {"alias": ["db"]},
    ),
    "dns": (
        {"runtimeConfig": {"dns": {"servers": ["10.1.0.1"], "searches": ["a.b"]}}, "dns": {"nameservers": ["1.1.1.1"]}},
        {},
        {"dns": ["10.1.0.1"]},
    ),
    "bandwidth": (
        {"runtimeConfig": {"bandwidth": {"ingressRate": 1000000, "ingressBurst": 800000, "egressRate": 2000000}}},
        {},
        {"ingress_rate": "1000000,800000", "egress_rate": "2000000"},
    ),
    "bandwidth as containerd has it": (
        {"runtimeConfig": {"bandwidth": {"IngressRate": 8000, "IngressBurst": 4294967295, "EgressRate": 0}}},
        {},
        {"ingress_rate": "8000,4294967295"},
    ),
    "what changes nothing": (
        {"runtimeConfig": {"cgroupPath": "/x", "io.kubernetes.cri.pod-annotations": {"a": "b"}}, "args": {"other": 1}},
        {},
        {},
    ),
    "no default route": ({"noDefaultRoute": True}, {}, {"no_default_route": True}),
}


@pytest.mark.parametrize("case", JOINS)
def test_a_container_joins_as_the_runtime_asks(case):
    config, args, words = JOINS[case]
    assert given(read(config, **args).connect) == words


def test_the_name_servers_of_the_runtime_are_printed():
    config, _, _ = JOINS["dns"]
    assert read(config).dns == {"nameservers": ["10.1.0.1"], "search": ["a.b"]}


REFUSED = {
    "vlan": ({"vlan": 3}, "vlan: 3: mydockernet's bridges have no VLANs"),
    "nothing that is known": ({"foo": {"a": [1]}}, 'foo: {"a": [1]}: there is no such key'),
    "promiscMode": ({"promiscMode": True}, "promiscMode: true: containers reach"),
    "nftables": ({"ipMasqBackend": "nftables"}, 'ipMasqBackend: "nftables": mydockernet uses iptables'),
    "dhcp": ({"ipam": {"type": "dhcp"}}, 'ipam.type: "dhcp": mydockernet assigns'),
    "static": ({"ipam": {"type": "static"}}, 'ipam.type: "static": the capability ips'),
    "an unknown plugin": ({"ipam": {"type": "whereabouts"}}, "only host-local is known"),
    "two addresses": (
        {"ipam": {"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}]]}},
        "ipam.ranges: 10.2.0.0/24: a container has one address of each address family",
    ),
    "a route's MTU": (
        {**BRIDGE, "ipam": {**IPAM, "routes": [{"dst": "0.0.0.0/0", "mtu": 1400}]}},
        "ipam.routes[0].mtu: 1400: there is no such key",
    ),
    "another default gateway": (
        {**BRIDGE, "ipam": {**IPAM, "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.7"}]}},
        'ipam.routes[0].gw: "10.1.0.7": the default route leads to the gateway, 10.1.0.1',
    ),
    "a default route without a gateway": ({"ipam": IPAM}, "a default route needs isGateway or isDefaultGateway"),
    "a capability": ({"runtimeConfig": {"deviceID": "x"}}, 'deviceID: "x": mydockernet does not have this capability'),
    "a word of portmap": (
        {"runtimeConfig": {"portMappings": [{**PORTS[0], "snat": True}]}},
        "portMappings[0].snat: true",
    ),
    "a huge value": ({"foo": "x" * 1000}, f'foo: "{"x" * 99}…: there is no such key'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_unsupported_is_named_with_its_value(case):
    config, text = REFUSED[case]
    with pytest.raises(CNIError) as refused:
        read(config)
    assert refused.value.code == UNSUPPORTED
    assert text in refused.value.message


WRONG = {
    "host bits": ({"ipam": {"subnet": "10.1.0.5/24"}}, "ipam.subnet: 10.1.0.5/24 has host bits set"),
    "no subnet": ({"ipam": {"ranges": [[{}]]}}, "ipam.ranges[0][0].subnet: '' does not appear to be"),
    "a range outside": ({"ipam": {"subnet": "10.1.0.0/24", "rangeEnd": "10.2.0.9"}}, "10.2.0.9 is not in 10.1.0.0/24"),
    "a gateway alone": ({"ipam": {"gateway": "10.1.0.1"}}, "ipam.gateway: it needs subnet"),
    "mixed families": (
        {"ipam": {"ranges": [[{"subnet": "10.1.0.0/24"}, {"subnet": "fd00:1::/64"}]]}},
        "ipam.ranges: the ranges of one set are of different address families",
    ),
    "port 0": (
        {"runtimeConfig": {"portMappings": [{"hostPort": 0, "containerPort": 80}]}},
        "runtimeConfig.portMappings[0].hostPort: it must be a port, from 1 to 65535",
    ),
    "a port as a text": ({"portMappings": [{"hostPort": "80", "containerPort": 80}]}, "it must be a number"),
    "a protocol": ({"portMappings": [{**PORTS[0], "protocol": "icmp"}]}, "it must be one of tcp, udp, sctp"),
    "an address": ({"portMappings": [{**PORTS[0], "hostIP": "localhost"}]}, "portMappings[0].hostIP: 'localhost'"),
    "two addresses of one family": (
        {"runtimeConfig": {"ips": ["10.1.0.5", "10.1.0.6"]}},
        "runtimeConfig.ips: 10.1.0.6: a container has one address of each address family",
    ),
    "a burst without a rate": (
        {"runtimeConfig": {"bandwidth": {"egressBurst": 8}}},
        "runtimeConfig.bandwidth.egressBurst: it needs egressRate",
    ),
    "types": ({"mtu": "1400", "icc": 1, "subnets": "10.1.0.0/24"}, "mtu: it must be a number; "),
    "objects": ({"ipam": [], "labels": {"a": 1}, "dns": ""}, "ipam: it must be an object"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_with_its_place(case):
    config, text = WRONG[case]
    with pytest.raises(Invalid) as refused:
        read(config)
    assert text in str(refused.value)


def test_cni_args():
    assert cni_config.read_args("") == {}
    assert cni_config.read_args("IP=10.1.0.5;K8S_POD_NAME=pod;") == {"IP": "10.1.0.5", "K8S_POD_NAME": "pod"}
    assert cni_config.read_args("IgnoreUnknown=1;FOO=bar=baz")["FOO"] == "bar=baz"


@pytest.mark.parametrize("text", ["FOO=bar", "IP", "IgnoreUnknown=maybe", "IgnoreUnknown=0;FOO=x"])
def test_cni_args_that_are_wrong(text):
    with pytest.raises(CNIError) as refused:
        cni_config.read_args(text)
    assert refused.value.code == ENVIRONMENT
