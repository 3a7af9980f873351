"""The values that an admin asks for: Network and its parts. Immutable, validated at construction.

This module knows neither the kernel nor files, nor how arguments become values.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from mydockernet.errors import Invalid, quoted
from mydockernet.rates import Limit
from mydockernet.static_routes import StaticRoute, metric_problems, route_problems
from mydockernet.validation import (
    HOST_NAME_MAX,
    dns_problems,
    driver_problems,
    firewall_problems,
    gateway_mode_problems,
    host_problems,
    interface_problems,
    mac_problems,
    mtu_problems,
    name_problems,
    rule_problems,
)
from mydockernet.value import Value

Address = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

REALM = re.compile(r"[0-9a-f]{0,6}")
# The kernel disables IPv6 on an interface with a smaller MTU (RFC 8200, section 5), and its sysctls disappear.
MTU_IPV6 = 1280
PORT_MIN, PORT_MAX = 1, 65535
PROTOCOLS = ("tcp", "udp", "sctp")
# Instead of an inode: the container is on record, but there is no namespace at its path.
DETACHED = "-"


class AddressRange(Value):
    """The addresses from `first` to `last`, inclusive, of one family."""

    first: Address
    last: Address

    def __contains__(self, address: Address) -> bool:
        return address.version == self.first.version and int(self.first) <= int(address) <= int(self.last)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


class Reservation(Value):
    """An address that no container is given. `name` says what it is reserved for; it may be empty."""

    address: Address
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name}={self.address}" if self.name else str(self.address)


class Subnet(Value):
    """A subnet of a network: its gateway, the `ranges` to choose addresses from (empty: all), and `reserved` addresses.

    Without a gateway, the host has no address in it.
    `last` is the address that was assigned last; the search for the next one starts after it.
    """

    network: IPNetwork
    gateway: Address | None
    ranges: tuple[AddressRange, ...] = ()
    reserved: tuple[Reservation, ...] = ()
    last: Address | None = None

    @property
    def family(self) -> int:
        """The address family: 4 or 6."""
        return self.network.version

    @property
    def gateway_interface(self) -> str:
        """The gateway with the prefix length of the subnet, as in `ip address add`: 10.1.0.1/24. Empty for none."""
        return f"{self.gateway}/{self.network.prefixlen}" if self.gateway else ""


class PortRange(Value):
    """The ports from `first` to `last`, inclusive. Raises Invalid if they are out of range or reversed."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if not PORT_MIN <= self.first <= self.last <= PORT_MAX:
            raise Invalid(f"{self}: ports must be from {PORT_MIN} to {PORT_MAX}, the lower one first")

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def overlaps(self, other: "PortRange") -> bool:
        """Whether a port is in both ranges."""
        return self.first <= other.last and other.first <= self.last


class PortMapping(Value):
    """Published ports: host ports, and as many ports of a container that they are translated to.

    `host_ip` None means all addresses of the host, 0.0.0.0 all of IPv4, :: all of IPv6. `sources` are the only blocks,
    besides the host itself, that may connect; none means that anyone may. Raises Invalid if the ranges differ in size
    or the protocol is unknown.
    """

    host_ip: Address | None
    host_ports: PortRange
    container_ports: PortRange
    protocol: str
    sources: tuple[IPNetwork, ...] = ()

    def __post_init__(self) -> None:
        if len(self.host_ports) != len(self.container_ports):
            sizes = f"{len(self.host_ports)} and {len(self.container_ports)}"
            raise Invalid(f"{self}: the port ranges differ in size ({sizes})")
        if self.protocol not in PROTOCOLS:
            raise Invalid(f"{self}: the protocol must be one of {', '.join(PROTOCOLS)}")

    def __str__(self) -> str:
        host = f"{bracketed(self.host_ip)}:" if self.host_ip else ""
        return f"{host}{self.host_ports}:{self.container_ports}/{self.protocol}"

    def published_on(self, family: int) -> str:
        """Return the addresses of the host that it is published on, in words."""
        if self.only_ip:
            return str(self.only_ip)
        every = f"every IPv{family} address" if self.host_ip or family == 6 else "every address"
        return f"{every} of the host"

    @property
    def told(self) -> str:
        """The mapping with its sources: 8080:80/tcp from 10.0.0.0/8."""
        return f"{self} from {', '.join(map(str, self.sources))}" if self.sources else str(self)

    def admits(self, source: Address) -> bool:
        """Whether packets from an address, not one of the host's, may use the ports."""
        return not self.sources or any(source in block for block in self.sources)

    @property
    def on_loopback(self) -> bool:
        """Whether the ports are reachable on 127.0.0.0/8. Those of IPv6 are never reachable on ::1."""
        return self.serves(4) and (self.only_ip is None or self.only_ip.is_loopback)

    @property
    def only_ip(self) -> Address | None:
        """The one address of the host that the ports are published on; None for all of a family."""
        return None if self.host_ip is None or self.host_ip.is_unspecified else self.host_ip

    def serves(self, family: int) -> bool:
        """Whether the ports are published on addresses of a family (4 or 6)."""
        return self.host_ip is None or self.host_ip.version == family

    def clashes(self, other: "PortMapping") -> bool:
        """Whether a packet could match both mappings."""
        return (
            self.protocol == other.protocol
            and self.host_ports.overlaps(other.host_ports)
            and meet(self.host_ip, other.host_ip)
        )


def meet(one: Address | None, other: Address | None) -> bool:
    """Whether two host addresses include one another: None is all, 0.0.0.0 all of IPv4, :: all of IPv6."""
    if one is None or other is None:
        return True
    return one.version == other.version and (one == other or one.is_unspecified or other.is_unspecified)


def bracketed(address: Address) -> str:
    """Return an address as it stands before a port: 10.1.0.2, or [fd00::2]."""
    return f"[{address}]" if address.version == 6 else str(address)


class Namespace(Value):
    """A network namespace, with what identifies it: a path may lead to another namespace later.

    `inode` is DEVICE:INODE of the file; empty for a namespace that mydockernet creates itself at this path; DETACHED
    for one that is gone and may return at this path with another inode. `pid` is the process of a namespace that was
    connected by pid, and `started` its start time in clock ticks since boot (proc_pid_stat(5), field 22).
    """

    path: str
    inode: str = ""
    pid: int | None = None
    started: int | None = None

    @property
    def key(self) -> str:
        """The key of the container: equal for all endpoints of one container."""
        return self.path if self.own or self.detached else self.inode

    @property
    def own(self) -> bool:
        """Whether mydockernet creates and deletes it."""
        return not self.inode

    @property
    def detached(self) -> bool:
        """Whether the record says that it is gone."""
        return self.inode == DETACHED

    @property
    def returns(self) -> bool:
        """Whether it may return once it is gone: one at a name or path may, that of a process may not."""
        return self.pid is None and not self.own


class Endpoint(Value):
    """A container on a network: its veth pair, its addresses and its published ports.

    `interface` is the name of its interface inside the container, `veth` that of the host's end. If there is no such
    end, `veth` is empty and `index` identifies the interface. `mac` is empty if it shares that of the parent. `order`
    numbers the networks of a container from 1. Of those that may provide its default route, the one with the highest
    `gw_priority` does; among equals, the first. `aliases` and `hostname` are other names of the container,
    `dns` its name servers. `engine` is what asked for it, such as podman, and `id` what that
    calls the container; both are empty if an admin did. `ingress` limits what it receives, `egress` what it sends.
    Raises Invalid with every problem.
    """

    name: str
    namespace: Namespace
    addresses: tuple[Address, ...]
    mac: str
    interface: str
    veth: str
    order: int = 1
    default_route: bool = True
    ports: tuple[PortMapping, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    index: int = 0
    gw_priority: int = 0
    aliases: tuple[str, ...] = ()
    dns: tuple[Address, ...] = ()
    hostname: str = ""
    engine: str = ""
    id: str = ""
    ingress: Limit | None = None
    egress: Limit | None = None

    @property
    def cable(self) -> str:
        """What identifies its interface and all that disappears with it: the host's end, or that inside."""
        return self.veth or f"{self.interface} in {self.namespace.path}"

    @property
    def families(self) -> tuple[int, ...]:
        """The address families of its addresses: 4, 6 or both."""
        return tuple(sorted({address.version for address in self.addresses}))

    @property
    def returns(self) -> bool:
        """Whether its container may return once it is gone. An engine makes another one, and asks again."""
        return self.namespace.returns and not self.engine

    @property
    def detached(self) -> bool:
        """Whether it only keeps its addresses and ports until its container returns."""
        return self.namespace.detached

    def __post_init__(self) -> None:
        problems = [
            *name_problems(self.name, "--name"),
            *interface_problems(self.interface, "--ifname"),
            *(interface_problems(self.veth) if self.veth else ()),
            *(mac_problems(self.mac) if self.mac else ()),
            *(problem for alias in self.aliases for problem in host_problems(alias, "--alias")),
            *(problem for address in self.dns for problem in dns_problems(address)),
            *(host_problems(self.hostname, "--hostname", HOST_NAME_MAX) if self.hostname else ()),
        ]
        if problems:
            raise Invalid(*problems)


class Network(Value):
    """A network as the admin asked for it, with a value chosen for everything that was left open.

    `bridge` is empty if the driver has none, `parent` and `mode` if it has no parent interface. `host_interface` is the
    host's own interface on such a network, with `host_addresses`; both may be empty. `masquerade` and `gateway_mode`,
    nat or routed, are about IPv4, those with a 6 about IPv6. `mtu` is in bytes; None leaves it to the kernel. `realm`
    distinguishes networks of different state directories; it is empty for the default one. `mac` is the MAC address of
    the bridge or of the host's interface; None if an older version left it to the kernel, which changes it when ports
    come and go. `routes` are added to every container, and `metric` is that of its default route; None leaves it to the
    kernel. Without `default_route` they have none. `dns` are the name servers of its containers. If an
    `engine` created it, for its first container, it is removed with the last one. `firewall`, iptables or nftables, is
    what its rules are in. `user_rules` are rules of the admin about forwarded packets, in the words of that firewall;
    with iptables, each begins with -4 or -6. `resolver` is the program that answers questions for names at its gateway,
    dnsmasq; empty if there is none. It gives addresses from the ranges `dhcp` to whoever asks.
    Raises Invalid with every problem.
    """

    name: str
    bridge: str
    subnets: tuple[Subnet, ...]
    driver: str = "bridge"
    internal: bool = False
    icc: bool = True
    masquerade: bool = True
    masquerade6: bool = True
    gateway_mode: str = "nat"
    gateway_mode6: str = "nat"
    mtu: int | None = None
    labels: tuple[tuple[str, str], ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    realm: str = ""
    port_security: bool = False
    mac: str | None = None
    parent: str = ""
    mode: str = ""
    host_interface: str = ""
    host_addresses: tuple[Address, ...] = ()
    routes: tuple[StaticRoute, ...] = ()
    metric: int | None = None
    dns: tuple[Address, ...] = ()
    default_route: bool = True
    engine: str = ""
    firewall: str = "iptables"
    user_rules: tuple[tuple[str, ...], ...] = ()
    resolver: str = ""
    dhcp: tuple[AddressRange, ...] = ()

    @property
    def has_gateway(self) -> bool:
        """Whether the host has an address on it: the gateway of its containers."""
        return any(subnet.gateway for subnet in self.subnets)

    @property
    def leads_out(self) -> bool:
        """Whether its containers reach the outside, and can publish ports there."""
        return self.has_gateway and not self.internal

    @property
    def families(self) -> tuple[int, ...]:
        """The address families of its subnets: 4, 6 or both."""
        return tuple(sorted({subnet.family for subnet in self.subnets}))

    def masquerades(self, family: int) -> bool:
        """Whether packets of a family leave with the host's address."""
        wanted = self.masquerade if family == 4 else self.masquerade6
        return wanted and not self.internal and not self.routed(family)

    def routed(self, family: int) -> bool:
        """Whether other hosts reach the published ports of a family at the container's own address, without NAT."""
        return (self.gateway_mode if family == 4 else self.gateway_mode6) == "routed"

    def translates(self, endpoint: "Endpoint", mapping: PortMapping, family: int) -> bool:
        """Whether a host port of an address family is translated to one of a container."""
        return family in endpoint.families and mapping.serves(family) and not self.routed(family)

    @property
    def on_loopback(self) -> bool:
        """Whether a container publishes a port on 127.0.0.0/8."""
        return any(m.on_loopback and self.translates(e, m, 4) for _, e in attached([self]) for m in e.ports)

    def keeps_ports(self, family: int) -> bool:
        """Whether packets of a family to the host must be looked at: it publishes a port, or has a name server."""
        return self.publishes(family) or (bool(self.resolver) and family in self.families)

    def publishes(self, family: int) -> bool:
        """Whether a container publishes a port of an address family that is translated."""
        return any(self.translates(e, m, family) for _, e in attached([self]) for m in e.ports)

    @property
    def carries_ipv6(self) -> bool:
        """Whether its MTU is large enough for IPv6. Otherwise the kernel disables it on every interface."""
        return self.mtu is None or self.mtu >= MTU_IPV6

    @property
    def checks_senders(self) -> bool:
        """Whether a container may send only from its own MAC and IP address."""
        return self.port_security or not self.icc

    @property
    def owner(self) -> str:
        """The owner in the marks of its interfaces and rules: web, or web@1f2e3d in another state directory."""
        return f"{self.name}@{self.realm}" if self.realm else self.name

    def __post_init__(self) -> None:
        gateways = [subnet.gateway for subnet in self.subnets if subnet.gateway]
        problems = [
            *name_problems(self.name),
            *(interface_problems(self.bridge) if self.bridge or self.driver == "bridge" else ()),
            *(interface_problems(self.parent, "--parent") if self.parent else ()),
            *(interface_problems(self.host_interface) if self.host_interface else ()),
            *mtu_problems(self.mtu),
            *driver_problems(self.driver),
            *firewall_problems(self.firewall),
            *(problem for rule in self.user_rules for problem in rule_problems(rule)),
            *gateway_mode_problems(self.gateway_mode),
            *gateway_mode_problems(self.gateway_mode6),
            *(mac_problems(self.mac) if self.mac else ()),
            *metric_problems(self.metric),
            *(problem for address in self.dns for problem in dns_problems(address)),
            *route_problems(self.routes, [subnet.network for subnet in self.subnets], None if self.icc else gateways),
        ]
        if 6 in self.families and not self.carries_ipv6:
            problems.append(f"--mtu: {self.mtu} is too small for IPv6: use {MTU_IPV6} or more")
        if self.resolver and not self.has_gateway:
            problems.append("--dns: without a gateway, the host has no address at which a name server could listen")
        for span in self.dhcp:
            if not any(span.first in subnet.network and span.last in subnet.network for subnet in self.subnets):
                problems.append(f"--dhcp: {span} is within no subnet of the network")
        if not self.icc and not self.has_gateway:
            problems.append("--no-icc: without a gateway, its containers would reach nothing at all")
        if self.port_security and not self.subnets:
            problems.append("--port-security: without a subnet, its containers have no addresses that could be checked")
        for subnet in self.subnets:
            if subnet.gateway and subnet.gateway not in subnet.network:
                problems.append(f"--gateway: {subnet.gateway} is not in {subnet.network}")
        if not REALM.fullmatch(self.realm):
            problems.append(f"invalid realm {quoted(self.realm)}")
        if problems:
            raise Invalid(*problems)


def door(network: Network, endpoint: Endpoint) -> str:
    """Return the interface of the host that packets to and from a container pass: the bridge, or its own veth."""
    return network.bridge or endpoint.veth


def doors(network: Network) -> frozenset[str]:
    """Return the interfaces of the host that packets to and from the containers of a network pass."""
    return frozenset(filter(None, (network.bridge, *(door(network, endpoint) for endpoint in network.endpoints))))


Intent = Mapping[str, Network]


def endpoints(networks: Iterable[Network | None]) -> Iterator[tuple[Network, Endpoint]]:
    """Yield the endpoints of networks, each with its network."""
    return ((network, endpoint) for network in networks if network for endpoint in network.endpoints)


def attached(networks: Iterable[Network | None]) -> Iterator[tuple[Network, Endpoint]]:
    """Yield the same without detached endpoints, which have nothing in the kernel."""
    return ((network, endpoint) for network, endpoint in endpoints(networks) if not endpoint.detached)


def way_out(places: Iterable[tuple[Network, Endpoint]], family: int) -> tuple[Network, Endpoint] | None:
    """Return the place that provides the default route of a container for an address family, or None.

    Of those that are allowed to, it is the one with the highest priority; among equals, the first.
    """
    candidates = [place for place in places if gives_default_route(*place) and family in place[1].families]
    return min(candidates, key=lambda place: (-place[1].gw_priority, place[1].order, place[0].name), default=None)


def gives_default_route(network: Network, endpoint: Endpoint) -> bool:
    """Whether a network may provide the default route of a container on it."""
    return endpoint.default_route and network.default_route and network.leads_out


def placed(network: Network, endpoint: Endpoint) -> Iterator[tuple[Subnet, Address]]:
    """Yield the addresses of an endpoint, each with its subnet."""
    for address in endpoint.addresses:
        for subnet in network.subnets:
            if address in subnet.network:
                yield subnet, address
