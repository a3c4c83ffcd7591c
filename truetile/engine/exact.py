"""Runs a program exactly: segment by segment, and on a smaller plan when memory runs out.

What is finished stays: rows that were written are never made again, and a stored value is kept as
long as the next plan reads it, too. Moments of a value are the same in any plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from ..errors import LadderExhausted
from ..families.program import Program
from ..report import human_bytes
from ..stream import Segment, Span, StreamPlan, outside_reads, value_sizes
from .exact_buffers import Output
from .exact_output import HostSink, MeasuredOutput, Store
from .exact_schedules import macs_of, schedules_of
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
    macs_once: float = 0.0  # of each layer made once

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
        self._sizes = value_sizes(job.program.shapes, self._clip)
        self._schedules = schedules_of(job.program.shapes, self._clip, job.dtype.itemsize)
        # Groups of the norms that read each value.
        self._groups = {one.source: one.groups for one in job.program.shapes if one.groups}
        self._moments: dict[int, torch.Tensor] = {}  # of whole values
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
        whole = Segment(0, len(self._job.program.layers))
        self.tally.macs_once = self._schedules.macs(whole)
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
        left = self._left(plan)
        self._drop_unused(left)
        work = [self._schedules.macs(segment) for segment in left]
        done = 0.0
        for at, segment in enumerate(left):

            def report(share: float, done: float = done, macs: float = work[at]) -> None:
                if progress is not None:
                    progress((done + share * macs) / sum(work))

            if not self._segment(segment, check_interrupt, report):
                return False
            self._drop_unused(left[at + 1 :])
            done += work[at]
        return True

    def _left(self, plan: StreamPlan) -> list[Segment]:
        """The segments that must still run, found from the end backwards."""
        shapes = self._job.program.shapes
        values, norms = {len(shapes)}, set()
        left = []
        for one in reversed(plan.segments):
            finished = self._finished.get(one.last, 0) == self._sizes[one.last][1]
            makes = one.last in values and not finished
            if makes or (one.last in norms and one.last not in self._moments):
                left.append(one)
                values |= outside_reads(shapes, one)
                norms |= {shape.source for shape in shapes[one.first : one.last] if shape.groups}
        return left[::-1]

    def _segment(self, segment: Segment, check_interrupt, report) -> bool:
        """Runs what is left of a segment; False when memory ran out."""
        job, value = self._job, segment.last
        rows = self._sizes[value][1]
        steps = finished = 0

        def step_done(made: Span, complete: bool) -> None:
            nonlocal steps, finished
            steps += 1
            if complete:
                finished = made.end
                self.tally.steps += steps
                steps = 0
            report(finished / rows)

        begin = finished = self._finished.get(value, 0)
        schedule = self._schedules.get(segment, begin)
        output = None
        try:
            output = self._output(segment)
            weights = self._pass_weights(segment)
            run = SegmentRun(
                job.program, schedule, weights, job.device, job.dtype, self._read, output
            )
            run.run(step_done, check_interrupt)
        except Exception as error:
            # The traceback holds the tensors of the failed call until this block is left.
            if not is_out_of_memory(error):
                raise
            self._fail(segment, output, finished)
            return False
        finally:
            whole = begin == 0 and finished == rows
            self.tally.macs += (
                self._schedules.macs(segment) if whole else macs_of(schedule, until=finished)
            )
        self._finish(segment, output)
        return True

    def _output(self, segment: Segment) -> Output:
        """Where a segment's value goes; moments of rows that are stored already are in it."""
        value = segment.last
        if value == len(self._job.program.layers):
            return self._sink
        job, begin = self._job, self._finished.get(value, 0)
        if segment.over >= 0:
            self._stores[value] = self._stores[segment.over]
        elif segment.keep and value not in self._stores:
            new = {"dtype": job.dtype, "device": job.device}
            self._stores[value] = Store(torch.empty(self._sizes[value], **new))
        store = self._stores[value] if segment.keep else None
        output = MeasuredOutput(store, self._groups.get(value, 0), job.device)
        if begin:
            output.written(Span(0, self._sizes[value][0]), Span(0, begin))
        return output

    def _pass_weights(self, segment: Segment) -> tuple[Packed, ...]:
        """The layers' weights, with the norms of a segment ready to use."""
        weights = list(self._weights)
        for index in range(segment.first, segment.last):
            shape = self._job.program.shapes[index]
            if shape.groups:
                weights[index] = weights[index].with_moments(self._moments[shape.source])
        return tuple(weights)

    def _finish(self, segment: Segment, output: Output) -> None:
        if segment.last in self._groups:
            self._moments[segment.last] = output.moments
        if segment.keep:
            self._finished[segment.last] = self._sizes[segment.last][1]
        if segment.over >= 0:
            del self._stores[segment.over], self._finished[segment.over]

    def _fail(self, segment: Segment, output: Output | None, finished: int) -> None:
        """Keeps what a segment made before memory ran out."""
        if segment.over >= 0:
            if isinstance(output, MeasuredOutput) and output.begun:
                # Its input is gone where its output lies: only the beginning is left.
                self._stores.clear()
                self._finished.clear()
            else:
                self._stores.pop(segment.last, None)
        elif segment.keep and finished:
            self._finished[segment.last] = finished

    def _next(self, failed: StreamPlan) -> StreamPlan:
        smaller = [plan for plan in self._plans if plan.bytes < failed.bytes]
        if not smaller:
            raise LadderExhausted(
                f"out of memory: {failed.describe()} needs about {human_bytes(failed.bytes)}"
            )
        far = [plan for plan in smaller if plan.bytes <= _NEXT_SHARE * failed.bytes]
        return far[0] if far else smaller[-1]

    def _drop_unused(self, left: Sequence[Segment]) -> None:
        """Frees the stores that no segment of `left` reads or goes on with."""
        shapes = self._job.program.shapes
        used = {one.last for one in left if one.keep and one.over < 0}
        used = used.union(*(outside_reads(shapes, one) for one in left))
        used -= {one.last for one in left if one.over >= 0}
        for value in [value for value in self._stores if value not in used]:
            del self._stores[value]
            self._finished.pop(value, None)

    def _read(self, value: int, frames: Span, rows: Span) -> torch.Tensor:
        """Rows of a stored value, or of the clip itself, as [t, h, w, C] on the device."""
        if value:
            return self._stores[value].target(frames, rows)
        return self._source.read(frames, rows)
