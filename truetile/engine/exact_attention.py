"""Attention of a mid block with its norm, its projections and its residual, on [T, H, W, C]."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .. import native
from ..stream import attention_piece, attention_rows
from .attention import one_head_attention
from .exact_weights import Packed


def attend(out: torch.Tensor, x: torch.Tensor, weights: Packed) -> None:
    """One-head attention over each frame of `x` [t, h, w, C], added to it, into `out`.

    `out` may be `x` itself.
    """
    for source, target in zip(x, out, strict=True):
        attend_clip(target[None], source[None], weights, causal=False)


def attend_clip(out: torch.Tensor, x: torch.Tensor, weights: Packed, causal: bool) -> None:
    """One-head attention over all of `x` [t, h, w, C], added to it, into `out` (or `x` itself).

    With `causal` a frame sees itself and those before it. Only keys and values are whole; queries
    are made piece by piece, and scores for a few of them at once.
    """
    t, h, w, c = x.shape
    tokens = t * h * w
    own = h * w if causal else tokens
    rows, piece = attention_rows(tokens), min(own, attention_piece(tokens))
    keys_values = x.new_empty((2, tokens, c))
    scratch = x.new_empty((piece, c))
    source, target = x.reshape(tokens, c), out.view(tokens, c)

    def project(values: torch.Tensor, index: int) -> torch.Tensor:
        """Norm of `values` [n, C] times the weights for queries (0), keys (1) or values (2)."""
        part = scratch[: values.shape[0]]
        native.norm_pad(
            values[None, None], part[None, None], weights.gamma, weights.beta, rms=weights.rms
        )
        one = slice(index * c, (index + 1) * c)
        bias = None if weights.bias is None else weights.bias[one]
        return F.linear(part, weights.weight[one], bias)

    for at in range(0, tokens, piece):
        for index in (0, 1):
            keys_values[index, at : at + piece].copy_(project(source[at : at + piece], 1 + index))
    for frame in range(0, tokens, own):
        end = frame + own
        keys, values = keys_values[:, :end]
        for at in range(frame, end, piece):
            part = source[at : min(end, at + piece)]
            queries, made = project(part, 0), scratch[: part.shape[0]]
            for few, seen in zip(queries.split(rows), made.split(rows), strict=True):
                one_head_attention(few, keys, values, seen)
            del queries, few
            made = F.linear(made, weights.proj, weights.proj_bias)
            torch.add(part, made, out=target[at : at + part.shape[0]])
