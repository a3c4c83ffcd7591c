"""Programs of image VAEs with group norms: SD 1.5, SDXL, SD3, Flux.1, Z-Image.

ComfyUI's `AutoencoderKL` and `AutoencodingEngine` and diffusers' `AutoencoderKL` are one structure
under two sets of names, with or without the 1x1 convolutions around the latents. Norms span the
whole picture, and so does the one-head attention in the middle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .kl_names import Comfy, Diffusers
from .program import Builder, Declined, Program, plain

if TYPE_CHECKING:
    import torch

FAMILY = "AutoencoderKL"


def accepts(module: torch.nn.Module) -> bool:
    """Whether `module` is of a class that `program` knows."""
    return _is_comfy(module) or _is_diffusers(module)


def program(module: torch.nn.Module, operation: str, *, still: bool) -> Program:
    """The program of "decode" or "encode"; Declined says why there is none.

    Decode maps latents to raw pixels, encode raw pixels to the mean of the latents.
    """
    if module.training:
        raise Declined("the module is in training mode")
    if not still:
        raise Declined("an image VAE reads single images")
    names = Comfy(module) if _is_comfy(module) else Diffusers(module)
    build = _decode if operation == "decode" else _encode
    return build(names)


def _is_comfy(module: torch.nn.Module) -> bool:
    home, name = type(module).__module__, type(module).__name__
    known = ("AutoencoderKL", "AutoencodingEngine", "AutoencodingEngineLegacy")
    return home.endswith("ldm.models.autoencoder") and name in known


def _is_diffusers(module: torch.nn.Module) -> bool:
    home, name = type(module).__module__, type(module).__name__
    return home.startswith("diffusers.") and name == "AutoencoderKL"


def _decode(names: Comfy | Diffusers) -> Program:
    half = names.half("decoder")
    entry, first = names.entry(), names.first(half)
    builder = Builder(plain(first if entry is None else entry, "weight").shape[1], still=True)
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
    return builder.program(FAMILY, "decode")


def _encode(names: Comfy | Diffusers) -> Program:
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
    return builder.program(FAMILY, "encode")


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
