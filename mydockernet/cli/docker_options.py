"""The options of `docker network` and `podman network` that mean the same as one of mydockernet's: all in one place.

An option with no counterpart is not here: it is an unknown option. The keys of --opt are in option_keys.py.
"""

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Another name, and the attribute of the option that it names.
CREATE = {"--aux-address": "reserve", "--interface-name": "bridge_name"}
CONNECT = {"--mac-address": "mac", "--network-alias": "alias"}
APPENDED = {"alias", "reserve"}

# Options that ask for what every network here is, with the values that do; a flag has none.
GRANTED = {
    "--attachable": (),
    "--disable-dns": (),
    "--ipv4": (),
    "--scope": ("local",),
}


def create_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of docker and podman for `create`. Only --opt is shown in the help."""
    _other_names(parser, CREATE)
    parser.add_argument("--ipam-driver", choices=("default", "host-local", "none"), help=argparse.SUPPRESS)
    for option, values in GRANTED.items():
        if values:
            parser.add_argument(option, choices=values, help=argparse.SUPPRESS)
        else:
            parser.add_argument(option, action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "-o",
        "--opt",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="Option by its key in docker or podman, such as com.docker.network.driver.mtu=1400 for --mtu 1400",
    )


def connect_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of docker and podman for `connect`, which the help does not show."""
    _other_names(parser, CONNECT)


def _other_names(parser: argparse.ArgumentParser, names: dict[str, str]) -> None:
    for name, attribute in names.items():
        more: dict[str, Any] = {"action": "append", "default": []} if attribute in APPENDED else {}
        parser.add_argument(name, dest=attribute, metavar="VALUE", help=argparse.SUPPRESS, **more)
