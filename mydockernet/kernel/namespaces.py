"""Find network namespaces, and check whether a path still leads to the same one. Changes nothing."""

import errno
import fcntl
import os
from pathlib import Path

from mydockernet.errors import Failed, Invalid, MydockernetError, NotFound, NotPermitted, quoted
from mydockernet.model import Namespace

NAMED = Path("/run/netns")  # ip-netns(8)
PROC = Path("/proc")
# ioctl_nsfs(2): the request for the type of a namespace, and the type of a network namespace.
NS_GET_NSTYPE = 0xB703
CLONE_NEWNET = 0x40000000


def find(word: str) -> tuple[str, Namespace]:
    """Return the default name of a container, and its namespace. `word` is a name under /run/netns, a pid or a path.

    Raises NotFound, NotPermitted, and Invalid if it is not a network namespace, or the host's own one.
    """
    if "/" in word:
        path, name = Path(word).absolute(), Path(word).name
        if path.parts[:2] == PROC.parts and path.parts[3:] == ("ns", "net") and path.parts[2].isdigit():
            name = path.parts[2]
    elif os.path.exists(NAMED / word) and word not in ("", ".", ".."):  # noqa: PTH110 (Path.exists fails if it is too long)
        path, name = NAMED / word, word
    elif word.isdecimal():
        path, name = PROC / word / "ns/net", word
    else:
        raise NotFound(
            f"container {quoted(word)} not found", hint="use a name that ip netns list shows, a pid or a path"
        )
    pid = int(path.parts[2]) if path.is_relative_to(PROC) and path.parts[2].isdecimal() else None
    since = None if pid is None else started(pid)
    inode = _inode(path)
    if inode == _inode(PROC / "self/ns/net"):
        raise Invalid(f"CONTAINER: {quoted(word)} is in the host's own network namespace")
    return name, Namespace(str(path), inode, pid, since)


def open_same(namespace: Namespace) -> int:
    """Open a namespace and return the file descriptor. It stays the same namespace if the path changes.

    Raises NotPermitted, and NotFound if the path no longer leads to this namespace.
    """
    try:
        handle = _open(Path(namespace.path))
    except NotPermitted:
        raise
    except MydockernetError:
        raise NotFound(f"the network namespace at {namespace.path} is gone") from None
    # Check the start time after opening: if it is unchanged, the pid was not reused before.
    same_process = namespace.pid is None or started(namespace.pid) == namespace.started
    if same_process and _number(os.fstat(handle)) == namespace.inode != _inode(PROC / "self/ns/net"):
        return handle
    os.close(handle)
    raise NotFound(f"{namespace.path} now leads to another namespace, which is left alone")


def is_one(path: str) -> bool:
    """Whether a path leads to a network namespace. True if this user may not open it."""
    try:
        os.close(_open(Path(path)))
    except NotPermitted:
        return True
    except MydockernetError:
        return False
    return True


def own(name: str) -> Namespace:
    """Return a namespace that this process is going to create and delete."""
    pid = os.getpid()
    return Namespace(str(NAMED / f"mydockernet-{name}"), "", pid, started(pid))


def at(path: str) -> Namespace | None:
    """Return the namespace at a path, or None if there is none, or only the host's own."""
    try:
        inode = _inode(Path(path))
        return None if inode == _inode(PROC / "self/ns/net") else Namespace(path, inode)
    except (Failed, Invalid, NotFound):
        return None


def alive(namespace: Namespace) -> bool:
    """Whether a namespace still exists and is still the same: pids and inodes are reused."""
    if namespace.detached:
        return False
    if namespace.pid is not None and started(namespace.pid) != namespace.started:
        return False
    if namespace.own:
        return is_one(namespace.path)
    try:
        return _inode(Path(namespace.path)) == namespace.inode
    except NotPermitted:
        return True
    except (Failed, Invalid, NotFound):
        return False


def started(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since boot (proc_pid_stat(5), field 22); None if it is gone."""
    try:
        return int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return None


def _inode(path: Path) -> str:
    handle = _open(path)
    try:
        return _number(os.fstat(handle))
    finally:
        os.close(handle)


def _number(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}"


def _open(path: Path) -> int:
    """Open the network namespace at a path; returns its descriptor. Raises NotFound, NotPermitted, Failed, Invalid."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, ValueError):  # ValueError: the path has a null byte.
        raise NotFound(f"no network namespace at {path}") from None
    except PermissionError:
        raise NotPermitted(f"cannot open {path}: Permission denied") from None
    except OSError as error:
        if error.errno == errno.EMFILE:
            raise
        raise Failed(f"cannot open {path}: {error.strerror}") from None
    try:
        if fcntl.ioctl(handle, NS_GET_NSTYPE) == CLONE_NEWNET:
            return handle
        problem: MydockernetError = Invalid(
            f"CONTAINER: {path} is a namespace of another type, not a network namespace"
        )
    except OSError as error:
        problem = Failed(f"cannot tell what {path} is: {error.strerror}")
        if error.errno in (errno.ENOTTY, errno.EINVAL, errno.EISDIR):
            problem = Invalid(f"CONTAINER: {path} is not a network namespace")
    os.close(handle)
    raise problem
