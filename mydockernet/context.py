"""Where a verb works: the record, and the kernel."""

from mydockernet.kernel.door import Kernel
from mydockernet.record.store import JsonStore
from mydockernet.value import Value


class Context(Value):
    """Where a verb works: the record, the kernel, and how many seconds it waits for the lock."""

    store: JsonStore
    kernel: Kernel
    lock_timeout: float = 30.0
