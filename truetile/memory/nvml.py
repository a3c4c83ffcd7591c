"""NVML through `nvidia-ml-py`, where it is installed: the device's figures and who else is on it.

Devices are matched by UUID: NVML's numbers ignore CUDA_VISIBLE_DEVICES. Used bytes come from the
second version of the call; the first one counts the driver's own reserve as used.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .core import ProcessUse

_WINDOWS = "Windows (WDDM) does not tell the memory of a process"


@dataclass(frozen=True)
class Processes:
    """Bytes of this process and of the others; None and `reason` where NVML does not tell."""

    own: int | None
    others: list[ProcessUse] | None
    reason: str = ""


class NvmlDevice:
    """One device. Raises LookupError with the reason when NVML cannot be used for it."""

    def __init__(self, uuid: str) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise LookupError("nvidia-ml-py is not installed (pip install nvidia-ml-py)") from error
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            self.used_bytes()
        except (pynvml.NVMLError, AttributeError) as error:
            raise LookupError(f"NVML cannot read device {uuid}: {error}") from error

    def used_bytes(self) -> int:
        version = self._nvml.nvmlMemory_v2
        return int(self._nvml.nvmlDeviceGetMemoryInfo(self._handle, version=version).used)

    def processes(self) -> Processes:
        """Who is on the device. A process both computes and draws at most once here."""
        if sys.platform == "win32":
            return Processes(None, None, _WINDOWS)
        try:
            found = list(self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle))
            found += self._nvml.nvmlDeviceGetGraphicsRunningProcesses(self._handle)
        except self._nvml.NVMLError as error:
            return Processes(None, None, f"NVML does not list processes: {error}")
        uses = {process.pid: process.usedGpuMemory for process in found}
        if uses and all(count is None for count in uses.values()):
            return Processes(None, None, "this driver does not tell the memory of a process (WSL2)")
        own = uses.pop(os.getpid(), 0)
        if own == 0 and os.getpid() not in {process.pid for process in found}:
            # In a container with its own numbering our pid is not the driver's: nothing can be
            # told apart. Without any process of ours on the device 0 is right.
            reason = "NVML does not list this process (a container with its own pids?)"
            return Processes(None, None, reason)
        others = [ProcessUse(pid, _name_of(pid), count) for pid, count in uses.items()]
        return Processes(own, sorted(others, key=lambda other: -(other.bytes or 0)))


@cache
def device(uuid: str) -> tuple[NvmlDevice | None, str]:
    """The device with this UUID, or None and why."""
    try:
        return NvmlDevice(uuid), ""
    except LookupError as error:
        return None, str(error)


def _name_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        name = Path(words[0].decode(errors="replace")).name
        # An interpreter says nothing; what it runs does.
        if name.startswith("python") and len(words) > 1 and words[1]:
            name += " " + Path(words[1].decode(errors="replace")).name
        return name or "process"
    except OSError:
        return "process"
