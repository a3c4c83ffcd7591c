"""Programs of the HunyuanVideo 1.5 VAE: ComfyUI's refiner classes and diffusers' module.

Norms are per pixel. Convolutions see copies of the edges around a frame and before the first one.
A level ends in a convolution whose channels are taken apart into pixels and frames (decoder) or
put together from them (encoder), with the level's values added the same way. The first frame
stands alone throughout, so that ComfyUI's walk through the clip with caches equals whole layers.

Attention in the middle covers the clip, and here the two modules differ: ComfyUI's frames see all
others, those of diffusers only the ones before. Each is the reference for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..stream import Shuffle, TimeRule
from .builder import Builder
from .packing import HUNYUAN
from .program import Declined, Program, plain

if TYPE_CHECKING:
    import torch

FAMILY = "HunyuanVideo 1.5"


def accepts(module: torch.nn.Module) -> bool:
    """Whether `module` is of a class that is known here."""
    return type(module).__name__ == "AutoencoderKLHunyuanVideo15" or _is_comfy(module)


def decode(module: torch.nn.Module, *, still: bool) -> Program:
    """From latents to raw pixels (unclamped)."""
    names = _names(module)
    half = names.half("decoder")
    first = names.first(half)
    builder = Builder(plain(first, "weight").shape[1], still, replicate=True)
    builder.conv(first)
    builder.shortcut(0, Shuffle(), HUNYUAN)
    _middle(builder, half, names)
    for blocks, up in names.up(half):
        for block in blocks:
            _block(builder, block, names)
        if up is not None:
            _resample(builder, *up, upwards=True)
    norm, last = names.head(half)
    builder.conv(last, norm=norm, silu=True)
    return builder.program(names.family, "decode")


def encode(module: torch.nn.Module, *, still: bool) -> Program:
    """From raw pixels to the mean of the latents."""
    names = _names(module)
    half = names.half("encoder")
    first = names.first(half)
    builder = Builder(plain(first, "weight").shape[1], still, replicate=True)
    builder.conv(first)
    for blocks, down in names.down(half):
        for block in blocks:
            _block(builder, block, names)
        if down is not None:
            _resample(builder, *down, upwards=False)
    _middle(builder, half, names)
    before, channels = builder.value, builder.channels
    norm, last = names.head(half)
    # The second half of the channels is the log-variance, which nobody reads here; so is the second
    # half of the values that are averaged into them.
    makes = plain(last, "weight").shape[0]
    builder.conv(last, norm=norm, silu=True, outputs=makes // 2)
    builder.shortcut(before, Shuffle(), HUNYUAN, used=channels // 2)
    return builder.program(names.family, "encode")


def _is_comfy(module: torch.nn.Module) -> bool:
    home = type(getattr(module, "decoder", None)).__module__
    return type(module).__name__ == "AutoencodingEngine" and home.endswith("vae_refiner")


def _names(module: torch.nn.Module) -> _Comfy | _Diffusers:
    return _Comfy(module) if _is_comfy(module) else _Diffusers(module)


def _middle(builder: Builder, half: torch.nn.Module, names: _Comfy | _Diffusers) -> None:
    before, attention, after = names.middle(half)
    _block(builder, before, names)
    norm, qkv, proj = names.attention(attention)
    builder.attention(norm, qkv, proj, clip=True, causal=names.causal)
    _block(builder, after, names)


def _block(builder: Builder, block: torch.nn.Module, names: _Comfy | _Diffusers) -> None:
    conv1, conv2, shortcut = names.residual(block)
    before = builder.value
    middle = builder.conv(conv1, norm=block.norm1, silu=True)
    added = before if shortcut is None else builder.conv(shortcut, source=before)
    builder.conv(conv2, source=middle, residual=added, norm=block.norm2, silu=True)


def _resample(builder: Builder, module: torch.nn.Module, pairs: bool, upwards: bool) -> None:
    before = builder.value
    builder.conv(module.conv.conv)
    if upwards:
        rule = Shuffle(up=2, time=TimeRule.DOUBLE if pairs else TimeRule.SAME)
    else:
        rule = Shuffle(down=2, time=TimeRule.HALVE if pairs else TimeRule.SAME)
    builder.shuffle(rule, HUNYUAN)
    builder.shortcut(before, rule, HUNYUAN)


class _Comfy:
    """Names in `comfy.ldm.hunyuan_video.vae_refiner`."""

    family = FAMILY
    causal = False

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module
        regularization = type(module.regularization).__name__
        if regularization != "EmptyRegularizer":
            raise Declined(f"its latents go through a {regularization}")

    def half(self, name: str) -> torch.nn.Module:
        half = getattr(self._module, name)
        if not half.refiner_vae:
            raise Declined("vae_refiner without refiner_vae has group norms")
        if name == "encoder" and half.regul.sample:
            raise Declined("it samples its latents")
        return half

    def first(self, half):
        return half.conv_in.conv

    def middle(self, half):
        return half.mid.block_1, half.mid.attn_1, half.mid.block_2

    def attention(self, block):
        return block.norm, (block.q, block.k, block.v), block.proj_out

    def residual(self, block):
        # Its `temb_proj` is for timesteps, which a VAE has none of.
        shortcut = getattr(block, "nin_shortcut", None)
        if shortcut is None and block.in_channels != block.out_channels:
            raise Declined("a residual block has another shortcut than 1 x 1")
        return block.conv1.conv, block.conv2.conv, None if shortcut is None else shortcut.conv

    def up(self, half):
        return [self._level(level, "upsample", "tus") for level in half.up]

    def down(self, half):
        return [self._level(level, "downsample", "tds") for level in half.down]

    def _level(self, level, name: str, flag: str):
        module = getattr(level, name, None)
        return list(level.block), module and (module, getattr(module, flag))

    def head(self, half):
        return half.norm_out, half.conv_out.conv


class _Diffusers:
    """Names in diffusers' `autoencoder_kl_hunyuanvideo15`."""

    family = f"{FAMILY} (frames see those before)"
    causal = True

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module

    def half(self, name: str) -> torch.nn.Module:
        return getattr(self._module, name)

    def first(self, half):
        return half.conv_in.conv

    def middle(self, half):
        (attention,), (before, after) = half.mid_block.attentions, half.mid_block.resnets
        return before, attention, after

    def attention(self, block):
        return block.norm, (block.to_q, block.to_k, block.to_v), block.proj_out

    def residual(self, block):
        return block.conv1.conv, block.conv2.conv, block.conv_shortcut

    def up(self, half):
        return [
            self._level(level, level.upsamplers, "add_temporal_upsample")
            for level in half.up_blocks
        ]

    def down(self, half):
        return [
            self._level(level, level.downsamplers, "add_temporal_downsample")
            for level in half.down_blocks
        ]

    def _level(self, level, modules, flag: str):
        (module,) = modules or (None,)
        return list(level.resnets), module and (module, getattr(module, flag))

    def head(self, half):
        return half.norm_out, half.conv_out.conv
