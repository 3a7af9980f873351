"""The verb for the admin's own rules: user-rules."""

import argparse
import shlex
import sys

from mydockernet import transitions, user_rules
from mydockernet.actions import Outcome
from mydockernet.cli.change import change, nothing
from mydockernet.cli.options import example
from mydockernet.cli.values import store_of
from mydockernet.errors import Invalid, printable
from mydockernet.messages import report_all


def user_rules_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `user-rules`."""
    parser.add_argument("action", choices=("add", "remove", "list"), metavar="add|remove|list", help="What to do")
    parser.add_argument("network", metavar="NETWORK", nargs="?", help="Name of the network (default of list: all)")
    parser.add_argument(
        "rule",
        metavar="RULE",
        nargs="*",
        help="What follows `iptables -A MYDOCKERNET-USER`: matches, and -j TARGET; -4 or -6 if it is for one family "
        "only. To remove, the number in the list does as well. Options of mydockernet come before NETWORK",
    )
    example(
        parser,
        "mydockernet create web --subnet 10.1.0.0/24",
        "mydockernet user-rules add web -s 10.1.0.0/24 -d 192.0.2.0/24 -j REJECT",
        "mydockernet user-rules list",
    )


def run_user_rules(args: argparse.Namespace) -> int:
    """Run `user-rules` and return the exit code."""
    words = tuple(args.command or args.rule)
    if args.action == "list":
        if words:
            raise Invalid(f"unexpected argument: {' '.join(words)}", hint="mydockernet user-rules --help")
        return _list(args)
    if not args.network or not words:
        raise Invalid(f"user-rules {args.action}: NETWORK or RULE is missing", hint="mydockernet user-rules --help")
    if args.action == "remove":
        return change(args, [(nothing, user_rules.remove(args.network, words))])

    def added(outcome: Outcome) -> str:
        """The rules that were added, as they are recorded."""
        before, after = outcome.change.before[args.network], outcome.change.after[args.network]
        old = before.user_rules if before else ()
        return "\n".join(shlex.join(rule) for rule in (after.user_rules if after else ()) if rule not in old)

    return change(args, [(added, user_rules.add(args.network, words))])


def _list(args: argparse.Namespace) -> int:
    intent, errors = store_of(args).load_each()
    networks = [transitions.find_network(intent, args.network)] if args.network else intent.values()
    for network in networks:
        for number, rule in enumerate(network.user_rules, 1):
            sys.stdout.write(printable(f"{network.name} {number}: {shlex.join(rule)}") + "\n")
    return report_all(errors)
