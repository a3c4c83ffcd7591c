"""Free memory, peaks and the recognition of an out-of-memory error."""

from __future__ import annotations

import gc
import itertools
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch


def free_bytes(device: torch.device) -> int:
    """Bytes a call may allocate now: the driver's free plus what torch holds unused."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        stats = torch.cuda.memory_stats(device)
        return free + stats["reserved_bytes.all.current"] - stats["active_bytes.all.current"]
    return free_ram()


def resident_bytes(module: torch.nn.Module, device: torch.device) -> int:
    """Bytes of a module's weights on `device`; 0 for main memory, where weights rest."""
    if device.type == "cpu":
        return 0
    tensors = (*module.parameters(), *module.buffers())
    return sum(tensor.nbytes for tensor in tensors if tensor.device == device)


_hosts: list[Callable[[BaseException], bool]] = []


def register_out_of_memory(test: Callable[[BaseException], bool]) -> None:
    """Adds errors that only a host recognises, such as those of its own allocator."""
    _hosts.append(test)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` means that memory ran out, on the GPU or in RAM."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    # torch's CPU allocator and MPS raise a plain RuntimeError.
    if isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
    ):
        return True
    return any(test(error) for test in _hosts)


def release(device: torch.device) -> None:
    """Gives unused memory back after a failed tile, so that the next rung finds it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


_BLOCK = 512


def in_blocks(size: int) -> int:
    """What `size` bytes take of torch's allocator on CUDA."""
    return -(-size // _BLOCK) * _BLOCK


def carved(
    shapes: Sequence[tuple[int, ...]], dtype: torch.dtype, device: torch.device
) -> list[torch.Tensor]:
    """New tensors in one block, uninitialised, each aligned as if it were alone.

    Of each large block that torch hands out up to a megabyte stays unused, which no plan can know.
    """
    item = dtype.itemsize
    counts = [math.prod(shape) for shape in shapes]
    taken = (in_blocks(count * item) // item for count in counts)
    begins = [0, *itertools.accumulate(taken)]
    block = torch.empty(begins[-1], dtype=dtype, device=device)
    return [
        block[begin : begin + count].view(shape)
        for shape, count, begin in zip(shapes, counts, begins, strict=False)
    ]


# Page-locked memory is taken from everybody, and a result may live long in a cache.
PINNED_SHARE = 0.25


def pinned(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor | None:
    """New page-locked memory on the host, or None where there is not enough of it."""
    if math.prod(shape) * dtype.itemsize > PINNED_SHARE * free_ram():
        return None
    try:
        return torch.empty(shape, dtype=dtype, pin_memory=True)
    except RuntimeError:
        # A locked-memory limit must not cost the decode; pageable memory is only slower.
        return None


class PeakMark:
    """The peak of a span of code, without resetting torch's process-wide statistics.

    Torch keeps one high-water mark. If it moves within the span, it is the span's peak; if it does
    not, an earlier peak was higher and the true one cannot be known.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._before = self._mark()

    def peak_bytes(self) -> int | None:
        """Peak of allocated bytes (CUDA) or of resident bytes (CPU) since the start, or None."""
        now = self._mark()
        return now if now is not None and self._before is not None and now > self._before else None

    def earlier_peak(self) -> int | None:
        """The mark at the start: an upper bound of the span's peak when that is unknown."""
        return self._before

    def _mark(self) -> int | None:
        if self.device.type == "cuda":
            return torch.cuda.memory_stats(self.device).get("allocated_bytes.all.peak", 0)
        return _status_bytes("VmHWM")


def free_ram() -> int:
    """Bytes of RAM that a program could get without swapping."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import psutil

        return psutil.virtual_memory().available
    except ImportError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def _status_bytes(key: str) -> int | None:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None
