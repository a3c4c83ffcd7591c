"""GroupNorm over a value that arrives in strips: its moments first, then scale and shift.

Moments are float64 [groups, 3]: count, mean, and M2, the sum of squared deviations from the mean.
Counts pass 2^24, where a float32 would stop counting; a float64 is exact up to 2^53.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .dispatch import decline, run
from .grid import require

if TYPE_CHECKING:
    import torch

# As in csrc/kernels/group_norm.hpp.
MAX_BLOCKS = 1024  # partial moments of one call for each group, at most
MAX_CHANNELS = 65536


def group_moments_scratch(groups: int) -> int:
    """float64 elements that `group_moments` needs as scratch, whatever the strip.

    Raises:
        InvalidArgument: `groups` is less than 1.
    """
    require(groups >= 1, "groups", groups, ">= 1")
    return 3 * MAX_BLOCKS * groups


def group_moments(x: torch.Tensor, state: torch.Tensor, scratch: torch.Tensor, groups: int) -> None:
    """Merge the moments of a strip into those of what came before (Chan's formula).

    The same strips in the same order give the same bits on one kind of device. The error of the
    variance stays below 1e-5 of it also where the mean is a thousand deviations from zero. NaN and
    infinities of `x` make their group's M2 NaN.

    Args:
        x: [t, h, w, C], float32, float16 or bfloat16, a pixel's channels contiguous, the other
            strides arbitrary; may be empty. C is at most 65536.
        state: float64, contiguous [groups, 3] on the device of `x`: count, mean, M2; zeros at the
            start.
        scratch: float64, contiguous, at least `group_moments_scratch(groups)` elements there.
        groups: of neighbouring channels; divides C.

    Raises:
        InvalidArgument: an argument does not fit; the message says which, its value and the rule.
    """
    run("group_moments", decline(x, state), (x, state, scratch, int(groups)))


def group_affine(
    state: torch.Tensor,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    eps: float,
    scale: torch.Tensor,
    shift: torch.Tensor,
) -> None:
    """Turn moments into x * scale + shift, which is torch's group_norm of x.

    scale = gamma / sqrt(M2 / count + eps) and shift = beta - mean * scale, computed in float64 and
    rounded once. Both are NaN where nothing has been counted.

    Args:
        state: float64, contiguous [groups, 3]: count, mean, M2.
        gamma: [C], float32, float16 or bfloat16, contiguous; None is 1.
        beta: the same; None is 0.
        eps: added to the variance; >= 0 and finite.
        scale: float32, contiguous [C], on the device of `state`; groups divides C. Written.
        shift: the same.

    Raises:
        InvalidArgument: an argument does not fit; the message says which, its value and the rule.
    """
    args = (state, gamma, beta, float(eps), scale, shift)
    run("group_affine", decline(state, scale), args)
