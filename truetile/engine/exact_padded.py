"""Fills the padded inputs of a segment's convolutions: cached frames, kept rows, what is new."""

from __future__ import annotations

from collections.abc import Container, Sequence

import torch

from ..families.program import Layer
from ..stream import Handover, LayerFrames, LayerKind
from .exact_buffers import PaddedInput, SegmentBuffers, Step
from .exact_carry import Carry
from .exact_layers import (
    Added,
    fill_direct,
    fill_joined,
    fill_padded,
    replicate_edges,
    unread_frames,
)
from .exact_weights import Packed


class PaddedInputs:
    """The padded inputs of a segment's layers, which count from its first one, in its buffers.

    Two launches copy for a layer, whatever there is to copy: what was kept, before its input is
    filled, and what is kept of it, before it is convolved.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        weights: Sequence[Packed],
        buffers: SegmentBuffers,
        heights: Sequence[dict[int, int]],
        carry: Carry | None = None,
        leaves: Container[int] = (),
    ) -> None:
        """`heights`: of the padded inputs as they are convolved, see `rounded_heights`.

        `carry`: of a clip in spans, where the layers in `leaves` run for the last time in one.
        """
        self._layers, self._weights, self._heights = layers, weights, heights
        self._buffers, self._carry, self._leaves = buffers, carry, leaves

    def begin(self, step: Step) -> None:
        """What follows is of this step."""
        self._step = step

    def filled(
        self, at: int, made: torch.Tensor | None, added: Added | None
    ) -> torch.Tensor | None:
        """The padded input of a layer as it is convolved, or None without frames of its own.

        `made` is what the layer before made, if it waits to be merged here, `added` its bias and
        residual. Afterwards the cache holds the frames that the next chunk needs. There may be more
        rows below, which hold anything.
        """
        shape, buffers = self._layers[at].shape, self._buffers
        frames = self._step.chunk[at]
        x = None
        if buffers.handover(at - 1) != Handover.DIRECT:
            x = buffers.source(at, shape.source)
        own = frames.convolved(shape.kind)
        if own.length == 0:
            if shape.kind == LayerKind.TIME_DOWN and not self._step.last_chunk:
                buffers.copy(x[-shape.cached_frames :], buffers.cache(at))
            return None
        rows, skipped = self._step.strip.layers[at], unread_frames(shape, frames)
        height = self._heights[at][rows.padded]
        padded = buffers.padded(at, shape.cached_frames, own.length, skipped, rows.padded, height)
        first = 1 if shape.kind == LayerKind.TIME_UP else 0  # where its own clip begins
        begins = own.begin <= first  # the clip, or a span of it
        carried = begins and shape.cached_frames > 0 and self._carry is not None
        carried = carried and self._carry.begun
        if shape.cached_frames:
            self._front(at, padded, x, frames, begins, carried)
        self._fill(at, x, padded.own, made, added)
        if self._layers[at].replicate:
            behind = 0 if carried else shape.cached_frames
            columns = buffers.columns(shape.source)
            starts = begins and not carried
            replicate_edges(padded.frames, behind, starts, shape, rows, columns)
        if shape.cached_frames:
            self._keep_frames(at, padded)
        buffers.flush()
        return padded.read

    def _front(
        self,
        at: int,
        padded: PaddedInput,
        x: torch.Tensor | None,
        frames: LayerFrames,
        begins: bool,
        carried: bool,
    ) -> None:
        """Puts the frames before a chunk's own into a padded input."""
        shape, buffers = self._layers[at].shape, self._buffers
        halving = shape.kind == LayerKind.TIME_DOWN
        if carried:
            rows, left = self._step.strip.layers[at], shape.columns.before
            self._carry.load(buffers.first + at, padded.frames, rows, left)
        elif halving and frames.read.begin == 0:
            buffers.copy(x[: shape.cached_frames], padded.cached)
        elif not halving and begins:
            padded.cached.zero_()
        else:
            buffers.copy(buffers.cache(at), padded.cached)

    def _keep_frames(self, at: int, padded: PaddedInput) -> None:
        """Keeps the last frames for the next chunk, or for the next span of the clip."""
        buffers, step = self._buffers, self._step
        if not step.last_chunk:
            buffers.copy(padded.last, buffers.cache(at))
        elif self._carry is not None and buffers.first + at in self._leaves:
            layer, rows = self._layers[at].shape, step.strip.layers[at]
            following = step.following and step.following.layers[at].read.begin
            until = rows.read.end if following is None else following
            index, left = buffers.first + at, layer.columns.before
            self._carry.save(index, padded.frames, rows, left, until)

    def _fill(
        self,
        at: int,
        x: torch.Tensor | None,
        inner: torch.Tensor,
        made: torch.Tensor | None,
        added: Added | None,
    ) -> None:
        """Writes a layer's source, the last frames of `x` or what waits, into its padded padded."""
        layer, rows, buffers = self._layers[at], self._step.strip.layers[at], self._buffers
        norm = (layer.shape, rows, self._weights[at], layer.silu)
        if buffers.handover(at - 1) == Handover.DIRECT:
            kept = buffers.kept_direct(at - 1)
            if kept.shape[1]:
                if rows.top:
                    inner[:, : rows.top].zero_()
                buffers.copy(kept, inner[:, rows.top : rows.top + kept.shape[1]])
            buffers.flush()
            fill_direct(inner, kept.shape[1], made, added, *norm)
            buffers.keep_direct(at - 1, inner)
            return
        buffers.flush()
        if made is None:
            fill_padded(inner, x[-inner.shape[0] :], *norm)
        else:
            fill_joined(inner, *buffers.joined(at - 1), made, added, *norm)
            buffers.close(at - 1)
