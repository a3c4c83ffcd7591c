"""How far apart samples lie; the twin of csrc/core/memory/pace.hpp."""

from __future__ import annotations

from .phase import CHANNELS, Sample
from .types import Bytes

STILL = 25  # samples without a change before it slows down
MOVED = 1 << 20  # bytes
_DRIVER, _RAM = CHANNELS.index("driver_used"), CHANNELS.index("ram")


class Pace:
    """One interval between samples, and two while nothing moves."""

    def __init__(self) -> None:
        self._last: Bytes = None
        self._still = 0

    def add(self, sample: Sample) -> None:
        """After a sample."""
        seen = sample.values[_DRIVER]
        seen = sample.values[_RAM] if seen is None else seen
        if seen is None or self._last is None:
            still = seen is self._last
        else:
            still = abs(seen - self._last) < MOVED
        if still:
            self._still = min(self._still + 1, STILL)
        else:
            self._last, self._still = seen, 0

    def hurry(self) -> None:
        """Something begins: back to every interval."""
        self._still = 0

    def intervals(self) -> int:
        """Intervals until the next sample, 1 or 2."""
        return 1 if self._still < STILL else 2
