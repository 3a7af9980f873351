"""The verbs about containers: connect, disconnect, run."""

import argparse
import os
from collections.abc import Iterable, Iterator

from mydockernet import addressing, model, ports, running, transitions
from mydockernet.actions import Outcome
from mydockernet.cli import docker_options
from mydockernet.cli.change import change, is_dry_run, nothing, print_plan
from mydockernet.cli.options import example
from mydockernet.cli.publishing import CONNECTED, CONTAINER, SPEC, from_argument, tell_chosen
from mydockernet.cli.values import context_of, read_dns, read_labels, read_number
from mydockernet.errors import Invalid, quoted
from mydockernet.kernel import namespaces
from mydockernet.transitions import Connection

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
    parser.add_argument("--alias", metavar="NAME", **many, help="Another name of the container (only on record)")
    parser.add_argument("--dns", metavar="IP", **many, help="Name server of the container (only on record)")
    parser.add_argument("--hostname", metavar="NAME", help="Host name of the container (only on record)")
    docker_options.connect_arguments(parser)


def run_connect(args: argparse.Namespace) -> int:
    """Run `connect` and return the exit code."""
    wish = _connection(args, args.name or "", model.Namespace(""))

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


def _connection(args: argparse.Namespace, name: str, namespace: model.Namespace) -> Connection:
    """Read the values of connect's options. Raises Invalid with everything that is wrong with them."""
    problems: list[str] = []
    for option, given in (
        ("--ip", args.ip),
        ("--ip6", args.ip6),
        ("--mac", args.mac),
        ("--ifname", args.ifname),
        ("--publish", args.publish),
    ):
        if given and len(args.networks) > 1:
            problems.append(f"{option}: it is for one network, not {len(args.networks)}: connect that one by itself")
    ip = _address_of(args.ip, "--ip", 4, problems)
    ip6 = _address_of(args.ip6, "--ip6", 6, problems)
    mac = args.mac.lower().replace("-", ":") if args.mac is not None else None
    if mac is not None:
        problems += model.mac_problems(mac)
    if args.ifname is not None:
        problems += model.interface_problems(args.ifname, "--ifname")
    if args.name is not None:
        problems += model.name_problems(args.name, "--name")
    labels = read_labels(args.label, problems)
    gw_priority = read_number("--gw-priority", args.gw_priority, problems)
    dns = read_dns(args.dns, problems)
    for alias in args.alias:
        problems += model.host_problems(alias, "--alias")
    if args.hostname is not None:
        problems += model.host_problems(args.hostname, "--hostname", model.HOST_NAME_MAX)
    publish: tuple[ports.PortWish, ...] = ()
    try:
        publish = ports.read_specs(args.publish, "--publish", args.sources)
    except Invalid as error:
        problems += error.messages
    if problems:
        raise Invalid(*problems)
    return Connection(
        name=name,
        namespace=namespace,
        ip=ip,
        ip6=ip6,
        mac=mac,
        interface=args.ifname,
        publish=publish,
        labels=labels,
        default_route=not args.no_default_route,
        gw_priority=gw_priority or 0,
        aliases=tuple(dict.fromkeys(args.alias)),
        dns=dns,
        hostname=args.hostname or "",
    )


def _address_of(word: str | None, option: str, family: int, problems: list[str]) -> model.Address | None:
    """Read the address of an option, if it is given. Adds what is wrong with it to `problems`."""
    if word is None:
        return None
    try:
        address = addressing.read_address(word)
    except ValueError as error:
        problems.append(f"{option}: {error}")
        return None
    if address.version != family:
        problems.append(f"{option}: {word} is an IPv{address.version} address")
    return address


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
    wish = _connection(args, name, namespaces.own(name))
    context = context_of(args)
    if is_dry_run(args):
        return print_plan(args, running.preview(context, args.networks, wish, args.command))
    return running.run(context, args.networks, wish, args.command)
