"""The fastest way through a program within a budget; twin of csrc/core/stream/plan.hpp.

A plan is a list of segments with whole values (stores) between them. Low resolutions run whole,
because attention needs whole frames and short strips starve a GPU; the rest runs in strips. Where
norms need whole values, see passes.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...errors import BudgetError
from ..cost import format_bytes
from ..grid import require, require_range
from .costs import Speed, StreamPlan, segment_seconds, strip_heights
from .frames import chunk_lengths
from .layer import LayerKind, Size, StreamLayer
from .pass_planner import pass_plans
from .passes import query_choices
from .schedule import Schedule, Segment
from .shuffle import TimeRule
from .values import clean_cuts, store_bytes, value_sizes


def cuts(layers: Sequence[StreamLayer], clip: Size) -> list[int]:
    """Where a program may be cut into a whole part and a streamed one.

    Layers [0, c) run whole where a program makes more rows than it reads, layers [c, end) where it
    makes fewer. Only one value may cross, attention stays in the whole part, and c lies next to the
    attention or to a change of resolution. 0 stands for a program without attention, streamed
    from end to end. Without any cut the program runs whole.
    """
    sizes = value_sizes(layers, clip)
    count = len(layers)
    clean = clean_cuts(layers)
    attention = [i for i, one in enumerate(layers) if one.attends]
    decoding = sizes[-1][1] >= sizes[0][1]
    found = [] if attention else [0]
    low = attention[-1] + 1 if attention and decoding else 1
    high = attention[0] if attention and not decoding else count - 1
    allowed = [cut for cut in range(low, high + 1) if clean[cut]]
    for cut in allowed:
        edge = cut == allowed[0 if decoding else -1]
        if edge or _resamples(layers, clean, cut, decoding):
            found.append(cut)
    return found


def _resamples(
    layers: Sequence[StreamLayer], clean: Sequence[bool], cut: int, decoding: bool
) -> bool:
    """Whether the streamed side changes size between the cut and the next one that is clean."""
    if _is_time(layers[cut] if decoding else layers[cut - 1]):
        return True
    other = cut - 1 if decoding else cut
    # A time layer stands before its upsampling and behind its downsampling: cut on its far side.
    if other < len(layers) and _is_time(layers[other]):
        return False
    at = cut
    while at == cut or not clean[at]:
        if _resizes(layers, at if decoding else at - 1):
            return True
        at += 1 if decoding else -1
    return False


def _is_time(layer: StreamLayer) -> bool:
    return layer.kind in (LayerKind.TIME_UP, LayerKind.TIME_DOWN)


def _resizes(layers: Sequence[StreamLayer], at: int) -> bool:
    layer = layers[at]
    resampled = layer.rows.up > 1 or layer.rows.stride > 1 or layer.time_rule != TimeRule.SAME
    # The patches that a program begins or ends with are no level of their own.
    inner = 0 < at < len(layers) - 1
    return _is_time(layer) or resampled or (layer.kind == LayerKind.SHUFFLE and inner)


def candidates(
    layers: Sequence[StreamLayer],
    clip: Size,
    elem_bytes: int,
    speed: Speed | None = None,
    weights: Sequence[int] = (),
) -> list[StreamPlan]:
    """All plans worth choosing from, fastest first; of equal ones the smaller first.

    `weights`: bytes of each layer's, counted in the plans' bytes; empty: of none. Those of the
    first of two segments leave with it, those of passes stay.
    """
    speed = speed or Speed()
    require(len(weights) in (0, len(layers)), "weights", len(weights), f"0 or {len(layers)}")
    if any(layer.groups for layer in layers):
        plans = pass_plans(layers, clip, elem_bytes, speed)
        return [replace(plan, bytes=plan.bytes + sum(weights)) for plan in plans]
    sizes = value_sizes(layers, clip)
    decoding = sizes[-1][1] >= sizes[0][1]
    count = len(layers)
    plans = []
    found = cuts(layers, clip)
    if not found:
        whole = _options(layers, clip, (0, count), elem_bytes, speed, False)
        plans += [StreamPlan((one[0],), one[1] + sum(weights), one[2]) for one in whole]
    for cut in found:
        store = store_bytes(sizes[cut], elem_bytes) if cut else 0
        at = cut if decoding else 0
        streamed = _options(
            layers, clip, (at, count if decoding or cut == 0 else cut), elem_bytes, speed, True
        )
        if cut == 0:
            plans += [StreamPlan((one[0],), one[1] + sum(weights), one[2]) for one in streamed]
            continue
        span = (0, cut) if decoding else (cut, count)
        whole = _options(layers, clip, span, elem_bytes, speed, False)
        # What of the weights is there besides while either part runs.
        kept = sum(weights[cut:])
        with_whole, with_streamed = (sum(weights), kept) if decoding else (kept, sum(weights))
        for one in streamed:
            room = one[1] + with_streamed
            # The whole part fits under the streamed one where it can, else it is the smallest.
            under = [w for w in whole if w[1] + with_whole <= room]
            under = under or [min(whole, key=lambda w: w[1])]
            other = min(under, key=lambda w: w[2])
            pair = (other[0], one[0]) if decoding else (one[0], other[0])
            peak = store + max(room, other[1] + with_whole)
            plans.append(StreamPlan(pair, peak, one[2] + other[2]))
    plans.sort(key=lambda plan: (plan.seconds, plan.bytes))
    return _front(plans)


def _front(plans: Sequence[StreamPlan]) -> list[StreamPlan]:
    """Of plans sorted by time those that need less memory than every faster one."""
    front: list[StreamPlan] = []
    for plan in plans:
        if not front or plan.bytes < front[-1].bytes:
            front.append(plan)
    return front


def _options(layers, clip, span, elem_bytes, speed, strips) -> list[tuple[Segment, int, float]]:
    """(segment, bytes, seconds) of layers in `span` for each strip height and chunk."""
    sizes = value_sizes(layers, clip)
    read = sizes[layers[span[0]].source]
    clip_wide = any(one.kind == LayerKind.CLIP_ATTENTION for one in layers[slice(*span)])
    found = []
    heights = strip_heights(layers, *span, sizes) if strips else [0]
    chunks = [0] if clip_wide else chunk_lengths(layers, *span, read[0])
    queries = query_choices(layers, sizes, span)
    for rows in heights:
        for chunk in chunks:
            for scored in queries:
                segment = Segment(*span, rows, chunk, queries=scored)
                schedule = Schedule(layers, clip, segment, elem_bytes)
                found.append((segment, schedule.peak_bytes, segment_seconds(schedule, speed)))
    return found


def choose_plan(
    plans: Sequence[StreamPlan], budget: int, slack: float = 1.0, byte_seconds: float = 0.0
) -> StreamPlan:
    """The one of `plans` within `budget` bytes that costs least; each byte is worth `byte_seconds`.

    `plans` come fastest first, as `candidates` gives them. It takes no longer than `slack` times
    the fastest that fits. BudgetError lists what each plan needs.
    """
    require_range("budget", budget, 1, 1 << 60)
    require(slack >= 1.0, "slack", f"{slack:g}", "at least 1")
    require(byte_seconds >= 0.0, "byte_seconds", f"{byte_seconds:g}", "at least 0")
    fitting = [plan for plan in plans if plan.bytes <= budget]
    if fitting:
        near = [plan for plan in fitting if plan.seconds <= slack * fitting[0].seconds]
        return min(near, key=lambda plan: plan.seconds + byte_seconds * plan.bytes)
    listed = "; ".join(f"{plan.describe()}: {format_bytes(plan.bytes)}" for plan in plans)
    least = min(plan.bytes for plan in plans)
    raise BudgetError(f"budget={budget}: must be at least {least} bytes; the plans need: {listed}")
