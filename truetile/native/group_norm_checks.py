"""Argument checks of the GroupNorm twins; `csrc/ops/group_norm_args.hpp` says the same in C++."""

from __future__ import annotations

import math

import torch

from .checks import (
    DTYPES,
    check_device,
    check_dtype,
    check_range,
    check_rank,
    check_size,
    fail,
)
from .group_norm import MAX_CHANNELS, group_moments_scratch


def group_moments(x: torch.Tensor, state: torch.Tensor, scratch: torch.Tensor, groups: int) -> None:
    """Raise InvalidArgument when `group_moments` would touch memory outside of its arguments."""
    op = "group_moments"
    check_rank(op, "x", x, 4)
    check_dtype(op, "x", x, DTYPES)
    channels = x.shape[3]
    check_range(op, "x.size(3)", channels, 1, MAX_CHANNELS, "channels")
    if channels > 1 and x.stride(3) != 1:
        fail(op, "x.stride(3)", x.stride(3), "must be 1 (a pixel's channels are contiguous)")
    if groups < 1 or channels % groups:
        fail(op, "groups", groups, f"must be >= 1 and divide x.size(3)={channels}")
    _state(op, state, channels, x, "x")
    check_size(op, "state", state, 0, groups, "groups")
    _buffer(op, "scratch", scratch, torch.float64, x, "x")
    if scratch.numel() < (needed := group_moments_scratch(groups)):
        fail(op, "scratch.numel()", scratch.numel(), f"must be >= {needed}")


def group_affine(
    state: torch.Tensor,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    eps: float,
    scale: torch.Tensor,
    shift: torch.Tensor,
) -> None:
    """Raise InvalidArgument when `group_affine` would touch memory outside of its arguments."""
    op = "group_affine"
    for name, tensor in (("scale", scale), ("shift", shift)):
        check_rank(op, name, tensor, 1)
        _buffer(op, name, tensor, torch.float32, scale, "scale")
    channels = scale.shape[0]
    if channels < 1:
        fail(op, "scale.size(0)", channels, "must be >= 1 (channels)")
    check_size(op, "shift", shift, 0, channels, "scale")
    _state(op, state, channels, scale, "scale")
    for name, tensor in (("gamma", gamma), ("beta", beta)):
        if tensor is None:
            continue
        check_rank(op, name, tensor, 1)
        check_dtype(op, name, tensor, DTYPES)
        check_size(op, name, tensor, 0, channels, "scale")
        _buffer(op, name, tensor, tensor.dtype, scale, "scale")
    if not 0 <= eps < math.inf:
        fail(op, "eps", f"{eps:g}", "must be >= 0 and finite")


def _state(op: str, state: torch.Tensor, channels: int, like: torch.Tensor, what: str) -> None:
    check_rank(op, "state", state, 2)
    check_size(op, "state", state, 1, 3, "count, mean, M2")
    _buffer(op, "state", state, torch.float64, like, what)
    groups = state.shape[0]
    if groups < 1 or channels % groups:
        fail(op, "state.size(0)", groups, f"must be >= 1 and divide the channels={channels}")


def _buffer(
    op: str, name: str, tensor: torch.Tensor, dtype: torch.dtype, like: torch.Tensor, what: str
) -> None:
    check_dtype(op, name, tensor, (dtype,))
    if not tensor.is_contiguous():
        fail(op, f"{name}.is_contiguous()", "False", "must be True")
    check_device(op, name, tensor, like, what)
