"""Options and help that several verbs share."""

from __future__ import annotations

import argparse

from mydockernet.record import DEFAULT_FOLDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def help_option(parser: argparse.ArgumentParser) -> None:
    """Declare --help."""
    parser.add_argument("-h", "--help", action="help", help="Print this help and exit")


def example(parser: argparse.ArgumentParser, *lines: str) -> None:
    """Add an example to the help of a verb: commands that work on a host without networks, one after the other."""
    parser.epilog = "\n".join(["example:", *(f"  {line}" for line in lines), "", parser.epilog or ""])


def common_options(parser: argparse.ArgumentParser, default: Any = None) -> None:
    """Declare the options that every verb has."""
    # Without a default: whether the file that has it can be read does not matter to --help.
    parser.add_argument(
        "--state-dir", metavar="DIR", default=default, help=f"State directory (default: {DEFAULT_FOLDER})"
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", default=default or False, help="Print each command as it runs"
    )


def changing_options(parser: argparse.ArgumentParser, saves: bool) -> None:
    """Declare the options of every verb that changes something, and those of one whose plan a file can hold."""
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="Print the plan as a shell script and change nothing"
    )
    parser.add_argument("--exit-code", action="store_true", help="With --dry-run: exit with 5 if changes are pending")
    lock_timeout_option(parser)
    parser.add_argument(
        "--format",
        metavar="json",
        choices=["json"],
        help="With --dry-run: print the plan as a JSON array of {why, argv, stdin}",
    )
    if saves:
        parser.add_argument(
            "--save-plan",
            metavar="FILE",
            help="Write the plan to a file for review and change nothing; apply-plan makes the change. - is stdout",
        )


def lock_timeout_option(parser: argparse.ArgumentParser) -> None:
    """Declare --lock-timeout."""
    parser.add_argument(
        "--lock-timeout",
        type=read_seconds,
        default=30.0,
        metavar="S",
        help="Seconds to wait for the lock (default: 30)",
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
