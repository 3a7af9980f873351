"""Find the owner of an address, a port, an interface, a MAC address or a rule. Pure."""

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from mydockernet import model
from mydockernet.dialects import iptables
from mydockernet.dialects.fact import SHARED, TAG, Chain, Observed, marked
from mydockernet.model import Address, Endpoint, Intent, Network

_PORT = re.compile(r":?(\d{1,5})(?:/(tcp|udp|sctp))?")
_RULE = re.compile(r"(?:(ip6?tables)[/ ])?(?:(\w+)[/ ])?([A-Za-z][\w-]*)[/ ](\d+)")
_OF_NFT = re.compile(r"nft/(?:inet mydockernet/)?(\w+)/(\d+)")


def owners(word: str, intent: Intent, seen: Observed) -> tuple[str, ...]:
    """Return the owners of a word, for people; none if it has no owner here.

    `word` is an address, PORT[/PROTOCOL], an interface's name, a MAC address, a rule as
    [ip6tables/][TABLE/]CHAIN/NUMBER or nft/CHAIN/NUMBER, or the key of an element of nftables, or a part of it.
    """
    return tuple(_of_record(word, intent, seen)) or tuple(_of_element(word, seen))


def _of_record(word: str, intent: Intent, seen: Observed) -> Iterable[str]:
    """Return the owners of a word other than elements of nftables."""
    try:
        return _of_address(ip_address(word), intent)
    except ValueError:
        pass
    if port := _PORT.fullmatch(word):
        return _of_port(int(port[1]), port[2], intent, seen)
    if found := _OF_NFT.fullmatch(word):
        return _of_nft(found[1], int(found[2]), seen)
    if rule := _RULE.fullmatch(word):
        chain = Chain(6 if rule[1] == iptables.PROGRAMS[6] else 4, rule[2] or "filter", rule[3])
        return _of_rule(chain, int(rule[4]), seen)
    return _of_interface(word, intent, seen)


def _container(network: Network, endpoint: Endpoint) -> str:
    return f"container {endpoint.name} on network {network.name}"


def _of_address(address: Address, intent: Intent) -> Iterator[str]:
    for network in intent.values():
        for subnet in network.subnets:
            if address == subnet.gateway:
                where = network.bridge or ("the LAN of " + network.parent if network.parent else "each veth pair")
                yield f"gateway of network {network.name}, on {where}"
            elif address in network.host_addresses:
                yield f"the host's address on network {network.name}, on {network.host_interface}"
            elif kept := next((r for r in subnet.reserved if r.address == address), None):
                yield f"reserved on network {network.name}{f' for {kept.name}' if kept.name else ''}"
            elif address in subnet.network:
                holder = next((e for e in network.endpoints if address in e.addresses), None)
                unused = f"{'no container has this' if network.parent else 'unused'} address of network {network.name}"
                yield _container(network, holder) if holder else unused


def _of_port(port: int, protocol: str | None, intent: Intent, seen: Observed) -> Iterator[str]:
    for network, endpoint in model.endpoints(intent.values()):
        for mapping in endpoint.ports:
            if protocol in (None, mapping.protocol) and mapping.host_ports.first <= port <= mapping.host_ports.last:
                yield f"{_container(network, endpoint)}: {mapping.told}"
    for socket in seen.sockets:
        if protocol in (None, socket.protocol) and socket.port == port:
            yield f"{socket.program}, listening on {socket.address or '*'}:{port}/{socket.protocol}"


def _of_rule(chain: Chain, number: int, seen: Observed) -> Iterator[str]:
    found = seen.chains.get(chain, ())
    if 0 < number <= len(found):
        rule = found[number - 1]
        yield f"rule of {_whose(rule.comment)}: {rule.text}"


def _of_nft(chain: str, number: int, seen: Observed) -> Iterator[str]:
    """Yield the owner of a rule in the table of mydockernet, whose comment says what it does."""
    comments = seen.table.chains.get(chain, ())[1:] if seen.table else ()
    if 0 < number <= len(comments):
        mark, _, why = comments[number - 1].partition(": ")
        yield f"rule of {_whose(mark)}{f': {why}' if marked(mark) else ''}"


def _of_element(word: str, seen: Observed) -> Iterator[str]:
    """Yield the owner of each element of the table of mydockernet whose key is a word, or has it as a part."""
    port = _PORT.fullmatch(word)
    asked = {*filter(None, port.groups())} if port else {word.replace('"', "")}
    for (name, key), (value, comment) in seen.table.elements.items() if seen.table else ():
        plain = key.replace('"', "")
        if asked <= {plain, *plain.split(" . ")}:
            kind, text = ("map", f"{key} : {value}") if value else ("set", key)
            yield f"element of {_whose(comment)} in the {kind} {name}: {text}"


def _whose(comment: str) -> str:
    """Return whose a rule is, by its comment."""
    owner = comment.removeprefix(TAG) if marked(comment) else ""
    return {"": "another program", SHARED: "all networks"}.get(owner, f"network {owner}")


def _of_interface(name: str, intent: Intent, seen: Observed) -> Iterator[str]:
    for network in intent.values():
        link = seen.links.get(network.bridge)
        if network.bridge and (name == network.bridge or (link and name == link.mac)):
            yield f"bridge of network {network.name}"
        if name == network.parent:
            yield f"parent interface of network {network.name}"
        if name == network.host_interface:
            yield f"the host's interface on network {network.name}"
        for endpoint in network.endpoints:
            if name in (endpoint.veth, endpoint.mac):
                pair = f"veth pair {endpoint.veth} to {endpoint.interface}"
                alone = f"{network.driver} {endpoint.interface} on {network.parent}"
                yield f"{_container(network, endpoint)}: {alone if network.parent else pair}"
