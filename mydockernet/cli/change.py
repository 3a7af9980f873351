"""Make changes, or print their plan, and report errors."""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from mydockernet import actions, dry_run, plan, summary
from mydockernet.actions import Outcome
from mydockernet.cli.values import context_of
from mydockernet.context import Context
from mydockernet.errors import Invalid, MydockernetError, printable
from mydockernet.messages import report, report_all, tell
from mydockernet.transitions import Transition

# What to print of a change that was made; an empty string prints nothing.
Result = Callable[[Outcome], str]

CHANGES_PENDING = 5


def change(args: argparse.Namespace, wanted: Iterable[tuple[Result, Transition]], summarize: bool = False) -> int:
    """Make changes one by one, or print the plan of all. The exit code is that of the first failure.

    With `summarize`, a plan is preceded by what it changes, in words, if stderr is a terminal.
    """
    wanted = list(wanted)
    if (collected := getattr(args, "collected", None)) is not None:  # A batch makes the changes of its lines together.
        collected += wanted
        return 0
    context = context_of(args)
    dry, file = is_dry_run(args), getattr(args, "save_plan", None)
    if dry or file is not None:
        found = actions.preview(context, [transition for _, transition in wanted])
        if summarize and found.sides and sys.stderr.isatty():
            sys.stderr.write("".join(f"{printable(line)}\n" for line in summary.lines(plan.difference(*found.sides))))
        code = save_plan(context, found, file) if file is not None else 0
        return code or (print_plan(args, found) if dry else 0)
    codes = []
    for result, transition in wanted:
        try:
            outcome = actions.perform(context, transition)
        except MydockernetError as error:
            codes.append(report(error))
            continue
        tell(outcome.notes)
        codes += [report(error) for error in outcome.left]
        if line := result(outcome):
            print(printable(line, keep="\n"), flush=True)
    return next(iter(codes), 0)


def save_plan(context: Context, found: actions.Preview, file: str) -> int:
    """Write a plan file, or print it for `-`, and return the exit code."""
    from mydockernet import plan_files, writing

    if not file:
        raise Invalid("--save-plan: it is empty")
    tell(found.notes)
    if found.errors:
        return report_all(found.errors)
    text = plan_files.text(plan_files.of(found, context))
    if file == "-":
        sys.stdout.write(text)
    else:
        writing.write(Path(file), text, "--save-plan")
    return 0


def is_dry_run(args: argparse.Namespace) -> bool:
    """Whether this is a dry run. Raises Invalid for options that require one."""
    for option, given in (("--format", args.format), ("--exit-code", args.exit_code)):
        if given and not args.dry_run:
            raise Invalid(f"{option} requires --dry-run")
    return bool(args.dry_run)


def print_plan(args: argparse.Namespace, found: actions.Preview) -> int:
    """Print the plan of a dry run and return the exit code."""
    tell(found.notes)
    code = report_all(found.errors)
    steps = dry_run.whole(found.steps, found.record)
    if steps or not code:
        sys.stdout.write((dry_run.as_json if args.format else dry_run.text)(found.steps, found.record))
    return code or (CHANGES_PENDING if args.exit_code and steps else 0)


def nothing(_: Outcome) -> str:
    """The result of a verb that prints nothing."""
    return ""


def names_of(outcome: Outcome) -> str:
    """The names of the networks that changed, one per line."""
    return "\n".join(outcome.change.after)
