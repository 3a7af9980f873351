"""Waiting for a lock, flock(2), of which another process may hold the other end."""

import fcntl
import time

from mydockernet.errors import Locked

PAUSE = 0.01  # seconds


def hold(handle: int, name: str, timeout: float, shared: bool = False) -> None:
    """Take the lock of an open file, or raise Locked after `timeout` seconds. Closing the file gives it back."""
    give_up = time.monotonic() + timeout
    while True:
        try:
            return fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                raise Locked(
                    f"another mydockernet holds the lock {name}, for {timeout:g} s now",
                    hint="wait longer with --lock-timeout",
                ) from None
            time.sleep(PAUSE)
