"""JSON text: errors that say where, and rewriting that keeps the bytes of what is the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truetile import WorkflowError
from truetile.converter import json_text
from truetile.converter.rewrite import rewrite, same


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: not JSON, expected value"),
        ('{\n "a": 1,\n "b" 2}', "line 3, column 6: not JSON, expected ':' delimiter"),
        ('{"a": [1, 2', "line 1, column 12: not JSON, expected ',' delimiter"),
        ('{"a": tru}', "line 1, column 7: not JSON, expected value"),
        (
            "[" * 101 + "]" * 101,
            "line 1, column 101: expected at most 100 values inside",
        ),
        ("[" * 10**6, "line 1, column 101: expected at most 100"),
        (f"[{'1' * 5000}]", "not JSON that can be read: "),
    ],
)
def test_broken_text_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(WorkflowError) as caught:
        json_text.parse(text)
    assert str(caught.value).startswith(message)


def test_text_that_is_not_utf8() -> None:
    with pytest.raises(WorkflowError, match="line 2, column 2: expected UTF-8 text"):
        json_text.decode(b'{\n"\xff"}')


def test_a_byte_order_mark_is_kept() -> None:
    text = '\ufeff{"a": 1, "b": 2}'
    assert json_text.parse(text) == {"a": 1, "b": 2}
    assert rewrite(text, {"a": 1, "b": 2}, {"a": 1, "b": 3}) == '\ufeff{"a": 1, "b": 3}'


def test_what_is_the_same_keeps_its_bytes() -> None:
    text = '{ "big": 1.50e3, "odd"  :[1 , 2.0],\n\t"x": {"deep": 1e999, "\\u00e9": "\\u00e9"} }\r\n'
    old = json.loads(text)
    new = {**old, "x": {**old["x"], "new": [True]}, "odd": [1, 3]}
    expected = (
        text.replace("2.0", "3")
        .replace('"\\u00e9" }', "")
        .replace('"\\u00e9"} }', '"\\u00e9", "new": [true]} }')
    )
    assert rewrite(text, old, new) == expected


def test_new_members_follow_the_indentation() -> None:
    text = '{\r\n    "a": [\r\n        1\r\n    ],\r\n    "b": {}\r\n}\r\n'
    new = {"a": [1, {"x": [2]}], "b": {"c": None}}
    written = rewrite(text, json.loads(text), new)
    assert json.loads(written) == new
    lines = written.split("\r\n")
    assert "\n" not in "".join(lines)
    assert lines[1:4] == ['    "a": [', "        1,", "        {"]
    assert written == json.dumps(new, indent=4).replace("\n", "\r\n") + "\r\n"


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_one_line_stays_one_line(separators) -> None:
    old = {"a": [[1, 2], {"b": "c"}], "d": {}}
    new = {"a": [[1, 2], {"b": "c", "e": [1, 2]}, {"f": {"g": 1}}], "d": {"h": [3, 4]}}
    text = json.dumps(old, separators=separators)
    assert rewrite(text, old, new) == json.dumps(new, separators=separators)


def test_escapes_stay_where_the_text_has_only_ascii() -> None:
    assert rewrite('{"a": 1}', {"a": 1}, {"a": 1, "b": "é"}) == '{"a": 1, "b": "\\u00e9"}'
    assert rewrite('{"é": 1}', {"é": 1}, {"é": 1, "b": "é"}) == '{"é": 1, "b": "é"}'
    assert "\\ud800" in rewrite('{"é": 1}', {"é": 1}, {"é": "\ud800"})


def test_the_last_of_equal_keys_counts_as_in_every_reader() -> None:
    text = '{"a": 1, "b": 2, "a": {"x": 1}}'
    old = json.loads(text)
    assert json.loads(rewrite(text, old, {**old, "b": 3})) == {"a": {"x": 1}, "b": 3}


def test_places() -> None:
    text = '{"nodes": [\n  {"id": 1},\n  {"id": 2, "type": 7}]}'
    assert json_text.position(text, ("nodes", 1, "type")) == "line 3, column 21"
    assert json_text.position(text, ("nodes", 1, "pos")) == "line 3, column 3"
    assert json_text.spell(("nodes", 1, "type")) == "nodes[1].type"


def test_one_and_true_are_two() -> None:
    assert same([1, {"a": float("nan")}], [1, {"a": float("nan")}])
    assert not same(1, 1.0) and not same(1, True) and not same({"a": 1}, {"a": 1, "b": 1})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(VALUES, VALUES, st.sampled_from([None, 0, 1, 2, "\t"]), st.booleans())
def test_any_change_is_written_right(old, new, indent, ascii_only) -> None:
    text = json.dumps(old, indent=indent, ensure_ascii=ascii_only)
    written = rewrite(text, old, new)
    assert same(json.loads(written), new)
    assert same(json.loads(rewrite(written, new, old)), old)
    if same(old, new):
        assert written == text
