"""The networks, containers and published ports on record as a graph: who reaches whom. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from mydockernet.model import Endpoint, Network, PortMapping, bracketed
from mydockernet.value import Value

# The kinds of nodes.
OUTSIDE, NETWORK, CONTAINER, PORT = "outside", "network", "container", "port"
DETACHED, INTERNAL, LOOPBACK = "detached", "internal", "loopback"
# The kinds of edges: a container is on a network; a network leads to the outside, or is the LAN of a parent interface;
# a port leads to a container, and the outside reaches it; two nodes are the same container.
ATTACHED, LEAVES, LAN = "attached", "leaves", "lan"
PUBLISHED, REACHES, SAME = "published", "reaches", "same"


class Node(Value):
    """A node: its kind, and its text, the name first. `marks` are for pictures: internal, detached, loopback."""

    id: str
    kind: str
    text: tuple[str, ...]
    marks: tuple[str, ...] = ()


class Edge(Value):
    """An edge between the nodes of these IDs: its kind, and its text, which may be empty."""

    source: str
    target: str
    kind: str
    text: str = ""


class Graph(Value):
    """The nodes, each container behind its network and each port behind its container, and the edges."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def draw(networks: Iterable[Network]) -> Graph:
    """Return the graph of some networks, sorted by name."""
    networks = sorted(networks, key=lambda network: network.name)
    nodes = [Node(OUTSIDE, OUTSIDE, (OUTSIDE,))]
    edges: list[Edge] = []
    places: dict[str, list[str]] = {}
    for network in networks:
        nodes.append(_network(network))
        edges += _out(network)
        for endpoint in sorted(network.endpoints, key=lambda endpoint: endpoint.name):
            here = container_id(network, endpoint)
            places.setdefault(endpoint.namespace.path, []).append(here)
            nodes.append(_container(network, endpoint))
            edges.append(Edge(network_id(network), here, ATTACHED, endpoint.interface))
            for port in _ports(network, endpoint):
                nodes.append(port)
                edges += [Edge(port.id, here, PUBLISHED)]
                edges += [] if LOOPBACK in port.marks else [Edge(OUTSIDE, port.id, REACHES)]
    same = [Edge(*pair, SAME) for ids in places.values() for pair in pairwise(ids)]
    return Graph(tuple(nodes), (*edges, *same))


def network_id(network: Network) -> str:
    """Return the ID of the node of a network."""
    return f"{NETWORK}:{network.name}"


def container_id(network: Network, endpoint: Endpoint) -> str:
    """Return the ID of the node of a container on a network."""
    return f"{CONTAINER}:{network.name}/{endpoint.name}"


def _network(network: Network) -> Node:
    subnets = (str(subnet.network) for subnet in network.subnets)
    gateways = (f"gateway {subnet.gateway}" for subnet in network.subnets if subnet.gateway)
    text = (network.name, _what(network), *subnets, *gateways, *limits(network))
    closed = network.internal or not (network.has_gateway or network.parent)
    return Node(network_id(network), NETWORK, text, (INTERNAL,) if closed else ())


def _what(network: Network) -> str:
    """Return what a network is made of."""
    if network.bridge:
        return "bridge" if network.bridge == network.name else f"bridge {network.bridge}"
    return f"{network.driver} on {network.parent}" if network.parent else f"{network.driver}: no bridge"


def limits(network: Network) -> tuple[str, ...]:
    """Return what its containers do not reach, in words."""
    alone = () if network.icc else ("no-icc",)
    if network.parent:
        return (*alone, *((INTERNAL,) if network.internal else ()))
    if not network.has_gateway:
        return (*alone, "no gateway")
    return (*alone, *((INTERNAL,) if network.internal else ()))


def reach(network: Network) -> tuple[str, ...]:
    """Return who reaches whom on a network, one sentence each."""
    if network.parent:
        beyond = "only each other" if network.internal else f"the LAN of {network.parent}"
        host = (
            f"the host at {', '.join(map(str, network.host_addresses))}" if network.host_addresses else "not the host"
        )
        return (f"Containers reach {beyond}, and {host}.",)
    near = ["each other"] if network.icc else []
    far = [] if network.icc else ["each other"]
    if not network.has_gateway:
        far += ["the host", "the outside"]
    elif network.internal:
        near, far = [*near, "the host"], [*far, "the outside"]
    else:
        near += ["the host", f"the outside ({_how(network)})"]
    sentence = f"Containers reach {_listed(near)}"
    return (f"{sentence}, but not {_listed(far, 'or')}." if far else f"{sentence}.",)


def _listed(words: Sequence[str], last: str = "and") -> str:
    *first, end = words
    return f"{', '.join(first)} {last} {end}" if first else end


def _how(network: Network) -> str:
    """Return with which addresses packets leave a network, in words."""
    said = {
        "masquerade": "with the host's address",
        "routed": "with their own addresses, without NAT",
        "no masquerade": "with their own addresses",
    }
    ways = {family: said[way_out(network, family)] for family in network.families}
    if len({*ways.values()}) == 1:
        return next(iter(ways.values()))
    return "; ".join(f"IPv{family}: {way}" for family, way in ways.items())


def way_out(network: Network, family: int) -> str:
    """Return how packets of a family leave a network: masquerade, routed, or no masquerade."""
    if network.routed(family):
        return "routed"
    return "masquerade" if network.masquerades(family) else "no masquerade"


def _out(network: Network) -> Iterator[Edge]:
    if network.parent:
        if not network.internal:
            yield Edge(network_id(network), OUTSIDE, LAN, f"LAN of {network.parent}")
    elif network.leads_out:
        ways = {family: way_out(network, family) for family in network.families}
        one = len({*ways.values()}) == 1
        text = next(iter(ways.values())) if one else ", ".join(f"IPv{family}: {way}" for family, way in ways.items())
        yield Edge(network_id(network), OUTSIDE, LEAVES, text)


def _container(network: Network, endpoint: Endpoint) -> Node:
    addresses = tuple(map(str, endpoint.addresses)) or ("no address",)
    detached = (DETACHED,) if endpoint.detached else ()
    return Node(container_id(network, endpoint), CONTAINER, (endpoint.name, *addresses, *detached), detached)


def _ports(network: Network, endpoint: Endpoint) -> Iterator[Node]:
    for mapping in endpoint.ports if network.leads_out and not endpoint.detached else ():
        loopback = mapping.only_ip is not None and mapping.only_ip.is_loopback
        sources = [f"from {', '.join(map(str, mapping.sources))}"] if mapping.sources else []
        for where in _where(network, endpoint, mapping):
            text = (where, *sources, *(["host only"] if loopback else []))
            key = f"{PORT}:{network.name}/{endpoint.name}/{where}"
            yield Node(key, PORT, text, (LOOPBACK,) if loopback else ())


def _where(network: Network, endpoint: Endpoint, mapping: PortMapping) -> Iterator[str]:
    """Yield where a published port is reached: at the host, and without NAT at the container's own address."""
    if any(network.translates(endpoint, mapping, family) for family in endpoint.families):
        yield str(mapping)
    for address in endpoint.addresses:
        if network.routed(address.version) and mapping.serves(address.version):
            yield f"{bracketed(address)}:{mapping.container_ports}/{mapping.protocol}"


def by_network(graph: Graph) -> Iterator[tuple[Node, Sequence[tuple[Node, Sequence[Node]]]]]:
    """Yield each network of a graph with its containers, and each of these with its ports."""
    found: list[tuple[Node, list[tuple[Node, list[Node]]]]] = []
    for node in graph.nodes:
        if node.kind == NETWORK:
            found.append((node, []))
        elif node.kind == CONTAINER:
            found[-1][1].append((node, []))
        elif node.kind == PORT:
            found[-1][1][-1][1].append(node)
    yield from found
