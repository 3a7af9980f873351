"""Trace a packet through the host: its hooks in the kernel's order, its routes, its programs. Records the hops.

    ─ PREROUTING ─ route ─┬─ INPUT ─ a program
                          └─ FORWARD ─ POSTROUTING ─       and OUTPUT ─ POSTROUTING for what the host itself sends

The order of the tables: iptables(8), TABLES; nft(8), ADDRESS FAMILIES. Routes come from the kernel itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import NoReturn

from mydockernet import model
from mydockernet.dialects import sysctl
from mydockernet.dialects.fact import FORWARDING, Chain, Observed, Route, Socket
from mydockernet.model import Address, Intent, Network, PortMapping, bracketed
from mydockernet.packets import hops, netfilter, nft
from mydockernet.packets.hooks import Sight, Verdict
from mydockernet.packets.hops import PASSES, STOPS, UNSURE, Hop, Place, Question
from mydockernet.packets.packet import Packet
from mydockernet.rulesets import iptables as ruleset
from mydockernet.value import replace

STRICT = 1  # ip-sysctl.rst of the kernel, rp_filter

GUARDS = tuple(Chain(family, "mangle", ruleset.PREROUTING) for family in (4, 6))

AskRoute = Callable[[str, str, str, str], Route | str]


LOOPBACK = {4: ip_address("127.0.0.1"), 6: ip_address("::1")}


class Ended(Exception):
    """The trace ends here."""


class OnHost(ABC):
    """The part of a trace on the host. Records the hops as it goes."""

    def __init__(self, question: Question, intent: Intent, sight: Sight, route: AskRoute) -> None:
        self.question = question
        self.networks = {dev: network for network in intent.values() for dev in model.doors(network)}
        self.places = list(model.endpoints(intent.values()))
        self.sight = sight
        self.route = route
        self.hops: list[Hop] = []

    @property
    def seen(self) -> Observed:
        """The observation of the host."""
        return self.sight.seen

    @abstractmethod
    def cable(self, place: Place) -> None:
        """Check both ends of a container's veth pair, and the bridge, if there is one."""

    @abstractmethod
    def arrive_at(self, place: Place, packet: Packet, routed: bool) -> None:
        """Enter a container, reach its program, and trace the reply."""

    @abstractmethod
    def past_host(self, place: Place, packet: Packet) -> None:
        """Enter a container through its parent interface."""

    # Recording hops

    def passes(self, what: str, why: str = "") -> None:
        """Record that the packet passes."""
        self.hops.append(Hop(PASSES, what, why))

    def arrives(self, what: str, why: str = "") -> NoReturn:
        """Record that the packet arrives, or perhaps arrives if a hop is unsure. Raises Ended."""
        if any(hop.state == UNSURE for hop in self.hops):
            self.hops.append(Hop(UNSURE, f"{what}, unless a rule marked with ? drops it", why))
        else:
            self.passes(what, why)
        raise Ended

    def unsure(self, what: str, why: str = "", fix: str = "") -> None:
        """Record, once, that it cannot be determined whether the packet passes."""
        if all(hop.what != what for hop in self.hops):
            self.hops.append(Hop(UNSURE, what, why, fix))

    def stops(self, what: str, why: str = "", fix: str = "") -> NoReturn:
        """Record that the packet is dropped. Raises Ended."""
        self.hops.append(Hop(STOPS, what, why, fix))
        raise Ended

    # Hooks

    def hook(self, hook: str, packet: Packet, netns: str = "", of: str = "the host", frames: bool = False) -> Packet:
        """Evaluate all gates at a hook. Returns the packet, translated if it was. Raises Ended if it is dropped."""
        came = packet
        for gate in self.sight.gates(netns, hook, packet.family, frames):
            # The first rule that translates is the last one of that kind which the kernel evaluates at a hook.
            if gate.nat and (packet.answer or packet != came):
                continue
            verdict = gate.ask(packet)
            self._tell(verdict, packet, netns, of)
            if gate.nat:
                packet = self._translated(verdict, packet, netns, of)
            elif hops.decides(verdict):
                self.passes(f"{of}'s {verdict.where}", hops.reason(verdict))
        return packet

    def _tell(self, verdict: Verdict, packet: Packet, netns: str, of: str) -> None:
        for doubt in verdict.doubts:
            accepts = isinstance(doubt, nft.Verdict) and doubt.decision == "accept"
            accepts = accepts or (isinstance(doubt, netfilter.Verdict) and doubt.target == "ACCEPT")
            if verdict.stops or not accepts:
                self.unsure(f"{of}'s {doubt.where}", "Whether this rule matches cannot be determined.")
        if not verdict.stops:
            return
        way, fix = "", hops.fix_for(verdict, packet, netns)
        if verdict.ours and self._guards(verdict):
            fix = self._if_not_forged(packet)
        elif verdict.ours and not hops.is_admins(verdict):
            way, fix = self._way_round(packet)
        why = " ".join(filter(None, (hops.why_stopped(verdict), way)))
        if any(doubt.avoids for doubt in verdict.doubts):
            self.unsure(f"{of}'s {verdict.where}", why, fix)
        else:
            self.stops(f"{of}'s {verdict.where}", why, fix)

    @staticmethod
    def _guards(verdict: Verdict) -> bool:
        """Whether a rule is about forged source addresses."""
        if isinstance(verdict, nft.Verdict):
            return verdict.base.hook != "forward"
        return verdict.chain in GUARDS

    def _if_not_forged(self, packet: Packet) -> str:
        """Return the command that repairs the rules which take a packet for a forged one; empty if it is one."""
        home, came = self.networks.get(packet.inward), self.place_of(packet.source)
        return f"mydockernet repair {home.name}" if home and came and came[0] == home else ""

    def _way_round(self, packet: Packet) -> tuple[str, str]:
        """Return an advice and a command for a packet that mydockernet's own rules drop."""
        there = self.place_of(packet.destination)
        ends = (self.networks.get(packet.inward), self.networks.get(packet.outward))
        closed = any(network and not network.leads_out for network in ends)
        return ("", "") if there is None or not there[0].leads_out or closed else hops.publish(there, packet)

    def place_of(self, address: Address) -> Place | None:
        """Return the network and the endpoint of an address, or None."""
        return next((place for place in self.places if address in place[1].addresses), None)

    def _translated(self, verdict: Verdict, packet: Packet, netns: str, of: str) -> Packet:
        """Return the packet after a nat table."""
        before, where = packet.flow, f"{of}'s {verdict.where}"
        if verdict.changes == "source":
            own = self._address_on(packet, netns)
            self.passes(where, hops.of_elements(f"From here its source address is {own or f'that of {of}'}.", verdict))
            return replace(packet, source=own or packet.source, states=packet.states | {"SNAT"}, first=before)
        if not verdict.changes:
            return packet
        try:
            new = ip_address("".join(verdict.to[:1]))
        except ValueError:  # It names none, or several.
            self.unsure(where, "Where this rule redirects it cannot be determined.")
            return packet
        inner = self._inner_port(packet, "".join(verdict.to[1:]))
        where_to = f"{bracketed(new)}:{inner}" if inner else str(new)
        self.passes(where, hops.of_elements(f"The port is published: the packet continues to {where_to}.", verdict))
        states = packet.states | {"DNAT"}
        return replace(packet, destination=new, port=inner, states=states, first=before, local=False)

    def _inner_port(self, packet: Packet, word: str) -> int | None:
        first, dash, _ = word.partition("-")
        if not first.isdecimal():
            return packet.port
        if not dash or packet.port is None:
            return int(first)
        for _, endpoint in self.places:
            for mapping in endpoint.ports:
                if mapping.protocol == packet.protocol and mapping.host_ports.first <= packet.port <= (
                    mapping.host_ports.last
                ):
                    return int(first) + packet.port - mapping.host_ports.first
        return int(first)

    def _address_on(self, packet: Packet, netns: str) -> Address | None:
        """Return the address that a packet gets when it is masqueraded."""
        link = self.seen.at(netns).links.get(packet.outward)
        words = sorted(link.addresses) if link else ()
        found = (ip_address(word.partition("/")[0]) for word in words)
        return next((a for a in found if a.version == packet.family and not a.is_link_local), None)

    # Paths

    def at_host(self, packet: Packet) -> None:
        """Enter the host through an interface."""
        local = packet.destination in self.seen.addresses or packet.destination.is_loopback
        packet = self.hook("PREROUTING", replace(packet, local=local))
        way = self.route("", str(packet.destination), str(packet.source), packet.inward)
        if isinstance(way, str):
            self._not_sent_on(packet, way)
        if way.kind == "local":
            self.into_host(packet)
        packet = replace(packet, outward=way.dev, local=False)
        self._forwards(packet)  # For IPv6 the kernel names a route even if it does not forward.
        self.passes(f"the host: forwards it through {way.dev}", f"Its route: {way.line}.")
        return self.out_of_host(self.hook("FORWARD", packet))

    def _forwards(self, packet: Packet) -> None:
        """Stop if the host does not forward packets of this family."""
        key = FORWARDING[packet.family]
        if self.seen.sysctls.get(key) != "1" and not packet.local:
            self.stops(
                f"the host: {sysctl.dotted(key)} is off",
                "The host forwards no packets between its interfaces.",
                f"sysctl -w {sysctl.dotted(key)}=1",
            )

    def _not_sent_on(self, packet: Packet, said: str) -> NoReturn:
        self._forwards(packet)
        self.rp_filter(packet, "the host")
        if there := self.place_of(packet.destination):
            fix = f"mydockernet repair {there[0].name}"
            self.stops(f"the host: has no route to {there[1].name} ({said})", "Its route is missing.", fix)
        for network in self.networks.values():
            if any(packet.destination in subnet.network for subnet in network.subnets):
                self.stops(f"{network.name}: no container has the address {packet.destination}", fix="mydockernet list")
        self.stops(
            f"the host: does not forward {packet} ({said})",
            "It has no route to that address.",
            "ip route get " + str(packet.destination),
        )

    def rp_filter(self, packet: Packet, of: str, netns: str = "") -> None:
        """Stop if rp_filter is strict and the route back to the source leaves by another interface.

        For the packet itself, newer kernels only report EINVAL, without the reason. IPv6 has no rp_filter.
        """
        if packet.family == 6:
            return
        seen = self.sight.seen.at(netns).sysctls
        values = (seen.get(f"net/ipv4/conf/{dev}/rp_filter") for dev in ("all", packet.inward))
        if max(int(value) for value in (*values, "0") if value) != STRICT:
            return
        back = self.route(netns, str(packet.source), str(packet.destination) if packet.local else "", "")
        if isinstance(back, str) or back.dev != packet.inward:
            inside = f"nsenter --net={netns} " if netns else ""
            self.stops(
                f"{of}: rp_filter of {packet.inward} drops packets from {packet.source}",
                "It is strict, and the route back to that address uses another interface.",
                f"{inside}sysctl -w net.ipv4.conf.{packet.inward.replace('.', '/')}.rp_filter=2",
            )

    def out_of_host(self, packet: Packet) -> None:
        """Pass POSTROUTING, to a bridge of mydockernet or out of the host."""
        network = self.networks.get(packet.outward)
        if network and packet.source.is_loopback:
            self._let_out(network, packet.outward)
        packet = self.hook("POSTROUTING", packet)
        if network is None:
            self._leave(packet)
        place = self.place_of(packet.destination)
        if place is None or model.door(*place) != packet.outward:
            self.stops(f"{network.name}: no container has the address {packet.destination}", fix="mydockernet check")
        if packet.source.is_loopback:
            fix = f"mydockernet repair {network.name}"
            self.stops("the host: no rule translates 127.0.0.1", "A container cannot reply to that address.", fix)
        came = self.place_of(packet.source)
        if packet.inward == packet.outward and came == place and not network.bridge:
            self.stops(
                f"{place[1].name}: drops it, as {packet.source} is its own address",
                "A packet to its own published port needs the address of the host.",
                f"mydockernet repair {network.name}",
            )
        if packet.inward == packet.outward and came and came[0] == network:
            self.stops(
                f"{place[1].name}: would reply directly to {packet.source}, from an address that it did not ask",
                "Both containers are on one network: the reply must return through the host, which translates it.",
                f"mydockernet repair {network.name}",
            )
        self.cable(place)
        asker = self.question.source.places
        if network.bridge and packet.inward == packet.outward and any(p[1] == place[1] for p in asker):
            self._hairpin(place)
        self.frames(("OUTPUT", "POSTROUTING"), replace(packet, inward="", outward=place[1].veth), network)
        return self.arrive_at(place, packet, routed=True)

    def frames(self, through: Iterable[str], packet: Packet, network: Network) -> None:
        """Pass the chains of the bridge family, if the network has a bridge."""
        for hook in through if network.bridge else ():
            self.hook(hook, packet, of=f"bridge {network.bridge}", frames=True)

    def _let_out(self, network: Network, dev: str) -> None:
        if self.seen.sysctls.get(f"net/ipv4/conf/{dev}/route_localnet") != "1":
            self.stops(
                f"the host: route_localnet of {dev} is off",
                "The kernel sends no packets from 127.0.0.1 through it.",
                f"mydockernet repair {network.name}",
            )

    def _hairpin(self, place: Place) -> None:
        network, endpoint = place
        if "hairpin" not in self.seen.links[endpoint.veth].flags:
            self.stops(
                f"bridge {network.bridge}: sends no frame back to the port that it arrived on",
                f"The container uses its own published port, but hairpin of {endpoint.veth} is off.",
                f"mydockernet repair {network.name}",
            )

    def _leave(self, packet: Packet) -> NoReturn:
        """Leave by an interface of the host. The trace ends there."""
        there = self.place_of(packet.destination)
        if there and there[0].parent:
            if packet.outward != there[0].host_interface:
                self.not_between(there[0])
            self.past_host(there, packet)
        if there:
            here = [r for r in self.seen.routes if r.dev == packet.outward and packet.destination in r.destination]
            route = max(here, key=lambda r: r.destination.prefixlen, default=None)
            self.stops(
                f"the host: sends it through {packet.outward}, but {packet.destination} belongs to {there[1].name}",
                "A route that is not mydockernet's takes precedence over the route of the network.",
                f"ip route del {route.line}" if route else f"ip route get {packet.destination}",
            )
        self.answer_through_host(packet, packet.outward)
        home = next((n for n in self.networks.values() for s in n.subnets if packet.source in s.network), None)
        if home is None:
            self.arrives(f"{packet.outward}: it leaves the host as {packet}", "The trace ends at this host.")
        self.unsure(
            f"{packet.outward}: it leaves with the container's own address, {packet.source}",
            "No rule masquerades it: a reply arrives only if the other side has a route back to this host.",
            f"mydockernet repair {home.name}" if home.masquerade else "",
        )
        raise Ended

    def not_between(self, network: Network) -> NoReturn:
        """Stop between the host and a container on a parent interface of the host."""
        self.stops(
            f"{network.parent}: carries no frames between the host and its {network.driver} interfaces",
            "That is how the kernel's driver works. The host needs an interface of its own on the network.",
            "create the network with --host-ip",
        )

    def answer_through_host(self, packet: Packet, inward: str) -> None:
        """Trace the reply to a packet that has left the host: in through an interface, and back to the sender."""
        first = packet.flow
        # Before PREROUTING translates it back, its destination is the source address that the packet had.
        back = replace(
            packet,
            source=packet.destination,
            destination=packet.source,
            inward=inward,
            outward="",
            from_port=packet.port,
            port=None,
            states=(packet.states - {"NEW"}) | {"ESTABLISHED"},
            answer=True,
            first=first,
            bridged=False,
            local=packet.source in self.seen.addresses,
        )
        self.hook("PREROUTING", back)
        back = replace(back, destination=first.source, local=not packet.inward)
        if not packet.inward:
            self.hook("INPUT", back)
            return
        self.hook("POSTROUTING", self.hook("FORWARD", replace(back, outward=packet.inward)))

    def into_host(self, packet: Packet) -> NoReturn:
        """Reach a program on the host."""
        packet = self.hook("INPUT", replace(packet, local=True))
        here, other = self.listening(self.seen.sockets, packet)
        if packet.port is None or here:
            self._answered_here(packet)
            program = here.program if here else "it"
            self.arrives(f"the host: {packet.destination} is its own address, and {program} replies")
        self._unpublished(packet)
        if other:
            self.stops(f"the host: {other.program} listens only on {other.address}, not on {packet.destination}")
        self.stops(
            f"the host: nothing listens on {packet.protocol} port {packet.port}, and it is not published",
            fix=f"mydockernet publish NETWORK CONTAINER {packet.port}:PORT",
        )

    def _answered_here(self, packet: Packet) -> None:
        """Trace the reply of a program on the host, through OUTPUT."""
        back = replace(
            packet,
            source=packet.destination,
            destination=packet.source,
            inward="",
            outward=packet.inward or "lo",
            from_port=packet.port,
            port=None,
            states=(packet.states - {"NEW"}) | {"ESTABLISHED"},
            answer=True,
            first=packet.flow,
            local=not packet.inward,
        )
        self.hook("POSTROUTING", self.hook("OUTPUT", back))

    def _unpublished(self, packet: Packet) -> None:
        """Stop if the port is published on record, although the packet arrived here."""
        assert packet.port is not None
        for network, endpoint in self.places:
            for mapping in endpoint.ports:
                if mapping.protocol != packet.protocol or not (
                    mapping.host_ports.first <= packet.port <= mapping.host_ports.last
                ):
                    continue
                if not network.translates(endpoint, mapping, packet.family):
                    continue
                if mapping.only_ip in (None, packet.destination) and packet.destination == LOOPBACK[6]:
                    self.stops(
                        f"the host: port {packet.port} is published, but not on ::1",
                        "The kernel cannot translate packets to ::1.",
                        "connect to 127.0.0.1, or to another address of the host",
                    )
                if mapping.only_ip in (None, packet.destination) and not self._admitted(mapping, packet):
                    self.stops(
                        f"the host: port {packet.port} is published for {', '.join(map(str, mapping.sources))} only",
                        f"{packet.source} is not among them.",
                    )
                if mapping.only_ip in (None, packet.destination):
                    self.stops(
                        f"the host: no rule translates port {packet.port} to {endpoint.name}, though it is published",
                        "A rule in the nat table is missing, or another rule comes before it.",
                        f"mydockernet repair {network.name}",
                    )
                self.stops(
                    f"the host: port {packet.port} is published on {mapping.host_ip}, not on {packet.destination}",
                    fix=f"mydockernet publish {network.name} {endpoint.name} "
                    f"{packet.destination}:{packet.port}:{mapping.container_ports}",
                )

    def _admitted(self, mapping: PortMapping, packet: Packet) -> bool:
        return packet.source in self.seen.addresses or mapping.admits(packet.source)

    @staticmethod
    def listening(sockets: Iterable[Socket], packet: Packet) -> tuple[Socket | None, Socket | None]:
        """Return the socket that listens there, and one that listens on that port, perhaps at another address."""
        on_port = [s for s in sockets if (s.protocol, s.port) == (packet.protocol, packet.port)]
        here = next((s for s in on_port if s.address in (None, packet.destination)), None)
        return here, next(iter(on_port), None)
