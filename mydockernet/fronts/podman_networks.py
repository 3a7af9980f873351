"""The networks that podman has on its own record, as far as they are in the way of a new one.

As long as no container uses them, neither the kernel nor the record of mydockernet shows them. podman reads one file
per network (containers-common, libnetwork/netavark) from the directory that containers.conf(5) names.
"""

import contextlib
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mydockernet import documents
from mydockernet.errors import Invalid
from mydockernet.model import Network, Subnet
from mydockernet.validation import interface_problems, name_problems

FOLDER = "/etc/containers/networks"
# Each overrides the one before.
CONFIGS = ("/usr/share/containers/containers.conf", "/etc/containers/containers.conf")
DROP_INS = "/etc/containers/containers.conf.d"
# The network that podman has without a file.
DEFAULT_NAME, DEFAULT_SUBNET, DEFAULT_INTERFACE = "podman", "10.88.0.0/16", "podman0"


def others(environ: Mapping[str, str], name: str) -> dict[str, Network]:
    """Return podman's networks other than the one of this name: their subnets and bridges, in networks of ours.

    What cannot be read is left out, as podman leaves it out.
    """
    settings = _settings(environ)
    default = settings.get("default_network", DEFAULT_NAME)
    found = {default: _network(default, DEFAULT_INTERFACE, [settings.get("default_subnet", DEFAULT_SUBNET)])}
    for path in sorted(Path(settings.get("network_config_dir", FOLDER)).glob("*.json")):
        with contextlib.suppress(OSError, Invalid):
            fields = documents.parse(path.read_bytes())
            subnets = [subnet.text("subnet") for subnet in fields.objects("subnets")]
            found[fields.text("name")] = _network(fields.text("name"), fields.text("network_interface"), subnets)
    return {key: network for key, network in found.items() if key != name}


def _network(name: str, interface: str, subnets: list[str]) -> Network:
    """Return a network of ours with the name, the bridge and the subnets of one of podman's."""
    blocks = []
    for word in subnets:
        with contextlib.suppress(ValueError):
            blocks.append(Subnet(ipaddress.ip_network(word, strict=False), None))
    bridge = "" if interface_problems(interface) else interface
    return Network(
        name="podman" if name_problems(name) else name,
        bridge=bridge,
        subnets=tuple(blocks),
        driver="bridge" if bridge else "ptp",
    )


def _settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the section [network] of containers.conf that are strings."""
    if named := environ.get("CONTAINERS_CONF"):
        paths = [Path(named)]
    else:
        paths = [*map(Path, CONFIGS), *sorted(Path(DROP_INS).glob("*.conf"))]
    if named := environ.get("CONTAINERS_CONF_OVERRIDE"):
        paths.append(Path(named))
    settings: dict[str, Any] = {}
    for path in paths:
        if path.is_file():
            import tomllib  # It takes long to load, and most hosts have no such file.

            with contextlib.suppress(OSError, ValueError):
                section = tomllib.loads(path.read_text()).get("network")
                settings |= section if isinstance(section, dict) else {}
    return {key: value for key, value in settings.items() if isinstance(value, str) and value}
