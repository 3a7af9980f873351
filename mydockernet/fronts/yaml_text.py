"""Write maps, lists and scalars as YAML that a person would write; any YAML parser reads the same. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    # A map, a list, or a scalar.
    Tree = Mapping[str, "Tree"] | list["Tree"] | str | int | bool

WIDTH = 100
# From this depth on, what contains no other maps stands on one line, if it fits.
INLINE = 3
# Texts that need no quotes in YAML 1.1 and 1.2, in flow and in block style: words, names, paths, addresses, subnets.
_WORD = re.compile(r"[A-Za-z/](?:[A-Za-z0-9_./@+-]|:(?=[A-Za-z0-9:/]))*(?<![:])", re.ASCII)
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2}|-\d{1,3}(?:\.\d{1,3}){3})?", re.ASCII)
_NOT_TEXTS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def write(tree: Mapping[str, Tree]) -> str:
    """Return a document. A map that is empty has no value, as in `front:`."""
    return "".join(f"{line}\n" for line in _map(tree, 0))


def write_json(tree: Mapping[str, Tree]) -> str:
    """Return the same document as JSON."""
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def _map(tree: Mapping[str, Tree], depth: int) -> Iterator[str]:
    for key, value in tree.items():
        name = f"{_scalar(key)}:"
        if value == {} and isinstance(value, Mapping):
            yield name
        elif not isinstance(value, Mapping | list):
            yield f"{name} {_scalar(value)}"
        elif (line := f"{name} {_flow(value)}") and _stands_on_one_line(value, depth, line):
            yield line
        else:
            yield name
            inner = _list(value, depth + 1) if isinstance(value, list) else _map(value, depth + 1)
            yield from (f"  {line}" for line in inner)


def _list(items: list[Tree], depth: int) -> Iterator[str]:
    for item in items:
        if isinstance(item, Mapping):
            first, *rest = _map(item, depth + 1)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
        else:
            yield f"- {_flow(item)}"


def _stands_on_one_line(value: Tree, depth: int, line: str) -> bool:
    """Whether a list or a map stands on one line: it has no maps, and a map is not that of a network or a container."""
    shallow = isinstance(value, Mapping) and depth < INLINE - 1
    return not shallow and not any(map(_has_map, _children(value))) and len(line) + 2 * depth <= WIDTH


def _has_map(value: Tree) -> bool:
    return isinstance(value, Mapping) or any(map(_has_map, _children(value)))


def _children(value: Tree) -> list[Tree]:
    return value if isinstance(value, list) else [*value.values()] if isinstance(value, Mapping) else []


def _flow(value: Tree) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if (_WORD.fullmatch(value) and value.lower() not in _NOT_TEXTS) or _ADDRESS.fullmatch(value):
        return value
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    """Return a character as it stands in double quotes (YAML 1.2.2, section 5.7)."""
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable() and character != "\ufeff":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
