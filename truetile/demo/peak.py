"""The peak memory of a span of code, measured where it can be known.

Every method of the demo runs in a process of its own, so that no other's peak, cache or heap
fragment counts. What is there before the span (interpreter, weights, input, a warm-up call) is
subtracted on both kinds of device.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import torch


class PeakMeter:
    """Context manager; afterwards `bytes` is the peak above what was there at its start.

    CUDA: torch's high-water mark of allocated bytes, reset at the start. CPU: the high-water mark
    of resident memory (VmHWM), reset by writing 5 to /proc/self/clear_refs; elsewhere than on
    Linux ru_maxrss, which cannot be reset and is an upper bound of the peak's place.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        self._before = 0
        self.bytes = 0

    def __enter__(self) -> PeakMeter:
        if self._cuda is not None:
            torch.cuda.synchronize(self._cuda)
            torch.cuda.reset_peak_memory_stats(self._cuda)
            self._before = torch.cuda.memory_allocated(self._cuda)
        else:
            # The mark starts again at what is resident now.
            self._before = _resident_after_reset()
        return self

    def __exit__(self, *error: object) -> None:
        if self._cuda is not None:
            torch.cuda.synchronize(self._cuda)
            after = torch.cuda.max_memory_allocated(self._cuda)
        else:
            after = _high_water_mark()
        self.bytes = max(0, after - self._before)


def _resident_after_reset() -> int:
    # No Linux, or a sandbox: then the mark so far is the baseline.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _high_water_mark()


def _high_water_mark() -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    mark = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return mark if sys.platform == "darwin" else mark * 1024
