"""The verbs about files that declare networks and containers: apply, confirm, down."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection

from mydockernet import applying, summary
from mydockernet.actions import Outcome
from mydockernet.cli.change import change
from mydockernet.cli.options import example, lock_timeout_option, read_seconds
from mydockernet.cli.values import context_of, read_text, store_of
from mydockernet.declaration import Declaration
from mydockernet.errors import Invalid, printable
from mydockernet.fronts.yaml_tree import SIZE_MAX
from mydockernet.messages import tell

FILE = "File that declares networks and containers (docs/apply.md); - is stdin"
EXAMPLE = "printf 'networks: {web: {}}\\n' > lab.yaml"


def apply_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `apply`."""
    _file_arguments(parser)
    parser.add_argument(
        "--prune", action="store_true", help="Remove what has the label of this project and is no longer declared"
    )
    parser.add_argument(
        "--wait",
        type=read_seconds,
        metavar="S",
        help="Wait up to S seconds for namespaces of containers that are not there yet",
    )
    parser.add_argument(
        "--confirm",
        type=read_seconds,
        metavar="S",
        help="Roll back after S seconds, unless mydockernet confirm is called before",
    )
    parser.add_argument("--schema", action="store_true", help="Print the JSON schema of the files, for editors")
    example(parser, EXAMPLE, "mydockernet apply lab.yaml")


def down_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `down`."""
    _file_arguments(parser)
    parser.add_argument(
        "--prune", action="store_true", help="Remove everything that has the label of this project, declared or not"
    )
    parser.add_argument("-f", "--force", action="store_true", help="Disconnect containers that are not declared, too")
    example(parser, EXAMPLE, "mydockernet apply lab.yaml", "mydockernet down lab.yaml")


def _file_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that name files, and say how to read them."""
    parser.add_argument("files", metavar="FILE", nargs="*", help=FILE)
    parser.add_argument("-p", "--project-name", metavar="NAME", help="Name of the project (default: name: in the file)")
    parser.add_argument("--project-prefix", action="store_true", help="Call the networks PROJECT_KEY, as compose does")
    parser.add_argument(
        "--container",
        metavar="NAME=WHERE",
        action="append",
        default=[],
        help="Where the container or service of this name is: name of a network namespace, pid, or path",
    )


def run_apply(args: argparse.Namespace) -> int:
    """Run `apply` and return the exit code."""
    if args.schema:
        from mydockernet.fronts import manifest_schema

        sys.stdout.write(manifest_schema.text())
        return 0
    declaration = _read(args, complete=True)
    if args.wait is not None:
        applying.wait_for(declaration, args.wait)
    transition = applying.apply(declaration, args.prune)
    if args.confirm is None:
        told: list[str] = []

        def result(outcome: Outcome) -> str:
            told.append(changed(outcome))
            return told[0]

        code = change(args, [(result, transition)], summarize=True)
        if told == [""]:
            _tell_of_drift(args, {network.name for network in declaration.networks})
        return code
    if args.dry_run or args.save_plan is not None:
        raise Invalid("--confirm contradicts --dry-run and --save-plan, which change nothing")
    from mydockernet import confirmation

    outcome = confirmation.perform(context_of(args), transition, args.confirm)
    tell(outcome.notes)
    if line := changed(outcome):
        print(printable(line, keep="\n"), flush=True)
        tell([f"it is rolled back in {args.confirm:g} s, unless it is confirmed: mydockernet confirm"])
    return 0


def _tell_of_drift(args: argparse.Namespace, names: Collection[str]) -> None:
    """Tell which of these networks are not what the record says, though that is what the files declare."""
    from mydockernet.reports import survey

    shown = survey.survey(context_of(args)).networks
    bad = [
        f"{each.network.name} is {each.state}" for each in shown if each.network.name in names and each.state != "up"
    ]
    if bad:
        tell([f"nothing to change, but {', '.join(bad)}: mydockernet repair"])


def run_down(args: argparse.Namespace) -> int:
    """Run `down` and return the exit code."""
    declaration = _read(args, complete=False)
    return change(args, [(changed, applying.down(declaration, args.prune, args.force))], summarize=True)


def changed(outcome: Outcome) -> str:
    """What a change added (+), changed (~) and removed (-), a line each."""
    return "\n".join(summary.lines(outcome.change))


def confirm_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `confirm`."""
    lock_timeout_option(parser)
    example(parser, EXAMPLE, "mydockernet apply --confirm 60 lab.yaml", "mydockernet confirm")


def run_confirm(args: argparse.Namespace) -> int:
    """Run `confirm` and return the exit code."""
    from mydockernet import confirmation

    for name in confirmation.confirm(context_of(args)):
        print(name)
    return 0


def _read(args: argparse.Namespace, complete: bool) -> Declaration:
    """Read the files. Raises Invalid with everything that is wrong with them, Failed for one that cannot be read."""
    from mydockernet.fronts import manifest

    if not args.files:
        raise Invalid("no FILE is given", hint=f"mydockernet {'apply' if complete else 'down'} --help")
    where = {}
    for word in args.container:
        name, equals, place = word.partition("=")
        if not (name and equals and place):
            raise Invalid(f"--container: {word!r} is not NAME=WHERE")
        where[name] = place
    declaration = manifest.read(
        [(name, read_text(name, SIZE_MAX)) for name in args.files],
        store_of(args).realm,
        args.project_name,
        prefix=args.project_prefix,
        containers=where,
        complete=complete,
    )
    tell(declaration.notes)
    if args.prune and not declaration.project:
        raise Invalid("--prune: it needs the name of a project: name: in the file, or --project-name")
    return declaration
