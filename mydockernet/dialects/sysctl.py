"""The dialect of `sysctl`: facts about kernel parameters. Format: sysctl(8), proc_sys_net(5)."""

from collections.abc import Iterable, Sequence

from mydockernet.dialects.fact import Argv, Fact, Observed, Step, inside, place


class Sysctl(Fact):
    """The value of a sysctl. If it belongs to the interface `dev`, it disappears with it.

    `otherwise` is the value that `undo` sets; without one, the value stays.
    """

    key: str
    value: str
    why: str
    dev: str = ""
    otherwise: str = ""

    @property
    def what(self) -> str:
        return f"sysctl: {dotted(self.key)}={self.value}{place(self.netns)}"

    @property
    def difference(self) -> str:
        return f"sysctl {dotted(self.key)}{place(self.netns)} is not {self.value}"

    def within(self) -> str:
        return self.dev

    def sysctls(self, seen: Observed) -> tuple[str, ...]:
        return (self.key,)

    def holds(self, seen: Observed) -> bool:
        return self._pointless(seen) or seen.at(self.netns).sysctls.get(self.key) == self.value

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return () if self._pointless(seen) else (Step(self.why, self._set(self.value)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        if not self.otherwise:
            return ()
        return (Step(f"Reset {dotted(self.key)}.", self._set(self.otherwise)),)

    def _pointless(self, seen: Observed) -> bool:
        """Whether it is about IPv6, in a kernel that has none: there is no such key."""
        return self.key.startswith("net/ipv6/") and not seen.ipv6

    def _set(self, value: str) -> Argv:
        return inside(self.netns, ("sysctl", "-w", f"{dotted(self.key)}={value}"))


class RouterAdvertisements(Fact):
    """Interfaces of the host that depend on router advertisements accept them while IPv6 forwarding is enabled.

    The kernel ignores them then, and deletes the default routes that it has from them, unless accept_ra is 2
    (ip-sysctl.rst of the kernel). An interface with 0 leaves them to a program, such as systemd-networkd.
    """

    @property
    def what(self) -> str:
        return "sysctl: accept_ra=2 on interfaces that depend on router advertisements"

    @property
    def difference(self) -> str:
        return "an interface with a default route from a router advertisement does not accept those: accept_ra is not 2"

    def sysctls(self, seen: Observed) -> tuple[str, ...]:
        return tuple(_accept_ra(link.name) for link in seen.links.values() if link.advertised)

    def holds(self, seen: Observed) -> bool:
        return not self._ignoring(seen)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return tuple(
            Step(
                f"Keep accepting router advertisements on {dev}, which has its default route or its address from them: "
                "with IPv6 forwarding the kernel would ignore them.",
                ("sysctl", "-w", f"{dotted(_accept_ra(dev))}=2"),
            )
            for dev in self._ignoring(seen)
        )

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return ()  # Forwarding stays enabled, too.

    @staticmethod
    def _ignoring(seen: Observed) -> list[str]:
        links = (link.name for link in seen.links.values() if link.advertised)
        return [name for name in links if seen.sysctls.get(_accept_ra(name)) == "1"]


def _accept_ra(dev: str) -> str:
    return f"net/ipv6/conf/{dev}/accept_ra"


_SWAPPED = str.maketrans("/.", "./")


def dotted(key: str) -> str:
    """Return a key in dotted form: net/ipv4/conf/br0.1/forwarding is net.ipv4.conf.br0/1.forwarding."""
    return key.translate(_SWAPPED)


def batch(commands: Sequence[Argv]) -> tuple[Argv, str, tuple[int, ...]]:
    """Combine `sysctl -w` commands into one: argv, no input, no lines. Its errors name the key."""
    return ("sysctl", "-w", *(argv[2] for argv in commands)), "", ()


def foldable(argv: Argv) -> bool:
    """Whether `batch` can combine a command with others."""
    return argv[:2] == ("sysctl", "-w") and len(argv) == 3


def interface(key: str) -> str:
    """Return the interface of a key, as eth0 for net/ipv6/conf/eth0/autoconf; empty if it belongs to none."""
    _, _, kind, name, *_ = *key.split("/"), "", "", ""
    return name if kind in ("conf", "neigh") and name not in ("all", "default") else ""


def read_command(keys: Iterable[str]) -> Argv:
    """Return the command that prints the values of some keys and omits those that do not exist."""
    return ("sysctl", "-e", *map(dotted, keys))


def read(text: str) -> dict[str, str]:
    """Parse its output, lines such as `net.ipv4.ip_forward = 1`: the values by key."""
    lines = (line.partition(" = ") for line in text.split("\n"))
    return {key.translate(_SWAPPED): value.strip() for key, equals, value in lines if equals}
