"""The state directory: a JSON file per network, the journal of a change in progress, the lock.

Layout, in a directory of mode 0700, with files of mode 0600:

    networks/NAME.json   {"version": 1, "network": {…}}
    journal.json         {"version": 1, "words": […], "before": {NAME: {…} or null}, "after": {…}}
    confirm.json         the same, and the time until which this change waits to be confirmed
    history.jsonl        what was done (history.py)
    lock                 locked with flock(2) by the process that makes changes
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from mydockernet.digests import sha256
from mydockernet.errors import Failed, MydockernetError, NoSpace, NotPermitted, printable, quoted
from mydockernet.model import Network
from mydockernet.process import in_user_namespace
from mydockernet.record import DEFAULT_FOLDER, locks
from mydockernet.record.network_json import network_from_json, network_to_json
from mydockernet.record.outline import Outline, outline_from_json
from mydockernet.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    N = TypeVar("N", Network, Outline)

VERSION = 1
OVERFLOW_UID = 65534  # user_namespaces(7): the owner of files whose user is not mapped into this namespace.
Values = Mapping[str, Network | None]


class Unconfirmed(Value):
    """A change that is rolled back unless it is confirmed `until` a time, in seconds since this `boot` of the machine.

    The time of day would not do: it may be set back, and the rollback would be late.
    """

    before: Values
    after: Values
    until: float
    boot: str

    @property
    def left(self) -> float:
        """How many seconds are left to confirm it: none after a reboot."""
        return max(0.0, self.until - time.clock_gettime(time.CLOCK_BOOTTIME)) if self.boot == _boot() else 0.0


def unconfirmed(before: Values, after: Values, seconds: float) -> Unconfirmed:
    """Return a change that is rolled back unless it is confirmed in so many seconds from now."""
    return Unconfirmed(before, after, time.clock_gettime(time.CLOCK_BOOTTIME) + seconds, _boot())


def _boot() -> str:
    """Return what identifies this boot of the machine (random(4))."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


# The networks by name, and an error for each unreadable file.
Loaded = tuple[dict[str, Network], tuple[MydockernetError, ...]]


class JsonStore:
    """The state in JSON files under one directory, which is created on the first write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._networks = folder / "networks"
        self._journal = folder / "journal.json"
        self._confirm = folder / "confirm.json"

    def load(self) -> dict[str, Network]:
        """Return all networks by name. Raises Failed with a message for each file that is unsafe or invalid."""
        networks, errors = self.load_each()
        if errors:
            raise Failed(*(m for error in errors for m in error.messages), hint=errors[0].hint)
        return networks

    def load_each(self) -> Loaded:
        """Return the readable networks, and an error per unreadable file. Raises Failed for the directory itself."""
        return self._load_each(network_from_json)

    def outlines(self) -> tuple[dict[str, Outline], tuple[MydockernetError, ...]]:
        """Return the same of each network as its outline, which takes a fraction of the time."""
        return self._load_each(outline_from_json)

    def _load_each(self, read: Callable[[dict[str, Any]], N]) -> tuple[dict[str, N], tuple[MydockernetError, ...]]:
        networks: dict[str, N] = {}
        errors: list[MydockernetError] = []
        for folder in (self.folder, self._networks):
            if not self._trusted_folder(folder):
                return ({}, ())
        try:
            names = sorted(entry.name for entry in os.scandir(self._networks))
        except OSError as error:
            raise _unreadable(self._networks, error) from None
        for name in names:
            path = self._networks / name
            if name.startswith(".") or path.suffix != ".json":
                continue
            try:
                networks[path.stem] = self._read_network(path, read)
            except FileNotFoundError:
                continue  # A reader takes no lock, so the file may just have been deleted.
            except MydockernetError as error:
                errors.append(error)
        return (networks, tuple(errors))

    def save(self, values: Values) -> None:
        """Write the file of each network, or delete it (None). Raises Failed."""
        self._make_folders()
        for name, network in values.items():
            path = self._path(name)
            if network is None:
                self._delete(path)
            else:
                self._write(path, _network_text(network))

    def digest(self) -> str:
        """Return the SHA-256, in hex, of all files of the record, concatenated. dry_run.py computes the same in sh."""
        whole = sha256()
        networks: list[Path] = []
        with contextlib.suppress(OSError):
            networks = sorted(self._networks.glob("[!.]*.json"))
        for path in (*networks, self._journal):
            with contextlib.suppress(OSError):
                whole.update(path.read_bytes())
        return whole.hexdigest()

    def files(self, values: Values) -> dict[str, str | None]:
        """Return the files that `save` would write, by path: their texts, or None for a file that it would delete."""
        return {
            str(self._path(name)): None if network is None else _network_text(network)
            for name, network in values.items()
        }

    @property
    def journal_path(self) -> str:
        """The path of the journal."""
        return str(self._journal.absolute())

    def ready(self) -> bool:
        """Whether the directories of the record exist and are accessible."""
        try:
            return self._networks.is_dir()
        except OSError:
            return False

    def journal(self) -> tuple[Values, Values] | None:
        """Return the interrupted change, if any, as the networks before and after. Raises Failed."""
        raw = self._read_change(self._journal)
        return None if raw is None else _sides(self._journal, raw)

    def journal_words(self) -> tuple[str, ...]:
        """Return the command line of the interrupted change; empty if it is not known. Raises Failed."""
        return _words(self._read(self._journal))

    def unconfirmed_words(self) -> tuple[str, ...]:
        """Return the command line of the change that waits to be confirmed. Raises Failed."""
        return _words(self._read(self._confirm))

    def write_journal(self, before: Values, after: Values, words: Sequence[str] = ()) -> None:
        """Write a change to the journal, before its first command. Raises NoSpace, Failed."""
        self._make_folders()
        self._write(self._journal, _change_text(words, before, after))

    def clear_journal(self) -> None:
        """Delete the journal: the change is complete or has been rolled back. Raises Failed."""
        self._delete(self._journal)

    def unconfirmed(self) -> Unconfirmed | None:
        """Return the change that waits to be confirmed, if any. Raises Failed."""
        raw = self._read_change(self._confirm)
        if raw is None:
            return None
        until = raw.get("until")
        if not isinstance(until, int | float) or not abs(until) < float("inf"):
            raise _broken(self._confirm, "it has no time")
        return Unconfirmed(*_sides(self._confirm, raw), float(until), str(raw.get("boot", "")))

    def write_unconfirmed(self, change: Unconfirmed, words: Sequence[str]) -> None:
        """Write that a change waits to be confirmed. Raises NoSpace, Failed."""
        self._make_folders()
        self._write(
            self._confirm, _change_text(words, change.before, change.after, until=change.until, boot=change.boot)
        )

    def clear_unconfirmed(self) -> None:
        """Delete what waits to be confirmed: it is confirmed, or rolled back. Raises Failed."""
        self._delete(self._confirm)

    @property
    def realm(self) -> str:
        """The realm of this state directory: 6 hex digits derived from its path; empty for the default one."""
        folder = str(self.folder.absolute())
        return "" if folder == DEFAULT_FOLDER else sha256(folder.encode()).hexdigest()[:6]

    @contextlib.contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Hold the lock of the record. Raises Locked after `timeout` seconds."""
        self._make_folders()
        path = self.folder / "lock"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise Failed(f"cannot open {path}: {error.strerror}") from None
        try:
            locks.hold(handle, str(path), timeout)
            yield
        finally:
            os.close(handle)

    def _path(self, name: str) -> Path:
        return self._networks.absolute() / f"{name}.json"

    def exists(self) -> bool:
        """Whether the state directory exists. Raises Failed if other users can write to it."""
        return self._trusted_folder(self.folder)

    def _trusted_folder(self, folder: Path) -> bool:
        """Whether a directory exists. Raises Failed if other users can write to it or move it away."""
        for parent in {*folder.absolute().parents, *folder.parent.resolve().parents, folder.parent.resolve()}:
            _require_safe_parent(parent)
        try:
            status = folder.lstat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unreadable(folder, error) from None
        if not stat.S_ISDIR(status.st_mode):
            raise Failed(f"{folder} is not a directory (symbolic links are not followed)")
        if status.st_uid not in (0, os.geteuid()):
            raise Failed(f"{folder} is owned by another user (uid {status.st_uid})")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Failed(
                f"{folder} is writable by other users (mode {stat.S_IMODE(status.st_mode):04o})",
                hint=f"chmod 0700 {folder}",
            )
        return True

    def _make_folders(self) -> None:
        for folder in (*reversed(self.folder.absolute().parents), self.folder, self._networks):
            own = folder in (self.folder, self._networks)
            if self._trusted_folder(folder) if own else folder.exists():
                continue
            try:
                folder.mkdir(mode=0o700)
                folder.chmod(0o700)  # Regardless of the umask.
            except FileExistsError:
                if own:
                    self._trusted_folder(folder)  # Another process has just created it.
            except OSError as error:
                raise Failed(f"cannot create {folder}: {error.strerror}") from None

    def _read_change(self, path: Path) -> dict[str, Any] | None:
        """Return the file of a change, or None if there is none. Raises Failed."""
        if not self._trusted_folder(self.folder) or not os.path.lexists(path):
            return None
        return self._read(path)

    def _read_network(self, path: Path, read: Callable[[dict[str, Any]], N]) -> N:
        raw = self._read(path)
        try:
            network = read(raw["network"])
        except (KeyError, TypeError, ValueError, AttributeError, MydockernetError) as error:
            raise _broken(path, repr(error)) from None
        if network.name != path.stem:
            raise _broken(path, f"it holds network {quoted(network.name)}")
        return network

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                raw = json.loads(file.read().decode())
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unreadable(path, error) from None
        except (ValueError, RecursionError) as error:
            raise _broken(path, f"not JSON: {error}") from None
        if not isinstance(raw, dict) or not isinstance(raw.get("version"), int):
            raise _broken(path, "it has no version")
        if raw["version"] != VERSION:
            raise Failed(
                f"{path} has format version {raw['version']}; this mydockernet supports version {VERSION}",
                hint="use the version of mydockernet that wrote it",
            )
        return raw

    def _write(self, path: Path, text: str) -> None:
        """Write a file atomically: a temporary file, fsync, rename, fsync of the directory."""
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
            _sync_folder(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            kind = NoSpace if error.errno in (errno.ENOSPC, errno.EDQUOT) else Failed
            raise kind(f"cannot write {path}: {error.strerror}") from None

    def _delete(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
            _sync_folder(path.parent)
        except OSError as error:
            raise Failed(f"cannot delete {path}: {error.strerror}") from None


def _require_safe_parent(folder: Path) -> None:
    """Raise Failed if another user can replace what is in this directory."""
    try:
        status = folder.lstat()
    except OSError:
        return  # Then its contents are missing or unreadable, which is reported elsewhere.
    if status.st_uid not in (0, os.geteuid()) and not (status.st_uid == OVERFLOW_UID and in_user_namespace()):
        raise Failed(f"{folder}, above the state directory, is owned by another user (uid {status.st_uid})")
    open_to = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if stat.S_ISDIR(status.st_mode) and open_to and not status.st_mode & stat.S_ISVTX:
        mode = stat.S_IMODE(status.st_mode)
        raise Failed(
            f"{folder}, above the state directory, is writable by other users (mode {mode:04o})",
            hint=f"chmod go-w {folder}, or choose another --state-dir",
        )


def _sides(path: Path, raw: dict[str, Any]) -> tuple[Values, Values]:
    """Return the networks before and after a change. Raises Failed."""
    try:
        before, after = (
            {name: None if net is None else network_from_json(net) for name, net in raw[side].items()}
            for side in ("before", "after")
        )
    except (KeyError, TypeError, ValueError, AttributeError, MydockernetError) as error:
        raise _broken(path, repr(error)) from None
    return before, after


def _words(raw: dict[str, Any]) -> tuple[str, ...]:
    words = raw.get("words", [])
    return tuple(map(str, words)) if isinstance(words, list) else ()


def _change_text(words: Sequence[str], before: Values, after: Values, **more: float | str) -> str:
    sides = {
        side: {name: None if net is None else network_to_json(net) for name, net in values.items()}
        for side, values in (("before", before), ("after", after))
    }
    return _json({"version": VERSION, **more, "words": [*map(printable, words)], **sides}) + "\n"


def _network_text(network: Network) -> str:
    """Return the text of a network's file: a line per field, subnet and endpoint.

    The indentation of json would be ten times slower: it is not written in C.
    """
    fields = ",\n".join(f"    {_json(key)}: {_lines(value)}" for key, value in network_to_json(network).items())
    return f'{{\n  "version": {VERSION},\n  "network": {{\n{fields}\n  }}\n}}\n'


def _lines(value: object) -> str:
    if not isinstance(value, list) or not value:
        return _json(value)
    items = ",\n".join(f"      {_json(item)}" for item in value)
    return f"[\n{items}\n    ]"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _broken(path: Path, why: str) -> Failed:
    return Failed(
        f"{path} is not a valid state file: {why}",
        hint="correct it, or move it elsewhere; mydockernet does not overwrite it",
    )


def _unreadable(path: Path, error: OSError) -> Failed:
    if error.errno == errno.ELOOP:
        return Failed(f"cannot read {path}: symbolic links are not followed")
    kind = NotPermitted if isinstance(error, PermissionError) else Failed
    return kind(f"cannot read {path}: {error.strerror}")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
