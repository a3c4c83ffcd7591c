"""The exact engine against diffusers' HunyuanVideo 1.0 module, and its spans against themselves.

ComfyUI's module, which takes the clip in spans, is the reference in tests/comfyui.
"""

from __future__ import annotations

import pytest
import torch
from exact_cases import (
    TOLERANCE,
    clip_size,
    difference,
    latents,
    module_result,
    pixels,
    program_for,
    program_run,
    run_program,
)
from hunyuan10_cases import by_spans, hunyuan10, plans_of, rolled
from live_bytes import LiveBytes

import truetile
from truetile.engine import selftest
from truetile.engine.exact_carry import Carry
from truetile.engine.exact_planning import plans_for
from truetile.errors import LadderExhausted
from truetile.families.program import Declined
from truetile.families.recognise import program_of

pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def vae():
    return hunyuan10()


def check(module, operation: str, source: torch.Tensor) -> None:
    want = module_result(module, operation, source)
    program = program_for(module, operation, source)
    for plan in plans_of(program, source):
        got = run_program(program, source, [plan])[0]
        assert difference(got, want) <= TOLERANCE, plan.segments


@pytest.mark.parametrize("size", [(1, 7, 5), (2, 5, 3), (3, 4, 6), (5, 3, 3), (9, 3, 2)])
def test_decode_equals_the_module(vae, size) -> None:
    z = latents(*size)
    assert module_result(vae, "decode", z).shape[2:] == (4 * size[0] - 3, 8 * size[1], 8 * size[2])
    check(vae, "decode", z)


@pytest.mark.parametrize("size", [(1, 56, 40), (5, 37, 27), (9, 32, 48), (17, 24, 25), (33, 16, 9)])
def test_encode_equals_the_module(vae, size) -> None:
    check(vae, "encode", pixels(*size))


@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_a_still_is_a_clip_of_one_frame_for_less_work(vae, operation: str) -> None:
    source = latents(1, 5, 4) if operation == "decode" else pixels(1, 40, 32)
    want = module_result(vae, operation, source)
    macs = []
    for still in (True, False):
        program = program_of(vae, operation, still=still)
        got, run = run_program(program, source, plans_of(program, source)[:1])
        assert difference(got, want) <= TOLERANCE
        macs.append(run.tally.macs)
    assert macs[0] < 0.6 * macs[1], "upsampling and attention have less to save"


@pytest.mark.parametrize("size", [(1, 7, 5), (2, 5, 3), (3, 4, 6), (5, 3, 3), (9, 3, 2)])
def test_decode_in_spans_has_norms_of_each_span_alone(vae, size) -> None:
    z = latents(*size)
    want = by_spans(vae, "decode", z)
    # With a single span they are the module's own.
    assert (difference(want, module_result(vae, "decode", z)) <= TOLERANCE) == (size[0] <= 2)
    check_spans(vae, "decode", z, want)


@pytest.mark.parametrize("size", [(1, 56, 40), (5, 37, 27), (9, 32, 48), (17, 24, 25), (33, 16, 9)])
def test_encode_in_spans_has_norms_of_each_span_alone(vae, size) -> None:
    x = pixels(*size)
    want = by_spans(vae, "encode", x)
    assert (difference(want, module_result(vae, "encode", x)) <= TOLERANCE) == (size[0] == 1)
    check_spans(vae, "encode", x, want)


def check_spans(module, operation: str, source: torch.Tensor, want: torch.Tensor) -> None:
    program = rolled(program_for(module, operation, source))
    for plan in plans_of(program, source):
        got = run_program(program, source, [plan])[0]
        assert difference(got, want) <= TOLERANCE, plan.segments


@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_a_stage_without_memory_begins_again_on_a_smaller_plan(monkeypatch, vae, operation) -> None:
    source = latents(5, 6, 4) if operation == "decode" else pixels(17, 48, 32)
    program = rolled(program_for(vae, operation, source))
    plans = plans_for(program, clip_size(source), 4, source.device)
    want, once = run_program(program, source, plans[:1])
    assert once.tally.work_factor == pytest.approx(1.0, abs=0.05)
    load, loads = Carry.load, []

    def failing(self, *args) -> None:
        loads.append(1)
        if len(loads) in (7, 30):  # in the second span, in the middle of its layers
            raise torch.OutOfMemoryError("fake")
        load(self, *args)

    monkeypatch.setattr(Carry, "load", failing)
    shares: list[float] = []
    got, run = run_program(program, source, plans, progress=shares.append)
    assert len(run.tally.plans) == 3 and difference(got, want) <= 1e-5
    assert run.tally.plans[2].bytes < run.tally.plans[1].bytes < run.tally.plans[0].bytes
    assert 1.0 < run.tally.work_factor < 2.5 and shares[-1] == pytest.approx(1.0)
    loads.clear()
    with pytest.raises(LadderExhausted, match="out of memory"):
        run_program(program, source, plans[:1])


@pytest.mark.parametrize(
    "changes",
    [
        {"layers_per_block": 2, "block_out_channels": (4, 8, 12, 16), "norm_num_groups": 2},
        {"mid_block_add_attention": False},
        {"latent_channels": 4, "spatial_compression_ratio": 4},
    ],
    ids=["other widths", "no attention", "time alone once"],
)
@pytest.mark.parametrize("frames", [1, 3])
def test_width_and_depth_come_from_the_module(changes, frames: int) -> None:
    module = hunyuan10(**changes)
    z = latents(frames, 3, 4)
    check(module, "decode", z)
    check(module, "encode", pixels(*module_result(module, "decode", z).shape[2:]))


@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_half_precision_is_no_worse_than_the_module(operation: str) -> None:
    """Over some modules as deep as the real one: in a single small one a few roundings decide."""
    wide = {
        "block_out_channels": (32, 64, 64, 64),
        "layers_per_block": 2,
        "latent_channels": 16,
        "norm_num_groups": 32,
    }
    source = pixels(3, 5, 4, channels=16) * 3 if operation == "decode" else pixels(9, 96, 80)
    own, ours = [], []
    for seed in range(4):
        want = module_result(hunyuan10(seed, **wide), operation, source)
        # torch's three-dimensional convolutions of float16 are far too slow on a CPU.
        half, data = hunyuan10(seed, **wide).bfloat16(), source.bfloat16()
        own.append((module_result(half, operation, data).float() - want).abs().flatten())
        program = program_for(half, operation, data)
        plan = plans_of(program, data)[seed % 3]
        ours.append((run_program(program, data, [plan])[0] - want).abs().flatten())
    assert torch.cat(ours).mean() <= 1.05 * torch.cat(own).mean()
    assert torch.cat(ours).quantile(0.999) <= 1.05 * torch.cat(own).quantile(0.999)


def test_auto_is_exact() -> None:
    selftest.forget()
    module, z = hunyuan10(), latents(5, 4, 3)
    result, report = truetile.decode(module, z)
    # More than 16 frames, which the module would cut into pieces of its own.
    want = (module_result(module, "decode", z) / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert difference(result, want) <= TOLERANCE
    assert report.exact and report.plan.startswith("HunyuanVideo 1.0 (whole clip)")
    back, report = truetile.encode(module, result)
    assert report.exact
    assert (
        difference(back, module_result(module, "encode", result.movedim(-1, 1) * 2 - 1))
        <= TOLERANCE
    )
    still, report = truetile.decode(module, z[:, :, :1])
    assert report.exact and still.shape[1] == 1


def test_pieces_of_the_module_are_switched_off_and_on_again() -> None:
    module = hunyuan10()
    module.use_framewise_decoding = module.use_framewise_encoding = True
    z = latents(5, 3, 2)
    whole, _ = truetile.decode(module, z, mode="untiled")
    assert module.use_framewise_decoding and module.use_framewise_encoding
    module.use_framewise_decoding = False
    want = (module_result(module, "decode", z) / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert difference(whole, want) <= TOLERANCE


@pytest.mark.parametrize("operation", ["decode", "encode"])
@pytest.mark.parametrize("spans", [False, True], ids=["whole clip", "spans"])
def test_no_more_bytes_live_than_planned(operation: str, spans: bool) -> None:
    vae = hunyuan10(block_out_channels=(16, 16, 32, 32))
    source = latents(5, 8, 6) if operation == "decode" else pixels(17, 64, 48)
    program = program_for(vae, operation, source)
    program = rolled(program) if spans else program
    for plan in plans_for(program, clip_size(source), 4, source.device)[::3]:
        _, run = program_run(program, source, [plan])
        with LiveBytes() as live:
            run.run()
        # A float32 and a float64 block of the norm and of the moments, and vectors of norms.
        assert live.peak <= plan.bytes + 2 * 2**20, plan.describe()
        assert live.peak >= 0.5 * plan.bytes, "the estimate is far too high"


def test_what_is_not_built_as_expected_is_declined() -> None:
    module = hunyuan10()
    module.decoder.up_blocks[0].upsamplers[0].upsample_factor = (4, 2, 2)
    with pytest.raises(Declined, match=r"factors \(4, 2, 2\): must be 1 or 2"):
        program_of(module, "decode", still=False)
    module.encoder.down_blocks[1].resnets[0].nonlinearity = torch.nn.GELU()
    with pytest.raises(Declined, match="GELU, not a SiLU"):
        program_of(module, "encode", still=False)
    module.decoder.mid_block.attentions[0] = torch.nn.Identity()
    with pytest.raises(Declined, match="not built as expected"):
        program_of(module, "decode", still=True)
    module.train()
    with pytest.raises(Declined, match="training mode"):
        program_of(module, "decode", still=True)
