"""What is wrong with a name, a MAC address, an MTU, …: each function returns a message per problem.

A message begins with the option that the value came from.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

from mydockernet import drivers
from mydockernet.errors import quoted

MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}")
INTERFACE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}")
# RFC 1123 2.1, and the underscores that docker allows in aliases.
HOST_PART = "[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?"
HOST_NAME_MAX = 64  # gethostname(2), on Linux.
DRIVERS = tuple(drivers.MODULES)
# /proc/sys/net/*/conf has directories of these names, so the kernel refuses interfaces that are called so.
SYSCTL_NAMES = ("all", "default")
MTU_MIN, MTU_MAX = 68, 65535
FIREWALLS = ("iptables", "nftables")
GATEWAY_MODES = ("nat", "routed")
# No mode of its own, but --internal and --no-gateway together.
ISOLATED = "isolated"


def name_problems(name: str, option: str = "NAME") -> list[str]:
    """Return the problems of the name of a network or an endpoint; none if it is valid."""
    if NAME.fullmatch(name):
        return []
    return [f"{option}: invalid name {quoted(name)}: use a letter or digit, then letters, digits, _ . -, at most 64"]


def interface_problems(name: str, option: str = "--bridge-name") -> list[str]:
    """Return the problems of the name of an interface. The limit of 15 is the kernel's IFNAMSIZ less the final NUL."""
    if not INTERFACE.fullmatch(name):
        rule = "use a letter or digit, then letters, digits, _ . -, at most 15"
        return [f"{option}: invalid interface name {quoted(name)}: {rule}"]
    if name in SYSCTL_NAMES:
        return [f"{option}: the kernel reserves the name {quoted(name)}"]
    return []


def mac_problems(mac: str) -> list[str]:
    """Return the problems of a MAC address in lower case. It must be unicast (IEEE 802)."""
    if MAC.fullmatch(mac) and not int(mac[:2], 16) & 1 and mac != "00:00:00:00:00:00":
        return []
    return [f"--mac: invalid MAC address {quoted(mac)}: use a unicast address, such as 02:42:0a:01:00:02"]


def mtu_problems(mtu: int | None, option: str = "--mtu") -> list[str]:
    """Return the problems of an MTU in bytes; None leaves it to the kernel."""
    if mtu is None or MTU_MIN <= mtu <= MTU_MAX:
        return []
    return [f"{option}: {mtu} is out of range: use {MTU_MIN} to {MTU_MAX}"]


def gateway_mode_problems(mode: str) -> list[str]:
    """Return the problems of a gateway mode."""
    if mode in GATEWAY_MODES:
        return []
    return [f"--gateway-mode: unknown mode {quoted(mode)}: use {', '.join((*GATEWAY_MODES, ISOLATED))}"]


def firewall_problems(name: str, source: str = "--firewall") -> list[str]:
    """Return a message if a firewall, named by an option or a variable, is unknown."""
    return [] if name in FIREWALLS else [f"{source}: {quoted(name)} is unknown: use {' or '.join(FIREWALLS)}"]


def rule_problems(words: Sequence[str]) -> list[str]:
    """Return a message for each word of a rule of the admin that no command can take."""
    return [f"RULE: {quoted(word)} is no word of a rule" for word in words if not word or not word.isprintable()]


def driver_problems(driver: str) -> list[str]:
    """Return the problems of the name of a driver."""
    if driver in DRIVERS:
        return []
    return [f"--driver: unknown driver {quoted(driver)}: use {', '.join(DRIVERS)}"]


def host_problems(name: str, option: str, longest: int = 253) -> list[str]:
    """Return the problems of a host name."""
    if len(name) <= longest and re.fullmatch(rf"{HOST_PART}(?:\.{HOST_PART})*", name):
        return []
    rule = f"use letters, digits, - and _, in parts joined by dots, at most {longest} in all and 63 in a part"
    return [f"{option}: invalid host name {quoted(name)}: {rule}"]


def dns_problems(address: IPv4Address | IPv6Address) -> list[str]:
    """Return the problems of the address of a name server."""
    if address.is_unspecified or address.is_multicast:
        return [f"--dns: {address} cannot be the address of a name server"]
    return []


def label_problems(key: str, value: str) -> list[str]:
    """Return the problems of a label. Control characters are refused, as they could control a terminal."""
    if key and (key + value).isprintable():
        return []
    return [f"--label: invalid label {quoted(f'{key}={value}')}: it needs a key, and printable characters only"]
