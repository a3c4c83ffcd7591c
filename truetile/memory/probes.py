"""How much can be had: by the driver, by torch, and in one piece."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from . import torch_stats
from .core import Fragmentation, analyze
from .devices import CudaDevice, MemoryDevice

_ROUND = 2 * 2**20  # torch takes large blocks from the driver in steps of 2 MiB
_REFUSED = "on cudaMallocAsync only an explicit probe tells it: switch the probe on"


@dataclass(frozen=True)
class FreeMemory:
    """Bytes; None is "cannot be told", with the reason in `unavailable` by field name.

    driver: free on the device; torch: what torch can hand out (driver's free and its own unused
    bytes); largest_block: the largest single tensor; slack, stranded, releasable: of torch's
    unused bytes. `how` says where `largest_block` comes from.
    """

    driver: int | None
    torch: int | None
    largest_block: int | None
    how: str
    slack: int | None
    stranded: int | None
    releasable: int | None
    fragmentation: Fragmentation | None = None
    unavailable: dict[str, str] = field(default_factory=dict)


def free_memory(device: MemoryDevice, probe: bool = False) -> FreeMemory:
    """The figures now. `probe` allows to allocate and free for the largest block; see `largest`."""
    now = device.readings()
    known = now.driver_total is not None and now.driver_used is not None
    driver = now.driver_total - now.driver_used if known else None
    reasons = device.unavailable()
    if not isinstance(device, CudaDevice):
        slack = None
        if now.torch_reserved is not None and now.torch_allocated is not None:
            slack = now.torch_reserved - now.torch_allocated
        free = device.free_bytes()
        return FreeMemory(
            driver, free, None, "not asked", slack, device.stranded(), None, None, reasons
        )
    stats = torch_stats.read(device.device)
    segments, why = torch_stats.segments(device.device)
    found = analyze(segments) if segments is not None else None
    block, how = None, "not available"
    if found is not None:
        inside = max((pool.largest for pool in found.pools if pool.pool == "large"), default=0)
        fresh = ((driver or 0) + found.releasable) // _ROUND * _ROUND
        # Without room for a new block torch first gives back what it can: hence "releasable".
        block, how = max(inside, fresh), "snapshot: an upper bound for one stream"
    elif probe:
        block, how = largest(device.device), "probe: really allocated and freed"
    else:
        reasons["largest_block"] = f"{why}; {_REFUSED}"
    if block is not None:
        reasons.pop("largest_block", None)
    return FreeMemory(
        driver=driver,
        torch=device.free_bytes(),
        largest_block=block,
        how=how,
        slack=stats.slack,
        stranded=stats.stranded,
        releasable=stats.releasable,
        fragmentation=found,
        unavailable=reasons,
    )


def largest(device: torch.device, step: int = 32 * 2**20) -> int:
    """The largest tensor that can be had now, to `step` bytes, by trying.

    Disturbs what it measures: torch's peak marks rise, and under dynamic VRAM weights are evicted.
    """
    low, high = 0, (torch.cuda.mem_get_info(device)[1] // step) + 1
    while high - low > 1:
        middle = (low + high) // 2
        try:
            block = torch.empty(middle * step, dtype=torch.uint8, device=device)
        except torch.OutOfMemoryError:
            high = middle
        else:
            low = middle
            del block
    torch.cuda.empty_cache()
    return low * step
