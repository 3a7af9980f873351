"""The record and the kernel that a verb works on."""

from mydockernet.kernel.door import Kernel
from mydockernet.record.store import JsonStore
from mydockernet.value import Value


class Context(Value):
    """The record and the kernel that a verb works on, and how long it waits for a lock, in seconds."""

    store: JsonStore
    kernel: Kernel
    lock_timeout: float = 30.0
