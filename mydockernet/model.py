"""The values that an admin asks for: Network and what it holds. Frozen, validated at construction.

Knows nothing of the kernel, of files, or of how words become values.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from mydockernet.errors import Invalid

Address = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}")
INTERFACE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}")
DRIVERS = ("bridge",)
# /proc/sys/net/*/conf has folders of these names, so the kernel refuses them to an interface.
SYSCTL_NAMES = ("all", "default")
MTU_MIN, MTU_MAX = 68, 65535


@dataclass(frozen=True, slots=True)
class AddressRange:
    """Addresses from first to last, both included, of one family."""

    first: Address
    last: Address

    def __contains__(self, address: Address) -> bool:
        return address.version == self.first.version and int(self.first) <= int(address) <= int(self.last)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Reservation:
    """An address that is never handed out, with the name of the thing that has it, or an empty one."""

    address: Address
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name}={self.address}" if self.name else str(self.address)


@dataclass(frozen=True, slots=True)
class Subnet:
    """One range of a network's addresses, its gateway, and what automatic choice is to keep to."""

    network: IPNetwork
    gateway: Address
    ranges: tuple[AddressRange, ...] = ()
    reserved: tuple[Reservation, ...] = ()

    @property
    def family(self) -> int:
        """4 or 6."""
        return self.network.version

    @property
    def gateway_interface(self) -> str:
        """The gateway with the subnet's prefix length, as `ip addr add` takes it: 10.1.0.1/24."""
        return f"{self.gateway}/{self.network.prefixlen}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container's place on a network, and the addresses that it holds there."""

    name: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """A network as the admin asked for it; what was left open has been chosen.

    Raises Invalid, with every problem, where a value can't be.
    """

    name: str
    bridge: str
    subnets: tuple[Subnet, ...]
    driver: str = "bridge"
    internal: bool = False
    icc: bool = True
    masquerade: bool = True
    mtu: int | None = None
    labels: tuple[tuple[str, str], ...] = ()
    endpoints: tuple[Endpoint, ...] = ()

    def __post_init__(self) -> None:
        problems = [
            *name_problems(self.name),
            *interface_problems(self.bridge),
            *mtu_problems(self.mtu),
            *driver_problems(self.driver),
        ]
        for subnet in self.subnets:
            if subnet.gateway not in subnet.network:
                problems.append(f"--gateway: {subnet.gateway} is not in {subnet.network}")
        if problems:
            raise Invalid(*problems)


def name_problems(name: str) -> list[str]:
    """What is wrong with a network's name; nothing, for a good one."""
    if NAME.fullmatch(name):
        return []
    return [f"NAME: {name!r} is not a network name: a letter or digit, then letters, digits, _ . -, at most 64"]


def interface_problems(name: str) -> list[str]:
    """What is wrong with the name of a bridge. The bound of 15 is the kernel's IFNAMSIZ less its NUL."""
    if not INTERFACE.fullmatch(name):
        return [
            f"--bridge-name: {name!r} is not an interface name: a letter or digit, then letters, digits, _ . -, "
            "at most 15"
        ]
    if name in SYSCTL_NAMES:
        return [f"--bridge-name: the kernel keeps the name {name!r} for itself"]
    return []


def mtu_problems(mtu: int | None) -> list[str]:
    """What is wrong with an MTU, in bytes; None leaves it to the kernel."""
    if mtu is None or MTU_MIN <= mtu <= MTU_MAX:
        return []
    return [f"--mtu: {mtu} is not from {MTU_MIN} to {MTU_MAX}"]


def driver_problems(driver: str) -> list[str]:
    """What is wrong with the name of a driver."""
    if driver in DRIVERS:
        return []
    return [f"--driver: {driver!r} is not known; there is: {', '.join(DRIVERS)}"]


def label_problems(key: str, value: str) -> list[str]:
    """What is wrong with a label; control characters could play tricks with a terminal."""
    if key and (key + value).isprintable():
        return []
    return [f"--label: {f'{key}={value}'!r} needs a key, and printable characters only"]
