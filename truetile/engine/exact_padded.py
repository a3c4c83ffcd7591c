"""Fills the padded inputs of a segment's convolutions: cached frames, kept rows, what is new."""

from __future__ import annotations

from collections.abc import Container, Sequence

import torch

from .. import native
from ..families.program import Layer
from ..stream import Handover, LayerKind
from .exact_buffers import PaddedInput, SegmentBuffers
from .exact_carry import Carry
from .exact_layers import replicate_edges, unread_frames
from .exact_steps import Step
from .exact_weights import Packed

# Bias and residual of what a convolution made.
Added = tuple[torch.Tensor | None, torch.Tensor | None]


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
        x = None
        if buffers.handover(at - 1) != Handover.DIRECT:
            x = buffers.source(at, shape.source)
        padded = buffers.seen("padded", at, lambda: self._padded(at))
        if padded is None:
            if shape.kind == LayerKind.TIME_DOWN and not self._step.last_chunk:
                buffers.copy(x[-shape.cached_frames :], buffers.cache(at))
            return None
        if shape.cached_frames:
            self._put_front(at, padded, x)
        if buffers.handover(at - 1) == Handover.DIRECT:
            self._fill_direct(at, padded.own, made, added)
        else:
            self._fill(at, padded.own, x, made, added)
        if self._layers[at].replicate:
            self._replicate(at, padded)
        if shape.cached_frames:
            self._keep_frames(at, padded)
        buffers.flush()
        return padded.read

    def _padded(self, at: int) -> PaddedInput | None:
        shape, frames = self._layers[at].shape, self._step.chunk[at]
        own = frames.convolved(shape.kind).length
        if own == 0:
            return None
        rows, skipped = self._step.strip.layers[at].padded, unread_frames(shape, frames)
        size = shape.cached_frames, own, skipped, rows, self._heights[at][rows]
        return self._buffers.padded(at, *size)

    def _begins(self, at: int) -> bool:
        """Whether the clip, or a span of it, begins with a layer's own frames."""
        kind = self._layers[at].shape.kind
        first = 1 if kind == LayerKind.TIME_UP else 0  # where its own clip begins
        return self._step.chunk[at].convolved(kind).begin <= first

    def _carried(self, at: int) -> bool:
        """Whether the frames before a layer's own are those of the span before."""
        return self._carry is not None and self._carry.begun and self._begins(at)

    def _put_front(self, at: int, padded: PaddedInput, x: torch.Tensor | None) -> None:
        """Puts the frames before a chunk's own into a padded input."""
        shape, buffers = self._layers[at].shape, self._buffers
        if self._carried(at):
            rows, left = self._step.strip.layers[at], shape.columns.before
            self._carry.load(buffers.first + at, padded.frames, rows, left)
            return
        halving = shape.kind == LayerKind.TIME_DOWN
        begins = self._step.chunk[at].read.begin == 0 if halving else self._begins(at)
        if not begins:
            buffers.copy(buffers.cache(at), padded.cached)
        elif halving:
            buffers.copy(x[: shape.cached_frames], padded.cached)
        else:
            padded.cached.zero_()

    def _fill(
        self,
        at: int,
        inner: torch.Tensor,
        x: torch.Tensor,
        made: torch.Tensor | None,
        added: Added | None,
    ) -> None:
        """Writes norm and SiLU of a layer's source, the last frames of `x`, zeros around.

        What waits is merged into that window first.
        """
        buffers = self._buffers
        buffers.flush()
        if made is None:
            x = x[-inner.shape[0] :]
            native.norm_pad(x, inner, *self._affine(at), **self._norm(at, inner, x))
            return
        window, fresh = buffers.joined(at - 1)
        norm = buffers.seen("norm", at, lambda: self._norm(at, inner, window))
        native.merge_norm_pad(made, *added, window, fresh, inner, *self._affine(at), **norm)
        buffers.close(at - 1)

    def _fill_direct(
        self, at: int, inner: torch.Tensor, made: torch.Tensor | None, added: Added | None
    ) -> None:
        """Puts rows that were kept as they lie there, and the norm of what waits behind them."""
        buffers = self._buffers
        kept = buffers.kept_direct(at - 1, inner)
        top, count = self._step.strip.layers[at].top, kept[0].shape[1]
        if count:
            if top:
                inner[:, :top].zero_()
            buffers.copy(*kept)
        buffers.flush()
        if made is None:
            inner[:, top + count :].zero_()
        else:
            fill = buffers.seen("direct", at, lambda: self._behind(at, inner, count, made))
            window, out, norm = fill
            native.merge_norm_pad(made, *added, window, 0, out, *self._affine(at), **norm)
        buffers.keep_direct(at - 1, inner)

    def _behind(self, at: int, inner: torch.Tensor, count: int, made: torch.Tensor):
        """The window of new rows behind `count` kept ones, the part around it, and its norm."""
        top, left = self._step.strip.layers[at].top, self._layers[at].shape.columns.before
        out = inner[:, top + count :] if count else inner
        above = 0 if count else top
        window = out[:, above : above + made.shape[1], left : left + made.shape[2]]
        return window, out, {**self._norm(at, inner, made), "top": above}

    def _affine(self, at: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        return self._weights[at].gamma, self._weights[at].beta

    def _norm(self, at: int, inner: torch.Tensor, x: torch.Tensor) -> dict[str, bool | int]:
        """How a layer's norm goes, and the zeros around `x` in `inner`."""
        layer, rows = self._layers[at], self._step.strip.layers[at]
        left = layer.shape.columns.before
        # Columns beyond the last one that a stride reaches are never read.
        right = max(0, inner.shape[2] - left - x.shape[2])
        around = {"top": rows.top, "bottom": rows.bottom, "left": left, "right": right}
        return {"rms": self._weights[at].rms, "silu": layer.silu, **around}

    def _replicate(self, at: int, padded: PaddedInput) -> None:
        """Turns the zeros around into copies of the edges."""
        shape, rows = self._layers[at].shape, self._step.strip.layers[at]
        carried = self._carried(at)
        behind = 0 if carried else shape.cached_frames
        columns = self._buffers.columns(shape.source)
        starts = self._begins(at) and not carried
        replicate_edges(padded.frames, behind, starts, shape, rows, columns)

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
