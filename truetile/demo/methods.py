"""The three ways through the VAE that the demo compares: untiled, classic tiles, TrueTile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .. import api
from ..engine.planning import make_plan
from ..errors import BudgetError, LadderExhausted
from ..report import human_bytes
from ..settings import Settings
from .feathered import FeatheredTiles
from .metrics import Borders
from .port import DemoPort, count_calls

if TYPE_CHECKING:
    from ..report import Report

Progress = Callable[[float], None]
# ComfyUI's fallback after an out-of-memory: 256 px with 64 in common, doubled while it fits.
CLASSIC_TILE = 256
CLASSIC_OVERLAP = 64
# Frames a part and frames in common, as one sets them for clips that are too long at once.
CLASSIC_FRAMES = (16, 4)


@dataclass
class Trip:
    """One way from pixels to latents and back.

    calls, work: VAE calls, and latents fed to them over those of one untiled pass, of (encode,
    decode). claim: what the method says of itself, "exact" or "close"; None for the reference.
    """

    pixels: torch.Tensor
    plan: str
    encode_seconds: float
    decode_seconds: float
    calls: tuple[int, int]
    work: tuple[float, float]
    borders: Borders
    claim: str | None


def untiled(port: DemoPort, pixels: torch.Tensor, progress: Progress) -> Trip:
    """The module by itself: one call each way."""
    latents = 1 + (pixels.shape[1] - 1) // port.time.factor
    layers = sum(isinstance(m, torch.nn.Conv3d) for m in port.module.modules())
    count, expected = 0, layers * latents

    def tick() -> None:
        nonlocal count
        count += 1
        progress(min(count / expected, 1.0))

    count_calls(port.module, tick)
    began = time.perf_counter()
    latent = _encode(port, pixels.movedim(-1, 1))
    between = time.perf_counter()
    result = _finish(port, port.decode(latent))
    ended = time.perf_counter()
    times = (between - began, ended - between)
    return Trip(result, "one call", *times, (1, 1), (1.0, 1.0), Borders(), None)


def classic(
    port: DemoPort, pixels: torch.Tensor, progress: Progress, budget: int, *, cut_time: bool
) -> Trip:
    """Feathered tiles of the size that ComfyUI's fallback would take within `budget`.

    `cut_time`: the clip is cut in time as well.
    """
    size = (1 + (pixels.shape[1] - 1) // port.time.factor, *(n // 8 for n in pixels.shape[2:4]))
    tiles = _classic_tiles(port, size, budget, cut_time)
    began = time.perf_counter()
    latent = tiles.run(
        lambda block: _encode(port, block),
        pixels.movedim(-1, 1),
        encode=True,
        progress=lambda done, total: progress(0.4 * done / total),
    )
    between = time.perf_counter()
    raw = tiles.run(
        lambda block: port.decode(block.to(port.device, port.dtype)),
        latent,
        encode=False,
        progress=lambda done, total: progress(0.4 + 0.6 * done / total),
    )
    result = _finish(port, raw)
    ended = time.perf_counter()
    spans = [tiles.spans(axis, n) for axis, n in enumerate(size)]
    calls, work = 1, 1.0
    for axis, n in zip(spans, size, strict=True):
        calls *= len(axis)
        work *= sum(span.length for span in axis) / n
    pixel_spans = [tiles.pixel_spans(axis, n) for axis, n in enumerate(size)]
    borders = Borders(*(Borders.middles([(s.begin, s.end) for s in axis]) for axis in pixel_spans))
    parts = f" in parts of {CLASSIC_FRAMES[0]} frames" if len(spans[0]) > 1 else ""
    plan = f"tiles of {tiles.tile[1] * port.spatial} px, {CLASSIC_OVERLAP} in common{parts}"
    times = (between - began, ended - between)
    return Trip(result, plan, *times, (calls, calls), (work, work), borders, "close")


def truetile(port: DemoPort, pixels: torch.Tensor, progress: Progress, budget: int) -> Trip:
    """`truetile.encode` and `truetile.decode` with nothing but a budget given."""
    latent, encoded = api.encode(
        port, pixels, budget=budget, progress=lambda done, total: progress(0.4 * done / total)
    )
    result, decoded = api.decode(
        port,
        latent,
        budget=budget,
        progress=lambda done, total: progress(0.4 + 0.6 * done / total),
    )
    borders = Borders()
    for source, report in ((pixels.movedim(-1, 1), encoded), (latent, decoded)):
        if not report.exact:
            borders = borders.merged(_planned_borders(port, source, report, budget))
    plan = decoded.plan
    if encoded.plan != plan:
        plan = f"encode: {encoded.plan}; decode: {plan}"
    return Trip(
        result[0],
        plan,
        encoded.seconds,
        decoded.seconds,
        (encoded.tiles, decoded.tiles),
        (encoded.work_factor, decoded.work_factor),
        borders,
        "exact" if encoded.exact and decoded.exact else "close",
    )


def _encode(port: DemoPort, pixels: torch.Tensor) -> torch.Tensor:
    """Latents of pixels [1, 3, T, H, W] in [0, 1]."""
    return port.encode(port.pixels_in(pixels.to(port.device)).to(port.dtype))


def _finish(port: DemoPort, raw: torch.Tensor) -> torch.Tensor:
    """Pixels [T, H, W, 3] in [0, 1] on the CPU of raw output [1, 3, T, H, W]."""
    finish = port.finish
    raw = raw.float().mul_(finish.scale).add_(finish.shift).clamp_(finish.lo, finish.hi)
    return raw[0].movedim(0, -1).cpu()


def _classic_tiles(
    port: DemoPort, size: tuple[int, int, int], budget: int, cut_time: bool
) -> FeatheredTiles:
    cost = port.independent_cost("decode")
    live = min(port.time.pixels(size[0]), cost.live_frames)

    def need(edge: int) -> int:
        rows, columns = (min(edge, n * port.spatial) for n in size[1:])
        return int(cost.fixed_bytes + cost.bytes_per_pixel * rows * columns * live)

    edge = CLASSIC_TILE
    while edge < max(size[1:]) * port.spatial and need(2 * edge) <= budget:
        edge *= 2
    while need(edge) > budget:
        edge //= 2
        if edge <= CLASSIC_OVERLAP:
            raise BudgetError(
                f"budget={budget}: must be at least {need(2 * edge)} bytes, the need of classic "
                f"tiles of {2 * edge} px ({human_bytes(need(2 * edge))})"
            )
    t = CLASSIC_FRAMES[0] // port.time.factor if cut_time else size[0]
    shared = CLASSIC_FRAMES[1] // port.time.factor
    tile, overlap = edge // port.spatial, CLASSIC_OVERLAP // port.spatial
    return FeatheredTiles((t, tile, tile), (shared, overlap, overlap), port.scales)


def _planned_borders(port: DemoPort, source: torch.Tensor, report: Report, budget: int) -> Borders:
    """Borders of the tiles that were planned, from a run of the ladder without the VAE."""
    if len(report.rungs) > 1:
        raise LadderExhausted("memory ran out on the way: the tiles are not those planned")
    settings = Settings(budget=budget)
    carried = port.carry(report.operation) is not None
    ladder = make_plan(port, report.operation, source, settings, carried=carried).ladder()
    seen: tuple[set, set, set] = (set(), set(), set())
    while (step := ladder.next()) is not None:
        for spans, span in zip(seen, step.pixel, strict=True):
            spans.add((span.begin, span.end))
        ladder.done(step)
    t, y, x = (Borders.middles(sorted(spans)) for spans in seen)
    return Borders(() if carried else t, y, x)
