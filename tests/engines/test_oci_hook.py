"""The hook under podman and containerd: a container without any network of theirs is on the networks it asks for."""

import json

import pytest

from tests.cli.test_readme import session, shown
from tests.engines.podman import NEEDS, PodmanHost

ASKED = "--annotation mydockernet.networks=web:ip=10.1.0.9,db --annotation mydockernet.publish=8080:80"


@pytest.fixture
def host():
    made = PodmanHost()
    made.mydockernet("engines install oci-hook")
    made.mydockernet("create web --subnet 10.1.0.0/24")
    made.mydockernet("create db --subnet 10.2.0.0/24 --internal")
    yield made
    made.close()


def ps(host):
    return [" ".join(line.split()[1:-1]) for line in host.mydockernet("ps").stdout.splitlines()[1:]]


@pytest.mark.engine(*NEEDS)
def test_podman_without_a_network_runs_the_hook_for_containers_that_ask(host):
    before = host.everything()
    host.podman(f"run -d --name c1 --network none {ASKED} --rootfs {host.rootfs} busybox httpd -f -h /")
    host.podman(f"run -d --name c2 --network none --rootfs {host.rootfs} busybox sleep 1000")
    assert ps(host) == ["db 10.2.0.2 -", "web 10.1.0.9 8080:80/tcp"]
    wget = "ip netns exec outside curl -s --retry 9 --retry-connrefused http://192.0.2.1:8080/hello"
    assert host.sh(wget).stdout == "hello\n"
    assert host.mydockernet("check").stdout == ""
    called = host.podman("ps -q --filter name=c1")  # By the beginning of its identifier, as no annotation names it.
    assert f"10.1.0.9 {called} " in host.podman("exec c1 busybox cat /etc/hosts")
    host.podman("stop -t 0 c1")
    assert ps(host) == []
    host.podman("start c1")
    assert ps(host) == ["db 10.2.0.3 -", "web 10.1.0.9 8080:80/tcp"]
    host.podman("kill -s KILL c1")
    host.podman("rm -f -t 0 c1 c2")
    assert host.snapshot() == before[0]
    assert ps(host) == []


@pytest.mark.engine(*NEEDS)
def test_podman_says_why_the_hook_refuses(host):
    before = host.everything()
    words = "--network none --annotation mydockernet.networks=nowhere"
    assert 'network "nowhere" not found' in host.refuses(f"run {words} --rootfs {host.rootfs} busybox true")
    assert host.everything() == before


@pytest.mark.engine("containerd", "ctr", "runc", "busybox")
def test_containerd_runs_the_hook_that_is_in_the_configuration_of_a_container(host):
    before = host.snapshot()
    host.start("containerd", "containerd --root /var/lib/containerd --state /run/containerd", "ctr version")
    host.sh("cd /run; runc spec")
    hook = {"path": "/usr/local/libexec/mydockernet-oci-hook"}
    config = json.loads((host.root / "run/config.json").read_text())
    config["process"] |= {"args": ["busybox", "httpd", "-f", "-h", "/"], "terminal": False}
    del config["process"]["rlimits"]
    config["root"] = {"path": host.rootfs}
    config["annotations"] = {"mydockernet.networks": "web", "mydockernet.publish": "8080:80"}
    config["hooks"] = {"createRuntime": [hook], "poststop": [hook]}
    host.run("tee", "/run/config.json", stdin=json.dumps(config))
    host.sh("ctr run -d --config /run/config.json c1 </dev/null")
    assert ps(host) == ["web 10.1.0.2 8080:80/tcp"]
    wget = "ip netns exec outside curl -s --retry 9 --retry-connrefused http://192.0.2.1:8080/hello"
    assert host.sh(wget).stdout == "hello\n"
    # It is called by its id, as no annotation gives it a name.
    named = host.sh("ctr task exec --exec-id 1 c1 busybox wget -q -O - http://c1.web/hello").stdout
    assert named == "hello\n"
    host.sh("ctr task kill -s KILL c1; ctr task wait c1 2>/dev/null || :; ctr task rm -f c1; ctr container rm c1")
    assert ps(host) == []
    host.stop("containerd")
    assert host.snapshot() == before


@pytest.mark.engine("runc", "busybox", "jq")
def test_the_session_with_runc_is_what_happens(engine_host):
    shown(engine_host, session("docs/engines.md", " runc"))
