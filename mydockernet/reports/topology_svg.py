"""A topology as a picture (SVG 1.1). Pure, and the same for the same graph.

Three columns: published ports on the border of the host, networks, containers. A network has a row for its way out, and
one for each of its containers, with the ports of this one beside it, so that most lines are straight. It has a
background of its own, dark if the reader prefers that, so that it can be read wherever it is shown.
"""

from xml.sax.saxutils import escape, quoteattr

from mydockernet.reports import topology
from mydockernet.reports.topology import Edge, Graph, Node
from mydockernet.value import Value

# In pixels. A character of a monospaced font is at most 0.61 of its size wide.
SIZE, CHARACTER, LINE = 12, 7.4, 16
PAD, GAP, ROW_GAP, NETWORK_GAP, HEADER = 10, 6, 14, 26, 30
MARGIN, OUTSIDE_WIDTH, COLUMN_GAP, LANE, BORDER = 16, 40, 90, 12, 20
# Longer lines end with an ellipsis; the whole is in the title, which a browser shows under the pointer.
CHARACTERS = 44

_STYLE = """\
text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #1f2328 }
.name { font-weight: bold }
.back { fill: #ffffff }
.host { fill: none; stroke: #8c959f }
rect { stroke-width: 1.2 }
.outside rect { fill: #eaeef2; stroke: #57606a }
.network rect { fill: #ddf4ff; stroke: #0969da }
.container rect { fill: #f6f8fa; stroke: #57606a }
.port rect { fill: #fff8c5; stroke: #9a6700 }
.network.internal rect { fill: #ffebe9; stroke: #cf222e }
.detached rect { stroke-dasharray: 4 3 }
.edge { fill: none; stroke: #57606a; stroke-width: 1.4 }
.published, .reaches { stroke: #9a6700 }
.leaves, .lan { stroke: #0969da }
.same { stroke-dasharray: 3 3 }
.tip { fill: #57606a }
.tip-port { fill: #9a6700 }
.tip-out { fill: #0969da }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.back { fill: #0d1117 }
.outside rect { fill: #21262d; stroke: #8b949e }
.network rect { fill: #0c2d6b; stroke: #58a6ff }
.container rect { fill: #161b22; stroke: #8b949e }
.port rect { fill: #4b2900; stroke: #e3b341 }
.network.internal rect { fill: #67060c; stroke: #ff7b72 }
.edge { stroke: #8b949e }
.published, .reaches { stroke: #e3b341 }
.leaves, .lan { stroke: #58a6ff }
.tip { fill: #8b949e }
.tip-port { fill: #e3b341 }
.tip-out { fill: #58a6ff }
}
"""
_LABELED = (topology.LEAVES, topology.LAN)
_TIPS = {topology.PUBLISHED: "tip-port", topology.REACHES: "tip-port", topology.LEAVES: "tip-out"}


class Box(Value):
    """Where a node is: its upper left corner, its width and its height."""

    node: Node
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right border."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower border."""
        return self.y + self.height

    @property
    def middle(self) -> float:
        """Half of its height, from above."""
        return self.y + self.height / 2


def svg(graph: Graph) -> str:
    """Return the picture of a graph."""
    boxes = {box.node.id: box for box in place(graph)}
    lanes = _lanes(graph)
    right = max([box.right for box in boxes.values()], default=0.0)
    bottom = max(box.bottom for box in boxes.values())
    frame = _frame_left(graph)
    edge_of_host = right + (len({*lanes.values()}) + 1) * LANE
    width, height = edge_of_host + MARGIN, bottom + MARGIN
    host_height = bottom - MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" '
        f'height="{_n(height)}" role="img" aria-label="Networks of this host">',
        f"<style>\n{_STYLE}</style>",
        "<defs>",
        *(_tip(name) for name in ("tip-port", "tip-out")),
        "</defs>",
        f'<rect class="back" width="{_n(width)}" height="{_n(height)}"/>',
        f'<rect class="host" x="{_n(frame)}" y="{MARGIN}" width="{_n(edge_of_host - frame)}" '
        f'height="{_n(host_height)}" rx="8"/>',
        f'<text class="name" x="{_n(frame + PAD)}" y="{MARGIN + LINE + 2}">host</text>',
        *(_edge(edge, boxes, lanes) for edge in graph.edges),
        *(_node(box) for box in boxes.values()),
        *(_label(edge, boxes) for edge in graph.edges if edge.kind in _LABELED),
        "</svg>",
    ]
    return "".join(f"{line}\n" for line in lines)


def place(graph: Graph) -> tuple[Box, ...]:
    """Return the places of all nodes. No two of them overlap, and the text of each fits in."""
    ports, networks, containers = (
        _width(graph, kind) for kind in (topology.PORT, topology.NETWORK, topology.CONTAINER)
    )
    port_x = MARGIN + OUTSIDE_WIDTH + COLUMN_GAP / 2
    labels = max((CHARACTER * len(edge.text) for edge in graph.edges if edge.kind in _LABELED), default=0.0)
    network_x = max(port_x + ports + COLUMN_GAP, MARGIN + OUTSIDE_WIDTH + labels + 4 * PAD)
    container_x = network_x + networks + COLUMN_GAP / 2
    y: float = MARGIN + LINE + 2 * GAP
    found = []
    for network, within in topology.by_network(graph):
        top, y = y, y + HEADER
        for container, own in within:
            stack = sum(_height(port) + GAP for port in own) - GAP
            row = max(_height(container), stack)
            found.append(
                Box(container, container_x, y + (row - _height(container)) / 2, containers, _height(container))
            )
            at = y + (row - stack) / 2
            for port in own:
                indent = _indent(port)
                found.append(Box(port, port_x + indent, at, ports - indent, _height(port)))
                at += _height(port) + GAP
            y += row + ROW_GAP
        height = max(y - ROW_GAP / 2 - top if within else 0.0, HEADER + _height(network) - LINE)
        found.append(Box(network, network_x, top, networks, height))
        y = top + height + NETWORK_GAP
    bottom = y - NETWORK_GAP + MARGIN if found else y + HEADER
    outside = Box(graph.nodes[0], MARGIN, MARGIN, OUTSIDE_WIDTH, bottom - MARGIN)
    return (outside, *found)


def _frame_left(graph: Graph) -> float:
    """Return where the border of the host is: on its ports, if it publishes any."""
    return MARGIN + OUTSIDE_WIDTH + COLUMN_GAP / 2 + (BORDER if _width(graph, topology.PORT) else 0)


def _indent(port: Node) -> float:
    """Return how much farther to the right a port begins: one for the host alone is not on its border."""
    return BORDER + PAD if topology.LOOPBACK in port.marks else 0.0


def _width(graph: Graph, kind: str) -> float:
    """Return the width of a column: that of its longest line."""
    nodes = (node for node in graph.nodes if node.kind == kind)
    return max((_indent(n) + 2 * PAD + CHARACTER * len(_short(line)) for n in nodes for line in n.text), default=0.0)


def _height(node: Node) -> float:
    return len(node.text) * LINE + PAD


def _short(line: str) -> str:
    return line if len(line) <= CHARACTERS else line[: CHARACTERS - 1] + "…"


def _lanes(graph: Graph) -> dict[str, int]:
    """Return the lane on the right of each line that joins the places of one container, by the ID of its start."""
    lanes: dict[str, int] = {}
    chains: dict[str, int] = {}
    for edge in graph.edges:
        if edge.kind == topology.SAME:
            lane = chains.get(edge.source, len({*lanes.values()}))
            lanes[edge.source] = chains[edge.target] = lane
    return lanes


def _node(box: Box) -> str:
    node = box.node
    whole = any(len(line) > CHARACTERS for line in node.text)
    parts = [f"<g class={quoteattr(' '.join((node.kind, *node.marks)))} data-id={quoteattr(node.id)}>"]
    parts += [f"<title>{escape(', '.join(node.text))}</title>"] if whole else []
    parts.append(f'<rect x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}" rx="5"/>')
    if node.kind == topology.OUTSIDE:
        x, y = box.x + box.width / 2, box.middle
        turned = f'transform="rotate(-90 {_n(x)} {_n(y)})" text-anchor="middle" dominant-baseline="middle"'
        parts.append(f'<text class="name" x="{_n(x)}" y="{_n(y)}" {turned}>{escape(node.text[0])}</text>')
    else:
        for number, line in enumerate(node.text):
            bold = ' class="name"' if number == 0 else ""
            y = box.y + PAD / 2 + (number + 0.75) * LINE
            parts.append(f'<text{bold} x="{_n(box.x + PAD)}" y="{_n(y)}">{escape(_short(line))}</text>')
    return "".join([*parts, "</g>"])


def _edge(edge: Edge, boxes: dict[str, Box], lanes: dict[str, int]) -> str:
    source, target = boxes[edge.source], boxes[edge.target]
    tip = f' marker-end="url(#{_TIPS[edge.kind]})"' if edge.kind in _TIPS else ""
    data = f"data-from={quoteattr(edge.source)} data-to={quoteattr(edge.target)}"
    return f'<path class="edge {edge.kind}" {data} d="{_path(edge, source, target, lanes)}"{tip}/>'


def _path(edge: Edge, source: Box, target: Box, lanes: dict[str, int]) -> str:
    if edge.kind == topology.SAME:  # Around, on the right of all containers.
        far = source.right + (1 + lanes[edge.source]) * LANE
        return f"M{_n(source.right)},{_n(source.middle)} H{_n(far)} V{_n(target.middle)} H{_n(target.right)}"
    if edge.kind in _LABELED:
        return f"M{_n(source.x)},{_n(_way_out_y(source))} H{_n(target.right)}"
    if edge.kind in (topology.REACHES, topology.ATTACHED):
        return f"M{_n(source.right)},{_n(target.middle)} H{_n(target.x)}"
    # From a port, behind the network, to the container.
    half = (source.right + target.x) / 2
    ends = f"{_n(half)},{_n(source.middle)} {_n(half)},{_n(target.middle)} {_n(target.x)},{_n(target.middle)}"
    return f"M{_n(source.right)},{_n(source.middle)} C{ends}"


def _way_out_y(network: Box) -> float:
    return network.y + HEADER / 2 + 4


def _label(edge: Edge, boxes: dict[str, Box]) -> str:
    """Return the text above a line to the outside, beside its network."""
    source = boxes[edge.source]
    y = _way_out_y(source) - 5
    return f'<text x="{_n(source.x - PAD)}" y="{_n(y)}" text-anchor="end">{escape(edge.text)}</text>'


def _tip(name: str) -> str:
    shape = f'<path class="{name}" d="M0,0 L8,4 L0,8 z"/>'
    return (
        f'<marker id="{name}" markerWidth="8" markerHeight="8" refX="8" refY="4" orient="auto" '
        f'markerUnits="userSpaceOnUse">{shape}</marker>'
    )


def _n(number: float) -> str:
    """Return a number of pixels, without needless digits."""
    return f"{number:.1f}".removesuffix(".0")
