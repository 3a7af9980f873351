"""podman 4.3 with its CNI backend and the plugin: what its users do with networks, and nothing is left at the end."""

import json

import pytest

from tests.cli.test_readme import session, shown
from tests.kernel.test_recipes import OUTSIDE

pytestmark = pytest.mark.engine("podman>=4", "podman<5", "conmon", "runc", "busybox")

BACKEND = (
    """
cat >>/etc/containers/containers.conf <<'END'
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
END
"""
    + OUTSIDE
)
# As podman itself writes one for bridge and portmap, with another type.
WEB = {
    "bridge": "web0",
    "isGateway": True,
    "ipMasq": True,
    "hairpinMode": True,
    "ipam": {
        "type": "host-local",
        "routes": [{"dst": "0.0.0.0/0"}],
        "ranges": [[{"subnet": "10.91.0.0/24", "gateway": "10.91.0.1"}]],
    },
}
DB = {"subnets": ["10.92.0.0/24", "fd00:92::/64"], "internal": True}
CAPABILITIES = dict.fromkeys(("portMappings", "ips", "mac", "aliases"), True)
RUN = "podman run -d --name {} {} --rootfs /run/rootfs httpd -f -h /"
FETCH = "curl -sS --retry 9 --retry-connrefused --retry-delay 1 --max-time 9 http://{}/hello"


@pytest.fixture
def host(engine_host):
    engine_host.sh(BACKEND)
    engine_host.mydockernet("engines install cni")
    for name, keys in (("web", WEB), ("db", DB)):
        plugin = {"type": "mydockernet", "capabilities": CAPABILITIES, **keys}
        conflist = {"cniVersion": "0.4.0", "name": name, "plugins": [plugin]}
        engine_host.run("tee", f"/etc/cni/net.d/{name}.conflist", stdin=json.dumps(conflist))
    return engine_host


def test_what_the_page_shows(engine_host):
    engine_host.sh(BACKEND)
    before = engine_host.everything()
    shown(engine_host, session("docs/cni.md", " podman"))
    assert engine_host.everything() == before


def networks(host, container):
    return json.loads(host.sh(f"podman inspect {container}").stdout)[0]["NetworkSettings"]["Networks"]


def recorded(host, network):
    (found,) = json.loads(host.sh(f"mydockernet inspect {network}").stdout)
    return found["Containers"]


def test_run_publish_and_remove(host):
    before = host.everything()
    assert host.sh("podman network ls -q | sort").stdout.split() == ["db", "mydockernet", "podman", "web"]
    host.sh(RUN.format("c1", "--network web -p 8080:80"))
    assert host.sh(f"ip netns exec outside {FETCH.format('192.0.2.1:8080')}").stdout == "hello\n"
    assert host.sh(FETCH.format("127.0.0.1:8080")).stdout == "hello\n"
    assert host.sh("podman port c1").stdout == "80/tcp -> 0.0.0.0:8080\n"
    found = networks(host, "c1")["web"]
    assert (found["IPAddress"], found["Gateway"]) == ("10.91.0.2", "10.91.0.1")
    one = recorded(host, "web")["c1"]
    assert one["MAC"] == found["MacAddress"]
    assert host.sh("podman exec c1 ping -c 1 -W 3 192.0.2.2").returncode == 0
    assert host.sh("mydockernet check").stdout == ""
    assert "8080" in host.sh("mydockernet explain 192.0.2.2 192.0.2.1:8080").stdout
    host.sh("podman stop -t 0 c1")
    assert host.sh("mydockernet list -q").stdout == ""
    host.sh("podman start c1")
    assert host.sh(FETCH.format("192.0.2.1:8080")).stdout == "hello\n"
    host.sh("podman rm -f -t 0 c1")
    assert host.everything() == before


def test_a_static_address_and_mac_and_an_alias(host):
    before = host.everything()
    host.sh(RUN.format("c1", "--network web --ip 10.91.0.77 --mac-address 02:00:00:00:00:77 --network-alias www"))
    one = recorded(host, "web")["c1"]
    assert one["Addresses"] == ["10.91.0.77"]
    assert one["MAC"] == "02:00:00:00:00:77"
    assert "www" in one["Aliases"]
    assert "02:00:00:00:00:77" in host.sh("podman exec c1 ip link show eth0").stdout
    taken = host.sh(RUN.format("c2", "--network web --ip 10.91.0.77"), check=False)
    assert "10.91.0.77 is already in use by container" in taken.stderr
    host.sh("podman rm -f -t 0 c1 c2")
    assert host.everything() == before


def test_two_networks_and_connect_and_disconnect(host):
    before = host.everything()
    host.sh(RUN.format("c1", "--network web,db -p 8080:80"))
    host.sh(RUN.format("c2", "--network db"))
    assert {*networks(host, "c1")} == {"web", "db"}
    assert host.sh("podman exec c1 ip -o address show | grep -c 'inet6* .*10.9[12]\\.\\|fd00:92'").stdout == "3\n"
    assert (
        host.sh(f"podman exec c1 wget -qO- http://{networks(host, 'c2')['db']['IPAddress']}/hello").stdout == "hello\n"
    )
    assert host.sh(FETCH.format("127.0.0.1:8080")).stdout == "hello\n"
    assert recorded(host, "db").keys() == {"c1", "c2"}
    assert host.sh("mydockernet check").stdout == ""
    host.sh("podman network connect web c2")
    assert recorded(host, "web").keys() == {"c1", "c2"}
    host.sh("podman network disconnect web c2; podman network disconnect web c1")
    assert host.sh("mydockernet list -q").stdout == "db\n"
    host.sh("podman rm -f -t 0 c1 c2")
    assert host.everything() == before


def test_a_container_that_was_killed_and_a_network_of_the_admin(host):
    host.sh("mydockernet create lan --subnet 10.93.0.0/24")
    plugin = {"type": "mydockernet", "capabilities": CAPABILITIES, "network": "lan"}
    conflist = {"cniVersion": "1.0.0", "name": "any", "plugins": [plugin]}
    host.run("tee", "/etc/cni/net.d/any.conflist", stdin=json.dumps(conflist))
    before = host.snapshot()
    host.sh(RUN.format("c1", "--network any -p 8080:80"))
    host.sh("kill -9 $(podman inspect -f '{{.State.Pid}}' c1)")
    host.sh("podman wait c1; podman start c1")
    assert host.sh(FETCH.format("127.0.0.1:8080")).stdout == "hello\n"
    assert host.sh("mydockernet check").stdout == ""
    host.sh("kill -9 $(podman inspect -f '{{.State.ConmonPid}}' c1) $(podman inspect -f '{{.State.Pid}}' c1)")
    host.sh("podman rm -f -t 0 c1")
    assert host.snapshot() == before
    assert recorded(host, "lan") == {}
