"""Full width in float16 on CUDA, where attention runs by torch's fused kernel."""

from __future__ import annotations

import pytest
import torch
from exact_cases import check_allocated, clip_size, module_result, pixels, program_for, run_program
from kl_cases import FULL, kl_module, picture

from truetile.stream import AttentionWay, candidates

diffusers = pytest.importorskip("diffusers")
pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("full_float32")]


def video():
    torch.manual_seed(0)
    return diffusers.AutoencoderKLWan().eval().requires_grad_(False)


def source_for(name: str, operation: str, frames: int, rows: int, columns: int) -> torch.Tensor:
    """So many rows and columns of latents, and for a clip frames of them."""
    if name == "kl":
        size = (4, rows, columns) if operation == "decode" else (3, 8 * rows, 8 * columns)
        return picture(*size).cuda()
    if operation == "decode":
        generator = torch.Generator().manual_seed(0)
        return torch.randn(1, 16, frames, rows, columns, generator=generator).cuda()
    return pixels(4 * frames - 3, 8 * rows, 8 * columns).cuda()


def result_of(module, name: str, operation: str, source: torch.Tensor) -> torch.Tensor:
    # A video module clamps what it decodes.
    return clamped(module_result(module, operation, source), name, operation).float().cpu()


def clamped(made: torch.Tensor, name: str, operation: str) -> torch.Tensor:
    return made.clamp(-1, 1) if (name, operation) == ("video", "decode") else made


@pytest.fixture(params=["video", "kl"])
def named(request):
    return request.param, video() if request.param == "video" else kl_module(**FULL)


def some_plans(program, source: torch.Tensor) -> list:
    """The fastest, the smallest and some between them."""
    plans = candidates(program.shapes, clip_size(source), 2)
    return [*plans[:: max(1, len(plans) // 5)], plans[-1]]


def half_program(module, operation: str, source: torch.Tensor):
    program = program_for(module, operation, source)
    ways = {shape.way for shape in program.shapes if shape.attends}
    assert ways == {AttentionWay.FUSED}
    return program


@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_no_more_is_allocated_than_planned(named, operation: str) -> None:
    name, module = named
    module = module.to("cuda", torch.float16)
    # 832 x 480 and 17 frames of a clip; a picture of 1024 x 1024.
    size = (5, 60, 104) if name == "video" else (1, 128, 128)
    source = source_for(name, operation, *size).half()
    program = half_program(module, operation, source)
    for plan in some_plans(program, source):
        check_allocated(program, source, plan)


@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_it_is_no_worse_than_the_module(named, operation: str) -> None:
    name, module = named
    source = source_for(name, operation, 5, 36, 44)
    want = result_of(module.cuda(), name, operation, source)
    half, source = module.half(), source.half()
    own = (result_of(half, name, operation, source) - want).abs().flatten()
    program = half_program(half, operation, source)
    # torch.quantile takes no more than 2^24 values.
    step = 1 + own.numel() // 2**24
    for plan in some_plans(program, source)[::2]:
        made = clamped(run_program(program, source, [plan])[0], name, operation)
        ours = (made - want).abs().flatten()
        assert ours.mean() <= 1.05 * own.mean(), plan.describe()
        assert ours[::step].quantile(0.999) <= 1.05 * own[::step].quantile(0.999)
