"""Read the JSON of other programs strictly: every value has its type, or a message says where it has not.

RFC 8259. What Python accepts beyond it, NaN and Infinity, is refused; so are a key that is given twice, and characters
that a terminal or a file name cannot have.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from mydockernet.errors import Invalid, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T")

# More than any engine sends, in bytes and in digits of a number.
SIZE_MAX = 4 * 1024 * 1024
NUMBER_MAX = 2**63 - 1
_NAMES = {str: "a string", int: "a number", bool: "true or false", dict: "an object", list: "an array"}


def parse(raw: bytes, limit: int = SIZE_MAX) -> Fields:
    """Return the object that a document consists of, of at most `limit` bytes. Raises Invalid."""
    value = _load(raw, limit)
    if not isinstance(value, dict):
        raise Invalid("the document is not a JSON object")
    return Fields(value, "", [])


def parse_all(raw: bytes) -> list[Fields]:
    """Return the objects of an array, or the one object that a document consists of. Raises Invalid."""
    value = _load(raw, SIZE_MAX)
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in found):
        raise Invalid("the document is neither a JSON object nor an array of objects")
    return [Fields(each, f"[{n}]" if isinstance(value, list) else "", []) for n, each in enumerate(found)]


def _load(raw: bytes, limit: int) -> Any:
    if len(raw) > limit:
        raise Invalid(f"the document is larger than {limit} bytes")
    try:
        return json.loads(raw.decode(), object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError:
        raise Invalid("the document is not UTF-8") from None
    except RecursionError:
        raise Invalid("the document is nested too deeply") from None
    except ValueError as error:
        raise Invalid(f"the document is not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {quoted(twice)} is given twice")
    return found


def _finite(word: str) -> float:
    number = float(word)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{word} is too large")
    return number


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number")


class Fields:
    """The fields of an object. A field that has another type counts as not given, and is noted in `problems`."""

    def __init__(self, values: dict[str, Any], path: str, problems: list[str]) -> None:
        self.values = values
        self.path = path
        self.problems = problems

    def check(self) -> None:
        """Raise Invalid with all that is wrong with the fields that were read so far, of the whole document."""
        if self.problems:
            raise Invalid(*dict.fromkeys(self.problems))

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def place(self, key: str) -> str:
        """Return the path of a field, as in ipam.ranges[0].subnet."""
        return f"{self.path}.{key}" if self.path else key

    def refuse(self, key: str, why: str) -> None:
        """Note what is wrong with a field."""
        self.problems.append(f"{self.place(key)}: {why}")

    def unknown(self, known: Collection[str]) -> list[str]:
        """Return the keys that are not among the known ones."""
        return [key for key in self.values if key not in known]

    def text(self, key: str, default: str = "") -> str:
        """Return a string. It has no control characters."""
        value = self._typed(key, str)
        return default if value is None else self._clean(key, value)

    def number(self, key: str) -> int | None:
        """Return an integer of at most 63 bits, or None."""
        value = self._typed(key, int)
        if value is not None and abs(value) > NUMBER_MAX:
            self.refuse(key, "the number is too large")
            return None
        return value

    def switch(self, key: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self._typed(key, bool)
        return default if value is None else value

    def fields(self, key: str) -> Fields:
        """Return the fields of an object; none if it is not given."""
        return Fields(self._typed(key, dict) or {}, self.place(key), self.problems)

    def members(self, key: str) -> list[tuple[str, Fields]]:
        """Return the objects of an object, with their keys."""
        outer = self.fields(key)
        return [(outer._clean(name, name), outer.fields(name)) for name in outer.values]

    def texts(self, key: str) -> list[str]:
        """Return an array of strings."""
        return [text for text in self._elements(key, str) if self._clean(key, text) == text]

    def objects(self, key: str) -> list[Fields]:
        """Return an array of objects."""
        inner = self._elements(key, dict)
        return [Fields(value, f"{self.place(key)}[{n}]", self.problems) for n, value in enumerate(inner)]

    def arrays(self, key: str) -> list[list[Fields]]:
        """Return an array of arrays of objects."""
        outer = self._elements(key, list)
        return [
            Fields({f"{key}[{n}]": value}, self.path, self.problems).objects(f"{key}[{n}]")
            for n, value in enumerate(outer)
        ]

    def pairs(self, key: str) -> list[tuple[str, str]]:
        """Return an object of strings as pairs."""
        inner = self.fields(key)
        return [(inner._clean(name, name), inner.text(name)) for name in inner.values]

    def _elements(self, key: str, kind: type[T]) -> Iterable[T]:
        for n, value in enumerate(self._typed(key, list) or ()):
            if type(value) is kind:
                yield value
            else:
                self.refuse(f"{key}[{n}]", f"it must be {_NAMES[kind]}")

    def _typed(self, key: str, kind: type[T]) -> T | None:
        """Return a value of a type, or None. JSON's null is the same as no value."""
        value = self.values.get(key)
        if value is None:
            return None
        if type(value) is kind:
            return value
        self.refuse(key, f"it must be {_NAMES[kind]}")
        return None

    def _clean(self, key: str, text: str) -> str:
        """Return a text, or an empty one if it has control characters or halves of surrogate pairs."""
        if text.isprintable():
            return text
        self.refuse(key.encode("unicode_escape").decode(), "it has characters that cannot be printed")
        return ""
