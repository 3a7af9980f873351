"""The dialect of `iptables`: rules of the admin that are on record."""

from collections.abc import Iterable

from mydockernet.dialects.fact import Argv, Observed, Step, tag
from mydockernet.dialects.iptables import PROGRAMS, Order, OwnRule, options
from mydockernet.errors import quoted
from mydockernet.value import replace

# iptables(8), iptables-extensions(8): any other target is a chain.
_TARGETS = """
ACCEPT AUDIT CHECKSUM CLASSIFY CLUSTERIP CONNMARK CONNSECMARK CT DNAT DNPT DROP DSCP ECN HL HMARK IDLETIMER LED LOG
MARK MASQUERADE NETMAP NFLOG NFQUEUE NOTRACK QUEUE RATEEST REDIRECT REJECT RETURN SECMARK SET SNAT SNPT SYNPROXY
TCPMSS TCPOPTSTRIP TEE TOS TPROXY TRACE TTL ULOG
"""
TARGETS = frozenset(_TARGETS.split())


class UserRule(OwnRule):
    """A rule of the admin: its `match` has all of its words, also those of the target.

    It may jump to a chain of another program, such as ufw, and is left out while that does not exist.
    """

    @property
    def words(self) -> Argv:
        return ("-m", "comment", "--comment", tag(self.owner), *self.match)

    @property
    def summary(self) -> str:
        return " ".join((self.chain.name, *self.match))

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return () if self.beyond(seen) else OwnRule.do(self, seen)

    def beyond(self, seen: Observed) -> str:
        name = leads_to(self.match)
        if not name or replace(self.chain, name=name) in seen.chains:
            return ""
        program = PROGRAMS[self.chain.family]
        return f"{program} has no chain {quoted(name)}, to which a rule of the admin jumps: {self.summary}"

    def way_out(self) -> str:
        return "create it, and run mydockernet repair"


def leads_to(words: Iterable[str]) -> str:
    """Return the chain that a rule jumps to; empty if it has another target."""
    found = next((values for _, option, values in options(words) if option in ("-j", "-g")), [])
    return found[0] if found and found[0] not in TARGETS else ""


class UserOrder(Order):
    """The order of the admin's rules of one network: each is there once. Rules added by hand may be among them."""

    @property
    def what(self) -> str:
        return f"rules: {self._chain.table} {self._chain.name} (those on record must be there once each, in order)"

    def holds(self, seen: Observed) -> bool:
        places = [place for place in (rule._place(seen) for rule in self.rules) if place is not None]
        return places == sorted(places) and all(rule.copies(seen) <= 1 for rule in self.rules)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return Order((*(rule for rule in self.rules if not rule.beyond(seen)),)).do(seen)
