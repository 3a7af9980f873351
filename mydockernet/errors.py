"""The errors that a user sees, with their exit codes and hints. Imports nothing of mydockernet."""

import shlex
from collections.abc import Iterable


def command_line(argv: Iterable[str]) -> str:
    """Return a command as a user would type it: quoted for sh, except the lone ! of iptables, which needs no quotes."""
    return " ".join(word if word == "!" else shlex.quote(word) for word in argv)


def printable(text: str, keep: str = "") -> str:
    r"""Escape the characters of a text that are neither printable nor in `keep`, as in \x1b.

    Names of interfaces and processes, aliases and comments come from containers and ordinary users, so a terminal must
    not receive them as they are.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def quoted(word: str) -> str:
    r"""Return a name or an argument in double quotes, for a message. Control characters are escaped, as in \n."""
    return f'"{printable(word)}"'


class MydockernetError(Exception):
    """An error that a user sees: one line per message, at most one hint, never a traceback."""

    exit_code = 1

    def __init__(self, *messages: str, hint: str | None = None) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages
        self.hint = hint


class Failed(MydockernetError):
    """A command, a permission or a file system failed. The change has been rolled back."""


class NoSpace(Failed):
    """The disk, or the user's quota, is full."""


class NotPermitted(Failed):
    """This user lacks the permission to read something."""


class Invalid(MydockernetError):
    """Wrong usage or an invalid value: one message per problem, each with its option."""

    exit_code = 2


class NotFound(MydockernetError):
    """A network or container does not exist."""

    exit_code = 3


class Conflict(MydockernetError):
    """A name, subnet, address or port is already in use, or a network still has containers."""

    exit_code = 4


class Locked(MydockernetError):
    """Another mydockernet process holds the lock."""

    exit_code = 6


class LeftOut(MydockernetError):
    """A repair left one container alone because it could not repair it. It repaired everything else."""

    exit_code = 5


class CommandFailed(Failed):
    """A command failed. The message has its argv, its exit status and its stderr, so that a user can try it by hand.

    `status` is negative if a signal killed the command.
    """

    def __init__(self, argv: Iterable[str], status: int, stderr: str, hint: str | None = None) -> None:
        self.argv = tuple(argv)
        self.status = status
        self.stderr = stderr.strip()
        ended = f"was killed by signal {-status}" if status < 0 else f"failed with status {status}"
        said = "; ".join(line.strip() for line in self.stderr.splitlines() if line.strip())
        super().__init__(f"{command_line(self.argv)}: {ended}: {said or '(no message)'}", hint=hint)


class Interrupted(Failed):
    """SIGINT, SIGTERM or SIGHUP arrived while a change was under way."""


def placed(place: str, error: MydockernetError) -> MydockernetError:
    """Return an error with its place in a file before each message, unless that is empty."""
    messages = (f"{place}: {message}" if place else message for message in error.messages)
    return type(error)(*messages, hint=error.hint)


def no_network(name: str) -> NotFound:
    """Return the error for a network that does not exist."""
    return NotFound(f"network {quoted(name)} not found", hint="mydockernet list shows all networks")
