"""What `ip -json` (iproute2) is asked, and what it prints.

Formats: ip-address(8), ip-route(8), ip-rule(8); the JSON as printed by iproute2 6.1.
"""

import ipaddress
import json
from collections.abc import Iterable

from mydockernet.dialects.fact import (
    PROTOCOL,
    Argv,
    Link,
    Lookup,
    Route,
)
from mydockernet.errors import Failed
from mydockernet.model import (
    IPNetwork,
)

READ_LOOKUPS: Argv = ("ip", "-json", "rule", "show")

READ_LINKS: Argv = ("ip", "-json", "-details", "address", "show")

READ_ROUTES: Argv = ("ip", "-json", "route", "show", "table", "all")

# What is asked of a container's: it may have made any number of others.
READ_DEFAULT_ROUTES: Argv = (*READ_ROUTES, "default")

READ_OWN_ROUTES: Argv = (*READ_ROUTES, "protocol", PROTOCOL)


def ask_route(destination: str, source: str, inward: str) -> Argv:
    """The command that says which way the kernel would send a packet."""
    came = ("from", source, "iif", inward) if inward else ("from", source) if source else ()
    return ("ip", "-json", "route", "get", destination, *came)


def read_links(text: str) -> dict[str, Link]:
    """Parse what READ_LINKS prints: interfaces by name. Raises Failed where it is not that."""
    try:
        return {link.name: link for link in map(_link, _objects(text))}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(f"can't read what `{' '.join(READ_LINKS)}` printed: {error!r}") from None


def read_routes(text: str) -> tuple[Route, ...]:
    """Parse what READ_ROUTES prints. Raises Failed where it is not that."""
    try:
        return tuple(route for route in map(_route, _objects(text)) if route is not None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(f"can't read what `{' '.join(READ_ROUTES)}` printed: {error!r}") from None


def read_lookups(text: str) -> frozenset[Lookup]:
    """Parse what READ_LOOKUPS prints, as far as it is about a source address. Raises Failed where it is not that."""
    try:
        return frozenset(
            Lookup(int(str(raw["priority"])), str(raw["src"]), str(raw["table"]))
            for raw in _objects(text)
            if raw.get("src") not in (None, "all") and "table" in raw
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(f"can't read what `{' '.join(READ_LOOKUPS)}` printed: {error!r}") from None


def _objects(text: str) -> Iterable[dict[str, object]]:
    # ip prints nothing at all, or empty objects, where there is nothing to show. It escapes no control characters.
    return [found for found in json.loads(text or "[]", strict=False) if found]


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
    )


def _route(raw: dict) -> Route | None:  # type: ignore[type-arg]
    destination = str(raw["dst"])
    if raw.get("type") in ("multicast", "broadcast"):
        return None
    default = "::/0" if ":" in str(raw.get("gateway", "")) else "0.0.0.0/0"
    network: IPNetwork = ipaddress.ip_network(default if destination == "default" else destination, strict=False)
    words = [str(raw["type"]) if "type" in raw else "", destination]
    words += [f"{key} {raw[key]}" for key in ("gateway", "dev", "table") if key in raw]
    words = [word.replace("gateway", "via") for word in words]
    return Route(
        network,
        str(raw.get("gateway", "")),
        str(raw.get("dev", "")),
        " ".join(filter(None, words)),
        str(raw.get("type", "unicast")),
        str(raw.get("prefsrc", "")),
        str(raw.get("table", "main")),
    )
