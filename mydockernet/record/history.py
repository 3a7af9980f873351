"""The history: a line of JSON for each change, in the state directory.

    history.jsonl     {"id": 17, "version": 1, "when": "2026-11-26T10:00:00Z", "words": ["create", "web"], …}
    history.1.jsonl   the lines before, once history.jsonl was full

No error here may fail a change, and nothing is flushed to disk, which would take time. So the last line may be torn.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mydockernet.dialects.fact import Argv, Step
from mydockernet.errors import Failed, MydockernetError, NotPermitted
from mydockernet.model import Network
from mydockernet.record.network_json import network_from_json, network_to_json
from mydockernet.value import EMPTY, Value, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
# Bytes per file, of which there are two.
LIMIT = 4 * 1024 * 1024
# Bytes at the end of the file in which the ID of the last change is looked for first.
TAIL = 16 * 1024
START = b'{"id": '
ID_MAX = 10**15

# How a change ended.
DONE = "done"
ROLLED_BACK = "rolled back"
FAILED = "failed"
RECOVERED = "rolled back after an interruption"
UNCONFIRMED = "rolled back, as it was not confirmed"

# What is missing in an entry that would be too large.
COMMANDS = "commands"
VALUES = "commands and values"

Sides = Mapping[str, Network | None]


class Who(Value):
    """The user who made a change: the uid, the name that sudo was called under (or empty), and the name of the host."""

    uid: int
    sudo_user: str
    host: str


class Entry(Value):
    """A change: `words` are the command line, `when` is UTC as in ISO 8601, `seconds` how long it took.

    `before` and `after` have the networks that differ; of a network on both sides, only the endpoints that differ.
    `positions` are the places of those that were removed among the endpoints before. `commands` ran, with their input,
    then those of the rollback (`undone`). `undoes` is the ID of the change that it undid, or 0. If the entry was too
    large, something was `cut`: the commands, or the values as well.
    """

    id: int
    when: str
    who: Who
    words: tuple[str, ...]
    networks: tuple[str, ...]
    result: str
    seconds: float = 0.0
    error: str = ""
    before: Sides = EMPTY
    after: Sides = EMPTY
    positions: Mapping[str, Mapping[str, int]] = EMPTY
    commands: tuple[tuple[Argv, str], ...] = ()
    undone: tuple[tuple[Argv, str], ...] = ()
    undoes: int = 0
    cut: str = ""


class History:
    """The history in a state directory."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "history.jsonl"
        self._old = folder / "history.1.jsonl"

    def append(self, entry: Entry) -> str:
        """Append an entry, with the next ID instead of its own. Never raises: returns why it failed, or nothing.

        The caller holds the lock of the record, which has checked the directory.
        """
        try:
            self._append(entry)
        except Exception as error:  # Whatever it is, the change has been made.
            why = error.strerror if isinstance(error, OSError) else str(error)
            return f"cannot write this change to the history {self._path}: {why}"
        return ""

    def read(self) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
        """Return all entries, the oldest first, and a note for each file with lines that cannot be read.

        Raises Failed, NotPermitted.
        """
        found: dict[int, Entry] = {}
        notes = []
        for path in (self._path, self._old):  # In this order, none is lost if another process moves the file meanwhile.
            bad = 0
            lines = self._lines(path)
            for number, line in enumerate(lines):
                try:
                    entry = _entry_from_json(json.loads(line))
                except (KeyError, TypeError, ValueError, AttributeError, RecursionError, MydockernetError):
                    torn = number == len(lines) - 1 and not line.endswith(b"\n")
                    bad += not torn
                    continue
                found.setdefault(entry.id, entry)
            if bad:
                notes.append(f"{bad} line{'s' if bad > 1 else ''} of {path} cannot be read")
        return tuple(found[number] for number in sorted(found)), tuple(notes)

    def changed(self) -> int | None:
        """Return when something was recorded last, in seconds since 1970 (UTC); None if nothing was."""
        try:
            return int(self._path.stat().st_mtime)
        except OSError:
            return None

    def _lines(self, path: Path) -> list[bytes]:
        try:
            handle = _open(path)
        except FileNotFoundError:
            return []
        with os.fdopen(handle, "rb") as file:
            _require_own(file.fileno(), path)
            return file.read(4 * LIMIT).splitlines(keepends=True)

    def _append(self, entry: Entry) -> None:
        handle = self._open()
        try:
            size = _require_own(handle, self._path)
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            line = _line(replace(entry, id=1 + (_last_id(handle, size) or self._last_old_id())))
            if size and size + len(line) >= LIMIT:
                self._path.replace(self._old)
                os.close(handle)
                handle, size, torn = self._open(), 0, False
            _write(handle, b"\n" + line if torn else line, size)
        finally:
            os.close(handle)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        return os.open(self._path, flags, 0o600)

    def _last_old_id(self) -> int:
        try:
            handle = os.open(self._old, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return 0
        try:
            return _last_id(handle, os.fstat(handle).st_size)
        finally:
            os.close(handle)


class Tail:
    """What is appended to the history from now on."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "history.jsonl"
        self._file = -1
        self._rest = b""
        if self._open():
            os.lseek(self._file, 0, os.SEEK_END)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def new(self) -> tuple[Entry, ...]:
        """Return the changes that were recorded since the last call. Lines that cannot be read are left out."""
        if self._file < 0 and not self._open():
            return ()
        lines = self._read()
        # After it was full, the file has another name, and another one has its name.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(self._file).st_ino != self._path.stat().st_ino:
                lines += self._read()
                self.close()
                lines += self._read() if self._open() else []
        entries = []
        for line in lines:
            with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError, RecursionError, MydockernetError):
                entries.append(_entry_from_json(json.loads(line)))
        return tuple(entries)

    def _read(self) -> list[bytes]:
        """Return the whole lines that were not read yet."""
        while chunk := os.read(self._file, LIMIT):
            self._rest += chunk
        *lines, self._rest = self._rest.split(b"\n")
        return lines

    def _open(self) -> bool:
        """Open the file at its beginning; returns whether it exists. Raises Failed, NotPermitted."""
        try:
            self._file = _open(self._path)
        except FileNotFoundError:
            return False
        self._rest = b""
        _require_own(self._file, self._path)
        return True


def changed(before: Sides, after: Sides) -> tuple[Sides, Sides, Mapping[str, Mapping[str, int]]]:
    """Return what an entry keeps of the networks that differ: `before`, `after` and `positions`."""
    less: tuple[dict[str, Network | None], dict[str, Network | None]] = ({}, {})
    positions = {}
    for name in after:
        old, new = before[name], after[name]
        if old and new:
            had, has = ({e.name: e for e in network.endpoints} for network in (old, new))
            gone = {e.name: number for number, e in enumerate(old.endpoints) if e.name not in has}
            if gone:
                positions[name] = gone
            old = replace(old, endpoints=tuple(e for e in old.endpoints if has.get(e.name) != e))
            new = replace(new, endpoints=tuple(e for e in new.endpoints if had.get(e.name) != e))
        less[0][name], less[1][name] = old, new
    return (*less, positions)


def who(environ: Mapping[str, str]) -> Who:
    """Return the user who runs this process."""
    return Who(os.getuid(), environ.get("SUDO_USER", ""), os.uname().nodename)


def now() -> str:
    """Return the time as an entry has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def commands_of(steps: Iterable[Step]) -> tuple[tuple[Argv, str], ...]:
    """Return the commands of steps as an entry has them."""
    return tuple((step.do, step.stdin) for step in steps)


def _open(path: Path) -> int:
    """Open a file for reading. Raises FileNotFoundError, and Failed or NotPermitted for other reasons."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        kind = NotPermitted if isinstance(error, PermissionError) else Failed
        raise kind(f"cannot read {path}: {error.strerror}") from None


def _require_own(handle: int, path: Path) -> int:
    """Return the size of a file. Raises Failed unless it is one that only its owner, root or this user, can write."""
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise Failed(f"{path} is not a regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise Failed(f"{path} is owned by another user (uid {status.st_uid})")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Failed(f"{path} is writable by other users (mode {stat.S_IMODE(status.st_mode):04o})")
    return status.st_size


def _last_id(handle: int, size: int) -> int:
    """Return the ID of the last entry in a file, 0 if there is none."""
    for start in dict.fromkeys((max(0, size - TAIL), 0)):
        for line in reversed(os.pread(handle, size - start, start).split(b"\n")):
            number = line.removeprefix(START).partition(b",")[0]
            if line.startswith(START) and number.isdigit() and int(number) < ID_MAX:
                return int(number)
    return 0


def _write(handle: int, line: bytes, size: int) -> None:
    """Write a line at the end of a file of this size, whole or not at all."""
    if os.write(handle, line) != len(line):
        os.ftruncate(handle, size)
        raise Failed("No space left on device")


def _line(entry: Entry) -> bytes:
    """Return an entry as a line, which is never larger than a file may be."""
    text = _text(entry)
    if len(text) > LIMIT // 2:
        text = _text(replace(entry, commands=(), undone=(), cut=COMMANDS))
    if len(text) > LIMIT // 2:
        text = _text(replace(entry, commands=(), undone=(), before=EMPTY, after=EMPTY, positions=EMPTY, cut=VALUES))
    return text.encode()


def _text(entry: Entry) -> str:
    return json.dumps(entry_to_json(entry)) + "\n"


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON values, as in its line."""
    return {
        "id": entry.id,
        "version": VERSION,
        "when": entry.when,
        "seconds": entry.seconds,
        "uid": entry.who.uid,
        "sudo_user": entry.who.sudo_user,
        "host": entry.who.host,
        "words": list(entry.words),
        "networks": list(entry.networks),
        "result": entry.result,
        "error": entry.error,
        "undoes": entry.undoes,
        "cut": entry.cut,
        **{side: _networks_to_json(values) for side, values in (("before", entry.before), ("after", entry.after))},
        "positions": {name: dict(places) for name, places in entry.positions.items()},
        "commands": _commands_to_json(entry.commands),
        "undone": _commands_to_json(entry.undone),
    }


def _networks_to_json(values: Sides) -> dict[str, Any]:
    return {name: None if network is None else network_to_json(network) for name, network in values.items()}


def _commands_to_json(commands: Iterable[tuple[Argv, str]]) -> list[dict[str, Any]]:
    return [{"argv": list(argv), **({"stdin": stdin} if stdin else {})} for argv, stdin in commands]


def _entry_from_json(raw: dict[str, Any]) -> Entry:
    """Return the entry of entry_to_json. Raises KeyError, TypeError, ValueError, AttributeError or Invalid."""
    if raw["version"] != VERSION or not 0 < raw["id"] < ID_MAX:
        raise ValueError(raw["version"])
    sides = [
        {name: None if network is None else network_from_json(network) for name, network in raw[side].items()}
        for side in ("before", "after")
    ]
    for name, network in (pair for side in sides for pair in side.items()):
        if network and network.name != name:
            raise ValueError(name)
    return Entry(
        int(raw["id"]),
        str(raw["when"]),
        Who(int(raw["uid"]), str(raw["sudo_user"]), str(raw["host"])),
        tuple(map(str, raw["words"])),
        tuple(map(str, raw["networks"])),
        str(raw["result"]),
        float(raw["seconds"]),
        str(raw["error"]),
        sides[0],
        sides[1],
        {name: {e: int(n) for e, n in places.items()} for name, places in raw["positions"].items()},
        tuple(_commands_from_json(raw["commands"])),
        tuple(_commands_from_json(raw["undone"])),
        int(raw["undoes"]),
        str(raw["cut"]),
    )


def _commands_from_json(raw: Iterable[dict[str, Any]]) -> Iterator[tuple[Argv, str]]:
    for command in raw:
        yield tuple(map(str, command["argv"])), str(command.get("stdin", ""))
