"""Tilings, memory layouts and a float64 reference for the tests of `blend_tile`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from truetile.native import twins

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
Maker = Callable[[Sequence[int]], torch.Tensor]
# Relative error of one rounding to the type, and a little for the sum in float32.
EPS = {torch.float32: 1e-6, torch.float16: 2**-11 + 1e-6, torch.bfloat16: 2**-8 + 1e-6}

FINISH = {"scale": 0.5, "shift": 0.5, "lo": 0.0, "hi": 1.0}
AS_IS = {"scale": 1.0, "shift": 0.0, "lo": -torch.inf, "hi": torch.inf}


@dataclass(frozen=True)
class Tile:
    """One tile on one axis: the used part [begin, begin + use) and its fade zones."""

    begin: int
    use: int
    lead: int
    tail: int


@dataclass(frozen=True)
class Tiling:
    """Tiles of the three axes, each tail zone the next tile's lead zone."""

    t: tuple[Tile, ...]
    y: tuple[Tile, ...]
    x: tuple[Tile, ...]

    @property
    def size(self) -> tuple[int, int, int]:
        return tuple(axis[-1].begin + axis[-1].use for axis in (self.t, self.y, self.x))

    def in_order(self) -> list[tuple[Tile, Tile, Tile]]:
        """The order of work: rows of tiles, tiles, chunks of time."""
        return [(t, y, x) for y, x, t in itertools.product(self.y, self.x, self.t)]


def axis_of(middles: Sequence[int], zones: Sequence[int]) -> tuple[Tile, ...]:
    """Tiles with the given lengths between their zones; zones[i] lies between tile i and i + 1."""
    tiles, begin = [], 0
    edges = [0, *zones, 0]
    for i, middle in enumerate(middles):
        use = edges[i] + middle + edges[i + 1]
        tiles.append(Tile(begin, use, edges[i], edges[i + 1]))
        begin += edges[i] + middle
    return tuple(tiles)


WHOLE = Tiling(axis_of([3], []), axis_of([6], []), axis_of([9], []))
# Zones on all axes, odd lengths, a tile without middle, one without zones; x aligned in parts.
MIXED = Tiling(
    axis_of([3, 1, 4], [2, 1]), axis_of([4, 0, 3], [5, 3]), axis_of([8, 5, 140, 3], [4, 0, 7])
)
ALIGNED = Tiling(axis_of([1], []), axis_of([16, 16], [8]), axis_of([32, 160, 32], [16, 16]))


def ramp(tile: Tile) -> np.ndarray:
    """Weights of one tile on one axis, float64."""
    weights = np.ones(tile.use)
    for i in range(tile.lead):
        weights[i] = (i + 0.5) / tile.lead
    for i in range(tile.tail):
        weights[tile.use - 1 - i] = (i + 0.5) / tile.tail
    return weights


def make_blocks(tiling: Tiling, channels: int, make: Maker) -> list[torch.Tensor]:
    """One contiguous block [C, t, y, x] a tile, in the order of work."""
    return [make((channels, t.use, y.use, x.use)) for t, y, x in tiling.in_order()]


def reference(
    tiling: Tiling,
    blocks: Sequence[torch.Tensor],
    scale: float,
    shift: float,
    lo: float,
    hi: float,
) -> np.ndarray:
    """The weighted sum itself: no line buffers, no order, float64."""
    total = np.zeros((blocks[0].shape[0], *tiling.size))
    for (t, y, x), block in zip(tiling.in_order(), blocks, strict=True):
        weights = np.einsum("t,y,x->tyx", ramp(t), ramp(y), ramp(x))
        place = tuple(slice(a.begin, a.begin + a.use) for a in (t, y, x))
        total[(slice(None), *place)] += weights * block.double().cpu().numpy()
    return np.clip(total * scale + shift, lo, hi)


def randn(seed: int = 0, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Maker:
    """A maker of random blocks, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return lambda size: torch.randn(tuple(size), generator=generator).to(device, dtype)


def twin(*args: torch.Tensor, **kwargs: object) -> None:
    """The plain-torch twin with the defaults of `truetile.native.blend_tile`."""
    twins.blend_tile(*args, **{"out_origin": kwargs["origin"], **AS_IS, **kwargs})


def empty_lines(tiling: Tiling, channels: int, device: str) -> list[torch.Tensor]:
    """Line buffers x, y, t, full of NaN: a slot that is read before it is written shows."""
    frames, _, width = tiling.size
    zone_t, zone_y, zone_x = (
        max(tile.tail for tile in axis) for axis in (tiling.t, tiling.y, tiling.x)
    )
    use_y, use_x = (max(tile.use for tile in axis) for axis in (tiling.y, tiling.x))
    shapes = [
        (channels, frames, use_y, zone_x),
        (channels, frames, zone_y, width),
        (channels, zone_t, use_y, use_x),
    ]
    return [torch.full(shape, torch.nan, device=device) for shape in shapes]


def assemble(
    op: Callable[..., None],
    tiling: Tiling,
    blocks: Sequence[torch.Tensor],
    out: torch.Tensor,
    box: tuple[int, int, int] | None = None,
    lines: Sequence[torch.Tensor] | None = None,
    **finish: float,
) -> None:
    """Run `op` over all tiles; with `box`, each tile in boxes of at most that size."""
    lines = lines or empty_lines(tiling, out.shape[0], str(blocks[0].device))
    for tile, block in zip(tiling.in_order(), blocks, strict=True):
        steps = box or tuple(max(1, axis.use) for axis in tile)
        # Boxes of a tile come in the order of work too: y, x, time inside.
        starts = (range(0, max(1, a.use), step) for a, step in zip(tile, steps, strict=True))
        t_starts, y_starts, x_starts = map(list, starts)
        for y, x, t in itertools.product(y_starts, x_starts, t_starts):
            part = block[:, t : t + steps[0], y : y + steps[1], x : x + steps[2]]
            op(
                part,
                out,
                *lines,
                use=[a.use for a in tile],
                lead=[a.lead for a in tile],
                tail=[a.tail for a in tile],
                offset=[t, y, x],
                origin=[a.begin for a in tile],
                **finish,
            )


# How a [C, T, Y, X] view may lie in memory: name -> function from an empty-maker and sizes.


def _planar(make: Maker, size: Sequence[int]) -> torch.Tensor:
    return make(size)


def _nhwc(make: Maker, size: Sequence[int]) -> torch.Tensor:
    c, t, y, x = size
    return make((t, y, x, c)).permute(3, 0, 1, 2)


def _frames_first(make: Maker, size: Sequence[int]) -> torch.Tensor:
    c, t, y, x = size
    return make((t, c, y, x)).permute(1, 0, 2, 3)


def _cropped(make: Maker, size: Sequence[int]) -> torch.Tensor:
    c, t, y, x = size
    return make((c, t + 1, y + 2, x + 3))[:, 1:, 1:-1, 1 : x + 1]


def _every_second(make: Maker, size: Sequence[int]) -> torch.Tensor:
    c, t, y, x = size
    return make((c, t, y, 2 * x))[..., ::2]


def _transposed(make: Maker, size: Sequence[int]) -> torch.Tensor:
    c, t, y, x = size
    return make((c, t, x, y)).transpose(2, 3)


LAYOUTS = {
    "planar": _planar,
    "nhwc": _nhwc,
    "frames_first": _frames_first,
    "cropped": _cropped,
    "every_second": _every_second,
    "transposed": _transposed,
}


def lay_out(tensor: torch.Tensor, layout: str) -> torch.Tensor:
    """The same values in another memory layout."""

    def make(size: Sequence[int]) -> torch.Tensor:
        return torch.full(tuple(size), torch.nan, dtype=tensor.dtype, device=tensor.device)

    return LAYOUTS[layout](make, tensor.shape).copy_(tensor)


def poisoned(
    layout: str, size: Sequence[int], dtype: torch.dtype, device: str = "cpu", pin: bool = False
) -> torch.Tensor:
    """An output full of NaN: what was not written shows."""

    def make(shape: Sequence[int]) -> torch.Tensor:
        return torch.full(tuple(shape), torch.nan, dtype=dtype, device=device, pin_memory=pin)

    return LAYOUTS[layout](make, size)


def assert_close(got: torch.Tensor, wanted: np.ndarray, dtype: torch.dtype) -> None:
    """Equal up to one rounding to `dtype`, relative to the larger of one and the value."""
    error = np.abs(got.double().cpu().numpy() - wanted) / np.maximum(1.0, np.abs(wanted))
    assert error.max(initial=0.0) <= EPS[dtype], f"max error {error.max()} at {error.argmax()}"
    assert not np.isnan(error).any(), "NaN: an element was never written, or read too early"
