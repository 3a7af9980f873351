"""What the kernel evaluates at each hook, in its order: tables of iptables and chains of nftables. Pure.

Priorities of the tables: nft(8), "Standard priority names". Both variants of iptables use the same ones.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from mydockernet.dialects.fact import Observed
from mydockernet.packets import netfilter, nft, nft_rules
from mydockernet.packets.packet import Packet
from mydockernet.value import EMPTY, Value

Verdict = netfilter.Verdict | nft.Verdict

PRIORITIES: Mapping[str, Mapping[str, int]] = {
    "PREROUTING": {"raw": -300, "mangle": -150, "nat": -100},
    "INPUT": {"mangle": -150, "filter": 0, "security": 50, "nat": 100},
    "FORWARD": {"mangle": -150, "filter": 0, "security": 50},
    "OUTPUT": {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50},
    "POSTROUTING": {"mangle": -150, "nat": 100},
}


class Gate(Value):
    """A table or chain that decides about packets at a hook. If it is `nat`, only the first of a flow meets it."""

    priority: int
    table: str
    ask: Callable[[Packet], Verdict]

    @property
    def nat(self) -> bool:
        """Whether it translates addresses."""
        return self.table == "nat"


class Sight(Value):
    """An observation, and by namespace the nftables chains that do not belong to iptables."""

    seen: Observed = Observed()
    rulesets: Mapping[str, nft_rules.Ruleset] = EMPTY

    def gates(self, netns: str, hook: str, family: int, frames: bool = False) -> tuple[Gate, ...]:
        """Return all gates at a hook for an address family, in order. With `frames`, those of the ports of a bridge."""
        found = self._of_nft(netns, hook, ("bridge",)) if frames else self._all(netns, hook, family)
        return tuple(sorted(found, key=lambda gate: gate.priority))

    def _all(self, netns: str, hook: str, family: int) -> Iterator[Gate]:
        seen = self.seen.at(netns)
        for table, priority in PRIORITIES[hook].items():
            yield Gate(priority, table, partial(netfilter.ask, seen, table, hook))
            if seen.other is not None and family == 4:
                yield Gate(priority, table, partial(self._other, seen, table, hook))
        yield from self._of_nft(netns, hook, ("ip" if family == 4 else "ip6", "inet"))

    @staticmethod
    def _other(seen: Observed, table: str, hook: str, packet: Packet) -> Verdict:
        assert seen.other is not None
        # The rules are those of the other variant; links and addresses are the same.
        there = Observed(links=seen.links, chains=seen.other.chains, policies=seen.other.policies)
        return netfilter.ask(there, table, hook, packet, seen.variant)

    def _of_nft(self, netns: str, hook: str, families: tuple[str, ...]) -> Iterator[Gate]:
        seen, ruleset = self.seen.at(netns), self.rulesets.get(netns, nft_rules.Ruleset())
        for base in ruleset.hooked(hook.lower(), families):
            kind = "nat" if base.kind == "nat" else "nft"
            yield Gate(base.priority, kind, partial(nft.ask, seen, ruleset, base))
