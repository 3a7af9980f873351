"""Write a file that an admin names: whole or not at all."""

import contextlib
import os
import stat
from pathlib import Path

from mydockernet.errors import Failed, Invalid


def write(path: Path, content: str, option: str, mode: int | None = None) -> None:
    """Write a file, whole or not at all. Its permissions are `mode`, or what the umask leaves.

    Raises Invalid for what is no regular file, naming the option, and Failed.
    Nothing that another user puts there meanwhile, such as a symbolic link, is followed.
    """
    made = False
    try:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(path.lstat().st_mode):
                raise Invalid(f"{option}: {path} is not a regular file; - is stdout")
        temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, 0o666), "w", encoding="utf-8") as file:
            made = True
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError as error:
        if made:
            with contextlib.suppress(OSError):
                temporary.unlink()
        raise Failed(f"cannot write {path}: {error.strerror}") from None
