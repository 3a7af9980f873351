"""`run`: run a command in a network namespace of its own, on a network, and delete everything afterwards.

A second process, the watcher, deletes everything when the first one tells it to, or when its pipe closes because the
first one died.
"""

import os
import signal
from collections.abc import Sequence

from mydockernet import actions
from mydockernet.context import Context
from mydockernet.dialects.fact import Argv, Step
from mydockernet.errors import MydockernetError, printable
from mydockernet.model import Namespace
from mydockernet.transitions import Connection, connect, disconnect
from mydockernet.value import replace


def run(context: Context, networks: Sequence[str], wish: Connection, command: Sequence[str]) -> int:
    """Connect a new namespace, run the command in it, disconnect. Returns the exit status of the command.

    Raises what connecting raises, and Failed if something is left behind.
    """
    context.kernel.require_rights()
    told, tell = os.pipe()
    watcher = os.fork()
    if watcher == 0:
        os.close(tell)
        os._exit(_watch(context, networks, wish.namespace, told))
    os.close(told)
    try:
        actions.perform(context, connect(networks, wish))
        status = context.kernel.hand_over(entering(wish, command))
    finally:
        os.close(tell)
        _, left = os.waitpid(watcher, 0)
    if left != 0:
        # The watcher reported the error, or was killed itself.
        actions.perform(context, disconnect(networks, wish.namespace, ignore=True))
    return status


def preview(context: Context, networks: Sequence[str], wish: Connection, command: Sequence[str]) -> actions.Preview:
    """Return what `run` would do: the steps before the command, the command, and the steps after it."""
    found = actions.preview(context, [connect(networks, wish)])
    if found.errors:
        return found
    middle = Step("Run the command in the namespace.", entering(wish, command), optional=True)
    # The record does not change in the end. A lock would block other commands until this one ends.
    record = found.record and replace(found.record, files={}, makes_folder=False, holds_lock=False)
    return replace(found, steps=(*found.steps, middle, *found.back), record=record)


def entering(wish: Connection, command: Sequence[str]) -> Argv:
    """Return the command as it runs in the namespace."""
    return ("nsenter", f"--net={wish.namespace.path}", "--", *command)


def _watch(context: Context, networks: Sequence[str], namespace: Namespace, told: int) -> int:
    """Wait until the first process ends or is done, then delete what it created. Returns an exit status."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.set_inheritable(told, False)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.read(told, 1)
    try:
        actions.perform(context, disconnect(networks, namespace, ignore=True))
    except MydockernetError as error:
        os.write(2, f"mydockernet: error: {printable(str(error))}\n".encode())
        return 1
    return 0
