"""The verbs that publish ports of a container: publish, unpublish, port."""

import argparse
import sys
from collections.abc import Iterable

from mydockernet import model, ports, transitions
from mydockernet.actions import Outcome
from mydockernet.cli.change import change, nothing
from mydockernet.cli.options import example
from mydockernet.cli.values import store_of
from mydockernet.errors import NotFound, no_network
from mydockernet.messages import report_all, tell

CONTAINER = "Name of the container, or the namespace that was given to connect"
SPEC = "[HOSTIP:]HOSTPORT[-…]:PORT[-…][/tcp|udp|sctp], HOSTIP::PORT, or PORT, which chooses a free host port"
CONNECTED = ("ip netns add c1", "mydockernet create web", "mydockernet connect web c1 --publish 8080:80")


def publish_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `publish`."""
    _port_arguments(parser, f"Host ports to publish: {SPEC}")
    from_argument(parser)
    example(parser, *CONNECTED, "mydockernet publish web c1 127.0.0.1:5353:53/udp")


def from_argument(parser: argparse.ArgumentParser) -> None:
    """Declare --from, which publish, connect and run share."""
    parser.add_argument(
        "--from",
        dest="sources",
        metavar="CIDR",
        action="append",
        default=[],
        help="Only addresses in this block, and the host itself, may use the published ports (default: any)",
    )


def _port_arguments(parser: argparse.ArgumentParser, specs: str) -> None:
    """Declare the arguments that publish and unpublish share."""
    parser.add_argument("network", metavar="NETWORK", help="Name of the network")
    parser.add_argument("container", metavar="CONTAINER", help=CONTAINER)
    parser.add_argument("specs", metavar="SPEC", nargs="+", help=specs)


def run_publish(args: argparse.Namespace) -> int:
    """Run `publish` and return the exit code."""
    wishes = ports.read_specs(args.specs, "SPEC", args.sources)

    def result(outcome: Outcome) -> str:
        """The host addresses and ports of each new mapping, as in 0.0.0.0:8080."""
        tell_chosen(outcome, wishes)
        return "\n".join(f"{host}:{span}" for place in _published(outcome) for host, span in ports.reached_at(*place))

    return change(args, [(result, transitions.publish(args.network, args.container, wishes))])


def _published(outcome: Outcome) -> list[tuple[model.Network, model.Endpoint, model.PortMapping]]:
    """The new mappings, each with its network and container."""
    change = outcome.change
    before = {(network.name, e.name): e.ports for network, e in model.endpoints(change.before.values())}
    return [
        (network, endpoint, mapping)
        for network, endpoint in model.endpoints(change.after.values())
        for mapping in endpoint.ports
        if mapping not in before.get((network.name, endpoint.name), ())
    ]


def tell_chosen(outcome: Outcome, wishes: Iterable[ports.PortWish]) -> None:
    """Print which host ports were chosen for the wishes that left them open."""
    wanted = {(wish.container_ports, wish.protocol) for wish in wishes if wish.chooses}
    tell(
        f"published {line}"
        for network, endpoint, mapping in _published(outcome)
        if (mapping.container_ports, mapping.protocol) in wanted
        for line in ports.shown(network, endpoint, [mapping])
    )


def port_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `port`."""
    parser.add_argument("network", metavar="NETWORK", help="Name of the network")
    parser.add_argument("container", metavar="CONTAINER", help=CONTAINER)
    parser.add_argument("port", metavar="PORT[/PROTOCOL]", nargs="?", help="Print only where this port is published")
    example(parser, *CONNECTED, "mydockernet port web c1")


def run_port(args: argparse.Namespace) -> int:
    """Run `port` and return the exit code."""
    inner = ports.read_inner(args.port) if args.port else None
    intent, errors = store_of(args).load_each()
    if errors and args.network not in intent:
        return report_all([*errors, no_network(args.network)])
    network = transitions.find_network(intent, args.network)
    endpoint = transitions.find_endpoint(network, args.container)
    lines = [*ports.shown(network, endpoint, endpoint.ports, inner)]
    if inner and not lines:
        what = f"{inner[0]}/{inner[1]} is not published by {endpoint.name} on the network {network.name}"
        raise NotFound(what, hint=f"mydockernet port {network.name} {endpoint.name}")
    if endpoint.detached:
        tell([f"{endpoint.name} is detached: its ports are kept for it, but nothing answers on them"])
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def unpublish_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `unpublish`."""
    _port_arguments(parser, "Published ports, as they were given to publish, or as port prints them")
    example(parser, *CONNECTED, "mydockernet unpublish web c1 8080:80")


def run_unpublish(args: argparse.Namespace) -> int:
    """Run `unpublish` and return the exit code."""
    wishes = ports.read_specs(args.specs, "SPEC")
    return change(args, [(nothing, transitions.unpublish(args.network, args.container, wishes))])
