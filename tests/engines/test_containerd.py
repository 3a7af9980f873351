"""containerd with the plugin: containers of `ctr run --cni`, their ports, and what is left when it is killed."""

import json

import pytest

from tests.cli.test_readme import session, shown
from tests.engines.containerd import Containerd
from tests.kernel.cni_client import Runtime
from tests.kernel.test_recipes import OUTSIDE

pytestmark = pytest.mark.engine("containerd", "ctr", "runc", "busybox")

PORTS = [{"hostPort": 8080, "containerPort": 80}]
# As it was for bridge and host-local.
WEB = {
    "bridge": "web0",
    "isGateway": True,
    "ipMasq": True,
    "ipam": {"type": "host-local", "subnet": "10.94.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]},
}
FETCH = "curl -sS --retry 9 --retry-connrefused --retry-delay 1 --max-time 9 http://{}/hello"
HTTPD = "httpd -f -h /"


@pytest.fixture
def engine(engine_host):
    engine_host.sh(OUTSIDE)
    return Containerd(engine_host)


def test_what_the_page_shows(engine_host):
    engine = Containerd(engine_host, plugin=False)
    before = engine_host.everything()
    shown(engine_host, session("docs/cni.md", " containerd"))
    assert engine.host.everything() == before


def recorded(host, network="web"):
    (found,) = json.loads(host.sh(f"mydockernet inspect {network}").stdout)
    return found["Containers"]


def test_run_publish_and_remove(engine):
    host = engine.host
    engine.use("web", **WEB, portMappings=PORTS)
    before = host.everything()
    engine.run("c1", HTTPD)
    engine.use("web", **WEB)
    engine.run("c2")
    assert host.sh(f"ip netns exec outside {FETCH.format('192.0.2.1:8080')}").stdout == "hello\n"
    assert host.sh(FETCH.format("127.0.0.1:8080")).stdout == "hello\n"
    inside = "ctr task exec --exec-id x{} c2 {}"
    assert host.sh(inside.format(1, "wget -qO- http://10.94.0.2/hello")).stdout == "hello\n"
    assert host.sh(inside.format(2, "wget -qO- http://192.0.2.1:8080/hello")).stdout == "hello\n"
    host.sh(inside.format(3, "ping -c 1 -W 3 192.0.2.2"))
    containers = recorded(host)
    assert {name: one["Addresses"] for name, one in containers.items()} == {
        "default-c1": ["10.94.0.2"],
        "default-c2": ["10.94.0.3"],
    }
    assert containers["default-c1"]["Id"] == "default-c1"
    assert containers["default-c1"]["Engine"] == "cni"
    assert containers["default-c1"]["Ports"] == ["8080:80/tcp"]
    assert host.sh("mydockernet check").stdout == ""
    host.sh("mydockernet explain 192.0.2.2 192.0.2.1:8080; mydockernet who 10.94.0.3 | grep default-c2")
    # In the foreground, ctr says DEL itself; in the background nobody does, and the next container finds what is left.
    before_third = recorded(host)
    said = host.sh(engine.words("--rm", "c3", "ip -4 -o address show eth0")).stdout
    assert "10.94.0.4/24" in said
    assert recorded(host) == before_third
    host.sh("ctr task kill -s KILL c1; ctr task kill -s KILL c2; sleep 0.5; ctr task rm c1; ctr task rm c2")
    host.sh(engine.words("--rm", "c4", "ip address"))
    assert host.everything() == before


def test_gc_after_kill_9_of_containerd(engine):
    host = engine.host
    before = host.everything()
    engine.use("web", **WEB, portMappings=PORTS)
    engine.run("c1", HTTPD)
    engine.use("web", **WEB)
    engine.run("c2")
    engine.run("c3", HTTPD)
    host.stop("containerd", "KILL")
    # Containers outlive it, and their networks with them.
    assert host.sh(FETCH.format("192.0.2.1:8080")).stdout == "hello\n"
    assert host.sh("mydockernet check").stdout == ""
    host.sh("kill -9 $(pgrep -f 'containerd-shim.* -id c[12]'); kill -9 $(pgrep -x -f 'sleep 1000')")
    engine.start()
    cni = Runtime(host, {**engine.conflist, "cniVersion": "1.1.0"}, "/opt/cni/bin")
    cni.collect(("default-c3", "eth0"))
    assert recorded(host).keys() == {"default-c3"}
    assert "8080" not in str(host.snapshot()["rules"])
    assert host.sh("mydockernet check").stdout == ""
    assert host.sh(FETCH.format("10.94.0.4")).stdout == "hello\n"
    cni.collect()
    assert host.everything() == before


def test_a_network_of_the_admin_with_a_port_that_is_taken(engine):
    host = engine.host
    host.sh("mydockernet create lan --subnet 10.95.0.0/24")
    engine.use("any", network="lan", portMappings=PORTS)
    engine.run("c1", HTTPD)
    before = host.everything()
    done = engine.run("c2", HTTPD, check=False)
    assert done.returncode != 0
    assert "port 8080/tcp is already in use by container" in done.stderr
    assert host.everything() == before
    assert recorded(host, "lan").keys() == {"default-c1"}


@pytest.mark.engine("dnsmasq", "dig")
def test_a_container_finds_others_by_the_hosts_file_of_the_network(engine):
    host = engine.host
    host.mydockernet("create named --subnet 10.4.0.0/24 --dns dnsmasq")
    engine.use("any", network="named")
    engine.run("c1", "httpd -f -h /")
    hosts = "--mount type=bind,src=/run/mydockernet-etc/named/hosts,dst=/etc/hosts,options=rbind:ro"
    # containerd calls it by its namespace and its name.
    fetch = engine.words(f"--rm {hosts}", "c2", "wget -q -O - http://default-c1.named/hello")
    assert host.sh(f"for n in 1 2 3 4 5 6 7 8 9; do {fetch} </dev/null && break; done").stdout == "hello\n"
    dig = f"nsenter -t {engine.pid('c1')} -n dig +short @10.4.0.1"
    assert host.sh(f"{dig} default-c1; {dig} -x 10.4.0.2").stdout == "10.4.0.2\ndefault-c1.\n"
    host.sh("ctr task kill -s KILL c1")
