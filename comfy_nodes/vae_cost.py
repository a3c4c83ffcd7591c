"""Turns ComfyUI's own memory estimate of a VAE into TrueTile's cost model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..truetile.plan import AxisScale, CostModel

# Edges of the two square latents at which the estimate is taken: its slope is what one more
# latent costs, the rest is fixed.
_EDGES = (32, 96)
# Clip lengths in latents: where an estimate stops growing, the VAE walks through time by itself.
_LENGTHS = (1, 2, 3, 5, 9, 33, 129)


def cost_of(
    vae: Any, operation: str, *, spatial: int, time: AxisScale | None, channels: int
) -> CostModel | None:
    """The model fitted to vae.memory_used_decode or memory_used_encode; None if that fails.

    channels: what one call returns (pixel channels for a decode, latent channels for an encode).
    The fit never promises less than the estimate does for clips of two latents and more.
    """
    estimate = vae.memory_used_decode if operation == "decode" else vae.memory_used_encode
    elem = vae.vae_dtype.itemsize
    shape = _shape_maker(vae, operation, spatial, time)
    try:
        lengths = _LENGTHS if time is not None else (1,)
        lines = [_line(lambda edge, n=n: estimate(shape(n, edge), vae.vae_dtype)) for n in lengths]
    except Exception:  # whatever a VAE of another pack does in there, a cautious guess exists
        return None
    fixed = max(0.0, *(intercept for _, intercept in lines))
    slopes = [max(0.0, slope) / spatial**2 for slope, _ in lines]  # bytes per pixel of area
    if slopes[-1] <= 0:
        return None
    if time is None:
        per_frame, live = slopes[0], 1
    else:
        frames = [time.first + (n - 1) * time.factor for n in lengths]
        per_frame, live = _fit_frames(frames, slopes)
    return CostModel(
        fixed_bytes=int(fixed),
        bytes_per_pixel=per_frame,
        live_frames=live,
        out_channels=channels,
        out_elem_bytes=elem,
    )


def _shape_maker(vae: Any, operation: str, spatial: int, time: AxisScale | None) -> Callable:
    def shape(length: int, edge: int) -> tuple[int, ...]:
        if operation == "decode":
            head, size, count = (1, vae.latent_channels), (edge, edge), length
        else:
            head, size = (1, getattr(vae, "output_channels", 3)), (edge * spatial, edge * spatial)
            count = time.first + (length - 1) * time.factor if time is not None else 1
        return (*head, count, *size) if time is not None else (*head, *size)

    return shape


def _line(estimate: Callable[[int], float]) -> tuple[float, float]:
    """Bytes per latent of area, and the bytes at area zero."""
    small, large = (float(estimate(edge)) for edge in _EDGES)
    slope = (large - small) / (_EDGES[1] ** 2 - _EDGES[0] ** 2)
    return slope, small - slope * _EDGES[0] ** 2


def _fit_frames(frames: list[int], slopes: list[float]) -> tuple[float, int]:
    """(bytes per pixel and frame, live frames) for estimates `slopes` of clips of `frames`.

    Live frames 0 means that the cost grows with the whole clip.
    """
    if slopes[-1] > slopes[-2] * 1.001:
        # A single frame is often charged like a full latent; that must not inflate long clips.
        per_frame = max(s / n for s, n in zip(slopes[1:], frames[1:], strict=True))
        return per_frame, 0
    top = max(slopes)
    live = max(1, int(top // max(slopes[0], top / frames[-1])))
    return top / live, live
