"""The arithmetic of single layers on [T, H, W, C] tensors.

Each function writes into memory that it is given, except for the convolutions themselves: norm,
activation and padding are one pass, bias, residual and interleaving another.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .. import native
from ..stream import (
    AxisRule,
    LayerFrames,
    LayerKind,
    LayerRows,
    StreamLayer,
    TimeRule,
    attention_rows,
)
from .attention import one_head_attention
from .exact_weights import Packed


def fill_padded(
    padded: torch.Tensor,
    x: torch.Tensor,
    layer: StreamLayer,
    rows: LayerRows,
    weights: Packed,
    silu: bool,
) -> None:
    """Writes norm and SiLU of `x` [t, h, w, C] into the last t frames of `padded`, zeros around."""
    inner = padded[padded.shape[0] - x.shape[0] :]
    left = layer.columns.before
    # Columns beyond the last one that a stride reaches are never read.
    right = max(0, inner.shape[2] - left - x.shape[2])
    native.norm_pad(
        x,
        inner,
        weights.gamma,
        weights.beta,
        rms=weights.rms,
        silu=silu,
        top=rows.top,
        bottom=rows.bottom,
        left=left,
        right=right,
    )


def convolve(x: torch.Tensor, weights: Packed, layer: StreamLayer) -> torch.Tensor:
    """The convolution of a padded [t, h, w, C] input without its bias, as [t', h', w', C'].

    With upsampling the phases of a pixel lie side by side in the channels, see `write_rows`. What
    is made lies channels-last already but for some dtypes on the CPU.
    """
    if weights.weight.dim() == 5:
        stride = (2 if layer.time.halves else 1, layer.rows.stride, layer.columns.stride)
        y = _conv3d(x.permute(3, 0, 1, 2)[None], weights.weight, stride)
        return y[0].permute(1, 2, 3, 0).contiguous()
    stride = (layer.rows.stride, layer.columns.stride)
    y = F.conv2d(x.permute(0, 3, 1, 2), weights.weight, None, stride)
    return y.permute(0, 2, 3, 1).contiguous()


def _conv3d(x: torch.Tensor, weight: torch.Tensor, stride):
    if x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        # For channels x frames x height up to 20480 torch itself would unfold the input: 27 times
        # its memory, which no plan counts, and slower.
        return torch.ops.aten.mkldnn_convolution(x, weight, None, (0,) * 3, stride, (1,) * 3, 1)
    return F.conv3d(x, weight, None, stride)


def write_rows(
    out: torch.Tensor,
    made: torch.Tensor,
    layer: StreamLayer,
    rows: LayerRows,
    bias: torch.Tensor | None,
    residual: torch.Tensor | None,
) -> None:
    """Adds bias and residual to what a convolution made and puts it where it belongs.

    Of an upsampling one, `made` holds one more row and column than each phase has: a phase begins
    where its first output reads.
    """
    up = layer.columns.up
    for frame, skipped, moment in _frame_phases(layer, made.shape[0], out.shape[0]):
        for row, top, height in _phases(layer.rows, rows.out.begin, rows.out.end):
            for column, left, width in _phases(layer.columns, 0, out.shape[2]):
                phase = (moment * layer.rows.up + (rows.out.begin + row) % layer.rows.up) * up
                phase += column
                channels = slice(phase * layer.out_channels, (phase + 1) * layer.out_channels)
                at = (slice(frame, None, layer.up_t), slice(row, None, layer.rows.up))
                at = (*at, slice(column, None, up))
                native.merge(
                    made[skipped:, top : top + height, left : left + width, channels],
                    bias,
                    None if residual is None else residual[at],
                    out[at],
                )


def _phases(rule: AxisRule, begin: int, end: int) -> list[tuple[int, int, int]]:
    """(first output behind `begin`, its place in what was made, outputs) of each phase."""
    if rule.up == 1:
        return [(0, 0, end - begin)]
    low = rule.lead(begin)
    return [(i, rule.lead(begin + i) - low, (end - begin - i + 1) // 2) for i in range(rule.up)]


def _frame_phases(layer: StreamLayer, made: int, out: int) -> list[tuple[int, int, int]]:
    """(first frame, frames of what was `made` to leave out, phase) of each phase in time.

    The clip's first frame is not repeated: only its later repetition is there.
    """
    if layer.up_t == 1:
        return [(0, 0, 0)]
    alone = 2 * made - out
    both = [(1 - alone, 0, 0), (alone, alone, 1)]
    return [one for one in both if one[0] < out]


def write_time(
    out: torch.Tensor,
    x: torch.Tensor,
    made: torch.Tensor | None,
    layer: StreamLayer,
    frames: LayerFrames,
    bias: torch.Tensor | None,
) -> None:
    """What a time layer makes: its input's first frame, then the convolution's."""
    first = 1 if frames.read.begin == 0 else 0
    if first:
        out[0].copy_(x[0])
    if made is None:
        return
    if layer.kind == LayerKind.TIME_DOWN:
        native.merge(made, bias, None, out[first:])
        return
    # The first half of the channels is the earlier one of two frames.
    count = layer.out_channels
    for half in range(2):
        part = slice(half * count, (half + 1) * count)
        added = None if bias is None else bias[part]
        native.merge(made[..., part], added, None, out[first + half :: 2])


def attend(out: torch.Tensor, x: torch.Tensor, weights: Packed) -> None:
    """One-head attention over each frame of `x` [t, h, w, C], added to it, into `out`.

    `out` may be `x` itself.
    """
    for source, target in zip(x, out, strict=True):
        attend_clip(target[None], source[None], weights, causal=False)


def attend_clip(out: torch.Tensor, x: torch.Tensor, weights: Packed, causal: bool) -> None:
    """One-head attention over all of `x` [t, h, w, C], added to it, into `out` (or `x` itself).

    With `causal` a frame sees itself and those before it. Only keys and values are whole; queries
    are made block by block.
    """
    t, h, w, c = x.shape
    tokens = t * h * w
    own = h * w if causal else tokens
    block = min(own, attention_rows(tokens))
    keys_values = x.new_empty((2, tokens, c))
    normed = x.new_empty((block, c))
    source, target = x.reshape(tokens, c), out.view(tokens, c)

    def project(values: torch.Tensor, index: int) -> torch.Tensor:
        """Norm of `values` [n, C] times the weights for queries (0), keys (1) or values (2)."""
        part = normed[: values.shape[0]]
        native.norm_pad(
            values[None, None], part[None, None], weights.gamma, weights.beta, rms=weights.rms
        )
        rows = slice(index * c, (index + 1) * c)
        bias = None if weights.bias is None else weights.bias[rows]
        return F.linear(part, weights.weight[rows], bias)

    for at in range(0, tokens, block):
        for index in (0, 1):
            made = project(source[at : at + block], 1 + index)
            keys_values[index, at : at + block].copy_(made)
    for frame in range(0, tokens, own):
        end = frame + own
        keys, values = keys_values[:, :end]
        for at in range(frame, end, block):
            part = source[at : min(end, at + block)]
            made = one_head_attention(project(part, 0), keys, values)
            made = F.linear(made, weights.proj, weights.proj_bias)
            torch.add(part, made, out=target[at : at + part.shape[0]])


def unread_frames(layer: StreamLayer, frames: LayerFrames) -> int:
    """Cached frames that a convolution does not read in a chunk.

    One that halves time reads two frames behind another one; the clip's first chunk has but one
    frame there. Where a clip goes on from span to span it reads in twos from the cached ones on.
    """
    return int(layer.time_rule == TimeRule.HALVE and frames.read.begin > 0)


def convolved_frames(layer: StreamLayer, frames: LayerFrames) -> int:
    """Frames of a layer's padded input in a chunk; 0 where it has none of its own."""
    own = frames.convolved(layer.kind).length
    return own and own + layer.cached_frames - unread_frames(layer, frames)


def replicate_edges(
    padded: torch.Tensor,
    cached: int,
    starts: bool,
    layer: StreamLayer,
    rows: LayerRows,
    columns: int,
) -> None:
    """Turns the zeros around a padded input [t, h, w, C] of `columns` into copies of its edges.

    Its own frames come behind `cached` ones; where the clip `starts`, these copy the first of them.
    """
    inner = padded[cached:]
    left, width = layer.columns.before, layer.columns.before + columns
    inner[:, :, :left].copy_(inner[:, :, left : left + 1])
    inner[:, :, width:].copy_(inner[:, :, width - 1 : width])
    bottom = rows.padded - rows.bottom
    inner[:, : rows.top].copy_(inner[:, rows.top : rows.top + 1])
    inner[:, bottom:].copy_(inner[:, bottom - 1 : bottom])
    if starts:
        padded[:cached].copy_(inner[:1])
