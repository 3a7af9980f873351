"""The options that several verbs share, and how their values are read."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mydockernet import model
from mydockernet.errors import Invalid
from mydockernet.record.store import DEFAULT_FOLDER


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


def read_labels(words: Iterable[str], problems: list[str]) -> tuple[tuple[str, str], ...]:
    """Read the values of --label; what is wrong with them is added to `problems`."""
    labels = {}
    for word in words:
        key, _, value = word.partition("=")
        problems += model.label_problems(key, value)
        labels[key] = value
    return tuple(sorted(labels.items()))


def read_template(text: str) -> Callable[[dict[str, Any]], str] | None:
    """Read the value of --format; None for table and json. Raises Invalid."""
    if text in ("json", "table"):
        return None
    from mydockernet.cli import views

    return views.template(text)


def terminal_width() -> int | None:
    """The columns of the terminal; None where stdout is none."""
    if not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80  # A terminal that does not know.


def filter_argument(parser: argparse.ArgumentParser) -> None:
    """Declare --filter."""
    parser.add_argument(
        "-f",
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="name=, driver= or label=K[=V]",
    )


def read_filters(words: Sequence[str]) -> Callable[[model.Network], bool]:
    """Networks that match every key given; of several values of one key, any. A name matches in part, as docker's."""
    problems = []
    wanted: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if key not in ("name", "driver", "label") or not equals or not value:
            problems.append(f"--filter: {word!r} is not name=, driver= or label= with a value")
        wanted.setdefault(key, []).append(value)
    if problems:
        raise Invalid(*problems)

    def matches(network: model.Network) -> bool:
        labels = {form for key, value in network.labels for form in (key, f"{key}={value}")}
        return (
            ("name" not in wanted or any(part in network.name for part in wanted["name"]))
            and ("driver" not in wanted or network.driver in wanted["driver"])
            and set(wanted.get("label", ())) <= labels
        )

    return matches
