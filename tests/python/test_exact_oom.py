"""The exact engine when memory runs out: smaller plans, finished rows, and the last word."""

from __future__ import annotations

import pytest
import torch
from exact_cases import clip_size, difference, latents, program_for, run_program
from video_modules import wan

import truetile
from truetile.engine import exact_output, exact_segment
from truetile.errors import LadderExhausted
from truetile.stream import candidates

pytestmark = pytest.mark.usefixtures("fresh_selftest")


class Limited:
    """Lets `convolve` run out of memory on results of more than `limit` bytes."""

    def __init__(self, monkeypatch, limit: float) -> None:
        self._convolve, self.limit = exact_segment.convolve, limit
        self.failed = self.largest = 0
        monkeypatch.setattr(exact_segment, "convolve", self)

    def __call__(self, *args):
        made = self._convolve(*args)
        size = made.numel() * made.element_size()
        self.largest = max(self.largest, size)
        if size > self.limit:
            self.failed += 1
            raise torch.OutOfMemoryError("fake")
        return made


@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_out_of_memory_takes_smaller_plans_and_keeps_finished_rows(monkeypatch, operation) -> None:
    vae = wan()
    source = latents(3, 12, 8) if operation == "decode" else torch.rand(1, 3, 9, 96, 64) * 2 - 1
    program = program_for(vae, operation, source)
    plans = candidates(program.shapes, clip_size(source), 4)
    limited = Limited(monkeypatch, float("inf"))
    want, _ = run_program(program, source, plans[-1:])
    limited.limit = limited.largest  # what the smallest plan needs
    got, run = run_program(program, source, plans)
    assert limited.failed and len(run.tally.plans) == limited.failed + 1
    assert difference(got, want) <= 1e-5
    assert run.tally.plans[-1].bytes < run.tally.plans[0].bytes


def test_rows_finished_before_memory_ran_out_are_not_made_again(monkeypatch) -> None:
    vae, z = wan(), latents(2, 12, 8)
    program = program_for(vae, "decode", z)
    plans = sorted(
        (p for p in candidates(program.shapes, clip_size(z), 4) if p.segments[-1].rows),
        key=lambda p: -p.bytes,
    )
    want, _ = run_program(program, z, plans)
    written = torch.zeros(96)
    put = exact_output.HostSink.put

    def counting(self, frames, rows, made):
        written[rows.begin : rows.end] += frames.length
        if rows.begin > 0 and len(failures) == 0:
            failures.append(rows)
            raise torch.OutOfMemoryError("fake")
        put(self, frames, rows, made)

    failures: list = []
    monkeypatch.setattr(exact_output.HostSink, "put", counting)
    got, run = run_program(program, z, plans)
    assert failures and difference(got, want) <= 1e-5
    assert (written[: failures[0].begin] == 5).all(), "five frames, once"
    assert 1.0 < run.tally.work_factor < 1.6


def test_the_smallest_plan_out_of_memory_is_an_error_or_the_ladders_turn(monkeypatch) -> None:
    vae, z = wan(), latents(3, 6, 5)
    truetile.decode(vae, z)  # the self-test has passed
    Limited(monkeypatch, 10)
    with pytest.raises(LadderExhausted, match=r"out of memory: layers .* needs about"):
        truetile.decode(vae, z, mode="exact")
    pixels, report = truetile.decode(vae, z)
    untiled = (vae.decode(z).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert torch.equal(pixels, untiled)
    assert "not the exact engine: out of memory" in report.why
