"""The exact engine equals ComfyUI's own modules of the families with shuffles, narrow ones."""

from __future__ import annotations

import math
import sys

import comfy.latent_formats
import torch
from helpers import REPOSITORY, equal, need

sys.path[:0] = [str(REPOSITORY / part) for part in (".", "benchmarks", "tests/python")]

import comfy_env  # noqa: E402
from exact_cases import program_plans, run_exact  # noqa: E402

from truetile.families.program import Declined  # noqa: E402
from truetile.families.recognise import program_of  # noqa: E402


def with_weights(module: torch.nn.Module) -> torch.nn.Module:
    """ComfyUI's layers do not initialise themselves."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("gamma"):
            parameter.data = 1 + 0.1 * noise
        elif name.endswith("bias"):
            parameter.data = 0.1 * noise
        else:
            parameter.data = noise / math.sqrt(parameter[0].numel())
    return module.eval().requires_grad_(False)


def compare(module: torch.nn.Module, operation: str, source: torch.Tensor) -> None:
    reference = getattr(module, operation)(source)
    # What is streamed how is tested against diffusers' modules; here the names matter.
    for plan in program_plans(module, operation, source)[-1:]:
        equal(run_exact(module, operation, source, plan), reference)


def wan22(**changes) -> torch.nn.Module:
    from comfy.ldm.wan.vae2_2 import WanVAE

    config = {"dim": 8, "dec_dim": 12, "z_dim": 4, "num_res_blocks": 1}
    return with_weights(WanVAE(**(comfy_env.WAN22 | config | changes)))


def check_wan22_decodes_as_comfyui(vae, pack):
    module = wan22()
    for size in ((1, 7, 5), (2, 5, 3), (5, 3, 4)):
        compare(module, "decode", torch.randn(1, 4, *size))


def check_wan22_encodes_as_comfyui(vae, pack):
    module = wan22()
    for size in ((1, 112, 80), (5, 80, 48), (17, 48, 64)):
        compare(module, "encode", torch.rand(1, 3, *size) * 2 - 1)


def check_a_changed_wan22_is_declined(vae, pack):
    module = wan22()
    module.decoder.upsamples[0].avg_shortcut = torch.nn.Identity()
    try:
        program_of(module, "decode", still=False)
    except Declined as reason:
        assert "not built as expected" in str(reason), reason
    else:
        raise AssertionError("it was accepted")


def hunyuan15(**changes) -> torch.nn.Module:
    need(comfy.latent_formats, "HunyuanVideo15")
    config = {"block_out_channels": [8, 16, 16, 32, 32], "num_res_blocks": 1, "z_channels": 4}
    return with_weights(comfy_env.make_hunyuan15(comfy_env.HUNYUAN15 | config | changes))


def check_hunyuan15_decodes_as_comfyui(vae, pack):
    module = hunyuan15()
    for size in ((1, 7, 5), (2, 5, 3), (5, 3, 4)):
        compare(module, "decode", torch.randn(1, 4, *size))


def check_hunyuan15_encodes_as_comfyui(vae, pack):
    module = hunyuan15()
    for size in ((1, 112, 80), (5, 80, 48), (17, 48, 64)):
        compare(module, "encode", torch.rand(1, 3, *size) * 2 - 1)


def check_the_refiner_with_group_norms_is_declined(vae, pack):
    widths = [32, 32, 64, 64, 64]
    module = hunyuan15(refiner_vae=False, block_out_channels=widths)
    try:
        program_of(module, "decode", still=False)
    except Declined as reason:
        assert "group norms" in str(reason), reason
    else:
        raise AssertionError("it was accepted")


def served_exactly(vae, pack, family: str) -> None:
    """Decode, encode and stills of a comfy.sd.VAE: stock results, from the exact engine."""
    settings = pack.service.Settings()
    channels = vae.latent_channels
    for frames in (1, 3):
        given = torch.randn(1, channels, frames, 4, 6)
        ours, report = pack.service.decode(vae, given, settings)
        assert report.exact and report.plan.startswith(family), str(report)
        equal(ours, vae.decode(given))
        pixels = torch.rand(4 * frames - 3, 66, 96, 3)
        ours, report = pack.service.encode(vae, pixels, settings)
        assert report.exact and report.plan.startswith(family), str(report)
        equal(ours, vae.encode(pixels))


def check_a_wan22_vae_is_served_exactly(vae, pack):
    import comfy.sd
    from comfy.ldm.wan.vae2_2 import WanVAE

    config = {"dim": 8, "dec_dim": 12, "num_res_blocks": 1}
    weights = wan22(z_dim=48).state_dict()
    with comfy_env.narrow((WanVAE,), config):
        served_exactly(comfy.sd.VAE(sd=weights), pack, "Wan 2.2 5B")


def check_a_hunyuan15_vae_is_served_exactly(vae, pack):
    import comfy.sd
    from comfy.ldm.hunyuan_video.vae_refiner import Decoder, Encoder

    config = {"block_out_channels": [32, 32, 64, 64, 64], "num_res_blocks": 1}
    weights = hunyuan15(z_channels=32, **config).state_dict()
    with comfy_env.narrow((Encoder, Decoder), config):
        served_exactly(comfy.sd.VAE(sd=weights), pack, "HunyuanVideo 1.5 ")
