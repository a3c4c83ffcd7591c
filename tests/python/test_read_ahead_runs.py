"""The exact engine announces every part of the clip that it reads, in order."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from exact_cases import (
    difference,
    latents,
    pixels,
    program_for,
    program_plans,
    program_run,
)
from hunyuan10_cases import hunyuan10, plans_of, rolled
from kl_cases import kl_module, pass_plans, picture
from video_modules import hunyuan15, wan, wan22

from truetile.engine import exact_job, exact_output
from truetile.engine.exact_source import ClipSource
from truetile.engine.read_ahead import ReadAhead
from truetile.stream import Span


def no_fence():
    return lambda: None


class Staged(ClipSource):
    """A clip that is read from staging memory only, as on CUDA but for the way to the device."""

    reads = 0

    @contextmanager
    def reading(self, parts):
        if not parts:
            yield
            return
        most = max(self._view(*part).numel() for part in parts)
        memory = torch.empty((2, most), dtype=self._clip.dtype)
        with ReadAhead(self._view, parts, memory, no_fence) as self._ahead:
            yield
            assert self._ahead._taken == len(parts), "parts were announced that nobody read"

    def read(self, frames: Span, rows: Span) -> torch.Tensor:
        Staged.reads += 1
        staged = self._ahead.take((frames, rows))
        assert staged is not None, f"not announced: {frames}, {rows}"
        converted = self._convert(self._planar(staged))[0].permute(1, 2, 3, 0)
        return converted.to(self._dtype, copy=True).contiguous()


def _case(name: str, operation: str):
    """A program, its input and plans of many kinds."""
    decoding = operation == "decode"
    if name == "kl":
        module = kl_module()
        source = picture(4, 9, 7) if decoding else picture(3, 19, 14)
        program = program_for(module, operation, source)
        return program, source, pass_plans(program, source)
    if name == "hunyuan10":
        source = latents(9, 3, 2) if decoding else pixels(33, 16, 16)
        program = rolled(program_for(hunyuan10(), operation, source))
        return program, source, plans_of(program, source)
    module = {"wan21": wan, "wan22": wan22, "hunyuan15": hunyuan15}[name]()
    source = latents(3, 4, 3) if decoding else pixels(9, 64, 48)
    return program_for(module, operation, source), source, program_plans(module, operation, source)


@pytest.mark.parametrize("operation", ["decode", "encode"])
@pytest.mark.parametrize("name", ["wan21", "wan22", "hunyuan15", "hunyuan10", "kl"])
def test_every_part_is_announced_and_read(name: str, operation: str, monkeypatch) -> None:
    program, source, plans = _case(name, operation)
    for plan in plans:
        plain, run = program_run(program, source, [plan])
        run.run()
        with monkeypatch.context() as patched:
            patched.setattr(exact_job, "ClipSource", Staged)
            before = Staged.reads
            staged, run = program_run(program, source, [plan])
            run.run()
        assert Staged.reads > before
        assert torch.equal(staged.finish(), plain.finish()), plan.segments


def test_after_memory_ran_out_the_rest_is_announced(monkeypatch) -> None:
    program, source, plans = _case("wan21", "decode")
    plans = [plan for plan in plans if plan.segments[-1].rows]
    plain, run = program_run(program, source, plans[-1:])
    run.run()
    monkeypatch.setattr(exact_job, "ClipSource", Staged)
    put, failed = exact_output.HostSink.put, []

    def failing(self, frames, rows, made):
        if rows.begin > 0 and not failed:
            failed.append(rows)
            raise torch.OutOfMemoryError("fake")
        put(self, frames, rows, made)

    monkeypatch.setattr(exact_output.HostSink, "put", failing)
    whole = [type(plan)(plan.segments, len(plans) - at, 0.0) for at, plan in enumerate(plans)]
    staged, run = program_run(program, source, whole)
    run.run()
    assert failed and len(run.tally.plans) == 2
    assert difference(staged.finish(), plain.finish()) <= 1e-5
