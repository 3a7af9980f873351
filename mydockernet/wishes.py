"""Words → values: those of `create` and `connect` become a Wish and a Connection. Reports all invalid ones at once.

The words are those of the options of the command line, which messages name. Others who ask for networks in a language
of their own translate it into these words.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from mydockernet import addressing, creation, defaults, model, option_keys, ports, rates, static_routes, validation
from mydockernet.creation import Wish
from mydockernet.dialects import dnsmasq
from mydockernet.errors import Invalid
from mydockernet.transitions import Connection

# The value of `create --dns` that asks for a name server of our own: the program that it is.
RESOLVER = dnsmasq.PROGRAM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from mydockernet.addressing import Pool


class _Words:
    """Words by the name of their option; those that are not given have its default. Raises TypeError for others."""

    def __init__(self, **given: Any) -> None:
        if unknown := [name for name in given if not hasattr(type(self), name)]:
            raise TypeError(f"{type(self).__name__} has no {', '.join(unknown)}")
        self.__dict__.update(given)

    @classmethod
    def of(cls, holder: object) -> Self:
        """Return the words that an object, such as that of argparse, holds in attributes of the same names."""
        return cls(**{name: getattr(holder, name) for name in vars(cls) if not name.startswith("_")})


class CreateWords(_Words):
    """The words of the options of `create`. They are read, not validated, here."""

    name: str = ""
    driver: str = "bridge"
    subnet: Sequence[str] = ()
    gateway: Sequence[str] = ()
    ip_range: Sequence[str] = ()
    reserve: Sequence[str] = ()
    ipv6: bool = False
    no_gateway: bool = False
    no_subnet: bool = False
    no_default_route: bool = False
    internal: bool = False
    no_icc: bool = False
    port_security: bool = False
    no_masquerade: bool = False
    no_masquerade4: bool = False
    no_masquerade6: bool = False
    gateway_mode: str | None = None
    gateway_mode6: str | None = None
    mtu: str | None = None
    bridge_name: str | None = None
    parent: str | None = None
    mode: str | None = None
    host_ip: Sequence[str] = ()
    route: Sequence[str] = ()
    metric: str | None = None
    dns: Sequence[str] = ()
    dhcp: Sequence[str] = ()
    label: Sequence[str] = ()
    opt: Sequence[str] = ()
    ipam_driver: str | None = None
    firewall: str | None = None


class ConnectWords(_Words):
    """The words of the options of `connect`."""

    networks: Sequence[str] = ()
    ip: str | None = None
    ip6: str | None = None
    mac: str | None = None
    ifname: str | None = None
    publish: Sequence[str] = ()
    sources: Sequence[str] = ()
    label: Sequence[str] = ()
    no_default_route: bool = False
    gw_priority: str | None = None
    name: str | None = None
    alias: Sequence[str] = ()
    dns: Sequence[str] = ()
    hostname: str | None = None
    ingress_rate: str | None = None
    egress_rate: str | None = None


def read_create(words: CreateWords, realm: str) -> Wish:
    """Return the wish that the words of `create` express. Raises Invalid with everything that is wrong with them."""
    problems = [
        *option_keys.apply_keys(words),
        *validation.name_problems(words.name),
        *validation.driver_problems(words.driver),
    ]
    if words.bridge_name is not None:
        problems += validation.interface_problems(words.bridge_name)
    if words.parent is not None:
        problems += validation.interface_problems(words.parent, "--parent")
    mtu = read_number("--mtu", words.mtu, problems)
    metric = read_number("--metric", words.metric, problems)
    if words.gateway_mode == validation.ISOLATED:
        words.gateway_mode, words.internal, words.no_gateway = "nat", True, True
    mode = words.gateway_mode or "nat"
    mode6 = words.gateway_mode6 or mode
    problems += dict.fromkeys((*validation.gateway_mode_problems(mode), *validation.gateway_mode_problems(mode6)))
    problems += [*validation.mtu_problems(mtu), *static_routes.metric_problems(metric)]
    usual = defaults.of(defaults.FIREWALL, os.environ)
    if usual.text and (wrong := validation.firewall_problems(usual.text, usual.key)):
        problems += usual.named(Invalid(*wrong)).messages
    usual_mtu = read_usual_mtu(problems)
    problems += validation.firewall_problems(words.firewall) if words.firewall is not None else []
    labels = read_labels(words.label, problems)
    host_addresses = []
    for word in words.host_ip:
        try:
            host_addresses.append(addressing.read_address(word))
        except ValueError as error:
            problems.append(f"--host-ip: {error}")
    leased = read_leased(words.dhcp, problems)
    resolver = RESOLVER if RESOLVER in words.dns or leased else ""
    dns = read_dns((word for word in words.dns if word != RESOLVER), problems)
    sizes = {word: size for word in words.subnet if (size := addressing.read_size(word))}
    subnets: tuple[model.Subnet, ...] = ()
    try:
        given = [word for word in words.subnet if word not in sizes]
        subnets = addressing.read_subnets(given, words.gateway, words.ip_range, words.reserve)
    except Invalid as error:
        problems += error.messages
    pools = read_pools(problems, words.ipv6 or any(size.family == 6 for size in sizes.values()))
    routes = []
    for word in words.route:
        try:
            routes.append(addressing.read_route(word))
        except ValueError as error:
            problems.append(f"--route: {error}")
    if subnets and not sizes:
        gateways = [subnet.gateway for subnet in subnets if subnet.gateway]
        problems += static_routes.route_problems(
            routes, [subnet.network for subnet in subnets], gateways if words.no_icc else None
        )
    problems += _contradictions(words)
    for word, size in sizes.items():
        problems += addressing.size_problems(size, word, pools)
    if problems:
        raise Invalid(*problems)
    wish = Wish(
        name=words.name,
        driver=words.driver,
        subnets=subnets,
        ipv6=words.ipv6,
        internal=words.internal,
        icc=not words.no_icc,
        masquerade=not (words.no_masquerade or words.no_masquerade4),
        masquerade6=not (words.no_masquerade or words.no_masquerade6),
        gateway_mode=mode,
        gateway_mode6=mode6,
        mtu=mtu,
        bridge=words.bridge_name,
        labels=labels,
        pools=pools,
        realm=realm,
        port_security=words.port_security,
        parent=words.parent,
        mode=words.mode,
        host_addresses=tuple(host_addresses),
        routes=tuple(routes),
        metric=metric,
        dns=dns,
        resolver=resolver,
        dhcp=leased,
        default_route=not words.no_default_route,
        has_subnet=not words.no_subnet,
        has_gateway=not words.no_gateway,
        sizes=tuple(sizes[word] for word in words.subnet if word in sizes),
        firewall=words.firewall,
        usual_firewall=usual.text,
        usual_mtu=usual_mtu,
    )
    if not validation.driver_problems(words.driver):
        problems += creation.refused(wish)
    if problems:
        raise Invalid(*problems)
    return wish


def _contradictions(words: CreateWords) -> list[str]:
    """Return which options contradict --no-subnet or --no-gateway."""
    named = [word for word in words.subnet if addressing.names_gateway(word)]
    if words.no_subnet:
        given = [
            ("--ipv6", words.ipv6),
            ("--subnet", words.subnet),
            ("--gateway", words.gateway),
            ("--ip-range", words.ip_range),
        ]
        given += [("--reserve", words.reserve), ("--route", words.route)]
        return [f"--no-subnet contradicts {option}" for option, found in given if found]
    if words.no_gateway:
        found = [f"--no-gateway contradicts --gateway {word}" for word in words.gateway]
        return found + [f"--no-gateway contradicts --subnet {word}, which names a gateway" for word in named]
    return []


def read_connect(words: ConnectWords, name: str, namespace: model.Namespace) -> Connection:
    """Return the connection that the words of `connect` express. Raises Invalid with everything that is wrong."""
    problems: list[str] = []
    for option, given in (
        ("--ip", words.ip),
        ("--ip6", words.ip6),
        ("--mac", words.mac),
        ("--ifname", words.ifname),
        ("--publish", words.publish),
    ):
        if given and len(words.networks) > 1:
            problems.append(f"{option}: it is for one network, not {len(words.networks)}: connect that one by itself")
    ip = _address_of(words.ip, "--ip", 4, problems)
    ip6 = _address_of(words.ip6, "--ip6", 6, problems)
    mac = words.mac.lower().replace("-", ":") if words.mac is not None else None
    if mac is not None:
        problems += validation.mac_problems(mac)
    if words.ifname is not None:
        problems += validation.interface_problems(words.ifname, "--ifname")
    if words.name is not None:
        problems += validation.name_problems(words.name, "--name")
    labels = read_labels(words.label, problems)
    gw_priority = read_number("--gw-priority", words.gw_priority, problems)
    dns = read_dns(words.dns, problems)
    for alias in words.alias:
        problems += validation.host_problems(alias, "--alias")
    if words.hostname is not None:
        problems += validation.host_problems(words.hostname, "--hostname", validation.HOST_NAME_MAX)
    ingress = _limit_of(words.ingress_rate, "--ingress-rate", problems)
    egress = _limit_of(words.egress_rate, "--egress-rate", problems)
    publish: tuple[ports.PortWish, ...] = ()
    try:
        publish = ports.read_specs(words.publish, "--publish", words.sources)
    except Invalid as error:
        problems += error.messages
    if problems:
        raise Invalid(*problems)
    return Connection(
        name=name,
        namespace=namespace,
        ip=ip,
        ip6=ip6,
        mac=mac,
        interface=words.ifname,
        publish=publish,
        labels=labels,
        default_route=not words.no_default_route,
        gw_priority=gw_priority or 0,
        aliases=tuple(dict.fromkeys(words.alias)),
        dns=dns,
        hostname=words.hostname or "",
        ingress=ingress,
        egress=egress,
    )


def _limit_of(word: str | None, option: str, problems: list[str]) -> rates.Limit | None:
    """Read the rate of an option, if it is given. Adds what is wrong with it to `problems`."""
    try:
        return None if word is None else rates.read_limit(word)
    except ValueError as error:
        problems.append(f"{option}: {error}")
        return None


def _address_of(word: str | None, option: str, family: int, problems: list[str]) -> model.Address | None:
    """Read the address of an option, if it is given. Adds what is wrong with it to `problems`."""
    if word is None:
        return None
    try:
        address = addressing.read_address(word)
    except ValueError as error:
        problems.append(f"{option}: {error}")
        return None
    if address.version != family:
        problems.append(f"{option}: {word} is an IPv{address.version} address")
    return address


def read_labels(words: Iterable[str], problems: list[str]) -> tuple[tuple[str, str], ...]:
    """Read the values of --label; add what is wrong with them to `problems`."""
    labels = {}
    for word in words:
        key, _, value = word.partition("=")
        problems += validation.label_problems(key, value)
        labels[key] = value
    return tuple(sorted(labels.items()))


def read_number(option: str, word: str | None, problems: list[str]) -> int | None:
    """Read a number; add what is wrong with it to `problems`."""
    try:
        return None if word is None else int(word)
    except ValueError:
        problems.append(f"{option}: {word!r} is not a number")
        return None


def read_leased(words: Iterable[str], problems: list[str]) -> tuple[model.AddressRange, ...]:
    """Read the values of --dhcp; add what is wrong with them to `problems`."""
    found = []
    for word in words:
        try:
            found.append(addressing.read_range(word))
        except ValueError as error:
            problems.append(f"--dhcp: {error}")
            continue
        if found[-1].first.version != 4:
            problems.append(f"--dhcp: {word}: only IPv4 addresses are given by DHCP")
    return tuple(dict.fromkeys(found))


def read_dns(words: Iterable[str], problems: list[str]) -> tuple[model.Address, ...]:
    """Read the values of --dns; add what is wrong with them to `problems`."""
    found = []
    for word in words:
        try:
            found.append(addressing.read_address(word))
            problems += validation.dns_problems(found[-1])
        except ValueError as error:
            problems.append(f"--dns: {error}")
    return tuple(dict.fromkeys(found))


def read_pools(problems: list[str], ipv6: bool) -> tuple[Pool, ...]:
    """Read the default of the pools; add what is wrong with it to `problems`.

    With `ipv6`, there is a pool of that family.
    """
    from mydockernet import addressing

    pools = addressing.DEFAULT_POOLS
    usual = defaults.of(defaults.POOLS, os.environ)
    if usual.text:
        try:
            pools = addressing.read_pools(usual.text)
        except Invalid as error:
            problems += usual.named(error).messages
    if ipv6 and all(pool.block.version == 4 for pool in pools):
        return (*pools, addressing.local_pool(_this_host()))
    return pools


def read_usual_mtu(problems: list[str]) -> int | None:
    """Read the default of the MTU, in bytes; add what is wrong with it to `problems`."""
    usual = defaults.of(defaults.MTU, os.environ)
    wrong: list[str] = []
    mtu = read_number(usual.key, usual.text or None, wrong)
    wrong += validation.mtu_problems(mtu, usual.key)
    problems += usual.named(Invalid(*wrong)).messages
    return None if wrong else mtu


def _this_host() -> str:
    """Return what distinguishes this host from others: its machine-id(5), or its name."""
    try:
        return Path("/etc/machine-id").read_text().strip() or os.uname().nodename
    except OSError:
        return os.uname().nodename
