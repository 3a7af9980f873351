"""Whatever netavark's plugin is given, it does it, or answers with one error and nothing else."""

import copy
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mydockernet import actions, plan
from mydockernet.dialects.fact import Observed
from mydockernet.fronts import netavark, podman_networks
from mydockernet.kernel import namespaces
from mydockernet.kernel.door import Kernel
from mydockernet.model import Namespace
from mydockernet.validation import name_problems

ROUNDS = int(os.environ.get("MYDOCKERNET_TEST_ROUNDS", "1")) * 200
fuzz = settings(max_examples=ROUNDS, suppress_health_check=[HealthCheck.function_scoped_fixture])
NETWORK = {
    "name": "web",
    "id": "12d27ca0",
    "driver": "mydockernet",
    "network_interface": "br7",
    "created": "2026-11-26T07:24:58Z",
    "subnets": [
        {
            "subnet": "10.5.0.0/24",
            "gateway": "10.5.0.1",
            "lease_range": {"start_ip": "10.5.0.9", "end_ip": "10.5.0.99"},
        },
        {"subnet": "fd00:5::/64", "gateway": "fd00:5::1"},
    ],
    "routes": [{"destination": "10.9.0.0/16", "gateway": "10.5.0.7", "metric": 50}],
    "ipv6_enabled": True,
    "internal": False,
    "dns_enabled": True,
    "network_dns_servers": ["192.0.2.53"],
    "labels": {"a": "b"},
    "options": {"mtu": "1400", "driver": "bridge"},
    "ipam_options": {"driver": "host-local"},
}
CONTAINER = {
    "container_id": "0123456789ab",
    "container_name": "c1",
    "port_mappings": [
        {"container_port": 80, "host_ip": "", "host_port": 8080, "protocol": "tcp,udp", "range": 2},
        {"container_port": 80, "host_ip": "::", "host_port": 8090, "protocol": "tcp", "range": 1},
    ],
    "network": NETWORK,
    "network_options": {
        "aliases": ["c"],
        "interface_name": "eth0",
        "static_ips": ["10.5.0.9", "fd00:5::9"],
        "static_mac": "02:aa:bb:cc:dd:ee",
        "options": None,
    },
}
CALLS = [(["create"], NETWORK), (["setup", "/run/netns/c1"], CONTAINER), (["teardown", "/run/netns/c1"], CONTAINER)]
EVIL = st.one_of(
    st.sampled_from(
        [
            *(None, True, False, 0, -1, 2**31, 2**63, 2**64, 10**300, 1.5, 1e308, "", " ", ".", "..", "../x", "/etc"),
            *(
                "a" * 65,
                "a" * 100_000,
                "-rf",
                "$(id)",
                "a b",
                "a\n",
                "a\x00",
                "\x1b[2J",
                "\ud800",
                "\u202e",
                "ä",
                "\u0661",
            ),
            *("0.0.0.0/0", "::/0", "10.5.0.0/33", "fe80::1%eth0", "all", "lo", "none", "tcp,,udp", ",", "1-2", "host"),
            *([], {}, [[]], [{}], [None], {"": ""}, {"a": {"b": {}}}, [1, "a", None], ["../x"], {"driver": "../x"}),
        ]
    ),
    st.text(max_size=20),
    st.integers(),
)


@pytest.fixture
def moves(monkeypatch, tmp_path):
    """A host without anything, on which the intents that are reached are noted instead of being made."""
    reached = []

    def perform(context, transition):
        after = transition.move({}, Observed())
        reached.append(after)
        return actions.Outcome(plan.difference({}, after))

    monkeypatch.setattr(actions, "perform", perform)
    monkeypatch.setattr(Kernel, "observe", lambda self, lenient=False: Observed())
    monkeypatch.setattr(namespaces, "find", lambda word: ("c1", Namespace(word, "4:1")))
    monkeypatch.setattr(namespaces, "alive", lambda namespace: True)
    monkeypatch.setattr(podman_networks, "FOLDER", str(tmp_path))
    monkeypatch.setattr(podman_networks, "CONFIGS", (str(tmp_path / "containers.conf"),))
    monkeypatch.setattr(podman_networks, "DROP_INS", str(tmp_path / "d"))
    return reached


def call(words, raw, moves):
    """Call the plugin, and return its answer. An error is one line, stands alone, and nothing was done."""
    moves.clear()
    code, text = netavark.main(words, {"MYDOCKERNET_STATE_DIR": "/nowhere"}, raw)
    answer = json.loads(text) if text else None
    if code:
        assert code == 1
        assert {*answer} == {"error"}
        assert answer["error"].isprintable(), answer
        assert "internal error" not in answer["error"]
        assert moves == []
    return code, answer


def places(value, path=()):
    """The paths of all that is in a document."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        yield from places(inner, (*path, key))


def put(document, path, value):
    """A document with another value at a path."""
    if not path:
        return value
    changed = copy.copy(document)
    changed[path[0]] = put(document[path[0]], path[1:], value)
    return changed


@pytest.mark.parametrize(("words", "document"), CALLS)
def test_it_does_what_it_can(moves, words, document):
    assert call(words, json.dumps(document).encode(), moves)[0] == 0


@pytest.mark.parametrize(("words", "document"), CALLS)
@fuzz
@given(st.data())
def test_one_value_that_is_wrong(moves, words, document, data):
    changed = put(document, data.draw(st.sampled_from([*places(document)])), data.draw(EVIL))
    code, answer = call(words, json.dumps(changed).encode(), moves)
    if words == ["create"] and code == 0:
        assert (answer["name"], answer["id"], answer["driver"]) == (changed["name"], changed["id"], changed["driver"])
        assert not name_problems(answer["name"])
        # It accepts what it has made itself, and adds nothing to it.
        assert call(words, json.dumps(answer).encode(), moves) == (0, answer)


@pytest.mark.parametrize(("words", "document"), CALLS)
@fuzz
@given(st.data())
def test_a_key_that_is_one_too_many(moves, words, document, data):
    path = data.draw(st.sampled_from([path for path in places(document) if isinstance(_at(document, path), dict)]))
    key, value = data.draw(st.text(max_size=8)), data.draw(EVIL)
    call(words, json.dumps(put(document, path, {**_at(document, path), key: value})).encode(), moves)


def _at(document, path):
    for key in path:
        document = document[key]
    return document


@pytest.mark.parametrize("words", [words for words, _ in CALLS])
@fuzz
@given(raw=st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_bytes_that_are_no_document(moves, words, raw):
    assert call(words, raw, moves)[0] == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b'{"network": ' * 100_000,
        b'{"container_id": ' + b"9" * 10_000 + b"}",
        json.dumps(CONTAINER).encode().replace(b'"container_name"', b'"container_id"'),
        json.dumps(CONTAINER).encode().replace(b'"c1"', b'"\\ud800"'),
        json.dumps(CONTAINER).encode().replace(b'"c1"', b'"\\u0000"'),
        json.dumps(CONTAINER).encode().replace(b"8080", b"Infinity"),
        b"\xef\xbb\xbf{}",
        b" " * (5 * 1024 * 1024),
    ],
    ids=range(9),
)
def test_documents_that_are_hostile(moves, raw):
    for words in (["create"], ["setup", "/run/netns/c1"]):
        assert call(words, raw, moves)[0] == 1


def test_a_range_of_ports_is_of_both_protocols(moves):
    call(["setup", "/run/netns/c1"], json.dumps(CONTAINER).encode(), moves)
    (one,) = moves[0]["web"].endpoints
    assert [str(mapping) for mapping in one.ports] == [
        "8080-8081:80-81/tcp",
        "8080-8081:80-81/udp",
        "[::]:8090:80/tcp",
    ]


@pytest.mark.parametrize(("interface", "driver", "key"), [("br7", "bridge", "bridge"), ("eth7", "macvlan", "parent")])
def test_the_interface_of_a_network_is_its_bridge_or_its_parent(interface, driver, key):
    from mydockernet import documents

    document = {**NETWORK, "network_interface": interface, "options": {"driver": driver}}
    words = netavark.create_words(documents.parse(json.dumps(document).encode()))
    assert {words.bridge_name, words.parent} == {interface, None}
    assert (words.parent if key == "parent" else words.bridge_name) == interface


# podman's own networks


def test_podmans_other_networks_are_those_of_its_folder_and_its_default(moves, tmp_path):
    (tmp_path / "one.json").write_text(json.dumps({**NETWORK, "name": "one"}))
    (tmp_path / "two.json").write_text(json.dumps({**NETWORK, "name": "two"}))
    found = podman_networks.others({}, "two")
    assert {name: [str(s.network) for s in n.subnets] for name, n in found.items()} == {
        "podman": ["10.88.0.0/16"],
        "one": ["10.5.0.0/24", "fd00:5::/64"],
    }
    assert (found["podman"].bridge, found["one"].bridge) == ("podman0", "br7")


def test_containers_conf_says_where_they_are(moves, tmp_path):
    for folder in ("elsewhere", "d"):
        (tmp_path / folder).mkdir()
    (tmp_path / "elsewhere/one.json").write_text(json.dumps({**NETWORK, "name": "one"}))
    (tmp_path / "containers.conf").write_text(
        '[network]\nnetwork_config_dir = "/nowhere"\ndefault_subnet = "10.1.0.0/16"'
    )
    assert [*podman_networks.others({}, "")] == ["podman"]
    (tmp_path / "d/10.conf").write_text(f'[network]\nnetwork_config_dir = "{tmp_path}/elsewhere"\n')
    found = podman_networks.others({}, "")
    assert [*found] == ["podman", "one"]
    assert str(found["podman"].subnets[0].network) == "10.1.0.0/16"
    (tmp_path / "other").write_text('[network]\ndefault_network = "mine"\n')
    assert [*podman_networks.others({"CONTAINERS_CONF": str(tmp_path / "other")}, "")] == ["mine"]
    assert [*podman_networks.others({"CONTAINERS_CONF_OVERRIDE": str(tmp_path / "other")}, "")] == ["mine", "one"]


@fuzz
@given(text=st.text(max_size=30), data=st.data())
def test_files_of_podman_that_are_broken_are_left_out(moves, tmp_path, text, data):
    changed = put(NETWORK, data.draw(st.sampled_from([*places(NETWORK)])), data.draw(EVIL))
    (tmp_path / "one.json").write_text(json.dumps(changed))
    (tmp_path / "two.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    (tmp_path / "containers.conf").write_bytes(text.encode("utf-8", "surrogatepass"))
    podman_networks.others({}, "web")
