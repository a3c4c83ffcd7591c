"""A GPU made of main memory: its tensors are real objects, so leaks are real leaks.

`allocate` gives a CPU tensor of the size asked for (its pages are not touched). It lies in a
segment, at a real address. Its bytes leave the device when the last reference to its storage goes,
as on a GPU; the pool, other processes, the CUDA context and dynamic pages are simulated around it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy
import torch

from truetile.memory.core import (
    NATIVE_TOLERANCE,
    POOL_TOLERANCE,
    Block,
    Owner,
    ProcessUse,
    Readings,
    Segment,
    analyze,
)
from truetile.memory.devices import MemoryDevice
from truetile.memory.owners import Buffers, ManagedModel

MIB, GIB = 2**20, 2**30
_SMALL, _SHARED = 10 * MIB, 20 * MIB


class SimulatedDevice(MemoryDevice):
    """backend: "native" or "cudaMallocAsync"; nvml: whether processes can be told apart."""

    name, uuid, weights_leave = "simulated", "", True

    def __init__(self, backend: str = "native", total: int = 24 * GIB, nvml: bool = True) -> None:
        self.backend, self.total, self.nvml = backend, total, nvml
        self.tolerance = NATIVE_TOLERANCE if backend == "native" else POOL_TOLERANCE
        self.context = 620 * MIB
        self.overhead = 9 * MIB
        self.others: dict[int, int] = {}
        self.pages: dict[str, int] = {}
        self.on_synchronize: Callable[[], None] = lambda: None
        self.hidden = 0  # bytes of torch's that no Python object holds
        self._live: dict[int, int] = {}  # storage pointer -> bytes
        self._slabs: list[_Slab] = []
        self._pool = 0
        self._peak = 0

    def allocate(self, count: int) -> torch.Tensor:
        if self.allocated + count > self.total:
            raise torch.OutOfMemoryError("simulated device is full")
        slab, offset = self._place(count)
        view = slab.arena[offset : offset + count]
        tensor = torch.from_numpy(view)
        pointer = tensor.untyped_storage().data_ptr()
        self._live[pointer] = count
        slab.used[offset] = count
        # The storage, and nothing else, holds the view: it goes with the last tensor on it.
        weakref.finalize(view, self._free, pointer, slab, offset)
        self._pool = max(self._pool, _up(self.allocated, 32 * MIB))
        self._peak = max(self._peak, self.allocated)
        return tensor

    @property
    def allocated(self) -> int:
        return sum(self._live.values()) + self.hidden

    @property
    def reserved(self) -> int:
        if self.backend != "native":
            return self._pool
        return sum(slab.arena.nbytes for slab in self._slabs) + self.hidden

    def readings(self) -> Readings:
        own = self.reserved + sum(self.pages.values()) + self.context
        others = [ProcessUse(pid, "server", count) for pid, count in self.others.items()]
        return Readings(
            driver_total=self.total,
            driver_used=own + sum(self.others.values()) + self.overhead,
            torch_allocated=self.allocated,
            torch_reserved=self.reserved,
            own_process=own if self.nvml else None,
            others=others if self.nvml else None,
        )

    def free_bytes(self) -> int:
        now = self.readings()
        return now.driver_total - now.driver_used + self.reserved - self.allocated

    def stranded(self) -> int | None:
        if self.backend != "native":
            return None
        return analyze(self.segments()[0]).stranded

    def segments(self):
        if self.backend != "native":
            return None, f"{self.backend} does not track blocks"
        return [slab.segment() for slab in self._slabs], ""

    def upload(self, flat: torch.Tensor) -> torch.Tensor:
        return self.allocate(flat.nbytes).copy_(flat)

    def marks(self):
        return None

    def synchronize(self) -> None:
        self.on_synchronize()

    def empty_cache(self) -> None:
        self._slabs = [slab for slab in self._slabs if slab.used]
        self._pool = _up(self.allocated, 32 * MIB)

    def unavailable(self) -> dict[str, str]:
        return {} if self.nvml else {"others": "simulated WDDM"}

    def holds(self, tensor: torch.Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self._live

    def workspaces(self, unnamed: int) -> None:
        return None

    def _place(self, count: int) -> tuple[_Slab, int]:
        """Large tensors get a segment each, small ones the first gap in a shared one."""
        if count < _SMALL:
            for slab in self._slabs:
                if slab.arena.nbytes == _SHARED and (offset := slab.gap(count)) is not None:
                    return slab, offset
        size = _SHARED if count < _SMALL else _up(count, 2 * MIB)
        self._slabs.append(_Slab(numpy.empty(size, numpy.uint8)))
        return self._slabs[-1], 0

    def _free(self, pointer: int, slab: _Slab, offset: int) -> None:
        self._live.pop(pointer, None)
        slab.used.pop(offset, None)


@dataclass
class _Slab:
    """A segment and what of it is in use: bytes by offset."""

    arena: numpy.ndarray
    used: dict[int, int] = field(default_factory=dict)

    def gap(self, count: int) -> int | None:
        begin = 0
        for offset, size in sorted(self.used.items()):
            if offset - begin >= count:
                return begin
            begin = offset + size
        return begin if self.arena.nbytes - begin >= count else None

    def segment(self) -> Segment:
        blocks, begin = [], 0
        for offset, size in [*sorted(self.used.items()), (self.arena.nbytes, 0)]:
            if offset > begin:
                blocks.append(Block(offset - begin, 0, "free"))
            if size:
                blocks.append(Block(size, size, "live"))
            begin = offset + size
        return Segment(self.arena.ctypes.data, 0, "large", False, blocks)


class SimulatedModel:
    """Weights in torch's memory and, when dynamic, in pages outside of it."""

    def __init__(self, device: SimulatedDevice, name: str, size: int, dynamic: bool = False):
        self.device, self.name, self.size, self.dynamic = device, name, size, dynamic
        self.weights: list[torch.Tensor] = []
        self.stuck = False  # does not unload
        self.leaked = False  # its manager has lost it
        self.pinned = 0  # pages that stay

    def load(self) -> SimulatedModel:
        if self.dynamic:
            self.device.pages[self.name] = _up(self.size, 32 * MIB)
        else:
            self.weights = [self.device.allocate(self.size // 4) for _ in range(4)]
        return self

    def unload(self) -> None:
        if self.stuck:
            return
        self.weights = []
        if self.name in self.device.pages:
            self.device.pages[self.name] = self.pinned


class SimulatedManager:
    """A model manager with the models given."""

    def __init__(self, *models: SimulatedModel) -> None:
        self.listed = list(models)
        self.cast_buffers: list[torch.Tensor] = []
        self.reserved = 0

    def models(self, device) -> list[ManagedModel]:
        return [
            ManagedModel(
                key=id(model),
                name=model.name,
                size=model.size,
                in_torch=sum(w.nbytes for w in model.weights if device.holds(w)),
                pages=device.pages.get(model.name, 0),
                dynamic=model.dynamic,
                leaked=model.leaked,
                storages=frozenset(
                    w.untyped_storage().data_ptr() for w in model.weights if device.holds(w)
                ),
            )
            for model in self.listed
        ]

    def weights(self, device, key: int) -> list[torch.Tensor]:
        return [weight for model in self.listed if id(model) == key for weight in model.weights]

    def buffers(self, device) -> list[Buffers]:
        count = sum(buffer.nbytes for buffer in self.cast_buffers)
        storages = frozenset(buffer.untyped_storage().data_ptr() for buffer in self.cast_buffers)
        owner = Owner("cast buffers", "cast buffers", count)
        return [Buffers(owner, storages)] if count else []

    def unload(self, device, keep: Sequence[int]) -> None:
        for model in self.listed:
            if id(model) not in keep:
                model.unload()

    def free(self, device, count: int, keep: Sequence[int]) -> None:
        for model in self.listed:
            if count <= 0:
                return
            if id(model) not in keep:
                count -= sum(weight.nbytes for weight in model.weights)
                count -= device.pages.get(model.name, 0)
                model.unload()

    def release_buffers(self) -> None:
        self.cast_buffers.clear()

    @contextmanager
    def reserve(self, device, count: int) -> Iterator[None]:
        self.reserved, before = count, self.reserved
        try:
            yield
        finally:
            self.reserved = before


def _up(count: int, step: int) -> int:
    return -(-count // step) * step
