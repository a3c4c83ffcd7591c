"""From a request to the program and the plans that serve it, or the reason why there are none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BudgetError
from ..families.program import Declined, Program
from ..report import human_bytes
from ..stream import StreamPlan, candidates, choose_plan, value_sizes
from .exact_layers import SCRATCH_BYTES
from .exact_weights import packed_bytes

if TYPE_CHECKING:
    import torch

    from ..api import Settings
    from .ports import VaePort

# Estimates leave out what the driver and cuDNN take for themselves.
_FREE_SHARE = 0.9
# How much slower than the fastest a plan may be for the memory that it saves, if nobody set a
# budget: memory taken from the other models of a workflow costs more than this.
_SLACK = 1.15
_RESULT_BYTES = 4  # an element of the result: float32 unless the caller asks for another


@dataclass(frozen=True)
class ExactPlan:
    """What `ExactRun` needs. `plans`: the chosen one, then smaller ones for when memory runs out.

    `beside_bytes` are taken besides by the packed weights, by the norms' temporaries and, on the
    CPU, by the result.
    """

    program: Program
    plans: tuple[StreamPlan, ...]
    beside_bytes: int
    why: str

    @property
    def needed_bytes(self) -> int:
        return self.plans[0].bytes + self.beside_bytes


def make_exact_plan(
    port: VaePort, operation: str, source: torch.Tensor, settings: Settings, reserve: int
) -> ExactPlan:
    """The plan of a request, with weights resident and memory made free for it.

    `reserve`: bytes that the allocator rounds up to on its own.
    Raises Declined where the VAE is of no known family, BudgetError where no plan fits the budget.
    """
    program = _program(port, operation, source)
    frames = source.shape[2] if source.dim() == 5 else 1
    clip = (frames, *source.shape[-2:], source.shape[1])
    shapes, elem = program.shapes, port.dtype.itemsize
    beside = packed_bytes(program, port.dtype) + SCRATCH_BYTES
    if port.device.type == "cpu":
        beside += source.shape[0] * math.prod(value_sizes(shapes, clip)[-1]) * _RESULT_BYTES
    plans = candidates(shapes, clip, elem)
    if settings.budget is not None:
        room = settings.budget - beside
        if room < plans[-1].bytes:
            raise BudgetError(
                f"budget={settings.budget}: must be at least {plans[-1].bytes + beside} bytes "
                f"for {plans[-1].describe()}, {human_bytes(beside)} of weights and results included"
            )
        chosen = choose_plan(shapes, clip, elem, room)
        why = f"the fastest plan within the budget of {human_bytes(settings.budget)}"
        port.prepare(chosen.bytes + beside + reserve)
        return ExactPlan(program, _from(plans, chosen), beside, why)
    wanted = choose_plan(shapes, clip, elem, max(one.bytes for one in plans), _SLACK)
    port.prepare(wanted.bytes + beside + reserve)
    room = int(max(0, port.free_bytes() - reserve) * _FREE_SHARE) - beside
    if room < plans[-1].bytes:
        why = f"no plan fits the {human_bytes(room + beside)} free; tried the smallest"
        return ExactPlan(program, (plans[-1],), beside, why)
    chosen = choose_plan(shapes, clip, elem, min(room, wanted.bytes))
    why = f"{human_bytes(chosen.bytes + beside)} of the {human_bytes(room + beside)} free"
    return ExactPlan(program, _from(plans, chosen), beside, why)


def _program(port: VaePort, operation: str, source: torch.Tensor) -> Program:
    offered = getattr(port, "program", None)
    if offered is None:
        raise Declined(f"{type(port).__name__} does not tell its layers")
    still = source.dim() == 4 or source.shape[2] == 1
    program = offered(operation, still=still)
    reads, makes = program.shapes[0].in_channels, program.shapes[-1].out_channels
    wanted = port.pixel_channels if operation == "decode" else port.latent_channels
    if (reads, makes) != (source.shape[1], wanted):
        raise Declined(
            f"its layers read {reads} and make {makes} channels, the request has "
            f"{source.shape[1]} and {wanted}"
        )
    return program


def _from(plans: list[StreamPlan], chosen: StreamPlan) -> tuple[StreamPlan, ...]:
    return tuple(plan for plan in plans if plan.bytes <= chosen.bytes)
