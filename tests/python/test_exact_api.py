"""`truetile.decode` and `encode` through the exact engine: budgets, fallbacks, memory, errors."""

from __future__ import annotations

import gc
import re

import pytest
import torch
from exact_cases import (
    check_live_bytes,
    difference,
    program_for,
    program_plans,
    program_run,
    run_program,
)
from video_modules import wan

import truetile
from truetile.engine import exact_request, exact_segment, selftest
from truetile.engine.diffusers_port import DiffusersPort
from truetile.engine.exact import ExactRun
from truetile.engine.exact_buffers import SegmentBuffers
from truetile.errors import BudgetError, NonFiniteError
from truetile.memory.tensors import Found, name_holders

diffusers = pytest.importorskip("diffusers")


pytestmark = pytest.mark.usefixtures("fresh_selftest")


def latents(frames: int = 3, rows: int = 6, columns: int = 5, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 4, frames, rows, columns, generator=generator)


def reference(vae, z: torch.Tensor) -> torch.Tensor:
    return (vae.decode(z).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)


def test_auto_is_exact_where_the_layers_are_known() -> None:
    vae, z = wan(), latents(batch=2)
    pixels, report = truetile.decode(vae, z)
    assert difference(pixels, reference(vae, z)) <= 1e-5
    assert report.exact and report.work_factor == 1.0 and report.plan.startswith("Wan 2.1")
    assert report.rungs[-1]["outcome"] == "done"
    # Of this process, not of the call.
    known = ("peak unknown", "native kernels were not used")
    assert all(text.startswith(known) for text in report.warnings)
    back, report = truetile.encode(vae, pixels)
    assert difference(back, vae.encode(pixels.movedim(-1, 1) * 2 - 1).latent_dist.mode()) <= 1e-5
    assert report.exact and report.operation == "encode"


def test_a_budget_chooses_strips_and_a_smaller_one_says_what_is_needed() -> None:
    vae, z = wan(), latents(5, 12, 10)
    want = reference(vae, z)
    with pytest.raises(BudgetError, match=r"budget=1000000: must be at least \d+ bytes") as told:
        truetile.decode(vae, z, mode="exact", budget=1_000_000)
    least = int(re.search(r"at least (\d+)", str(told.value))[1])
    tiles = []
    for spare in (10 * 2**20, 2**20, 0):
        pixels, report = truetile.decode(vae, z, mode="exact", budget=least + spare)
        assert difference(pixels, want) <= 1e-5
        assert report.rungs[-1]["bytes"] <= least + spare
        tiles.append(report.tiles)
    assert tiles == sorted(tiles) and tiles[0] < tiles[-1], "less memory, more strips"
    with pytest.raises(BudgetError):
        truetile.decode(vae, z, mode="exact", budget=least - 1)


def test_what_cannot_be_exact_is_decoded_the_other_way_and_says_why() -> None:
    vae = wan(patch_size=2, in_channels=12, out_channels=12, scale_factor_spatial=16)
    pixels, report = truetile.decode(vae, latents())
    assert pixels.shape == (1, 9, 96, 80, 3)
    assert "not the exact engine: patch_size=2: must be None" in report.why
    vae = wan()
    block = vae.decoder.mid_block.resnets[0]
    block.__class__ = type("PatchedBlock", (type(block),), {})
    _, report = truetile.decode(vae, latents(1))
    assert "not the exact engine: a block of type PatchedBlock is not known" in report.why


def test_a_failed_self_test_falls_back_and_is_remembered(monkeypatch) -> None:
    vae, z = wan(), latents()
    calls = []

    def wrong(*args):
        calls.append(args)
        return original(*args) * 1.01

    original = exact_segment.convolve
    monkeypatch.setattr(exact_segment, "convolve", wrong)
    pixels, report = truetile.decode(vae, z)
    assert torch.equal(pixels, reference(vae, z))
    assert "self-test: largest difference" in report.why and "untiled" in report.plan
    count = len(calls)
    truetile.decode(vae, z)
    assert len(calls) == count, "tested again"


def test_the_self_test_is_quick_and_runs_once(monkeypatch) -> None:
    vae = wan()
    truetile.decode(vae, latents())
    monkeypatch.setattr(selftest, "_difference", lambda *_: pytest.fail("tested again"))
    truetile.decode(vae, latents(2))


def test_progress_rises_to_the_end_and_an_interrupt_ends_it() -> None:
    vae, z = wan(), latents(3, 8, 6)
    seen = []
    truetile.decode(vae, z, progress=lambda done, total: seen.append((done, total)))
    totals = {total for _, total in seen}
    assert totals == {9 * 64 * 48}
    counts = [done for done, _ in seen]
    assert counts == sorted(counts) and counts[-1] == 9 * 64 * 48

    class StopError(Exception):
        pass

    calls = []

    def stop():
        calls.append(1)
        if len(calls) == 7:
            raise StopError

    with pytest.raises(StopError):
        truetile.decode(vae, z, check_interrupt=stop)
    assert len(calls) == 7


@pytest.mark.parametrize("operation", ["decode", "encode"])
@pytest.mark.parametrize("frames", [1, 9])
def test_no_more_bytes_live_than_planned(operation: str, frames: int) -> None:
    if operation == "decode":
        source = latents((frames + 3) // 4, 16, 12)
    else:
        source = torch.rand(1, 3, frames, 128, 96) * 2 - 1
    check_live_bytes(wan(base_dim=16), operation, source)


def test_nan_from_finite_input_is_named(monkeypatch) -> None:
    vae, z = wan(), latents(2)
    truetile.decode(vae, z)
    vae.decoder.conv_out.bias.data.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="in float32 too"):
        truetile.decode(vae, z)


def test_half_precision_that_overflows_is_repeated_in_float32() -> None:
    vae = wan().half()
    z = latents(2).half()
    truetile.decode(vae, z)
    # Beyond 65504 before the last convolution's small weights bring it back.
    vae.decoder.up_blocks[-1].resnets[-1].conv2.bias.data.fill_(6e4)
    vae.decoder.up_blocks[-1].resnets[0].conv2.bias.data.fill_(6e4)
    pixels, report = truetile.decode(vae, z)
    assert torch.isfinite(pixels).all()
    assert any("computed in float32" in text for text in report.warnings)


def test_buffers_are_gone_when_a_run_fails() -> None:
    vae, z = wan(), latents()
    program = program_for(vae, "decode", z)
    plan = program_plans(vae, "decode", z)[1]

    def stop():
        raise RuntimeError("stop")

    held: list[ExactRun] = []
    init = ExactRun.__init__

    def remembering(self, *args):
        held.append(self)
        init(self, *args)

    ExactRun.__init__ = remembering
    try:
        with pytest.raises(RuntimeError, match="stop") as error:
            run_program(program, z, [plan], check_interrupt=stop)
    finally:
        ExactRun.__init__ = init
    assert not held[0]._stores
    assert error.value.__traceback__ is not None
    assert not any(type(one) is SegmentBuffers for one in gc.get_objects())


def test_the_memory_account_names_what_a_run_holds() -> None:
    vae, z = wan(), latents()
    program = program_for(vae, "decode", z)
    _, run = program_run(program, z, program_plans(vae, "decode", z)[1:2])
    names = set()
    assert exact_request.label(run) is None, "its parts have names, so that they are told apart"

    def look() -> None:
        if names:  # once is enough: it looks at all objects of the process
            return
        held = [one for one in gc.get_objects() if type(one) is SegmentBuffers]
        weight = run._weights(0)[0].weight
        found = [Found(weight, 1), *(Found(one._workspace, 1) for one in held)]
        name_holders(found)
        names.update(entry.where for entry in found)

    run.run(check_interrupt=look)
    assert any("TrueTile's packed weights" in name for name in names), names
    assert any("TrueTile's workspace" in name for name in names), names


def test_ports_without_layers_are_left_alone() -> None:
    port = DiffusersPort(wan())
    port.program = None
    _, report = truetile.decode(port, latents())
    assert "does not tell its layers" in report.why
