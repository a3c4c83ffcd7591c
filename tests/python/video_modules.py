"""Narrow video VAEs of diffusers with random weights; `changes` are of their configuration.

HunyuanVideo 1.0, whose norms want more, is in hunyuan10_cases.py.
"""

from __future__ import annotations

import torch


def wan(**changes) -> torch.nn.Module:
    """Wan 2.1."""
    return _made("AutoencoderKLWan", {"base_dim": 8, "num_res_blocks": 1, "z_dim": 4} | changes)


def qwen_image(**changes) -> torch.nn.Module:
    """Qwen-Image, built as Wan 2.1 is."""
    config = {"base_dim": 8, "num_res_blocks": 1, "z_dim": 4} | changes
    return _made("AutoencoderKLQwenImage", config)


def wan22(**changes) -> torch.nn.Module:
    """Wan 2.2 5B: residual, with patches of pixels."""
    config = {
        "decoder_base_dim": 12,
        "latents_mean": [0.0] * 4,
        "latents_std": [1.0] * 4,
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_spatial": 16,
    }
    return wan(**(config | changes))


def hunyuan15(**changes) -> torch.nn.Module:
    """HunyuanVideo 1.5."""
    config = {
        "latent_channels": 4,
        "block_out_channels": (8, 16, 16, 32, 32),
        "layers_per_block": 1,
    }
    return _made("AutoencoderKLHunyuanVideo15", config | changes)


def _made(kind: str, config: dict) -> torch.nn.Module:
    import diffusers

    torch.manual_seed(0)
    return getattr(diffusers, kind)(**config).eval().requires_grad_(False)
