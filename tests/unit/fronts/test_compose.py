"""Compose files are read as written: services become containers, and what cannot be is named.

The examples are those of the compose specification, 05-services.md and 06-networks.md.
"""

import pytest

from mydockernet import wishes
from mydockernet.errors import Invalid
from mydockernet.fronts import compose, manifest
from mydockernet.model import Namespace
from mydockernet.wishes import ConnectWords, CreateWords


def read(text, file="/srv/shop/compose.yml", complete=False, **more):
    return manifest.read([(file, text)], "", complete=complete, **more)


def problems(text, **more):
    with pytest.raises(Invalid) as caught:
        read(text, file="c.yml", project="shop", **more)
    return list(caught.value.messages)


def shape(found):
    """The names of networks, and of containers with their networks, in their order."""
    return [network.name for network in found.networks], {
        c.name: [name for name, _ in c.connections] for c in found.containers
    }


def connect(name="app", **words):
    return wishes.read_connect(ConnectWords(**words), name, Namespace(""))


BASIC = """\
services:
  frontend:
    image: example/webapp
    networks:
      - front-tier
      - back-tier

networks:
  front-tier:
  back-tier:
"""
EXTERNAL = """\
services:
  proxy:
    image: example/proxy
    networks:
      - outside
      - default
  app:
    image: example/app
    networks:
      - default

networks:
  outside:
    external: true
"""
ALIASES = """\
services:
  frontend:
    image: example/webapp
    networks:
      - front-tier
      - back-tier

  monitoring:
    image: example/monitoring
    networks:
      - admin

  backend:
    image: example/backend
    networks:
      back-tier:
        aliases:
          - database
      admin:
        aliases:
          - mysql

networks:
  front-tier: {}
  back-tier: {}
  admin: {}
"""
ADDRESSES = """\
services:
  frontend:
    image: example/webapp
    networks:
      front-tier:
        ipv4_address: 172.16.238.10
        ipv6_address: 2001:3984:3989::10

networks:
  front-tier:
    ipam:
      driver: default
      config:
        - subnet: "172.16.238.0/24"
        - subnet: "2001:3984:3989::/64"
"""
GATEWAY_PRIORITY = """\
services:
  app:
    image: busybox
    command: top
    networks:
      app_net_1:
      app_net_2:
        gw_priority: 1
      app_net_3:
networks:
  app_net_1:
  app_net_2:
  app_net_3:
"""
PRIORITY = """\
services:
  app:
    image: busybox
    command: top
    networks:
      app_net_1:
        priority: 1000
      app_net_2:

      app_net_3:
        priority: 100
networks:
  app_net_1:
  app_net_2:
  app_net_3:
"""
DEFAULT = "services:\n  some-service:\n    image: foo\n"
EXPLICIT_DEFAULT = DEFAULT + "    networks:\n      default: {}\n"
HOST = (
    "services:\n  web:\n    networks:\n      hostnet: {}\n\nnetworks:\n  hostnet:\n    external: true\n    name: host\n"
)
IPV6 = (
    "services: {app: {networks: [ip6net]}}\nnetworks:\n    ip6net:\n      enable_ipv4: false\n      enable_ipv6: true\n"
)


@pytest.mark.parametrize(
    ("text", "networks", "containers"),
    [
        (BASIC, ["shop_front-tier", "shop_back-tier"], {"frontend": ["shop_front-tier", "shop_back-tier"]}),
        (EXTERNAL, ["outside", "shop_default"], {"proxy": ["outside", "shop_default"], "app": ["shop_default"]}),
        (DEFAULT, ["shop_default"], {"some-service": ["shop_default"]}),
        (EXPLICIT_DEFAULT, ["shop_default"], {"some-service": ["shop_default"]}),
        (HOST, [], {}),
        (HOST.replace("name: host", "name: none"), [], {}),
        (IPV6, ["shop_ip6net"], {"app": ["shop_ip6net"]}),
        (
            GATEWAY_PRIORITY,
            ["shop_app_net_1", "shop_app_net_2", "shop_app_net_3"],
            {"app": ["shop_app_net_1", "shop_app_net_2", "shop_app_net_3"]},
        ),
        (
            PRIORITY,
            ["shop_app_net_1", "shop_app_net_2", "shop_app_net_3"],
            {"app": ["shop_app_net_1", "shop_app_net_3", "shop_app_net_2"]},
        ),
    ],
)
def test_the_examples_of_the_specification_are_read_as_written(text, networks, containers):
    found = read(text)
    assert (found.project, shape(found)) == ("shop", (networks, containers))


def test_the_example_of_aliases_is_read_as_written():
    frontend, monitoring, backend = read(ALIASES).containers
    assert dict(frontend.connections)["shop_front-tier"] == connect("frontend")
    assert backend.connections == (
        ("shop_back-tier", connect("backend", alias=["database"])),
        ("shop_admin", connect("backend", alias=["mysql"])),
    )
    assert [name for name, _ in monitoring.connections] == ["shop_admin"]


def test_the_example_of_addresses_is_read_as_written():
    found = read(ADDRESSES)
    words = {"subnet": ["172.16.238.0/24", "2001:3984:3989::/64"]}
    assert found.networks[0].wish == wishes.read_create(CreateWords(name="shop_front-tier", **words), "")
    ((_, connection),) = found.containers[0].connections
    assert connection == connect("frontend", ip="172.16.238.10", ip6="2001:3984:3989::10")


def test_the_example_of_the_default_route_is_read_as_written():
    assert [c.gw_priority for _, c in read(GATEWAY_PRIORITY).containers[0].connections] == [0, 1, 0]


ATTRIBUTES = """\
networks:
  mynet1:
    labels:
      - "com.example.description=Financial transaction network"
      - "com.example.department=Finance"
      - "com.example.label-with-empty-value"
  mynet2:
    labels:
      com.example.description: "Financial transaction network"
      com.example.department: "Finance"
      com.example.label-with-empty-value: ""
  ip6net:
    enable_ipv6: true
  network1:
    name: my-app-net
  network2:
    external: true
    name: "${NETWORK_ID}"
services: {}
"""


def test_the_examples_of_attributes_are_read_as_written():
    one, two, ip6net, network1, network2 = read(ATTRIBUTES, environ={"NETWORK_ID": "lan7"}).networks
    assert one.wish.labels == two.wish.labels
    assert ("com.example.label-with-empty-value", "") in one.wish.labels
    assert ip6net.wish.ipv6
    assert [(n.name, n.wish is None) for n in (network1, network2)] == [("my-app-net", False), ("lan7", True)]


IPAM = """\
services: {}
networks:
  mynet1:
    ipam:
      driver: default
      config:
        - subnet: 172.28.0.0/16
          ip_range: 172.28.5.0/24
          gateway: 172.28.5.254
          aux_addresses:
            host1: 172.28.1.5
            host2: 172.28.1.6
            host3: 172.28.1.7
"""
IPAM_OPTIONS = '      options:\n        foo: bar\n        baz: "0"\n'


def test_the_example_of_ipam_is_read_but_for_its_options():
    reserved = [f"host{n}=172.28.1.{n + 4}" for n in (1, 2, 3)]
    words = {
        "subnet": ["172.28.0.0/16"],
        "ip_range": ["172.28.5.0/24"],
        "gateway": ["172.28.5.254"],
        "reserve": reserved,
    }
    assert read(IPAM).networks[0].wish == wishes.read_create(CreateWords(name="shop_mynet1", **words), "")
    assert problems(IPAM + IPAM_OPTIONS) == [
        "c.yml:14:7: networks.mynet1.ipam.options: not supported: nothing reads them: leave them out"
    ]


SHORT = """\
services:
  app:
    ports:
      - "3000"
      - "3000-3005"
      - "8000:8000"
      - "9090-9091:8080-8081"
      - "49100:22"
      - "8000-9000:80"
      - "127.0.0.1:8001:8001"
      - "127.0.0.1:5000-5010:5000-5010"
      - "6060:6060/udp"
"""
LONG = """\
services:
  app:
    ports:
      - name: web
        target: 80
        host_ip: 127.0.0.1
        published: "8080"
        protocol: tcp
        app_protocol: http
        mode: host

      - name: web-secured
        target: 443
        host_ip: 127.0.0.1
        published: "8083-9000"
        protocol: tcp
        app_protocol: https
        mode: host
"""


def test_the_examples_of_ports_are_read_as_written():
    assert [wish.word for wish in read(SHORT).containers[0].publish][-1] == "6060:6060/udp"
    assert len(read(SHORT).containers[0].publish) == 9
    assert [w.word for w in read(LONG).containers[0].publish] == [
        "127.0.0.1:8080:80/tcp",
        "127.0.0.1:8083-9000:443/tcp",
    ]


def test_ports_on_the_loopback_address_of_ipv6_are_refused_as_on_the_command_line():
    found = problems('services:\n  app:\n    ports:\n      - "::1:6000:6000"\n      - "[::1]:6001:6001"\n')
    assert [line.split(": ")[0] for line in found] == ["c.yml:4:9", "c.yml:5:9"]
    assert all("the kernel cannot translate ::1" in line for line in found)


CUSTOM = """\
services:
  proxy:
    build: ./proxy
    networks:
      - frontend
networks:
  frontend:
    # Use a custom driver
    driver: custom-driver-1
  backend:
    driver_opts:
      foo: "bar"
      baz: 1
  mynet1:
    driver: overlay
    attachable: true
"""
LINK_LOCAL = """\
services:
  app:
    image: busybox
    command: top
    networks:
      app_net:
        link_local_ips:
          - 57.123.22.11
          - 57.123.22.13
networks:
  app_net:
    driver: bridge
"""


def test_the_examples_of_what_mydockernet_has_not_are_named_with_their_place():
    found = problems(CUSTOM)
    assert (
        found[0]
        == 'c.yml:9:13: networks.frontend.driver: unknown driver "custom-driver-1": use bridge, ptp, macvlan, ipvlan'
    )
    assert found[1].startswith("c.yml:12:12: networks.backend.driver_opts.foo: there is no option with the key 'foo'")
    assert found[2].startswith("c.yml:13:12: networks.backend.driver_opts.baz: there is no option with the key 'baz'")
    assert found[3] == "c.yml:15:13: networks.mynet1.driver: overlay needs a swarm; mydockernet networks one host"
    (found,) = problems(LINK_LOCAL)
    assert found.startswith("c.yml:7:9: services.app.networks.app_net.link_local_ips: not supported: mydockernet")


def test_keys_that_say_nothing_about_networks_are_ignored():
    text = "services:\n  app:\n" + "".join(f"    {key}: x\n" for key in compose.IGNORED)
    assert shape(read(text))[1] == {"app": ["shop_default"]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("services:\n  a: {imag: x}\n", "c.yml:2:7: services.a.imag: unknown key (did you mean image?)"),
        ("services:\n  a: {extends: b}\n", "c.yml:2:7: services.a.extends: not supported: write what it inherits"),
        ("services:\n  a: {network_mode: bridge}\n", 'c.yml:2:21: services.a.network_mode: "bridge" is no network'),
        (
            "services:\n  a: {network_mode: host, networks: [x]}\n",
            "c.yml:2:21: services.a.network_mode: a service has either",
        ),
        ("services:\n  a: {ports: ['80:80:x']}\n", "c.yml:2:15: services.a.ports[0]: "),
        (
            "services:\n  a: {ports: [{target: 80, mode: ingress}]}\n",
            "c.yml:2:34: services.a.ports[0].mode: ingress needs",
        ),
        ("services:\n  a: {mac_address: x}\n", 'c.yml:2:20: services.a.mac_address: invalid MAC address "x"'),
        ("services:\n  a: {container_name: -x}\n", 'c.yml:2:3: services.a: invalid name "-x"'),
        ("services:\n  a: {networks: [b]}\n", 'c.yml:2:18: services.a.networks[0]: there is no network "b"'),
        ("services: [a]\n", "c.yml:1:11: services: it must be a map, not a list"),
        ("services: {}\nnetworks: {a: {name: $}}\n", 'c.yml:2:22: "$": $ begins a variable: write $$ for a dollar'),
        ("services: {}\nnetworks: {a: {name: '${X:?no X}'}}\n", "c.yml:2:22: the variable X is not set: no X"),
    ],
)
def test_a_broken_compose_file_gives_the_line_the_column_and_the_key(text, problem):
    found = problems(text, environ={})
    assert found[0].startswith(problem)


@pytest.mark.parametrize("mode", ["host", "none", "service:db", "container:abc"])
def test_a_service_without_networks_of_its_own_is_no_container(mode):
    assert shape(read(f"services: {{web: {{network_mode: '{mode}'}}, db: }}")) == (
        ["shop_default"],
        {"db": ["shop_default"]},
    )


def test_the_default_network_has_the_settings_that_are_given():
    found = read("services: {web: }\nnetworks: {default: {internal: true}}")
    assert [(network.name, network.wish.internal) for network in found.networks] == [("shop_default", True)]


def test_the_namespace_of_a_service_is_given_on_the_command_line():
    text = "services:\n  web: {container_name: www}\n  db:\n"
    assert problems(text, complete=True, containers={"web": "/run/netns/w"}) == [
        "c.yml:3:3: services.db: which namespace it has is not known: give --container db=NETNS, or a pid or a path of "
        "its namespace"
    ]
    found = read(text, complete=True, containers={"web": "w", "db": "77"})
    assert [(c.name, c.word) for c in found.containers] == [("www", "w"), ("db", "77")]


def test_a_container_with_another_name_has_that_of_its_service_as_an_alias():
    text = "services: {web: {container_name: www, networks: {a: {aliases: [w, web]}, b: }}}\nnetworks: {a: , b: }"
    assert [c.aliases for _, c in read(text).containers[0].connections] == [("web", "w"), ("web",)]
    assert [c.aliases for _, c in read(text.replace("www", "web")).containers[0].connections] == [("w", "web"), ()]


def test_the_mac_address_of_a_service_is_that_of_its_first_network():
    text = "services: {web: {mac_address: 02-42-00-00-00-0A, hostname: w, dns: 9.9.9.9, networks: [a, b]}}\n"
    text += "networks: {a: , b: }"
    (one, two) = read(text).containers[0].connections
    assert (one[1].mac, two[1].mac) == ("02:42:00:00:00:0a", None)
    assert {(c.hostname, str(c.dns[0])) for _, c in (one, two)} == {("w", "9.9.9.9")}


@pytest.mark.parametrize(
    ("file", "project"),
    [("/srv/My Shop/compose.yml", "myshop"), ("/srv/_x.y_z/c.yml", "xy_z"), ("/srv/2-a/c.yml", "2-a")],
)
def test_a_project_without_a_name_is_called_like_its_directory(file, project):
    assert read("services: {}", file=file).project == project
    assert read("services: {}\nname: other", file=file).project == "other"
    assert read("services: {}\nname: other", file=file, project="third").project == "third"


@pytest.mark.parametrize("file", ["-", "/c.yml", "/ÄÖ/c.yml"])
def test_a_project_needs_a_name_if_the_directory_gives_none(file):
    with pytest.raises(Invalid, match=r"name: it is missing, and .* add it, or use --project-name"):
        read("services: {}", file=file)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a$$b", "a$b"),
        ("$A-$EMPTY-$NONE.", "1--."),
        ("${A}${EMPTY}x", "1x"),
        ("${NONE:-d}${NONE-d}${EMPTY:-d}${EMPTY-d}", "ddd"),
        ("${A:+r}${EMPTY:+r}${EMPTY+s}${NONE+r}", "rs"),
        ("${NONE:-${A}}${A:-${NONE}}", "11"),
        ("${A:?gone}${EMPTY?gone}", "1"),
    ],
)
def test_variables_are_replaced_as_in_compose(text, value):
    assert compose.substituted(text, {"A": "1", "EMPTY": ""}) == value


@pytest.mark.parametrize("text", ["$", "a$ b", "${A", "${}", "${1}", "${A!}", "${NONE:?}", "${EMPTY:?}"])
def test_what_is_no_variable_is_an_error(text):
    with pytest.raises(ValueError):
        compose.substituted(text, {"A": "1", "EMPTY": ""})


def test_variables_are_not_nested_without_limit():
    with pytest.raises(ValueError, match="nested more than 10 levels deep"):
        compose.substituted("${NONE:-" * 5000 + "}" * 5000, {})


def test_variables_are_replaced_only_where_they_concern_networks_of_compose_files():
    text = "services: {web: {environment: {A: $, B: '${'}, command: $(x), hostname: $H}}"
    ((_, connection),) = read(text, environ={"H": "h"}).containers[0].connections
    assert connection.hostname == "h"
    assert manifest.read([("a.yml", "networks: {a: {labels: {x: $H}}}")], "").networks[0].wish.labels == (("x", "$H"),)
