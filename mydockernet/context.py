"""The record and the kernel that a verb works on."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from mydockernet import defaults
from mydockernet.kernel.door import Kernel
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
    """Return the record in the state directory that the environment or the file of defaults names, and the kernel.

    Raises Invalid and Failed for what is wrong with that file.
    """
    folder = defaults.state_dir(environ)
    return Context(JsonStore(Path(folder)), Kernel(), lock_timeout, tuple(words))
