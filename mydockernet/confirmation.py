"""`apply --confirm`: a change that is rolled back unless it is confirmed in time, for those who work over the network
that they change.

The record says what waits, and until when. A process of its own, in a session of its own, rolls it back at that time;
if that is killed, too, the next command that changes something does.
"""

import contextlib
import os
import signal
import time

from mydockernet import actions
from mydockernet.actions import Outcome
from mydockernet.context import Context
from mydockernet.errors import MydockernetError, NotFound
from mydockernet.transitions import Transition

# How often to look whether it was confirmed, in seconds.
PAUSE = 1.0


def perform(context: Context, transition: Transition, seconds: float) -> Outcome:
    """Make a change that is rolled back after some seconds. Raises what actions.perform raises."""
    context.kernel.require_rights()
    told, tell = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(tell)
        if os.fork():
            os._exit(0)  # So that the other one is nobody's child, and nobody waits for it.
        os._exit(_watch(context, told))
    os.close(told)
    os.waitpid(first, 0)
    try:
        return actions.perform(context, transition, seconds)
    finally:
        os.close(tell)


def confirm(context: Context) -> tuple[str, ...]:
    """Confirm the change that waits for it, and return the names of its networks. Raises NotFound if there is none."""
    actions.settle(context)
    with context.store.lock(context.lock_timeout):
        waiting = context.store.unconfirmed()
        if waiting is None:
            raise NotFound(
                "no change waits to be confirmed", hint="mydockernet history shows whether it was rolled back"
            )
        context.store.clear_unconfirmed()
    return tuple(waiting.after)


def _watch(context: Context, told: int) -> int:
    """Wait until the first process ends, then until the change is confirmed or its time is over. Returns a status."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.read(told, 1)
    with contextlib.suppress(MydockernetError):
        actions.settle(context)  # The first process may have been killed in the middle.
    while True:
        try:
            waiting = context.store.unconfirmed()
            if waiting is None:
                return 0
            if not waiting.left:
                actions.settle(context)
        except MydockernetError:
            waiting = None
        time.sleep(min(PAUSE, max(0.01, waiting.left)) if waiting else PAUSE)
