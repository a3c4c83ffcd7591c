"""Plans of programs that run in stages: for each stage one of its own, within the same memory."""

from __future__ import annotations

from ..families.program import Roll
from ..native.stream.values import store_bytes
from ..stream import Speed, StreamPlan, candidates, value_sizes
from .exact_carry import carried_sizes
from .exact_stages import Part, Shapes, Size, Stage, stages_of


def rolled_plans(
    shapes: Shapes, roll: Roll, clip: Size, elem_bytes: int, speed: Speed
) -> list[StreamPlan]:
    """Fastest first, each smaller than those before it."""
    stages = stages_of(shapes, roll, clip)
    sizes = value_sizes(shapes, clip)
    # Few, and of the lowest resolution: as if all were there all the time.
    stores = sum(store_bytes(sizes[stage.last], elem_bytes) for stage in stages[:-1])
    options = [_options(stage, elem_bytes, speed) for stage in stages]
    plans: list[StreamPlan] = []
    for room in sorted({one.bytes for own in options for one in own}, reverse=True):
        fitting = [[one for one in own if one.bytes <= room] for own in options]
        if not all(fitting):
            break
        chosen = [min(own, key=lambda one: (one.seconds, one.bytes)) for own in fitting]
        segments = [
            stage.moved_out(one.segments) for stage, one in zip(stages, chosen, strict=True)
        ]
        needed = stores + max(one.bytes for one in chosen)
        seconds = sum(one.seconds for one in chosen)
        plans.append(StreamPlan(sum(segments, ()), needed, seconds))
    return [one for at, one in enumerate(plans) if at == 0 or one.bytes < plans[at - 1].bytes]


def _options(stage: Stage, elem_bytes: int, speed: Speed) -> list[StreamPlan]:
    """Plans of a stage for the part with the most frames; no other has more of any value."""
    largest = stage.largest
    times = stage.parts[-1].made.end / largest.made.length
    carried = _carried(stage.parts[-1], elem_bytes) if len(stage.parts) > 1 else 0
    return [
        StreamPlan(one.segments, carried + one.bytes, one.seconds * times)
        for one in candidates(largest.shapes, largest.clip, elem_bytes, speed)
    ]


def _carried(part: Part, elem_bytes: int) -> int:
    sizes = carried_sizes(part.shapes, value_sizes(part.shapes, part.clip))
    return sum(store_bytes(size, elem_bytes) for size in sizes.values())
