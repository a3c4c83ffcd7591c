"""What a run of the exact engine is given, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from ..families.program import Program
from ..stream import StreamPlan
from .exact_carry import Carry
from .exact_output import Sink
from .exact_source import Source


@dataclass(frozen=True)
class Task:
    """A program with an input of size `clip` (T, H, W, C), and where its result goes.

    `carry`: what its convolutions saw before, where the clip is one of several spans.
    """

    program: Program
    clip: tuple[int, int, int, int]
    source: Source
    sink: Sink
    device: torch.device
    dtype: torch.dtype
    carry: Carry | None = None


@dataclass
class Tally:
    """What a run did: plans tried, chunks of strips kept, multiply-adds of all finished strips."""

    plans: list[StreamPlan] = field(default_factory=list)
    steps: int = 0
    macs: float = 0.0
    macs_once: float = 0.0  # of each layer made once

    @property
    def work_factor(self) -> float:
        return self.macs / self.macs_once if self.macs_once else 1.0
