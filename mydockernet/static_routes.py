"""Static routes, which every container of a network has (create --route): as values, validated. Pure."""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from mydockernet.value import Value

Address = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

METRIC_MIN, METRIC_MAX = 1, 2**32 - 1
# The types of ip-route(8) by which the kernel refuses packets: silently, or with one of two ICMP errors.
REFUSALS = ("blackhole", "unreachable", "prohibit")


class StaticRoute(Value):
    """A route in every container of a network: through a `gateway`, or one of the REFUSALS as its `kind`.

    `metric` None leaves it to the kernel.
    """

    destination: IPNetwork
    gateway: Address | None = None
    kind: str = "unicast"
    metric: int | None = None

    def __str__(self) -> str:
        words = (self.destination, self.gateway or self.kind, *(() if self.metric is None else (self.metric,)))
        return ",".join(map(str, words))

    def clashes(self, other: "StaticRoute") -> bool:
        """Whether a routing table can hold only one of them."""
        return (self.destination, self.metric) == (other.destination, other.metric)


def metric_problems(metric: int | None, option: str = "--metric") -> list[str]:
    """Return the problems of the metric of a route; None leaves it to the kernel."""
    if metric is None or METRIC_MIN <= metric <= METRIC_MAX:
        return []
    return [f"{option}: the metric {metric} is out of range: use {METRIC_MIN} to {METRIC_MAX}"]


def route_problems(
    routes: Iterable[StaticRoute], networks: Collection[IPNetwork], only: Collection[Address] | None = None
) -> list[str]:
    """Return the problems of the static routes of a network with these subnets.

    `only` are the gateways that its containers can reach, unless they reach all of their subnets.
    """
    problems, found = [], list[StaticRoute]()
    for route in routes:
        problems += metric_problems(route.metric, f"--route: {route}")
        if any(route.clashes(other) for other in found):
            problems.append(f"--route: {route}: a route to {route.destination} with the same metric is given as well")
        if route.destination.prefixlen == 0:
            problems.append(f"--route: {route}: the default route is not a static route: --gateway gives it")
        if route.destination in networks:
            problems.append(f"--route: {route}: {route.destination} is a subnet of the network itself")
        if networks and all(network.version != route.destination.version for network in networks):
            problems.append(f"--route: {route}: the network has no IPv{route.destination.version} subnet")
        elif route.gateway and route.gateway.version != route.destination.version:
            problems.append(f"--route: {route}: destination and gateway are of different address families")
        elif route.gateway and not any(route.gateway in network for network in networks):
            where = " or ".join(map(str, networks)) or "no subnet"
            problems.append(f"--route: {route}: the gateway {route.gateway} is not in the network's subnet, {where}")
        elif route.gateway and only is not None and route.gateway not in only:
            reach = "with --no-icc, containers reach only the host"
            problems.append(f"--route: {route}: {route.gateway} cannot be reached: {reach}")
        found.append(route)
    return problems
