"""Records and tables of the verbs that look at all networks: stats, topology, events."""

from __future__ import annotations

from collections.abc import Sequence

from mydockernet.cli import views
from mydockernet.errors import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mydockernet.reports.events import Event
    from mydockernet.reports.stats import Row
    from mydockernet.reports.topology import Graph

TRAFFIC = tuple(f"{side}_{what}" for side in ("received", "sent") for what in ("bytes", "packets", "dropped"))
STATS_HEADERS = ("NAME", "RECEIVED/S", "SENT/S", "RECEIVED", "SENT", "PACKETS", "DROPPED")
# The width of the columns of events, as far as their content allows.
NETWORK_WIDTH, WHO_WIDTH = 12, 24
# How many networks a line names.
NAMED = 3


def stats_record(row: Row) -> dict[str, Any]:
    """What a container or a network receives and sends, for JSON: totals, and rates in bits per second."""
    totals = {
        "".join(map(str.title, field.split("_"))): row.traffic and getattr(row.traffic, field) for field in TRAFFIC
    }
    return {
        "Name": f"{row.network}/{row.container}" if row.container else row.network,
        "Network": row.network,
        "Container": row.container or None,
        "Interface": row.interface or None,
        **totals,
        "ReceiveRate": row.rates and row.rates[0],
        "SendRate": row.rates and row.rates[1],
        "Note": row.note or None,
    }


def stats_table(rows: Sequence[Row], width: int | None) -> str:
    """The same as a table. Notes are a column only if there are any."""
    from mydockernet.reports.stats import quantity

    noted = any(row.note for row in rows)
    lines = []
    for row in rows:
        cells = [quantity(rate, "bit/s") for rate in row.rates or ()] or ["-", "-"]
        if seen := row.traffic:
            cells += [quantity(seen.received_bytes, "B"), quantity(seen.sent_bytes, "B")]
            cells.append(f"{seen.received_packets} / {seen.sent_packets}")
            cells.append(f"{seen.received_dropped} / {seen.sent_dropped}")
        else:
            cells += ["-"] * 4
        name = f"{row.network}/{row.container}" if row.container else row.network
        lines.append([name, *cells, *([row.note or "-"] if noted else [])])
    return views.table([*STATS_HEADERS, *(["NOTE"] if noted else [])], lines, width)


def graph_record(graph: Graph) -> dict[str, Any]:
    """A topology for JSON: its nodes, and the edges between their IDs."""
    nodes = [{"Id": n.id, "Kind": n.kind, "Text": list(n.text), "Marks": list(n.marks)} for n in graph.nodes]
    edges = [{"From": e.source, "To": e.target, "Kind": e.kind, "Text": e.text} for e in graph.edges]
    return {"Nodes": nodes, "Edges": edges}


def event_record(event: Event) -> dict[str, Any]:
    """A change as it happens, for JSON."""
    who = event.who or None
    return {"When": event.when, "Networks": list(event.networks), "Who": who, "What": event.what}


def event_line(event: Event) -> str:
    """The same as a line: when, the networks, who, what."""
    more = [f"{len(event.networks) - NAMED} more"] if len(event.networks) > NAMED else []
    networks = ",".join([*event.networks[:NAMED], *more]) or "-"
    line = f"{event.when}  {networks.ljust(NETWORK_WIDTH)}  {(event.who or '-').ljust(WHO_WIDTH)}  {event.what}"
    return printable(line) + "\n"
