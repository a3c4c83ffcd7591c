"""Plain-torch twins of the GroupNorm ops; see `truetile.native.group_norm` for the arguments."""

from __future__ import annotations

import torch

from . import group_norm_checks as checks

_BLOCK = 1 << 19  # elements at once: small temporaries


@torch.no_grad()
def group_moments(x: torch.Tensor, state: torch.Tensor, scratch: torch.Tensor, groups: int) -> None:
    """Merge the moments of the strip `x` into `state`; `scratch` is for the native op alone."""
    checks.group_moments(x, state, scratch, groups)
    if x.numel() == 0:
        return
    step = max(1, _BLOCK // (x.shape[2] * x.shape[3]))
    for rows in (rows for frame in x for rows in frame.split(step)):
        values = rows.double().unflatten(2, (groups, -1))
        m2, mean = torch.var_mean(values, dim=(0, 1, 3), correction=0)
        count = values.numel() // groups
        total = state[:, 0] + count
        delta = mean - state[:, 1]
        state[:, 2] += m2 * count + delta * delta * state[:, 0] * (count / total)
        state[:, 1] += delta * (count / total)
        state[:, 0] = total


@torch.no_grad()
def group_affine(
    state: torch.Tensor,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    eps: float,
    scale: torch.Tensor,
    shift: torch.Tensor,
) -> None:
    """Write the scale and the shift of each channel."""
    checks.group_affine(state, gamma, beta, eps, scale, shift)
    count, mean, m2 = state.repeat_interleave(scale.shape[0] // state.shape[0], dim=0).unbind(1)
    scale.copy_((1.0 if gamma is None else gamma.double()) / torch.sqrt(m2 / count + eps))
    # With the scale as it was rounded, so that a large mean does not multiply the rounding.
    shift.copy_((0.0 if beta is None else beta.double()) - mean * scale.double())
