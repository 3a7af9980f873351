"""Let a command take the place of this process: its pid, terminal, streams, signals and exit code are the command's."""

from __future__ import annotations

import os
import signal
import sys

from mydockernet.dialects.fact import Argv, inside
from mydockernet.errors import Failed
from mydockernet.kernel import namespaces
from mydockernet.kernel.spawn import environment
from mydockernet.model import Namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def become(argv: Argv, namespace: Namespace | None = None) -> NoReturn:
    """Run a command instead of this process, in a namespace if one is given.

    Raises NotFound and NotPermitted for the namespace, and Failed if there is no such program.
    """
    if namespace:
        handle = namespaces.open_same(namespace)
        os.set_inheritable(handle, True)
        argv = inside(f"/proc/self/fd/{handle}", argv)
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them; the command must not inherit that.
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, {**os.environ, "PATH": environment()["PATH"]})
    except OSError as error:
        raise Failed(f"cannot run {argv[0]}: {error.strerror}") from None
