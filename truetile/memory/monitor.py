"""One run on one timeline: the sampler, named phases between checkpoints, and what was done."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from . import describe
from .core import BACKEND, CHANNELS, PhaseStats, Sampler, nvml_reason
from .devices import MemoryDevice, device_for

INTERVAL = 0.02  # seconds between samples
CAPACITY = 90_000  # samples kept: half an hour
Progress = Callable[[int, int], None]
RECORDED = 1000  # phases, and entries, kept: a server that runs for weeks must not grow


@dataclass(frozen=True)
class Entry:
    """Something that happened at `seconds` of the timeline; `data` is ready for JSON."""

    seconds: float
    kind: str  # "checkpoint", "repair", "explanation", ...
    name: str
    data: dict[str, Any] = field(default_factory=dict)


class Monitor:
    """Follows one device. Phases are closed by the next one, or by `end_phase`.

    torch's counters are fed at both ends of a phase and between the tiles of a decode or encode
    (`feed`, `fed`); torch's peak counter is read, never reset.
    """

    def __init__(self, device: MemoryDevice | None = None, interval: float = INTERVAL) -> None:
        self.device = device_for() if device is None else device
        self.interval = interval
        self.sampler = Sampler(interval, CAPACITY, self.device.uuid)
        self.phases: deque[PhaseStats] = deque(maxlen=RECORDED)
        self.entries: deque[Entry] = deque(maxlen=RECORDED)
        # Those of records that were cleared.
        self.earlier_phases: deque[PhaseStats] = deque(maxlen=RECORDED)
        self.earlier_entries: deque[Entry] = deque(maxlen=RECORDED)
        self._since = -1.0  # seconds of the timeline at which this record begins
        self._open: int | None = None
        self._open_name, self._open_since = "", 0.0
        self._lock = threading.RLock()

    @property
    def started_at(self) -> float:
        """Unix time of second 0."""
        return self.sampler.started_at

    @property
    def current_phase(self) -> str:
        return self._open_name if self._open is not None else ""

    @property
    def open_since(self) -> float | None:
        """Seconds of the timeline at which the current phase began; None without one."""
        return self._open_since if self._open is not None else None

    def start(self) -> None:
        self.sampler.start()
        _running.add(self)

    def stop(self) -> None:
        _running.discard(self)
        self.end_phase()
        self.sampler.stop()

    def feed(self) -> None:
        """Hands torch's counters and marks to the sampler; cheap enough for every tile."""
        marks = self.device.marks()
        if marks is not None:
            self.sampler.feed(marks)

    def begin_phase(self, name: str) -> None:
        """Ends the open phase, if any, and opens `name`."""
        with self._lock:
            self.end_phase()
            self.feed()
            self._open_name, self._open_since = name, self.sampler.now()
            self._open = self.sampler.begin_phase(name)

    def end_phase(self) -> PhaseStats | None:
        """Closes the open phase; None when none is open."""
        with self._lock:
            if self._open is None:
                return None
            self.feed()
            stats = self.sampler.end_phase(self._open)
            self._open = None
            self.phases.append(stats)
            return stats

    def record(self, kind: str, name: str, data: dict[str, Any]) -> None:
        """Puts something on the timeline."""
        self.entries.append(Entry(self.sampler.now(), kind, name, data))

    def clear(self) -> None:
        """Forgets what was recorded: a new run begins. The open phase stays open."""
        with self._lock:
            self._since = self.sampler.now()
            self.earlier_phases.extend(self.phases)
            self.earlier_entries.extend(self.entries)
            self.phases.clear()
            self.entries.clear()

    def timeline(self, most: int = 20_000) -> dict[str, Any]:
        """The whole run as plain data; of more than `most` samples, evenly chosen ones."""
        samples = self.sampler.samples(self._since)
        step = max(1, -(-len(samples) // most))
        return {
            "version": 1,
            "device": self.device.name,
            "allocator": self.device.backend,
            "sampler": {
                "backend": BACKEND,
                "interval": self.interval,
                "taken": self.sampler.taken,
                "cpu_seconds": self.sampler.cpu_seconds,
                "driver_reason": nvml_reason(self.device.uuid),
            },
            "started_at": self.started_at,
            "channels": list(CHANNELS),
            "samples": [[sample.seconds, *sample.values] for sample in samples[::step]],
            "phases": [describe.phase_data(stats) for stats in self.phases],
            "entries": [
                {"seconds": e.seconds, "kind": e.kind, "name": e.name, "data": e.data}
                for e in self.entries
            ],
        }

    def to_json(self) -> str:
        return json.dumps(self.timeline(), indent=1)

    def to_csv(self) -> str:
        """One line for each sample; an empty cell is a reading that could not be had."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["seconds", *CHANNELS])
        for sample in self.sampler.samples(self._since):
            cells = ["" if value is None else value for value in sample.values]
            writer.writerow([f"{sample.seconds:.4f}", *cells])
        return text.getvalue()

    def text(self) -> str:
        return "\n".join(describe.phase_text(stats) for stats in self.phases)


_running: weakref.WeakSet[Monitor] = weakref.WeakSet()


def fed(progress: Progress | None) -> Progress | None:
    """`progress` that also feeds the monitors that run; without any, `progress` as it is.

    For work in tiles and strips: between two of them torch's counters are worth reading. At most
    once in the sampling interval: a finer mark would be overwritten before it is sampled.
    """
    monitors = list(_running)
    if not monitors:
        return progress
    due = 0.0

    def feed(done: int, total: int) -> None:
        nonlocal due
        if (now := time.monotonic()) >= due:
            for monitor in monitors:
                monitor.feed()
            due = now + min(monitor.interval for monitor in monitors)
        if progress is not None:
            progress(done, total)

    return feed


_monitor: Monitor | None = None
_needed = False  # by somebody who never says that he is done
_watchers = 0
_making = threading.Lock()


def monitor() -> Monitor:
    """The process's monitor, made at the first call and sampling from then on."""
    global _needed  # noqa: PLW0603 - one timeline for one process
    with _making:
        _needed = True
        return _started()


@contextmanager
def watched() -> Iterator[Monitor]:
    """The process's monitor, which samples while the context is open.

    Afterwards it stops, unless others watch or `monitor` was called; the record stays.
    """
    global _watchers  # noqa: PLW0603
    with _making:
        _watchers += 1
        found = _started()
    try:
        yield found
    finally:
        with _making:
            _watchers -= 1
            if not _watchers and not _needed:
                found.stop()


def _started() -> Monitor:
    global _monitor  # noqa: PLW0603
    if _monitor is None:
        _monitor = Monitor()
    _monitor.start()
    return _monitor
