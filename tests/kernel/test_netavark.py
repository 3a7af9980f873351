"""The plugin of netavark, asked by hand as netavark asks it: JSON in, JSON out. It needs no podman."""

import copy
import json
import time

import pytest

ID = "0123456789abcdef" * 4
NETWORK = {
    "name": "web",
    "id": "12d27ca0ecc4f607628732c8e143b2b021276242b9e008cacea207cd166073c2",
    "driver": "mydockernet",
    "created": "2026-11-26T07:24:58.885966202Z",
    "subnets": [{"subnet": "10.5.0.0/24", "gateway": "10.5.0.1"}],
    "ipv6_enabled": False,
    "internal": False,
    "dns_enabled": False,
}


def network(**changes):
    changed = {**copy.deepcopy(NETWORK), **changes}
    return {key: value for key, value in changed.items() if value is not ...}


def container(number=1, network=NETWORK, ports=(), **options):
    """What netavark 1.14 gives to setup and teardown for a container of podman's."""
    return {
        "container_id": f"{ID[:-1]}{number}",
        "container_name": f"c{number}",
        "port_mappings": list(ports) or None,
        "network": {"network_interface": None, "options": None, "ipam_options": None, "routes": None, **network},
        "network_options": {
            "aliases": [ID[:12]],
            "interface_name": "eth0",
            "static_ips": [f"10.5.0.{number + 1}"],
            "static_mac": None,
            "options": None,
            **options,
        },
    }


def port(host_port, container_port, protocol="tcp", host_ip="", span=1):
    keys = {"container_port": container_port, "host_ip": host_ip, "host_port": host_port}
    return {**keys, "protocol": protocol, "range": span}


class Plugin:
    def __init__(self, host):
        self.host = host

    def __call__(self, *words, given="", check=True, env=None):
        """What the plugin prints, read as JSON; None if that is nothing."""
        text = given if isinstance(given, str) else json.dumps(given)
        done = self.host.run("mydockernet-netavark", *words, stdin=text, check=False, env=env)
        assert done.returncode == (0 if check else 1), done
        assert check or done.stderr == "", done
        return json.loads(done.stdout) if done.stdout else None

    def fails(self, *words, given="", env=None):
        """The message of the error, which stands alone in the answer. Nothing has changed."""
        before = self.host.everything()
        answer = self(*words, given=given, check=False, env=env)
        assert {*answer} == {"error"}
        assert self.host.everything() == before
        return answer["error"]

    def setup(self, number=1, **options):
        return self("setup", f"/run/netns/c{number}", given=container(number, **options))

    def teardown(self, number=1, **options):
        assert self("teardown", f"/run/netns/c{number}", given=container(number, **options)) is None


@pytest.fixture
def plugin(host):
    host.sh("for n in 1 2 3; do ip netns add c$n; done")
    return Plugin(host)


def ps(plugin):
    """The containers that mydockernet knows: NETWORK CONTAINER ADDRESS… PORT…"""
    form = '{{.Network}} {{.Name}} {{join .Addresses " "}} {{join .Ports " "}}'
    return [line.strip() for line in plugin.host.mydockernet(["ps", "--format", form]).stdout.splitlines()]


@pytest.mark.parametrize("words", [(), ("info",)])
def test_info(plugin, words):
    answer = plugin(*words)
    assert answer["api_version"] == "1.0.0"
    assert all(isinstance(value, str) for value in answer.values())
    assert {"version", "api_version"} <= {*answer}


# create

CREATED = {
    "as it is": (network(), network()),
    "the gateway": (network(subnets=[{"subnet": "10.5.0.0/24"}]), network()),
    "a gateway of an internal network": (
        network(internal=True, subnets=[{"subnet": "10.5.0.0/24"}]),
        network(internal=True),
    ),
    "a range": (
        network(subnets=[{"subnet": "10.5.0.0/24", "lease_range": {"start_ip": "10.5.0.9", "end_ip": "10.5.0.255"}}]),
        network(
            subnets=[
                {
                    "subnet": "10.5.0.0/24",
                    "gateway": "10.5.0.1",
                    "lease_range": {"start_ip": "10.5.0.9", "end_ip": "10.5.0.255"},
                }
            ]
        ),
    ),
    "half a range": (
        network(subnets=[{"subnet": "10.5.0.0/24", "lease_range": {"start_ip": "10.5.0.9"}}]),
        network(
            subnets=[
                {
                    "subnet": "10.5.0.0/24",
                    "gateway": "10.5.0.1",
                    "lease_range": {"start_ip": "10.5.0.9"},
                }
            ]
        ),
    ),
    "names are served": (network(dns_enabled=True), network(dns_enabled=True)),
    "but name servers are told": (
        network(dns_enabled=True, network_dns_servers=["192.0.2.53"]),
        network(dns_enabled=True, network_dns_servers=["192.0.2.53"]),
    ),
    "both families": (
        network(subnets=[{"subnet": "fd00:5::/64"}, {"subnet": "10.5.0.0/24"}]),
        network(
            subnets=[
                {"subnet": "10.5.0.0/24", "gateway": "10.5.0.1"},
                {"subnet": "fd00:5::/64", "gateway": "fd00:5::1"},
            ],
            ipv6_enabled=True,
        ),
    ),
    "no gateway, and so nothing for podman to add": (
        network(
            subnets=[{"subnet": "10.5.0.0/24"}],
            options={"com.docker.network.bridge.gateway_mode_ipv4": "isolated"},
        ),
        network(
            subnets=[{"subnet": "10.5.0.0/24"}],
            options={"com.docker.network.bridge.gateway_mode_ipv4": "isolated"},
            internal=True,
        ),
    ),
    "no subnet": (
        network(subnets=..., ipam_options={"driver": "none"}),
        network(subnets=..., ipam_options={"driver": "none"}),
    ),
}


@pytest.mark.parametrize(("given", "made"), CREATED.values(), ids=CREATED)
def test_create_fills_in_what_is_open(plugin, given, made):
    before = plugin.host.everything()
    answer = plugin("create", given=given)
    assert answer == {**made, "network_interface": "web"}
    assert plugin("create", given=answer) == answer
    assert plugin.host.everything() == before


def test_create_chooses_subnets_that_are_free(plugin):
    one = plugin("create", given=network(subnets=..., ipv6_enabled=True))
    assert [":" in subnet["subnet"] for subnet in one["subnets"]] == [False, True]
    chosen = one["subnets"][0]["subnet"]
    folder = plugin.host.root / "run/podman-networks"
    folder.mkdir()
    (plugin.host.root / "run/containers.conf").write_text('[network]\nnetwork_config_dir = "/run/podman-networks"\n')
    env = {"CONTAINERS_CONF": "/run/containers.conf"}
    (folder / "one.json").write_text(json.dumps({**one, "name": "one"}))
    (folder / "broken.json").write_text("{")
    two = plugin("create", given=network(subnets=...), env=env)
    assert two["subnets"][0]["subnet"] != chosen
    said = plugin.fails("create", given=network(subnets=[{"subnet": chosen}]), env=env)
    assert f'{chosen} of network "one"' in said
    # What podman knows of this network itself, as it is created again.
    (folder / "web.json").write_text(json.dumps(network()))
    assert plugin("create", given=network(), env=env)["subnets"] == NETWORK["subnets"]


def test_create_refuses_the_name_of_a_network_of_the_command_line(plugin):
    plugin.host.mydockernet("create web")
    assert 'network "web" already exists' in plugin.fails("create", given=network())


REFUSED = {
    "an address manager": (network(subnets=..., ipam_options={"driver": "dhcp"}), "dhcp"),
    "an option": (network(options={"vlan": "7"}), "vlan"),
    "another key": (network(leases=[1]), "leases"),
    "another key of a subnet": (network(subnets=[{"subnet": "10.5.0.0/24", "dhcp": True}]), "dhcp"),
    "a subnet": (network(subnets=[{"subnet": "10.5.0.1"}, {"subnet": "x"}]), '"x"'),
    "a gateway": (network(subnets=[{"subnet": "10.5.0.0/24", "gateway": "10.6.0.1"}]), "10.6.0.1"),
    "a route": (network(routes=[{"destination": "10.9.0.0/16", "gateway": "10.6.0.1"}]), "10.6.0.1"),
    "a kind of route": (network(routes=[{"destination": "10.9.0.0/16", "route_type": "throw"}]), "throw"),
    "a driver": (network(options={"driver": "overlay"}), "overlay"),
    "a bridge for a driver without": (
        network(network_interface="br7", options={"driver": "ptp"}),
        "--interface-name: the driver ptp",
    ),
    "a name": (network(name="../x"), "../x"),
    "an interface": (network(network_interface="a b"), "a b"),
    "a label": (network(labels={"a\u0007": "b"}), "label"),
    "a name server": (network(network_dns_servers=["nowhere"]), "nowhere"),
}


@pytest.mark.parametrize(("given", "why"), REFUSED.values(), ids=REFUSED)
def test_create_refuses_what_it_cannot_serve(plugin, given, why):
    said = plugin.fails("create", given=given)
    assert why in said
    assert "\n" not in said


# setup and teardown


def test_setup_attaches_a_container_and_teardown_leaves_nothing(plugin):
    before = plugin.host.everything()
    given = network(
        subnets=[{"subnet": "10.5.0.0/24", "gateway": "10.5.0.1"}, {"subnet": "fd00:5::/64", "gateway": "fd00:5::1"}],
        ipv6_enabled=True,
        dns_enabled=True,
        network_dns_servers=["192.0.2.53"],
        network_interface="webbr",
        routes=[{"destination": "10.9.0.0/16", "gateway": "10.5.0.7", "metric": 50}],
        labels={"a": "b"},
        options={"mtu": "1400"},
    )
    options = {
        "network": given,
        "static_ips": ["10.5.0.77", "fd00:5::77"],
        "static_mac": "02:AA:bb:cc:dd:ee",
        "interface_name": "lan0",
        "ports": [port(8080, 80, "tcp,udp", span=3), port(9081, 81, host_ip="127.0.0.1")],
    }
    assert plugin.setup(**options) == {
        "dns_search_domains": [],
        "dns_server_ips": ["192.0.2.53"],
        "interfaces": {
            "lan0": {
                "mac_address": "02:aa:bb:cc:dd:ee",
                "subnets": [
                    {"ipnet": "10.5.0.77/24", "gateway": "10.5.0.1"},
                    {"ipnet": "fd00:5::77/64", "gateway": "fd00:5::1"},
                ],
            }
        },
    }
    assert "mydockernet:web" in str(plugin.host.snapshot()["host"]["links"]["webbr"])
    inside = plugin.host.snapshot()["inside"]["c1"]
    assert "10.5.0.77/24" in str(inside["links"]["lan0"])
    assert "10.9.0.0/16" in str(inside["routes"])
    assert "8080-8082:80-82/tcp" in ps(plugin)[0]
    assert "8080-8082:80-82/udp" in ps(plugin)[0]
    assert "127.0.0.1:9081:81/tcp" in ps(plugin)[0]
    plugin.teardown(**options)
    now = plugin.host.everything()
    assert now[1] == before[1]
    assert "ydockernet" not in str(now[0]["rules"]) + str(now[0]["host"]["links"])


def test_without_an_address_it_chooses_one(plugin):
    """As netavark asks on its own, and podman for a network that has no subnets on its record."""
    (interface,) = plugin.setup(static_ips=None)["interfaces"].values()
    assert interface["subnets"] == [{"ipnet": "10.5.0.2/24", "gateway": "10.5.0.1"}]


def test_a_network_without_addresses(plugin):
    layer2 = network(subnets=..., ipam_options={"driver": "none"})
    (interface,) = plugin.setup(network=layer2, static_ips=None)["interfaces"].values()
    assert interface["subnets"] == []
    assert interface["mac_address"] in plugin.host.sh("ip -n c1 link show eth0").stdout


def test_a_default_route_of_another_program_stays(plugin):
    plugin.host.sh("ip -n c1 link add dev other type bridge; ip -n c1 link set dev other up")
    plugin.host.sh("ip -n c1 address add 10.7.0.2/24 dev other; ip -n c1 route add default via 10.7.0.1")
    plugin.setup()
    routes = plugin.host.sh("ip -n c1 route show default").stdout.splitlines()
    assert [route.strip() for route in routes] == ["default via 10.7.0.1 dev other"]
    assert plugin.host.mydockernet("check").stdout == ""
    plugin.teardown()
    assert "default via 10.7.0.1" in plugin.host.sh("ip -n c1 route").stdout


def test_the_network_lasts_from_the_first_to_the_last_container(plugin):
    plugin.setup(1)
    plugin.setup(2)
    assert len(ps(plugin)) == 2
    plugin.teardown(1)
    assert ps(plugin) == ["web c2 10.5.0.3"]
    plugin.teardown(2)
    assert plugin.host.mydockernet("ls -q").stdout == ""


def test_teardown_may_come_again_and_without_a_namespace(plugin):
    plugin.teardown()
    plugin.setup()
    plugin.host.sh("ip netns del c1")
    plugin.teardown()
    plugin.teardown()
    assert plugin.host.mydockernet("ls -q").stdout == ""
    plugin.setup(2)
    assert plugin("teardown", "/run/nowhere", given=container(2)) is None
    assert plugin.host.mydockernet("ls -q").stdout == ""


def test_teardown_needs_no_more_than_it_was_set_up_with(plugin):
    """podman may have lost its file of the network, or a newer version has keys that this one does not know."""
    plugin.setup()
    given = container()
    given["network"] = {"name": "web", "id": "", "driver": "mydockernet", "new": {"a": [1]}, "subnets": 7}
    given["port_mappings"] = "all"
    assert plugin("teardown", "/run/netns/c1", given=given) is None
    assert plugin.host.mydockernet("ls -q").stdout == ""


def test_setup_may_come_again(plugin):
    first = plugin.setup(ports=[port(8080, 80)])
    before = plugin.host.everything()
    assert plugin.setup(ports=[port(8080, 80)]) == first
    assert plugin.host.everything() == before
    # With the container in another namespace, as after a start of which nobody told the end.
    plugin.host.sh("ip netns del c1; ip netns add c1")
    assert plugin.setup(ports=[port(8080, 80)]) == first
    assert ps(plugin) == ["web c1 10.5.0.2 8080:80/tcp"]
    assert plugin.host.mydockernet("check").stdout == ""


def test_setup_again_drops_what_was_left_behind_elsewhere(plugin):
    first = plugin.setup(1)
    other = network(name="db", subnets=[{"subnet": "10.6.0.0/24"}])
    plugin.setup(2, network=other, static_ips=None)
    plugin.host.sh("ip netns del c2")
    for _ in range(50):
        if "c2-" not in plugin.host.sh("ip -o link").stdout:
            break
        time.sleep(0.1)
    assert plugin.setup(1) == first
    assert ps(plugin) == ["web c1 10.5.0.2"]
    assert plugin.host.mydockernet("ls -q").stdout == "web\n"


def test_ports_that_another_network_publishes_already(plugin):
    other = network(name="db", subnets=[{"subnet": "10.6.0.0/24"}])
    ports = [port(8080, 80), port(8082, 82, host_ip="::")]
    plugin.setup(ports=ports)
    plugin.setup(network=other, ports=ports, interface_name="eth1", static_ips=["10.6.0.9"])
    assert ps(plugin) == ["db c1 10.6.0.9", "web c1 10.5.0.2 8080:80/tcp"]


def test_ports_of_a_network_that_the_container_leaves_are_published_by_another(plugin):
    other = network(name="db", subnets=[{"subnet": "10.6.0.0/24"}])
    options = {"ports": [port(8080, 80), port(8081, 81, host_ip="127.0.0.1")], "static_ips": None}
    plugin.setup(**options)
    plugin.setup(network=other, interface_name="eth1", **options)
    plugin.teardown(**options)
    assert ps(plugin) == ["db c1 10.6.0.2 8080:80/tcp 127.0.0.1:8081:81/tcp"]
    assert plugin.host.mydockernet("check").stdout == ""
    plugin.teardown(network=other, interface_name="eth1", **options)
    assert plugin.host.mydockernet("ls -q").stdout == ""


@pytest.mark.parametrize("changes", [{"internal": True}, {"subnets": ..., "ipam_options": {"driver": "none"}}])
def test_ports_are_left_to_networks_that_can_publish_them(plugin, changes):
    plugin.setup(network=network(**changes), ports=[port(8080, 80)], static_ips=None)
    assert len(ps(plugin)) == 1
    assert "8080" not in str(plugin.host.snapshot()["rules"])


def test_a_port_of_another_container(plugin):
    plugin.setup(1, ports=[port(8080, 80)])
    given = container(2, ports=[port(8080, 80)])
    assert 'container "c1"' in plugin.fails("setup", "/run/netns/c2", given=given)


BAD_SETUPS = {
    "no namespace": ("/run/netns/nowhere", container(), "/run/netns/nowhere"),
    "no path": ("", container(), "namespace"),
    "the host": ("/proc/self/ns/net", container(), "the host's own"),
    "another file": ("/etc/passwd", container(), "/etc/passwd"),
    "an address elsewhere": ("/run/netns/c1", container(static_ips=["10.6.0.2"]), "10.6.0.2"),
    "no address": ("/run/netns/c1", container(static_ips=["here"]), "here"),
    "two addresses": ("/run/netns/c1", container(static_ips=["10.5.0.2", "10.5.0.3"]), "10.5.0.3"),
    "a MAC address": ("/run/netns/c1", container(static_mac="ff:ff:ff:ff:ff:ff"), "ff:ff:ff:ff:ff:ff"),
    "an interface": ("/run/netns/c1", container(interface_name="../eth0"), "../eth0"),
    "an option of the container": ("/run/netns/c1", container(options={"host_interface_name": "x"}), "host_interface"),
    "a protocol": ("/run/netns/c1", container(ports=[port(8080, 80, "tcp,dccp")]), "dccp"),
    "an address that cannot be translated": ("/run/netns/c1", container(ports=[port(8080, 80, host_ip="::1")]), "::1"),
    "a port": ("/run/netns/c1", container(ports=[port(70000, 80)]), "70000"),
    "no range": ("/run/netns/c1", container(ports=[port(8080, 80, span=70000)]), "8080"),
    "an address of others": ("/run/netns/c1", container(ports=[port(8080, 80, host_ip="192.0.2.9")]), "192.0.2.9"),
    "a network": ("/run/netns/c1", container(network=network(options={"vlan": "7"})), "vlan"),
}


@pytest.mark.parametrize(("path", "given", "why"), BAD_SETUPS.values(), ids=BAD_SETUPS)
def test_setup_refuses(plugin, path, given, why):
    assert why in plugin.fails("setup", path, given=given)


def test_what_the_host_has_meanwhile(plugin):
    plugin.host.sh("ip address add 10.5.0.1/24 dev canary")
    assert "10.5.0.0/24 overlaps" in plugin.fails("setup", "/run/netns/c1", given=container())


def test_a_network_of_the_command_line_is_not_taken_over(plugin):
    plugin.host.mydockernet("create web --subnet 10.7.0.0/24")
    assert '"web"' in plugin.fails("setup", "/run/netns/c1", given=container())


@pytest.mark.parametrize("at", [3, 8])
def test_a_command_that_fails_is_undone(plugin, at):
    env = plugin.host.break_programs("echo kaputt >&2; exit 1", at)
    before = plugin.host.everything()
    answer = plugin("setup", "/run/netns/c1", given=container(ports=[port(8080, 80)]), check=False, env=env)
    assert {*answer} == {"error"}
    assert "kaputt" in answer["error"]
    links, state = plugin.host.everything()
    assert links == before[0]
    assert not any("/networks/" in path for path in state)
    plugin.setup(ports=[port(8080, 80)])


@pytest.mark.parametrize("at", [2, 5, 8])
def test_a_setup_that_is_killed_is_undone_by_the_next_call(plugin, at):
    before = plugin.host.snapshot()
    env = plugin.host.break_programs("kill -9 $PPID; sleep 5", at)
    given = json.dumps(container(ports=[port(8080, 80)]))
    done = plugin.host.run("mydockernet-netavark", "setup", "/run/netns/c1", stdin=given, check=False, env=env)
    assert done.returncode == -9
    plugin.teardown()
    assert plugin.host.snapshot() == before
    assert not any("/networks/" in path for path in plugin.host.state())


@pytest.mark.parametrize(
    "words",
    [("remove",), ("setup",), ("teardown",), ("setup", "a", "b"), ("create", "x"), ("--help",), ("info", "x")],
)
def test_other_words(plugin, words):
    assert "usage" in plugin.fails(*words, given=container())


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "7", '{"a": NaN}', "\x00", "[" * 100000, '{"name": "\\ud800"}']
)
@pytest.mark.parametrize("words", [("create",), ("setup", "/run/netns/c1"), ("teardown", "/run/netns/c1")])
def test_text_that_is_not_what_netavark_sends(plugin, words, text):
    assert plugin.fails(*words, given=text)
