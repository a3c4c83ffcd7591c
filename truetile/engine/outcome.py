"""Collects what the ladders of a batch did and turns it into the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..report import Report
from .results import overflowed, ran_out, warnings_of

if TYPE_CHECKING:
    from ..plan import Ladder
    from .blended import TileRunner
    from .memory import PeakMark
    from .planning import Plan


class Outcome:
    """Sums over the items of a batch."""

    def __init__(self) -> None:
        self._done: dict[int, int] = {}
        self._failed: dict[int, int] = {}
        self._read = 0
        self._items = 0
        self._repeated = 0

    def add(self, ladder: Ladder, runner: TileRunner) -> None:
        for rung, counts in enumerate(ladder.counts):
            self._done[rung] = self._done.get(rung, 0) + counts.done
            self._failed[rung] = self._failed.get(rung, 0) + counts.out_of_memory
        self._read += runner.latents_read
        self._items += 1
        self._repeated += runner.repeated_in_fp32

    def report(self, operation: str, plan: Plan, mark: PeakMark, seconds: float) -> Report:
        used = [r for r in sorted(self._done) if self._done[r] or self._failed[r]]
        kept = [r for r in used if self._done[r]]
        whole = self._items * plan.extent[0] * plan.extent[1] * plan.extent[2]
        exact = all(plan.is_exact(r) for r in kept)
        return Report(
            operation=operation,
            plan=" then ".join(rung_name(plan, r) for r in kept),
            rungs=tuple(self._rung(plan, r) for r in used),
            tiles=sum(self._done.values()),
            work_factor=self._read / whole,
            peak_bytes=mark.peak_bytes(),
            seconds=seconds,
            exact=exact,
            why=self._why(plan, used),
            warnings=tuple(self._warnings(plan, kept, exact, mark)),
        )

    def _rung(self, plan: Plan, rung: int) -> dict:
        done, failed = self._done[rung], self._failed[rung]
        outcome = f"out of memory after {done} tiles" if failed else "done"
        return {
            "name": rung_name(plan, rung),
            "tiles": done,
            "bytes": plan.needs[rung],
            "outcome": outcome,
        }

    def _why(self, plan: Plan, used: list[int]) -> str:
        falls = sum(self._failed.values())
        if not falls:
            return plan.why
        steps = " -> ".join(rung_name(plan, r) for r in used)
        return f"{plan.why}; {ran_out(falls)}: {steps}"

    def _warnings(self, plan: Plan, kept: list[int], exact: bool, mark: PeakMark) -> list[str]:
        texts = []
        chunked = any(plan.rungs[r].chunk for r in kept)
        if chunked and not plan.options.carried:
            texts.append("chunks in time were blended: this VAE has no causal cache to carry")
        if self._repeated:
            texts.append(overflowed(self._repeated, "tile"))
        return texts + warnings_of(mark)


def rung_name(plan: Plan, rung: int) -> str:
    """`untiled`, or the tiles and chunks of a rung in pixels and frames."""
    r = plan.rungs[rung]
    if r.tile == 0 and r.chunk == 0:
        return "untiled"
    pixels = r.tile * plan.scales[1].factor
    space = f"tiles of {pixels} px" if r.tile else "whole frames"
    if r.chunk == 0:
        return space
    kind = "carried cache" if plan.options.carried else "blended"
    return f"{space} in chunks of {r.frames} frames ({kind})"
