"""What an offload left behind, as the case that is judged: who held what before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from . import tensors
from .core import Expectation, Levels, OffloadCase, Owner, Readings
from .devices import MemoryDevice
from .offload_request import Request
from .owners import Holdings, ModelManager, holdings, take_account


@dataclass(frozen=True)
class State:
    """Holders and readings at one moment."""

    held: Holdings
    readings: Readings
    stranded: int | None
    private: tuple[int, ...]  # bytes of each module of request.private

    def levels(self) -> Levels:
        others = self.readings.others
        known = others is not None and all(other.bytes is not None for other in others)
        return Levels(
            torch_allocated=self.readings.torch_allocated,
            torch_reserved=self.readings.torch_reserved,
            driver_used=self.readings.driver_used,
            foreign=sum(other.bytes for other in others) if known else None,
            stranded=self.stranded,
        )


def read_state(
    device: MemoryDevice, managing: Sequence[ModelManager], request: Request, scan: bool = True
) -> State:
    """What is there now. scan: also look for tensors that no manager knows."""
    held = holdings(device, managing, request.own_tensors, scan)
    if not scan:
        held = held.without_tensors()
    private = tuple(_off_cpu_bytes(module) for module in request.private)
    return State(held, device.readings(), device.stranded(), private)


def offload_case(
    device: MemoryDevice, request: Request, before: State, after: State
) -> OffloadCase:
    """All that the verdict on an offload needs."""
    account = take_account(device, after.held, after.readings)
    allowed, suspects = None, [entry.owner() for entry in after.held.found]
    if request.action in ("all", "all_but"):
        allowed = _allowed(device, request, after)
    readings = after.readings
    stays = readings.torch_reserved
    if stays is not None:
        stays += after.held.outside_torch
    elif not device.weights_leave:
        stays = readings.own_process
    return OffloadCase(
        owners=_expectations(device, request, before, after),
        before=before.levels(),
        after=after.levels(),
        tolerance=device.tolerance,
        requested=request.count if request.action == "bytes" else None,
        allowed_allocated=allowed,
        suspects=suspects,
        stays=stays,
        may_stay=request.may_stay,
        free=device.free_bytes(),
        must_be_free=request.must_be_free,
        present=list(account.parts),
        nothing_to_prove=request.action == "none" or not device.weights_leave,
    )


def _expectations(
    device: MemoryDevice, request: Request, before: State, after: State
) -> list[Expectation]:
    """What each model held, was to hold and holds, apart for each allocator."""
    now = {model.key: model for model in after.held.models}
    lines = []
    for model in before.held.models:
        left = now.get(model.key)
        here = (model.in_torch, left.in_torch if left else 0, True)
        pages = (model.pages, left.pages if left else 0, False)
        for held, holds, in_torch in (here, pages):
            stays = request.stays(model.key) or not device.weights_leave
            # Which model pays for "N bytes" is the manager's choice: its claim is what is proven.
            target = min(held, holds) if request.action == "bytes" else held if stays else 0
            if held or holds:
                name = model.name if in_torch else f"{model.name} (dynamic pages)"
                lines.append(Expectation(name, held, target, holds, in_torch))
    if request.action not in ("none", "bytes") and device.weights_leave:
        for module, held, holds in zip(request.private, before.private, after.private, strict=True):
            kind = type(module)
            name = f"module {kind.__module__}.{kind.__qualname__}"
            lines.append(Expectation(name, held, 0, holds))
    return lines


def _off_cpu_bytes(module: torch.nn.Module) -> int:
    weights = [*module.parameters(), *module.buffers()]
    return sum(weight.nbytes for weight in weights if weight.device.type != "cpu")


def _allowed(device: MemoryDevice, request: Request, after: State) -> int:
    """Bytes in torch that are meant to stay after "all" or "all_but"."""
    stay = sum(model.in_torch for model in after.held.models if request.stays(model.key))
    storages: dict[int, int] = {}
    for tensor in request.own_tensors:
        if device.holds(tensor) and (pointer := tensors.storage_pointer(tensor)) is not None:
            storages[pointer] = tensor.untyped_storage().nbytes()
    stay += sum(storages.values())
    allocated: int | None = after.readings.torch_allocated
    if allocated is not None:
        unnamed = allocated - after.held.named_in_torch() - sum(storages.values())
        workspace: Owner | None = device.workspaces(unnamed)
        stay += workspace.bytes if workspace is not None else 0
    return stay
