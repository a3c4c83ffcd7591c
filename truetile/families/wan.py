"""Programs of Wan 2.1 and Qwen-Image VAEs: ComfyUI's `WanVAE` and diffusers' two classes.

All are one structure under two sets of names. Norms are per pixel, attention is per frame, every
convolution in time is causal, and time layers pass the first frame unchanged, so that whole-clip
semantics are simple: layer after layer over all frames. The modules themselves walk through the
clip with caches of two frames, which gives the same values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..stream import LayerKind
from .builder import Builder
from .program import Declined, Program, diffusers_middle, plain

if TYPE_CHECKING:
    import torch

FAMILY = "Wan 2.1"
AddLevel = Callable[[Builder, Any, Any], None]  # of a builder, a level or block, and names
FRAMES_PER_LATENT = 4


def accepts(module: torch.nn.Module) -> bool:
    """Whether `module` is of a class that is known here."""
    home, name = type(module).__module__, type(module).__name__
    return _is_comfy(home, name) or name in ("AutoencoderKLWan", "AutoencoderKLQwenImage")


def decode(module: torch.nn.Module, *, still: bool) -> Program:
    """From latents to raw pixels (unclamped)."""
    return decoder(module, _names(module), still, add_block).program(FAMILY, "decode")


def encode(module: torch.nn.Module, *, still: bool) -> Program:
    """From raw pixels to the mean of the latents."""
    names = _names(module)
    builder = Builder(plain(names.first(module.encoder), "weight").shape[1], still)
    add_encoder(builder, module, names, add_block)
    return require_four(builder.program(FAMILY, "encode"))


def _is_comfy(home: str, name: str) -> bool:
    return home.endswith("ldm.wan.vae") and name == "WanVAE"


def _names(module: torch.nn.Module) -> ComfyNames | DiffusersNames:
    if _is_comfy(type(module).__module__, type(module).__name__):
        return ComfyNames()
    if getattr(module.config, "patch_size", None) not in (None, 1):
        raise Declined(f"patch_size={module.config.patch_size}: must be None")
    return DiffusersNames()


def decoder(
    module, names: ComfyNames | DiffusersNames, still: bool, add_level: AddLevel
) -> Builder:
    """The layers of a decoder, `add_level` for each of what `names.up` gives."""
    entry = names.entry(module)
    builder = Builder(plain(entry, "weight").shape[1], still)
    builder.conv(entry)
    half = module.decoder
    builder.conv(names.first(half))
    for block in names.middle(half):
        add_block(builder, block, names)
    for level in names.up(half):
        add_level(builder, level, names)
    norm, last = names.head(half)
    builder.conv(last, norm=norm, silu=True)
    return builder


def add_encoder(builder, module, names: ComfyNames | DiffusersNames, add_level: AddLevel) -> None:
    """Adds the layers of an encoder, `add_level` for each of what `names.down` gives."""
    half = module.encoder
    builder.conv(names.first(half))
    for level in names.down(half):
        add_level(builder, level, names)
    for block in names.middle(half):
        add_block(builder, block, names)
    norm, last = names.head(half)
    builder.conv(last, norm=norm, silu=True)
    # The second half of the channels is the log-variance, which nobody reads here.
    exit_ = names.exit(module)
    builder.conv(exit_, outputs=plain(exit_, "weight").shape[0] // 2)


def require_four(program: Program) -> Program:
    """The program of an encoder, unless it is for clips and makes no latent of four frames.

    The modules walk four frames at a time, whatever their layers make of them.
    """
    frames = program.frame_unit
    if not program.still and frames != FRAMES_PER_LATENT:
        raise Declined(f"{frames} frames a latent: must be {FRAMES_PER_LATENT} to encode clips")
    return program


def add_block(builder: Builder, block: torch.nn.Module, names: ComfyNames | DiffusersNames) -> None:
    """Adds the layers of a residual, attention or resampling block."""
    kind = type(block).__name__.removeprefix("QwenImage").removeprefix("Wan")
    if kind == "ResidualBlock":
        norm1, conv1, norm2, conv2, shortcut = names.residual(block)
        before = builder.value
        middle = builder.conv(conv1, norm=norm1, silu=True)
        added = before if shortcut is None else builder.conv(shortcut, source=before)
        builder.conv(conv2, source=middle, residual=added, norm=norm2, silu=True)
    elif kind == "AttentionBlock":
        builder.attention(block.norm, block.to_qkv, block.proj)
    elif kind == "Resample":
        _resample(builder, block)
    else:
        raise Declined(f"a block of type {type(block).__name__} is not known")


def _resample(builder: Builder, block: torch.nn.Module) -> None:
    if block.mode not in ("upsample2d", "upsample3d", "downsample2d", "downsample3d"):
        raise Declined(f"mode={block.mode!r} of a resampling block is not known")
    if block.mode == "upsample3d":
        builder.time(block.time_conv, LayerKind.TIME_UP)
    if block.mode.startswith("upsample"):
        builder.conv(block.resample[1], up=2)
    else:
        builder.conv(block.resample[1], stride=2)
    if block.mode == "downsample3d":
        builder.time(block.time_conv, LayerKind.TIME_DOWN)


class ComfyNames:
    """Names in `comfy.ldm.wan.vae`."""

    def entry(self, module):
        return module.conv2

    def exit(self, module):
        return module.conv1

    def first(self, half):
        return half.conv1

    def middle(self, half):
        return list(half.middle)

    def up(self, half):
        return list(half.upsamples)

    def down(self, half):
        return list(half.downsamples)

    def head(self, half):
        return half.head[0], half.head[2]

    def residual(self, block):
        norm1, _, conv1, norm2, _, _, conv2 = block.residual
        plain_shortcut = hasattr(block.shortcut, "weight")
        return norm1, conv1, norm2, conv2, block.shortcut if plain_shortcut else None


class DiffusersNames:
    """Names in diffusers' `autoencoder_kl_wan` and `autoencoder_kl_qwenimage`."""

    def entry(self, module):
        return module.post_quant_conv

    def exit(self, module):
        return module.quant_conv

    def first(self, half):
        return half.conv_in

    def middle(self, half):
        return diffusers_middle(half)

    def up(self, half):
        blocks = []
        for level in half.up_blocks:
            blocks += [*level.resnets, *(level.upsamplers or [])]
        return blocks

    def down(self, half):
        return list(half.down_blocks)

    def head(self, half):
        return half.norm_out, half.conv_out

    def residual(self, block):
        plain_shortcut = hasattr(block.conv_shortcut, "weight")
        shortcut = block.conv_shortcut if plain_shortcut else None
        return block.norm1, block.conv1, block.norm2, block.conv2, shortcut
