"""Full-width VAEs without weights, by name: what a plan depends on is their structure only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument

if TYPE_CHECKING:
    import torch

_WAN22_CHANNELS = 48


def _image(latent_channels: int, **changes: Any) -> tuple[str, dict[str, Any]]:
    return "AutoencoderKL", {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "latent_channels": latent_channels,
        **changes,
    }


_CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "wan2.1": ("AutoencoderKLWan", {}),
    "qwen-image": ("AutoencoderKLQwenImage", {}),
    "wan2.2": (
        "AutoencoderKLWan",
        {
            "base_dim": 160,
            "decoder_base_dim": 256,
            "z_dim": _WAN22_CHANNELS,
            "is_residual": True,
            "patch_size": 2,
            "in_channels": 12,
            "out_channels": 12,
            "scale_factor_spatial": 16,
            "latents_mean": [0.0] * _WAN22_CHANNELS,
            "latents_std": [1.0] * _WAN22_CHANNELS,
        },
    ),
    "hunyuan1.0": ("AutoencoderKLHunyuanVideo", {}),
    "hunyuan1.5": ("AutoencoderKLHunyuanVideo15", {}),
    "sdxl": _image(4),
    "flux": _image(16, use_quant_conv=False, use_post_quant_conv=False),
}
NAMES = tuple(_CLASSES)


def empty_vae(name: str) -> torch.nn.Module:
    """The diffusers module of a family, on the meta device.

    Raises InvalidArgument for a name that is not in NAMES.
    """
    import diffusers
    import torch

    if name not in _CLASSES:
        raise InvalidArgument(f"family={name}: must be one of {', '.join(NAMES)}")
    kind, config = _CLASSES[name]
    build: Callable[..., torch.nn.Module] = getattr(diffusers, kind)
    with torch.device("meta"):
        return build(**config).eval()
