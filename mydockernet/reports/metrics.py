"""Networks and containers as metrics of Prometheus. Pure.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from mydockernet.addressing import capacity
from mydockernet.dialects.fact import SHARED
from mydockernet.dialects.net_dev import Traffic
from mydockernet.model import Intent, Network
from mydockernet.reports.stats import Sample
from mydockernet.value import Value

COUNTER, GAUGE = "counter", "gauge"
# States of a container: its namespace is there; it is not, and the record says so; it is not.
UP, DETACHED, GONE = "up", "detached", "gone"
_TRAFFIC = tuple(
    (f"{verb}_{what}", f"{side}_{what}", text)
    for verb, side in (("receive", "received"), ("transmit", "sent"))
    for what, text in (
        ("bytes", f"Bytes that a container has {side}."),
        ("packets", f"Packets that a container has {side}."),
        ("dropped", f"Packets to be {side} by a container that were dropped at its end on the host."),
    )
)

Labels = tuple[tuple[str, str], ...]


class Metric(Value):
    """A metric: its name, its type, what it means, and its values by labels."""

    name: str
    kind: str
    help: str
    samples: Mapping[Labels, int]


def text(metrics: Iterable[Metric]) -> str:
    """Return metrics in the text format, sorted by their names and labels; those without values are left out."""
    lines = []
    for metric in sorted((metric for metric in metrics if metric.samples), key=lambda metric: metric.name):
        lines += [f"# HELP {metric.name} {_escaped(metric.help)}", f"# TYPE {metric.name} {metric.kind}"]
        lines += [f"{metric.name}{_labels(labels)} {value}" for labels, value in sorted(metric.samples.items())]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Labels) -> str:
    shown = ",".join(f'{name}="{_escaped(value, quotes=True)}"' for name, value in labels)
    return f"{{{shown}}}" if shown else ""


def _escaped(value: str, quotes: bool = False) -> str:
    value = value.replace("\\", r"\\").replace("\n", r"\n")
    return value.replace('"', r"\"") if quotes else value


def of_networks(intent: Intent, alive: Collection[str], broken: int) -> Iterator[Metric]:
    """Yield what the record tells. `alive` are the paths of namespaces that are there, `broken` unreadable files."""
    networks = intent.values()
    info = {_of(n, driver=n.driver, bridge=n.bridge, firewall="" if n.parent else n.firewall): 1 for n in networks}
    yield Metric("mydockernet_network_info", GAUGE, "A network, its driver, its bridge and its firewall.", info)
    states = {_of(n, state=state): number for n in networks for state, number in _states(n, alive).items()}
    yield Metric("mydockernet_network_containers", GAUGE, "Containers on a network, by their state.", states)
    ports = {
        _of(n, container=e.name): sum(len(mapping.host_ports) for mapping in e.ports)
        for n in networks
        for e in n.endpoints
    }
    yield Metric("mydockernet_container_published_ports", GAUGE, "Host ports that a container publishes.", ports)
    subnets = [(n, subnet) for n in networks for subnet in n.subnets]
    size = {_of(n, subnet=str(subnet.network)): capacity(subnet) for n, subnet in subnets}
    yield Metric("mydockernet_subnet_addresses", GAUGE, "Addresses of a subnet that containers can have.", size)
    used = {
        _of(n, subnet=str(subnet.network)): sum(a in subnet.network for e in n.endpoints for a in e.addresses)
        for n, subnet in subnets
    }
    yield Metric("mydockernet_subnet_addresses_used", GAUGE, "Addresses of a subnet that containers have.", used)
    yield Metric("mydockernet_unreadable_networks", GAUGE, "Networks on record that cannot be read.", {(): broken})


def _of(network: Network, **more: str) -> Labels:
    return (("network", network.name), *more.items())


def _states(network: Network, alive: Collection[str]) -> dict[str, int]:
    found = dict.fromkeys((UP, DETACHED, GONE), 0)
    for endpoint in network.endpoints:
        there = endpoint.namespace.path in alive
        found[DETACHED if endpoint.detached else UP if there else GONE] += 1
    return found


def of_traffic(sample: Sample) -> Iterator[Metric]:
    """Yield what containers have received and sent, as they see it; those that could not be read are left out."""
    seen = [((("network", n), ("container", c)), traffic) for (n, c), traffic in sample.items() if traffic]
    for name, field, meaning in _TRAFFIC:
        values: dict[Labels, int] = {labels: _number(traffic, field) for labels, traffic in seen}
        yield Metric(f"mydockernet_container_{name}_total", COUNTER, meaning, values)


def _number(traffic: Traffic, field: str) -> int:
    number: int = getattr(traffic, field)
    return number


def of_drift(intent: Intent, owners: Collection[str]) -> Metric:
    """Return whether networks differ from the record, given the owners of differences; what all share has no name."""
    values = {_of(network): int(network.owner in owners or network.name in owners) for network in intent.values()}
    shared = {(("network", SHARED),): int(SHARED in owners)} if intent else {}
    return Metric("mydockernet_drift", GAUGE, "Whether a network differs from the record.", values | shared)


def of_last_change(seconds: int) -> Metric:
    """Return when the record was changed last, in seconds since 1970 (UTC)."""
    meaning = "When mydockernet last changed something, in seconds since 1970."
    return Metric("mydockernet_last_change_timestamp_seconds", GAUGE, meaning, {(): seconds})


def of_version(version: str) -> Metric:
    """Return the version of mydockernet."""
    return Metric("mydockernet_build_info", GAUGE, "The version of mydockernet.", {(("version", version),): 1})
