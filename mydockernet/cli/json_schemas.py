"""The JSON schemas of what is printed with --format json, from one table. Nothing imports it at run time. Pure.

scripts/generate writes them into contrib/schemas; the tests validate with them all JSON that any test prints. A field
that is removed, or that means something else, makes a new version; a new field does not.

https://json-schema.org/draft-07
"""

from __future__ import annotations

import json
from typing import Any

from mydockernet.packets.hops import PASSES, STOPS, UNSURE
from mydockernet.record import history
from mydockernet.reports import topology
from mydockernet.reports.doctor import NOTICE, PROBLEM
from mydockernet.validation import DRIVERS, FIREWALLS, GATEWAY_MODES, ISOLATED

VERSION = 1

Schema = dict[str, Any]


def _one_of(*words: str | None) -> Schema:
    return {"enum": list(words)}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _map(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


def _pair(schema: Schema) -> Schema:
    return {"type": "array", "items": schema, "minItems": 2, "maxItems": 2}


def _record(fields: Schema, optional: Schema | None = None) -> Schema:
    """Return the schema of an object with these fields, and perhaps with those that are optional."""
    properties = {**fields, **(optional or {})}
    return {"type": "object", "properties": properties, "required": list(fields), "additionalProperties": False}


TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "number", "minimum": 0}
SWITCH: Schema = {"type": "boolean"}
TEXTS, LABELS = _list(TEXT), _map(TEXT)
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
MAYBE_NUMBER: Schema = {"type": ["integer", "null"]}
WHEN: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}

DRIVER, FIREWALL = _one_of(*DRIVERS), _one_of(*FIREWALLS, None)
STATE = _one_of("up", "down", "missing", "drifted")
COUNTED = ("Bytes", "Packets", "Dropped")
NODE = _one_of(topology.OUTSIDE, topology.NETWORK, topology.CONTAINER, topology.PORT)
MARK = _one_of(topology.DETACHED, topology.INTERNAL, topology.LOOPBACK)
EDGE = _one_of(topology.ATTACHED, topology.LEAVES, topology.LAN, topology.PUBLISHED, topology.REACHES, topology.SAME)
PROTOCOL = _one_of("tcp", "udp", "sctp")

LINK = _record(
    {
        "Name": TEXT,
        "Up": SWITCH,
        "MTU": COUNT,
        "MAC": TEXT,
        "Group": TEXT,
        "Alias": TEXT,
        "Addresses": TEXTS,
    }
)
# A container on one of its networks; `ps` adds the network, `inspect` the interface as it is.
ENDPOINT: Schema = {
    "Name": TEXT,
    "Addresses": TEXTS,
    "MAC": MAYBE_TEXT,
    "Interface": TEXT,
    "HostInterface": MAYBE_TEXT,
    "Namespace": TEXT,
    "Pid": MAYBE_NUMBER,
    "State": _one_of("up", "drifted", "detached", "gone"),
    "DefaultRoute": SWITCH,
    "GwPriority": NUMBER,
    "Ports": TEXTS,
    "Aliases": TEXTS,
    "DNS": TEXTS,
    "Hostname": TEXT,
    "IngressRate": MAYBE_TEXT,
    "EgressRate": MAYBE_TEXT,
    "Engine": TEXT,
    "Id": TEXT,
    "Labels": LABELS,
}
INSPECTED = _record({**ENDPOINT, "Link": _or_null(LINK)})
RULE = _record(
    {
        "Owner": TEXT,
        "Program": TEXT,
        "Table": TEXT,
        "Chain": TEXT,
        "Number": MAYBE_NUMBER,
        "Packets": MAYBE_NUMBER,
        "Bytes": MAYBE_NUMBER,
        "Rule": TEXT,
        "Why": TEXT,
    }
)
NETWORK = _record(
    {
        "Name": TEXT,
        "Driver": DRIVER,
        "State": STATE,
        "Bridge": MAYBE_TEXT,
        "Parent": MAYBE_TEXT,
        "Mode": MAYBE_TEXT,
        "HostAddresses": TEXTS,
        "Subnets": _list(_record({"Subnet": TEXT, "Gateway": MAYBE_TEXT, "IPRanges": TEXTS, "Reserved": LABELS})),
        "Internal": SWITCH,
        "Firewall": FIREWALL,
        "ICC": SWITCH,
        "Masquerade": SWITCH,
        "Masquerade6": SWITCH,
        "GatewayMode": _one_of(*GATEWAY_MODES, ISOLATED),
        "GatewayMode6": _one_of(*GATEWAY_MODES),
        "MTU": MAYBE_NUMBER,
        "Routes": TEXTS,
        "Metric": MAYBE_NUMBER,
        "DNS": TEXTS,
        "DHCP": TEXTS,
        "UserRules": _list(TEXTS),
        "Engine": TEXT,
        "Labels": LABELS,
        "Containers": _map(INSPECTED),
        "Link": _or_null(LINK),
        "Rules": _list(RULE),
    }
)
CHANGE: Schema = {
    "Id": COUNT,
    "When": WHEN,
    "Who": TEXT,
    "What": TEXT,
    "Result": _one_of(history.DONE, history.ROLLED_BACK, history.FAILED, history.RECOVERED, history.UNCONFIRMED),
    "Networks": TEXTS,
    "Seconds": SECONDS,
    "Error": TEXT,
    "Undoes": MAYBE_NUMBER,
    "Uid": COUNT,
    "SudoUser": TEXT,
    "Host": TEXT,
}

# Networks as the record has them (record/network_json.py): fields that were not asked for are left out.
LIMIT = _record({"rate": COUNT, "burst": COUNT})
STORED_ENDPOINT = _record(
    {
        "name": TEXT,
        "namespace": _record({"path": TEXT, "inode": TEXT, "pid": MAYBE_NUMBER, "started": MAYBE_NUMBER}),
        "addresses": TEXTS,
        "mac": TEXT,
        "interface": TEXT,
        "veth": TEXT,
        "order": NUMBER,
        "default_route": SWITCH,
        "ports": _list(
            _record(
                {
                    "host_ip": MAYBE_TEXT,
                    "host_ports": _pair(COUNT),
                    "container_ports": _pair(COUNT),
                    "protocol": PROTOCOL,
                    "from": TEXTS,
                }
            )
        ),
        "labels": LABELS,
    },
    {
        "index": COUNT,
        "gw_priority": NUMBER,
        "aliases": TEXTS,
        "dns": TEXTS,
        "hostname": TEXT,
        "engine": TEXT,
        "id": TEXT,
        "ingress": LIMIT,
        "egress": LIMIT,
    },
)
STORED = _record(
    {
        "name": TEXT,
        "driver": DRIVER,
        "bridge": TEXT,
        "subnets": _list(
            _record(
                {
                    "subnet": TEXT,
                    "gateway": MAYBE_TEXT,
                    "ranges": _list(_pair(TEXT)),
                    "reserved": _list(_record({"name": TEXT, "address": TEXT})),
                    "last": MAYBE_TEXT,
                }
            )
        ),
        "internal": SWITCH,
        "icc": SWITCH,
        "masquerade": SWITCH,
        "masquerade6": SWITCH,
        "gateway_mode": _one_of(*GATEWAY_MODES),
        "gateway_mode6": _one_of(*GATEWAY_MODES),
        "mtu": MAYBE_NUMBER,
        "labels": LABELS,
        "endpoints": _list(STORED_ENDPOINT),
        "realm": TEXT,
        "port_security": SWITCH,
        "mac": MAYBE_TEXT,
    },
    {
        "parent": TEXT,
        "mode": TEXT,
        "host_interface": TEXT,
        "host_addresses": TEXTS,
        "routes": _list(_record({"destination": TEXT, "gateway": MAYBE_TEXT, "kind": TEXT, "metric": MAYBE_NUMBER})),
        "metric": NUMBER,
        "dns": TEXTS,
        "no_default_route": SWITCH,
        "engine": TEXT,
        "user_rules": _list(TEXTS),
        "firewall": _one_of(*FIREWALLS),
        "resolver": TEXT,
        "dhcp": _list(_pair(TEXT)),
    },
)
SIDE = _map(_or_null(STORED))
COMMANDS = _list(_record({"argv": TEXTS}, {"stdin": TEXT}))

# By name: what is printed, and its schema. Where it prints one object per line, the schema is that of a line.
SCHEMAS: dict[str, tuple[str, Schema]] = {
    "list": (
        "A line of mydockernet list --format json",
        _record(
            {
                "Name": TEXT,
                "Subnet": TEXT,
                "Gateway": TEXT,
                "Driver": DRIVER,
                "Containers": COUNT,
                "State": STATE,
                "Bridge": MAYBE_TEXT,
                "Internal": SWITCH,
                "Firewall": FIREWALL,
                "Labels": LABELS,
            }
        ),
    ),
    "ps": ("A line of mydockernet ps --format json", _record({**ENDPOINT, "Network": TEXT})),
    "inspect": (
        "The output of mydockernet inspect: networks and containers, in the order of the command line",
        _list({"anyOf": [NETWORK, _record({"Name": TEXT, "Networks": _map(INSPECTED)})]}),
    ),
    "rules": ("A line of mydockernet rules --format json", RULE),
    "check": (
        "A line of mydockernet check --format json",
        _record(
            {
                "Network": TEXT,
                "State": _one_of("missing", "misplaced", "left over", "unfinished", "gone", "detached", "blocked"),
                "What": TEXT,
            }
        ),
    ),
    "history": ("A line of mydockernet history --format json", _record(CHANGE)),
    "history-show": (
        "The line of mydockernet history show ID --format json",
        _record(
            {
                **CHANGE,
                "Before": SIDE,
                "After": SIDE,
                "Commands": COMMANDS,
                "RollbackCommands": COMMANDS,
                "Words": TEXTS,
                "Cut": MAYBE_TEXT,
            }
        ),
    ),
    "stats": (
        "A line of mydockernet stats --format json: a container or, without one, a network; rates in bits per second",
        _record(
            {
                "Name": TEXT,
                "Network": TEXT,
                "Container": MAYBE_TEXT,
                "Interface": MAYBE_TEXT,
                **{f"{side}{what}": _or_null(COUNT) for side in ("Received", "Sent") for what in COUNTED},
                "ReceiveRate": _or_null(COUNT),
                "SendRate": _or_null(COUNT),
                "Note": MAYBE_TEXT,
            }
        ),
    ),
    "events": (
        "A line of mydockernet events --format json",
        _record({"When": WHEN, "Networks": TEXTS, "Who": MAYBE_TEXT, "What": TEXT}),
    ),
    "topology": (
        "The line of mydockernet topology --format json: nodes, and edges between their IDs",
        _record(
            {
                "Nodes": _list(_record({"Id": TEXT, "Kind": NODE, "Text": TEXTS, "Marks": _list(MARK)})),
                "Edges": _list(_record({"From": TEXT, "To": TEXT, "Kind": EDGE, "Text": TEXT})),
            }
        ),
    ),
    "explain": (
        "A line of mydockernet explain --format json: a hop of the packet",
        _record({"State": _one_of(PASSES, STOPS, UNSURE), "What": TEXT, "Why": TEXT, "Fix": TEXT}),
    ),
    "doctor": (
        "A line of mydockernet doctor --format json",
        _record({"Kind": _one_of(PROBLEM, NOTICE), "What": TEXT, "Evidence": TEXT, "Fix": TEXT}),
    ),
    "dry-run": (
        "The output of a verb with --dry-run --format json",
        _list(_record({"why": TEXT, "argv": TEXTS}, {"stdin": TEXT, "optional": SWITCH})),
    ),
    "plan": (
        "A file that --save-plan writes and apply-plan reads",
        _record(
            {
                "version": NUMBER,
                "words": TEXTS,
                "when": WHEN,
                "who": _record({"uid": COUNT, "sudo_user": TEXT, "host": TEXT}),
                "state_dir": TEXT,
                "mends": _or_null(TEXTS),
                "commands": _list(_record({"command": TEXT, "why": TEXT}, {"stdin": TEXT})),
                "before": SIDE,
                "after": SIDE,
                "record": _map(DIGEST),
            }
        ),
    ),
}


def schema(name: str) -> Schema:
    """Return a schema as JSON values. Raises KeyError."""
    title, values = SCHEMAS[name]
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "$id": f"urn:mydockernet:{name}:{VERSION}"}
    return {**head, "title": title, **values}


def text(name: str) -> str:
    """Return a schema as JSON. Raises KeyError."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"
