"""Where the packets of a network or a container can be captured, and the command of tcpdump(1) for that. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mydockernet.dialects.fact import Argv
from mydockernet.errors import Invalid, NotFound, quoted
from mydockernet.model import Endpoint, Namespace, Network, attached
from mydockernet.value import Value

PROGRAM = "tcpdump"
# The options of tcpdump 4.99 as getopt(3) has them, to tell them from the filter that follows.
_SHORT = "aAB:c:C:dDeE:fF:G:hHi:IjJ:KlLm:M:nNOpqQ:r:s:StT:uUvV:w:W:xXy:Yz:Z:#"
_LONG = (
    "absolute-tcp-sequence-numbers",
    "buffer-size=",
    "count",
    "debug-filter-types",
    "direction=",
    "dont-verify-checksums",
    "help",
    "immediate-mode",
    "interface=",
    "linktype=",
    "list-data-link-types",
    "list-interfaces",
    "micro",
    "monitor-mode",
    "nano",
    "no-optimize",
    "no-promiscuous-mode",
    "number",
    "print",
    "relinquish-privileges=",
    "snapshot-length=",
    "time-stamp-precision=",
    "time-stamp-type=",
    "version",
)


class Tap(Value):
    """Where to capture: an interface, of a container or of the host, and a filter, which may be empty.

    `note` says what a user might not expect of it.
    """

    namespace: Namespace | None
    interface: str
    filter: str = ""
    note: str = ""

    def command(self, words: Sequence[str]) -> Argv:
        """Return the command, given the options of tcpdump and its filter, which is added to that of this tap.

        Raises Invalid for options that tcpdump does not have, if they matter.
        """
        first = (PROGRAM, "-i", self.interface)
        if not self.filter:
            return (*first, *words)
        options, own = _split(words)
        return (*first, *options, f"({self.filter}) and ({' '.join(own)})" if own else self.filter)


def of_container(network: Network, endpoint: Endpoint, on_host: bool) -> Tap:
    """Return where to capture what a container sends and receives: inside, or at its end on the host.

    Raises NotFound for a container that is not there, and Invalid if it has no such end.
    """
    if endpoint.detached:
        raise NotFound(f"container {quoted(endpoint.name)} is detached: it has no network namespace now")
    if not on_host:
        return Tap(endpoint.namespace, endpoint.interface)
    if not endpoint.veth:
        raise Invalid(f"--host: on a {network.driver} network, a container has no interface on the host")
    return Tap(None, endpoint.veth)


def of_network(network: Network) -> Tap:
    """Return where to capture what all containers of a network send and receive. Raises NotFound if there are none."""
    if network.bridge:
        return Tap(None, network.bridge)
    subnets = " or ".join(f"net {subnet.network}" for subnet in network.subnets)
    if network.parent:
        note = f"what containers on {quoted(network.name)} send to each other does not pass {network.parent}"
        return Tap(None, network.parent, subnets, note)
    ends = [endpoint.veth for _, endpoint in attached([network])]
    if not ends:
        raise NotFound(f"no container is on network {quoted(network.name)}, which has no bridge")
    if len(ends) == 1:
        return Tap(None, ends[0])
    return Tap(None, "any", subnets, f"network {quoted(network.name)} has no bridge: capturing on all interfaces")


def _split(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the options of tcpdump, and the words of its filter. Raises Invalid for options that it does not have."""
    import getopt

    try:
        given, rest = getopt.gnu_getopt(list(words), _SHORT, _LONG)
    except getopt.GetoptError as error:
        raise Invalid(f"{PROGRAM}: {error}") from None
    options: list[str] = []
    for option, value in given:
        options += [f"{option}={value}"] if value and option.startswith("--") else filter(None, [option, value])
    return options, rest
