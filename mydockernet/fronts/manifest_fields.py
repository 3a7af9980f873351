"""Read the nodes of a file strictly: every value has its type, or a message says where it has not.

A message is FILE:LINE:COLUMN: KEY: what is wrong. All of them are collected. Keys that begin with x- are left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from mydockernet.errors import printable, quoted
from mydockernet.fronts.manifest_keys import ELSEWHERE, Key
from mydockernet.fronts.yaml_tree import LIST, MAP, TEXT, Node
from mydockernet.value import Value

_ARTICLES = {TEXT: "a single value", MAP: "a map", LIST: "a list"}
EXTENSION = "x-"
# So many known keys are listed in a message, if none of them resembles the unknown one.
LISTED = 40


class Word(Value):
    """A text from a file, and where it stands: `at` is FILE:LINE:COLUMN, `path` the key."""

    text: str
    at: str
    path: str

    @property
    def place(self) -> str:
        """Return FILE:LINE:COLUMN: KEY, as a message begins."""
        return f"{self.at}: {self.path}"


class Section:
    """A map in a file. A value of another type than its key takes counts as not given, and is noted in `problems`.

    Keys that begin with x- are left out, unless the keys are `names`.
    """

    def __init__(self, node: Node, path: str, at: str, problems: list[str], names: bool = False) -> None:
        self.node = node
        self.path = path
        self.at = at
        self.problems = problems
        self.keys: dict[str, Node] = {}
        self.values: dict[str, Node] = {}
        if node.kind == MAP:
            for key, value in node.entries:
                if names or not key.text.startswith(EXTENSION):
                    self.keys[key.text] = key
                    self.values[key.text] = value
        elif not node.null:
            self.say(node.at, path, f"it must be a map, not {_shown(node)}")

    def __contains__(self, key: str) -> bool:
        """Whether a key is given. One without a value is not."""
        return key in self.values and not self.values[key].null

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    @property
    def place(self) -> str:
        """Return FILE:LINE:COLUMN: KEY of the map itself."""
        return f"{self.at}: {self.path}"

    def path_of(self, key: str) -> str:
        """Return the whole path of a key, as in networks.front.ipam."""
        return f"{self.path}.{printable(key)}" if self.path else printable(key)

    def at_of(self, key: str) -> str:
        """Return the place of the value of a key; that of the map if it has no such key."""
        if key not in self.values:
            return self.at
        return self.keys[key].at if self.values[key].null else self.values[key].at

    def say(self, at: str, path: str, why: str) -> None:
        """Note a problem at any place."""
        self.problems.append(f"{at}: {path}: {why}" if path else f"{at}: {why}")

    def refuse(self, key: str, why: str) -> None:
        """Note what is wrong with the value of a key, or that it lacks."""
        self.say(self.at_of(key), self.path_of(key), why)

    def refuse_key(self, key: str, why: str) -> None:
        """Note what is wrong with a key itself."""
        self.say(self.keys[key].at, self.path_of(key), why)

    def refuse_unknown(self, known: Iterable[Key]) -> None:
        """Note the keys that are not among the known ones, each with the nearest that is, and those not supported."""
        by_name = {key.name: key for key in known}
        for key in self.values:
            if key not in by_name:
                self.refuse_key(key, f"unknown key{near(key, by_name)}")
            elif by_name[key].refused and key in self:
                self.refuse_key(key, f"not supported: {by_name[key].refused}")

    def word(self, key: str) -> Word | None:
        """Return a text and its place, or None. A number is a text as well; null, true and false are not."""
        if key not in self:
            return None
        found = self._texts(key, [(self.values[key], self.path_of(key))])
        return found[0] if found else None

    def text(self, key: str) -> str:
        """Return a text; empty if there is none."""
        found = self.word(key)
        return found.text if found else ""

    def words(self, key: str) -> list[Word]:
        """Return a list of texts; a single one is a list of itself."""
        if key not in self:
            return []
        node, path = self.values[key], self.path_of(key)
        if node.kind != LIST:
            return self._texts(key, [(node, path)], "a text, or a list of them")
        return self._texts(key, [(item, f"{path}[{n}]") for n, item in enumerate(node.items)])

    def number(self, key: str) -> Word | None:
        """Return an integer, as a text with its place, or None."""
        found = self.word(key)
        if found is None or self.values[key].number is not None:
            return found
        self.refuse(key, f"it must be a number, not {quoted(found.text)}")
        return None

    def switch(self, key: str) -> bool | None:
        """Return true or false; None if it is not given."""
        if key not in self:
            return None
        node = self.values[key]
        # compose takes texts, too, as a variable may be one.
        found = node.switch if node.plain else {"true": True, "false": False}.get(node.text)
        if node.kind != TEXT or found is None:
            self.refuse(key, f"it must be true or false, not {_shown(node)}")
        return found

    def pairs(self, key: str) -> list[tuple[str, Word]]:
        """Return a map of texts, or a list of KEY=VALUE, as pairs. Numbers, true and false count as written."""
        if key not in self:
            return []
        node, path, found = self.values[key], self.path_of(key), []
        if node.kind == LIST:
            for word in self.words(key):
                name, _, rest = word.text.partition("=")
                found.append((name, Word(rest, word.at, word.path)))
        elif node.kind == MAP:
            for entry, value in node.entries:
                inner = f"{path}.{printable(entry.text)}"
                if value.kind != TEXT:
                    self.say(value.at, inner, f"it must be {_ARTICLES[TEXT]}, not {_shown(value)}")
                else:
                    found.append((entry.text, Word("" if value.null else value.text, value.at, inner)))
        else:
            self.refuse(key, f"it must be a map, or a list of KEY=VALUE, not {_shown(node)}")
        return found

    def section(self, key: str, names: bool = False) -> Section:
        """Return a map within this one; an empty one if it is not given."""
        node = self.values.get(key) or Node(MAP, self.at)
        at = self.keys[key].at if key in self.keys else self.at
        return Section(node, self.path_of(key), at, self.problems, names)

    def sections(self, key: str) -> list[Section]:
        """Return a list of maps."""
        if key not in self:
            return []
        node, path = self.values[key], self.path_of(key)
        if node.kind != LIST:
            self.refuse(key, f"it must be a list, not {_shown(node)}")
        return [Section(item, f"{path}[{n}]", item.at, self.problems) for n, item in enumerate(node.items)]

    def members(self) -> Iterator[tuple[str, Section]]:
        """Yield the maps in this one by their keys."""
        return ((key, self.section(key)) for key in self.values)

    def _texts(self, key: str, nodes: Iterable[tuple[Node, str]], wanted: str = "a text") -> list[Word]:
        found = []
        for node, path in nodes:
            if node.kind != TEXT:
                self.say(node.at, path, f"it must be {wanted}, not {_shown(node)}")
            elif node.null or node.switch is not None:
                self.say(node.at, path, f"it must be {wanted}: put {node.text or 'it'} in quotes if it is one")
            else:
                found.append(Word(node.text, node.at, path))
        return found


def near(key: str, known: Collection[str]) -> str:
    """Return the known key that resembles one, as the end of a message; all of them if none does."""
    import difflib  # Only for an error.

    plain = key.lower().replace("-", "_")
    elsewhere = ELSEWHERE.get(plain, "")
    outer = elsewhere.partition(".")[0].partition(":")[0]
    like = [elsewhere] if outer in known else difflib.get_close_matches(plain, known, n=1, cutoff=0.7)
    if not like and len(known) > LISTED:
        return ""
    return f" (did you mean {like[0]}?)" if like else f" (known: {', '.join(known)})"


def _shown(node: Node) -> str:
    if node.kind != TEXT:
        return _ARTICLES[node.kind]
    return "nothing" if node.null else quoted(node.text if len(node.text) <= 60 else f"{node.text[:60]}…")
