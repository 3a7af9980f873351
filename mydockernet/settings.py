"""What `set` changes of a network or a container while it is in use: from words to a transition.

KEY=VALUE sets a value. A key that can have several values gets one more, and KEY-=VALUE takes one away.
"""

from collections.abc import Callable, Sequence

from mydockernet import addressing, choices, drivers, model, static_routes, validation
from mydockernet.addressing import Pool, Size
from mydockernet.creation import Wish, refused
from mydockernet.dialects import dnsmasq
from mydockernet.dialects.fact import Observed
from mydockernet.errors import Conflict, Invalid, NotFound, quoted
from mydockernet.model import Endpoint, Intent, IPNetwork, Network, Subnet
from mydockernet.transitions import Transition, find_endpoint, find_network
from mydockernet.value import Value, replace

SWITCH = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}

# What cannot change, and why.
FIXED = {
    "name": "rules and interfaces carry it as their owner: create a network with the new name",
    "driver": "the containers would have to be connected again: create another network",
    "bridge-name": "the rules name the bridge, and the kernel renames no bridge that is up: create another network",
    "parent": "the containers would have to be connected again: create another network",
    "mode": "the containers would have to be connected again: create another network",
    "host-ip": "programs of the host use it: create another network",
    "gateway": "it is the default route of the containers: create another network",
    "mac": "neighbors have it in their tables: disconnect the container, and connect it with --mac",
    "ip": "programs in the container use it: disconnect the container, and connect it with --ip",
    "ip6": "programs in the container use it: disconnect the container, and connect it with --ip6",
    "ifname": "an interface that is up cannot be renamed: disconnect the container, and connect it with --ifname",
    "publish": "mydockernet publish and unpublish change it",
}


class Setting(Value):
    """KEY=VALUE or, if it `removes`, KEY-=VALUE."""

    key: str
    value: str
    removes: bool = False

    def __str__(self) -> str:
        return f"{self.key}{'-' if self.removes else ''}={self.value}"


class Situation(Value):
    """What a change of a network may depend on besides it."""

    intent: Intent
    seen: Observed
    pools: tuple[Pool, ...]


def read(words: Sequence[str], of_container: bool) -> tuple[Setting, ...]:
    """Parse the words of `set`. Raises Invalid with every problem."""
    known = {*(OF_ENDPOINT if of_container else OF_NETWORK)}
    problems, settings = [], []
    for word in words:
        key, equals, value = word.partition("=")
        removes, key = key.endswith("-"), key.removesuffix("-")
        if not equals:
            problems.append(f"{quoted(word)} is not KEY=VALUE")
        elif key in FIXED and key not in known:
            problems.append(f"{key} cannot be changed: {FIXED[key]}")
        elif key not in known:
            problems.append(f"unknown key {quoted(key)}: use {', '.join(sorted(known))}")
        elif removes and key not in SEVERAL:
            problems.append(f"{word}: {key} has one value: use {key}=VALUE")
        else:
            settings.append(Setting(key, value, removes))
    if problems:
        raise Invalid(*problems)
    return tuple(settings)


def set_network(name: str, settings: Sequence[Setting], pools: tuple[Pool, ...]) -> Transition:
    """N → N with other values. Raises NotFound, Invalid, Conflict."""

    def move(intent: Intent, seen: Observed) -> Intent:
        network = find_network(intent, name)
        for setting in settings:
            network = OF_NETWORK[setting.key](network, setting, Situation(intent, seen, pools))
        if problems := _unsupported(network):
            raise Invalid(*problems)
        return {**intent, name: network}

    return Transition(move)


def _unsupported(network: Network) -> list[str]:
    """Return a message for each value of a network that its driver does not support."""
    wish = Wish(
        network.name,
        network.driver,
        icc=network.icc,
        masquerade=network.masquerade,
        masquerade6=network.masquerade6,
        gateway_mode=network.gateway_mode,
        gateway_mode6=network.gateway_mode6,
        port_security=network.port_security,
    )
    keys = {f"--no-{key}": f"{key}=false" for key in ("icc", "masquerade", "masquerade6")}
    keys |= {"--port-security": "port-security=true", "--gateway-mode": "gateway-mode=routed"}
    found = (message.partition(":") for message in refused(wish))
    return [f"{keys[option]}:{why}" for option, _, why in found]


def set_endpoint(network_name: str, container: str, settings: Sequence[Setting]) -> Transition:
    """N → N with other values of a container. Raises NotFound, Invalid, Conflict."""

    def move(intent: Intent, seen: Observed) -> Intent:
        network = find_network(intent, network_name)
        old = endpoint = find_endpoint(network, container)
        for setting in settings:
            endpoint = OF_ENDPOINT[setting.key](endpoint, setting)
        changed = tuple(endpoint if e == old else e for e in network.endpoints)
        return {**intent, network_name: replace(network, endpoints=changed)}

    return Transition(move)


def _on(setting: Setting) -> bool:
    on = SWITCH.get(setting.value.lower())
    if on is None:
        raise Invalid(f"{setting}: use true or false")
    return on


def _number(setting: Setting) -> int:
    try:
        return int(setting.value)
    except ValueError:
        raise Invalid(f"{setting}: {quoted(setting.value)} is not a number") from None


def _switch(*fields: str, forbids: Callable[[Network, bool], str] = lambda network, on: "") -> "OfNetwork":
    """Return what sets fields that are true or false. `forbids` says why they cannot be changed now, if so."""

    def change(network: Network, setting: Setting, _: Situation) -> Network:
        on = _on(setting)
        if on != getattr(network, fields[0]) and (why := forbids(network, on)):
            raise Conflict(f"{setting}: {why}")
        return replace(network, **dict.fromkeys(fields, on))

    return change


def _with_ports(network: Network, internal: bool) -> str:
    names = [endpoint.name for endpoint in network.endpoints if endpoint.ports]
    return (
        f"{', '.join(map(quoted, names))} publishes ports, which no internal network can" if internal and names else ""
    )


def _require(setting: Setting, problems: Sequence[str]) -> None:
    if problems:
        raise _renamed(setting, problems)


def _renamed(setting: Setting, messages: Sequence[str]) -> Invalid:
    """Return an error about an option of create as one about a setting."""
    return Invalid(*(f"{setting}: {message.partition(': ')[2]}" for message in messages))


def _gateway_mode(*families: int) -> "OfNetwork":
    """Return what sets the gateway mode of some address families."""

    def change(network: Network, setting: Setting, _: Situation) -> Network:
        if setting.value == validation.ISOLATED:
            raise Invalid(f"{setting}: whether the host has an address on a network is decided when it is created")
        _require(setting, validation.gateway_mode_problems(setting.value))
        for endpoint in network.endpoints if setting.value == "routed" else ():
            at_host = next((m for m in endpoint.ports if m.host_ip and m.host_ip.version in families), None)
            if at_host:
                raise Conflict(f"{setting}: container {quoted(endpoint.name)} publishes {at_host}, not every address")
        fields = {4: "gateway_mode", 6: "gateway_mode6"}
        return replace(network, **{fields[family]: setting.value for family in families})

    return change


def _mtu(network: Network, setting: Setting, at: Situation) -> Network:
    mtu = _number(setting)
    _require(setting, validation.mtu_problems(mtu))
    parent = at.seen.links.get(network.parent)
    if parent and mtu > parent.mtu:
        raise Invalid(f"{setting}: the MTU of {parent.name} is {parent.mtu}")
    return replace(network, mtu=mtu)


def _labels(labels: tuple[tuple[str, str], ...], setting: Setting) -> tuple[tuple[str, str], ...]:
    key, _, value = setting.value.partition("=")
    _require(setting, validation.label_problems(key, value))
    if setting.removes and key not in dict(labels):
        raise NotFound(f"{setting}: there is no label {quoted(key)}")
    rest = {name: text for name, text in labels if name != key}
    return tuple(sorted((rest if setting.removes else {**rest, key: value}).items()))


def _network_label(network: Network, setting: Setting, _: Situation) -> Network:
    return replace(network, labels=_labels(network.labels, setting))


def _reserve(network: Network, setting: Setting, _: Situation) -> Network:
    word = setting.value
    if setting.removes:
        for subnet in network.subnets:
            rest = tuple(r for r in subnet.reserved if word not in (r.name, str(r.address), str(r)))
            if rest != subnet.reserved:
                return _with(network, subnet, reserved=rest)
        raise NotFound(f"{setting}: it is not reserved")
    try:
        reservation = addressing.read_reservation(word)
    except ValueError as error:
        raise Invalid(f"{setting}: {error}") from None
    subnet = _subnet_of(network, reservation.address, setting)
    others = tuple(r for r in subnet.reserved if r.address != reservation.address)
    return _with(network, subnet, reserved=(*others, reservation))


def _ip_range(network: Network, setting: Setting, _: Situation) -> Network:
    try:
        span = addressing.read_range(setting.value)
    except ValueError as error:
        raise Invalid(f"{setting}: {error}") from None
    subnet = _subnet_of(network, span.first, setting)
    if span.last not in subnet.network:
        raise Invalid(f"{setting}: it is not within {subnet.network}")
    if setting.removes and span not in subnet.ranges:
        raise NotFound(f"{setting}: {subnet.network} has no such range")
    others = tuple(other for other in subnet.ranges if other != span)
    return _with(network, subnet, ranges=others if setting.removes else (*others, span))


def _subnet_of(network: Network, address: model.Address, setting: Setting) -> Subnet:
    for subnet in network.subnets:
        if address in subnet.network:
            return subnet
    raise Invalid(f"{setting}: {address} is not in {' or '.join(str(s.network) for s in network.subnets)}")


def _with(network: Network, subnet: Subnet, **changes: object) -> Network:
    changed = tuple(replace(s, **changes) if s == subnet else s for s in network.subnets)
    return replace(network, subnets=changed)


def _subnet(network: Network, setting: Setting, at: Situation) -> Network:
    try:
        (asked,) = addressing.read_subnets([setting.value], (), (), ())
    except Invalid as error:
        raise _renamed(setting, error.messages) from None
    if setting.removes:
        return _without(network, asked.network, setting)
    gateway = asked.gateway if network.has_gateway else None
    there = any((s.network, s.gateway) == (asked.network, gateway) for s in network.subnets)
    return network if there else _wider(network, (asked,), (), at)


def _ipv6(network: Network, setting: Setting, at: Situation) -> Network:
    if _on(setting):
        return network if 6 in network.families else _wider(network, (), (6,), at)
    for subnet in (subnet for subnet in network.subnets if subnet.family == 6):
        network = _without(network, subnet.network, setting)
    return network


def _wider(network: Network, asked: tuple[Subnet, ...], families: tuple[int, ...], at: Situation) -> Network:
    """Return a network with more subnets. Its containers get an address of each family that is new."""
    if not network.subnets:
        what = f"network {quoted(network.name)} has no subnet, and its containers no addresses"
        raise Conflict(what, hint="create another network")
    others = {**at.intent, network.name: network}
    lan = network.parent if network.mode in drivers.load(network.driver).LAN_MODES else ""
    if lan and families:
        raise Invalid(f"ipv6=true: the network has the subnets of the LAN that {lan} is on: use subnet=CIDR")
    added = choices.subnets(asked, map(Size, families), at.pools, others, at.seen, lan)
    if not network.has_gateway:
        added = tuple(replace(subnet, gateway=None) for subnet in added)
    order = sorted((*network.subnets, *added), key=lambda subnet: subnet.family)
    wider = replace(network, subnets=tuple(order))
    for endpoint in network.endpoints:
        missing = [family for family in wider.families if family not in endpoint.families]
        found = choices.addresses(wider, {4: None, 6: None}, at.seen, missing)
        more = replace(endpoint, addresses=tuple(sorted((*endpoint.addresses, *found), key=lambda a: a.version)))
        wider = replace(wider, endpoints=tuple(more if e == endpoint else e for e in wider.endpoints))
        last = tuple(replace(s, last=next((a for a in found if a in s.network), s.last)) for s in wider.subnets)
        wider = replace(wider, subnets=last)
    return wider


def _without(network: Network, block: IPNetwork, setting: Setting) -> Network:
    """Return a network without a subnet, and its containers without their addresses in it."""
    kept = tuple(subnet for subnet in network.subnets if subnet.network != block)
    if kept == network.subnets:
        raise NotFound(f"{setting}: network {quoted(network.name)} has no such subnet")
    if not kept:
        raise Conflict(f"{setting}: it is the only subnet of network {quoted(network.name)}")
    bare = []
    for endpoint in network.endpoints:
        rest = replace(endpoint, addresses=tuple(a for a in endpoint.addresses if a not in block))
        if not rest.addresses:
            raise Conflict(f"{setting}: container {quoted(endpoint.name)} has its only address in it")
        if lost := next((m for m in rest.ports if not any(map(m.serves, rest.families))), None):
            raise Conflict(f"{setting}: container {quoted(endpoint.name)} publishes {lost} on it")
        bare.append(rest)
    return replace(network, subnets=kept, endpoints=tuple(bare))


def _endpoint_label(endpoint: Endpoint, setting: Setting) -> Endpoint:
    return replace(endpoint, labels=_labels(endpoint.labels, setting))


def _default_route(endpoint: Endpoint, setting: Setting) -> Endpoint:
    return replace(endpoint, default_route=_on(setting))


def _gw_priority(endpoint: Endpoint, setting: Setting) -> Endpoint:
    return replace(endpoint, gw_priority=_number(setting))


def _alias(endpoint: Endpoint, setting: Setting) -> Endpoint:
    _require(setting, validation.host_problems(setting.value, "--alias"))
    if setting.removes and setting.value not in endpoint.aliases:
        raise NotFound(f"{setting}: it is no alias of container {quoted(endpoint.name)}")
    others = tuple(alias for alias in endpoint.aliases if alias != setting.value)
    return replace(endpoint, aliases=others if setting.removes else (*others, setting.value))


def _metric(network: Network, setting: Setting, _: Situation) -> Network:
    metric = _number(setting)
    _require(setting, static_routes.metric_problems(metric))
    return replace(network, metric=metric)


def _dns(network: Network, setting: Setting, _: Situation) -> Network:
    word = setting.value
    if word == dnsmasq.PROGRAM:
        if problems := choices.refused(network.driver, {f"--dns {word}": True}):
            raise _renamed(setting, problems)
        if setting.removes and not network.resolver:
            raise NotFound(f"{setting}: network {quoted(network.name)} has no name server")
        if setting.removes and network.dhcp:
            raise Conflict(f"{setting}: it gives addresses by DHCP, too")
        return replace(network, resolver="" if setting.removes else word)
    try:
        address = addressing.read_address(word)
    except ValueError as error:
        raise Invalid(f"{setting}: {error}") from None
    _require(setting, validation.dns_problems(address))
    if setting.removes and address not in network.dns:
        raise NotFound(f"{setting}: network {quoted(network.name)} has no such name server")
    others = tuple(server for server in network.dns if server != address)
    return replace(network, dns=others if setting.removes else (*others, address))


OfNetwork = Callable[[Network, Setting, Situation], Network]
OF_NETWORK: dict[str, OfNetwork] = {
    "dns": _dns,
    "gateway-mode": _gateway_mode(4, 6),
    "gateway-mode4": _gateway_mode(4),
    "gateway-mode6": _gateway_mode(6),
    "icc": _switch("icc"),
    "internal": _switch("internal", forbids=_with_ports),
    "ip-range": _ip_range,
    "ipv6": _ipv6,
    "label": _network_label,
    "masquerade": _switch("masquerade", "masquerade6"),
    "masquerade4": _switch("masquerade"),
    "masquerade6": _switch("masquerade6"),
    "metric": _metric,
    "mtu": _mtu,
    "port-security": _switch("port_security"),
    "reserve": _reserve,
    "subnet": _subnet,
}
OF_ENDPOINT: dict[str, Callable[[Endpoint, Setting], Endpoint]] = {
    "alias": _alias,
    "default-route": _default_route,
    "gw-priority": _gw_priority,
    "label": _endpoint_label,
}
SEVERAL = {"alias", "dns", "ip-range", "label", "reserve", "subnet"}
