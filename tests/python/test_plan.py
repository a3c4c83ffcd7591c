"""Planning: the C++ core and its Python twin say the same, and what they say holds."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truetile import errors, plan
from truetile.native import locate
from truetile.native import plan as twin

BACKENDS = {"twin": twin, "native": plan if plan.BACKEND == "native" else None}


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest) -> ModuleType:
    return _backend(request.param)


def _backend(name: str) -> ModuleType:
    module = BACKENDS[name]
    if module is None:
        pytest.skip(f"no native core: {locate.reasons().get(locate.CORE)}")
    return module


def test_the_native_core_is_used_where_it_is_not_switched_off():
    if locate.enabled():
        assert plan.BACKEND == "native", locate.reasons()
    else:
        assert plan.BACKEND == "python"


def test_both_backends_have_every_name():
    names = set(plan.__all__) - {"BACKEND"}
    assert names == set(twin.__all__)
    assert all(hasattr(plan, name) for name in names)


# Equality of the two.


@st.composite
def _axes(draw: st.DrawFn) -> tuple:
    factor = draw(st.integers(1, 8))
    tile = draw(st.integers(-1, 40))
    return (
        draw(st.integers(-1, 200)),
        tile,
        draw(st.integers(-1, max(0, tile))),
        (factor, draw(st.sampled_from([1, factor, draw(st.integers(0, 9))]))),
        draw(st.booleans()),
        draw(st.integers(0, 3)),
    )


@given(_axes())
@settings(max_examples=400, deadline=None)
def test_axis_tiles_agree(axes: tuple):
    size, tile, overlap, scale, carried, multiple = axes
    results = []
    for name in BACKENDS:
        module = _backend(name)
        try:
            found = module.axis_tiles(
                size, tile, overlap, module.AxisScale(*scale), carried, multiple
            )
            weights = [module.axis_weights(one) for one in found]
        except errors.InvalidArgument as error:
            found = weights = str(error)
        results.append((repr(found), weights))
    assert results[0] == results[1]


@st.composite
def _plans(draw: st.DrawFn) -> dict:
    factor = draw(st.integers(1, 8))
    y, x = draw(st.sampled_from([(1, 1), (8, 8), (2, 3)]))
    tile = draw(st.integers(1, 10))
    frames = draw(st.sampled_from([0, 0, 1, 5, 16, 33]))
    return {
        "extent": tuple(draw(st.integers(1, 12)) for _ in range(3)),
        "scales": ((factor, draw(st.sampled_from([1, factor]))), (y, y), (x, x)),
        "options": {
            "tile": tile,
            "overlap": draw(st.integers(0, tile - 1)),
            "min_tile": draw(st.integers(1, tile)),
            "frames": frames,
            "overlap_frames": draw(st.integers(0, frames - 1 if frames else 20)),
            "carried": draw(st.booleans()),
            "chunk_multiple": draw(st.integers(1, 3)),
            "encode": draw(st.booleans()),
            "start_tiled": draw(st.booleans()),
            "stretch": draw(st.sampled_from([1000, 1000, 1414, 1999])),
        },
        "cost": {
            "fixed_bytes": draw(st.integers(0, 1 << 40)),
            "bytes_per_pixel": draw(st.floats(0, 1e6)),
            "live_frames": draw(st.integers(0, 20)),
            "out_channels": draw(st.integers(1, 64)),
            "out_elem_bytes": draw(st.sampled_from([2, 4])),
        },
    }


def _arguments(module: ModuleType, problem: dict) -> tuple:
    return (
        problem["extent"],
        tuple(module.AxisScale(*scale) for scale in problem["scales"]),
        module.LadderOptions(**problem["options"]),
        module.CostModel(**problem["cost"]),
    )


def _trace(module: ModuleType, problem: dict, start: int, fails: list[bool]) -> list:
    """Everything a ladder says on its way; `fails` tells which calls run out of memory."""
    extent, scales, options, cost = _arguments(module, problem)
    rungs = module.make_rungs(extent, scales, options)
    ladder = module.Ladder(extent, scales, options, cost, start % len(rungs))
    trace = [repr(rungs), ladder.rung_bytes, [rung.describe() for rung in ladder.rungs]]
    fails = list(fails)
    while (step := ladder.next()) is not None:
        trace.append((repr(step), repr(step.axes), [t.final.length for t in step.axes]))
        error = None
        if fails and fails.pop():
            try:
                ladder.out_of_memory(step)
            except errors.LadderExhausted as exhausted:
                error = str(exhausted)
                ladder.done(step)
        else:
            ladder.done(step)
        trace.append((error, ladder.finished_pixels, ladder.computed_latents, ladder.deepest_rung))
    trace.append((repr(ladder.counts), ladder.total_pixels))
    assert ladder.finished_pixels == ladder.total_pixels
    return trace


@given(_plans(), st.integers(0, 20), st.lists(st.booleans(), max_size=60))
@settings(max_examples=300, deadline=None)
def test_ladders_agree_in_every_field_of_every_step(problem: dict, start: int, fails: list[bool]):
    native, python = (_trace(_backend(name), problem, start, fails) for name in BACKENDS)
    assert native == python


@given(_plans(), st.integers(0, 1 << 42))
@settings(max_examples=200, deadline=None)
def test_choices_of_a_rung_agree(problem: dict, budget: int):
    results = []
    for name in BACKENDS:
        module = _backend(name)
        try:
            results.append(module.choose_rung(*_arguments(module, problem), budget))
        except errors.BudgetError as error:
            results.append(str(error))
    assert results[0] == results[1]


@given(st.integers(0, 1 << 62))
def test_bytes_are_written_alike(count: int):
    assert _backend("native").format_bytes(count) == twin.format_bytes(count)


# What both must hold.


@given(st.integers(1, 300), st.integers(1, 80), st.data())
@settings(max_examples=200, deadline=None)
def test_weights_sum_to_one(size: int, tile: int, data: st.DataObject):
    overlap = data.draw(st.integers(0, tile - 1))
    total = [0.0] * (8 * size)
    for one in twin.axis_tiles(size, tile, overlap, twin.AxisScale(8, 8)):
        for i, weight in enumerate(twin.axis_weights(one)):
            total[one.use.begin + i] += weight
    assert total == pytest.approx([1.0] * len(total), abs=1e-12)


def test_values_are_immutable_and_compare_by_value(backend: ModuleType):
    span = backend.Span(1, 4)
    assert span == backend.Span(begin=1, end=4)
    assert span != backend.Span(1, 5)
    assert span != 3
    assert hash(span) == hash(backend.Span(1, 4))
    assert (span.length, repr(span)) == (3, "Span(begin=1, end=4)")
    with pytest.raises(AttributeError):
        span.begin = 2


def test_triples_are_tuples(backend: ModuleType):
    ladder = backend.Ladder(
        (5, 8, 8),
        [backend.AxisScale(4, 1), backend.AxisScale(8, 8), backend.AxisScale(8, 8)],
        backend.LadderOptions(),
        backend.CostModel(),
    )
    step = ladder.next()
    level = step.levels[0]
    assert level.size == (17, 64, 64)
    for value in (step.latent, step.pixel, step.levels, step.axes, step.cache_crop, level.box):
        assert isinstance(value, tuple)


# Messages, of both.

VIDEO = ((4, 1), (8, 8), (8, 8))
BAD = [
    ({"options": {"overlap": 64}}, "overlap=64: must be in [0, 63] (tile=64)"),
    ({"options": {"tile": 0}}, "tile=0: must be in [1, 16777216]"),
    ({"options": {"min_tile": 65}}, "min_tile=65: must be in [1, 64] (tile=64)"),
    (
        {"options": {"frames": 4, "overlap_frames": 4}},
        "overlap_frames=4: must be in [0, 3] (frames=4)",
    ),
    ({"options": {"chunk_multiple": 0}}, "chunk_multiple=0: must be in [1, 16777216]"),
    ({"extent": (0, 8, 8)}, "extent.t=0: must be in [1, 16777216]"),
    ({"extent": (1, 8, 1 << 25)}, "extent.x=33554432: must be in [1, 16777216]"),
    (
        {"extent": (1 << 20, 1 << 20, 1 << 20)},
        "extent=(1048576, 1048576, 1048576): must be at most 281474976710656 pixel-frames",
    ),
    ({"scales": ((4, 5), (8, 8), (8, 8))}, "first=5: must be in [1, 4] (factor=4)"),
    ({"scales": ((4, 1), (8, 1), (8, 8))}, "first.y=1: must be 8 (the factor of y)"),
    ({"cost": {"bytes_per_pixel": -1.5}}, "bytes_per_pixel=-1.5: must be finite and at least 0"),
    (
        {"cost": {"bytes_per_pixel": float("nan")}},
        "bytes_per_pixel=nan: must be finite and at least 0",
    ),
    (
        {"cost": {"bytes_per_pixel": float("inf")}},
        "bytes_per_pixel=inf: must be finite and at least 0",
    ),
    ({"cost": {"fixed_bytes": -1}}, "fixed_bytes=-1: must be in [0, 1152921504606846976]"),
    ({"start": 9}, "start_rung=9: must be in [0, 0]"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[text.split("=")[0] for _, text in BAD])
def test_bad_values_are_named(backend: ModuleType, change: dict, message: str):
    problem = {"extent": (1, 8, 8), "scales": VIDEO, "options": {}, "cost": {}} | change
    with pytest.raises(errors.InvalidArgument) as caught:
        backend.Ladder(*_arguments(backend, problem), change.get("start", 0))
    assert str(caught.value) == message
    assert isinstance(caught.value, ValueError)


def _image_ladder(backend: ModuleType, **options: int):
    scales = tuple(backend.AxisScale(s, s) for s in (1, 8, 8))
    chosen = backend.LadderOptions(**options)
    return backend.Ladder((1, 12, 12), scales, chosen, backend.CostModel(0, 1000.0))


def test_exhaustion_lists_what_each_rung_needs(backend: ModuleType):
    ladder = _image_ladder(backend, tile=8, overlap=2, min_tile=8)
    ladder.out_of_memory(ladder.next())
    step = ladder.next()
    with pytest.raises(errors.LadderExhausted) as caught:
        ladder.out_of_memory(step)
    assert str(caught.value) == (
        "step=1: out of memory at rung 2 of 2 (tile 8), and no rung makes the call smaller; "
        "the rungs need: whole: 8.89 MiB; tile 8: 3.05 MiB"
    )
    ladder.done(step)  # nothing changed: the step is still open


def test_a_budget_below_the_smallest_rung_lists_what_each_needs(backend: ModuleType):
    scales = tuple(backend.AxisScale(s, s) for s in (1, 8, 8))
    options = backend.LadderOptions(tile=16, overlap=4, min_tile=16)
    with pytest.raises(errors.BudgetError) as caught:
        backend.choose_rung((1, 30, 52), scales, options, backend.CostModel(0, 1000.0), 5)
    assert str(caught.value) == (
        "budget=5: must be at least 13711360 bytes; "
        "the rungs need: whole: 96.36 MiB; tile 16: 13.08 MiB"
    )


def test_steps_must_be_reported_in_order(backend: ModuleType):
    ladder = _image_ladder(backend, tile=8, overlap=2, start_tiled=True)
    step = ladder.next()
    with pytest.raises(errors.InvalidArgument, match=r"^step=0: must be reported by done or out"):
        ladder.next()
    ladder.done(step)
    with pytest.raises(errors.InvalidArgument, match=r"^step=0: must be a step that next gave$"):
        ladder.out_of_memory(step)
    ladder.next()
    with pytest.raises(errors.InvalidArgument, match=r"^step=0: must be 1, the open step$"):
        ladder.done(step)
