"""The verbs that create and remove networks: create, remove, prune."""

import argparse

from mydockernet import creation, static_routes, transitions, validation, wishes
from mydockernet.cli import docker_options
from mydockernet.cli.change import change, names_of
from mydockernet.cli.options import example
from mydockernet.cli.values import filter_argument, read_filters, store_of
from mydockernet.messages import report_all
from mydockernet.wishes import CreateWords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def create_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `create`."""
    many: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument("name", metavar="NAME", help="Name of the network")
    known = ", ".join(validation.DRIVERS)
    parser.add_argument("-d", "--driver", default="bridge", help=f"Driver: {known} (default: bridge)")
    parser.add_argument(
        "--subnet",
        metavar="CIDR",
        **many,
        help="Subnet; host bits, if set, give the gateway; 0.0.0.0/N or ::/N only gives the size (default: a free /24 "
        "from the pools)",
    )
    parser.add_argument(
        "--gateway", metavar="IP", **many, help="Address of the host on the network (default: the first of the subnet)"
    )
    parser.add_argument(
        "--ip-range",
        metavar="RANGE",
        **many,
        help="Range to assign addresses from: CIDR or FIRST-LAST (default: the whole subnet)",
    )
    parser.add_argument("--reserve", metavar="[NAME=]IP", **many, help="Never assign this address to a container")
    parser.add_argument(
        "--ipv6", action="store_true", help="Dual stack: add an IPv6 subnet, and an IPv4 one, if none is given"
    )
    parser.add_argument(
        "--no-gateway",
        action="store_true",
        help="Give the bridge no address and containers no default route: the host is not on the network",
    )
    parser.add_argument(
        "--no-subnet", action="store_true", help="Layer 2 only: neither the bridge nor a container gets an address"
    )
    parser.add_argument("--no-default-route", action="store_true", help="Give containers no default route")
    parser.add_argument(
        "--internal", action="store_true", help="Isolate the network: no traffic to or from the outside"
    )
    parser.add_argument("--no-icc", action="store_true", help="Isolate containers from each other")
    parser.add_argument(
        "--port-security",
        action="store_true",
        help="Let containers send from their own MAC and IP address only (implied by --no-icc)",
    )
    parser.add_argument(
        "--no-masquerade",
        action="store_true",
        help="Do not masquerade: packets leave the host with the container's address",
    )
    parser.add_argument("--no-masquerade4", action="store_true", help="The same for IPv4 only")
    parser.add_argument("--no-masquerade6", action="store_true", help="The same for IPv6 only")
    parser.add_argument(
        "--gateway-mode",
        metavar="MODE",
        help="How others reach containers: nat (default); routed: without NAT, at published ports and by ICMP; "
        "isolated: not at all, not even from the host, as with --internal and --no-gateway",
    )
    parser.add_argument("--gateway-mode6", metavar="MODE", help="The same for IPv6 only (default: as --gateway-mode)")
    parser.add_argument(
        "--mtu",
        metavar="N",
        help=f"MTU in bytes, {validation.MTU_MIN} to {validation.MTU_MAX} (default: MYDOCKERNET_MTU, or that of the "
        "interface of the host's default route now, or 1500)",
    )
    parser.add_argument(
        "--bridge-name", metavar="IF", help="Name of the bridge (default: the network's name, if valid)"
    )
    parser.add_argument(
        "--parent",
        metavar="IF",
        help="Interface of the host on the LAN, for macvlan and ipvlan (default: that of the default route)",
    )
    parser.add_argument(
        "--mode",
        metavar="MODE",
        help="Mode of macvlan: bridge (default), private, vepa, passthru; of ipvlan: l2 (default), l3, l3s",
    )
    parser.add_argument(
        "--host-ip",
        metavar="IP",
        **many,
        help="Give the host an interface on a macvlan network, with this address, to reach its containers",
    )
    parser.add_argument(
        "--route",
        metavar="DST,GW[,METRIC]",
        **many,
        help=f"Static route in every container; instead of GW, {' or '.join(static_routes.REFUSALS)} refuses packets",
    )
    parser.add_argument(
        "--firewall",
        metavar="NAME",
        help=f"Firewall: {' or '.join(validation.FIREWALLS)} (default: that of the other networks, or iptables)",
    )
    parser.add_argument("--metric", metavar="N", help="Metric of the default route in containers (default: none)")
    parser.add_argument(
        "--dns",
        metavar="IP|dnsmasq",
        nargs="?",
        const=wishes.RESOLVER,
        **many,
        help="Name server of its containers. dnsmasq, or no value: start one that knows their names, and asks the "
        "others that are given, or else those of the host, for all other names",
    )
    parser.add_argument(
        "--dhcp",
        metavar="RANGE",
        **many,
        help="Give addresses from this range to those that ask for one (FIRST-LAST or CIDR), by the dnsmasq of --dns",
    )
    parser.add_argument("--label", metavar="K[=V]", **many, help="Label, which --filter can select")
    parser.add_argument("--ignore", action="store_true", help="Succeed if an identical network exists")
    docker_options.create_arguments(parser)
    example(parser, "mydockernet create web", "mydockernet create db --subnet 10.1.0.0/24 --internal --label team=a")


def run_create(args: argparse.Namespace) -> int:
    """Run `create` and return the exit code."""
    wish = wishes.read_create(CreateWords.of(args), store_of(args).realm)
    return change(args, [(lambda _: args.name, creation.create(wish, args.ignore))])


def remove_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `remove`."""
    parser.add_argument("names", metavar="NAME", nargs="+", help="Network to remove")
    parser.add_argument("-f", "--force", action="store_true", help="Disconnect its containers first; implies --ignore")
    parser.add_argument("--ignore", action="store_true", help="Succeed if there is no such network")
    example(parser, "mydockernet create web", "mydockernet remove web")


def run_remove(args: argparse.Namespace) -> int:
    """Run `remove` and return the exit code."""
    names = dict.fromkeys(args.names)
    ignore = args.ignore or args.force  # As with docker and podman.
    return change(args, [(names_of, transitions.remove(name, args.force, ignore)) for name in names])


def prune_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `prune`."""
    parser.add_argument("-f", "--force", action="store_true", help="Do nothing: prune never asks for confirmation")
    filter_argument(parser, "--filter")
    example(parser, "mydockernet create web", "mydockernet prune --filter name=web")


def run_prune(args: argparse.Namespace) -> int:
    """Run `prune` and return the exit code."""
    wanted = read_filters(args.filter)
    _, errors = store_of(args).load_each()
    return report_all(errors) or change(args, [(names_of, transitions.prune(wanted))])
