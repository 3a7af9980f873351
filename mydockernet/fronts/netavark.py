"""The plugin of podman's netavark: for podman's users, the driver mydockernet.

podman calls `create` for a new network, and netavark `setup` and `teardown` for a container on one. Both give JSON and
want JSON, as plugin-API.md of netavark says (API 1.0.0); an error is {"error": "…"}, alone. Nobody tells when podman
removes a network. So `create` only fills in what is open, and the network exists from its first container to its last.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mydockernet import __version__, actions, attachments, creation, documents, drivers, model, names, process, wishes
from mydockernet.attachments import Attachment
from mydockernet.context import Context, from_environment
from mydockernet.documents import Fields
from mydockernet.errors import Conflict, Invalid, MydockernetError, printable, quoted
from mydockernet.kernel import namespaces
from mydockernet.kernel.spawn import where
from mydockernet.model import Endpoint, Network, Subnet
from mydockernet.value import replace
from mydockernet.wishes import ConnectWords, CreateWords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

ENGINE = "podman"
API = "1.0.0"
USAGE = "usage: mydockernet create | setup NETNS | teardown NETNS | info"
# How many words follow each.
COMMANDS = {"info": 0, "create": 0, "setup": 1, "teardown": 1}

# The option of a network that chooses the driver: podman's own driver is the name of the plugin.
DRIVER = "driver"
IPAM = ("", "host-local", "none")
NETWORK = (
    *("name", "id", "driver", "created", "network_interface", "subnets", "routes", "ipv6_enabled", "internal"),
    *("dns_enabled", "network_dns_servers", "options", "ipam_options", "labels"),
)
SUBNET = ("subnet", "gateway", "lease_range")
ROUTE = ("destination", "gateway", "metric", "route_type")
PORT = ("container_port", "host_ip", "host_port", "protocol", "range")
CONTAINER = ("container_id", "container_name", "port_mappings", "network", "network_options")
OPTIONS = ("aliases", "interface_name", "static_ips", "static_mac", "options")


def program() -> NoReturn:
    """Run the plugin and end the process."""
    process.open_streams()
    process.leave(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Read what a command reads, print the answer, and return the exit code."""
    reads = words and words[0] != "info" and COMMANDS.get(words[0]) == len(words) - 1
    code, text = main(words, os.environ, sys.stdin.buffer.read(documents.SIZE_MAX + 1) if reads else b"")
    sys.stdout.write(text)
    return code


def main(words: Sequence[str], environ: Mapping[str, str], given: bytes) -> tuple[int, str]:
    """Return the exit code and what to print."""
    try:
        answer = _answer(words, environ, given)
    except MydockernetError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return 1, _error(f"{error}{hint}".replace("--bridge-name", "--interface-name"))
    except Exception as error:
        if environ.get("MYDOCKERNET_TRACEBACK"):
            raise
        return 1, _error(f"internal error: {type(error).__name__}: {error}")
    return 0, "" if answer is None else _text(answer)


def _error(message: str) -> str:
    return _text({"error": printable(" ".join(message.split()))})


def _text(answer: Mapping[str, Any]) -> str:
    return json.dumps(answer) + "\n"


def _answer(words: Sequence[str], environ: Mapping[str, str], given: bytes) -> dict[str, Any] | None:
    command, *rest = words or ["info"]
    if COMMANDS.get(command) != len(rest):
        raise Invalid(USAGE)
    if command == "info":
        return {"version": __version__, "api_version": API}
    fields = documents.parse(given)
    told = ("netavark", command, fields.text("container_name") or fields.text("container_id"))
    place = from_environment(environ, attachments.LOCK_TIMEOUT, filter(None, told))
    if command == "create":
        return _create(fields, place, environ)
    if command == "setup":
        return _setup(fields, place, rest[0])
    _teardown(fields, place)
    return None


def _create(fields: Fields, place: Context, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the network with all that podman has to know of it. Nothing is changed, and nothing recorded."""
    from mydockernet.fronts import podman_networks

    words = create_words(fields)
    words.ipv6 = fields.switch("ipv6_enabled")
    fields.check()
    wish = wishes.read_create(words, place.store.realm)
    # One of podman's on record with the same name is left of one that podman has removed.
    known = {name: n for name, n in place.store.load().items() if name != wish.name or n.engine != ENGINE}
    intent = {**podman_networks.others(environ, wish.name), **known}
    network = creation.create(wish).move(intent, place.kernel.observe())[wish.name]
    ranges = {subnet.text("subnet"): subnet.values.get("lease_range") for subnet in fields.objects("subnets")}
    made: dict[str, Any] = {
        **fields.values,
        "subnets": [_subnet(subnet, ranges) for subnet in network.subnets],
        "ipv6_enabled": 6 in network.families,
        "internal": network.internal,
        "dns_enabled": bool(names.servers_of(network)),
    }
    if interface := network.bridge or network.parent:
        made["network_interface"] = interface
    if not network.subnets:
        del made["subnets"]
    return made


def _setup(fields: Fields, place: Context, path: str) -> dict[str, Any]:
    """Attach a container; returns its addresses."""
    _refuse_unknown(fields, CONTAINER)
    given = fields.fields("network")
    wanted_words = create_words(given)
    wanted_words.ipv6 = given.switch("ipv6_enabled") and not wanted_words.subnet
    connect_words = _connect_words(fields)
    container, called = _needed(fields, "container_id"), fields.text("container_name")
    fields.check()
    wish = wishes.read_create(wanted_words, place.store.realm)
    name, namespace = namespaces.find(path if "/" in path else f"./{path}")
    # It may be on networks of podman's own, too.
    connection = replace(wishes.read_connect(connect_words, called or name, namespace), yields=True)
    wanted = attachments.attach(ENGINE, container, [Attachment(wish.name, connection, wish)], again=True)
    outcome = actions.perform(place, wanted)
    # Nothing changed if it was attached already.
    network = outcome.change.after.get(wish.name) or place.store.load().get(wish.name)
    endpoint = network and attachments.find({wish.name: network}, ENGINE, container, wish.name, connection.interface)
    if not (network and endpoint):
        raise Conflict(
            f"container {quoted(connection.name)} was disconnected from network {quoted(wish.name)} meanwhile"
        )
    return _status(network, endpoint)


def _teardown(fields: Fields, place: Context) -> None:
    """Detach a container. Whatever else is known of it does not matter: it may be incomplete by now."""
    container, network = _needed(fields, "container_id"), _needed(fields.fields("network"), "name")
    interface = fields.fields("network_options").text("interface_name")
    fields.check()
    actions.perform(place, attachments.detach(ENGINE, container, network, interface or None, keep_ports=True))


def create_words(network: Fields) -> CreateWords:
    """Return the words of `create` for a network, all but --ipv6."""
    _refuse_unknown(network, NETWORK)
    options = dict(network.pairs("options"))
    driver = options.pop(DRIVER, CreateWords.driver)
    words = CreateWords(name=network.text("name"), driver=driver)
    if interface := network.text("network_interface"):
        on_parent = driver in drivers.MODULES and drivers.load(driver).MODES
        setattr(words, "parent" if on_parent else "bridge_name", interface)
    subnets = network.objects("subnets")
    for subnet in subnets:
        _refuse_unknown(subnet, SUBNET)
    words.subnet = [subnet.text("subnet") for subnet in subnets]
    words.gateway = [subnet.text("gateway") for subnet in subnets if "gateway" in subnet]
    words.ip_range = [_range(subnet) for subnet in subnets if "lease_range" in subnet]
    words.route = [_route(route) for route in network.objects("routes")]
    words.internal = network.switch("internal")
    asks = network.switch("dns_enabled")
    words.dns = network.texts("network_dns_servers")
    words.label = [f"{key}={value}" for key, value in network.pairs("labels")]
    words.opt = [f"{key}={value}" for key, value in options.items()]
    ipam = network.fields("ipam_options")
    _refuse_unknown(ipam, ("driver",))
    words.ipam_driver = ipam.text("driver")
    if words.ipam_driver not in IPAM:
        ipam.refuse("driver", f"{quoted(words.ipam_driver)} is not supported: use host-local or none")
    on_host = driver in drivers.MODULES and drivers.load(driver).FORWARDS and words.ipam_driver != "none"
    # podman asks for names unless it is told not to. Without the program, there are none.
    if asks and on_host and where(wishes.RESOLVER):
        words.dns = [wishes.RESOLVER, *words.dns]
    return words


def _range(subnet: Fields) -> str:
    """Return the addresses of a subnet that podman chooses from, as FIRST-LAST; podman may leave either open."""
    lease = subnet.fields("lease_range")
    _refuse_unknown(lease, ("start_ip", "end_ip"))
    first, last = lease.text("start_ip"), lease.text("end_ip")
    with contextlib.suppress(ValueError):
        block = ipaddress.ip_network(subnet.text("subnet"))
        first, last = first or str(block[0]), last or str(block[-1])
    return f"{first}-{last}"


def _route(route: Fields) -> str:
    _refuse_unknown(route, ROUTE)
    kind = route.text("route_type")
    to = route.text("gateway") if kind in ("", "unicast") else kind
    metric = route.number("metric")
    return ",".join((route.text("destination"), to, *(() if metric is None else (str(metric),))))


def _connect_words(fields: Fields) -> ConnectWords:
    """Return the words of `connect` for a container on one network."""
    options = fields.fields("network_options")
    _refuse_unknown(options, OPTIONS)
    for key, _ in options.pairs("options"):
        options.refuse("options", f"there is no option {quoted(key)} for a container")
    words = ConnectWords(networks=(fields.fields("network").text("name"),))
    words.ifname = _needed(options, "interface_name")
    words.mac = options.text("static_mac") or None
    words.alias = options.texts("aliases")
    for address in options.texts("static_ips"):
        attribute = "ip6" if ":" in address else "ip"
        if getattr(words, attribute):
            options.refuse("static_ips", f"{quoted(address)}: a container has one address of each family")
        setattr(words, attribute, address)
    words.publish = [word for port in fields.objects("port_mappings") for word in _port_words(port)]
    return words


def _port_words(port: Fields) -> list[str]:
    """Return a port mapping as SPECs of --publish."""
    _refuse_unknown(port, PORT)
    host_ip, span = port.text("host_ip"), port.number("range") or 1
    at = "" if not host_ip else f"[{host_ip}]:" if ":" in host_ip else f"{host_ip}:"
    host, inside = (_needed_number(port, key) for key in ("host_port", "container_port"))
    protocols = (port.text("protocol") or "tcp").split(",")
    if span != 1:
        return [f"{at}{host}-{host + span - 1}:{inside}-{inside + span - 1}/{protocol}" for protocol in protocols]
    return [f"{at}{host}:{inside}/{protocol}" for protocol in protocols]


def _subnet(subnet: Subnet, ranges: Mapping[str, Any]) -> dict[str, Any]:
    """Return a subnet as podman reads it, with the range that it was given."""
    network = str(subnet.network)
    known = {"subnet": network, "gateway": subnet.gateway and str(subnet.gateway), "lease_range": ranges.get(network)}
    return {key: value for key, value in known.items() if value}


def _status(network: Network, endpoint: Endpoint) -> dict[str, Any]:
    """Return what netavark wants to know of a container that is attached."""
    subnets = [
        {"ipnet": f"{address}/{subnet.network.prefixlen}"}
        | ({"gateway": str(subnet.gateway)} if subnet.gateway else {})
        for subnet, address in model.placed(network, endpoint)
    ]
    # Interfaces of ipvlan share the MAC address of their parent.
    mac = endpoint.mac or Path(f"/sys/class/net/{network.parent}/address").read_text().strip()
    return {
        "dns_search_domains": [],
        "dns_server_ips": list(map(str, names.servers_of(network))),
        "interfaces": {endpoint.interface: {"mac_address": mac, "subnets": subnets}},
    }


def _needed(fields: Fields, key: str) -> str:
    text = fields.text(key)
    if not text:
        fields.refuse(key, "it is missing")
    return text


def _needed_number(fields: Fields, key: str) -> int:
    number = fields.number(key)
    if number is None:
        fields.refuse(key, "it is missing")
    return number or 0


def _refuse_unknown(fields: Fields, known: Collection[str]) -> None:
    """Note the keys that nothing here serves, unless they are empty."""
    for key in fields.unknown(known):
        if fields.values[key] not in (None, False, "", [], {}):
            fields.refuse(key, "it is not supported")
