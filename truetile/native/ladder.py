"""The fallback ladder: the pure-Python twin of csrc/core/ladder.hpp.

A stack of frames. A frame tiles one box of latents at one rung: spatial tiles outside in raster
order, time chunks inside. When memory runs out before a frame has finished anything, the same box
starts again one rung down. Otherwise a child frame takes over the rest of that spatial tile's clip,
and the tiles after it go straight to children at the deepest rung reached so far. So finished work
is never issued again, and what a child makes is blended into its parent as one long tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from ..errors import InvalidArgument, LadderExhausted
from .cost import CostModel, call_bytes
from .frame import Frame, Level, final_volume, volume
from .grid import AxisScale, require_range
from .rungs import (
    Box,
    LadderOptions,
    Rung,
    axis_grids,
    call_volume,
    check_plan,
    list_needs,
    make_rungs,
    rung_bytes,
    whole_box,
)
from .step import RungCount, Step


class Ladder:
    """Issues VAE calls one at a time and goes down a rung when one runs out of memory.

        while (step := ladder.next()) is not None:
            ladder.done(step)  or  ladder.out_of_memory(step)

    extent: latents (t, y, x). scales: their AxisScale. Raises InvalidArgument for values out of
    range.
    """

    def __init__(
        self,
        extent: Sequence[int],
        scales: Sequence[AxisScale],
        options: LadderOptions,
        cost: CostModel,
        start_rung: int = 0,
    ):
        check_plan(extent, scales, options, cost)
        self._scales, self._options, self._cost = tuple(scales), options, cost
        self._rungs = make_rungs(extent, scales, options)
        self._bytes = [rung_bytes(r, extent, scales, options, cost) for r in self._rungs]
        require_range("start_rung", start_rung, 0, len(self._rungs) - 1)
        self._counts = [RungCount() for _ in self._rungs]
        self._deepest = start_rung
        self._open: Step | None = None
        self._steps = self._frames = 0
        self._finished = self._computed = 0
        self._stack = [self._frame(whole_box(extent), start_rung)]
        self._total = prod(self._stack[0].size)

    # What it knows.

    @property
    def rungs(self) -> list[Rung]:
        return list(self._rungs)

    @property
    def rung_bytes(self) -> list[int]:
        """Estimated peak bytes of each rung over the whole extent."""
        return list(self._bytes)

    @property
    def counts(self) -> list[RungCount]:
        return list(self._counts)

    @property
    def deepest_rung(self) -> int:
        """The rung that steps are issued at now."""
        return self._deepest

    @property
    def finished_pixels(self) -> int:
        """Output elements (pixel-frames; encode: latents) that no later step touches."""
        return self._finished

    @property
    def total_pixels(self) -> int:
        return self._total

    @property
    def computed_latents(self) -> int:
        """Latents of all calls that were done; over t * y * x of the extent: the work factor."""
        return self._computed

    # What it does.

    def next(self) -> Step | None:
        """The next call, or None when all is done. The step before must be reported first."""
        if self._open is not None:
            raise InvalidArgument(
                f"step={self._open.id}: must be reported by done or out_of_memory before next"
            )
        while self._stack:
            top = self._stack[-1]
            if top.tile == top.tiles:
                self._stack.pop()
                if self._stack:
                    self._stack[-1].next_tile()
            elif top.rung < self._deepest:
                self._push(self._deepest)
            else:
                return self._issue()
        return None

    def done(self, step: Step) -> None:
        """The call succeeded; its result must have been taken over."""
        self._close(step)
        self._count(step.rung, "done")
        self._finished += final_volume(step.levels)
        self._computed += volume(step.latent)
        top = self._stack[-1]
        if step.last_in_tile:
            top.next_tile()
        else:
            top.chunk, top.finished = top.chunk + 1, True

    def out_of_memory(self, step: Step) -> None:
        """The call ran out of memory and left nothing behind.

        Raises LadderExhausted, and changes nothing, when no rung makes the call smaller.
        """
        self._check_open(step)
        top = self._stack[-1]
        box = top.sub_box(top.axes(True)) if top.finished else top.box
        rung = self._smaller_rung(box, step)
        self._close(step)
        self._count(step.rung, "out_of_memory")
        self._deepest = rung
        if top.finished:
            self._push(rung)
        else:
            self._stack[-1] = self._frame(box, rung)

    # How.

    def _frame(self, box: Box, rung: int) -> Frame:
        self._frames += 1
        grids = axis_grids(box, self._rungs[rung], self._scales, self._options)
        return Frame(self._frames - 1, box, rung, grids)

    def _push(self, rung: int) -> None:
        top = self._stack[-1]
        self._stack.append(self._frame(top.sub_box(top.axes(True)), rung))

    def _smaller_rung(self, box: Box, step: Step) -> int:
        failed = volume(step.latent)
        for rung in range(step.rung + 1, len(self._rungs)):
            if call_volume(box, self._rungs[rung], self._options) < failed:
                return rung
        raise LadderExhausted(
            f"step={step.id}: out of memory at rung {step.rung + 1} of {len(self._rungs)} "
            f"({self._rungs[step.rung].describe()}), and no rung makes the call smaller; "
            f"the rungs need: {list_needs(self._rungs, self._bytes)}"
        )

    def _issue(self) -> Step:
        top, depth = self._stack[-1], len(self._stack) - 1
        levels = tuple(f.level(to_clip_end=f is not top) for f in self._stack)
        latent = top.sub_box(levels[-1].axes)
        t, y, x = (
            scale.span(span, self._options.carried and axis == 0)
            for axis, (scale, span) in enumerate(zip(self._scales, latent, strict=True))
        )
        cache_depth = self._cache_depth(levels)
        source = levels[cache_depth]  # -1: this step's own level, and the crop is all of its tile
        crop_y, crop_x = (
            latent[axis].shifted(-source.box[axis].begin - source.axes[axis].latent.begin)
            for axis in (1, 2)
        )
        out = [tile.out.length for tile in levels[-1].axes]
        self._open = Step(
            id=self._steps,
            depth=depth,
            rung=top.rung,
            latent=latent,
            pixel=(t, y, x),
            levels=levels,
            bytes=call_bytes(self._cost, (t.length, y.length, x.length), out),
            first_in_time=latent[0].begin == 0,
            starts_tile=top.chunk == 0,
            last_in_tile=top.chunk == top.count[0] - 1,
            inherits_cache=0 <= cache_depth < depth,
            cache_depth=cache_depth,
            cache_crop=(crop_y, crop_x),
        )
        self._steps += 1
        self._count(top.rung, "issued")
        return self._open

    def _cache_depth(self, levels: Sequence[Level]) -> int:
        """The deepest level that has already run chunks of the tile this step lies in."""
        if self._options.carried:
            for depth in range(len(levels) - 1, -1, -1):
                if levels[depth].index[0] > 0:
                    return depth
        return -1

    def _count(self, rung: int, field: str) -> None:
        counts = self._counts[rung]
        self._counts[rung] = replace(counts, **{field: getattr(counts, field) + 1})

    def _check_open(self, step: Step) -> None:
        if self._open is None or step.id != self._open.id:
            wanted = f"{self._open.id}, the open step" if self._open else "a step that next gave"
            raise InvalidArgument(f"step={step.id}: must be {wanted}")

    def _close(self, step: Step) -> None:
        self._check_open(step)
        self._open = None
