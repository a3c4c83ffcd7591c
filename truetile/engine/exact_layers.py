"""The arithmetic of single layers on [T, H, W, C] tensors, in plain torch.

Each function has the shape of one kernel: it writes into memory that it is given, except for the
convolutions themselves, so that a fused kernel can take its place.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..stream import LayerFrames, LayerKind, LayerRows, StreamLayer, attention_rows
from .exact_weights import Packed

_EPSILON = 1e-12  # of torch.nn.functional.normalize
_SCRATCH = 1 << 20  # elements that are normed at once
# Temporaries of the norm beside what a schedule counts: the input and its quotient in float32.
SCRATCH_BYTES = 2 * 4 * _SCRATCH


def norm(x: torch.Tensor, weights: Packed, silu: bool) -> torch.Tensor:
    """RMS norm over channels, and SiLU, in float32; `x` itself where the layer has no norm."""
    if weights.gamma is None:
        return x
    y = x.float()
    length = torch.linalg.vector_norm(y, dim=-1, keepdim=True).clamp_min_(_EPSILON)
    y = (y / length).mul_(weights.scale).mul_(weights.gamma)
    if weights.beta is not None:
        y += weights.beta
    return F.silu(y, inplace=True) if silu else y


def fill_padded(
    padded: torch.Tensor,
    x: torch.Tensor,
    layer: StreamLayer,
    rows: LayerRows,
    weights: Packed,
    silu: bool,
) -> None:
    """Writes norm and SiLU of `x` [t, h, w, C] into the last t frames of `padded`, zeros around.

    With upsampling each row and column is written `up` times.
    """
    inner = padded[padded.shape[0] - x.shape[0] :]
    left = layer.columns.before
    columns = x.shape[2] * layer.columns.up
    inner[:, : rows.top].zero_()
    inner[:, rows.padded - rows.bottom :].zero_()
    inner[:, :, :left].zero_()
    inner[:, :, left + columns :].zero_()
    inner = inner[:, rows.top : rows.padded - rows.bottom, left : left + columns]
    # Columns beyond the last one that a stride reaches are never read.
    width = inner.shape[2] // layer.columns.up
    up = layer.rows.up
    block = max(1, _SCRATCH // (x.shape[2] * x.shape[3]))
    for source, target in zip(x, inner, strict=True):
        if up == layer.columns.up == 1:
            for row in range(0, target.shape[0], block):
                part = source[row : row + block, :width]
                target[row : row + block].copy_(norm(part, weights, silu))
            continue
        value = norm(source[:, :width], weights, silu)
        wide = target.unflatten(1, (width, layer.columns.up))
        for phase in range(up):
            first = (phase - rows.skip) % up
            at = (rows.skip + first) // up
            count = len(range(first, target.shape[0], up))
            wide[first::up].copy_(value[at : at + count].unsqueeze(2))


def convolve(x: torch.Tensor, weights: Packed, layer: StreamLayer) -> torch.Tensor:
    """The convolution of a padded [t, h, w, C] input, as [t', h', w', C']."""
    if weights.weight.dim() == 5:
        stride = (2 if layer.kind == LayerKind.TIME_DOWN else 1, layer.rows.stride)
        stride = (*stride, layer.columns.stride)
        y = _conv3d(x.permute(3, 0, 1, 2)[None], weights.weight, weights.bias, stride)
        return y[0].permute(1, 2, 3, 0)
    stride = (layer.rows.stride, layer.columns.stride)
    y = F.conv2d(x.permute(0, 3, 1, 2), weights.weight, weights.bias, stride)
    return y.permute(0, 2, 3, 1)


def _conv3d(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, stride):
    if x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        # For channels x frames x height up to 20480 torch itself would unfold the input: 27 times
        # its memory, which no plan counts, and slower.
        return torch.ops.aten.mkldnn_convolution(x, weight, bias, (0,) * 3, stride, (1,) * 3, 1)
    return F.conv3d(x, weight, bias, stride)


def write_time(
    out: torch.Tensor,
    x: torch.Tensor,
    made: torch.Tensor | None,
    layer: StreamLayer,
    frames: LayerFrames,
) -> None:
    """What a time layer makes: its input's first frame, then the convolution's."""
    first = 1 if frames.read.begin == 0 else 0
    if first:
        out[0].copy_(x[0])
    if made is None:
        return
    if layer.kind == LayerKind.TIME_DOWN:
        out[first:].copy_(made)
        return
    # The first half of the channels is the earlier one of two frames.
    pairs = made.unflatten(3, (2, layer.out_channels)).permute(0, 3, 1, 2, 4)
    out[first:].unflatten(0, (made.shape[0], 2)).copy_(pairs)


def attend(out: torch.Tensor, x: torch.Tensor, weights: Packed) -> None:
    """One-head attention over each frame of `x` [t, h, w, C], added to it, into `out`."""
    for source, target in zip(x, out, strict=True):
        attend_clip(target[None], source[None], weights, causal=False)


def attend_clip(out: torch.Tensor, x: torch.Tensor, weights: Packed, causal: bool) -> None:
    """One-head attention over all of `x` [t, h, w, C], added to it, into `out`.

    With `causal` a frame sees itself and those before it.
    """
    t, h, w, c = x.shape
    value = norm(x, weights, silu=False).to(x.dtype).reshape(1, t * h * w, c)
    q, k, v = F.linear(value, weights.weight, weights.bias).chunk(3, dim=-1)
    value = torch.empty_like(value)
    own = h * w if causal else t * h * w
    for frame in range(0, t * h * w, own):
        end = frame + own
        block = attention_rows(end)
        for at in range(frame, end, block):
            part = q[:, at : min(end, at + block)]
            made = F.scaled_dot_product_attention(part, k[:, :end], v[:, :end])
            value[:, at : at + part.shape[1]] = made
    value = F.linear(value, weights.proj, weights.proj_bias)
    torch.add(x, value.view(t, h, w, c), out=out)


def replicate_edges(
    padded: torch.Tensor, cached: int, starts: bool, layer: StreamLayer, rows: LayerRows
) -> None:
    """Turns the zeros around a padded input [t, h, w, C] into copies of its edges.

    Its own frames come behind `cached` ones; where the clip `starts`, these copy the first of them.
    """
    inner = padded[cached:]
    left, width = layer.columns.before, inner.shape[2] - layer.columns.after
    inner[:, :, :left].copy_(inner[:, :, left : left + 1])
    inner[:, :, width:].copy_(inner[:, :, width - 1 : width])
    bottom = rows.padded - rows.bottom
    inner[:, : rows.top].copy_(inner[:, rows.top : rows.top + 1])
    inner[:, bottom:].copy_(inner[:, bottom - 1 : bottom])
    if starts:
        padded[:cached].copy_(inner[:1])
