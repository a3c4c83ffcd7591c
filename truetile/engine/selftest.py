"""Proves on this machine, before the exact engine is trusted, that it equals the module.

A small input goes through both, once for each (structure, dtype, device, patches of weights). It is
cut into strips of a few rows and chunks of one latent, so that every line buffer and cached frame
counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ..families.program import Declined, Program
from ..stream import (
    Segment,
    StreamLayer,
    StreamPlan,
    cuts,
    make_passes,
    pass_targets,
    value_sizes,
)
from .exact_job import ExactJob, exact_run
from .exact_stages import stages_of
from .exact_weights import pack
from .output import IDENTITY, HostBatch

if TYPE_CHECKING:
    from .ports import VaePort

# Float32 sums in another order, relative to the largest value; and what the coarser mantissas of
# half precision (and TF32) leave, relative to the spread of the values.
_FULL, _COARSE = 1e-4, 0.05
_ROWS, _COLUMNS, _FRAMES = 3, 4, 3  # latents
_STRIP = 5  # rows of any value between passes
_REFERENCE_BYTES = 256 << 20  # for the module itself on so small an input, with much to spare
_results: dict[tuple, str | None] = {}


def require_equal(port: VaePort, program: Program) -> None:
    """Raises Declined when the program's result differs from the module's.

    Afterwards the module's own weights may be on the device: a test that had to run needs them.
    """
    key = (program.structure, port.dtype, str(port.device), port.patches())
    if key not in _results:
        _results[key] = _difference(port, program)
    if reason := _results[key]:
        raise Declined(reason)


def forget() -> None:
    """Makes the next request test again."""
    _results.clear()


def _difference(port: VaePort, program: Program) -> str | None:
    source = _input(port, program)
    with torch.no_grad():
        port.prepare(_REFERENCE_BYTES)
        call = port.decode if program.operation == "decode" else port.encode
        frames = source if port.time is not None else source[:, :, 0]
        want = call(frames.to(port.device, port.dtype)).float().cpu()
        port.unload()
        got = _exact(port, program, source)
    want = want if want.dim() == 5 else want.unsqueeze(2)
    if got.shape != want.shape:
        return f"self-test: the shape is {tuple(got.shape)}, the module's {tuple(want.shape)}"
    if program.operation == "decode":  # some modules clamp, others leave it to the caller
        got, want = got.clamp(-1, 1), want.clamp(-1, 1)
    error = (got - want).abs()
    coarse = port.dtype != torch.float32 or _uses_tf32(port.device)
    found = float(error.mean() if coarse else error.max())
    limit = float(_COARSE * want.std() if coarse else _FULL * want.abs().max())
    # Written so that NaN fails.
    if found <= limit:
        return None
    kind = "mean" if coarse else "largest"
    return f"self-test: {kind} difference {found:.2g} from the module, allowed {limit:.2g}"


def _exact(port: VaePort, program: Program, source: torch.Tensor) -> torch.Tensor:
    """[1, C, T, H, W] of the exact engine, cut so that as much as possible is streamed."""
    _, c, t, h, w = source.shape
    shapes, clip = program.shapes, (t, h, w, c)
    if program.roll is not None:
        parts = _staged(program, clip)
    elif program.in_passes:
        parts = _passes(shapes, clip)
    else:
        parts = _cut(port, program, clip)
    frames, height, columns, channels = value_sizes(shapes, clip)[-1]
    batch = HostBatch(
        1,
        channels,
        (frames, height, columns),
        dtype=torch.float32,
        device=port.device,
        channels_last=False,
        pin=False,
    )
    job = ExactJob(program, source[0], _same, batch.item(0), IDENTITY, port.device, port.dtype)
    weights = pack(program, port.device, port.dtype, port.weight)
    exact_run(job, [StreamPlan(tuple(parts), 0, 0.0)], lambda _: weights).run()
    return batch.finish()


def _cut(port: VaePort, program: Program, clip: tuple[int, int, int, int]) -> list[Segment]:
    """Two segments that meet where one row of latents makes the shortest strips."""
    shapes, decoding = program.shapes, program.operation == "decode"
    places = cuts(shapes, clip)
    cut = (min(places) if decoding else max(places)) if places else 0
    chunks = [0 if program.sees_clip(*span) else 1 for span in ((0, cut), (cut, len(shapes)))]
    parts = [Segment(0, cut, 0 if decoding else 1, chunks[0])] if cut else []
    rows = port.spatial if decoding and places else 0
    return [*parts, Segment(cut, len(shapes), rows, chunks[1])]


def _staged(program: Program, clip: tuple[int, int, int, int]) -> list[Segment]:
    """Passes of each stage, the same for all of its spans."""
    parts: list[Segment] = []
    for stage in stages_of(program.shapes, program.roll, clip):
        parts += stage.moved_out(_passes(stage.largest.shapes, stage.largest.clip))
    return parts


def _passes(shapes: Sequence[StreamLayer], clip: tuple[int, int, int, int]) -> list[Segment]:
    """Passes that store every third value only, in strips that no resolution divides."""
    sides = {
        value
        for index, shape in enumerate(shapes)
        if shape.attends
        for value in (shape.source, index + 1)
    }
    stored = sorted(sides.union(pass_targets(shapes)[::3]) - {0})
    return [
        # A chunk of one latent, but for attention, which is the only one to run whole.
        Segment(one.first, one.last, one.rows, 1 if one.rows else 0, one.keep, one.over)
        for one in make_passes(shapes, clip, stored, _STRIP)
    ]


def _input(port: VaePort, program: Program) -> torch.Tensor:
    """A small [1, C, T, h, w] of what the operation reads, the same in every process."""
    generator = torch.Generator().manual_seed(0)
    scale = 1 if program.operation == "decode" else port.spatial
    frames = 1
    if not program.still:
        frames = 1 + (_FRAMES - 1) * program.frame_unit
    size = (frames, _ROWS * scale, _COLUMNS * scale)
    return torch.randn((1, program.shapes[0].in_channels, *size), generator=generator)


def _same(x: torch.Tensor) -> torch.Tensor:
    return x


def _uses_tf32(device: torch.device) -> bool:
    return device.type == "cuda" and torch.backends.cudnn.allow_tf32
