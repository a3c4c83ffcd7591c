"""The ways to run a single pass; twin of csrc/core/stream/pass_options.hpp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .costs import Speed, segment_seconds, strip_heights
from .frames import chunk_lengths
from .layer import Size, StreamLayer
from .passes import has_attention, query_choices
from .schedule import Schedule, Segment
from .values import value_sizes


@dataclass(frozen=True)
class PassOption:
    """One way to run a pass, with its memory and time."""

    segment: Segment
    bytes: int
    seconds: float


class PassOptions:
    """The ways to run single passes: strips, chunks or queries, each of them weighed once."""

    def __init__(
        self, layers: Sequence[StreamLayer], clip: Size, elem_bytes: int, speed: Speed
    ) -> None:
        self._layers, self._clip = layers, clip
        self._elem_bytes, self._speed = elem_bytes, speed
        self._sizes = value_sizes(layers, clip)
        self._options: dict[Segment, PassOption] = {}

    def fastest(self, one: Segment, room: int) -> PassOption | None:
        """The fastest way to run a pass within `room` bytes: of each chunk the tallest strips."""
        if has_attention(self._layers, one.first, one.last):
            choices = query_choices(self._layers, self._sizes, (one.first, one.last))
            options = [self._option(one, 0, 0, queries) for queries in choices]
            fitting = [option for option in options if option.bytes <= room]
            return min(fitting, key=lambda option: option.seconds, default=None)
        heights = strip_heights(self._layers, one.first, one.last, self._sizes)
        frames = self._sizes[self._layers[one.first].source][0]
        best: PassOption | None = None
        for chunk in chunk_lengths(self._layers, one.first, one.last, frames):
            low, high = 0, len(heights)  # shorter strips need less
            while low < high:
                middle = (low + high) // 2
                if self._option(one, heights[middle], chunk).bytes <= room:
                    high = middle
                else:
                    low = middle + 1
            if low < len(heights):
                option = self._option(one, heights[low], chunk)
                if best is None or option.seconds < best.seconds:
                    best = option
        return best

    def _option(self, one: Segment, rows: int, chunk: int, queries: int = 0) -> PassOption:
        segment = replace(one, rows=rows, chunk=chunk, queries=queries)
        if segment not in self._options:
            schedule = Schedule(self._layers, self._clip, segment, self._elem_bytes)
            seconds = segment_seconds(schedule, self._speed)
            self._options[segment] = PassOption(segment, schedule.peak_bytes, seconds)
        return self._options[segment]
