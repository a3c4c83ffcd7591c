"""Checks of what the user hands over, before anything is loaded or allocated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..errors import InvalidArgument

if TYPE_CHECKING:
    from .ports import VaePort


def latents_of(port: VaePort, samples: torch.Tensor) -> torch.Tensor:
    """`samples` as the engine wants them: [B, C, T, h, w] for video, [B, C, h, w] for images."""
    _check_tensor("samples", samples)
    _check_axes(port, "samples", samples, "[B, C, T, h, w]", "[B, C, h, w]")
    if samples.shape[1] != port.latent_channels:
        raise InvalidArgument(
            f"samples of shape {_shape(samples)}: must have {port.latent_channels} channels for "
            f"this VAE, not {samples.shape[1]}; the latent comes from another family of model"
        )
    check_finite("samples", samples)
    return samples


def pixels_of(port: VaePort, pixels: torch.Tensor) -> torch.Tensor:
    """User pixels [B, (T,) H, W, C] in [0, 1], cropped to whole latents, channels first."""
    _check_tensor("pixels", pixels)
    _check_axes(port, "pixels", pixels, "[B, T, H, W, C]", "[B, H, W, C]")
    if pixels.shape[-1] < port.pixel_channels:
        raise InvalidArgument(
            f"pixels of shape {_shape(pixels)}: must have {port.pixel_channels} channels"
        )
    pixels = pixels[..., : port.pixel_channels]
    for axis, name in ((-3, "height"), (-2, "width")):
        size = pixels.shape[axis]
        kept = size // port.spatial * port.spatial
        if kept == 0:
            raise InvalidArgument(
                f"pixels of {name} {size}: must be at least {port.spatial}, one latent of this VAE"
            )
        pixels = pixels.narrow(axis, (size - kept) // 2, kept)
    if port.time is not None:
        scale = port.time
        if pixels.shape[1] < scale.first:
            raise InvalidArgument(
                f"pixels of {pixels.shape[1]} frames: must be at least {scale.first}"
            )
        latents = 1 + (pixels.shape[1] - scale.first) // scale.factor
        pixels = pixels[:, : scale.first + (latents - 1) * scale.factor]
    # A clip is large: whether it is finite is asked only if its latents are not.
    return pixels.movedim(-1, 1)


def _check_tensor(name: str, value: object) -> None:
    if getattr(value, "is_nested", False):
        raise InvalidArgument(
            f"{name}: nested tensor: must be one tensor; decode each of its parts by itself"
        )
    if not isinstance(value, torch.Tensor):
        raise InvalidArgument(f"{name}={type(value).__name__}: must be a torch.Tensor")
    if not value.is_floating_point():
        raise InvalidArgument(f"{name} of dtype {value.dtype}: must be a floating-point tensor")
    if 0 in value.shape:
        raise InvalidArgument(f"{name} of shape {_shape(value)}: must not have an empty axis")


def _check_axes(port: VaePort, name: str, value: torch.Tensor, video: str, image: str) -> None:
    clips = port.time is not None
    wanted = f"{video} for this video VAE" if clips else f"{image} for this image VAE"
    if value.dim() != (5 if clips else 4):
        raise InvalidArgument(f"{name} of shape {_shape(value)}: must be {wanted}")


def check_finite(name: str, value: torch.Tensor) -> None:
    """Raises for `samples` or `pixels` that hold NaN: the VAE must not be blamed for it."""
    # The sum is finite only if every element is; it needs no mask of the tensor's size.
    if torch.isfinite(value.sum(dtype=torch.float32)):
        return
    bad = int((~torch.isfinite(value)).sum())
    if bad:
        maker = "the sampler or the node before" if name == "samples" else "the node before"
        raise InvalidArgument(
            f"{name} holds {bad} NaN or Inf values of {value.numel()}: must be finite; {maker} "
            "made them"
        )


def _shape(value: torch.Tensor) -> str:
    return str(list(value.shape))
