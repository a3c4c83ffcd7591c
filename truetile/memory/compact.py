"""Moves the weights that keep half-empty segments of torch's native allocator from the driver.

A segment goes back only when nothing in it is live. So the weights in it are copied to main memory,
torch's cache is emptied, and they are copied in again, where torch puts them close together. They
are back on the device afterwards: no manager has to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch

from . import ram, tensors
from .core import Pin, find_pins, say_bytes
from .devices import MemoryDevice
from .owners import ModelManager, holdings

_REGROUPED = 32 * 2**20  # what comes back is less than what was free: weights take new segments
_MOST_COPIED = 8  # bytes copied for one that comes back; more is not worth it
_KINDS = (torch.Tensor, torch.nn.Parameter)  # others may hold more than their storage


@dataclass
class Storage:
    """One storage in torch's memory. `views`: all tensors on it, where it can be moved."""

    address: int
    bytes: int
    name: str
    model: tuple[ModelManager, int] | None = None  # its manager and key there
    views: list[torch.Tensor] = field(default_factory=list, repr=False)
    found: tensors.Found | None = field(default=None, repr=False)


def compact(device: MemoryDevice, managing: Sequence[ModelManager], missing: int) -> str:
    """Moves weights until about `missing` bytes more can go back; what was done, in words.

    Segments in which something lies that cannot be moved are left alone and their holders named. A
    model that does not fit any more when its weights come back is unloaded by its manager.
    """
    segments, why = device.segments()
    if segments is None:
        return f"not possible: {why}"
    storages = _storages(device, managing)
    pins = find_pins(segments, [storage.address for storage in storages])
    if not pins:
        return "no segment is kept by a block that is in use"
    worth = [pin for pin in pins if pin.live <= _MOST_COPIED * pin.free]
    chosen = _choose([pin for pin in worth if _movable(pin, storages)], missing)
    lines = []
    if chosen:
        moving = [storages[i] for pin in chosen for i in pin.storages]
        lost = _regroup(device, moving)
        lines.append(
            f"{_segments(chosen)} kept by {_names(moving)}: moved "
            f"{say_bytes(sum(storage.bytes for storage in moving))}"
        )
        lines += lost
    if stuck := [pin for pin in worth if not _movable(pin, storages)]:
        inside = [storages[i] for pin in stuck for i in pin.storages]
        tensors.name_holders([entry.found for entry in inside if entry.found is not None])
        lines.append(f"{_segments(stuck)} cannot be given back: {_blockers(stuck, inside)}")
    return "; ".join(lines) or "the blocks in use are too large for what a move would bring back"


def _storages(device: MemoryDevice, managing: Sequence[ModelManager]) -> list[Storage]:
    """Everything in torch's memory that Python knows, with whose it is."""
    held = holdings(device, managing, scan=False)
    found: dict[int, Storage] = {}
    weights: set[int] = set()
    for manager in managing:
        for model in manager.models(device):
            for tensor in manager.weights(device, model.key):
                pointer = tensors.storage_pointer(tensor)
                if pointer not in model.storages:
                    continue
                size = tensor.untyped_storage().nbytes()
                fresh = Storage(pointer, size, model.name, (manager, model.key))
                found.setdefault(pointer, fresh).views.append(tensor)
                weights.add(id(tensor))
    for tensor in tensors.on(device, found):
        entry = found[tensors.storage_pointer(tensor) or 0]
        # Somebody else's view, or a kind of tensor that we do not know: a move would free nothing.
        if id(tensor) not in weights or type(tensor) not in _KINDS:
            entry.model = None
    for pointer in held.excluded.storages - found.keys():
        found[pointer] = Storage(pointer, 0, "a buffer of model management")
    for other in tensors.find(device, held.excluded, least=1):
        pointer = tensors.storage_pointer(other.tensor)
        if pointer is not None:
            found[pointer] = Storage(pointer, other.bytes, "", found=other)
    return list(found.values())


def _movable(pin: Pin, storages: Sequence[Storage]) -> bool:
    everything = pin.awaiting == 0 and pin.unknown == 0
    return everything and all(storages[i].model is not None for i in pin.storages)


def _choose(pins: Iterable[Pin], missing: int) -> list[Pin]:
    """The best ones until they free enough; no more than half of the free main memory at once."""
    room = ram.read().available
    chosen: list[Pin] = []
    free = live = 0
    for pin in pins:
        if free >= missing + _REGROUPED:
            break
        if room is not None and live + pin.live > room // 2:
            continue
        chosen.append(pin)
        free += pin.free
        live += pin.live
    return chosen


def _regroup(device: MemoryDevice, moving: Sequence[Storage]) -> list[str]:
    """Out, cache emptied, in again; says which models had to be unloaded."""
    with torch.no_grad():
        device.synchronize()
        copies = []
        for storage in moving:
            copy = _flat(storage.views[0]).to("cpu", copy=True)
            _show(storage.views, copy)
            copies.append((storage, copy))
        device.empty_cache()
        lost: dict[tuple[int, int], Storage] = {}
        # The largest first: what is left over between them takes the small ones.
        for storage, copy in sorted(copies, key=lambda pair: -pair[0].bytes):
            try:
                _show(storage.views, device.upload(copy))
            except RuntimeError:
                manager, key = storage.model  # type: ignore[misc]
                lost[id(manager), key] = storage
        device.synchronize()
    for storage in lost.values():
        manager, key = storage.model  # type: ignore[misc]
        manager.unload(device, [model.key for model in manager.models(device) if model.key != key])
    device.empty_cache()
    return [f"{s.name} did not fit again and was unloaded" for s in lost.values()]


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """The whole storage as bytes."""
    flat = torch.empty(0, dtype=torch.uint8, device=tensor.device)
    return flat.set_(tensor.untyped_storage())


def _show(views: Iterable[torch.Tensor], flat: torch.Tensor) -> None:
    """Lets all `views` of one storage show the bytes of `flat` instead, tied as they were."""
    for view in views:
        place = (view.storage_offset(), view.size(), view.stride())
        # A tensor made in inference mode has no version counter and must stay without one.
        with torch.inference_mode(view.is_inference()):
            fresh = torch.empty(0, dtype=view.dtype, device=flat.device)
            view.data = fresh.set_(flat.untyped_storage(), *place)


def _segments(pins: Sequence[Pin]) -> str:
    free = say_bytes(sum(pin.free for pin in pins))
    return f"{len(pins)} segment{'s' * (len(pins) != 1)} with {free} free"


def _names(storages: Iterable[Storage]) -> str:
    """Names with bytes, largest first."""
    counts: dict[str, int] = {}
    for storage in storages:
        name = storage.found.owner().name if storage.found is not None else storage.name
        counts[name] = counts.get(name, 0) + storage.bytes
    ranked = sorted(counts.items(), key=lambda entry: -entry[1])
    shown = [f"{name} ({say_bytes(count)})" if count else name for name, count in ranked[:5]]
    return ", ".join(shown + ([f"{len(ranked) - 5} more"] if len(ranked) > 5 else []))


def _blockers(pins: Sequence[Pin], inside: Sequence[Storage]) -> str:
    """Who is in the way: owners that no manager moves, and blocks without any owner."""
    names = [_names(s for s in inside if s.model is None)]
    if unknown := sum(pin.unknown for pin in pins):
        names.append(f"{say_bytes(unknown)} that no Python object holds (a library's)")
    if awaiting := sum(pin.awaiting for pin in pins):
        names.append(f"{say_bytes(awaiting)} that another stream may still use")
    return ", ".join(filter(None, names))
