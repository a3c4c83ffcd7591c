"""Readings of the driver without any server: NVML where `nvidia-ml-py` is, else nvidia-smi."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

from ..native.memory import ProcessUse
from .reading import MIB, Reading

_FIELDS = ("name", "memory.total", "memory.used", "memory.free")


class NoDriver(Exception):
    """No NVIDIA driver can be asked; the message says what was tried."""


def read() -> list[Reading]:
    """All devices of this machine. Raises NoDriver."""
    try:
        return _by_nvml()
    except NoDriver as nvml:
        try:
            return _by_smi()
        except NoDriver as smi:
            raise NoDriver(f"{nvml}; {smi}") from None


def first_device() -> tuple[Any, Any]:
    """pynvml and the handle of the first device. Raises NoDriver."""
    nvml = _nvml()
    try:
        return nvml, nvml.nvmlDeviceGetHandleByIndex(0)
    except nvml.NVMLError as error:
        raise NoDriver(f"NVML: {error}") from None


def processes(nvml: Any, handle: Any) -> list[ProcessUse] | None:
    """Who is on a device; bytes None where the driver does not tell (Windows, WSL2)."""
    try:
        found = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:
        return None
    return [ProcessUse(process.pid, "", process.usedGpuMemory) for process in found]


def used_bytes(nvml: Any, handle: Any) -> int:
    """By the second version of the call: the first counts the driver's own reserve as used."""
    return int(nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2).used)


def total_bytes(nvml: Any, handle: Any) -> int:
    """As cudaMemGetInfo counts: the driver's own reserve is neither free nor used."""
    memory = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    return int(memory.free + memory.used)


def _by_nvml() -> list[Reading]:
    nvml = _nvml()
    readings = []
    try:
        for index in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
            name = nvml.nvmlDeviceGetName(handle)
            name = name.decode() if isinstance(name, bytes) else name
            readings.append(Reading(name, "NVML", total_bytes(nvml, handle), int(memory.free)))
    except (nvml.NVMLError, AttributeError) as error:
        raise NoDriver(f"NVML: {error}") from None
    if not readings:
        raise NoDriver("NVML: no device")
    return readings


def _nvml() -> Any:
    try:
        import pynvml
    except ImportError:
        raise NoDriver("NVML: nvidia-ml-py is not installed") from None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NoDriver(f"NVML: {error}") from None
    return pynvml


def _by_smi() -> list[Reading]:
    program = shutil.which("nvidia-smi")
    if program is None:
        raise NoDriver("nvidia-smi: not found")
    command = [program, f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoDriver(f"nvidia-smi: {error}") from None
    if done.returncode:
        said = (done.stdout or done.stderr).strip().splitlines()
        raise NoDriver(f"nvidia-smi: {said[0] if said else f'exit code {done.returncode}'}")
    readings = [_smi_line(line) for line in done.stdout.splitlines() if line.strip()]
    if not readings:
        raise NoDriver("nvidia-smi: no device")
    return readings


def _smi_line(line: str) -> Reading:
    cells = [cell.strip() for cell in line.rsplit(",", len(_FIELDS) - 1)]
    total, used, free = (_mib(cell) for cell in (*cells[1:], "", "", "")[:3])
    if used is not None and free is not None:
        total = used + free
    return Reading(cells[0], "nvidia-smi", total, free)


def _mib(cell: str) -> int | None:
    """A number of MiB; anything else ("[N/A]", "[Not Supported]") is not told."""
    return int(float(cell) * MIB) if cell.replace(".", "", 1).isdigit() else None
