"""The dialect of `ip` (iproute2): facts about interfaces and addresses, its batches, its JSON.

Formats: ip(8), ip-link(8), ip-address(8), ip-route(8); the JSON as printed by iproute2 6.1.
"""

import ipaddress
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mydockernet.errors import Failed
from mydockernet.facts import TAG, Argv, Fact, Link, Observed, Route, Step, tag
from mydockernet.model import IPNetwork

# Every bridge joins one of these link groups when it is made; the filter rules match the group, not the
# bridge, so that their number does not grow with the networks. The group also marks a bridge as ours in the
# instant before it has its alias.
GROUP = "28004"
GROUP_INTERNAL = "28005"

READ_LINKS: Argv = ("ip", "-json", "-details", "address", "show")
READ_ROUTES: Argv = ("ip", "-json", "route", "show", "table", "all")


def is_ours(link: Link) -> bool:
    """Whether an interface carries our mark."""
    return link.alias.startswith(TAG) or (not link.alias and link.group in (GROUP, GROUP_INTERNAL))


@dataclass(frozen=True, slots=True)
class Bridge(Fact):
    """A bridge, in its link group."""

    name: str
    owner: str
    group: str
    mtu: int | None

    def holds(self, seen: Observed) -> bool:
        link = seen.links.get(self.name)
        return link is not None and is_ours(link)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        mtu = ("mtu", str(self.mtu)) if self.mtu else ()
        return (
            Step(
                f"Make the bridge: a switch inside the kernel that the containers of {self.owner} plug into. "
                f"Its link group, {self.group}, is what the filter rules know it by.",
                ("ip", "link", "add", "dev", self.name, "group", self.group, *mtu, "type", "bridge"),
            ),
        )

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (
            Step(
                f"Delete the bridge of {self.owner}; its addresses and routes go with it.",
                ("ip", "link", "delete", "dev", self.name, "type", "bridge"),
            ),
        )

    def obstacle(self, seen: Observed) -> str:
        return f"an interface named {self.name} exists already" if self.name in seen.links else ""

    def deletes(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class _Attribute(Fact):
    """What lives on an interface and goes with it."""

    dev: str

    def within(self) -> str:
        return self.dev


@dataclass(frozen=True, slots=True)
class Alias(_Attribute):
    """The owner's mark on an interface."""

    owner: str

    def holds(self, seen: Observed) -> bool:
        return self.dev in seen.links and seen.links[self.dev].alias == tag(self.owner)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (
            Step(
                "Write the owner on it: only what carries this mark is ever removed again.",
                ("ip", "link", "set", "dev", self.dev, "alias", tag(self.owner)),
            ),
        )

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class InterfaceAddress(_Attribute):
    """An address on an interface, with its prefix length: 10.1.0.1/24."""

    address: str
    why: str

    def holds(self, seen: Observed) -> bool:
        return self.dev in seen.links and self.address in seen.links[self.dev].addresses

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(self.why, ("ip", "address", "add", self.address, "dev", self.dev)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (
            Step(
                f"Take the address {self.address} away from {self.dev}.",
                ("ip", "address", "delete", self.address, "dev", self.dev),
            ),
        )


@dataclass(frozen=True, slots=True)
class Up(_Attribute):
    """An interface that is switched on."""

    why: str

    def holds(self, seen: Observed) -> bool:
        return self.dev in seen.links and seen.links[self.dev].up

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(self.why, ("ip", "link", "set", "dev", self.dev, "up")),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(f"Switch {self.dev} off.", ("ip", "link", "set", "dev", self.dev, "down")),)


def batch(commands: Sequence[Argv]) -> tuple[Argv, str, tuple[int, ...]]:
    """Fold `ip` commands into one `ip -batch -`: its argv, its input, and the command of each of its lines."""
    text = "".join(" ".join(argv[1:]) + "\n" for argv in commands)
    return ("ip", "-batch", "-"), text, tuple(range(len(commands)))


def foldable(argv: Argv) -> bool:
    """Whether a command can stand in a batch, which has no escapes: such words are kept out, not quoted."""
    return argv[:1] == ("ip",) and not any(c in word for word in argv for c in "#\"'\\ \t\n")


def read_links(text: str) -> dict[str, Link]:
    """Parse what READ_LINKS prints: interfaces by name. Raises Failed where it is not that."""
    try:
        return {link.name: link for link in map(_link, _objects(text))}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(f"can't read what `{' '.join(READ_LINKS)}` printed: {error!r}") from None


def read_routes(text: str) -> tuple[Route, ...]:
    """Parse what READ_ROUTES prints; a default route is left out, as it claims no addresses."""
    try:
        return tuple(route for route in map(_route, _objects(text)) if route is not None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(f"can't read what `{' '.join(READ_ROUTES)}` printed: {error!r}") from None


def _objects(text: str) -> Iterable[dict[str, object]]:
    # ip prints nothing at all, or empty objects, where there is nothing to show.
    return [found for found in json.loads(text or "[]") if found]


def _link(raw: dict) -> Link:  # type: ignore[type-arg]
    addresses = (f"{a['local']}/{a['prefixlen']}" for a in raw.get("addr_info", ()) if "local" in a)
    return Link(
        name=str(raw["ifname"]),
        kind=str(raw.get("linkinfo", {}).get("info_kind", "")),
        group=str(raw.get("group", "default")),
        alias=str(raw.get("ifalias") or ""),
        mtu=int(raw.get("mtu", 0)),
        up="UP" in raw.get("flags", ()),
        addresses=frozenset(addresses),
    )


def _route(raw: dict) -> Route | None:  # type: ignore[type-arg]
    destination = str(raw["dst"])
    if destination == "default" or raw.get("type") in ("multicast", "broadcast"):
        return None
    network: IPNetwork = ipaddress.ip_network(destination, strict=False)
    if network.prefixlen == 0:
        return None
    words = [str(raw["type"]) if "type" in raw else "", destination]
    words += [f"{key} {raw[key]}" for key in ("gateway", "dev", "table") if key in raw]
    words = [word.replace("gateway", "via") for word in words]
    return Route(network, " ".join(filter(None, words)))
