"""A change in words: a line for each network and each container that it adds (+), changes (~) or removes (-). Pure."""

from collections.abc import Iterator, Mapping

from mydockernet.model import Endpoint, Network, Subnet
from mydockernet.plan import Change

# What follows from other fields, or changes by itself.
SILENT = {"name", "endpoints", "namespace", "realm", "veth", "index", "order", "last", "id"}


def lines(change: Change) -> Iterator[str]:
    """Yield the lines of a change, each network followed by its containers."""
    for name, after in change.after.items():
        before = change.before[name]
        if before is None and after is not None:
            yield f"+ network {name}: {_network(after)}"
        elif after is None:
            yield f"- network {name}"
        elif before is not None and (differs := "; ".join(_differences(before, after))):
            yield f"~ network {name}: {differs}"
        yield from _containers(before, after)


def _containers(before: Network | None, after: Network | None) -> Iterator[str]:
    had, has = ({e.name: e for e in network.endpoints} if network else {} for network in (before, after))
    name = (after or before).name  # type: ignore[union-attr]
    for container in {**had, **has}:
        old, new = had.get(container), has.get(container)
        if old is None and new is not None:
            yield f"+ container {container} on {name}: {_endpoint(new)}"
        elif new is None:
            yield f"- container {container} on {name}"
        elif old is not None and (differs := "; ".join(_differences(old, new))):
            yield f"~ container {container} on {name}: {differs}"
        elif old != new:
            yield f"~ container {container} on {name}: connected again"


def _network(network: Network) -> str:
    subnets = [str(subnet.network) for subnet in network.subnets]
    return ", ".join((network.driver, *subnets, *(["internal"] if network.internal else [])))


def _endpoint(endpoint: Endpoint) -> str:
    return ", ".join((endpoint.interface, *map(str, endpoint.addresses), *(str(m) for m in endpoint.ports)))


def _differences(before: Network | Endpoint, after: Network | Endpoint) -> Iterator[str]:
    """Yield `field: before → after` for each field that differs."""
    old, new = _fields(before), _fields(after)
    # Of a bridge, and unless another one is given, it follows from the name or the addresses.
    follows = isinstance(before, Network) or old["addresses"] != new["addresses"]
    for field, value in new.items():
        if value != old[field] and not (field == "mac" and follows):
            yield f"{field.replace('_', ' ')}: {old[field]} → {value}"


def _fields(part: Network | Endpoint) -> Mapping[str, str]:
    labels = ", ".join(f"{key}={value}" for key, value in part.labels) or "none"
    return {**{field: _told(value) for field, value in vars(part).items() if field not in SILENT}, "labels": labels}


def _told(value: object) -> str:
    if isinstance(value, Subnet):
        ranges = [f"range {span}" for span in value.ranges]
        reserved = [f"reserved {reservation}" for reservation in value.reserved]
        gateway = [f"gateway {value.gateway}"] if value.gateway else []
        return " ".join((str(value.network), *gateway, *ranges, *reserved))
    if isinstance(value, tuple):
        return ", ".join(map(_told, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None or value == "" else str(value)
