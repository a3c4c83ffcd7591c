"""The exact engine against diffusers' residual Wan module (2.2 5B): clips, stills, odd sizes."""

from __future__ import annotations

import pytest
import torch
from exact_cases import (
    TOLERANCE,
    check_every_plan,
    check_live_bytes,
    difference,
    latents,
    pixels,
    program_plans,
    run_exact,
)
from video_modules import wan22

import truetile
from truetile.engine import selftest
from truetile.families.program import Declined
from truetile.families.recognise import program_of

pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def vae():
    return wan22()


@pytest.mark.parametrize("size", [(1, 7, 5), (2, 5, 3), (3, 4, 6), (5, 3, 3)])
def test_decode_equals_the_module(vae, size) -> None:
    z = latents(*size)
    assert vae.decode(z).sample.shape[2:] == (4 * size[0] - 3, 16 * size[1], 16 * size[2])
    check_every_plan(vae, "decode", z, clamped=True)


@pytest.mark.parametrize("size", [(1, 112, 80), (5, 80, 48), (9, 64, 96), (17, 48, 48)])
def test_encode_equals_the_module(vae, size) -> None:
    check_every_plan(vae, "encode", pixels(*size))


@pytest.mark.parametrize(
    "changes",
    [
        {"num_res_blocks": 2, "dim_mult": [1, 2, 2, 1], "base_dim": 4, "decoder_base_dim": 4},
        {"temperal_downsample": [True, True, False]},
        {"in_channels": 16, "out_channels": 16},
        {"in_channels": 3, "out_channels": 3, "patch_size": None, "scale_factor_spatial": 8},
    ],
    ids=["other widths", "time first", "RGBA", "no patches"],
)
@pytest.mark.parametrize("frames", [1, 3])
def test_width_depth_and_patches_come_from_the_module(changes, frames: int) -> None:
    module = wan22(**changes)
    z = latents(frames, 3, 4)
    reference = module.decode(z).sample
    plan = program_plans(module, "decode", z)[-1]
    assert difference(run_exact(module, "decode", z, plan).clamp(-1, 1), reference) <= TOLERANCE
    x = pixels(4 * frames - 3, *reference.shape[-2:], channels=reference.shape[1])
    reference = module.encode(x).latent_dist.mode()
    plan = program_plans(module, "encode", x)[-1]
    assert difference(run_exact(module, "encode", x, plan), reference) <= TOLERANCE


def without_time(module: torch.nn.Module) -> torch.nn.Module:
    """The module for images only: kernels of one frame."""
    for part in module.modules():
        if isinstance(part, torch.nn.Conv3d) and part.kernel_size == (3, 3, 3):
            part.weight = torch.nn.Parameter(part.weight[:, :, -1:], requires_grad=False)
            part.kernel_size, part._padding = (1, 3, 3), (*part._padding[:4], 0, 0)
    return module


def test_kernels_of_one_frame(vae) -> None:
    module = without_time(wan22())
    z, x = latents(1, 4, 3), pixels(1, 64, 48)
    reference = module.decode(z).sample
    assert difference(reference, vae.decode(z).sample) <= 1e-5, "a still needs no others"
    plan = program_plans(module, "decode", z)[-1]
    assert difference(run_exact(module, "decode", z, plan).clamp(-1, 1), reference) <= TOLERANCE
    plan = program_plans(module, "encode", x)[-1]
    reference = module.encode(x).latent_dist.mode()
    assert difference(run_exact(module, "encode", x, plan), reference) <= TOLERANCE


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_half_precision_is_no_worse_than_the_module(dtype, operation: str) -> None:
    def run(module, source):
        if operation == "decode":
            return module.decode(source).sample.float()
        return module.encode(source).latent_dist.mode().float()

    # Enough values for a thousandth of them to say something.
    changes = {"z_dim": 16, "latents_mean": [0.0] * 16, "latents_std": [1.0] * 16}
    changes = {} if operation == "decode" else changes
    source = latents(3, 6, 5) if operation == "decode" else pixels(9, 224, 192)
    reference = run(wan22(**changes), source)
    half, source = wan22(**changes).to(dtype), source.to(dtype)
    own = (run(half, source) - reference).abs().flatten()
    plan = program_plans(half, operation, source)[-1]
    result = run_exact(half, operation, source, plan)
    ours = ((result.clamp(-1, 1) if operation == "decode" else result) - reference).abs().flatten()
    assert ours.mean() <= 1.05 * own.mean()
    assert ours.quantile(0.999) <= 1.05 * own.quantile(0.999)


@pytest.mark.parametrize("channels", [3, 4])
def test_auto_is_exact(channels: int) -> None:
    selftest.forget()
    module = wan22(in_channels=4 * channels, out_channels=4 * channels)
    z = torch.cat([latents(3, 4, 3), latents(3, 4, 3) / 2])
    result, report = truetile.decode(module, z)
    reference = (module.decode(z).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert difference(result, reference) <= TOLERANCE
    assert report.exact and report.work_factor == 1.0 and report.plan.startswith("Wan 2.2 5B")
    back, report = truetile.encode(module, result)
    reference = module.encode(result.movedim(-1, 1) * 2 - 1).latent_dist.mode()
    assert report.exact and difference(back, reference) <= TOLERANCE


def test_what_is_not_built_as_expected_is_declined() -> None:
    module = wan22(temperal_downsample=[True, True, True])
    with pytest.raises(Declined, match="8 frames a latent: must be 4"):
        program_of(module, "encode", still=False)
    module.decoder.up_blocks[0].avg_shortcut = torch.nn.Identity()
    with pytest.raises(Declined, match="not built as expected"):
        program_of(module, "decode", still=False)
    module.decoder.up_blocks[0] = torch.nn.Identity()
    with pytest.raises(Declined, match="not built as expected"):
        program_of(module, "decode", still=True)
    module = wan22()
    module.encoder.down_blocks[0].avg_shortcut.factor_t = 3
    with pytest.raises(Declined, match="AvgDown3D over 3 frames is not known"):
        program_of(module, "encode", still=True)


@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_no_more_bytes_live_than_planned(vae, operation: str) -> None:
    source = latents(3, 8, 6) if operation == "decode" else pixels(9, 128, 96)
    check_live_bytes(vae, operation, source)
