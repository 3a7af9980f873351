"""The verbs that go on showing what happens: stats, events, capture."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from mydockernet.cli.listing import format_argument
from mydockernet.cli.options import example, read_seconds
from mydockernet.cli.values import context_of, read_template, store_of, terminal_width
from mydockernet.errors import Invalid
from mydockernet.messages import report_all, tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from mydockernet.errors import MydockernetError
    from mydockernet.reports.events import Event
    from mydockernet.reports.stats import Row, Sample, Watched

# As docker does: clear the terminal, and go to its first line.
CLEAR = "\033[2J\033[H"
INTERVAL = 1.0
# Seconds between two looks at the record.
TICK = 0.1


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
    if args.no_stream and args.interval is None:
        _print(args, render, stats.rows(chosen, now))
        return code
    end_by_signal()
    try:
        before, since = None, time.monotonic()
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


def events_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `events`."""
    parser.add_argument("names", metavar="NETWORK", nargs="*", help="Network (default: all, and what they share)")
    parser.add_argument(
        "--since",
        metavar="WHEN",
        help="Begin with the changes on record since then: 2026-11-26, 2026-11-26T10:00 (local time; with Z: UTC), or "
        "10m, 2h, 3d ago",
    )
    format_argument(parser, r"{{.When}}\t{{.What}}")
    example(parser, "mydockernet create web", "timeout 1 mydockernet events --since 10m || true")


def run_events(args: argparse.Namespace) -> int:
    """Run `events` and return the exit code. ^C and SIGTERM end it as intended."""
    from mydockernet.cli import views
    from mydockernet.cli.past import read_since
    from mydockernet.errors import no_network
    from mydockernet.kernel.monitor import Monitor
    from mydockernet.record.history import History, Tail, now
    from mydockernet.reports import events

    since = read_since(args.since) if args.since else ""
    render = read_template(args.format)
    store, kernel = store_of(args), context_of(args).kernel
    intent, errors = store.load_each()
    if code := report_all([*errors, *(no_network(name) for name in args.names if name not in intent)]):
        return code
    end_by_signal()
    tail = Tail(store.folder)
    try:
        with Monitor() as monitor:
            if monitor.deaf:
                tell([f"cannot listen to changes of rules: {monitor.deaf}"])
            translator, sorter = events.Translator(kernel.observe().links), events.Sorter(intent)
            if since:
                past, notes = History(store.folder).read()
                tell(notes)
                _print_events(args, render, (events.recorded(e, views.who(e)) for e in past if e.when >= since))

            def listen(seconds: float) -> bool:
                told = monitor.wait(seconds, sys.stdout.fileno())
                for each in told:
                    sorter.keep(time.monotonic(), now(), translator.read(each))
                return bool(told)

            changing = False
            while True:
                listen(TICK)
                if monitor.missed:
                    monitor.missed = False
                    tell(["too much changed at once: some changes of rules are not shown"])
                # Its journal is deleted just before a change is recorded.
                before, changing = changing, Path(store.journal_path).exists()
                entries = tail.new()
                # What the kernel told of these changes may still be on its way through `ip monitor`.
                quiet = not entries
                while not quiet:
                    quiet = not listen(TICK / 2)
                for entry in entries:
                    networks, _ = store.load_each()
                    event = sorter.recorded(time.monotonic(), entry, views.who(entry), networks)
                    _print_events(args, render, [event])
                _print_events(args, render, sorter.due(time.monotonic(), before or changing))
    except KeyboardInterrupt:
        return 0
    finally:
        tail.close()


def _print_events(args: argparse.Namespace, render: Any, found: Iterable[Event]) -> None:
    """Print the events of the networks that were asked for, a line each, at once."""
    from mydockernet.cli import sight, views

    wanted = [event for event in found if not args.names or {*args.names} & {*event.networks}]
    if not wanted:
        return
    records = [sight.event_record(event) for event in wanted]
    if args.format == "table":
        text = "".join(sight.event_line(event) for event in wanted)
    else:
        text = views.json_lines(records) if render is None else render(records, terminal_width())
    sys.stdout.write(text)
    sys.stdout.flush()


def capture_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `capture`."""
    parser.usage = "mydockernet capture [options] NETWORK[/CONTAINER] [-- OPTION… FILTER]"
    parser.add_argument("name", metavar="NETWORK[/CONTAINER]", help="Network, or one container on it")
    parser.add_argument(
        "--host", action="store_true", help="Capture at the container's end on the host, not inside the container"
    )
    parser.add_argument("--dry-run", action="store_true", help="Print the command and do not run it")
    connected = ("ip netns add c1", "mydockernet create web", "mydockernet connect web c1")
    example(parser, *connected, "mydockernet capture web/c1 --dry-run -- -n icmp")


def run_capture(args: argparse.Namespace) -> int:
    """Run `capture` and return the exit code, which is that of tcpdump."""
    from mydockernet.dialects.fact import inside
    from mydockernet.errors import Failed, command_line
    from mydockernet.kernel.become import become
    from mydockernet.kernel.spawn import where
    from mydockernet.process import may_drop_root
    from mydockernet.reports import selection, taps

    intent, errors = store_of(args).load_each()
    known = {name: [endpoint.name for endpoint in network.endpoints] for name, network in intent.items()}
    wanted, unknown = selection.choose(known, [args.name])
    if unknown:
        return report_all([*errors, *unknown])
    ((name, names),) = wanted.items()
    network = intent[name]
    chosen = [endpoint for endpoint in network.endpoints if names is not None and endpoint.name in names]
    if args.host and not chosen:
        raise Invalid("--host: name a container, as in NETWORK/CONTAINER")
    tap = taps.of_container(network, chosen[0], args.host) if chosen else taps.of_network(network)
    command = tap.command(args.command)
    tell([tap.note] if tap.note else [])
    if args.dry_run:
        print(command_line(inside(tap.namespace.path, command) if tap.namespace else command))
        return 0
    if not where(taps.PROGRAM):
        raise Failed(f"{taps.PROGRAM} is not installed", hint=f"apt-get install {taps.PROGRAM}")
    if not may_drop_root():
        tell([f"{taps.PROGRAM} may fail in this user namespace: it cannot become another user"])
    return become(command, tap.namespace)


def end_by_signal() -> None:
    """Let SIGTERM end a verb that goes on as ^C does."""
    import signal

    def end(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)


def _sample(args: argparse.Namespace) -> tuple[Sequence[Watched], Sample, Sequence[MydockernetError]]:
    """Return what was asked for, its traffic, and errors."""
    from mydockernet.reports import selection, stats

    outlines, broken = store_of(args).outlines()
    known = {name: [place.name for place in outline.places] for name, outline in outlines.items()}
    wanted, unknown = selection.choose(known, args.names)
    chosen = stats.watched(outlines, wanted)
    return chosen, traffic_of(chosen), [*broken, *unknown]


def traffic_of(chosen: Sequence[Watched]) -> Sample:
    """Return what containers have received and sent until now."""
    from mydockernet.kernel.proc import read_traffic
    from mydockernet.reports import stats

    inside = {}
    if within := stats.without_host_end(chosen):
        from mydockernet.kernel.counters import read_inside

        inside = read_inside(within)
    return stats.sample(chosen, read_traffic(), inside)


def _print(args: argparse.Namespace, render: Any, rows: Sequence[Row], clear: bool = False) -> None:
    """Print rows as --format says; in a terminal, in place of those before if they are to be cleared."""
    from mydockernet.cli import sight, views

    width = terminal_width()
    if args.format == "table":
        text = (CLEAR if clear and width is not None else "") + sight.stats_table(rows, width)
    else:
        records = [sight.stats_record(row) for row in rows]
        text = views.json_lines(records) if render is None else render(records, width)
    sys.stdout.write(text)
    sys.stdout.flush()
