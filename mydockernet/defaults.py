"""The defaults that an admin sets: environment variables, and the file that stands in for those that are not set.

The file has lines KEY=VALUE, as os-release(5) and the EnvironmentFile= of systemd.exec(5) have them; blank lines and
lines that begin with # are skipped. A value is one word, or anything in quotes. What a shell or systemd would read
differently is refused. A value is checked by the verb that uses it, and its message names the line.
"""

import os
import re
from collections.abc import Mapping

from mydockernet.errors import Failed, Invalid, MydockernetError, placed, printable
from mydockernet.record import DEFAULT_FOLDER
from mydockernet.value import Value

FILE = "/etc/mydockernet.conf"
# Names the file. An empty one counts as if it were not set, as the others do.
CONFIG = "MYDOCKERNET_CONFIG"
STATE_DIR, FIREWALL = "MYDOCKERNET_STATE_DIR", "MYDOCKERNET_FIREWALL"
POOLS, MTU = "MYDOCKERNET_POOLS", "MYDOCKERNET_MTU"
KEYS = (STATE_DIR, FIREWALL, POOLS, MTU)
SIZE_MAX = 65536

LINE = r"""([A-Za-z_][A-Za-z0-9_]*)=(?:"([^"\\$`]*)"|'([^']*)'|([^\s"'\\$`#;&|<>()*?\[\]{}~!]*))"""


class Default(Value):
    """The default of a key, empty if there is none, and the line of the file that has it, as FILE:LINE."""

    key: str
    text: str = ""
    place: str = ""

    def named(self, error: MydockernetError) -> MydockernetError:
        """Return an error about the value, with its line. The messages begin with the key already."""
        return placed(self.place, error)


def of(key: str, environ: Mapping[str, str]) -> Default:
    """Return the default of a key. The environment wins over the file.

    Raises Invalid for a file of another form, and Failed for one that cannot be read.
    """
    if text := environ.get(key):
        return Default(key, text)
    return _read(environ).get(key, Default(key))


def state_dir(environ: Mapping[str, str]) -> str:
    """Return the state directory: the default, or else /var/lib/mydockernet.

    Raises the errors of `of`, and Invalid for a path that depends on the current directory.
    """
    found = of(STATE_DIR, environ)
    if found.place and not found.text.startswith("/"):
        # The directories in which commands start differ.
        raise found.named(Invalid(f"{STATE_DIR}: {found.text} is not an absolute path"))
    return found.text or DEFAULT_FOLDER


def _read(environ: Mapping[str, str]) -> dict[str, Default]:
    file = environ.get(CONFIG) or FILE
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = os.read(handle, SIZE_MAX + 1)
        finally:
            os.close(handle)
    except FileNotFoundError as error:
        if environ.get(CONFIG):
            raise Failed(f"{CONFIG}: cannot read {file}: {error.strerror}") from None
        return {}
    except OSError as error:
        raise Failed(f"cannot read {file}: {error.strerror}") from None
    return _parsed(content, file) if content else {}


def _parsed(content: bytes, file: str) -> dict[str, Default]:
    if len(content) > SIZE_MAX:
        raise Invalid(f"{file}: it is larger than {SIZE_MAX // 1024} KiB")
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError:
        raise Invalid(f"{file}: it is not UTF-8") from None
    found: dict[str, Default] = {}
    problems = []
    for number, raw in enumerate(lines, 1):
        line, place = raw.strip(" \t\r"), f"{file}:{number}"
        if not line or line.startswith("#"):
            continue
        key, equals, _ = line.partition("=")
        match = re.fullmatch(LINE, line)
        if match is None or not line.isprintable():
            wrong = 'value: quote it, without any of " \\ $ `' if equals and key.isidentifier() else "line"
            problems.append(f"{place}: {printable(line)}: invalid {wrong}" + ("" if equals else ": use KEY=VALUE"))
        elif key not in KEYS:
            problems.append(f"{place}: unknown key {key}: use {', '.join(KEYS)}")
        elif key in found:
            problems.append(f"{place}: {key} is set twice, first in line {found[key].place.rpartition(':')[2]}")
        else:
            found[key] = Default(key, next(part for part in match.groups()[1:] if part is not None), place)
    if problems:
        raise Invalid(*problems)
    return found
