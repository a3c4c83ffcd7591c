"""Rows of strips: how tall they are, the first one too, and that few stand for all."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from stream_cases import halvings, layers_of, programs

from truetile.native import stream as twin
from truetile.native.stream.rows import row_limits


@given(programs(), st.integers(0, 9), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_strips_that_are_left_out_are_like_others(case: dict, height: int, rows: int) -> None:
    """The largest rows are those of all strips, though not all are looked at."""
    assume(min(case["clip"][1:3]) >> halvings(case))
    layers = layers_of(twin, case)
    clip = (case["clip"][0], case["clip"][1] * rows, *case["clip"][2:])
    heights = [size[1] for size in twin.value_sizes(layers, clip)]
    plan = twin.RowPlan(layers, 0, len(layers), heights, height)
    limits = row_limits(plan)
    strips = [plan.strip(index) for index in range(plan.count)]
    assert sum(run.length for run in plan.distinct()) == plan.count
    for at in range(len(layers)):
        made = [strip.layers[at].out.length for strip in strips]
        assert (limits.out[at], limits.calls[at]) == (max(made), sum(map(bool, made)))
        assert limits.read[at] == max(strip.layers[at].read.length for strip in strips)
        assert limits.padded[at] == max(strip.layers[at].padded for strip in strips)
        assert limits.window[at] == max(strip.values[at].window.length for strip in strips)
        assert limits.keep[at] == max(strip.values[at].keep.length for strip in strips)


@given(programs(), st.integers(1, 40), st.integers(0, 30))
@settings(max_examples=200, deadline=None)
def test_no_layer_is_taller_in_the_first_strip_than_in_inner_ones(
    case: dict, height: int, begin: int
) -> None:
    layers = layers_of(twin, case)
    # Strips lie alike in all layers again after so many.
    period = math.prod(layer.rows.up * layer.shuffle.up for layer in layers)
    # Rows only count here; columns are enough for every halving, few enough for every doubling.
    clip = (case["clip"][0], 4096, 64, case["clip"][3])
    heights = [size[1] for size in twin.value_sizes(layers, clip)]
    plan = twin.RowPlan(layers, 0, len(layers), heights, height, begin)
    lookahead = plan.lookahead()
    assume(begin + (period + 1) * height + lookahead < heights[-1] // 2)
    first, *inner = (plan.strip(index) for index in range(period + 1))
    made = first.layers[-1].out.length
    if lookahead >= height:
        assert made == min(plan.unit, height)
        return
    assert made == height - lookahead
    assert plan.count == -(-(heights[-1] - begin + lookahead) // height)
    for at in range(len(layers)):
        for rows in ("out", "read"):
            tallest = max(getattr(strip.layers[at], rows).length for strip in inner)
            assert getattr(first.layers[at], rows).length <= tallest
        assert first.layers[at].padded <= max(strip.layers[at].padded for strip in inner)
        window = max(strip.values[at].window.length for strip in inner)
        assert first.values[at].window.length <= window


# A kernel of 3 needs a row below; where it is behind an upsampling that row is one of two.
LOOKAHEADS = {
    "conv": ([(3, 1, 1, 1, 1), (3, 1, 1, 1, 1)], 1),
    "convs": ([(3, 1, 1, 1, 1)] * 8, 7),
    "kernel of 1": ([(3, 1, 1, 1, 1), (1, 1, 0, 0, 1)], 0),
    "up": ([(3, 1, 1, 1, 1), (3, 1, 1, 1, 2), (3, 1, 1, 1, 1)], 2),
    "down": ([(3, 1, 1, 1, 1), (3, 2, 0, 1, 1), (3, 1, 1, 1, 1)], 2),
}


@pytest.mark.parametrize(("rules", "rows"), LOOKAHEADS.values(), ids=LOOKAHEADS)
def test_the_first_strip_is_lower_by_the_lookahead(rules: list[tuple], rows: int) -> None:
    layers = [
        twin.StreamLayer(twin.LayerKind.CONV, at, 1, 1, rows=twin.AxisRule(*rule))
        for at, rule in enumerate(rules)
    ]
    heights = [size[1] for size in twin.value_sizes(layers, (1, 240, 3, 1))]
    plan = twin.RowPlan(layers, 0, len(layers), heights, 20)
    assert plan.lookahead() == rows
    assert [plan.strip(index).layers[-1].out.length for index in (0, 1)] == [20 - rows, 20]
    assert twin.RowPlan(layers, 0, len(layers), heights, 0).count == 1
