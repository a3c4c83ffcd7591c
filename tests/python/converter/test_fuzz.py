"""Random workflows of every format, and broken ones: no crash, no lost node, no loose link.

TRUETILE_FUZZ_CASES=20000 is the long run; the usual one takes seconds.
"""

from __future__ import annotations

import copy
import json
import os
from typing import Any

from converter.builders import graphs
from converter.random_graphs import OPTIONS, damaged, damaged_texts, documents
from hypothesis import HealthCheck, event, given, settings

import truetile
from truetile import WorkflowError
from truetile.converter import consistency
from truetile.converter.rewrite import same

CASES = int(os.environ.get("TRUETILE_FUZZ_CASES", "300"))
TESTS = 3
fuzzed = settings(
    max_examples=-(-CASES // TESTS),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def places(document: dict[str, Any]) -> list[tuple[int, str]]:
    """Every node, as the number of its graph and its id."""
    if "nodes" not in document:
        return [(0, name) for name in document]
    return [
        (number, str(node["id"]))
        for number, graph in enumerate(graphs(document))
        for node in graph["nodes"]
    ]


def holds(given_: Any, options: dict[str, Any], text: str | None = None) -> None:
    """All promises about one conversion. Raises WorkflowError for what is no workflow."""
    before = copy.deepcopy(given_)
    done = truetile.convert(given_ if text is None else text, **options)
    assert same(given_, before)
    event(f"{done.format}, {'changed' if done.changed else 'nothing to do'}")
    document = done.document
    assert set(places(before)) <= set(places(document)), "no node is lost"
    assert len(set(places(document))) == len(places(document)), "no id is given twice"
    assert not consistency.problems(document) - consistency.problems(before), "no loose link"
    if text is not None:
        assert same(json.loads(done.text.removeprefix("\ufeff")), document)
    if not done.changed:
        assert same(document, before) and (text is None or done.text == text)
        return
    undone = truetile.undo(document if text is None else done.text)
    assert not undone.notes and same(undone.document, before), "the way back is exact"
    again = truetile.convert(document, **options)
    assert not again.changed, f"converted twice: {again}"


@fuzzed
@given(documents(), OPTIONS)
def test_any_workflow(document, options) -> None:
    holds(document, options, json.dumps(document, indent=2))
    holds(document, options)


@fuzzed
@given(damaged(), OPTIONS)
def test_any_damaged_document(document, options) -> None:
    try:
        holds(document, options)
    except WorkflowError as error:
        assert ": expected " in str(error)


@fuzzed
@given(damaged_texts(), OPTIONS)
def test_any_damaged_text(text, options) -> None:
    try:
        holds(json.loads(text.removeprefix("\ufeff")), options, text)
    except json.JSONDecodeError:
        try:
            truetile.convert(text, **options)
        except WorkflowError as error:
            assert str(error).startswith("line ")
        else:
            raise AssertionError("a text that is not JSON was taken") from None
    except WorkflowError as error:
        assert str(error).startswith("line ") and ": expected " in str(error)
