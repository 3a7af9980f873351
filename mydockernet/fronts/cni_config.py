"""Read the configuration of the CNI plugin: the network that it names or describes, and how a container joins it.

It is JSON (CNI specification 1.1.0, section 1, and CONVENTIONS.md). With `network` it names a network that exists.
Otherwise it describes one: in mydockernet's words, in those of the plugins bridge, ptp, macvlan or ipvlan with
host-local, or in both. With `ipam`, the defaults are those of these plugins: no masquerading, and no gateway on a
bridge. Knows neither the kernel nor the record.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mydockernet.documents import Fields
from mydockernet.errors import printable, quoted
from mydockernet.fronts.cni_format import ENVIRONMENT, UNSUPPORTED, CNIError
from mydockernet.model import PROTOCOLS, Address, IPNetwork, bracketed
from mydockernet.validation import name_problems
from mydockernet.value import EMPTY, Value
from mydockernet.wishes import ConnectWords, CreateWords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What the runtime and libcni use themselves.
RESERVED = (
    *("cniVersion", "cniVersions", "name", "type", "capabilities", "runtimeConfig", "args", "prevResult"),
    *("disableCheck", "disableGC", "loadOnlyInlinedPlugins"),
)
# Keys about how a container joins a network, rather than about the network.
JOINING = ("network", "dns", "portMappings", "noDefaultRoute")
# Keys that describe a network, and the word of `create` that each stands for.
TEXTS = {
    "driver": "driver",
    "bridge": "bridge_name",
    "gatewayMode": "gateway_mode",
    "gatewayMode6": "gateway_mode6",
    "parent": "parent",
    "master": "parent",
    "mode": "mode",
}
LISTS = {
    "subnets": "subnet",
    "gateways": "gateway",
    "ipRanges": "ip_range",
    "reserve": "reserve",
    "hostIps": "host_ip",
    "routes": "route",
}
NUMBERS = {"mtu": "mtu", "metric": "metric"}
SWITCHES = {
    "ipv6": "ipv6",
    "internal": "internal",
    "portSecurity": "port_security",
    "macspoofchk": "port_security",
    "portIsolation": "no_icc",
    "noGateway": "no_gateway",
    "noSubnet": "no_subnet",
}
NEGATED = {"icc": "no_icc", "masquerade": "no_masquerade"}
MAPS = {"labels": "label", "options": "opt"}
# Keys of other plugins that are read together, and those that ask for what every network here is, or for nothing.
THEIRS = ("ipam", "ipMasq", "isGateway", "isDefaultGateway")
GRANTED = ("hairpinMode", "forceAddress", "preserveDefaultVlan", "linkInContainer")
# Keys that are known but not supported: the values that ask for nothing, and the reason.
REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "vlan": ((0,), "mydockernet's bridges have no VLANs"),
    "vlanTrunk": (([],), "mydockernet's bridges have no VLANs"),
    "promiscMode": ((False,), "containers reach their own published ports without it"),
    "enabledad": ((False,), "the record keeps addresses apart"),
    "disableContainerInterface": ((False,), "a container without an interface is not on a network"),
    "ipMasqBackend": (("", "iptables"), "mydockernet uses iptables"),
}
DESCRIBING = (*TEXTS, *LISTS, *NUMBERS, *SWITCHES, *NEGATED, *MAPS, *THEIRS, *GRANTED, *REFUSED)
BLOCK = ("subnet", "rangeStart", "rangeEnd", "gateway")
IPAM = ("type", "ranges", "routes", "dataDir", "resolvConf", *BLOCK)
IPAM_TYPES = {
    "dhcp": "mydockernet assigns addresses itself",
    "static": "the capability ips, or IP in CNI_ARGS, gives a container its address",
}
# Capabilities; the last two change nothing here.
CAPABILITIES = (
    *("portMappings", "ips", "mac", "bandwidth", "dns", "aliases", "ipRanges"),
    *("cgroupPath", "io.kubernetes.cri.pod-annotations"),
)
PORT = ("hostPort", "containerPort", "protocol", "hostIP")
BANDWIDTH = ("ingressRate", "ingressBurst", "egressRate", "egressBurst")
RUNTIME_DNS = {"servers": "nameservers", "searches": "search", "options": "options"}
# CNI_ARGS; the last ones mean something to runtimes only.
ARGS = (
    *("IP", "MAC", "IgnoreUnknown", "K8S_POD_NAME"),
    *("K8S_POD_NAMESPACE", "K8S_POD_INFRA_CONTAINER_ID", "K8S_POD_UID", "NERDCTL_CNI_DHCP_HOSTNAME"),
)
LONGEST = 100  # Characters of a value in a message.


class Request(Value):
    """What a configuration and its arguments ask for.

    `network` is the name of the network; `create` are the words that describe it, None if it must exist. `dns` is what
    to print about name servers.
    """

    network: str
    create: CreateWords | None
    connect: ConnectWords
    dns: Mapping[str, Any] = EMPTY


def network_name(config: Fields) -> str:
    """Return the name of the network that a configuration names or describes."""
    return config.text("network") or config.text("name")


def read(config: Fields, args: Mapping[str, str]) -> Request:
    """Return what a configuration asks for, with CNI_ARGS as `args`.

    Raises Invalid with all that is wrong, and CNIError with all that is unsupported.
    """
    reading = _Reading(config)
    create = None if "network" in config else reading.network()
    connect = reading.container(args)
    if create is None:
        reading.refuse_unknown(config, (*RESERVED, *JOINING, *DESCRIBING))
        why = f"it describes a network, but {quoted(config.text('network'))} must exist already"
        for fields, keys in ((config, DESCRIBING), (config.fields("runtimeConfig"), ("ipRanges",))):
            for key in keys:
                if key in fields:
                    fields.refuse(key, why)
    reading.finish()
    return Request(network_name(config), create, connect, reading.dns)


def survey(config: Fields) -> tuple[CreateWords, tuple[str, ...]]:
    """Return the network that a configuration describes, as far as possible, and what is unsupported or wrong."""
    reading = _Reading(config)
    words = reading.network()
    return words, (*reading.unsupported, *dict.fromkeys(config.problems))


def read_args(text: str) -> dict[str, str]:
    """Return the pairs of CNI_ARGS, as in IP=10.1.0.9;IgnoreUnknown=1. Raises CNIError."""
    pairs = [part.partition("=") for part in text.split(";") if part]
    args = {key: value for key, _, value in pairs}
    problems = [f"{quoted(key)} has no value" for key, equals, _ in pairs if not equals]
    ignores = args.get("IgnoreUnknown", "").lower()
    if ignores not in ("", "0", "1", "true", "false"):
        problems.append(f"IgnoreUnknown is true or false, not {quoted(ignores)}")
    if ignores not in ("1", "true"):
        problems += [f"unknown argument {quoted(key)}" for key in args if key not in ARGS]
    if problems:
        raise CNIError(ENVIRONMENT, "invalid CNI_ARGS", "; ".join(problems))
    return args


class _Block(Value):
    """A range of addresses, as host-local has it: its subnet, the gateway if it is given, and FIRST-LAST or nothing."""

    network: IPNetwork
    gateway: Address | None
    span: str


class _Reading:
    """A configuration while it is read, and what is unsupported in it."""

    def __init__(self, config: Fields) -> None:
        self.config = config
        self.runtime = config.fields("runtimeConfig")
        self.dns: dict[str, Any] = {}
        self.unsupported: list[str] = []
        self.routes_out = False

    def finish(self) -> None:
        """Raise CNIError for what is unsupported, or Invalid for what is wrong otherwise."""
        if self.unsupported:
            raise CNIError(UNSUPPORTED, f"unsupported field: {'; '.join(self.unsupported)}")
        self.config.check()

    def refuse(self, fields: Fields, key: str, why: str) -> None:
        """Note a key that is unsupported. The specification wants its value in the message."""
        try:
            value = json.dumps(fields.values[key])
        except RecursionError:
            value = "…"
        shown = value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
        self.unsupported.append(f"{printable(fields.place(key))}: {shown}: {why}")

    def refuse_unknown(self, fields: Fields, known: Iterable[str], why: str = "there is no such key") -> None:
        """Note the keys that nobody knows."""
        for key in fields.unknown((*known,)):
            if not key.startswith("cni.dev/"):
                self.refuse(fields, key, why)

    def network(self) -> CreateWords:
        """Return the words of `create` for the network that the configuration describes."""
        config = self.config
        self.refuse_unknown(config, (*RESERVED, *JOINING, *DESCRIBING))
        words: dict[str, Any] = {"name": config.text("name"), "dns": config.fields("dns").texts("nameservers")}
        words |= {word: text for key, word in TEXTS.items() if (text := config.text(key))}
        words |= {word: texts for key, word in LISTS.items() if (texts := config.texts(key))}
        words |= {word: str(number) for key, word in NUMBERS.items() if (number := config.number(key))}
        words |= {word: True for key, word in SWITCHES.items() if config.switch(key)}
        words |= {word: True for key, word in NEGATED.items() if not config.switch(key, default=True)}
        words |= {word: [f"{k}={v}" for k, v in config.pairs(key)] for key, word in MAPS.items()}
        for key, (harmless, why) in REFUSED.items():
            if key in config and config.values[key] not in harmless:
                self.refuse(config, key, why)
        for key in GRANTED:
            config.switch(key)
        self._theirs(words)
        return CreateWords(**words)

    def _theirs(self, words: dict[str, Any]) -> None:
        """Read the keys of other plugins. Their defaults apply if there is `ipam`."""
        config, driver = self.config, words.get("driver", "bridge")
        has_defaults = "ipam" in config
        gives_route = config.switch("isDefaultGateway")
        if not (config.switch("ipMasq", default=not has_defaults) or driver in ("macvlan", "ipvlan")):
            words["no_masquerade"] = True
        has_gateway = config.switch("isGateway", default=not has_defaults or driver != "bridge")
        if not (has_gateway or gives_route):
            words["no_gateway"] = True
        self._ipam(config.fields("ipam"), words)
        if has_defaults and not gives_route and not self.routes_out:
            words["no_default_route"] = True

    def _ipam(self, ipam: Fields, words: dict[str, Any]) -> None:
        self.refuse_unknown(ipam, IPAM)
        kind = ipam.text("type")
        if kind not in ("", "host-local"):
            self.refuse(ipam, "type", IPAM_TYPES.get(kind, "only host-local is known"))
        blocks = self._blocks(ipam)
        if not blocks:
            if "ipam" in self.config and not (words.get("subnet") or words.get("ipv6")):
                words["no_subnet"] = True
            return
        named = {network: next((b.gateway for b in some if b.gateway), None) for network, some in blocks.items()}
        gateways = [gateway or _first(network) for network, gateway in named.items()]
        # A range that is the whole subnet includes all others in it.
        spans = [block.span for some in blocks.values() for block in some if all(other.span for other in some)]
        _extend(words, "subnet", map(str, blocks))
        _extend(words, "ip_range", spans)
        if words.get("no_gateway"):
            # It is the address of somebody else on the bridge, which host-local assigns to no container.
            _extend(words, "reserve", (f"gateway={gateway}" for gateway in gateways))
        else:
            _extend(words, "gateway", (str(gateway) for gateway in named.values() if gateway))
        self._routes(ipam, words, gateways)

    def _blocks(self, ipam: Fields) -> dict[IPNetwork, list[_Block]]:
        """Return the ranges by their subnet. One set may have several, of which a container gets one address."""
        sets = [*ipam.arrays("ranges"), *([_folded(f, BLOCK) for f in one] for one in self.runtime.arrays("ipRanges"))]
        for some in sets:
            for fields in some:
                self.refuse_unknown(fields, BLOCK)
        if "subnet" in ipam:
            sets.insert(0, [ipam])
        else:
            for key in BLOCK:
                if key in ipam:
                    ipam.refuse(key, "it needs subnet")
        blocks: dict[IPNetwork, list[_Block]] = {}
        for some in sets:
            found = [block for fields in some if (block := _block(fields))]
            families = {block.network.version for block in found}
            if len(families) > 1:
                ipam.refuse("ranges", "the ranges of one set are of different address families")
            if families & {network.version for network in blocks}:
                self.unsupported.append(
                    f"{ipam.place('ranges')}: {found[0].network}: a container has one address of each address family"
                )
            for block in found:
                blocks.setdefault(block.network, []).append(block)
        return blocks

    def _routes(self, ipam: Fields, words: dict[str, Any], gateways: Sequence[Address]) -> None:
        """Read the routes of `ipam`, and note whether one of them is a default route."""
        for route in ipam.objects("routes"):
            self.refuse_unknown(route, ("dst", "gw", "priority"))
            destination, named = _network(route, "dst"), _address(route, "gw")
            metric = route.number("priority")
            if destination is None:
                continue
            own = next((address for address in gateways if address.version == destination.version), None)
            if destination.prefixlen:
                _extend(words, "route", [f"{destination},{named or own}" + (f",{metric}" if metric else "")])
                continue
            self.routes_out = True
            if words.get("no_gateway"):
                self.refuse(route, "dst", "a default route needs isGateway or isDefaultGateway")
            if named not in (None, own):
                self.refuse(route, "gw", f"the default route leads to the gateway, {own}")
            if metric:
                words["metric"] = str(metric)

    def container(self, args: Mapping[str, str]) -> ConnectWords:
        """Return the words of `connect`. Capabilities win over `args`, and those over CNI_ARGS."""
        config, runtime = self.config, self.runtime
        self.refuse_unknown(runtime, CAPABILITIES, "mydockernet does not have this capability")
        given = config.fields("args").fields("cni")
        words: dict[str, Any] = {"label": [*self._labels(given)]}
        if (pod := args.get("K8S_POD_NAME", "")) and not name_problems(pod):
            words["name"] = pod
        ips = runtime.texts("ips") or given.texts("ips") or [ip for ip in (args.get("IP"),) if ip]
        words |= self._ips([ip for text in ips for ip in text.split(",")])
        if mac := runtime.text("mac") or given.text("mac") or args.get("MAC"):
            words["mac"] = mac
        words |= self._rates()
        words["alias"] = self._aliases()
        words["publish"] = [*self._ports(runtime), *self._ports(config)]
        words["no_default_route"] = config.switch("noDefaultRoute")
        dns = config.fields("dns")
        self.refuse_unknown(dns, ("nameservers", "domain", "search", "options"))
        self.dns = {key: texts for key in ("nameservers", "search", "options") if (texts := dns.texts(key))}
        if domain := dns.text("domain"):
            self.dns["domain"] = domain
        own = _folded(runtime.fields("dns"), (*RUNTIME_DNS,))
        self.refuse_unknown(own, RUNTIME_DNS)
        self.dns |= {name: texts for key, name in RUNTIME_DNS.items() if (texts := own.texts(key))}
        words["dns"] = own.texts("servers")
        return ConnectWords(**words)

    def _labels(self, given: Fields) -> Iterator[str]:
        for label in given.objects("labels"):
            self.refuse_unknown(label, ("key", "value"))
            yield f"{label.text('key')}={label.text('value')}"

    def _ips(self, texts: Iterable[str]) -> dict[str, str]:
        """Return the addresses of a container as words. Their prefix length is that of the subnet, if it is given."""
        words: dict[str, str] = {}
        for text in texts:
            word = text.partition("/")[0].strip()
            key = "ip6" if ":" in word else "ip"
            if key in words:
                self.runtime.refuse("ips", f"{text}: a container has one address of each address family")
            words[key] = word
        return words

    def _rates(self) -> dict[str, str]:
        """Return the limits of a container as words: a rate in bits per second, and perhaps a burst in bits."""
        given, words = _folded(self.runtime.fields("bandwidth"), BANDWIDTH), {}
        self.refuse_unknown(given, BANDWIDTH)
        for way in ("ingress", "egress"):
            rate, burst = given.number(f"{way}Rate"), given.number(f"{way}Burst")
            if burst and not rate:
                given.refuse(f"{way}Burst", f"it needs {way}Rate")
            if rate:
                words[f"{way}_rate"] = f"{rate},{burst}" if burst else str(rate)
        return words

    def _aliases(self) -> list[str]:
        """Return the aliases: an array, or, as podman 4 has them, an array for each network."""
        runtime = self.runtime
        if isinstance(runtime.values.get("aliases"), dict):
            return runtime.fields("aliases").texts(self.config.text("name"))
        return runtime.texts("aliases")

    def _ports(self, holder: Fields) -> Iterator[str]:
        """Yield the published ports as words; neighbors are one range, as CNI itself has none."""
        spans: list[tuple[str, int, int, str, int]] = []
        for host, outer, inner, protocol in self._mappings(holder):
            if spans and (host, protocol) == (spans[-1][0], spans[-1][3]):
                _, first, to, _, length = spans[-1]
                if (outer, inner) == (first + length, to + length):
                    spans[-1] = (host, first, to, protocol, length + 1)
                    continue
            spans.append((host, outer, inner, protocol, 1))
        for host, outer, inner, protocol, length in spans:
            ends = (f"-{port + length - 1}" if length > 1 else "" for port in (outer, inner))
            yield f"{host}{outer}{next(ends)}:{inner}{next(ends)}/{protocol}"

    def _mappings(self, holder: Fields) -> Iterator[tuple[str, int, int, str]]:
        for fields in holder.objects("portMappings"):
            mapping = _folded(fields, PORT)
            self.refuse_unknown(mapping, PORT)
            for key in ("hostPort", "containerPort"):
                if not 1 <= (mapping.number(key) or 0) <= 65535:
                    mapping.refuse(key, "it must be a port, from 1 to 65535")
            protocol = mapping.text("protocol").lower() or "tcp"
            if protocol not in PROTOCOLS:
                mapping.refuse("protocol", f"it must be one of {', '.join(PROTOCOLS)}")
            address = _address(mapping, "hostIP")
            host = f"{bracketed(address)}:" if address else ""
            yield host, mapping.number("hostPort") or 0, mapping.number("containerPort") or 0, protocol


def _extend(words: dict[str, Any], word: str, more: Iterable[str]) -> None:
    words[word] = [*words.get(word, ()), *more]


def _folded(fields: Fields, names: Sequence[str]) -> Fields:
    """Return fields under these names, whatever their case is: containerd writes HostPort, as Go does not mind."""
    known = {name.lower(): name for name in names}
    return Fields(
        {known.get(key.lower(), key): value for key, value in fields.values.items()}, fields.path, fields.problems
    )


def _first(network: IPNetwork) -> Address:
    return network[min(1, network.num_addresses - 1)]


def _block(fields: Fields) -> _Block | None:
    network = _network(fields, "subnet")
    gateway, first, last = (_address(fields, key) for key in ("gateway", "rangeStart", "rangeEnd"))
    if network is None:
        return None
    for key, address in (("rangeStart", first), ("rangeEnd", last), ("gateway", gateway)):
        if address and address not in network:
            fields.refuse(key, f"{address} is not in {network}")
    if not (first or last):
        return _Block(network, gateway, "")
    end = -2 if network.version == 4 and network.num_addresses > 2 else -1
    return _Block(network, gateway, f"{first or _first(network)}-{last or network[end]}")


def _network(fields: Fields, key: str) -> IPNetwork | None:
    word = fields.text(key)
    try:
        return ipaddress.ip_network(word)
    except ValueError as error:
        fields.refuse(key, printable(str(error)))
        return None


def _address(fields: Fields, key: str) -> Address | None:
    word = fields.text(key)
    try:
        return ipaddress.ip_address(word) if word else None
    except ValueError as error:
        fields.refuse(key, printable(str(error)))
        return None
