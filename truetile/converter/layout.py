"""Where a new or taller node goes without covering another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

_TITLE = 30
_GAP = 20
_STEP = 40
_RINGS = 24
_FAR = 1e9  # what stands further out is no place


class Box(NamedTuple):
    """x, y of the body's upper left corner (the title bar is above it), width, height."""

    x: float
    y: float
    w: float
    h: float

    def meets(self, other: Box) -> bool:
        """Whether the two, with their title bars, overlap."""
        apart_x = self.x + self.w <= other.x or other.x + other.w <= self.x
        apart_y = self.y + self.h <= other.y - _TITLE or other.y + other.h <= self.y - _TITLE
        return not (apart_x or apart_y)


def box_of(pos: Any, size: Any) -> Box | None:
    """The box of a `pos` and `size` as documents write them; None where they are not numbers."""
    x, y = _pair(pos)
    w, h = _pair(size)
    if x is None or y is None:
        return None
    return Box(x, y, w if w is not None else 200, h if h is not None else 60)


def between(left: Box | None, right: Box | None, size: tuple[int, int]) -> Box:
    """Where a node of `size` would stand best: in the middle of the two that it connects."""
    w, h = size
    if left is None and right is None:
        return Box(0, 0, w, h)
    if right is None:
        return Box(left.x + left.w + 2 * _GAP, left.y, w, h)
    if left is None:
        return Box(right.x - w - 2 * _GAP, right.y, w, h)
    return Box(round((left.x + left.w + right.x - w) / 2), round(right.y), w, h)


def free_place(wish: Box, taken: list[Box]) -> Box:
    """The box moved as little as needed to stand a gap away from all in `taken`."""
    for dx, dy in _offsets():
        moved = wish._replace(x=wish.x + dx, y=wish.y + dy)
        wide = Box(moved.x - _GAP, moved.y - _GAP, moved.w + 2 * _GAP, moved.h + 2 * _GAP)
        if not any(wide.meets(box) for box in taken):
            return moved
    bottom = max(box.y + box.h for box in taken)
    return wish._replace(y=round(bottom + _TITLE + 2 * _GAP))


def _offsets() -> Iterator[tuple[int, int]]:
    yield 0, 0
    for ring in range(1, _RINGS + 1):
        edge = [(i, j) for i in range(-ring, ring + 1) for j in (-ring, ring)]
        edge += [(i, j) for j in range(1 - ring, ring) for i in (-ring, ring)]
        # Up and down before sideways: the flow of a graph stays readable from left to right.
        for i, j in sorted(edge, key=lambda at: (abs(at[0]), abs(at[1]), at)):
            yield i * _STEP, j * _STEP


def _pair(value: Any) -> tuple[float | None, float | None]:
    """[a, b], or {"0": a, "1": b} as a typed array becomes in JSON."""
    if isinstance(value, dict):
        value = [value.get("0"), value.get("1")]
    if not isinstance(value, list) or len(value) < 2:
        return None, None
    good = [
        number if type(number) in (int, float) and abs(number) < _FAR else None
        for number in value[:2]
    ]
    return good[0], good[1]
