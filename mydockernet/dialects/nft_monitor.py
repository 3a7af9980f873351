"""The changes of nftables, which are also those of iptables-nft, as the kernel announces them to its listeners.

`nft monitor` prints the same, but that of nftables 1.0.6 ends when an element with a range of several parts is deleted,
such as a published port, and it leaves out the comments of iptables, by which mydockernet knows its rules.
Formats: netlink(7), include/uapi/linux/netfilter/nf_tables.h of Linux.
"""

import re
import struct
from collections.abc import Iterator

from mydockernet.dialects.fact import TAG, marked
from mydockernet.value import Value

# netlink(7): the family, and its group of listeners. They need CAP_NET_ADMIN.
NETLINK_NETFILTER, NFNLGRP_NFTABLES = 12, 7
_NFTABLES = 10  # The subsystem, in the upper byte of a type.
# Types: what is told, and whether it was added. A chain or a table is deleted with its rules, which are told as well.
_TOLD = {6: ("rule", True), 8: ("rule", False), 12: ("element", True), 14: ("element", False)}
_GENERATION = 15
# Attributes. Those of rules and elements begin alike: the table, and the chain or the set.
_TABLE, _PLACE = 1, 2
_PROCESS_ID, _PROCESS_NAME = 2, 3
_ATTRIBUTE_TYPE = 0x3FFF
_FAMILIES = {1: "inet", 2: "ip", 5: "netdev", 7: "bridge", 10: "ip6"}
_COMMENT = re.compile(rb"mydockernet:[\w.@-]+")


class RuleChange(Value):
    """A rule, or an element of a set, that was added or deleted: its place, and the marks in its comments."""

    kind: str
    added: bool
    place: str
    owners: frozenset[str]


class Generation(Value):
    """The end of a transaction, and the process that made it. The kernel cuts its name after 15 characters."""

    process: str
    pid: int


def read(datagram: bytes) -> Iterator[RuleChange | Generation]:
    """Yield the changes in what the kernel sent; what is malformed or of another kind is left out."""
    place = 0
    while place + 20 <= len(datagram):
        length, kind = struct.unpack_from("=IH", datagram, place)
        if length < 20 or place + length > len(datagram):
            return
        if kind >> 8 == _NFTABLES:
            yield from _change(kind & 0xFF, datagram[place + 16], datagram[place + 20 : place + length])
        place += -(-length // 4) * 4


def _change(kind: int, family: int, body: bytes) -> Iterator[RuleChange | Generation]:
    attributes = dict(_attributes(body))
    if kind == _GENERATION:
        pid = attributes.get(_PROCESS_ID, b"")
        yield Generation(_text(attributes.get(_PROCESS_NAME, b"")), int.from_bytes(pid, "big"))
    elif kind in _TOLD:
        what, added = _TOLD[kind]
        where = (_FAMILIES.get(family, str(family)), *(_text(attributes.get(key, b"")) for key in (_TABLE, _PLACE)))
        marks = {found.decode() for found in _COMMENT.findall(body)}
        owners = frozenset(mark.removeprefix(TAG) for mark in marks if marked(mark))
        yield RuleChange(what, added, " ".join(where), owners)


def _attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the value of each attribute (netlink(7), struct nlattr)."""
    place = 0
    while place + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, place)
        if length < 4:
            return
        yield kind & _ATTRIBUTE_TYPE, body[place + 4 : place + length]
        place += -(-length // 4) * 4


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode("utf-8", "replace")
