"""What is written as YAML is read back as it was, by any parser."""

import json

import yaml
from hypothesis import given
from hypothesis import strategies as st

from mydockernet.fronts import yaml_text, yaml_tree

SCALARS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    [
        "no",
        "Yes",
        "~",
        "",
        "null",
        "22:22",
        "0x1f",
        "1e3",
        "<<",
        "=",
        "a: b",
        "a #b",
        "- a",
        "a:",
        "::1",
        "10.1.0.0/24",
        "1.2",
    ]
)
LEAVES = SCALARS | st.integers(-(10**9), 10**9) | st.booleans()
TREES = st.dictionaries(
    SCALARS,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, min_size=1, max_size=4) | st.dictionaries(SCALARS, inner, min_size=1, max_size=4),
        max_leaves=12,
    ),
    max_size=4,
)


def plain(node):
    if node.kind == "map":
        return {key.text: plain(value) for key, value in node.entries}
    if node.kind == "list":
        return [plain(item) for item in node.items]
    value = node.number if node.plain else None
    return node.text if value is None and node.switch is None else value if node.switch is None else node.switch


@given(TREES)
def test_what_is_written_is_read_back(tree):
    text = yaml_text.write(tree)
    assert yaml.safe_load(text) == tree or not tree
    assert plain(yaml_tree.read("a.yml", text or "{}")) == tree
    assert json.loads(yaml_text.write_json(tree)) == tree


def test_it_looks_as_a_person_would_write_it():
    tree = {
        "name": "shop",
        "networks": {
            "front": {},
            "back": {
                "internal": True,
                "ipam": {"config": [{"subnet": "10.1.0.0/24", "gateway": "10.1.0.9"}]},
                "labels": {"a": "b"},
            },
        },
        "containers": {
            "web": {
                "networks": {"front": {"ipv4_address": "10.2.0.2", "aliases": ["www", "w3"]}, "back": {}},
                "ports": ["8080:80", "53:53/udp"],
            },
            "db": {
                "networks": {"back": {"aliases": [f"a-long-name-{n}" for n in range(8)]}},
                "ports": [{"target": "80"}],
            },
        },
    }
    assert (
        yaml_text.write(tree)
        == """\
name: shop
networks:
  front:
  back:
    internal: true
    ipam:
      config:
        - subnet: 10.1.0.0/24
          gateway: 10.1.0.9
    labels: {a: b}
containers:
  web:
    networks:
      front: {ipv4_address: 10.2.0.2, aliases: [www, w3]}
      back:
    ports: ["8080:80", "53:53/udp"]
  db:
    networks:
      back:
        aliases:
          - a-long-name-0
          - a-long-name-1
          - a-long-name-2
          - a-long-name-3
          - a-long-name-4
          - a-long-name-5
          - a-long-name-6
          - a-long-name-7
    ports:
      - target: "80"
"""
    )
