"""The ops of single layers on channels-last frames, native or plain torch as in `ops`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .ops import _decline, _run

if TYPE_CHECKING:
    import torch


def norm_pad(
    x: torch.Tensor,
    out: torch.Tensor,
    scale: torch.Tensor | None = None,
    shift: torch.Tensor | None = None,
    *,
    rms: bool = False,
    silu: bool = False,
    up: int = 1,
    skip: int = 0,
    top: int = 0,
    bottom: int = 0,
    left: int = 0,
    right: int = 0,
) -> None:
    """Write a convolution's padded input: norm, SiLU and nearest upsampling of `x`, zeros around.

    Row r and column q of the interior of `out` are f(x[:, (skip + r) // up, q // up]), where f is
    x / max(||x||, 1e-12) * sqrt(C) * scale + shift with `rms`, else x * scale + shift, and then
    SiLU. It is computed in float32 and rounded once. Nothing is allocated by the native op,
    nothing waits for the device.

    Args:
        x: [t, h, w, C], float32, float16 or bfloat16, adjacent channels, other strides any.
        out: [t, Hp, Wp, C], same dtype and device, other memory, adjacent channels.
        scale: float32 [C], or [t, C] for one of each frame; None leaves values as they are.
        shift: likewise; only with a scale.
        rms: divide by the root mean square over channels first.
        silu: apply SiLU last.
        up: 1, 2 or 3: how often each row and column is written.
        skip: upsampled rows of x that lie before the interior.
        top: rows of zeros; likewise bottom, and left and right in columns.
        bottom: see top.
        left: see top.
        right: see top.

    Raises:
        InvalidArgument: an argument does not fit; the message says which, its value and the rule.
    """
    args = (x, out, scale, shift, bool(rms), bool(silu), up, skip, top, bottom, left, right)
    _run("norm_pad", _decline(x, out), args)


def merge(
    y: torch.Tensor,
    bias: torch.Tensor | None,
    residual: torch.Tensor | None,
    out: torch.Tensor,
) -> None:
    """Write y + bias + residual into `out`, computed in float32 and rounded once.

    Nothing is allocated by the native op, nothing waits for the device.

    Args:
        y: [t, h, w, C], float32, float16 or bfloat16, adjacent channels, other strides any.
        bias: [C], float32 or the dtype of `y`, or None.
        residual: like `y`, or None.
        out: like `y`. It may be the very memory of `y` or of `residual`, and a strided view such
            as buffer[:, i::2, j::2], but must not overlap them otherwise.

    Raises:
        InvalidArgument: an argument does not fit; the message says which, its value and the rule.
    """
    _run("merge", _decline(y, out), (y, bias, residual, out))
