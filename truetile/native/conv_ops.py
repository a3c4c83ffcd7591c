"""A decoder's last convolution: many channels in, at most four out."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from .dispatch import decline, run, why_twin

if TYPE_CHECKING:
    import torch

_OLDEST = (8, 0)  # compute capability
_MULTIPLE = 16  # channels of a tensor core's factor


def conv_few_outputs(x: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> None:
    """Write the convolution of a padded `x` with a kernel of 3 x 3 or 3 x 3 x 3 into `out`.

    It is computed in float32 and rounded once; a NaN in `x` becomes one in each output that reads
    it. Nothing is allocated by the native op, nothing waits for the device. On CUDA that serves
    where `why_no_conv_few_outputs` says None, else the twin does, slowly.

    Args:
        x: [t, h, w, C], float32, float16 or bfloat16, adjacent channels, other strides any.
        weight: [O, kt, 3, 3, C] of 1 to 4 outputs, with kt = 1 or 3; contiguous, dtype and device
            of `x`.
        out: [t - kt + 1, h - 2, w - 2, O], same dtype and device, other memory, adjacent channels,
            other strides any.

    Raises:
        InvalidArgument: an argument does not fit; the message says which, its value and the rule.
    """
    reason = decline(x, out)
    if reason is None and x.dim() == 4:
        reason = why_no_conv_few_outputs(x.device, x.dtype, x.shape[3])
    run("conv_few_outputs", reason, (x, weight, out))


def why_no_conv_few_outputs(device: torch.device, dtype: torch.dtype, channels: int) -> str | None:
    """Why the native op cannot serve such an input; None when it can."""
    import torch

    if reason := why_twin(device.type):
        return reason
    if device.type == "cpu":
        return None
    if dtype == torch.float32:
        return "float32: the native op serves float16 and bfloat16 on CUDA"
    if channels == 0 or channels % _MULTIPLE:
        return f"{channels} channels: the native op serves multiples of {_MULTIPLE} on CUDA"
    capability = _capability(device)
    if capability < _OLDEST:
        return f"GPU of compute capability {capability}: the native op serves {_OLDEST} and newer"
    return None


@functools.cache
def _capability(device: torch.device) -> tuple[int, int]:
    import torch

    return torch.cuda.get_device_capability(device)
