"""A network as JSON values, as in its state file, and back. Pure."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from mydockernet.model import (
    Address,
    AddressRange,
    Endpoint,
    Namespace,
    Network,
    PortMapping,
    PortRange,
    Reservation,
    Subnet,
)
from mydockernet.rates import Limit
from mydockernet.static_routes import StaticRoute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def network_to_json(network: Network) -> dict[str, Any]:
    """Return a network as JSON values, as in its state file."""
    return {
        "name": network.name,
        "driver": network.driver,
        "bridge": network.bridge,
        "subnets": [
            {
                "subnet": str(subnet.network),
                "gateway": None if subnet.gateway is None else str(subnet.gateway),
                "ranges": [[str(span.first), str(span.last)] for span in subnet.ranges],
                "reserved": [{"name": r.name, "address": str(r.address)} for r in subnet.reserved],
                "last": None if subnet.last is None else str(subnet.last),
            }
            for subnet in network.subnets
        ],
        "internal": network.internal,
        "icc": network.icc,
        "masquerade": network.masquerade,
        "masquerade6": network.masquerade6,
        "gateway_mode": network.gateway_mode,
        "gateway_mode6": network.gateway_mode6,
        "mtu": network.mtu,
        "labels": dict(network.labels),
        "endpoints": [_endpoint_to_json(endpoint) for endpoint in network.endpoints],
        "realm": network.realm,
        "port_security": network.port_security,
        "mac": network.mac,
        **(_parent_to_json(network) if network.parent else {}),
        **_given(
            {
                "routes": [
                    {
                        "destination": str(route.destination),
                        "gateway": None if route.gateway is None else str(route.gateway),
                        "kind": route.kind,
                        "metric": route.metric,
                    }
                    for route in network.routes
                ],
                "metric": network.metric,
                "dns": [str(address) for address in network.dns],
                "no_default_route": not network.default_route,
                "engine": network.engine,
                "user_rules": [list(rule) for rule in network.user_rules],
                "resolver": network.resolver,
                "dhcp": [[str(span.first), str(span.last)] for span in network.dhcp],
                "firewall": "" if network.firewall == "iptables" else network.firewall,
            }
        ),
    }


def _parent_to_json(network: Network) -> dict[str, Any]:
    return {
        "parent": network.parent,
        "mode": network.mode,
        "host_interface": network.host_interface,
        "host_addresses": [str(address) for address in network.host_addresses],
    }


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out the options that were not given, so that older versions can read records that do without them."""
    return {key: value for key, value in fields.items() if value not in (None, [], {}, "", 0, False)}


def _endpoint_to_json(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "namespace": {
            "path": endpoint.namespace.path,
            "inode": endpoint.namespace.inode,
            "pid": endpoint.namespace.pid,
            "started": endpoint.namespace.started,
        },
        "addresses": [str(address) for address in endpoint.addresses],
        "mac": endpoint.mac,
        "interface": endpoint.interface,
        "veth": endpoint.veth,
        "order": endpoint.order,
        "default_route": endpoint.default_route,
        "ports": [
            {
                "host_ip": None if mapping.host_ip is None else str(mapping.host_ip),
                "host_ports": [mapping.host_ports.first, mapping.host_ports.last],
                "container_ports": [mapping.container_ports.first, mapping.container_ports.last],
                "protocol": mapping.protocol,
                "from": [str(block) for block in mapping.sources],
            }
            for mapping in endpoint.ports
        ],
        "labels": dict(endpoint.labels),
        **_given(
            {
                "index": endpoint.index,
                "gw_priority": endpoint.gw_priority,
                "aliases": list(endpoint.aliases),
                "dns": [str(address) for address in endpoint.dns],
                "hostname": endpoint.hostname,
                "engine": endpoint.engine,
                "id": endpoint.id,
                "ingress": _limit_to_json(endpoint.ingress),
                "egress": _limit_to_json(endpoint.egress),
            }
        ),
    }


def network_from_json(raw: dict[str, Any]) -> Network:
    """Return the network of network_to_json. Raises KeyError, TypeError, ValueError, AttributeError or Invalid."""
    return Network(
        name=string(raw["name"]),
        driver=string(raw["driver"]),
        bridge=string(raw["bridge"]),
        subnets=tuple(
            Subnet(
                ip_network(string(subnet["subnet"])),
                None if subnet["gateway"] is None else ip_address(string(subnet["gateway"])),
                tuple(AddressRange(ip_address(first), ip_address(last)) for first, last in subnet["ranges"]),
                tuple(Reservation(ip_address(r["address"]), string(r["name"])) for r in subnet["reserved"]),
                None if subnet["last"] is None else ip_address(string(subnet["last"])),
            )
            for subnet in raw["subnets"]
        ),
        internal=_switch(raw["internal"]),
        icc=_switch(raw["icc"]),
        masquerade=_switch(raw["masquerade"]),
        mtu=None if raw["mtu"] is None else _number(raw["mtu"]),
        labels=_labels(raw["labels"]),
        endpoints=tuple(map(_endpoint_from_json, raw["endpoints"])),
        realm=string(raw["realm"]),
        # Records of older versions have none of these.
        masquerade6=_switch(raw.get("masquerade6", True)),
        gateway_mode=string(raw.get("gateway_mode", "nat")),
        gateway_mode6=string(raw.get("gateway_mode6", "nat")),
        port_security=_switch(raw.get("port_security", False)),
        mac=None if raw.get("mac") is None else string(raw["mac"]),
        parent=string(raw.get("parent", "")),
        mode=string(raw.get("mode", "")),
        host_interface=string(raw.get("host_interface", "")),
        host_addresses=tuple(ip_address(string(address)) for address in raw.get("host_addresses", ())),
        routes=tuple(
            StaticRoute(
                ip_network(string(route["destination"])),
                None if route["gateway"] is None else ip_address(string(route["gateway"])),
                string(route["kind"]),
                None if route["metric"] is None else _number(route["metric"]),
            )
            for route in raw.get("routes", ())
        ),
        metric=None if raw.get("metric") is None else _number(raw["metric"]),
        dns=_addresses(raw),
        default_route=not _switch(raw.get("no_default_route", False)),
        engine=string(raw.get("engine", "")),
        firewall=string(raw.get("firewall", "iptables")),
        resolver=string(raw.get("resolver", "")),
        dhcp=tuple(AddressRange(*(ip_address(string(end)) for end in span)) for span in raw.get("dhcp", ())),
        user_rules=tuple(tuple(map(string, rule)) for rule in raw.get("user_rules", ())),
    )


def _endpoint_from_json(raw: dict[str, Any]) -> Endpoint:
    return Endpoint(
        name=string(raw["name"]),
        namespace=namespace_from_json(raw["namespace"]),
        addresses=tuple(ip_address(string(address)) for address in raw["addresses"]),
        mac=string(raw["mac"]),
        interface=string(raw["interface"]),
        veth=string(raw["veth"]),
        order=_number(raw["order"]),
        default_route=_switch(raw["default_route"]),
        ports=tuple(
            PortMapping(
                None if port["host_ip"] is None else ip_address(string(port["host_ip"])),
                PortRange(*map(_number, port["host_ports"])),
                PortRange(*map(_number, port["container_ports"])),
                string(port["protocol"]),
                tuple(ip_network(string(block)) for block in port.get("from", ())),
            )
            for port in raw["ports"]
        ),
        labels=_labels(raw["labels"]),
        index=_number(raw.get("index", 0)),
        gw_priority=_number(raw.get("gw_priority", 0)),
        aliases=tuple(map(string, raw.get("aliases", ()))),
        dns=_addresses(raw),
        hostname=string(raw.get("hostname", "")),
        engine=string(raw.get("engine", "")),
        id=string(raw.get("id", "")),
        ingress=_limit(raw.get("ingress")),
        egress=_limit(raw.get("egress")),
    )


def namespace_from_json(raw: dict[str, Any]) -> Namespace:
    """Return the namespace of an endpoint. Raises KeyError, TypeError."""
    return Namespace(
        string(raw["path"]),
        string(raw["inode"]),
        None if raw["pid"] is None else _number(raw["pid"]),
        None if raw["started"] is None else _number(raw["started"]),
    )


def _limit_to_json(limit: Limit | None) -> dict[str, int] | None:
    return None if limit is None else {"rate": limit.rate, "burst": limit.burst}


def _limit(raw: dict[str, Any] | None) -> Limit | None:
    return None if raw is None else Limit(_number(raw["rate"]), _number(raw["burst"]))


def _addresses(raw: dict[str, Any]) -> tuple[Address, ...]:
    """Return the name servers of a network or an endpoint."""
    return tuple(ip_address(string(address)) for address in raw.get("dns", ()))


def _labels(raw: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((string(key), string(value)) for key, value in raw.items())


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a number")
    return value


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def string(value: object) -> str:
    """Return a value that must be a string. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value
