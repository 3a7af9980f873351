"""What interfaces have received and sent. Format: /proc/net/dev, proc_pid_net(5)."""

from collections.abc import Iterable

from mydockernet.dialects.fact import Argv
from mydockernet.errors import Failed
from mydockernet.value import Value

PATH = "/proc/self/net/dev"
# /proc/net leads to the process that reads it, so this shows the network namespace in which it runs.
READ: Argv = ("cat", "/proc/net/dev")
_HEADER = "Inter-|"


class Traffic(Value):
    """What an interface has received and sent since it was created: bytes, packets, and packets that were dropped."""

    received_bytes: int = 0
    received_packets: int = 0
    received_dropped: int = 0
    sent_bytes: int = 0
    sent_packets: int = 0
    sent_dropped: int = 0


def total(several: Iterable[Traffic]) -> Traffic:
    """Return the sum of what several interfaces have received and sent."""
    return Traffic(*map(sum, zip(*(each.__dict__.values() for each in several), strict=True)))


def read(text: str, other_ends: bool = False) -> dict[str, Traffic]:
    """Parse the output of READ: traffic by interface. Raises Failed if it is malformed.

    With `other_ends`, as the other end of a veth pair sees it: it has received what this one sent.
    """
    try:
        return dict(_interface(line, other_ends) for line in text.splitlines() if ":" in line)
    except (ValueError, IndexError) as error:
        raise Failed(f"cannot parse {READ[1]}: {error}") from None


def read_each(text: str, count: int) -> list[dict[str, Traffic]]:
    """Parse the output of READ in so many namespaces, one after the other; nothing if it is malformed."""
    spaces = text.split(_HEADER)[1:]
    try:
        return [read(space) for space in spaces] if len(spaces) == count else []
    except Failed:
        return []


def _interface(line: str, other_end: bool) -> tuple[str, Traffic]:
    """Parse a line: bytes, packets, errors and drops are the first of eight numbers for each direction."""
    name, _, rest = line.partition(":")
    words = rest.split()
    received, sent = (*words[0:2], words[3]), (*words[8:10], words[11])
    return name.strip(), Traffic(*map(int, (*sent, *received) if other_end else (*received, *sent)))
