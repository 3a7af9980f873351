"""Files for `apply` declare what the words of `create` and `connect` would; messages name the key and its place."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mydockernet import wishes
from mydockernet.errors import Invalid
from mydockernet.fronts import manifest, manifest_keys
from mydockernet.model import Namespace
from mydockernet.wishes import ConnectWords, CreateWords


def read(*texts, **more):
    names = ["a.yml", "b.yml", "c.yml"]
    return manifest.read(list(zip(names, texts, strict=False)), "", **more)


def problems(*texts, **more):
    with pytest.raises(Invalid) as caught:
        read(*texts, **more)
    return list(caught.value.messages)


def network(text):
    """The wish for the network whose keys are in a text."""
    (found,) = read("networks:\n  front:\n" + "".join(f"    {line}\n" for line in text.splitlines())).networks
    return found.wish


def create(**words):
    return wishes.read_create(CreateWords(name="front", **words), "")


def connection(text):
    """The connection of a container on one network, with the keys of it in a text."""
    (found,) = read(
        f"networks: {{front: , lan: {{external: true}}}}\ncontainers: {{web: {{networks: {{front: {text}}}}}}}"
    ).containers
    ((_, connection),) = found.connections
    return connection


def connect(**words):
    return wishes.read_connect(ConnectWords(**words), "web", Namespace(""))


EXAMPLE = """\
name: shop
networks:
  front:
  back:
    driver: bridge
    internal: true
    enable_ipv6: true
    driver_opts: {mtu: 1400, icc: false}
    ipam:
      config:
        - subnet: 10.1.0.0/24
          ip_range: 10.1.0.128/25
          gateway: 10.1.0.1
          aux_addresses: {printer: 10.1.0.9}
        - subnet: fd00:1::/64
    labels: {team: a}
  lan: {external: true}
containers:
  web:
    networks:
      front: {aliases: [www], gw_priority: 1}
      back: {ipv4_address: 10.1.0.10, interface_name: eth7}
    ports: ["8080:80", "127.0.0.1:53:53/udp", {target: 443, published: "8443", host_ip: 192.0.2.1}]
  db:
    pidfile: /run/db.pid
    networks: [back]
"""


def test_a_file_declares_networks_and_containers():
    found = read(EXAMPLE)
    assert found.project == "shop"
    front, back, lan = found.networks
    assert (front.wish, front.place) == (create(), "a.yml:3:3: networks.front")
    words = {
        "internal": True,
        "ipv6": True,
        "mtu": "1400",
        "no_icc": True,
        "subnet": ["10.1.0.0/24", "fd00:1::/64"],
        "ip_range": ["10.1.0.128/25"],
        "reserve": ["printer=10.1.0.9"],
        "label": ["team=a"],
    }
    assert back.wish == wishes.read_create(CreateWords(name="back", **words), "")
    assert (lan.name, lan.wish) == ("lan", None)
    web, db = found.containers
    assert (web.name, web.word, web.pidfile, web.place) == ("web", "web", "", "a.yml:19:3: containers.web")
    assert web.connections == (
        ("front", connect(alias=["www"], gw_priority="1")),
        ("back", connect(ip="10.1.0.10", ifname="eth7")),
    )
    assert [wish.word for wish in web.publish] == ["8080:80", "127.0.0.1:53:53/udp", "192.0.2.1:8443:443/tcp"]
    assert (db.word, db.pidfile, [name for name, _ in db.connections]) == ("", "/run/db.pid", ["back"])


SUBNET = "ipam: {config: [{subnet: 10.1.0.0/24"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", {}),
        ("driver: ptp", {"driver": "ptp"}),
        ("driver: macvlan\nparent: eth1\nmode: vepa", {"driver": "macvlan", "parent": "eth1", "mode": "vepa"}),
        ("driver: macvlan\nhost_ip: 10.1.0.7", {"driver": "macvlan", "host_ip": ["10.1.0.7"]}),
        ("internal: true", {"internal": True}),
        ("internal: false", {}),
        ("icc: false", {"no_icc": True}),
        ("icc: true", {}),
        ("port_security: true", {"port_security": True}),
        ("masquerade: false", {"no_masquerade": True}),
        ("masquerade4: false", {"no_masquerade4": True}),
        ("masquerade6: false", {"no_masquerade6": True}),
        ("gateway: false", {"no_gateway": True}),
        ("subnet: false", {"no_subnet": True}),
        ("ipam: {driver: none}", {"no_subnet": True}),
        ("default_route: false", {"no_default_route": True}),
        ("gateway_mode: routed", {"gateway_mode": "routed"}),
        ("gateway_mode: isolated", {"gateway_mode": "isolated"}),
        ("gateway_mode6: routed", {"gateway_mode6": "routed"}),
        ("mtu: 1400", {"mtu": "1400"}),
        ('mtu: "1400"', {"mtu": "1400"}),
        ("bridge_name: br7", {"bridge_name": "br7"}),
        (
            f"{SUBNET}}}]}}\nroutes: ['10.9.0.0/16,10.1.0.5']",
            {"subnet": ["10.1.0.0/24"], "route": ["10.9.0.0/16,10.1.0.5"]},
        ),
        ("metric: 50", {"metric": "50"}),
        ("dns: [10.1.0.3, 9.9.9.9]", {"dns": ["10.1.0.3", "9.9.9.9"]}),
        ("dns: 9.9.9.9", {"dns": ["9.9.9.9"]}),
        ("labels: {a: 1.10, b: , c: yes, d: true}", {"label": ["a=1.10", "b=", "c=yes", "d=true"]}),
        ("labels: [a=1, b]", {"label": ["a=1", "b"]}),
        ("enable_ipv6: true", {"ipv6": True}),
        ("enable_ipv4: true", {}),
        ("enable_ipv4: false\nenable_ipv6: true", {"subnet": ["::/64"]}),
        ("enable_ipv4: false\nipam: {config: [{subnet: 'fd00:1::/64'}]}", {"subnet": ["fd00:1::/64"]}),
        ("ipam: {config: [{subnet: 0.0.0.0/26}]}", {"subnet": ["0.0.0.0/26"]}),
        (f"{SUBNET}, gateway: 10.1.0.9}}]}}", {"subnet": ["10.1.0.0/24"], "gateway": ["10.1.0.9"]}),
        (
            f"{SUBNET}, ip_range: [10.1.0.8/29, 10.1.0.30-10.1.0.40]}}]}}",
            {"subnet": ["10.1.0.0/24"], "ip_range": ["10.1.0.8/29", "10.1.0.30-10.1.0.40"]},
        ),
        (
            f"{SUBNET}, reserve: [10.1.0.8, nas=10.1.0.9]}}]}}",
            {"subnet": ["10.1.0.0/24"], "reserve": ["10.1.0.8", "nas=10.1.0.9"]},
        ),
        ("driver_opts: {com.docker.network.driver.mtu: 1400}", {"mtu": "1400"}),
        ("driver_opts: {com.docker.network.bridge.enable_icc: 'false'}", {"no_icc": True}),
        ("driver_opts: {com.docker.network.bridge.name: br9}", {"bridge_name": "br9"}),
        ("attachable: true", {}),
        ("x-mine: {a: [1]}", {}),
    ],
)
def test_the_keys_of_a_network_mean_what_the_options_of_create_do(text, words):
    assert network(text) == create(**words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", {}),
        ("{}", {}),
        ("{ipv4_address: 10.1.0.10, ipv6_address: 'fd00::9'}", {"ip": "10.1.0.10", "ip6": "fd00::9"}),
        ("{mac_address: '02:42:0a:01:00:09'}", {"mac": "02:42:0a:01:00:09"}),
        ("{interface_name: eth7}", {"ifname": "eth7"}),
        ("{driver_opts: {com.docker.network.endpoint.ifname: eth7}}", {"ifname": "eth7"}),
        ("{aliases: [www, 8]}", {"alias": ["www", "8"]}),
        ("{gw_priority: -1}", {"gw_priority": "-1"}),
        ("{default_route: false}", {"no_default_route": True}),
        ("{labels: {a: b}}", {"label": ["a=b"]}),
        ("{dns: 9.9.9.9, hostname: www.example.org}", {"dns": ["9.9.9.9"], "hostname": "www.example.org"}),
        (
            "{ingress_rate: 10mbit, egress_rate: '1gbit,4mbit'}",
            {"ingress_rate": "10mbit", "egress_rate": "1gbit,4mbit"},
        ),
        ("{rate_in: 10mbit, rate_out: 1gbit}", {"ingress_rate": "10mbit", "egress_rate": "1gbit"}),
        ("{ports: ['8080:80']}", {"publish": ["8080:80"]}),
        (
            "{ports: [{target: 80, from: [10.0.0.0/8, 'fd00::/8']}]}",
            {"publish": ["80/tcp"], "sources": ["10.0.0.0/8", "fd00::/8"]},
        ),
    ],
)
def test_the_keys_of_a_connection_mean_what_the_options_of_connect_do(text, words):
    assert connection(text) == connect(**words)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("3000", "3000"),
        ("'3000-3005'", "3000-3005"),
        ("8000:8000", "8000:8000"),
        ("22:22", "22:22"),
        ("9090-9091:8080-8081", "9090-9091:8080-8081"),
        ("127.0.0.1::5000", "127.0.0.1::5000"),
        ("fd00::1:6000:6000/udp", "[fd00::1]:6000:6000/udp"),
        ("'[fd00::1]:6001:6001'", "[fd00::1]:6001:6001"),
        ("{target: 80}", "80/tcp"),
        ("{target: 80, published: 8080, protocol: udp, mode: host, name: web, app_protocol: http}", "8080:80/udp"),
        ("{target: 80, host_ip: 127.0.0.1}", "127.0.0.1::80/tcp"),
        ("{target: 80, host_ip: 'fd00::1', published: 8083-9000}", "[fd00::1]:8083-9000:80/tcp"),
    ],
)
def test_ports_are_read_in_the_short_and_the_long_form(text, spec):
    (found,) = read(f"networks: {{front: }}\ncontainers: {{web: {{networks: [front], ports: [{text}]}}}}").containers
    assert [wish.word for wish in found.publish] == [spec]


@pytest.mark.parametrize(
    ("text", "word", "pidfile"),
    [
        ("", "web", ""),
        ("netns: other, ", "other", ""),
        ("netns: 12, ", "/run/netns/12", ""),
        ("pid: 12, ", "12", ""),
        ("path: /proc/1/ns/net, ", "/proc/1/ns/net", ""),
        ("pidfile: /run/a.pid, ", "", "/run/a.pid"),
    ],
)
def test_a_container_has_the_namespace_of_its_name_unless_another_is_given(text, word, pidfile):
    text = f"networks: {{front: }}\ncontainers: {{web: {{{text}networks: [front]}}}}"
    (found,) = read(text).containers
    assert (found.word, found.pidfile) == (word, pidfile)
    (found,) = read(text, containers={"web": "77"}).containers
    assert (found.word, found.pidfile) == ("77", "")


def test_what_a_container_says_once_counts_for_all_its_networks():
    text = "networks: {a: , b: }\ncontainers:\n  web:\n    labels: {x: 1, y: 1}\n    dns: 9.9.9.9\n    hostname: h\n"
    (found,) = read(text + "    networks: {a: , b: {labels: {y: 2}, dns: 1.1.1.1, hostname: i}}\n").containers
    assert dict(found.connections) == {
        "a": connect(label=["x=1", "y=1"], dns=["9.9.9.9"], hostname="h"),
        "b": connect(label=["x=1", "y=2"], dns=["9.9.9.9", "1.1.1.1"], hostname="i"),
    }


def test_networks_of_a_container_are_in_the_order_of_their_priority_and_then_of_the_file():
    text = (
        "networks: {a: , b: , c: , d: }\ncontainers: {web: {networks: {a: , b: , c: {priority: 9}, d: {priority: 5}}}}"
    )
    assert [name for name, _ in read(text).containers[0].connections] == ["c", "d", "a", "b"]


def test_several_files_declare_together():
    found = read("networks: {front: }", "containers: {web: {networks: [front]}}", "name: shop")
    assert (found.project, len(found.networks), found.containers[0].connections[0][0]) == ("shop", 1, "front")


def test_networks_are_called_by_their_key_unless_a_name_or_the_prefix_is_given():
    text = "networks: {front: , back: {name: rear}, lan: {external: true, name: LAN}}\n"
    text += "containers: {web: {networks: [front, back, lan]}}"
    assert [network.name for network in read(text).networks] == ["front", "rear", "LAN"]
    found = read(text, project="shop", prefix=True)
    assert [network.name for network in found.networks] == ["shop_front", "rear", "LAN"]
    assert [name for name, _ in found.containers[0].connections] == ["shop_front", "rear", "LAN"]


def test_the_project_of_the_command_line_overrides_that_of_the_file():
    assert read("name: a", "name: b", project="c").project == "c"
    assert problems("name: a", "name: b") == ['b.yml:1:7: name: "b" contradicts "a" at a.yml:1:7']
    assert problems("name: Shop")[0].startswith('a.yml:1:7: name: invalid project name "Shop": use small letters')
    assert problems("name: a", project="-")[0].startswith('--project-name: invalid project name "-"')


NET, WEB = "networks:\n  front:\n", "networks: {front: }\ncontainers:\n  web:\n    networks: [front]\n"
CONFIG = f"{NET}    ipam:\n      config:\n        - subnet: 10.1.0.0/24\n"
ON = "networks: {front: }\ncontainers:\n  web:\n    networks:\n      front:\n"
BROKEN = [
    ("[]", "a.yml:1:1: it must be a map, not a list"),
    ("~", "a.yml:1:1: the file declares nothing"),
    ("netwroks: {}", "a.yml:1:1: netwroks: unknown key (did you mean networks?)"),
    ("include: [b.yml]", "a.yml:1:1: include: not supported: give all files to apply"),
    ("networks: [front]", "a.yml:1:11: networks: it must be a map, not a list"),
    ("networks: {front: 1}", 'a.yml:1:19: networks.front: it must be a map, not "1"'),
    (f"{NET}    subnets: [10.1.0.0/24]\n", "a.yml:3:5: networks.front.subnets: unknown key (did you mean subnet?)"),
    (
        f"{NET}    ip_range: 10.1.0.0/25\n",
        "a.yml:3:5: networks.front.ip_range: unknown key (did you mean ipam.config[].ip_range?)",
    ),
    (f"{NET}    no_icc: true\n", "a.yml:3:5: networks.front.no_icc: unknown key (did you mean icc: false?)"),
    (
        f"{NET}    subnet: 10.1.0.0/24\n",
        "a.yml:3:13: networks.front.subnet: it must be true or false: a subnet stands in",
    ),
    (f"{NET}    internal: yes\n", 'a.yml:3:15: networks.front.internal: it must be true or false, not "yes"'),
    (f"{NET}    internal: [true]\n", "a.yml:3:15: networks.front.internal: it must be true or false, not a list"),
    (f"{NET}    mtu: big\n", 'a.yml:3:10: networks.front.mtu: it must be a number, not "big"'),
    (f"{NET}    mtu: 10\n", "a.yml:3:10: networks.front.mtu: 10 is out of range: use 68 to 65535"),
    (
        f"{NET}    driver: brdige\n",
        'a.yml:3:13: networks.front.driver: unknown driver "brdige": use bridge, ptp, macvlan, ipvlan',
    ),
    (
        f"{NET}    driver: overlay\n",
        "a.yml:3:13: networks.front.driver: overlay needs a swarm; mydockernet networks one host",
    ),
    (
        f"{NET}    driver: true\n",
        "a.yml:3:13: networks.front.driver: it must be a text: put true in quotes if it is one",
    ),
    (
        f"{NET}    driver: ptp\n    bridge_name: x\n",
        "a.yml:4:18: networks.front.bridge_name: the driver ptp does not support it: ",
    ),
    (
        f"{NET}    driver_opts: {{mtu: 1400, foo: bar}}\n",
        "a.yml:3:35: networks.front.driver_opts.foo: there is no option with the key 'foo'",
    ),
    (
        f"{NET}    driver_opts: {{icc: maybe}}\n",
        "a.yml:3:24: networks.front.driver_opts.icc: icc is true or false, not 'maybe'",
    ),
    (f"{NET}    driver_opts: {{mtu: 9}}\n", "a.yml:3:24: networks.front.driver_opts.mtu: 9 is out of range"),
    (f"{NET}    labels: {{a: [b]}}\n", "a.yml:3:17: networks.front.labels.a: it must be a single value, not a list"),
    (f"{NET}    labels: a\n", 'a.yml:3:13: networks.front.labels: it must be a map, or a list of KEY=VALUE, not "a"'),
    (f"{NET}    routes: [10.9.0.0/16]\n", 'a.yml:3:14: networks.front.routes[0]: "10.9.0.0/16" is not DST,GW[,METRIC]'),
    (
        f"{NET}    gateway_mode: nta\n",
        'a.yml:3:19: networks.front.gateway_mode: unknown mode "nta": use nat, routed, isolated',
    ),
    (
        f"{NET}    subnet: false\n    enable_ipv6: true\n",
        "a.yml:3:13: networks.front.subnet: subnet: false contradicts enable_ipv6: true",
    ),
    (
        f"{NET}    enable_ipv4: false\n",
        "a.yml:3:18: networks.front.enable_ipv4: without IPv4, it needs enable_ipv6: true",
    ),
    (
        f"{CONFIG}    enable_ipv4: false\n",
        "a.yml:5:19: networks.front.ipam.config[0].subnet: 10.1.0.0/24 contradicts enable_ipv4: false",
    ),
    (
        f"{NET}    ipam: {{driver: dhcp}}\n",
        "a.yml:3:20: networks.front.ipam.driver: mydockernet assigns addresses itself",
    ),
    (
        f"{NET}    ipam: {{options: {{a: b}}}}\n",
        "a.yml:3:12: networks.front.ipam.options: not supported: nothing reads them: leave them out",
    ),
    (
        f"{NET}    ipam: {{config: {{subnet: 10.1.0.0/24}}}}\n",
        "a.yml:3:20: networks.front.ipam.config: it must be a list, not a map",
    ),
    (
        f"{NET}    ipam: {{config: [{{gateway: 10.1.0.1}}]}}\n",
        "a.yml:3:21: networks.front.ipam.config[0]: subnet is missing",
    ),
    (
        f"{NET}    ipam: {{config: [{{subnet: 10.1.0.0}}]}}\n",
        'a.yml:3:30: networks.front.ipam.config[0].subnet: "10.1.0.0" has no prefix length',
    ),
    (
        f"{CONFIG}        - subnet: 10.1.0.128/25\n",
        "a.yml:6:19: networks.front.ipam.config[1].subnet: 10.1.0.128/25 overlaps 10.1.0.0/24, which is given as well",
    ),
    (
        f"{CONFIG}          gateway: 10.2.0.1\n",
        "a.yml:6:20: networks.front.ipam.config[0].gateway: 10.2.0.1 is not in 10.1.0.0/24",
    ),
    (
        f"{CONFIG}          ip_range: [10.1.0.9-10.1.0.8]\n",
        "a.yml:6:22: networks.front.ipam.config[0].ip_range[0]: 10.1.0.9-10.1.0.8: the first address is higher",
    ),
    (
        f"{CONFIG}          aux_addresses: {{nas: 10.1.0.300}}\n",
        "a.yml:6:32: networks.front.ipam.config[0].aux_addresses.nas: '10.1.0.300' does not appear",
    ),
    (
        f"{CONFIG}        - subnet: 10.2.0.0/24\n          gateway: 10.1.0.9\n",
        "a.yml:7:20: networks.front.ipam.config[1].gateway: 10.1.0.9 is not in 10.2.0.0/24",
    ),
    (
        "networks:\n  lan:\n    external: true\n    mtu: 9000\n",
        "a.yml:4:5: networks.lan.mtu: an external network is left as it is: only name may be given",
    ),
    ("networks:\n  -lan:\n    external: true\n", 'a.yml:2:3: networks.-lan: invalid name "-lan"'),
    (
        "networks:\n  lan: {external: {name: x}}\n",
        "a.yml:2:19: networks.lan.external: write external: true, and name: beside it",
    ),
    ("networks:\n  a b:\n", 'a.yml:2:3: networks.a b: invalid name "a b"'),
    (
        "networks:\n  a: {name: x}\n  b: {name: x}\n",
        'a.yml:3:3: networks.b: "x" is declared twice, first at a.yml:2:3: networks.a',
    ),
    (f"{NET}containers:\n  web:\n", "a.yml:4:3: containers.web: it is on no network: name them in networks"),
    (
        f"{NET}containers:\n  web: {{networks: front}}\n",
        "a.yml:4:19: containers.web.networks: it must be a list of networks, or a map",
    ),
    (
        f"{NET}containers:\n  web: {{networks: [fornt]}}\n",
        'a.yml:4:20: containers.web.networks[0]: there is no network "fornt" (did you mean front?)',
    ),
    (
        f"{NET}containers:\n  web: {{networks: [lan]}}\n",
        'a.yml:4:20: containers.web.networks[0]: there is no network "lan": declare it in networks, with',
    ),
    (
        f"{NET}containers:\n  web: {{networks: [front, front]}}\n",
        'a.yml:4:27: containers.web.networks[1]: "front" is named twice, first at a.yml:4:20',
    ),
    (f"{WEB}    image: nginx\n", "a.yml:5:5: containers.web.image: unknown key (known: netns, pid, "),
    (f"{WEB}    pid: abc\n", 'a.yml:5:10: containers.web.pid: it must be a number, not "abc"'),
    (
        f"{WEB}    pid: 1\n    path: /run/x\n",
        "a.yml:6:11: containers.web.path: a container has one namespace, but pid is given as well",
    ),
    (
        f"{WEB}    netns: /run/netns/x\n",
        'a.yml:5:12: containers.web.netns: "/run/netns/x" is no name: a path stands in path',
    ),
    (f"{WEB}    ports: 80\n", "a.yml:5:12: containers.web.ports: it must be a list"),
    (
        f"{WEB}    ports: ['80:99999']\n",
        'a.yml:5:13: containers.web.ports[0]: "80:99999": 99999: ports must be from 1 to 65535',
    ),
    (
        f"{WEB}    ports: [{{published: 80}}]\n",
        "a.yml:5:13: containers.web.ports[0]: target, the port of the container, is missing",
    ),
    (
        f"{WEB}    ports: [{{target: 80, protocol: icmp}}]\n",
        "a.yml:5:36: containers.web.ports[0].protocol: 'icmp' is none of tcp, udp, sctp",
    ),
    (
        f"{WEB}    ports: [{{target: 80, mode: ingress}}]\n",
        "a.yml:5:32: containers.web.ports[0].mode: ingress needs a swarm: use host, or leave it out",
    ),
    (
        f"{WEB}    ports: [{{target: 80, from: 10.0.0.1/8}}]\n",
        "a.yml:5:32: containers.web.ports[0].from: 10.0.0.1/8 has host bits set",
    ),
    (
        f"{WEB}    ports: [{{target: 80, host_ip: x}}]\n",
        "a.yml:5:35: containers.web.ports[0].host_ip: 'x' does not appear to be",
    ),
    (
        f"{ON}        ipv4_address: fd00::1\n",
        "a.yml:6:23: containers.web.networks.front.ipv4_address: fd00::1 is an IPv6 address",
    ),
    (
        f"{ON}        mac_address: 01:00:00:00:00:00\n",
        'a.yml:6:22: containers.web.networks.front.mac_address: invalid MAC address "01:00:00:00:00:00"',
    ),
    (
        f"{ON}        ip: 10.1.0.9\n",
        "a.yml:6:9: containers.web.networks.front.ip: unknown key (did you mean ipv4_address?)",
    ),
    (
        f"{ON}        interface_name: a-name-that-is-too-long\n",
        'a.yml:6:25: containers.web.networks.front.interface_name: invalid interface name "a-name',
    ),
    (
        f"{ON}        priority: high\n",
        'a.yml:6:19: containers.web.networks.front.priority: it must be a number, not "high"',
    ),
    (
        f"{ON}        ingress_rate: fast\n",
        "a.yml:6:23: containers.web.networks.front.ingress_rate: 'fast' is not a rate",
    ),
    (
        f"{ON}        {{ingress_rate: 1mbit, rate_in: 1mbit}}\n",
        "a.yml:6:40: containers.web.networks.front.rate_in: it is the same as ingress_rate: use one of them",
    ),
    (
        f"{ON}        rate_out: fast\n",
        "a.yml:6:19: containers.web.networks.front.rate_out: 'fast' is not a rate",
    ),
    (
        f"{ON}        link_local_ips: [169.254.1.1]\n",
        "a.yml:6:9: containers.web.networks.front.link_local_ips: not supported: mydockernet adds no",
    ),
    (
        f"{ON}        driver_opts: {{a: b}}\n",
        "a.yml:6:26: containers.web.networks.front.driver_opts.a: only com.docker.network.endpoint.ifname is",
    ),
]


@pytest.mark.parametrize(("text", "problem"), BROKEN)
def test_a_broken_file_gives_the_line_the_column_and_the_key(text, problem):
    (found,) = problems(text)
    assert found.startswith(problem)


def test_all_errors_of_all_files_are_reported_in_their_order():
    found = problems(f"{WEB}    pid: abc\n    ports: [x]\n", "netwroks: {}\nnetworks: {a: {mtu: 1}}\n", "a: b: c")
    assert [line.split(": ")[0] for line in found[:4]] == ["a.yml:5:10", "a.yml:6:13", "b.yml:1:1", "b.yml:2:21"]
    assert found[4].startswith("c.yml:1:5: invalid YAML")


def test_what_two_files_declare_names_both_places():
    text = f"{NET}containers: {{web: {{networks: [front]}}}}\n"
    assert problems(text, text) == [
        "b.yml:2:3: networks.front: it is declared twice, first at a.yml:2:3",
        "b.yml:3:14: containers.web: it is declared twice, first at a.yml:3:14",
    ]


def test_a_network_that_is_wrong_is_not_reported_again_where_it_is_used():
    assert len(problems("networks: {front: {mtu: 1}}\ncontainers: {web: {networks: [front]}}")) == 1


def test_namespaces_on_the_command_line_must_be_of_containers_in_the_files():
    assert problems(WEB, containers={"wbe": "1"}) == [
        '--container: there is no container or service "wbe": the files have web'
    ]


def test_names_may_begin_like_the_keys_that_are_ignored():
    text = "x-a: 1\nnetworks: {x-lan: {x-b: 2}}\ncontainers: {x-web: {x-c: 3, networks: {x-lan: {x-d: 4}}}}"
    found = read(text)
    assert [network.name for network in found.networks] == ["x-lan"]
    assert [(c.name, [name for name, _ in c.connections]) for c in found.containers] == [("x-web", ["x-lan"])]


def test_two_keys_for_one_external_network_are_one_network():
    text = "networks: {a: {external: true, name: lan}, b: {external: true, name: lan}}\n"
    text += "containers: {web: {networks: [%s]}}"
    assert [network.name for network in read(text % "b").networks] == ["lan"]
    assert problems(text % "a, b") == [
        'a.yml:2:34: containers.web.networks[1]: "lan" is named twice, first at a.yml:2:31'
    ]


def test_a_container_by_pid_is_noted_unless_only_its_name_matters():
    text = "networks: {front: }\ncontainers: {web: {pid: 77, networks: [front]}}"
    assert read(text).notes == ('container "web" is process 77, which is another one after a restart',)
    assert read(text, complete=False).notes == read(EXAMPLE).notes == ()


FRAGMENTS = [
    *EXAMPLE,
    *EXAMPLE.split(),
    "&a",
    "*a",
    "<<: ",
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    "\n",
    "\t",
    "services:",
    "~",
    "!!str ",
    "\x00",
    "é",
]


@given(
    st.lists(
        st.tuples(st.integers(0, len(EXAMPLE)), st.integers(0, 12), st.sampled_from(FRAGMENTS)), min_size=1, max_size=4
    )
)
@settings(deadline=None, max_examples=300)
def test_a_file_with_any_mistake_is_read_or_refused_with_places(edits):
    text = EXAMPLE
    for at, length, more in edits:
        text = text[:at] + more + text[at + length :]
    try:
        read(text)
    except Invalid as error:
        assert all(re.match(r"a\.yml:\d+:\d+: ", message) for message in error.messages)


def words(keys):
    return {word for key in keys for word in (key.word, *words(key.keys)) if word}


def options(holder):
    return {name for name in vars(holder) if not name.startswith("_")}


def test_all_that_create_and_connect_can_say_has_a_key():
    assert words(manifest_keys.NETWORK) == options(CreateWords)
    # The networks and the name are keys themselves, and `from` is one of a port.
    assert words(manifest_keys.CONNECTION) == options(ConnectWords) - {"networks", "name", "sources"}
    assert "--from" in {key.option for key in manifest_keys.PORT}


def test_a_wish_carries_the_realm():
    (found,) = manifest.read([("-", "networks: {front: }")], "1a2b3c").networks
    assert (found.wish.realm, found.place) == ("1a2b3c", "stdin:1:12: networks.front")
