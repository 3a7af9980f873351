"""What can go wrong, each with the exit code and the hint that a user gets. Knows nothing of the rest."""

import shlex
from collections.abc import Iterable


def command_line(argv: Iterable[str]) -> str:
    """A command as a person types it: quoted for sh, but for the lone ! of iptables, which needs no quotes."""
    return " ".join(word if word == "!" else shlex.quote(word) for word in argv)


def printable(text: str, keep: str = "") -> str:
    r"""Text for a terminal: what is not printable, and not in `keep`, as an escape such as \x1b.

    Names of interfaces and processes, aliases and comments come from containers and ordinary users.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def quoted(word: str) -> str:
    r"""A name or a word of the user in double quotes, for a message; control characters are escaped, as in \n."""
    return f'"{printable(word)}"'


class MydockernetError(Exception):
    """An error that a user sees: one line a message, at most one hint, never a traceback."""

    exit_code = 1

    def __init__(self, *messages: str, hint: str | None = None) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages
        self.hint = hint


class Failed(MydockernetError):
    """Something outside refused: a command, a permission, a disk. What was done has been rolled back."""


class NoSpace(Failed):
    """A disk, or a user's part of it, is full."""


class NotPermitted(Failed):
    """Something that this user may not read."""


class Invalid(MydockernetError):
    """Wrong usage, or values that can't be: one message a problem, each naming its option."""

    exit_code = 2


class NotFound(MydockernetError):
    """No such network or container."""

    exit_code = 3


class Conflict(MydockernetError):
    """A name, subnet, address or port that is taken, or a network in use."""

    exit_code = 4


class Locked(MydockernetError):
    """Another mydockernet holds the lock."""

    exit_code = 6


class LeftOut(MydockernetError):
    """One container that a repair could not mend, and left as it was; the rest has been repaired."""

    exit_code = 5


class CommandFailed(Failed):
    """A command of ours that did not succeed.

    Its message holds all that is needed to try it by hand: the argv, the exit status, its own stderr.
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


def no_network(name: str) -> NotFound:
    """The error for a name that no network has."""
    return NotFound(f"network {quoted(name)} not found", hint="mydockernet list shows all networks")
