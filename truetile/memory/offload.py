"""Offload that is proven: act, read at four levels, judge, and read once more before failing.

The order of work is the one in which memory really comes back: drop references, collect garbage,
unload, synchronise, release cast buffers, empty torch's cache, synchronise, read.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..errors import InvalidArgument
from . import tensors
from .core import (
    SECOND_READING_SECONDS,
    Account,
    Expectation,
    Levels,
    OffloadCase,
    Owner,
    Readings,
    Verdict,
    judge,
)
from .devices import MemoryDevice
from .owners import Holdings, ModelManager, holdings, managers, take_account

ACTIONS = ("none", "all", "all_but", "models", "bytes")


@dataclass(frozen=True)
class Request:
    """What is to leave, and what has to be true afterwards.

    action: "none" (only look and check the budgets), "all", "all_but" (models of `models` stay),
    "models" (only they leave), "bytes" (`count` bytes leave). models: keys of ManagedModel.
    may_stay, must_be_free: bytes or None. own_tensors: tensors that are meant to stay.
    private: modules of custom nodes that the user named; they are moved to the CPU.
    """

    action: str = "all"
    models: tuple[int, ...] = ()
    count: int = 0
    may_stay: int | None = None
    must_be_free: int | None = None
    clear_cache: bool = True
    own_tensors: tuple[torch.Tensor, ...] = field(default=(), repr=False)
    private: tuple[torch.nn.Module, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise InvalidArgument(f"action={self.action}: must be one of {', '.join(ACTIONS)}")
        if self.count < 0:
            raise InvalidArgument(f"count={self.count}: must be at least 0 bytes")
        for name in ("may_stay", "must_be_free"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InvalidArgument(f"{name}={value}: must be None or at least 0 bytes")

    def stays(self, key: int) -> bool:
        """Whether the model with this key is meant to stay whole."""
        if self.action in ("all", "bytes"):
            return False
        return (key in self.models) == (self.action != "models") or self.action == "none"


@dataclass(frozen=True)
class Outcome:
    """What an offload did. `first` is the verdict before the second reading, if there was one."""

    request: Request
    verdict: Verdict
    first: Verdict | None
    before: Readings
    after: Readings
    account: Account
    free_bytes: int | None
    seconds: float
    unavailable: dict[str, str]
    moves_weights: bool = True  # False without a GPU: there is nothing to offload

    @property
    def ok(self) -> bool:
        return self.verdict.outcome == "pass"


@dataclass(frozen=True)
class _State:
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


def offload(
    device: MemoryDevice,
    request: Request,
    managing: Sequence[ModelManager] | None = None,
    sleep: Callable[[float], Any] = time.sleep,
) -> Outcome:
    """Does what `request` says and proves it. Never raises because memory stayed: see `verdict`."""
    managing = managers() if managing is None else list(managing)
    began = time.monotonic()
    # Garbage that nobody refers to is not held by anybody: it goes before the first reading.
    gc.collect()
    device.synchronize()
    before = _read(device, managing, request, scan=False)
    if request.action != "none":
        _act(device, managing, request, before)
    elif request.clear_cache:
        device.empty_cache()
    after = _read(device, managing, request)
    verdict, first = _judge(device, request, before, after), None
    if verdict.outcome != "pass" and device.weights_leave:
        first = verdict
        sleep(SECOND_READING_SECONDS)
        gc.collect()
        _release(device, managing, request)
        after = _read(device, managing, request)
        tensors.name_holders(after.held.found)
        verdict = _judge(device, request, before, after)
    return Outcome(
        request=request,
        verdict=verdict,
        first=first,
        before=before.readings,
        after=after.readings,
        account=take_account(device, after.held, after.readings),
        free_bytes=device.free_bytes(),
        seconds=time.monotonic() - began,
        unavailable=device.unavailable(),
        moves_weights=device.weights_leave,
    )


def _read(
    device: MemoryDevice, managing: Sequence[ModelManager], request: Request, scan: bool = True
) -> _State:
    held = holdings(device, managing, request.own_tensors, scan)
    if not scan:
        held = held.without_tensors()
    private = tuple(_off_cpu_bytes(module) for module in request.private)
    return _State(held, device.readings(), device.stranded(), private)


def _act(
    device: MemoryDevice, managing: Sequence[ModelManager], request: Request, before: _State
) -> None:
    if not device.weights_leave:
        return  # weights live here: an unload would free nothing and cost the next load
    keep = [model.key for model in before.held.models if request.stays(model.key)]
    for manager in managing:
        if request.action == "bytes":
            manager.free(device, request.count, keep)
        else:
            manager.unload(device, keep)
    for module in request.private:
        module.to("cpu")
    device.synchronize()
    _release(device, managing, request)


def _release(device: MemoryDevice, managing: Sequence[ModelManager], request: Request) -> None:
    if request.action != "none":
        for manager in managing:
            manager.release_buffers()
    if request.clear_cache:
        device.empty_cache()
    device.synchronize()


def _judge(device: MemoryDevice, request: Request, before: _State, after: _State) -> Verdict:
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
    return judge(
        OffloadCase(
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
    )


def _expectations(
    device: MemoryDevice, request: Request, before: _State, after: _State
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


def _allowed(device: MemoryDevice, request: Request, after: _State) -> int:
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
