"""The exact engine equals ComfyUI's own modules of every family at sizes that people use."""

from __future__ import annotations

import functools
from unittest import mock

import comfy.latent_formats
import torch
from checks_of_exact_video import hunyuan10, hunyuan15, wan22, with_weights
from checks_of_image_vaes import SMALL, engine_of, flux_2, initialised
from comfy.ldm.modules.diffusionmodules.model import Normalize
from helpers import equal, need
from size_cases import LARGE_STILLS, LONG, by_middle_plan, source_for

# Of group norms in a module that is made within, which has 32 otherwise, in as many channels.
few_groups = functools.partial(mock.patch.object, Normalize, "__defaults__", (4,))
NARROW = {"ch": 8, "ch_mult": [1, 1, 2, 2]}


def compare(module: torch.nn.Module, sizes, edge: int = 8, unit: int = 1, image: bool = False):
    """`edge`, `unit`: as in `source_for`. Modules of images know no frames."""
    for size in sizes:
        for operation in ("decode", "encode"):
            source = source_for(module, operation, size, edge, unit)
            given = source[:, :, 0] if image else source
            reference = getattr(module, operation)(given)
            reference = reference.unsqueeze(2) if image else reference
            equal(by_middle_plan(module, operation, source), reference)


def check_wan21_and_qwen_image_equal_comfyui_at_sizes(vae, pack):
    from comfy.ldm.wan.vae import WanVAE

    config = {"dim": 4, "z_dim": 4, "num_res_blocks": 1}
    module = WanVAE(**config, temperal_downsample=[False, True, True])
    compare(with_weights(module), LARGE_STILLS + LONG)


def check_wan22_equals_comfyui_at_sizes(vae, pack):
    compare(wan22(), LARGE_STILLS + LONG, edge=16, unit=16)


def check_hunyuan10_equals_comfyui_at_sizes(vae, pack):
    with few_groups():
        module = hunyuan10(**NARROW)
    compare(module, LARGE_STILLS + LONG)


def check_hunyuan15_equals_comfyui_at_sizes(vae, pack):
    compare(hunyuan15(block_out_channels=[4, 4, 8, 8, 8]), LARGE_STILLS + LONG, edge=16, unit=16)


def check_sd_and_sdxl_equal_comfyui_at_sizes(vae, pack):
    from comfy.ldm.models.autoencoder import AutoencoderKL

    with few_groups():
        module = initialised(AutoencoderKL(ddconfig=SMALL | NARROW, embed_dim=4))
    compare(module, LARGE_STILLS, image=True)


def check_sd3_flux_1_and_z_image_equal_comfyui_at_sizes(vae, pack):
    with few_groups():
        module = initialised(engine_of(SMALL | NARROW | {"z_channels": 16}))
    compare(module, LARGE_STILLS, image=True)


def check_flux_2_equals_comfyui_at_sizes(vae, pack):
    need(comfy.latent_formats, "Flux2")
    with few_groups():
        module = flux_2(**NARROW)
    compare(module, LARGE_STILLS, edge=16, unit=16, image=True)
