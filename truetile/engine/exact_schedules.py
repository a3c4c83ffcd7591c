"""Schedules of a program, remembered from run to run: the GPU would wait for them."""

from __future__ import annotations

import functools
import threading

import torch

from ..stream import Schedule, Segment, StreamLayer


class Timing(threading.local):
    """Which segments cuDNN was timed for: torch keeps what it chose for each thread."""

    def __init__(self) -> None:
        self.done: set[tuple[torch.device, torch.dtype, Segment, int]] = set()


class Schedules:
    """Of one program, size and dtype."""

    def __init__(
        self, shapes: tuple[StreamLayer, ...], clip: tuple[int, int, int, int], elem_bytes: int
    ) -> None:
        self._program = shapes, clip
        self._elem_bytes = elem_bytes
        self._schedules: dict[tuple[Segment, int], Schedule] = {}
        self._macs: dict[Segment, float] = {}
        self.timing = Timing()

    def get(self, segment: Segment, begin: int = 0) -> Schedule:
        """The schedule of a segment from output row `begin` on."""
        key = segment, begin
        if key not in self._schedules:
            self._schedules[key] = Schedule(*self._program, segment, self._elem_bytes, begin)
        return self._schedules[key]

    def macs(self, segment: Segment) -> float:
        """Multiply-adds of a whole segment."""
        if segment not in self._macs:
            self._macs[segment] = macs_of(self.get(segment))
        return self._macs[segment]


@functools.lru_cache(maxsize=16)
def schedules_of(
    shapes: tuple[StreamLayer, ...], clip: tuple[int, int, int, int], elem_bytes: int
) -> Schedules:
    """The same object for the same program, size and dtype."""
    return Schedules(shapes, clip, elem_bytes)


def macs_of(schedule: Schedule, until: int | None = None) -> float:
    """Multiply-adds of the strips that end by output row `until`."""
    total = 0.0
    for index in range(schedule.strip_count):
        if until is not None and schedule.strip(index).layers[-1].out.end > until:
            break
        total += schedule.strip_macs(index)
    return total
