"""Which rows each layer makes and each value keeps, strip by strip.

Twin of csrc/core/stream/rows.hpp. The strips are those of the last layer's output. Pulling their
ends backwards through the layers gives each layer's frontier: how many of its rows are complete
after a strip. A strip makes the rows between two frontiers, so that no row is made twice; a value
keeps what a reader still needs of it.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from ..grid import Span, require, require_range
from .frontiers import Edge, Frontiers
from .layer import AxisRule, LayerKind, StreamLayer
from .shuffle import Shuffle


@dataclass(frozen=True)
class LayerRows:
    """One layer in one strip.

    `out` of its own rows; `read` of its source's. `top` and `bottom` rows of zeros stand around;
    `padded` is their total height.
    """

    out: Span
    read: Span
    top: int
    bottom: int
    padded: int


@dataclass(frozen=True)
class ValueRows:
    """What a layer made: `window` on hand in the strip, `keep` of it for the next strip."""

    window: Span
    keep: Span


@dataclass(frozen=True)
class StripRows:
    """One strip of a segment; entry i belongs to layer `first + i` and to what it makes."""

    layers: tuple[LayerRows, ...]
    values: tuple[ValueRows, ...]


class RowPlan:
    """Strips of `height` rows of the output of layers [first, last); 0 makes it one strip.

    `heights` are the rows of all values. The output begins at row `begin`: what came before was
    finished by another plan, and the rows around it are made again. The first strip is lower by the
    lookahead, if it can be: its frontiers stand ahead of nothing, so that it would be the tallest
    one in each layer.
    """

    def __init__(
        self,
        layers: Sequence[StreamLayer],
        first: int,
        last: int,
        heights: Sequence[int],
        height: int,
        begin: int = 0,
    ) -> None:
        require_range("last", last, 1, len(layers))
        require_range("first", first, 0, last - 1)
        total = heights[last]
        require_range("rows", height, 0, 1 << 24)
        require_range("begin", begin, 0, total - 1)
        self._frontiers = Frontiers(layers[first:last], first, heights)
        for index in range(first, last - 1):
            read = any(index + 1 in (one.source, one.residual) for one in layers[index + 1 : last])
            require(read, "last", last, f"such that layer {index} is read before it")
        self._begin, self._step = begin, height or total
        # Of its own rows the output has so many for a row of what the first layer reads.
        self.unit = max(1, total // heights[layers[first].source])
        self._starts = self._frontiers.pull(begin, Edge.BEGIN)
        self._first_step = self._lower_step(total - begin)
        self.count = 1 - (self._first_step - total + begin) // self._step
        self._runs = self._find_runs()

    def lookahead(self) -> int:
        """By how many rows the first strip must be lower not to be taller than others in any layer.

        So far frontiers stand ahead of the output, in its rows; whole units, no fewer than a
        strip's rows where it is at least those.
        """

        def behind(rows: int) -> bool:
            # A strip that ended so far above the first one would have made no row of that one.
            reached = self._frontiers.pull(self._begin - rows, Edge.REACH)
            return all(row <= start for row, start in zip(reached, self._starts, strict=True))

        least = bisect.bisect_left(range(self._step), True, key=behind)
        return -(-least // self.unit) * self.unit

    def _lower_step(self, rows: int) -> int:
        """Rows of the first strip of `rows`."""
        if self._step >= rows:
            return rows
        lower = self._step - self.lookahead()
        return lower if lower > 0 else min(self.unit, self._step)

    def strip(self, index: int) -> StripRows:
        """Strip `index` of `count`."""
        before = self._ends(index - 1)
        after = self._ends(index)
        kept = self._frontiers.keep_from(before) if index else self._starts
        keep = self._frontiers.keep_from(after)
        rows, values = [], []
        for at, layer in enumerate(self._frontiers.layers):
            rows.append(self._layer_rows(layer, Span(before[at], after[at])))
            values.append(
                ValueRows(
                    Span(min(kept[at], before[at]), after[at]),
                    Span(min(keep[at], after[at]), after[at]),
                )
            )
        return StripRows(tuple(rows), tuple(values))

    def distinct(self) -> list[Span]:
        """Runs of strips that are alike but for their place; the first of each stands for all.

        Far from both borders strips of a suitable height only move down, each layer by as much as
        the one before it.
        """
        return self._runs

    def _find_runs(self) -> list[Span]:
        tail = self.count
        while tail and self._touches_bottom(tail - 1):
            tail -= 1
        head = 1
        while head < tail and self._touches_top(head):
            head += 1
        if head >= tail or not self._shifts_evenly():
            return [Span(index, index + 1) for index in range(self.count)]
        runs = [Span(index, index + 1) for index in range(head)]
        runs.append(Span(head, tail))
        return runs + [Span(index, index + 1) for index in range(tail, self.count)]

    def _touches_top(self, index: int) -> bool:
        """Whether a strip reads the first row of anything, or what was kept for it began there."""
        kept = any(value.keep.begin == 0 for value in self.strip(index - 1).values)
        return kept or any(layer.read.begin == 0 for layer in self.strip(index).layers)

    def _touches_bottom(self, index: int) -> bool:
        """Whether a strip makes the last row of anything, or reads zeros below one."""
        for at, layer in enumerate(self.strip(index).layers):
            if layer.bottom or layer.out.end == self._frontiers.made_height(at):
                return True
        return False

    def _shifts_evenly(self) -> bool:
        """Whether a strip moves every layer by a whole number of rows, the same for all readers."""
        shifts = [0] * len(self._frontiers.layers)
        shifts[-1] = self._step
        for at in range(len(shifts) - 1, -1, -1):
            layer = self._frontiers.layers[at]
            reads = (layer.source, layer.vertical), (layer.residual, layer.shortcut)
            for value, rule in reads:
                index = self._frontiers.inside(value)
                if index >= 0:
                    shift = _shift(rule, shifts[at])
                    if shift is None or shifts[index] not in (0, shift):
                        return False
                    shifts[index] = shift
        return True

    def reads_ahead(self, value: int) -> bool:
        """Whether no strip reads rows of `value` that strips before it have made of the output."""
        for run in self.distinct():
            strip = self.strip(run.begin)
            finished = strip.layers[-1].out.begin
            for at, rows in enumerate(strip.layers):
                layer = self._frontiers.layers[at]
                if rows.out.length == 0:
                    continue
                if layer.source == value and rows.read.begin < finished:
                    return False
                if layer.residual == value and layer.shortcut.rows(rows.out).begin < finished:
                    return False
        return True

    def _ends(self, strip: int) -> list[int]:
        """Rows of each layer that are complete after a strip."""
        if strip < 0:
            return self._starts
        end = self._begin + self._first_step + strip * self._step
        return self._frontiers.pull(min(end, self._frontiers.height), Edge.END)

    def _layer_rows(self, layer: StreamLayer, out: Span) -> LayerRows:
        n = self._frontiers.heights[layer.source]
        rule = layer.rows
        if out.length == 0:
            at = layer.vertical.begin(out.begin, n)
            return LayerRows(out, Span(at, at), 0, 0, 0)
        if layer.kind == LayerKind.SHUFFLE:
            return LayerRows(out, layer.shuffle.rows(out), 0, 0, 0)
        low, padded = rule.lead(out.begin), rule.padded(out.begin, out.end)
        read = Span(max(0, low), min(n, low + padded))
        return LayerRows(out, read, read.begin - low, low + padded - read.end, padded)


def _shift(rule: AxisRule | Shuffle, rows: int) -> int | None:
    """By how many rows its source moves when the result does by `rows`; None for a part of one."""
    moved = rows * (rule.down if isinstance(rule, Shuffle) else rule.stride)
    return None if moved % rule.up else moved // rule.up


@dataclass(frozen=True)
class RowLimits:
    """The most rows in a strip: `out`, `read`, `padded` of layers, `window`, `keep` of values.

    `calls`: in how many strips a layer makes rows at all.
    """

    out: tuple[int, ...]
    read: tuple[int, ...]
    padded: tuple[int, ...]
    window: tuple[int, ...]
    keep: tuple[int, ...]
    calls: tuple[int, ...]


def row_limits(plan: RowPlan) -> RowLimits:
    """The maxima over all strips of a plan."""
    runs = plan.distinct()
    strips = [plan.strip(run.begin) for run in runs]
    layers = list(zip(*(strip.layers for strip in strips), strict=True))
    values = list(zip(*(strip.values for strip in strips), strict=True))
    return RowLimits(
        out=tuple(max(one.out.length for one in layer) for layer in layers),
        read=tuple(max(one.read.length for one in layer) for layer in layers),
        padded=tuple(max(one.padded for one in layer) for layer in layers),
        window=tuple(max(one.window.length for one in value) for value in values),
        keep=tuple(max(one.keep.length for one in value) for value in values),
        calls=tuple(
            sum(run.length for one, run in zip(layer, runs, strict=True) if one.out.length > 0)
            for layer in layers
        ),
    )
