"""Programs of the HunyuanVideo 1.0 VAE (FramePack's and Kandinsky 5's, too).

ComfyUI's `AutoencoderKL` with three-dimensional convolutions and diffusers' class are one structure
under two sets of names: an image VAE with group norms whose convolutions see frames before theirs
and copies of the edges. Upsampling repeats every frame but the first one.

What the norms and the attention see is another matter, and each module is the reference for itself.
diffusers' covers the whole clip, and in its attention frames see only those before ("whole clip").
ComfyUI's attention has no mask ("as ComfyUI"); it decodes two latents and encodes eight frames at a
time, with norms of their own, and halves time one frame early behind the first span. ComfyUIs of
2025 had no spans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..stream import TimeRule
from . import kl_names
from .builder import Builder
from .program import Declined, Program, plain

if TYPE_CHECKING:
    import torch

FAMILY = "HunyuanVideo 1.0"
_LATENTS = 2  # that ComfyUI decodes at a time, and whose frames it encodes at a time


def accepts(module: torch.nn.Module) -> bool:
    """Whether `module` is of a class that is known here."""
    return type(module).__name__ == "AutoencoderKLHunyuanVideo" or _is_comfy(module)


def decode(module: torch.nn.Module, *, still: bool) -> Program:
    """From latents to raw pixels (unclamped)."""
    names = _names(module)
    half, entry = names.half("decoder"), names.entry()
    builder = Builder(plain(entry, "weight").shape[1], still, replicate=True)
    builder.conv(entry)
    builder.conv(names.first(half))
    _middle(builder, half, names)
    rolled = builder.value
    for blocks, upsample in names.up(half):
        for block in blocks:
            _block(builder, block, names)
        if upsample is not None:
            module, (frames, pixels) = upsample
            builder.conv(module, up=pixels, time=_rule(frames, TimeRule.DOUBLE))
    norm, last = names.head(half)
    builder.conv(last, norm=norm, silu=True)
    if names.in_spans(half):
        builder.roll(rolled, _LATENTS, _LATENTS)
    return builder.program(names.family, "decode")


def encode(module: torch.nn.Module, *, still: bool) -> Program:
    """From raw pixels to the mean of the latents."""
    names = _names(module)
    half, exit_ = names.half("encoder"), names.exit()
    first = names.first(half)
    builder = Builder(plain(first, "weight").shape[1], still, replicate=True)
    builder.conv(first)
    unit = 1
    for blocks, downsample in names.down(half):
        for block in blocks:
            _block(builder, block, names)
        if downsample is not None:
            module, (frames, pixels) = downsample
            builder.conv(module, stride=pixels, time=_rule(frames, TimeRule.HALVE))
            unit *= frames
    if names.in_spans(half):
        builder.roll(0, 1, _LATENTS * unit)
    _middle(builder, half, names)
    norm, last = names.head(half)
    builder.conv(last, norm=norm, silu=True)
    # The second half of the channels is the log-variance, which nobody reads here.
    builder.conv(exit_, outputs=plain(exit_, "weight").shape[0] // 2)
    return builder.program(names.family, "encode")


def _is_comfy(module: torch.nn.Module) -> bool:
    decoder = getattr(module, "decoder", None)
    known = type(decoder).__module__.endswith("diffusionmodules.model")
    return known and type(decoder.conv_in).__name__ in ("CarriedConv3d", "VideoConv3d")


def _names(module: torch.nn.Module) -> _Comfy | _Diffusers:
    return _Comfy(module) if _is_comfy(module) else _Diffusers(module)


def _rule(frames: int, rule: TimeRule) -> TimeRule:
    return rule if frames > 1 else TimeRule.SAME


def _middle(builder: Builder, half: torch.nn.Module, names: _Comfy | _Diffusers) -> None:
    for block in names.middle(half):
        if names.is_attention(block):
            norm, qkv, proj = names.attention(block)
            builder.attention(norm, qkv, proj, clip=True, causal=names.causal)
        else:
            _block(builder, block, names)


def _block(builder: Builder, block: torch.nn.Module, names: _Comfy | _Diffusers) -> None:
    norm1, conv1, norm2, conv2, shortcut = names.residual(block)
    before = builder.value
    middle = builder.conv(conv1, norm=norm1, silu=True)
    added = before if shortcut is None else builder.conv(shortcut, source=before)
    builder.conv(conv2, source=middle, residual=added, norm=norm2, silu=True)


def _factors(factors, what: str) -> tuple[int, int]:
    """(frames, pixels) of a resampling by `factors` along time, rows and columns."""
    frames, rows, columns = factors
    known = rows == columns and {frames, rows} <= {1, 2} and frames * rows > 1
    if not known:
        raise Declined(f"its {what} has factors {tuple(factors)}: must be 1 or 2, equal in space")
    return int(frames), int(rows)


class _Comfy(kl_names.Comfy):
    """Names in `comfy.ldm.models.autoencoder` and `comfy.ldm.modules.diffusionmodules.model`."""

    causal = False

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__(module)
        self.family = f"{FAMILY} (as ComfyUI)"

    def half(self, name: str) -> torch.nn.Module:
        half = super().half(name)
        if getattr(half.conv_in, "padding_mode", "replicate") != "replicate":
            raise Declined(f"its convolutions pad by {half.conv_in.padding_mode!r}")
        if any(len(level.attn) for level in (half.up if name == "decoder" else half.down)):
            raise Declined("attention outside of its middle")
        return half

    def in_spans(self, half) -> bool:
        return getattr(half, "carried", False)

    def first(self, half):
        return half.conv_in.conv

    def residual(self, block):
        norm1, conv1, norm2, conv2, shortcut = super().residual(block)
        return norm1, conv1.conv, norm2, conv2.conv, shortcut and shortcut.conv

    def up(self, half):
        return [self._scaled(level, "upsample") for level in reversed(list(half.up))]

    def down(self, half):
        return [self._scaled(level, "downsample") for level in half.down]

    def _scaled(self, level: torch.nn.Module, name: str):
        module = getattr(level, name, None)
        if module is None:
            return list(level.block), None
        if not module.with_conv:
            raise Declined(f"its {name} has no convolution")
        convolution = module.conv.conv
        factors = convolution.stride if name == "downsample" else module.scale_factor
        if isinstance(factors, (int, float)):
            factors = (factors,) * 3
        return list(level.block), (convolution, _factors(factors, name))

    def head(self, half):
        return half.norm_out, half.conv_out.conv


class _Diffusers(kl_names.Diffusers):
    """Names in diffusers' `autoencoder_kl_hunyuan_video`."""

    causal = True

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__(module)
        self.family = f"{FAMILY} (whole clip)"

    def half(self, name: str) -> torch.nn.Module:
        half = getattr(self._module, name)
        kl_names.require_class(half.conv_act, "SiLU")
        return half

    def in_spans(self, half) -> bool:
        return False

    def first(self, half):
        return half.conv_in.conv

    def residual(self, block):
        kl_names.require_class(block.nonlinearity, "SiLU")
        shortcut = block.conv_shortcut
        convolutions = block.conv1.conv, block.conv2.conv, shortcut and shortcut.conv
        first, second, added = convolutions
        return block.norm1, first, block.norm2, second, added

    def up(self, half):
        return [self._scaled(level, level.upsamplers) for level in half.up_blocks]

    def down(self, half):
        return [self._scaled(level, level.downsamplers) for level in half.down_blocks]

    def _scaled(self, level: torch.nn.Module, modules):
        if not modules:
            return list(level.resnets), None
        (module,) = modules
        factors = getattr(module, "upsample_factor", module.conv.conv.stride)
        return list(level.resnets), (module.conv.conv, _factors(factors, "resampling"))

    def head(self, half):
        return half.conv_norm_out, half.conv_out.conv
