"""The memory of one segment: windows and padded inputs in a workspace, line buffers, caches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import torch

from .. import native
from ..stream import Handover, Schedule, Span, StreamLayer
from .exact_output import Output
from .exact_steps import Form, Step, Strip, form_of
from .memory import carved
from .read_ahead import Part

T = TypeVar("T")
Copy = tuple[torch.Tensor, torch.Tensor]  # from, to


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

    def __init__(
        self,
        layers: Sequence[StreamLayer],
        schedule: Schedule,
        read: Reader,
        output: Output,
        **new,
    ) -> None:
        self._layers = layers
        self._read, self._output = read, output
        count = -(-schedule.workspace_bytes // schedule.elem_bytes)
        own = carved([(count,), *schedule.lines, *schedule.caches], **new)
        self._workspace = own[0]
        self._lines, self._caches = own[1 : len(layers) + 1], own[len(layers) + 1 :]
        self.first, self._last = schedule.segment.first, len(self._lines) - 1
        self._columns = [size[2] for size in schedule.sizes]
        self._sizes = [schedule.made(at) for at in range(len(self._lines))]
        self._offsets = [offset // schedule.elem_bytes for offset in schedule.offsets]
        self._handovers = [schedule.handover(at) for at in range(len(self._lines))]
        self._strip: Strip | None = None
        # What `seen` made for strips of one form, by the number of the chunk.
        self._known_form: Form | None = None
        self._known: dict[int, dict[tuple[str, int], object]] = {}
        self._sources: list[torch.Tensor] = []
        self._targets: list[torch.Tensor] = []

    def begin(self, step: Step) -> None:
        """What follows is of this step."""
        if step.strip is not self._strip:
            form = form_of(step.strip, self._layers, self.first)
            if form != self._known_form:
                self._known.clear()
            self._known_form = form
        self._strip, self._chunk = step.strip, step.chunk
        self._seen = self._known.setdefault(step.number, {})
        self._windows: dict[int, torch.Tensor] = {}

    def seen(self, what: str, at: int, make: Callable[[], T]) -> T:
        """What `make` makes of views for layer `at`, once for all strips of one form.

        To take a view lasts as long as a small kernel, and most strips are alike.
        """
        key = what, at
        if key not in self._seen:
            self._seen[key] = make()
        return self._seen[key]

    def copy(self, source: torch.Tensor, target: torch.Tensor) -> None:
        """Copies a box with the next `flush`; nothing that waits may read what another writes."""
        self._sources.append(source)
        self._targets.append(target)

    def flush(self) -> None:
        """Copies what waits, in one launch."""
        if self._sources:
            native.copy_boxes(self._sources, self._targets)
            self._sources, self._targets = [], []

    def rows(self, at: int, role: str, value: int, part: Callable[[], Part]) -> torch.Tensor:
        """Rows of any value of the program, of a window or from outside.

        `part` says which layer `at` reads as its source or its residual, the `role`.
        """
        index = value - 1 - self.first
        if index < 0:
            return self._read(value, *part())

        def view() -> torch.Tensor:
            begin, rows = self._strip.values[index].window.begin, part()[1]
            return self._windows[index][:, rows.begin - begin : rows.end - begin]

        return self.seen(role, at, view)

    def columns(self, value: int) -> int:
        """How wide any value of the program is."""
        return self._columns[value]

    def source(self, at: int, value: int) -> torch.Tensor:
        """The rows of a value that layer `at` reads as its source."""
        read = self._chunk[at].read, self._strip.layers[at].read
        return self.rows(at, "source", value, lambda: read)

    def open(self, at: int) -> torch.Tensor | None:
        """Memory for the new rows of what a layer makes; its retained rows come with a flush.

        None where the segment's output takes rows only when they are finished.
        """
        self.flush()  # what waits may read memory that is this value's now
        if at == self._last:
            return self._output.target(self._chunk[at].out, self._strip.layers[at].out)
        self._windows[at], kept, new = self.seen("window", at, lambda: self._window(at))
        if kept is not None:
            self.copy(*kept)
        return new

    def _window(self, at: int) -> tuple[torch.Tensor, Copy | None, torch.Tensor]:
        """The window of what a layer makes, the copy of its retained rows, and its new ones."""
        new, frames = self._strip.layers[at].out, self._chunk[at].out
        window = self._strip.values[at].window
        _, _, columns, channels = self._sizes[at]
        values = self._piece(2 * at + 1, (frames.length, window.length, columns, channels))
        kept = new.begin - window.begin
        lines = self._lines[at][frames.begin : frames.end, :kept]
        return values, (lines, values[:, :kept]) if kept else None, values[:, kept:]

    def close(self, at: int) -> None:
        """Saves the rows of a filled window that the next strip needs, with the next flush."""
        if at == self._last:
            self._output.written(self._chunk[at].out, self._strip.layers[at].out)
            return
        keep = self._strip.values[at].keep
        if keep.length:
            self.flush()  # the retained rows, which may be kept again
            window = self._windows[at]
            begin = window.shape[1] - keep.length
            self.copy(*self.seen("keep", at, lambda: self._kept(at, window[:, begin:])))

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
        _, _, columns, channels = self._caches[at].shape
        whole = self._piece(2 * at, (cached + own, height, columns, channels))
        padded = whole[:, :rows]
        parts = padded[:cached], padded[cached:], padded[own:]
        return PaddedInput(padded, *parts, whole[skipped:])

    def cache(self, at: int) -> torch.Tensor:
        """Cached frames of a layer, as they lie in its padded input."""
        padded = self._strip.layers[at].padded
        return self.seen("cache", at, lambda: self._caches[at][:, :padded])

    def joined(self, at: int) -> tuple[torch.Tensor, int]:
        """The window of what a layer makes as the next one reads it, and its first new row."""
        begin = self._strip.layers[at + 1].read.begin
        first = begin - self._strip.values[at].window.begin
        window = self.seen("joined", at, lambda: self._windows[at][:, first:])
        return window, self._strip.layers[at].out.begin - begin

    def kept_direct(self, at: int, padded: torch.Tensor) -> Copy:
        """Rows of the next layer's padded input, kept from the strip before for a direct value.

        They are empty in the first strip. `padded`: the input without cached frames, to which they
        go.
        """

        def kept() -> Copy:
            frames, rows = self._chunk[at].out, self._strip.values[at].window
            count = self._strip.layers[at].out.begin - rows.begin
            top = self._strip.layers[at + 1].top
            lines = self._lines[at][frames.begin : frames.end, :count]
            return lines, padded[:, top : top + count]

        return self.seen("kept direct", at, kept)

    def keep_direct(self, at: int, padded: torch.Tensor) -> None:
        """Saves rows of the next layer's padded input, without cached frames, with the next flush.

        They are those that the next strip needs.
        """

        def kept() -> Copy:
            keep, following = self._strip.values[at].keep, self._strip.layers[at + 1]
            begin = following.top + keep.begin - following.read.begin
            return self._kept(at, padded[:, begin : begin + keep.length])

        self.copy(*self.seen("keep direct", at, kept))

    def handover(self, at: int) -> Handover:
        """How what a layer makes gets to the next one; from outside there are windows only."""
        return self._handovers[at] if at >= 0 else Handover.WINDOW

    def _kept(self, at: int, rows: torch.Tensor) -> Copy:
        frames = self._chunk[at].out
        return rows, self._lines[at][frames.begin : frames.end, : rows.shape[1]]

    def _piece(self, index: int, shape: tuple[int, ...]) -> torch.Tensor:
        """A piece of the workspace: of layer i the padded input is 2i, its window 2i + 1."""
        begin = self._offsets[index]
        return self._workspace[begin : begin + math.prod(shape)].view(shape)
