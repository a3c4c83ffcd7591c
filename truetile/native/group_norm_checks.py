"""Argument checks of the GroupNorm twins; `csrc/ops/group_norm_args.hpp` says the same in C++."""

from __future__ import annotations

import math

import torch

from .checks import _DTYPES, _dtype, _fail, _range, _rank
from .group_norm import MAX_CHANNELS, group_moments_scratch


def group_moments(x: torch.Tensor, state: torch.Tensor, scratch: torch.Tensor, groups: int) -> None:
    """Raise InvalidArgument when `group_moments` would touch memory outside of its arguments."""
    op = "group_moments"
    _rank(op, "x", x, 4)
    _dtype(op, "x", x, _DTYPES)
    channels = x.shape[3]
    _range(op, "x.size(3)", channels, 1, MAX_CHANNELS, "channels")
    if channels > 1 and x.stride(3) != 1:
        _fail(op, "x.stride(3)", x.stride(3), "must be 1 (a pixel's channels are contiguous)")
    if groups < 1 or channels % groups:
        _fail(op, "groups", groups, f"must be >= 1 and divide x.size(3)={channels}")
    _state(op, state, channels, x, "x")
    if state.shape[0] != groups:
        _fail(op, "state.size(0)", state.shape[0], f"must be {groups} (groups)")
    _buffer(op, "scratch", scratch, torch.float64, x, "x")
    if scratch.numel() < (needed := group_moments_scratch(groups)):
        _fail(op, "scratch.numel()", scratch.numel(), f"must be >= {needed}")


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
        _rank(op, name, tensor, 1)
        _buffer(op, name, tensor, torch.float32, scale, "scale")
    channels = scale.shape[0]
    if channels < 1:
        _fail(op, "scale.size(0)", channels, "must be >= 1 (channels)")
    if shift.shape[0] != channels:
        _fail(op, "shift.size(0)", shift.shape[0], f"must be {channels} (scale)")
    _state(op, state, channels, scale, "scale")
    for name, tensor in (("gamma", gamma), ("beta", beta)):
        if tensor is None:
            continue
        _rank(op, name, tensor, 1)
        _dtype(op, name, tensor, _DTYPES)
        if tensor.shape[0] != channels:
            _fail(op, f"{name}.size(0)", tensor.shape[0], f"must be {channels} (scale)")
        _buffer(op, name, tensor, tensor.dtype, scale, "scale")
    if not 0 <= eps < math.inf:
        _fail(op, "eps", f"{eps:g}", "must be >= 0 and finite")


def _state(op: str, state: torch.Tensor, channels: int, like: torch.Tensor, what: str) -> None:
    _rank(op, "state", state, 2)
    if state.shape[1] != 3:
        _fail(op, "state.size(1)", state.shape[1], "must be 3 (count, mean, M2)")
    _buffer(op, "state", state, torch.float64, like, what)
    groups = state.shape[0]
    if groups < 1 or channels % groups:
        _fail(op, "state.size(0)", groups, f"must be >= 1 and divide the channels={channels}")


def _buffer(
    op: str, name: str, tensor: torch.Tensor, dtype: torch.dtype, like: torch.Tensor, what: str
) -> None:
    _dtype(op, name, tensor, (dtype,))
    if not tensor.is_contiguous():
        _fail(op, f"{name}.is_contiguous()", "False", "must be True")
    if tensor.device != like.device:
        _fail(op, f"{name}.device", tensor.device, f"must be {like.device} ({what})")
