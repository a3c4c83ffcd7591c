"""Plain-torch twins of the layer ops; see `truetile.native.layer_ops` for the arguments."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F

from . import layer_checks as checks

_EPSILON = 1e-12  # of torch.nn.functional.normalize
_SCORES = 1 << 20  # of a small temporary


@torch.no_grad()
def norm_pad(
    x: torch.Tensor,
    out: torch.Tensor,
    scale: torch.Tensor | None,
    shift: torch.Tensor | None,
    rms: bool,
    silu: bool,
    top: int,
    bottom: int,
    left: int,
    right: int,
) -> None:
    """Norm, SiLU and padding."""
    checks.norm_pad(x, out, scale, shift, rms, top, bottom, left, right)
    out.zero_()
    inner = out[:, top : out.shape[1] - bottom, left : out.shape[2] - right]
    if inner.numel() == 0:
        return
    x = x[:, : inner.shape[1], : inner.shape[2]]
    for t, (source, target) in enumerate(zip(x, inner, strict=True)):  # small temporaries
        y = source.float()
        if rms:
            length = torch.linalg.vector_norm(y, dim=-1, keepdim=True).clamp_min(_EPSILON)
            y = y / length * y.shape[-1] ** 0.5
        if scale is not None:
            y = y * (scale if scale.dim() == 1 else scale[t])
        if shift is not None:
            y = y + (shift if shift.dim() == 1 else shift[t])
        target.copy_(F.silu(y) if silu else y)


@torch.no_grad()
def merge(
    y: torch.Tensor,
    bias: torch.Tensor | None,
    residual: torch.Tensor | None,
    out: torch.Tensor,
) -> None:
    """out = y + bias + residual."""
    checks.merge(y, bias, residual, out)
    if bias is None and residual is None:
        out.copy_(y)
        return
    value = y.float()
    if bias is not None:
        value = value + bias.float()
    if residual is not None:
        value = value + residual.float()
    out.copy_(value)


@torch.no_grad()
def copy_boxes(*tensors: torch.Tensor) -> None:
    """The sources, then as many targets."""
    checks.copy_boxes(*tensors)
    half = len(tensors) // 2
    for source, target in zip(tensors[:half], tensors[half:], strict=True):
        target.copy_(source)


@torch.no_grad()
def merge_norm_pad(
    y: torch.Tensor,
    bias: torch.Tensor | None,
    residual: torch.Tensor | None,
    window: torch.Tensor,
    fresh: int,
    out: torch.Tensor,
    scale: torch.Tensor | None,
    shift: torch.Tensor | None,
    rms: bool,
    silu: bool,
    *pads: int,
) -> None:
    """The two above, one after the other."""
    checks.merge_norm_pad(y, bias, residual, window, fresh, out, scale, shift, rms, *pads)
    merge(y, bias, residual, window[:, fresh:])
    window = window.clone()  # it may be the interior of out
    norm_pad(window, out, scale, shift, rms, silu, *pads)


@torch.no_grad()
def softmax_rows(scores: torch.Tensor, out: torch.Tensor) -> None:
    """Softmax over the last dimension."""
    checks.softmax_rows(scores, out)
    rows = max(1, _SCORES // max(1, scores.shape[1]))
    for few, target in zip(scores.split(rows), out.split(rows), strict=True):
        target.copy_(few.softmax(-1))


@torch.no_grad()
def conv_few_outputs(x: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> None:
    """A convolution of a padded input, tap by tap."""
    checks.conv_few_outputs(x, weight, out)
    _, rows, columns, _ = out.shape
    weight = weight.float()
    for t, target in enumerate(out):  # small temporaries
        total = torch.zeros_like(target, dtype=torch.float32)
        for frame, taps in zip(x[t : t + weight.shape[1]], weight.unbind(1), strict=True):
            for row, column in itertools.product(range(3), range(3)):
                read = frame[row : row + rows, column : column + columns]
                total += read.float() @ taps[:, row, column].T
        target.copy_(total)
