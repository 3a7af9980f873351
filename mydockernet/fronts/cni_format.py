"""What the CNI plugin prints: results and errors, in each version of the format (CNI specification 1.1, section 5)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mydockernet.errors import CommandFailed, Conflict, Failed, Interrupted, Invalid, Locked, MydockernetError, NotFound
from mydockernet.model import Endpoint, Network, gives_default_route, placed
from mydockernet.value import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
NEWEST = VERSIONS[-1]

# The codes of the specification, and those of its reference implementation: 8 and 999. From 100 on they are our own.
INCOMPATIBLE = 1
UNSUPPORTED = 2
UNKNOWN_CONTAINER = 3
ENVIRONMENT = 4
IO = 5
UNDECODABLE = 6
INVALID = 7
NAMESPACE = 8
TRY_AGAIN = 11
UNAVAILABLE = 50
CONFLICT = 100
DRIFT = 101
INTERNAL = 999

# The code of each kind of error, and what it is: the first kind that fits.
KINDS: tuple[tuple[type[MydockernetError], int, str], ...] = (
    (Invalid, INVALID, "invalid network configuration"),
    (NotFound, INVALID, "no such network"),
    (Conflict, CONFLICT, "conflict"),
    (Locked, TRY_AGAIN, "another change is under way"),
    (Interrupted, TRY_AGAIN, "interrupted"),
    (CommandFailed, INTERNAL, "a command failed"),
    (Failed, IO, "failed"),
    (MydockernetError, INTERNAL, "failed"),
)

# Options of the command line that messages name, and the key of the configuration that gives each.
KEYS = {
    "--name": "name",
    "--driver": "driver",
    "--bridge-name": "bridge",
    "--subnet": "subnets",
    "--gateway": "gateways",
    "--ip-range": "ipRanges",
    "--host-ip": "hostIps",
    "--route": "routes",
    "--label": "labels",
    "--opt": "options",
    "--no-icc": "icc",
    "--no-masquerade": "masquerade",
    "--no-masquerade6": "masquerade",
    "--gateway-mode": "gatewayMode",
    "--port-security": "portSecurity",
    "--no-gateway": "noGateway",
    "--no-subnet": "noSubnet",
    "--no-default-route": "noDefaultRoute",
    "--ip": "ips",
    "--ip6": "ips",
    "--ifname": "CNI_IFNAME",
    "--publish": "portMappings",
    "--alias": "aliases",
    "--ingress-rate": "bandwidth",
    "--egress-rate": "bandwidth",
    **{f"--{key}": key for key in ("reserve", "ipv6", "internal", "mtu", "parent", "mode", "metric", "dns", "mac")},
}


class CNIError(Exception):
    """An error as the specification has it: a code, a short message and details."""

    def __init__(self, code: int, message: str, details: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.details = code, message, details


def told(error: MydockernetError, code: int | None = None, message: str = "") -> CNIError:
    """Return an error in CNI's words, with its own code and message unless others are given."""
    usual, what = next((usual, what) for kind, usual, what in KINDS if isinstance(error, kind))
    hint = "" if error.hint is None or isinstance(error, Locked) else f" (hint: {error.hint})"
    details = re.sub(r"--[a-z0-9-]+", lambda found: KEYS.get(found[0], found[0]), f"{error}{hint}")
    return CNIError(usual if code is None else code, message or what, details)


def error_object(error: CNIError, version: str) -> dict[str, Any]:
    """Return an error as it is printed."""
    return {"cniVersion": version, "code": error.code, "msg": error.message, "details": error.details}


def result(
    version: str, network: Network, endpoint: Endpoint, netns: str, dns: Mapping[str, Any], previous: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the result of an attachment, added to that of the plugins before, in the format of a version."""
    interfaces = [*previous.get("interfaces", ()), *_interfaces(version, network, endpoint, netns)]
    return {
        **previous,
        "cniVersion": version,
        "interfaces": interfaces,
        "ips": [*previous.get("ips", ()), *_ips(version, network, endpoint, len(interfaces) - 1)],
        "routes": [*previous.get("routes", ()), *_routes(version, network, endpoint)],
        "dns": dict(dns) or previous.get("dns", {}),
    }


def _interfaces(version: str, network: Network, endpoint: Endpoint, netns: str) -> Iterator[dict[str, Any]]:
    """Yield the bridge, the host's end of the veth pair, and the interface of the container, which is the last."""
    mtu = {"mtu": network.mtu} if network.mtu and version >= "1.1.0" else {}
    if network.bridge:
        yield {"name": network.bridge, **({"mac": network.mac} if network.mac else {}), **mtu}
    if endpoint.veth:
        yield {"name": endpoint.veth, **mtu}
    mac = {"mac": endpoint.mac} if endpoint.mac else {}
    yield {"name": endpoint.interface, **mac, **mtu, "sandbox": netns}


def _ips(version: str, network: Network, endpoint: Endpoint, interface: int) -> Iterator[dict[str, Any]]:
    for subnet, address in placed(network, endpoint):
        family = {"version": str(subnet.family)} if version < "1.0.0" else {}
        gateway = {"gateway": str(subnet.gateway)} if subnet.gateway else {}
        yield {**family, "interface": interface, "address": f"{address}/{subnet.network.prefixlen}", **gateway}


def _routes(version: str, network: Network, endpoint: Endpoint) -> Iterator[dict[str, Any]]:
    """Yield the default routes, and the static ones; the format has none that refuse packets."""

    def priority(metric: int | None) -> Mapping[str, Any]:
        return {"priority": metric} if metric and version >= "1.1.0" else EMPTY

    for subnet, _ in placed(network, endpoint):
        if subnet.gateway and gives_default_route(network, endpoint):
            everywhere = {4: "0.0.0.0/0", 6: "::/0"}[subnet.family]
            yield {"dst": everywhere, "gw": str(subnet.gateway), **priority(network.metric)}
    for route in network.routes:
        if route.gateway and route.destination.version in endpoint.families:
            yield {"dst": str(route.destination), "gw": str(route.gateway), **priority(route.metric)}
