"""Blends tiles into one picture through line buffers of the overlaps.

No full-size accumulator and no weight map exist: the weights of the overlaps sum to one by
construction, so a pixel is final as soon as the last tile that touches it has come. Only the
overlap to the next tile (line_x), to the next row of tiles (line_y) and to the next chunk of
frames (line_t) waits on the device.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from .. import native
from .output import IDENTITY, HostOutput
from .ports import Affine

if TYPE_CHECKING:
    from ..plan import AxisTile, Level

Triple = tuple[int, int, int]


class Canvas:
    """One box of output, filled by the tiles of one grid.

    A canvas lies either on the host output or, for the smaller tiles that replace a tile which ran
    out of memory, inside that tile of another canvas.

    Args:
        size: (T, H, W) of the box.
        zone: largest fade zone on each axis; used: largest used length of a tile on each axis.
    """

    def __init__(
        self, channels: int, size: Triple, zone: Triple, used: Triple, device: torch.device
    ) -> None:
        (t, _, w), (zt, zy, zx), (_, uy, ux) = size, zone, used
        new = {"dtype": torch.float32, "device": device}
        self._line_x = torch.empty((channels, t, uy, zx) if zx else (0, 0, 0, 0), **new)
        self._line_y = torch.empty((channels, t, zy, w) if zy else (0, 0, 0, 0), **new)
        self._line_t = torch.empty((channels, zt, uy, ux) if zt else (0, 0, 0, 0), **new)

    def add(
        self,
        values: torch.Tensor,
        tile: Sequence[AxisTile],
        offset: Triple,
        out: torch.Tensor,
        out_origin: Triple,
        finish: Affine,
    ) -> None:
        """Blends `values` [C, t, h, w], which lie at `offset` in the used part of `tile`.

        What becomes final is written to `out`, in which the used part begins at `out_origin`
        (negative where `out` holds only a part of it).
        """
        native.blend_tile(
            values,
            out,
            self._line_x,
            self._line_y,
            self._line_t,
            use=[axis.use.length for axis in tile],
            lead=[axis.lead for axis in tile],
            tail=[axis.tail for axis in tile],
            offset=offset,
            origin=[axis.use.begin for axis in tile],
            out_origin=out_origin,
            scale=finish.scale,
            shift=finish.shift,
            lo=finish.lo,
            hi=finish.hi,
        )


class _Hop(NamedTuple):
    """One blend on the way from the decoded block to the host output."""

    depth: int
    at: Triple  # where the values to blend begin in what the hop before wrote
    size: Triple
    offset: Triple  # where they lie in the used part of this depth's tile
    begin: Triple  # the box that becomes final, in coordinates of this depth's box
    end: Triple
    out: torch.Tensor


class CanvasStack:
    """The canvases of the ladder's frames, outermost first, down to the host output."""

    def __init__(
        self, channels: int, output: HostOutput, finish: Affine, device: torch.device
    ) -> None:
        self._channels = channels
        self._output = output
        self._finish = finish
        self._device = device
        self._canvases: list[tuple[int, Canvas]] = []

    def add(self, block: torch.Tensor, levels: Sequence[Level]) -> None:
        """Blends a decoded block [C, t, h, w] through all levels of its step into the output.

        Everything is allocated before the first line buffer changes, so that an out-of-memory
        error leaves every canvas as it was.
        """
        self._open(levels)
        hops = self._hops(levels)
        values = block
        for hop in hops:
            finish = self._finish if hop.depth == 0 else IDENTITY
            self._canvases[hop.depth][1].add(
                _box(values, hop.at, hop.size),
                levels[hop.depth].axes,
                hop.offset,
                hop.out,
                tuple(-o for o in hop.offset),
                finish,
            )
            values = hop.out
        last = hops[-1]
        if last.depth == 0 and last.out.numel():
            self._output.commit(last.begin, last.end, last.out)

    def _open(self, levels: Sequence[Level]) -> None:
        """Makes the line buffers of new frames and drops those of finished ones."""
        for depth, level in enumerate(levels):
            if depth < len(self._canvases) and self._canvases[depth][0] == level.frame:
                continue
            del self._canvases[depth:]
            canvas = Canvas(self._channels, level.size, level.max_zone, level.max_use, self._device)
            self._canvases.append((level.frame, canvas))
        del self._canvases[len(levels) :]

    def _hops(self, levels: Sequence[Level]) -> list[_Hop]:
        own = levels[-1].axes
        at = _triple(tile.use.begin - tile.out.begin for tile in own)
        size = _triple(tile.use.length for tile in own)
        offset: Triple = (0, 0, 0)
        hops = []
        for depth in range(len(levels) - 1, -1, -1):
            tiles = levels[depth].axes
            begin = _triple(t.use.begin + o for t, o in zip(tiles, offset, strict=True))
            end = _triple(
                min(b + n, t.final.end) for t, b, n in zip(tiles, begin, size, strict=True)
            )
            out = self._target(depth, begin, end)
            hops.append(_Hop(depth, at, size, offset, begin, end, out))
            if depth == 0 or not out.numel():
                break
            # What became final here, cut to the used part of the tile around this box.
            around = levels[depth - 1].axes
            use = [t.use.shifted(-t.out.begin) for t in around]
            first = _triple(max(b, u.begin) for b, u in zip(begin, use, strict=True))
            stop = _triple(min(e, u.end) for e, u in zip(end, use, strict=True))
            if any(s <= f for f, s in zip(first, stop, strict=True)):
                break
            at = _triple(f - b for f, b in zip(first, begin, strict=True))
            size = _triple(s - f for f, s in zip(first, stop, strict=True))
            offset = _triple(f - u.begin for f, u in zip(first, use, strict=True))
        return hops

    def _target(self, depth: int, begin: Triple, end: Triple) -> torch.Tensor:
        shape = [max(0, e - b) for b, e in zip(begin, end, strict=True)]
        if depth == 0 and 0 not in shape:
            return self._output.target(begin, end)
        return torch.empty((self._channels, *shape), dtype=torch.float32, device=self._device)


def _box(values: torch.Tensor, at: Triple, size: Triple) -> torch.Tensor:
    (t, y, x), (nt, ny, nx) = at, size
    return values[:, t : t + nt, y : y + ny, x : x + nx]


def _triple(values: Iterable[int]) -> Triple:
    t, y, x = values
    return t, y, x
