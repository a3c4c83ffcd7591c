"""Brings memory back without a restart, from cheap to dear, each step with figures.

It stops as soon as the goal is met. What is left at the end is named: it says when only a restart
would help, and why.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .compact import compact
from .core import Account, Owner, say_bytes
from .devices import MemoryDevice
from .owners import Holdings, ModelManager, holdings, managers, take_account


@dataclass(frozen=True)
class Step:
    """One rung of the ladder; bytes that the next phase can get, before and after it.

    detail: what the step found, where its name does not say all.
    """

    name: str
    free_before: int | None
    free_after: int | None
    detail: str = ""

    @property
    def gained(self) -> int | None:
        if self.free_before is None or self.free_after is None:
            return None
        return self.free_after - self.free_before


@dataclass(frozen=True)
class Repair:
    """What was done, whether the goal is met, and who is in the way if not."""

    goal: int
    steps: tuple[Step, ...]
    free: int | None
    met: bool
    left: tuple[Owner, ...]
    restart: str  # why only a restart would help; empty when it would not or is not needed
    account: Account

    def __str__(self) -> str:
        lines = [f"repair, goal {say_bytes(self.goal)} free: {'met' if self.met else 'NOT met'}"]
        for step in self.steps:
            before, after = say_bytes(step.free_before), say_bytes(step.free_after)
            lines.append(f"  {step.name}: {before} -> {after}")
            lines += [f"    {step.detail}"] if step.detail else []
        lines += [f"  cannot be moved: {o.name}: {say_bytes(o.bytes)}" for o in self.left]
        return "\n".join(lines + ([f"  {self.restart}"] if self.restart else []))


def repair(
    device: MemoryDevice, goal: int, managing: Sequence[ModelManager] | None = None
) -> Repair:
    """Climbs the ladder until `goal` bytes can be had by the driver's figure."""
    managing = managers() if managing is None else list(managing)
    steps: list[Step] = []
    for name, act in _ladder(device, managing, goal):
        before = _free(device)
        if before is not None and before >= goal:
            break
        said = act()
        device.synchronize()
        detail = said if isinstance(said, str) else ""
        steps.append(Step(name, before, _free(device), detail))
    held = holdings(device, managing)
    account = take_account(device, held, where=True)
    free = _free(device)
    met = free is not None and free >= goal
    left = [] if met else _left(held)
    why = "" if met else _why_restart(account, goal - free if free is not None else None)
    return Repair(goal, tuple(steps), free, met, tuple(left), why, account)


def _ladder(
    device: MemoryDevice, managing: Sequence[ModelManager], goal: int
) -> list[tuple[str, Callable[[], object]]]:
    def release_buffers() -> None:
        device.synchronize()
        for manager in managing:
            manager.release_buffers()

    def unload() -> None:
        for manager in managing:
            manager.unload(device, [])
        gc.collect()
        release_buffers()
        device.empty_cache()

    def move() -> str:
        free = _free(device)
        return compact(device, managing, goal - free if free is not None else goal)

    ladder: list[tuple[str, Callable[[], object]]] = [
        ("collect garbage", gc.collect),
        ("release cast buffers", release_buffers),
        ("empty torch's cache", device.empty_cache),
    ]
    if device.weights_leave:
        ladder += [
            ("move weights beside stranded blocks", move),
            ("unload all models", unload),
        ]
    return ladder


def _free(device: MemoryDevice) -> int | None:
    """By the driver: slack inside torch does not help another program."""
    now = device.readings()
    if now.driver_total is None or now.driver_used is None:
        return None
    return now.driver_total - now.driver_used


def _left(held: Holdings) -> list[Owner]:
    models = [line for model in held.models for line in model.owners() if line.bytes]
    return models + [entry.owner() for entry in held.found[:8]]


def _why_restart(account: Account, missing: int | None) -> str:
    others = sum(part.bytes for part in account.parts if part.kind == "process")
    own = sum(p.bytes for p in account.parts if p.kind not in ("process", "unknown"))
    if missing is None:
        return "whether a restart helps cannot be told: the driver's figure is not available"
    if others >= missing and own < missing:
        return "a restart does not help: other programs hold it"
    if own >= missing:
        return (
            f"a restart of ComfyUI would free {say_bytes(own)}: what is left belongs to libraries, "
            "or to objects that nothing here can move"
        )
    return "a restart does not help: this process does not hold that much"
