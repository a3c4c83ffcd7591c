"""ComfyUI's model management as truetile.memory asks for it: legacy and dynamic VRAM.

Everything newer than v0.3.64 is looked up by name. `keep_loaded` of ComfyUI takes its own
LoadedModel objects: given patchers instead, it keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch

from ..truetile.memory import Buffers, ManagedModel, MemoryDevice
from ..truetile.memory.core import Owner
from ..truetile.memory.tensors import storage_pointer
from . import memory_knobs


class ComfyModels:
    """truetile.memory.ModelManager over comfy.model_management."""

    def models(self, device: MemoryDevice) -> list[ManagedModel]:
        """Models that ComfyUI has loaded for `device`, with what of them is really resident."""
        found: dict[int, ManagedModel] = {}
        counts: dict[str, int] = {}
        for loaded in _loaded(device):
            patcher = loaded.model
            # The patcher of a leaked model is gone while its weights are not.
            model = patcher.model if patcher is not None else _real_model(loaded)
            if model is None or id(model) in found:
                continue
            name = type(model).__name__ + ("" if patcher is not None else " (leaked: no patcher)")
            counts[name] = counts.get(name, 0) + 1
            if counts[name] > 1:
                name += f" #{counts[name]}"
            found[id(model)] = _managed(name, model, patcher, device)
        return list(found.values())

    def weights(self, device: MemoryDevice, key: int) -> list[torch.Tensor]:
        patchers = (loaded.model for loaded in _loaded(device) if _key(loaded) == key)
        model = next((patcher.model for patcher in patchers if patcher is not None), None)
        return [*model.parameters(), *model.buffers()] if model is not None else []

    def buffers(self, device: MemoryDevice) -> list[Buffers]:
        mm = _management()
        entries = []
        plain = [
            buffer
            for buffer in getattr(mm, "STREAM_CAST_BUFFERS", {}).values()
            if isinstance(buffer, torch.Tensor) and device.holds(buffer)
        ]
        if plain:
            storages = frozenset(filter(None, map(storage_pointer, plain)))
            count = sum(buffer.untyped_storage().nbytes() for buffer in plain)
            entries.append(Buffers(Owner("cast buffers", "cast buffers", count), storages))
        paged = [
            buffer
            for buffer in getattr(mm, "STREAM_AIMDO_CAST_BUFFERS", {}).values()
            if getattr(buffer, "device", None) == _index(device)
        ]
        if paged:
            count = sum(buffer.size() for buffer in paged)
            ranges = tuple((b.base_addr, b.base_addr + b.max_size) for b in paged)
            owner = Owner("cast buffers (dynamic pages)", "cast buffers", count, False)
            entries.append(Buffers(owner, frozenset(), ranges))
        return entries

    def unload(self, device: MemoryDevice, keep: Sequence[int]) -> None:
        self._free(device, memory_knobs.EVERYTHING, keep)

    def free(self, device: MemoryDevice, count: int, keep: Sequence[int]) -> None:
        free = _management().get_free_memory(_torch_device(device))
        self._free(device, int(free) + count, keep)

    def release_buffers(self) -> None:
        mm = _management()
        if hasattr(mm, "reset_cast_buffers"):
            mm.reset_cast_buffers()

    @contextmanager
    def reserve(self, device: MemoryDevice, count: int) -> Iterator[None]:
        with memory_knobs.kept_free(count):
            yield

    def _free(self, device: MemoryDevice, wanted: int, keep: Sequence[int]) -> None:
        # Pages below a model's limit stay otherwise; ComfyUI lifts the limits after each node.
        memory_knobs.lift_page_limits()
        stay = [loaded for loaded in _loaded(device) if _key(loaded) in keep]
        _management().free_memory(wanted, _torch_device(device), keep_loaded=stay)


def key_of(thing: Any) -> int | None:
    """The key of the model behind a MODEL, CLIP, VAE, CONTROL_NET, ...; None for other things."""
    patcher = getattr(thing, "patcher", thing)
    model = getattr(patcher, "model", None)
    return id(model) if isinstance(model, torch.nn.Module) else None


def keys_of(things: Sequence[Any]) -> tuple[int, ...]:
    """Keys of all models among `things`, with those that hang on them (control nets, hooks)."""
    keys = []
    for thing in things:
        patcher = getattr(thing, "patcher", thing)
        keys.append(key_of(thing))
        for more in ("model_patches_models", "get_nested_additional_models"):
            attached = getattr(patcher, more, None)
            keys += [key_of(other) for other in attached()] if callable(attached) else []
    return tuple(key for key in dict.fromkeys(keys) if key is not None)


def _managed(name: str, model: Any, patcher: Any, device: MemoryDevice) -> ManagedModel:
    vbar = _pages(model, device)
    ranges = ((vbar.base_addr, vbar.base_addr + vbar.max_size),) if vbar is not None else ()
    storages: dict[int, int] = {}
    size = 0
    for tensor in chain(model.parameters(), model.buffers()):
        size += tensor.nbytes
        pointer = storage_pointer(tensor)
        if pointer is None or any(low <= pointer < high for low, high in ranges):
            continue
        # A parameter of a dynamic model may say "cpu" while its pages are on the card: only its
        # storage decides, and the pages are counted by their own allocator.
        if device.holds(tensor):
            storages[pointer] = tensor.untyped_storage().nbytes()
    return ManagedModel(
        key=id(model),
        name=name,
        size=max(size, int(patcher.model_size()) if patcher is not None else 0),
        in_torch=sum(storages.values()),
        pages=int(vbar.loaded_size()) if vbar is not None else 0,
        dynamic=bool(getattr(patcher, "is_dynamic", lambda: False)()),
        leaked=patcher is None,
        storages=frozenset(storages),
        ranges=ranges,
    )


def _pages(model: Any, device: MemoryDevice) -> Any:
    """The model's page range on this device (dynamic VRAM), or None."""
    for where, vbar in (getattr(model, "dynamic_vbars", None) or {}).items():
        if vbar is not None and getattr(where, "index", None) == _index(device):
            return vbar
    return None


def _loaded(device: MemoryDevice) -> list[Any]:
    target = _torch_device(device)
    return [
        loaded
        for loaded in _management().current_loaded_models
        if loaded.device.type == target.type and loaded.device.index in (target.index, None)
    ]


def _key(loaded: Any) -> int | None:
    return id(loaded.model.model) if loaded.model is not None else None


def _real_model(loaded: Any) -> Any:
    return loaded.real_model() if callable(getattr(loaded, "real_model", None)) else None


def _torch_device(device: MemoryDevice) -> torch.device:
    return getattr(device, "device", torch.device("cpu"))


def _index(device: MemoryDevice) -> int | None:
    return _torch_device(device).index


def _management() -> Any:
    from comfy import model_management

    return model_management
