"""The exact engine on CUDA equals diffusers' modules there."""

from __future__ import annotations

import pytest
import torch
from exact_cases import difference, module_result, program_plans, run_exact
from video_modules import hunyuan15, qwen_image, wan, wan22

import truetile

pytest.importorskip("diffusers")
pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("full_float32")]

WIDE = {"base_dim": 32, "num_res_blocks": 2}
MAKERS = {
    "wan21": lambda: wan(**WIDE),
    "qwen-image": lambda: qwen_image(**WIDE),
    "wan22": lambda: wan22(**WIDE, decoder_base_dim=48),
    "hunyuan15": lambda: hunyuan15(block_out_channels=(32, 32, 64, 64, 64), layers_per_block=2),
}


@pytest.fixture(params=MAKERS)
def vae(request):
    return MAKERS[request.param]().cuda()


def source_for(vae, operation: str, frames: int, rows: int, columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(frames)
    if operation == "decode":
        return torch.randn(1, 4, frames, rows, columns, generator=generator).cuda()
    size = (1, 3, 4 * frames - 3, 16 * rows, 16 * columns)
    return (torch.rand(size, generator=generator) * 2 - 1).cuda()


def result_of(vae, operation: str, source: torch.Tensor) -> torch.Tensor:
    made = module_result(vae, operation, source).float().cpu()
    return made.clamp(-1, 1) if operation == "decode" else made


def exact_result(vae, operation: str, source: torch.Tensor, plan) -> torch.Tensor:
    result = run_exact(vae, operation, source, plan)
    return result.clamp(-1, 1) if operation == "decode" else result


@pytest.mark.parametrize("operation", ["decode", "encode"])
@pytest.mark.parametrize("size", [(1, 7, 5), (5, 6, 9)])
def test_float32_equals_the_module(vae, operation: str, size) -> None:
    source = source_for(vae, operation, *size)
    reference = result_of(vae, operation, source)
    for plan in program_plans(vae, operation, source):
        result = exact_result(vae, operation, source, plan)
        assert difference(result, reference) <= 1e-4, plan.describe()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_half_precision_is_no_worse_than_the_module(vae, operation: str, dtype) -> None:
    source = source_for(vae, operation, 5, 20, 24)
    reference = result_of(vae, operation, source)
    vae, source = vae.to(dtype), source.to(dtype)
    own = (result_of(vae, operation, source) - reference).abs().flatten()
    plan = program_plans(vae, operation, source)[-1]
    ours = (exact_result(vae, operation, source, plan) - reference).abs().flatten()
    assert ours.mean() <= 1.05 * own.mean()
    # torch.quantile takes no more than 2^24 values.
    step = 1 + own.numel() // 2**24
    assert ours[::step].quantile(0.999) <= 1.05 * own[::step].quantile(0.999)


@pytest.mark.parametrize("mode", ["exact", "blended"])
def test_an_interrupt_returns_when_no_kernel_writes_any_more(mode: str) -> None:
    """The result's memory is given back, and the next user's CPU may write into it at once."""
    vae = wan().cuda()
    source = source_for(vae, "decode", 5, 7, 5)
    truetile.decode(vae, source, mode=mode)

    def stop() -> None:
        torch.cuda._sleep(200_000_000)  # about a tenth of a second
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        truetile.decode(vae, source, mode=mode, check_interrupt=stop)
    assert torch.cuda.current_stream().query()
