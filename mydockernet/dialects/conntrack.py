"""The dialect of `conntrack`: how to end the flows that rules let in or translate.

Format: conntrack(8).
"""

import itertools

from mydockernet.dialects.fact import Argv

CONNTRACK = "conntrack"
PORT_OF_A_FLOW = ("--orig-port-dst", "--dport")


def forget(family: int, *of_flow: str) -> Argv:
    """Return the command that ends flows of a family (4 or 6)."""
    return (CONNTRACK, "-D", *of_flow, *(("-f", "ipv6") if family == 6 else ()))


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
