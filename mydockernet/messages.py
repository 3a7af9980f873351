"""Notes and errors, on stderr."""

import sys
from collections.abc import Iterable

from mydockernet.errors import MydockernetError, printable

# The exit code of check, explain and doctor if they find a problem.
DRIFTED = 5


def tell(notes: Iterable[str]) -> None:
    """Print notes to stderr."""
    for note in notes:
        print(f"mydockernet: note: {printable(' '.join(note.split()))}", file=sys.stderr)


def report(error: MydockernetError) -> int:
    """Print an error to stderr and return its exit code."""
    for message in error.messages:
        line = printable(" ".join(message.split()))
        print(f"mydockernet: error: {line}", file=sys.stderr)
    if error.hint:
        print(f"hint: {printable(error.hint)}", file=sys.stderr)
    return error.exit_code


def report_all(errors: Iterable[MydockernetError]) -> int:
    """Print all errors and return the exit code of the first, 0 if there are none."""
    return next(iter([report(error) for error in errors]), 0)
