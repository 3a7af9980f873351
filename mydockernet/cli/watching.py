"""The verbs that go on showing what happens: stats."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from mydockernet.cli.listing import format_argument
from mydockernet.cli.options import example, read_seconds
from mydockernet.cli.values import read_template, store_of, terminal_width
from mydockernet.errors import Invalid
from mydockernet.messages import report_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from mydockernet.errors import MydockernetError
    from mydockernet.reports.stats import Row, Sample, Watched

# As docker does: clear the terminal, and go to its first line.
CLEAR = "\033[2J\033[H"
INTERVAL = 1.0


def names_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the argument that names networks and containers."""
    parser.add_argument(
        "names", metavar="NETWORK[/CONTAINER]", nargs="*", help="Network, or one container on it (default: all)"
    )


def stats_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `stats`."""
    names_argument(parser)
    parser.add_argument("--no-stream", action="store_true", help="Print once and exit: totals, and no rates")
    parser.add_argument(
        "--interval",
        type=read_seconds,
        metavar="SECONDS",
        help="Seconds between two lines of a container (default: 1); with --no-stream, wait so long and print rates",
    )
    format_argument(parser, r"{{.Name}}\t{{.ReceivedBytes}}")
    connected = ("ip netns add c1", "mydockernet create web", "mydockernet connect web c1")
    example(parser, *connected, "mydockernet stats --no-stream")


def run_stats(args: argparse.Namespace) -> int:
    """Run `stats` and return the exit code. ^C and SIGTERM end it as intended."""
    from mydockernet.reports import stats

    if args.interval == 0:
        raise Invalid("--interval: it must be longer than 0 seconds")
    render = read_template(args.format)
    chosen, now, errors = _sample(args)
    code = report_all(errors)
    if not chosen and errors:
        return code
    end_by_signal()
    try:
        before, since = None, time.monotonic()
        if args.no_stream and args.interval is None:
            _print(args, render, stats.rows(chosen, now))
            return code
        while True:
            if not args.no_stream and before is None:
                _print(args, render, stats.rows(chosen, now), clear=True)
            before = now
            time.sleep(max(0.0, since + (args.interval or INTERVAL) - time.monotonic()))
            chosen, now, _ = _sample(args)
            passed, since = time.monotonic() - since, time.monotonic()
            _print(args, render, stats.rows(chosen, now, before, passed), clear=not args.no_stream)
            if args.no_stream:
                return code
    except KeyboardInterrupt:
        return code


def end_by_signal() -> None:
    """Let SIGTERM end a verb that goes on as ^C does."""

    def end(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)


def _sample(args: argparse.Namespace) -> tuple[Sequence[Watched], Sample, Sequence[MydockernetError]]:
    """Return what was asked for, its traffic, and errors."""
    from mydockernet.kernel.proc import read_traffic
    from mydockernet.reports import selection, stats

    outlines, broken = store_of(args).outlines()
    known = {name: [place.name for place in outline.places] for name, outline in outlines.items()}
    wanted, unknown = selection.choose(known, args.names)
    chosen = stats.watched(outlines, wanted)
    inside = {}
    if within := stats.without_host_end(chosen):
        from mydockernet.kernel.counters import read_inside

        inside = read_inside(within)
    return chosen, stats.sample(chosen, read_traffic(), inside), [*broken, *unknown]


def _print(args: argparse.Namespace, render: Any, rows: Sequence[Row], clear: bool = False) -> None:
    """Print rows as --format says; in a terminal, in place of those before if they are to be cleared."""
    from mydockernet.cli import views

    width = terminal_width()
    if args.format == "table":
        text = (CLEAR if clear and width is not None else "") + views.stats_table(rows, width)
    else:
        records = [views.stats_record(row) for row in rows]
        text = views.json_lines(records) if render is None else render(records, width)
    sys.stdout.write(text)
    sys.stdout.flush()
