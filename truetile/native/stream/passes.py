"""Plans of programs with group norms; twin of csrc/core/stream/passes.hpp.

A group norm needs the moments of its whole source before its layer makes one row. Such a program
runs as *passes*: each makes one *target* (a norm's source, a side of an attention, the output) from
values stored before, and stores it or only gathers its moments. What is stored decides memory and
time: a pass from an earlier value repeats all layers in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..grid import require
from .attention import attention_choices
from .layer import LayerKind, Size, StreamLayer
from .schedule import Schedule, Segment
from .values import store_bytes, value_sizes


def pass_targets(layers: Sequence[StreamLayer]) -> list[int]:
    """Values that a pass must end at, in order."""
    found = {len(layers)}
    for index, layer in enumerate(layers):
        if layer.groups:
            found.add(layer.source)
        if layer.attends:
            found |= {layer.source, index + 1}
    return sorted(found - {0})


def plan_bytes(
    layers: Sequence[StreamLayer], clip: Size, segments: Sequence[Segment], elem_bytes: int
) -> int:
    """Peak of device memory of any list of segments, with the stores alive in each."""
    sizes = value_sizes(layers, clip)
    reads = [outside_reads(layers, one) for one in segments]
    live: dict[int, int] = {}
    peak = 0
    for at, one in enumerate(segments):
        if one.over >= 0:
            live[one.last] = live.pop(one.over)
        elif one.keep and one.last < len(layers):
            live[one.last] = store_bytes(sizes[one.last], elem_bytes)
        schedule = Schedule(layers, clip, one, elem_bytes)
        peak = max(peak, sum(live.values()) + schedule.peak_bytes)
        later = set().union(*reads[at + 1 :])
        live = {value: size for value, size in live.items() if value in later}
    return peak


def outside_reads(layers: Sequence[StreamLayer], segment: Segment) -> set[int]:
    """Values made before a segment that it reads; without the program's input."""
    found = set()
    for layer in layers[segment.first : segment.last]:
        found |= {value for value in (layer.source, layer.residual) if value <= segment.first}
    return {value for value in found if value > 0}


def make_passes(
    layers: Sequence[StreamLayer], clip: Size, stored: Sequence[int], rows: int
) -> list[Segment]:
    """The passes that store just these values, in strips of `rows` output rows.

    Each begins as late as it can, and writes over a value that is not read any more where it can.
    Attention runs whole.
    """
    sizes = value_sizes(layers, clip)
    ends = sorted({*pass_targets(layers), *stored})
    inside = ends[0] > 0 and ends[-1] == len(layers)
    require(inside, "stored", list(stored), "values of layers")
    have: set[int] = set()
    segments = []
    for end in ends:
        first = max(
            value for value in range(end) if outside_reads(layers, Segment(value, end)) <= have
        )
        keep = end in stored or end == len(layers)
        height = 0 if has_attention(layers, first, end) else min(rows, sizes[end][1])
        segments.append(Segment(first, end, height, keep=keep))
        have |= {end} if keep else set()
    for at, one in enumerate(segments):
        later = set().union(*(outside_reads(layers, other) for other in segments[at + 1 :]))
        for value in sorted(outside_reads(layers, one) - later):
            if one.keep and may_overwrite(layers, clip, one, value):
                segments[at] = replace(one, over=value)
    return segments


def may_overwrite(layers: Sequence[StreamLayer], clip: Size, one: Segment, value: int) -> bool:
    """Whether a segment may write its result in the memory of `value`, which it reads."""
    sizes = value_sizes(layers, clip)
    if value <= 0 or one.last == len(layers) or sizes[value] != sizes[one.last]:
        return False
    last = layers[one.last - 1]
    if last.kind != LayerKind.CONV and not last.attends:
        return False  # it writes while it reads
    # Strips of one row end wherever any strips end.
    rows = 0 if has_attention(layers, one.first, one.last) else 1
    return Schedule(layers, clip, Segment(one.first, one.last, rows), 1).reads_ahead(value)


def has_attention(layers: Sequence[StreamLayer], first: int, last: int) -> bool:
    """Whether layers [first, last) need whole frames."""
    return any(layer.attends for layer in layers[first:last])


def query_choices(
    layers: Sequence[StreamLayer], sizes: Sequence[Size], span: tuple[int, int]
) -> list[int]:
    """Numbers of queries to choose from in layers of `span`, falling; only 0 without attention."""
    own = range(*span)
    seen = [(layers[at].tokens(sizes[at + 1]), layers[at].way) for at in own if layers[at].attends]
    return attention_choices(*max(seen)) if seen else [0]
