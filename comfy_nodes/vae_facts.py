"""What a comfy.sd.VAE says about itself, read from the attributes that ComfyUI's own code reads.

A VAE that TrueTile cannot tile raises `NotTileable` with the reason; its work then goes to
ComfyUI's own code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..truetile.engine.output import IDENTITY
from ..truetile.engine.ports import Affine
from ..truetile.plan import AxisScale

# Latent lengths at which the formula for time is tried: short ones, and one far out.
_LENGTHS = (1, 2, 3, 5, 9, 17, 100)


class NotTileable(Exception):
    """Why this VAE is left to ComfyUI's own code; one clause, no full stop."""


def require_tileable(vae: Any) -> None:
    """Raises NotTileable for anything but an image or video VAE that leaves tiling to others."""
    for name in ("first_stage_model", "patcher", "device", "vae_dtype", "latent_dim"):
        if getattr(vae, name, None) is None:
            raise NotTileable(f"it is not a comfy.sd.VAE: it has no {name}")
    if is_audio(vae):
        raise NotTileable("it is an audio or 3-D shape VAE")
    if getattr(vae, "handles_tiling", False):
        raise NotTileable("this VAE tiles itself, and its own tiles are what it was trained for")


def is_audio(vae: Any) -> bool:
    """Whether latents are waveforms or token lists instead of pictures."""
    return (
        getattr(vae, "latent_dim", 2) not in (2, 3)
        or getattr(vae, "extra_1d_channel", None) is not None
        or getattr(vae, "output_channels", 3) == 2
    )


def spatial_factor(vae: Any, operation: str) -> int:
    """Pixels per latent along height and width."""
    ratio = vae.upscale_ratio if operation == "decode" else vae.downscale_ratio
    spatial = ratio[1:] if isinstance(ratio, (tuple, list)) else (ratio,)
    factor = spatial[-1]
    if any(value != factor for value in spatial) or factor != int(factor) or factor < 1:
        raise NotTileable(f"its scale {spatial} is not one whole number for height and width")
    return int(factor)


def time_scale(vae: Any) -> AxisScale | None:
    """How latents map to frames; None for an image VAE.

    Comes from the VAE's own formulas: f(1) frames for the first latent, f(2) - f(1) for each
    further one. A formula that is not of this form (17 frames for 5 latents) raises NotTileable.
    """
    if vae.latent_dim != 3:
        return None
    if not isinstance(vae.upscale_ratio, (tuple, list)):
        raise NotTileable("it is a video VAE without a formula for its frames")
    frames, latents = vae.upscale_ratio[0], vae.downscale_ratio[0]
    if not callable(frames) or not callable(latents):
        raise NotTileable("it is a video VAE without a formula for its frames")
    first, factor = frames(1), frames(2) - frames(1)
    for count in _LENGTHS:
        expected = first + (count - 1) * factor
        if frames(count) != expected or latents(expected) != count:
            raise NotTileable(f"its frames do not grow evenly with its latents (at {count})")
    return AxisScale(factor=factor, first=first)


def finish_of(vae: Any) -> Affine | Callable[[torch.Tensor], torch.Tensor]:
    """The VAE's process_output: an affine where it is one that is known, else the function.

    Probed, not compared by identity: it is a lambda of its own in every VAE. It may work in
    place (it does since v0.18), so it gets a copy.
    """
    probe = torch.linspace(-3.0, 3.0, 97)
    result = vae.process_output(probe.clone())
    for affine in (Affine(), IDENTITY):
        expected = (probe * affine.scale + affine.shift).clamp(affine.lo, affine.hi)
        if result.shape == probe.shape and torch.allclose(result, expected, atol=1e-6):
            return affine

    def finish(pixels: torch.Tensor) -> torch.Tensor:
        return vae.process_output(pixels)

    return finish


def pixel_channels(vae: Any, operation: str) -> int:
    """Channels of a picture; some VAEs read and write different numbers."""
    read = getattr(vae, "output_channels", 3)
    return read if operation == "encode" else getattr(vae, "conv_out_channels", None) or read
