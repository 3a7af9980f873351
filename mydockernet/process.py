"""The process of a program: its standard streams, its user namespace, and its end."""

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


def in_user_namespace() -> bool:
    """Whether some users are not mapped into this user namespace; the host's root may be among them."""
    return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]


def may_drop_root() -> bool:
    """Whether a program may become another user with all its groups; not in a user namespace of an ordinary user."""
    try:
        return Path("/proc/self/setgroups").read_text().strip() == "allow"
    except OSError:
        return True


def leave(code: int, text: str = "") -> "NoReturn":
    """End the process once all is printed. Python's own way out would free each object first, for some 10 ms."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or 1
    os._exit(code)
