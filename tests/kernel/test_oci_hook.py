"""The hook of OCI runtimes: what annotations ask for is there before the process starts, and gone after its end."""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mydockernet.fronts import oci_hook
from tests.kernel.test_recipes import OUTSIDE

# A cgroup of this name is the machine's, whatever host the test is on.
BOX = f"box{os.getpid()}"
BUNDLE = """
mkdir -p /run/box/rootfs/bin && cd /run/box && cp "$(command -v busybox)" rootfs/bin/busybox
runc spec
"""
# What the caller of runc has to add; `runc spec` makes the rest.
CONFIG = """
.process.args = $args | .process.terminal = false | del(.process.rlimits) | del(.mounts[] | select(.type == "devpts"))
| .annotations = $annotations
| .hooks = {createRuntime: [{path: $hook, env: ["PATH="]}], poststop: [{path: $hook}]}
"""
SERVE = ["busybox", "httpd", "-f", "-p", "80", "-h", "/bin"]


def boxed(host, args=SERVE, **annotations):
    """Describe a container for runc, with these annotations and the hook."""
    host.sh(f"test -d /run/box || {{ {BUNDLE} }}")
    said = {f"mydockernet.{key}": value for key, value in annotations.items()}
    values = {"args": args, "annotations": said, "hook": host.sh("command -v mydockernet-oci-hook").stdout.strip()}
    given = [word for key, value in values.items() for word in ("--argjson", key, json.dumps(value))]
    described = host.run("jq", *given, CONFIG, "/run/box/config.json").stdout
    host.run("tee", "/run/box/config.json", stdin=described)


def runc(host, words, check=True):
    return host.sh(
        f"cd /run/box; runc --root /run/runc {words} </dev/null >/run/box/log 2>&1 || {{ cat log; exit 7; }}",
        check=check,
    )


def hook(host, state, check=True):
    """Run the hook as a runtime does, with an empty environment."""
    program = host.sh("command -v mydockernet-oci-hook").stdout.strip()
    raw = state if isinstance(state, str) else json.dumps(state)
    return host.run("env", "-i", program, stdin=raw, check=check)


def state_of(pid, status="creating", container="c1", **annotations):
    said = {f"mydockernet.{key}": value for key, value in annotations.items()}
    return {"ociVersion": "1.0.2", "id": container, "status": status, "pid": pid, "bundle": "/b", "annotations": said}


@pytest.fixture
def pid(host):
    """A process in a network namespace of its own."""
    process = host.popen("unshare", "--net", "sh", "-c", "echo $$; exec sleep infinity")
    yield int(process.stdout.readline())
    process.kill()
    process.communicate()


@pytest.fixture
def networks(host):
    host.mydockernet("create web --subnet 10.1.0.0/24")
    host.mydockernet("create db --subnet 10.2.0.0/24 --subnet fd00:2::/64")
    yield host
    host.sh(f"test ! -d /run/box || runc --root /run/runc delete --force {BOX} 2>/dev/null", check=False)


def ps(host):
    """The containers on record: name, network, addresses and ports."""
    return [" ".join(line.split()[:-1]) for line in host.mydockernet("ps").stdout.splitlines()[1:]]


def test_a_container_of_runc_is_reached_as_its_annotations_say_and_leaves_nothing(bare_host):
    host = bare_host
    host.sh(OUTSIDE)
    host.mydockernet("create web --subnet 10.1.0.0/24")
    before = host.everything()
    boxed(host, networks="web:ip=10.1.0.9:mac=02:42:00:00:00:09:ifname=net0", publish="8081:80", name="server")
    runc(host, f"run --detach {BOX}")
    assert ps(host) == ["server web 10.1.0.9 8081:80/tcp"]
    assert (
        host.sh(f"runc --root /run/runc exec {BOX} /bin/busybox ip address show net0").stdout.count("10.1.0.9/24") == 1
    )
    ask = "nsenter --net=/run/netns/outside curl -s --retry 9 --retry-connrefused -o /run/got"
    host.sh(f"{ask} http://192.0.2.1:8081/busybox; cmp /run/got $(command -v busybox)")
    assert host.mydockernet("check").stdout == ""
    runc(host, f"delete --force {BOX}")
    assert host.everything() == before


def test_the_network_is_there_before_the_process_starts(networks):
    boxed(networks, ["busybox", "ip", "address", "show", "eth0"], networks="web")
    assert "10.1.0.2/24" in networks.sh(f"cd /run/box; runc --root /run/runc run {BOX} </dev/null").stdout
    assert ps(networks) == []


def test_a_container_whose_annotations_are_wrong_does_not_start_and_leaves_nothing(networks):
    before = networks.everything()
    boxed(networks, networks="nowhere")
    failed = runc(networks, f"run --detach {BOX}", check=False)
    assert failed.returncode == 7
    assert 'network \\"nowhere\\" not found' in failed.stdout
    assert networks.everything() == before


def test_what_a_killed_runtime_left_is_not_in_the_way_of_its_next_start(networks):
    boxed(networks, networks="web:ip=10.1.0.9,db", publish="8081:80")
    before = networks.snapshot()
    for _ in range(2):
        runc(networks, f"run --detach {BOX}")
        networks.sh(f"kill -9 $(runc --root /run/runc state {BOX} | jq .pid); sleep 0.3; rm -rf /run/runc/{BOX}")
    assert f"container {BOX} is gone" in networks.mydockernet("check", check=False).stdout
    runc(networks, f"run --detach {BOX}")
    assert networks.mydockernet("check").stdout == ""
    assert ps(networks)[1] == f"{BOX} web 10.1.0.9 8081:80/tcp"
    runc(networks, f"delete --force {BOX}")
    assert networks.snapshot() == before


def test_asked_twice_it_does_it_once(networks, pid):
    asked = state_of(pid, networks="web,db:ip=10.2.0.9:ip6=fd00:2::9:ifname=eth7", publish="8080:80,[::]:53:53/udp")
    hook(networks, asked)
    assert ps(networks) == ["c1 db 10.2.0.9, fd00:2::9 [::]:53:53/udp", "c1 web 10.1.0.2 8080:80/tcp"]
    once = networks.everything()
    hook(networks, asked)
    assert networks.everything() == once
    for _ in range(2):
        hook(networks, state_of(0, "stopped", networks="web,db"))
        assert ps(networks) == []


def test_what_is_asked_otherwise_the_second_time_is_done_anew(networks, pid):
    hook(networks, state_of(pid, networks="web"))
    hook(networks, state_of(pid, networks="web:ip=10.1.0.9:ifname=eth0", publish="8080:80"))
    assert ps(networks) == ["c1 web 10.1.0.9 8080:80/tcp"]
    assert networks.mydockernet("check").stdout == ""
    address = networks.run("nsenter", "-t", pid, "-n", "ip", "-br", "address", "show", "eth0").stdout
    assert "10.1.0.9/24" in address


def test_it_is_found_by_its_id_even_if_its_process_is_gone_or_is_another(networks, pid):
    hook(networks, state_of(pid, networks="web", container="a" * 64))
    assert ps(networks) == [f"{'a' * 12} web 10.1.0.2 -"]
    hook(networks, state_of(1, "stopped", networks="web", container="b"))
    assert len(ps(networks)) == 1
    hook(networks, state_of(1, "stopped", networks="web", container="a" * 64))
    assert ps(networks) == []


@pytest.mark.parametrize(
    ("state", "status", "said"),
    [
        ("", 2, "the document is not JSON"),
        ("[" * 100_000, 2, "the document is nested too deeply"),
        ('{"id": 7, "annotations": []}', 2, "id: it must be a string"),
        (state_of(1, networks="../x"), 2, "its own network namespace"),
        ({"annotations": {"mydockernet.networks": "web"}}, 2, "the state of the container has no id"),
        ({"id": "c\0", "annotations": {"mydockernet.networks": "web"}}, 2, "cannot be printed"),
        ({"id": "c1", "status": "creating", "annotations": {"mydockernet.networks": "web"}}, 2, "has no pid"),
        ({"id": "c1", "pid": -1, "annotations": {"mydockernet.networks": "web"}}, 2, "has no pid"),
        ({"id": "c1", "pid": 2**70, "annotations": {"mydockernet.networks": "web"}}, 2, "the number is too large"),
        ({"id": "c1", "pid": 2**62, "annotations": {"mydockernet.networks": "web"}}, 3, "no network namespace at"),
    ],
)
def test_a_state_that_is_wrong_is_one_clear_line_and_changes_nothing(networks, state, status, said):
    before = networks.everything()
    failed = hook(networks, state, check=False)
    assert (failed.returncode, failed.stdout) == (status, "") or "1" in str(state)
    assert all(line.startswith(("mydockernet: error: ", "hint: ")) for line in failed.stderr.splitlines()), failed
    assert networks.everything() == before


@pytest.mark.parametrize(
    ("annotations", "status", "said"),
    [
        ({"networks": "../x"}, 3, 'network "../x" not found'),
        ({"networks": "web,,db"}, 3, 'network "" not found'),
        ({"networks": "web:10.1.0.9"}, 2, '"web:10.1.0.9" is not NETWORK[:KEY=VALUE…] with ip, ip6, mac, ifname'),
        ({"networks": "web:ip=10.1.0.300"}, 2, "--ip: '10.1.0.300' does not appear to be an IPv4 or IPv6 address"),
        ({"networks": "web:ifname=a/b"}, 2, '--ifname: invalid interface name "a/b"'),
        ({"networks": "web", "publish": "x"}, 2, '--publish: "x": expected'),
        ({"networks": "web", "publsh": "80"}, 2, 'there is no annotation "mydockernet.publsh"'),
        ({"networks": "web", "name": "-x"}, 2, '--name: invalid name "-x"'),
    ],
)
def test_an_annotation_that_is_wrong_is_one_clear_line_and_changes_nothing(networks, pid, annotations, status, said):
    before = networks.everything()
    failed = hook(networks, state_of(pid, **annotations), check=False)
    assert (failed.returncode, failed.stdout) == (status, "")
    assert said in failed.stderr
    assert networks.everything() == before


def test_a_port_that_no_network_can_publish_stops_the_container(networks, pid):
    networks.mydockernet("create inner --internal")
    failed = hook(networks, state_of(pid, networks="inner", publish="8080:80"), check=False)
    assert failed.stderr == "mydockernet: error: 8080:80: none of the container's networks can publish it\n"


def test_the_annotations_of_others_may_be_anything(networks, pid):
    others = {"kubectl.kubernetes.io/last-applied-configuration": "{}\n", "b\0": 7}
    asked = state_of(pid, networks=" web , db", publish="8080:80, 81:81")
    hook(networks, asked | {"annotations": others | asked["annotations"]})
    assert len(ps(networks)) == 2
    gone = state_of(0, "stopped", networks="web\n")
    hook(networks, gone | {"annotations": others | gone["annotations"]})
    assert ps(networks) == []


def test_a_container_of_the_same_id_elsewhere_is_left_alone_while_it_lives(networks, pid):
    hook(networks, state_of(pid, networks="web"))
    before = networks.everything()
    other = networks.popen("unshare", "--net", "sh", "-c", "echo $$; exec sleep infinity")
    another = int(other.stdout.readline())
    failed = hook(networks, state_of(another, networks="web"), check=False)
    assert f'container "c1" is already on network "web": it is in /proc/{pid}/ns/net' in failed.stderr
    assert networks.everything() == before
    other.kill()
    other.communicate()


def test_a_container_without_annotations_is_left_alone(host, pid):
    before = host.everything()
    hook(host, {"id": "c1", "pid": pid, "status": "creating"})
    hook(host, state_of(pid))
    assert host.everything() == before
    assert not (host.root / "var/lib/mydockernet/lock").exists()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "id": VALUES,
            "status": VALUES,
            "pid": VALUES,
            "annotations": VALUES
            | st.dictionaries(st.sampled_from(["mydockernet.networks", "mydockernet.publish"]), VALUES),
        },
    )
)
def test_anything_else_is_an_error_and_never_a_traceback(tmp_path, state):
    code = oci_hook.main(json.dumps(state).encode(), {"MYDOCKERNET_STATE_DIR": str(tmp_path / "state")})
    assert code in (0, 1, 2, 3)
