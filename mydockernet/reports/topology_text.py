"""A topology as text: a tree, and the languages of mermaid and graphviz. Pure.

Formats: https://mermaid.js.org/syntax/flowchart.html, https://graphviz.org/doc/info/lang.html.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mydockernet.model import Network
from mydockernet.reports import topology
from mydockernet.reports.topology import Edge, Graph, Node
from mydockernet.value import Value

_ARROWS = {topology.ATTACHED: "---", topology.SAME: "-.-", topology.LAN: "---"}
_MERMAID_SHAPES = {topology.NETWORK: ("[", "]"), topology.CONTAINER: ("(", ")"), topology.PORT: (">", "]")}
_DOT_SHAPES = {topology.NETWORK: "box", topology.CONTAINER: "box, style=rounded", topology.PORT: "cds"}


class Branch(Value):
    """A line of a tree, and what is below it."""

    text: str
    below: tuple["Branch", ...] = ()


def tree(graph: Graph, networks: Mapping[str, Network]) -> str:
    """Return a tree as `tree` draws it: networks, who reaches whom, containers, published ports."""
    branches = []
    for node, containers in topology.by_network(graph):
        name, *rest = node.text
        sentences = map(Branch, topology.reach(networks[name]))
        branches.append(Branch(f"{name}: {', '.join(rest)}", (*sentences, *(_container(*each) for each in containers))))
    lines = ["host", *_lines(branches)]
    if len(branches) > 1:
        lines += ["", "Networks do not reach each other, except at published ports."]
    return "".join(f"{line}\n" for line in lines)


def _container(node: Node, ports: Iterable[Node]) -> Branch:
    name, *rest = node.text
    return Branch(f"{name}: {', '.join(rest)}", tuple(Branch(f"published: {', '.join(port.text)}") for port in ports))


def _lines(branches: Sequence[Branch]) -> Iterator[str]:
    for number, branch in enumerate(branches, 1):
        start, indent = ("├── ", "│   ") if number < len(branches) else ("└── ", "    ")
        yield f"{start}{branch.text}"
        yield from (f"{indent}{line}" for line in _lines(branch.below))


def mermaid(graph: Graph) -> str:
    """Return a flowchart of mermaid, each network with its containers as a part of it."""
    ids = {node.id: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart LR", f'  {ids[topology.OUTSIDE]}(["outside"])']
    for number, (network, containers) in enumerate(topology.by_network(graph)):
        within = [network, *(node for container, ports in containers for node in (container, *ports))]
        lines.append(f'  subgraph s{number}["{_mermaid_text(network.text[:1])}"]')
        lines += [f"    {ids[node.id]}{_mermaid_shape(node)}" for node in within]
        lines.append("  end")
    for edge in graph.edges:
        text = f'|"{_mermaid_text([edge.text])}"|' if edge.text else ""
        lines.append(f"  {ids[edge.source]} {_ARROWS.get(edge.kind, '-->')}{text} {ids[edge.target]}")
    return "".join(f"{line}\n" for line in lines)


def _mermaid_shape(node: Node) -> str:
    opening, closing = _MERMAID_SHAPES[node.kind]
    return f'{opening}"{_mermaid_text(node.text)}"{closing}'


def _mermaid_text(lines: Iterable[str]) -> str:
    """Return text between the quotes of mermaid, which knows entities of HTML, written with # instead of &."""
    escapes = {"#": "#35;", '"': "#quot;", "&": "#amp;", "<": "#lt;", ">": "#gt;", "`": "#96;"}
    return "<br>".join("".join(escapes.get(c, c) for c in line) for line in lines)


def dot(graph: Graph) -> str:
    """Return a graph in the language of graphviz."""
    lines = ["digraph topology {", "  rankdir=LR;", f"  {_dot_text([topology.OUTSIDE])} [shape=plaintext];"]
    for number, (network, containers) in enumerate(topology.by_network(graph)):
        lines += [f"  subgraph cluster_{number} {{", f"    label={_dot_text(network.text[:1])};"]
        for node in (network, *(each for container, ports in containers for each in (container, *ports))):
            shape = _DOT_SHAPES[node.kind]
            lines.append(f"    {_dot_text([node.id])} [label={_dot_text(node.text)}, shape={shape}];")
        lines.append("  }")
    lines += [f"  {_dot_text([e.source])} -> {_dot_text([e.target])} [{_dot_style(e)}];" for e in graph.edges]
    return "".join(f"{line}\n" for line in [*lines, "}"])


def _dot_style(edge: Edge) -> str:
    style = {topology.ATTACHED: ", dir=none", topology.LAN: ", dir=none", topology.SAME: ", dir=none, style=dashed"}
    return f"label={_dot_text([edge.text])}{style.get(edge.kind, '')}"


def _dot_text(lines: Iterable[str]) -> str:
    """Return a quoted string of graphviz, in which \\n begins a new line."""
    return '"' + "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines) + '"'
