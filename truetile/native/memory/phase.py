"""Peak, mean and minimum of one phase, kept up reading by reading."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .types import Bytes

CHANNELS = (
    "driver_used",
    "own_process",
    "other_processes",
    "torch_allocated",
    "torch_reserved",
    "ram",
)
RANKS = ("none", "sample", "high-water mark", "event")  # where a peak comes from, worst first
_ALLOCATED, _RESERVED = CHANNELS.index("torch_allocated"), CHANNELS.index("torch_reserved")
_SAMPLE, _HIGH_WATER, _EVENT = 1, 2, 3


@dataclass(frozen=True)
class Sample:
    """`values` by CHANNELS; seconds since the sampler was made."""

    seconds: float
    values: tuple[Bytes, ...]


@dataclass(frozen=True)
class TorchMarks:
    """torch's counters and its high-water marks."""

    allocated: int
    reserved: int
    allocated_peak: int
    reserved_peak: int


@dataclass(frozen=True)
class ChannelStats:
    """`rank` (one of RANKS) says where the peak comes from."""

    peak: Bytes
    minimum: Bytes
    mean: Bytes
    peak_seconds: float
    rank: str
    readings: int


@dataclass(frozen=True)
class PhaseStats:
    """`channels` by CHANNELS; `resets`: how often torch's high-water mark fell."""

    id: int
    name: str
    begin: float
    end: float
    ended: bool
    samples: int
    widest_gap: float
    resets: int
    channels: tuple[ChannelStats, ...]


@dataclass
class _Running:
    peak: Bytes = None
    minimum: Bytes = None
    peak_seconds: float = 0.0
    rank: int = 0
    readings: int = 0
    area: float = 0.0  # bytes * seconds up to last_seconds
    first_seconds: float = 0.0
    last_seconds: float = 0.0
    last_value: int = 0


class Phase:
    """What csrc/core/memory/phase.hpp says; `begin` in seconds."""

    def __init__(self, identity: int, name: str, begin: float) -> None:
        self.id, self.name, self.begin, self.end_seconds = identity, name, begin, begin
        self.ended = False
        self.samples = self.resets = 0
        self.widest_gap = 0.0
        self._last_sample = begin
        self._marks: TorchMarks | None = None
        self._running = [_Running() for _ in CHANNELS]

    def add(self, sample: Sample) -> None:
        self.samples += 1
        self.widest_gap = max(self.widest_gap, sample.seconds - self._last_sample)
        self._last_sample = self.end_seconds = sample.seconds
        for channel, value in enumerate(sample.values):
            if value is not None:
                self._value(channel, sample.seconds, value, _SAMPLE)

    def event(self, channel: int, seconds: float, value: int) -> None:
        self._value(channel, seconds, value, _EVENT)

    def marks(self, seconds: float, marks: TorchMarks) -> None:
        """torch's marks now: one that rose was reached since the last call, an exact peak; one
        that fell was reset by somebody else. Nobody here resets it.
        """
        self._value(_ALLOCATED, seconds, marks.allocated, _EVENT)
        self._value(_RESERVED, seconds, marks.reserved, _EVENT)
        last = self._marks
        if last is not None:
            if (
                marks.allocated_peak < last.allocated_peak
                or marks.reserved_peak < last.reserved_peak
            ):
                self.resets += 1
            self._mark(_ALLOCATED, seconds, marks.allocated_peak, last.allocated_peak)
            self._mark(_RESERVED, seconds, marks.reserved_peak, last.reserved_peak)
        self._marks = marks

    def end(self, seconds: float) -> None:
        self.widest_gap = max(self.widest_gap, seconds - self._last_sample)
        self.end_seconds = seconds
        self.ended = True

    def stats(self) -> PhaseStats:
        return PhaseStats(
            id=self.id,
            name=self.name,
            begin=self.begin,
            end=self.end_seconds,
            ended=self.ended,
            samples=self.samples,
            widest_gap=self.widest_gap,
            resets=self.resets,
            channels=tuple(self._stats(running) for running in self._running),
        )

    def _mark(self, channel: int, seconds: float, peak: int, before: int) -> None:
        running = self._running[channel]
        if peak == before or (running.peak is not None and running.peak > peak):
            return
        higher = running.peak is None or running.peak < peak
        running.peak = peak
        if higher:
            running.peak_seconds = seconds
        if higher or running.rank < _HIGH_WATER:
            running.rank = _HIGH_WATER

    def _value(self, channel: int, seconds: float, value: int, rank: int) -> None:
        running = self._running[channel]
        if running.readings == 0:
            running.first_seconds = seconds
        else:
            running.area += running.last_value * max(0.0, seconds - running.last_seconds)
        running.last_seconds, running.last_value = seconds, value
        running.readings += 1
        if running.peak is None or value > running.peak:
            running.peak, running.peak_seconds, running.rank = value, seconds, rank
        running.minimum = value if running.minimum is None else min(running.minimum, value)

    def _stats(self, running: _Running) -> ChannelStats:
        mean = None
        if running.readings:
            tail = max(0.0, self.end_seconds - running.last_seconds)
            length = running.last_seconds + tail - running.first_seconds
            area = running.area + running.last_value * tail
            mean = math.floor((area / length if length > 0 else running.last_value) + 0.5)
        return ChannelStats(
            peak=running.peak,
            minimum=running.minimum,
            mean=mean,
            peak_seconds=running.peak_seconds,
            rank=RANKS[running.rank],
            readings=running.readings,
        )
