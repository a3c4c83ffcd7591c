"""The exact engine against diffusers' own modules: any size, length, strip and chunk."""

from __future__ import annotations

import pytest
import torch
from exact_cases import (
    TOLERANCE,
    check_every_plan,
    difference,
    latents,
    pixels,
    program_plans,
    run_exact,
    still_or_clip,
)
from video_modules import qwen_image, wan

from truetile.demo.port import use_onednn
from truetile.engine import cudnn, exact_segment
from truetile.families.program import Declined
from truetile.families.recognise import program_of

pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def vae():
    return wan()


# 1, 5, 9, 17 frames and 2 latents of a clip cut short; odd heights and widths of latents.
@pytest.mark.parametrize("size", [(1, 7, 5), (2, 5, 3), (3, 4, 6), (5, 3, 3)])
def test_decode_equals_the_module(vae, size) -> None:
    check_every_plan(vae, "decode", latents(*size), clamped=True)


@pytest.mark.parametrize("size", [(1, 56, 40), (5, 40, 24), (9, 32, 48), (17, 24, 24)])
def test_encode_equals_the_module(vae, size) -> None:
    check_every_plan(vae, "encode", pixels(*size))


@pytest.fixture
def uninitialised_is_nan():
    torch.use_deterministic_algorithms(True)  # fills new memory with NaN
    yield
    torch.use_deterministic_algorithms(False)


# On CUDA some strips are convolved with more rows than they have.
@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_rows_beyond_a_strip_reach_nothing(
    vae, operation, monkeypatch, uninitialised_is_nan
) -> None:
    rounded = []

    def noting(*args):
        rounded.append(cudnn.rounded_heights(*args))
        return rounded[-1]

    monkeypatch.setattr(cudnn, "chooses", lambda device: True)
    monkeypatch.setattr(exact_segment, "rounded_heights", noting)
    if operation == "decode":
        check_every_plan(vae, "decode", latents(3, 9, 6), clamped=True)
    else:
        check_every_plan(vae, "encode", pixels(9, 72, 48))
    assert any(height < most for one in rounded for height, most in one.items())


@pytest.mark.parametrize(
    "make",
    [
        qwen_image,
        lambda: wan(base_dim=4, num_res_blocks=2, dim_mult=[1, 1, 2, 3]),
        lambda: wan(temperal_downsample=[True, True, True]),
        lambda: wan(temperal_downsample=[False, False, False]),
    ],
    ids=["qwen-image", "other widths", "time in all", "time in none"],
)
@pytest.mark.parametrize("latent_frames", [1, 3])
def test_width_depth_and_time_come_from_the_module(make, latent_frames: int) -> None:
    module = make()
    z = latents(latent_frames, 3, 4)
    reference = module.decode(z).sample
    plan = program_plans(module, "decode", z)[-1]
    assert difference(run_exact(module, "decode", z, plan).clamp(-1, 1), reference) <= TOLERANCE
    if latent_frames > 1 and sum(module.config.temperal_downsample) != 2:
        with pytest.raises(Declined, match="frames a latent: must be 4"):
            program_of(module, "encode", still=False)
        return
    x = pixels(reference.shape[2], *reference.shape[-2:])
    reference = module.encode(x).latent_dist.mode()
    plan = program_plans(module, "encode", x)[-1]
    assert difference(run_exact(module, "encode", x, plan), reference) <= TOLERANCE


def test_the_error_at_strip_borders_is_that_of_elsewhere(vae) -> None:
    z = latents(2, 8, 6)
    exact = wan().double()
    reference = exact.decode(z.double()).sample
    plan = next(p for p in program_plans(vae, "decode", z) if p.segments[-1].rows == 8)
    error = (run_exact(vae, "decode", z, plan).clamp(-1, 1) - reference).abs()[0].mean((0, 1, 3))
    near = torch.zeros(error.shape[0], dtype=torch.bool)
    for border in range(8, error.shape[0], 8):
        near[border - 2 : border + 2] = True
    assert error[near].mean() <= 1.5 * error[~near].mean()
    # oneDNN on both sides: torch's other kernel for small clips adds up in another order.
    same = wan()
    use_onednn(same)
    untiled = (same.decode(z).sample - reference).abs().mean()
    assert error.mean() <= 1.2 * untiled


@pytest.mark.parametrize(
    ("dtype", "latent_frames"),
    [(torch.bfloat16, 1), (torch.bfloat16, 2), (torch.float16, 1)],
)
def test_half_precision_is_no_worse_than_the_module(dtype, latent_frames: int) -> None:
    full, half = wan(), wan().to(dtype)
    own, ours = [], []
    # The rarest thousandth decides a 99.9th percentile: enough values make it certain to a few %.
    for seed in range(8 // latent_frames**2):
        z = torch.randn(1, 4, latent_frames, 20, 20, generator=torch.Generator().manual_seed(seed))
        reference = full.decode(z).sample
        own.append((half.decode(z.to(dtype)).sample.float() - reference).abs().flatten())
        plan = program_plans(half, "decode", z.to(dtype))[-1]
        result = run_exact(half, "decode", z.to(dtype), plan).clamp(-1, 1)
        ours.append((result - reference).abs().flatten())
    own, ours = torch.cat(own), torch.cat(ours)
    assert ours.mean() <= 1.05 * own.mean()
    assert ours.quantile(0.999) <= 1.05 * own.quantile(0.999)


def test_a_still_is_a_clip_of_one_frame(vae) -> None:
    z = latents(1, 4, 5)
    still, clip = (still_or_clip(vae, z, still) for still in (True, False))
    assert difference(still, clip) <= 1e-5
