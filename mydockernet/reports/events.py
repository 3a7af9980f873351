"""What changes, as it changes: by mydockernet, from its record; by others, from what the kernel tells. Pure.

While a verb makes a change, the kernel tells each part of it. The record tells the whole, a moment later, so what the
kernel tells is kept for that moment.
"""

from collections.abc import Iterable, Iterator, Mapping

from mydockernet.dialects import ip_monitor, nft_monitor
from mydockernet.dialects.fact import SHARED, Link
from mydockernet.dialects.ip_monitor import AddressChange, LinkChange, RouteChange
from mydockernet.dialects.nft_monitor import Generation, RuleChange
from mydockernet.errors import command_line
from mydockernet.model import Intent, IPNetwork, doors
from mydockernet.record.history import DONE, Entry
from mydockernet.value import Value

# Seconds: what the kernel tells is kept so long, for the record of the change that it is a part of; and so long at most
# while a change goes on, as one that was killed seems to go on.
KEPT, KEPT_AT_MOST = 0.5, 30.0
# How many places are named of those whose rules have changed.
PLACES = 4


class Event(Value):
    """A change: when (UTC), by whom (empty if that is unknown), what, and the networks that it is about."""

    when: str
    networks: tuple[str, ...]
    who: str
    what: str


class Told(Value):
    """Something that the kernel told. It concerns a network by an interface, a destination or the mark of its owner."""

    what: str
    who: str = ""
    devices: frozenset[str] = frozenset()
    destination: IPNetwork | None = None
    owner: str = ""


class Translator:
    """What the kernel tells → words. It knows the links as they were, and the transaction that is not complete."""

    def __init__(self, links: Mapping[str, Link]) -> None:
        self._links = {
            link.index: LinkChange(
                link.index, link.name, link.up, False, link.master, str(link.mtu), link.group, link.mac
            )
            for link in links.values()
        }
        self._rules: list[RuleChange] = []

    def read(self, told: str | bytes) -> Iterator[Told]:
        """Yield what a line of `ip monitor`, or a datagram about rules, tells."""
        if isinstance(told, bytes):
            for change in nft_monitor.read(told):
                if isinstance(change, RuleChange):
                    self._rules.append(change)
                else:
                    yield from self._transaction(change)
            return
        found = ip_monitor.read(told)
        if isinstance(found, LinkChange):
            yield from self._link(found)
        elif isinstance(found, AddressChange):
            link = self._links.get(found.index)
            name = link.name if link else f"interface {found.index}"
            yield Told(f"address {found.address} {_gone(found.deleted)} {name}", devices=frozenset({name}))
        elif isinstance(found, RouteChange):
            devices = frozenset(filter(None, [found.device]))
            what = f"route {'deleted' if found.deleted else 'added'}: {found.line}"
            yield Told(what, devices=devices, destination=found.destination)

    def _link(self, now: LinkChange) -> Iterator[Told]:
        before = self._links.pop(now.index, None)
        if not now.deleted:
            self._links[now.index] = now
        devices = frozenset({now.name, *([before.name] if before else [])})
        yield from (Told(what, devices=devices) for what in _differences(before, now))

    def _transaction(self, generation: Generation) -> Iterator[Told]:
        """Yield what a transaction changed, for each owner, and whether it added or deleted that."""
        who = f"{generation.process} ({generation.pid})"
        groups: dict[tuple[str, str, bool], list[str]] = {}
        for change in self._rules:
            for owner in sorted(change.owners):
                groups.setdefault((owner, change.kind, change.added), []).append(change.place)
        self._rules.clear()
        for (owner, kind, added), places in groups.items():
            what = f"{len(places)} {kind}{'s' if len(places) > 1 else ''} {'added' if added else 'deleted'}"
            yield Told(f"{what} in {_named([*dict.fromkeys(places)])}", who, owner=owner)


def _differences(before: LinkChange | None, now: LinkChange) -> list[str]:
    if now.deleted:
        return [f"interface {now.name} deleted"]
    if before is None:
        return [f"interface {now.name} created"]
    found = []
    if before.name != now.name:
        found.append(f"interface {before.name} renamed to {now.name}")
    if before.up != now.up:
        found.append(f"interface {now.name} is {'up' if now.up else 'down'}")
    if before.master != now.master:
        found.append(f"interface {now.name} " + (f"joined {now.master}" if now.master else f"left {before.master}"))
    for what, old, new in (("MTU", before.mtu, now.mtu), ("MAC address", before.mac, now.mac)):
        if old != new:
            found.append(f"interface {now.name} has {what} {new}, not {old}")
    if before.group != now.group:
        found.append(f"interface {now.name} is in link group {now.group}, not {before.group}")
    return found


def _gone(deleted: bool) -> str:
    return "deleted from" if deleted else "added to"


def _named(places: list[str]) -> str:
    more = [f"{len(places) - PLACES} more"] if len(places) > PLACES else []
    return ", ".join([*places[:PLACES], *more])


class Index:
    """What belongs to which network: interfaces of the host, marks of owners, subnets."""

    def __init__(self, intent: Intent) -> None:
        self._devices: dict[str, str] = {}
        for name, network in intent.items():
            ends = (endpoint.veth for endpoint in network.endpoints)
            own = {*doors(network), *ends, network.host_interface, network.parent} - {""}
            self._devices.update(dict.fromkeys(own, name))
        self._owners = {network.owner: name for name, network in intent.items()}
        self._owners |= {SHARED: SHARED} if intent else {}
        self._subnets = [(subnet.network, name) for name, network in intent.items() for subnet in network.subnets]

    def concerned(self, told: Told) -> str:
        """Return the name of the network that something concerns, SHARED for what all networks share, or nothing."""
        if told.owner:
            return self._owners.get(told.owner, "")
        found = (self._devices[device] for device in sorted(told.devices) if device in self._devices)
        return next(found, "") or self._by_destination(told.destination)

    def _by_destination(self, destination: IPNetwork | None) -> str:
        if destination is None or not destination.prefixlen:
            return ""
        meets = (
            n for block, n in self._subnets if block.version == destination.version and block.overlaps(destination)
        )
        return next(meets, "")


def recorded(entry: Entry, who: str) -> Event:
    """Return the event of a change on record: what was typed, and how it ended if it failed."""
    ended = "" if entry.result == DONE else f" ({entry.result})"
    return Event(entry.when, entry.networks, who, f"{command_line(entry.words) or 'unknown'}{ended}")


class Sorter:
    """What the kernel tells and what the record tells → events, in time: neither misses one, nor do both tell it."""

    def __init__(self, intent: Intent) -> None:
        self._intent, self._index = intent, Index(intent)
        self._kept: list[tuple[float, str, Told]] = []

    def keep(self, now: float, when: str, told: Iterable[Told]) -> None:
        """Keep what the kernel has told, for a moment. `now` is in seconds, `when` the time of day."""
        self._kept += [(now, when, each) for each in told]

    def recorded(self, now: float, entry: Entry, who: str, intent: Intent) -> Event:
        """Return the event of a change on record, and drop what the kernel told of it. `intent` is the new record."""
        began = now - entry.seconds - KEPT
        both = Index({**self._intent, **intent})
        # What concerns nothing on record any more was a part of this change as well.
        own = {*entry.networks, SHARED, ""}
        self._kept = [each for each in self._kept if each[0] < began or both.concerned(each[2]) not in own]
        self._intent, self._index = intent, Index(intent)
        return recorded(entry, who)

    def due(self, now: float, changing: bool) -> list[Event]:
        """Return the events that were kept long enough. While a change goes on, they may be parts of it."""
        longest = KEPT_AT_MOST if changing else KEPT
        due = [each for each in self._kept if now - each[0] >= longest]
        self._kept = [each for each in self._kept if now - each[0] < longest]
        return [
            Event(when, (network,), told.who, told.what)
            for _, when, told in due
            if (network := self._index.concerned(told))
        ]
