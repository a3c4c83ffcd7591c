"""The steps of a segment: each chunk of each strip, with the rows and frames of all layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..stream import LayerFrames, LayerRows, Schedule, Span, StreamLayer, ValueRows

Form = tuple[tuple[int, ...], ...]


class Strip(NamedTuple):
    """The rows of one strip; the native core would make its lists anew at each look."""

    layers: tuple[LayerRows, ...]
    values: tuple[ValueRows, ...]


class Step(NamedTuple):
    """One chunk of one strip; `following` is the strip after it, `number` the chunk's."""

    strip: Strip
    following: Strip | None
    number: int
    chunk: tuple[LayerFrames, ...]
    last_chunk: bool


def strips_of(schedule: Schedule) -> list[Strip]:
    """All strips of a schedule, in order."""
    rows = (schedule.strip(index) for index in range(schedule.strip_count))
    return [Strip(tuple(strip.layers), tuple(strip.values)) for strip in rows]


def form_of(strip: Strip, layers: Sequence[StreamLayer], first: int) -> Form:
    """Equal where all views of the buffers of `layers` are, `first` being the first of them.

    What is read from outside of them is not looked at.
    """
    begins = [value.window.begin for value in strip.values]

    def behind(value: int, rows: Span) -> int:
        at = value - 1 - first
        return rows.begin - begins[at] if at >= 0 else 0

    return tuple(
        (
            behind(layer.source, rows.read),
            behind(layer.residual, layer.shortcut.rows(rows.out)),
            *(rows.out.begin - value.window.begin, rows.out.length, rows.read.length),
            *(rows.top, rows.bottom, rows.padded, value.window.length),
            *(value.keep.begin - value.window.begin, value.keep.length),
        )
        for layer, rows, value in zip(layers, strip.layers, strip.values, strict=True)
    )
