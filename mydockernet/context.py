"""The record and the kernel that a verb works on."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from mydockernet.kernel.door import Kernel
from mydockernet.record import DEFAULT_FOLDER
from mydockernet.record.store import JsonStore
from mydockernet.value import Value


class Context(Value):
    """The record and the kernel that a verb works on, and how long it waits for a lock, in seconds.

    `words` are the command line, or what an engine asked for: the history has them.
    """

    store: JsonStore
    kernel: Kernel
    lock_timeout: float = 30.0
    words: tuple[str, ...] = ()


def from_environment(environ: Mapping[str, str], lock_timeout: float = 30.0, words: Iterable[str] = ()) -> Context:
    """Return the record that MYDOCKERNET_STATE_DIR names, or the default one, and the kernel."""
    folder = environ.get("MYDOCKERNET_STATE_DIR") or DEFAULT_FOLDER
    return Context(JsonStore(Path(folder)), Kernel(), lock_timeout, tuple(words))
