"""Clips on the host, read by a CUDA device: every bit, in time, in the bytes of the plan."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
import torch
from exact_cases import (
    check_run_allocated,
    clip_size,
    latents,
    pixels,
    program_for,
    program_plans,
)
from hunyuan10_cases import hunyuan10, plans_of, rolled
from video_modules import wan

from truetile.engine import exact_source
from truetile.engine.exact_job import ExactJob, exact_run
from truetile.engine.exact_source import ClipSource
from truetile.engine.exact_weights import pack
from truetile.engine.output import IDENTITY, HostBatch
from truetile.engine.read_ahead import THREAD
from truetile.stream import Span, candidates, value_sizes

diffusers = pytest.importorskip("diffusers")
pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("full_float32")]

CUDA = torch.device("cuda")
CYCLES = 1_000_000  # about half a millisecond, longer than a copy of these parts
FRAMES, ROWS, COLUMNS = 7, 64, 48


def staged() -> bool:
    return any(one.name.startswith(THREAD) for one in threading.enumerate())


def pixels_in(pixels: torch.Tensor) -> torch.Tensor:
    return pixels * 2 - 1


@pytest.fixture
def released(monkeypatch):
    """Grows by one each time when staging memory is gone; `made` counts how often there was one."""
    pinned, gone = exact_source.pinned, []

    def watched(shape, dtype):
        memory = pinned(shape, dtype)
        assert memory is not None and memory.is_pinned()
        weakref.finalize(memory.untyped_storage(), gone.append, 1)
        watched.made += 1
        return memory

    watched.made = 0
    monkeypatch.setattr(exact_source, "pinned", watched)
    return watched, gone


def clip(layout: str) -> torch.Tensor:
    """[C, T, h, w] as pixels lie on the host, as latents do, or as a view of more."""
    generator = torch.Generator().manual_seed(0)
    if layout == "planar":
        return torch.rand(3, FRAMES, ROWS, COLUMNS, generator=generator)
    size = (FRAMES, ROWS, COLUMNS, 3) if layout == "channels last" else (9, 70, 60, 4)
    values = torch.rand(size, generator=generator)[-FRAMES:, :ROWS, :COLUMNS, :3]
    return values.permute(3, 0, 1, 2)


def parts() -> list[tuple[Span, Span]]:
    """Strips with a halo outside, chunks of several lengths inside."""
    frames = [Span(0, 1), Span(1, 5), Span(5, FRAMES)]
    rows = [Span(max(0, row - 2), min(ROWS, row + 10)) for row in range(0, ROWS, 8)]
    return [(one, other) for other in rows for one in frames]


@pytest.mark.parametrize("layout", ["channels last", "planar", "view of more"])
@pytest.mark.parametrize("late", ["engine", "copies", "thread", "nobody"])
def test_parts_are_right_whoever_is_late(late: str, layout: str) -> None:
    values = clip(layout)
    source = ClipSource(values, pixels_in, CUDA, torch.float32)
    wanted = parts()
    besides = Span(2, 3), Span(1, 9)
    made, others = [], []
    with source.reading(wanted):
        assert staged()
        for index, part in enumerate(wanted):
            if late == "engine":
                torch.cuda._sleep(CYCLES)
            elif late == "copies":
                with torch.cuda.stream(source._stream):
                    torch.cuda._sleep(CYCLES)
            elif late == "thread":
                torch.cuda.synchronize()
            made.append(source.read(*part))
            if index % 5 == 3:
                others.append(source.read(*besides))
    assert not staged() and source._place.numel() == 0
    for (frames, rows), one in zip([*wanted, *[besides] * len(others)], made + others, strict=True):
        part = values[:, frames.begin : frames.end, rows.begin : rows.end]
        assert torch.equal(one.cpu(), pixels_in(part.permute(1, 2, 3, 0)))


def test_no_thread_where_nothing_is_ahead_or_nothing_can_be_pinned(monkeypatch) -> None:
    source = ClipSource(clip("channels last"), pixels_in, CUDA, torch.float32)
    part = Span(0, FRAMES), Span(0, ROWS)
    with source.reading([part]):
        assert not staged()
        source.read(*part)
    monkeypatch.setattr(exact_source, "pinned", lambda *_: None)
    with source.reading(parts()):
        assert not staged()
    monkeypatch.undo()
    source = ClipSource(clip("planar").cuda(), pixels_in, CUDA, torch.float32)
    with source.reading(parts()):
        assert not staged()


def make_run(program, source: torch.Tensor, plan, dtype=torch.float32):
    """The result's memory and the run that will fill it, of a clip on the host."""
    frames, rows, columns, channels = value_sizes(program.shapes, clip_size(source))[-1]
    batch = HostBatch(
        1,
        channels,
        (frames, rows, columns),
        dtype=torch.float32,
        device=CUDA,
        channels_last=program.operation == "decode",
        pin=True,
    )
    job = ExactJob(program, source[0], pixels_in, batch.item(0), IDENTITY, CUDA, dtype)
    weights = pack(program, CUDA, dtype)
    return batch, exact_run(job, [plan], lambda _: weights)


def _case(name: str, operation: str):
    """A program, its input on the host and plans."""
    decoding = operation == "decode"
    if name == "hunyuan10":
        source = latents(9, 6, 5) if decoding else pixels(33, 48, 40)
        program = rolled(program_for(hunyuan10().cuda(), operation, source))
        return program, source, plans_of(program, source)
    module = wan(base_dim=32).cuda()
    source = latents(5, 12, 9) if decoding else pixels(17, 96, 72)
    return program_for(module, operation, source), source, program_plans(module, operation, source)


@pytest.mark.parametrize("operation", ["decode", "encode"])
@pytest.mark.parametrize("name", ["wan", "hunyuan10"])
def test_every_bit_is_that_of_the_plain_way(name, operation, monkeypatch, released) -> None:
    program, source, plans = _case(name, operation)
    watched, gone = released
    for plan in plans:
        make_run(program, source, plan)[1].run()  # cuDNN chooses its algorithms
        batch, run = make_run(program, source, plan)
        run.run()
        with monkeypatch.context() as patched:
            patched.setattr(exact_source, "pinned", lambda *_: None)
            plain, run = make_run(program, source, plan)
            run.run()
        assert torch.equal(batch.finish(), plain.finish()), plan.segments
    # A short clip's latents may be a single part.
    assert watched.made > 0 or name == "hunyuan10"
    assert len(gone) == watched.made
    assert not staged()


@pytest.mark.parametrize("calls", [1, 40, 90])
def test_an_interrupt_leaves_nothing_behind(calls: int, released) -> None:
    program, source, plans = _case("wan", "encode")
    plan = next(plan for plan in plans if plan.segments[0].rows and plan.segments[0].chunk)
    make_run(program, source, plan)[1].run()  # libraries take what they keep
    watched, gone = released
    gc.collect()  # of other tests
    torch.cuda.synchronize()
    before, earlier = torch.cuda.memory_allocated(), watched.made
    _, run = make_run(program, source, plan)
    left = calls

    def stop() -> None:
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as told:
        run.run(check_interrupt=stop)
    assert told.value is not None and not staged()
    assert watched.made == earlier + 1
    assert len(gone) == watched.made, "an error that is still held holds no memory"
    del told, run
    gc.collect()
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() == before


def test_no_more_is_allocated_than_planned() -> None:
    """Wan 2.1 of full width in half precision, and a clip in float32."""
    module = diffusers.AutoencoderKLWan().eval().requires_grad_(False).to(CUDA, torch.bfloat16)
    source = pixels(17, 480, 832)
    program = program_for(module, "encode", source)
    plans = candidates(program.shapes, clip_size(source), 2)
    for plan in [*plans[:: max(1, len(plans) // 6)], plans[-1]]:

        def half(plan=plan):
            return make_run(program, source, plan, torch.bfloat16)[1]

        check_run_allocated(half, plan)
