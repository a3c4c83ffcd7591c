"""Plain-torch twins of the tile ops; see `truetile.native.tile_ops` for the arguments."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from . import tile_checks as checks

# The axes of a block, out and the line buffers after the channel axis.
_T, _Y, _X = 1, 2, 3


@torch.no_grad()
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
    out_origin: Sequence[int],
    scale: float,
    shift: float,
    lo: float,
    hi: float,
) -> None:
    """Blend a box of one tile into `out`; see `truetile.native.blend_tile` for the arguments."""
    checks.blend_tile(
        block, out, line_x, line_y, line_t, use, lead, tail, offset, origin, out_origin, lo, hi
    )
    if block.numel() == 0:
        return
    v = block.float()
    for axis in range(3):
        weights = _weights(
            offset[axis], block.shape[1 + axis], use[axis], lead[axis], tail[axis], v.device
        )
        if weights is not None:
            v = v * weights.view([-1 if d == 1 + axis else 1 for d in range(4)])

    # The fold goes t, x, y because time chunks are the innermost loop: line_t lives inside one
    # spatial tile, line_x holds finished frames of one tile, line_y those of a row of tiles.
    (t0, y0, x0), (h, w) = offset, block.shape[2:]
    if lead[0] or tail[0]:
        place = line_t[:, :, y0 : y0 + h, x0 : x0 + w]
        v = _fold(v, place, _T, t0, use[0], lead[0], tail[0])
    frames = slice(origin[0] + t0, origin[0] + t0 + v.shape[_T])
    if lead[2] or tail[2]:
        place = line_x[:, frames, y0 : y0 + h]
        v = _fold(v, place, _X, x0, use[2], lead[2], tail[2])
    columns = slice(origin[2] + x0, origin[2] + x0 + v.shape[_X])
    if lead[1] or tail[1]:
        place = line_y[:, frames, :, columns]
        v = _fold(v, place, _Y, y0, use[1], lead[1], tail[1])

    begin = [o + b for o, b in zip(out_origin, offset, strict=True)]
    t, y, x = (slice(b, b + n) for b, n in zip(begin, v.shape[1:], strict=True))
    v = (v * scale + shift).clamp(lo, hi)  # clamp keeps NaN
    # A blocking copy: `out` may be host memory, which the next reader will not wait for.
    out[:, t, y, x].copy_(v.to(out.dtype))


@torch.no_grad()
def count_nonfinite(x: torch.Tensor, counts: torch.Tensor) -> None:
    """Add the number of NaN in `x` to counts[0], of infinities to counts[1]."""
    checks.count_nonfinite(x, counts)
    counts += torch.stack([torch.isnan(x).sum(), torch.isinf(x).sum()])


def _weights(
    first: int, count: int, use: int, lead: int, tail: int, device: torch.device
) -> torch.Tensor | None:
    """Weights of the tile's indices first .. first+count-1 on one axis; None when all are one."""
    if first >= lead and first + count <= use - tail:
        return None
    index = torch.arange(first, first + count, device=device, dtype=torch.float32)
    weights = torch.ones_like(index)
    if lead:
        weights = torch.where(index < lead, (index + 0.5) / lead, weights)
    if tail:
        weights = torch.where(index >= use - tail, 1 - (index - (use - tail) + 0.5) / tail, weights)
    return weights


def _fold(
    v: torch.Tensor, line: torch.Tensor, axis: int, first: int, use: int, lead: int, tail: int
) -> torch.Tensor:
    """Add the stored neighbour to the lead zone, store the tail zone, return what is left.

    `line` is cut to the box on the other axes; on `axis` it counts slots of the zone. Lead before
    tail: both use the same slots.
    """
    count = v.shape[axis]
    added = min(count, max(0, lead - first))
    if added:
        # In place is safe: a box with a lead zone was weighted, so v is no longer the block.
        v.narrow(axis, 0, added).add_(line.narrow(axis, first, added))
    kept = min(count, max(0, use - tail - first))
    if kept < count:
        slot = first + kept - (use - tail)
        line.narrow(axis, slot, count - kept).copy_(v.narrow(axis, kept, count - kept))
        v = v.narrow(axis, 0, kept)
    return v
