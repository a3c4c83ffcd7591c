"""Streaming plans: the C++ core and its Python twin say the same.

That what they say is right is proven on cells in tests/cpp/test_stream.cpp, and on real modules in
test_exact*.py.
"""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from stream_cases import halvings, layers_of, programs

from truetile import errors, stream
from truetile.native import locate
from truetile.native import stream as twin


def _backends() -> list[ModuleType]:
    if stream.BACKEND != "native":
        pytest.skip(f"no native core: {locate.reasons().get(locate.CORE)}")
    return [stream, twin]


def _said(call) -> str:
    """repr of a result or of the error in its place."""
    try:
        return repr(call())
    except (errors.InvalidArgument, errors.BudgetError) as error:
        return f"{type(error).__name__}: {error}"


def _everything(module: ModuleType, case: dict, segment: tuple, begin: int) -> list:
    schedule = module.Schedule(
        layers_of(module, case), case["clip"], module.Segment(*segment), 2, begin
    )
    found = [list(schedule.lines), list(schedule.caches), schedule.offsets, schedule.calls]
    found += [schedule.workspace_bytes, schedule.line_bytes, schedule.cache_bytes]
    found += [
        schedule.strip_macs(0),
        schedule.call_bytes,
        schedule.landing_bytes,
        schedule.departure_bytes,
        schedule.peak_bytes,
        list(schedule.sizes),
    ]
    found += [schedule.queries(at) for at in range(segment[1])]
    found += [schedule.reads_ahead(value) for value in range(len(schedule.sizes))]
    found += [schedule.strip(index) for index in range(schedule.strip_count)]
    found += [schedule.chunk(index) for index in range(schedule.chunk_count)]
    return found


def _layer(module: ModuleType, changes: dict):
    """A layer that keeps the size of a value of 4 channels, but for some `changes`."""
    kind = getattr(module.LayerKind, changes.get("kind", "CONV"))
    fields = {"source": 0, "in_channels": 4, "out_channels": 4}
    for name, value in changes.items():
        if name in ("rows", "columns"):
            fields[name] = module.AxisRule(**value)
        elif name in ("shuffle", "shortcut"):
            rule = value | {"time": getattr(module.TimeRule, value.get("time", "SAME"))}
            fields[name] = module.Shuffle(**rule)
        elif name == "time_rule":
            fields[name] = getattr(module.TimeRule, value)
        elif name == "way":
            fields[name] = getattr(module.AttentionWay, value)
        elif name != "kind":
            fields[name] = value
    return module.StreamLayer(kind, **fields)


def test_the_native_core_serves_where_it_is_not_switched_off() -> None:
    expected = "native" if locate.enabled() else "python"
    assert expected == stream.BACKEND, locate.reasons()


def test_both_have_every_name() -> None:
    assert set(stream.__all__) - {"BACKEND"} <= set(twin.__all__)


@given(programs(), st.data())
@settings(max_examples=150, deadline=None)
def test_schedules_agree_in_every_field(case: dict, data: st.DataObject) -> None:
    last = len(layers_of(twin, case))
    segment = (0, data.draw(st.integers(1, last + 1)), data.draw(st.integers(0, 12)))
    segment = (*segment, data.draw(st.integers(0, 4)), True, -1, data.draw(st.integers(0, 300)))
    begin = data.draw(st.sampled_from([0, 0, 1, 5]))
    results = [
        _said(lambda module=module: _everything(module, case, segment, begin))
        for module in _backends()
    ]
    assert results[0] == results[1]


WAYS = st.sampled_from([way.name for way in twin.AttentionWay])


@given(st.integers(1, 1 << 21), WAYS)
def test_choices_of_queries_agree(tokens: int, way: str) -> None:
    found, usual = [], []
    for module in _backends():
        named = getattr(module.AttentionWay, way)
        found.append(module.attention_choices(tokens, named))
        usual.append(module.attention_rows(tokens, named))
    assert found[0] == found[1] and usual[0] == usual[1]
    assert sorted(set(found[0]), reverse=True) == found[0]
    assert 1 <= found[0][-1] <= found[0][0] <= tokens
    assert 1 <= usual[0] <= tokens


@given(st.integers(1, 1 << 18), st.data(), st.integers(1, 1024), st.sampled_from([2, 4]), WAYS)
def test_bytes_of_attention_agree(
    tokens: int, data: st.DataObject, channels: int, elem_bytes: int, way: str
) -> None:
    rows = data.draw(st.integers(1, tokens))
    found = [
        module.attention_bytes(
            tokens, rows, channels, elem_bytes, getattr(module.AttentionWay, way)
        )
        for module in _backends()
    ]
    assert found[0] == found[1]


@given(programs(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_plans_agree(case: dict, weighed: bool) -> None:
    # Enough for every halving; what happens below is test_schedules_agree's.
    assume(min(case["clip"][1:3]) >> halvings(case))
    found = []
    for module in _backends():
        layers = layers_of(module, case)
        weights = [1000 * index for index in range(len(layers))] if weighed else []
        plans = module.candidates(layers, case["clip"], 2, weights=weights)
        found.append(
            [repr(module.cuts(layers, case["clip"]))]
            + [(repr(plan.segments), plan.bytes, plan.describe()) for plan in plans]
        )
        budget = plans[len(plans) // 2].bytes
        for slack, byte_seconds in ((1.0, 0.0), (1.2, 1.0), (1.2, 1e-10), (2.0, 1e-12)):
            chosen = module.choose_plan(plans, budget, slack, byte_seconds)
            found[-1].append(chosen.describe())
        with pytest.raises(errors.BudgetError) as error:
            module.choose_plan(plans, plans[-1].bytes - 1)
        found[-1].append(str(error.value))
        found[-1].append(pytest.approx([plan.seconds for plan in plans]))
    assert found[0][:-1] == found[1][:-1]
    assert [plan.seconds for plan in plans] == found[0][-1]


@given(programs(), st.data())
@settings(max_examples=60, deadline=None)
def test_passes_agree(case: dict, data: st.DataObject) -> None:
    assume(min(case["clip"][1:3]) >> halvings(case))
    layers = layers_of(twin, case)
    targets = twin.pass_targets(layers)
    stored = data.draw(st.lists(st.sampled_from(targets), unique=True))
    rows = data.draw(st.integers(1, 8))
    found = []
    for module in _backends():
        layers = layers_of(module, case)
        passes = module.make_passes(layers, case["clip"], stored, rows)
        found.append([repr(passes), module.pass_targets(layers)])
        found[-1].append(module.plan_bytes(layers, case["clip"], passes, 2))
        found[-1].append([module.outside_reads(layers, one) for one in passes])
        for plan in module.candidates(layers, case["clip"], 2):
            assert module.plan_bytes(layers, case["clip"], plan.segments, 2) == plan.bytes
    assert found[0] == found[1]


@given(programs(), st.sampled_from(["source", "residual", "channels", "kernel"]), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_errors_read_alike(case: dict, what: str, value: int) -> None:
    said = []
    for module in _backends():
        layers = layers_of(module, case)
        old = layers[-1]
        layers[-1] = module.StreamLayer(
            old.kind,
            value if what == "source" else old.source,
            value if what == "channels" else old.in_channels,
            old.out_channels,
            value if what == "residual" else old.residual,
            value if what == "kernel" else old.kernel_t,
            old.rows,
            old.columns,
        )
        said.append(_said(lambda m=module, x=layers: m.value_sizes(x, case["clip"])))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rows": {"stride": 5}}, "stride=5: must be in [1, 4] (layer 0)"),
        ({"columns": {"up": 2}}, "up=2: must be 1 unless kernel=3, stride=1, before=1, after=1"),
        ({"shuffle": {"up": 2, "down": 2}}, "down=2: must be in [1, 1] (layer 0)"),
        ({"groups": 3}, "groups=3: must be a divisor of in_channels=4 (layer 0)"),
        ({"time_rule": "HALVE"}, "time_rule=HALVE: must be SAME unless a padded convolution with"),
        ({"residual": 0, "shortcut": {"up": 2}}, "residual=0: must be read row by row, the input"),
        ({"out_channels": 8, "residual": 0}, "residual=0: must be a value of the layer's size"),
        ({"kind": "SHUFFLE", "out_channels": 8}, "out_channels=8: must be such that a shuffle"),
        ({"kind": "ATTENTION", "rows": {"kernel": 3}}, "must be such that attention keeps its"),
        ({"rows": {"kernel": 16}}, "rows=0: must be in [1, 16777216] (layer 0)"),
    ],
)
def test_errors_of_a_layer_read_alike(changes: dict, text: str) -> None:
    for module in _backends():
        said = _said(lambda m=module: m.value_sizes([_layer(m, changes)], (3, 8, 8, 4)))
        assert said.startswith("InvalidArgument: ") and text in said, said


def test_errors_of_a_clip_read_alike() -> None:
    clip = (1 << 20, 1 << 10, 1 << 10, 8)
    said = [_said(lambda m=m: m.value_sizes([_layer(m, {})], clip)) for m in _backends()]
    assert said == ["InvalidArgument: size=8.79609e+12: must be at most 2^42 elements (input)"] * 2


def test_layers_are_equal_and_found_again_by_all_that_they_hold() -> None:
    others = [{"kind": "SHUFFLE"}, {"source": 1}, {"in_channels": 5}, {"out_channels": 5}]
    others += [{"residual": 1}, {"kernel_t": 2}, {"padded": False}, {"residual_channels": 1}]
    others += [{"groups": 2}, {"time_rule": "HALVE"}, {"way": "PRODUCTS"}]
    for name in ("kernel", "stride", "before", "after", "up"):
        others += [{axis: {name: 2}} for axis in ("rows", "columns")]
    for name, value in (("up", 2), ("down", 2), ("time", "DOUBLE")):
        others += [{part: {name: value}} for part in ("shuffle", "shortcut")]
    for module in _backends():
        plain = _layer(module, {})
        assert plain == _layer(module, {}) and hash(plain) == hash(_layer(module, {}))
        kept = {(_layer(module, changes),): changes for changes in others}
        assert len(kept) == len(others)  # no two of them are equal
        for changes in others:
            other = _layer(module, changes)
            assert other != plain, changes
            assert kept[(other,)] == changes
            assert hash(other) != hash(plain), changes
