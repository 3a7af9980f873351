"""Listen to what changes in this network namespace: `ip monitor` as a process, and a socket for rules."""

import contextlib
import errno
import os
import select
import signal
import socket
from types import TracebackType

from mydockernet.dialects import ip_monitor
from mydockernet.dialects.nft_monitor import NETLINK_NETFILTER, NFNLGRP_NFTABLES
from mydockernet.errors import Failed
from mydockernet.kernel.spawn import environment

# Bytes that the kernel keeps until they are read: a transaction with thousands of rules.
BUFFER = 8 * 1024 * 1024
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1  # netlink(7)
SO_RCVBUFFORCE = 33  # socket(7)
DATAGRAM = 1024 * 1024


class Monitor:
    """What changes from now on: lines of `ip monitor`, and datagrams about rules. Its process ends with it.

    `deaf` says why the rules cannot be listened to; it is empty if they can. `missed` becomes true if the kernel had
    to drop something, because nobody read fast enough.
    """

    def __init__(self) -> None:
        self.deaf = ""
        self.missed = False
        self._rest = b""
        self._rules: socket.socket | None = None
        self._pid = 0
        self._lines = -1

    def __enter__(self) -> "Monitor":
        """Start to listen. Raises Failed if `ip monitor` cannot be started."""
        try:
            self._rules = _listen()
        except OSError as error:
            self.deaf = error.strerror or str(error)
        self._lines, writing = os.pipe()
        # The kernel ends it if this process is killed.
        words = ("setpriv", "--pdeathsig", "TERM", *ip_monitor.WATCH)
        streams = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, writing, 1)]
        try:
            # In a group of its own, so that ^C reaches this process only.
            self._pid = os.posix_spawnp(words[0], words, environment(), file_actions=streams, setpgroup=0)
        except OSError as error:
            self._close()
            raise Failed(f"cannot run setpriv: {error.strerror}") from None
        finally:
            os.close(writing)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process, and wait for it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        self._close()

    def wait(self, seconds: float, output: int) -> list[str | bytes]:
        """Return what has been told, after so many seconds at most: lines as text, datagrams as bytes.

        Raises BrokenPipeError if nobody reads what is written to `output`, and Failed if `ip monitor` has ended.
        """
        polled = select.poll()
        polled.register(self._lines, select.POLLIN)
        polled.register(output, 0)
        if self._rules:
            polled.register(self._rules, select.POLLIN)
        ready = dict(polled.poll(seconds * 1000))
        if ready.get(output, 0) & (select.POLLERR | select.POLLHUP):
            raise BrokenPipeError
        told: list[str | bytes] = []
        if self._lines in ready:
            told += self._read_lines()
        if self._rules and self._rules.fileno() in ready:
            told += self._read_rules(self._rules)
        return told

    def _read_lines(self) -> list[str]:
        chunk = os.read(self._lines, 64 * 1024)
        if not chunk:
            raise Failed(f"`{' '.join(ip_monitor.WATCH)}` has ended")
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]

    def _read_rules(self, rules: socket.socket) -> list[bytes]:
        told = []
        while True:
            try:
                told.append(rules.recv(DATAGRAM))
            except BlockingIOError:
                return told
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.missed = True

    def _close(self) -> None:
        os.close(self._lines)
        if self._rules:
            self._rules.close()


def _listen() -> socket.socket:
    """Return a socket that gets the changes of nftables. Raises OSError."""
    rules = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_NETFILTER
    )
    try:
        with contextlib.suppress(OSError):  # Larger than the default limit; needs root.
            rules.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        rules.bind((0, 0))
        rules.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
    except OSError:
        rules.close()
        raise
    return rules
