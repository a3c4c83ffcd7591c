"""Where ComfyUI and diffusers keep the parts of an AutoencoderKL, and what must be true of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .program import Declined, diffusers_middle

if TYPE_CHECKING:
    import torch


KL, FLUX_2 = "AutoencoderKL", "Flux.2"


class Comfy:
    """Names in `comfy.ldm.models.autoencoder` and `comfy.ldm.modules.diffusionmodules.model`."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module
        self.family = KL if getattr(module, "bn", None) is None else FLUX_2

    def latent_statistics(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Mean and deviation of each channel of packed latents, where the module knows them."""
        norm = getattr(self._module, "bn", None)
        if norm is None:
            return None
        _require(list(self._module.ps) == [2, 2], f"latents are packed by {self._module.ps}")
        variance = norm.running_var.detach().float() + self._module.bn_eps
        return norm.running_mean.detach().float(), variance.sqrt()

    def half(self, name: str) -> torch.nn.Module:
        half = getattr(self._module, name)
        require_class(half, name.capitalize())
        _require(not getattr(half, "tanh_out", False), "its decoder ends in tanh")
        if name == "encoder":
            regularization = self._module.regularization
            require_class(regularization, "DiagonalGaussianRegularizer")
            _require(not regularization.sample, "it samples its latents")
        return half

    def entry(self) -> torch.nn.Module | None:
        return getattr(self._module, "post_quant_conv", None)

    def exit(self) -> torch.nn.Module | None:
        return getattr(self._module, "quant_conv", None)

    def first(self, half):
        return half.conv_in

    def middle(self, half):
        return [half.mid.block_1, half.mid.attn_1, half.mid.block_2]

    def up(self, half):
        return [_level(level, "upsample") for level in reversed(list(half.up))]

    def down(self, half):
        return [_level(level, "downsample") for level in half.down]

    def head(self, half):
        return half.norm_out, half.conv_out

    def is_attention(self, block: torch.nn.Module) -> bool:
        return type(block).__name__ == "AttnBlock"

    def attention(self, block):
        return block.norm, (block.q, block.k, block.v), block.proj_out

    def residual(self, block):
        require_class(block, "ResnetBlock")
        _require(not hasattr(block, "temb_proj"), "a block takes a timestep")
        shortcut = getattr(block, "nin_shortcut", getattr(block, "conv_shortcut", None))
        return block.norm1, block.conv1, block.norm2, block.conv2, shortcut


def _level(level: torch.nn.Module, name: str):
    """The blocks of a level in order, and the convolution of its resampling."""
    attention = list(level.attn)
    blocks = []
    for index, block in enumerate(level.block):
        blocks += [block, attention[index]] if attention else [block]
    resampling = getattr(level, name, None)
    if resampling is None:
        return blocks, None
    require_class(resampling, name.capitalize())
    _require(resampling.with_conv, f"its {name} has no convolution")
    factor = getattr(resampling, "scale_factor", 2.0)
    _require(factor == 2.0, f"its {name} has scale_factor={factor}")
    return blocks, resampling.conv


class Diffusers:
    """Names in `diffusers.models.autoencoders`."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module
        self.family = FLUX_2 if type(module).__name__ == "AutoencoderKLFlux2" else KL

    def latent_statistics(self) -> None:
        """Pipelines, not modules, pack and normalise latents."""

    def half(self, name: str) -> torch.nn.Module:
        half = getattr(self._module, name)
        require_class(half, name.capitalize())
        require_class(half.conv_act, "SiLU")
        return half

    def entry(self) -> torch.nn.Module | None:
        return self._module.post_quant_conv

    def exit(self) -> torch.nn.Module | None:
        return self._module.quant_conv

    def first(self, half):
        return half.conv_in

    def middle(self, half):
        return diffusers_middle(half)

    def up(self, half):
        return [self._level(level, "UpDecoderBlock2D", "upsamplers") for level in half.up_blocks]

    def down(self, half):
        return [
            self._level(level, "DownEncoderBlock2D", "downsamplers") for level in half.down_blocks
        ]

    def _level(self, level: torch.nn.Module, kind: str, name: str):
        require_class(level, kind)
        resamplings = list(getattr(level, name) or [])
        if not resamplings:
            return list(level.resnets), None
        (resampling,) = resamplings
        _require(resampling.use_conv, f"one of its {name} has no convolution")
        _require(getattr(resampling, "norm", None) is None, f"one of its {name} has a norm")
        _require(
            not getattr(resampling, "use_conv_transpose", False), f"one of its {name} is transposed"
        )
        _require(getattr(resampling, "padding", 0) == 0 or name == "upsamplers", "it pads evenly")
        return list(level.resnets), resampling.conv

    def head(self, half):
        return half.conv_norm_out, half.conv_out

    def is_attention(self, block: torch.nn.Module) -> bool:
        return type(block).__name__ == "Attention"

    def attention(self, block):
        _require(block.heads == 1, f"attention with {block.heads} heads")
        _require(block.residual_connection, "attention that is not added to its input")
        _require(block.rescale_output_factor == 1, "attention that is rescaled")
        _require(block.spatial_norm is None, "attention with a spatial norm")
        _require(block.norm_q is None and block.norm_k is None, "attention with normed queries")
        _require(not block.fused_projections, "attention with fused projections")
        return block.group_norm, (block.to_q, block.to_k, block.to_v), block.to_out[0]

    def residual(self, block):
        require_class(block, "ResnetBlock2D")
        require_class(block.nonlinearity, "SiLU")
        _require(block.time_emb_proj is None, "a block takes a timestep")
        _require(block.upsample is None and block.downsample is None, "a block resamples")
        _require(block.output_scale_factor == 1, "a block is rescaled")
        return block.norm1, block.conv1, block.norm2, block.conv2, block.conv_shortcut


def _require(true: bool, reason: str) -> None:
    if not true:
        raise Declined(reason)


def require_class(module: torch.nn.Module, name: str) -> None:
    """Declines a part of another class."""
    found = type(module).__name__
    _require(found == name, f"a part is a {found}, not a {name}")
