"""The dialect of `firewall-cmd`: the zone of firewalld that the packets of a network belong to.

Formats: firewall-cmd(1), firewalld.dbus(5), busctl(1) with --json=short. The zones and the policy are files of contrib:

    zone mydockernet ── policy mydockernet-out ─► any zone      containers reach other hosts, but not this one
    zone mydockernet-int ─► the same zone                       containers reach each other

Without a zone, firewalld rejects what containers send: with its backend nftables, it evaluates rules of its own after
those of iptables. If the rules of networks are in iptables, which firewalld flushes when it reloads, a binding lasts no
longer than they do, so that nothing stays open. The table of nftables stays, and so does the binding then.
"""

from collections.abc import Iterable, Iterator, Sequence

from mydockernet.dialects.fact import Argv, Fact, Observed, Step, Zones
from mydockernet.value import replace

PROGRAM = "firewall-cmd"
ZONE, ZONE_INTERNAL, POLICY = "mydockernet", "mydockernet-int", "mydockernet-out"
LASTING = "--permanent"
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
    *((*_CALL, _NAME, f"{_PATH}/config", f"{_NAME}.config", "getZoneByName", "s", zone) for zone in ZONES),
)


class InZone(Fact):
    """The zone of a bridge, or of a subnet whose containers have an interface of the host each.

    It is needed only where firewalld runs. If an admin has chosen another zone, that one stays.
    """

    member: str
    zone: str
    owner: str
    lasting: bool = False

    @property
    def what(self) -> str:
        return f"firewalld zone: {self.zone} for {self.member}"

    def zoned(self) -> bool:
        return True

    def holds(self, seen: Observed) -> bool:
        if seen.zones is None:
            return True
        bound, later = (places.get(self.member) for places in (seen.zones.members, seen.zones.lasting))
        well = bound == self.zone and later == (self.zone if self.lasting else None)
        return (well and not self._lacks(seen.zones)) or bound not in (None, *ZONES)

    def beyond(self, seen: Observed) -> str:
        if seen.zones is None or self.holds(seen) or not (lacks := self._lacks(seen.zones)):
            return ""
        return f"firewalld has no {' and no '.join(lacks)}, and may drop packets of {self.member}"

    def way_out(self) -> str:
        return " && ".join(INSTALL)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        zones = seen.zones or Zones()
        if self.zone not in zones.known:
            return ()
        bound, later = (places.get(self.member) for places in (zones.members, zones.lasting))
        steps = []
        if bound != self.zone:
            why = f"Put {self.member} into a zone of firewalld. Otherwise, firewalld may reject what containers send."
            steps.append(Step(why, _command(self.zone, "change" if bound else "add", self.member)))
        if self.lasting and later != self.zone:
            why = f"Let {self.member} stay in it when firewalld reloads, as the rules of nftables do."
            steps.append(Step(why, _command(self.zone, "change" if later else "add", self.member, LASTING)))
        if later and not self.lasting:
            steps.append(_lasting_removal(later, self.member))
        return tuple(steps)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        zones = seen.zones or Zones()
        if self.zone not in zones.known:
            return ()
        bound = zones.members.get(self.member, self.zone) == self.zone
        later = zones.lasting.get(self.member, self.zone if self.lasting else "") == self.zone
        return (
            *((_removal(self.zone, self.member),) if bound else ()),
            *((_lasting_removal(self.zone, self.member),) if later else ()),
        )

    def remains(self, seen: Observed) -> bool:
        zones = seen.zones or Zones()
        return self.zone in (zones.members.get(self.member), zones.lasting.get(self.member))

    def slot(self) -> str:
        return f"zone of {self.member}"

    def _lacks(self, zones: Zones) -> list[str]:
        """Return what is missing of the files of contrib, as in `zone "mydockernet"`."""
        wanted = (("zone", self.zone), *((("policy", POLICY),) if self.zone == ZONE else ()))
        return [f'{kind} "{name}"' for kind, name in wanted if name not in zones.known]


class StrayMember(Fact):
    """An interface that does not exist any more, but is still in a zone of mydockernet: now, or after a reload."""

    member: str
    zone: str
    lasting: bool

    @property
    def what(self) -> str:
        return f"firewalld zone: {self.zone} for {self.member}"

    def holds(self, seen: Observed) -> bool:
        return True  # It was found by observation.

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return ()

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return ((_lasting_removal if self.lasting else _removal)(self.zone, self.member),)


def strays(seen: Observed, known: Iterable[Fact]) -> Iterator[StrayMember]:
    """Yield the interfaces in zones of mydockernet that do not exist and that no known fact is about."""
    kept = {fact.member for fact in known if isinstance(fact, InZone)}
    zones = seen.zones or Zones()
    for lasting, places in ((False, zones.members), (True, zones.lasting)):
        for member, zone in places.items():
            if zone in ZONES and member not in kept and member not in seen.links and "/" not in member:
                yield StrayMember(member, zone, lasting)


def read_pid(text: str) -> int | None:
    """Parse the output of the first command; None if it is malformed or empty, as where firewalld does not run."""
    found = _data(text)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def settings(*paths: str) -> tuple[tuple[str, Argv], ...]:
    """Return each zone of mydockernet with the command that shows it after a reload.

    `paths` are the outputs of the last two commands of READ, which are empty if there is no such zone.
    """
    found = zip(ZONES, map(_data, paths), strict=True)
    interface = f"{_NAME}.config.zone"
    return tuple((zone, (*_CALL, _NAME, str(path), interface, "getSettings2")) for zone, path in found if path)


def with_lasting(zones: Zones, shown: Iterable[tuple[str, str]]) -> Zones:
    """Parse the output of the commands of `settings`, each with its zone; what is malformed is omitted."""
    lasting = {
        str(member): zone
        for zone, text in shown
        if isinstance(found := _data(text), dict)
        for kind in ("interfaces", "sources")
        for member in found.get(kind, {}).get("data", ())
    }
    return replace(zones, lasting=lasting)


def read(active: str, zones: str, policies: str) -> Zones | None:
    """Parse the output of the commands after the first; None if that of one is malformed or empty."""
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
    """Return what commands must have in common for `batch`: the zone, the change, and whether it lasts."""
    return (*argv[1:-1], argv[-1].partition("=")[0])


def foldable(argv: Argv) -> bool:
    """Whether `batch` can combine a command with others of its kind: one built by `_command`."""
    return argv[0] == PROGRAM and argv[-2].startswith("--zone=")


def batch(commands: Sequence[Argv]) -> tuple[Argv, str, tuple[int, ...]]:
    """Combine commands of one kind into one: its argv, no input, and no lines."""
    return (*commands[0][:-1], *(argv[-1] for argv in commands)), "", ()


def _removal(zone: str, member: str) -> Step:
    why = f"Take {member} out of the zone again: firewalld keeps it by its name."
    return Step(why, _command(zone, "remove", member))


def _lasting_removal(zone: str, member: str) -> Step:
    why = f"Take {member} out of the zone that it has after a reload."
    return Step(why, _command(zone, "remove", member, LASTING))


def _command(zone: str, change: str, member: str, *options: str) -> Argv:
    return (PROGRAM, *options, f"--zone={zone}", f"--{change}-{'source' if '/' in member else 'interface'}={member}")
