"""Runs a program whose norms know a few frames at a time: stage by stage, span by span.

What convolutions saw last is carried from span to span, so that nothing is made twice. When memory
runs out, a stage begins again on the next smaller plan: what is carried would be that of the middle
of a span. Spans are alike, so that this is early in the stage; stages before it are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from ..errors import LadderExhausted
from ..stream import Segment, StreamPlan, value_sizes
from .call_weights import NeededFrom
from .exact import ExactRun, smaller_plans
from .exact_carry import Carry
from .exact_output import Sink, Store
from .exact_schedules import schedules_of
from .exact_stages import Part, Stage, stages_of
from .exact_task import Tally, Task
from .memory import is_out_of_memory, release


class RolledRun:
    """Works on the first of `plans`, which are sorted by falling need, and falls on demand."""

    def __init__(self, task: Task, plans: Sequence[StreamPlan], weights: NeededFrom) -> None:
        self._task = task
        self._plans = list(plans)
        self._weights = weights
        self._stages = stages_of(task.program.shapes, task.program.roll, task.clip)
        self.tally = Tally(plans=self._plans[:1])

    def run(
        self,
        check_interrupt: Callable[[], None] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> bool:
        """As `ExactRun.run`."""
        self.tally.macs_once = sum(map(self._macs, self._all_parts()))
        finished = 0.0
        source = self._task.source
        for stage in self._stages:

            def report(macs: float, finished: float = finished) -> None:
                if progress is not None:
                    progress((finished + macs) / self.tally.macs_once)

            sink = self._sink(stage)
            task = replace(self._task, source=source, sink=sink)
            while not self._attempt(stage, task, check_interrupt, report):
                release(task.device)
                self._plans = smaller_plans(self._plans, self._plans[0])
                self.tally.plans.append(self._plans[0])
            source = sink
            finished += sum(map(self._macs, stage.parts))
        return self._task.sink.all_finite()

    def _sink(self, stage: Stage) -> Sink:
        """Where a stage's result goes: out, or to a whole value for the next stage."""
        task = self._task
        if stage.last == len(task.program.layers):
            return task.sink
        size = value_sizes(task.program.shapes, task.clip)[stage.last]
        try:
            return Store(torch.empty(size, dtype=task.dtype, device=task.device))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise LadderExhausted(f"out of memory: no room for {size} between stages") from None

    def _attempt(self, stage: Stage, task: Task, check_interrupt, report) -> bool:
        """All parts of a stage on the plan at hand; False when memory ran out."""
        plan = stage.plan(self._plans[0])
        done = 0.0
        try:
            carry = self._carry(stage)
            for part in stage.parts:
                own = self._macs(part)
                inner = replace(
                    task,
                    program=task.program.part(stage.first, part.shapes),
                    clip=part.clip,
                    source=task.source.of(part.read),
                    sink=task.sink.of(part.made),
                    carry=carry,
                )
                run = ExactRun(inner, [plan], lambda _: self._weights(0)[stage.first : stage.last])
                run.work(
                    check_interrupt, lambda share, done=done, own=own: report(done + share * own)
                )
                self.tally.steps += run.tally.steps
                self.tally.macs += run.tally.macs
                done += own
                if carry is not None:
                    carry.begun = True
        except LadderExhausted:
            return False
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True

    def _carry(self, stage: Stage) -> Carry | None:
        if len(stage.parts) == 1:
            return None
        part = stage.parts[-1]
        sizes = value_sizes(part.shapes, part.clip)
        return Carry(part.shapes, sizes, self._task.dtype, self._task.device)

    def _all_parts(self) -> list[Part]:
        return [part for stage in self._stages for part in stage.parts]

    def _macs(self, part: Part) -> float:
        """Multiply-adds of a part with each layer made once."""
        schedules = schedules_of(part.shapes, part.clip, self._task.dtype.itemsize)
        return schedules.macs(Segment(0, len(part.shapes)))
