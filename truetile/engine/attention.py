"""Attention of one wide head: what a mid block does, without its weights.

Flash kernels end at 256 channels a head. Beyond, two plain products with a softmax between them
take less than half of the time (benchmarks/results/attention_h200.json). Scores stay
float32 from the accumulator to the softmax; in bfloat16 its weights are rounded once, which torch's
own may avoid: one of thirty roundings of a decode. Where products do not serve there are fused
kernels for any width, on NVIDIA's GPUs and on the CPU; elsewhere torch keeps scores in memory.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F

from .. import native
from ..stream import AttentionWay


@functools.cache
def attention_way(device: str, dtype: torch.dtype) -> AttentionWay:
    """How a device type attends; "meta" stands for an NVIDIA GPU with a torch of today."""
    if device == "cpu":
        return AttentionWay.FUSED
    if device != "meta" and (device != "cuda" or torch.version.cuda is None):
        return AttentionWay.MATH
    if dtype == torch.float32:
        return AttentionWay.PRODUCTS
    # Normalised weights of 65,536 tokens leave float16's normal range.
    if dtype == torch.bfloat16 and (device == "meta" or _has_float32_scores()):
        return AttentionWay.PRODUCTS
    return AttentionWay.FUSED


def _has_float32_scores() -> bool:
    """Whether torch makes float32 products of factors that are not: torch >= 2.8."""
    if "dtype_out" not in torch.ops.aten.addmm.overloads():
        return False
    return torch._C._dispatch_has_kernel_for_dispatch_key("aten::addmm.dtype_out", "CUDA")


def by_products(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor, rows: int
) -> None:
    """Writes softmax(q k^T / sqrt(C)) v into `out`, `rows` queries at a time.

    q and out are [queries, C], k and v [tokens, C], contiguous and all of one dtype. This allocates
    rows * tokens elements of float32 and, where the inputs are of another dtype, as many of theirs;
    cuBLAS' workspace is torch's, one for the process.
    """
    size = min(rows, len(q)), len(k)
    all_scores = all_weights = torch.empty(size, dtype=torch.float32, device=q.device)
    if v.dtype != torch.float32:
        all_weights = torch.empty(size, dtype=v.dtype, device=q.device)
    # The factor is applied to the accumulator: no product is rounded before the softmax.
    factor = {"beta": 0, "alpha": q.shape[1] ** -0.5}
    if q.dtype != torch.float32:
        factor["out_dtype"] = torch.float32
    keys = k.t()
    for few, made in zip(q.split(rows), out.split(rows), strict=True):
        scores, weights = all_scores[: len(few)], all_weights[: len(few)]
        torch.addmm(scores, few, keys, **factor, out=scores)
        native.softmax_rows(scores, weights)
        torch.mm(weights, v, out=made)


def by_sdpa(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor, rows: int
) -> None:
    """The same by torch's own: by a fused kernel, where there is one.

    That allocates its result and, in float32, what adds up to it.
    """
    # Fused kernels serve batches of heads only; anything else goes to products of float32 copies.
    keys, values = k[None, None], v[None, None]
    for few, made in zip(q.split(rows), out.split(rows), strict=True):
        made.copy_(F.scaled_dot_product_attention(few[None, None], keys, values)[0, 0])
