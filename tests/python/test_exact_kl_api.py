"""Image VAEs with group norms through `truetile.decode` and `encode`: plans, budgets, failures."""

from __future__ import annotations

import re

import pytest
import torch
from exact_cases import clip_size, difference, program_for, program_run, run_program
from kl_cases import kl_module, pass_plans, picture
from live_bytes import LiveBytes

import truetile
from truetile.engine import exact_segment
from truetile.errors import BudgetError
from truetile.stream import StreamPlan, candidates, make_passes, pass_targets, plan_bytes

pytest.importorskip("diffusers")


pytestmark = pytest.mark.usefixtures("fresh_selftest")


def pixels_of(module, z: torch.Tensor) -> torch.Tensor:
    return (module.decode(z).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)


def test_auto_is_exact_for_a_batch_of_stills() -> None:
    vae = kl_module()
    z = torch.randn(3, 4, 9, 7, generator=torch.Generator().manual_seed(1))
    pixels, report = truetile.decode(vae, z)
    assert difference(pixels, pixels_of(vae, z)) <= 1e-5
    assert report.exact and report.plan.startswith("AutoencoderKL: "), report.why
    latents, report = truetile.encode(vae, pixels)
    want = vae.encode(pixels.movedim(-1, 1) * 2 - 1).latent_dist.mode()
    assert report.exact and difference(latents, want) <= 1e-4


def test_flux_2_is_served_as_its_pipeline_calls_it() -> None:
    vae = kl_module(kind="AutoencoderKLFlux2")
    z = torch.randn(1, 4, 6, 10, generator=torch.Generator().manual_seed(1))
    pixels, report = truetile.decode(vae, z)
    assert report.exact and report.plan.startswith("Flux.2: "), report.why
    assert difference(pixels, pixels_of(vae, z)) <= 1e-5
    latents, report = truetile.encode(vae, pixels)
    want = vae.encode(pixels.movedim(-1, 1) * 2 - 1).latent_dist.mode()
    assert report.exact and difference(latents, want) <= 1e-4


def test_a_smaller_budget_makes_more_again() -> None:
    vae = kl_module(block_out_channels=(16, 16), mid_block_add_attention=False)
    z = torch.randn(1, 4, 96, 64, generator=torch.Generator().manual_seed(1))
    want = pixels_of(vae, z)
    with pytest.raises(BudgetError, match=r"budget=1000: must be at least \d+ bytes") as told:
        truetile.decode(vae, z, mode="exact", budget=1000)
    least = int(re.search(r"at least (\d+)", str(told.value))[1])
    work = []
    for budget in (least + 2**24, least + 2**21, least):
        pixels, report = truetile.decode(vae, z, mode="exact", budget=budget)
        assert difference(pixels, want) <= 1e-5
        assert report.rungs[-1]["bytes"] <= budget
        work.append(report.work_factor)
    assert work[0] == 1.0 and work == sorted(work) and work[-1] > 1.5


@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_memory_may_run_out_anywhere(monkeypatch, operation: str) -> None:
    """Whatever was finished or overwritten by then, the next plan gets the same result."""
    vae = kl_module()
    source = picture(4, 5, 3) if operation == "decode" else picture(3, 10, 6)
    program = program_for(vae, operation, source)
    plans = [one.segments for one in pass_plans(program, source)]
    convolve, calls, failing = exact_segment.convolve, [], []

    def fails(*args):
        calls.append(1)
        if len(calls) in failing:
            raise torch.OutOfMemoryError("fake")
        return convolve(*args)

    monkeypatch.setattr(exact_segment, "convolve", fails)
    for index in range(len(plans)):
        # Each plan stores other values than the next; bytes only set their order.
        chain = [
            StreamPlan(plans[(index + step) % len(plans)], 900 - 300 * step, 0.0)
            for step in range(3)
        ]
        failing.clear()
        want, run = run_program(program, source, chain[:1])
        total = len(calls)
        for at in range(1, total, 1 + total // 3):
            calls.clear()
            failing[:] = [at, at + total // 3]
            got, run = run_program(program, source, chain)
            assert difference(got, want) <= 1e-5, (chain, failing)
            assert len(run.tally.plans) >= 2
        calls.clear()


def test_moments_that_are_known_are_not_gathered_again(monkeypatch) -> None:
    vae, z = kl_module(), picture(4, 9, 5)
    program = program_for(vae, "decode", z)
    shapes, clip = program.shapes, clip_size(z)
    low = make_passes(shapes, clip, pass_targets(shapes)[:4], 4)
    plan = StreamPlan(tuple(low), plan_bytes(shapes, clip, low, 4), 0.0)
    smaller = StreamPlan(plan.segments, plan.bytes // 2, 0.0)
    ran: list[int] = []
    init = exact_segment.SegmentRun.__init__

    def noting(self, program, schedule, *rest):
        ran.append(schedule.segment.last)
        if schedule.segment.last == len(shapes) and ran.count(len(shapes)) == 1:
            raise torch.OutOfMemoryError("fake")
        init(self, program, schedule, *rest)

    monkeypatch.setattr(exact_segment.SegmentRun, "__init__", noting)
    run_program(program, z, [plan, smaller])
    assert ran == [one.last for one in plan.segments] + [len(shapes)]


@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_no_more_bytes_live_than_planned(operation: str) -> None:
    vae = kl_module(block_out_channels=(16, 32))
    source = picture(4, 48, 32) if operation == "decode" else picture(3, 96, 64)
    program = program_for(vae, operation, source)
    for plan in candidates(program.shapes, clip_size(source), 4)[::3]:
        _, run = program_run(program, source, [plan])
        with LiveBytes() as live:
            run.run()
        # A float32 and a float64 block of the norm and of the moments, and vectors of norms.
        assert live.peak <= plan.bytes + 2 * 2**20, plan.describe()
        assert live.peak >= 0.5 * plan.bytes, "the estimate is far too high"


def test_stores_are_gone_when_a_run_fails() -> None:
    vae, z = kl_module(), picture(4, 9, 5)
    program = program_for(vae, "decode", z)
    calls = []

    def stop():
        calls.append(1)
        if len(calls) == 9:
            raise RuntimeError("stop")

    _, run = program_run(program, z, pass_plans(program, z)[:1])
    with pytest.raises(RuntimeError, match="stop"):
        run.run(stop)
    assert not run._stores
