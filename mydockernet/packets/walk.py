"""Trace a packet from end to end: over veth pairs and bridges, through containers and the host.

container ─ its route, its rules ─ cable ─ bridge ─┬─ another port of the bridge ─ container
                                                   └─ host: PREROUTING ─ route ─┬─ INPUT ─ a program of the host
outside ───────────────────────────────────────────── host: PREROUTING ─ route ─┤
host ──────────────────────────────────────────────── OUTPUT ─ route ───────────┴─ FORWARD ─ POSTROUTING ─ …
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import NoReturn

from mydockernet import model
from mydockernet.dialects import ebtables
from mydockernet.dialects.fact import BRIDGE_CALLS, Link, Observed, Route
from mydockernet.kernel import namespaces
from mydockernet.model import Address, Network
from mydockernet.packets import hops
from mydockernet.packets.hops import Place
from mydockernet.packets.host import LOOPBACK, OnHost
from mydockernet.packets.packet import PING, Packet
from mydockernet.value import replace

CABLE = "A veth pair is a cable: packets that enter one end leave the other."


class Walk(OnHost):
    """A trace. Records the hops as it goes."""

    # The ends

    def start(self) -> None:
        """Trace the packet until it arrives or is dropped, then raise Ended."""
        source = self.question.source
        if source.places:
            self.from_container(source.places)
        elif source.host:
            self.from_host()
        else:
            assert source.address is not None
            self.from_outside(source.address)

    def packet(self, source: Address, destination: Address) -> Packet:
        """Return the first packet of the question."""
        return Packet(source, destination, self.question.protocol or PING[source.version], self.question.port)

    def target_address(self, fallback: Address | None, near: Iterable[Network] = ()) -> Address:
        """Return the address of the target: for a container that on a shared network, or its first."""
        target = self.question.target
        if target.address:
            return target.address
        if target.places:
            names = {network.name for network in near}
            shared = next((place for place in target.places if place[0].name in names), target.places[0])
            there = (target.chosen or shared)[1]
            address = self.question.address_of(there)
            if address is None:
                self.stops(f"{there.name}: has no IPv{self.question.family} address")
            return address
        return fallback or LOOPBACK[self.question.family]

    def from_container(self, places: tuple[Place, ...]) -> None:
        """Start in a container."""
        network, endpoint = self.question.source.chosen or places[0]
        netns, name = endpoint.namespace.path, endpoint.name
        if not namespaces.alive(endpoint.namespace):
            self.stops(f"{name}: its namespace is gone: {netns}", fix=f"mydockernet repair {network.name}")
        family = self.question.family
        gateway = next((s.gateway for s, _ in model.placed(network, endpoint) if s.family == family), None)
        near = self._of_host(network, family) if network.parent else gateway
        destination = self.target_address(near, (net for net, _ in places))
        way = self.route(netns, str(destination), "", "")
        if isinstance(way, str):
            self._no_route(places, destination, way)
        if way.kind == "local":
            self.passes(f"{name}: {destination} is its own address", "The packet stays on the container's loopback.")
            packet = self.packet(destination, destination)
            here = next((p for p in places if destination in p[1].addresses), places[0])
            return self.arrive_at(here, replace(packet, inward="lo"), routed=False)
        place = next((place for place in places if place[1].interface == way.dev), None)
        if place is None:
            self.arrives(f"{name}: sends it through {way.dev}", "That interface is not mydockernet's.")
        network, endpoint = place
        source = ip_address(way.source) if way.source else self.question.address_of(endpoint)
        if source is None:
            self.stops(f"{name}: has no IPv{family} address on {way.dev}")
        towards = f"to its gateway {way.via}" if way.via else "directly: the target is on the same subnet"
        self.passes(f"{name}: sends it from {source} through {way.dev}, {towards}", "Its namespace has this route.")
        packet = self.packet(source, destination)
        packet = replace(self._send(place, replace(packet, outward=way.dev)), outward="")
        if network.parent:
            self._by_parent(place, packet, way)
        self.cable(place)
        next_hop = ip_address(way.via) if way.via else destination
        door = self.seen.links[model.door(network, endpoint)]
        if any(word.startswith(f"{next_hop}/") for word in door.addresses):
            frame = replace(packet, inward=endpoint.veth, mac=endpoint.mac, to_mac=door.mac)
            self.frames(("PREROUTING", "INPUT"), frame, network)
            return self.at_host(replace(packet, inward=door.name))
        if way.via and all(next_hop != subnet.gateway for subnet in network.subnets):
            why = "mydockernet does not know how it forwards packets."
            self.arrives(f"{way.via}: receives it, as a static route of network {network.name} says", why)
        if way.via or not network.bridge:
            self.stops(
                f"the host: no longer has the gateway address {next_hop} on {door.name}",
                "No interface has the address that the container sends to.",
                f"mydockernet repair {network.name}",
            )
        return self.across_bridge(place, packet)

    def _send(self, place: Place, packet: Packet) -> Packet:
        """Pass the rules of a container, outwards."""
        netns, name = place[1].namespace.path, place[1].name
        return self.hook("POSTROUTING", self.hook("OUTPUT", packet, netns, name), netns, name)

    def _by_parent(self, place: Place, packet: Packet, way: Route) -> NoReturn:
        """Leave a container that has an interface on a parent interface, not on the host."""
        network, endpoint = place
        self._on_parent(place)
        there = self.place_of(packet.destination)
        if packet.destination in self.seen.addresses and not way.via:
            if not network.host_interface:
                self.not_between(network)
            self.at_host(replace(packet, inward=network.host_interface))
        if there and there[0] == network:
            if network.mode == "private":
                self.stops(f"{network.parent}: keeps its {network.driver} interfaces apart", "The mode is private.")
            if network.mode == "vepa":
                self.unsure(
                    f"the LAN: {network.parent} leaves it to the switch to send frames back", "The mode is vepa."
                )
            self.past_host(there, packet)
        self.arrives(
            f"{network.parent}: frames of {endpoint.name} leave through it, past the routes and rules of the host",
            "The trace ends at this host.",
        )

    def _of_host(self, network: Network, family: int) -> Address | None:
        """Return an address of the host on the LAN of a network."""
        link = self.seen.links.get(network.parent)
        found = (ip_address(word.partition("/")[0]) for word in sorted(link.addresses if link else ()))
        near = (address for address in found for subnet in network.subnets if address in subnet.network)
        return next((address for address in (*network.host_addresses, *near) if address.version == family), None)

    def _on_parent(self, place: Place) -> None:
        """Check the interface of a container, and its parent."""
        network, endpoint = place
        fix = f"mydockernet repair {network.name}"
        if not namespaces.alive(endpoint.namespace):
            self.stops(f"{endpoint.name}: its namespace is gone: {endpoint.namespace.path}", fix=fix)
        inside = self.seen.at(endpoint.namespace.path)
        self._up(inside, endpoint.interface, f"{endpoint.name}: its interface {endpoint.interface}", fix)
        fix = f"ip link set dev {network.parent} up"
        self._up(self.seen, network.parent, f"the host: parent interface {network.parent}", fix)

    def past_host(self, place: Place, packet: Packet) -> None:
        """Enter a container through its parent interface."""
        network, endpoint = place
        self._on_parent(place)
        self.passes(f"{network.parent}: hands frames for {endpoint.name} to its {network.driver} interface")
        self.arrive_at(place, packet, routed=False)

    def _no_route(self, places: tuple[Place, ...], destination: Address, said: str) -> NoReturn:
        network, endpoint = places[0]
        way_out = model.way_out(places, destination.version)
        what = f"{endpoint.name}: has no route to {destination} ({said})"
        refusals = (r for net, _ in places for r in net.routes if r.gateway is None and destination in r.destination)
        if refusal := next(refusals, None):
            self.stops(what, f"A static route refuses it: --route {refusal}.")
        if way_out or any(destination in s.network for net, _ in places for s in net.subnets):
            name = way_out[0].name if way_out else network.name
            self.stops(what, "Its interface or its default route has changed.", f"mydockernet repair {name}")
        if all(net.internal for net, _ in places):
            self.stops(what, f"Network {network.name} is internal: no traffic leaves it.")
        if not any(net.has_gateway for net, _ in places):
            self.stops(what, f"Network {network.name} has no gateway: no traffic leaves it.")
        if not any(net.default_route for net, _ in places):
            self.stops(what, f"Network {network.name} was created with --no-default-route.")
        self.stops(what, "It was connected with --no-default-route.")

    def from_outside(self, address: Address) -> None:
        """Start at another machine."""
        way = self.route("", str(address), "", "")
        if isinstance(way, str):
            self.stops(f"the host: has no route to {address} ({way})", "It could not reply.")
        destination = self.target_address(ip_address(way.source) if way.source else None)
        there = self.place_of(destination)
        if there and there[0].parent:
            self.past_host(there, self.packet(address, destination))
        self.passes(f"{address}: reaches the host through {way.dev}", "The host would reply through that interface.")
        self.at_host(replace(self.packet(address, destination), inward=way.dev))

    def from_host(self) -> None:
        """Start on the host."""
        destination = self.target_address(None)
        way = self._host_route(destination)
        source = ip_address(way.source) if way.source else destination
        local = way.kind == "local"
        packet = replace(self.packet(source, destination), outward=way.dev, local=local)
        self.passes(f"the host: sends it from {source} through {way.dev}", f"Its route: {way.line}.")
        packet = self.hook("OUTPUT", packet)
        translated = packet.destination != destination
        if local and not translated:
            self.into_host(replace(packet, inward="lo"))
        if translated:
            way = self._host_route(packet.destination)
        return self.out_of_host(replace(packet, outward=way.dev, local=False))

    def _host_route(self, destination: Address) -> Route:
        way = self.route("", str(destination), "", "")
        if isinstance(way, str):
            there = self.place_of(destination)
            fix = f"mydockernet repair {there[0].name}" if there else ""
            self.stops(f"the host: has no route to {destination} ({way})", fix=fix)
        return way

    # Veth pairs, bridges, containers

    def cable(self, place: Place) -> None:
        """Check both ends of a container's veth pair, and the bridge, if there is one."""
        network, endpoint = place
        fix = f"mydockernet repair {network.name}"
        if not namespaces.alive(endpoint.namespace):
            self.stops(f"{endpoint.name}: its namespace is gone: {endpoint.namespace.path}", fix=fix)
        inside = self.seen.at(endpoint.namespace.path)
        self._up(inside, endpoint.interface, f"{endpoint.name}: its interface {endpoint.interface}", fix)
        near = self._up(self.seen, endpoint.veth, f"the host: interface {endpoint.veth} of {endpoint.name}", fix)
        if not network.bridge:
            self.passes(f"veth pair: {endpoint.interface} of {endpoint.name} ═ {endpoint.veth} on the host", CABLE)
            return
        self._up(self.seen, network.bridge, f"the host: bridge {network.bridge}", fix)
        if near.master != network.bridge:
            self.stops(f"the host: {endpoint.veth} is not attached to bridge {network.bridge}", fix=fix)
        self.passes(
            f"veth pair: {endpoint.interface} of {endpoint.name} ═ {endpoint.veth} on bridge {network.bridge}", CABLE
        )

    def _up(self, seen: Observed, name: str, called: str, fix: str) -> Link:
        link = seen.links.get(name)
        if link is None:
            self.stops(f"{called} is missing", fix=fix)
        if not link.up:
            self.stops(f"{called} is down", fix=fix)
        return link

    def across_bridge(self, place: Place, packet: Packet) -> None:
        """Cross a bridge, from one port to another."""
        network, endpoint = place
        there = self.place_of(packet.destination)
        if there is None or there[0] != network:
            self.stops(f"{network.name}: no container has the address {packet.destination}", fix="mydockernet list")
        ports = [self.seen.links.get(e.veth) for e in (endpoint, there[1])]
        isolated = all(port and "isolated" in port.flags for port in ports)
        filtered = not network.icc and ebtables.OWN + endpoint.veth in self.seen.frames
        if isolated or filtered:
            way, fix = hops.publish(there, packet)
            how = "both ports are isolated" if isolated else f"{endpoint.veth} may send only to the host"
            self.stops(
                f"bridge {network.bridge}: {how}",
                f"The network was created with --no-icc: only published ports reach its containers. {way}",
                fix,
            )
        self._bridged(packet, place, there)
        self.cable(there)
        self.arrive_at(there, packet, routed=False)

    def _bridged(self, packet: Packet, came: Place, goes: Place) -> None:
        """Pass the chains of the bridge family, and with br_netfilter those of iptables as well."""
        network = came[0]
        frame = replace(packet, inward=came[1].veth, outward=goes[1].veth, mac=came[1].mac, to_mac=goes[1].mac)
        self.frames(("PREROUTING", "FORWARD", "POSTROUTING"), frame, network)
        if self.seen.sysctls.get(BRIDGE_CALLS[packet.family]) == "1":
            packet = self.hook("PREROUTING", replace(packet, inward=network.bridge, outward=""))
            packet = replace(packet, outward=network.bridge, bridged=True)
            self.hook("POSTROUTING", self.hook("FORWARD", packet))

    def arrive_at(self, place: Place, packet: Packet, routed: bool) -> None:
        """Enter a container, reach its program, and trace the reply."""
        network, endpoint = place
        netns, name = endpoint.namespace.path, endpoint.name
        inside = self.seen.at(netns)
        fix = f"mydockernet repair {network.name}"
        if packet.destination not in inside.addresses and not packet.destination.is_loopback:
            self.stops(f"{name}: no longer has the address {packet.destination}", fix=fix)
        own = packet.inward == "lo"
        arrived = replace(packet, inward="lo" if own else endpoint.interface, outward="", local=True)
        if not own:
            self.rp_filter(arrived, name, netns)
            arrived = self.hook("PREROUTING", arrived, netns, name)
        self.hook("INPUT", arrived, netns, name)
        here, other = self.listening(inside.sockets, packet)
        if packet.port is not None and here is None:
            if other:
                self.stops(
                    f"{name}: {other.program} listens only on {other.address}, not on {packet.destination}",
                    fix=f"let the program listen on {'0.0.0.0' if packet.family == 4 else '::'}",
                )
            self.stops(f"{name}: nothing listens on {packet.protocol} port {packet.port}", fix="start the program")
        way = self.route(netns, str(packet.source), "" if own else str(packet.destination), "")
        if isinstance(way, str):
            self.stops(
                f"{name}: has no route back to {packet.source} ({way})", "The packet arrives, but no reply leaves.", fix
            )
        back = replace(
            packet,
            source=packet.destination,
            destination=packet.source,
            inward="",
            outward=way.dev,
            states=(packet.states - {"NEW"}) | {"ESTABLISHED"},
            from_port=packet.port,
            port=None,
            local=False,
            answer=True,
            first=packet.flow,
        )
        self._send(place, back)
        asker = self.place_of(packet.source)
        door = self.seen.links.get(model.door(network, endpoint), Link(""))
        frame = replace(back, inward=endpoint.veth, outward="", mac=endpoint.mac, to_mac=door.mac)
        if way.kind != "local" and way.dev != endpoint.interface:
            self._answered_elsewhere(place, back, way)
        elif routed:
            self.frames(("PREROUTING", "INPUT"), frame, network)
            self.answer_through_host(replace(packet, outward=door.name), door.name)
        elif asker and not own and network.bridge:
            self._bridged(back, place, asker)
        program = f" {here.program}" if here else ""
        self.arrives(f"{name}:{program} receives it and replies to {packet.source} through {way.dev}")

    def _answered_elsewhere(self, place: Place, back: Packet, way: Route) -> None:
        """Handle a reply that leaves a container by another interface than the packet arrived on."""
        name, netns = place[1].name, place[1].namespace.path
        others = (p for p in self.places if p[1].namespace.path == netns and p[1].interface == way.dev)
        other = next(others, None)
        if other:
            self.rp_filter(replace(back, inward=model.door(*other)), "the host")
        self.unsure(
            f"{name}: replies through {way.dev}, not through {place[1].interface}", "Both ends must accept that."
        )
