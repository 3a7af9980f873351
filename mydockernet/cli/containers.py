"""The verbs about containers: connect, disconnect, run."""

import argparse
import os
from collections.abc import Iterable, Iterator

from mydockernet import model, running, transitions, wishes
from mydockernet.actions import Outcome
from mydockernet.cli import docker_options
from mydockernet.cli.change import change, is_dry_run, nothing, print_plan
from mydockernet.cli.options import example
from mydockernet.cli.publishing import CONNECTED, CONTAINER, SPEC, from_argument, tell_chosen
from mydockernet.cli.values import context_of
from mydockernet.errors import Invalid, quoted
from mydockernet.kernel import namespaces
from mydockernet.wishes import ConnectWords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def networks_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the argument that names one network or several."""
    parser.add_argument(
        "networks", metavar="NETWORK[,NETWORK…]", type=read_names, help="Name of the network, or several names"
    )


def read_names(word: str) -> tuple[str, ...]:
    """Read the names of one or several networks. Raises ArgumentTypeError."""
    names = tuple(word.split(","))
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise argparse.ArgumentTypeError(f"{quoted(twice)} is given twice")
    return names


def connect_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `connect`."""
    networks_argument(parser)
    parser.add_argument(
        "container",
        metavar="CONTAINER",
        help="Name of a network namespace (ip netns), pid, or path of a namespace file",
    )
    _endpoint_arguments(parser)
    example(parser, *CONNECTED)


def _endpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of an endpoint, which connect and run share."""
    many: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument("--ip", metavar="IP", help="IPv4 address (default: the next free one)")
    parser.add_argument("--ip6", metavar="IP", help="IPv6 address (default: the next free one)")
    parser.add_argument("--mac", metavar="MAC", help="MAC address (default: 02:42 and the IPv4 address)")
    parser.add_argument(
        "--ifname", metavar="IF", help="Name of the interface inside the container (default: the first free ethN)"
    )
    parser.add_argument(
        "-p",
        "--publish",
        metavar="SPEC",
        **many,
        help=f"Publish host ports: {SPEC}",
    )
    from_argument(parser)
    parser.add_argument("--label", metavar="K[=V]", **many, help="Label of the container")
    parser.add_argument("--no-default-route", action="store_true", help="Do not add a default route")
    parser.add_argument(
        "--gw-priority",
        metavar="N",
        help="The network with the highest priority gives a container its default route (default: 0; of equals, the "
        "first)",
    )
    parser.add_argument(
        "--name", metavar="NAME", help="Name of the container in mydockernet (default: from its namespace)"
    )
    parser.add_argument(
        "--alias", metavar="NAME", **many, help="Another name of the container, for those on the same network"
    )
    parser.add_argument("--dns", metavar="IP", **many, help="Name server in the resolv.conf of the container")
    parser.add_argument("--hostname", metavar="NAME", help="Host name of the container: another name for it")
    parser.add_argument(
        "--ingress-rate",
        "--rate-in",
        metavar="RATE[,BURST]",
        help="Limit what the container receives, in bits per second: 10mbit",
    )
    parser.add_argument("--egress-rate", "--rate-out", metavar="RATE[,BURST]", help="Limit what the container sends")
    docker_options.connect_arguments(parser)


def run_connect(args: argparse.Namespace) -> int:
    """Run `connect` and return the exit code."""
    wish = wishes.read_connect(ConnectWords.of(args), args.name or "", model.Namespace(""))

    def result(outcome: Outcome) -> str:
        tell_chosen(outcome, wish.publish)
        return "\n".join(_addresses(outcome, args.networks))

    return change(args, [(result, transitions.connect_word(args.networks, wish, args.container))])


def _addresses(outcome: Outcome, networks: Iterable[str]) -> Iterator[str]:
    """Yield the addresses of each new endpoint, IPv4 first, in the order of these networks."""
    before = {(network.name, e.name): e for network, e in model.endpoints(outcome.change.before.values())}
    for name in networks:
        for network, endpoint in model.endpoints([outcome.change.after.get(name)]):
            if before.get((network.name, endpoint.name)) != endpoint:
                yield from map(str, endpoint.addresses)


def disconnect_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `disconnect`."""
    networks_argument(parser)
    parser.add_argument("container", metavar="CONTAINER", help=CONTAINER)
    parser.add_argument("-f", "--force", action="store_true", help="Succeed if it is not connected")
    example(parser, *CONNECTED, "mydockernet disconnect web c1")


def run_disconnect(args: argparse.Namespace) -> int:
    """Run `disconnect` and return the exit code."""
    return change(args, [(nothing, transitions.disconnect(args.networks, args.container, args.force))])


def run_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `run`."""
    networks_argument(parser)
    _endpoint_arguments(parser)
    parser.usage = "mydockernet run [options] NETWORK[,NETWORK…] -- COMMAND…"
    example(parser, "mydockernet create web", "mydockernet run web -- ip address show eth0")


def run_run(args: argparse.Namespace) -> int:
    """Run `run` and return the exit code."""
    if not args.command:
        raise Invalid("no command follows --", hint="mydockernet run NETWORK -- COMMAND…")
    name = args.name or f"run-{os.getpid()}"
    wish = wishes.read_connect(ConnectWords.of(args), name, namespaces.own(name))
    context = context_of(args)
    if is_dry_run(args):
        return print_plan(args, running.preview(context, args.networks, wish, args.command))
    return running.run(context, args.networks, wish, args.command)
