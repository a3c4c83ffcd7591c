"""Notices memory that grows from scene to scene and does not come back, and names what grew.

Models that a manager can move are left out, as are torch's unused blocks: a scene that loads a new
model is no leak, and one that lets a model go must not hide a leak.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from . import tensors
from .core import Account, Owner, say_bytes
from .devices import MemoryDevice
from .owners import Holdings

RUNS = 3  # readings of one place before anything is said
LEAST = 64 * 2**20  # bytes a run; below it is noise


@dataclass(frozen=True)
class Growth:
    """Memory at one place of a workflow grew in each of the last runs."""

    place: str
    runs: int
    bytes_per_run: int
    suspects: tuple[Owner, ...]

    def __str__(self) -> str:
        lines = [
            f"memory grows: {say_bytes(self.bytes_per_run)} a run at {self.place!r}, "
            f"{self.runs} runs in a row"
        ]
        lines += [f"  grew: {owner.name}: {say_bytes(owner.bytes)}" for owner in self.suspects]
        if not self.suspects:
            lines.append("  no tensor explains it: a library, or objects that are no tensors")
        return "\n".join(lines)


@dataclass
class _Place:
    totals: deque[int] = field(default_factory=lambda: deque(maxlen=RUNS + 1))
    tensors: dict[int, int] = field(default_factory=dict)  # storage address -> bytes, first seen


class GrowthWatcher:
    """Fed with this process's memory at the same place of each run."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}

    def see(
        self, place: str, device: MemoryDevice, account: Account, held: Holdings
    ) -> Growth | None:
        """The growth at `place`, once RUNS readings in a row were each LEAST above the last."""
        total = kept_bytes(account, held, device.stranded())
        here = self._places.setdefault(place, _Place())
        found = tensors.find(device, held.excluded)
        now = {tensors.storage_pointer(entry.tensor) or 0: entry.bytes for entry in found}
        if total is None:
            return None
        if here.totals and total < here.totals[-1] + LEAST:
            here.totals.clear()
        if not here.totals:
            here.tensors = now
        here.totals.append(total)
        if len(here.totals) < RUNS:
            return None
        fresh = [
            entry
            for entry in found
            if (tensors.storage_pointer(entry.tensor) or 0) not in here.tensors
        ]
        tensors.name_holders(fresh)
        rate = (here.totals[-1] - here.totals[0]) // (len(here.totals) - 1)
        return Growth(place, len(here.totals), rate, tuple(e.owner() for e in fresh[:5]))


def kept_bytes(account: Account, held: Holdings, stranded: int | None) -> int | None:
    """What of this process nobody can give back: neither a manager nor an emptied cache.

    None where neither torch nor the driver tells of this process.
    """
    kinds = {part.kind for part in account.parts}
    if not kinds & {"own", "torch"}:
        return None
    away = ("process", "unknown", "model", "cast buffers", "slack")
    kept = sum(part.bytes for part in account.parts if part.kind not in away)
    kept += sum(model.resident for model in held.models if model.leaked)
    return kept + (stranded or 0)


def own_bytes(account: Account) -> int | None:
    """What this process holds, by the account; None where its own part is not known."""
    if not any(part.kind == "own" for part in account.parts):
        return None
    return sum(p.bytes for p in account.parts if p.kind not in ("process", "unknown"))
