"""One reading of a device's memory, and how to get it out of /system_stats of any age.

ComfyUI's `vram_free` counts torch's unused blocks as free; what the driver has free is less by
`torch_vram_free`. Unknown is None and never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MIB = 2**20
# The real names first. The others are in scripts and forks that were written from memory.
_TOTAL = ("vram_total", "total_vram", "vram_total_mb", "total_mem_mb", "total_mb")
_FREE = ("vram_free", "free_vram", "vram_free_mb", "free_mem_mb", "free_mb")
_USED = ("vram_used", "used_vram", "vram_used_mb", "used_mem_mb", "used_mb")
# Devices without memory of their own: torch's figures of them repeat the machine's.
_MAIN_MEMORY = ("cpu", "mps")
MAIN_MEMORY = "main memory"  # the note on their readings


@dataclass(frozen=True)
class Reading:
    """Bytes of one device. `free` is the driver's; torch can also use its own `torch_free`."""

    device: str
    source: str
    total: int | None = None
    free: int | None = None
    torch_reserved: int | None = None
    torch_free: int | None = None
    ram_total: int | None = None
    ram_free: int | None = None
    note: str = ""

    @property
    def main_memory(self) -> bool:
        """Whether the device is the machine's own memory."""
        return self.note == MAIN_MEMORY

    @property
    def used(self) -> int | None:
        if self.total is None or self.free is None:
            return None
        return self.total - self.free

    @property
    def usable(self) -> int | None:
        """What the next phase of this ComfyUI can get."""
        if self.free is None:
            return None
        return self.free + (self.torch_free or 0)


def from_system_stats(stats: Any, source: str) -> list[Reading]:
    """The devices of an answer of /system_stats; empty when it names none."""
    if not isinstance(stats, dict):
        return []
    system = stats.get("system") if isinstance(stats.get("system"), dict) else {}
    devices = stats.get("devices")
    if not isinstance(devices, list):
        devices = [stats]  # figures at the top, as older tools expected
    return [_device(entry, system, source) for entry in devices if isinstance(entry, dict)]


def _device(entry: dict[str, Any], system: dict[str, Any], source: str) -> Reading:
    total = _figure(entry, _TOTAL) or None  # a device of 0 bytes is one that does not tell
    free, used = _figure(entry, _FREE), _figure(entry, _USED)
    reserved, unused = (_figure(entry, (f"torch_vram_{name}",)) for name in ("total", "free"))
    note = ""
    if entry.get("type") in _MAIN_MEMORY:
        reserved = unused = None
        note = MAIN_MEMORY
    if total is None:
        free = None if used is None and not free else free
    if free is None and used is not None and total is not None:
        free = total - used
    elif free is not None and unused is not None:
        free = max(free - unused, 0)
    return Reading(
        device=str(entry.get("name") or "device"),
        source=source,
        total=total,
        free=free,
        torch_reserved=reserved,
        torch_free=unused,
        ram_total=_figure(system, ("ram_total",)) or None,
        ram_free=_figure(system, ("ram_free",)),
        note=note,
    )


def _figure(entry: dict[str, Any], names: tuple[str, ...]) -> int | None:
    """The first of `names` that is there with a number in it, as bytes."""
    for name in names:
        value = entry.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            continue
        return int(value * MIB) if name.endswith("_mb") else int(value)
    return None
