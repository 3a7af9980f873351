"""Reading the JSON of others: every value has its type, or one line says where it has not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mydockernet.documents import SIZE_MAX, parse
from mydockernet.errors import Invalid

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "the document is not JSON"),
        (b"{", "the document is not JSON"),
        (b"[]", "the document is not a JSON object"),
        (b"7", "the document is not a JSON object"),
        (b"\xff", "the document is not UTF-8"),
        (b"[" * 100_000, "the document is nested too deeply"),
        (b'{"a":' * 100_000, "the document is nested too deeply"),
        (b'{"a": NaN}', "the document is not JSON: NaN is not a number"),
        (b'{"a": 1e999}', "the document is not JSON: 1e999 is too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the document is not JSON"),
        (b'{"a": 1, "a": 2}', 'the document is not JSON: the key "a" is given twice'),
        (b" " * (SIZE_MAX + 1), "the document is larger than"),
    ],
)
def test_what_is_no_object_is_refused(raw, problem):
    with pytest.raises(Invalid, match=problem):
        parse(raw)


def test_a_field_is_what_it_says():
    found = parse(b'{"t": "a", "n": 7, "s": true, "o": {"x": "y"}, "l": ["a"], "f": [{"x": "1"}], "z": null}')
    assert (found.text("t"), found.number("n"), found.switch("s"), found.texts("l")) == ("a", 7, True, ["a"])
    assert found.fields("o").text("x") == "y"
    assert found.pairs("o") == [("x", "y")]
    assert [each.text("x") for each in found.objects("f")] == ["1"]
    assert "t" in found
    assert "z" not in found
    assert found.unknown(["t", "n", "s", "o"]) == ["l", "f", "z"]
    found.check()


def test_a_field_that_is_not_given_has_its_default():
    found = parse(b"{}")
    assert (found.text("t"), found.number("n"), found.switch("s", True), found.texts("l")) == ("", None, True, [])
    assert found.fields("o").fields("p").text("q", "r") == "r"
    found.check()


@pytest.mark.parametrize(
    ("value", "read", "problem"),
    [
        (7, "text", "a.b: it must be a string"),
        ("7", "number", "a.b: it must be a number"),
        (True, "number", "a.b: it must be a number"),
        (1.5, "number", "a.b: it must be a number"),
        (2**64, "number", "a.b: the number is too large"),
        (1, "switch", "a.b: it must be true or false"),
        ([], "fields", "a.b: it must be an object"),
        ({}, "texts", "a.b: it must be an array"),
        (["x", 7], "texts", "a.b[1]: it must be a string"),
        ([["x"]], "objects", "a.b[0]: it must be an object"),
        ([[7]], "arrays", "a.b[0][0]: it must be an object"),
        ({"x": 7}, "pairs", "a.b.x: it must be a string"),
        ("x\0", "text", "a.b: it has characters that cannot be printed"),
        ("\ud800", "text", "a.b: it has characters that cannot be printed"),
        (["\x1b[2J"], "texts", "a.b: it has characters that cannot be printed"),
        ({"x\n": "y"}, "pairs", "a.b.x\\n: it has characters that cannot be printed"),
    ],
)
def test_a_field_of_another_type_is_named_by_its_path(value, read, problem):
    found = parse(json.dumps({"a": {"b": value}}).encode())
    getattr(found.fields("a"), read)("b")
    with pytest.raises(Invalid) as caught:
        found.check()
    assert problem in caught.value.messages


@given(st.dictionaries(st.text(max_size=3), ANYTHING, max_size=4))
def test_anything_is_read_or_refused(value):
    found = parse(json.dumps(value).encode())
    for key in value:
        for read in ("text", "number", "switch", "fields", "texts", "objects", "arrays", "pairs"):
            getattr(found, read)(key)
