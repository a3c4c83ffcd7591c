"""Offload that is proven: act, read at four levels, judge, and read once more before failing.

The order of work is the one in which memory really comes back: drop references, collect garbage,
unload, synchronise, release cast buffers, empty torch's cache, synchronise, read.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import tensors
from .core import SECOND_READING_SECONDS, Account, Readings, Verdict, judge
from .devices import MemoryDevice
from .offload_case import State, offload_case, read_state
from .offload_request import Request
from .owners import ModelManager, managers, take_account


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
    before = read_state(device, managing, request, scan=False)
    if request.action != "none":
        _act(device, managing, request, before)
    elif request.clear_cache:
        device.empty_cache()
    after = read_state(device, managing, request)
    verdict, first = judge(offload_case(device, request, before, after)), None
    if verdict.outcome != "pass" and device.weights_leave:
        first = verdict
        sleep(SECOND_READING_SECONDS)
        gc.collect()
        _release(device, managing, request)
        after = read_state(device, managing, request)
        tensors.name_holders(after.held.found)
        verdict = judge(offload_case(device, request, before, after))
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


def _act(
    device: MemoryDevice, managing: Sequence[ModelManager], request: Request, before: State
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
