"""A plan as a POSIX shell script that does the same as the verb, to the kernel and to the record. Pure.

The script takes the lock of the record, stops if the record has changed, runs the commands of the plan, and writes the
record last, as the verb does.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping

from mydockernet.dialects.fact import Step
from mydockernet.errors import Conflict, Locked, command_line, printable
from mydockernet.value import EMPTY, Value

# Ends each here-document. No line of a record is just this word, because JSON has braces or quotes on every line.
END = "END"
LOCK_TIMEOUT = 30  # seconds


class Record(Value):
    """What a plan does to the record in `folder`, and the `digest` of the record that it was made from.

    `files` are texts by path, None for a file to delete. `holds_lock`: whether the script locks the record.
    """

    folder: str
    digest: str
    files: Mapping[str, str | None] = EMPTY
    makes_folder: bool = False
    holds_lock: bool = True


def whole(steps: Iterable[Step], record: Record | None) -> tuple[Step, ...]:
    """Return the steps of a plan, preceded by the check of the record and followed by those that write the record."""
    steps = tuple(steps)
    if record is None or not (steps or record.files):
        return steps
    return (*_before(record), *steps, *_after(record))


def text(steps: Iterable[Step], record: Record | None) -> str:
    """Return a plan as a script: each command, quoted for sh, with its reason above it.

    Optional commands are followed by `|| :`, because `set -e` would end the script if they fail.
    """
    lines = ["#!/bin/sh", "set -e"]
    for step in whole(steps, record):
        if record and record.holds_lock and step == _guard(record):
            lines += _lock(record.folder)
        lines += ["", f"# {printable(step.why)}", *_command(step)]
    return "\n".join(lines) + "\n"


def as_json(steps: Iterable[Step], record: Record | None) -> str:
    """Return a plan as a JSON array of {"why", "argv"}, with "stdin" if the command has input, and "optional" if its
    failure is ignored. It takes no lock, because a lock lasts only as long as the process that holds it.
    """
    told = [
        {
            "why": step.why,
            "argv": step.do,
            **({"stdin": step.stdin} if step.stdin else {}),
            **({"optional": True} if step.optional else {}),
        }
        for step in whole(steps, record)
    ]
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def digested(folder: str) -> str:
    """Return the shell command that prints the digest of a record: the SHA-256 of all of its files."""
    quoted = shlex.quote(folder)
    return f"cat {quoted}/networks/*.json {quoted}/journal.json 2>/dev/null | sha256sum"


def _command(step: Step) -> list[str]:
    if step.do[:2] == ("sh", "-c"):
        return step.do[2].splitlines()  # The script itself is sh.
    line = command_line(step.do) + (" || :" if step.optional else "")
    if not step.stdin:
        return [line]
    return [f"{line} <<'{END}'", *step.stdin.splitlines(), END]


def _before(record: Record) -> Iterator[Step]:
    if record.makes_folder:
        why = "Create the state directory. Only root can read it."
        yield Step(why, ("install", "-d", "-m", "0700", record.folder, f"{record.folder}/networks"))
    yield _guard(record)


def _guard(record: Record) -> Step:
    said = f"mydockernet: error: the record in {record.folder} has changed since this plan was made; make a new plan"
    code = (
        "export LC_ALL=C\n"
        f'[ "$({digested(record.folder)})" = "{record.digest}  -" ] || {{\n'
        f"    echo {shlex.quote(said)} >&2\n"
        f"    exit {Conflict.exit_code}\n"
        "}"
    )
    return Step("Compare the checksum of the record: stop if it has changed since this plan was made.", _sh(code))


def _lock(folder: str) -> list[str]:
    said = f"mydockernet: error: another mydockernet process holds the lock {folder}/lock"
    return [
        "",
        "# Take the lock of the record, as every command does, and hold it until the script ends.",
        "umask 077",
        f"exec 9>>{shlex.quote(folder + '/lock')}",
        f"flock --timeout {LOCK_TIMEOUT} 9 || {{",
        f"    echo {shlex.quote(said)} >&2",
        f"    exit {Locked.exit_code}",
        "}",
    ]


def _after(record: Record) -> Iterator[Step]:
    for path, content in sorted(record.files.items()):
        folder, _, name = path.rpartition("/")
        what = name.removesuffix(".json")
        if content is None:
            yield Step(f"Remove {what} from the record.", ("rm", path))
            continue
        temporary = f"{folder}/.{name}.tmp"
        yield Step(
            f"Write the new record of {what}, into a temporary file first.",
            ("install", "-m", "0600", "/dev/stdin", temporary),
            stdin=content,
        )
        yield Step("Flush the file to disk.", ("sync", temporary))
        yield Step("Move it into place, which is atomic.", ("mv", temporary, path))
    if record.files:
        yield Step("Flush the directory to disk, too.", ("sync", f"{record.folder}/networks"))


def _sh(code: str) -> tuple[str, ...]:
    return ("sh", "-c", code)
