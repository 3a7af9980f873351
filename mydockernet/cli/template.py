r"""The templates of --format, as docker has them: the part of Go's text/template that prints records.

A template is read into a small tree, which is then evaluated for each record. It has fields (`.Labels.a`), `if`,
`else`, `range` and `with`, pipes, parentheses, and the functions below. It has no assignments, `define`, `printf`,
`break` or `continue`. Two things differ from Go: a list or a map is printed as JSON, and a field that does not exist is
an error that names the fields that do.

The libraries on PyPI either load Go as a shared library, or are young and bring Sprig, HTML and more dependencies.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mydockernet.cli import views
from mydockernet.errors import Invalid, printable
from mydockernet.value import Value


class Literal(Value):
    """A value that is written in the template."""

    value: Any


class Variable(Value):
    """The current value (``), the record (`$`) or a variable of a range (`$name`)."""

    name: str


class Select(Value):
    """A field of a value, a field of that, and so on."""

    of: "Expression"
    names: tuple[str, ...]


class Call(Value):
    """A function with its arguments."""

    function: str
    arguments: tuple["Expression", ...]


class Text(Value):
    """Text that is printed as it is."""

    text: str


class Show(Value):
    """`{{expression}}`: print a value."""

    what: "Expression"


class Choice(Value):
    """`{{if}}`; as `{{with}}`, the tested value is the current one within."""

    what: "Expression"
    within: bool
    body: tuple["Node", ...]
    otherwise: tuple["Node", ...]


class Loop(Value):
    """`{{range}}`: the body once for each item; `variables` take the item, or the key and the item."""

    what: "Expression"
    variables: tuple[str, ...]
    body: tuple["Node", ...]
    otherwise: tuple["Node", ...]


Expression = Literal | Variable | Select | Call
Node = Text | Show | Choice | Loop
Scope = Mapping[str, Any]
Record = Mapping[str, Any]


class Printable(str):
    """Text that needs no escapes: newlines in it come from the template, `println` or `join`, not from a record."""


def read(text: str) -> Callable[[Sequence[Record], int | None], str]:
    r"""Read a template; the result prints records with it, in a terminal of the given width or in a pipe (None).

    `table {{.Name}}\t{{.State}}` prints a table with headers. An invalid template raises Invalid at once, a field that
    does not exist when a record is printed.
    """
    as_table = text.startswith("table ")
    nodes, _ = _block(_pieces(text.removeprefix("table ")), "")
    if all(isinstance(node, Text) for node in nodes):
        raise Invalid(f"--format: {text!r} is neither table nor json, nor a template such as {{{{.Name}}}}")

    def render(records: Sequence[Record], width: int | None) -> str:
        lines = [_text(nodes, {"": record, "$": record}) for record in records]
        if not as_table:
            return "".join(f"{line}\n" for line in lines)
        headers = "".join(map(_header, nodes)).split("\t")
        rows = [line.split("\t") for line in lines]
        columns = max(map(len, [headers, *rows]))
        headers, *rows = ([*row, *[""] * (columns - len(row))] for row in [headers, *rows])
        return views.table(headers, rows, width)

    return render


def _wrong(message: str) -> Invalid:
    return Invalid(f"--format: {message}")


# Reading: text → pieces → tree.

_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string> "(?:[^"\\]|\\.)*" | `[^`]*` )
      | (?P<number> -?\d+ )
      | (?P<field> (?:\$\w*)? (?:\.\w+(?:-\w+)*)+ | \$\w* | \. )
      | (?P<close> \) (?:\.\w+(?:-\w+)*)* )
      | (?P<word> [^\W\d]\w* | := | [(|,] )
    )""",
    re.VERBOSE,
)
_CONSTANTS = {"true": True, "false": False, "nil": None}


def _pieces(text: str) -> Iterator["str | _Action"]:
    """The texts and the actions of a template, in turn; `{{-` and `-}}` trim the text beside them."""
    start, trim = 0, False
    for found in _ACTION.finditer(text):
        trim_before, action, trim_after = found.groups()
        yield _plain(text[start : found.start()], trim, bool(trim_before))
        yield _Action(action)
        start, trim = found.end(), bool(trim_after)
    rest = text[start:]
    if "{{" in rest:
        raise _wrong(f"{rest[rest.index('{{') :]!r} is not closed by }}}}")
    yield _plain(rest, trim, False)


def _plain(text: str, trim_left: bool, trim_right: bool) -> str:
    r"""Text between actions, in which \t and \n are typed as they are written here."""
    text = text.replace(r"\t", "\t").replace(r"\n", "\n")
    text = text.lstrip() if trim_left else text
    return text.rstrip() if trim_right else text


class _Action:
    """What is between `{{` and `}}`, token by token."""

    def __init__(self, text: str) -> None:
        self.text = "{{" + text.strip() + "}}"
        self._tokens: list[tuple[str, str]] = []
        text, place = text.strip(), 0
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                raise _wrong(f"can't read {text[place:].strip()!r} in {self.text}")
            self._tokens.append((found.lastgroup or "", found.group().strip()))
            place = found.end()

    def peek(self) -> str:
        """The next token; nothing at the end."""
        return self._tokens[0][1] if self._tokens else ""

    def take(self) -> str:
        """Remove the next token and return it; nothing at the end."""
        return self._tokens.pop(0)[1] if self._tokens else ""

    def finish(self) -> None:
        """Raise Invalid if anything is left."""
        if self._tokens:
            raise _wrong(f"can't read {self.peek()!r} in {self.text}")

    def variables(self) -> tuple[str, ...]:
        """The variables that a range declares: `$item :=` or `$key, $item :=`."""
        words = [word for _, word in self._tokens]
        if ":=" not in words:
            return ()
        declared = words[: words.index(":=")]
        if len(declared) not in (1, 3) or declared[1:2] not in ([], [","]):
            raise _wrong(f"can't read the variables of {self.text}")
        del self._tokens[: len(declared) + 1]
        return tuple(declared[::2])

    def pipeline(self) -> Expression:
        """Commands with | between them: the result of one is the last argument of the next."""
        found = self._command(())
        while self.peek() == "|":
            self.take()
            found = self._command((found,))
        return found

    def _command(self, piped: tuple[Expression, ...]) -> Expression:
        kind, word = self._tokens[0] if self._tokens else ("", "")
        if kind != "word" or word in _CONSTANTS or not word.isidentifier():
            found = self._operand()
            if piped:
                raise _wrong(f"{word} is no function, in {self.text}")
            return found
        self.take()
        if word not in FUNCTIONS:
            known = ", ".join(sorted(FUNCTIONS))
            raise _wrong(f"there is no function {word!r}; a field is written .{word}, and the functions are {known}")
        arguments = []
        while self._tokens and self.peek() != "|" and self._tokens[0][0] != "close":
            arguments.append(self._operand())
        arguments += piped
        _, least, most = FUNCTIONS[word]
        if not least <= len(arguments) <= most:
            raise _wrong(f"{word} takes {least if least == most else f'at least {least}'} argument(s), in {self.text}")
        return Call(word, tuple(arguments))

    def _operand(self) -> Expression:
        if not self._tokens:
            raise _wrong(f"{self.text} lacks a value")
        kind, word = self._tokens.pop(0)
        if kind == "field":
            start, *names = word.split(".")
            return _select(Variable(start), names)
        if kind == "number":
            return Literal(int(word))
        if kind == "string":
            return Literal(Printable(_unquoted(word)))
        if word in _CONSTANTS:
            return Literal(_CONSTANTS[word])
        if word != "(":
            raise _wrong(f"can't read {word!r} in {self.text}")
        found = self.pipeline()
        if not self.peek().startswith(")"):
            raise _wrong(f"a ) is missing in {self.text}")
        return _select(found, self.take().split(".")[1:])


def _select(of: Expression, names: Sequence[str]) -> Expression:
    names = [name for name in names if name]
    return Select(of, tuple(names)) if names else of


def _unquoted(word: str) -> str:
    if word.startswith("`"):
        return word[1:-1]
    escapes = {"n": "\n", "t": "\t"}
    return re.sub(r"\\(.)", lambda found: escapes.get(found.group(1), found.group(1)), word[1:-1])


def _block(pieces: Iterator[str | _Action], opened: str) -> tuple[tuple[Node, ...], _Action]:
    """The nodes up to `{{else}}` or `{{end}}`, with that action; where nothing is open, all of them."""
    nodes: list[Node] = []
    for piece in pieces:
        if isinstance(piece, str):
            nodes += [Text(piece)] if piece else []
        elif piece.peek() in ("else", "end"):
            if not opened:
                raise _wrong(f"{piece.text} has no {{{{if}}}}, {{{{range}}}} or {{{{with}}}} before it")
            return tuple(nodes), piece
        elif piece.peek() in ("if", "range", "with"):
            nodes.append(_control(piece, pieces))
        else:
            nodes.append(Show(piece.pipeline()))
            piece.finish()
    if opened:
        raise _wrong(f"{opened} has no {{{{end}}}}")
    return tuple(nodes), _Action("")


def _control(action: _Action, pieces: Iterator[str | _Action]) -> Node:
    """The node that an `{{if}}`, `{{range}}` or `{{with}}` begins; its pieces are read, to its `{{end}}`."""
    word = action.take()
    variables = action.variables() if word == "range" else ()
    what = action.pipeline()
    action.finish()
    otherwise: tuple[Node, ...] = ()
    body, closing = _block(pieces, action.text)
    if closing.take() == "else":
        if closing.peek() in ("if", "with"):
            otherwise = (_control(closing, pieces),)
        else:
            closing.finish()
            otherwise, closing = _block(pieces, action.text)
            if closing.take() != "end":
                raise _wrong(f"{action.text} has a second {{{{else}}}}")
    closing.finish()
    if word == "range":
        return Loop(what, variables, body, otherwise)
    return Choice(what, word == "with", body, otherwise)


# Evaluating: tree and record → text.


def _text(nodes: Sequence[Node], scope: Scope) -> str:
    return "".join(_node(node, scope) for node in nodes)


def _node(node: Node, scope: Scope) -> str:
    if isinstance(node, Text):
        return node.text
    value = _value(node.what, scope)
    if isinstance(node, Show):
        return _shown(value)
    if isinstance(node, Choice):
        if not value:
            return _text(node.otherwise, scope)
        return _text(node.body, {**scope, "": value} if node.within else scope)
    if not isinstance(value, dict | list | None):
        raise _wrong(f"range does not take {_kind(value)}")
    items = sorted(value.items()) if isinstance(value, dict) else [*enumerate(value or ())]
    if not items:
        return _text(node.otherwise, scope)
    scopes = ({**scope, "": item, **dict(zip(node.variables[::-1], (item, key), strict=False))} for key, item in items)
    return "".join(_text(node.body, each) for each in scopes)


def _value(what: Expression, scope: Scope) -> Any:
    if isinstance(what, Literal):
        return what.value
    if isinstance(what, Variable):
        if what.name not in scope:
            raise _wrong(f"there is no variable {what.name}")
        return scope[what.name]
    if isinstance(what, Select):
        return _field(_value(what.of, scope), what.names)
    if what.function in ("and", "or"):  # They stop at the first that decides.
        for argument in what.arguments:
            value = _value(argument, scope)
            if bool(value) is (what.function == "or"):
                break
        return value
    arguments = [_value(argument, scope) for argument in what.arguments]
    try:
        return FUNCTIONS[what.function][0](*arguments)
    except TypeError:
        raise _wrong(f"{what.function} does not take {' and '.join(map(_kind, arguments))}") from None


def _field(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        if not isinstance(value, dict):
            raise _wrong(f"{_kind(value)} has no field {name!r}")
        if name not in value:
            raise _wrong(f"there is no field {name!r}; there are: {', '.join(value) or 'none'}")
        value = value[name]
    return value


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a number", str: "text", list: "a list", dict: "a map", type(None): "null"}
    return next(name for kind, name in kinds.items() if isinstance(value, kind))


def _shown(value: Any) -> str:
    """A value as it is printed: text and numbers as they are, all else as JSON."""
    if isinstance(value, Printable):
        return value
    if isinstance(value, str | int) and not isinstance(value, bool):
        return printable(str(value))
    return views.json_text(value)


def _header(node: Node) -> str:
    """The header of a column: the name of the field that it shows."""
    if isinstance(node, Text):
        return node.text
    if isinstance(node, Show):
        return _heading(node.what)
    return "".join(map(_header, node.body))


def _heading(what: Expression) -> str:
    if isinstance(what, Select):
        return what.names[-1].upper()
    return next(filter(None, map(_heading, what.arguments)), "") if isinstance(what, Call) else ""


def _index(value: Any, *keys: Any) -> Any:
    """An item of a list or a map, an item of that, and so on; as in Go, a key that is not in a map gives nothing."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, "")
        elif isinstance(value, list) and isinstance(key, int):
            if not 0 <= key < len(value):
                raise _wrong(f"index {key} is out of range: the list has {len(value)} item(s)")
            value = value[key]
        else:
            raise TypeError
    return value


def _join(items: Any, separator: str) -> Printable:
    if not isinstance(items, list):
        raise TypeError
    return Printable(separator.join(map(_shown, items)))


def _println(*values: Any) -> Printable:
    return Printable(" ".join(map(_shown, values)) + "\n")


# By name: the function, and how many arguments it takes, at least and at most.
FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "and": (bool, 1, 99),  # In _value.
    "eq": (lambda value, *others: value in others, 2, 99),
    "ge": (operator.ge, 2, 2),
    "gt": (operator.gt, 2, 2),
    "index": (_index, 1, 99),
    "join": (_join, 2, 2),
    "json": (lambda value: Printable(views.json_text(value)), 1, 1),
    "le": (operator.le, 2, 2),
    "len": (len, 1, 1),
    "lower": (str.lower, 1, 1),
    "lt": (operator.lt, 2, 2),
    "ne": (operator.ne, 2, 2),
    "not": (operator.not_, 1, 1),
    "or": (bool, 1, 99),  # In _value.
    "println": (_println, 0, 99),
    "upper": (str.upper, 1, 1),
}
