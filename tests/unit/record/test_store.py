"""The record: what was written is read again, whole or not at all, by its owner alone; anything else is told apart."""

import json
import os
import re
import stat
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mydockernet import dry_run
from mydockernet.errors import Failed, Locked, MydockernetError, NotPermitted
from mydockernet.model import (
    AddressRange,
    Endpoint,
    Namespace,
    Network,
    PortMapping,
    PortRange,
    Reservation,
    Subnet,
)
from mydockernet.rates import Limit
from mydockernet.record.network_json import network_from_json, network_to_json
from mydockernet.record.store import DEFAULT_FOLDER, JsonStore, unconfirmed
from mydockernet.static_routes import StaticRoute
from mydockernet.value import replace

ROUNDS = int(os.environ.get("MYDOCKERNET_TEST_ROUNDS", "1")) * 50
many = settings(max_examples=ROUNDS, suppress_health_check=[HealthCheck.function_scoped_fixture])

NAMES = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}", fullmatch=True)
INTERFACES = st.from_regex(r"[a-z][a-zA-Z0-9_.-]{0,14}", fullmatch=True).filter(lambda n: n not in ("all", "default"))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LABELS = st.dictionaries(TEXTS, TEXTS, max_size=3).map(lambda d: tuple(d.items()))
ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6)
SERVERS = st.lists(ADDRESSES.filter(lambda a: not a.is_multicast and not a.is_unspecified), max_size=2).map(tuple)
HOSTS = st.from_regex(r"[a-z0-9]{1,9}(\.[a-z0-9]{1,9})?", fullmatch=True)
NUMBERS = st.none() | st.integers(0, 2**31)


@st.composite
def mappings(draw):
    length = draw(st.integers(1, 50))
    starts = [draw(st.integers(1, 65536 - length)) for _ in range(2)]
    spans = [PortRange(first, first + length - 1) for first in starts]
    return PortMapping(draw(st.none() | ADDRESSES), *spans, draw(st.sampled_from(["tcp", "udp", "sctp"])))


@st.composite
def subnets(draw):
    gateway = draw(ADDRESSES)
    network = ip_network((gateway, draw(st.integers(0, gateway.max_prefixlen))), strict=False)
    spans = st.lists(ADDRESSES.map(lambda a: AddressRange(a, a)), max_size=2).map(tuple)
    reserved = st.lists(st.builds(Reservation, ADDRESSES, TEXTS), max_size=2).map(tuple)
    return Subnet(
        network, draw(st.sampled_from([gateway, None])), draw(spans), draw(reserved), draw(st.none() | ADDRESSES)
    )


ENDPOINTS = st.builds(
    Endpoint,
    name=NAMES,
    namespace=st.builds(Namespace, TEXTS, TEXTS, NUMBERS, NUMBERS),
    addresses=st.lists(ADDRESSES, max_size=2).map(tuple),
    mac=st.just("02:42:0a:01:00:02"),
    interface=INTERFACES,
    veth=INTERFACES,
    order=st.integers(1, 9),
    default_route=st.booleans(),
    ports=st.lists(mappings(), max_size=3).map(tuple),
    labels=LABELS,
    gw_priority=st.integers(-9, 9),
    aliases=st.lists(HOSTS, max_size=2).map(tuple),
    dns=SERVERS,
    hostname=st.just("") | HOSTS,
    engine=st.sampled_from(["", "podman"]),
    id=st.just("") | HOSTS,
    ingress=st.none() | st.just(Limit(10**7, 262_144)),
    egress=st.none() | st.just(Limit(8, 8)),
)
ROUTES = [
    StaticRoute(ip_network("10.200.0.0/16"), None, "blackhole", 7),
    StaticRoute(ip_network("fd00:200::/64"), None, "prohibit"),
]
NETWORKS = st.builds(
    Network,
    name=NAMES,
    bridge=INTERFACES,
    subnets=st.lists(subnets(), max_size=2).map(tuple),
    internal=st.booleans(),
    default_route=st.booleans(),
    masquerade=st.booleans(),
    mtu=st.none() | st.integers(1280, 65535),
    labels=LABELS,
    endpoints=st.lists(ENDPOINTS, max_size=2).map(tuple),
    realm=st.from_regex("[0-9a-f]{0,6}", fullmatch=True),
    dns=SERVERS,
    metric=st.none() | st.integers(1, 2**32 - 1),
    engine=st.sampled_from(["", "cni"]),
).map(lambda net: replace(net, routes=tuple(route for route in ROUTES if route.destination.version in net.families)))


def network(name="web", **values):
    subnet = Subnet(ip_network("10.1.0.0/24"), ip_address("10.1.0.1"))
    c1 = Endpoint("c1", Namespace("/n/c1", "4:7"), (ip_address("10.1.0.2"),), "02:42:0a:01:00:02", "eth0", "c1-1")
    return Network(**{"name": name, "bridge": name, "subnets": (subnet,), "endpoints": (c1,), **values})


@pytest.fixture
def store(tmp_path):
    return JsonStore(tmp_path / "state")


def path_of(store, name="web"):
    return store.folder / "networks" / f"{name}.json"


def files(store):
    return sorted(str(path.relative_to(store.folder)) for path in store.folder.rglob("*") if path.is_file())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@many
@given(NETWORKS)
def test_a_network_comes_back_from_json_as_it_was(net):
    assert network_from_json(json.loads(json.dumps(network_to_json(net)))) == net


@many
@given(NETWORKS, NETWORKS)
def test_networks_and_a_journal_come_back_from_their_files(tmp_path_factory, one, other):
    store = JsonStore(tmp_path_factory.mktemp("state") / "a" / "b")
    nets = {net.name: net for net in (one, other)}
    store.write_journal({one.name: None}, nets)
    store.save(nets)
    assert store.load() == nets
    assert store.journal() == ({one.name: None}, nets)


def test_what_was_never_written_is_empty_and_is_not_made_by_looking(store):
    assert (store.load(), store.load_each(), store.journal()) == ({}, ({}, ()), None)
    assert not store.folder.exists()


def test_a_network_of_none_is_deleted_and_a_missing_one_is_no_matter(store):
    store.save({"web": network(), "other": network("other")})
    store.save({"web": None, "never": None})
    assert [*store.load()] == ["other"]


def test_a_journal_is_there_until_it_is_cleared(store):
    store.write_journal({"web": None}, {"web": network()})
    store.write_journal({"web": network()}, {"web": None})
    assert store.journal() == ({"web": network()}, {"web": None})
    store.clear_journal()
    store.clear_journal()
    assert store.journal() is None


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_all_is_the_owners_alone_whatever_the_umask(store, umask):
    before = os.umask(umask)
    try:
        with store.lock(1):
            store.save({"web": network()})
            store.write_journal({}, {})
    finally:
        os.umask(before)
    assert [mode(path) for path in (store.folder, store.folder / "networks")] == [0o700, 0o700]
    assert files(store) == ["journal.json", "lock", "networks/web.json"]
    assert {mode(store.folder / name) for name in files(store)} == {0o600}


GOOD = {"version": 1, "network": network_to_json(network())}


def without(key):
    return json.dumps({**GOOD, "network": {k: v for k, v in GOOD["network"].items() if k != key}})


def changed(**values):
    return json.dumps({**GOOD, "network": {**GOOD["network"], **values}})


# What a record of an older version does not have.
LATER = {"port_security": False, "mac": None, "masquerade6": True, "gateway_mode": "nat", "gateway_mode6": "nat"}

BROKEN = {
    "empty": ("", "not JSON"),
    "cut short": (json.dumps(GOOD)[:40], "not JSON"),
    "no UTF-8": (b"\xff\xfe", "not JSON"),
    "too deep": ("[" * 100_000, "not JSON"),
    "a list": ("[]", "no version"),
    "no version": ("{}", "no version"),
    "a version of words": ('{"version": "1"}', "no version"),
    "newer": ('{"version": 2, "network": {}}', "version 2; this mydockernet supports version 1"),
    "no network": ('{"version": 1}', "KeyError"),
    "a number for a network": ('{"version": 1, "network": 7}', "TypeError"),
    "another's name": (changed(name="other"), 'it holds network "other"'),
    "a bad name": (changed(name="../web"), "invalid name"),
    "a bad bridge": (changed(bridge="x" * 16), "invalid interface name"),
    "a truth for a number": (changed(mtu=True), "TypeError"),
    "a word for a truth": (changed(icc="yes"), "TypeError"),
    "a number for a subnet": (changed(subnets=[{**GOOD["network"]["subnets"][0], "subnet": 7}]), "TypeError"),
    "a list for labels": (changed(labels=[]), "AttributeError"),
    **{f"without {key}": (without(key), f"KeyError\\('{key}'\\)") for key in GOOD["network"] if key not in LATER},
}


@pytest.mark.parametrize("key", LATER)
def test_a_record_of_an_older_version_is_read(store, key):
    store.save({"web": network()})
    path_of(store).write_text(without(key))
    assert store.load() == {"web": replace(network(), **{key: LATER[key]})}


@pytest.mark.parametrize(("content", "why"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_named_and_kept_and_hides_nothing_else(store, content, why):
    store.save({"good": network("good")})
    path = path_of(store)
    path.write_bytes(raw := content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Failed, match=f"(?s){path}.*{why}") as caught:
        store.load()
    assert caught.value.hint
    assert [*store.load_each()[0]] == ["good"]
    assert path.read_bytes() == raw


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 1}', '{"version": 1, "before": {}, "after": {"a": 1}}']
)
def test_a_broken_journal_is_named(store, content):
    store.save({})
    (store.folder / "journal.json").write_text(content)
    with pytest.raises(Failed, match=r"journal\.json"):
        store.journal()


@many
@given(st.binary(max_size=60) | st.recursive(TEXTS | st.integers(), st.lists).map(lambda x: json.dumps(x).encode()))
def test_no_bytes_in_a_file_raise_anything_but_an_error_of_ours(store, raw):
    read_mangled(store, raw, raw)


@st.composite
def mutated(draw, value):
    """The value with one part of it, at any depth, replaced or taken out."""
    parts, at = [], value
    while isinstance(at, dict | list) and at and (not parts or draw(st.integers(0, 3))):
        parts.append(draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at)))))
        at = at[parts[-1]]
    copy = holder = json.loads(json.dumps(value))
    for part in parts[:-1]:
        holder = holder[part]
    if draw(st.booleans()):
        del holder[parts[-1]]
    else:
        odd = [None, True, 7, -1, 1e9, 10**30, "", "x", "10.1.0.2", "::1", [], [1, 2, 3], {}, {"a": {}}, "\ud800"]
        holder[parts[-1]] = draw(st.sampled_from(odd))
    return copy


JOURNAL = {"version": 1, "before": {"web": None}, "after": {"web": GOOD["network"]}}


@many
@given(mutated(GOOD), mutated(JOURNAL))
def test_no_change_to_a_file_raises_anything_but_an_error_of_ours(store, state, journal):
    read_mangled(store, json.dumps(state).encode(), json.dumps(journal).encode())


def read_mangled(store, state, journal):
    store.save({})
    path_of(store).write_bytes(state)
    (store.folder / "journal.json").write_bytes(journal)
    for read in (store.load, store.journal):
        try:
            read()
        except MydockernetError as error:
            assert str(store.folder) in str(error)
    store.load_each()


def test_a_symbolic_link_is_not_followed(store, tmp_path):
    store.save({"web": network()})
    path_of(store).rename(tmp_path / "web.json")
    path_of(store).symlink_to(tmp_path / "web.json")
    with pytest.raises(Failed, match="symbolic link"):
        store.load()
    (store.folder / "journal.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Failed, match="symbolic link"):
        store.journal()
    (store.folder / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(Failed, match="cannot open"), store.lock(0):
        pass
    assert not (tmp_path / "victim").exists()


def test_a_write_replaces_a_link_and_does_not_follow_one(store, tmp_path):
    store.save({})
    (tmp_path / "victim").write_text("kept")
    path_of(store).symlink_to(tmp_path / "victim")
    path_of(store).with_name(".web.json.tmp").symlink_to(tmp_path / "victim")
    store.save({"web": network()})
    assert (tmp_path / "victim").read_text() == "kept"
    assert not path_of(store).is_symlink()


def use(store):
    """Each way to use a store."""
    return (store.load, store.load_each, store.journal, lambda: store.save({}), lambda: store.write_journal({}, {}))


@pytest.mark.parametrize("bits", [0o720, 0o702, 0o777])
def test_a_folder_that_others_may_write_to_is_not_trusted(store, bits):
    store.save({})
    store.folder.chmod(bits)
    for way in use(store):
        with pytest.raises(Failed, match=f"is writable by other users .mode {bits:04o}") as caught:
            way()
        assert caught.value.hint == f"chmod 0700 {store.folder}"


def test_a_folder_of_another_user_is_not_trusted(store, monkeypatch):
    store.save({})
    real = Path.lstat

    def lstat(path):
        values = list(real(path))
        values[stat.ST_UID] = 12345
        return os.stat_result(values)

    monkeypatch.setattr(Path, "lstat", lstat)
    for way in use(store):
        with pytest.raises(Failed, match=r"is owned by another user .uid 12345"):
            way()


def test_a_folder_that_is_none_is_not_trusted(store, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    store.folder.symlink_to(tmp_path / "real")
    for way in use(store):
        with pytest.raises(Failed, match="is not a directory"):
            way()


def test_what_may_not_be_read_is_told_from_what_is_broken(store, monkeypatch):
    store.save({"web": network()})

    def refuse(*words, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(NotPermitted, match=r"cannot read .*networks: Permission denied"):
        store.load()


def test_other_files_and_such_as_go_while_they_are_read_are_passed_over(store, monkeypatch):
    store.save({"web": network(), "going": network("going")})
    for name in ("notes.txt", ".hidden.json", ".web.json.tmp"):
        (store.folder / "networks" / name).write_text("x")
    real = os.open

    def remove_first(path, *words):
        if str(path).endswith("going.json"):
            Path(path).unlink()
        return real(path, *words)

    monkeypatch.setattr(os, "open", remove_first)
    assert [*store.load()] == ["web"]


def full_disk(*words, **options):
    raise OSError(28, "No space left on device")


def test_the_digest_is_that_of_the_command_that_a_script_has(store):
    def printed():
        command = ["sh", "-c", f"LC_ALL=C; export LC_ALL; {dry_run.digested(str(store.folder))}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]

    assert store.digest() == printed()
    store.save({"b": network("b"), "B": network("B"), "a-b": network("a-b"), "ab": network("ab")})
    store.write_journal({"web": None}, {"web": network()})
    (store.folder / "networks/.web.json.tmp").write_text("left by a crash")
    assert store.digest() == printed()


@pytest.mark.parametrize(("owner", "call"), [(os, "fsync"), (Path, "rename"), (os, "fdopen")])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(store, monkeypatch, owner, call):
    old = {"web": network()}
    store.save(old)
    store.write_journal({"web": None}, old)
    before = files(store)
    with monkeypatch.context() as patch:
        patch.setattr(owner, call, full_disk)
        with pytest.raises(Failed, match=r"cannot write .*web\.json: No space left on device"):
            store.save({"web": network(mtu=1400)})
        with pytest.raises(Failed, match=r"cannot write .*journal\.json: No space left"):
            store.write_journal({}, {})
    assert (store.load(), store.journal(), files(store)) == (old, ({"web": None}, old), before)
    store.save({"web": network(mtu=1400)})
    assert store.load()["web"].mtu == 1400


def test_a_temporary_file_that_a_killed_process_left_is_in_nobodys_way(store):
    store.save({})
    path_of(store).with_name(".web.json.tmp").write_text("half")
    store.save({"web": network()})
    assert files(store) == ["networks/web.json"]


def test_what_can_not_be_made_or_deleted_is_named(store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full_disk)
        with pytest.raises(Failed, match=f"cannot create {store.folder}: No space left"):
            store.save({})
    store.save({"web": network()})
    monkeypatch.setattr(Path, "unlink", full_disk)
    with pytest.raises(Failed, match=r"cannot delete .*web\.json"):
        store.save({"web": None})


def test_the_realm_is_empty_for_the_default_folder_and_else_follows_from_the_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    realms = [JsonStore(Path(folder)).realm for folder in (DEFAULT_FOLDER, "/a", "/b", "x", tmp_path / "x")]
    assert realms[0] == ""
    assert realms[3] == realms[4]
    assert len({*realms}) == 4
    assert network(realm=realms[1]).owner == f"web@{realms[1]}"


def test_one_at_a_time_holds_the_lock(store):
    with store.lock(1):
        with pytest.raises(Locked, match=f"{store.folder}/lock; gave up after 0.02 s"), store.lock(0.02):
            pass
        assert store.load() == {}  # Readers need none.
    with store.lock(0):
        pass


def test_the_time_to_confirm_a_change_does_not_depend_on_the_clock(monkeypatch):
    waiting = unconfirmed({}, {}, 60)
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert 50 < waiting.left <= 60
    assert replace(waiting, until=waiting.until - 60).left == 0


def test_after_a_reboot_there_is_no_time_left_to_confirm_a_change():
    assert replace(unconfirmed({}, {}, 60), boot="another").left == 0


@pytest.mark.parametrize("until", ["NaN", "Infinity", "null", '"soon"'])
def test_a_change_that_waits_without_a_time_is_a_broken_file(tmp_path, until):
    store = JsonStore(tmp_path / "state")
    store.write_unconfirmed(unconfirmed({}, {}, 60), ())
    path = tmp_path / "state" / "confirm.json"
    path.write_text(re.sub(r'"until": [0-9.]+', f'"until": {until}', path.read_text()))
    with pytest.raises(Failed, match="it has no time"):
        store.unconfirmed()
