"""A GPU made of main memory: its tensors are real objects, so leaks are real leaks.

`allocate` gives a CPU tensor of the size asked for (its pages are never touched). Its bytes leave
the device when the last reference to it goes, as on a GPU, and torch's segments, the pool, other
processes, the CUDA context and dynamic pages are simulated around it.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from truetile.memory.core import NATIVE_TOLERANCE, POOL_TOLERANCE, Owner, ProcessUse, Readings
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
        self._segments: dict[int, list] = {}  # id -> [size, set of pointers]
        self._ids = itertools.count()
        self._pool = 0
        self._peak = 0

    def allocate(self, count: int) -> torch.Tensor:
        tensor = torch.empty(count, dtype=torch.uint8)
        pointer = tensor.untyped_storage().data_ptr()
        self._live[pointer] = count
        self._place(pointer, count)
        weakref.finalize(tensor, self._free, pointer)
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
        return sum(size for size, _ in self._segments.values()) + self.hidden

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
        used = {id(s): sum(self._live[p] for p in s[1]) for s in self._segments.values()}
        return sum(s[0] - used[id(s)] for s in self._segments.values() if s[1])

    def marks(self):
        return None

    def synchronize(self) -> None:
        self.on_synchronize()

    def empty_cache(self) -> None:
        self._segments = {key: s for key, s in self._segments.items() if s[1]}
        self._pool = _up(self.allocated, 32 * MIB)

    def unavailable(self) -> dict[str, str]:
        return {} if self.nvml else {"others": "simulated WDDM"}

    def holds(self, tensor: torch.Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self._live

    def workspaces(self, unnamed: int) -> None:
        return None

    def _place(self, pointer: int, count: int) -> None:
        if count >= _SMALL:
            self._segments[next(self._ids)] = [_up(count, 2 * MIB), {pointer}]
            return
        for size, inside in self._segments.values():
            if size == _SHARED and size - sum(self._live[p] for p in inside) >= count:
                inside.add(pointer)
                return
        self._segments[next(self._ids)] = [_SHARED, {pointer}]

    def _free(self, pointer: int) -> None:
        self._live.pop(pointer, None)
        for _, inside in self._segments.values():
            inside.discard(pointer)


class SimulatedModel:
    """Weights in torch's memory and, when dynamic, in pages outside of it."""

    def __init__(self, device: SimulatedDevice, name: str, size: int, dynamic: bool = False):
        self.device, self.name, self.size, self.dynamic = device, name, size, dynamic
        self.weights: list[torch.Tensor] = []
        self.stuck = False  # does not unload
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
                in_torch=sum(weight.nbytes for weight in model.weights),
                pages=device.pages.get(model.name, 0),
                dynamic=model.dynamic,
                storages=frozenset(w.untyped_storage().data_ptr() for w in model.weights),
            )
            for model in self.listed
        ]

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
