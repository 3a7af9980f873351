"""Networks and their containers as a file for `apply`, which makes the same of it elsewhere.

What `apply` would choose in the same way, such as a MAC address that is derived from an address, is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mydockernet import addressing, choices, drivers
from mydockernet.declaration import PROJECT
from mydockernet.dialects.fact import Observed
from mydockernet.errors import quoted
from mydockernet.kernel.namespaces import NAMED
from mydockernet.model import Endpoint, Network, PortMapping, Subnet
from mydockernet.rates import Limit, read_limit
from mydockernet.value import Value, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mydockernet.fronts.yaml_text import Tree


class Document(Value):
    """A file for `apply`, and notes about what it does not have."""

    tree: Mapping[str, Tree]
    notes: tuple[str, ...] = ()


def document(networks: Iterable[Network]) -> Document:
    """Return what networks, and the containers on them, are as a file."""
    notes: list[str] = []
    own = []
    for network in networks:
        if network.engine:
            notes.append(f"network {quoted(network.name)} is left out: {network.engine} creates it when it needs it")
        else:
            own.append(network)
        if network.user_rules:
            notes.append(f"the user rules of network {quoted(network.name)} are left out: apply keeps those on record")
    containers = _containers(own, notes)
    project = _project(own, containers)
    tree: dict[str, Tree] = {"name": project} if project else {}
    if own:
        tree["networks"] = {network.name: _network(network, project) for network in own}
    if containers:
        tree["containers"] = {name: _container(places, project) for name, places in containers.items()}
    return Document(tree, tuple(notes))


_Places = list[tuple[Network, Endpoint]]


def _containers(networks: Sequence[Network], notes: list[str]) -> dict[str, _Places]:
    """Return the containers by their names, with their places in the order of their interfaces."""
    found: dict[str, _Places] = {}
    names: dict[str, str] = {}
    for network in networks:
        for endpoint in network.endpoints:
            what = f"container {quoted(endpoint.name)} on network {quoted(network.name)}"
            name = names.setdefault(endpoint.namespace.key, endpoint.name)
            places = found.setdefault(name, [])
            if endpoint.engine:
                notes.append(f"{what} is left out: {endpoint.engine} connects it when it starts it")
            elif endpoint.namespace.own:
                notes.append(f"{what} is left out: its namespace ends with its command")
            elif places and places[0][1].namespace.key != endpoint.namespace.key:
                notes.append(f"{what} is left out: another container is called the same")
            else:
                if name != endpoint.name:
                    notes.append(f"{what} is called {quoted(name)}, as on its other network")
                if endpoint.namespace.pid is not None and not places:
                    notes.append(f"container {quoted(name)} is a process: its pid changes when it starts again")
                places.append((network, endpoint))
    for places in found.values():
        places.sort(key=lambda place: place[1].order)
    return {name: places for name, places in found.items() if places}


def _project(networks: Iterable[Network], containers: Mapping[str, _Places]) -> str:
    """Return the project that all have in their labels; empty if they differ."""
    labels = [network.labels for network in networks]
    labels += [endpoint.labels for places in containers.values() for _, endpoint in places]
    projects = {dict(some).get(PROJECT, "") for some in labels}
    return projects.pop() if len(projects) == 1 else ""


def _network(network: Network, project: str) -> dict[str, Tree]:
    gateway_modes: tuple[tuple[str, Tree, Tree], ...] = (
        ("gateway_mode", network.gateway_mode, "nat"),
        ("gateway_mode6", network.gateway_mode6, network.gateway_mode),
    )
    modes = drivers.load(network.driver).MODES
    derived = choices.bridge_name(network.name, {}, Observed())
    masquerades = network.masquerade or network.masquerade6
    keys: tuple[tuple[str, Tree, Tree], ...] = (
        ("driver", network.driver, "bridge"),
        ("parent", network.parent, ""),
        ("mode", network.mode, modes[0] if modes else ""),
        ("bridge_name", network.bridge, derived if network.bridge else ""),
        ("internal", network.internal, False),
        ("icc", network.icc, True),
        ("port_security", network.port_security, False),
        ("masquerade", masquerades, True),
        ("masquerade4", network.masquerade or not masquerades, True),
        ("masquerade6", network.masquerade6 or not masquerades, True),
        *gateway_modes,
        ("mtu", network.mtu or 0, 0),
        ("subnet", bool(network.subnets), True),
        ("gateway", network.has_gateway or not network.subnets, True),
        ("ipam", {"config": [_subnet(subnet) for subnet in network.subnets]} if network.subnets else {}, {}),
        ("host_ip", [str(address) for address in network.host_addresses], []),
        ("routes", [str(route) for route in network.routes], []),
        ("firewall", network.firewall, "iptables"),
        ("metric", network.metric or 0, 0),
        ("default_route", network.default_route, True),
        ("dns", [*filter(None, [network.resolver]), *map(str, network.dns)], []),
        ("dhcp", [str(span) for span in network.dhcp], []),
        ("labels", _labels(network.labels, project), {}),
    )
    return _given(keys)


def _given(keys: Iterable[tuple[str, Tree, Tree]]) -> dict[str, Tree]:
    """Return the keys whose value is not the one that they have if they are left out."""
    return {key: value for key, value, usual in keys if value != usual}


def _labels(labels: Iterable[tuple[str, str]], project: str) -> dict[str, Tree]:
    """Return labels, without that of the project, which its name stands for."""
    return {key: value for key, value in labels if not (project and key == PROJECT)}


def usual_gateway(subnet: str) -> str:
    """Return the gateway that a subnet has if none is given. Raises Invalid for what is no subnet."""
    return str(addressing.read_subnets([subnet], [], [], [])[0].gateway)


def _subnet(subnet: Subnet) -> dict[str, Tree]:
    usual = usual_gateway(str(subnet.network))
    ranges: list[Tree] = [str(span) for span in subnet.ranges]
    names = [kept.name for kept in subnet.reserved]
    named = all(names) and len({*names}) == len(names)
    return {
        "subnet": str(subnet.network),
        **_given(
            (
                ("gateway", str(subnet.gateway or usual), usual),
                ("ip_range", ranges[0] if len(ranges) == 1 else ranges, []),
                ("aux_addresses", {kept.name: str(kept.address) for kept in subnet.reserved} if named else {}, {}),
                ("reserve", [] if named else [str(kept) for kept in subnet.reserved], []),
            )
        ),
    }


def _container(places: _Places, project: str) -> dict[str, Tree]:
    """Return a container. What it says on each of its networks alike, it says once."""
    name = places[0][1].name
    connections = {}
    used: list[str] = []
    for network, endpoint in places:
        connections[network.name] = _connection(network, endpoint, choices.interface_name(used), project)
        used.append(endpoint.interface)
    shared: dict[str, Tree] = {}
    for key in ("hostname", "dns", "labels", *(("ports",) if len(places) == 1 else ())):
        values = [connection.get(key) for connection in connections.values()]
        if values[0] is not None and all(value == values[0] for value in values):
            shared[key] = values[0]
            for connection in connections.values():
                del connection[key]
    ports = {"ports": shared.pop("ports")} if "ports" in shared else {}
    return {**_namespace(name, places[0][1]), **shared, "networks": {**connections}, **ports}


def _namespace(name: str, endpoint: Endpoint) -> dict[str, Tree]:
    """Return where the namespace of a container is; nothing if it is called like the container."""
    namespace, path = endpoint.namespace, Path(endpoint.namespace.path)
    if namespace.pid is not None:
        return {"pid": namespace.pid}
    if path.parent == NAMED:
        return {} if path.name == name else {"netns": path.name}
    return {"path": str(path)}


def _connection(network: Network, endpoint: Endpoint, interface: str, project: str) -> dict[str, Tree]:
    """Return how a container is on a network; `interface` is the name that its interface would get."""
    addresses = {address.version: str(address) for address in endpoint.addresses}
    mac = choices.endpoint_mac(replace(network, endpoints=()), endpoint.name, endpoint.addresses)
    keys: tuple[tuple[str, Tree, Tree], ...] = (
        ("ipv4_address", addresses.get(4, ""), ""),
        ("ipv6_address", addresses.get(6, ""), ""),
        ("mac_address", endpoint.mac or mac, mac),
        ("interface_name", endpoint.interface, interface),
        ("gw_priority", endpoint.gw_priority, 0),
        ("default_route", endpoint.default_route, True),
        ("aliases", list(endpoint.aliases), []),
        ("hostname", endpoint.hostname, ""),
        ("dns", [str(address) for address in endpoint.dns], []),
        ("labels", _labels(endpoint.labels, project), {}),
        ("ingress_rate", _rate(endpoint.ingress), ""),
        ("egress_rate", _rate(endpoint.egress), ""),
        ("ports", [*map(_port, endpoint.ports)], []),
    )
    return _given(keys)


def _rate(limit: Limit | None) -> str:
    if limit is None:
        return ""
    return str(limit) if read_limit(str(limit)) == limit else f"{limit},{limit.burst}bit"


def _port(mapping: PortMapping) -> Tree:
    """Return a published port in the short form; if only some may use it, in the long one."""
    if not mapping.sources:
        return str(mapping).removesuffix("/tcp")
    host = str(mapping.host_ip or "")
    keys: tuple[tuple[str, Tree, Tree], ...] = (
        ("target", str(mapping.container_ports), ""),
        ("published", str(mapping.host_ports), ""),
        ("host_ip", host, ""),
        ("protocol", mapping.protocol, "tcp"),
        ("from", [str(block) for block in mapping.sources], []),
    )
    return _given(keys)
