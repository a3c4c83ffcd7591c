"""Tile grids of one axis: the pure-Python twin of csrc/core/grid.hpp (same names, same results).

An axis maps latents to pixels (or frames): n latents give `first + (n - 1) * factor` of them. Tiles
are spread evenly, all of one length, and fade into their neighbours over zones that never touch
each other: at most two tiles meet at any pixel, and their weights sum to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ..errors import InvalidArgument

MAX_SIZE = 1 << 24  # latents on one axis
MAX_STRETCH = 4000  # thousandths of an axis that its tiles may read
MAX_FACTOR = 1 << 10  # pixels a latent on one axis


def require(ok: bool, name: str, value: object, allowed: str) -> None:
    """Raise InvalidArgument in the house form unless `ok`."""
    if not ok:
        raise InvalidArgument(f"{name}={value}: must be {allowed}")


def require_range(name: str, value: int, low: int, high: int, context: str = "") -> None:
    require(low <= value <= high, name, value, f"in [{low}, {high}]{context}")


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range [begin, end)."""

    begin: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.begin

    def shifted(self, by: int) -> Span:
        return Span(self.begin + by, self.end + by)


@dataclass(frozen=True, slots=True)
class AxisScale:
    """n latents give `first + (n - 1) * factor` pixels; `first` < `factor` only on causal time."""

    factor: int = 1
    first: int = 1

    @property
    def causal(self) -> bool:
        return self.first < self.factor

    def pixels(self, latents: int) -> int:
        return self.first + (latents - 1) * self.factor

    def span(self, latent: Span, carried: bool) -> Span:
        """Pixels that a call on `latent` produces.

        With a carried cache they continue where the call before ended. An independent call is
        aligned to its end: its first latent gives only the last `first` frames of its group.
        """
        begin = latent.begin * self.factor
        if carried and latent.begin > 0:
            begin = self.pixels(latent.begin)
        return Span(begin, self.pixels(latent.end))


@dataclass(frozen=True, slots=True)
class AxisTile:
    """One tile on one axis, in coordinates of the box it belongs to.

    latent: latents of the call. out: what the call produces (pixels for decode, latents for
    encode). use: the part of `out` that is blended. lead, tail: lengths of the fade-in zone at the
    begin of `use` and of the fade-out zone at its end (the next tile's fade-in zone).
    """

    latent: Span
    out: Span
    use: Span
    lead: int
    tail: int

    @property
    def final(self) -> Span:
        """The part of `use` that no later tile of this axis touches."""
        return Span(self.use.begin, self.use.end - self.tail)


def axis_weights(tile: AxisTile) -> list[float]:
    """Weight of each index of `tile.use`; over all tiles they sum to one at every index."""
    weights = [1.0] * tile.use.length
    for i in range(tile.lead):
        weights[i] = (i + 0.5) / tile.lead
    for i in range(tile.tail):
        weights[len(weights) - tile.tail + i] = 1.0 - (i + 0.5) / tile.tail
    return weights


def check_scale(scale: AxisScale) -> None:
    require_range("factor", scale.factor, 1, MAX_FACTOR)
    require_range("first", scale.first, 1, scale.factor, f" (factor={scale.factor})")


def even_grid(size: int, tile: int, overlap: int, stretch: int = 1000) -> list[Span]:
    """Fewest tiles of at most `tile` that cover `size` with at least `overlap` in common.

    `stretch` lets them grow, and their overlaps with them, while all of them together read at most
    stretch/1000 of the axis and each stays below `tile`.
    """
    require_range("size", size, 1, MAX_SIZE)
    require_range("tile", tile, 1, MAX_SIZE)
    require_range("overlap", overlap, 0, tile - 1, f" (tile={tile})")
    require_range("stretch", stretch, 1000, MAX_STRETCH)
    if tile >= size:
        return [Span(0, size)]
    count = -(-(size - overlap) // (tile - overlap))
    shortest = -(-(size + (count - 1) * overlap) // count)
    # One below `tile`: the line buffers of the overlaps need room that a lone tile does not.
    length = max(shortest, min(tile - 1, size * stretch // (1000 * count)))
    starts = (i * (size - length) // (count - 1) for i in range(count))
    return [Span(start, start + length) for start in starts]


def chunk_grid(size: int, chunk: int, multiple: int = 1) -> list[Span]:
    """Consecutive chunks of at most `chunk`; each but the last ends on a multiple of `multiple`."""
    require_range("size", size, 1, MAX_SIZE)
    require_range("multiple", multiple, 1, MAX_SIZE)
    require_range("chunk", chunk, multiple, 2 * MAX_SIZE, f" (multiple={multiple})")
    units = -(-size // multiple)
    count = -(-units // (chunk // multiple))
    ends = (min(size, multiple * ((i + 1) * units // count)) for i in range(count))
    spans, begin = [], 0
    for end in ends:
        spans.append(Span(begin, end))
        begin = end
    return spans


def _zones(outs: list[Span]) -> list[Span]:
    """Blend zone between each tile and the next: centred on their overlap, disjoint."""
    overlaps = [Span(b.begin, a.end) for a, b in pairwise(outs)]
    # Twice the centre of each overlap, so that everything stays an integer.
    centres = [o.begin + o.end for o in overlaps]
    gaps = [(b - a) // 2 for a, b in pairwise(centres)]
    widest = min(gaps, default=None)
    zones = []
    for overlap in overlaps:
        length = overlap.length if widest is None else min(overlap.length, widest)
        begin = overlap.begin + (overlap.length - length) // 2
        zones.append(Span(begin, begin + length))
    return zones


def axis_tiles(
    size: int,
    tile: int,
    overlap: int,
    scale: AxisScale,
    carried: bool = False,
    multiple: int = 1,
    stretch: int = 1000,
) -> list[AxisTile]:
    """Tiles over `size` latents; `carried` gives consecutive chunks that share nothing.

    Independent calls on a causal axis need tile >= 2 and overlap >= 1 (unless one tile covers all):
    the first latent of a call says little about the frames of its group.
    """
    check_scale(scale)
    if carried:
        require_range("overlap", overlap, 0, 0, " (carried)")
        spans = chunk_grid(size, tile, multiple)
    else:
        if scale.causal and tile < size:
            require_range("tile", tile, 2, MAX_SIZE, " (causal)")
            require_range("overlap", overlap, 1, tile - 1, f" (causal, tile={tile})")
        spans = even_grid(size, tile, overlap, stretch)
    outs = [scale.span(span, carried) for span in spans]
    zones = _zones(outs)
    # No zone at the outer ends of the axis.
    zones = [Span(0, 0), *zones, Span(outs[-1].end, outs[-1].end)]
    return [
        AxisTile(span, out, Span(left.begin, right.end), left.length, right.length)
        for span, out, (left, right) in zip(spans, outs, pairwise(zones), strict=True)
    ]
