"""The verbs that show all networks at once: topology, metrics."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mydockernet.cli.options import example, lock_timeout_option
from mydockernet.cli.values import context_of, store_of
from mydockernet.cli.watching import traffic_of
from mydockernet.messages import report_all, tell

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


def metrics_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `metrics`."""
    parser.add_argument(
        "--check", action="store_true", help="Also tell which networks differ from the record, as check does"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="Write a file, all at once, as the textfile collector of node_exporter wants (default: stdout)",
    )
    lock_timeout_option(parser)
    example(parser, "mydockernet create web", "mydockernet metrics --check --output /run/mydockernet.prom")


def run_metrics(args: argparse.Namespace) -> int:
    """Run `metrics` and return the exit code."""
    from mydockernet import __version__, writing
    from mydockernet.kernel import namespaces
    from mydockernet.record.history import History
    from mydockernet.reports import metrics, stats

    store = store_of(args)
    intent, errors = store.load_each()
    outlines, _ = store.outlines()
    sample = traffic_of(stats.watched(outlines, dict.fromkeys(sorted(outlines))))
    spaces = {endpoint.namespace for network in intent.values() for endpoint in network.endpoints}
    alive = {namespace.path for namespace in spaces if namespaces.alive(namespace)}
    found = [
        metrics.of_version(__version__),
        *metrics.of_networks(intent, alive, len(errors)),
        *metrics.of_traffic(sample),
    ]
    if when := History(store.folder).changed():
        found.append(metrics.of_last_change(when))
    if args.check:
        from mydockernet import actions
        from mydockernet.plan import Scope

        audit = actions.audit(context_of(args), Scope((), store.realm))
        tell(audit.notes)
        errors = audit.errors
        # What could not be checked is neither true nor false.
        found += [] if errors else [metrics.of_drift(intent, {drift.owner for drift in audit.drifts})]
    text = metrics.text(found)
    if args.output in (None, "-"):
        sys.stdout.write(text)
    else:
        writing.write(Path(args.output), text, "--output", 0o644)
    return report_all(errors)
