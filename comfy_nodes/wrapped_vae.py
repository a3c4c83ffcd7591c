"""A VAE whose every decode and encode goes through TrueTile, and which is the VAE it was made of.

Nodes that encode inside themselves (WanImageToVideo, inpainting, detailers) take it like any
other: it is a copy of the real object, its class a subclass of the real class, so attributes that
other code reads or swaps (patcher, first_stage_model, device, vae_dtype, ...) work as before.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import torch

from . import service
from .service import Settings
from .vae_facts import NotTileable, require_tileable, spatial_factor, time_scale


def wrap(vae: Any, settings: Settings) -> Any:
    """A copy of `vae` with `settings`; wrapping a wrapped VAE only changes the settings."""
    wrapped = copy.copy(vae)
    wrapped.__class__ = _subclass(getattr(type(vae), "truetile_base", type(vae)))
    wrapped.truetile_settings = settings
    wrapped.truetile_report = None
    return wrapped


@cache
def _subclass(base: type) -> type:
    """One subclass per VAE class: core's comfy.sd.VAE, or what another pack made of it."""
    return type("TrueTileVAE", (_TrueTileMethods, base), {"truetile_base": base})


class _TrueTileMethods:
    """The four methods that move; the rest of the VAE's class shows through."""

    truetile_base: type
    truetile_settings: Settings
    truetile_report: Any

    def decode(self, samples_in: torch.Tensor, vae_options: dict | None = None) -> torch.Tensor:
        return self._decoded(samples_in, self.truetile_settings, vae_options)

    def encode(self, pixel_samples: torch.Tensor) -> torch.Tensor:
        return self._encoded(pixel_samples, self.truetile_settings)

    def decode_tiled(
        self, samples, tile_x=None, tile_y=None, overlap=None, tile_t=None, overlap_t=None
    ) -> torch.Tensor:
        """Sizes are in latents, as core's; they are TrueTile's first tiles, if it has to tile."""
        sizes = _Sizes(tile_x, tile_y, overlap, tile_t, overlap_t)
        if (scale := _scale(self, "decode")) is None:
            return self.truetile_base.decode_tiled(self, samples, **sizes._asdict())
        return self._decoded(samples, sizes.applied_to(self.truetile_settings, *scale))

    def encode_tiled(
        self, pixel_samples, tile_x=None, tile_y=None, overlap=None, tile_t=None, overlap_t=None
    ) -> torch.Tensor:
        """Sizes are in pixels and frames, as core's."""
        sizes = _Sizes(tile_x, tile_y, overlap, tile_t, overlap_t)
        if _scale(self, "encode") is None:
            return self.truetile_base.encode_tiled(self, pixel_samples, **sizes._asdict())
        return self._encoded(pixel_samples, sizes.applied_to(self.truetile_settings, 1, 1))

    def core_decode(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The decode of the VAE that was wrapped."""
        return self.truetile_base.decode(self, *args, **kwargs)

    def core_encode(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The encode of the VAE that was wrapped."""
        return self.truetile_base.encode(self, *args, **kwargs)

    def _decoded(
        self, latent: torch.Tensor, settings: Settings, vae_options: dict | None = None
    ) -> torch.Tensor:
        pixels, self.truetile_report = service.decode(self, latent, settings, vae_options)
        return pixels

    def _encoded(self, pixels: torch.Tensor, settings: Settings) -> torch.Tensor:
        latent, self.truetile_report = service.encode(self, pixels, settings)
        return latent


class _Sizes(NamedTuple):
    """The arguments of decode_tiled and encode_tiled; None is what the node's settings say."""

    tile_x: int | None
    tile_y: int | None
    overlap: int | None
    tile_t: int | None
    overlap_t: int | None

    def applied_to(self, settings: Settings, space: int, frames: int) -> Settings:
        """`settings` with these sizes; space, frames: pixels and frames per unit of them.

        TrueTile's tiles are square: of an oblong one the smaller edge counts.
        """
        edges = [edge for edge in (self.tile_x, self.tile_y) if edge is not None]
        scaled = {
            "tile_size": (min(edges) if edges else None, space),
            "overlap": (self.overlap, space),
            "temporal_size": (self.tile_t, frames),
            "temporal_overlap": (self.overlap_t, frames),
        }
        given = {name: size * unit for name, (size, unit) in scaled.items() if size is not None}
        return replace(settings, **given)


def _scale(vae: Any, operation: str) -> tuple[int, int] | None:
    """Pixels and frames per latent; None for a VAE that is left to ComfyUI's own code."""
    try:
        require_tileable(vae)
        time = time_scale(vae)
        return spatial_factor(vae, operation), time.factor if time is not None else 1
    except NotTileable:
        return None
