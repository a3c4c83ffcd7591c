"""The classic tiled VAE, for comparison: independent tiles, each feathered on all its sides.

Written anew from a description of the recipe that most tools use:
- tiles start every `tile - overlap`; the last one is what remains, as short as overlap + 1;
- a tile's weight rises linearly from each of its edges over the overlap, at the picture's own
  edges too, and the sum is divided by the sum of weights;
- clips are cut in time as well; each part begins with an empty causal cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch

from ..plan import AxisScale, Span

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class FeatheredTiles:
    """Sizes of the tiles, (t, y, x) in latents; a size that covers the axis means one tile."""

    tile: Triple
    overlap: Triple
    scales: tuple[AxisScale, AxisScale, AxisScale]

    def spans(self, axis: int, size: int) -> list[Span]:
        """Latents of each tile on one axis of `size` latents."""
        tile, overlap = self.tile[axis], self.overlap[axis]
        if tile >= size:
            return [Span(0, size)]
        starts = range(0, size - overlap, tile - overlap)
        return [Span(start, min(start + tile, size)) for start in starts]

    def pixel_spans(self, axis: int, size: int) -> list[Span]:
        """The same in pixels or frames: what an independent call on the latents stands for."""
        return [self.scales[axis].span(span, False) for span in self.spans(axis, size)]

    def run(
        self,
        call: Callable[[torch.Tensor], torch.Tensor],
        source: torch.Tensor,
        *,
        encode: bool,
        progress: Callable[[int, int], None] | None = None,
    ) -> torch.Tensor:
        """Maps `source` [1, C, T, h, w] through `call`, tile by tile, on the CPU in float32."""
        latents = self._latent_size(source, encode)
        read, write = self._positions(latents, encode)
        total = len(read)
        result = weight = None
        for index, (box, place) in enumerate(zip(read, write, strict=True)):
            block = call(_box(source, box)).float().cpu()
            if result is None:
                size = [spans[-1].end for spans in zip(*write, strict=True)]
                result = torch.zeros(1, block.shape[1], *size)
                weight = torch.zeros(1, 1, *size)
            mask = self.mask(block.shape[2:], encode)
            _box(result, place).add_(block.mul_(mask))
            _box(weight, place).add_(mask)
            if progress is not None:
                progress(index + 1, total)
        return result.div_(weight)

    def mask(self, size: Triple, encode: bool) -> torch.Tensor:
        """Weights [1, 1, t, y, x] of a tile of `size`: the product of a ramp on each axis."""
        ramps = []
        for axis, length in enumerate(size):
            # A causal axis shares fewer frames than its latents stand for.
            overlap = self.overlap[axis]
            feather = overlap if encode or not overlap else self.scales[axis].pixels(overlap)
            rise = ((torch.arange(length) + 1) / max(feather, 1)).clamp(max=1)
            ramps.append(rise * rise.flip(0))
        t, y, x = ramps
        return (t[:, None, None] * y[:, None] * x)[None, None]

    def _positions(self, latents: Triple, encode: bool) -> tuple[list, list]:
        """Boxes (t, y, x) to read and to write, tile by tile in raster order."""
        own = list(product(*(self.spans(axis, n) for axis, n in enumerate(latents))))
        other = list(product(*(self.pixel_spans(axis, n) for axis, n in enumerate(latents))))
        return (other, own) if encode else (own, other)

    def _latent_size(self, source: torch.Tensor, encode: bool) -> Triple:
        sizes = tuple(source.shape[2:])
        if not encode:
            return sizes
        return tuple(1 + (n - s.first) // s.factor for n, s in zip(sizes, self.scales, strict=True))


def _box(tensor: torch.Tensor, box: tuple[Span, Span, Span]) -> torch.Tensor:
    t, y, x = box
    return tensor[:, :, t.begin : t.end, y.begin : y.end, x.begin : x.end]
