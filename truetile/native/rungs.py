"""Rungs of the ladder and their bytes: the pure-Python twin of csrc/core/rungs.hpp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import BudgetError
from .cost import CostModel, call_bytes, check_cost, format_bytes, line_bytes
from .grid import (
    MAX_SIZE,
    MAX_STRETCH,
    AxisScale,
    AxisTile,
    Span,
    axis_tiles,
    check_scale,
    chunk_grid,
    even_grid,
    require,
    require_range,
)

MAX_PIXELS = 1 << 48  # pixel-frames of one plan
_TIME_RUNGS = (16, 4, 1)  # pixel frames a chunk
_TILE_FRAMES = 16  # pixel frames a chunk under spatial tiles, where chunks are independent

Box = tuple[Span, Span, Span]
"""Latents (t, y, x) of the whole plan that a frame of the ladder covers."""


@dataclass(frozen=True, slots=True)
class LadderOptions:
    """What the user and the VAE ask of a ladder.

    tile, overlap, min_tile: spatial, in latents. frames, overlap_frames: pixel frames; frames is
    the largest chunk (0 = whole clip). carried: chunks continue a causal cache, no overlap in time.
    chunk_multiple: carried chunks end on multiples of so many latents. encode: blend latents
    instead of pixels. start_tiled: use spatial tiles from the first rung on. stretch: of spatial
    grids, see even_grid.
    """

    tile: int = 64
    overlap: int = 8
    frames: int = 0
    overlap_frames: int = 0
    min_tile: int = 8
    carried: bool = False
    chunk_multiple: int = 1
    encode: bool = False
    start_tiled: bool = False
    stretch: int = 1000


@dataclass(frozen=True, slots=True)
class Rung:
    """Sizes of one rung; 0 means whole. frames: pixel frames; the other four: latents."""

    frames: int
    tile: int
    chunk: int
    overlap: int
    chunk_overlap: int

    def describe(self) -> str:
        """`whole`, `16 frames`, `tile 32`, `1 frame, tile 32`: what is not named is whole."""
        parts = []
        if self.chunk:
            parts.append(f"{self.frames} frame{'s' if self.frames > 1 else ''}")
        if self.tile:
            parts.append(f"tile {self.tile}")
        return ", ".join(parts) or "whole"


def check_plan(
    extent: Sequence[int], scales: Sequence[AxisScale], options: LadderOptions, cost: CostModel
) -> None:
    """Raise InvalidArgument for the first value outside its range."""
    pixels = 1
    for name, size, scale in zip("tyx", extent, scales, strict=True):
        require_range(f"extent.{name}", size, 1, MAX_SIZE)
        check_scale(scale)
        if name != "t":
            allowed = f"{scale.factor} (the factor of {name})"
            require(not scale.causal, f"first.{name}", scale.first, allowed)
        pixels *= scale.pixels(size)
    allowed = f"at most {MAX_PIXELS} pixel-frames"
    require(pixels <= MAX_PIXELS, "extent", tuple(extent), allowed)
    o = options
    require_range("tile", o.tile, 1, MAX_SIZE)
    require_range("overlap", o.overlap, 0, o.tile - 1, f" (tile={o.tile})")
    require_range("min_tile", o.min_tile, 1, o.tile, f" (tile={o.tile})")
    require_range("frames", o.frames, 0, MAX_SIZE)
    most = o.frames - 1 if o.frames else MAX_SIZE
    require_range("overlap_frames", o.overlap_frames, 0, most, f" (frames={o.frames})")
    require_range("chunk_multiple", o.chunk_multiple, 1, MAX_SIZE)
    require_range("stretch", o.stretch, 1000, MAX_STRETCH)
    check_cost(cost)


def axis_grids(
    box: Box, rung: Rung, scales: Sequence[AxisScale], options: LadderOptions
) -> tuple[list[AxisTile], list[AxisTile], list[AxisTile]]:
    """The three grids (t, y, x) of a rung over a box, in coordinates of that box."""
    one = AxisScale(1, 1)
    time = one if options.encode else scales[0]
    frames = box[0].length
    if options.carried:
        if box[0].begin > 0:  # mid-clip: the rule of the first latent is over
            time = AxisScale(time.factor, time.factor)
        chunk = rung.chunk or -(-frames // options.chunk_multiple) * options.chunk_multiple
        t = axis_tiles(frames, chunk, 0, time, True, options.chunk_multiple)
    else:
        t = axis_tiles(frames, rung.chunk or frames, rung.chunk_overlap if rung.chunk else 0, time)
    y, x = (
        axis_tiles(
            b.length,
            rung.tile or b.length,
            rung.overlap,
            one if options.encode else scale,
            stretch=options.stretch,
        )
        for b, scale in zip(box[1:], scales[1:], strict=True)
    )
    return t, y, x


def call_volume(box: Box, rung: Rung, options: LadderOptions) -> int:
    """Latents of the largest call of a rung over a box."""
    frames = box[0].length
    if rung.chunk and options.carried:
        spans = chunk_grid(frames, rung.chunk, options.chunk_multiple)
        frames = max(span.length for span in spans)
    elif rung.chunk:
        frames = even_grid(frames, rung.chunk, rung.chunk_overlap)[0].length
    for b in box[1:]:
        if rung.tile:
            frames *= even_grid(b.length, rung.tile, rung.overlap, options.stretch)[0].length
        else:
            frames *= b.length
    return frames


def whole_box(extent: Sequence[int]) -> Box:
    t, y, x = (Span(0, size) for size in extent)
    return t, y, x


def _rung(
    frames: int, tile: int, extent: Sequence[int], scale: AxisScale, options: LadderOptions
) -> Rung:
    """Frames to latents, with the smallest legal chunk; a size that covers all becomes 0."""
    alone = scale.causal and not options.carried  # such a chunk needs a latent of warm-up
    multiple = options.chunk_multiple if options.carried else 1
    chunk = max(2 if alone else 1, frames // scale.factor) // multiple * multiple
    chunk = max(chunk, multiple)
    if frames == 0 or chunk >= extent[0]:
        frames = chunk = 0
    chunk_overlap = 0
    if chunk and not options.carried:
        most = chunk - 1 if frames == options.frames else chunk // 2
        chunk_overlap = max(int(alone), min(options.overlap_frames // scale.factor, most))
    if tile >= max(extent[1:]):
        tile = 0
    overlap = 0
    if tile:
        overlap = options.overlap if tile == options.tile else min(options.overlap, tile // 2)
    return Rung(frames, tile, chunk, overlap, chunk_overlap)


def make_rungs(
    extent: Sequence[int], scales: Sequence[AxisScale], options: LadderOptions
) -> list[Rung]:
    """Whole clip, 16, 4, 1 frames, then smaller spatial tiles; only calls that really shrink."""
    check_plan(extent, scales, options, CostModel())
    box, scale = whole_box(extent), scales[0]
    base = options.tile if options.start_tiled else 0
    sizes = [(options.frames, base)]
    sizes += [(f, base) for f in _TIME_RUNGS if options.frames == 0 or f < options.frames]
    under = 1 if options.carried else min(_TILE_FRAMES, options.frames or _TILE_FRAMES)
    tile = options.tile
    while tile >= options.min_tile:
        sizes.append((under, tile))
        tile //= 2
    rungs: list[Rung] = []
    for frames, edge in sizes:
        rung = _rung(frames, edge, extent, scale, options)
        if not rungs or call_volume(box, rung, options) < call_volume(box, rungs[-1], options):
            rungs.append(rung)
    return rungs


def rung_bytes(
    rung: Rung,
    extent: Sequence[int],
    scales: Sequence[AxisScale],
    options: LadderOptions,
    cost: CostModel,
) -> int:
    """Peak bytes of a rung over the whole extent: its largest call and the fp32 line buffers."""
    grids = axis_grids(whole_box(extent), rung, scales, options)
    pixel, out, use, zone = [], [], [], []
    for axis, (grid, scale) in enumerate(zip(grids, scales, strict=True)):
        carried = options.carried and axis == 0
        pixel.append(max(scale.span(tile.latent, carried).length for tile in grid))
        out.append(max(tile.out.length for tile in grid))
        use.append(max(tile.use.length for tile in grid))
        zone.append(max(tile.tail for tile in grid))
    clip, width = grids[0][-1].out.end, grids[2][-1].out.end
    lines = clip * (use[1] * zone[2] + zone[1] * width) + zone[0] * use[1] * use[2]
    return call_bytes(cost, pixel, out) + line_bytes(cost, lines)


def list_needs(rungs: Sequence[Rung], needs: Sequence[int]) -> str:
    return "; ".join(
        f"{rung.describe()}: {format_bytes(need)}" for rung, need in zip(rungs, needs, strict=True)
    )


def choose_rung(
    extent: Sequence[int],
    scales: Sequence[AxisScale],
    options: LadderOptions,
    cost: CostModel,
    budget: int,
) -> int:
    """First rung whose bytes fit `budget` (bytes); BudgetError lists what each would need."""
    check_plan(extent, scales, options, cost)
    rungs = make_rungs(extent, scales, options)
    needs = [rung_bytes(rung, extent, scales, options, cost) for rung in rungs]
    for index, need in enumerate(needs):
        if need <= budget:
            return index
    raise BudgetError(
        f"budget={budget}: must be at least {min(needs)} bytes; "
        f"the rungs need: {list_needs(rungs, needs)}"
    )
