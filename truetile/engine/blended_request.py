"""Serves a whole request by the ladder of tiles, item by item."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import LadderExhausted
from ..memory.allocator import reserve_bytes
from ..memory.monitor import fed
from .blended import Job, TileRunner
from .outcome import Outcome, rung_name
from .planning import make_plan
from .results import result_batch, tell_observer

if TYPE_CHECKING:
    import torch

    from ..settings import Hooks, Settings
    from .planning import Plan
    from .ports import VaePort
    from .results import Reporter


def blended(
    port: VaePort,
    source: torch.Tensor,
    operation: str,
    settings: Settings,
    hooks: Hooks,
    no_exact: str | None = None,
) -> tuple[torch.Tensor, Reporter]:
    """The result on the CPU and what tells of it; `no_exact`: why the exact engine does not serve.

    Raises BudgetError, LadderExhausted, NonFiniteError, and what the interrupt check raises.
    """
    carry = port.carry(operation) if port.time is not None else None
    plan = make_plan(port, operation, source, settings, carried=carry is not None)
    reserve = reserve_bytes()
    port.prepare(plan.needed_bytes + reserve)
    plan = plan.fitted(lambda: max(0, port.free_bytes() - reserve))
    if no_exact is not None:
        plan = replace(plan, why=f"{plan.why}; not the exact engine: {no_exact}")
    result, done = _each_item(port, operation, source, carry, plan, hooks)
    return result, lambda mark, seconds: done.report(operation, plan, mark, seconds)


def _each_item(
    port: VaePort,
    operation: str,
    source: torch.Tensor,
    carry: Any,
    plan: Plan,
    hooks: Hooks,
) -> tuple[torch.Tensor, Outcome]:
    items = source.shape[0]
    batch = result_batch(port, operation, items, plan.output_size, hooks)
    outcome = Outcome()
    heard = fed(hooks.progress)
    ladder = plan.ladder()

    def plan_now() -> str:
        return rung_name(plan, ladder.deepest_rung)

    tell_observer(port, operation, batch, hooks, plan_now, plan.why)
    with batch:
        for index in range(items):
            ladder = plan.ladder()
            job = Job(port, operation, source[index : index + 1], batch.item(index), carry)
            runner = TileRunner(job, ladder, last_rung=len(plan.rungs) - 1)

            def progress(done: int, total: int, index: int = index) -> None:
                heard(index * total + done, items * total)

            try:
                runner.run(hooks.check_interrupt, progress if heard else None)
            except LadderExhausted as error:
                raise plan.explain(error) from None
            outcome.add(ladder, runner)
    tensor = batch.tensor
    if source.dim() == 4:  # an image: the frame axis was ours
        tensor = tensor.squeeze(1 if operation == "decode" else 2)
    return tensor, outcome
