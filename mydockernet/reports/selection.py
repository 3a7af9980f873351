"""The networks and containers that words name: NETWORK or NETWORK/CONTAINER. Pure."""

from collections.abc import Collection, Mapping, Sequence

from mydockernet.errors import NotFound, no_network, quoted

# The containers by network; None for a network that is taken as a whole.
Chosen = Mapping[str, Collection[str] | None]


def choose(known: Mapping[str, Collection[str]], words: Sequence[str]) -> tuple[Chosen, tuple[NotFound, ...]]:
    """Return what the words name, sorted by network, and an error for each word that names nothing.

    `known` are the names of the containers of each network. Without words, all networks are named.
    """
    wanted: dict[str, set[str] | None] = {} if words else dict.fromkeys(known)
    errors = []
    for word in words:
        network, slash, container = word.partition("/")
        if network not in known:
            errors.append(no_network(network))
        elif not slash:
            wanted[network] = None
        elif container not in known[network]:
            hint = f"mydockernet ps --filter network={network} lists its containers"
            errors.append(NotFound(f"no container {quoted(container)} on network {quoted(network)}", hint=hint))
        elif (named := wanted.setdefault(network, set())) is not None:
            named.add(container)
    return {network: wanted[network] for network in sorted(wanted)}, tuple(errors)
