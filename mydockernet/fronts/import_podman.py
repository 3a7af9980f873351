"""The output of `podman network inspect`, or a file of /etc/containers/networks → a file for `apply`.

podman-network-inspect(1); the files have the same fields (containers-common, libnetwork/types). Pure.
"""

from __future__ import annotations

from mydockernet import documents, validation
from mydockernet.documents import Fields
from mydockernet.errors import quoted
from mydockernet.fronts import netavark
from mydockernet.fronts.manifest_draft import Draft
from mydockernet.fronts.manifest_format import Document
from mydockernet.wishes import ConnectWords

# The driver of networks that podman keeps with mydockernet itself.
OURS = "mydockernet"


def read(raw: bytes) -> Document:
    """Return the networks, and the containers on them. Raises Invalid if it is not JSON, or not of this shape."""
    draft = Draft()
    for fields in documents.parse_all(raw):
        _network(fields, draft)
    draft.note_containers("podman")
    return draft.document()


def _network(fields: Fields, draft: Draft) -> None:
    """Add a network. What is wrong with its fields is noted, as what has no equivalent is."""
    name, driver = fields.text("name"), fields.text("driver", "bridge")
    what = f"network {quoted(name)}"
    if driver not in (*validation.DRIVERS, OURS):
        draft.note(what, f"left out: the driver {driver} has no equivalent")
        return
    options = dict(fields.pairs("options"))
    if driver != OURS:
        options[netavark.DRIVER] = driver
    values = {key: value for key, value in fields.values.items() if key not in ("containers", "dns_enabled")}
    network = Fields({**values, "options": options}, "", fields.problems)
    words = netavark.create_words(network)
    words.ipv6 = network.switch("ipv6_enabled") and not any(":" in subnet for subnet in words.subnet)
    if fields.switch("dns_enabled"):
        draft.note(what, "left out: dns_enabled, as mydockernet serves no names")
    known = draft.network(words)
    for _, container in fields.members("containers") if known else ():
        _container(container, name, draft)
    for problem in dict.fromkeys(fields.problems):
        draft.note(what, f"left out: {problem}")


def _container(fields: Fields, network: str, draft: Draft) -> None:
    for interface, details in fields.members("interfaces"):
        words = ConnectWords(ifname=interface, mac=details.text("mac_address") or None)
        for subnet in details.objects("subnets"):
            address = subnet.text("ipnet").partition("/")[0]
            setattr(words, "ip6" if ":" in address else "ip", address)
        draft.connection(fields.text("name"), network, words)
