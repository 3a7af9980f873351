"""The dialect of `ebtables`: the frames that a container may send into its bridge, in one chain per port.

Formats: ebtables(8), ebtables-save of iptables 1.8. The kernel evaluates the rules when a frame enters the bridge,
before it learns their MAC address, before the host sees their ARP, and before br_netfilter shows them to iptables:

    nat PREROUTING ── -i VETH ─► MYDOCKERNET-VETH ─┬─ ARP from the container's own MAC and IP address   RETURN
                                                   ├─ IPv4 from them                                    RETURN
                                                   ├─ IPv6 from them, or from its link-local address    RETURN
                                                   └─ anything else                                     DROP
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from ipaddress import IPv6Address

from mydockernet.dialects.fact import Argv, Fact, Observed, Step
from mydockernet.errors import Failed
from mydockernet.model import Address

READ_FRAMES: Argv = ("ebtables-save",)
OWN = "MYDOCKERNET-"
PREROUTING = "PREROUTING"
BROADCAST = "Broadcast"

FrameRule = frozenset[tuple[str, str]]


class PortFilter(Fact):
    """The chain of a bridge port. With a `gateway_mac`, it allows frames only to the host, not to other ports.

    `gateways` are the addresses that the container may then look for.
    """

    veth: str
    endpoint: str
    mac: str
    addresses: tuple[Address, ...]
    gateway_mac: str | None = None
    gateways: tuple[Address, ...] = ()

    @property
    def what(self) -> str:
        return f"ebtables chain: {self._chain}"

    @property
    def difference(self) -> str:
        return f"ebtables chain {self._chain} of {self.endpoint} is missing or has changed"

    def holds(self, seen: Observed) -> bool:
        return self._chain in seen.frames and not self._wrong(seen)

    def frames(self) -> bool:
        return True

    def slot(self) -> str:
        return self._chain

    def do(self, seen: Observed) -> tuple[Step, ...]:
        first, *rest = self._rules
        return (
            *(self.undo(seen) if self._chain in seen.frames else ()),
            Step(
                f"Create a chain for the frames that {self.endpoint} sends: it drops those that no rule returns.",
                _command("-N", self._chain, "-P", "DROP"),
            ),
            *(Step(why, _command("-A", self._chain, *words)) for words, why in (first, *rest)),
            Step(
                "Check every frame that enters the bridge by this port.",
                _command("-I", PREROUTING, *self._jump),
            ),
        )

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return _remove(seen, self._chain, self._jump)

    def _wrong(self, seen: Observed) -> bool:
        """Whether its rules, or the place of the jump to it, differ from what they must be."""
        before = seen.frames.get(PREROUTING, ())[1:]
        wanted = (("-P", "DROP"), *(words for words, _ in self._rules))
        jump = _spec(self._jump)
        ours = before[: before.index(jump)] if jump in before else before
        return (
            seen.frames[self._chain] != tuple(map(_spec, wanted))
            or before.count(jump) != 1
            or any(not _target(rule).startswith(OWN) for rule in ours)
        )

    @property
    def _chain(self) -> str:
        return OWN + self.veth

    @property
    def _jump(self) -> Argv:
        return ("-i", self.veth, "-j", self._chain)

    @property
    def _rules(self) -> tuple[tuple[Argv, str], ...]:
        to_host: tuple[Argv, ...] = (("-d", self.gateway_mac),) if self.gateway_mac else ((),)
        to_all: tuple[Argv, ...] = (*to_host, ("-d", BROADCAST)) if self.gateway_mac else ((),)
        only = ", to the host only" if self.gateway_mac else ""
        own_mac, v4 = ("-s", self.mac), [str(address) for address in self.addresses if address.version == 4]
        return (
            *(
                (
                    ("-p", "ARP", *own_mac, *to, "--arp-ip-src", ip, "--arp-mac-src", self.mac, "-j", "RETURN"),
                    "Allow ARP with its own MAC and IP address.",
                )
                for ip in v4
                for to in to_all
            ),
            *(
                (
                    ("-p", "IPv4", *own_mac, *to, "--ip-src", ip, "-j", "RETURN"),
                    f"Allow IPv4 from its own MAC and IP address{only}.",
                )
                for ip in v4
                for to in to_host
            ),
            *self._ipv6(to_host, only),
        )

    def _ipv6(self, to_host: tuple[Argv, ...], only: str) -> Iterator[tuple[Argv, str]]:
        """Yield the rules for IPv6. It has no ARP: a container looks for the host by a neighbor solicitation."""
        own_mac, v6 = ("-p", "IPv6", "-s", self.mac), [a for a in self.addresses if a.version == 6]
        solicits = ("--ip6-proto", "ipv6-icmp", "--ip6-icmp-type", "neighbour-solicitation")
        groups = [_solicited(gateway) for gateway in self.gateways if gateway.version == 6 and self.gateway_mac]
        for address in (*v6, link_local(self.mac)) if v6 else ():
            source = ("--ip6-src", str(address))
            for to in to_host:
                why = f"Allow IPv6 from its own MAC and IP address{only}."
                yield (*own_mac, *to, *source, "-j", "RETURN"), why
            for group in groups:
                why = "Allow it to ask for the MAC address of its gateway."
                yield (*own_mac, "-d", group, *source, *solicits, "-j", "RETURN"), why


def link_local(mac: str) -> IPv6Address:
    """Return the link-local address that the kernel derives from a MAC address (RFC 4291, appendix A)."""
    packed = bytes.fromhex(mac.replace(":", ""))
    return IPv6Address(b"\xfe\x80" + bytes(6) + bytes([packed[0] ^ 2]) + packed[1:3] + b"\xff\xfe" + packed[3:])


def _solicited(address: Address) -> str:
    """Return the MAC address of the group that asks for the holder of an address (RFC 4291, 2.7.1; RFC 2464, 7)."""
    return ":".join(("33", "33", "ff", *(f"{byte:02x}" for byte in address.packed[-3:])))


class StrayFilter(Fact):
    """A chain for a port that is gone and that no network needs."""

    chain: str

    @property
    def what(self) -> str:
        return f"ebtables chain: {self.chain}"

    def holds(self, seen: Observed) -> bool:
        return True  # It was found by observation.

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return ()

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return _remove(seen, self.chain, ("-i", self.chain.removeprefix(OWN), "-j", self.chain))


def strays(seen: Observed, known: Iterable[Fact], going: Collection[str]) -> Iterator[StrayFilter]:
    """Yield the chains whose interface is gone, or is being deleted, except those of the known facts."""
    there = {*seen.links} - {*going}
    kept = {fact._chain for fact in known if isinstance(fact, PortFilter)}
    for chain in seen.frames:
        if chain.startswith(OWN) and chain not in kept and chain.removeprefix(OWN) not in there:
            yield StrayFilter(chain)


def batch(commands: Sequence[Argv]) -> tuple[Argv, str, tuple[int, ...]]:
    """Combine commands into one `ebtables-restore --noflush`.

    Returns its argv, its input, and for each line of the input the index of its command.
    """
    lines = ["*nat", *(" ".join(argv[3:]) for argv in commands)]
    return ("ebtables-restore", "--noflush"), "\n".join(lines) + "\n", (0, *range(len(commands)))


def foldable(argv: Argv) -> bool:
    """Whether `batch` can combine a command with others."""
    return argv[:3] == ("ebtables", "-t", "nat") and not any(c in word for word in argv for c in "#\"'\\ \t\n")


def read_frames(text: str) -> dict[str, tuple[FrameRule, ...]]:
    """Parse the output of READ_FRAMES: the policy and the rules of each chain of the nat table, in order.

    Raises Failed.
    """
    chains: dict[str, list[FrameRule]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif table == "nat" and line.startswith(":"):
            chain, policy = line[1:].split()
            chains[chain] = [_spec(("-P", policy))]
        elif table == "nat" and line.startswith("-A "):
            _, chain, *words = line.split()
            if chain not in chains:
                raise Failed(f"cannot parse this line of ebtables-save: {line!r}")
            chains[chain].append(_spec(words))
    return {chain: tuple(rules) for chain, rules in chains.items()}


def _spec(words: Iterable[str]) -> FrameRule:
    """Return a rule in a form that ignores the order of its options and the spelling of its MAC addresses."""
    pairs: dict[str, str] = {}
    option = ""
    for word in words:
        if word.startswith("-"):
            option = word
            pairs[option] = ""
        else:
            pairs[option] = f"{pairs.get(option, '')} {_spelled(word)}".strip()
    return frozenset(pairs.items())


def _spelled(word: str) -> str:
    if word.lower() == "ff:ff:ff:ff:ff:ff":
        return BROADCAST
    return re.sub(r"\b0(?=[0-9a-f])", "", word.lower()) if word.count(":") == 5 else word


def _target(rule: FrameRule) -> str:
    return dict(rule).get("-j", "")


def _remove(seen: Observed, chain: str, jump: Argv) -> tuple[Step, ...]:
    # A chain that does not exist yet, as in the dry run of `run`, will have one jump.
    jumps = seen.frames.get(PREROUTING, ()).count(_spec(jump)) if chain in seen.frames else 1
    return (
        *(Step("Stop checking the frames of this port.", _command("-D", PREROUTING, *jump)) for _ in range(jumps)),
        Step("Flush the chain of the port.", _command("-F", chain)),
        Step("Delete the chain of the port.", _command("-X", chain)),
    )


def _command(*words: str) -> Argv:
    return ("ebtables", "-t", "nat", *words)
