"""HunyuanVideo 1.0 on CUDA, over whole clips and in spans, in the bytes that plans name."""

from __future__ import annotations

import pytest
import torch
from exact_cases import (
    check_allocated,
    clip_size,
    difference,
    latents,
    module_result,
    pixels,
    program_for,
    run_program,
)
from hunyuan10_cases import by_spans, hunyuan10, plans_of, rolled

from truetile.engine.exact_planning import plans_for

pytest.importorskip("diffusers")
pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("full_float32")]

SMALL = {"block_out_channels": (32, 64, 64, 64), "layers_per_block": 2, "norm_num_groups": 32}
FULL = {
    "latent_channels": 16,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "norm_num_groups": 32,
}


def source_for(operation: str, frames: int, rows: int, columns: int) -> torch.Tensor:
    if operation == "decode":
        return latents(frames, rows, columns).cuda()
    return pixels(4 * frames - 3, 8 * rows + 1, 8 * columns).cuda()


def result_of(module, operation: str, source: torch.Tensor, spans: bool) -> torch.Tensor:
    made = (by_spans if spans else module_result)(module, operation, source)
    return made.float().cpu()


def program_of_kind(module, operation: str, source: torch.Tensor, spans: bool):
    program = program_for(module, operation, source)
    return rolled(program) if spans else program


@pytest.mark.parametrize("operation", ["decode", "encode"])
@pytest.mark.parametrize("spans", [False, True], ids=["whole clip", "spans"])
@pytest.mark.parametrize("size", [(1, 9, 7), (5, 12, 15)])
def test_float32_equals_the_module(operation: str, spans: bool, size) -> None:
    module, source = hunyuan10(**SMALL).cuda(), source_for(operation, *size)
    want = result_of(module, operation, source, spans)
    program = program_of_kind(module, operation, source, spans)
    for plan in plans_of(program, source):
        got = run_program(program, source, [plan])[0]
        assert difference(got, want) <= 1e-4, plan.segments


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("operation", ["decode", "encode"])
@pytest.mark.parametrize("spans", [False, True], ids=["whole clip", "spans"])
def test_half_precision_is_no_worse_than_the_module(operation: str, spans: bool, dtype) -> None:
    own, ours = [], []
    for seed in range(4):  # in a single narrow module a few roundings decide
        module, source = hunyuan10(seed, **SMALL).cuda(), source_for(operation, 5, 16, 12)
        want = result_of(module, operation, source, spans)
        half, source = module.to(dtype), source.to(dtype)
        own.append((result_of(half, operation, source, spans) - want).abs().flatten())
        program = program_of_kind(half, operation, source, spans)
        plan = plans_of(program, source)[seed % 3]
        ours.append((run_program(program, source, [plan])[0] - want).abs().flatten())
    own_errors, errors = torch.cat(own), torch.cat(ours)
    assert errors.mean() <= 1.05 * own_errors.mean()
    # torch.quantile takes no more than 2^24 values.
    step = 1 + errors.numel() // 2**24
    assert errors[::step].quantile(0.999) <= 1.05 * own_errors[::step].quantile(0.999)


@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_no_more_is_allocated_than_planned(operation: str) -> None:
    """Full width, 832 x 480, 33 frames in spans: the fastest plan, the smallest, some between."""
    module = hunyuan10(**FULL).to("cuda", torch.bfloat16)
    source = torch.randn(1, 16, 9, 60, 104) if operation == "decode" else pixels(33, 480, 832)
    source = source.to("cuda", torch.bfloat16)
    program = rolled(program_for(module, operation, source))
    plans = plans_for(program, clip_size(source), 2, source.device)
    for plan in [*plans[:: max(1, len(plans) // 5)], plans[-1]]:
        check_allocated(program, source, plan)
