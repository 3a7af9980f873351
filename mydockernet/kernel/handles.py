"""Open file descriptors of namespaces, so that every command enters the namespace that was checked.

A path may lead to another namespace a moment later: its owner changes a link, or a process ends and its pid is reused.
"""

import errno
import os
import resource
from collections.abc import Iterable
from pathlib import Path

from mydockernet.dialects.fact import Argv
from mydockernet.errors import MydockernetError
from mydockernet.kernel import namespaces
from mydockernet.model import Namespace

NETNS_OPTION = "--net="


class Handles:
    """The open namespaces, by path. Commands must not enter a path that was requested but could not be opened."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._refused: dict[str, MydockernetError] = {}
        self._own: set[str] = set()

    def hold(self, wanted: Iterable[Namespace]) -> None:
        """Open namespaces if they are still the same. Those that mydockernet creates need no check."""
        for namespace in wanted:
            path = namespace.path
            if namespace.own:
                self._own.add(path)
            elif path not in self._open:
                try:
                    self._open[path] = _open(namespace)
                    self._refused.pop(path, None)
                except MydockernetError as error:
                    self._refused[path] = error

    def release(self) -> None:
        """Close all of them: an open descriptor keeps a namespace alive that has no process any more."""
        for handle in self._open.values():
            os.close(handle)
        self._open.clear()
        self._refused.clear()

    def refused(self, path: str) -> MydockernetError | None:
        """Return why commands must not enter a path, or None."""
        return self._refused.get(path)

    def broken(self, path: str) -> bool:
        """Whether something else is at the path of a namespace that mydockernet creates."""
        return path in self._own and not namespaces.is_one(path)

    def refusal(self, argv: Argv, stdin: str) -> MydockernetError | None:
        """Return why a command, or a line of its batch, must not run, or None."""
        commands = (argv, *(tuple(line.split(" ")) for line in stdin.split("\n") if self._refused))
        return next((error for each in commands for path in _paths(each) if (error := self.refused(path))), None)

    def through(self, argv: Argv) -> Argv:
        """Return a command with descriptors instead of paths: --net=PATH of nsenter(1), netns PATH of ip-link(8)."""
        return tuple(
            NETNS_OPTION + self._handle(word.removeprefix(NETNS_OPTION))
            if _enters(argv, index)
            else self._handle(word)
            if index and argv[index - 1] == "netns"
            else word
            for index, word in enumerate(argv)
        )

    def through_lines(self, text: str) -> str:
        """Return the lines of a batch of ip(8) with descriptors instead of paths."""
        return "\n".join(" ".join(self.through(tuple(line.split(" ")))) for line in text.split("\n"))

    def _handle(self, path: str) -> str:
        # The number of this process in /proc, which may differ from its pid here.
        return f"/proc/{Path('/proc/self').readlink()}/fd/{self._open[path]}" if path in self._open else path


def _paths(argv: Argv) -> Iterable[str]:
    for index, word in enumerate(argv):
        if _enters(argv, index):
            yield word.removeprefix(NETNS_OPTION)
        elif index and argv[index - 1] == "netns":
            yield word


def _enters(argv: Argv, index: int) -> bool:
    return index == 1 and argv[0] == "nsenter" and argv[1].startswith(NETNS_OPTION)


def _open(namespace: Namespace) -> int:
    try:
        return namespaces.open_same(namespace)
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
    # A network may have more containers than the default limit of open files.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return namespaces.open_same(namespace)
