"""The CNI plugin without a kernel: results in each version, the codes of errors, and what hostile input can do."""

import json
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mydockernet import actions, attachments
from mydockernet.actions import Outcome
from mydockernet.dialects.fact import Observed
from mydockernet.errors import (
    CommandFailed,
    Conflict,
    Failed,
    Interrupted,
    Invalid,
    Locked,
    MydockernetError,
    NoSpace,
    NotFound,
    NotPermitted,
)
from mydockernet.fronts import cni, cni_format
from mydockernet.fronts.cni_format import VERSIONS
from mydockernet.kernel import namespaces
from mydockernet.kernel.door import Kernel
from mydockernet.model import Namespace
from mydockernet.plan import difference
from mydockernet.static_routes import StaticRoute
from tests.unit.values import endpoint, network

CONFIG = {"cniVersion": "1.1.0", "name": "web", "type": "mydockernet", "subnets": ["10.1.0.0/24"]}
ENVIRON = {"CNI_CONTAINERID": "id1", "CNI_IFNAME": "eth0", "CNI_NETNS": "/run/netns/c1"}
COMMANDS = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION")


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The transitions that the plugin asked for; none is performed, but each changes the record in memory."""
    seen, record = [], dict[str, object]()

    def perform(context, transition):
        assert context.lock_timeout >= 60
        seen.append(transition)
        after = transition.move(record, Observed())
        change = difference(dict(record), after)
        record.clear()
        record.update(after)
        return Outcome(change)

    monkeypatch.setattr(actions, "perform", perform)
    monkeypatch.setattr(Kernel, "observe", lambda kernel: Observed())
    monkeypatch.setattr(Kernel, "require_rights", lambda kernel: None)
    monkeypatch.setattr(namespaces, "find", lambda word: ("c1", Namespace(word, "4:1")))
    monkeypatch.setattr(namespaces, "alive", lambda namespace: True)
    monkeypatch.setenv("MYDOCKERNET_STATE_DIR", str(tmp_path))
    return seen


def call(command, config=CONFIG, **environ):
    raw = config if isinstance(config, bytes) else json.dumps(config).encode()
    environ = {
        name: value for name, value in {**ENVIRON, "CNI_COMMAND": command, **environ}.items() if value is not None
    }
    code, text = cni.main(environ, lambda: raw)
    return code, json.loads(text) if text else None


def refusal(*words, **more):
    code, said = call(*words, **more)
    assert code == 1
    assert said.keys() == {"cniVersion", "code", "msg", "details"}
    return said["code"], f"{said['msg']}: {said['details']}"


ROUTES = (
    StaticRoute(ip_network("10.9.0.0/16"), ip_address("10.1.0.5"), metric=7),
    StaticRoute(ip_network("10.8.0.0/16"), kind="blackhole"),
    StaticRoute(ip_network("fd00:9::/48"), ip_address("fd00:1::5")),
)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_result_in_each_version(version):
    net = network(text="10.1.0.0/24 fd00:1::/64", routes=ROUTES, mtu=1400, metric=50)
    one = endpoint(address="10.1.0.2 fd00:1::2")
    family = {4: {"version": "4"}, 6: {"version": "6"}} if version < "1.0.0" else {4: {}, 6: {}}
    mtu = {"mtu": 1400} if version == "1.1.0" else {}
    metric = {"priority": 50} if version == "1.1.0" else {}
    assert cni_format.result(version, net, one, "/run/netns/c1", {"nameservers": ["10.1.0.1"]}, {}) == {
        "cniVersion": version,
        "interfaces": [
            {"name": "web", "mac": "02:6d:00:00:00:01", **mtu},
            {"name": "c1-0102", **mtu},
            {"name": "eth0", "mac": "02:42:0a:01:00:02", **mtu, "sandbox": "/run/netns/c1"},
        ],
        "ips": [
            {**family[4], "interface": 2, "address": "10.1.0.2/24", "gateway": "10.1.0.1"},
            {**family[6], "interface": 2, "address": "fd00:1::2/64", "gateway": "fd00:1::1"},
        ],
        "routes": [
            {"dst": "0.0.0.0/0", "gw": "10.1.0.1", **metric},
            {"dst": "::/0", "gw": "fd00:1::1", **metric},
            {"dst": "10.9.0.0/16", "gw": "10.1.0.5", **({"priority": 7} if version == "1.1.0" else {})},
            {"dst": "fd00:9::/48", "gw": "fd00:1::5"},
        ],
        "dns": {"nameservers": ["10.1.0.1"]},
    }


def test_a_result_is_added_to_that_of_the_plugins_before():
    before = {
        "interfaces": [{"name": "lo", "sandbox": "/x"}],
        "ips": [{"address": "127.0.0.1/8", "interface": 0}],
        "routes": [{"dst": "10.7.0.0/16"}],
        "dns": {"domain": "a.b"},
        "other": [{"kept": True}],
    }
    net = network(internal=True, driver="ptp")
    assert cni_format.result("1.0.0", net, endpoint(), "/x", {}, before) == {
        **before,
        "cniVersion": "1.0.0",
        "interfaces": [
            *before["interfaces"],
            {"name": "c1-0102"},
            {"name": "eth0", "mac": "02:42:0a:01:00:02", "sandbox": "/x"},
        ],
        "ips": [*before["ips"], {"interface": 2, "address": "10.1.0.2/24", "gateway": "10.1.0.1"}],
    }


def test_without_a_command_it_says_what_it_is(capsys):
    assert cni.main({}, lambda: pytest.fail("it read stdin")) == (0, "")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("CNI mydockernet plugin v")
    assert "\nCNI protocol versions supported: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n" in err


@pytest.mark.parametrize(
    ("given", "known"), [*zip(VERSIONS, VERSIONS, strict=True), ("0.1.0", "1.1.0"), ("9", "1.1.0")]
)
def test_version(given, known):
    said = {"cniVersion": known, "supportedVersions": list(VERSIONS)}
    assert call("VERSION", {"cniVersion": given}, **dict.fromkeys(ENVIRON)) == (0, said)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("version", ["", *VERSIONS, "0.2.0", "1.2.0", "01.0.0"])
def test_the_commands_of_each_version(asked, command, version):
    config = {**CONFIG, "cniVersion": version, "prevResult": {}}
    code, said = call(command, config)
    if command == "VERSION":
        assert code == 0
    elif version not in VERSIONS:
        assert (code, said["code"], said["cniVersion"]) == (1, 1, "1.1.0")
    elif version < {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}.get(command, ""):
        assert (code, said["code"], said["cniVersion"]) == (1, 1, version)
        assert command in said["msg"]
    elif command == "CHECK":
        assert (code, said["code"]) == (1, 3)
    else:
        assert code == 0
        assert (said or {}).get("cniVersion", version) == version


NEEDS = {"CNI_CONTAINERID": "ADD DEL CHECK", "CNI_IFNAME": "ADD DEL CHECK", "CNI_NETNS": "ADD CHECK"}


@pytest.mark.parametrize("variable", NEEDS)
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("value", ["", None])
def test_what_each_command_needs(asked, command, variable, value):
    if command in NEEDS[variable].split():
        assert refusal(command, **{variable: value}) == (4, f"required variables are missing: {variable}: ")
        assert not asked
    elif command != "CHECK":
        assert call(command, **{variable: value})[0] == 0


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK"])
@pytest.mark.parametrize("value", ["../x", "a b", "-a", "a/b", "a\n", "ä", ".", "a;b"])
@pytest.mark.parametrize("variable", ["CNI_CONTAINERID", "CNI_IFNAME"])
def test_names_that_are_invalid(asked, command, variable, value):
    code, text = refusal(command, **{variable: value})
    assert code == 4
    assert variable in text
    assert not asked


def test_an_interface_with_a_long_name(asked):
    assert refusal("ADD", CNI_IFNAME="a" * 16)[0] == 4
    assert call("ADD", CNI_IFNAME="a" * 15, CNI_CONTAINERID="b" * 300)[0] == 0


def test_an_unknown_command():
    assert refusal("UPDATE") == (4, 'unknown CNI_COMMAND: "UPDATE": ')


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff{}",
        b'{"name": NaN}',
        b'{"name": "a", "name": "b"}',
        b'{"a":' * 100000 + b"1" + b"}" * 100000,
        b"[" * 100000,
        b'{"a": ' + b"9" * 10000 + b"}",
        b" " * (5 * 1024 * 1024),
    ],
)
def test_what_is_not_an_object_cannot_be_decoded(asked, command, raw):
    assert refusal(command, raw)[0] == 6
    assert not asked


@pytest.mark.parametrize("command", COMMANDS[:-1])
@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "../x"},
        {"name": "a\x00"},
        {"name": "a" * 65},
        {"name": 7},
        {"name": None},
        {"network": ["web"]},
    ],
)
def test_a_name_that_is_invalid(asked, command, wrong):
    assert refusal(command, {**CONFIG, **wrong})[0] == 7
    assert not asked


@pytest.mark.parametrize("command", ["ADD", "STATUS", "CHECK"])
def test_everything_that_is_wrong_is_said_at_once_in_the_words_of_the_configuration(asked, command):
    config = {**CONFIG, "mtu": 7, "subnets": ["10.1.0.0/24", "x"], "driver": "none", "prevResult": {}}
    if command == "CHECK":
        return
    code, text = refusal(command, {**config, "runtimeConfig": {"mac": "01:00:00:00:00:00"}})
    assert code == 7
    assert all(part in text for part in ("mac: invalid MAC", "mtu: 7 is out", "driver: unknown", "subnets: ")), text
    assert "--" not in text


def test_attached_and_detached(asked):
    code, said = call("ADD", K8S="x", CNI_ARGS="K8S_POD_NAME=pod;IgnoreUnknown=1")
    assert code == 0
    assert said["interfaces"][-1] == {"name": "eth0", "mac": "02:42:0a:01:00:02", "sandbox": "/run/netns/c1"}
    assert said["ips"] == [{"interface": 2, "address": "10.1.0.2/24", "gateway": "10.1.0.1"}]
    assert refusal("ADD")[0] == 100
    for _ in range(2):
        assert call("DEL", {**CONFIG, "unknown": {"a": 1}, "prevResult": "x"}, CNI_NETNS="") == (0, None)
    assert asked[-1].move({}, None) == {}
    assert call("ADD")[0] == 0


def test_gc_keeps_what_is_valid(asked, monkeypatch):
    kept = []
    monkeypatch.setattr(attachments, "retain", lambda engine, network, valid: kept.append((engine, network, valid)))
    monkeypatch.setattr(actions, "perform", lambda context, transition: None)
    valid = [{"containerID": "id1", "ifname": "eth0"}]
    for config, expected in (
        ({}, set()),
        ({"cni.dev/valid-attachments": None}, set()),
        ({"cni.dev/valid-attachments": []}, set()),
        ({"cni.dev/valid-attachments": valid}, {("id1", "eth0")}),
        ({"cni.dev/attachments": valid}, {("id1", "eth0")}),
        ({"cni.dev/valid-attachments": valid, "cni.dev/attachments": []}, {("id1", "eth0")}),
    ):
        assert call("GC", {**CONFIG, **config}) == (0, None)
        assert kept.pop() == ("cni", "web", expected)
    for wrong in ({}, [1], [{"containerID": "id1"}], [{"containerID": 1, "ifname": "eth0"}], "id1"):
        assert refusal("GC", {**CONFIG, "cni.dev/valid-attachments": wrong})[0] == 7
    assert not kept


CODES = [
    (Invalid("x"), 7),
    (NotFound("x"), 7),
    (Conflict("x"), 100),
    (Locked("x"), 11),
    (Interrupted("x"), 11),
    (CommandFailed(["ip"], 9, "x"), 999),
    (Failed("x"), 5),
    (NoSpace("x"), 5),
    (NotPermitted("x"), 5),
    (MydockernetError("x"), 999),
    (ZeroDivisionError("x"), 999),
]


@pytest.mark.parametrize(("error", "code"), CODES)
@pytest.mark.parametrize("command", ["ADD", "DEL", "GC"])
def test_the_code_of_each_error(asked, monkeypatch, command, error, code):
    def perform(context, transition):
        raise error

    monkeypatch.setattr(actions, "perform", perform)
    assert refusal(command)[0] == code


def test_status_is_50_whatever_is_in_the_way(asked, monkeypatch):
    assert call("STATUS") == (0, None)

    def observe(kernel):
        raise CommandFailed(["ip"], 9, "x")

    monkeypatch.setattr(Kernel, "observe", observe)
    assert refusal("STATUS") == (50, "ADD cannot succeed now: ip: failed with status 9: x")

    def no_rights(kernel):
        raise NotPermitted("no rights")

    monkeypatch.setattr(Kernel, "require_rights", no_rights)
    assert refusal("STATUS") == (50, "ADD cannot succeed now: no rights")


@pytest.mark.parametrize("command", ["ADD", "CHECK"])
def test_a_namespace_that_is_none(asked, monkeypatch, command):
    def find(word):
        raise NotFound(f"no network namespace at {word}")

    monkeypatch.setattr(namespaces, "find", find)
    config = {**CONFIG, "prevResult": {}}
    assert refusal(command, config) == (8, "invalid network namespace: no network namespace at /run/netns/c1")
    assert refusal(command, config, CNI_NETNS="c1")[0] == 8
    assert not asked


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK"])
def test_the_namespace_of_the_plugin_itself(asked, command):
    config = {**CONFIG, "prevResult": {}}
    assert refusal(command, config, CNI_NETNS="/proc/self/ns/net")[0] == 8
    assert not asked
    if command == "DEL":
        assert call(command, config, CNI_NETNS="/proc/self/ns/net", CNI_NETNS_OVERRIDE="TRUE")[0] == 0


def test_stdin_that_cannot_be_read():
    def read():
        raise OSError(5, "Input/output error")

    code, text = cni.main({**ENVIRON, "CNI_COMMAND": "ADD"}, read)
    assert (code, json.loads(text)["code"]) == (1, 5)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["10.1.0.0/24", "fd00::/64"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=9,
)
KEYS = [
    "cniVersion",
    "name",
    "network",
    "ipam",
    "runtimeConfig",
    "args",
    "dns",
    "prevResult",
    "subnets",
    "routes",
    "labels",
    "options",
    "mtu",
    "portMappings",
    "driver",
    "ipRanges",
    "reserve",
    "gateways",
    "hostIps",
    "parent",
    "mode",
    "bridge",
    "cni.dev/valid-attachments",
    "isGateway",
    "capabilities",
    "icc",
]
INNER = [
    "ranges",
    "routes",
    "subnet",
    "rangeStart",
    "gateway",
    "dst",
    "gw",
    "cni",
    "ips",
    "mac",
    "aliases",
    "portMappings",
    "ipRanges",
    "dns",
    "interfaces",
]
NESTED = st.dictionaries(st.sampled_from(INNER) | st.text(max_size=5), JSON | st.lists(JSON), max_size=3)


@pytest.mark.parametrize("command", COMMANDS)
def test_hostile_configurations_are_refused_in_the_format_of_cni(asked, command):
    @given(st.dictionaries(st.sampled_from(KEYS), JSON | NESTED, max_size=5), st.text(max_size=9))
    def any_of_them(config, args):
        asked.clear()
        code, said = call(command, {"cniVersion": "1.1.0", "name": "web", **config}, CNI_ARGS=args.replace("\0", ""))
        if code:
            assert said.keys() == {"cniVersion", "code", "msg", "details"}
            assert said["code"] in (1, 2, 3, 4, 6, 7, 100), said
            assert said["cniVersion"] in VERSIONS
            assert len(asked) <= (said["code"] == 100)

    any_of_them()


@pytest.mark.parametrize("depth", [*range(100, 1100, 50), 10000])
@pytest.mark.parametrize("key", ["foo", "prevResult"])
def test_what_is_deep_is_refused_before_anything_is_done_or_printed_again(asked, depth, key):
    value = "{" + '"a":{' * depth + "}" * depth + "}"
    code, said = call("ADD", f'{{"cniVersion":"1.1.0","name":"web","{key}":{value}}}'.encode())
    assert (len(asked), code) in ((0, 1), (1, 0))
    assert code == 0 or said["code"] in (2, 6, 7)


@pytest.mark.parametrize("value", ["1e999", "-1e999"])
def test_what_is_infinite_is_refused(asked, value):
    raw = f'{{"cniVersion":"1.1.0","name":"web","prevResult":{{"a":{value}}}}}'.encode()
    assert refusal("ADD", raw)[0] == 6
    assert not asked
