"""How attention is split into calls, and what each takes; twin of csrc/core/stream/attention.hpp.

Queries are projected by the *piece*, whose memory the calls share, and scored by fewer *rows*.
"""

from __future__ import annotations

import enum

_FP32_BYTES = 4
_SCORES = 1 << 24  # elements of one block of attention scores
_SCORED_ROWS = 128  # at least: products of fewer rows leave a GPU idle
_PIECE = 4096  # tokens: with fewer, launches take longer than the work
# To choose from: a quarter of the usual scores at least, and four times as many at most.
_MOST_SCORES, _FEWEST_SCORES, _FEWEST_ROWS = 4 * _SCORES, _SCORES // 4, 32
# A core takes 32 rows (GPU) to 256 (CPU) of a fused call: with fewer in all, cores are idle.
_FUSED_ROWS = 8192
# Torch's CUDA allocator divides a block only where more than a megabyte would be left of it. Five
# may be so at once: of what is read, of weights, of tokens with queries, of scores, of softmax.
# A way of attending does not say the device, so that they count on the CPU, too.
_UNDIVIDED, _UNDIVIDED_BLOCKS = 1 << 20, 5


class AttentionWay(enum.IntEnum):
    """What computes attention; each takes other memory."""

    FUSED = 0  # one kernel of the framework, which keeps no scores
    PRODUCTS = 1  # two plain products with a softmax between them
    MATH = 2  # the framework's own products, of float32 copies


def attention_rows(tokens: int, way: AttentionWay) -> int:
    """How many of `tokens` queries are scored at once where nothing else is said."""
    if way == AttentionWay.FUSED:
        return min(tokens, _FUSED_ROWS)
    return min(tokens, max(_SCORED_ROWS, _SCORES // tokens))


def attention_choices(tokens: int, way: AttentionWay) -> list[int]:
    """Numbers of queries to choose from, falling; only one where no scores are kept.

    With more at once there are fewer calls, and whole keys are read less often. Powers of two: a
    GPU's products come in blocks of such numbers of rows.
    """
    if way == AttentionWay.FUSED:
        return [attention_rows(tokens, way)]

    def rows(scores: int, least: int) -> int:
        most = 1 << (max(1, scores // tokens).bit_length() - 1)
        return min(tokens, max(least, most))

    fewest = rows(_FEWEST_SCORES, _FEWEST_ROWS)
    found = [rows(_MOST_SCORES, _SCORED_ROWS)]
    while found[-1] // 2 >= fewest:
        found.append(found[-1] // 2)
    return found


def attention_piece(tokens: int, rows: int) -> int:
    """How many of `tokens` are projected at once, if `rows` are scored at once.

    A multiple of that, or all.
    """
    return min(tokens, max(1, _PIECE // rows) * rows)


def attention_bytes(
    tokens: int, rows: int, channels: int, elem_bytes: int, way: AttentionWay
) -> int:
    """What an attention takes at most, if `rows` queries are scored at once."""
    seen, few, scores = tokens * channels, rows * channels, rows * tokens
    # The normed tokens, which are keys and values; a piece of queries and what they see.
    values = seen + 2 * attention_piece(tokens, rows) * channels
    coarse = elem_bytes != _FP32_BYTES
    if way == AttentionWay.FUSED:
        # A result, and what adds up to it.
        values += few
        fp32 = few
    elif way == AttentionWay.PRODUCTS:
        # Scores, which become weights in place where these are float32.
        values += scores if coarse else 0
        fp32 = scores
    else:
        # Scaled keys and queries, scores, weights and a result. In a coarser dtype keys, values and
        # queries are copied before, weights and result after.
        values += scores + few if coarse else 0
        fp32 = seen + 2 * few + 2 * scores + (2 * seen + few if coarse else 0)
    undivided = _UNDIVIDED_BLOCKS * _UNDIVIDED if seen * elem_bytes > _UNDIVIDED else 0
    return values * elem_bytes + fp32 * _FP32_BYTES + undivided
