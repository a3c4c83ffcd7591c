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
)
from . import few_outputs
from .blocked import convolve_blocks, serves
from .exact_weights import Packed


def convolve(x: torch.Tensor, weights: Packed, layer: StreamLayer) -> torch.Tensor:
    """The convolution of a padded [t, h, w, C] input without its bias, as [t', h', w', C'].

    With upsampling the phases of a pixel lie side by side in the channels, see `write_rows`.
    """
    if few_outputs.serves(layer, x.device, x.dtype):
        return few_outputs.convolve_few_outputs(x, weights.weight)
    rows = layer.rows.stride

    def convolved(x: torch.Tensor, weight: torch.Tensor, columns: int) -> torch.Tensor:
        # What is made lies channels-last already but for some dtypes on the CPU.
        if weight.dim() == 5:
            frames = 2 if layer.time.halves else 1
            y = _conv3d(x.permute(3, 0, 1, 2)[None], weight, (frames, rows, columns))
            return y[0].permute(1, 2, 3, 0).contiguous()
        y = F.conv2d(x.permute(0, 3, 1, 2), weight, None, (rows, columns))
        return y.permute(0, 2, 3, 1).contiguous()

    if weights.blocked is not None and serves(x, layer):
        return convolve_blocks(x, weights.blocked, layer, convolved)
    return convolved(x, weights.weight, layer.columns.stride)


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
        native.merge(x[:1], None, None, out[:1])
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
