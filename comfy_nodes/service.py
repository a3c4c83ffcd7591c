"""Decode and encode for nodes: ComfyUI's shapes and rules outside, TrueTile's calls inside."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import Any

import torch

from .. import truetile
from ..truetile.report import Report
from . import host, vae_facts
from .vae_port import ComfyVaePort
from .watching import NodeObserver, watched_work

GIB = 2**30

log = logging.getLogger("truetile")


@dataclass(frozen=True)
class Settings:
    """What the inputs of a node say. Sizes are in pixels and frames; budget 0 is what is free."""

    mode: str = "auto"
    budget_gib: float = 0.0
    tile_size: int = 512
    overlap: int = 64
    temporal_size: int = 64
    temporal_overlap: int = 8

    def like_core(self) -> Settings:
        """With the overlaps lowered as ComfyUI's VAEDecodeTiled lowers them."""
        overlap, temporal = self.overlap, self.temporal_overlap
        if self.tile_size < overlap * 4:
            overlap = self.tile_size // 4
        if self.temporal_size < temporal * 2:
            temporal = temporal // 2
        return replace(self, overlap=overlap, temporal_overlap=temporal)

    def arguments(self, observer: NodeObserver) -> dict[str, Any]:
        """The keyword arguments of truetile.decode and truetile.encode."""
        return {
            "mode": self.mode,
            "budget": int(self.budget_gib * GIB) or None,
            "tile_size": self.tile_size,
            "overlap": self.overlap,
            "temporal_size": self.temporal_size,
            "temporal_overlap": self.temporal_overlap,
            "progress": observer.progress,
            "check_interrupt": host.check_interrupt,
            "observer": observer,
        }


def decode(
    vae: Any, latent: torch.Tensor, settings: Settings, vae_options: dict | None = None
) -> tuple[torch.Tensor, Report]:
    """Pixels as `vae.decode` gives them: [B, H, W, C], or [B, T, H, W, C] for a 5-D latent.

    Raises ValueError for an input that cannot be decoded, naming it.
    """
    _require_valid(vae)
    if getattr(latent, "is_nested", False):
        raise ValueError(
            "samples: a nested latent (several tensors in one, as audio-video models make): "
            "decode its parts one by one"
        )
    if getattr(vae, "latent_dim", None) == 2 and latent.ndim == 5:
        latent = latent[:, :, 0]  # a video latent's first frame, as ComfyUI does
    try:
        port = ComfyVaePort(vae, "decode", vae_options)
    except vae_facts.NotTileable as reason:
        options = {"vae_options": vae_options} if vae_options else {}
        return _stock("decode", reason, lambda: _core(vae, "decode")(latent, **options))
    with host.device_context(port.device), watched_work("decode") as observer:
        pixels, report = truetile.decode(
            port, latent, out_dtype=_result_dtype(vae), **settings.arguments(observer)
        )
        observer.finished(report)
    log.info("%s", report)
    return pixels.to(_result_device(vae)), report


def encode(vae: Any, pixels: torch.Tensor, settings: Settings) -> tuple[torch.Tensor, Report]:
    """Latents as `vae.encode` gives them, from pixels [B, H, W, C] or [B, T, H, W, C] in [0, 1].

    A video VAE takes the B pictures of a 4-D input as the frames of one clip.
    """
    _require_valid(vae)
    try:
        port = ComfyVaePort(vae, "encode")
    except vae_facts.NotTileable as reason:
        return _stock("encode", reason, lambda: _core(vae, "encode")(pixels))
    with host.device_context(port.device), watched_work("encode") as observer:
        latent, report = truetile.encode(
            port,
            arrange_pixels(vae, pixels),
            out_dtype=_result_dtype(vae),
            **settings.arguments(observer),
        )
        observer.finished(report)
    log.info("%s", report)
    latent = latent.to(_result_device(vae))
    format_encoded = getattr(vae, "format_encoded", None)
    return (format_encoded(latent) if format_encoded is not None else latent), report


def arrange_pixels(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Cropped and padded in channels as ComfyUI does before an encode, clips made five-dimensional.

    The result is [B, H, W, C] for an image VAE and [B, T, H, W, C] for a video VAE.
    """
    if pixels.ndim not in (4, 5):
        raise ValueError(
            f"pixels: shape {tuple(pixels.shape)} must be [B, H, W, C] or [B, T, H, W, C]"
        )
    if pixels.ndim == 5:
        # ComfyUI's crop takes the frames of a 5-D input for rows and drops some of them.
        clips = pixels.shape[:2]
        return vae.vae_encode_crop_pixels(pixels.flatten(0, 1)).unflatten(0, clips)
    pixels = vae.vae_encode_crop_pixels(pixels)
    if vae.latent_dim == 3:
        single_pictures = getattr(vae, "not_video", False)
        pixels = pixels.unsqueeze(1 if single_pictures else 0)
    return pixels


def _require_valid(vae: Any) -> None:
    if hasattr(vae, "throw_exception_if_invalid"):
        vae.throw_exception_if_invalid()


def _core(vae: Any, operation: str) -> Any:
    """ComfyUI's own method, also of a VAE whose methods TrueTile has replaced."""
    return getattr(vae, f"core_{operation}", None) or getattr(vae, operation)


def _result_dtype(vae: Any) -> torch.dtype:
    return vae.vae_output_dtype() if hasattr(vae, "vae_output_dtype") else torch.float32


def _result_device(vae: Any) -> torch.device:
    return getattr(vae, "output_device", None) or torch.device("cpu")


def _stock(operation: str, reason: Exception, call: Any) -> tuple[torch.Tensor, Report]:
    plan, why = "ComfyUI's own code", f"TrueTile did not tile this VAE: {reason}"
    start = time.perf_counter()
    with watched_work(operation) as observer:
        observer.begun(lambda: plan, why, None)
        result = call()
        report = Report(
            operation=operation,
            plan=plan,
            rungs=(),
            tiles=1,
            work_factor=1.0,
            peak_bytes=None,
            seconds=time.perf_counter() - start,
            exact=False,
            why=why,
            warnings=("mode, budget and tile sizes had no effect",),
        )
        observer.finished(report)
    log.info("%s", report)
    return result, report
