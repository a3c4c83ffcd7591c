"""Whose blocks keep half-empty segments of torch's native allocator from the driver."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from .fragmentation import Segment
from .types import check_bytes


@dataclass(frozen=True)
class Pin:
    """A segment whose free memory other blocks keep from the driver.

    awaiting: bytes that another stream may still use, which nobody can move. unknown: live bytes in
    blocks where none of the storages begins. storages: indices of those that do, ascending.
    """

    address: int
    size: int
    free: int
    live: int
    awaiting: int
    unknown: int
    storages: tuple[int, ...]


def find_pins(segments: Sequence[Segment], storages: Sequence[int]) -> list[Pin]:
    """The comb of `analyze`, with the storages in it; `storages`: addresses where they begin.

    Most free bytes for the fewest live ones first. Raises InvalidArgument for negative sizes.
    """
    order = sorted((address, index) for index, address in enumerate(storages))
    pins = [_pin(segment, order) for segment in segments]
    kept = [
        pin
        for segment, pin in zip(segments, pins, strict=True)
        # The pages of a free block of an expandable segment go back whatever its neighbours are.
        if not segment.expandable and pin.free > 0 and pin.live + pin.awaiting > 0
    ]
    return sorted(kept, key=lambda pin: (-_gain(pin), pin.address))


def _pin(segment: Segment, order: list[tuple[int, int]]) -> Pin:
    sums = {"live": 0, "awaiting": 0, "free": 0}
    unknown, at = 0, segment.address
    inside: list[int] = []
    for block in segment.blocks:
        check_bytes("size", block.size)
        sums[block.state] += block.size
        if block.state == "live":
            first = bisect_left(order, (at, 0))
            last = bisect_left(order, (at + block.size, 0))
            inside += [index for _, index in order[first:last]]
            unknown += block.size if first == last else 0
        at += block.size
    return Pin(
        segment.address, at - segment.address, sums["free"], sums["live"], sums["awaiting"],
        unknown, tuple(sorted(inside)),
    )  # fmt: skip


def _gain(pin: Pin) -> float:
    return pin.free / pin.live if pin.live else float("inf")
