"""The verbs that show all networks at once: topology."""

from __future__ import annotations

import argparse
import sys

from mydockernet.cli.options import example
from mydockernet.cli.values import store_of
from mydockernet.messages import report_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mydockernet.model import Network

FORMATS = ("tree", "mermaid", "dot", "svg", "json")


def topology_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `topology`."""
    parser.add_argument("names", metavar="NETWORK", nargs="*", help="Network (default: all)")
    parser.add_argument(
        "--format",
        default="tree",
        choices=FORMATS,
        help="Output format: a tree, a flowchart of mermaid, a graph of graphviz, a picture, or one JSON object "
        "(default: tree)",
    )
    connected = ("ip netns add c1", "mydockernet create web", "mydockernet connect web c1 -p 8080:80")
    example(parser, *connected, "mydockernet topology --format svg > web.svg", "mydockernet topology")


def run_topology(args: argparse.Namespace) -> int:
    """Run `topology` and return the exit code."""
    from mydockernet.errors import no_network

    intent, errors = store_of(args).load_each()
    unknown = [no_network(name) for name in args.names if name not in intent]
    chosen = [intent[name] for name in dict.fromkeys(args.names or intent) if name in intent]
    if chosen or not unknown:
        sys.stdout.write(_text(args.format, chosen))
    return report_all([*errors, *unknown])


def _text(form: str, networks: Iterable[Network]) -> str:
    """Return networks in a format."""
    from mydockernet.reports import topology, topology_text

    graph = topology.draw(networks)
    if form == "svg":
        from mydockernet.reports import topology_svg

        return topology_svg.svg(graph)
    if form == "json":
        from mydockernet.cli import sight, views

        return views.json_lines([sight.graph_record(graph)])
    if form == "tree":
        return topology_text.tree(graph, {network.name: network for network in networks})
    return topology_text.mermaid(graph) if form == "mermaid" else topology_text.dot(graph)
