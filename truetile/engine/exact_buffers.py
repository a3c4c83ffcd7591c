"""The memory of one segment: windows and padded inputs in a workspace, line buffers, caches."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch

from .. import native
from ..stream import Handover, LayerFrames, LayerRows, Schedule, Span, ValueRows
from .exact_output import Output
from .memory import carved


class Strip(NamedTuple):
    """The rows of one strip; the native core would make its lists anew at each look."""

    layers: tuple[LayerRows, ...]
    values: tuple[ValueRows, ...]


class Step(NamedTuple):
    """One chunk of one strip; `following` is the strip after it."""

    strip: Strip
    following: Strip | None
    chunk: tuple[LayerFrames, ...]
    last_chunk: bool


def strips_of(schedule: Schedule) -> list[Strip]:
    """All strips of a schedule, in order."""
    rows = (schedule.strip(index) for index in range(schedule.strip_count))
    return [Strip(tuple(strip.layers), tuple(strip.values)) for strip in rows]


class PaddedInput(NamedTuple):
    """A layer's padded input [t, h, w, C] in one chunk of one strip, and parts of it."""

    frames: torch.Tensor  # cached ones, then its own
    cached: torch.Tensor
    own: torch.Tensor
    last: torch.Tensor  # what the next chunk has as its cached frames
    read: torch.Tensor  # by the convolution; rows below the padded ones hold anything


class Reader(Protocol):
    def __call__(self, value: int, frames: Span, rows: Span) -> torch.Tensor:
        """[t, h, w, C] of a value that lies outside of the segment, on its device."""


class SegmentBuffers:
    """Everything that lives as long as a segment runs, and views of it in one step.

    Layers and what they make are counted from the segment's first one, `first` in the program.
    Tensors are [t, h, w, C].
    """

    def __init__(self, schedule: Schedule, read: Reader, output: Output, **new) -> None:
        self._read, self._output = read, output
        count = -(-schedule.workspace_bytes // schedule.elem_bytes)
        own = carved([(count,), *schedule.lines, *schedule.caches], **new)
        self._workspace, layers = own[0], len(schedule.lines)
        self._lines, self._caches = own[1 : layers + 1], own[layers + 1 :]
        self._pieces: dict[tuple[int, tuple[int, ...]], torch.Tensor] = {}
        self._inputs: dict[tuple[int, ...], PaddedInput] = {}
        self.first, self._last = schedule.segment.first, len(self._lines) - 1
        self._columns = [size[2] for size in schedule.sizes]
        self._sizes = [schedule.made(at) for at in range(len(self._lines))]
        self._offsets = [offset // schedule.elem_bytes for offset in schedule.offsets]
        self._handovers = [schedule.handover(at) for at in range(len(self._lines))]
        self._sources: list[torch.Tensor] = []
        self._targets: list[torch.Tensor] = []

    def begin(self, step: Step) -> None:
        """What follows is of this step."""
        self._strip, self._chunk = step.strip, step.chunk
        self._windows: dict[int, torch.Tensor] = {}

    def copy(self, source: torch.Tensor, target: torch.Tensor) -> None:
        """Copies a box with the next `flush`; nothing that waits may read what another writes."""
        self._sources.append(source)
        self._targets.append(target)

    def flush(self) -> None:
        """Copies what waits, in one launch."""
        if self._sources:
            native.copy_boxes(self._sources, self._targets)
            self._sources, self._targets = [], []

    def rows(self, value: int, frames: Span, rows: Span) -> torch.Tensor:
        """Rows of any value of the program: of a window, or from outside."""
        at = value - 1 - self.first
        if at < 0:
            return self._read(value, frames, rows)
        begin = self._strip.values[at].window.begin
        return self._windows[at][:, rows.begin - begin : rows.end - begin]

    def columns(self, value: int) -> int:
        """How wide any value of the program is."""
        return self._columns[value]

    def source(self, at: int, value: int) -> torch.Tensor:
        """The rows of a value that layer `at` reads as its source."""
        return self.rows(value, self._chunk[at].read, self._strip.layers[at].read)

    def open(self, at: int) -> torch.Tensor | None:
        """Memory for the new rows of what a layer makes; its retained rows come with a flush.

        None where the segment's output takes rows only when they are finished.
        """
        self.flush()  # what waits may read memory that is this value's now
        new, frames = self._strip.layers[at].out, self._chunk[at].out
        if at == self._last:
            return self._output.target(frames, new)
        window = self._strip.values[at].window
        _, _, columns, channels = self._sizes[at]
        values = self._piece(2 * at + 1, (frames.length, window.length, columns, channels))
        kept = new.begin - window.begin
        if kept:
            lines = self._lines[at][frames.begin : frames.end, :kept]
            self.copy(lines, values[:, :kept])
        self._windows[at] = values
        return values[:, kept:]

    def close(self, at: int) -> None:
        """Saves the rows of a filled window that the next strip needs, with the next flush."""
        frames = self._chunk[at].out
        if at == self._last:
            self._output.written(frames, self._strip.layers[at].out)
            return
        keep = self._strip.values[at].keep
        if keep.length:
            self.flush()  # the retained rows, which may be kept again
            window = self._windows[at]
            self._keep(at, window[:, window.shape[1] - keep.length :])

    def unplaced(self, at: int) -> torch.Tensor:
        """Memory for new rows that have no place of their own."""
        _, _, columns, channels = self._sizes[at]
        frames, rows = self._chunk[at].out, self._strip.layers[at].out
        return self._workspace.new_empty((frames.length, rows.length, columns, channels))

    def put(self, at: int, made: torch.Tensor) -> None:
        """Hands finished rows to the segment's output."""
        self._output.put(self._chunk[at].out, self._strip.layers[at].out, made)

    def padded(
        self, at: int, cached: int, own: int, skipped: int, rows: int, height: int
    ) -> PaddedInput:
        """The padded input of a layer, with so many cached frames and own ones.

        Of the former the convolution leaves out those `skipped`; of its `height` as any strip may
        have it, `rows` are this strip's.
        """
        key = at, cached, own, skipped, rows, height
        if key not in self._inputs:
            _, _, columns, channels = self._caches[at].shape
            whole = self._piece(2 * at, (cached + own, height, columns, channels))
            padded = whole[:, :rows]
            parts = padded[:cached], padded[cached:], padded[own:]
            self._inputs[key] = PaddedInput(padded, *parts, whole[skipped:])
        return self._inputs[key]

    def cache(self, at: int) -> torch.Tensor:
        """Cached frames of a layer, as they lie in its padded input."""
        return self._caches[at][:, : self._strip.layers[at].padded]

    def joined(self, at: int) -> tuple[torch.Tensor, int]:
        """The window of what a layer makes as the next one reads it, and its first new row."""
        begin = self._strip.layers[at + 1].read.begin
        window = self._windows[at][:, begin - self._strip.values[at].window.begin :]
        return window, self._strip.layers[at].out.begin - begin

    def kept_direct(self, at: int) -> torch.Tensor:
        """Rows of the next layer's padded input, kept from the strip before for a direct value."""
        frames, rows = self._chunk[at].out, self._strip.values[at].window
        kept = self._strip.layers[at].out.begin - rows.begin
        return self._lines[at][frames.begin : frames.end, :kept]

    def keep_direct(self, at: int, padded: torch.Tensor) -> None:
        """Saves rows of the next layer's padded input, without cached frames, with the next flush.

        They are those that the next strip needs.
        """
        keep, following = self._strip.values[at].keep, self._strip.layers[at + 1]
        begin = following.top + keep.begin - following.read.begin
        self._keep(at, padded[:, begin : begin + keep.length])

    def handover(self, at: int) -> Handover:
        """How what a layer makes gets to the next one; from outside there are windows only."""
        return self._handovers[at] if at >= 0 else Handover.WINDOW

    def _keep(self, at: int, rows: torch.Tensor) -> None:
        frames = self._chunk[at].out
        lines = self._lines[at][frames.begin : frames.end, : rows.shape[1]]
        self.copy(rows, lines)

    def _piece(self, index: int, shape: tuple[int, ...]) -> torch.Tensor:
        """A piece of the workspace: of layer i the padded input is 2i, its window 2i + 1.

        Strips and chunks are of few sizes, and a view takes as long as a small kernel.
        """
        key = index, shape
        if key not in self._pieces:
            begin = self._offsets[index]
            count = shape[0] * shape[1] * shape[2] * shape[3]
            self._pieces[key] = self._workspace[begin : begin + count].view(shape)
        return self._pieces[key]
