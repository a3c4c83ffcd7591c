"""What torch's allocator tells about a CUDA device, and what it does not.

ComfyUI runs torch on cudaMallocAsync by default. There most fields of `memory_stats` exist and are
always 0, and snapshots raise; such fields are None here, with the reason in `unavailable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from .core import NATIVE_TOLERANCE, POOL_TOLERANCE, Block, Segment, TorchMarks

NATIVE = "native"
_STATES = {"active_allocated": "live", "active_awaiting_free": "awaiting", "inactive": "free"}
_ZERO_ON_ASYNC = "cudaMallocAsync reports 0 for it whatever the case"


@dataclass(frozen=True)
class TorchReading:
    """Bytes of one device; None is "not told", and `unavailable` says why by field name."""

    backend: str
    allocated: int
    reserved: int
    active: int
    allocated_peak: int
    reserved_peak: int
    stranded: int | None = None
    requested: int | None = None
    retries: int | None = None
    ooms: int | None = None
    unavailable: dict[str, str] = field(default_factory=dict)

    @property
    def slack(self) -> int:
        return self.reserved - self.allocated

    @property
    def limbo(self) -> int:
        """Freed, waiting for another stream."""
        return self.active - self.allocated

    @property
    def releasable(self) -> int | None:
        """What empty_cache gives back; on cudaMallocAsync nobody can tell."""
        return None if self.stranded is None else self.reserved - self.active - self.stranded

    @property
    def marks(self) -> TorchMarks:
        return TorchMarks(self.allocated, self.reserved, self.allocated_peak, self.reserved_peak)


def backend() -> str:
    """ "native", "cudaMallocAsync", or another name that torch knows."""
    return torch.cuda.get_allocator_backend()


def tolerance() -> int:
    """Bytes to which a figure of this allocator can be held."""
    return NATIVE_TOLERANCE if backend() == NATIVE else POOL_TOLERANCE


def read(device: torch.device) -> TorchReading:
    """The counters now. Never resets the peaks: they are one register for the whole process."""
    stats = torch.cuda.memory_stats(device)
    kind = backend()
    own = {
        "stranded": "inactive_split_bytes.all.current",
        "requested": "requested_bytes.all.current",
        "retries": "num_alloc_retries",
        "ooms": "num_ooms",
    }
    if kind == NATIVE:
        detail = {name: stats.get(key) for name, key in own.items()}
        unavailable = {n: "this torch does not have it" for n, v in detail.items() if v is None}
    else:
        detail = dict.fromkeys(own)
        unavailable = dict.fromkeys((*own, "releasable", "largest_block"), _ZERO_ON_ASYNC)
    return TorchReading(
        backend=kind,
        allocated=stats.get("allocated_bytes.all.current", 0),
        reserved=stats.get("reserved_bytes.all.current", 0),
        active=stats.get("active_bytes.all.current", 0),
        allocated_peak=stats.get("allocated_bytes.all.peak", 0),
        reserved_peak=stats.get("reserved_bytes.all.peak", 0),
        unavailable=unavailable,
        **detail,
    )


def segments(device: torch.device) -> tuple[list[Segment] | None, str]:
    """The native allocator's segments, or None and why there are none."""
    if backend() != NATIVE:
        return None, f"{backend()} does not track blocks; start ComfyUI with --disable-cuda-malloc"
    snapshot = torch.cuda.memory_snapshot()
    index = device.index if device.index is not None else torch.cuda.current_device()
    return [_segment(entry) for entry in snapshot if entry.get("device", 0) == index], ""


def _segment(entry: dict) -> Segment:
    pool = tuple(entry.get("segment_pool_id", (0, 0)))
    name = entry.get("segment_type", "large") if pool == (0, 0) else f"private {pool}"
    return Segment(
        address=entry["address"],
        stream=int(entry.get("stream", 0)),
        pool=name,
        expandable=bool(entry.get("is_expandable", False)),
        blocks=_blocks(entry["blocks"]),
    )


def _blocks(entries: Sequence[dict]) -> list[Block]:
    found = []
    for entry in entries:
        state = _STATES.get(entry["state"], "awaiting")
        requested = min(entry.get("requested_size", 0), entry["size"]) if state == "live" else 0
        found.append(Block(entry["size"], requested, state))
    return found
