"""How long a call takes on the device."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch


def median_us(call: Callable[[], None], runs: int) -> float:
    """Median time of one call on the device, in microseconds."""
    for _ in range(5):
        call()
    times = []
    for _ in range(runs):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e3)
    return statistics.median(times)
