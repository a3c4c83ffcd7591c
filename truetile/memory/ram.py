"""Main memory: of the machine, of this process, and what of it is pinned."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ram:
    """Bytes; None where this system does not tell."""

    total: int | None
    available: int | None
    resident: int | None  # of this process
    pinned: int | None  # page-locked for the GPU by torch
    pinned_by: tuple[tuple[str, int], ...] = ()  # who holds how much of it, as far as known


_holders: list[tuple[str, Callable[[], int]]] = []


def register_pinned(name: str, held: Callable[[], int]) -> None:
    """Names page-locked memory in every report: `held` gives its bytes."""
    _holders.append((name, held))


def read() -> Ram:
    """The figures now, from /proc, else from psutil."""
    total, available = _machine()
    held = [(name, count()) for name, count in _holders]
    return Ram(total, available, _resident(), _pinned(), tuple(one for one in held if one[1]))


def _machine() -> tuple[int | None, int | None]:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        return found.get("MemTotal"), found.get("MemAvailable")
    except (OSError, ValueError, IndexError):
        pass
    try:
        import psutil
    except ImportError:
        return None, None
    memory = psutil.virtual_memory()
    return memory.total, memory.available


def _resident() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")
    except (OSError, ValueError, AttributeError):
        pass
    try:
        import psutil
    except ImportError:
        return None
    return psutil.Process().memory_info().rss


def _pinned() -> int | None:
    import torch

    stats = getattr(torch.cuda, "host_memory_stats", None)
    if stats is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    return stats().get("allocated_bytes.current")
