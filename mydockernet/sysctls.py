"""The dialect of `sysctl`: facts about the kernel's switches. Format: sysctl(8), proc_sys_net(5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mydockernet.facts import Argv, Fact, Observed, Step

ROOT = Path("/proc/sys")


@dataclass(frozen=True, slots=True)
class Sysctl(Fact):
    """A switch and its value. With a `dev`, it is that interface's and goes with it; without, it stays."""

    key: str
    value: str
    why: str
    dev: str = ""

    def within(self) -> str:
        return self.dev

    def sysctl(self) -> str:
        return self.key

    def holds(self, seen: Observed) -> bool:
        if self.key.startswith("net/ipv6/") and not seen.ipv6:
            return True  # A kernel without IPv6 has nothing to switch.
        return seen.sysctls.get(self.key) == self.value

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(self.why, ("sysctl", "-w", f"{dotted(self.key)}={self.value}")),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return ()


def dotted(key: str) -> str:
    """A key as people write it, net.ipv4.ip_forward; with slashes where a part itself has a dot."""
    return key if "." in key else key.replace("/", ".")


def batch(commands: Sequence[Argv]) -> tuple[Argv, str, tuple[int, ...]]:
    """Fold `sysctl -w` commands into one; it names the key at fault, so no line leads back to a command."""
    return ("sysctl", "-w", *(argv[2] for argv in commands)), "", ()


def foldable(argv: Argv) -> bool:
    """Whether a command is one of ours that sets a switch."""
    return argv[:2] == ("sysctl", "-w") and len(argv) == 3


def read(key: str, root: Path = ROOT) -> str | None:
    """The value of a switch, or None where there is no such key (an interface that is not there)."""
    try:
        return (root / key).read_text().strip()
    except OSError:
        return None
