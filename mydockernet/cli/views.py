"""Records as JSON and as tables. The only importer of rich."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from io import StringIO

from mydockernet.dialects.fact import TAG, Link
from mydockernet.errors import command_line, printable
from mydockernet.model import Endpoint, Network, gives_default_route
from mydockernet.validation import ISOLATED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mydockernet.packets.hops import Hop
    from mydockernet.record.history import Entry
    from mydockernet.reports.doctor import Finding
    from mydockernet.reports.survey import OwnedRule, Shown

RULE_FIELDS = ("Owner", "Program", "Table", "Chain", "Number", "Packets", "Rule", "Why")
_SIGNS = {"passes": "  ok  ", "stops": "STOP  ", "unsure": "   ?  "}
# Columns with short cells. In a narrow terminal only the others are made narrower, and keep LEAST characters.
FIRM = {"CONTAINERS", "DRIVER", "ID", "FIELD", "NUMBER", "PACKETS", "PORT", "PROGRAM", "STATE", "TABLE"}
LEAST = 8
LIST_FIELDS = ("Name", "Subnet", "Gateway", "Driver", "Containers", "State")
CHANGE_FIELDS = ("Id", "When", "Who", "What", "Result")
PLACE_FIELDS = ("Name", "Network", "Addresses", "Ports", "State")


def list_record(shown: Shown) -> dict[str, Any]:
    """A network as `list` shows it."""
    network = shown.network
    return {
        "Name": network.name,
        "Subnet": ",".join(str(subnet.network) for subnet in network.subnets),
        "Gateway": ",".join(str(subnet.gateway) for subnet in network.subnets if subnet.gateway),
        "Driver": network.driver,
        "Containers": len(network.endpoints),
        "State": shown.state,
        "Bridge": network.bridge or None,
        "Internal": network.internal,
        "Firewall": _firewall(network),
        "Labels": dict(network.labels),
    }


def _firewall(network: Network) -> str | None:
    """What has the rules of a network; None if the host does not forward its packets, so that there are none."""
    return None if network.parent else network.firewall


def inspect_record(shown: Shown) -> dict[str, Any]:
    """A network as `inspect` shows it: its record, its live bridge, its containers, and its rules with counters."""
    network = shown.network
    link = shown.seen.links.get(network.bridge or network.host_interface)
    return {
        "Name": network.name,
        "Driver": network.driver,
        "State": shown.state,
        "Bridge": network.bridge or None,
        "Parent": network.parent or None,
        "Mode": network.mode or None,
        "HostAddresses": [str(address) for address in network.host_addresses],
        "Subnets": [
            {
                "Subnet": str(subnet.network),
                "Gateway": None if subnet.gateway is None else str(subnet.gateway),
                "IPRanges": [str(span) for span in subnet.ranges],
                "Reserved": {r.name or str(r.address): str(r.address) for r in subnet.reserved},
            }
            for subnet in network.subnets
        ],
        "Internal": network.internal,
        "Firewall": _firewall(network),
        "ICC": network.icc,
        "Masquerade": network.masquerade,
        "Masquerade6": network.masquerade6,
        "GatewayMode": network.gateway_mode if network.has_gateway or not network.internal else ISOLATED,
        "GatewayMode6": network.gateway_mode6,
        "MTU": network.mtu,
        "Routes": [str(route) for route in network.routes],
        "Metric": network.metric,
        "DNS": [*filter(None, [network.resolver]), *map(str, network.dns)],
        "DHCP": [str(span) for span in network.dhcp],
        "UserRules": [list(rule) for rule in network.user_rules],
        "Engine": network.engine,
        "Labels": dict(network.labels),
        "Containers": {endpoint.name: _endpoint_record(network, endpoint, shown) for endpoint in network.endpoints},
        "Link": None if link is None else _link_record(link),
        "Rules": [rule_record(owned) for owned in shown.rules],
    }


def place_record(shown: Shown, endpoint: Endpoint) -> dict[str, Any]:
    """A container on one of its networks, as `ps` shows it."""
    record = _endpoint_record(shown.network, endpoint, shown)
    del record["Link"]  # `ps` does not look into containers.
    return {"Name": record.pop("Name"), "Network": shown.network.name, **record}


def container_record(name: str, places: Iterable[tuple[Shown, Endpoint]]) -> dict[str, Any]:
    """A container as `inspect` shows it: what it is on each of its networks."""
    networks = {shown.network.name: _endpoint_record(shown.network, endpoint, shown) for shown, endpoint in places}
    return {"Name": name, "Networks": networks}


def rule_record(owned: OwnedRule) -> dict[str, Any]:
    """A rule as `rules` shows it."""
    return {
        "Owner": owned.owner,
        "Program": owned.program,
        "Table": owned.table,
        "Chain": owned.chain,
        "Number": owned.number,
        "Packets": owned.packets,
        "Bytes": owned.bytes,
        "Rule": owned.text,
        "Why": owned.why,
    }


def rules_table(records: Sequence[dict[str, Any]], width: int | None, _trunc: bool = False) -> str:
    """Rules: in a pipe as a table with one line per rule, in a terminal as a list, since a table would be too wide."""
    if width is None:
        return table([f.upper() for f in RULE_FIELDS], [[_words(r[f]) for f in RULE_FIELDS] for r in records], None)
    return "".join(f"{_rule_block(record, width)}\n" for record in records)


def _rule_block(record: dict[str, Any], width: int) -> str:
    """A rule for a terminal: its place, as `who` reads it, its owner and counter; the rule; its reason."""
    import textwrap

    owner, packets = record["Owner"], record["Packets"]
    program, table = record["Program"], record["Table"]
    first = {"iptables": (table,), "nft": (program,)}.get(program, (program, table))
    last = () if record["Number"] is None else (str(record["Number"]),)
    counted = [] if packets is None else [f"{packets} packet{'' if packets == 1 else 's'}"]
    lines = ["  ".join(["/".join((*first, record["Chain"], *last)), owner, *counted])]
    # The first line names the owner already.
    rule = record["Rule"].replace(f'-m comment --comment "{TAG}{owner}" ', "")
    for text in (rule, record["Why"]):
        lines += textwrap.wrap(
            text, width, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
        )
    return "\n".join(map(printable, lines))


def hops(found: Iterable[Hop]) -> str:
    """The path of a packet, one line per hop; below each, indented, the reason, and the command that fixes it."""
    lines = []
    for hop in found:
        lines.append(f"{_SIGNS[hop.state]}{hop.what}")
        lines += [f"      {line}" for line in (hop.why, hop.fix and f"fix: {hop.fix}") if line]
    return "".join(f"{printable(line)}\n" for line in lines)


def findings(found: Iterable[Finding]) -> str:
    """What doctor found, one line each; below it, indented, the evidence, and the command that fixes it."""
    lines = []
    for each in found:
        lines.append(f"{each.kind}: {each.what}")
        lines += [f"      {line}" for line in (each.evidence, each.fix and f"fix: {each.fix}") if line]
    return "".join(f"{printable(line)}\n" for line in lines)


def finding_records(found: Iterable[Finding]) -> list[dict[str, Any]]:
    """The same, for JSON."""
    return [{"Kind": f.kind, "What": f.what, "Evidence": f.evidence, "Fix": f.fix} for f in found]


def hop_records(found: Iterable[Hop]) -> list[dict[str, Any]]:
    """The path of a packet, for JSON."""
    return [{"State": hop.state, "What": hop.what, "Why": hop.why, "Fix": hop.fix} for hop in found]


def _endpoint_record(network: Network, endpoint: Endpoint, shown: Shown) -> dict[str, Any]:
    inside = shown.seen.inside.get(endpoint.namespace.path)
    link = inside.links.get(endpoint.interface) if inside else None
    return {
        "Name": endpoint.name,
        "Addresses": [str(address) for address in endpoint.addresses],
        "MAC": endpoint.mac or None,
        "Interface": endpoint.interface,
        "HostInterface": endpoint.veth or None,
        "Namespace": endpoint.namespace.path,
        "Pid": endpoint.namespace.pid,
        "State": shown.containers[endpoint.name],
        "DefaultRoute": gives_default_route(network, endpoint),
        "GwPriority": endpoint.gw_priority,
        "Ports": [mapping.told for mapping in endpoint.ports],
        "Aliases": list(endpoint.aliases),
        "DNS": [str(address) for address in endpoint.dns],
        "Hostname": endpoint.hostname,
        "IngressRate": endpoint.ingress and str(endpoint.ingress),
        "EgressRate": endpoint.egress and str(endpoint.egress),
        "Engine": endpoint.engine,
        "Id": endpoint.id,
        "Labels": dict(endpoint.labels),
        "Link": None if link is None else _link_record(link),
    }


def _link_record(link: Link) -> dict[str, Any]:
    return {
        "Name": link.name,
        "Up": link.up,
        "MTU": link.mtu,
        "MAC": link.mac,
        "Group": link.group,
        "Alias": link.alias,
        "Addresses": sorted(link.addresses),
    }


def change_record(entry: Entry) -> dict[str, Any]:
    """A change as `history` shows it."""
    return {
        "Id": entry.id,
        "When": entry.when,
        "Who": who(entry),
        "What": command_line(entry.words) or "unknown",
        "Result": entry.result,
        "Networks": list(entry.networks),
        "Seconds": entry.seconds,
        "Error": entry.error,
        "Undoes": entry.undoes or None,
        "Uid": entry.who.uid,
        "SudoUser": entry.who.sudo_user,
        "Host": entry.who.host,
    }


def whole_change_record(entry: Entry) -> dict[str, Any]:
    """A change as `history show` shows it as JSON: also the values before and after, and the commands."""
    from mydockernet.record.history import entry_to_json

    whole = entry_to_json(entry)
    values = {side.title(): whole[side] for side in ("before", "after")}
    commands = {"Commands": whole["commands"], "RollbackCommands": whole["undone"]}
    return {**change_record(entry), **values, **commands, "Words": whole["words"], "Cut": entry.cut or None}


def who(entry: Entry) -> str:
    """The user who made a change, and the host."""
    return f"{entry.who.sudo_user or _user(entry.who.uid)}@{entry.who.host}"


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def changes_table(records: Sequence[dict[str, Any]], width: int | None, trunc: bool = True) -> str:
    """Changes as a table, the newest last."""
    undoes = ((record, f" (of {record['Undoes']})" if record["Undoes"] else "") for record in records)
    told = [{**record, "What": record["What"] + of} for record, of in undoes]
    rows = [[_words(record[field]) for field in CHANGE_FIELDS] for record in told]
    return table([field.upper() for field in CHANGE_FIELDS], rows, width, trunc)


def change_text(entry: Entry) -> str:
    """Everything about a change, for people: who and when, the values that changed, the commands."""
    record = change_record(entry)
    lines = [
        f"change {entry.id}: {record['What']}",
        f"when: {entry.when}, in {entry.seconds:.3f} s",
        f"who: {record['Who']} (uid {entry.who.uid})",
        f"result: {entry.result}",
        *([f"error: {entry.error}"] if entry.error else []),
        *([f"undoes: change {entry.undoes}"] if entry.undoes else []),
        f"networks: {', '.join(entry.networks) or '-'}",
        *([f"too large for the history: {entry.cut}"] if entry.cut else []),
        *(["values:", *_values(entry)] if entry.after else []),
    ]
    for title, commands in (("commands", entry.commands), ("commands of the rollback", entry.undone)):
        if commands:
            lines += [f"{title}:"]
        for argv, stdin in commands:
            lines += [f"  {command_line(argv)}", *(f"    < {line}" for line in stdin.splitlines())]
    return "".join(f"{printable(line)}\n" for line in lines)


def _values(entry: Entry) -> list[str]:
    """What differs between the values before and after a change, one line per field and side."""
    from mydockernet.record.history import entry_to_json

    whole = entry_to_json(entry)
    lines = []
    for name in entry.after:
        before, after = (_fields(whole[side][name]) for side in ("before", "after"))
        differs = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        lines.append(f"  {name}: {'created' if not before else 'removed' if not after else 'changed'}")
        for key in differs:
            for sign, side in (("-", before), ("+", after)):
                if key in side:
                    lines.append(f"    {sign} {key}: {json_text(side[key])}")
    return lines


def _fields(network: dict[str, Any] | None) -> dict[str, Any]:
    """The fields of a network, with each endpoint as a field of its own."""
    if network is None:
        return {}
    endpoints = {f"container {endpoint['name']}": endpoint for endpoint in network["endpoints"]}
    return {**{key: value for key, value in network.items() if key != "endpoints"}, **endpoints}


def json_lines(records: Iterable[dict[str, Any]]) -> str:
    """One JSON object per line."""
    return "".join(json_text(record) + "\n" for record in records)


def json_array(records: Iterable[dict[str, Any]]) -> str:
    """A JSON array, for people and programs."""
    return json_text(list(records), indent=2) + "\n"


def list_table(records: Sequence[dict[str, Any]], width: int | None, trunc: bool = True) -> str:
    """Networks as a table. `width` is that of the terminal, None in a pipe."""
    rows = [[str(record[field]) or "-" for field in LIST_FIELDS] for record in records]
    return table([field.upper() for field in LIST_FIELDS], rows, width, trunc)


def places_table(records: Sequence[dict[str, Any]], width: int | None, trunc: bool = True) -> str:
    """Containers as a table, one line per network that they are on."""
    rows = [[_words(record[field]) for field in PLACE_FIELDS] for record in records]
    return table([field.upper() for field in PLACE_FIELDS], rows, width, trunc)


def inspect_tables(record: dict[str, Any], width: int | None) -> str:
    """A network as tables: its values, what can reach each port of its containers, and its rules.

    A container as tables: one per network.
    """
    if "Networks" in record:
        places = ({"Network": network, **place} for network, place in record["Networks"].items())
        return "\n".join(inspect_tables(place, width) for place in places)
    values = [[key, _words(value)] for key, value in record.items() if key not in ("Rules", "Containers")]
    tables = table(["FIELD", "VALUE"], values, width)
    if record.get("Containers"):
        tables += "\n" + table(["CONTAINER", "ADDRESS", "PORT", "REACHED FROM", "AS"], _reach(record), width)
    if not record.get("Rules"):
        return tables
    if width is None:
        rules = [[_words(rule[key]) for key in RULE_FIELDS[1:]] for rule in record["Rules"]]
        return tables + "\n" + table([field.upper() for field in RULE_FIELDS[1:]], rules, None)
    blocks = [[_rule_block(rule, width - len("│  │"))] for rule in record["Rules"]]
    return tables + "\n" + _boxed([["RULES"], *blocks], width, trunc=False)


def _reach(record: dict[str, Any]) -> list[list[str]]:
    """What can reach the containers of a network, and at which address: one row per container and port."""
    rows = []
    for name, container in record["Containers"].items():
        addresses = ", ".join(container["Addresses"]) or "-"
        if container["State"] == "detached":
            rows.append([name, addresses, "-", "nothing: the container is detached", ""])
            continue
        host = ["the host"] if any(subnet["Gateway"] for subnet in record["Subnets"]) else []
        near = "; ".join([*host, *([f"containers on {record['Name']}"] if record["ICC"] else [])])
        if record["Parent"]:
            near = f"the LAN of {record['Parent']}" + ("; the host" if record["HostAddresses"] else ", not the host")
        rows.append([name, addresses, "every port", near, addresses])
        for mapping in container["Ports"]:
            spec, _, sources = mapping.partition(" from ")
            host, _, port = spec.rpartition(":")
            ip, _, host_port = host.rpartition(":")
            if ip in ("", "0.0.0.0", "[::]"):
                ipv6 = ip == "[::]" or (not ip and any(":" in address for address in container["Addresses"]))
                own = "the host, but not on ::1" if ipv6 else "the host"
                where = f"{sources}; {own}" if sources else f"anywhere: outside, {own}, every container"
                rows.append([name, addresses, port, where, f"{ip or '*'}:{host_port}"])
            elif ip.startswith("127."):
                rows.append([name, addresses, port, "the host", host])
            else:
                where = f"{sources}; the host" if sources else f"anything that reaches {ip}: the host, every container"
                rows.append([name, addresses, port, where, host])
    return rows


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON in which only characters that are not printable are escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_words(item)}" for key, item in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(_words, value)) or "-"
    return "-" if value is None else str(value)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, trunc: bool = False) -> str:
    """A table: with borders in a terminal of this width, plain in a pipe (None)."""
    lines = [headers, *([printable(cell) for cell in row] for row in rows)]
    if width is None or width < _least(lines):
        return _plain(lines)
    return _boxed(lines, width, trunc)


def _least(lines: Sequence[Sequence[str]]) -> int:
    """The width that a table with borders needs at least."""
    columns = list(zip(*lines, strict=True))
    widths = (max(map(len, column)) for column in columns)
    return 1 + sum(3 + (w if c[0] in FIRM else min(w, LEAST)) for c, w in zip(columns, widths, strict=True))


def _plain(lines: Sequence[Sequence[str]]) -> str:
    """Without borders, each record on one line, however long."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "".join(line.rstrip() + "\n" for line in padded)


def _boxed(lines: Sequence[Sequence[str]], width: int, trunc: bool) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.ROUNDED)
    headers, *rows = lines
    for header in headers:
        # A column that may wrap is made narrower, the widest one first.
        drawn.add_column(header, no_wrap=header in FIRM, overflow="fold")
    cut: dict[str, Any] = {"no_wrap": True, "overflow": "ellipsis"} if trunc else {}
    for row in rows:
        drawn.add_row(*(Text(cell, **cut) for cell in row))
    out = StringIO()
    Console(file=out, width=width, force_terminal=True, color_system="auto").print(drawn)
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())
