"""The verbs about the changes that were made: history, undo."""

from __future__ import annotations

import argparse
import re
import sys

from mydockernet import undoing
from mydockernet.cli.change import change
from mydockernet.cli.listing import format_argument, print_records
from mydockernet.cli.options import example
from mydockernet.cli.values import read_template, store_of
from mydockernet.errors import Invalid, NotFound, command_line
from mydockernet.messages import tell
from mydockernet.record.history import Entry, History

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mydockernet.actions import Outcome

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def history_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `history`."""
    parser.usage = "mydockernet history [options] [show ID]"
    parser.add_argument("show", metavar="show", nargs="?", help="Show everything about one change")
    parser.add_argument("id", metavar="ID", nargs="?", help="ID of that change")
    parser.add_argument("--network", metavar="NETWORK", help="Only changes of this network")
    parser.add_argument(
        "--since",
        metavar="WHEN",
        help="Only changes since then: 2026-11-26, 2026-11-26T10:00 (local time; with Z: UTC), or 10m, 2h, 3d ago",
    )
    format_argument(parser, r"{{.Id}}\t{{.What}}")
    parser.add_argument("--no-trunc", action="store_true", help="Do not truncate in a terminal")
    example(parser, "mydockernet create web", "mydockernet history --network web --since 10m")


def run_history(args: argparse.Namespace) -> int:
    """Run `history` and return the exit code."""
    from mydockernet.cli import views

    if args.show not in (None, "show") or (args.show and not args.id):
        raise Invalid(f"{args.show!r} is not `show ID`", hint="mydockernet history show 1")
    if args.id and (args.network or args.since):
        raise Invalid("show: --network and --since are for the list of all changes")
    since = read_since(args.since) if args.since else ""
    render = read_template(args.format)
    number = _read_id(args.id) if args.id else None
    entries = _entries(args)
    if number is None:
        found = [
            views.change_record(entry)
            for entry in entries
            if (not args.network or args.network in entry.networks) and entry.when >= since
        ]
        print_records(args, render, found, views.changes_table)
        return 0
    entry = next((entry for entry in entries if entry.id == number), None)
    if entry is None:
        raise NotFound(f"the history has no change {number}", hint="mydockernet history shows all changes")
    if args.format == "table":
        sys.stdout.write(views.change_text(entry))
    else:
        print_records(args, render, [views.whole_change_record(entry)], views.changes_table)
    return 0


def _entries(args: argparse.Namespace) -> tuple[Entry, ...]:
    store = store_of(args)
    if not store.exists():
        return ()
    entries, notes = History(store.folder).read()
    tell(notes)
    return entries


def _read_id(word: str) -> int:
    if not (word.isascii() and word.isdigit()) or len(word) > 15:
        raise Invalid(f"ID: {word!r} is not the number of a change", hint="mydockernet history shows all changes")
    return int(word)


def read_since(word: str) -> str:
    """Read the value of --since: a time as the history has it. Raises Invalid."""
    import datetime

    utc = datetime.UTC
    try:
        if found := re.findall(r"(\d{1,9})([smhdw])", word):
            if "".join(map("".join, found)) != word:
                raise ValueError(word)
            ago = sum(int(number) * SECONDS[unit] for number, unit in found)
            when = datetime.datetime.now(utc) - datetime.timedelta(seconds=ago)
        else:
            when = datetime.datetime.fromisoformat(word).astimezone(utc)
        return when.strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        form = "a time such as 2026-11-26, 2026-11-26T10:00 or 2h"
        raise Invalid(f"--since: {word!r} is not {form}") from None


def undo_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `undo`."""
    parser.add_argument(
        "id",
        metavar="ID",
        nargs="?",
        help="ID of the change, as history shows it (default: the last change of a user that is not undone)",
    )
    example(parser, "mydockernet create web", "mydockernet set web mtu=1400", "mydockernet undo")


def run_undo(args: argparse.Namespace) -> int:
    """Run `undo` and return the exit code."""
    number = _read_id(args.id) if args.id else None
    history = History(store_of(args).folder)
    found: list[Entry] = []

    def result(_: Outcome) -> str:
        return f"{found[-1].id}: {command_line(found[-1].words)}"

    return change(args, [(result, undoing.undo(history, number, found.append))])
