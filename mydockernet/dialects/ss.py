"""What `ss` (iproute2) prints of the sockets that listen. Format: ss(8)."""

import ipaddress
import re

from mydockernet.dialects.fact import (
    Argv,
    Socket,
)

READ_SOCKETS: Argv = ("ss", "--no-header", "--listening", "--numeric", "--tcp", "--udp", "--sctp", "--processes")


def read_sockets(text: str) -> tuple[Socket, ...]:
    """Parse what READ_SOCKETS prints, as in `tcp LISTEN 0 128 127.0.0.1:53%lo 0.0.0.0:* users:(("named",…))`.

    Lines of other shapes are left out: what they are can't stand in the way of a port. A program's name, at most 15
    bytes of its owner's choice, is printed as it is, line breaks too; it is too short for a line of this shape.
    """
    sockets = []
    for line in text.split("\n"):
        found = re.fullmatch(_SOCKET, line, re.ASCII | re.DOTALL)
        if found is None:
            continue
        protocol, host, port, program = found.groups()
        host = host.strip("[]").partition("%")[0]
        try:
            address = None if host in ("*", "0.0.0.0", "::") else ipaddress.ip_address(host)
        except ValueError:
            continue
        sockets.append(Socket(protocol, address, int(port), program or "a program"))
    return tuple(sockets)


# Compiled when it is needed: this takes 1 ms.
_SOCKET = (
    r"(tcp|udp|sctp) +(?:LISTEN|UNCONN) +\d+ +\d+ +(\S+):(\d{1,5}) +\S+:\*"
    r'(?: +users:\(\("([^"]*)(?:".*)?| .*)?'
)
