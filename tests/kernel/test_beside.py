"""Docker, and podman's netavark, on the same host: none disturbs the other.

They are on PATH, as in `scripts/debian13`, or where `scripts/setup beside` unpacks those of the machine's own Debian:
installing docker would start it on the machine itself. They run in the test's own sandbox.
"""

import json
import os
import shutil
import time

import pytest

from tests.conftest import ROOT
from tests.kernel.lab import HOST, A
from tests.kernel.test_reachability import BOTH, matrix

BESIDE = ROOT / ".venv/beside"
PATHS = [str(BESIDE / "usr/sbin"), str(BESIDE / "usr/bin"), str(BESIDE / "usr/lib/podman"), "/usr/lib/podman"]


def needs(program):
    """Marks a test that needs a program, and says so where it is not."""
    found = shutil.which(program, path=os.pathsep.join([*PATHS, os.environ["PATH"], "/usr/sbin"]))
    return pytest.mark.skipif(found is None, reason=f"needs {program}: `scripts/setup beside` unpacks it")


START = """
dockerd --data-root /run/dk/data --exec-root /run/dk/exec --pidfile /run/dk/pid -H unix:///run/dk/sock \
    --group root --storage-driver vfs >/run/dk/log 2>&1 &
for i in $(seq 100); do docker -H unix:///run/dk/sock version >/dev/null 2>&1 && exit 0; sleep 0.2; done
cat /run/dk/log >&2; exit 1
"""
STOP = "kill $(cat /run/dk/pid); while test -e /run/dk/pid; do sleep 0.1; done"
DOCKER = "docker -H unix:///run/dk/sock"


@pytest.fixture
def beside(make_lab):
    """A lab, and the environment in which docker is found."""
    lab = make_lab("mkdir /run/dk")
    yield lab, dockers(lab.host)
    lab.host.sh(f"test ! -e /run/dk/pid || {{ {STOP}; }}")


def dockers(host):
    """The environment in which docker is found."""
    library = BESIDE / "usr/lib/x86_64-linux-gnu"
    libraries = f"{library}:{BESIDE / 'lib/x86_64-linux-gnu'}"
    return {"PATH": os.pathsep.join([*PATHS, host.env["PATH"]]), "LD_LIBRARY_PATH": libraries}


def theirs(host):
    """The rules that are docker's, table by table."""
    return {table: [rule for rule in body if "ydockernet" not in rule.lower()] for table, body in host.rules().items()}


def reach(lab):
    return lab.ask("outside", (HOST, 8080), (f"{A}.2", 81)), lab.ask("a1", ("192.0.2.2", 81))


def only_moved(host):
    """Others insert their rules before ours: check finds that alone, and repair moves ours up."""
    drifts = host.mydockernet("check", check=False).stdout.splitlines()
    assert all(": misplaced rule" in drift for drift in drifts), drifts
    host.mydockernet("repair")
    assert host.mydockernet("check").stdout == ""


@pytest.mark.long
@needs("dockerd")
def test_docker_and_mydockernet_leave_each_other_alone(beside):
    lab, env = beside
    host = lab.host
    well = reach(lab)
    host.sh(START, env=env)
    assert "DOCKER" in str(theirs(host)["filter"])
    for bridged in "01":
        # Where the kernel has no br_netfilter, it is off in both.
        host.sh(f"sysctl -qew net.bridge.bridge-nf-call-iptables={bridged}")
        assert matrix(lab) == BOTH
    only_moved(host)
    assert matrix(lab) == BOTH

    before = theirs(host)
    host.sh("mydockernet create late; mydockernet publish a a2 9090:80; mydockernet rm late; mydockernet repair")
    assert theirs(host) == before

    ours = host.mydockernet("rules --format {{.Owner}}{{.Rule}}").stdout
    host.sh(f"{DOCKER} network create dn >/dev/null", env=env)
    only_moved(host)
    subnet = host.sh(f"{DOCKER} network inspect dn --format '{{{{(index .IPAM.Config 0).Subnet}}}}'", env=env).stdout
    host.fails(f"create over --subnet {subnet.strip()}", 4, "overlaps", "the host's route")
    host.sh(f"{DOCKER} network rm dn >/dev/null", env=env)
    assert host.mydockernet("rules --format {{.Owner}}{{.Rule}}").stdout == ours

    host.sh(STOP)
    host.sh(START, env=env)
    assert reach(lab) == well
    only_moved(host)
    assert reach(lab) == well

    before = theirs(host)
    host.sh("mydockernet rm -f a b i")
    assert theirs(host) == before
    assert host.sh(f"{DOCKER} network ls --format '{{{{.Name}}}}' | sort | tr '\\n' ' '", env=env).stdout == (
        "bridge host none "
    )


@needs("dockerd")
def test_doctor_names_dockers_rules_before_ours_and_how_to_fix_it(beside):
    lab, env = beside
    host = lab.host
    host.sh(START, env=env)
    # A container on docker's bridge, which docker lets go anywhere.
    host.sh(
        "ip netns add theirs; ip link add dev t1 type veth peer name eth0 netns theirs;"
        "ip link set dev t1 master docker0; ip link set dev t1 up;"
        "ip -n theirs addr add 172.17.0.9/16 dev eth0; ip -n theirs link set dev eth0 up;"
        "ip -n theirs route add default via 172.17.0.1"
    )
    time.sleep(0.2)
    host.sh("iptables -I FORWARD -i docker0 ! -o docker0 -j ACCEPT")
    # The rules in mangle keep it out of our networks all the same.
    assert lab.ask("theirs", (f"{A}.2", 81)) == ["dropped"]
    assert "may accept packets that these would drop" in host.mydockernet(["doctor"], check=False).stdout
    host.mydockernet("repair")
    done = host.mydockernet(["doctor"])
    assert "may accept packets" not in done.stdout
    assert lab.ask("theirs", (f"{A}.2", 81)) == ["dropped"]
    assert lab.ask("theirs", (HOST, 8080)) == [f"a1 {A}.1"]


POD = {
    "container_id": "0123456789abcdef" * 4,
    "container_name": "pod",
    "port_mappings": [{"container_port": 80, "host_ip": "", "host_port": 7070, "protocol": "tcp", "range": 1}],
    "networks": {"podman": {"interface_name": "eth0", "static_ips": ["10.88.0.2"]}},
    "network_info": {
        "podman": {
            "dns_enabled": False,
            "driver": "bridge",
            "id": "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9",
            "internal": False,
            "ipv6_enabled": False,
            "name": "podman",
            "network_interface": "podman0",
            "subnets": [{"gateway": "10.88.0.1", "subnet": "10.88.0.0/16"}],
        }
    },
}


@pytest.mark.long
@needs("netavark")
def test_podmans_netavark_and_mydockernet_leave_each_other_alone(beside):
    lab, env = beside
    host = lab.host
    well = reach(lab)
    host.sh("ip netns add pod; mkdir /run/pods; cat >/run/pod.json", stdin=json.dumps(POD))
    host.sh("netavark --config /run/pods -f /run/pod.json setup /run/netns/pod", env=env)
    lab.listen("pod", "pod", "0.0.0.0:80")
    assert reach(lab) == well
    assert lab.ask("outside", (HOST, 7070))[0][0] == "pod 192.0.2.2"
    only_moved(host)
    before = theirs(host)
    host.sh("mydockernet create late; mydockernet publish a a2 9090:80; mydockernet rm late; mydockernet repair")
    host.fails("create over --subnet 10.88.1.0/24", 4, "overlaps", "the host's route")
    assert theirs(host) == before
    # A flush takes theirs too; repair puts back ours alone.
    host.sh("iptables -t nat -F POSTROUTING")
    host.mydockernet("repair")
    assert "10.88." not in "".join(rule for rule in theirs(host)["nat"] if "POSTROUTING" in rule)
    assert reach(lab) == well
    host.sh("netavark --config /run/pods -f /run/pod.json teardown /run/netns/pod || true", env=env)
    assert reach(lab) == well
    host.sh("mydockernet rm -f a b i")
    assert "ydockernet" not in str(host.snapshot()["rules"]).lower()
