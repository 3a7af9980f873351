"""Networks as a graph: who reaches whom, and how that is drawn."""

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest

from mydockernet.model import DETACHED, Namespace
from mydockernet.reports import topology, topology_svg, topology_text
from mydockernet.reports.topology import Edge, Graph, Node
from mydockernet.value import replace
from tests.unit.values import endpoint, intent, mapping, network

BOTH = Namespace("/run/netns/both", "4:1")
FRONT = endpoint("front", ports=(mapping(), replace(mapping(5353, 53, "127.0.0.1", "udp"))))
WEB = network("web", "10.1.0.0/24", FRONT, endpoint("both", "10.1.0.3", namespace=BOTH))
DB = network("db", "10.2.0.0/24", endpoint("both", "10.2.0.2", namespace=BOTH, interface="eth1"), internal=True)
AWAY = endpoint("away", "10.3.0.2", namespace=Namespace("/run/netns/away", DETACHED), ports=(mapping(9000),))
LAN = network("lan", "10.3.0.0/24", replace(AWAY, veth="", index=7, ports=()), driver="macvlan", parent="up0")
GRAPH = topology.draw([WEB, DB, LAN])


def crowd():
    """Five networks of eight containers, with up to two ports each, some of them on two networks."""
    for n in range(5):
        places = [
            endpoint(
                f"c{n}-{c}" if c else "both",
                f"10.{n}.0.{c + 2}",
                ports=tuple(mapping(8000 + 100 * n + 10 * c + p) for p in range(c % 3)),
                veth=f"v{n}{c}",
            )
            for c in range(8)
        ]
        yield network(f"net{n}", f"10.{n}.0.0/24", *places, internal=n == 3, icc=n != 2)


def test_a_graph_has_networks_containers_and_ports_and_what_joins_them():
    assert [node.id for node in GRAPH.nodes] == [
        "outside",
        *("network:db", "container:db/both"),
        *("network:lan", "container:lan/away"),
        *("network:web", "container:web/both", "container:web/front"),
        *("port:web/front/8080:80/tcp", "port:web/front/127.0.0.1:5353:53/udp"),
    ]
    assert {*GRAPH.edges} == {
        Edge("network:db", "container:db/both", topology.ATTACHED, "eth1"),
        Edge("network:lan", "outside", topology.LAN, "LAN of up0"),
        Edge("network:lan", "container:lan/away", topology.ATTACHED, "eth0"),
        Edge("network:web", "outside", topology.LEAVES, "masquerade"),
        Edge("network:web", "container:web/both", topology.ATTACHED, "eth0"),
        Edge("network:web", "container:web/front", topology.ATTACHED, "eth0"),
        Edge("port:web/front/8080:80/tcp", "container:web/front", topology.PUBLISHED),
        Edge("outside", "port:web/front/8080:80/tcp", topology.REACHES),
        Edge("port:web/front/127.0.0.1:5353:53/udp", "container:web/front", topology.PUBLISHED),
        Edge("container:db/both", "container:web/both", topology.SAME),
    }


def test_a_node_says_what_it_is():
    text = {node.id: (node.text, node.marks) for node in GRAPH.nodes}
    assert text["network:db"] == (("db", "bridge", "10.2.0.0/24", "gateway 10.2.0.1", "internal"), ("internal",))
    assert text["network:lan"][0][:2] == ("lan", "macvlan on up0")
    assert text["container:lan/away"] == (("away", "10.3.0.2", "detached"), ("detached",))
    assert text["port:web/front/127.0.0.1:5353:53/udp"] == (("127.0.0.1:5353:53/udp", "host only"), ("loopback",))


def test_a_routed_port_is_at_the_address_of_the_container():
    both = network("web", "10.1.0.0/24 fd00::/64", endpoint("c1", "10.1.0.2 fd00::2", ports=(mapping(),)))
    graph = topology.draw([replace(both, gateway_mode6="routed")])
    ports = [node.text[0] for node in graph.nodes if node.kind == topology.PORT]
    assert ports == ["8080:80/tcp", "[fd00::2]:80/tcp"]
    assert graph.edges[0].text == "IPv4: masquerade, IPv6: routed"


def test_a_port_that_leads_nowhere_is_not_drawn():
    for closed in (replace(WEB, internal=True), replace(WEB, endpoints=(AWAY,))):
        assert not [node for node in topology.draw([closed]).nodes if node.kind == topology.PORT]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({}, "Containers reach each other, the host and the outside (with the host's address)."),
        ({"icc": False}, "Containers reach the host and the outside (with the host's address), but not each other."),
        ({"internal": True}, "Containers reach each other and the host, but not the outside."),
        ({"masquerade": False}, "Containers reach each other, the host and the outside (with their own addresses)."),
        ({"subnets": ()}, "Containers reach each other, but not the host or the outside."),
    ],
)
def test_a_sentence_says_who_reaches_whom(more, sentence):
    assert topology.reach(network("web", "10.1.0.0/24", **more)) == (sentence,)


def test_a_tree_has_a_line_for_each_node():
    assert topology_text.tree(GRAPH, intent(WEB, DB, LAN)) == (
        "host\n"
        "├── db: bridge, 10.2.0.0/24, gateway 10.2.0.1, internal\n"
        "│   ├── Containers reach each other and the host, but not the outside.\n"
        "│   └── both: 10.2.0.2\n"
        "├── lan: macvlan on up0, 10.3.0.0/24, gateway 10.3.0.1\n"
        "│   ├── Containers reach the LAN of up0, and not the host.\n"
        "│   └── away: 10.3.0.2, detached\n"
        "└── web: bridge, 10.1.0.0/24, gateway 10.1.0.1\n"
        "    ├── Containers reach each other, the host and the outside (with the host's address).\n"
        "    ├── both: 10.1.0.3\n"
        "    └── front: 10.1.0.2\n"
        "        ├── published: 8080:80/tcp\n"
        "        └── published: 127.0.0.1:5353:53/udp, host only\n"
        "\n"
        "Networks do not reach each other, except at published ports.\n"
    )
    assert topology_text.tree(topology.draw([]), {}) == "host\n"


def test_mermaid_and_graphviz_have_every_node_and_edge():
    flowchart = topology_text.mermaid(GRAPH)
    assert len(re.findall(r"^ +n\d+[\[(>]", flowchart, re.MULTILINE)) == len(GRAPH.nodes)
    assert len(re.findall(r"^  n\d+ (?:-->|---|-\.-)", flowchart, re.MULTILINE)) == len(GRAPH.edges)
    assert '  n5 -->|"masquerade"| n0\n' in flowchart
    graph = topology_text.dot(GRAPH)
    assert graph.count("label=") == len(GRAPH.nodes) - 1 + len(GRAPH.edges) + 3
    assert '  "network:web" -> "outside" [label="masquerade"];\n' in graph


WILD = Graph((Node("outside", "outside", ("outside",)), Node('network:<&"', "network", ('<b>&"`#\\',))), ())


def test_what_a_language_does_not_take_as_it_is_is_escaped():
    (drawn,) = [g for g in groups(topology_svg.svg(WILD)) if g.get("data-id") == 'network:<&"']
    assert drawn.find(f"{SVG}text").text == '<b>&"`#\\'
    assert '["#lt;b#gt;#amp;#quot;#96;#35;\\"]' in topology_text.mermaid(WILD)
    assert r'"network:<&\"" [label="<b>&\"`#\\"' in topology_text.dot(WILD)


SVG = "{http://www.w3.org/2000/svg}"


def groups(text):
    return ElementTree.fromstring(text).findall(f"{SVG}g")


@pytest.mark.parametrize("graph", [GRAPH, topology.draw(crowd()), topology.draw([])], ids=["small", "crowd", "empty"])
def test_a_picture_has_every_node_and_edge(graph):
    root = ElementTree.fromstring(topology_svg.svg(graph))
    drawn = {g.get("data-id"): tuple(t.text for t in g.findall(f"{SVG}text")) for g in root.findall(f"{SVG}g")}
    assert drawn == {node.id: node.text for node in graph.nodes}
    lines = root.findall(f"{SVG}path")
    joined = {(p.get("data-from"), p.get("data-to"), p.get("class").split()[1]) for p in lines}
    assert joined == {(edge.source, edge.target, edge.kind) for edge in graph.edges}
    assert len(lines) == len(graph.edges)
    assert topology_svg.svg(graph) == topology_svg.svg(graph)


@pytest.mark.parametrize("graph", [GRAPH, topology.draw(crowd())], ids=["small", "crowd"])
def test_no_boxes_overlap_and_each_has_room_for_its_text(graph):
    boxes = topology_svg.place(graph)
    for box in boxes[1:]:
        assert box.width >= 2 * topology_svg.PAD + max(map(len, box.node.text)) * topology_svg.SIZE * 0.61
        assert box.height >= len(box.node.text) * topology_svg.LINE
    for one, other in combinations(boxes, 2):
        assert one.right < other.x or other.right < one.x or one.bottom < other.y or other.bottom < one.y, (one, other)


def test_long_text_is_cut_in_a_picture_and_whole_in_its_title():
    name = "n" * 64
    (_, drawn) = groups(topology_svg.svg(topology.draw([network(name, "10.1.0.0/24", bridge="br0")])))
    assert drawn.find(f"{SVG}text").text == "n" * 43 + "…"
    assert drawn.find(f"{SVG}title").text.startswith(f"{name}, bridge br0")
