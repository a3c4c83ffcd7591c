"""What a request would do, without doing it: every plan with its figures, and the one chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BudgetError
from ..families.program import Declined
from ..report import human_bytes
from ..stream import Schedule, Segment, StreamPlan
from .exact_planning import NEARLY_FASTEST, Offer, make_offer, within_budget
from .exact_schedules import macs_of
from .planning import make_plan

if TYPE_CHECKING:
    import torch

    from ..settings import Settings
    from .ports import VaePort


@dataclass(frozen=True)
class Line:
    """One plan. seconds: predicted for an H200 in half precision; None where nothing predicts it.

    work: multiply-adds over those of one untiled pass.
    """

    plan: str
    bytes: int
    work: float | None
    seconds: float | None


@dataclass(frozen=True)
class Explanation:
    """All plans of an operation; `chosen` is an index into `lines`."""

    operation: str
    engine: str
    lines: tuple[Line, ...]
    chosen: int
    why: str

    def __str__(self) -> str:
        rows = [("", "plan", "memory", "work", "time")]
        for index, line in enumerate(self.lines):
            work = "" if line.work is None else f"{line.work:.2f}x"
            seconds = "" if line.seconds is None else f"{line.seconds:.3g} s"
            mark = "*" if index == self.chosen else ""
            rows.append((mark, line.plan, human_bytes(line.bytes), work, seconds))
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        table = (
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )
        return "\n".join([f"{self.operation}: {self.engine}", *table, f"why: {self.why}"])


def explain(port: VaePort, operation: str, source: torch.Tensor, settings: Settings) -> Explanation:
    """The plans of `truetile.decode` or `encode`; of `source` only the shape counts.

    No memory is looked at: without a budget the choice is the one for plenty of it. Raises
    BudgetError where blended tiles do not fit the budget either.
    """
    try:
        offer = make_offer(port, operation, source)
        if settings.budget is None:
            return _exact(offer, operation, offer.usual(), NEARLY_FASTEST)
        chosen = offer.within(settings.budget)
        return _exact(offer, operation, chosen, within_budget(settings.budget))
    except (Declined, BudgetError) as reason:
        return _blended(port, operation, source, settings, str(reason))


def _exact(offer: Offer, operation: str, chosen: StreamPlan, why: str) -> Explanation:
    once = _macs(offer, StreamPlan((Segment(0, len(offer.program.layers)),), 0, 0.0))
    lines = tuple(
        Line(plan.describe(), offer.needs(plan), _macs(offer, plan) / once, plan.seconds)
        for plan in offer.plans
    )
    engine = f"exact, {offer.program.family}"
    return Explanation(operation, engine, lines, offer.plans.index(chosen), why)


def _macs(offer: Offer, plan: StreamPlan) -> float:
    shapes = offer.program.shapes
    schedules = (Schedule(shapes, offer.clip, one, offer.elem_bytes) for one in plan.segments)
    return sum(map(macs_of, schedules))


def _blended(
    port: VaePort, operation: str, source: torch.Tensor, settings: Settings, reason: str
) -> Explanation:
    carried = port.time is not None and port.carry(operation) is not None
    plan = make_plan(port, operation, source, settings, carried=carried)
    lines = tuple(
        Line(rung.describe(), need, None, None)
        for rung, need in zip(plan.rungs, plan.needs, strict=True)
    )
    why = plan.why if settings.budget is not None else "the first of these that fits what is free"
    why = f"{why}; not exact: {reason}"
    return Explanation(operation, "untiled or blended tiles", lines, plan.start, why)
