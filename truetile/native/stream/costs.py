"""What a plan is and what it costs; twin of csrc/core/stream/costs.hpp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .layer import Size, StreamLayer
from .rows import RowPlan
from .schedule import Schedule, Segment, layer_macs


@dataclass(frozen=True)
class Speed:
    """A rough machine: multiply-adds and bytes a second, and what a layer call costs besides.

    That is the seconds between its kernels on the device (`gap`) and for launching them on the host
    (`launch`). The defaults are an H200's on half precision, fitted to 14 measured plans; other
    machines are slower in about the same proportions, and plans are only compared with each other.
    """

    macs: float = 3.3e14
    bytes: float = 3e12
    gap: float = 4e-6
    launch: float = 2e-4


@dataclass(frozen=True)
class StreamPlan:
    """Segments in order, the peak of device memory with all stores, and the predicted time."""

    segments: tuple[Segment, ...]
    bytes: int
    seconds: float

    def describe(self) -> str:
        """`layers 0-12 whole; layers 13-37 in strips of 64 rows, chunks of 3`."""
        if len(self.segments) > 2:
            return self._describe_passes()
        parts = []
        for one in self.segments:
            rows = f"in strips of {one.rows} rows" if one.rows else "whole"
            chunk = f", chunks of {one.chunk}" if one.chunk else ""
            parts.append(f"layers {one.first}-{one.last - 1} {rows}{chunk}")
        return "; ".join(parts)

    def _describe_passes(self) -> str:
        """`20 passes (4 for moments only), 11 in strips of 64 rows or more`."""
        measured = sum(not one.keep for one in self.segments)
        text = f"{len(self.segments)} passes"
        if measured:
            text += f" ({measured} for moments only)"
        strips = [one.rows for one in self.segments if one.rows]
        if strips:
            text += f", {len(strips)} in strips of {min(strips)} rows or more"
        return text


def segment_seconds(schedule: Schedule, speed: Speed) -> float:
    """Predicted time of a segment: tensor work and traffic, or launches where these take longer."""
    device = host = 0.0
    for at, layer in enumerate(schedule.layers):
        t = schedule.made(at)[0]
        strips, chunks = float(schedule.calls[at]), float(schedule.chunk_count)
        made = _elements(schedule.made(at))
        device += float(layer_macs(layer, schedule.tokens(at))) * made / speed.macs
        if layer.attends:
            device += _attention_seconds(schedule, at, speed)
        # What is made is written, read and written again with its bias.
        moved = made * (3 if layer.residual < 0 else 4)
        # But for what need not be read back for the next layer, nor written before that.
        moved -= made * int(schedule.handover(at))
        if layer.padded:
            moved += 2 * strips * _elements((t, *schedule.caches[at][1:]))
        # Kept rows and cached frames are copied to their buffer and back.
        moved += 4 * strips * _elements(schedule.lines[at])
        moved += 4 * strips * chunks * _elements(schedule.caches[at])
        device += moved * schedule.elem_bytes / speed.bytes
        device += strips * chunks * speed.gap
        host += strips * chunks * speed.launch
    return max(device, host)


def _attention_seconds(schedule: Schedule, at: int, speed: Speed) -> float:
    """What blocks of queries take beyond their work.

    Where a block is small, its calls take longer, or the keys and values that each block reads.
    """
    t, h, w, c = schedule.made(at)
    rows = float(schedule.queries(at))
    elements = 2 * float(schedule.tokens(at)) * float(c)
    work = elements * rows / speed.macs
    read = elements * float(schedule.elem_bytes) / speed.bytes
    return float(t * h * w) / rows * (max(work, read, speed.launch) - work)


def strip_heights(
    layers: Sequence[StreamLayer], first: int, last: int, sizes: Sequence[Size]
) -> list[int]:
    """Strip heights for layers [first, last) of values of `sizes`, the tallest first; 0 is whole.

    They cut the rows and the lookahead, by which the first strip is lower, evenly into 2, 3, 4, 5,
    6, 8, 10...: strips of one height give convolutions of one shape, which are worth tuning.
    """
    whole = RowPlan(layers, first, last, [size[1] for size in sizes], 0)
    rows = sizes[last][1] // whole.unit
    shared = rows + whole.lookahead() // whole.unit
    heights, lowest = [0], rows
    count = 2
    while count <= rows:
        height = -(-shared // count)
        if height < lowest:
            lowest = height
            heights.append(height * whole.unit)
        count += max(1, count // 4)
    if lowest > 1:
        heights.append(whole.unit)
    return heights


def _elements(size: Size) -> float:
    return float(size[0] * size[1]) * float(size[2] * size[3])
