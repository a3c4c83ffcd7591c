"""Programs of the Wan 2.2 5B VAE: ComfyUI's `WanVAE` of `vae2_2` and diffusers' residual one.

It is Wan 2.1 with two additions. Pictures are cut into 2 x 2 patches whose pixels are channels. And
around each level's blocks there is a shortcut without weights: the level's input, repeated into
more pixels and frames (decoder) or averaged into fewer (encoder).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..stream import Shuffle, TimeRule
from .builder import Builder
from .packing import WAN_PATCH, WAN_SHORTCUT
from .program import Declined, Program, plain
from .wan import ComfyNames, DiffusersNames, add_block, add_encoder, decoder, require_four

if TYPE_CHECKING:
    import torch

FAMILY = "Wan 2.2 5B"


def accepts(module: torch.nn.Module) -> bool:
    """Whether `module` is of a class that is known here."""
    if type(module).__name__ == "AutoencoderKLWan":
        return bool(getattr(module.config, "is_residual", False))
    return _is_comfy(module)


def decode(module: torch.nn.Module, *, still: bool) -> Program:
    """From latents to raw pixels (unclamped)."""
    names, patch = _names(module)
    builder = decoder(module, names, still, _level)
    if patch > 1:
        builder.shuffle(Shuffle(up=patch), WAN_PATCH)
    return builder.program(FAMILY, "decode")


def encode(module: torch.nn.Module, *, still: bool) -> Program:
    """From raw pixels to the mean of the latents."""
    names, patch = _names(module)
    channels = plain(names.first(module.encoder), "weight").shape[1]
    if channels % patch**2:
        raise Declined(f"{channels} channels are not patches of {patch} x {patch} pixels")
    builder = Builder(channels // patch**2, still)
    if patch > 1:
        builder.shuffle(Shuffle(down=patch), WAN_PATCH)
    add_encoder(builder, module, names, _level)
    return require_four(builder.program(FAMILY, "encode"))


def _is_comfy(module: torch.nn.Module) -> bool:
    return type(module).__module__.endswith("ldm.wan.vae2_2") and type(module).__name__ == "WanVAE"


def _names(module: torch.nn.Module) -> tuple[_Comfy | _Diffusers, int]:
    """The names of its parts, and how many pixels along an axis make a patch."""
    return (_Comfy(), 2) if _is_comfy(module) else (_Diffusers(), module.config.patch_size or 1)


def _level(builder: Builder, level: torch.nn.Module, names: _Comfy | _Diffusers) -> None:
    before = builder.value
    for block in names.blocks(level):
        add_block(builder, block, names)
    shortcut = level.avg_shortcut
    if shortcut is None:
        return
    kind, pixels, frames = type(shortcut).__name__, shortcut.factor_s, shortcut.factor_t
    if kind not in ("DupUp3D", "AvgDown3D") or frames not in (1, 2):
        raise Declined(f"a shortcut of type {kind} over {frames} frames is not known")
    if kind == "DupUp3D":
        rule = Shuffle(up=pixels, time=TimeRule.DOUBLE if frames == 2 else TimeRule.SAME)
    else:
        rule = Shuffle(down=pixels, time=TimeRule.HALVE if frames == 2 else TimeRule.SAME)
    builder.shortcut(before, rule, WAN_SHORTCUT)


class _Comfy(ComfyNames):
    """Names in `comfy.ldm.wan.vae2_2`."""

    def blocks(self, level):
        return list(level.upsamples if hasattr(level, "upsamples") else level.downsamples)


class _Diffusers(DiffusersNames):
    """Names in the residual blocks of diffusers' `autoencoder_kl_wan`."""

    def up(self, half):
        return list(half.up_blocks)

    def blocks(self, level):
        last = level.upsampler if hasattr(level, "upsampler") else level.downsampler
        return [*level.resnets, *([last] if last is not None else [])]
