"""Run one command through sh: its streams, its environment, and where its program is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mydockernet.dialects.fact import Argv
from mydockernet.errors import Failed
from mydockernet.kernel.load_sh import load_sh
from mydockernet.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

ALWAYS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")
NOT_FOUND = 127


class Command(Value):
    """A program with its arguments and its standard input."""

    argv: Argv
    stdin: str = ""


class Completed(Value):
    """How a command ended: its exit status, negative for the signal that killed it, and its streams."""

    status: int
    stdout: str
    stderr: str


Spawn = Callable[[Command], Completed]
Together = Callable[[Sequence[Command]], list[Completed]]


def environment() -> Mapping[str, str]:
    """Return the environment of commands: messages in English, and a PATH that includes the system's directories."""
    path = [*filter(None, os.environ.get("PATH", "").split(os.pathsep))]
    return {
        **os.environ,
        "LC_ALL": "C",
        "PATH": os.pathsep.join([*path, *(folder for folder in ALWAYS if folder not in path)]),
    }


def where(program: str) -> str:
    """Return the path of a program on PATH, or an empty string. shutil.which does the same, but takes 2 ms to load."""
    paths = (Path(folder, program) for folder in environment()["PATH"].split(os.pathsep))
    return next((str(path) for path in paths if os.access(path, os.X_OK) and path.is_file()), "")


def spawn(command: Command) -> Completed:
    """Run a command through sh, in a session of its own, so that ^C reaches this process only.

    Its streams are files in memory: for pipes, sh would start two more threads, which take a third of the call.
    A command that is not found has the status 127. Raises Failed if no process can be started.
    """
    with _memory("stdin") as stdin, _memory("stdout") as stdout, _memory("stderr") as stderr:
        stdin.write(command.stdin.encode())
        stdin.seek(0)
        status, error = _status(lambda: _start(command, stdin, stdout, stderr, wait=True))
        return Completed(status, _text(stdout), error or _text(stderr))


def together(commands: Sequence[Command]) -> list[Completed]:
    """Run commands at the same time, as spawn does, and return how each ended, in their order. Raises Failed."""
    with contextlib.ExitStack() as streams:
        started = []
        for command in commands:
            stdin, stdout, stderr = (streams.enter_context(_memory(name)) for name in ("stdin", "stdout", "stderr"))
            stdin.write(command.stdin.encode())
            stdin.seek(0)
            started.append((_start(command, stdin, stdout, stderr, wait=False), stdout, stderr))
        ended = [(_status(running.wait), stdout, stderr) for running, stdout, stderr in started]
        return [Completed(code, _text(stdout), error or _text(stderr)) for (code, error), stdout, stderr in ended]


def _start(command: Command, stdin: BinaryIO, stdout: BinaryIO, stderr: BinaryIO, wait: bool) -> Any:
    """Start a command through sh, and return what sh does. Raises what sh raises, if it is to wait."""
    sh = load_sh()
    env = dict(environment())
    program, *arguments = command.argv
    return sh.Command(program, search_paths=env["PATH"].split(os.pathsep))(
        *arguments,
        _in=stdin,
        _out=stdout,
        _err=stderr,
        _env=env,
        _tty_in=False,
        _tty_out=False,
        _return_cmd=True,
        _new_session=True,
        **({} if wait else {"_bg": True, "_bg_exc": False}),
    )


def _status(end: Callable[[], Any]) -> tuple[int, str]:
    """Return the exit status of a command whose end is awaited so, and a message if it was not found. Raises Failed."""
    sh = load_sh()
    try:
        return end().exit_code, ""
    except sh.ErrorReturnCode as ended:  # Its sub-class for signals included: then the code is negative.
        return ended.exit_code, ""
    except sh.CommandNotFound as missing:
        return NOT_FOUND, f"{missing}: command not found"
    except (sh.ForkException, sh.TimeoutException) as error:
        raise Failed(f"cannot run a command: {error}") from None


def _memory(name: str) -> BinaryIO:
    return os.fdopen(os.memfd_create(name), "w+b", buffering=0)


def _text(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")
