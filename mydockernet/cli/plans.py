"""The verb that makes the change of a plan file: apply-plan."""

import argparse
import sys
from pathlib import Path

from mydockernet import plan_files
from mydockernet.cli.change import change, names_of
from mydockernet.cli.options import example
from mydockernet.cli.values import context_of
from mydockernet.errors import Failed, Invalid


def apply_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `apply-plan`."""
    parser.add_argument("file", metavar="FILE", help="Plan file that --save-plan wrote; - is stdin")
    example(parser, "mydockernet create web --save-plan web.plan", "mydockernet apply-plan web.plan")


def run_apply_plan(args: argparse.Namespace) -> int:
    """Run `apply-plan` and return the exit code."""
    try:
        plan = plan_files.read(_content(args.file))
    except Invalid as error:
        place = "stdin" if args.file == "-" else args.file
        raise Invalid(*(f"{place}: {message}" for message in error.messages), hint=error.hint) from None
    return change(args, [(names_of, plan_files.transition(plan, context_of(args)))])


def _content(name: str) -> bytes:
    """Return the content of a file, or of stdin. Raises Failed."""
    if name == "-":
        return sys.stdin.buffer.read(plan_files.SIZE_MAX + 1)
    try:
        with Path(name).open("rb") as file:
            return file.read(plan_files.SIZE_MAX + 1)
    except OSError as error:
        raise Failed(f"cannot read {name}: {error.strerror}") from None
