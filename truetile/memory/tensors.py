"""Torch tensors that no model manager knows: found by the garbage collector, largest first.

Finding them walks every Python object once. Where they hang is asked only for a report or a
verdict that is not a pass: it walks the heap again for each of them.
"""

from __future__ import annotations

import gc
import types
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

from .core import Owner
from .devices import MemoryDevice

_DEPTH = 7
_WIDTH = 2000  # objects looked at for one tensor
_labels: list[Callable[[Any], str | None]] = []


@dataclass
class Found:
    """One storage on the device and the largest tensor that shows it."""

    tensor: torch.Tensor
    bytes: int
    views: int = 1
    where: str = ""
    small: int = 0  # that many storages too small for a line each; `tensor` is the largest

    def owner(self) -> Owner:
        if self.small:
            about = f"the largest held by {self.where}" if self.where else ""
            return Owner(f"{self.small} small tensors", "tensors", self.bytes, True, about)
        shape = "x".join(map(str, self.tensor.shape)) or "scalar"
        kind = str(self.tensor.dtype).removeprefix("torch.")
        name = f"{self.where or 'tensor'} [{shape} {kind}]"
        detail = f"held by {self.where}" if self.where else f"a tensor {shape} of {kind}"
        return Owner(name, "tensors", self.bytes, True, detail)


@dataclass
class Excluded:
    """Storages and address ranges that somebody else accounts for."""

    storages: set[int] = field(default_factory=set)
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def add(self, tensor: torch.Tensor) -> None:
        if (pointer := storage_pointer(tensor)) is not None:
            self.storages.add(pointer)

    def holds(self, pointer: int) -> bool:
        return pointer in self.storages or any(low <= pointer < high for low, high in self.ranges)


def storage_pointer(tensor: torch.Tensor) -> int | None:
    """Address of the tensor's storage; None for tensors that have none of their own."""
    try:
        return tensor.untyped_storage().data_ptr() or None
    except (NotImplementedError, RuntimeError):
        return None


def register_label(label: Callable[[Any], str | None]) -> None:
    """`label(object)` gives a name for an object that holds tensors, or None; asked first."""
    _labels.append(label)


def find(device: MemoryDevice, excluded: Excluded, least: int = 2**20) -> list[Found]:
    """Storages on `device` that `excluded` does not name; those below `least` bytes as one entry.

    Tensors that only C++ holds (autograd's, a library's) are invisible here.
    """
    found: dict[int, Found] = {}
    for thing, pointer, size in _all(device):
        if excluded.holds(pointer):
            continue
        known = found.get(pointer)
        if known is None:
            found[pointer] = Found(thing, size)
        else:
            known.views += 1
            # Of several views the largest one names the storage, a parameter before others.
            if thing.numel() > known.tensor.numel():
                known.tensor = thing
    large = [entry for entry in found.values() if entry.bytes >= least]
    small = [entry for entry in found.values() if entry.bytes < least]
    # A model of many small layers must not be nameless.
    if (count := sum(entry.bytes for entry in small)) >= least:
        largest = max(small, key=lambda entry: entry.bytes)
        large.append(Found(largest.tensor, count, small=len(small)))
    return sorted(large, key=lambda entry: -entry.bytes)


def on(device: MemoryDevice, storages: Container[int]) -> Iterable[torch.Tensor]:
    """All tensors on `device` that show one of the storages at these addresses."""
    return (tensor for tensor, pointer, _ in _all(device) if pointer in storages)


def _all(device: MemoryDevice) -> Iterable[tuple[torch.Tensor, int, int]]:
    """Every tensor on `device` with the address and the bytes of its storage."""
    for thing in gc.get_objects():
        # Not isinstance: a proxy may answer it with a side effect.
        if not issubclass(type(thing), torch.Tensor):
            continue
        try:
            if not device.holds(thing):
                continue
            storage = thing.untyped_storage()
            pointer, size = storage.data_ptr(), storage.nbytes()
        except (NotImplementedError, RuntimeError, ReferenceError):
            continue
        if pointer:
            yield thing, pointer, size


def name_holders(found: list[Found], most: int = 8) -> None:
    """Fills `where` of the first `most`: a module, a cache, a variable, an object."""
    for entry in found[:most]:
        if not entry.where:
            entry.where = _where(entry.tensor, ignore=found)


def _where(tensor: torch.Tensor, ignore: object) -> str:
    """Breadth first over who refers to whom; the first named object is the answer."""
    seen = {id(ignore), id(tensor)}
    layer: list[Any] = [tensor]
    looked = 0
    best = ""
    for _ in range(_DEPTH):
        above: list[Any] = []
        for thing in _referrers(layer, seen):
            looked += 1
            if (name := _label(thing)) is not None:
                # The nearest object of a class of its own says what, the label says where.
                return f"{best}, in {name}" if best and best != name else name
            best = best or _weak_label(thing, layer)
            above.append(thing)
            if looked > _WIDTH:
                return best
        if not above:
            break
        layer = above
    return best


def _referrers(layer: list[Any], seen: set[int]) -> Iterable[Any]:
    seen.add(id(layer))
    for thing in gc.get_referrers(*layer):
        if id(thing) in seen or isinstance(thing, types.CodeType) or type(thing) is Found:
            continue
        if isinstance(thing, types.ModuleType) or _is_machinery(thing):
            continue
        seen.add(id(thing))
        yield thing


def _is_machinery(thing: Any) -> bool:
    """Iterators and frames of this search itself."""
    if isinstance(thing, types.FrameType):
        return thing.f_globals.get("__name__", "").startswith(__package__ or "truetile")
    return type(thing).__name__ in ("list_iterator", "generator", "dict_valueiterator")


def _label(thing: Any) -> str | None:
    for label in _labels:
        try:
            if (name := label(thing)) is not None:
                return name
        except Exception:  # a stranger's object may raise at any touch
            continue
    if isinstance(thing, torch.nn.Module):
        kind = type(thing)
        return f"module {kind.__module__}.{kind.__qualname__}"
    if isinstance(thing, type):
        return f"class {thing.__module__}.{thing.__qualname__}"
    if isinstance(thing, dict) and "__name__" in thing and "__spec__" in thing:
        return f"a global of {thing['__name__']}"
    return None


def _weak_label(thing: Any, below: list[Any]) -> str:
    """An object of some class, or a closure; containers say nothing."""
    if isinstance(thing, types.FrameType):
        # A frame outlives its call in the traceback of an error that somebody kept.
        return f"a variable of {thing.f_globals.get('__name__')}.{thing.f_code.co_name}"
    if isinstance(thing, types.CellType):
        return "a closure"
    if isinstance(thing, types.FunctionType):
        return f"function {thing.__module__}.{thing.__qualname__}"
    kind = type(thing)
    if kind.__module__ in ("builtins", "collections", "weakref", "torch", "torch.nn.parameter"):
        return ""
    return f"object {kind.__module__}.{kind.__qualname__}"
