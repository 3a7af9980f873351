"""Fold the commands of neighboring steps into one, and trace an error of it back to the step that failed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from types import ModuleType

from mydockernet.dialects import ebtables, etc, firewalld, ip, iptables, nftables, sysctl
from mydockernet.dialects.fact import Argv, Step
from mydockernet.value import Value


class Batch(Value):
    """Steps that run as one command. `lines` maps each line of its input to the index of its step."""

    argv: Argv
    stdin: str
    lines: tuple[int, ...]
    steps: tuple[Step, ...]

    def at_fault(self, stderr: str) -> Step | None:
        """Return the step that failed, if the error message names its line."""
        if len(self.steps) == 1:
            return self.steps[0]
        line = _failed_line(stderr)
        if line is not None and 0 < line <= len(self.lines):
            return self.steps[self.lines[line - 1]]
        return None


def _failed_line(stderr: str) -> int | None:
    """Return the line number in the error message of a program.

    `Command failed -:3` of ip, `line 3 failed` or `at line: 3` of iptables-restore, `/dev/stdin:3:8-13: Error` of nft.
    """
    if stderr.startswith(NFT_STDIN):
        number = stderr.removeprefix(NFT_STDIN).partition(":")[0]
        return int(number) if number.isdecimal() else None
    for word_before, word in zip(["", *stderr.split()], stderr.split(), strict=False):
        number = word.removeprefix("-:")
        if (word.startswith("-:") or word_before in ("line", "line:")) and number.rstrip(".:").isdecimal():
            return int(number.rstrip(".:"))
    return None


FOLDERS: tuple[ModuleType, ...] = (ip, iptables, nftables, sysctl, ebtables, firewalld, etc)
# Those whose commands must have more in common than the program.
KINDS: dict[ModuleType, Callable[[Argv], Argv]] = {firewalld: firewalld.kind, etc: etc.kind}
# iptables-restore sends all rules of a table as one message; root of a user namespace may send 200 kB.
MOST_RULES = 300
# The same goes for nft -f, and for a transaction with an element each.
MOST_ELEMENTS = 1000
NFT_STDIN = "/dev/stdin:"


def fold(steps: Iterable[Step]) -> Iterator[Batch]:
    """Join neighboring steps of one program and namespace into one command each, and keep the order."""

    def kind(step: Step) -> tuple[int, Argv, Argv]:
        prefix, argv = _split(step.do)
        index = next((i for i, folder in enumerate(FOLDERS) if folder.foldable(argv) and not step.optional), -1)
        alike = KINDS[FOLDERS[index]](argv) if index >= 0 and FOLDERS[index] in KINDS else argv[:1]
        return index, alike if index >= 0 else (), prefix

    for (index, _, prefix), group in groupby(steps, kind):
        neighbors = tuple(group)
        if index < 0 or len(neighbors) == 1:
            yield from (Batch(step.do, step.stdin, (), (step,)) for step in neighbors)
            continue
        most = {iptables: MOST_RULES, nftables: MOST_ELEMENTS}.get(FOLDERS[index], len(neighbors))
        for some in (neighbors[start : start + most] for start in range(0, len(neighbors), most)):
            argv, text, lines = FOLDERS[index].batch([_split(step.do)[1] for step in some])
            yield Batch((*prefix, *argv), text, lines, some)


def _split(argv: Argv) -> tuple[Argv, Argv]:
    """Split a command into its `nsenter --net=PATH`, if it has one, and the rest."""
    return (argv[:2], argv[2:]) if argv[0] == "nsenter" else ((), argv)
