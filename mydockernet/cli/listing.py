"""The verbs that show networks, containers and rules: list, ps, inspect, rules."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mydockernet.cli.options import example
from mydockernet.cli.values import (
    CONTAINER_FILTERS,
    context_of,
    filter_argument,
    read_container_filters,
    read_filters,
    read_template,
    store_of,
    terminal_width,
)
from mydockernet.messages import report_all, tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mydockernet.reports.survey import Survey

    # Both take the records and the width of the terminal; a table, also whether it may be truncated.
    Render = Callable[[Sequence[dict[str, Any]], int | None], str]
    Table = Callable[[Sequence[dict[str, Any]], int | None, bool], str]


def list_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `list`."""
    parser.add_argument("-q", "--quiet", action="store_true", help="Print only the names")
    filter_argument(parser, "-f", "--filter")
    format_argument(parser, r"{{.Name}}\t{{.State}}")
    parser.add_argument("--no-trunc", action="store_true", help="Do not truncate in a terminal")
    example(parser, "mydockernet create web", r"mydockernet list --format 'table {{.Name}}\t{{.State}}'")


def run_list(args: argparse.Namespace) -> int:
    """Run `list` and return the exit code."""
    wanted = read_filters(args.filter)
    render = read_template(args.format)
    if args.quiet:
        networks, errors = store_of(args).load_each()
        sys.stdout.write("".join(f"{name}\n" for name in sorted(networks) if wanted(networks[name])))
    else:
        from mydockernet.cli import views

        found = _survey(args)
        errors = found.errors
        records = [views.list_record(each) for each in found.networks if wanted(each.network)]
        print_records(args, render, records, views.list_table)
    return report_all(errors)


def ps_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `ps`."""
    parser.add_argument("-q", "--quiet", action="store_true", help="Print only the names, each once")
    parser.add_argument(
        "-a", "--all", action="store_true", help="Accepted as in docker; all containers are listed anyway"
    )
    filter_argument(parser, "-f", "--filter", forms=CONTAINER_FILTERS)
    format_argument(parser, r"{{.Name}}\t{{.Addresses}}")
    parser.add_argument("--no-trunc", action="store_true", help="Do not truncate in a terminal")
    connected = ("ip netns add c1", "mydockernet create web", "mydockernet connect web c1")
    example(parser, *connected, "mydockernet ps --filter network=web")


def run_ps(args: argparse.Namespace) -> int:
    """Run `ps` and return the exit code."""
    from mydockernet.cli import views

    wanted = read_container_filters(args.filter)
    render = read_template(args.format)
    found = _survey(args)
    records = [
        views.place_record(shown, endpoint)
        for shown in found.networks
        for endpoint in shown.network.endpoints
        if wanted(shown.network, endpoint, shown.containers[endpoint.name])
    ]
    records.sort(key=lambda record: (record["Name"], record["Network"]))
    if args.quiet:
        sys.stdout.write("".join(f"{name}\n" for name in dict.fromkeys(record["Name"] for record in records)))
    else:
        print_records(args, render, records, views.places_table)
    return report_all(found.errors)


def inspect_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `inspect`."""
    parser.add_argument("names", metavar="NAME", nargs="+", help="Network to show, or container")
    parser.add_argument(
        "-f",
        "--format",
        default="json",
        metavar="json|table|TEMPLATE",
        help="Output format: json, table, or a Go template such as '{{len .Containers}}' (default: json)",
    )
    example(parser, "mydockernet create web", "mydockernet inspect web --format '{{(index .Subnets 0).Gateway}}'")


def run_inspect(args: argparse.Namespace) -> int:
    """Run `inspect` and return the exit code."""
    from mydockernet.cli import views
    from mydockernet.errors import NotFound, quoted

    render = read_template(args.format)
    stored, _ = store_of(args).load_each()
    holders = [name for name, network in stored.items() if {*args.names} & {e.name for e in network.endpoints}]
    found = _survey(args, inside=[*args.names, *holders])
    records, unknown = [], []
    for name in args.names:
        if shown := next((each for each in found.networks if each.network.name == name), None):
            records.append(views.inspect_record(shown))
        elif places := [(each, e) for each in found.networks for e in each.network.endpoints if e.name == name]:
            records.append(views.container_record(name, places))
        else:
            unknown.append(
                NotFound(
                    f"no network or container {quoted(name)}",
                    hint="mydockernet list shows all networks, mydockernet ps all containers",
                )
            )
    if render is not None:
        sys.stdout.write(render(records, terminal_width()))
    elif args.format == "json":
        sys.stdout.write(views.json_array(records))
    else:
        sys.stdout.write("\n".join(views.inspect_tables(record, terminal_width()) for record in records))
    # A broken file matters only if it could hold a network that was asked for.
    return report_all([*found.errors, *unknown] if unknown else [])


def format_argument(parser: argparse.ArgumentParser, template: str) -> None:
    """Declare --format, with a template as an example."""
    parser.add_argument(
        "--format",
        default="table",
        metavar="table|json|TEMPLATE",
        help=f"Output format: table, json, a Go template such as '{template}', "
        "or 'table TEMPLATE', which adds headers (default: table)",
    )


def print_records(args: argparse.Namespace, render: Render | None, records: list[dict[str, Any]], table: Table) -> None:
    """Print records as --format says: by a template, as JSON or as a table."""
    from mydockernet.cli import views

    if render is not None:
        text = render(records, terminal_width())
    elif args.format == "json":
        text = views.json_lines(records)
    else:
        text = table(records, terminal_width(), not getattr(args, "no_trunc", False))
    sys.stdout.write(text)


def _survey(args: argparse.Namespace, inside: Sequence[str] = (), everywhere: bool = False) -> Survey:
    """The networks with what the kernel shows of them. Prints on stderr what could not be read."""
    from mydockernet.reports import survey

    found = survey.survey(context_of(args), inside, everywhere)
    tell(found.notes)
    return found


def rules_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `rules`."""
    example(parser, "mydockernet create web", "mydockernet rules web")
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="Network (default: all); shared rules are always listed"
    )
    format_argument(parser, r"{{.Owner}}\t{{.Rule}}")


def run_rules(args: argparse.Namespace) -> int:
    """Run `rules` and return the exit code."""
    from mydockernet.cli import views
    from mydockernet.dialects.fact import SHARED
    from mydockernet.errors import no_network

    render = read_template(args.format)
    found = _survey(args, everywhere=True)
    known = {shown.network.name: shown.network.owner for shown in found.networks}
    unknown = [no_network(name) for name in args.names if name not in known]
    owners = {SHARED, *(known[name] for name in args.names if name in known)}
    records = [views.rule_record(rule) for rule in found.rules if not args.names or rule.owner in owners]
    print_records(args, render, records, views.rules_table)
    return report_all([*found.errors, *unknown])
