"""A file that was written from networks makes the same networks of nothing."""

import contextlib
import ipaddress

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mydockernet import choices, creation, transitions
from mydockernet.declaration import PROJECT
from mydockernet.dialects.fact import Link, Observed
from mydockernet.errors import Conflict, Invalid
from mydockernet.fronts import manifest, manifest_format, yaml_text
from mydockernet.model import AddressRange, Namespace, Network, PortMapping, PortRange, Reservation, Subnet, endpoints
from mydockernet.rates import Limit
from mydockernet.static_routes import StaticRoute
from mydockernet.value import replace
from tests.unit.values import endpoint, mapping, network

HOST = ipaddress.ip_address("192.0.2.1")
SEEN = Observed(links={"eth1": Link("eth1", mtu=1500, addresses=frozenset({f"{HOST}/24"}))})


def written(*networks):
    return yaml_text.write(manifest_format.document(networks).tree)


def again(text, realm=""):
    """The networks that a file declares, made where there are none."""
    found = manifest.read([("a.yml", text)], realm)
    intent = {}
    for declared in found.networks:
        intent = creation.create(declared.wish).move(intent, SEEN)
    for container in found.containers:
        path = container.word if "/" in container.word else f"/run/netns/{container.word}"
        pid = int(container.word) if container.word.isdecimal() else None
        path = path if pid is None else f"/proc/{pid}/ns/net"
        space = Namespace(path, f"4:{sum(path.encode())}", pid)
        for name, connection in container.connections:
            wish = replace(connection, namespace=space, publish=connection.publish or container.publish)
            intent = transitions.connect([name], wish).move(intent, SEEN)
    return tuple(intent.values())


def plain(networks):
    """Networks without what no file says: the address that was assigned last, and start times."""
    return tuple(
        replace(
            net,
            subnets=tuple(replace(subnet, last=None) for subnet in net.subnets),
            endpoints=tuple(sorted(net.endpoints, key=lambda e: e.name)),
        )
        for net in networks
    )


NAMES = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}", fullmatch=True) | st.sampled_from(
    ["x-lan", "on", "1e3", "1.5"]
)
INTERFACES = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}", fullmatch=True).filter(
    lambda n: n not in ("all", "default")
)
HOSTS = st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8})?", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=10).filter(str.isprintable)
KEYS = TEXTS.filter(lambda key: key and "=" not in key)
LABELS = st.dictionaries(KEYS, TEXTS, max_size=2).map(lambda labels: tuple(sorted(labels.items())))
DNS = st.lists(
    st.sampled_from(["9.9.9.9", "10.0.0.53", "fd00::53"]).map(ipaddress.ip_address), max_size=2, unique=True
).map(tuple)
LIMITS = st.none() | st.builds(Limit, st.integers(8, 10**12), st.integers(8, 32 * 10**9))
PORTS = st.lists(
    st.builds(
        lambda outer, size, inner, host, protocol, sources: PortMapping(
            host, PortRange(outer, outer + size), PortRange(inner, inner + size), protocol, sources
        ),
        st.integers(1, 60000),
        st.integers(0, 9),
        st.integers(1, 60000),
        st.sampled_from([None, HOST, ipaddress.ip_address("0.0.0.0"), ipaddress.ip_address("127.0.0.1")]),
        st.sampled_from(["tcp", "udp", "sctp"]),
        st.sampled_from([(), (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))]),
    ),
    max_size=1,
).map(tuple)


@st.composite
def subnets(draw, n):
    """A subnet of IPv4, and perhaps one of IPv6, with a gateway, ranges and reserved addresses."""
    found = []
    for text in draw(st.sampled_from([[f"10.{n}.0.0/24"], [f"10.{n}.0.0/24", f"fd00:{n}::/64"], [f"fd00:{n}::/64"]])):
        block = ipaddress.ip_network(text)
        names = draw(st.lists(st.sampled_from(["", "nas", "10", "yes"]), max_size=2))
        found.append(
            Subnet(
                block,
                block.network_address + draw(st.sampled_from([1, 9])),
                draw(
                    st.sampled_from(
                        [
                            (),
                            (AddressRange(block[32], block[63]),),
                            (AddressRange(block[20], block[21]), AddressRange(block[30], block[40])),
                        ]
                    )
                ),
                tuple(Reservation(block[200 + k], name) for k, name in enumerate(names)),
            )
        )
    return tuple(found)


@st.composite
def intents(draw):
    """Networks of all kinds, and containers on them."""
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    found = []
    for n, name in enumerate(names):
        blocks = draw(subnets(n + 1))
        driver = draw(st.sampled_from(["bridge", "bridge", "ptp", "macvlan", "ipvlan"]))
        common = {
            "driver": driver,
            "internal": draw(st.booleans()),
            "labels": draw(LABELS),
            "metric": draw(st.none() | st.integers(1, 2**32 - 1)),
            "dns": draw(DNS),
            "default_route": draw(st.booleans()),
            "mtu": draw(st.sampled_from([None, 1280, 1400])),
            "subnets": blocks,
        }
        if driver == "bridge":
            has_gateway = draw(st.booleans())
            derived = choices.bridge_name(name, {}, Observed())
            if not has_gateway:
                common["subnets"] = draw(st.sampled_from([(), tuple(replace(b, gateway=None) for b in blocks)]))
            found.append(
                Network(
                    name,
                    draw(st.sampled_from([derived, f"br-own{n}"])),
                    masquerade=draw(st.booleans()),
                    masquerade6=draw(st.booleans()),
                    gateway_mode=draw(st.sampled_from(["nat", "routed"])),
                    gateway_mode6=draw(st.sampled_from(["nat", "routed"])),
                    icc=not has_gateway or draw(st.booleans()),
                    port_security=bool(common["subnets"]) and draw(st.booleans()),
                    mac=choices.bridge_mac(name),
                    routes=draw(
                        st.sampled_from(
                            [(), (StaticRoute(ipaddress.ip_network("198.51.100.0/24"), None, "blackhole", 7),)]
                        )
                    )
                    if common["subnets"] and common["subnets"][0].family == 4
                    else (),
                    **common,
                )
            )
        elif driver == "ptp":
            found.append(Network(name, "", masquerade=draw(st.booleans()), icc=draw(st.booleans()), **common))
        else:
            mode = draw(st.sampled_from(["bridge", "vepa"] if driver == "macvlan" else ["l2"]))
            own = driver == "macvlan" and draw(st.booleans())
            host = (
                {
                    "host_addresses": (blocks[0].network[100],),
                    "host_interface": choices.bridge_name(name, {}, Observed(), "host-"),
                    "mac": choices.bridge_mac(name),
                }
                if own
                else {}
            )
            found.append(
                Network(name, "", parent="eth1", mode=mode, **{**common, **host, "internal": common["internal"]})
            )
    return found


PLACES = {
    "c1": "/run/netns/c1",
    "c2": "/run/netns/other",
    "c3": "/run/user/c3/ns",
    "c4": "/proc/77/ns/net",
    "12": "/run/netns/12",
    "yes": "/run/netns/13",
}


@st.composite
def records(draw):
    """Networks of all kinds with containers on them, as `connect` makes them."""
    networks = draw(intents())
    intent = {network.name: network for network in networks}
    for name, path in PLACES.items():
        space = Namespace(path, f"4:{sum(path.encode())}", 77 if name == "c4" else None)
        for net in draw(st.lists(st.sampled_from(networks), max_size=3, unique_by=lambda net: net.name)):
            old = ipaddress.ip_network("0.0.0.0/0") if not net.subnets else net.subnets[0].network
            wish = transitions.Connection(
                name,
                space,
                ip=draw(st.sampled_from([None, old[70]])) if old.version == 4 and net.subnets else None,
                mac=draw(st.sampled_from([None, None, "02:00:00:00:00:07"])) if net.driver != "ipvlan" else None,
                interface=draw(st.none() | INTERFACES),
                labels=draw(LABELS),
                default_route=draw(st.booleans()),
                gw_priority=draw(st.sampled_from([0, 5, -1])),
                aliases=tuple(draw(st.lists(HOSTS, max_size=2, unique=True))),
                dns=draw(DNS),
                hostname=draw(st.just("") | HOSTS),
                ingress=None if net.parent else draw(LIMITS),
                egress=draw(LIMITS),
            )
            with contextlib.suppress(Conflict, Invalid):
                intent = transitions.connect([net.name], wish).move(intent, SEEN)
                with_ports = replace(intent[net.name].endpoints[-1], ports=draw(PORTS))
                if net.leads_out and not net.parent and not any(map(net.routed, net.families)):
                    families = with_ports.families
                    if all(
                        mapping.host_ip is None or mapping.host_ip.version in families for mapping in with_ports.ports
                    ):
                        others = (*intent[net.name].endpoints[:-1], with_ports)
                        intent = {**intent, net.name: replace(intent[net.name], endpoints=others)}
    taken = [mapping for _, e in endpoints(intent.values()) for mapping in e.ports]
    assume(not any(one is not other and one.clashes(other) for one in taken for other in taken))
    return list(intent.values())


@given(records())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_networks_are_made_again_as_they_are(networks):
    assert plain(again(written(*networks))) == plain(networks)


def test_what_would_be_chosen_the_same_way_is_left_out():
    assert (
        written(network("web", "10.1.0.0/24", endpoint()))
        == """\
networks:
  web:
    ipam:
      config:
        - subnet: 10.1.0.0/24
containers:
  c1:
    networks:
      web: {ipv4_address: 10.1.0.2}
"""
    )


def test_what_a_container_says_on_all_its_networks_is_said_once():
    same = {"hostname": "h", "labels": (("a", "b"),)}
    web = network("web", "10.1.0.0/24", endpoint(**same, order=2, ports=(mapping(),)))
    db = network("db", "10.2.0.0/24", endpoint(address="10.2.0.2", interface="eth1", **same))
    assert (
        written(web, db).partition("containers:")[2]
        == """
  c1:
    hostname: h
    labels: {a: b}
    networks:
      db: {ipv4_address: 10.2.0.2, interface_name: eth1}
      web: {ipv4_address: 10.1.0.2, ports: ["8080:80"]}
"""
    )


def test_the_project_is_named_if_all_have_the_same():
    shop = {"labels": ((PROJECT, "shop"), ("x", "y"))}
    web = network("web", "10.1.0.0/24", endpoint(**shop), **shop)
    assert written(web).startswith("name: shop\nnetworks:\n  web:\n")
    assert PROJECT not in written(web)
    assert "name:" not in written(web, network("db", "10.2.0.0/24"))
    assert f'labels: {{{PROJECT}: shop, x: "y"}}' in written(web, network("db", "10.2.0.0/24"))


def test_what_an_engine_asked_for_is_left_out_and_noted():
    web = network("web", "10.1.0.0/24", endpoint(engine="podman", id="1"), endpoint("c2", "10.1.0.3"))
    found = manifest_format.document([web, network("pod", "10.2.0.0/24", engine="podman")])
    assert [*found.tree["networks"], *found.tree["containers"]] == ["web", "c2"]
    assert found.notes == (
        'network "pod" is left out: podman creates it when it needs it',
        'container "c1" on network "web" is left out: podman connects it when it starts it',
    )


def test_containers_that_no_file_can_name_are_noted():
    process = endpoint(namespace=Namespace("/proc/77/ns/net", "4:1", 77, 5))
    run = endpoint("run-1", "10.1.0.3", namespace=Namespace("/run/netns/mydockernet-run-1"))
    other = endpoint("c1", "10.2.0.2", namespace=Namespace("/run/netns/c1", "4:2"))
    found = manifest_format.document([network("web", "10.1.0.0/24", process, run), network("db", "10.2.0.0/24", other)])
    assert found.tree["containers"] == {"c1": {"pid": 77, "networks": {"web": {"ipv4_address": "10.1.0.2"}}}}
    assert found.notes == (
        'container "c1" is a process: its pid changes when it starts again',
        'container "run-1" on network "web" is left out: its namespace ends with its command',
        'container "c1" on network "db" is left out: another container is called the same',
    )


def test_a_detached_container_is_declared_at_its_path():
    gone = endpoint(namespace=Namespace("/run/netns/c1", "-"))
    assert "c1:\n    networks:" in written(network("web", "10.1.0.0/24", gone))


def test_nothing_is_an_empty_file():
    assert written() == ""
