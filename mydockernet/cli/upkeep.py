"""The verbs that compare the kernel with the record: check, repair."""

import argparse
import sys
from collections.abc import Iterable

from mydockernet import actions, transitions
from mydockernet.actions import Outcome
from mydockernet.cli.change import change
from mydockernet.cli.options import example, lock_timeout_option
from mydockernet.cli.values import context_of
from mydockernet.drift import Drift
from mydockernet.errors import printable
from mydockernet.messages import DRIFTED, report_all, tell
from mydockernet.plan import Scope


def check_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `check`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="Network (default: all)")
    parser.add_argument(
        "--format",
        default="text",
        choices=["text", "json"],
        help="Output format; json prints one object per line (default: text)",
    )
    lock_timeout_option(parser)
    example(parser, "mydockernet create web", "mydockernet check")


def run_check(args: argparse.Namespace) -> int:
    """Run `check` and return the exit code."""
    context = context_of(args)
    found = actions.audit(context, Scope(tuple(args.names), context.store.realm))
    tell(found.notes)
    sys.stdout.write(_drifts(found.drifts, args.format == "json"))
    return report_all(found.errors) or (DRIFTED if found.drifts else 0)


def _drifts(drifts: Iterable[Drift], as_json: bool) -> str:
    if not as_json:
        return "".join(f"{printable(str(drift))}\n" for drift in drifts)
    from mydockernet.cli import views

    return views.json_lines({"Network": d.owner, "State": d.state, "What": d.what} for d in drifts)


def repair_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `repair`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="Network (default: all)")
    example(parser, "mydockernet create web", "ip link delete dev web", "mydockernet repair")


def run_repair(args: argparse.Namespace) -> int:
    """Run `repair` and return the exit code."""
    scope = Scope(tuple(args.names), context_of(args).store.realm)
    return change(args, [(_repaired, transitions.repair(scope))])


def _repaired(outcome: Outcome) -> str:
    return "\n".join(map(str, outcome.mended))
