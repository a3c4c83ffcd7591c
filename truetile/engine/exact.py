"""Runs a program exactly: segment by segment, and on a smaller plan when memory runs out.

What is finished stays: rows that were written are never made again, and a whole value at a cut is
kept as long as the next plan cuts there, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from ..errors import LadderExhausted
from ..families.program import Program
from ..report import human_bytes
from ..stream import Schedule, Segment, Span, StreamPlan
from .exact_output import HostSink, Store
from .exact_segment import SegmentRun
from .exact_source import ClipSource
from .exact_weights import Packed
from .memory import is_out_of_memory, release
from .output import HostOutput
from .ports import Affine

# A plan that needs nearly as much as the one that failed would fail, too.
_NEXT_SHARE = 0.9


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


@dataclass
class Tally:
    """What a run did: plans tried, chunks of strips kept, multiply-adds of all finished strips."""

    plans: list[StreamPlan] = field(default_factory=list)
    steps: int = 0
    macs: float = 0.0
    macs_once: float = 0.0  # of a run that nothing interrupts

    @property
    def work_factor(self) -> float:
        return self.macs / self.macs_once if self.macs_once else 1.0


class ExactRun:
    """Works on the first of `plans`, which are sorted by falling need, and falls on demand."""

    def __init__(
        self, job: ExactJob, plans: Sequence[StreamPlan], weights: tuple[Packed, ...]
    ) -> None:
        self._job = job
        self._plans = list(plans)
        c, t, h, w = job.source.shape
        self._clip = (t, h, w, c)
        self._weights = weights
        self._stores: dict[int, Store] = {}
        # Finished rows of each value that is stored or given out, in the plans so far.
        self._finished: dict[int, int] = {}
        self._source = ClipSource(job.source, job.convert, job.device, job.dtype)
        self._sink = HostSink(job.output, job.finish, job.device)
        self.tally = Tally()

    def run(
        self,
        check_interrupt: Callable[[], None] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> bool:
        """Runs to the end; False when the result holds NaN or Inf.

        `check_interrupt` is called before each layer and ends the run by raising; `progress` gets
        the finished part of the work, 0 to 1. Raises LadderExhausted when memory runs out on the
        last plan.
        """
        plan = self._plans[0]
        try:
            while not self._attempt(plan, check_interrupt, progress):
                release(self._job.device)
                plan = self._next(plan)
            return self._sink.all_finite()
        finally:
            # A failed or interrupted run must not hold memory until its traceback is collected.
            self._stores.clear()
            self._weights = ()

    def _attempt(self, plan: StreamPlan, check_interrupt, progress) -> bool:
        """Runs what is left of a plan; False when memory ran out."""
        self.tally.plans.append(plan)
        schedules = [self._schedule(segment) for segment in plan.segments]
        work = [macs_of(one) for one in schedules]
        self.tally.macs_once = sum(work)
        done = 0.0
        for segment, schedule, macs in zip(plan.segments, schedules, work, strict=True):

            def report(share: float, done: float = done, macs: float = macs) -> None:
                if progress is not None:
                    progress((done + share * macs) / self.tally.macs_once)

            if not self._segment(segment, schedule, check_interrupt, report):
                return False
            done += macs
        return True

    def _segment(self, segment: Segment, schedule: Schedule, check_interrupt, report) -> bool:
        """Runs what is left of a segment; False when memory ran out."""
        job, value = self._job, segment.last
        rows = schedule.sizes[value][1]
        steps = 0

        def step_done(made: Span, complete: bool) -> None:
            nonlocal steps
            steps += 1
            if complete:
                self._finished[value] = made.end
                self.tally.steps += steps
                steps = 0
            report(self._finished.get(value, 0) / rows)

        begin = self._finished.get(value, 0)
        if begin == rows:
            return True
        if begin:
            schedule = self._schedule(segment, begin)
        try:
            output = self._sink if value == len(job.program.layers) else self._store(schedule)
            run = SegmentRun(
                job.program, schedule, self._weights, job.device, job.dtype, self._read, output
            )
            run.run(step_done, check_interrupt)
        except Exception as error:
            # The traceback holds the tensors of the failed call until this block is left.
            if not is_out_of_memory(error):
                raise
            return False
        finally:
            finished = self._finished.get(value, 0)
            self.tally.macs += macs_of(schedule, until=finished)
        self._drop(lambda stored: stored <= segment.first)
        return True

    def _next(self, failed: StreamPlan) -> StreamPlan:
        smaller = [plan for plan in self._plans if plan.bytes < failed.bytes]
        if not smaller:
            raise LadderExhausted(
                f"out of memory: {failed.describe()} needs about {human_bytes(failed.bytes)}"
            )
        far = [plan for plan in smaller if plan.bytes <= _NEXT_SHARE * failed.bytes]
        plan = far[0] if far else smaller[-1]
        cuts = {segment.last for segment in plan.segments}
        self._drop(lambda stored: stored not in cuts)
        return plan

    def _drop(self, when: Callable[[int], bool]) -> None:
        for value in [value for value in self._stores if when(value)]:
            del self._stores[value], self._finished[value]

    def _schedule(self, segment: Segment, begin: int = 0) -> Schedule:
        shapes = self._job.program.shapes
        return Schedule(shapes, self._clip, segment, self._job.dtype.itemsize, begin)

    def _store(self, schedule: Schedule) -> Store:
        value = schedule.segment.last
        if value not in self._stores:
            job = self._job
            size = schedule.sizes[value]
            self._stores[value] = Store(torch.empty(size, dtype=job.dtype, device=job.device))
            self._finished[value] = 0
        return self._stores[value]

    def _read(self, value: int, frames: Span, rows: Span) -> torch.Tensor:
        """Rows of a stored value, or of the clip itself, as [t, h, w, C] on the device."""
        if value:
            return self._stores[value].target(frames, rows)
        return self._source.read(frames, rows)


def macs_of(schedule: Schedule, until: int | None = None) -> float:
    """Multiply-adds of the strips that end by output row `until`."""
    total = 0.0
    for index in range(schedule.strip_count):
        if until is not None and schedule.strip(index).layers[-1].out.end > until:
            break
        total += schedule.strip_macs(index)
    return total
