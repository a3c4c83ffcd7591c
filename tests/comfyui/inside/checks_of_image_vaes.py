"""ComfyUI's AutoencoderKL modules and the exact engine, and SDXL's VAE as a node uses it."""

from __future__ import annotations

import sys

import comfy.latent_formats
import torch
from helpers import REPOSITORY, equal, need

sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "python")]

SMALL = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 32,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 32,
    "ch_mult": [1, 2, 2],
    "num_res_blocks": 1,
    "attn_resolutions": [],
    "dropout": 0.0,
}


def initialised(module):
    """ComfyUI's layers leave their memory as it was."""
    torch.manual_seed(0)
    for name, value in module.state_dict().items():
        if not value.is_floating_point():
            continue
        if value.dim() > 1:
            value.normal_(0.0, value[0].numel() ** -0.5)
        else:
            value.normal_(0.0, 0.1)
            if "norm" in name and name.endswith("weight"):
                value.add_(1.0)
    return module.eval().requires_grad_(False)


def engine_of(config):
    """AutoencodingEngine, the class without convolutions around the latents."""
    from comfy.ldm.models.autoencoder import AutoencodingEngine

    home = "comfy.ldm.modules.diffusionmodules.model."
    regularizer = "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"
    return AutoencodingEngine(
        regularizer_config={"target": regularizer},
        encoder_config={"target": home + "Encoder", "params": config},
        decoder_config={"target": home + "Decoder", "params": config},
    )


def modules():
    from comfy.ldm.models.autoencoder import AutoencoderKL

    yield initialised(AutoencoderKL(ddconfig=SMALL, embed_dim=4))
    yield initialised(AutoencoderKL(ddconfig=SMALL | {"num_res_blocks": 2}, embed_dim=6))
    yield initialised(engine_of(SMALL | {"z_channels": 16, "ch_mult": [1, 2]}))
    # Attention behind the blocks of a level, as in VQ models of the same class.
    yield initialised(AutoencoderKL(ddconfig=SMALL | {"attn_resolutions": [16]}, embed_dim=4))


def flux_2(**changes):
    """Packed and normalised latents."""
    from comfy.ldm.models.autoencoder import AutoencoderKL

    config = SMALL | {"batch_norm_latent": True} | changes
    module = initialised(
        AutoencoderKL(
            ddconfig=config, decoder_ddconfig=config | {"ch": 2 * config["ch"]}, embed_dim=4
        )
    )
    module.bn.running_mean.uniform_(-0.5, 0.5)
    module.bn.running_var.uniform_(0.5, 2.0)
    return module


def check_flux_2_packs_and_normalises_its_latents(vae, pack):
    from exact_cases import difference, program_for, run_program
    from kl_cases import pass_plans, picture

    need(comfy.latent_formats, "Flux2")
    module = flux_2()
    z = picture(16, 4, 5)
    want = module.decode(z[:, :, 0]).unsqueeze(2)
    program = program_for(module, "decode", z)
    assert program.family == "Flux.2"
    for plan in pass_plans(program, z):
        got = run_program(program, z, [plan])[0]
        assert difference(got, want) <= 1e-4 * float(want.abs().max().clamp(min=1)), plan
    x = picture(3, 32, 40)
    want = module.encode(x[:, :, 0]).unsqueeze(2)
    program = program_for(module, "encode", x)
    for plan in pass_plans(program, x):
        got = run_program(program, x, [plan])[0]
        assert difference(got, want) <= 1e-4 * float(want.abs().max().clamp(min=1)), plan


def check_modules_of_every_build_decode_and_encode_equally(vae, pack):
    from exact_cases import difference, program_for, run_program
    from kl_cases import pass_plans, picture

    for module in modules():
        levels = module.decoder.num_resolutions
        channels = getattr(module, "embed_dim", 16)
        z = picture(channels, 5, 7)
        want = module.decode(z[:, :, 0]).unsqueeze(2)
        program = program_for(module, "decode", z)
        for plan in pass_plans(program, z):
            got = run_program(program, z, [plan])[0]
            assert difference(got, want) <= 1e-4 * float(want.abs().max().clamp(min=1)), plan
        scale = 2 ** (levels - 1)
        x = picture(3, 5 * scale + 1, 7 * scale)
        want = module.encode(x[:, :, 0]).unsqueeze(2)
        program = program_for(module, "encode", x)
        for plan in pass_plans(program, x):
            got = run_program(program, x, [plan])[0]
            assert difference(got, want) <= 1e-4 * float(want.abs().max().clamp(min=1)), plan


def check_parts_that_are_not_known_are_declined(vae, pack):
    from comfy.ldm.models.autoencoder import AutoencoderKL

    from truetile.families.program import Declined
    from truetile.families.recognise import program_of

    module = AutoencoderKL(ddconfig=SMALL | {"tanh_out": True}, embed_dim=4)
    try:
        program_of(module.eval(), "decode", still=True)
    except Declined as declined:
        assert "ends in tanh" in str(declined), str(declined)
    else:
        raise AssertionError("accepted although it ends in tanh")


def check_sdxl_is_exact_through_a_node(vae, pack):
    import comfy.sd
    from comfy.ldm.models.autoencoder import AutoencoderKL

    config = SMALL | {"resolution": 256, "ch": 128, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2}
    weights = initialised(AutoencoderKL(ddconfig=config, embed_dim=4)).state_dict()
    sdxl = comfy.sd.VAE(sd=weights)
    wrapped = pack.wrapped_vae.wrap(sdxl, pack.service.Settings())
    z = torch.randn(2, 4, 7, 9, generator=torch.Generator().manual_seed(0))
    equal(wrapped.decode(z), sdxl.decode(z))
    assert wrapped.truetile_report.exact, wrapped.truetile_report
    pixels = torch.rand(1, 56, 72, 3, generator=torch.Generator().manual_seed(0))
    equal(wrapped.encode(pixels), sdxl.encode(pixels))
    assert wrapped.truetile_report.exact, wrapped.truetile_report
