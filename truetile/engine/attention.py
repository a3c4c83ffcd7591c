"""Attention of one wide head for a block of queries: what a mid block does, without its weights.

Flash kernels end at 256 channels a head. Beyond, two plain products with a softmax between them
take a fifth of the time that torch's own does (benchmarks/results/attention_h200.json). Scores stay
float32 from the accumulator to the softmax; in bfloat16 its weights are rounded once, which torch's
own may avoid: one of thirty roundings of a decode.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F

from .. import native


def one_head_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor
) -> None:
    """Writes softmax(q k^T / sqrt(C)) v into `out`, contiguous as all four.

    q and out are [queries, C], k and v [tokens, C], all of one dtype. On CUDA this allocates
    queries * tokens elements of float32 and, where the inputs are of another dtype, as many of
    theirs; cuBLAS' workspace is torch's, one for the process.
    """
    by = by_matmul if matmul_serves(q.device.type, q.dtype) else by_sdpa
    by(q, k, v, out)


@functools.cache
def matmul_serves(device: str, dtype: torch.dtype) -> bool:
    """Whether `by_matmul` serves a device type and dtype, and is faster than `by_sdpa`."""
    if device != "cuda" or torch.version.cuda is None:
        return False
    if dtype == torch.float32:
        return True
    # Normalised weights of 65,536 tokens leave float16's normal range. Scores in float32 of factors
    # that are not: torch >= 2.8.
    if dtype != torch.bfloat16 or "dtype_out" not in torch.ops.aten.addmm.overloads():
        return False
    return torch._C._dispatch_has_kernel_for_dispatch_key("aten::addmm.dtype_out", "CUDA")


def by_matmul(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor) -> None:
    """By two products with a softmax between them, in place where its weights are float32."""
    scores = torch.empty(len(q), len(k), dtype=torch.float32, device=q.device)
    # The factor is applied to the accumulator: no product is rounded before the softmax.
    factor = {"beta": 0, "alpha": q.shape[1] ** -0.5}
    if q.dtype != scores.dtype:
        factor["out_dtype"] = scores.dtype
    torch.addmm(scores, q, k.t(), **factor, out=scores)
    weights = scores if v.dtype == scores.dtype else torch.empty_like(scores, dtype=v.dtype)
    native.softmax_rows(scores, weights)
    torch.mm(weights, v, out=out)


def by_sdpa(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor) -> None:
    """By torch's own, which may keep the scores in memory."""
    out.copy_(F.scaled_dot_product_attention(q[None], k[None], v[None])[0])
