"""Streaming plans: the C++ core and its Python twin say the same.

That what they say is right is proven on cells in tests/cpp/test_stream.cpp, and on real modules in
test_exact*.py.
"""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from stream_cases import layers_of, programs

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
        schedule.peak_bytes,
        list(schedule.sizes),
    ]
    found += [schedule.strip(index) for index in range(schedule.strip_count)]
    found += [schedule.chunk(index) for index in range(schedule.chunk_count)]
    return found


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
    segment = (*segment, data.draw(st.integers(0, 4)))
    begin = data.draw(st.sampled_from([0, 0, 1, 5]))
    results = [
        _said(lambda module=module: _everything(module, case, segment, begin))
        for module in _backends()
    ]
    assert results[0] == results[1]


@given(programs())
@settings(max_examples=40, deadline=None)
def test_plans_agree(case: dict) -> None:
    # Enough for every halving; what happens below is test_schedules_agree's.
    halvings = sum(name in ("down", "pack") for name, *_ in case["blocks"])
    assume(min(case["clip"][1:3]) >> halvings)
    found = []
    for module in _backends():
        layers = layers_of(module, case)
        plans = module.candidates(layers, case["clip"], 2)
        found.append(
            [repr(module.cuts(layers, case["clip"]))]
            + [(repr(plan.segments), plan.bytes, plan.describe()) for plan in plans]
        )
        budget = plans[len(plans) // 2].bytes
        for slack in (1.0, 1.2):
            chosen = module.choose_plan(layers, case["clip"], 2, budget, slack)
            found[-1].append(chosen.describe())
        with pytest.raises(errors.BudgetError) as error:
            module.choose_plan(layers, case["clip"], 2, plans[-1].bytes - 1)
        found[-1].append(str(error.value))
        found[-1].append(pytest.approx([plan.seconds for plan in plans]))
    assert found[0][:-1] == found[1][:-1]
    assert [plan.seconds for plan in plans] == found[0][-1]


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
