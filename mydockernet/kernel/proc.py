"""What /proc, and the kernel itself, tell about the host without another process."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

SYSCTLS = Path("/proc/sys")


def read_sysctls(keys: Iterable[str]) -> dict[str, str]:
    """Read sysctls of this network namespace from /proc/sys; a key that does not exist is omitted."""
    values = {}
    for key in keys:
        with contextlib.suppress(OSError):
            values[key] = (SYSCTLS / key).read_text().strip()
    return values


def in_use(port: int) -> bool:
    """Return whether a TCP or UDP socket of this network namespace is bound to a port, or whether that is unknown.

    It tries to bind one: /proc/net/tcp takes 5 ms to read, however few sockets there are, and ss a process.
    """
    import socket

    if Path("/proc/net/sctp").exists():
        return True
    both = Path("/proc/net/if_inet6").exists()
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET6 if both else socket.AF_INET, kind) as probe:
            if both:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            try:
                probe.bind(("", port))
            except OSError:
                return True
    return False


def legacy_tables() -> str:
    """Return the tables that the legacy variant of iptables has in this network namespace; only root may read that."""
    try:
        return Path("/proc/self/net/ip_tables_names").read_text()
    except OSError:
        return ""
