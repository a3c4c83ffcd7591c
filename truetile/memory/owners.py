"""Who holds memory in this process: managed models, their buffers, and everybody else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch

from . import tensors
from .core import Account, Owner, Readings, make_account
from .devices import MemoryDevice

_SHOWN = 12  # tensors listed one by one; the rest is one line


@dataclass(frozen=True)
class ManagedModel:
    """A model that a manager can move. `key` stays the same while the model lives.

    It holds numbers only: a record of a model must not keep its weights alive.
    """

    key: int
    name: str
    size: int  # of all weights
    in_torch: int  # bytes of weights in torch's memory on the device, each storage once
    pages: int  # bytes in pages outside torch (dynamic VRAM)
    dynamic: bool = False
    leaked: bool = False  # its manager can no longer move it
    storages: frozenset[int] = field(default=frozenset(), repr=False)  # their addresses
    ranges: tuple[tuple[int, int], ...] = field(default=(), repr=False)  # of pages

    @property
    def resident(self) -> int:
        return self.in_torch + self.pages

    def owners(self) -> list[Owner]:
        """One line for each allocator that counts the model."""
        about = f"{self.resident / self.size:.0%} of it resident" if self.size else ""
        lines = []
        if self.in_torch or not self.pages:
            lines.append(Owner(self.name, "model", self.in_torch, True, about))
        if self.pages:
            lines.append(Owner(f"{self.name} (dynamic pages)", "model", self.pages, False, about))
        return lines


@dataclass(frozen=True)
class Buffers:
    """Memory of a manager itself, such as the buffers that weights are cast in."""

    owner: Owner
    storages: frozenset[int] = field(default=frozenset(), repr=False)
    ranges: tuple[tuple[int, int], ...] = field(default=(), repr=False)


class ModelManager(Protocol):
    """Something that moves models to and from a device; ComfyUI's is in comfy_nodes."""

    def models(self, device: MemoryDevice) -> list[ManagedModel]: ...
    def weights(self, device: MemoryDevice, key: int) -> list[torch.Tensor]:
        """Parameters and buffers of one of `models`, wherever they are; for moving them."""
        ...

    def buffers(self, device: MemoryDevice) -> list[Buffers]: ...
    def unload(self, device: MemoryDevice, keep: Sequence[int]) -> None:
        """Takes all models but those with these keys off the device."""
        ...

    def free(self, device: MemoryDevice, count: int, keep: Sequence[int]) -> None:
        """Frees at least `count` bytes, as far as models other than `keep` hold them."""
        ...

    def release_buffers(self) -> None: ...
    def reserve(self, device: MemoryDevice, count: int) -> AbstractContextManager[Any]:
        """Keeps `count` bytes free of weights while the context is open."""
        ...


_managers: list[ModelManager] = []


def register_manager(manager: ModelManager) -> None:
    """Makes the models of `manager` part of every account; registering twice changes nothing."""
    if manager not in _managers:
        _managers.append(manager)


def managers() -> list[ModelManager]:
    return list(_managers)


@dataclass(frozen=True)
class Holdings:
    """All owners of this process on one device, at one moment."""

    models: list[ManagedModel]
    buffers: list[Owner]
    found: list[tensors.Found]
    excluded: tensors.Excluded

    def owners(self, workspace: Owner | None = None) -> list[Owner]:
        """Models, buffers, then other tensors: the largest by name, the rest as one line."""
        lines = [line for model in self.models for line in model.owners() if line.bytes]
        lines += self.buffers
        lines += [entry.owner() for entry in self.found[:_SHOWN]]
        if rest := self.found[_SHOWN:]:
            count = sum(entry.bytes for entry in rest)
            lines.append(Owner(f"{len(rest)} smaller tensors", "tensors", count))
        if workspace is not None:
            lines.append(workspace)
        return lines

    def without_tensors(self) -> Holdings:
        """The figures alone: nothing here may keep alive what is about to leave."""
        return replace(self, found=[])

    @property
    def outside_torch(self) -> int:
        outside = sum(model.pages for model in self.models)
        return outside + sum(line.bytes for line in self.buffers if not line.in_torch)

    def named_in_torch(self) -> int:
        named = sum(model.in_torch for model in self.models)
        named += sum(line.bytes for line in self.buffers if line.in_torch)
        return named + sum(entry.bytes for entry in self.found)


def holdings(
    device: MemoryDevice,
    managing: Sequence[ModelManager] | None = None,
    own_tensors: Sequence[torch.Tensor] = (),
    scan: bool = True,
) -> Holdings:
    """Reads all owners. scan: also look for tensors that no manager knows.

    `own_tensors` are named by the caller and left out of the search.
    """
    managing = managers() if managing is None else managing
    models = [model for manager in managing for model in manager.models(device)]
    buffers = [entry for manager in managing for entry in manager.buffers(device)]
    excluded = tensors.Excluded()
    for model in models:
        excluded.storages.update(model.storages)
        excluded.ranges.extend(model.ranges)
    for entry in buffers:
        excluded.storages.update(entry.storages)
        excluded.ranges.extend(entry.ranges)
    for tensor in own_tensors:
        excluded.add(tensor)
    # Main memory is full of tensors that an account in bytes of the process covers anyway.
    found = tensors.find(device, excluded) if scan and device.weights_leave else []
    return Holdings(models, [entry.owner for entry in buffers], found, excluded)


def take_account(
    device: MemoryDevice, held: Holdings, readings: Readings | None = None, where: bool = False
) -> Account:
    """The account now; `where` also finds out where the largest tensors hang (slow)."""
    readings = device.readings() if readings is None else readings
    if where:
        tensors.name_holders(held.found)
    workspace = None
    if readings.torch_allocated is not None:
        workspace = device.workspaces(readings.torch_allocated - held.named_in_torch())
    return make_account(readings, held.owners(workspace))
