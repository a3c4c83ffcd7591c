"""A device as the rest of this package sees it: a GPU, or the machine's RAM where there is none."""

from __future__ import annotations

from typing import Protocol

import torch

from . import nvml, ram, torch_stats
from .allocator import RAM
from .core import Owner, Readings, Segment, TorchMarks

_ROUNDING = 2**21


class MemoryDevice(Protocol):
    """What can be read of a device and done to it."""

    name: str
    uuid: str  # "" where NVML has nothing to say
    backend: str
    tolerance: int
    weights_leave: bool  # False: weights live here anyway, an offload frees nothing

    def readings(self) -> Readings: ...
    def free_bytes(self) -> int | None:
        """What a next phase can get: the driver's free bytes and torch's unused ones."""
        ...

    def stranded(self) -> int | None: ...
    def marks(self) -> TorchMarks | None: ...
    def synchronize(self) -> None: ...
    def empty_cache(self) -> None: ...
    def unavailable(self) -> dict[str, str]:
        """By reading: why this machine does not tell it."""
        ...

    def segments(self) -> tuple[list[Segment] | None, str]:
        """torch's segments, or None and why nobody can tell them."""
        ...

    def upload(self, flat: torch.Tensor) -> torch.Tensor:
        """A copy of `flat` in this device's memory."""
        ...

    def holds(self, tensor: torch.Tensor) -> bool: ...
    def workspaces(self, unnamed: int) -> Owner | None:
        """The library workspaces among `unnamed` bytes that no Python object holds."""
        ...


class CudaDevice:
    """An NVIDIA (or ROCm) device. Raises ValueError when `device` is not one."""

    weights_leave = True

    def __init__(self, device: torch.device) -> None:
        if device.type != "cuda":
            raise ValueError(f"device={device}: must be a CUDA device")
        index = device.index if device.index is not None else torch.cuda.current_device()
        self.device = torch.device("cuda", index)
        properties = torch.cuda.get_device_properties(index)
        self.name = f"{properties.name} (cuda:{index})"
        self.backend = torch_stats.backend()
        self.tolerance = torch_stats.tolerance()
        found = getattr(properties, "uuid", None)
        self.uuid = "" if found is None or torch.version.hip else f"GPU-{found}"
        self._major = properties.major

    def readings(self) -> Readings:
        free, total = torch.cuda.mem_get_info(self.device)
        torch_now = torch_stats.read(self.device)
        device, _ = nvml.device(self.uuid) if self.uuid else (None, "")
        found = device.processes() if device is not None else None
        return Readings(
            driver_total=total,
            driver_used=total - free,
            torch_allocated=torch_now.allocated,
            torch_reserved=torch_now.reserved,
            own_process=found.own if found is not None else None,
            others=found.others if found is not None else None,
        )

    def free_bytes(self) -> int:
        now = torch_stats.read(self.device)
        return torch.cuda.mem_get_info(self.device)[0] + now.reserved - now.active

    def stranded(self) -> int | None:
        return torch_stats.read(self.device).stranded

    def marks(self) -> TorchMarks:
        return torch_stats.read(self.device).marks

    def synchronize(self) -> None:
        torch.cuda.synchronize(self.device)

    def empty_cache(self) -> None:
        with torch.cuda.device(self.device):
            torch.cuda.empty_cache()
            torch.cuda.ipc_collect()

    def unavailable(self) -> dict[str, str]:
        reasons = dict(torch_stats.read(self.device).unavailable)
        device, why = nvml.device(self.uuid) if self.uuid else (None, "the device has no UUID")
        if device is not None:
            why = device.processes().reason
        if why:
            reasons["own_process"] = reasons["others"] = why
        return reasons

    def segments(self) -> tuple[list[Segment] | None, str]:
        return torch_stats.segments(self.device)

    def upload(self, flat: torch.Tensor) -> torch.Tensor:
        return flat.to(self.device)

    def holds(self, tensor: torch.Tensor) -> bool:
        return tensor.device == self.device

    def workspaces(self, unnamed: int) -> Owner | None:
        # torch gives cuBLAS one per stream for good, of a size that goes by the architecture.
        size = 32 * 2**20 if self._major in (9, 10) else 4096 * 1024 * 2 + 16 * 1024 * 8
        for count in range(8, 0, -1):
            if 0 <= unnamed - count * size <= _ROUNDING:
                detail = f"taken to be them: {count} x {size / 2**20:g} MiB, no object holds it"
                return Owner("cuBLAS workspaces", "workspace", count * size, True, detail)
        return None


class RamDevice:
    """The machine's main memory, for machines without a GPU: this process is its only owner."""

    name = "main memory"
    uuid = ""
    backend = RAM
    tolerance = torch_stats.POOL_TOLERANCE
    weights_leave = False

    def readings(self) -> Readings:
        now = ram.read()
        known = now.total is not None and now.available is not None
        return Readings(
            driver_total=now.total,
            driver_used=now.total - now.available if known else None,
            own_process=now.resident,
        )

    def free_bytes(self) -> int | None:
        return ram.read().available

    def stranded(self) -> None:
        return None

    def marks(self) -> None:
        return None

    def synchronize(self) -> None:
        pass

    def empty_cache(self) -> None:
        pass

    def unavailable(self) -> dict[str, str]:
        reason = "main memory has no allocator that torch reports on"
        names = ("torch_allocated", "torch_reserved", "stranded", "largest_block")
        return {**dict.fromkeys(names, reason), "others": "not asked for in main memory"}

    def segments(self) -> tuple[None, str]:
        return None, "main memory has no allocator that torch reports on"

    def upload(self, flat: torch.Tensor) -> torch.Tensor:
        return flat.to("cpu", copy=True)

    def holds(self, tensor: torch.Tensor) -> bool:
        return tensor.device.type == "cpu"

    def workspaces(self, unnamed: int) -> None:
        return None


def device_for(device: torch.device | str | None = None) -> MemoryDevice:
    """The device that `device` names; None is the current GPU, or RAM where there is none."""
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    return CudaDevice(device) if device.type == "cuda" else RamDevice()
