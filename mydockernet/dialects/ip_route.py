"""The dialect of `ip route`, `ip rule` and `ip neighbour`: facts about where packets go.

Formats: ip-route(8), ip-rule(8), ip-neighbour(8).
"""

from collections.abc import Iterable, Iterator

from mydockernet.dialects.fact import PROTOCOL, Argv, Attribute, Fact, Lookup, Observed, Route, Step, inside, place

# What `ip -6 route` shows as the metric of a route that was added without one (IP6_RT_PRIO_USER).
IPV6_METRIC = 1024


class DefaultRoute(Attribute):
    """The default route of a container. `metric` is empty if it is left to the kernel."""

    gateway: str
    metric: str = ""

    @property
    def what(self) -> str:
        return f"default route: via {self.gateway}{_end(self.metric)} dev {self._name}"

    def holds(self, seen: Observed) -> bool:
        return any(_has_metric(route, self.metric) for route in self._similar(seen))

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = "Route everything else to the gateway of the network."
        wrong = (
            Step(
                f"Delete the default route through {self.dev} that has another metric.",
                self._inside("ip", "route", "delete", *self._way, *_metric(str(route.metric or ""))),
                optional=True,  # If the interface is created again, it is gone with the old one.
            )
            for route in self._similar(seen)
            if not _has_metric(route, self.metric)
        )
        return (*wrong, Step(why, self._inside("ip", "route", "add", *self._words)))

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (
            Step(f"Delete the default route through {self.dev}.", self._inside("ip", "route", "delete", *self._words)),
        )

    def _similar(self, seen: Observed) -> tuple[Route, ...]:
        """Return the default routes through this gateway and interface, whatever their metric."""
        routes = seen.at(self.netns).routes
        return tuple(r for r in routes if r.default and (r.table, r.via, r.dev) == ("main", self.gateway, self.dev))

    @property
    def _way(self) -> Argv:
        return ("default", "via", self.gateway, "dev", self.dev)

    @property
    def _words(self) -> Argv:
        return (*self._way, *_metric(self.metric))


class StaticRoute(Attribute):
    """A static route of a network in one of its containers; `table` is main, or that of the network."""

    destination: str
    gateway: str
    metric: str = ""
    table: str = "main"

    @property
    def what(self) -> str:
        return f"route: {self.destination} via {self.gateway}{_end(self.metric, self.table)} dev {self._name}"

    def holds(self, seen: Observed) -> bool:
        return any(map(self._is, self._there(seen)))

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = f"Route to {self.destination} through {self.gateway}, {_given(self.table)}."
        return (
            *_make_room(self.netns, (route for route in self._there(seen) if not self._is(route))),
            Step(why, self._inside("ip", "route", "add", *self._words)),
        )

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = f"Delete the route to {self.destination}{_end('', self.table)}."
        return (Step(why, self._inside("ip", "route", "delete", *self._words)),)

    def _there(self, seen: Observed) -> tuple[Route, ...]:
        return _own_routes(seen.at(self.netns), self.destination, self.metric, self.table)

    def _is(self, route: Route) -> bool:
        return (route.via, route.dev, route.kind) == (self.gateway, self.dev, "unicast")

    @property
    def _words(self) -> Argv:
        return (self.destination, "via", self.gateway, "dev", self.dev, *_tail(self.metric, self.table))


class Refusal(Fact):
    """A static route by which a container refuses packets, as `kind` says. It has no interface, so it outlives it."""

    kind: str
    destination: str
    metric: str = ""
    table: str = "main"

    @property
    def what(self) -> str:
        return f"route: {self.kind} {self.destination}{_end(self.metric, self.table)}{place(self.netns)}"

    def holds(self, seen: Observed) -> bool:
        return any(route.kind == self.kind for route in self._there(seen))

    def do(self, seen: Observed) -> tuple[Step, ...]:
        how = "silently" if self.kind == "blackhole" else f"with the ICMP error of {self.kind}"
        why = f"Refuse packets to {self.destination} {how}, {_given(self.table)}."
        return (
            *_make_room(self.netns, self._there(seen)),
            Step(why, inside(self.netns, ("ip", "route", "add", *self._words))),
        )

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = f"Delete the {self.kind} route to {self.destination}{_end('', self.table)}."
        return (Step(why, inside(self.netns, ("ip", "route", "delete", *self._words))),)

    def _there(self, seen: Observed) -> tuple[Route, ...]:
        return _own_routes(seen.at(self.netns), self.destination, self.metric, self.table)

    @property
    def _words(self) -> Argv:
        return (self.kind, self.destination, *_tail(self.metric, self.table))


def _own_routes(there: Observed, destination: str, metric: str, table: str) -> tuple[Route, ...]:
    """Return the routes in the place of a static route. Only default routes and those of mydockernet are observed."""
    return tuple(
        route
        for route in there.routes
        if (str(route.destination), route.table) == (destination, table) and _has_metric(route, metric)
    )


def _make_room(netns: str, wrong: Iterable[Route]) -> Iterable[Step]:
    """Yield the steps that delete routes of mydockernet that have changed: a table holds one of each metric."""
    for route in wrong:
        kind = (route.kind,) if route.kind != "unicast" else ()
        way = (*(("via", route.via) if route.via else ()), *(("dev", route.dev) if route.dev and not kind else ()))
        tail = _tail(str(route.metric or ""), route.table)
        yield Step(
            f"Delete the route to {route.destination} that has changed.",
            inside(netns, ("ip", "route", "delete", *kind, str(route.destination), *way, *tail)),
            optional=True,  # If its interface is created again, it is gone with the old one.
        )


def _has_metric(route: Route, metric: str) -> bool:
    return route.metric == int(metric) if metric else route.metric in (0, IPV6_METRIC)


def _metric(metric: str) -> Argv:
    return ("metric", metric) if metric else ()


def _tail(metric: str, table: str) -> Argv:
    return (*_metric(metric), *(() if table == "main" else ("table", table)), "protocol", PROTOCOL)


def _end(metric: str, table: str = "main") -> str:
    return (f" metric {metric}" if metric else "") + ("" if table == "main" else f" table {table}")


def _given(table: str) -> str:
    return "as --route asks for" if table == "main" else f"also in table {table}"


class PlainRoute(Attribute):
    """A route to a block (10.1.0.0/24, 10.1.0.2/32) through an interface, perhaps by a gateway."""

    destination: str
    why: str
    gateway: str = ""

    @property
    def what(self) -> str:
        via = f"via {self.gateway} " if self.gateway else ""
        return f"route: {self.destination} {via}dev {self._name}"

    def holds(self, seen: Observed) -> bool:
        return any(_main(r) == (self.destination, self.gateway, self.dev) for r in seen.at(self.netns).routes)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(self.why, self._inside("ip", "route", "add", *self._words)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(f"Delete the route to {self.destination}.", self._inside("ip", "route", "delete", *self._words)),)

    def obstacle(self, seen: Observed) -> str:
        return _taken(self.destination, seen.at(self.netns), self.netns)

    @property
    def _words(self) -> Argv:
        via = ("via", self.gateway) if self.gateway else ()
        return (self.destination, *via, "dev", self.dev, "protocol", PROTOCOL)


class Unreachable(Fact):
    """A route of the host by which packets to unused addresses of a network go nowhere."""

    destination: str
    owner: str

    @property
    def what(self) -> str:
        return f"route: unreachable {self.destination}"

    def holds(self, seen: Observed) -> bool:
        return any(r.kind == "unreachable" and str(r.destination) == self.destination for r in seen.routes)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = (
            f"Reject packets to addresses of {self.owner} that no container has: they would leave by the host's "
            "default route."
        )
        return (Step(why, ("ip", "route", "add", *self._words)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = f"Delete the route for unused addresses of {self.owner}."
        return (Step(why, ("ip", "route", "delete", *self._words)),)

    def slot(self) -> str:
        return self.what  # Another network may take over the subnet.

    def obstacle(self, seen: Observed) -> str:
        return _taken(self.destination, seen)

    @property
    def _words(self) -> Argv:
        return ("unreachable", self.destination, "protocol", PROTOCOL)


class StrayRoute(Fact):
    """A route of the host that carries mydockernet's protocol but that no network needs."""

    destination: str

    @property
    def what(self) -> str:
        return f"route: unreachable {self.destination}"

    def holds(self, seen: Observed) -> bool:
        return True  # It was found by observation.

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return ()

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = "Delete a route that mydockernet created but that no network needs."
        return (Step(why, ("ip", "route", "delete", "unreachable", self.destination, "protocol", PROTOCOL)),)


def strays(seen: Observed, known: Iterable[Fact]) -> Iterator[StrayRoute]:
    """Yield the unreachable routes of mydockernet that no known fact needs. The others disappear with an interface."""
    kept = {fact.destination for fact in known if isinstance(fact, Unreachable)}
    for route in seen.routes:
        if route.kind == "unreachable" and route.protocol == PROTOCOL and str(route.destination) not in kept:
            yield StrayRoute(str(route.destination))


def _main(route: Route) -> tuple[str, str, str]:
    """Return the destination, gateway and interface of a route in the main table."""
    return (str(route.destination), route.via, route.dev) if route.table == "main" else ("", "", "")


def _taken(destination: str, seen: Observed, netns: str = "") -> str:
    """Return a message about a route of another program to the same block; empty if there is none."""
    there = (r for r in seen.routes if _main(r)[0] == destination and r.protocol != PROTOCOL)
    return next((f"route `{route.line}` already exists{place(netns)}" for route in there), "")


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
            else f"In table {self.table}, route everything else through {self.dev}."
            if self.destination.endswith("/0")
            else f"In table {self.table}, route to the containers of that network through {self.dev}."
        )
        return (Step(why, self._inside("ip", "route", "add", *self._words)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(f"Delete a route of table {self.table}.", self._inside("ip", "route", "delete", *self._words)),)

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
        return (Step(why, self._inside("ip", "neighbor", "replace", *entry)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = f"Forget the MAC address of {self.endpoint}."
        return (Step(why, self._inside("ip", "neighbor", "delete", self.address, "dev", self.dev)),)
