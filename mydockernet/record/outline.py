"""What the record says of where the containers of a network are, and nothing else of it.

Reading a whole network checks every address and port, which takes most of the time of a verb that needs only names.
"""

from mydockernet.model import DETACHED, Namespace
from mydockernet.record.network_json import namespace_from_json, string
from mydockernet.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Place(Value):
    """A container on a network, and its interface inside. Without a host's end, `veth`, it has its `namespace`."""

    name: str
    interface: str
    veth: str
    detached: bool
    namespace: Namespace | None


class Outline(Value):
    """A network: its bridge, if it has one, and its containers, sorted by name."""

    name: str
    bridge: str
    places: tuple[Place, ...]


def outline_from_json(raw: "dict[str, Any]") -> Outline:
    """Return the outline of a network as network_to_json has it. Raises KeyError, TypeError or AttributeError."""
    places = (_place(endpoint) for endpoint in raw["endpoints"])
    return Outline(string(raw["name"]), string(raw["bridge"]), tuple(sorted(places, key=lambda place: place.name)))


def _place(raw: "dict[str, Any]") -> Place:
    namespace, veth = raw["namespace"], string(raw["veth"])
    away = namespace["inode"] == DETACHED
    within = None if veth or away else namespace_from_json(namespace)
    return Place(string(raw["name"]), string(raw["interface"]), veth, away, within)
