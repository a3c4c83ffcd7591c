"""The fastest passes within some memory; twin of csrc/core/stream/pass_planner.cpp.

Only a *base*, a value that alone is enough to go on from, starts a span of passes; inside a span
everything is made again from its start, except that the middle of a residual block may be stored.
So spans do not depend on each other, and the fastest plan within some memory is a shortest path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..grid import require
from .costs import Speed, StreamPlan
from .layer import Size, StreamLayer
from .pass_options import PassOptions
from .passes import may_overwrite, outside_reads, pass_targets
from .schedule import Segment, layer_macs
from .shuffle import TimeRule
from .values import clean_cuts, store_bytes, value_sizes

# The next plan is smaller by at least one part in so many; once there is none, twice as many.
_STEP, _LAST_STEP = 12, 192


def pass_plans(
    layers: Sequence[StreamLayer], clip: Size, elem_bytes: int, speed: Speed
) -> list[StreamPlan]:
    """Plans in passes, fastest first, each smaller than those before it."""
    planner = _Planner(layers, clip, elem_bytes, speed)
    plans: list[StreamPlan] = []
    room, step = 1 << 60, _STEP
    while step <= _LAST_STEP:
        plan = planner.fastest(room)
        if plan is not None:
            if plans and plan.seconds <= plans[-1].seconds:
                plans.pop()
            plans.append(plan)
        else:
            step *= 2
        room = plans[-1].bytes - max(1, plans[-1].bytes // step)
    return plans


class _Planner:
    def __init__(
        self, layers: Sequence[StreamLayer], clip: Size, elem_bytes: int, speed: Speed
    ) -> None:
        self._layers, self._clip = layers, clip
        self._elem_bytes = elem_bytes
        self._sizes = value_sizes(layers, clip)
        self._targets = pass_targets(layers)
        self._clean = clean_cuts(layers)
        self._options = PassOptions(layers, clip, elem_bytes, speed)
        self._ahead: dict[tuple[int, int, int], bool] = {}
        count = len(layers)
        # Both sides of an attention are stored, so that no pass repeats it.
        self._stored = {count}
        for index, layer in enumerate(layers):
            if layer.attends:
                alone = self._clean[layer.source] and self._clean[index + 1]
                where = f"the only value read behind it (layer {index})"
                require(alone, "source", layer.source, where)
                self._stored |= {layer.source, index + 1}
        self._bases = [
            value
            for value in range(1, count)
            if self._clean[value] and (value in self._targets or self._resamples(value))
        ]
        self._bases = [0, *self._bases, count]
        # Seconds of tensor work up to each layer, at the full rate.
        self._work = [0.0]
        for index, layer in enumerate(layers):
            t, h, w, c = self._sizes[index + 1]
            macs = (
                float(layer_macs(layer, layer.tokens(self._sizes[index + 1])))
                * float(t * w)
                * float(c)
                * float(h)
            )
            self._work.append(self._work[-1] + macs / speed.macs)

    def fastest(self, room: int) -> StreamPlan | None:
        """The fastest plan within `room` bytes: a shortest path through the bases."""
        best: dict[int, StreamPlan] = {0: StreamPlan((), 0, 0.0)}
        for end in self._bases[1:]:
            for start in reversed([base for base in self._bases if base < end]):
                if start in best:
                    limit = best[end].seconds if end in best else float("inf")
                    span = self._span(start, end, room, limit - best[start].seconds)
                    if span is not None:
                        so_far = best[start]
                        best[end] = StreamPlan(
                            so_far.segments + span.segments,
                            max(so_far.bytes, span.bytes),
                            so_far.seconds + span.seconds,
                        )
                if start in self._stored:
                    break
        return best.get(len(self._layers))

    def _span(self, start: int, end: int, room: int, limit: float) -> StreamPlan | None:
        """The fastest passes between two bases that take less than `limit` seconds."""
        found = None
        for passes in self._ways(start, end):
            span = self._run(passes, start, room, limit)
            if span is not None:
                found, limit = span, span.seconds
        return found

    def _ways(self, start: int, end: int) -> Iterator[list[Segment]]:
        inner = [value for value in self._targets if start < value < end]
        if len(inner) == 1 and not self._clean[inner[0]]:
            last = Segment(inner[0], end)
            if outside_reads(self._layers, last) <= {start, inner[0]}:
                yield [Segment(start, inner[0]), last]
        repeated = [Segment(start, value, keep=False) for value in inner]
        yield [*repeated, Segment(start, end)]

    def _run(self, passes: list[Segment], start: int, room: int, limit: float) -> StreamPlan | None:
        stores = self._store(start)
        segments: list[Segment] = []
        peak, seconds = 0, 0.0
        least = sum(self._work[one.last] - self._work[one.first] for one in passes)
        if stores >= room or least >= limit:
            return None
        for one in passes:
            over = start if one is passes[-1] and self._may_overwrite(one, start) else -1
            if one.keep and over < 0:
                stores += self._store(one.last)
            option = self._options.fastest(one, room - stores)
            if option is None or not seconds + option.seconds < limit:
                return None
            segments.append(replace(option.segment, over=over))
            peak = max(peak, stores + option.bytes)
            seconds += option.seconds
        return StreamPlan(tuple(segments), peak, seconds)

    def _may_overwrite(self, one: Segment, value: int) -> bool:
        key = (one.first, one.last, value)
        if key not in self._ahead:
            self._ahead[key] = may_overwrite(self._layers, self._clip, one, value)
        return self._ahead[key]

    def _store(self, value: int) -> int:
        inside = 0 < value < len(self._layers)
        return store_bytes(self._sizes[value], self._elem_bytes) if inside else 0

    def _resamples(self, value: int) -> bool:
        layer = self._layers[value]
        return layer.rows.up > 1 or layer.rows.stride > 1 or layer.time_rule != TimeRule.SAME
