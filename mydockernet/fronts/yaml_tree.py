"""YAML text → nodes that know their place. Only this module imports yaml.

It is strict: a key that is given twice is an error, as are tags, and whatever has no one meaning. Scalars are read as
YAML 1.2 has them (its core schema, as in compose): `no` and `22:22` are texts, and 010 is ten. JSON is the same tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mydockernet.errors import Invalid, printable, quoted
from mydockernet.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# More than a file for hundreds of networks needs: in characters; in nodes, once all aliases are followed; in depth.
SIZE_MAX = 8 * 1024 * 1024
NODES_MAX = 500_000
DEPTH_MAX = 50
# Characters of a text that count as another node: each alias to it may replace its variables anew.
WEIGHED = 100
STDIN = "-"

TEXT, MAP, LIST = "text", "map", "list"
_NULL = re.compile("null|Null|NULL|~|")
_SWITCH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER = re.compile(r"[-+]?[0-9]+")
_MERGE = "<<"
# Tags that say what a node is anyway, and how a text is marked as one.
_USUAL = {TEXT: ("!", "tag:yaml.org,2002:str"), MAP: ("tag:yaml.org,2002:map",), LIST: ("tag:yaml.org,2002:seq",)}


class Node(Value):
    """A node of a document: `kind` is TEXT, MAP or LIST, and `at` its place, FILE:LINE:COLUMN, both from 1.

    A scalar is a `text` as it is written; only a `plain` one can mean null, a number, true or false. A map has
    `entries`, pairs of nodes; a list has `items`. `weight` is the number of nodes, with those behind aliases; a long
    text counts as several.
    """

    kind: str
    at: str
    text: str = ""
    plain: bool = False
    entries: tuple[tuple[Node, Node], ...] = ()
    items: tuple[Node, ...] = ()
    weight: int = 1

    @property
    def null(self) -> bool:
        """Whether it says that there is nothing, as the value of `front:` does."""
        return self.plain and _NULL.fullmatch(self.text) is not None

    @property
    def switch(self) -> bool | None:
        """True or false; None if it is neither."""
        return _SWITCH.get(self.text) if self.plain else None

    @property
    def number(self) -> int | None:
        """A decimal integer; None if it is none. `"10"` is a text in YAML, but compose's numbers may be texts."""
        return int(self.text) if self.kind == TEXT and _NUMBER.fullmatch(self.text) and len(self.text) < 20 else None


def read(file: str, text: str) -> Node:
    """Return the one document of a file; `file` is its name for messages, or STDIN. Raises Invalid."""
    name = shown(file)
    if len(text) > SIZE_MAX:
        raise too_large(file)
    return _Composer(name).document(text.removeprefix("\ufeff"))


def too_large(file: str) -> Invalid:
    """Return the error for a file that is larger than SIZE_MAX."""
    return Invalid(f"{shown(file)}: the file is larger than {SIZE_MAX // 1024 // 1024} MiB")


def shown(file: str) -> str:
    """Return the name of a file as messages have it."""
    return "stdin" if file == STDIN else printable(file)


class _Open:
    """A list or a map while its children arrive."""

    def __init__(self, kind: str, at: str, anchor: str | None) -> None:
        self.kind = kind
        self.at = at
        self.anchor = anchor
        self.children: list[Node] = []


class _Composer:
    """Composes nodes from the events of the parser. It keeps a stack, so that no document is nested too deeply for it.

    The events are those of YAML 1.2.2, section 3.1: https://yaml.org/spec/1.2.2/.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.anchors: dict[str, Node] = {}
        self.stack: list[_Open] = []
        self.documents: list[Node] = []
        self.problems: list[str] = []

    def document(self, text: str) -> Node:
        """Return the one document of a text."""
        for event in self._events(text):
            self._take(event)
        if self.problems:
            raise Invalid(*self.problems)
        if not self.documents:
            raise Invalid(f"{self.file}:1:1: the file is empty")
        return self.documents[0]

    def _events(self, text: str) -> Iterator[Any]:
        import yaml

        try:
            yield from yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            context = f"{error.context}: " if error.context else ""
            raise Invalid(f"{self._at(mark)}: invalid YAML: {context}{error.problem}") from None
        except yaml.reader.ReaderError as error:
            before = text[: error.position] if isinstance(error.position, int) else ""
            at = f"{self.file}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
            raise Invalid(f"{at}: invalid YAML: {error.reason}") from None

    def _at(self, mark: Any) -> str:
        return f"{self.file}:{mark.line + 1}:{mark.column + 1}"

    def _take(self, event: Any) -> None:
        kind = type(event).__name__
        at = self._at(event.start_mark)
        if kind == "ScalarEvent":
            self._tag(event.tag, TEXT, at)
            plain = not event.style and event.tag is None
            self._put(Node(TEXT, at, event.value, plain, weight=1 + len(event.value) // WEIGHED), event.anchor)
        elif kind in ("SequenceStartEvent", "MappingStartEvent"):
            opened = _Open(LIST if kind == "SequenceStartEvent" else MAP, at, event.anchor)
            self._tag(event.tag, opened.kind, at)
            self.stack.append(opened)
            if len(self.stack) > DEPTH_MAX:
                raise Invalid(f"{at}: it is nested more than {DEPTH_MAX} levels deep")
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            done = self.stack.pop()
            self._put(self._closed(done), done.anchor)
        elif kind == "AliasEvent":
            if any(opened.anchor == event.anchor for opened in self.stack):
                raise Invalid(f"{at}: the alias *{event.anchor} stands within what it means")
            if event.anchor not in self.anchors:
                raise Invalid(f"{at}: there is no anchor &{event.anchor} before this alias")
            self._put(self.anchors[event.anchor], None)
        elif kind == "DocumentStartEvent" and self.documents:
            raise Invalid(f"{at}: a second document begins here: use a file for each")

    def _tag(self, tag: str | None, kind: str, at: str) -> None:
        if tag is not None and tag not in _USUAL[kind]:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            raise Invalid(f"{at}: the tag {quoted(shown)} is not supported: leave it out")

    def _put(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = node
        if self.stack:
            self.stack[-1].children.append(node)
        else:
            self.documents.append(node)

    def _closed(self, opened: _Open) -> Node:
        """Return the finished node of a list or a map."""
        children = opened.children
        weight = 1 + sum(child.weight for child in children)
        if weight > NODES_MAX:
            raise Invalid(f"{opened.at}: with its aliases, it has more than {NODES_MAX} nodes")
        if opened.kind == LIST:
            return Node(LIST, opened.at, items=tuple(children), weight=weight)
        own: dict[str, tuple[Node, Node]] = {}
        merged: dict[str, tuple[Node, Node]] = {}
        for key, value in zip(children[::2], children[1::2], strict=True):
            if key.kind != TEXT:
                raise Invalid(f"{key.at}: a key must be a text, not a {key.kind}")
            if key.plain and key.text == _MERGE:
                for entry in self._merged(value):
                    merged.setdefault(entry[0].text, entry)
                continue
            if key.text in own:
                first = own[key.text][0].at
                self.problems.append(f"{key.at}: the key {quoted(key.text)} is given twice, first at {first}")
                continue
            own[key.text] = (key, value)
        entries = {**merged, **own}
        return Node(MAP, opened.at, entries=tuple(entries.values()), weight=weight)

    def _merged(self, value: Node) -> Iterator[tuple[Node, Node]]:
        """Yield the entries that `<<` adds to a map: those of one map, or of a list of maps, of which the first wins.

        https://yaml.org/type/merge.html
        """
        for some in value.items if value.kind == LIST else (value,):
            if some.kind != MAP:
                raise Invalid(f"{some.at}: {_MERGE} takes a map, or a list of maps")
            yield from some.entries
