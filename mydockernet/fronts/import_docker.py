"""The output of `docker network inspect` → a file for `apply`.

https://docs.docker.com/reference/api/engine: NetworkInspect. Published ports are not in it. Pure.
"""

from __future__ import annotations

from mydockernet import documents, validation
from mydockernet.documents import Fields
from mydockernet.errors import quoted
from mydockernet.fronts.manifest_draft import Draft
from mydockernet.fronts.manifest_format import Document
from mydockernet.wishes import ConnectWords, CreateWords

# Docker's own networks, which it creates itself.
OWN = ("bridge", "host", "none")
# What says what a network of docker is, or how docker made it, and nothing that a network of mydockernet could be.
MEANINGLESS = {
    "com.docker.network.bridge.default_bridge": "false",
    "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
    "com.docker.network.enable_ipv4": "true",
}


def read(raw: bytes) -> Document:
    """Return the networks, and the containers on them. Raises Invalid if it is not JSON, or not of this shape."""
    draft = Draft()
    found = documents.parse_all(raw)
    for fields in found:
        _network(fields, draft)
    for fields in found:
        fields.check()
    draft.note_containers("docker")
    return draft.document()


def _network(fields: Fields, draft: Draft) -> None:
    name, driver = fields.text("Name"), fields.text("Driver", "bridge")
    what = f"network {quoted(name)}"
    if name in OWN:
        draft.note(what, "left out: it is docker's own")
        return
    if driver not in validation.DRIVERS or fields.text("Scope", "local") != "local":
        draft.note(
            what, f"left out: the driver {driver} of the scope {fields.text('Scope', 'local')} has no equivalent"
        )
        return
    for key in ("Ingress", "ConfigOnly"):
        if fields.switch(key):
            draft.note(what, f"left out: {key} is true, which has no equivalent")
            return
    options = dict(fields.pairs("Options"))
    words = CreateWords(name=name, driver=driver, internal=fields.switch("Internal"))
    words.opt = [f"{key}={value}" for key, value in options.items() if MEANINGLESS.get(key) != value]
    words.label = [f"{key}={value}" for key, value in fields.pairs("Labels")]
    _addresses(fields.fields("IPAM"), words, draft, what)
    has_ipv6 = any(":" in subnet for subnet in words.subnet)
    words.ipv6 = fields.switch("EnableIPv6") and not has_ipv6
    if not fields.switch("EnableIPv4", default=True) and not has_ipv6:
        words.subnet, words.ipv6 = ["::/64"], False
    if draft.network(words):
        for _, container in fields.members("Containers"):
            _container(container, name, draft)


def _addresses(ipam: Fields, words: CreateWords, draft: Draft, what: str) -> None:
    driver = ipam.text("Driver", "default")
    if driver == "null":
        words.no_subnet = True
    elif driver != "default":
        draft.note(what, f"left out: the IPAM driver {driver} has no equivalent")
    for key, value in ipam.pairs("Options"):
        draft.note(what, f"left out: the IPAM option {key}={value} has no equivalent")
    subnets, gateways, ranges, reserved = [], [], [], []
    for config in ipam.objects("Config"):
        subnets += [text for text in (config.text("Subnet"),) if text]
        # Old versions write its prefix length, too.
        gateways += [text.partition("/")[0] for text in (config.text("Gateway"),) if text]
        ranges += [text for text in (config.text("IPRange"),) if text]
        reserved += [f"{name}={address}" for name, address in config.pairs("AuxiliaryAddresses")]
    words.subnet, words.gateway, words.ip_range, words.reserve = subnets, gateways, ranges, reserved


def _container(fields: Fields, network: str, draft: Draft) -> None:
    words = ConnectWords()
    words.ip = fields.text("IPv4Address").partition("/")[0] or None
    words.ip6 = fields.text("IPv6Address").partition("/")[0] or None
    words.mac = fields.text("MacAddress") or None
    draft.connection(fields.text("Name"), network, words)
