"""From a request (mode, budget, sizes) to the ladder that serves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import BudgetError, InvalidArgument, LadderExhausted
from ..plan import (
    AxisScale,
    CostModel,
    Ladder,
    LadderOptions,
    Rung,
    choose_rung,
    make_rungs,
    rung_bytes,
)
from ..report import human_bytes

if TYPE_CHECKING:
    import torch

    from ..settings import Settings
    from .ports import VaePort

# Estimates are rough: of what is free a part stays for what they miss.
_FREE_SHARE = 0.9
# How much tiles may read beyond the picture on each axis, in thousandths. The norms of image VAEs
# span the tile: a larger one costs time (at most twice that of one pass) and is worth it, the error
# against untiled falls by a fifth or more. Video VAEs normalise each pixel; they gain nothing.
_STRETCH_IMAGE = 1414
_STRETCH_VIDEO = 1000


@dataclass(frozen=True)
class Plan:
    """The rungs of one request and the one to start on."""

    mode: str
    extent: tuple[int, int, int]
    scales: tuple[AxisScale, AxisScale, AxisScale]
    options: LadderOptions
    cost: CostModel
    budget: int | None
    rungs: list[Rung]
    needs: list[int]
    start: int
    why: str

    @property
    def needed_bytes(self) -> int:
        return self.needs[self.start]

    @property
    def output_size(self) -> tuple[int, int, int]:
        """(T, H, W) of the result: pixels for decode, latents for encode."""
        if self.options.encode:
            return self.extent
        t, y, x = (scale.pixels(n) for scale, n in zip(self.scales, self.extent, strict=True))
        return t, y, x

    def ladder(self) -> Ladder:
        """A fresh ladder; one item of a batch each."""
        return Ladder(self.extent, self.scales, self.options, self.cost, self.start)

    def fitted(self, free: Callable[[], int]) -> Plan:
        """The start for `auto` and `exact` now that weights are resident and memory is free."""
        if self.mode not in ("auto", "exact") or self.budget is not None:
            return self
        room = int(free() * _FREE_SHARE)
        for index, need in enumerate(self.needs):
            if need <= room:
                why = f"the estimate of {human_bytes(need)} fits the {human_bytes(room)} free"
                return replace(self, start=index, why=why)
        last = len(self.needs) - 1
        why = f"no estimate fits the {human_bytes(room)} free; tried the smallest plan"
        return replace(self, start=last, why=why)

    def is_exact(self, rung: int) -> bool:
        """Whether a rung equals the untiled result: whole frames, and no chunks or carried ones."""
        r = self.rungs[rung]
        return r.tile == 0 and (r.chunk == 0 or self.options.carried)

    def explain(self, error: LadderExhausted) -> LadderExhausted:
        """The error with what the user can do about it."""
        if self.mode == "untiled":
            advice = "mode=untiled never tiles: use auto or blended, or free memory"
        elif self.mode == "exact":
            advice = "mode=exact allows no blended tiles: use auto, or free memory"
        else:
            advice = "free memory, or use a smaller picture"
        return LadderExhausted(f"{error}; {advice}")


def make_plan(
    port: VaePort, operation: str, source: torch.Tensor, settings: Settings, *, carried: bool
) -> Plan:
    """The plan before any memory is looked at, unless the budget is given."""
    encode = operation == "encode"
    space = AxisScale(port.spatial, port.spatial)
    time = port.time or AxisScale(1, 1)
    extent = _extent(source, port, encode)
    cost = port.cost(operation)
    options = _options(settings, port, extent, carried=carried, encode=encode)
    scales = (time, space, space)
    rungs = make_rungs(extent, scales, options)
    needs = [rung_bytes(rung, extent, scales, options, cost) for rung in rungs]
    plan = Plan(settings.mode, extent, scales, options, cost, settings.budget, rungs, needs, 0, "")
    plan = _limit(plan)
    if settings.budget is None:
        return replace(plan, why=f"mode={settings.mode}")
    # Raises with the needs of every rung where none fits.
    start = choose_rung(extent, scales, options, cost, settings.budget)
    need = human_bytes(plan.needs[start])
    why = f"the estimate of {need} fits the budget of {human_bytes(settings.budget)}"
    return replace(plan, start=start, why=why)


def _limit(plan: Plan) -> Plan:
    """Modes that promise equality keep only the rungs that hold it."""
    if plan.mode == "untiled":
        keep = 1
    elif plan.mode == "exact":
        keep = sum(plan.is_exact(index) for index in range(len(plan.rungs)))
    else:
        return plan
    if plan.budget is not None and min(plan.needs[:keep]) > plan.budget:
        listed = "; ".join(
            f"{rung.describe()}: {human_bytes(need)}"
            for rung, need in zip(plan.rungs, plan.needs, strict=True)
        )
        raise BudgetError(
            f"budget={plan.budget}: must be at least {min(plan.needs[:keep])} bytes for "
            f"mode={plan.mode}; the rungs need: {listed}"
        )
    return replace(plan, rungs=plan.rungs[:keep], needs=plan.needs[:keep])


def _extent(source: torch.Tensor, port: VaePort, encode: bool) -> tuple[int, int, int]:
    frames = source.shape[2] if source.dim() == 5 else 1
    height, width = source.shape[-2:]
    if not encode:
        return frames, height, width
    if port.time is not None:
        frames = 1 + (frames - port.time.first) // port.time.factor
    return frames, height // port.spatial, width // port.spatial


def _options(
    settings: Settings,
    port: VaePort,
    extent: tuple[int, int, int],
    *,
    carried: bool,
    encode: bool,
) -> LadderOptions:
    tile = max(1, settings.tile_size // port.spatial)
    overlap = -(-settings.overlap // port.spatial)
    if overlap >= tile:
        raise InvalidArgument(
            f"overlap={settings.overlap}: must be at most {(tile - 1) * port.spatial} "
            f"(tile_size={settings.tile_size}, {port.spatial} pixels a latent)"
        )
    # Chunks in time only where they are asked for: an exact cache makes them free of seams, but
    # whole clips are faster, and independent chunks change the picture.
    tiled = settings.mode == "blended"
    frames = settings.temporal_size if tiled and port.time is not None and not carried else 0
    return LadderOptions(
        tile=tile,
        overlap=overlap,
        frames=frames,
        overlap_frames=settings.temporal_overlap if frames else 0,
        min_tile=min(tile, 8),
        carried=carried,
        chunk_multiple=1,
        encode=encode,
        start_tiled=tiled,
        stretch=_STRETCH_VIDEO if port.time is not None else _STRETCH_IMAGE,
    )
