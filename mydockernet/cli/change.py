"""Carry out changes, or print their plan; tell what went wrong."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mydockernet import actions
from mydockernet.actions import Context, Outcome
from mydockernet.dialects.fact import Argv
from mydockernet.errors import Invalid, MydockernetError, command_line, printable
from mydockernet.kernel.door import Kernel
from mydockernet.record import script
from mydockernet.record.store import JsonStore
from mydockernet.reports import survey
from mydockernet.reports.survey import Survey
from mydockernet.transitions import Transition

# Says, of what was done, what is printed: lines, or nothing for an empty one.
Result = Callable[[Outcome], str]

CHANGES_PENDING = DRIFTED = 5


def context_of(args: argparse.Namespace) -> Context:
    """Where the verb works: the record and the kernel that its options name."""

    def announce(argv: Argv) -> None:
        print("+", printable(command_line(argv)), file=sys.stderr, flush=True)

    kernel = Kernel(announce=announce) if args.verbose else Kernel()
    return Context(JsonStore(Path(args.state_dir)), kernel, getattr(args, "lock_timeout", 0.0))


def change(args: argparse.Namespace, wanted: Iterable[tuple[Result, Transition]]) -> int:
    """Make changes one by one, or print the plan of all; the exit code is the first failure's."""
    wanted = list(wanted)
    context = context_of(args)
    if is_dry_run(args):
        return print_plan(args, actions.preview(context, [transition for _, transition in wanted]))
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


def is_dry_run(args: argparse.Namespace) -> bool:
    """Whether it is a dry run. Raises Invalid for options that go with nothing else."""
    for option, given in (("--format", args.format), ("--exit-code", args.exit_code)):
        if given and not args.dry_run:
            raise Invalid(f"{option} goes with --dry-run")
    return bool(args.dry_run)


def tell(notes: Iterable[str]) -> None:
    """Print notes to stderr."""
    for note in notes:
        print(f"mydockernet: note: {printable(' '.join(note.split()))}", file=sys.stderr)


def print_plan(args: argparse.Namespace, found: actions.Preview) -> int:
    """Print the plan of a dry run; returns the exit code."""
    tell(found.notes)
    code = report_all(found.errors)
    steps = script.whole(found.steps, found.record)
    if steps or not code:
        sys.stdout.write((script.as_json if args.format else script.text)(found.steps, found.record))
    return code or (CHANGES_PENDING if args.exit_code and steps else 0)


def report(error: MydockernetError) -> int:
    """Print an error to stderr; returns its exit code."""
    for message in error.messages:
        line = printable(" ".join(message.split()))
        print(f"mydockernet: error: {line}", file=sys.stderr)
    if error.hint:
        print(f"hint: {printable(error.hint)}", file=sys.stderr)
    return error.exit_code


def names_of(outcome: Outcome) -> str:
    """The names of the networks that changed, one a line."""
    return "\n".join(outcome.change.after)


def report_all(errors: Iterable[MydockernetError]) -> int:
    """Print all errors; returns the exit code of the first, 0 for none."""
    return next(iter([report(error) for error in errors]), 0)


def survey_of(args: argparse.Namespace, inside: Sequence[str] = ()) -> Survey:
    """What there is, as list and inspect show it; what could not be read is told on stderr."""
    found = survey.survey(context_of(args), inside)
    tell(found.notes)
    return found
