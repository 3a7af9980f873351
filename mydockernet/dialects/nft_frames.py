"""The dialect of `nft`: a rule about the bridged frames of all networks without IPv6, which ebtables has no match for.

Format: nft(8), libnftables-json(5).

    bridge PREROUTING ── from a port in the group of its bridge, IPv6 or nested VLANs ── DROP
"""

import json

from mydockernet.dialects.fact import GROUP, GROUP_APART, GROUP_INTERNAL, SHARED, Argv, Fact, Observed, Step, tag

TABLE = "bridge mydockernet"
READ: Argv = ("nft", "-j", "list", "table", *TABLE.split())

_GROUPS = (GROUP, GROUP_INTERNAL, GROUP_APART)
# IPv6 in a frame with two VLAN tags of number 0 reaches a container like IPv6 in a plain frame.
_PROTOCOLS = ("8021ad", "8021q", "ip6")
_CHAIN = (
    "chain ports { type filter hook prerouting priority -300; policy accept; "
    f"meta iifgroup {{ {', '.join(_GROUPS)} }} meta protocol {{ {', '.join(_PROTOCOLS)} }} drop "
    f'comment "{tag(SHARED)}"; }}'
)
THERE = f"filter prerouting -300 accept; iifgroup {' '.join(_GROUPS)} == protocol {' '.join(_PROTOCOLS)} == drop"


class NoIPv6(Fact):
    """The rule by which containers of networks without IPv6 cannot send IPv6 to each other.

    Their own root could enable it in them. Its commands have the same result whether the table exists or not.
    """

    @property
    def what(self) -> str:
        return f"nftables table: {TABLE}"

    @property
    def difference(self) -> str:
        return f"nftables table {TABLE} is missing or has changed"

    def bridged(self) -> bool:
        return True

    def holds(self, seen: Observed) -> bool:
        # In a kernel without IPv6 a container cannot enable it.
        return not seen.ipv6 or seen.bridged == THERE

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = (
            "Drop IPv6 frames from containers of networks without IPv6: a container's root can enable IPv6 inside, and "
            "no other rule filters what it sends to its neighbors. It is one transaction, whether the table exists or "
            "not."
        )
        return (Step(why, ("nft", f"add table {TABLE}; delete table {TABLE}; add table {TABLE} {{ {_CHAIN}; }}")),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = "Delete that table: there is no network without IPv6 any more."
        return (Step(why, ("nft", f"add table {TABLE}; delete table {TABLE}")),)


def read(text: str) -> str:
    """Parse the output of READ into a short form, which is THERE if the table is as it must be; empty if there is none.

    Anything unknown makes a form that differs from THERE.
    """
    try:
        objects = [each for each in json.loads(text or "{}").get("nftables", ()) if "metainfo" not in each]
        return "; ".join(_short(each) for each in objects if "table" not in each)
    except (ValueError, AttributeError, TypeError, KeyError):
        return "malformed"


def _short(each: dict) -> str:  # type: ignore[type-arg]
    if "chain" in each:
        chain = each["chain"]
        return " ".join(str(chain.get(key)) for key in ("type", "hook", "prio", "policy"))
    words: list[str] = []
    for part in each["rule"]["expr"]:
        if match := part.get("match"):
            words += [match["left"]["meta"]["key"], *sorted(map(str, match["right"]["set"])), match["op"]]
        else:
            words += part
    return " ".join(words)
