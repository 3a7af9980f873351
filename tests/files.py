"""Random files for apply, which leave neither subnets nor addresses open: those that are there would be kept."""

from hypothesis import strategies as st

NAMES = ("web", "db", "c3")


@st.composite
def files(draw):
    """A file with up to three networks, and up to three containers on them."""
    networks, containers, blocks = {}, {}, {}
    for number in draw(st.sets(st.integers(0, 2), min_size=1)):
        six = draw(st.sampled_from(([], [], [f"fd00:{number}::"])))
        blocks[f"n{number}"] = [f"10.{number}.{draw(st.integers(0, 1))}.", *six]
        subnets = [f"{{subnet: '{b}{'0/24' if '.' in b else '/64'}'}}" for b in blocks[f"n{number}"]]
        keys = [f"ipam: {{config: [{', '.join(subnets)}]}}"]
        keys.append(f"driver: {draw(st.sampled_from(('bridge', 'bridge', 'ptp')))}")
        switches = ("internal: true", "driver_opts: {mtu: 1400}", "labels: {a: b}", "icc: false", "masquerade: false")
        keys += draw(st.sets(st.sampled_from(switches), max_size=2))
        networks[f"n{number}"] = keys
    for place, name in enumerate(NAMES):
        on = draw(st.permutations([*networks]))[: draw(st.integers(0, len(networks)))]
        if not on:
            continue
        keys, names = [], draw(st.permutations(("a0", "a1", "a2")))
        names = [*names]
        for network in on:
            own = draw(st.integers(2, 4)) * 10 + place
            more = [f"ipv{4 if '.' in b else 6}_address: '{b}{own}'" for b in blocks[network]]
            more += draw(
                st.sampled_from(([], [], [f"interface_name: {names.pop()}"], ["gw_priority: 3"], ["aliases: [x]"]))
            )
            keys.append(f"{network}: {{{', '.join(more)}}}")
        ports = draw(st.booleans()) and any("internal: true" not in networks[network] for network in on)
        containers[name] = f"{{networks: {{{', '.join(keys)}}}{f', ports: [{8000 + place}:80]' if ports else ''}}}"
    lines = ["name: random", "networks:", *(f"  {name}: {{{', '.join(keys)}}}" for name, keys in networks.items())]
    lines += ["containers:", *(f"  {name}: {keys}" for name, keys in containers.items())] if containers else []
    return "\n".join(lines) + "\n"
