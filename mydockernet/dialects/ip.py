"""The dialect of `ip` (iproute2): facts about interfaces and addresses, and batches of commands.

Formats: ip(8), ip-link(8), ip-address(8), ip-route(8), ss(8); the JSON as printed by iproute2 6.1.
"""

from collections.abc import Collection, Iterator, Sequence

from mydockernet.dialects.fact import (
    BRIDGE_CALLS,
    GROUPS,
    TAG,
    Argv,
    Attribute,
    Fact,
    Link,
    Observed,
    Step,
    marked,
    place,
    tag,
)
from mydockernet.errors import quoted
from mydockernet.value import field, replace

DEFAULT_MTU = 1500


def is_ours(link: Link) -> bool:
    """Whether an interface carries a mark of mydockernet."""
    return marked(link.alias) or (not link.alias and link.group in GROUPS)


def owner(link: Link) -> str:
    """Return the owner in the mark of an interface: NAME or NAME@REALM."""
    return link.alias.removeprefix(TAG)


def belongs(link: Link | None, owner: str) -> bool:
    """Whether an interface exists and has this owner. Before it has its alias, its link group is enough."""
    return link is not None and (link.alias == tag(owner) if link.alias else is_ours(link))


class OwnNamespace(Fact):
    """A named network namespace that mydockernet creates."""

    path: str
    name: str

    @property
    def what(self) -> str:
        return f"network namespace: {self.name}"

    def holds(self, seen: Observed) -> bool:
        return self.path in seen.inside

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = "Create a network namespace: it has its own interfaces, routes and rules, as a container does."
        return (Step(why, ("ip", "netns", "add", self.name)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (Step("Delete the namespace.", ("ip", "netns", "delete", self.name)),)

    def obstacle(self, seen: Observed) -> str:
        return f"network namespace {quoted(self.name)} already exists" if self.path in seen.inside else ""

    def looks_into(self) -> str:
        return self.path


class Bridge(Fact):
    """A bridge in its link group, with a fixed MAC address unless an older version created it without one."""

    name: str
    owner: str
    group: str
    mac: str | None = None

    @property
    def what(self) -> str:
        return f"bridge: {self.name}"

    def holds(self, seen: Observed) -> bool:
        return belongs(seen.links.get(self.name), self.owner)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = (
            f"Create the bridge: a switch inside the kernel that connects the containers of {self.owner}. "
            f"The filter rules match its link group, {self.group}."
        )
        if self.mac:
            why += " A fixed MAC address stays the same when containers connect and disconnect."
        address = ("address", self.mac) if self.mac else ()
        return (Step(why, ("ip", "link", "add", "dev", self.name, "group", self.group, *address, "type", "bridge")),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (
            Step(
                f"Delete the bridge of {self.owner}; its addresses and routes go with it.",
                ("ip", "link", "delete", "dev", self.name, "type", "bridge"),
            ),
        )

    def obstacle(self, seen: Observed) -> str:
        return f"interface {quoted(self.name)} already exists" if self.name in seen.links else ""

    def makes(self) -> str:
        return self.name

    def frees(self) -> tuple[tuple[str, str], ...]:
        return (("", self.name),)

    def slot(self) -> str:
        return f"interface {self.name}"  # Its group may change; `LinkGroup` does that.


class Veth(Fact):
    """A veth pair: one end on the host, in the link group, the other one (`peer`) in a container."""

    name: str
    owner: str
    endpoint: str
    group: str
    peer: str
    peer_netns: str

    @property
    def what(self) -> str:
        return f"veth pair: {self.name} to {self.peer}{place(self.peer_netns)}"

    def holds(self, seen: Observed) -> bool:
        return self._ours(seen) and self._leads_to_peer(seen)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        lost = self.undo(seen) if self._ours(seen) else ()
        peer = ("peer", "name", self.peer, "netns", self.peer_netns)
        return (
            *lost,
            Step(
                f"Create a veth pair, a cable with two ends: {self.name} stays on the host, {self.peer} goes into "
                f"{self.endpoint}. The link group marks it as mydockernet's.",
                ("ip", "link", "add", "dev", self.name, "group", self.group, "type", "veth", *peer),
            ),
        )

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (
            Step(
                f"Delete the veth pair of {self.endpoint}; its addresses and routes go with it.",
                ("ip", "link", "delete", "dev", self.name, "type", "veth"),
            ),
        )

    def obstacle(self, seen: Observed) -> str:
        if self.name in seen.links and not self._ours(seen):
            return f"interface {quoted(self.name)} already exists"
        if self.peer in seen.at(self.peer_netns).links:
            return f"interface {quoted(self.peer)} already exists in container {quoted(self.endpoint)}"
        return ""

    def frees(self) -> tuple[tuple[str, str], ...]:
        return (("", self.name), (self.peer_netns, self.peer))

    def makes(self) -> str:
        return self.name

    def slot(self) -> str:
        # It is not moved from one container to another: that needs another cable.
        return f"interface {self.name} to {self.peer} in {self.peer_netns}"

    def looks_into(self) -> str:
        return self.peer_netns

    def _ours(self, seen: Observed) -> bool:
        return belongs(seen.links.get(self.name), self.owner)

    def _leads_to_peer(self, seen: Observed) -> bool:
        """Whether it is the other end of this pair that has the name. If the container was not observed, it is assumed.

        Two pairs of a container may exchange the names of their ends, so the names alone do not tell.
        """
        if self.peer_netns not in seen.inside:
            return True
        peer, other = seen.at(self.peer_netns).links.get(self.peer), seen.links[self.name].lower
        return peer is not None and other in ("", str(peer.index))


class Alias(Attribute):
    """The alias of an interface: the mark of its owner."""

    owner: str

    @property
    def what(self) -> str:
        return f"alias: {tag(self.owner)} on {self._name}"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        return link is not None and link.alias == tag(self.owner)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (
            Step(
                "Mark the interface with its owner. mydockernet only ever deletes what carries such a mark.",
                self._inside("ip", "link", "set", "dev", self.dev, "alias", tag(self.owner)),
            ),
        )


class LinkGroup(Attribute):
    """The link group of an interface, which the filter rules match."""

    group: str

    @property
    def what(self) -> str:
        return f"link group: {self.group} on {self._name}"

    @property
    def difference(self) -> str:
        return f"interface {self._name} is not in link group {self.group}"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        return link is not None and link.group == self.group

    def do(self, seen: Observed) -> tuple[Step, ...]:
        if self._link(seen) is None:
            return ()  # It is created in its group.
        why = f"Put {self.dev} back into its link group, which the filter rules match."
        return (Step(why, self._inside("ip", "link", "set", "dev", self.dev, "group", self.group)),)


class Mtu(Attribute):
    """The MTU of an interface, in bytes."""

    mtu: int

    @property
    def what(self) -> str:
        return f"MTU: {self.mtu} on {self._name}"

    @property
    def difference(self) -> str:
        return f"MTU of {self._name} is not {self.mtu}"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        return link is not None and link.mtu == self.mtu

    def do(self, seen: Observed) -> tuple[Step, ...]:
        # Not when the interface is created: a bridge would lose it with its last port.
        why = f"Set the MTU of {self.dev}: the largest packet that it sends, in bytes."
        return (Step(why, self._set(self.mtu)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(f"Reset the MTU of {self.dev} to the kernel's default.", self._set(DEFAULT_MTU)),)

    def slot(self) -> str:
        return f"MTU of {self._name}"

    def _set(self, mtu: int) -> Argv:
        return self._inside("ip", "link", "set", "dev", self.dev, "mtu", str(mtu))


class StrayLink(Fact):
    """An interface that carries a mark of mydockernet but that no network needs."""

    name: str
    owner: str

    @property
    def what(self) -> str:
        return f"interface: {self.name}"

    def holds(self, seen: Observed) -> bool:
        return self.name in seen.links and is_ours(seen.links[self.name])

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return ()

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = "Delete an interface that carries mydockernet's mark but belongs to no network."
        return (Step(why, ("ip", "link", "delete", "dev", self.name)),)

    def makes(self) -> str:
        return self.name


def strays(seen: Observed, known: Collection[str]) -> Iterator[StrayLink]:
    """Yield the interfaces that carry a mark of mydockernet and are not known."""
    for link in seen.links.values():
        if link.name not in known and marked(link.alias):
            yield StrayLink(link.name, owner(link))


class HardwareAddress(Attribute):
    """The MAC address of an interface. If `made_with` the interface, it needs a step only after it has changed."""

    mac: str
    made_with: bool = field(default=False, kw_only=True)

    @property
    def what(self) -> str:
        return f"MAC address: {self.mac} on {self._name}"

    @property
    def difference(self) -> str:
        return f"MAC address of {self._name} is not {self.mac}"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        return link is not None and link.mac == self.mac

    def do(self, seen: Observed) -> tuple[Step, ...]:
        if self.made_with and self._link(seen) is None:
            return ()
        if self.made_with:
            why = f"Restore the MAC address of {self.dev}: containers have it in their ARP tables as their gateway's."
            return (Step(why, self._inside("ip", "link", "set", "dev", self.dev, "address", self.mac)),)
        return (
            Step(
                "Set the MAC address, so that ARP entries of other containers stay valid when it reconnects.",
                self._inside("ip", "link", "set", "dev", self.dev, "address", self.mac),
            ),
        )


class Master(Attribute):
    """The bridge that an interface is attached to."""

    bridge: str

    @property
    def what(self) -> str:
        return f"bridge port: {self.dev} on {self.bridge}"

    @property
    def difference(self) -> str:
        return f"interface {self.dev} is not attached to bridge {self.bridge}"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        return link is not None and link.master == self.bridge

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (
            Step(
                f"Attach the host's end to bridge {self.bridge}.",
                self._inside("ip", "link", "set", "dev", self.dev, "master", self.bridge),
            ),
        )


class PortFlag(Attribute):
    """A flag of a bridge port: isolated, hairpin or bcast_flood (ip-link(8), bridge_slave).

    `default` is the value that a new port has.
    """

    flag: str
    on: bool
    why: str
    default: bool = False

    @property
    def what(self) -> str:
        return f"bridge port flag: {self.flag} {self._state} on {self.dev}"

    @property
    def difference(self) -> str:
        return f"bridge port {self.dev} does not have {self.flag} {self._state}"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        if link is None:
            return False
        now = self.flag in link.flags if link.master else self.default
        return now == self.wanted(seen)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        on = self.wanted(seen)
        if on == self.default and self._link(seen) is None:
            return ()
        why = self.why if on != self.default else f"Reset {self.flag} of {self.dev} to the kernel's default."
        argv = self._inside(
            "ip", "link", "set", "dev", self.dev, "type", "bridge_slave", self.flag, "on" if on else "off"
        )
        return (Step(why, argv),)

    def wanted(self, seen: Observed) -> bool:
        """Whether the flag must be on."""
        return self.on

    @property
    def _state(self) -> str:
        return "on" if self.on else "off"


class Isolated(PortFlag):
    """The flag of a port that reaches the host but no other isolated port. It is off while br_netfilter is enabled.

    br_netfilter translates published ports on the bridge itself, and an isolated port could not reach those of its own
    network. The rules of ebtables isolate the containers in either case. `families` are those of the network.
    """

    families: tuple[int, ...] = field(default=(4,), kw_only=True)

    def sysctls(self, seen: Observed) -> tuple[str, ...]:
        return tuple(BRIDGE_CALLS[family] for family in self.families)

    def wanted(self, seen: Observed) -> bool:
        return self.on and all(seen.sysctls.get(key) != "1" for key in self.sysctls(seen))


class InterfaceAddress(Attribute):
    """An address of an interface, with its prefix length: 10.1.0.1/24."""

    address: str
    why: str

    @property
    def what(self) -> str:
        return f"address: {self.address} on {self._name}"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        return link is not None and self.address in link.addresses

    def do(self, seen: Observed) -> tuple[Step, ...]:
        # Duplicate address detection would delay the first packet by a second or two.
        now = ("nodad",) if ":" in self.address else ()
        return (Step(self.why, self._inside("ip", "address", "add", self.address, "dev", self.dev, *now)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (
            Step(
                f"Delete the address {self.address} of {self.dev}.",
                self._inside("ip", "address", "delete", self.address, "dev", self.dev),
            ),
        )

    def aftermath(self, seen: Observed) -> Observed:
        # With the last IPv4 address of an interface, the kernel deletes all IPv4 routes through it, in all tables.
        link = self._link(seen)
        if link is None or ":" in self.address:
            return seen
        left = replace(link, addresses=link.addresses - {self.address})
        seen = seen.with_link(self.netns, left)
        if any(":" not in address for address in left.addresses):
            return seen
        there = seen.at(self.netns)
        routes = tuple(route for route in there.routes if route.dev != self.dev or route.family == 6)
        there = replace(there, routes=routes)
        return replace(seen, inside={**seen.inside, self.netns: there}) if self.netns else there


class Up(Attribute):
    """An interface that is up."""

    why: str

    @property
    def what(self) -> str:
        return f"interface: {self._name}, up"

    @property
    def difference(self) -> str:
        return f"interface {self._name} is down"

    def holds(self, seen: Observed) -> bool:
        link = self._link(seen)
        return link is not None and link.up

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(self.why, self._inside("ip", "link", "set", "dev", self.dev, "up")),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        if self.dev == "lo":
            return ()  # Other users of the namespace may need it.
        return (Step(f"Disable {self.dev}.", self._inside("ip", "link", "set", "dev", self.dev, "down")),)


def batch(commands: Sequence[Argv]) -> tuple[Argv, str, tuple[int, ...]]:
    """Combine commands into one `ip -batch -`.

    Returns its argv, its input, and for each line of the input the index of its command.
    """
    text = "".join(" ".join(argv[1:]) + "\n" for argv in commands)
    return ("ip", "-batch", "-"), text, tuple(range(len(commands)))


def foldable(argv: Argv) -> bool:
    """Whether `batch` can combine a command with others. A batch has no quoting, so words that need it are excluded.

    Nor has it options such as -6.
    """
    return argv[:1] == ("ip",) and argv[1:2] != ("-6",) and not any(c in word for word in argv for c in "#\"'\\ \t\r\n")
