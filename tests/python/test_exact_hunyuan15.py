"""The exact engine against diffusers' HunyuanVideo 1.5 module: clips, stills, odd sizes."""

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
from video_modules import hunyuan15

import truetile
from truetile.engine import selftest
from truetile.families.program import Declined
from truetile.families.recognise import program_of

pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def vae():
    return hunyuan15()


@pytest.mark.parametrize("size", [(1, 7, 5), (2, 5, 3), (3, 4, 6), (5, 3, 3)])
def test_decode_equals_the_module(vae, size) -> None:
    z = latents(*size)
    assert vae.decode(z).sample.shape[2:] == (4 * size[0] - 3, 16 * size[1], 16 * size[2])
    check_every_plan(vae, "decode", z)


@pytest.mark.parametrize("size", [(1, 112, 80), (5, 80, 48), (9, 64, 96), (17, 48, 48)])
def test_encode_equals_the_module(vae, size) -> None:
    check_every_plan(vae, "encode", pixels(*size))


@pytest.mark.parametrize(
    "changes",
    [
        {"layers_per_block": 2, "block_out_channels": (8, 8, 16, 16, 32)},
        {"block_out_channels": (8, 8, 16, 32), "spatial_compression_ratio": 8},
        {"temporal_compression_ratio": 8},
    ],
    ids=["other widths", "three levels", "time thrice"],
)
@pytest.mark.parametrize("frames", [1, 3])
def test_width_depth_and_time_come_from_the_module(changes, frames: int) -> None:
    module = hunyuan15(**changes)
    z = latents(frames, 3, 4)
    reference = module.decode(z).sample
    plan = program_plans(module, "decode", z)[-1]
    assert difference(run_exact(module, "decode", z, plan), reference) <= TOLERANCE
    x = pixels(reference.shape[2], *reference.shape[-2:])
    reference = module.encode(x).latent_dist.mode()
    plan = program_plans(module, "encode", x)[-1]
    assert difference(run_exact(module, "encode", x, plan), reference) <= TOLERANCE


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_half_precision_is_no_worse_than_the_module(dtype, operation: str) -> None:
    def run(module, source):
        if operation == "decode":
            return module.decode(source).sample.float()
        return module.encode(source).latent_dist.mode().float()

    # Enough values for a thousandth of them to say something.
    changes = {} if operation == "decode" else {"latent_channels": 16}
    source = latents(3, 6, 5) if operation == "decode" else pixels(9, 224, 192)
    reference = run(hunyuan15(**changes), source)
    half, source = hunyuan15(**changes).to(dtype), source.to(dtype)
    own = (run(half, source) - reference).abs().flatten()
    plan = program_plans(half, operation, source)[-1]
    ours = (run_exact(half, operation, source, plan) - reference).abs().flatten()
    assert ours.mean() <= 1.05 * own.mean()
    assert ours.quantile(0.999) <= 1.05 * own.quantile(0.999)


def test_auto_is_exact() -> None:
    selftest.forget()
    module, z = hunyuan15(), latents(3, 4, 3)
    result, report = truetile.decode(module, z)
    reference = (module.decode(z).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert difference(result, reference) <= TOLERANCE
    assert report.exact and report.work_factor == 1.0
    assert report.plan.startswith("HunyuanVideo 1.5 (frames see those before)")
    back, report = truetile.encode(module, result)
    reference = module.encode(result.movedim(-1, 1) * 2 - 1).latent_dist.mode()
    assert report.exact and difference(back, reference) <= TOLERANCE


@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_no_more_bytes_live_than_planned(vae, operation: str) -> None:
    source = latents(3, 8, 6) if operation == "decode" else pixels(9, 128, 96)
    check_live_bytes(vae, operation, source)


def test_what_is_not_built_as_expected_is_declined() -> None:
    module = hunyuan15()
    module.decoder.up_blocks[0].upsamplers[0] = torch.nn.Identity()
    with pytest.raises(Declined, match="not built as expected"):
        program_of(module, "decode", still=False)
    module.encoder.mid_block.attentions[0] = None
    with pytest.raises(Declined, match="not built as expected"):
        program_of(module, "encode", still=True)
