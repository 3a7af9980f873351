"""The keys of files for `apply`: one table, which the reader, the JSON schema and the documentation share.

The words are compose's where compose has them; the others are named like the option of `create` or `connect` that they
stand for. Pure.
"""

import re
from collections.abc import Iterable, Mapping

from mydockernet import validation
from mydockernet.value import Value

_OPTION = re.compile(r"--[a-z][a-z0-9-]*[a-z0-9]")

# What a key takes. TEXTS is a list of texts, or one; PAIRS a map, or a list of KEY=VALUE; MAP has keys of its own;
# NAMED is a map whose keys are names; REFERENCES is a list of names, or a map; PORTS is a list of ports.
TEXT, NUMBER, SWITCH, TEXTS, PAIRS = "text", "number", "switch", "texts", "pairs"
MAP, MAPS, NAMED, REFERENCES, PORTS = "map", "maps", "named", "references", "ports"


class Key(Value):
    """A key: what it takes, the `option` of `create` or `connect` that it stands for, and that option's `word`.

    If a word begins with `no_`, the value false sets it. A key without a word has a meaning of its own, or none.
    `values` are the only ones; none means any. One that is `refused` is known, but not supported, for that reason.
    """

    name: str
    takes: str
    help: str
    option: str = ""
    word: str = ""
    values: tuple[str, ...] = ()
    keys: tuple["Key", ...] = ()
    refused: str = ""


def _option(name: str, takes: str, help_text: str, option: str, values: tuple[str, ...] = ()) -> Key:
    return Key(name, takes, help_text, option, option.removeprefix("--").replace("-", "_"), values)


SUBNET = (
    _option("subnet", TEXT, "Subnet; host bits, if set, give the gateway", "--subnet"),
    _option("ip_range", TEXTS, "Ranges to assign addresses from: CIDR or FIRST-LAST", "--ip-range"),
    _option("gateway", TEXT, "Address of the host on the network", "--gateway"),
    _option("aux_addresses", PAIRS, "Addresses that no container is given, by the name of what has them", "--reserve"),
    _option("reserve", TEXTS, "The same as a list of [NAME=]IP, which needs no names", "--reserve"),
)
IPAM = (
    _option(
        "driver",
        TEXT,
        "Who assigns addresses; with none, the network is layer 2 only",
        "--ipam-driver",
        ("default", "host-local", "none"),
    ),
    Key("config", MAPS, "Subnets, each with its gateway, ranges and reserved addresses", keys=SUBNET),
    Key("options", PAIRS, "", refused="nothing reads them: leave them out"),
)
NETWORK = (
    Key("name", TEXT, "Name of the network, if it is not the key", "NAME", "name"),
    Key("external", SWITCH, "Whether the network must exist already; it is neither changed nor removed"),
    _option("driver", TEXT, "Driver", "--driver", validation.DRIVERS),
    _option("driver_opts", PAIRS, "Options by their keys in docker or podman, short or long", "--opt"),
    Key("ipam", MAP, "Subnets and addresses", keys=IPAM),
    _option("internal", SWITCH, "Whether the network is isolated from the outside", "--internal"),
    Key("enable_ipv4", SWITCH, "Whether containers have IPv4 addresses"),
    _option("enable_ipv6", SWITCH, "Whether containers have IPv6 addresses as well", "--ipv6"),
    Key("attachable", SWITCH, "Accepted, as every network is attachable"),
    _option("labels", PAIRS, "Labels, which --filter can select", "--label"),
    _option("gateway", SWITCH, "Whether the host is on the network", "--no-gateway"),
    _option("subnet", SWITCH, "Whether the network has addresses; false is layer 2 only", "--no-subnet"),
    _option("default_route", SWITCH, "Whether containers have a default route", "--no-default-route"),
    _option("icc", SWITCH, "Whether containers reach each other", "--no-icc"),
    _option("port_security", SWITCH, "Whether containers send only from their own addresses", "--port-security"),
    _option("masquerade", SWITCH, "Whether packets leave with the address of the host", "--no-masquerade"),
    _option("masquerade4", SWITCH, "The same for IPv4 only", "--no-masquerade4"),
    _option("masquerade6", SWITCH, "The same for IPv6 only", "--no-masquerade6"),
    _option(
        "gateway_mode",
        TEXT,
        "How others reach containers",
        "--gateway-mode",
        (*validation.GATEWAY_MODES, validation.ISOLATED),
    ),
    _option("gateway_mode6", TEXT, "The same for IPv6 only", "--gateway-mode6", validation.GATEWAY_MODES),
    _option("mtu", NUMBER, "MTU in bytes", "--mtu"),
    _option("bridge_name", TEXT, "Name of the bridge", "--bridge-name"),
    _option("parent", TEXT, "Interface of the host on the LAN, for macvlan and ipvlan", "--parent"),
    _option("mode", TEXT, "Mode of macvlan or ipvlan", "--mode"),
    _option("host_ip", TEXTS, "Addresses of the host on a macvlan network", "--host-ip"),
    _option("routes", TEXTS, "Static routes in every container: DST,GW[,METRIC]", "--route"),
    _option("firewall", TEXT, "Firewall of all networks", "--firewall", validation.FIREWALLS),
    _option("metric", NUMBER, "Metric of the default route in containers", "--metric"),
    _option("dns", TEXTS, "Name servers in the resolv.conf of its containers; dnsmasq starts one", "--dns"),
    _option("dhcp", TEXTS, "Ranges of addresses that are given to those that ask by DHCP", "--dhcp"),
)
PORT = (
    Key("target", TEXT, "Port of the container, or FIRST-LAST", "--publish"),
    Key("published", TEXT, "Port of the host, or FIRST-LAST; a free one is chosen if it is left out", "--publish"),
    Key("host_ip", TEXT, "Address of the host, if not all of them", "--publish"),
    Key("protocol", TEXT, "Protocol", "--publish", values=("tcp", "udp", "sctp")),
    Key("from", TEXTS, "Only addresses in these blocks, and the host itself, may use the port", "--from"),
    Key("mode", TEXT, "Accepted, as there is no swarm", values=("host",)),
    Key("name", TEXT, "Accepted and ignored"),
    Key("app_protocol", TEXT, "Accepted and ignored"),
)
# What a container may say once for all of its networks.
SHARED = (
    _option("labels", PAIRS, "Labels of the container", "--label"),
    _option("dns", TEXTS, "Name servers in the resolv.conf of the container", "--dns"),
    _option("hostname", TEXT, "Host name of the container: another name for it", "--hostname"),
)
CONNECTION = (
    Key("ipv4_address", TEXT, "IPv4 address", "--ip", "ip"),
    Key("ipv6_address", TEXT, "IPv6 address", "--ip6", "ip6"),
    Key("mac_address", TEXT, "MAC address", "--mac", "mac"),
    Key("interface_name", TEXT, "Name of the interface inside the container", "--ifname", "ifname"),
    Key("aliases", TEXTS, "Other names of the container, for those on the same network", "--alias", "alias"),
    _option("gw_priority", NUMBER, "The network with the highest gives the default route", "--gw-priority"),
    Key("priority", NUMBER, "The networks with the highest are connected first"),
    Key("ports", PORTS, "Ports that this network publishes", "--publish", "publish", keys=PORT),
    _option("default_route", SWITCH, "Whether this network may give the default route", "--no-default-route"),
    *SHARED,
    _option("ingress_rate", TEXT, "Limit of what the container receives: RATE[,BURST]", "--ingress-rate"),
    _option("egress_rate", TEXT, "Limit of what the container sends: RATE[,BURST]", "--egress-rate"),
    Key("rate_in", TEXT, "The same as ingress_rate", "--rate-in", "ingress_rate"),
    Key("rate_out", TEXT, "The same as egress_rate", "--rate-out", "egress_rate"),
    Key("driver_opts", PAIRS, "Only com.docker.network.endpoint.ifname, for interface_name"),
    Key("link_local_ips", TEXTS, "", refused="mydockernet adds no addresses outside the subnet of a network"),
)
NAMESPACES = (
    Key("netns", TEXT, "Name of its namespace in ip netns, if it is not the key", "CONTAINER"),
    Key("pid", NUMBER, "Process in its namespace, which changes when the container restarts", "CONTAINER"),
    Key("path", TEXT, "Path of its namespace file", "CONTAINER"),
    Key("pidfile", TEXT, "File with the pid of a process in its namespace", "CONTAINER"),
)
CONTAINER = (
    *NAMESPACES,
    Key("networks", REFERENCES, "Networks that it is on", "NETWORK", keys=CONNECTION),
    Key("ports", PORTS, "Ports to publish: the first of its networks that can does", "--publish", keys=PORT),
    *SHARED,
)
TOP = (
    Key("name", TEXT, "Name of the project; everything that it declares is labeled with it"),
    Key("networks", NAMED, "Networks by their names", keys=NETWORK),
    Key("containers", NAMED, "Containers by their names", keys=CONTAINER),
    Key("services", NAMED, "Services of a compose file, which become containers"),
    *(Key(name, MAP, "Accepted and ignored") for name in ("volumes", "configs", "secrets", "models")),
    Key("version", TEXT, "Accepted and ignored"),
    Key("include", TEXTS, "", refused="give all files to apply"),
)
# What people write with the option in mind, or docker's inspect: the place where it stands in a file.
ELSEWHERE = {
    **{key.name: f"ipam.config[].{key.name}" for key in SUBNET},
    "ipv6": "enable_ipv6",
    "opt": "driver_opts",
    "label": "labels",
    "route": "routes",
    "ip": "ipv4_address",
    "ip6": "ipv6_address",
    "mac": "mac_address",
    "ifname": "interface_name",
    "alias": "aliases",
    "publish": "ports",
    "no_gateway": "gateway: false",
    "no_subnet": "subnet: false",
    "no_icc": "icc: false",
    "no_masquerade": "masquerade: false",
    "no_default_route": "default_route: false",
}


def phrases(keys: Iterable[Key]) -> dict[str, str]:
    """Return how a file says what an option does, by the option: `icc: false` for --no-icc. The first one counts."""
    found: dict[str, str] = {}
    for key in keys:
        if key.takes == SWITCH and key.option:
            said = f"{key.name}: {'false' if key.option.startswith('--no-') else 'true'}"
        else:
            said = key.name
        if key.option.startswith("--"):
            found.setdefault(key.option, said)
        found = {**phrases(key.keys), **found}
    return found


def reworded(message: str, said: Mapping[str, str]) -> str:
    """Return a message about options with the words of a file, as `phrases` has them."""
    return _OPTION.sub(lambda match: said.get(match[0], match[0]), message)
