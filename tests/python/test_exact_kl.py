"""VAEs with group norms against diffusers' own modules: any size, any plan."""

from __future__ import annotations

import pytest
import torch
from exact_cases import TOLERANCE, difference, module_result, program_for, run_program
from kl_cases import kl_module, pass_plans, picture

from truetile.families.program import Declined
from truetile.families.recognise import program_of

pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def vae():
    return kl_module()


def decoded(module, z: torch.Tensor) -> torch.Tensor:
    return module_result(module, "decode", z)


def encoded(module, x: torch.Tensor) -> torch.Tensor:
    return module_result(module, "encode", x)


def run(module, operation: str, source: torch.Tensor, plan) -> torch.Tensor:
    return run_program(program_for(module, operation, source), source, [plan])[0]


@pytest.mark.parametrize("size", [(7, 5), (1, 3), (12, 9)])
def test_decode_equals_the_module(vae, size) -> None:
    z = picture(4, *size)
    want = decoded(vae, z)
    for plan in pass_plans(program_for(vae, "decode", z), z):
        assert difference(run(vae, "decode", z, plan), want) <= TOLERANCE, plan.segments


@pytest.mark.parametrize("size", [(14, 10), (9, 16), (31, 7)])
def test_encode_equals_the_module(vae, size) -> None:
    x = picture(3, *size)
    want = encoded(vae, x)
    for plan in pass_plans(program_for(vae, "encode", x), x):
        assert difference(run(vae, "encode", x, plan), want) <= TOLERANCE, plan.segments


@pytest.mark.parametrize(
    "changes",
    [
        {"use_quant_conv": False, "use_post_quant_conv": False},
        {"block_out_channels": (8, 16, 24, 24), "layers_per_block": 2},
        {"block_out_channels": (12,), "norm_num_groups": 3},
        {"mid_block_add_attention": False},
        {"kind": "AutoencoderKLFlux2", "decoder_block_out_channels": (12, 20)},
    ],
    ids=["no quant convolutions", "four levels", "one level", "no attention", "flux.2"],
)
def test_width_and_depth_come_from_the_module(changes) -> None:
    module = kl_module(**changes)
    z = picture(4, 5, 3)
    want = decoded(module, z)
    plans = pass_plans(program_for(module, "decode", z), z)
    x = picture(3, *want.shape[-2:])
    for plan in (plans[0], plans[-1]):
        assert difference(run(module, "decode", z, plan), want) <= TOLERANCE
    plans = pass_plans(program_for(module, "encode", x), x)
    for plan in (plans[0], plans[-1]):
        assert difference(run(module, "encode", x, plan), encoded(module, x)) <= TOLERANCE


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_half_precision_is_no_worse_than_the_module(dtype, operation: str) -> None:
    wide = {"block_out_channels": (64, 128)}  # in few channels one rounding more or less shows
    size = (4, 20, 16) if operation == "decode" else (3, 40, 32)
    # Of one latent the 99.9th percentile is a single value. A picture has three times as many.
    sources = [picture(*size, seed) for seed in range(8 if operation == "decode" else 24)]
    call = decoded if operation == "decode" else encoded
    full, half = kl_module(**wide), kl_module(**wide).to(dtype)

    def errors(result) -> torch.Tensor:
        found = [(result(x.to(dtype)).float() - call(full, x)).abs().flatten() for x in sources]
        return torch.cat(found)

    own = errors(lambda x: call(half, x))
    plans = pass_plans(program_for(half, operation, sources[0]), sources[0].to(dtype))
    for plan in (plans[0], plans[len(plans) // 2], plans[-1]):
        ours = errors(lambda x, plan=plan: run(half, operation, x, plan))
        assert ours.mean() <= 1.05 * own.mean()
        assert ours.quantile(0.999) <= 1.05 * own.quantile(0.999)


def test_the_error_at_strip_borders_is_that_of_elsewhere(vae) -> None:
    z = picture(4, 24, 10)
    exact = kl_module().double()
    want = decoded(exact, z.double())
    plan = next(p for p in pass_plans(program_for(vae, "decode", z), z) if p.segments[-1].rows == 8)
    error = (run(vae, "decode", z, plan) - want).abs()[0].mean((0, 1, 3))
    near = torch.zeros(error.shape[0], dtype=torch.bool)
    for border in range(8, error.shape[0], 8):
        near[border - 2 : border + 2] = True
    assert error[near].mean() <= 1.5 * error[~near].mean()
    untiled = (decoded(vae, z) - want).abs().mean()
    assert error.mean() <= 1.2 * untiled


def test_moments_are_exact_far_from_zero() -> None:
    """A mean of a thousand deviations: sums of squares would lose the variance altogether."""
    module = kl_module(mid_block_add_attention=False)
    module.decoder.conv_in.bias += 1000.0
    z = picture(4, 16, 8)
    exact = kl_module(mid_block_add_attention=False).double()
    exact.decoder.conv_in.bias += 1000.0
    want = decoded(exact, z.double())
    own = (decoded(module, z) - want).abs().max()
    plan = pass_plans(program_for(module, "decode", z), z)[-1]
    assert difference(run(module, "decode", z, plan).double(), want) <= max(TOLERANCE, 1.5 * own)


def test_what_is_not_known_is_declined(vae) -> None:
    with pytest.raises(Declined, match="single images"):
        program_of(vae, "decode", still=False)
    module = kl_module()
    module.decoder.conv_in.padding_mode = "circular"
    with pytest.raises(Declined, match="padding_mode='circular'"):
        program_of(module, "decode", still=True)
    module = kl_module()
    module.decoder.mid_block.attentions[0].heads = 2
    with pytest.raises(Declined, match="2 heads"):
        program_of(module, "decode", still=True)
    module = kl_module(act_fn="gelu")
    with pytest.raises(Declined, match="GELU, not a SiLU"):
        program_of(module, "encode", still=True)
