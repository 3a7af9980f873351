"""Values: what a class holds is fixed when it is made, and two that hold the same are equal.

They are what `dataclasses` makes of a class with `frozen=True`. That takes 0.5 ms a class each time the program starts,
as it writes and compiles methods for each one; these share theirs. Type checkers know both kinds (PEP 681).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

# A type checker takes this for true; at run time nothing needs typing, which takes 3 ms to load.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, dataclass_transform

    T = TypeVar("T")
    V = TypeVar("V", bound="Value")
else:

    def dataclass_transform(**_: object) -> Callable:
        """Do nothing: it speaks to type checkers alone."""
        return lambda cls: cls


EMPTY: "Mapping[Any, Any]" = MappingProxyType({})
_MISSING = object()


class _Field:
    """The default of a field that is given by its name alone."""

    def __init__(self, default: object) -> None:
        self.default = default


def field(*, default: "T", kw_only: bool) -> "T":
    """Declare a field that is given by name alone (`kw_only`), so that subclasses may add others by position."""
    return _Field(default)  # type: ignore[return-value]


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Value:
    """A class whose annotations are its fields; `__post_init__` may check them. Raises TypeError for wrong ones."""

    __slots__ = ("__dict__", "_hash")

    _fields: "dict[str, object]" = {}
    _positions: "tuple[str, ...]" = ()
    _hash: int

    def __init_subclass__(cls, **more: object) -> None:
        super().__init_subclass__(**more)
        own = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 (inspect takes 6 ms to load)
        fields, named = dict(cls._fields), {*cls._fields} - {*cls._positions}
        for name in own:
            default = cls.__dict__.get(name, _MISSING)
            if isinstance(default, _Field):
                named.add(name)
                default = default.default
                setattr(cls, name, default)
            fields[name] = default
        cls._fields = fields
        cls._positions = tuple(name for name in fields if name not in named)

    def __init__(self, *values: object, **by_name: object) -> None:
        fields, positions, held = self._fields, self._positions, self.__dict__
        for name, default in fields.items():
            if default is not _MISSING:
                held[name] = default
        if len(values) > len(positions):
            raise TypeError(f"{type(self).__name__} takes {len(positions)} values, not {len(values)}")
        held.update(zip(positions, values, strict=False))
        for name in by_name:
            if name not in fields or name in positions[: len(values)]:
                raise TypeError(f"{type(self).__name__} has no field {name!r}, or it is given twice")
        held.update(by_name)
        if len(held) < len(fields):
            raise TypeError(f"{type(self).__name__} lacks {', '.join(name for name in fields if name not in held)}")
        self.__post_init__()

    def __post_init__(self) -> None:
        """Check the values. Raises what the class says."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is a value: {name} can't be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is a value: {name} can't be deleted")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            object.__setattr__(self, "_hash", hash(tuple([self.__dict__[name] for name in self._fields])))
            return self._hash

    def __repr__(self) -> str:
        held = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self._fields)
        return f"{type(self).__name__}({held})"


def replace(value: "V", **changes: "Any") -> "V":
    """The same value, but for these fields; checked like a new one. Raises TypeError, and what its class raises."""
    return type(value)(**{**value.__dict__, **changes})
