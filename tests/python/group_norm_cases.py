"""Strips, references and bounds for the tests of the GroupNorm ops."""

from __future__ import annotations

import torch

from truetile import native

FLOATS = [torch.float32, torch.float16, torch.bfloat16]


def strip_of(x: torch.Tensor, layout: str) -> torch.Tensor:
    """`x` [t, h, w, C] with other strides: what lies around it would spoil every sum."""
    t, h, w, c = x.shape
    if layout == "dense":
        return x.contiguous()
    if layout == "padded":
        buffer = x.new_full((t + 1, h + 3, w + 2, c), torch.nan)
        view = buffer[1:, 2:-1, 1:-1]
    elif layout == "columns":  # rows innermost
        view = x.new_full((t, w, h, c), torch.nan).transpose(1, 2)
    elif layout == "odd":  # begins and steps where no vector does
        view = x.new_full((t, h, w, c + 3), torch.nan)[..., 1 : 1 + c]
    else:
        raise ValueError(layout)
    return view.copy_(x)


LAYOUTS = ["dense", "padded", "columns", "odd"]


def new_state(groups: int, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """The state at the start, and a scratch buffer whose contents must not matter."""
    state = torch.zeros(groups, 3, dtype=torch.float64, device=device)
    size = native.group_moments_scratch(groups)
    return state, torch.full((size,), torch.nan, dtype=torch.float64, device=device)


def moments(x: torch.Tensor, groups: int) -> torch.Tensor:
    """Count, mean and M2 of each group by two passes in float64, on the CPU."""
    values = x.cpu().double().unflatten(3, (groups, -1)).permute(3, 0, 1, 2, 4).flatten(1)
    mean = values.mean(1, keepdim=True)
    mean += (values - mean).mean(1, keepdim=True)  # the rounding of a large mean
    m2 = (values - mean).square().sum(1)
    count = torch.full_like(m2, values.shape[1])
    return torch.stack([count, mean[:, 0], m2], 1)


def assert_moments(state: torch.Tensor, wanted: torch.Tensor, rtol: float) -> None:
    """Counts equal; means within rtol of a deviation, variances within rtol of themselves."""
    state = state.cpu()
    assert state[:, 0].tolist() == wanted[:, 0].tolist()
    deviation = (wanted[:, 2] / wanted[:, 0]).sqrt()
    # A mean far from zero ends in the last place of float64, whatever the sums do.
    allowed = rtol * deviation + 1e-15 * wanted[:, 1].abs()
    assert ((state[:, 1] - wanted[:, 1]).abs() <= allowed).all()
    assert ((state[:, 2] - wanted[:, 2]).abs() <= rtol * wanted[:, 2]).all()
