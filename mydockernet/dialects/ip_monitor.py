"""What `ip monitor` prints as links, addresses and routes change. Format: ip-monitor(8), as iproute2 6.1 prints it."""

import re
from ipaddress import ip_network
from itertools import pairwise

from mydockernet.dialects.fact import Argv
from mydockernet.model import IPNetwork
from mydockernet.value import Value

# One line for each change, which begins with the kind of its object. Its JSON is not JSON in iproute2 6.1.
WATCH: Argv = ("ip", "-o", "monitor", "label", "link", "address", "route")

_LINK = re.compile(r"\[LINK\](Deleted )?(\d+): (\S+?)(?:@\S+)?: <([^>]*)> (.*)")
_ADDRESS = re.compile(r"\[ADDR\](Deleted )?(\d+): \S+ +inet6? (\S+)")
_ROUTE = re.compile(
    r"\[ROUTE\](Deleted )?(?:(unicast|unreachable|blackhole|prohibit|throw) )?(default|[0-9a-f.:/]+) (.*)"
)
_MAC = re.compile(r"link/\w+ ([0-9a-f:]{17})")
DEFAULTS = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


class LinkChange(Value):
    """A link as it is now, or was when it was deleted. `group` is a name or a number, as in ip-link(8)."""

    index: int
    name: str
    up: bool
    deleted: bool = False
    master: str = ""
    mtu: str = ""
    group: str = ""
    mac: str = ""


class AddressChange(Value):
    """An address with its prefix length that the interface with this index got or lost."""

    index: int
    address: str
    deleted: bool


class RouteChange(Value):
    """A route that was added or deleted, as `ip route` prints it; `device` may be empty."""

    destination: IPNetwork
    device: str
    line: str
    deleted: bool


def read(line: str) -> LinkChange | AddressChange | RouteChange | None:
    """Parse a line of WATCH; None for ports of bridges, and for routes that follow from addresses."""
    if found := _LINK.match(line):
        return _link(found)
    if found := _ADDRESS.match(line):
        return AddressChange(int(found[2]), found[3], bool(found[1]))
    if found := _ROUTE.match(line):
        return _route(found)
    return None


def _link(found: re.Match[str]) -> LinkChange | None:
    head, _, tail = found[5].partition("\\")
    words = head.split()
    if "qdisc" not in words:  # The same link as a port of its bridge.
        return None
    known = {key: value for key, value in pairwise(words) if key in ("master", "mtu", "group")}
    mac = _MAC.search(tail)
    up, deleted = "UP" in found[4].split(","), bool(found[1])
    return LinkChange(int(found[2]), found[3], up, deleted, **known, mac=mac[1] if mac else "")


def _route(found: re.Match[str]) -> RouteChange | None:
    deleted, kind, destination, rest = found.groups()
    words = rest.split()
    if "kernel" in words or "local" in words:
        return None
    given = dict(pairwise(words))
    if destination == "default":
        network: IPNetwork = DEFAULTS[6 if ":" in given.get("via", "") or "pref" in given else 4]
    else:
        try:
            network = ip_network(destination, strict=False)
        except ValueError:
            return None
    return RouteChange(
        network, given.get("dev", ""), " ".join(filter(None, (kind, destination, *words))), bool(deleted)
    )
