"""What a picture of a run shows, whoever draws it: lines, scale and phases of a timeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

GIB = 2**30
_POINTS = 1200  # a line needs no more than its pixels
_STEPS = 5  # marks on the scale, at most
# Channel, title, colour in light and in dark.
LINES = (
    ("driver_used", "device, by the driver", "#2563eb", "#7aa2ff"),
    ("own_process", "device, this process", "#0f766e", "#4fd1c5"),
    ("torch_reserved", "torch, reserved", "#b45309", "#f6ad55"),
    ("torch_allocated", "torch, allocated", "#be185d", "#f687b3"),
    ("ram", "main memory, this process", "#6b7280", "#a0aec0"),
)


@dataclass(frozen=True)
class Stretch:
    """A phase between two moments of the picture; `peak` is of its first line, or None."""

    name: str
    begin: float
    end: float
    peak: int | None


@dataclass(frozen=True)
class Chart:
    """Seconds count from `begin` of the timeline; `lines` by channel, points (seconds, bytes).

    step: GiB from mark to mark of the scale, which ends at `top` bytes.
    """

    lines: dict[str, list[tuple[float, int]]]
    end: float
    top: int
    step: float
    phases: tuple[Stretch, ...]

    @property
    def marks(self) -> list[float]:
        """The marks of the scale in GiB, 0 first."""
        return [i * self.step for i in range(round(self.top / GIB / self.step) + 1)]

    def highest(self, channel: str) -> tuple[float, int]:
        return max(self.lines[channel], key=lambda point: point[1])


def chart(timeline: dict[str, Any]) -> Chart | None:
    """The chart of `Monitor.timeline()`, from its first phase on; None without any reading."""
    begin = min((phase["begin"] for phase in timeline["phases"]), default=0.0)
    lines = points(timeline, begin)
    if not lines:
        return None
    begin = min(line[0][0] for line in lines.values())
    end = max(line[-1][0] for line in lines.values())
    lines = {name: [(at - begin, count) for at, count in line] for name, line in lines.items()}
    highest = max(count for line in lines.values() for _, count in line)
    step = next(step for step in _steps() if highest / GIB / step <= _STEPS)
    top = int(step * GIB) * max(1, -(-highest // int(step * GIB)))
    first = next(iter(lines))
    phases = [
        Stretch(
            phase["name"],
            max(phase["begin"], begin) - begin,
            min(phase["end"], end) - begin,
            phase["channels"][first]["peak"],
        )
        for phase in timeline["phases"]
        if phase["end"] >= begin and phase["begin"] <= end
    ]
    return Chart(lines, max(1e-3, end - begin), top, step, tuple(phases))


def points(timeline: dict[str, Any], begin: float = 0.0) -> dict[str, list[tuple[float, int]]]:
    """Points by channel, thinned by keeping the largest of each group: a peak must stay."""
    samples = [row for row in timeline["samples"] if row[0] >= begin]
    found = {}
    size = max(1, -(-len(samples) // _POINTS))
    for channel, *_ in LINES:
        column = timeline["channels"].index(channel) + 1
        read = [(row[0], row[column]) for row in samples if row[column] is not None]
        groups = [read[i : i + size] for i in range(0, len(read), size)]
        if groups:
            found[channel] = [max(group, key=lambda point: point[1]) for group in groups]
    return found


def _steps() -> Iterator[float]:
    """0.05, 0.1, 0.25, 0.5, 1, 2.5, ... GiB."""
    yield 0.05
    scale = 0.1
    while True:
        yield from (scale, 2.5 * scale, 5 * scale)
        scale *= 10
