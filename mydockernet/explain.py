"""What a packet meets on its way, hop by hop, and what stops it: read from the live kernel, changed by nothing.

    container ─ its route, its rules ─ cable ─ bridge ─┬─ another port of the bridge ─ container
                                                       └─ host: PREROUTING ─ route ─┬─ INPUT ─ a program of the host
    outside ───────────────────────────────────────────── host: PREROUTING ─ route ─┤
    host ──────────────────────────────────────────────── OUTPUT ─ route ───────────┴─ FORWARD ─ POSTROUTING ─ …

The way of a packet through the kernel's tables: iptables(8), TABLES. Which way a packet is sent, the kernel is asked.
"""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, ip_address
from typing import NoReturn

from mydockernet import namespaces, netfilter, plan, rules
from mydockernet.actions import Context
from mydockernet.addressing import read_address
from mydockernet.errors import Invalid, NotFound
from mydockernet.facts import Link, Observed, Route, Socket
from mydockernet.model import PORT_MAX, PORT_MIN, Address, Endpoint, Network
from mydockernet.netfilter import Packet, Verdict
from mydockernet.plan import Intent

PASSES, STOPS, UNSURE = "passes", "stops", "unsure"
LOOPBACK = IPv4Address("127.0.0.1")
BRIDGE_CALLS_IPTABLES = "net/bridge/bridge-nf-call-iptables"
FORWARDING = "net/ipv4/ip_forward"
ANSWER = frozenset({"ESTABLISHED"})

Place = tuple[Network, Endpoint]
AskRoute = Callable[[str, str, str, str], Route | str]


@dataclass(frozen=True, slots=True)
class Hop:
    """One thing that a packet meets: what it is, whether the packet `passes`, why, and the command that mends it."""

    state: str
    what: str
    why: str = ""
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Party:
    """An end of the way: a container by its places, or the host or somebody outside by an address.

    No address of the host: the one that the other end would use.
    """

    name: str
    places: tuple[Place, ...] = ()
    address: Address | None = None
    host: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """From where to where; no port: as ping would (icmp)."""

    source: Party
    target: Party
    protocol: str = "icmp"
    port: int | None = None


def answer(context: Context, source: str, target: str) -> tuple[tuple[Hop, ...], tuple[str, ...]]:
    """The hops from `source` to `target`, the last one first to stop; and what could not be read.

    Raises NotFound, Invalid for words that mean no end of a way.
    """
    intent = context.store.load()
    seen = context.kernel.observe(lenient=True)
    question = read_question(source, target, intent, seen)
    places = (*question.source.places, *question.target.places)
    # A published port leads to any container.
    every = [e.namespace for _, e in (*plan.endpoints(intent.values()), *places)]
    alive = [namespace for namespace in every if namespaces.alive(namespace)]
    context.kernel.hold(alive)
    seen = context.kernel.observe_whole(seen, sorted({namespace.path for namespace in alive}))
    localnet = (f"net/ipv4/conf/{network.bridge}/route_localnet" for network in intent.values())
    seen = context.kernel.observe_sysctls(seen, [("", key) for key in (FORWARDING, BRIDGE_CALLS_IPTABLES, *localnet)])
    return explain(question, intent, seen, context.kernel.route), seen.unread


def read_question(source: str, target: str, intent: Intent, seen: Observed) -> Question:
    """Read `FROM` and `TO[:PORT[/tcp|udp|sctp]]`. Raises NotFound, Invalid."""
    word, slash, protocol = target.partition("/") if ":" in target else (target, "", "")
    name, colon, port = word.partition(":")
    if colon and not (port.isdecimal() and PORT_MIN <= int(port) <= PORT_MAX):
        raise Invalid(f"TO: {target!r}: {port!r} is not a port")
    if slash and protocol not in ("tcp", "udp", "sctp"):
        raise Invalid(f"TO: {target!r}: the protocol is tcp, udp or sctp")
    ends = _party("FROM", source, intent, seen), _party("TO", name, intent, seen)
    return Question(*ends, protocol or "tcp", int(port)) if colon else Question(*ends)


def _party(option: str, word: str, intent: Intent, seen: Observed) -> Party:
    everywhere = list(plan.endpoints(intent.values()))
    if word == "host":
        return Party(word, host=True)
    try:
        address = read_address(word)
    except ValueError:
        address = None
    if address:
        place = next((place for place in everywhere if address in place[1].addresses), None)
        if place is None:
            return Party(word, address=address, host=address in seen.addresses or address.is_loopback)
        found = [place]
    else:
        network, _, name = word.rpartition("/")
        found = [(net, e) for net, e in everywhere if e.name == name and network in ("", net.name)]
    if not found:
        try:
            key = namespaces.find(word)[1].key
        except (NotFound, Invalid):
            raise NotFound(
                f"{option}: {word!r} is no container on a network", hint="a container's name, host, or an address"
            ) from None
        found = [place for place in everywhere if place[1].namespace.key == key]
    keys = {endpoint.namespace.key for _, endpoint in found}
    if len(keys) > 1:
        raise Invalid(f"{option}: {word!r} is several containers", hint="say which, with NETWORK/NAME")
    if not found:
        raise NotFound(f"{option}: {word!r} is on no network", hint="mydockernet connect NETWORK CONTAINER")
    places = tuple(place for place in everywhere if place[1].namespace.key in keys)
    return Party(found[0][1].name, places, address)


def explain(question: Question, intent: Intent, seen: Observed, route: AskRoute) -> tuple[Hop, ...]:
    """The hops of a way, up to the one that stops it, if any. `route` asks the kernel (netns, to, from, came by)."""
    walk = _Walk(question, intent, seen, route)
    with contextlib.suppress(_Ended):
        walk.start()
    return tuple(walk.hops)


class _Ended(Exception):
    """The way ends here."""


class _Walk:
    """A packet's way, written down as it goes."""

    def __init__(self, question: Question, intent: Intent, seen: Observed, route: AskRoute) -> None:
        self.question = question
        self.networks = {network.bridge: network for network in intent.values()}
        self.places = list(plan.endpoints(intent.values()))
        self.seen = seen
        self.route = route
        self.hops: list[Hop] = []

    # What is written down

    def passes(self, what: str, why: str = "") -> None:
        self.hops.append(Hop(PASSES, what, why))

    def unsure(self, what: str, why: str = "", mend: str = "") -> None:
        self.hops.append(Hop(UNSURE, what, why, mend))

    def stops(self, what: str, why: str = "", mend: str = "") -> NoReturn:
        self.hops.append(Hop(STOPS, what, why, mend))
        raise _Ended

    def ask(self, netns: str, table: str, chain: str, packet: Packet, of: str = "the host") -> Verdict:
        """Pass a built-in chain, or stop in it."""
        verdict = netfilter.ask(self.seen.at(netns), table, chain, packet)
        for doubt in verdict.doubts:
            self.unsure(f"{of}'s {doubt}", "It asks for something that can't be told from here.")
        if verdict.stops:
            why, mend = self._stopped_by(netns, verdict, packet)
            self.stops(f"{of}'s {verdict.where}", why, mend)
        if verdict.rule is not None and table == "filter":
            self.passes(f"{of}'s {verdict.where}", self._reason(verdict))
        return verdict

    def _stopped_by(self, netns: str, verdict: Verdict, packet: Packet) -> tuple[str, str]:
        chain, rule = verdict.chain, verdict.rule
        assert chain is not None
        inside = f"nsenter --net={netns} " if netns else ""
        if rule is None:
            if netns or chain.name != "FORWARD":
                return "The policy is what no rule decided.", f"{inside}iptables -P {chain.name} ACCEPT"
            why = "The policy is what no rule decided, and the rules of mydockernet, which do, are not all there."
            return why, "mydockernet repair"
        if not rules.is_ours(rule):
            mine = "A rule of the admin's own." if chain.name == rules.USER else "A rule that is not mydockernet's."
            return mine, f"{inside}iptables -t {chain.table} -D {chain.name} {verdict.number}"
        return self._reason(verdict), self._way_round(packet)

    def _reason(self, verdict: Verdict) -> str:
        spec = verdict.rule.spec if verdict.rule else frozenset()
        every = (fact for fact in rules.every_shared(4) if isinstance(fact, rules.OwnRule))
        return next((fact.why for fact in every if rules.read_spec(fact.words) == spec), "")

    def _way_round(self, packet: Packet) -> str:
        there = self.place_of(packet.destination)
        ends = (self.networks.get(packet.inward), self.networks.get(packet.outward))
        if any(network and network.internal for network in ends) or there is None:
            return ""
        return f"mydockernet publish {there[0].name} {there[1].name} {packet.port or 'PORT'}"

    # The ends

    def start(self) -> None:
        source = self.question.source
        if source.places:
            self.from_container(source.places)
        elif source.host:
            self.from_host()
        else:
            assert source.address is not None
            self.from_outside(source.address)

    def packet(self, source: Address, destination: Address, **more: str) -> Packet:
        return Packet(source, destination, self.question.protocol, self.question.port, **more)  # type: ignore[arg-type]

    def place_of(self, address: Address) -> Place | None:
        return next((place for place in self.places if address in place[1].addresses), None)

    def target_address(self, fallback: Address | None, near: Iterable[Network] = ()) -> Address:
        """What address the target is asked at: a container's on a network that both are on, or its first."""
        target = self.question.target
        if target.address:
            return target.address
        if target.places:
            names = {network.name for network in near}
            shared = next((place for place in target.places if place[0].name in names), target.places[0])
            return shared[1].addresses[0]
        return fallback or LOOPBACK

    def from_container(self, places: tuple[Place, ...]) -> None:
        network, endpoint = places[0]
        netns, name = endpoint.namespace.path, endpoint.name
        if not namespaces.alive(endpoint.namespace):
            self.stops(f"{name}: its namespace is gone: {netns}", mend=f"mydockernet repair {network.name}")
        gateway = next((s.gateway for s, _ in plan.placed(network, endpoint)), None)
        destination = self.target_address(gateway, (net for net, _ in places))
        way = self.route(netns, str(destination), "", "")
        if isinstance(way, str):
            self._no_route(places, destination, way)
        if way.kind == "local":
            self.passes(f"{name}: {destination} is its own address", "It goes nowhere: a container's own loopback.")
            return self.arrive_at(places[0], self.packet(destination, destination, inward="lo"), routed=False)
        place = next((place for place in places if place[1].interface == way.dev), None)
        if place is None:
            self.unsure(f"{name}: sends it out by {way.dev}", "That interface is not mydockernet's.")
            raise _Ended
        network, endpoint = place
        source = ip_address(way.source or str(endpoint.addresses[0]))
        towards = f"to its gateway {way.via}" if way.via else "straight to it: it is on the same subnet"
        self.passes(f"{name}: sends it from {source} by {way.dev}, {towards}", "The route that its namespace has.")
        packet = self.packet(source, destination)
        self.ask(netns, "filter", "OUTPUT", replace(packet, outward=way.dev), name)
        self.cable(place)
        next_hop = ip_address(way.via) if way.via else destination
        bridge = self.seen.links[network.bridge]
        if any(word.startswith(f"{next_hop}/") for word in bridge.addresses):
            return self.at_host(replace(packet, inward=network.bridge))
        if way.via:
            self.stops(
                f"the host: has no longer the gateway's address {way.via} on {network.bridge}",
                "Nobody answers to the address that the container sends to.",
                f"mydockernet repair {network.name}",
            )
        return self.across_bridge(place, packet)

    def _no_route(self, places: tuple[Place, ...], destination: Address, said: str) -> NoReturn:
        network, endpoint = places[0]
        way_out = plan.way_out(places)
        what = f"{endpoint.name}: has no route to {destination} ({said})"
        if way_out or any(destination in s.network for net, _ in places for s in net.subnets):
            name = way_out[0].name if way_out else network.name
            self.stops(what, "Its interface or its default route is not as it should be.", f"mydockernet repair {name}")
        if all(net.internal for net, _ in places):
            self.stops(what, f"The network {network.name} is internal: it leads nowhere.")
        self.stops(what, "It was connected with --no-default-route.")

    def from_outside(self, address: Address) -> None:
        way = self.route("", str(address), "", "")
        if isinstance(way, str):
            self.stops(f"the host: has no route to {address} ({way})", "So it could not even answer.")
        destination = self.target_address(ip_address(way.source) if way.source else None)
        self.passes(f"{address}: reaches the host by {way.dev}", "By where the host would answer it.")
        self.at_host(self.packet(address, destination, inward=way.dev))

    def from_host(self) -> None:
        destination = self.target_address(None)
        way = self.route("", str(destination), "", "")
        if isinstance(way, str):
            self.stops(f"the host: has no route to {destination} ({way})")
        source = ip_address(way.source) if way.source else destination
        local = way.kind == "local"
        packet = replace(self.packet(source, destination, outward=way.dev), local=local)
        self.passes(f"the host: sends it from {source} by {way.dev}", f"Its route: {way.line}.")
        packet, translated = self._translated(self.ask("", "nat", "OUTPUT", packet), packet)
        self.ask("", "filter", "OUTPUT", packet)
        if local and not translated:
            self.into_host(packet)
        if translated:
            way = self.route("", str(packet.destination), "", "")
            if isinstance(way, str):
                self.stops(f"the host: has no route to {packet.destination} ({way})")
        return self.out_of_host(replace(packet, outward=way.dev, local=False))

    # The host

    def at_host(self, packet: Packet) -> None:
        packet = replace(packet, local=packet.destination in self.seen.addresses or packet.destination.is_loopback)
        for table in ("raw", "mangle"):
            self.ask("", table, "PREROUTING", packet)
        packet, translated = self._translated(self.ask("", "nat", "PREROUTING", packet), packet)
        way = self.route("", str(packet.destination), str(packet.source), packet.inward)
        if isinstance(way, str):
            if self.seen.sysctls.get(FORWARDING) != "1" and not (packet.local and not translated):
                self.stops(
                    "the host: net.ipv4.ip_forward is off",
                    "It hands no packet on between its interfaces.",
                    "sysctl -w net.ipv4.ip_forward=1",
                )
            self.stops(
                f"the host: does not send {packet} on ({way})",
                "It has no route there, or rp_filter finds that it should not have come by " + packet.inward + ".",
                "ip route get " + str(packet.destination),
            )
        if way.kind == "local":
            self.into_host(packet)
        packet = replace(packet, outward=way.dev, local=False)
        self.passes(f"the host: sends it on by {way.dev}", f"Its route: {way.line}.")
        for table in ("mangle", "filter"):
            self.ask("", table, "FORWARD", packet)
        return self.out_of_host(packet)

    def _translated(self, verdict: Verdict, packet: Packet) -> tuple[Packet, bool]:
        """The packet after nat, and whether it was sent elsewhere."""
        if verdict.target not in ("DNAT", "REDIRECT"):
            return packet, False
        if verdict.target == "REDIRECT" or "--to-destination" not in verdict.words:
            self.unsure(f"the host's {verdict.where}", "Where it leads is not told from here.")
            return packet, False
        to = verdict.words[verdict.words.index("--to-destination") + 1].split("/")[0]
        address, _, port = to.partition(":")
        self.passes(f"the host's {verdict.where}", f"The port is published: it goes on to {to}.")
        new = ip_address(address)
        inner = self._inner_port(packet, port)
        return replace(packet, destination=new, port=inner, states=packet.states | {"DNAT"}), True

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

    def out_of_host(self, packet: Packet) -> None:
        """Through POSTROUTING, to a bridge of ours or out of sight."""
        network = self.networks.get(packet.outward)
        if network and packet.source.is_loopback:
            self._let_out(network)
        verdict = self.ask("", "nat", "POSTROUTING", packet)
        if verdict.target in ("MASQUERADE", "SNAT"):
            own = self._address_on(packet.outward)
            self.passes(f"the host's {verdict.where}", f"From here it carries the host's {own or 'address'}.")
            packet = replace(packet, source=own or packet.source, states=packet.states | {"SNAT"})
        if network is None:
            self._leave(packet)
        place = self.place_of(packet.destination)
        if place is None or place[0].bridge != packet.outward:
            self.stops(f"{network.name}: no container on it has {packet.destination}", mend="mydockernet check")
        if packet.source.is_loopback:
            mend = f"mydockernet repair {network.name}"
            self.stops("the host: no rule translates 127.0.0.1", "A container can't answer to that address.", mend)
        came = self.place_of(packet.source)
        if packet.inward == packet.outward and came and came[0] == network:
            self.stops(
                f"{place[1].name}: would answer {packet.source} itself, from an address that was not asked",
                "Two containers of one network, by a published port: the answer has to come back through the host.",
                f"mydockernet repair {network.name}",
            )
        self.cable(place)
        asker = self.question.source.places
        if packet.inward == packet.outward and any(p[1] == place[1] for p in asker):
            self._hairpin(place)
        return self.arrive_at(place, packet, routed=True)

    def _let_out(self, network: Network) -> None:
        if self.seen.sysctls.get(f"net/ipv4/conf/{network.bridge}/route_localnet") != "1":
            self.stops(
                f"the host: route_localnet of {network.bridge} is off",
                "It lets no 127.0.0.1 out there.",
                f"mydockernet repair {network.name}",
            )

    def _hairpin(self, place: Place) -> None:
        network, endpoint = place
        if "hairpin" not in self.seen.links[endpoint.veth].flags:
            self.stops(
                f"the bridge {network.bridge}: sends nothing back where it came from (hairpin)",
                f"The container asks for its own published port, and hairpin of {endpoint.veth} is off.",
                f"mydockernet repair {network.name}",
            )

    def _address_on(self, dev: str) -> Address | None:
        link = self.seen.links.get(dev)
        words = sorted(link.addresses) if link else ()
        found = (ip_address(word.partition("/")[0]) for word in words)
        return next((address for address in found if address.version == 4), None)

    def _leave(self, packet: Packet) -> NoReturn:
        """Out by an interface that is not ours: what is beyond answers for itself."""
        if there := self.place_of(packet.destination):
            here = [r for r in self.seen.routes if r.dev == packet.outward and packet.destination in r.destination]
            route = max(here, key=lambda r: r.destination.prefixlen, default=None)
            self.stops(
                f"the host: sends it out by {packet.outward}, though {packet.destination} is {there[1].name}'s",
                "A route of somebody else's shadows the network's own.",
                f"ip route del {route.line}" if route else f"ip route get {packet.destination}",
            )
        answer_back = replace(
            packet,
            source=packet.destination,
            destination=packet.source,
            inward=packet.outward,
            outward=packet.inward,
            states=ANSWER,
            port=None,
        )
        if packet.inward:
            self.ask("", "filter", "FORWARD", answer_back)
        else:
            self.ask("", "filter", "INPUT", answer_back)
        home = next((n for n in self.networks.values() for s in n.subnets if packet.source in s.network), None)
        if home is None:
            self.passes(f"{packet.outward}: it leaves the host, as {packet}", "What is beyond is not seen from here.")
        else:
            self.unsure(
                f"{packet.outward}: it leaves under the container's own address, {packet.source}",
                "No rule masquerades it; the answer comes only if those beyond have a route back to this host.",
                f"mydockernet repair {home.name}" if home.masquerade else "",
            )
        raise _Ended

    def into_host(self, packet: Packet) -> NoReturn:
        """To a program on the host itself."""
        for table in ("mangle", "filter"):
            self.ask("", table, "INPUT", packet)
        here, other = self._listening(self.seen.sockets, packet)
        if packet.port is None or here:
            program = f", by {here.program}" if here else ""
            self.passes(f"the host: {packet.destination} is its own, and answered here{program}")
            raise _Ended
        self._unpublished(packet)
        if other:
            self.stops(f"the host: {other.program} listens on {other.address} alone, not on {packet.destination}")
        self.stops(
            f"the host: nothing listens on {packet.protocol} port {packet.port}, and it is not published",
            mend=f"mydockernet publish NETWORK CONTAINER {packet.port}:PORT",
        )

    def _unpublished(self, packet: Packet) -> None:
        """Where the record has that port published, and yet it came here."""
        assert packet.port is not None
        for network, endpoint in self.places:
            for mapping in endpoint.ports:
                if mapping.protocol != packet.protocol or not (
                    mapping.host_ports.first <= packet.port <= mapping.host_ports.last
                ):
                    continue
                if mapping.host_ip in (None, packet.destination):
                    self.stops(
                        f"the host: no rule leads port {packet.port} on to {endpoint.name}, though it is published",
                        "A rule of nat is missing, or another one comes before it.",
                        f"mydockernet repair {network.name}",
                    )
                self.stops(
                    f"the host: port {packet.port} is published on {mapping.host_ip}, not on {packet.destination}",
                    mend=f"mydockernet publish {network.name} {endpoint.name} "
                    f"{packet.destination}:{packet.port}:{mapping.container_ports}",
                )

    # Cables, bridges, containers

    def cable(self, place: Place) -> None:
        """Both ends of a container's cable, and the bridge."""
        network, endpoint = place
        mend = f"mydockernet repair {network.name}"
        if not namespaces.alive(endpoint.namespace):
            self.stops(f"{endpoint.name}: its namespace is gone: {endpoint.namespace.path}", mend=mend)
        inside = self.seen.at(endpoint.namespace.path)
        self._up(inside, endpoint.interface, f"{endpoint.name}: its interface {endpoint.interface}", mend)
        near = self._up(self.seen, endpoint.veth, f"the host: the cable {endpoint.veth} to {endpoint.name}", mend)
        self._up(self.seen, network.bridge, f"the host: the bridge {network.bridge}", mend)
        if near.master != network.bridge:
            self.stops(
                f"the host: the cable {endpoint.veth} is not plugged into the bridge {network.bridge}", mend=mend
            )
        self.passes(
            f"the cable {endpoint.interface} of {endpoint.name} ═ {endpoint.veth}, in the bridge {network.bridge}",
            "A veth pair: what goes in at one end comes out at the other.",
        )

    def _up(self, seen: Observed, name: str, called: str, mend: str) -> Link:
        link = seen.links.get(name)
        if link is None:
            self.stops(f"{called} is not there", mend=mend)
        if not link.up:
            self.stops(f"{called} is switched off", mend=mend)
        return link

    def across_bridge(self, place: Place, packet: Packet) -> None:
        """From one port of a bridge to another."""
        network, endpoint = place
        there = next((other for other in self.places if packet.destination in other[1].addresses), None)
        if there is None or there[0] != network:
            self.stops(f"{network.name}: nobody on it has {packet.destination}", mend="mydockernet list")
        ports = [self.seen.links.get(e.veth) for e in (endpoint, there[1])]
        if all(port and "isolated" in port.flags for port in ports):
            self.stops(
                f"the bridge {network.bridge}: both ports are isolated",
                "The network was made with --no-icc: its containers reach each other by published ports alone.",
                f"mydockernet publish {network.name} {there[1].name} {packet.port or 'PORT'}",
            )
        if self.seen.sysctls.get(BRIDGE_CALLS_IPTABLES) == "1":
            bridged = replace(packet, inward=network.bridge, outward=network.bridge, bridged=True)
            self.ask("", "filter", "FORWARD", bridged)
        self.cable(there)
        self.arrive_at(there, packet, routed=False)

    def arrive_at(self, place: Place, packet: Packet, routed: bool) -> None:
        """Into a container, to its program, and the answer's way back."""
        network, endpoint = place
        netns, name = endpoint.namespace.path, endpoint.name
        inside = self.seen.at(netns)
        mend = f"mydockernet repair {network.name}"
        if packet.destination not in inside.addresses and not packet.destination.is_loopback:
            self.stops(f"{name}: has no longer the address {packet.destination}", mend=mend)
        inward = packet.inward if packet.inward == "lo" else endpoint.interface
        self.ask(netns, "filter", "INPUT", replace(packet, inward=inward, outward="", local=True), name)
        here, other = self._listening(inside.sockets, packet)
        if packet.port is not None and here is None:
            if other:
                self.stops(
                    f"{name}: {other.program} listens on {other.address} alone, not on {packet.destination}",
                    mend="let the program listen on 0.0.0.0",
                )
            self.stops(f"{name}: nothing listens on {packet.protocol} port {packet.port}", mend="start the program")
        way = self.route(netns, str(packet.source), "", "")
        if isinstance(way, str):
            self.stops(
                f"{name}: has no way back to {packet.source} ({way})", "The question came, no answer goes.", mend
            )
        back = replace(
            packet, source=packet.destination, destination=packet.source, states=ANSWER, port=None, local=False
        )
        self.ask(netns, "filter", "OUTPUT", replace(back, inward="", outward=way.dev), name)
        if routed and packet.inward:
            self.ask("", "filter", "FORWARD", replace(back, inward=packet.outward, outward=packet.inward))
        elif routed:
            self.ask("", "filter", "INPUT", replace(back, inward=packet.outward, outward="", local=True))
        if way.kind != "local" and way.dev != endpoint.interface:
            self.unsure(f"{name}: answers by {way.dev}, not by {endpoint.interface}", "Both ends must accept that.")
        program = f" {here.program}" if here else ""
        self.passes(f"{name}:{program} gets it, and the answer goes back to {packet.source} by {way.dev}")

    @staticmethod
    def _listening(sockets: Iterable[Socket], packet: Packet) -> tuple[Socket | None, Socket | None]:
        """What listens there; and what does on that port, but at another address."""
        on_port = [s for s in sockets if (s.protocol, s.port) == (packet.protocol, packet.port)]
        here = next((s for s in on_port if s.address in (None, packet.destination)), None)
        return here, next(iter(on_port), None)
