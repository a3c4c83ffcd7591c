"""Serves a whole request exactly, item by item, and reports on it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ..errors import LadderExhausted, NonFiniteError
from ..memory import tensors
from ..report import Report, human_bytes
from ..stream import StreamPlan, value_sizes
from . import selftest
from .call_weights import CallWeights, NeededFrom, Weights
from .exact_buffers import SegmentBuffers
from .exact_job import ExactJob, exact_run
from .exact_output import Store
from .exact_planning import (
    ExactPlan,
    make_exact_plan,
    make_offer,
    plans_for,
    weights_in_plans,
    weights_leave,
)
from .exact_task import Tally
from .exact_weights import Packed, pack
from .inputs import check_finite
from .kept_weights import KEPT
from .memory import is_out_of_memory
from .output import IDENTITY
from .ports import Affine
from .results import overflowed, ran_out, result_batch, tell_observer, warnings_of
from .weight_bytes import packed_bytes

if TYPE_CHECKING:
    from ..settings import Hooks, Settings
    from .memory import PeakMark
    from .ports import VaePort


_LABELS = {
    Packed: "TrueTile's packed weights",
    SegmentBuffers: "TrueTile's workspace",
    Store: "TrueTile's values between two segments",
}


def label(thing: object) -> str | None:
    """Names for the memory account: what a running request holds."""
    return _LABELS.get(type(thing))


tensors.register_label(label)


class ExactRequest:
    """One call of `truetile.decode` or `truetile.encode` for the exact engine.

    Making it tests the program on this machine, plans, and takes the VAE's own weights off the
    device: `run` makes packed ones of them, which are gone when it ends. Raises Declined where the
    VAE cannot be served exactly, BudgetError where no plan fits the budget.
    """

    def __init__(
        self,
        port: VaePort,
        operation: str,
        source: torch.Tensor,
        settings: Settings,
        reserve: int,
    ) -> None:
        self._port = port
        offer = make_offer(port, operation, source)
        selftest.require_equal(port, offer.program)
        self._plan = make_exact_plan(port, offer, settings, reserve)
        self._operation = operation
        self._source = source if source.dim() == 5 else source.unsqueeze(2)
        self._still = source.dim() == 4
        self._tallies: list[Tally] = []
        self._float32_items = 0
        self._weights: tuple[torch.dtype, CallWeights] | None = None
        self._has_packed = False

    def run(self, hooks: Hooks) -> torch.Tensor:
        """The result on the CPU, in the layout of `truetile.decode` and `truetile.encode`.

        Raises LadderExhausted, NonFiniteError, and what the interrupt check raises.
        """
        decoding = self._operation == "decode"
        items = self._items()
        frames, rows, columns, _ = self._sizes()[-1]
        size = (frames, rows, columns)
        batch = result_batch(self._port, self._operation, items, size, hooks)
        finish = self._port.finish if decoding else IDENTITY
        # A finish that is no affine is applied to the whole result by the caller.
        finish = finish if isinstance(finish, Affine) else IDENTITY
        tell_observer(self._port, self._operation, batch, hooks, self._plan_now, self._plan.why)
        pixels = frames * rows * columns
        try:
            with batch:
                for index in range(items):
                    job = ExactJob(
                        self._plan.program,
                        self._source[index],
                        _same if decoding else self._port.pixels_in,
                        batch.item(index),
                        finish,
                        self._port.device,
                        self._port.dtype,
                    )

                    def progress(share: float, index: int = index) -> None:
                        hooks.progress(int((index + share) * pixels), items * pixels)

                    self._item(job, hooks.check_interrupt, progress if hooks.progress else None)
        finally:
            self._drop_weights()
        tensor = batch.tensor
        return tensor.squeeze(1 if decoding else 2) if self._still else tensor

    def _item(self, job: ExactJob, check_interrupt, progress) -> None:
        run = exact_run(job, self._plan.plans, self._packed(job.dtype))
        self._tallies.append(run.tally)
        finite = run.run(check_interrupt, progress)
        if not finite and self._operation == "encode":
            check_finite("pixels", job.source)
        if not finite and job.dtype != torch.float32:
            # Half precision overflows in some decoders.
            job = replace(job, dtype=torch.float32)
            self._float32_items += 1
            run = exact_run(job, self._float32_plans(), self._packed(job.dtype))
            finite = run.run(check_interrupt, progress)
        if not finite:
            raise NonFiniteError(
                f"{self._operation}: the VAE makes NaN or Inf from finite input, in float32 too; "
                "the weights or this VAE's code are at fault"
            )

    def _packed(self, dtype: torch.dtype) -> NeededFrom:
        """The weights in `dtype`, in place of those in another one."""
        if self._weights is None or self._weights[0] != dtype:
            self._drop_weights()
            leaving = weights_leave(self._plan.program, self._items())
            self._weights = dtype, CallWeights(lambda: self._kept_or_packed(dtype), leaving)
        return self._weights[1].needed_from

    def _drop_weights(self) -> None:
        if self._weights is not None:
            self._weights[1].drop()
        self._weights = None

    def _kept_or_packed(self, dtype: torch.dtype) -> Weights:
        """Raises LadderExhausted."""
        program, port = self._plan.program, self._port
        cuts: list[int] = []
        if weights_leave(program, self._items()):
            # What leaves at different times lies in different blocks.
            cuts = [segment.first for segment in self._plan.plans[0].segments[1:]]
        try:
            weights = KEPT.find(program, port, dtype, cuts)
            if weights is None:
                self._has_packed = True
                weights = pack(program, port.device, dtype, port.weight)
                KEPT.keep(program, port, dtype, weights)
            return weights
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            count = human_bytes(packed_bytes(program, port.device, dtype))
            raise LadderExhausted(f"out of memory: packed weights need {count}") from None

    def _plan_now(self) -> str:
        tried = self._tallies[-1].plans if self._tallies else []
        return describe(self._plan, tried[-1] if tried else self._plan.plans[0])

    def _float32_plans(self) -> list[StreamPlan]:
        program, port = self._plan.program, self._port
        weights = weights_in_plans(program, self._items(), port.device, torch.float32)
        plans = plans_for(program, self._clip(), 4, port.device, weights)
        more = 0
        if not weights:
            more = packed_bytes(program, port.device, torch.float32)
            more -= packed_bytes(program, port.device, port.dtype)
        fitting = [plan for plan in plans if plan.bytes + more <= self._plan.plans[0].bytes]
        return fitting or [plans[-1]]

    def _items(self) -> int:
        return self._source.shape[0]

    def _clip(self) -> tuple[int, int, int, int]:
        return (*self._source.shape[2:], self._source.shape[1])

    def _sizes(self) -> list[tuple[int, int, int, int]]:
        return value_sizes(self._plan.program.shapes, self._clip())

    def report(self, mark: PeakMark, seconds: float) -> Report:
        """What `run` did."""
        tried = list(dict.fromkeys(plan for tally in self._tallies for plan in tally.plans))
        last = self._tallies[-1].plans[-1]
        steps = sum(tally.steps for tally in self._tallies)
        falls = sum(len(tally.plans) - 1 for tally in self._tallies)
        why = self._plan.why
        if falls:
            why += f"; {ran_out(falls)}"
        return Report(
            operation=self._operation,
            plan=describe(self._plan, last),
            rungs=tuple(
                {
                    "name": describe(self._plan, plan),
                    "tiles": steps if plan is last else 0,
                    "bytes": self._plan.offer.needs(plan, packing=self._has_packed),
                    "outcome": "done" if plan is last else "out of memory",
                }
                for plan in tried
            ),
            tiles=steps,
            work_factor=sum(tally.work_factor for tally in self._tallies) / len(self._tallies),
            peak_bytes=mark.peak_bytes(),
            seconds=seconds,
            exact=True,
            why=why,
            warnings=tuple(self._warnings(mark)),
        )

    def _warnings(self, mark: PeakMark) -> list[str]:
        texts = []
        if self._float32_items:
            texts.append(overflowed(self._float32_items, "item"))
        return texts + warnings_of(mark)


def _same(latent: torch.Tensor) -> torch.Tensor:
    return latent


def describe(plan: ExactPlan, stream: StreamPlan) -> str:
    """`Wan 2.1 in strips of 64 rows, chunks of 3 latents`: the part that is streamed."""
    program = plan.program
    if len(stream.segments) > 2:
        return f"{program.family}: {stream.describe()}"
    streamed = stream.segments[-1 if program.operation == "decode" else 0]
    unit = "rows" if program.operation == "decode" else "rows of latents"
    rows = f"in strips of {streamed.rows} {unit}" if streamed.rows else "in whole frames"
    chunk = f", chunks of {streamed.chunk} latents" if streamed.chunk else ""
    return f"{program.family} {rows}{chunk}"
