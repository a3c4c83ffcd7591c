"""One clip or image from the host to the host: what the exact engine's callers ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..families.program import Program
from ..stream import StreamPlan
from .call_weights import NeededFrom
from .exact import ExactRun
from .exact_output import HostSink
from .exact_rolled import RolledRun
from .exact_source import ClipSource
from .exact_task import Task
from .output import HostOutput
from .ports import Affine


@dataclass(frozen=True)
class ExactJob:
    """One clip or image.

    source: [C, T, h, w] on any device; latents to decode, pixels in [0, 1] to encode. convert:
    makes the VAE's input of a [1, C, t, h, w] part of it, on the device. output and finish: where
    the result goes, and what becomes of it on the way.
    """

    program: Program
    source: torch.Tensor
    convert: Callable[[torch.Tensor], torch.Tensor]
    output: HostOutput
    finish: Affine
    device: torch.device
    dtype: torch.dtype


def exact_run(
    job: ExactJob, plans: Sequence[StreamPlan], weights: NeededFrom
) -> ExactRun | RolledRun:
    """What will do a job by the first of `plans`, which are sorted by falling need."""
    c, t, h, w = job.source.shape
    task = Task(
        job.program,
        (t, h, w, c),
        ClipSource(job.source, job.convert, job.device, job.dtype),
        HostSink(job.output, job.finish, job.device),
        job.device,
        job.dtype,
    )
    kind = ExactRun if job.program.roll is None else RolledRun
    return kind(task, plans, weights)
