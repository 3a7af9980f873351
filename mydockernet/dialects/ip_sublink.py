"""The dialect of `ip link` for interfaces on a parent interface: macvlan and ipvlan. Format: ip-link(8).

Also the smallest MTU that IPv6 works with.
"""

from mydockernet.dialects.fact import GROUP_APART, Argv, Fact, Link, Observed, Step, inside
from mydockernet.dialects.ip import Mtu, belongs
from mydockernet.errors import quoted
from mydockernet.value import field


class Sublink(Fact):
    """An interface on a `parent` interface of the host, on the host itself or, with a `number`, inside a container.

    The number is its index. Unlike its name, alias and addresses, the root of the container cannot change it.
    """

    name: str
    owner: str
    parent: str
    kind: str
    mode: str
    why: str
    mac: str = ""
    number: int = field(default=0, kw_only=True)
    cable: str = field(default="", kw_only=True)

    @property
    def what(self) -> str:
        where = f" in {self.netns}" if self.netns else ""
        return f"{self.kind}: {self.name}{where}, mode {self.mode}, on {self.parent}"

    def holds(self, seen: Observed) -> bool:
        link, parent = self._link(seen), seen.links.get(self.parent)
        if link is None or (link.name, link.kind, link.mode) != (self.name, self.kind, self.mode):
            return False
        return parent is not None and link.lower in (parent.name, str(parent.index))

    def remains(self, seen: Observed) -> bool:
        return self._link(seen) is not None

    def do(self, seen: Observed) -> tuple[Step, ...]:
        mac = ("address", self.mac) if self.mac else ()
        place = ("index", str(self.number), "netns", self.netns) if self.netns else ()
        words = ("link", self.parent, "name", self.name, *place, *mac, "group", GROUP_APART)
        create = ("ip", "link", "add", *words, "type", self.kind, "mode", self.mode)
        return (*(self.undo(seen) if self.remains(seen) else ()), Step(self.why, create))

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        link = self._link(seen)
        delete: Argv = ("ip", "link", "delete", "dev", link.name if link else self.name)
        return (Step(f"Delete the {self.kind} interface of {self.owner}.", inside(self.netns, delete)),)

    def obstacle(self, seen: Observed) -> str:
        if self.parent not in seen.links:
            return f"there is no interface {quoted(self.parent)}"
        there, ours = seen.at(self.netns).links.get(self.name), self._link(seen)
        if there is None or there == ours:
            return ""
        return f"interface {quoted(self.name)} already exists{f' in {self.netns}' if self.netns else ''}"

    def frees(self) -> tuple[tuple[str, str], ...]:
        return ((self.netns, self.name),)

    def makes(self) -> str:
        return self.cable or self.name

    def slot(self) -> str:
        return f"interface {self.makes()}"

    def _link(self, seen: Observed) -> Link | None:
        links = seen.at(self.netns).links
        if self.netns:
            return next((link for link in links.values() if link.index == self.number), None)
        return links[self.name] if belongs(links.get(self.name), self.owner) else None


class RoomForIPv6(Mtu):
    """The MTU of a container's interface is at least large enough for IPv6: below, its sysctls of IPv6 disappear."""

    @property
    def difference(self) -> str:
        return f"MTU of {self._name} is below {self.mtu}: the kernel has disabled IPv6 there"

    def holds(self, seen: Observed) -> bool:
        # An interface that does not exist yet will have a larger one.
        link = self._link(seen)
        return not seen.ipv6 or link is None or link.mtu >= self.mtu

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = f"Set the MTU of {self.dev} to the smallest that IPv6 works with: the sysctls of IPv6 do not exist below."
        return () if self.holds(seen) else (Step(why, self._set(self.mtu)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return ()

    def slot(self) -> str:
        return ""  # It does not undo what another MTU was.
