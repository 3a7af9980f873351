"""The options that several verbs share, and how their values are read."""

from __future__ import annotations

import argparse
import os

from mydockernet.record import DEFAULT_FOLDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def common_options(parser: argparse.ArgumentParser, default: Any = None) -> None:
    """Declare the options that every verb has."""
    folder = default or os.environ.get("MYDOCKERNET_STATE_DIR") or DEFAULT_FOLDER
    parser.add_argument("--state-dir", metavar="DIR", default=folder, help=f"the record ({DEFAULT_FOLDER})")
    parser.add_argument(
        "-v", "--verbose", action="store_true", default=default or False, help="show each command as it runs"
    )


def changing_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every verb that changes something."""
    parser.add_argument("-n", "--dry-run", action="store_true", help="print the plan as a shell script; change nothing")
    parser.add_argument("--exit-code", action="store_true", help="with --dry-run: exit 5 if it is not empty")
    parser.add_argument(
        "--lock-timeout", type=read_seconds, default=30.0, metavar="S", help="wait that long for another (30 s)"
    )
    parser.add_argument(
        "--format",
        metavar="json",
        choices=["json"],
        help="with --dry-run: the plan as a JSON array of {why, argv, stdin}",
    )


def read_seconds(word: str) -> float:
    """Read a number of seconds. Raises ArgumentTypeError."""
    try:
        seconds = float(word)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of seconds")
    return seconds
