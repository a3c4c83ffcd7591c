"""The ops on tiles: blending them into a canvas, and whether they are finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .dispatch import decline, run

if TYPE_CHECKING:
    import torch


def blend_tile(
    block: torch.Tensor,
    out: torch.Tensor,
    line_x: torch.Tensor,
    line_y: torch.Tensor,
    line_t: torch.Tensor,
    use: Sequence[int],
    lead: Sequence[int],
    tail: Sequence[int],
    offset: Sequence[int],
    origin: Sequence[int],
    out_origin: Sequence[int] | None = None,
    *,
    scale: float = 1.0,
    shift: float = 0.0,
    lo: float = float("-inf"),
    hi: float = float("inf"),
) -> None:
    """Blend a box of one tile into the canvas `out`.

    Tiles come in raster order of (y, x) with time inside, the boxes of one tile likewise. All
    lengths are pixels and frames; triples are (t, y, x). Nothing is allocated by the native op,
    nothing waits for the device.

    Args:
        block: [C, t, h, w], float32, float16 or bfloat16, any strides: a box of the tile's used
            part.
        out: [C, T, H, W], one of the same dtypes, any strides (an NHWC canvas comes permuted);
            on the device of `block`, or CPU memory (pinned for the native op on CUDA; the copy
            is then only complete when the stream is).
        line_x: float32, contiguous [C, >= T, >= use y, >= x zone]: the weighted tail zones of
            the tile to the left, by frame of the canvas, row of the tile and slot of the zone.
            Like the other two it is needed where its axis has a zone, and may else be empty.
        line_y: float32, contiguous [C, >= T, >= y zone, >= W]: those of the row of tiles above,
            by frame of the canvas, slot and column of the canvas.
        line_t: float32, contiguous [C, >= t zone, >= use y, >= use x]: those of the chunk
            before, by slot and position in the tile.
        use: lengths of the tile's used part.
        lead: lengths of its fade-in zones; index i of a zone of p has weight (i + 0.5) / p.
        tail: lengths of its fade-out zones, which hold 1 minus the next tile's lead weights.
            lead + tail <= use.
        offset: where `block` lies in the used part.
        origin: where the used part lies in the canvas, which the line buffers count in.
        out_origin: where it lies in `out`, when `out` is not the whole canvas. What becomes final
            of the box must fit; an entry may be as low as -offset.
        scale: finished values are clamped as value * scale + shift to [lo, hi]; NaN stays NaN.
        shift: see scale.
        lo: see scale.
        hi: see scale.

    Raises:
        InvalidArgument: an argument does not fit; the message says which, its value and the rule.
    """
    args = (block, out, line_x, line_y, line_t, list(use), list(lead), list(tail), list(offset))
    args += (list(origin), list(origin if out_origin is None else out_origin))
    args += (float(scale), float(shift), float(lo), float(hi))
    run("blend_tile", decline(block, out), args)


def count_nonfinite(x: torch.Tensor, counts: torch.Tensor) -> None:
    """Count what is not finite in `x`, without waiting for the device.

    Args:
        x: float32, float16 or bfloat16, any shape and strides.
        counts: int64 [2] on the same device; the number of NaN is added to counts[0], of
            infinities to counts[1].

    Raises:
        InvalidArgument: an argument does not fit; the message says which, its value and the rule.
    """
    run("count_nonfinite", decline(x, counts), (x, counts))
