"""Argument checks of the layer twins; their `csrc/ops/*_args.hpp` say the same in C++."""

from __future__ import annotations

import torch

from .checks import (
    DTYPES,
    check_adjacent,
    check_device,
    check_dtype,
    check_like,
    check_rank,
    check_size,
    fail,
)


def norm_pad(
    x: torch.Tensor,
    out: torch.Tensor,
    scale: torch.Tensor | None,
    shift: torch.Tensor | None,
    rms: bool,
    top: int,
    bottom: int,
    left: int,
    right: int,
    *,
    op: str = "norm_pad",
    x_name: str = "x",
) -> None:
    """Raise InvalidArgument when `norm_pad` would touch memory outside of its arguments."""
    check_rank(op, x_name, x, 4)
    check_dtype(op, x_name, x, DTYPES)
    check_adjacent(op, x_name, x)
    check_rank(op, "out", out, 4)
    check_like(op, "out", out, x, x_name)
    check_size(op, "out", out, 0, x.shape[0], f"frames of {x_name}")
    check_size(op, "out", out, 3, x.shape[3], f"channels of {x_name}")
    check_adjacent(op, "out", out)
    rows, columns = out.shape[1], out.shape[2]
    pads = (("top", top, rows), ("bottom", bottom, rows - top))
    pads += (("left", left, columns), ("right", right, columns - left))
    for name, value, most in pads:
        if not 0 <= value <= most:
            fail(op, name, value, f"must be in [0, {most}]")
    for dim, needed in ((1, rows - top - bottom), (2, columns - left - right)):
        if x.shape[dim] < needed:
            why = f"must be >= {needed} (what the interior of out reads)"
            fail(op, f"{x_name}.size({dim})", x.shape[dim], why)
    if scale is None and (rms or shift is not None):
        why = "rms=True" if rms else "a shift"
        fail(op, "scale", None, f"must be given with {why}")
    for name, vector in (("scale", scale), ("shift", shift)):
        if vector is None:
            continue
        if vector.dim() not in (1, 2):
            fail(op, f"{name}.dim()", vector.dim(), "must be 1 or 2")
        check_dtype(op, name, vector, (torch.float32,))
        check_device(op, name, vector, x, x_name)
        check_size(op, name, vector, vector.dim() - 1, x.shape[3], f"channels of {x_name}")
        if vector.dim() == 2:
            check_size(op, name, vector, 0, x.shape[0], f"frames of {x_name}")
        check_adjacent(op, name, vector)


def merge(
    y: torch.Tensor,
    bias: torch.Tensor | None,
    residual: torch.Tensor | None,
    out: torch.Tensor,
    *,
    op: str = "merge",
    out_name: str = "out",
    fresh: int = 0,
) -> None:
    """Raise InvalidArgument when `merge` into rows [fresh, ...) of `out` would leave memory."""
    check_rank(op, "y", y, 4)
    check_dtype(op, "y", y, DTYPES)
    check_adjacent(op, "y", y)
    for name, tensor, above in ((out_name, out, fresh), ("residual", residual, 0)):
        if tensor is None:
            continue
        check_rank(op, name, tensor, 4)
        check_like(op, name, tensor, y, "y")
        for dim in range(4):
            longer = dim == 1 and above > 0
            what = "fresh and the rows of y" if longer else "as y"
            check_size(op, name, tensor, dim, y.shape[dim] + (above if longer else 0), what)
        check_adjacent(op, name, tensor)
    if bias is not None:
        check_rank(op, "bias", bias, 1)
        if bias.dtype != torch.float32:
            check_like(op, "bias", bias, y, "y, or float32")
        check_device(op, "bias", bias, y, "y")
        check_size(op, "bias", bias, 0, y.shape[3], "channels of y")
        check_adjacent(op, "bias", bias)


def copy_boxes(*tensors: torch.Tensor) -> None:
    """Raise InvalidArgument when a target, of the second half, cannot take its source."""
    op, half = "copy_boxes", len(tensors) // 2
    first = tensors[0]
    check_dtype(op, "sources[0]", first, DTYPES)
    for i, (source, target) in enumerate(zip(tensors[:half], tensors[half:], strict=True)):
        for name, tensor in ((f"sources[{i}]", source), (f"targets[{i}]", target)):
            check_rank(op, name, tensor, 4)
            check_like(op, name, tensor, first, "sources[0]")
            check_adjacent(op, name, tensor)
        for dim in range(4):
            check_size(op, f"targets[{i}]", target, dim, source.shape[dim], "as its source")


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
    *pads: int,
) -> None:
    """Raise InvalidArgument when `merge_norm_pad` would touch memory outside of its arguments."""
    op = "merge_norm_pad"
    if fresh < 0:
        fail(op, "fresh", fresh, "must be >= 0")
    merge(y, bias, residual, window, op=op, out_name="window", fresh=fresh)
    norm_pad(window, out, scale, shift, rms, *pads, op=op, x_name="window")


def softmax_rows(scores: torch.Tensor, out: torch.Tensor) -> None:
    """Raise InvalidArgument when `out` cannot take the rows of `scores`."""
    op = "softmax_rows"
    check_rank(op, "scores", scores, 2)
    check_dtype(op, "scores", scores, (torch.float32,))
    check_adjacent(op, "scores", scores)
    check_rank(op, "out", out, 2)
    check_dtype(op, "out", out, DTYPES)
    check_device(op, "out", out, scores, "scores")
    for dim in range(2):
        check_size(op, "out", out, dim, scores.shape[dim], "as scores")
    check_adjacent(op, "out", out)


def conv_few_outputs(x: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> None:
    """Raise InvalidArgument when `out` cannot take the convolution of `x` with `weight`."""
    op = "conv_few_outputs"
    check_rank(op, "x", x, 4)
    check_dtype(op, "x", x, DTYPES)
    check_adjacent(op, "x", x)
    check_rank(op, "weight", weight, 5)
    check_like(op, "weight", weight, x, "x")
    outputs, taps_t = weight.shape[:2]
    if not 1 <= outputs <= 4:
        fail(op, "weight.size(0)", outputs, "must be in [1, 4] (outputs)")
    if taps_t not in (1, 3):
        fail(op, "weight.size(1)", taps_t, "must be 1 or 3 (taps in time)")
    check_size(op, "weight", weight, 2, 3, "taps in rows")
    check_size(op, "weight", weight, 3, 3, "taps in columns")
    check_size(op, "weight", weight, 4, x.shape[3], "channels of x")
    if not weight.is_contiguous():
        fail(op, "weight.is_contiguous()", False, "must be contiguous")
    check_rank(op, "out", out, 4)
    check_like(op, "out", out, x, "x")
    check_size(
        op, "out", out, 0, max(0, x.shape[0] - taps_t + 1), "whole kernels in the frames of x"
    )
    check_size(op, "out", out, 1, max(0, x.shape[1] - 2), "in its rows")
    check_size(op, "out", out, 2, max(0, x.shape[2] - 2), "in its columns")
    check_size(op, "out", out, 3, outputs, "outputs of weight")
    check_adjacent(op, "out", out)
