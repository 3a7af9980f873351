"""The verbs that change networks and containers that are in use: set, migrate."""

import argparse

from mydockernet import settings, transitions, validation, wishes
from mydockernet.cli.change import change, nothing
from mydockernet.cli.options import example
from mydockernet.errors import Invalid


def set_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `set`."""
    parser.add_argument("target", metavar="NETWORK[/CONTAINER]", help="Name of the network, or of a container on it")
    of_network, of_container = (", ".join(sorted(keys)) for keys in (settings.OF_NETWORK, settings.OF_ENDPOINT))
    parser.add_argument(
        "settings",
        metavar="KEY=VALUE",
        nargs="+",
        help=f"Keys of a network: {of_network}; of a container: {of_container}. "
        f"KEY-=VALUE takes a value of {', '.join(sorted(settings.SEVERAL))} away",
    )
    example(
        parser,
        "mydockernet create web --subnet 10.1.0.0/24",
        "mydockernet set web mtu=1400 label=team=a reserve=printer=10.1.0.9 ipv6=true",
    )


def run_set(args: argparse.Namespace) -> int:
    """Run `set` and return the exit code."""
    network, slash, container = args.target.partition("/")
    wanted = settings.read(args.settings, bool(slash))
    if slash:
        return change(args, [(nothing, settings.set_endpoint(network, container, wanted))])
    problems: list[str] = []
    pools = wishes.read_pools(problems, ipv6=True)
    if problems:
        raise Invalid(*problems)
    return change(args, [(nothing, settings.set_network(network, wanted, pools))])


def migrate_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `migrate`."""
    names = " or ".join(validation.FIREWALLS)
    parser.add_argument("--firewall", metavar="NAME", required=True, help=f"The firewall to move to: {names}")
    example(parser, "mydockernet create web", "mydockernet migrate --firewall nftables")


def run_migrate(args: argparse.Namespace) -> int:
    """Run `migrate` and return the exit code."""
    if problems := validation.firewall_problems(args.firewall):
        raise Invalid(*problems)
    return change(args, [(nothing, transitions.migrate(args.firewall))])
