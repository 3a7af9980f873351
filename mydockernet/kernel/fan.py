"""One command for many namespaces: xargs(1) starts nsenter(1) for each, which takes a third of starting it from here.

One per processor runs at the same time. An input, which xargs does not pass on, becomes a file in memory.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mydockernet.dialects.fact import Argv
from mydockernet.kernel.spawn import Command

PROGRAM = "xargs"
# From so many namespaces on, it is worth while.
MANY = 8
# At most so many at once, as each may need a file.
AT_ONCE = 250
_FAILED = re.compile(r"Command failed /proc/\d+/fd/(\d+):(\d+)")


def possible(command: Command) -> bool:
    """Whether a command can be started so: it enters a namespace, and reads nothing but a batch of ip."""
    return command.argv[0] == "nsenter" and (not command.stdin or command.argv[-2:] == ("-batch", "-"))


def rounds(namespaces: Sequence[str]) -> list[list[int]]:
    """Return the positions of commands, given their namespaces, in rounds: no round has two of one namespace.

    Those of one namespace stay in their order.
    """
    turns: dict[str, int] = {}
    found: list[list[int]] = []
    for position, namespace in enumerate(namespaces):
        turn = turns[namespace] = turns.get(namespace, -1) + 1
        if turn == len(found):
            found.append([])
        found[turn].append(position)
    return [some[start : start + AT_ONCE] for some in found for start in range(0, len(some), AT_ONCE)]


@contextlib.contextmanager
def commands(errands: Sequence[Command]) -> Iterator[list[tuple[Command, list[int]]]]:
    """Yield commands that run some errands, each with the positions of these, in order.

    The files are closed afterwards.
    """
    files: dict[str, int] = {}
    try:
        words = [_words(errand, files) for errand in errands]
        alike: dict[int, list[int]] = {}
        for position, argv in enumerate(words):
            alike.setdefault(len(argv), []).append(position)
        processors = len(os.sched_getaffinity(0))
        parts = [part for some in alike.values() for part in _split(some, processors)]
        yield [(_xargs([words[position] for position in part]), part) for part in parts]
    finally:
        for handle in files.values():
            os.close(handle)


def culprit(command: Command, stderr: str) -> tuple[int, str] | None:
    """Return which of its errands failed, and its error message as if it had been alone, if the message tells."""
    found = _FAILED.search(stderr)
    if found is None:
        return None
    size = int(command.argv[3])
    files = [word.rpartition("/")[2] for word in command.stdin.split("\0")[size - 1 :: size]]
    lines = stderr.splitlines()
    end = next(n for n, line in enumerate(lines) if found[0] in line)
    said = "\n".join(line for line in lines[:end] if not _FAILED.search(line))
    return files.index(found[1]), f"{said}\nCommand failed -:{found[2]}"


def _words(errand: Command, files: dict[str, int]) -> Argv:
    """Return the words of an errand behind `nsenter`, with a file instead of its standard input."""
    if not errand.stdin:
        return errand.argv[1:]
    key = f"{errand.argv[1]}\n{errand.stdin}"
    if key not in files:
        files[key] = os.memfd_create("batch")
        os.write(files[key], errand.stdin.encode())
    return (*errand.argv[1:-1], f"/proc/{Path('/proc/self').readlink()}/fd/{files[key]}")


def _split(positions: list[int], parts: int) -> list[list[int]]:
    size = -(-len(positions) // parts)
    return [positions[start : start + size] for start in range(0, len(positions), size)]


def _xargs(words: Sequence[Argv]) -> Command:
    return Command(
        (PROGRAM, "-0", "-n", str(len(words[0])), "nsenter"), "".join(f"{word}\0" for argv in words for word in argv)
    )
