"""Which frames each layer reads and makes, chunk by chunk; twin of csrc/core/stream/frames.hpp.

Causal layers need nothing from the future, so that a chunk is pushed forward through all of them
and every frame is made once. Chunks are counted in units: the frames behind the first one that the
segment's halving of time makes into one; where the clip goes on from another one there is no such
first frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import InvalidArgument
from ..grid import Span, require_range
from .layer import LayerKind, StreamLayer
from .shuffle import TimeRule


@dataclass(frozen=True)
class LayerFrames:
    """Frames of its source that a layer reads in a chunk, and those it makes."""

    read: Span
    out: Span

    def convolved(self, kind: LayerKind) -> Span:
        """The read frames that go through its convolution: the first one passes a time layer."""
        if kind in (LayerKind.TIME_UP, LayerKind.TIME_DOWN):
            return Span(max(1, self.read.begin), max(1, self.read.end))
        return self.read


class FramePlan:
    """Chunks of `chunk` units of the clip of `frames` that layers [first, last) read; 0: whole."""

    def __init__(
        self, layers: Sequence[StreamLayer], first: int, last: int, frames: int, chunk: int
    ) -> None:
        self.layers = tuple(layers[first:last])
        self._first, self._frames = first, frames
        self.unit = 1
        for layer in self.layers:
            if layer.time.halves:
                self.unit = min(2 * self.unit, 1 << 32)
        self._alone = 0 if any(layer.time == TimeRule.HALVE_ALL for layer in self.layers) else 1
        require_range("chunk", chunk, 0, 1 << 24)
        if (frames - self._alone) % self.unit:
            more = "1 more than " if self._alone else ""
            raise InvalidArgument(f"frames={frames}: must be {more}a multiple of {self.unit}")
        self.units = self._alone + (frames - self._alone) // self.unit
        self._chunk = chunk or self.units
        self.count = -(-self.units // self._chunk)

    def chunk(self, index: int) -> tuple[LayerFrames, ...]:
        """Chunk `index` of `count`; entry i belongs to layer `first + i`."""
        before, after = self._ends(index - 1), self._ends(index)
        return tuple(
            LayerFrames(Span(b[0], a[0]), Span(b[1], a[1]))
            for b, a in zip(before, after, strict=True)
        )

    def _ends(self, index: int) -> list[tuple[int, int]]:
        """Frames (read, made) by each layer when chunk `index` is done."""
        units = min((index + 1) * self._chunk, self.units)
        start = self._alone + (units - self._alone) * self.unit if units else 0
        made: list[int] = []
        ends = []
        for layer in self.layers:
            at = layer.source - 1 - self._first
            read = made[at] if at >= 0 else start
            made.append(layer.frames(read))
            ends.append((read, made[-1]))
        return ends


@dataclass(frozen=True)
class FrameLimits:
    """The most frames that each layer reads, convolves and makes in a chunk."""

    read: tuple[int, ...]
    convolved: tuple[int, ...]
    out: tuple[int, ...]


def frame_limits(plan: FramePlan) -> FrameLimits:
    """The maxima over all chunks of a plan."""
    read, convolved, out = [], [], []
    for layer, chunks in zip(
        plan.layers, zip(*map(plan.chunk, range(plan.count)), strict=True), strict=True
    ):
        read.append(max(one.read.length for one in chunks))
        convolved.append(max(one.convolved(layer.kind).length for one in chunks))
        out.append(max(one.out.length for one in chunks))
    return FrameLimits(tuple(read), tuple(convolved), tuple(out))


def chunk_lengths(layers: Sequence[StreamLayer], first: int, last: int, frames: int) -> list[int]:
    """Chunks to choose from for a clip of `frames` that layers [first, last) read; 0 is whole.

    They cut it evenly into 2, 3, 4, 6, 9, 13..., the longest first: what a longer chunk takes of
    memory buys nothing where as many are needed.
    """
    units = FramePlan(layers, first, last, frames, 0).units
    lengths, shortest, count = [0], units, 2
    while count <= units:
        length = -(-units // count)
        if length < shortest:
            shortest = length
            lengths.append(length)
        count += count // 2
    if shortest > 1:
        lengths.append(1)
    return lengths
