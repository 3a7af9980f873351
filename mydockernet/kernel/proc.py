"""What /proc, and the kernel itself, tell about the host without another process."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from mydockernet.dialects import net_dev
from mydockernet.dialects.fact import File, Observed
from mydockernet.dialects.net_dev import Traffic
from mydockernet.errors import Failed
from mydockernet.value import replace

SYSCTLS = Path("/proc/sys")
BUS = Path("/run/dbus/system_bus_socket")


def read_sysctls(keys: Iterable[str]) -> dict[str, str]:
    """Read sysctls of this network namespace from /proc/sys; a key that does not exist is omitted."""
    values = {}
    for key in keys:
        with contextlib.suppress(OSError):
            values[key] = (SYSCTLS / key).read_text().strip()
    return values


def observe_files(seen: Observed, paths: Iterable[str], pid_files: Iterable[str] = ()) -> Observed:
    """Add the files at some paths, and the servers whose pid is in others."""
    return replace(seen, files={**seen.files, **read_files(paths)}, servers={**seen.servers, **read_servers(pid_files)})


def read_files(paths: Iterable[str]) -> dict[str, File]:
    """Read files; one that does not exist is omitted, unless its file system is read-only."""
    found = {}
    for path in paths:
        there = Path(path)
        try:
            if there.is_symlink():
                found[path] = File("link", str(there.readlink()))
            else:
                found[path] = File("text", there.read_bytes().decode(errors="replace"))
        except FileNotFoundError:
            if _read_only(path):
                found[path] = File("read-only")
        except OSError:
            found[path] = File("other")
    return found


def list_files(places: Iterable[tuple[str, str]]) -> list[str]:
    """Return the paths of what is in some folders, each given with a pattern."""
    return [str(path) for folder, pattern in places for path in Path(folder).glob(pattern)]


def read_servers(pid_files: Iterable[str], proc: Path = Path("/proc")) -> dict[str, tuple[str, ...]]:
    """Return the commands of the servers of this network namespace by the file that has their pid, if there is one.

    That of a server that does not run is empty.
    """
    found: dict[str, tuple[str, ...]] = {}
    for path in pid_files:
        with contextlib.suppress(OSError, ValueError):
            text = Path(path).read_text()
            found[path] = ()
            if is_here(int(text), proc):
                words = (proc / text.strip() / "cmdline").read_bytes().split(b"\0")[:-1]
                found[path] = tuple(map(os.fsdecode, words))
    return found


def _read_only(path: str) -> bool:
    """Whether nothing can be created at a path, whoever tries."""
    folder = next(parent for parent in Path(path).parents if parent.is_dir())
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def read_traffic() -> dict[str, Traffic]:
    """Return what the interfaces of this network namespace have received and sent, by name. Raises Failed.

    It is told as the other ends of veth pairs see it, which are those of the containers.
    """
    try:
        return net_dev.read(Path(net_dev.PATH).read_text(), other_ends=True)
    except OSError as error:
        raise Failed(f"cannot read {net_dev.PATH}: {error.strerror}") from None


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


def has_bus() -> bool:
    """Return whether there may be a system bus of D-Bus."""
    return BUS.exists() or "DBUS_SYSTEM_BUS_ADDRESS" in os.environ


def has_systemd() -> bool:
    """Return whether systemd runs the services of this host: sd_booted(3)."""
    return Path("/run/systemd/system").is_dir()


def is_here(pid: int | None, proc: Path = Path("/proc")) -> bool:
    """Return whether a process is in this network namespace; not if there is none, or if that cannot be read."""
    try:
        return pid is not None and (proc / str(pid) / "ns/net").samefile(proc / "self/ns/net")
    except OSError:
        return False
