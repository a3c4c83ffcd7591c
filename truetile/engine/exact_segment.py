"""Runs one segment of a schedule: strips outside, chunks inside, layers innermost."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Container

import torch

from .. import native
from ..families.program import Layer, Program
from ..stream import Handover, LayerKind, Schedule, Shuffle, Span
from .cudnn import rounded_heights
from .exact_attention import Attention, attend, attend_clip
from .exact_buffers import Reader, SegmentBuffers
from .exact_carry import Carry
from .exact_layers import convolve, write_rows, write_time
from .exact_output import Output
from .exact_padded import PaddedInputs
from .exact_parts import parts_of, residual_part
from .exact_shuffle import move
from .exact_steps import Step, strips_of
from .exact_weights import Packed
from .read_ahead import Part


class SegmentRun:
    """The walk through a segment; its memory is in its `SegmentBuffers`."""

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
        """`weights`: of the segment's layers.

        `carry`: of a clip in spans, where layers in `leaves` run for the last time in one.
        """
        first, last = schedule.segment.first, schedule.segment.last
        self._layers = program.layers[first:last]
        self._weights = weights
        self._schedule, self._first = schedule, first
        self._read, self._output = read, output
        self._carry, self._leaves = carry, leaves
        self._new = {"dtype": dtype, "device": device}
        self._chunks = [schedule.chunk(index) for index in range(schedule.chunk_count)]
        self._strips = strips_of(schedule)
        # What a layer made, where it is merged into the next one's padded input.
        self._waiting: torch.Tensor | None = None

    def parts_of(self, value: int) -> list[Part]:
        """What `run` reads of a value from outside, in order."""
        return parts_of(value, self._layers, self._strips, self._chunks)

    def run(
        self,
        step_done: Callable[[Span, bool], None],
        check_interrupt: Callable[[], None] | None = None,
    ) -> None:
        """Runs to the end; `step_done(rows, complete)` follows each chunk of each strip.

        `rows` are the segment's output rows of the strip, `complete` is true for its last chunk.
        `check_interrupt` is called before each layer; what it raises ends the run.
        """
        strips, chunks = self._strips, self._chunks
        try:
            self._open()
            for self._strip, following in itertools.zip_longest(strips, strips[1:]):
                for number, self._chunk in enumerate(chunks):
                    last_chunk = number + 1 == len(chunks)
                    step = Step(self._strip, following, number, self._chunk, last_chunk)
                    self._step(step, check_interrupt)
                    step_done(self._strip.layers[-1].out, last_chunk)
        finally:
            # An interrupted run must not hold memory until its traceback is collected.
            self._weights, self._waiting = (), None
            self._buffers = self._inputs = None

    def _open(self) -> None:
        """Takes the segment's memory."""
        own = range(len(self._layers))
        heights = [rounded_heights(self._strips, at, self._new["device"]) for at in own]
        shapes = [layer.shape for layer in self._layers]
        self._buffers = SegmentBuffers(
            shapes, self._schedule, self._read, self._output, **self._new
        )
        places = self._layers, self._weights, self._buffers, heights
        self._inputs = PaddedInputs(*places, self._carry, self._leaves)

    def _step(self, step: Step, check_interrupt: Callable[[], None] | None) -> None:
        self._buffers.begin(step)
        self._inputs.begin(step)
        for at, layer in enumerate(self._layers):
            if check_interrupt is not None:
                check_interrupt()
            if self._waiting is None:
                self._buffers.flush()  # else with what the next layer copies
            if layer.shape.kind == LayerKind.CONV:
                self._convolution(at)
            elif layer.shape.kind == LayerKind.SHUFFLE:
                self._shuffle(at)
            elif layer.shape.attends:
                self._attention(at)
            else:
                self._time(at)
        self._buffers.flush()

    def _attention(self, at: int) -> None:
        layer = self._layers[at]
        x = self._buffers.source(at, layer.shape.source)
        out = self._buffers.open(at)
        how = Attention(self._schedule.queries(at), layer.shape.way, layer.causal)
        clip = layer.shape.kind == LayerKind.CLIP_ATTENTION
        (attend_clip if clip else attend)(out, x, self._weights[at], how)
        self._buffers.close(at)

    def _convolution(self, at: int) -> None:
        layer, rows, buffers = self._layers[at], self._strip.layers[at], self._buffers
        made = None
        if rows.out.length:
            padded = layer.shape.padded
            x = self._padded(at) if padded else buffers.source(at, layer.shape.source)
            made = self._convolved(at, x)
        how = buffers.handover(at)
        if how == Handover.DIRECT:
            self._waiting = made
            return
        out = buffers.open(at)
        if how == Handover.JOINED and made is not None and self._strip.layers[at + 1].out.length:
            self._waiting = made
            return
        if made is not None:
            residual = self._plain_residual(at)
            finished = out
            if out is None:
                shape = layer.shape
                upsampled = shape.up_t * shape.rows.up * shape.columns.up > 1
                finished = buffers.unplaced(at) if upsampled else made
            write_rows(finished, made, layer.shape, rows, self._weights[at].bias, residual)
            if residual is None:
                self._add_residual(at, finished)
            if out is None:
                buffers.put(at, finished)
        buffers.close(at)

    def _convolved(self, at: int, x: torch.Tensor) -> torch.Tensor:
        """The convolution of a layer's input, without the rows that are made of rows beyond it."""
        layer, weights = self._layers[at].shape, self._weights[at]
        made = convolve(x, weights, layer)
        if not layer.padded:
            return made
        beyond = self._strip.layers[at].padded - weights.weight.shape[-2]
        return made[:, : beyond // layer.rows.stride + 1]

    def _time(self, at: int) -> None:
        layer, rows, buffers = self._layers[at], self._strip.layers[at], self._buffers
        made = x = None
        if rows.out.length:
            x = buffers.source(at, layer.shape.source)
            padded = self._padded(at)
            if padded is not None:
                made = self._convolved(at, padded)
        out = buffers.open(at)
        if rows.out.length:
            write_time(out, x, made, layer.shape, self._chunk[at], self._weights[at].bias)
            made = None
            self._add_residual(at, out)
        buffers.close(at)

    def _shuffle(self, at: int) -> None:
        layer, buffers = self._layers[at], self._buffers
        out = buffers.open(at)
        if self._strip.layers[at].out.length:
            target = buffers.unplaced(at) if out is None else out
            x = buffers.source(at, layer.shape.source)
            self._move(at, target, x, layer.shape.shuffle, add=False)
            self._add_residual(at, target)
            if out is None:
                buffers.put(at, target)
        buffers.close(at)

    def _plain_residual(self, at: int) -> torch.Tensor | None:
        """What a layer adds as it lies there, if anything."""
        layer = self._layers[at]
        return None if layer.packing is not None else self._residual(at)

    def _residual(self, at: int) -> torch.Tensor | None:
        """The rows that a layer adds, or makes what it adds of."""
        layer = self._layers[at]
        if layer.shape.residual < 0:
            return None
        place = self._strip.layers[at], self._chunk[at]
        part = functools.partial(residual_part, layer, *place)
        return self._buffers.rows(at, "residual", layer.shape.residual, part)

    def _add_residual(self, at: int, made: torch.Tensor) -> None:
        """Adds a layer's residual, if it has one, to its new rows."""
        layer, x = self._layers[at], self._residual(at)
        if x is None:
            return
        if layer.packing is None:
            native.merge(made, None, x, made)
            return
        if layer.residual_used:
            x = x[..., : layer.residual_used]
        self._move(at, made, x, layer.shape.shortcut, add=True)

    def _move(self, at: int, out: torch.Tensor, x: torch.Tensor, rule: Shuffle, add: bool) -> None:
        layer: Layer = self._layers[at]
        row, first = self._strip.layers[at].out.begin, self._chunk[at].out.begin == 0
        move(out, x, rule, layer.packing, row=row, first=first, add=add)

    def _padded(self, at: int) -> torch.Tensor | None:
        """The padded input of a layer, with what waits merged into it."""
        made, self._waiting = self._waiting, None
        added = None
        if made is not None:
            added = self._weights[at - 1].bias, self._plain_residual(at - 1)
        return self._inputs.filled(at, made, added)
