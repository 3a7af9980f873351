"""Parse the listening sockets that `ss` (iproute2) prints. Format: ss(8)."""

import ipaddress
import re

from mydockernet.dialects.fact import (
    Argv,
    Socket,
)

READ_SOCKETS: Argv = ("ss", "--no-header", "--listening", "--numeric", "--tcp", "--udp", "--sctp", "--processes")


def read_sockets(text: str) -> tuple[Socket, ...]:
    """Parse the output of READ_SOCKETS, as in `tcp LISTEN 0 128 127.0.0.1:53%lo 0.0.0.0:* users:(("named",…))`.

    Other lines are skipped: they do not occupy a port. The name of a program, up to 15 bytes that its owner chooses, is
    printed unescaped, even with line breaks, but it is too short for a line of this format.
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


# Compiled on use: this takes 1 ms.
_SOCKET = (
    r"(tcp|udp|sctp) +(?:LISTEN|UNCONN) +\d+ +\d+ +(\S+):(\d{1,5}) +\S+:\*"
    r'(?: +users:\(\("([^"]*)(?:".*)?| .*)?'
)
