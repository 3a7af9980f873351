"""How much containers and networks receive and send, as the containers see it. Pure."""

from collections.abc import Collection, Iterable, Mapping

from mydockernet.dialects.net_dev import Traffic, total
from mydockernet.model import Namespace
from mydockernet.record.outline import Outline, Place
from mydockernet.reports.selection import Chosen
from mydockernet.value import Value

# Network and container; no container is the network.
Key = tuple[str, str]
Sample = Mapping[Key, Traffic | None]

_UNITS = ("", "k", "M", "G", "T", "P", "E")


class Row(Value):
    """A container, or a network (without `container`): all its containers together.

    `traffic` is since the interfaces exist, None if it cannot be read. `rates` are what is received and sent, in bits
    per second; None without an earlier sample.
    """

    network: str
    container: str
    interface: str
    traffic: Traffic | None
    rates: tuple[int, int] | None
    note: str = ""


class Watched(Value):
    """A network and those of its containers that are counted; `whole` if these are all that was asked for."""

    name: str
    bridge: str
    places: tuple[Place, ...]
    whole: bool


def watched(outlines: Mapping[str, Outline], chosen: Chosen) -> tuple[Watched, ...]:
    """Return the networks and containers that were chosen."""
    return tuple(_watched(outlines[name], names) for name, names in chosen.items())


def _watched(outline: Outline, names: Collection[str] | None) -> Watched:
    places = outline.places if names is None else tuple(place for place in outline.places if place.name in names)
    return Watched(outline.name, outline.bridge, places, names is None)


def without_host_end(networks: Iterable[Watched]) -> list[Namespace]:
    """Return the namespaces of containers that can be counted only inside: their interfaces have no end on the host."""
    return [place.namespace for each in networks for place in each.places if place.namespace]


def sample(
    networks: Iterable[Watched], here: Mapping[str, Traffic], inside: Mapping[str, Mapping[str, Traffic]]
) -> Sample:
    """Return the traffic of each container; None if the kernel does not show its interface.

    `here` is the traffic by interface of the host, as the other ends see it, `inside` that by interface of containers,
    by the path of their namespace.
    """
    return {(each.name, place.name): _traffic(place, here, inside) for each in networks for place in each.places}


def _traffic(place: Place, here: Mapping[str, Traffic], inside: Mapping[str, Mapping[str, Traffic]]) -> Traffic | None:
    if place.namespace:
        return inside.get(place.namespace.path, {}).get(place.interface)
    return None if place.detached else here.get(place.veth)


def rows(networks: Iterable[Watched], now: Sample, before: Sample | None = None, seconds: float = 0.0) -> list[Row]:
    """Return a row for each network and container; with an earlier sample, also their rates.

    `seconds` is the time between the samples.
    """
    found = []
    for each in networks:
        own = [_row(each.name, place, now, before, seconds) for place in each.places]
        if each.whole:
            rates = [row.rates for row in own if row.rates]
            both = (sum(r for r, _ in rates), sum(s for _, s in rates)) if before is not None else None
            counted = total(row.traffic for row in own if row.traffic)
            found.append(Row(each.name, "", each.bridge, counted, both))
        found += own
    return found


def _row(network: str, place: Place, now: Sample, before: Sample | None, seconds: float) -> Row:
    key = (network, place.name)
    traffic = now[key]
    interface = place.veth or place.interface
    if traffic is None:
        return Row(*key, interface, None, None, _why(place))
    earlier = before.get(key) if before else None
    if earlier is None or seconds <= 0:
        return Row(*key, interface, traffic, None)
    received = _rate(earlier.received_bytes, traffic.received_bytes, seconds)
    return Row(*key, interface, traffic, (received, _rate(earlier.sent_bytes, traffic.sent_bytes, seconds)))


def _rate(before: int, now: int, seconds: float) -> int:
    """Return bits per second. A counter that went back is that of a new interface, which began at 0."""
    return round((now - before if now >= before else now) * 8 / seconds)


def _why(place: Place) -> str:
    if place.detached:
        return "detached"
    return f"{place.interface} in it cannot be read" if place.namespace else f"there is no {place.veth}"


def quantity(number: int, unit: str) -> str:
    """Return a number with three digits and a prefix of the SI, as docker does: 1.23kB."""
    value, prefix = float(number), 0
    while value >= 999.5 and prefix < len(_UNITS) - 1:
        value, prefix = value / 1000, prefix + 1
    digits = 0 if prefix == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}{_UNITS[prefix]}{unit}"
