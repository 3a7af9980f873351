"""The dialect of `firewall-cmd`: the zone of firewalld that the packets of a network belong to.

Formats: firewall-cmd(1), firewalld.dbus(5), busctl(1) with --json=short. The zones and the policy are files of contrib:

    zone mydockernet ── policy mydockernet-out ─► any zone      containers reach other hosts, but not this one
    zone mydockernet-int ─► the same zone                       containers reach each other

Without a zone, firewalld rejects what containers send: with its backend nftables, it evaluates rules of its own after
those of iptables. A binding lasts until firewalld reloads, as the rules of iptables do, so that nothing stays open
when those are gone.
"""

from collections.abc import Iterable, Iterator, Sequence

from mydockernet.dialects.fact import Argv, Fact, Observed, Step, Zones

PROGRAM = "firewall-cmd"
ZONE, ZONE_INTERNAL, POLICY = "mydockernet", "mydockernet-int", "mydockernet-out"
ZONES = (ZONE, ZONE_INTERNAL)
INSTALL = (
    "cp -R contrib/firewalld/zones contrib/firewalld/policies /usr/lib/firewalld/",
    "firewall-cmd --reload && mydockernet repair",
)

_NAME, _PATH = "org.fedoraproject.FirewallD1", "/org/fedoraproject/FirewallD1"
_CALL = ("busctl", "--json=short", "--auto-start=no", "--timeout=20", "call")
# First the process behind the name: D-Bus is not per network namespace, and firewalld may be that of another one.
_BUS = "org.freedesktop.DBus"
READ: tuple[Argv, ...] = (
    (*_CALL, _BUS, "/org/freedesktop/DBus", _BUS, "GetConnectionUnixProcessID", "s", _NAME),
    (*_CALL, _NAME, _PATH, f"{_NAME}.zone", "getActiveZones"),
    (*_CALL, _NAME, _PATH, f"{_NAME}.zone", "getZones"),
    (*_CALL, _NAME, _PATH, f"{_NAME}.policy", "getPolicies"),
)


class InZone(Fact):
    """The zone of a bridge, or of a subnet whose containers have an interface of the host each.

    It is needed only where firewalld runs. If an admin has chosen another zone, that one stays.
    """

    member: str
    zone: str
    owner: str

    @property
    def what(self) -> str:
        return f"firewalld zone: {self.zone} for {self.member}"

    def zoned(self) -> bool:
        return True

    def holds(self, seen: Observed) -> bool:
        if seen.zones is None:
            return True
        bound = seen.zones.members.get(self.member)
        return (bound == self.zone and not self._lacks(seen.zones)) or bound not in (None, *ZONES)

    def beyond(self, seen: Observed) -> str:
        if seen.zones is None or self.holds(seen) or not (lacks := self._lacks(seen.zones)):
            return ""
        return f"firewalld has no {' and no '.join(lacks)}, and may drop packets of {self.member}"

    def way_out(self) -> str:
        return " && ".join(INSTALL)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        zones = seen.zones or Zones()
        bound = zones.members.get(self.member)
        if self.zone not in zones.known or bound == self.zone:
            return ()
        why = f"Put {self.member} into a zone of firewalld. Otherwise, firewalld may reject what containers send."
        return (Step(why, _command(self.zone, "change" if bound else "add", self.member)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        zones = seen.zones or Zones()
        if self.zone not in zones.known or zones.members.get(self.member, self.zone) != self.zone:
            return ()
        return _removal(self.zone, self.member)

    def remains(self, seen: Observed) -> bool:
        return seen.zones is not None and seen.zones.members.get(self.member) == self.zone

    def slot(self) -> str:
        return f"zone of {self.member}"

    def _lacks(self, zones: Zones) -> list[str]:
        """Return what is missing of the files of contrib, as in `zone "mydockernet"`."""
        wanted = (("zone", self.zone), *((("policy", POLICY),) if self.zone == ZONE else ()))
        return [f'{kind} "{name}"' for kind, name in wanted if name not in zones.known]


class StrayMember(Fact):
    """An interface that does not exist any more, but is still in a zone of mydockernet."""

    member: str
    zone: str

    @property
    def what(self) -> str:
        return f"firewalld zone: {self.zone} for {self.member}"

    def holds(self, seen: Observed) -> bool:
        return True  # It was found by observation.

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return ()

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return _removal(self.zone, self.member)


def strays(seen: Observed, known: Iterable[Fact]) -> Iterator[StrayMember]:
    """Yield the interfaces in zones of mydockernet that do not exist and that no known fact is about."""
    kept = {fact.member for fact in known if isinstance(fact, InZone)}
    for member, zone in (seen.zones or Zones()).members.items():
        if zone in ZONES and member not in kept and member not in seen.links and "/" not in member:
            yield StrayMember(member, zone)


def read_pid(text: str) -> int | None:
    """Parse the output of the first command; None if it is malformed or empty, as where firewalld does not run."""
    found = _data(text)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def read(active: str, zones: str, policies: str) -> Zones | None:
    """Parse the output of the other commands; None if that of one is malformed or empty."""
    bound, names = _data(active), [_data(zones), _data(policies)]
    if not isinstance(bound, dict):
        return None
    members = {
        str(member): str(zone)
        for zone, by_kind in bound.items()
        for kind in ("interfaces", "sources")
        for member in by_kind.get(kind, ())
    }
    lists = [each for each in names if isinstance(each, list)]
    return Zones(members, frozenset(str(name) for each in lists for name in each)) if len(lists) == 2 else None


def _data(text: str) -> object:
    import json

    try:
        return json.loads(text)["data"][0]
    except (ValueError, LookupError, TypeError):
        return None


def kind(argv: Argv) -> Argv:
    """Return what commands must have in common for `batch`: the zone and the change."""
    return (argv[1], argv[2].partition("=")[0])


def foldable(argv: Argv) -> bool:
    """Whether `batch` can combine a command with others of its kind: one built by `_command`."""
    return argv[0] == PROGRAM and len(argv) == 3


def batch(commands: Sequence[Argv]) -> tuple[Argv, str, tuple[int, ...]]:
    """Combine commands of one kind into one: its argv, no input, and no lines."""
    return (*commands[0][:2], *(argv[2] for argv in commands)), "", ()


def _removal(zone: str, member: str) -> tuple[Step, ...]:
    why = f"Take {member} out of the zone again: firewalld keeps it by its name."
    return (Step(why, _command(zone, "remove", member)),)


def _command(zone: str, change: str, member: str) -> Argv:
    return (PROGRAM, f"--zone={zone}", f"--{change}-{'source' if '/' in member else 'interface'}={member}")
