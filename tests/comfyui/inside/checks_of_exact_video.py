"""The exact engine equals ComfyUI's own modules of the families with shuffles, narrow ones."""

from __future__ import annotations

import math
import sys

import comfy.latent_formats
import torch
from helpers import REPOSITORY, equal, need

sys.path[:0] = [str(REPOSITORY / part) for part in (".", "benchmarks", "tests/python")]

import comfy_env  # noqa: E402
from exact_cases import (  # noqa: E402
    clip_size,
    program_for,
    program_plans,
    run_exact,
    run_program,
)

from truetile.engine.exact_planning import plans_for  # noqa: E402
from truetile.families.program import Declined  # noqa: E402
from truetile.families.recognise import program_of  # noqa: E402


def with_weights(module: torch.nn.Module) -> torch.nn.Module:
    """ComfyUI's layers do not initialise themselves."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("gamma") or (".norm" in name and name.endswith("weight")):
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
    declined(module, "not built as expected")


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
    declined(hunyuan15(refiner_vae=False, block_out_channels=widths), "group norms")


def hunyuan10(**changes) -> torch.nn.Module:
    from comfy.ldm.models.autoencoder import AutoencoderKL

    config = {"ch": 32, "ch_mult": [1, 1, 2, 2], "num_res_blocks": 1, "z_channels": 4}
    config = comfy_env.HUNYUAN10 | config | changes
    return with_weights(AutoencoderKL(ddconfig=config, embed_dim=config["z_channels"]))


def compare_spans(module: torch.nn.Module, operation: str, source: torch.Tensor) -> None:
    """Spans of frames with norms of their own: only ComfyUI's module is the reference for these."""
    reference = getattr(module, operation)(source)
    program = program_for(module, operation, source)
    # ComfyUIs of 2025 took the whole clip.
    assert (program.roll is not None) == getattr(module.decoder, "carried", False)
    plans = plans_for(program, clip_size(source), 4, source.device)
    for plan in {plans[0], plans[len(plans) // 2], plans[-1]}:
        equal(run_program(program, source, [plan])[0], reference)


def check_hunyuan10_decodes_as_comfyui(vae, pack):
    module = hunyuan10()
    for size in ((1, 7, 5), (2, 5, 3), (3, 4, 5), (5, 3, 4), (9, 2, 3)):
        compare_spans(module, "decode", torch.randn(1, 4, *size))


def check_hunyuan10_encodes_as_comfyui(vae, pack):
    module = hunyuan10()
    for size in ((1, 56, 40), (5, 37, 27), (9, 40, 24), (17, 32, 25), (33, 16, 24)):
        compare_spans(module, "encode", torch.rand(1, 3, *size) * 2 - 1)


def check_width_depth_and_time_of_hunyuan10_come_from_the_module(vae, pack):
    for changes in ({"num_res_blocks": 2, "ch_mult": [1, 2, 1, 3]}, {"time_compress": 2}):
        module = hunyuan10(**changes)
        compare_spans(module, "decode", torch.randn(1, 4, 3, 4, 3))
        compare_spans(module, "encode", torch.rand(1, 3, 9, 24, 32) * 2 - 1)


def check_hunyuan10_without_spans_takes_the_whole_clip(vae, pack):
    """As in ComfyUIs of 2025, and where attention is asked for at a resolution that is not met."""
    module = hunyuan10(attn_resolutions=[7])
    compare_spans(module, "decode", torch.randn(1, 4, 5, 3, 4))
    compare_spans(module, "encode", torch.rand(1, 3, 17, 37, 27) * 2 - 1)


def check_a_changed_hunyuan10_is_declined(vae, pack):
    module = hunyuan10()
    module.decoder.up[2].upsample.with_conv = False
    declined(module, "has no convolution")
    module = hunyuan10(attn_resolutions=[128])
    declined(module, "attention outside of its middle")


def declined(module: torch.nn.Module, reason: str) -> None:
    try:
        program_of(module, "decode", still=False)
    except Declined as found:
        assert reason in str(found), found
    else:
        raise AssertionError("it was accepted")


def check_a_hunyuan10_vae_is_served_exactly(vae, pack):
    import comfy.sd
    from comfy.ldm.modules.diffusionmodules.model import Decoder, Encoder

    config = {"ch": 32, "ch_mult": [1, 1, 2, 2], "num_res_blocks": 1}
    weights = hunyuan10(z_channels=16, **config).state_dict()
    with comfy_env.narrow((Encoder, Decoder), config):
        served_exactly(comfy.sd.VAE(sd=weights), pack, "HunyuanVideo 1.0 (as ComfyUI)")


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
