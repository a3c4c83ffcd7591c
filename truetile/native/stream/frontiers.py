"""Rows of each layer that belong to a row of the output; twin of csrc/core/stream/frontiers.hpp."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence

from .layer import AxisRule, StreamLayer
from .shuffle import Shuffle


class Edge(enum.Enum):
    """Of output rows: what a plan that BEGINs there makes, the frontiers where a strip ENDs there.

    REACH: these as if no value had a first row nor a last one.
    """

    BEGIN = enum.auto()
    END = enum.auto()
    REACH = enum.auto()

    def carried(self, rule: AxisRule | Shuffle, out: int, n: int) -> int:
        """The row, of the `n` that `rule` reads, for row `out` of what it makes."""
        if self is Edge.REACH:
            return rule.reach(out)
        return rule.begin(out, n) if self is Edge.BEGIN else rule.end(out, n)


class Frontiers:
    """Carries rows of a segment's output backwards through its layers.

    `layers` are the segment's own, the first one is `first`; `heights` are the rows of all values.
    Entry i of what it gives is about what layer `first + i` makes.
    """

    def __init__(self, layers: Sequence[StreamLayer], first: int, heights: Sequence[int]) -> None:
        self.layers, self.heights = layers, heights
        self._first = first

    def inside(self, value: int) -> int:
        """Index of a value among what the segment makes; negative when it comes from outside."""
        return value - 1 - self._first

    def made_height(self, at: int) -> int:
        """Rows of what layer `at` makes."""
        return self.heights[self._first + 1 + at]

    @property
    def height(self) -> int:
        """Rows of the output."""
        return self.made_height(len(self.layers) - 1)

    def pull(self, row: int, edge: Edge) -> list[int]:
        """`row` of the output, carried back to every layer."""
        lowest = edge is Edge.BEGIN
        found = [-(1 << 62)] * len(self.layers)
        if lowest:
            found = self._all_heights()
        found[-1] = row
        for at in range(len(found) - 1, -1, -1):
            for value, read in self._reads(self.layers[at], found[at], edge):
                found[value] = min(found[value], read) if lowest else max(found[value], read)
        return found

    def keep_from(self, frontiers: Sequence[int]) -> list[int]:
        """First row of each value that a layer will still read after these frontiers."""
        found = self._all_heights()
        found[-1] = frontiers[-1]
        for layer, out in zip(self.layers, frontiers, strict=True):
            for value, read in self._reads(layer, out, Edge.BEGIN):
                found[value] = min(found[value], read)
        return found

    def _all_heights(self) -> list[int]:
        return [self.made_height(at) for at in range(len(self.layers))]

    def _reads(self, layer: StreamLayer, out: int, edge: Edge) -> Iterator[tuple[int, int]]:
        """(index of the value, row) of what a layer reads inside the segment."""
        reads = (layer.source, layer.vertical), (layer.residual, layer.shortcut)
        for value, rule in reads:
            if (index := self.inside(value)) >= 0:
                yield index, edge.carried(rule, out, self.heights[value])
