"""The verb that changes a network or a container that is in use: set."""

import argparse

from mydockernet import settings, wishes
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
