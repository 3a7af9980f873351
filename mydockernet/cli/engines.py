"""The verbs for container engines: engines, and their plugins themselves: cni, netavark, oci-hook."""

import argparse
import os
import sys

from mydockernet import dry_run, engines
from mydockernet.cli import views
from mydockernet.cli.change import CHANGES_PENDING, is_dry_run
from mydockernet.cli.options import example
from mydockernet.cli.values import context_of, terminal_width
from mydockernet.errors import Invalid, quoted
from mydockernet.messages import tell


def engines_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `engines`."""
    parser.add_argument(
        "action", choices=("install", "status", "uninstall"), metavar="install|status|uninstall", help="What to do"
    )
    known = ", ".join(engines.FRONTS)
    parser.add_argument(
        "fronts", metavar="FRONT", nargs="*", help=f"Which of the front ends: {known} (default: all of them)"
    )
    parser.add_argument("--root", metavar="DIR", default="/", help="Install under DIR, as for a package (default: /)")
    example(parser, "mydockernet engines install --dry-run")


def run_engines(args: argparse.Namespace) -> int:
    """Run `engines` and return the exit code."""
    fronts = args.fronts or engines.FRONTS
    if unknown := [name for name in fronts if name not in engines.FRONTS]:
        known = ", ".join(engines.FRONTS)
        raise Invalid(*(f"FRONT: there is no front end {quoted(name)}: use {known}" for name in unknown))
    if not args.root:
        raise Invalid("--root: it is empty")
    if args.action == "status":
        rows = [
            [front, str(engines.under(args.root, place)), engines.state(place, args.root)]
            for front in fronts
            for place in engines.places(front)
        ]
        sys.stdout.write(views.table(["FRONT", "FILE", "STATE"], rows, terminal_width()))
        return 0
    steps, notes = (engines.install if args.action == "install" else engines.uninstall)(fronts, args.root)
    tell(notes)
    if is_dry_run(args):
        sys.stdout.write((dry_run.as_json if args.format else dry_run.text)(steps, None))
        return CHANGES_PENDING if args.exit_code and steps else 0
    kernel = context_of(args).kernel
    for step in steps:
        kernel.apply([step])
        print(step.do[-1])
    return 0


def netavark_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `netavark`."""
    parser.add_argument("words", metavar="WORD", nargs="*", help="What netavark gives: create, setup NETNS, …")
    example(parser, "mydockernet netavark info")


def run_netavark(args: argparse.Namespace) -> int:
    """Run `netavark` and return the exit code."""
    from mydockernet.fronts import netavark

    return netavark.run(args.words)


def oci_hook_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `oci-hook`."""
    parser.add_argument("stage", metavar="STAGE", nargs="?", help="Ignored: the state of the container tells the stage")
    example(parser, "echo '{}' | mydockernet oci-hook")


def run_oci_hook(args: argparse.Namespace) -> int:
    """Run `oci-hook` and return the exit code."""
    from mydockernet.fronts import oci_hook

    return oci_hook.main(sys.stdin.buffer.read(), os.environ)


def cni_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `cni`, which are in the environment."""
    example(parser, "echo '{}' | CNI_COMMAND=VERSION mydockernet cni")


def run_cni(args: argparse.Namespace) -> int:
    """Run `cni` and return the exit code."""
    from mydockernet.fronts import cni

    code, text = cni.main(os.environ, sys.stdin.buffer.read)
    sys.stdout.write(text)
    return code
