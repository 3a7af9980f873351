"""Read the listening sockets of this network namespace from /proc/net, without running a program.

Format: proc(5); Documentation/networking/proc_net_tcp.rst of the kernel.
"""

import ipaddress
import sys
from collections.abc import Iterator
from pathlib import Path

from mydockernet.dialects.fact import Socket

FOLDER = Path("/proc/self/net")

# The states in include/net/tcp_states.h of the kernel: TCP_LISTEN, and TCP_CLOSE, the state of a bound UDP socket.
STATES = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}


def read_listening() -> tuple[Socket, ...] | None:
    """Return the listening sockets of TCP and UDP, without the names of their programs.

    Returns None if these files are incomplete: they are unreadable, or SCTP, which has another format, is in use.
    """
    if (FOLDER / "sctp").exists():
        return None
    try:
        return tuple(
            socket
            for name, state in STATES.items()
            if (FOLDER / name).exists()
            for socket in parse(name, state, (FOLDER / name).read_text())
        )
    except OSError:
        return None


def parse(name: str, state: str, text: str) -> Iterator[Socket]:
    """Yield the sockets in a state from one file, with lines such as `0: 0100007F:1F90 00000000:0000 0A …`."""
    for line in text.splitlines()[1:]:
        _, local, _, now, *_ = line.split(maxsplit=4)
        if now == state:
            host, port = local.split(":")
            yield Socket(name.rstrip("6"), _address(host), int(port, 16), "a program")


def _address(digits: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address, printed as 32-bit words in the byte order of the machine; None for the unspecified address."""
    raw = bytes.fromhex(digits)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    address = ipaddress.ip_address(raw)
    return None if address.is_unspecified else address
