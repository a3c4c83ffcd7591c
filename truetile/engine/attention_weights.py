"""An attention's four projections as two, so that the normed tokens are keys and values at once.

Scores of queries x Wq + bq over keys y Wk + bk are x (Wq Wk^T) y + bq Wk^T y, but for terms that
are the same for all keys and cancel in the softmax. The softmax' weights add up to one, so that
weighted values, projected, are the weighted y times Wv Wo, plus bv Wo + bo.
"""

from __future__ import annotations

import torch


def merged_projections(
    qkv: torch.Tensor,
    qkv_bias: torch.Tensor | None,
    proj: torch.Tensor,
    proj_bias: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor, torch.Tensor | None]:
    """The weight and bias of queries and those of the output, with rows of outputs.

    `qkv` is [3C, C], `proj` [C, C]. In float64 where the device has it; the caller rounds once.
    """
    exact = torch.float32 if qkv.device.type == "mps" else torch.float64
    keys = qkv[_part(proj, 1)].to(exact).t()
    queries = keys @ qkv[_part(proj, 0)].to(exact)
    bias = None if qkv_bias is None else keys @ qkv_bias[_part(proj, 0)].to(exact)
    out = proj.to(exact)
    output = out @ qkv[_part(proj, 2)].to(exact)
    output_bias = None if proj_bias is None else proj_bias.to(exact)
    if qkv_bias is not None:
        values = out @ qkv_bias[_part(proj, 2)].to(exact)
        output_bias = values if output_bias is None else output_bias + values
    return queries, bias, output, output_bias


def _part(proj: torch.Tensor, index: int) -> slice:
    """Rows of queries, keys or values."""
    return slice(index * len(proj), (index + 1) * len(proj))
