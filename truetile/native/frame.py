"""One frame of the ladder's stack: the pure-Python twin of csrc/core/frame.hpp."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .grid import AxisTile, Span
from .rungs import Box

Axes = tuple[AxisTile, AxisTile, AxisTile]
Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Level:
    """One frame of the stack as a step sees it; triples are (t, y, x).

    frame: a number of its own for each frame (one that starts again at another rung gets a new
    one), so that buffers can be kept by it. box: global latents it covers. size: what the box
    produces (its canvas; of a child: its parent's `out`). axes: the tile that holds this step, in
    coordinates of the box; of an outer level whose child took over, a tile that runs to the end of
    the clip. index, count: that tile's place in the grid. max_use, max_zone: the largest `use` and
    `lead`/`tail` of the grid, for line buffers.
    """

    frame: int
    rung: int
    box: Box
    size: Triple
    axes: Axes
    index: Triple
    count: Triple
    max_use: Triple
    max_zone: Triple


def _triple(values: Iterable[int]) -> Triple:
    t, y, x = values
    return t, y, x


class Frame:
    """A box of latents tiled at one rung, and how far it got."""

    def __init__(self, number: int, box: Box, rung: int, grids: Sequence[list[AxisTile]]):
        self.number, self.box, self.rung, self.grids = number, box, rung, grids
        self.size = _triple(grid[-1].out.end for grid in grids)
        self.count = _triple(len(grid) for grid in grids)
        self.max_use = _triple(max(tile.use.length for tile in grid) for grid in grids)
        self.max_zone = _triple(max(tile.tail for tile in grid) for grid in grids)
        self.tile = 0  # spatial tile, in raster order
        self.chunk = 0
        self.finished = False  # anything, by itself or by a child

    @property
    def tiles(self) -> int:
        return self.count[1] * self.count[2]

    @property
    def index(self) -> Triple:
        return self.chunk, *divmod(self.tile, self.count[2])

    def next_tile(self) -> None:
        self.tile, self.chunk, self.finished = self.tile + 1, 0, True

    def axes(self, to_clip_end: bool) -> Axes:
        """The current tile; `to_clip_end` joins its chunk and all later ones."""
        t, y, x = (grid[i] for grid, i in zip(self.grids, self.index, strict=True))
        if to_clip_end:
            last = self.grids[0][-1]
            t = AxisTile(
                Span(t.latent.begin, last.latent.end),
                Span(t.out.begin, last.out.end),
                Span(t.use.begin, last.use.end),
                t.lead,
                0,
            )
        return t, y, x

    def level(self, to_clip_end: bool) -> Level:
        return Level(
            self.number,
            self.rung,
            self.box,
            self.size,
            self.axes(to_clip_end),
            self.index,
            self.count,
            self.max_use,
            self.max_zone,
        )

    def sub_box(self, axes: Axes) -> Box:
        t, y, x = (tile.latent.shifted(b.begin) for tile, b in zip(axes, self.box, strict=True))
        return t, y, x


def volume(box: Sequence[Span]) -> int:
    return box[0].length * box[1].length * box[2].length


def final_volume(levels: Sequence[Level]) -> int:
    """Elements of the whole output that are final once the step of `levels` is done."""
    spans = [tile.final for tile in levels[-1].axes]
    for level in reversed(levels[:-1]):
        for i, tile in enumerate(level.axes):
            inner, final = spans[i].shifted(tile.out.begin), tile.final
            begin = max(inner.begin, final.begin)
            spans[i] = Span(begin, max(begin, min(inner.end, final.end)))
    return volume(spans)
