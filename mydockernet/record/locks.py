"""Locks, flock(2): open one that only root can open, and wait for one that another process holds."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from pathlib import Path

from mydockernet.errors import Failed, Locked, NotPermitted

PAUSE = 0.01  # seconds
FOLDER = Path("/run/mydockernet")
# EOVERFLOW: the file system has no such user.
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EOVERFLOW)
OWN_NETWORK = Path("/proc/self/ns/net")


def hold(handle: int, name: str, timeout: float, shared: bool = False) -> None:
    """Take the lock of an open file. Raises Locked after `timeout` seconds. Closing the file releases the lock."""
    give_up = time.monotonic() + timeout
    while True:
        try:
            return fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                raise Locked(
                    f"another mydockernet process holds the lock {name}; gave up after {timeout:g} s",
                    hint="wait longer with --lock-timeout",
                ) from None
            time.sleep(PAUSE)


def open_for_this_network(folder: Path = FOLDER) -> int:
    """Open the lock file of this process's network namespace: DEV-INODE.lock, in a directory of root.

    Any user can open the file of the namespace itself and lock it, but only root can access this directory. Raises
    NotPermitted if this user cannot, and Failed if the directory is unsafe.
    """
    status = OWN_NETWORK.stat()
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _require_own(folder, os.fstat(inside))
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            return os.open(f"{status.st_dev}-{status.st_ino}.lock", flags, 0o600, dir_fd=inside)
        finally:
            os.close(inside)
    except OSError as error:
        kind = NotPermitted if error.errno in FORBIDDEN else Failed
        raise kind(f"cannot open the lock in {folder}: {error.strerror}") from None


def _require_own(folder: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        kind = NotPermitted if os.geteuid() else Failed
        raise kind(f"cannot use {folder} for the lock: it is owned by another user (uid {status.st_uid})")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise Failed(
            f"cannot use {folder} for the lock: other users can access it (mode {mode:04o})",
            hint=f"chmod 0700 {folder}",
        )
