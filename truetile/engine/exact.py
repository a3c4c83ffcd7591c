"""Runs a program exactly: segment by segment, and on a smaller plan when memory runs out.

What is finished stays: rows that were written are never made again, and a stored value is kept as
long as the next plan reads it, too. Moments of a value are the same in any plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ..errors import LadderExhausted
from ..report import human_bytes
from ..stream import Segment, Span, StreamPlan, outside_reads, value_sizes
from .call_weights import NeededFrom
from .cudnn import tune_once
from .exact_carry import last_runs
from .exact_output import MeasuredOutput, Output, Store
from .exact_schedules import macs_of, schedules_of
from .exact_segment import SegmentRun
from .exact_task import Tally, Task
from .exact_weights import Packed
from .memory import is_out_of_memory, release

# A plan that needs nearly as much as the one that failed would fail, too.
_NEXT_SHARE = 0.9


class ExactRun:
    """Works on the first of `plans`, which are sorted by falling need, and falls on demand."""

    def __init__(self, task: Task, plans: Sequence[StreamPlan], weights: NeededFrom) -> None:
        self._task = task
        self._plans = list(plans)
        self._weights = weights
        self._sizes = value_sizes(task.program.shapes, task.clip)
        self._schedules = schedules_of(task.program.shapes, task.clip, task.dtype.itemsize)
        # Groups of the norms that read each value.
        self._groups = {one.source: one.groups for one in task.program.shapes if one.groups}
        self._moments: dict[int, torch.Tensor] = {}  # of whole values
        self._stores: dict[int, Store] = {}
        # Finished rows of each value that is stored or given out, in the plans so far.
        self._finished: dict[int, int] = {}
        self._leaves: dict[Segment, set[int]] = {}  # layers that a segment is the last one to run
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
        self.work(check_interrupt, progress)
        return self._task.sink.all_finite()

    def work(
        self,
        check_interrupt: Callable[[], None] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """The same without a look at the result, which would wait for the device."""
        plan = self._plans[0]
        whole = Segment(0, len(self._task.program.layers))
        self.tally.macs_once = self._schedules.macs(whole)
        try:
            self._measure_input()
            while not self._attempt(plan, check_interrupt, progress):
                release(self._task.device)
                plan = smaller_plans(self._plans, plan)[0]
        finally:
            # A failed or interrupted run must not hold memory until its traceback is collected.
            self._stores.clear()

    def _attempt(self, plan: StreamPlan, check_interrupt, progress) -> bool:
        """Runs what is left of a plan; False when memory ran out."""
        self.tally.plans.append(plan)
        left = self._left(plan)
        self._leaves = last_runs(left)
        self._drop_unused(left)
        begins = [(one, self._finished.get(one.last, 0)) for one in left]
        first = left[0].first if left else 0
        tune_once(self._task, self._schedules, self._weights(first), begins)
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

    def _measure_input(self) -> None:
        """The moments of the input, where a norm reads it; frame by frame, for it may be large."""
        if 0 not in self._groups:
            return
        output = MeasuredOutput(None, self._groups[0], self._task.device)
        frames, rows = self._task.clip[:2]
        for frame in range(frames):
            part = Span(frame, frame + 1), Span(0, rows)
            output.put(*part, self._task.source.read(*part))
        self._moments[0] = output.moments

    def _left(self, plan: StreamPlan) -> list[Segment]:
        """The segments that must still run, found from the end backwards."""
        shapes = self._task.program.shapes
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
        task, value = self._task, segment.last
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
            run = SegmentRun(
                task.program,
                schedule,
                self._pass_weights(segment),
                task.device,
                task.dtype,
                self._read,
                output,
                task.carry,
                self._leaves[segment],
            )
            with task.source.reading(run.parts_of(0)):
                run.run(step_done, check_interrupt)
        except Exception as error:
            # The traceback holds the tensors of the failed call until this block is left.
            if not is_out_of_memory(error):
                raise
            self._fail(segment, output, finished)
            return False
        finally:
            if output is task.sink:
                output.settle()
            whole = begin == 0 and finished == rows
            self.tally.macs += (
                self._schedules.macs(segment) if whole else macs_of(schedule, until=finished)
            )
        self._finish(segment, output)
        return True

    def _output(self, segment: Segment) -> Output:
        """Where a segment's value goes; moments of rows that are stored already are in it."""
        value = segment.last
        if value == len(self._task.program.layers):
            return self._task.sink
        task, begin = self._task, self._finished.get(value, 0)
        if segment.over >= 0:
            self._stores[value] = self._stores[segment.over]
        elif segment.keep and value not in self._stores:
            new = {"dtype": task.dtype, "device": task.device}
            self._stores[value] = Store(torch.empty(self._sizes[value], **new))
        store = self._stores[value] if segment.keep else None
        output = MeasuredOutput(store, self._groups.get(value, 0), task.device)
        if begin:
            output.written(Span(0, self._sizes[value][0]), Span(0, begin))
        return output

    def _pass_weights(self, segment: Segment) -> tuple[Packed, ...]:
        """The layers' weights, with the norms of a segment ready to use."""
        first, last = segment.first, segment.last
        weights = list(self._weights(first)[first:last])
        for at, shape in enumerate(self._task.program.shapes[first:last]):
            if shape.groups:
                weights[at] = weights[at].with_moments(self._moments[shape.source])
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

    def _drop_unused(self, left: Sequence[Segment]) -> None:
        """Frees the stores that no segment of `left` reads or goes on with."""
        shapes = self._task.program.shapes
        used = {one.last for one in left if one.keep and one.over < 0}
        used = used.union(*(outside_reads(shapes, one) for one in left))
        used -= {one.last for one in left if one.over >= 0}
        for value in [value for value in self._stores if value not in used]:
            del self._stores[value]
            self._finished.pop(value, None)

    def _read(self, value: int, frames: Span, rows: Span) -> torch.Tensor:
        """Rows of a stored value, or of the clip itself, as [t, h, w, C] on the device."""
        return (self._stores[value] if value else self._task.source).read(frames, rows)


def smaller_plans(plans: Sequence[StreamPlan], failed: StreamPlan) -> list[StreamPlan]:
    """Those worth trying after `failed` ran out of memory; raises LadderExhausted without any."""
    smaller = [plan for plan in plans if plan.bytes < failed.bytes]
    if not smaller:
        raise LadderExhausted(
            f"out of memory: {failed.describe()} needs about {human_bytes(failed.bytes)}"
        )
    return [plan for plan in smaller if plan.bytes <= _NEXT_SHARE * failed.bytes] or smaller[-1:]
