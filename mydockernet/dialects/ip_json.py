"""The commands that read from `ip -json` (iproute2), and parsers of their output.

Formats: ip-address(8), ip-route(8), ip-rule(8); the JSON as printed by iproute2 6.1.
"""

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator

from mydockernet.dialects.fact import (
    PROTOCOL,
    Argv,
    Link,
    Lookup,
    Observed,
    Route,
)
from mydockernet.errors import Failed
from mydockernet.model import IPNetwork
from mydockernet.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SPACE = re.compile(r"\s*")

# One process reads everything in a network namespace: with -batch, each line of the input is a command.
READ: Argv = ("ip", "-json", "-details", "-batch", "-")

HOST = "address show\nroute show table all\nneighbor show nud permanent\n"

# A container may have any number of routes: read only those that mydockernet needs.
CONTAINER = f"address show\nroute show table all default\nroute show table all protocol {PROTOCOL}\nrule show\n"


# A batch cannot ask for the rules of both families.
READ_RULES_6: Argv = ("ip", "-6", "-json", "rule", "show")


def ask_route(destination: str, source: str, inward: str) -> Argv:
    """Return the command that prints the route of a packet. `inward` is the interface that it arrives on, if any."""
    came = ("from", source, "iif", inward) if inward else ("from", source) if source else ()
    return ("ip", "-json", "route", "get", destination, *came)


def read(text: str) -> Observed:
    """Parse the output of READ for HOST or CONTAINER: links, routes, and routing rules by source address.

    Raises Failed if it is malformed.
    """
    try:
        return _observed(found for array in _arrays(text) for found in array if found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(f"cannot parse the output of `{' '.join(READ)}`: {error!r}") from None


def read_each(text: str, count: int) -> list[Observed]:
    """Parse the output of READ for CONTAINER in so many namespaces, one after the other; nothing if it is malformed.

    In each, the links come first, in one array: there is always a loopback.
    """
    spaces: list[list[Any]] = []
    try:
        for array in _arrays(text):
            if any("ifname" in found for found in array):
                spaces.append([])
            spaces[-1] += filter(None, array)
        return [_observed(space) for space in spaces] if len(spaces) == count else []
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return []


def _observed(objects: Iterable["Any"]) -> Observed:
    links: dict[str, Link] = {}
    routes: list[Route] = []
    lookups: list[Lookup] = []
    neighbors: set[tuple[str, str, str]] = set()
    for raw in objects:
        if "ifname" in raw:
            links[str(raw["ifname"])] = _link(raw)
        elif "lladdr" in raw:
            neighbors.add((str(raw["dev"]), str(raw["dst"]), str(raw["lladdr"])))
        elif "dst" in raw:
            routes += _route(raw)
        else:
            lookups += _lookup(raw)
    advertised = {route.dev for route in routes if route.default and route.protocol == "ra"}
    links = {
        name: replace(link, advertised=True) if name in advertised and not link.advertised else link
        for name, link in links.items()
    }
    return Observed(
        links=links,
        routes=tuple(dict.fromkeys(routes)),
        lookups=frozenset(lookups),
        neighbors=frozenset(neighbors),
    )


def read_route(text: str) -> Route:
    """Parse the output of the command of ask_route. Raises Failed if it is malformed."""
    try:
        (route,) = (route for array in _arrays(text) for raw in array if raw for route in _route(raw))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(f"cannot parse the output of `ip -json route get`: {error!r}") from None
    return route


def _arrays(text: str) -> Iterator[list["Any"]]:
    """Yield the arrays of a text; a batch prints one per command.

    ip prints nothing, or empty objects, if there is nothing to show. It does not escape control characters.
    """
    decoder = json.JSONDecoder(strict=False)
    place = _SPACE.match(text).end()  # type: ignore[union-attr]
    while place < len(text):
        array, end = decoder.raw_decode(text, place)
        yield array
        place = _SPACE.match(text, end).end()  # type: ignore[union-attr]


def _link(raw: dict) -> Link:  # type: ignore[type-arg]
    details = raw.get("linkinfo", {})
    addresses = (f"{a['local']}/{a['prefixlen']}" for a in raw.get("addr_info", ()) if "local" in a)
    return Link(
        name=str(raw["ifname"]),
        kind=str(details.get("info_kind", "")),
        group=str(raw.get("group", "default")),
        alias=str(raw.get("ifalias") or ""),
        mac=str(raw.get("address", "")),
        mtu=int(raw.get("mtu", 0)),
        up="UP" in raw.get("flags", ()),
        master=str(raw.get("master", "")),
        flags=frozenset(flag for flag, on in details.get("info_slave_data", {}).items() if on is True),
        addresses=frozenset(addresses),
        advertised=any("mngtmpaddr" in a for a in raw.get("addr_info", ())),
        index=int(raw.get("ifindex", 0)),
        lower=str(raw.get("link") or raw.get("link_index", "")),
        queue=str(raw.get("qdisc", "")),
        mode=str(details.get("info_data", {}).get("mode", "")),
    )


def _route(raw: dict) -> Iterator[Route]:  # type: ignore[type-arg]
    destination = str(raw["dst"])
    kind, table = str(raw.get("type", "unicast")), str(raw.get("table", "main"))
    if kind in ("multicast", "broadcast", "anycast"):
        return
    # Only routes of IPv6 have a preference (RFC 4191).
    default = "::/0" if "pref" in raw or ":" in str(raw.get("gateway", "")) else "0.0.0.0/0"
    network: IPNetwork = ipaddress.ip_network(default if destination == "default" else destination, strict=False)
    words = [*([kind] if kind != "unicast" else []), destination]
    words += [f"{word} {raw[key]}" for key, word in (("gateway", "via"), ("dev", "dev")) if key in raw]
    words += [f"table {table}"] if table != "main" else []
    yield Route(
        network,
        str(raw.get("gateway", "")),
        str(raw.get("dev", "")),
        " ".join(words),
        kind,
        str(raw.get("prefsrc", "")),
        table,
        str(raw.get("protocol", "")),
        int(raw.get("metric", 0)),
    )


def _lookup(raw: dict) -> Iterator[Lookup]:  # type: ignore[type-arg]
    """Yield a routing rule if it matches a source address and selects a table."""
    priority = int(str(raw["priority"]))
    if raw.get("src") not in (None, "all") and "table" in raw:
        yield Lookup(priority, str(raw["src"]), str(raw["table"]))
