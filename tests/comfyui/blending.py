"""The blended engine's bound, computed independently of the engine from decodes of single tiles.

Written from the rule, not from the engine's code: tiles of one size spread evenly over each axis;
between two neighbours a linear ramp centred on their overlap; weights multiply over the axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch

FACTOR = 8  # pixels per latent of the embedded VAE


@dataclass
class Tile:
    """Begin and length in latents (y, x), and the weight of each of its rows and columns."""

    begin: tuple[int, int]
    length: tuple[int, int]
    rows: torch.Tensor
    columns: torch.Tensor


def tiles_of(height: int, width: int, settings: dict, scale: int) -> list[Tile]:
    """The tiles of a latent of height x width. Time is carried, so no tile cuts it.

    scale: result rows per latent, 8 for a decode and 1 for an encode.
    """
    tile, overlap = settings["tile_size"] // FACTOR, settings["overlap"] // FACTOR
    return [
        Tile((y, x), (h, w), rows, columns)
        for y, h, rows in _axis(height, tile, overlap, scale)
        for x, w, columns in _axis(width, tile, overlap, scale)
    ]


def _axis(size: int, tile: int, overlap: int, scale: int) -> list[tuple[int, int, torch.Tensor]]:
    """(begin, length, weight per result row) of each tile along one axis."""
    count = 1 if tile >= size else math.ceil((size - overlap) / (tile - overlap))
    length = math.ceil((size + (count - 1) * overlap) / count)
    begins = [i * (size - length) // (count - 1) if count > 1 else 0 for i in range(count)]
    # Overlap of tiles i and i + 1 in the result, and the ramp inside it.
    shared = [(begins[i + 1] * scale, (begins[i] + length) * scale) for i in range(count - 1)]
    centres = [(a + b) / 2 for a, b in shared]
    gap = min([b - a for a, b in pairwise(centres)], default=math.inf)
    ramps = []
    for (a, b), centre in zip(shared, centres, strict=True):
        zone = int(min(b - a, gap))
        start = int(centre - zone / 2)
        position = torch.arange(size * scale, dtype=torch.float64)
        ramps.append(((position - start + 0.5) / max(1, zone)).clamp(0, 1))
    axis = []
    for i, begin in enumerate(begins):
        weight = torch.ones(size * scale, dtype=torch.float64)
        if i > 0:
            weight = weight * ramps[i - 1]
        if i < count - 1:
            weight = weight * (1 - ramps[i])
        axis.append((begin, length, weight[begin * scale : (begin + length) * scale]))
    return axis


def blend(
    tiles: list[Tile], parts: list[torch.Tensor], shape: torch.Size, scale: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weighted mean, smallest and largest value of the tiles, each of `shape` [..., H, W]."""
    mean = torch.zeros(shape, dtype=torch.float64)
    low, high = torch.full(shape, math.inf), torch.full(shape, -math.inf)
    for tile, part in zip(tiles, parts, strict=True):
        (y, h), (x, w) = (
            (b * scale, n * scale) for b, n in zip(tile.begin, tile.length, strict=True)
        )
        box = (..., slice(y, y + h), slice(x, x + w))
        weight = tile.rows[:, None] * tile.columns
        mean[box] += weight * part
        counts = (weight > 0).expand(part.shape)
        low[box] = torch.where(counts, torch.minimum(low[box], part), low[box])
        high[box] = torch.where(counts, torch.maximum(high[box], part), high[box])
    return mean.float(), low, high
