"""The dialect of `ip route`, `ip rule` and `ip neighbour`: facts about where packets go.

Formats: ip-route(8), ip-rule(8), ip-neighbour(8).
"""

from mydockernet.dialects.fact import PROTOCOL, Argv, Fact, Lookup, Observed, Step, inside, place
from mydockernet.dialects.ip import Attribute


class DefaultRoute(Attribute):
    """The default route of a container."""

    gateway: str

    @property
    def what(self) -> str:
        return f"default route: via {self.gateway} dev {self._name}"

    def holds(self, seen: Observed) -> bool:
        routes = seen.at(self.netns).routes
        return any(r.default and (r.table, r.via, r.dev) == ("main", self.gateway, self.dev) for r in routes)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = "Route everything else to the gateway: the host's address on the bridge."
        return (Step(why, self._ip("route", "add", *self._words)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(f"Delete the default route through {self.dev}.", self._ip("route", "delete", *self._words)),)

    @property
    def _words(self) -> Argv:
        return ("default", "via", self.gateway, "dev", self.dev)


class TableRoute(Attribute):
    """A route in the table of one network, for a container on several networks."""

    destination: str
    table: str
    gateway: str = ""

    @property
    def what(self) -> str:
        return f"route: {self.destination} table {self.table} dev {self._name}"

    def holds(self, seen: Observed) -> bool:
        everywhere = "::/0" if ":" in self.gateway else "0.0.0.0/0"
        wanted = (everywhere if self.destination == "default" else self.destination, self.gateway, self.dev)
        routes = seen.at(self.netns).routes
        return any(r.table == self.table and (str(r.destination), r.via, r.dev) == wanted for r in routes)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = (
            f"In table {self.table}, route everything else to the gateway of that network."
            if self.gateway
            else f"In table {self.table}, route to the containers of that network through {self.dev}."
        )
        return (Step(why, self._ip("route", "add", *self._words)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(f"Delete a route of table {self.table}.", self._ip("route", "delete", *self._words)),)

    @property
    def _words(self) -> Argv:
        via = ("via", self.gateway) if self.gateway else ()
        return (self.destination, *via, "dev", self.dev, "table", self.table, "protocol", PROTOCOL)


class SourceLookup(Fact):
    """A routing rule by which packets from an address of a container use the table of that address's network."""

    source: str
    table: str

    @property
    def what(self) -> str:
        return f"routing rule: from {self.source} lookup {self.table}{place(self.netns)}"

    def holds(self, seen: Observed) -> bool:
        return self._lookup in seen.at(self.netns).lookups

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = (
            f"Use that table for packets from {self.source}. If they left by another network, the host would drop them "
            "as forged."
        )
        return (Step(why, self._command("add")),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = f"Delete the routing rule for {self.source}."
        return (Step(why, self._command("delete")),)

    def lookups6(self) -> bool:
        return ":" in self.source

    def _command(self, verb: str) -> Argv:
        family = ("-6",) if ":" in self.source else ()
        return inside(self.netns, ("ip", *family, "rule", verb, *self._words))

    @property
    def _lookup(self) -> Lookup:
        return Lookup(int(self.table), self.source, self.table)

    @property
    def _words(self) -> Argv:
        return ("from", self.source, "lookup", self.table, "priority", self.table, "protocol", PROTOCOL)


class Neighbor(Attribute):
    """A permanent entry of the neighbor table: no neighbor advertisement changes it (ip-neighbour(8))."""

    address: str
    mac: str
    endpoint: str

    @property
    def what(self) -> str:
        return f"neighbor: {self.address} at {self.mac} on {self._name}"

    def holds(self, seen: Observed) -> bool:
        return (self.dev, self.address, self.mac) in seen.at(self.netns).neighbors

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = f"Fix the MAC address of {self.endpoint}: no other container can then claim {self.address}."
        entry = (self.address, "lladdr", self.mac, "dev", self.dev, "nud", "permanent")
        return (Step(why, self._ip("neighbor", "replace", *entry)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = f"Forget the MAC address of {self.endpoint}."
        return (Step(why, self._ip("neighbor", "delete", self.address, "dev", self.dev)),)
