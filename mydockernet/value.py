"""Immutable values: their fields are set at construction, and values with equal fields are equal.

They behave like frozen dataclasses. `dataclasses` takes 0.5 ms per class at each start, because it generates and
compiles methods for each class; the classes here share their methods. Type checkers understand both kinds (PEP 681).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

# Type checkers treat this as true. At run time nothing needs typing, which takes 3 ms to load.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, dataclass_transform

    T = TypeVar("T")
    V = TypeVar("V", bound="Value")
else:

    def dataclass_transform(**_: object) -> Callable:
        """Return the class unchanged: only type checkers use this decorator."""
        return lambda cls: cls


EMPTY: "Mapping[Any, Any]" = MappingProxyType({})
_MISSING = object()


class _Field:
    """The default of a keyword-only field."""

    def __init__(self, default: object) -> None:
        self.default = default


def field(*, default: "T", kw_only: bool) -> "T":
    """Declare a keyword-only field, so that subclasses can add positional fields after it."""
    return _Field(default)  # type: ignore[return-value]


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Value:
    """Base of classes whose annotations are their fields. `__post_init__` may validate them.

    The constructor raises TypeError for missing, unknown and repeated fields, and whatever `__post_init__` raises.
    """

    __slots__ = ("__dict__", "_hash", "_memory")

    _fields: "dict[str, object]" = {}
    _defaults: "dict[str, object]" = {}
    _positions: "tuple[str, ...]" = ()
    _hash: int
    _memory: "dict[object, Any]"

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
        cls._defaults = {name: default for name, default in fields.items() if default is not _MISSING}
        cls._positions = tuple(name for name in fields if name not in named)

    def __init__(self, *values: object, **by_name: object) -> None:
        held = self.__dict__
        held.update(self._defaults)
        held.update(zip(self._positions, values, strict=False))
        held.update(by_name)
        if held.keys() != self._fields.keys() or (values and (by_name or len(values) > len(self._positions))):
            self._check(values, by_name)
        self.__post_init__()

    def _check(self, values: "tuple[object, ...]", by_name: "dict[str, object]") -> None:
        """Raise TypeError for missing, unknown and repeated fields."""
        fields, positions, name = self._fields, self._positions, type(self).__name__
        if len(values) > len(positions):
            raise TypeError(f"{name} takes {len(positions)} values, not {len(values)}")
        for field_name in by_name:
            if field_name not in fields or field_name in positions[: len(values)]:
                raise TypeError(f"{name} has no field {field_name!r}, or it is given twice")
        if missing := [field_name for field_name in fields if field_name not in self.__dict__]:
            raise TypeError(f"{name} lacks {', '.join(missing)}")

    def __post_init__(self) -> None:
        """Validate the fields. Raises what the class documents."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is a value: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is a value: {name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            object.__setattr__(self, "_hash", hash(tuple([self.__dict__[name] for name in self._fields])))
            return self._hash

    def _once(self, key: object, compute: "Callable[[], Any]") -> "Any":
        """Return what follows from the fields, which is computed once."""
        try:
            memory = self._memory
        except AttributeError:
            memory = {}
            object.__setattr__(self, "_memory", memory)
        if key not in memory:
            memory[key] = compute()
        return memory[key]

    def __repr__(self) -> str:
        held = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self._fields)
        return f"{type(self).__name__}({held})"


def replace(value: "V", **changes: "Any") -> "V":
    """Return a copy of a value with some fields changed. Raises what the constructor of its class raises."""
    return type(value)(**{**value.__dict__, **changes})
