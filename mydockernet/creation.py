"""The verb create, None → N: what a new network can be asked to be, and the transition that chooses the rest."""

from mydockernet import choices, drivers, ports
from mydockernet.addressing import DEFAULT_POOLS, Pool, Size
from mydockernet.dialects import dnsmasq
from mydockernet.dialects.fact import Observed
from mydockernet.errors import Conflict, Invalid, quoted
from mydockernet.model import Address, AddressRange, Intent, Network, Subnet
from mydockernet.static_routes import StaticRoute
from mydockernet.transitions import Transition
from mydockernet.value import Value, replace


class Wish(Value):
    """The arguments of `create`; what is empty or None is left open.

    With `ipv6`, the network has a subnet of each family, whether it is given or not. Without `has_subnet` it is a
    network of layer 2 only; without `has_gateway` the host has no address on it. `sizes` are subnets to choose, beside
    those that are given. If no `firewall` is given, and there is no other network, it is the usual one; if no `mtu` is,
    it is the usual one of networks that are on no parent interface.
    """

    name: str
    driver: str = "bridge"
    subnets: tuple[Subnet, ...] = ()
    ipv6: bool = False
    internal: bool = False
    icc: bool = True
    masquerade: bool = True
    masquerade6: bool = True
    gateway_mode: str = "nat"
    gateway_mode6: str = "nat"
    mtu: int | None = None
    bridge: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    pools: tuple[Pool, ...] = DEFAULT_POOLS
    realm: str = ""
    port_security: bool = False
    parent: str | None = None
    mode: str | None = None
    host_addresses: tuple[Address, ...] = ()
    routes: tuple[StaticRoute, ...] = ()
    metric: int | None = None
    dns: tuple[Address, ...] = ()
    resolver: str = ""
    dhcp: tuple[AddressRange, ...] = ()
    default_route: bool = True
    has_subnet: bool = True
    has_gateway: bool = True
    sizes: tuple[Size, ...] = ()
    firewall: str | None = None
    usual_firewall: str = ""
    usual_mtu: int | None = None

    @property
    def open_families(self) -> tuple[int, ...]:
        """The address families that need a subnet, but for which none is given."""
        if not self.has_subnet:
            return ()
        given = {subnet.family for subnet in self.subnets} | {size.family for size in self.sizes}
        needed = (4, 6) if self.ipv6 else () if given else (4,)
        return tuple(family for family in needed if family not in given)

    @property
    def has_ipv6(self) -> bool:
        """Whether the network has an IPv6 subnet."""
        return 6 in {subnet.family for subnet in self.subnets} | {size.family for size in self.open_sizes}

    @property
    def open_sizes(self) -> tuple[Size, ...]:
        """The sizes of the subnets to choose."""
        return (*self.sizes, *map(Size, self.open_families))


def create(wish: Wish, ignore: bool = False) -> Transition:
    """None → N. With `ignore`, an identical network may exist already. Raises Conflict."""

    def move(intent: Intent, seen: Observed) -> Intent:
        if problems := refused(wish):
            raise Invalid(*problems)
        existing = intent.get(wish.name)
        if existing is not None:
            if ignore and _satisfies(existing, wish):
                # What an engine created for its containers stays from now on.
                return {**intent, wish.name: replace(existing, engine="")}
            if ignore:
                shows = f"mydockernet inspect {wish.name} shows its settings"
                raise Conflict(f"network {quoted(wish.name)} already exists, with other settings", hint=shows)
            other = "choose another name, or use --ignore to accept an identical network"
            raise Conflict(f"network {quoted(wish.name)} already exists", hint=other)
        if wish.resolver and (other := _on_port(dnsmasq.PORT, seen)):
            raise Conflict(f"--dns {wish.resolver}: port {dnsmasq.PORT} is already in use by {other}")
        parent, mode = "", ""
        if modes := drivers.load(wish.driver).MODES:
            parent, mode = choices.parent(wish.parent, seen), wish.mode or modes[0]
            families = tuple(size.family for size in wish.open_sizes)
            choices.fit(wish.driver, parent, mode, wish.subnets, families, wish.host_addresses, wish.mtu, seen)
        mtu = wish.mtu
        if mtu is None:
            mtu = choices.mtu(seen, parent, wish.has_ipv6, wish.usual_mtu)
        host_interface = choices.bridge_name(wish.name, intent, seen, "host-") if wish.host_addresses else ""
        on_lan = mode in drivers.load(wish.driver).LAN_MODES
        network = Network(
            name=wish.name,
            bridge=wish.bridge or (choices.bridge_name(wish.name, intent, seen) if _has_bridge(wish.driver) else ""),
            subnets=_as_wished(
                choices.subnets(wish.subnets, wish.open_sizes, wish.pools, intent, seen, parent if on_lan else ""),
                wish,
            ),
            driver=wish.driver,
            internal=wish.internal,
            icc=wish.icc,
            masquerade=wish.masquerade,
            masquerade6=wish.masquerade6,
            gateway_mode=wish.gateway_mode,
            gateway_mode6=wish.gateway_mode6,
            mtu=mtu,
            labels=wish.labels,
            realm=wish.realm,
            port_security=wish.port_security,
            parent=parent,
            mode=mode,
            host_interface=host_interface,
            host_addresses=wish.host_addresses,
            routes=wish.routes,
            metric=wish.metric,
            dns=wish.dns,
            resolver=wish.resolver,
            dhcp=wish.dhcp,
            default_route=wish.default_route,
            firewall=choices.firewall(wish.firewall, wish.usual_firewall, intent, seen),
        )
        if network.bridge or network.host_interface:
            network = replace(network, mac=choices.bridge_mac(network.owner))
        if not network.bridge:
            return {**intent, network.name: network}
        holder = next((n.name for n in intent.values() if n.bridge == network.bridge), None)
        if holder:
            raise Conflict(f"--bridge-name: {network.bridge} is already the bridge of network {quoted(holder)}")
        return {**intent, network.name: network}

    return Transition(move, sockets=bool(wish.resolver), ports=frozenset({dnsmasq.PORT}))


def refused(wish: Wish) -> list[str]:
    """Return a message for each option of a wish that its driver, which must exist, does not support."""
    driver = drivers.load(wish.driver)
    given = {
        "--bridge-name": wish.bridge is not None,
        "--no-icc": not wish.icc,
        "--no-masquerade": not wish.masquerade,
        "--no-masquerade6": wish.masquerade and not wish.masquerade6,
        "--gateway-mode": (wish.gateway_mode, wish.gateway_mode6) != ("nat", "nat"),
        "--port-security": wish.port_security,
        "--parent": wish.parent is not None,
        "--mode": wish.mode is not None,
        "--host-ip": bool(wish.host_addresses),
        "--no-gateway": not wish.has_gateway,
        "--no-subnet": not wish.has_subnet,
        "--route": any(route.gateway for route in wish.routes),
        "--firewall": wish.firewall is not None,
        f"--dns {wish.resolver}": bool(wish.resolver),
        "--dhcp": bool(wish.dhcp),
    }
    problems = choices.refused(wish.driver, given)
    if driver.MODES and wish.mode not in (None, *driver.MODES):
        problems.append(f"--mode: {quoted(wish.mode or '')} is no mode of {wish.driver}: use {', '.join(driver.MODES)}")
    if wish.mode == "passthru" and wish.host_addresses and "--host-ip" not in driver.REFUSED:
        problems.append("--host-ip: in the mode passthru, the parent has room for one container only")
    return problems


def _on_port(port: int, seen: Observed) -> str:
    """Return what listens on a port at all addresses, or an empty string."""
    sockets = (socket for socket in seen.sockets if socket.port == port and socket.address is None)
    return next((ports.listened(socket).holder for socket in sockets), "")


def _has_bridge(driver: str) -> bool:
    return "--bridge-name" not in drivers.load(driver).REFUSED


def _as_wished(subnets: tuple[Subnet, ...], wish: Wish) -> tuple[Subnet, ...]:
    return subnets if wish.has_gateway else tuple(replace(subnet, gateway=None) for subnet in subnets)


def _satisfies(network: Network, wish: Wish) -> bool:
    """Whether a network is what a wish asks for; what the wish leaves open matches any value."""
    modes = "masquerade masquerade6 gateway_mode gateway_mode6"
    keys = f"driver internal icc {modes} port_security metric dns resolver dhcp default_route"
    same = all(getattr(network, key) == getattr(wish, key) for key in keys.split())
    given = {*_as_wished(wish.subnets, wish)}
    found = {replace(subnet, last=None) for subnet in network.subnets if subnet.family not in wish.open_families}
    chosen = sorted((subnet.family, subnet.network.prefixlen) for subnet in found - given)
    return (
        same
        and dict(network.labels) == dict(wish.labels)
        and given <= found
        and chosen == sorted((size.family, size.prefixlen) for size in wish.sizes)
        and network.has_gateway == (wish.has_subnet and wish.has_gateway)
        and {*wish.open_families} <= {*network.families}
        and {*network.routes} == {*wish.routes}
        and wish.bridge in (None, network.bridge)
        and wish.mtu in (None, network.mtu)
        and wish.parent in (None, network.parent)
        and wish.mode in (None, network.mode)
        and wish.host_addresses == network.host_addresses
        and wish.firewall in (None, network.firewall)
    )
