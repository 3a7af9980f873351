"""The history is appended to, bounded, and never in the way of a change; what is broken in it hides nothing else."""

import json
import os

import pytest

from mydockernet.errors import Failed
from mydockernet.record import history
from mydockernet.record.history import DONE, Entry, History, Who
from mydockernet.record.store import JsonStore
from mydockernet.value import replace
from tests.unit.values import endpoint, mapping, network


def entry(words=("create", "web"), **more):
    return Entry(0, "2026-11-26T10:00:00Z", Who(0, "alice", "host"), words, ("web",), DONE, **more)


WEB = network()


@pytest.fixture
def past(tmp_path):
    return History(tmp_path)


def words(past):
    return [" ".join(each.words) for each in past.read()[0]]


def test_an_entry_is_read_as_it_was_written(past):
    before, after, positions = history.changed(
        {"web": network("web", "10.1.0.0/24", endpoint())},
        {"web": network("web", "10.1.0.0/24", endpoint("c2", "10.1.0.3", ports=(mapping(),)))},
    )
    written = entry(
        seconds=0.123,
        error="no such luck",
        before=before,
        after=after,
        positions=positions,
        commands=((("ip", "link"), ""), (("sh",), "input\n")),
        undone=((("ip", "rule"), ""),),
        undoes=7,
    )
    assert past.append(written) == ""
    assert past.read() == ((replace(written, id=1),), ())


def test_entries_are_numbered_in_order(past):
    for word in ("a", "b", "c"):
        past.append(entry((word,)))
    assert [(each.id, each.words) for each in past.read()[0]] == [(1, ("a",)), (2, ("b",)), (3, ("c",))]


def test_only_the_owner_can_read_it(past, tmp_path):
    old = os.umask(0)
    try:
        past.append(entry())
    finally:
        os.umask(old)
    assert (tmp_path / "history.jsonl").stat().st_mode & 0o777 == 0o600


def test_an_entry_has_only_the_endpoints_that_changed(past):
    three = [endpoint(f"c{n}", f"10.1.0.{n}") for n in (2, 3, 4)]
    old = network("web", "10.1.0.0/24", *three)
    new = replace(old, endpoints=(three[0], replace(three[2], ports=(mapping(),))), mtu=1400)
    before, after, positions = history.changed({"web": old}, {"web": new})
    assert before == {"web": replace(old, endpoints=(three[1], three[2]))}
    assert after == {"web": replace(new, endpoints=(new.endpoints[1],))}
    assert positions == {"web": {"c3": 1}}


def test_a_network_that_appears_or_disappears_is_kept_whole():
    whole = network("web", "10.1.0.0/24", endpoint())
    assert history.changed({"web": None}, {"web": whole}) == ({"web": None}, {"web": whole}, {})
    assert history.changed({"web": whole}, {"web": None}) == ({"web": whole}, {"web": None}, {})


@pytest.mark.parametrize("torn", ["", '{"id": 3, "wh', '{"id": 2', "garbage", "\x00" * 99])
def test_after_a_torn_line_the_next_entry_is_whole(past, tmp_path, torn):
    past.append(entry(("a",)))
    past.append(entry(("b",)))
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write(torn)
    assert past.read()[1] == ()  # Not worth a note: a killed process leaves one.
    assert past.append(entry(("c",))) == ""
    assert words(past) == ["a", "b", "c"]
    assert past.read()[0][-1].id == (4 if torn.endswith("wh") else 3)


GARBAGE = (
    "not JSON",
    "[]",
    "7",
    '{"id": "x"}',
    '{"id": 1}',
    '{"id": 99999999999999999999999999, "version": 1}',
    '{"id": 2, "version": 2}',
    "[" * 100_000,
)


def test_lines_that_cannot_be_read_are_counted_and_hide_no_others(past, tmp_path):
    past.append(entry(("a",)))
    with (tmp_path / "history.jsonl").open("a") as file:
        file.writelines(f"{line}\n" for line in GARBAGE)
    past.append(entry(("b",)))
    assert words(past) == ["a", "b"]
    assert past.read()[1] == (f"{len(GARBAGE)} lines of {tmp_path}/history.jsonl cannot be read",)


def test_a_value_under_another_name_is_not_read(past, tmp_path):
    past.append(entry(before={"web": None}, after={"web": network()}))
    path = tmp_path / "history.jsonl"
    path.write_text(path.read_text().replace('"after": {"web"', '"after": {"../x"'))
    entries, notes = past.read()
    assert (entries, len(notes)) == ((), 1)


def test_the_history_is_bounded_and_the_newest_entries_stay(past, tmp_path, monkeypatch):
    monkeypatch.setattr(history, "LIMIT", 10_000)
    for number in range(1, 101):
        assert past.append(entry((str(number),))) == ""
    sizes = [(tmp_path / name).stat().st_size for name in ("history.jsonl", "history.1.jsonl")]
    assert max(sizes) <= 10_000
    numbers = [each.id for each in past.read()[0]]
    assert numbers == [*range(numbers[0], 101)]
    assert len(numbers) > 30
    assert {path.name for path in tmp_path.iterdir()} == {"history.jsonl", "history.1.jsonl"}


def test_numbers_go_on_when_the_file_is_rotated_and_deleted(past, tmp_path):
    past.append(entry(("a",)))
    past.append(entry(("b",)))
    (tmp_path / "history.jsonl").rename(tmp_path / "history.1.jsonl")
    past.append(entry(("c",)))
    assert [each.id for each in past.read()[0]] == [1, 2, 3]


def test_the_number_of_an_entry_that_is_larger_than_the_tail_is_found(past, monkeypatch):
    monkeypatch.setattr(history, "TAIL", 50)
    past.append(entry(("a",)))
    past.append(entry(("b",)))
    assert [each.id for each in past.read()[0]] == [1, 2]


def test_an_entry_that_is_too_large_loses_its_commands_and_then_its_values(past, monkeypatch):
    monkeypatch.setattr(history, "LIMIT", 4000)
    many = network("web", "10.1.0.0/24", *(endpoint(f"c{n}", f"10.1.0.{n}") for n in range(2, 20)))
    past.append(entry(before={"web": None}, after={"web": WEB}, commands=((("ip",), "x" * 9000),)))
    past.append(entry(before={"web": None}, after={"web": many}, commands=((("ip",), ""),)))
    first, second = past.read()[0]
    assert (first.cut, first.commands, first.after) == ("commands", (), {"web": WEB})
    assert (second.cut, second.commands, second.after) == ("commands and values", (), {})
    assert second.networks == ("web",)


def symbolic_link(path):
    (path.parent / "real").touch()
    path.symlink_to(path.parent / "real")


MISUSES = {
    "a symbolic link": symbolic_link,
    "a directory": lambda path: path.mkdir(),
    "a fifo": os.mkfifo,
    "writable by others": lambda path: (path.touch(), path.chmod(0o666)),
    "another's": lambda path: (path.touch(), os.chown(path, 12345, 12345)),
}


@pytest.mark.parametrize("misuse", MISUSES.values(), ids=MISUSES)
def test_a_file_that_cannot_be_trusted_is_neither_written_nor_read(past, tmp_path, misuse):
    path = tmp_path / "history.jsonl"
    try:
        misuse(path)
    except PermissionError:
        pytest.skip("only root can give a file away")
    before = path.lstat()
    note = past.append(entry())
    assert note.startswith(f"cannot write this change to the history {path}: ")
    assert (path.lstat().st_size, path.lstat().st_mtime) == (before.st_size, before.st_mtime)
    if not path.is_dir():
        with pytest.raises(Failed, match=r"history\.jsonl"):
            past.read()


def test_a_full_disk_is_a_note(past, monkeypatch):
    past.append(entry(("a",)))
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:10]))  # As on a disk that is nearly full.
    assert past.append(entry(("b",))).endswith("No space left on device")
    monkeypatch.undo()
    past.append(entry(("c",)))
    assert words(past) == ["a", "c"]
    assert past.read()[1] == ()


def test_words_that_are_not_utf8_are_written(past):
    past.append(entry(("create", "\udcff\x1b\n")))
    assert past.read()[0][0].words == ("create", "\udcff\x1b\n")


def test_it_is_no_part_of_the_digest_of_the_record(tmp_path):
    store = JsonStore(tmp_path / "state")
    store.save({"web": network()})
    digest = store.digest()
    History(store.folder).append(entry())
    assert store.digest() == digest


def test_each_line_is_json_that_begins_with_its_number(past, tmp_path):
    past.append(entry())
    (line,) = (tmp_path / "history.jsonl").read_text().splitlines()
    assert line.startswith('{"id": 1, "version": 1, "when": "2026-11-26T10:00:00Z"')
    assert json.loads(line)["sudo_user"] == "alice"


def test_a_tail_has_what_is_appended_from_now_on(tmp_path, past):
    past.append(entry(("create", "old")))
    tail = history.Tail(tmp_path)
    assert tail.new() == ()
    past.append(entry(("create", "new")))
    assert [(each.id, each.words) for each in tail.new()] == [(2, ("create", "new"))]
    assert tail.new() == ()
    tail.close()


def test_a_tail_waits_for_the_first_change_and_for_whole_lines(tmp_path, past):
    tail = history.Tail(tmp_path)
    assert tail.new() == ()
    past.append(entry())
    path = tmp_path / "history.jsonl"
    line = path.read_bytes()
    path.write_bytes(line[:40])
    assert tail.new() == ()
    path.write_bytes(line + b"not JSON\n")
    assert [each.id for each in tail.new()] == [1]
    tail.close()


def test_a_tail_follows_the_history_into_its_next_file(tmp_path, past):
    past.append(entry(("create", "a")))
    tail = history.Tail(tmp_path)
    past.append(entry(("create", "b")))
    (tmp_path / "history.jsonl").rename(tmp_path / "history.1.jsonl")
    past.append(entry(("create", "c")))
    assert [each.words[1] for each in tail.new()] == ["b", "c"]
    tail.close()
