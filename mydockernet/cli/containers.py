"""The verbs about containers: connect, disconnect, publish, unpublish, port, run."""

import argparse
import os
import sys
from collections.abc import Iterable

from mydockernet import addressing, model, ports, running, transitions
from mydockernet.actions import Outcome
from mydockernet.cli import docker_options
from mydockernet.cli.change import change, is_dry_run, print_plan
from mydockernet.cli.messages import report_all, tell
from mydockernet.cli.values import context_of, read_labels, store_of
from mydockernet.errors import Invalid, NotFound, no_network
from mydockernet.kernel import namespaces
from mydockernet.transitions import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def connect_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `connect`."""
    parser.add_argument("network", metavar="NETWORK")
    parser.add_argument(
        "container",
        metavar="CONTAINER",
        help="Name of a network namespace (ip netns), pid, or path of a namespace file",
    )
    _endpoint_arguments(parser)


def _endpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of an endpoint, as connect and run have them."""
    many: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument("--ip", metavar="IP", help="Address (default: the next free one)")
    parser.add_argument("--ip6", metavar="IP", help="Not supported yet")
    parser.add_argument("--mac", metavar="MAC", help="MAC address (default: 02:42 and the bytes of the IPv4 address)")
    parser.add_argument(
        "--ifname", metavar="IF", help="Name of the interface inside the container (default: the first free ethN)"
    )
    parser.add_argument(
        "-p",
        "--publish",
        metavar="SPEC",
        **many,
        help="Publish host ports: [HOSTIP:]HOSTPORT[-…]:PORT[-…][/PROTOCOL], HOSTIP::PORT, PORT",
    )
    parser.add_argument("--label", metavar="K[=V]", **many, help="Label of the container")
    parser.add_argument("--no-default-route", action="store_true", help="Do not add a default route")
    parser.add_argument("--name", metavar="NAME", help="Name of the container here (default: that of its namespace)")
    docker_options.connect_arguments(parser)


def run_connect(args: argparse.Namespace) -> int:
    """Run `connect`; returns the exit code."""
    wish = _connection(args, args.name or "", model.Namespace(""))

    def result(outcome: Outcome) -> str:
        _tell_chosen(outcome, wish.publish)
        return _address(outcome)

    return change(args, [(result, transitions.connect_word(args.network, wish, args.container))])


def _address(outcome: Outcome) -> str:
    """The first address of the endpoint that is new."""
    before = [(network.name, e) for network, e in model.endpoints(outcome.change.before.values())]
    after = model.endpoints(outcome.change.after.values())
    return next((str(e.addresses[0]) for network, e in after if (network.name, e) not in before), "")


def _connection(args: argparse.Namespace, name: str, namespace: model.Namespace) -> Connection:
    """Read the values of connect's options. Raises Invalid with all that is wrong with them."""
    problems: list[str] = []
    if args.ip6:
        problems.append(f"--ip6: {addressing.IPV6_LATER}")
    ip = None
    if args.ip is not None:
        try:
            ip = addressing.read_address(args.ip)
        except ValueError as error:
            problems.append(f"--ip: {error}")
    mac = args.mac.lower().replace("-", ":") if args.mac is not None else None
    if mac is not None:
        problems += model.mac_problems(mac)
    if args.ifname is not None:
        problems += model.interface_problems(args.ifname, "--ifname")
    if args.name is not None:
        problems += model.name_problems(args.name, "--name")
    labels = read_labels(args.label, problems)
    publish: tuple[ports.PortWish, ...] = ()
    try:
        publish = ports.read_specs(args.publish, "--publish")
    except Invalid as error:
        problems += error.messages
    if problems:
        raise Invalid(*problems)
    return Connection(
        name=name,
        namespace=namespace,
        ip=ip,
        mac=mac,
        interface=args.ifname,
        publish=publish,
        labels=labels,
        default_route=not args.no_default_route,
    )


def disconnect_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `disconnect`."""
    parser.add_argument("network", metavar="NETWORK")
    parser.add_argument("container", metavar="CONTAINER", help="Name of the container here, or what connect was given")
    parser.add_argument("-f", "--force", action="store_true", help="Succeed if it is not connected")


def run_disconnect(args: argparse.Namespace) -> int:
    """Run `disconnect`; returns the exit code."""
    return change(args, [(_nothing, transitions.disconnect(args.network, args.container, args.force))])


def _nothing(_: Outcome) -> str:
    return ""


def publish_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `publish`."""
    parser.add_argument("network", metavar="NETWORK")
    parser.add_argument("container", metavar="CONTAINER", help="Name of the container here, or what connect was given")
    parser.add_argument(
        "specs",
        metavar="SPEC",
        nargs="+",
        help="[HOSTIP:]HOSTPORT[-…]:PORT[-…][/tcp|udp|sctp], HOSTIP::PORT, or PORT (any host port)",
    )


def run_publish(args: argparse.Namespace) -> int:
    """Run `publish`; returns the exit code."""
    wishes = ports.read_specs(args.specs, "SPEC")

    def result(outcome: Outcome) -> str:
        """The host's side of each new mapping, ready to be asked: 0.0.0.0:8080."""
        _tell_chosen(outcome, wishes)
        return "\n".join(f"{mapping.host_ip or '0.0.0.0'}:{mapping.host_ports}" for mapping in _published(outcome))

    return change(args, [(result, transitions.publish(args.network, args.container, wishes))])


def _published(outcome: Outcome) -> list[model.PortMapping]:
    """The new mappings."""
    change = outcome.change
    before = {(network.name, e.name): e.ports for network, e in model.endpoints(change.before.values())}
    return [
        mapping
        for network, endpoint in model.endpoints(change.after.values())
        for mapping in endpoint.ports
        if mapping not in before.get((network.name, endpoint.name), ())
    ]


def _tell_chosen(outcome: Outcome, wishes: Iterable[ports.PortWish]) -> None:
    """Say which ports of the host were chosen, where that was left open."""
    chosen = [
        m
        for m in _published(outcome)
        if any(
            wish.chooses and m.container_ports == wish.container_ports and m.protocol == wish.protocol
            for wish in wishes
        )
    ]
    tell(f"published {line}" for line in ports.shown(chosen))


def port_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `port`."""
    parser.add_argument("network", metavar="NETWORK")
    parser.add_argument("container", metavar="CONTAINER", help="Name of the container here, or what connect was given")
    parser.add_argument("port", metavar="PORT[/PROTOCOL]", nargs="?", help="Print only where this port is published")


def run_port(args: argparse.Namespace) -> int:
    """Run `port`; returns the exit code."""
    inner = ports.read_inner(args.port) if args.port else None
    intent, errors = store_of(args).load_each()
    if errors and args.network not in intent:
        return report_all([*errors, no_network(args.network)])
    network = transitions.find_network(intent, args.network)
    endpoint = transitions.find_endpoint(network, args.container)
    lines = [*ports.shown(endpoint.ports, inner)]
    if inner and not lines:
        what = f"{inner[0]}/{inner[1]} is not published by {endpoint.name} on the network {network.name}"
        raise NotFound(what, hint=f"mydockernet port {network.name} {endpoint.name} shows what is")
    if endpoint.detached:
        tell([f"{endpoint.name} is detached: its ports are kept for it, and nothing answers there now"])
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def run_unpublish(args: argparse.Namespace) -> int:
    """Run `unpublish`; returns the exit code."""
    wishes = ports.read_specs(args.specs, "SPEC")
    return change(args, [(_nothing, transitions.unpublish(args.network, args.container, wishes))])


def run_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `run`."""
    parser.add_argument("network", metavar="NETWORK")
    _endpoint_arguments(parser)
    parser.usage = "mydockernet run [options] NETWORK -- COMMAND…"


def run_run(args: argparse.Namespace) -> int:
    """Run `run`; returns the exit code."""
    if not args.command:
        raise Invalid("there is no command to run", hint="mydockernet run NETWORK -- COMMAND…")
    name = args.name or f"run-{os.getpid()}"
    wish = _connection(args, name, namespaces.own(name))
    context = context_of(args)
    if is_dry_run(args):
        return print_plan(args, running.preview(context, args.network, wish, args.command))
    return running.run(context, args.network, wish, args.command)
