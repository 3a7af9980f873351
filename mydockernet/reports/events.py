"""What changes, as it changes: by mydockernet, from its record; by others, from what the kernel tells. Pure.

While a verb makes a change, the kernel tells each part of it. The record tells the whole, a moment later, so what the
kernel tells is kept for that moment.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

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


def recorded(entry: Entry, who: str) -> Event:
    """Return the event of a change on record: what was typed, and how it ended if it failed."""
    ended = "" if entry.result == DONE else f" ({entry.result})"
    return Event(entry.when, entry.networks, who, f"{command_line(entry.words) or 'unknown'}{ended}")


class Sorter:
    """What the kernel tells and what the record tells → events, in time: neither misses one, nor do both tell it."""

    def __init__(self, intent: Intent) -> None:
        self.intent = intent
        self._kept: list[tuple[float, str, Told]] = []

    def keep(self, now: float, when: str, told: Iterable[Told]) -> None:
        """Keep what the kernel has told, for a moment. `now` is in seconds, `when` the time of day."""
        self._kept += [(now, when, each) for each in told]

    def recorded(self, now: float, entry: Entry, who: str, intent: Intent) -> Event:
        """Return the event of a change on record, and drop what the kernel told of it. `intent` is the new record."""
        own = frozenset(entry.networks)
        began = now - entry.seconds - KEPT
        both = {**self.intent, **intent}
        self._kept = [each for each in self._kept if each[0] < began or not _is_of(each[2], own, both)]
        self.intent = intent
        return recorded(entry, who)

    def due(self, now: float, changing: bool) -> list[Event]:
        """Return the events that were kept long enough. While a change goes on, they may be parts of it."""
        longest = KEPT_AT_MOST if changing else KEPT
        due = [each for each in self._kept if now - each[0] >= longest]
        self._kept = [each for each in self._kept if now - each[0] < longest]
        return [
            Event(when, (network,), told.who, told.what)
            for _, when, told in due
            if (network := concerned(told, self.intent))
        ]


def _is_of(told: Told, networks: Collection[str], intent: Intent) -> bool:
    """Whether something concerns one of these networks, or what all share."""
    return concerned(told, intent) in ("", SHARED, *networks)


def concerned(told: Told, intent: Intent) -> str:
    """Return the name of the network that something concerns, SHARED for what all networks share, or nothing."""
    if told.owner == SHARED:
        return SHARED if intent else ""
    for network in intent.values():
        devices = {*doors(network), *(e.veth for e in network.endpoints), network.host_interface, network.parent} - {""}
        if told.owner == network.owner or (not told.owner and told.devices & devices):
            return network.name
        for subnet in network.subnets if told.destination else ():
            if told.destination and told.destination.prefixlen and _meet(told.destination, subnet.network):
                return network.name
    return ""


def _meet(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)
