"""Read the values of options that several verbs share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mydockernet import model
from mydockernet.errors import Failed, Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mydockernet.context import Context
    from mydockernet.record.store import JsonStore


def read_template(text: str) -> Callable[[Sequence[dict[str, Any]], int | None], str] | None:
    """Read the value of --format: a function that prints records, or None for table and json. Raises Invalid."""
    if text in ("json", "table"):
        return None
    from mydockernet.cli import template

    return template.read(text)


def terminal_width() -> int | None:
    """The width of the terminal, None if stdout is not one."""
    if not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80  # Some terminals report 0.


NETWORK_FILTERS = "name=PART, driver=DRIVER or label=KEY[=VALUE]"
CONTAINER_FILTERS = "name=PART, network=NETWORK, state=STATE or label=KEY[=VALUE]"


def filter_argument(parser: argparse.ArgumentParser, *names: str, forms: str = NETWORK_FILTERS) -> None:
    """Declare --filter; -f is its short name for verbs that list, as in docker."""
    parser.add_argument(
        *names,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"Only those that match {forms}; can be repeated",
    )


def read_filters(words: Sequence[str]) -> Callable[[model.Network], bool]:
    """Read the values of --filter: whether a network matches, as in docker. Raises Invalid.

    A network must match every key that is given, and any one of its values, but all labels. A part of a name matches.
    """
    wanted = _read_filters(words, NETWORK_FILTERS)
    return lambda network: (
        _named(network.name, wanted) and _labelled(network.labels, wanted) and _is("driver", network.driver, wanted)
    )


def read_container_filters(words: Sequence[str]) -> Callable[[model.Network, model.Endpoint, str], bool]:
    """The same for containers: whether one matches, given its network and its state."""
    wanted = _read_filters(words, CONTAINER_FILTERS)
    return lambda network, endpoint, state: (
        _named(endpoint.name, wanted)
        and _labelled(endpoint.labels, wanted)
        and _is("network", network.name, wanted)
        and _is("state", state, wanted)
    )


def _read_filters(words: Sequence[str], forms: str) -> dict[str, list[str]]:
    problems = []
    wanted: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if f" {key}=" not in f" {forms}" or not equals or not value:
            problems.append(f"--filter: {word!r} is not {forms}")
        wanted.setdefault(key, []).append(value)
    if problems:
        raise Invalid(*problems)
    return wanted


def _named(name: str, wanted: dict[str, list[str]]) -> bool:
    return "name" not in wanted or any(part in name for part in wanted["name"])


def _labelled(labels: Iterable[tuple[str, str]], wanted: dict[str, list[str]]) -> bool:
    return set(wanted.get("label", ())) <= {form for key, value in labels for form in (key, f"{key}={value}")}


def _is(key: str, value: str, wanted: dict[str, list[str]]) -> bool:
    return key not in wanted or value in wanted[key]


STDIN = "-"


def read_file(name: str, most: int) -> bytes:
    """Return the content of a file, or of stdin for `-`. Raises Failed, and Invalid for more bytes than this."""
    try:
        with open(sys.stdin.fileno() if name == STDIN else name, "rb", closefd=name != STDIN) as file:
            content = file.read(most + 1)
    except OSError as error:
        raise Failed(f"cannot read {name_of(name)}: {error.strerror}") from None
    if len(content) > most:
        raise Invalid(f"{name_of(name)} is larger than {most // 1024 // 1024} MiB")
    return content


def read_text(name: str, most: int) -> str:
    """Return the same as text. Raises Failed, and Invalid also if it is not UTF-8."""
    try:
        return read_file(name, most).decode()
    except UnicodeDecodeError:
        raise Invalid(f"{name_of(name)}: it is not UTF-8") from None


def name_of(name: str) -> str:
    """Return the name of a file for messages."""
    return "stdin" if name == STDIN else name


def store_of(args: argparse.Namespace) -> JsonStore:
    """The record in --state-dir."""
    from mydockernet import defaults
    from mydockernet.record.store import JsonStore

    return JsonStore(Path(defaults.state_dir(os.environ) if args.state_dir is None else args.state_dir))


def context_of(args: argparse.Namespace) -> Context:
    """The record and the kernel that a verb works on."""
    from mydockernet.context import Context
    from mydockernet.errors import command_line, printable
    from mydockernet.kernel.door import Kernel

    def announce(argv: Iterable[str]) -> None:
        print("+", printable(command_line(argv)), file=sys.stderr, flush=True)

    if args.verbose:
        kernel = Kernel(announce=announce)
    elif sys.stderr.isatty():
        from mydockernet.cli.progress import Progress

        kernel = Kernel(announce=Progress(lambda: kernel.planned))
    else:
        kernel = Kernel()
    return Context(store_of(args), kernel, getattr(args, "lock_timeout", 0.0), args.typed)
