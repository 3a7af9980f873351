"""What /proc/net tells of the sockets that listen in this network namespace, without a process.

Format: proc(5); Documentation/networking/proc_net_tcp.rst of the kernel.
"""

import ipaddress
import sys
from collections.abc import Iterator
from pathlib import Path

from mydockernet.dialects.fact import Socket

FOLDER = Path("/proc/self/net")

# The states of the kernel's include/net/tcp_states.h: TCP_LISTEN, and TCP_CLOSE, in which a bound UDP socket is.
STATES = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}


def read_listening() -> tuple[Socket, ...] | None:
    """The sockets of TCP and UDP that listen, without the names of their programs.

    None where these files do not tell all: they can't be read, or SCTP is in use, whose endpoints have another form.
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
    """The sockets of one file that are in this state, as in `0: 0100007F:1F90 00000000:0000 0A …`."""
    for line in text.splitlines()[1:]:
        _, local, _, now, *_ = line.split(maxsplit=4)
        if now == state:
            host, port = local.split(":")
            yield Socket(name.rstrip("6"), _address(host), int(port, 16), "a program")


def _address(digits: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address, printed as words of 32 bits in the byte order of the machine; None for the unspecified one."""
    raw = bytes.fromhex(digits)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    address = ipaddress.ip_address(raw)
    return None if address.is_unspecified else address
