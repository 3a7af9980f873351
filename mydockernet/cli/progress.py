"""Progress on a terminal, of what takes more than a second."""

import sys
import time
from collections.abc import Callable

PATIENCE = 1.0  # seconds
PAUSE = 0.1


class Progress:
    """Told of each command before it runs; `planned` returns how many there will be.

    The cursor stays at the beginning of the line, so that whatever is printed next takes its place.
    """

    def __init__(self, planned: Callable[[], int]) -> None:
        self._planned = planned
        self._ran = 0
        self._next = time.monotonic() + PATIENCE

    def __call__(self, _: object) -> None:
        """Count a command, and show the count if it is time."""
        self._ran += 1
        done = self._ran == self._planned()
        if time.monotonic() < self._next and not done:
            return
        if done:
            print("\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            print(f"\x1b[K{self._ran} of {self._planned()} commands\r", end="", file=sys.stderr, flush=True)
            self._next = time.monotonic() + PAUSE
