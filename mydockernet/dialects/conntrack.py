"""The dialect of `conntrack`: how to end the flows that rules let in or translate.

Format: conntrack(8).
"""

import itertools
from collections.abc import Iterable

from mydockernet.dialects.fact import Argv
from mydockernet.model import PortMapping

CONNTRACK = "conntrack"
PORT_OF_A_FLOW = ("--orig-port-dst", "--dport")


def forget(family: int, *of_flow: str) -> Argv:
    """Return the command that ends flows of a family (4 or 6)."""
    return (CONNTRACK, "-D", *of_flow, *(("-f", "ipv6") if family == 6 else ()))


def translated(family: int, mapping: PortMapping, ports: Iterable[int], *source: str) -> tuple[Argv, ...]:
    """Return the commands that end flows to some published host ports of a mapping, from anywhere or from a source."""
    on = ("--orig-dst", str(mapping.only_ip)) if mapping.only_ip else ()
    each = (("-p", mapping.protocol, "--orig-port-dst", str(port), *on, *source) for port in ports)
    return tuple(forget(family, *of_flow) for of_flow in each)


def listing(search: Argv) -> Argv:
    """Return the command that lists all flows of the protocol and family that a search is about."""
    return (
        CONNTRACK,
        "-L",
        *(word for option, value in _options(search) if option in ("-p", "-f") for word in (option, value)),
    )


def may_find(search: Argv, listed: str) -> bool:
    """Whether a search can find one of the flows that its listing shows."""
    ports = [value for option, value in _options(search) if option in PORT_OF_A_FLOW]
    return not ports or any(f" dport={port} " in listed for port in ports)


def _options(argv: Argv) -> list[tuple[str, str]]:
    return [(option, value) for option, value in itertools.pairwise(argv) if option.startswith("-")]
