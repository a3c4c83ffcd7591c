"""Who holds a device's memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .types import Bytes, Owner, Part, Readings, check_bytes, say_bytes


@dataclass(frozen=True)
class Account:
    """Who holds a device's memory; the parts sum to `used` exactly."""

    parts: tuple[Part, ...]
    total: Bytes
    used: Bytes
    unknown: Bytes
    foreign: Bytes
    notes: tuple[str, ...]


def make_account(readings: Readings, owners: Sequence[Owner]) -> Account:
    """Parts in order: owners as given, torch tensors of no known owner, torch slack, own memory
    outside torch, other processes, unknown. Raises InvalidArgument for negative bytes.
    """
    _check_all(readings, owners)
    sheet = _Sheet()
    _add_own(sheet, readings, owners)
    foreign = _add_others(sheet, readings)
    unknown = None
    if readings.driver_used is not None:
        unknown = readings.driver_used - sheet.sum
        sheet.add_rest(Part("unknown", "unknown", unknown), "somebody was counted twice")
    else:
        sheet.notes.append(
            "used bytes of the device: not available, so the parts cannot be checked"
        )
    return Account(
        parts=tuple(sheet.parts),
        total=readings.driver_total,
        used=readings.driver_used,
        unknown=unknown,
        foreign=foreign,
        notes=tuple(sheet.notes),
    )


class _Sheet:
    """Adds parts and keeps their sum."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.notes: list[str] = []
        self.sum = 0

    def add(self, part: Part) -> None:
        self.sum += part.bytes
        self.parts.append(part)

    def add_rest(self, part: Part, meaning: str) -> None:
        """A remainder: below zero it says that somebody was counted twice or left meanwhile."""
        if part.bytes < 0:
            self.notes.append(f"{part.name}: {say_bytes(part.bytes)}, below zero: {meaning}")
        self.add(part)


def _add_own(sheet: _Sheet, readings: Readings, owners: Sequence[Owner]) -> None:
    for owner in owners:
        sheet.add(Part(owner.name, owner.kind, owner.bytes, owner.detail))
    in_torch = held = sum(owner.bytes for owner in owners if owner.in_torch)
    outside = sum(owner.bytes for owner in owners if not owner.in_torch)
    if readings.torch_allocated is not None:
        held = readings.torch_allocated
        sheet.add_rest(
            Part("torch tensors of no known owner", "torch", held - in_torch),
            "owners name more than torch has allocated",
        )
        if readings.torch_reserved is not None:
            about = "reserved, not allocated: held from others, usable by torch"
            sheet.add_rest(
                Part("torch slack", "slack", readings.torch_reserved - held, about),
                "torch reserves less than it has allocated",
            )
            held = readings.torch_reserved
    if readings.own_process is not None:
        own = readings.own_process - held - outside
        sheet.add_rest(
            Part("own memory outside torch", "own", own, "CUDA context, libraries, graphs"),
            "this process holds less than its owners name",
        )
    else:
        sheet.notes.append("own memory outside torch: not available, it is part of the unknown")


def _add_others(sheet: _Sheet, readings: Readings) -> Bytes:
    if readings.others is None:
        sheet.notes.append("other processes: not available, they are part of the unknown")
        return None
    foreign, complete = 0, True
    for other in readings.others:
        name = f"{other.name} (pid {other.pid})"
        if other.bytes is None:
            complete = False
            sheet.notes.append(f"process {name}: bytes not available, they are part of the unknown")
        else:
            foreign += other.bytes
            sheet.add(Part(name, "process", other.bytes))
    return foreign if complete else None


def _check_all(readings: Readings, owners: Sequence[Owner]) -> None:
    for name in ("driver_total", "driver_used", "torch_allocated", "torch_reserved", "own_process"):
        check_bytes(name, getattr(readings, name))
    for owner in owners:
        check_bytes(f"bytes of {owner.name}", owner.bytes)
    for other in readings.others or ():
        check_bytes(f"bytes of process {other.pid}", other.bytes)
