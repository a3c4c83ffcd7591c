"""The embedded demo VAE: a narrow Wan 2.1 autoencoder in one file of at most 8 MB.

The file keeps the key names of the original Wan checkpoint, which are also those of ComfyUI, so
that ComfyUI's own ``VAELoader`` reads it. ``diffusers`` names the same weights differently; this
module holds the translation in both directions.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from diffusers import AutoencoderKLWan

#: The asset as it lies in a checkout; an installed wheel does not carry it.
DEFAULT_PATH = Path(__file__).resolve().parents[2] / "assets" / "demo_vae.safetensors"

Z_DIM = 16
#: The decoder repeats three residual blocks and one upsampler per level; Wan numbers them flat.
_DECODER_STAGE = 4

# Applied in this order; every rule rewrites one part of a diffusers key.
_TO_WAN: tuple[tuple[str, Any], ...] = (
    (r"^quant_conv\.", "conv1."),
    (r"^post_quant_conv\.", "conv2."),
    (r"\.conv_in\.", ".conv1."),
    (r"\.norm_out\.", ".head.0."),
    (r"\.conv_out\.", ".head.2."),
    (r"\.mid_block\.resnets\.(\d)\.", lambda m: f".middle.{2 * int(m[1])}."),
    (r"\.mid_block\.attentions\.0\.", ".middle.1."),
    (r"\.down_blocks\.", ".downsamples."),
    (
        r"\.up_blocks\.(\d)\.resnets\.(\d)\.",
        lambda m: f".upsamples.{_DECODER_STAGE * int(m[1]) + int(m[2])}.",
    ),
    (
        r"\.up_blocks\.(\d)\.upsamplers\.0\.",
        lambda m: f".upsamples.{_DECODER_STAGE * int(m[1]) + _DECODER_STAGE - 1}.",
    ),
    (r"\.conv_shortcut\.", ".shortcut."),
)
# Inside a residual block the original is one nn.Sequential, so its layers have numbers only.
_IN_BLOCK = {"norm1": "residual.0", "conv1": "residual.2", "norm2": "residual.3"}
_IN_BLOCK["conv2"] = "residual.6"
_BLOCK = re.compile(r"\.(middle|downsamples|upsamples)\.(\d+)\.(norm1|conv1|norm2|conv2)\.")


def wan_key(diffusers_key: str) -> str:
    """Return the original Wan (and ComfyUI) name of a key of ``AutoencoderKLWan``."""
    key = diffusers_key
    for pattern, replacement in _TO_WAN:
        key = re.sub(pattern, replacement, key)
    return _BLOCK.sub(lambda m: f".{m[1]}.{m[2]}.{_IN_BLOCK[m[3]]}.", key)


def new_demo_vae(base_dim: int = 16) -> AutoencoderKLWan:
    """Build an untrained Wan 2.1 autoencoder of the given width.

    Args:
        base_dim: channels of the full-resolution levels; the released Wan 2.1 VAE has 96.
    """
    from diffusers import AutoencoderKLWan

    # The latents of this VAE have unit scale themselves, so a pipeline must not rescale them.
    return AutoencoderKLWan(
        base_dim=base_dim, z_dim=Z_DIM, latents_mean=[0.0] * Z_DIM, latents_std=[1.0] * Z_DIM
    )


def to_wan_state_dict(vae: AutoencoderKLWan) -> dict[str, torch.Tensor]:
    """Return the weights of a diffusers Wan VAE under the original key names."""
    return {wan_key(key): value for key, value in vae.state_dict().items()}


def load_demo_vae(path: str | Path = DEFAULT_PATH) -> AutoencoderKLWan:
    """Load a Wan 2.1 VAE file with the original key names into diffusers, in float32 on the CPU.

    The width is read from ``decoder.head.0.gamma``, as ComfyUI does, so the same call reads the
    released 96-channel VAE.

    Args:
        path: a ``.safetensors`` file with the key names of Wan and ComfyUI.

    Raises:
        ValueError: if the file does not hold a Wan 2.1 VAE.
    """
    from safetensors.torch import load_file

    weights = load_file(str(path))
    if "decoder.head.0.gamma" not in weights:
        raise ValueError(f"path: {path} has no decoder.head.0.gamma, so it is no Wan 2.1 VAE")
    vae = new_demo_vae(weights["decoder.head.0.gamma"].shape[0])
    # Keys are looked up from the module's side: a missing one is named, a surplus one is counted.
    own = {key: wan_key(key) for key in vae.state_dict()}
    missing = [name for name in own.values() if name not in weights]
    surplus = sorted(set(weights) - set(own.values()))
    if missing or surplus:
        raise ValueError(
            f"path: {path} does not fit AutoencoderKLWan: missing {missing[:3]}, "
            f"unexpected {surplus[:3]} ({len(missing)} and {len(surplus)} in all)"
        )
    vae.load_state_dict({key: weights[name].float() for key, name in own.items()})
    return vae.eval().requires_grad_(False)
