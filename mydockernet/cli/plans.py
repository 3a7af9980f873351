"""The verbs that read what to do from a file: apply-plan, batch."""

import argparse
import shlex

from mydockernet import plan_files, sequences
from mydockernet.actions import Outcome
from mydockernet.cli.change import Result, change, names_of
from mydockernet.cli.options import example
from mydockernet.cli.values import context_of, name_of, read_file, read_text
from mydockernet.errors import Invalid, MydockernetError, placed, quoted
from mydockernet.messages import report_all
from mydockernet.plan import Change
from mydockernet.transitions import Transition

# The verbs of a batch, and their other names.
VERBS = ("create", "remove", "connect", "disconnect", "publish", "unpublish", "set", "prune")
ALIASES = {"rm": "remove"}


def apply_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `apply-plan`."""
    parser.add_argument("file", metavar="FILE", help="Plan file that --save-plan wrote; - is stdin")
    example(parser, "mydockernet create web --save-plan web.plan", "mydockernet apply-plan web.plan")


def run_apply_plan(args: argparse.Namespace) -> int:
    """Run `apply-plan` and return the exit code."""
    try:
        plan = plan_files.read(read_file(args.file, plan_files.SIZE_MAX))
    except Invalid as error:
        raise placed(name_of(args.file), error) from None
    return change(args, [(names_of, plan_files.transition(plan, context_of(args)))])


def batch_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `batch`."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help=f"File with a command line per line ({', '.join(VERBS)}), with quotes and # comments as in sh; - is stdin",
    )
    lines = "printf '%s\\n' 'create web' 'create db --internal'"
    example(parser, f"{lines} | mydockernet batch -")


def run_batch(args: argparse.Namespace) -> int:
    """Run `batch` and return the exit code."""
    wanted, errors = [], []
    for number, line in enumerate(read_text(args.file, plan_files.SIZE_MAX).split("\n"), 1):
        place = f"{name_of(args.file)}:{number}"
        try:
            wanted += [(place, *each) for each in _collected(line, args)]
        except MydockernetError as error:
            errors.append(placed(place, error))
    if errors:
        return report_all(errors)
    changes: list[Change] = []
    parts = [sequences.Part(place, transition) for place, _, transition in wanted]

    def result(_: Outcome) -> str:
        told = (tell(Outcome(made)) for (_, tell, _), made in zip(wanted, changes, strict=True))
        return "\n".join(filter(None, told))

    return change(args, [(result, sequences.sequence(parts, changes))])


def _collected(line: str, args: argparse.Namespace) -> list[tuple[Result, Transition]]:
    """Return the changes that a line asks for. Raises Invalid."""
    try:
        words = shlex.split(_without_comment(line))
    except ValueError as error:
        raise Invalid(str(error)[:1].lower() + str(error)[1:]) from None
    for optional in ("mydockernet", "network"):
        if words[:1] == [optional]:
            del words[0]
    if not words:
        return []
    if ALIASES.get(words[0], words[0]) not in VERBS:
        raise Invalid(f"{quoted(words[0])} is no verb of a batch: use {', '.join(VERBS)}")
    run, given = args.read_line(words[0], words[1:])
    given.collected = []
    if run(given):
        raise Invalid("the record cannot be read")
    return list(given.collected)


def _without_comment(line: str) -> str:
    """Return a line of sh without its comment: from a # that begins a word to the end."""
    quote, before = "", " "
    for position, character in enumerate(line):
        if character == "#" and not quote and before.isspace():
            return line[:position]
        if quote:
            quote = "" if character == quote and (quote == "'" or before != "\\") else quote
        elif character in "'\"" and before != "\\":
            quote = character
        before = " " if before == character == "\\" else character
    return line
