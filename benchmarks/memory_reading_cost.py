"""What a thread that reads a GPU's used bytes costs: NVML against cudaMemGetInfo.

For each way: the time of one reading, and of a loop of small kernels while a thread reads 50 times
and 2000 times a second. Prints one line of JSON for each case.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable

import torch

LAUNCHES, ROUNDS = 20_000, 5
RATES = (50, 2000)


def ways() -> dict[str, Callable[[], int]]:
    """Used bytes of the current device, by ctypes: no GIL is held during a call."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    driver = ctypes.CDLL("libcuda.so.1")
    context = ctypes.c_void_p()
    assert driver.cuCtxGetCurrent(ctypes.byref(context)) == 0
    bound = threading.local()

    def cuda() -> int:
        if not getattr(bound, "done", False):
            bound.done = driver.cuCtxSetCurrent(context) == 0
        assert driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)) == 0
        return total.value - free.value

    class Memory(ctypes.Structure):
        _fields_ = [("version", ctypes.c_uint)] + [
            (name, ctypes.c_ulonglong) for name in ("total", "reserved", "free", "used")
        ]

    nvml = ctypes.CDLL("libnvidia-ml.so.1")
    device, memory = ctypes.c_void_p(), Memory()
    uuid = f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"
    assert nvml.nvmlInit_v2() == 0
    assert nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(device)) == 0

    def by_nvml() -> int:
        memory.version = ctypes.sizeof(Memory) | 2 << 24
        assert nvml.nvmlDeviceGetMemoryInfo_v2(device, ctypes.byref(memory)) == 0
        return memory.used

    return {"cudaMemGetInfo": cuda, "NVML v2": by_nvml}


def launches(x: torch.Tensor) -> float:
    """Seconds for many kernels that take less than their launch."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(LAUNCHES):
        x.add_(1)
    torch.cuda.synchronize()
    return time.perf_counter() - began


def beside(read: Callable[[], int], rate: int, work: Callable[[], float]) -> float:
    """The time of `work` while a thread reads `rate` times a second."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(1 / rate):
            read()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        return work()
    finally:
        stop.set()
        thread.join()


def main() -> int:
    if not torch.cuda.is_available():
        print("needs an NVIDIA GPU", file=sys.stderr)
        return 1
    x = torch.zeros(256, device="cuda")
    found = ways()
    values = {name: read() for name, read in found.items()}
    for read in found.values():
        launches(x)
        beside(read, 2000, lambda: launches(x))
    alone, together = [], {}
    for _ in range(ROUNDS):
        # In turn, so that a drift of the clock speed hits all alike.
        alone.append(launches(x))
        for name, read in found.items():
            for rate in RATES:
                took = beside(read, rate, lambda: launches(x))
                together.setdefault((name, rate), []).append(took)
    base = statistics.median(alone)
    for name, read in found.items():
        began = time.perf_counter()
        for _ in range(2000):
            read()
        each = (time.perf_counter() - began) / 2000
        slower = {rate: statistics.median(together[name, rate]) / base - 1 for rate in RATES}
        line = {"way": name, "used": values[name], "seconds_a_reading": each, "slower": slower}
        print(json.dumps(line))
    print(json.dumps({"launches": LAUNCHES, "seconds_alone": base, "all_alone": alone}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
