"""Runs one segment of a schedule: strips outside, chunks inside, layers innermost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container
from typing import Protocol

import torch

from .. import native
from ..families.program import Layer, Program
from ..stream import (
    LayerFrames,
    LayerKind,
    Schedule,
    Shuffle,
    Span,
    StripRows,
    frames_read,
)
from .cudnn import tune
from .exact_carry import Carry
from .exact_layers import (
    attend,
    attend_clip,
    convolve,
    fill_padded,
    replicate_edges,
    unread_frames,
    write_rows,
    write_time,
)
from .exact_output import Output
from .exact_shuffle import move
from .exact_weights import Packed


class Reader(Protocol):
    def __call__(self, value: int, frames: Span, rows: Span) -> torch.Tensor:
        """[t, h, w, C] of a value that lies outside of the segment, on its device."""


class SegmentRun:
    """The buffers of one segment and the walk through it; all memory is its own."""

    def __init__(
        self,
        program: Program,
        schedule: Schedule,
        weights: tuple[Packed, ...],
        device: torch.device,
        dtype: torch.dtype,
        read: Reader,
        output: Output,
        carry: Carry | None = None,
        leaves: Container[int] = (),
    ) -> None:
        """`carry`: of a clip in spans, where layers in `leaves` run for the last time in one."""
        first, last = schedule.segment.first, schedule.segment.last
        self._layers = program.layers[first:last]
        self._weights = weights[first:last]
        self._schedule, self._first = schedule, first
        self._read, self._output = read, output
        self._carry, self._leaves = carry, leaves
        self._new = {"dtype": dtype, "device": device}
        self._windows: list[torch.Tensor] = []

    def run(
        self,
        step_done: Callable[[Span, bool], None],
        check_interrupt: Callable[[], None] | None = None,
    ) -> None:
        """Runs to the end; `step_done(rows, complete)` follows each chunk of each strip.

        `rows` are the segment's output rows of the strip, `complete` is true for its last chunk.
        `check_interrupt` is called before each layer; what it raises ends the run.
        """
        self._check = check_interrupt
        schedule, new = self._schedule, self._new
        chunks = [schedule.chunk(index) for index in range(schedule.chunk_count)]
        strips = [schedule.strip(index) for index in range(schedule.strip_count)]
        tune(self._layers, self._weights, schedule, strips, chunks, **new)
        self._lines = [torch.empty(shape, **new) for shape in schedule.lines]
        self._caches = [torch.empty(shape, **new) for shape in schedule.caches]
        count = -(-schedule.workspace_bytes // schedule.elem_bytes)
        self._workspace = torch.empty(count, **new)
        for strip, self._following in itertools.zip_longest(strips, strips[1:]):
            for chunk in chunks:
                self._step(strip, chunk, last=chunk is chunks[-1])
                step_done(strip.layers[-1].out, chunk is chunks[-1])

    def _step(self, strip: StripRows, chunk: tuple[LayerFrames, ...], last: bool) -> None:
        self._windows = []
        for at, layer in enumerate(self._layers):
            if self._check is not None:
                self._check()
            if layer.shape.kind == LayerKind.CONV:
                self._convolution(at, strip, chunk, last)
            elif layer.shape.kind == LayerKind.SHUFFLE:
                self._shuffle(at, strip, chunk)
            elif layer.shape.attends:
                x = self._rows(layer.shape.source, chunk[at].read, strip.layers[at].read, strip)
                out = self._open(at, strip, chunk[at])
                if layer.shape.kind == LayerKind.CLIP_ATTENTION:
                    attend_clip(out, x, self._weights[at], layer.causal)
                else:
                    attend(out, x, self._weights[at])
                self._close(at, strip, chunk[at])
            else:
                self._time(at, strip, chunk, last)

    def _convolution(self, at, strip, chunk, last: bool) -> None:
        layer, rows, frames = self._layers[at], strip.layers[at], chunk[at]
        made = None
        if rows.out.length:
            x = self._rows(layer.shape.source, frames.read, rows.read, strip)
            if layer.shape.padded:
                x = self._padded(at, x, rows, frames, last)
            made = convolve(x, self._weights[at], layer.shape)
        out = self._open(at, strip, frames)
        if made is not None:
            residual = None
            if layer.shape.residual >= 0 and layer.packing is None:
                residual = self._rows(layer.shape.residual, frames.out, rows.out, strip)
            finished = out
            if out is None:
                shape = layer.shape
                upsampled = shape.up_t * shape.rows.up * shape.columns.up > 1
                finished = self._unplaced(at, strip, frames) if upsampled else made
            write_rows(finished, made, layer.shape, rows, self._weights[at].bias, residual)
            if residual is None:
                self._add_residual(at, finished, strip, frames)
            if out is None:
                self._output.put(frames.out, rows.out, finished)
        self._close(at, strip, frames)

    def _time(self, at, strip, chunk, last: bool) -> None:
        layer, rows, frames = self._layers[at], strip.layers[at], chunk[at]
        made = x = None
        if rows.out.length:
            x = self._rows(layer.shape.source, frames.read, rows.read, strip)
            padded = self._padded(at, x, rows, frames, last)
            if padded is not None:
                made = convolve(padded, self._weights[at], layer.shape)
        out = self._open(at, strip, frames)
        if rows.out.length:
            write_time(out, x, made, layer.shape, frames, self._weights[at].bias)
            made = None
            self._add_residual(at, out, strip, frames)
        self._close(at, strip, frames)

    def _shuffle(self, at, strip, chunk) -> None:
        layer, rows, frames = self._layers[at], strip.layers[at].out, chunk[at]
        out = self._open(at, strip, frames)
        if rows.length:
            target = self._unplaced(at, strip, frames) if out is None else out
            x = self._rows(layer.shape.source, frames.read, strip.layers[at].read, strip)
            self._move(target, x, layer, layer.shape.shuffle, rows, frames, add=False)
            self._add_residual(at, target, strip, frames)
            if out is None:
                self._output.put(frames.out, rows, target)
        self._close(at, strip, frames)

    def _unplaced(self, at: int, strip: StripRows, frames: LayerFrames) -> torch.Tensor:
        """Memory for new rows that have no place of their own."""
        _, _, columns, channels = self._schedule.made(at)
        shape = (frames.out.length, strip.layers[at].out.length, columns, channels)
        return self._workspace.new_empty(shape)

    def _add_residual(self, at, made: torch.Tensor, strip, frames: LayerFrames) -> None:
        """Adds a layer's residual, if it has one, to its new rows."""
        layer, rows = self._layers[at], strip.layers[at].out
        shape = layer.shape
        if shape.residual < 0:
            return
        if layer.packing is None:
            made += self._rows(shape.residual, frames.out, rows, strip)
            return
        read = frames_read(shape.shortcut.time, frames.out)
        x = self._rows(shape.residual, read, shape.shortcut.rows(rows), strip)
        if layer.residual_used:
            x = x[..., : layer.residual_used]
        self._move(made, x, layer, shape.shortcut, rows, frames, add=True)

    @staticmethod
    def _move(out, x, layer: Layer, rule: Shuffle, rows: Span, frames: LayerFrames, add) -> None:
        first = frames.out.begin == 0
        move(out, x, rule, layer.packing, row=rows.begin, first=first, add=add)

    def _padded(self, at, x, rows, frames: LayerFrames, last: bool) -> torch.Tensor | None:
        """The padded input of a layer, its cached frames in front; None without own frames.

        Afterwards the cache holds the frames that the next chunk needs.
        """
        layer, cache = self._layers[at], self._caches[at]
        count, own = layer.shape.cached_frames, frames.convolved(layer.shape.kind)
        halving = layer.shape.kind == LayerKind.TIME_DOWN
        first = 1 if layer.shape.kind == LayerKind.TIME_UP else 0  # where its own clip begins
        if own.length == 0:
            if halving and not last:
                cache[:, : rows.padded].copy_(x[-count:])
            return None
        _, _, columns, channels = self._schedule.caches[at]
        shape = (count + own.length, rows.padded, columns, channels)
        padded = self._buffer(2 * at, shape)
        begins = own.begin <= first  # the clip, or a span of it
        carried = begins and count > 0 and self._carry is not None and self._carry.begun
        left = layer.shape.columns.before
        if carried:
            self._carry.load(self._first + at, padded, rows, left)
        elif halving and frames.read.begin == 0:
            padded[:count].copy_(x[:count])
        elif not halving and begins:
            padded[:count].zero_()
        elif count:
            native.merge(cache[:, : rows.padded], None, None, padded[:count])
        weights = self._weights[at]
        fill_padded(padded, x[-own.length :], layer.shape, rows, weights, layer.silu)
        if layer.replicate:
            starts = begins and not carried
            behind = 0 if carried else count
            replicate_edges(padded, behind, starts, layer.shape, rows, x.shape[2])
        if count and not last:
            native.merge(padded[own.length :], None, None, cache[:, : rows.padded])
        if count and last and self._carry is not None and self._first + at in self._leaves:
            following = self._following and self._following.layers[at].read.begin
            until = rows.read.end if following is None else following
            self._carry.save(self._first + at, padded, rows, left, until)
        return padded[unread_frames(layer.shape, frames) :]

    def _rows(self, value: int, frames: Span, rows: Span, strip: StripRows) -> torch.Tensor:
        """Rows of any value: of a window in this segment, or from outside."""
        at = value - 1 - self._first
        if at < 0:
            return self._read(value, frames, rows)
        begin = strip.values[at].window.begin
        return self._windows[at][:, rows.begin - begin : rows.end - begin]

    def _open(self, at: int, strip: StripRows, frames: LayerFrames) -> torch.Tensor | None:
        """Memory for the new rows of what a layer makes; the retained rows are put before them."""
        new = strip.layers[at].out
        if at + 1 == len(self._layers):
            return self._output.target(frames.out, new)
        window = strip.values[at].window
        _, _, columns, channels = self._schedule.lines[at]
        shape = (frames.out.length, window.length, columns, channels)
        values = self._buffer(2 * at + 1, shape)
        kept = new.begin - window.begin
        values[:, :kept].copy_(self._lines[at][frames.out.begin : frames.out.end, :kept])
        self._windows.append(values)
        return values[:, kept:]

    def _close(self, at: int, strip: StripRows, frames: LayerFrames) -> None:
        """Saves the rows that the next strip needs."""
        if at + 1 == len(self._layers):
            self._output.written(frames.out, strip.layers[at].out)
            return
        keep = strip.values[at].keep
        if keep.length == 0:
            return
        line = self._lines[at][frames.out.begin : frames.out.end, : keep.length]
        line.copy_(self._windows[at][:, self._windows[at].shape[1] - keep.length :])

    def _buffer(self, index: int, shape: tuple[int, ...]) -> torch.Tensor:
        """A piece of the workspace: of layer i the padded input is 2i, its window 2i + 1."""
        begin = self._schedule.offsets[index] // self._schedule.elem_bytes
        count = shape[0] * shape[1] * shape[2] * shape[3]
        return self._workspace[begin : begin + count].view(shape)
