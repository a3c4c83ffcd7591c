"""`truetile.decode` and `truetile.encode`: one call for any VAE, with a report."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import BudgetError, LadderExhausted
from .report import Report
from .settings import Hooks, Settings

if TYPE_CHECKING:
    import torch

    from .engine.ports import VaePort
    from .engine.results import Reporter
    from .observer import Observer


def decode(
    vae: Any,
    samples: torch.Tensor,
    *,
    mode: str = "auto",
    budget: int | None = None,
    tile_size: int = 512,
    overlap: int = 64,
    temporal_size: int = 64,
    temporal_overlap: int = 8,
    progress: Callable[[int, int], None] | None = None,
    check_interrupt: Callable[[], None] | None = None,
    out_dtype: torch.dtype | None = None,
    pin: bool = True,
    observer: Observer | None = None,
) -> tuple[torch.Tensor, Report]:
    """Decodes latents to pixels.

    Args:
        vae: a ComfyUI VAE, a diffusers autoencoder, `truetile.Callables`, or a `VaePort`.
        samples: latents [B, C, h, w], or [B, C, T, h, w] for a video VAE, on any device.
        mode: see `Settings`, also for the next five.
        budget: bytes that the call may take; None is what is free.
        tile_size: pixels.
        overlap: pixels.
        temporal_size: frames.
        temporal_overlap: frames.
        progress: called with (done, total) between tiles.
        check_interrupt: called between tiles; what it raises ends the call.
        out_dtype: dtype of the result, float32 by default.
        pin: result in page-locked memory on CUDA, which saves a copy.
        observer: told of the plan, and shown the result while it is being written.

    Returns:
        Pixels [B, H, W, C] or [B, T, H, W, C] in [0, 1] on the CPU, and the report.

    Raises:
        InvalidArgument: a bad argument; the message names it and what is allowed. A ValueError.
        BudgetError: no plan fits `budget`; the message lists what each needs.
        LadderExhausted: memory ran out on the smallest plan too.
        NonFiniteError: the VAE makes NaN or Inf, in float32 too.
    """
    settings = Settings(mode, budget, tile_size, overlap, temporal_size, temporal_overlap)
    hooks = Hooks(progress, check_interrupt, out_dtype, pin, observer)
    return _run(vae, samples, "decode", settings, hooks)


def encode(
    vae: Any,
    pixels: torch.Tensor,
    *,
    mode: str = "auto",
    budget: int | None = None,
    tile_size: int = 512,
    overlap: int = 64,
    temporal_size: int = 64,
    temporal_overlap: int = 8,
    progress: Callable[[int, int], None] | None = None,
    check_interrupt: Callable[[], None] | None = None,
    out_dtype: torch.dtype | None = None,
    pin: bool = True,
    observer: Observer | None = None,
) -> tuple[torch.Tensor, Report]:
    """Encodes pixels to latents.

    `pixels` is [B, H, W, C] in [0, 1], or [B, T, H, W, C] for a video VAE; height and width are
    cropped evenly to the VAE's multiple, frames to the number it can represent (a causal VAE of
    factor 4 takes 4n + 1). Other arguments and errors as in `decode`.

    Returns:
        Latents [B, C, h, w] or [B, C, T, h, w] on the CPU, and the report.
    """
    settings = Settings(mode, budget, tile_size, overlap, temporal_size, temporal_overlap)
    hooks = Hooks(progress, check_interrupt, out_dtype, pin, observer)
    return _run(vae, pixels, "encode", settings, hooks)


def _run(
    vae: Any, data: torch.Tensor, operation: str, settings: Settings, hooks: Hooks
) -> tuple[torch.Tensor, Report]:
    import torch

    from .engine.adapters import port_for
    from .engine.blended_request import blended
    from .engine.inputs import latents_of, pixels_of
    from .engine.memory import PeakMark
    from .engine.ports import Affine

    began = time.perf_counter()
    port = port_for(vae)
    source = latents_of(port, data) if operation == "decode" else pixels_of(port, data)
    mark = PeakMark(port.device)
    # Not inference mode: the caller may go on working in place on what it gets.
    with torch.no_grad():
        engine = _exactly if settings.mode in ("auto", "exact") else blended
        result, report = engine(port, source, operation, settings, hooks)
        if operation == "decode" and not isinstance(port.finish, Affine):
            result = port.finish(result)
    return result, report(mark, time.perf_counter() - began)


def _exactly(
    port: VaePort, source: torch.Tensor, operation: str, settings: Settings, hooks: Hooks
) -> tuple[torch.Tensor, Reporter]:
    """The exact engine where it can serve, else the ladder with the reason in the report."""
    from .engine.blended_request import blended
    from .engine.exact_request import ExactRequest
    from .families.program import Declined
    from .memory.allocator import reserve_bytes

    try:
        request = ExactRequest(port, operation, source, settings, reserve_bytes())
        return request.run(hooks), request.report
    except Declined as declined:
        reason = str(declined)
    except (BudgetError, LadderExhausted) as error:
        if settings.mode == "exact":
            raise
        reason = str(error)
    return blended(port, source, operation, settings, hooks, no_exact=reason)
