"""The dialect of `tc`: facts about how fast an interface sends. Formats: tc(8), tc-tbf(8)."""

import json

from mydockernet.dialects.fact import Argv, Attribute, Observed, Step
from mydockernet.errors import Failed
from mydockernet.rates import Limit

# For each interface its qdiscs, with their rates in bytes per second.
READ: Argv = ("tc", "-json", "qdisc", "show")
KIND = "tbf"
# How long a packet waits at most, as in the CNI plugin for bandwidth.
LATENCY = "25ms"


class Shaper(Attribute):
    """A token bucket filter: the interface sends no faster than the limit."""

    limit: Limit
    why: str

    @property
    def what(self) -> str:
        return f"rate: {self.limit} on {self._name}"

    @property
    def difference(self) -> str:
        return f"rate of {self._name} is not {self.limit}"

    def shaped(self) -> bool:
        return True

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        if link is None or link.queue != KIND:
            return False
        there = seen.at(self.netns).rates
        return there is None or abs(there.get(self.dev, 0) - self.limit.rate // 8) <= 1

    def do(self, seen: Observed) -> tuple[Step, ...]:
        words = ("rate", f"{self.limit.rate}bit", "burst", f"{-(-self.limit.burst // 8)}b", "latency", LATENCY)
        return (Step(self.why, self._inside("tc", "qdisc", "replace", "dev", self.dev, "root", KIND, *words)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        delete = self._inside("tc", "qdisc", "delete", "dev", self.dev, "root")
        return (Step(f"Let {self._name} send at any rate again.", delete),)


def read(text: str) -> dict[str, int]:
    """Parse the output of READ: the rates of token bucket filters by interface, in bytes per second. Raises Failed."""
    try:
        found = [raw for raw in json.loads(text) if raw.get("kind") == KIND and raw.get("root")]
        return {str(raw["dev"]): int(raw["options"]["rate"]) for raw in found}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(f"cannot parse the output of `{' '.join(READ)}`: {error!r}") from None
