"""Runs a module's program on a plan of the test's choice."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from live_bytes import LiveBytes

import truetile
from truetile.engine.attention import attention_way
from truetile.engine.exact import ExactRun
from truetile.engine.exact_job import ExactJob, exact_run
from truetile.engine.exact_weights import pack
from truetile.engine.output import IDENTITY, HostBatch
from truetile.families.program import Program
from truetile.families.recognise import program_of
from truetile.stream import Schedule, Segment, StreamPlan, candidates, cuts, value_sizes

TOLERANCE = 1e-4  # on a signal of [-1, 1]; the layers' sums run in another order


def latents(frames: int, rows: int, columns: int) -> torch.Tensor:
    return torch.randn(1, 4, frames, rows, columns, generator=torch.Generator().manual_seed(frames))


def decode_exactly(vae, frames: int = 2) -> torch.Tensor:
    """What `truetile.decode` makes of small latents; fails where another engine served."""
    made, report = truetile.decode(vae, latents(frames, 6, 5), mode="exact")
    assert report.exact and "not the exact engine" not in report.why
    return made


def pixels(frames: int, rows: int, columns: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(frames)
    return torch.rand(1, channels, frames, rows, columns, generator=generator) * 2 - 1


def clip_size(source: torch.Tensor) -> tuple[int, int, int, int]:
    return (*source.shape[2:], source.shape[1])


def program_for(module, operation: str, source: torch.Tensor) -> Program:
    """As it runs where the module's weights are; the clip may still be on the host."""
    program = program_of(module, operation, still=source.shape[2] == 1)
    weight = next(module.parameters())
    return program.attending(attention_way(weight.device.type, weight.dtype))


def program_plans(module, operation: str, source: torch.Tensor) -> list[StreamPlan]:
    """Plans of many kinds: cuts, strips from one row of latents to all rows, chunks."""
    program = program_for(module, operation, source)
    shapes, clip = program.shapes, clip_size(source)
    decoding = operation == "decode"
    rows = value_sizes(shapes, clip)[-1][1]
    unit = rows // clip[1] if decoding else 1
    plans = []
    for cut in cuts(shapes, clip):
        for strip, chunk in ((0, 0), (3, 2), (2, 1), (1, 1)):
            # Strips of the streamed part: of pixels for decode, of the cut's own rows for encode.
            height = strip * unit
            parts = [Segment(0, cut, 0 if decoding else height, chunk)]
            parts.append(Segment(cut, len(shapes), height if decoding else 0, chunk))
            parts = [replace_chunk(program, part) for part in parts]
            plans.append(StreamPlan(tuple(parts), 0, 0.0))
    return plans


def replace_chunk(program: Program, part: Segment) -> Segment:
    """The segment with whole clips where one of its layers needs them."""
    chunk = 0 if program.sees_clip(part.first, part.last) else part.chunk
    return Segment(part.first, part.last, part.rows, chunk)


def run_program(program: Program, source: torch.Tensor, plans: list[StreamPlan], **hooks):
    """[1, C, T, H, W] in float32, and the run."""
    batch, run = program_run(program, source, plans)
    run.run(**hooks)
    batch.finish()
    return batch.planes, run


def program_run(program: Program, source: torch.Tensor, plans: list[StreamPlan]):
    """The result's memory and the run that will fill it."""
    shapes, clip = program.shapes, clip_size(source)
    frames, rows, columns, channels = value_sizes(shapes, clip)[-1]
    batch = HostBatch(
        1,
        channels,
        (frames, rows, columns),
        dtype=torch.float32,
        device=source.device,
        channels_last=rows > clip[1],  # as pixels lie, and latents do not
        pin=True,
    )
    batch.tensor.fill_(float("nan"))
    job = ExactJob(
        program, source[0], lambda x: x, batch.item(0), IDENTITY, source.device, source.dtype
    )
    weights = pack(program, source.device, source.dtype)
    return batch, exact_run(job, plans, lambda _: weights)


def run_exact(module, operation: str, source: torch.Tensor, plan: StreamPlan) -> torch.Tensor:
    return run_program(program_for(module, operation, source), source, [plan])[0]


def module_result(module, operation: str, source: torch.Tensor) -> torch.Tensor:
    """What a module of diffusers makes of [1, C, T, H, W]; one of images knows no T."""
    image = isinstance(module.encoder.conv_in, torch.nn.Conv2d)
    given = source[:, :, 0] if image else source
    if operation == "decode":
        made = module.decode(given).sample
    else:
        made = module.encode(given).latent_dist.mode()
    return made.unsqueeze(2) if image else made


def still_or_clip(module, source: torch.Tensor, still: bool) -> torch.Tensor:
    program = program_of(module, "decode", still=still)
    places = cuts(program.shapes, clip_size(source))
    parts = (Segment(0, places[0]), Segment(places[0], len(program.shapes), 16))
    return run_program(program, source, [StreamPlan(parts, 0, 0.0)])[0]


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest absolute difference; inf where shapes differ or anything is NaN."""
    if one.shape != other.shape:
        return float("inf")
    found = float((one - other).abs().max())
    return float("inf") if math.isnan(found) else found


def check_every_plan(module, operation: str, source: torch.Tensor, clamped: bool = False) -> None:
    """The module's own result equals that of all of `program_plans`; `clamped`: it clamps."""
    reference = module_result(module, operation, source)
    for plan in program_plans(module, operation, source):
        result = run_exact(module, operation, source, plan)
        result = result.clamp(-1, 1) if clamped else result
        assert difference(result, reference) <= TOLERANCE, plan.describe()


def check_allocated(program: Program, source: torch.Tensor, plan: StreamPlan) -> None:
    """No more is allocated on CUDA than a plan says."""
    check_run_allocated(lambda: program_run(program, source, [plan])[1], plan)


def check_run_allocated(make_run: Callable[[], ExactRun], plan: StreamPlan) -> None:
    """The same of what `make_run` makes."""
    # Once for what cuDNN tries and libraries keep, then for the figure.
    for _ in range(2):
        run = make_run()
        torch.cuda.synchronize()
        before = torch.cuda.memory_stats()
        torch.cuda.reset_peak_memory_stats()
        run.run()
        torch.cuda.synchronize()
    after = torch.cuda.memory_stats()

    def most(what: str) -> int:
        return after[f"{what}.peak"] - before[f"{what}.current"]

    # Moments with their scratch and the norms' vectors are counted by the request.
    allowed = plan.bytes + (1 << 20)
    asked, given = most("requested_bytes.all"), most("allocated_bytes.all")
    print(f"{plan.describe()}: planned {plan.bytes >> 20} MiB, measured {given >> 20} MiB")
    assert asked <= allowed, plan.describe()
    # Of each large block that torch's allocator hands out up to a megabyte stays unused, by chance.
    blocks = most("allocation.large_pool")
    assert given <= allowed + (blocks << 20), plan.describe()


def check_live_bytes(module, operation: str, source: torch.Tensor) -> None:
    """No more bytes live than every fourth plan says, and no fewer than half."""
    program, clip = program_for(module, operation, source), clip_size(source)
    for plan in candidates(program.shapes, clip, 4)[::4]:
        _, run = program_run(program, source, [plan])
        with LiveBytes() as live:
            run.run()
        # There is no place here from which pixels depart.
        departing = Schedule(program.shapes, clip, plan.segments[-1], 4).departure_bytes
        assert 0.5 * (plan.bytes - departing) <= live.peak <= plan.bytes, plan.describe()
        # A copy of what is merged, which a norm may read in place, and three steps of a norm.
        assert live.twin_copies <= 4
