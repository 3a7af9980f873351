"""The process of a program: its standard streams, and its end."""

import os
import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def open_streams() -> None:
    """Open the standard streams that the caller closed, in this order, so that each gets its own number."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w"))  # noqa: SIM115 (it stays open)


def leave(code: int, text: str = "") -> "NoReturn":
    """End the process once all is printed. Python's own way out would free each object first, for some 10 ms."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or 1
    os._exit(code)
