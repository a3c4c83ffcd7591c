"""VAEs with group norms on CUDA: equal to diffusers' modules, in the bytes that plans name."""

from __future__ import annotations

import pytest
import torch
from exact_cases import (
    check_allocated,
    clip_size,
    difference,
    module_result,
    program_for,
    run_program,
)
from kl_cases import FULL, kl_module, pass_plans, picture

from truetile.stream import candidates

pytest.importorskip("diffusers")
pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("full_float32")]

SMALL = {"block_out_channels": (64, 128), "norm_num_groups": 32}
FAMILIES = {
    "sd": SMALL,
    "flux.1": SMALL | {"use_quant_conv": False, "use_post_quant_conv": False},
    "flux.2": SMALL | {"kind": "AutoencoderKLFlux2", "decoder_block_out_channels": (64, 192)},
}


@pytest.fixture(params=FAMILIES)
def module(request):
    return kl_module(**FAMILIES[request.param]).cuda()


def source_for(operation: str, rows: int, columns: int) -> torch.Tensor:
    if operation == "decode":
        return picture(4, rows, columns).cuda()
    return picture(3, 2 * rows + 1, 2 * columns).cuda()


@pytest.mark.parametrize("operation", ["decode", "encode"])
@pytest.mark.parametrize("size", [(9, 7), (24, 31)])
def test_float32_equals_the_module(module, operation: str, size) -> None:
    source = source_for(operation, *size)
    want = module_result(module, operation, source).cpu()
    program = program_for(module, operation, source)
    for plan in pass_plans(program, source):
        got = run_program(program, source, [plan])[0]
        assert difference(got, want) <= 1e-4, plan.segments


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_half_precision_is_no_worse_than_the_module(module, operation: str, dtype) -> None:
    source = source_for(operation, 64, 48)
    want = module_result(module, operation, source).cpu()
    half, source = module.to(dtype), source.to(dtype)
    own = (module_result(half, operation, source).float().cpu() - want).abs().flatten()
    program = program_for(half, operation, source)
    plans = pass_plans(program, source)
    for plan in (plans[0], plans[1], plans[3]):
        ours = (run_program(program, source, [plan])[0] - want).abs().flatten()
        assert ours.mean() <= 1.05 * own.mean()
        assert ours.quantile(0.999) <= 1.05 * own.quantile(0.999)


@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_no_more_is_allocated_than_planned(operation: str) -> None:
    """Full width, 1024 x 1024: the fastest plan, the smallest and some between them."""
    module = kl_module(**FULL).to("cuda", torch.bfloat16)
    size = (4, 128, 128) if operation == "decode" else (3, 1024, 1024)
    source = picture(*size).to("cuda", torch.bfloat16)
    program = program_for(module, operation, source)
    plans = candidates(program.shapes, clip_size(source), 2)
    for plan in [*plans[:: max(1, len(plans) // 6)], plans[-1]]:
        check_allocated(program, source, plan)
