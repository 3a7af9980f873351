"""The JSON schema of files for `apply`, for editors: made from the table of keys that the reader uses. Pure.

https://json-schema.org/draft-07
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from mydockernet.fronts import compose, manifest_keys
from mydockernet.fronts.manifest_keys import (
    MAP,
    MAPS,
    NAMED,
    NUMBER,
    PAIRS,
    PORTS,
    REFERENCES,
    SWITCH,
    TEXT,
    TEXTS,
    Key,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SCALAR: dict[str, Any] = {"type": ["string", "number"]}
_EXTENSION: dict[str, Any] = {"^x-": {}}


def text() -> str:
    """Return the schema as JSON."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def schema() -> Mapping[str, Any]:
    """Return the schema as JSON values."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A file for mydockernet apply",
        "description": "Networks, and the containers on them, in the words of compose files",
        **_map(manifest_keys.TOP, {"services": _services()}),
    }


def _map(keys: Iterable[Key], more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the schema of a map with some keys; `more` has the schemas of those that are not made from the table."""
    known = {key.name: _described(key) for key in keys if not key.refused}
    properties = {**known, **(more or {})}
    return {"type": ["object", "null"], "properties": properties, "patternProperties": _EXTENSION} | {
        "additionalProperties": False
    }


def _described(key: Key) -> dict[str, Any]:
    option = f" ({key.option})" if key.option.startswith("--") else ""
    return {"description": f"{key.help}{option}", **_value(key)}


def _value(key: Key) -> dict[str, Any]:
    """Return the schema of what a key takes."""
    inner = _map(key.keys)
    if not key.keys and key.takes == MAP:
        return {}
    made: dict[str, dict[str, Any]] = {
        TEXT: {"enum": list(key.values)} if key.values else _SCALAR,
        NUMBER: {"type": ["integer", "string"], "pattern": "^[-+]?[0-9]+$"},
        SWITCH: {"type": "boolean"},
        TEXTS: {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]},
        PAIRS: {
            "anyOf": [
                {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}},
                {"type": "array", "items": _SCALAR},
            ]
        },
        MAP: inner,
        MAPS: {"type": "array", "items": inner},
        NAMED: {"type": ["object", "null"], "additionalProperties": inner},
        REFERENCES: {
            "anyOf": [{"type": "array", "items": _SCALAR}, {"type": "object", "additionalProperties": inner}],
        },
        PORTS: {"type": "array", "items": {"anyOf": [_SCALAR, inner]}},
    }
    return made[key.takes]


def _services() -> dict[str, Any]:
    """Return the schema of the services of a compose file: of most of their keys, it only has the names."""
    service = _map(compose.SERVICE, {name: {} for name in compose.IGNORED})
    what = "Services of a compose file, which become containers"
    return {"description": what, "type": ["object", "null"], "additionalProperties": service}
