"""Has cuDNN choose its algorithms for the convolutions of a segment before the segment runs.

The fewer shapes the better: in the first strip and the last one each layer has a height of its own,
lower than in those between, which is rounded up to theirs. Timing costs about 30 ms a shape for ten
algorithms and half a second for all of them; measured on an H200, ten are worth 0 to 30 % against
cuDNN's own guess. The guess and the ten are poor where the channels are no multiple of 64: all of
them are worth 95 % at 96 channels. What was chosen once is kept by torch for the thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch

from ..families.program import Layer
from ..stream import Schedule, Segment
from .exact_layers import convolve, convolved_frames
from .exact_schedules import Schedules
from .exact_steps import Strip, strips_of
from .exact_task import Task
from .exact_weights import Packed
from .memory import is_out_of_memory, release

# Calls of one shape in a run from which timing pays, and from which timing everything does.
_SOME, _MANY = 20, 60
_TIMED = 10
# A strip of fewer rows is convolved as it is: cuDNN's own guess takes up to twice as long a row.
_WORTH_ROUNDING = 0.5


def rounded_heights(strips: Sequence[Strip], at: int, device: torch.device) -> dict[int, int]:
    """For each height of a layer's padded input the one that is convolved; more only on CUDA.

    Rows beyond the true height hold anything, and so do the rows that are made of them.
    """
    heights = Counter(strip.layers[at].padded for strip in strips if strip.layers[at].padded)
    if not heights or not chooses(device):
        return {height: height for height in heights}
    # Of heights that come as often, as in two strips, the tallest.
    usual, most = max(heights, key=lambda height: (heights[height], height)), max(heights)

    def rounded(height: int) -> int:
        if height > usual:
            return most
        return usual if height >= _WORTH_ROUNDING * usual else height

    return {height: rounded(height) for height in heights}


def chooses(device: torch.device) -> bool:
    """Whether convolutions are cuDNN's."""
    return device.type == "cuda"


def tune_once(
    task: Task,
    schedules: Schedules,
    weights: tuple[Packed, ...],
    segments: Iterable[tuple[Segment, int]],
) -> None:
    """Has cuDNN choose for all `segments`, each from an output row on, where it did not yet.

    To be called while only weights and finished values are on the device: what cuDNN tries needs
    memory that no plan counts. Where memory runs out
    nothing more is timed: the guess serves, too, and the plan itself may still fit. Does nothing on
    other devices than CUDA.
    """
    if not chooses(task.device):
        return
    known = schedules.timing.done
    new = {"dtype": task.dtype, "device": task.device}
    for segment, begin in segments:
        key = task.device, task.dtype, segment, begin
        if key in known:
            continue
        part, schedule = slice(segment.first, segment.last), schedules.get(segment, begin)
        try:
            _tune(task.program.layers[part], weights[part], schedule, **new)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            release(task.device)
            return
        known.add(key)


def _tune(
    layers: tuple[Layer, ...],
    weights: tuple[Packed, ...],
    schedule: Schedule,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    """Times the shapes of a schedule's `layers` that come often."""
    strips, caches = strips_of(schedule), schedule.caches
    chunks = [schedule.chunk(index) for index in range(schedule.chunk_count)]
    calls: Counter = Counter()
    users: dict = {}
    for at, layer in enumerate(layers):
        if not layer.shape.padded:
            continue
        heights = rounded_heights(strips, at, device)
        rows = Counter(heights.get(strip.layers[at].padded, 0) for strip in strips)
        frames = Counter(convolved_frames(layer.shape, chunk[at]) for chunk in chunks)
        _, _, columns, channels = caches[at]
        for height, in_strips in rows.items():
            for length, in_chunks in frames.items():
                if height and length:
                    size = (length, height, columns, channels)
                    key = size, weights[at].weight.shape, layer.shape.rows.stride
                    calls[key] += in_strips * in_chunks
                    users[key] = at
    for key, at in users.items():
        if calls[key] >= _SOME:
            with _timing(calls[key], channels=key[0][3]):
                x = torch.empty(key[0], dtype=dtype, device=device)
                convolve(x, weights[at], layers[at].shape)


@contextmanager
def _timing(calls: int, channels: int) -> Iterator[None]:
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.benchmark_limit
    everything = calls >= _MANY and channels % 64 != 0
    cudnn.benchmark, cudnn.benchmark_limit = True, 0 if everything else _TIMED
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.benchmark_limit = before
