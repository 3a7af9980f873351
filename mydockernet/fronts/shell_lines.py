"""A shell script → the simple commands in it, with their line numbers. Nothing is executed. Pure.

It knows what scripts with ip and iptables commands have: comments, continued lines, quotes, NAME=value and $NAME, sudo,
and commands joined by ; && ||. Loops, conditions, functions and the rest of the language are for the caller to refuse.
"""

import re
import shlex
from collections.abc import Iterator

from mydockernet.value import Value

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_JOINS = {";", "&&", "||", "|", "&", ";;", "(", ")"}
_REDIRECTIONS = {">", ">>", "<", ">&", "&>", ">|", "<&"}
_PREFIXES = ("sudo", "command", "exec", "env")


class Line(Value):
    """A simple command: the number of the line that it begins on, from 1, its words, and its text for messages.

    `broken` says why it cannot be read.
    """

    number: int
    words: tuple[str, ...]
    text: str
    broken: str = ""


def read(text: str) -> Iterator[Line]:
    """Yield the commands of a script, with its variables replaced."""
    variables: dict[str, str] = {}
    for number, line in _joined(text):
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>()")
            lexer.whitespace_split = True
            lexer.commenters = "#"
            words = list(lexer)
        except ValueError:
            yield Line(number, (), line.strip(), "its quotes are not closed")
            continue
        for command in _split(words):
            expanded = [_expanded(word, variables) for word in command]
            while expanded and _ASSIGNMENT.fullmatch(expanded[0]):
                name, _, value = expanded.pop(0).partition("=")
                variables[name] = value
            rest = tuple(_without_prefix(expanded))
            unknown = next((word for word in rest if "$" in word or "`" in word), None)
            broken = f"the value of {unknown} is not known" if unknown and rest[0] in _READ else ""
            if rest:
                yield Line(number, rest, " ".join(rest), broken)


# Only in these commands does it matter that a variable is unknown.
_READ = ("ip", "iptables", "ip6tables", "brctl", "nsenter")


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines with their numbers; a line that ends in a backslash goes on in the next one."""
    begun, held = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun or number
        if line.endswith("\\"):
            held += f"{line[:-1]} "
            continue
        yield begun, held + line
        begun, held = 0, ""
    if held:
        yield begun, held


def _split(words: list[str]) -> Iterator[list[str]]:
    """Yield the commands of a line, without redirections."""
    command: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in _JOINS:
            yield command
            command = []
        elif word in _REDIRECTIONS:
            skip = True
            # The number of a file descriptor stands before it.
            if command and command[-1] in ("1", "2"):
                command.pop()
        else:
            command.append(word)
    yield command


def _expanded(word: str, variables: dict[str, str]) -> str:
    return _VARIABLE.sub(lambda found: variables.get(found[1] or found[2], found[0]), word)


def _without_prefix(words: list[str]) -> list[str]:
    while words and words[0] in _PREFIXES:
        words = words[1:]
        while words and words[0].startswith("-"):
            words = words[1:]
    if words and words[0].startswith(("/sbin/", "/usr/sbin/", "/bin/", "/usr/bin/")):
        words = [words[0].rpartition("/")[2], *words[1:]]
    return words
