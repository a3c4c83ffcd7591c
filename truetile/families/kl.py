"""Programs of image VAEs with group norms: SD 1.5, SDXL, SD3, Flux.1, Z-Image, Flux.2.

ComfyUI's `AutoencoderKL` and `AutoencodingEngine` and diffusers' `AutoencoderKL` are one structure
under two sets of names, with or without the 1x1 convolutions around the latents. Norms span the
whole picture, and so does the one-head attention in the middle.

Flux.2 packs 2 x 2 latents into one and normalises them. ComfyUI's module does so itself, for
diffusers' the pipeline does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..stream import Shuffle
from .builder import Builder
from .kl_names import Comfy, Diffusers
from .packing import LATENT_PATCH
from .program import Declined, Program, plain

if TYPE_CHECKING:
    import torch

PATCH = 2  # latents along each axis that Flux.2 packs into one


def accepts(module: torch.nn.Module) -> bool:
    """Whether `module` is of a class that is known here."""
    return _is_comfy(module) or _is_diffusers(module)


def decode(module: torch.nn.Module, *, still: bool) -> Program:
    """From latents to raw pixels."""
    names = _names(module, still)
    half = names.half("decoder")
    entry, first = names.entry(), names.first(half)
    channels = plain(first if entry is None else entry, "weight").shape[1]
    statistics = names.latent_statistics()
    builder = Builder(channels if statistics is None else channels * PATCH**2, still=True)
    if statistics is not None:
        mean, deviation = statistics
        builder.conv(_each_channel(deviation, mean))
        builder.shuffle(Shuffle(up=PATCH), LATENT_PATCH)
    if entry is not None:
        builder.conv(entry)
    builder.conv(first)
    _middle(builder, half, names)
    for blocks, upsample in names.up(half):
        for block in blocks:
            _block(builder, block, names)
        if upsample is not None:
            builder.conv(upsample, up=2)
    norm, last = names.head(half)
    builder.conv(last, norm=norm, silu=True)
    return builder.program(names.family, "decode")


def encode(module: torch.nn.Module, *, still: bool) -> Program:
    """From raw pixels to the mean of the latents."""
    names = _names(module, still)
    half = names.half("encoder")
    first = names.first(half)
    builder = Builder(plain(first, "weight").shape[1], still=True)
    builder.conv(first)
    for blocks, downsample in names.down(half):
        for block in blocks:
            _block(builder, block, names)
        if downsample is not None:
            builder.conv(downsample, stride=2)
    _middle(builder, half, names)
    norm, last = names.head(half)
    # The second half of the channels is the log-variance, which nobody reads here.
    exit_ = names.exit()
    if exit_ is None:
        builder.conv(last, norm=norm, silu=True, outputs=plain(last, "weight").shape[0] // 2)
    else:
        builder.conv(last, norm=norm, silu=True)
        builder.conv(exit_, outputs=plain(exit_, "weight").shape[0] // 2)
    statistics = names.latent_statistics()
    if statistics is not None:
        mean, deviation = statistics
        builder.shuffle(Shuffle(down=PATCH), LATENT_PATCH)
        builder.conv(_each_channel(1 / deviation, -mean / deviation))
    return builder.program(names.family, "encode")


def _is_comfy(module: torch.nn.Module) -> bool:
    home, name = type(module).__module__, type(module).__name__
    known = ("AutoencoderKL", "AutoencodingEngine", "AutoencodingEngineLegacy")
    return home.endswith("ldm.models.autoencoder") and name in known


def _is_diffusers(module: torch.nn.Module) -> bool:
    home, name = type(module).__module__, type(module).__name__
    return home.startswith("diffusers.") and name in ("AutoencoderKL", "AutoencoderKLFlux2")


def _names(module: torch.nn.Module, still: bool) -> Comfy | Diffusers:
    if not still:
        raise Declined("an image VAE reads single images")
    return Comfy(module) if _is_comfy(module) else Diffusers(module)


def _each_channel(scale: torch.Tensor, shift: torch.Tensor) -> torch.nn.Module:
    """x * scale + shift as a convolution."""
    import torch

    channels = scale.numel()
    module = torch.nn.Conv2d(channels, channels, 1, device=scale.device, dtype=scale.dtype)
    module.requires_grad_(False)
    module.weight.copy_(torch.diag(scale)[:, :, None, None])
    module.bias.copy_(shift)
    return module


def _middle(builder: Builder, half: torch.nn.Module, names: Comfy | Diffusers) -> None:
    for block in names.middle(half):
        _block(builder, block, names)


def _block(builder: Builder, block: torch.nn.Module, names: Comfy | Diffusers) -> None:
    if names.is_attention(block):
        builder.attention(*names.attention(block))
        return
    norm1, conv1, norm2, conv2, shortcut = names.residual(block)
    before = builder.value
    middle = builder.conv(conv1, norm=norm1, silu=True)
    added = before if shortcut is None else builder.conv(shortcut, source=before)
    builder.conv(conv2, source=middle, residual=added, norm=norm2, silu=True)
