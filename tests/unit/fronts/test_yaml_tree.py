"""YAML and JSON are read strictly, as YAML 1.2 has them, and every node knows its place."""

import json

import pytest

from mydockernet.errors import Invalid
from mydockernet.fronts import yaml_tree


def plain(node):
    """A node as Python has it, with its scalars as written."""
    if node.kind == "map":
        return {key.text: plain(value) for key, value in node.entries}
    return [plain(item) for item in node.items] if node.kind == "list" else node.text


def values(text):
    return plain(yaml_tree.read("a.yml", text))


def problems(text):
    with pytest.raises(Invalid) as caught:
        yaml_tree.read("a.yml", text)
    return list(caught.value.messages)


def test_every_node_knows_its_line_and_column():
    root = yaml_tree.read("a.yml", "networks:\n  front: {mtu: 1400}\n  ähnlich: [x,  'y']\n")
    ((_, networks),) = root.entries
    (front, keys), (other, items) = networks.entries
    assert [front.at, keys.at, other.at] == ["a.yml:2:3", "a.yml:2:10", "a.yml:3:3"]
    assert [keys.entries[0][1].at, *(item.at for item in items.items)] == ["a.yml:2:16", "a.yml:3:13", "a.yml:3:17"]


def test_stdin_and_names_with_control_characters_are_shown_safely():
    assert yaml_tree.read("-", "a").at == "stdin:1:1"
    assert yaml_tree.read("a\x1b.yml", "a").at == r"a\x1b.yml:1:1"


@pytest.mark.parametrize("text", ["no", "yes", "on", "off", "y", "22:22", "0x1f", "1e3", "1.10", "2026-11-26", "="])
def test_what_is_something_else_in_yaml_1_1_is_a_text_as_written(text):
    node = yaml_tree.read("a.yml", text)
    assert (node.text, node.switch, node.null) == (text, None, False)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("True", True), ("FALSE", False), ("false", False)])
def test_only_true_and_false_are_switches(text, value):
    assert yaml_tree.read("a.yml", text).switch is value
    assert yaml_tree.read("a.yml", f'"{text}"').switch is None
    assert yaml_tree.read("a.yml", f"!!str {text}").switch is None


@pytest.mark.parametrize("text", ["a:", "a: ~", "a: null", "a: Null"])
def test_null_is_nothing(text):
    assert yaml_tree.read("a.yml", text).entries[0][1].null


def test_a_leading_zero_does_not_make_a_number_octal():
    assert [yaml_tree.read("a.yml", text).number for text in ("010", "-5", '"7"', "0o10", "1.5")] == [
        *(10, -5, 7, None, None)
    ]


def test_json_is_the_same_tree():
    value = {"networks": {"front": {"labels": {"a": "b\u00e4\n"}}}, "list": ["1", "x"]}
    assert values(json.dumps(value)) == values(json.dumps(value, indent="\t")) == value


def test_aliases_stand_for_their_anchors():
    assert values("a: &x [1, 2]\nb: *x\n") == {"a": ["1", "2"], "b": ["1", "2"]}


def test_merged_keys_count_unless_they_are_given():
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 3\nw: {<<: *x}\n"
    assert values(text)["z"] == {"a": "3", "b": "1", "c": "2"}
    assert values(text)["w"] == {"a": "1", "b": "1"}
    assert values("'<<': {a: 1}") == {"<<": {"a": "1"}}


def test_a_merged_key_stands_where_it_is_written():
    root = yaml_tree.read("a.yml", "x: &x\n  a: 1\ny:\n  <<: *x\n")
    assert root.entries[1][1].entries[0][1].at == "a.yml:2:6"


def test_a_byte_order_mark_is_left_out():
    assert values("\ufeffa: 1") == {"a": "1"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "a.yml:1:1: the file is empty"),
        ("# nothing\n", "a.yml:1:1: the file is empty"),
        ("a: 1\nb: 2\na: 3\n", 'a.yml:3:1: the key "a" is given twice, first at a.yml:1:1'),
        ('{"a": 1, "a": 2}', 'a.yml:1:10: the key "a" is given twice, first at a.yml:1:2'),
        ("a: 1\n---\nb: 1\n", "a.yml:2:1: a second document begins here: use a file for each"),
        ("a: !!python/object:os.system x", 'a.yml:1:4: the tag "!!python/object:os.system" is not supported'),
        ("a: !reset x", 'a.yml:1:4: the tag "!reset" is not supported'),
        ("a: &a [*a]", "a.yml:1:8: the alias *a stands within what it means"),
        ("a: *b", "a.yml:1:4: there is no anchor &b before this alias"),
        ("<<: 1", "a.yml:1:5: << takes a map, or a list of maps"),
        ("[a]: 1", "a.yml:1:1: a key must be a text, not a list"),
        ("a: b: c", "a.yml:1:5: invalid YAML: mapping values are not allowed"),
        ("a: [1\nb: 2", "a.yml:2:2: invalid YAML: while parsing a flow sequence: "),
        ("a:\n\t- b", "a.yml:2:1: invalid YAML: while scanning for the next token: "),
        ("a:\n  b\x07", "a.yml:2:4: invalid YAML: "),
    ],
)
def test_what_has_no_one_meaning_is_an_error_with_its_place(text, problem):
    (found,) = problems(text)
    assert found.startswith(problem)


def test_all_keys_that_are_given_twice_are_reported():
    assert [line.split(": ")[0] for line in problems("a: {b: 1, b: 2}\nc: {d: 1, d: 2}")] == [
        "a.yml:1:11",
        "a.yml:2:11",
    ]


def test_aliases_cannot_grow_without_limit():
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30))
    assert problems(bomb) == [f"a.yml:6:5: with its aliases, it has more than {yaml_tree.NODES_MAX} nodes"]


def test_texts_behind_aliases_cannot_grow_without_limit():
    bomb = f"a: &a '{'$X' * 5000}'\nb: [{', '.join(['*a'] * 50_000)}]\n"
    assert problems(bomb) == [f"a.yml:2:4: with its aliases, it has more than {yaml_tree.NODES_MAX} nodes"]


def test_depth_and_size_are_limited():
    assert problems("[" * 900) == ["a.yml:1:51: it is nested more than 50 levels deep"]
    assert problems("x" * (yaml_tree.SIZE_MAX + 1)) == ["a.yml: the file is larger than 8 MiB"]
