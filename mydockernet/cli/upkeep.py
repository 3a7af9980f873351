"""The verbs that hold the kernel against the record: check, repair, rules."""

import argparse
import sys
from collections.abc import Iterable

from mydockernet import actions, transitions
from mydockernet.actions import Outcome
from mydockernet.cli.change import (
    DRIFTED,
    change,
    context_of,
    report_all,
    survey_of,
    tell,
)
from mydockernet.cli.options import (
    read_seconds,
    read_template,
    terminal_width,
)
from mydockernet.dialects.fact import SHARED
from mydockernet.drift import Drift
from mydockernet.errors import printable
from mydockernet.plan import Scope


def check_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `check`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="a network (all)")
    parser.add_argument("--format", default="text", choices=["text", "json"], help="json: one object a line")
    parser.add_argument("--lock-timeout", type=read_seconds, default=30.0, metavar="S", help="wait that long (30 s)")


def run_check(args: argparse.Namespace) -> int:
    """Run `check`; returns the exit code."""
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
    parser.add_argument("names", metavar="NAME", nargs="*", help="a network (all)")


def run_repair(args: argparse.Namespace) -> int:
    """Run `repair`; returns the exit code."""
    scope = Scope(tuple(args.names), context_of(args).store.realm)
    return change(args, [(_mended, transitions.repair(scope))])


def _mended(outcome: Outcome) -> str:
    return "\n".join(map(str, outcome.mended))


def rules_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `rules`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="a network (all); what networks share is always shown")
    parser.add_argument("--format", default="table", metavar="table|json|TEMPLATE", help="as in {{.Owner}}\\t{{.Rule}}")


def run_rules(args: argparse.Namespace) -> int:
    """Run `rules`; returns the exit code."""
    from mydockernet.cli import views

    render = read_template(args.format)
    found = survey_of(args)
    known = {shown.network.name: shown.network.owner for shown in found.networks}
    unknown = [transitions.no_network(name) for name in args.names if name not in known]
    owners = {SHARED, *(known[name] for name in args.names if name in known)}
    records = [views.rule_record(rule) for rule in found.rules if not args.names or rule.owner in owners]
    if render is not None:
        sys.stdout.write("".join(map(render, records)))
    elif args.format == "json":
        sys.stdout.write(views.json_lines(records))
    else:
        sys.stdout.write(views.rules_table(records, terminal_width()))
    return report_all([*found.errors, *unknown])
