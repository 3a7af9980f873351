"""The names by which containers reach each other, as facts: a folder for each set of networks. Pure.

A container sees the names on its own networks. Those that are on the same networks, in the same order, share a folder:
a change rewrites one file, however many containers there are.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from mydockernet import drivers
from mydockernet.dialects.dnsmasq import Server, leases
from mydockernet.dialects.etc import HOSTS, Etc, EtcNetns, NetnsFolder, folder_of
from mydockernet.dialects.fact import Fact, tag
from mydockernet.model import Address, Endpoint, Network, attached, way_out

GATEWAY = "host.mydockernet"
# What a hosts file has on any machine.
_LOCAL = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
_NETNS = ("/run/netns/", "/var/run/netns/")
# As many characters of the identifier of a container as engines print.
SHORT = 12

Places = Sequence[tuple[Network, Endpoint]]


def name_facts(
    networks: Iterable[Network], concerned: Collection[str], keys: Collection[str]
) -> Iterator[tuple[tuple[str, str], Fact]]:
    """Yield the names on the networks that are `concerned`, and how the containers with these `keys` find them.

    Each comes with the network and the container that it belongs to, which may be empty.
    """
    networks = [*networks]
    containers = _containers(networks)
    # A container that joins another network leaves the folder that it shared with others, on networks that stay as is.
    concerned = {*concerned, *(network.name for key in {*keys} & {*containers} for network, _ in containers[key])}
    for network in networks:
        if network.name in concerned:
            yield (network.name, ""), _etc((network,))
            if network.resolver:
                yield (network.name, ""), _server(network)
    known = {folder_of(network.owner) for network in networks}
    links: list[tuple[tuple[str, str], Fact]] = []
    for key, places in containers.items():
        if key not in keys and len(places) == 1 and not places[0][1].dns:
            continue  # It shares the folder of its network, as most do.
        together, path = in_order(places), folder(places)
        place = (together[0].name, places[0][1].name)
        if path not in known and any(network.name in concerned for network in together):
            known.add(path)
            yield place, _etc(together, path, _own_servers(places))
        if key in keys and (name := _name_of(places)):
            links += [(place, NetnsFolder()), (place, EtcNetns(name, path))]
    # The folder once, and before all links.
    yield from sorted(links, key=lambda link: isinstance(link[1], EtcNetns))


def _etc(networks: Sequence[Network], path: str = "", servers: Sequence[Address] = ()) -> Etc:
    # Those of one network only: a resolver takes the answer of the first server as final.
    servers = servers or next(filter(None, map(servers_of, networks)), ())
    served_for = networks[0].owner if networks[0].resolver and not path else ""
    return Etc(path or folder_of(networks[0].owner), hosts(networks), resolv(servers), served_for)


def servers_of(network: Network) -> tuple[Address, ...]:
    """Return the name servers of the containers of a network: its own one, or those that it was given."""
    gateways = tuple(subnet.gateway for subnet in network.subnets if subnet.gateway)
    return gateways if network.resolver else network.dns


def _server(network: Network) -> Server:
    """Return the server that answers for the names of a network, and asks others for all other names.

    On an internal network it asks nobody: that would be a way out.
    """
    why = f"Start a name server for {network.name}, on the addresses of the host there, and nowhere else."
    alone = not network.leads_out or bool(network.dns)
    upstream = [f"--server={address}" for address in network.dns if network.leads_out]
    return Server(
        network.owner,
        (
            "--bind-dynamic",
            *(f"--listen-address={gateway}" for gateway in servers_of(network)),
            f"--addn-hosts={folder_of(network.owner)}/{HOSTS}",
            f"--local=/{network.name}/",
            "--domain-needed",
            "--bogus-priv",
            *(["--no-resolv", *upstream] if alone else []),
            *_leases(network),
        ),
        why,
    )


def _own_servers(places: Places) -> tuple[Address, ...]:
    return tuple(dict.fromkeys(server for _, endpoint in places for server in endpoint.dns))


def _leases(network: Network) -> Iterator[str]:
    """Yield the options by which a server gives addresses to those who ask for them: virtual machines, for example."""
    for span in network.dhcp:
        subnet = next(subnet for subnet in network.subnets if span.first in subnet.network)
        yield f"--dhcp-range={span.first},{span.last},{subnet.network.netmask},1h"
    if network.dhcp:
        yield from ("--dhcp-authoritative", f"--dhcp-leasefile={leases(network.owner)}")
    if network.dhcp and not network.leads_out:
        yield "--dhcp-option=option:router"  # None.


def _containers(networks: Iterable[Network]) -> dict[str, list[tuple[Network, Endpoint]]]:
    containers: dict[str, list[tuple[Network, Endpoint]]] = {}
    for network, endpoint in attached(networks):
        containers.setdefault(endpoint.namespace.key, []).append((network, endpoint))
    return containers


def in_order(places: Places) -> tuple[Network, ...]:
    """Return the networks of a container, first the one of its default route: of equal names, the first counts."""
    first = way_out(places, 4) or way_out(places, 6)
    ordered = sorted(places, key=lambda place: (place != first, place[1].order, place[0].name))
    return tuple(dict.fromkeys(network for network, _ in ordered))


def folder(places: Places) -> str:
    """Return the folder with the files of a container: one of its own if it has its own name servers."""
    own = places[0][1].name if _own_servers(places) else ""
    return folder_of(*(network.owner for network in in_order(places)), container=own)


def hosts(networks: Sequence[Network]) -> str:
    """Return the names on some networks in the format of hosts(5)."""
    told = " and ".join(network.name for network in networks)
    marks = " ".join(tag(network.owner) for network in networks)
    lines = [f"# {marks}: rewritten when a container joins or leaves {told}\n", _LOCAL]
    for network in networks:
        if drivers.load(network.driver).FORWARDS:
            lines += [f"{subnet.gateway} {GATEWAY}\n" for subnet in network.subnets if subnet.gateway]
        for _, endpoint in attached([network]):
            names = " ".join(names_of(network, endpoint))
            lines += [f"{address} {names}\n" for address in endpoint.addresses]
    return "".join(lines)


def names_of(network: Network, endpoint: Endpoint) -> tuple[str, ...]:
    """Return the names of a container on a network: its name, aliases, host name and short identifier, and each with
    the name of the network behind it.
    """
    short = endpoint.id[:SHORT] if len(endpoint.id) > SHORT else ""
    plain = tuple(dict.fromkeys(filter(None, (endpoint.name, *endpoint.aliases, endpoint.hostname, short))))
    return (*plain, *(f"{name}.{network.name}" for name in plain))


def resolv(servers: Iterable[Address]) -> str:
    """Return name servers in the format of resolv.conf(5); an empty string if there is none."""
    return "".join(f"nameserver {server}\n" for server in servers)


def _name_of(places: Places) -> str:
    """Return the name of the namespace of a container for ip-netns(8), or an empty string.

    What an engine made has none: nobody enters it by name.
    """
    endpoint = places[0][1]
    path = endpoint.namespace.path
    named = next((path.removeprefix(start) for start in _NETNS if path.startswith(start)), "")
    return "" if endpoint.engine or "/" in named else named
