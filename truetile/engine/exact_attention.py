"""Attention of a mid block with its norm, its projections and its residual, on [T, H, W, C].

With x' the normed input, scores are (x' Wq + bq) (x' Wk + bk)^T, and what a query sees is weighted
values (x' Wv + bv) Wo + bo. A term that is the same for all keys cancels in the softmax, and its
weights add up to one. So the scores are those of queries x' A + a over x' itself, and the result is
weighted x' times B plus b (see `Packed`): x' is keys and values at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .. import native
from ..stream import AttentionWay, attention_piece
from .attention import by_products, by_sdpa
from .exact_weights import Packed
from .memory import carved


@dataclass(frozen=True)
class Attention:
    """How to attend: `causal` sees no later frame, `rows` queries are scored at a time."""

    rows: int
    way: AttentionWay
    causal: bool = False


def attend(out: torch.Tensor, x: torch.Tensor, weights: Packed, how: Attention) -> None:
    """One-head attention over each frame of `x` [t, h, w, C], added to it, into `out`.

    `out` may be `x` itself.
    """
    for source, target in zip(x, out, strict=True):
        attend_clip(target[None], source[None], weights, how)


def attend_clip(out: torch.Tensor, x: torch.Tensor, weights: Packed, how: Attention) -> None:
    """One-head attention over all of `x` [t, h, w, C], added to it, into `out` (or `x` itself).

    Only what is seen is whole; queries are made piece by piece, and scores for a few of them.
    """
    t, h, w, c = x.shape
    tokens = t * h * w
    own = h * w if how.causal else tokens
    piece = min(own, attention_piece(tokens, how.rows))
    seen, queries, made = carved([(tokens, c), (piece, c), (piece, c)], x.dtype, x.device)
    source, target = x.reshape(tokens, c), out.view(tokens, c)
    norm = weights.gamma, weights.beta
    native.norm_pad(source[None, None], seen[None, None], *norm, rms=weights.rms)
    by = by_products if how.way == AttentionWay.PRODUCTS else by_sdpa
    for frame in range(0, tokens, own):
        keys = seen[: frame + own]
        for at in range(frame, frame + own, piece):
            few = slice(at, min(frame + own, at + piece))
            size = few.stop - few.start
            _linear(queries[:size], seen[few], weights.weight, weights.bias)
            by(queries[:size], keys, keys, made[:size], how.rows)
            _linear(queries[:size], made[:size], weights.proj, weights.proj_bias)
            torch.add(source[few], queries[:size], out=target[few])


def _linear(
    out: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> None:
    """x weight^T + bias into `out`."""
    if bias is None:
        torch.mm(x, weight.t(), out=out)
    else:
        torch.addmm(bias, x, weight.t(), out=out)
