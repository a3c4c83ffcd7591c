"""From a request to the program and the plans that serve it, or the reason why there are none."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import BudgetError
from ..families.program import Declined, Program, Roll
from ..report import human_bytes
from ..stream import Speed, StreamPlan, candidates, choose_plan, value_sizes
from .attention import attention_way
from .exact_rolled_plans import rolled_plans
from .exact_stages import Shapes, Size
from .weight_bytes import layer_bytes, packed_bytes, packing_bytes

if TYPE_CHECKING:
    import torch

    from ..settings import Settings
    from .ports import VaePort

# Estimates leave out what the driver and cuDNN take for themselves.
_FREE_SHARE = 0.9
# Where nobody set a budget, memory costs what it takes to send what it holds of the other models of
# a workflow to the host and back, over the bus of the machine that predicted times are of. A plan
# that saves memory may take so much longer than the fastest.
_BYTE_SECONDS = 2 / 45e9
_SLACK = 1.09
NEARLY_FASTEST = f"the best of time and memory within {_SLACK - 1:.0%} of the fastest"
# Of passes any byte is worth the slack: values of several sizes make torch's allocator reserve up
# to twice of them, and strips of few rows are faster there than predicted (2.7 % slower, not 6.7).
_BYTE_SECONDS_OF_PASSES = 1.0
# What the process grows by on the CPU besides tensors: oneDNN's scratch and code, as measured.
_CPU_BYTES = 10 << 20
# Moments with their scratch, and factor and summand of each channel in one pass.
_MOMENT_BYTES = 1 << 20
_CUBLAS_BYTES = 32 << 20  # torch's workspace for products, as large as on any GPU
_RESULT_BYTES = 4  # an element of the result: float32 unless the caller asks for another


@dataclass(frozen=True)
class ExactPlan:
    """What `ExactRun` needs: the chosen plan, then smaller ones for when memory runs out."""

    offer: Offer
    plans: tuple[StreamPlan, ...]
    why: str

    @property
    def program(self) -> Program:
        return self.offer.program


@dataclass(frozen=True)
class Offer:
    """All plans for one request, of falling need.

    `beside_bytes` are taken besides by the packed weights that no plan counts, by those of the
    VAE's own that cannot leave the device, on CUDA by cuBLAS and, on the CPU, by the result and
    oneDNN. Before a plan runs, packing takes `packing_bytes` in its place. `counted_bytes`: of the
    weights that plans count.
    """

    program: Program
    clip: Size  # of what the operation reads
    elem_bytes: int
    plans: tuple[StreamPlan, ...]
    beside_bytes: int
    packing_bytes: int
    counted_bytes: int

    def needs(self, plan: StreamPlan, packing: bool = True) -> int:
        """The most that is allocated at once, with `packing` of the weights before the plan."""
        return max(plan.bytes, self.packing_bytes if packing else 0) + self.beside_bytes

    def within(self, budget: int) -> StreamPlan:
        """The fastest plan that needs at most `budget` bytes; raises BudgetError."""
        least = self.plans[-1]
        if self.needs(least) > budget:
            fixed = human_bytes(self.beside_bytes + self.counted_bytes)
            raise BudgetError(
                f"budget={budget}: must be at least {self.needs(least)} bytes for "
                f"{least.describe()}, {fixed} of weights and results included"
            )
        return choose_plan(self.plans, budget - self.beside_bytes)

    def usual(self) -> StreamPlan:
        """The one for plenty of memory: time and memory together cost least, nearly fastest."""
        most = max(one.bytes for one in self.plans)
        price = _BYTE_SECONDS_OF_PASSES if self.program.in_passes else _BYTE_SECONDS
        return choose_plan(self.plans, most, _SLACK, price)

    def accepted(self, chosen: StreamPlan, why: str) -> ExactPlan:
        smaller = tuple(plan for plan in self.plans if plan.bytes <= chosen.bytes)
        least, most = (human_bytes(self.needs(self.plans[i])) for i in (-1, 0))
        count = len(self.plans)
        those = f"{count} plans from {least} to {most}" if count > 1 else f"one plan, {most}"
        why = f"{why}, of {those}"
        return ExactPlan(self, smaller, why)


def make_offer(port: VaePort, operation: str, source: torch.Tensor) -> Offer:
    """What could serve a request; of `source` only the shape counts. Raises Declined."""
    program = _program(port, operation, source)
    frames = source.shape[2] if source.dim() == 5 else 1
    clip = (frames, *source.shape[-2:], source.shape[1])
    weights = weights_in_plans(program, source.shape[0], port.device, port.dtype)
    beside = 0 if weights else packed_bytes(program, port.device, port.dtype)
    if program.in_passes:
        beside += _MOMENT_BYTES
    if port.device.type == "cpu":
        result = math.prod(value_sizes(program.shapes, clip)[-1])
        beside += source.shape[0] * result * _RESULT_BYTES + _CPU_BYTES
    if port.device.type == "cuda" and any(shape.attends for shape in program.shapes):
        beside += _CUBLAS_BYTES
    plans = plans_for(program, clip, port.dtype.itemsize, port.device, weights)
    packing = packing_bytes(program, port.device, port.dtype, port.patches() is not None)
    counted = sum(weights)
    item = port.dtype.itemsize
    return Offer(program, clip, item, plans, beside, packing + counted, counted)


def weights_leave(program: Program, items: int) -> bool:
    """Whether weights of layers that have run for the last time give their memory up.

    Passes read those of most layers until they end, other items and spans of a clip read all again.
    """
    return items == 1 and program.roll is None and not program.in_passes


def weights_in_plans(
    program: Program, items: int, device: torch.device, dtype: torch.dtype
) -> tuple[int, ...]:
    """Bytes of each layer's weights that plans are to count; empty where all stay."""
    return layer_bytes(program, device, dtype) if weights_leave(program, items) else ()


def plans_for(
    program: Program,
    clip: Size,
    elem_bytes: int,
    device: torch.device,
    weights: tuple[int, ...] = (),
) -> tuple[StreamPlan, ...]:
    """All plans for an input of size `clip`, fastest first, each smaller than those before it.

    `weights`: see `weights_in_plans`.
    """
    # Everywhere but on the CPU kernels are launched on a device of their own.
    launches = device.type != "cpu"
    return _plans_for(program.shapes, program.roll, clip, elem_bytes, launches, weights)


@functools.lru_cache(maxsize=64)
def _plans_for(
    shapes: Shapes,
    roll: Roll | None,
    clip: Size,
    elem_bytes: int,
    launches: bool,
    weights: tuple[int, ...],
):
    # Thousands of schedules are weighed, which takes as long as decoding a small image.
    speed = Speed() if launches else Speed(launch=0.0)
    if roll is None:
        return tuple(candidates(shapes, clip, elem_bytes, speed, weights))
    return tuple(rolled_plans(shapes, roll, clip, elem_bytes, speed))


def make_exact_plan(port: VaePort, offer: Offer, settings: Settings, reserve: int) -> ExactPlan:
    """The plan of a request, with the VAE's own weights off the device and memory free for it.

    `reserve`: bytes that the allocator rounds up to on its own. Raises BudgetError where no plan
    fits the budget.
    """
    if settings.budget is not None:
        offer.within(settings.budget)  # raises before anything is moved in vain
    offer = replace(offer, beside_bytes=offer.beside_bytes + port.unload())
    if settings.budget is not None:
        chosen = offer.within(settings.budget)
        port.make_room(offer.needs(chosen) + reserve)
        return offer.accepted(chosen, within_budget(settings.budget))
    wanted = offer.usual()
    port.make_room(offer.needs(wanted) + reserve)
    room = int(max(0, port.free_bytes() - reserve) * _FREE_SHARE)
    least = offer.plans[-1]
    if room < offer.needs(least):
        return offer.accepted(least, f"no estimate fits the {human_bytes(room)} free: the smallest")
    if room >= offer.needs(wanted):
        return offer.accepted(wanted, NEARLY_FASTEST)
    return offer.accepted(offer.within(room), f"the fastest in the {human_bytes(room)} free")


def within_budget(budget: int) -> str:
    """Why a plan was chosen for a budget."""
    return f"the fastest within the budget of {human_bytes(budget)}"


def _program(port: VaePort, operation: str, source: torch.Tensor) -> Program:
    offered = getattr(port, "program", None)
    if offered is None:
        raise Declined(f"{type(port).__name__} does not tell its layers")
    still = source.dim() == 4 or source.shape[2] == 1
    program = offered(operation, still=still)
    program = program.attending(attention_way(port.device.type, port.dtype))
    reads, makes = program.shapes[0].in_channels, program.shapes[-1].out_channels
    wanted = port.pixel_channels if operation == "decode" else port.latent_channels
    if (reads, makes) != (source.shape[1], wanted):
        raise Declined(
            f"its layers read {reads} and make {makes} channels, the request has "
            f"{source.shape[1]} and {wanted}"
        )
    return program
