"""Offsets of short-lived buffers in one workspace; twin of csrc/core/stream/placement.hpp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGN = 256  # of every buffer in the workspace, bytes


@dataclass(frozen=True)
class Buffer:
    """`bytes` needed from moment `begin` to moment `end`, both included."""

    bytes: int
    begin: int
    end: int


@dataclass(frozen=True)
class Placement:
    """An offset for each buffer, and the size of the workspace."""

    offsets: tuple[int, ...]
    bytes: int


def round_up(count: int, align: int) -> int:
    return -(-count // align) * align


def place(buffers: Sequence[Buffer]) -> Placement:
    """The largest buffer first, each at the lowest offset where no living neighbour lies."""
    order = sorted(range(len(buffers)), key=lambda i: (-buffers[i].bytes, i))
    offsets = [0] * len(buffers)
    placed: list[int] = []
    total = 0
    for index in order:
        one = buffers[index]
        taken = sorted(
            (offsets[i], offsets[i] + round_up(buffers[i].bytes, ALIGN))
            for i in placed
            if buffers[i].begin <= one.end and one.begin <= buffers[i].end
        )
        at = 0
        for begin, end in taken:
            if at + round_up(one.bytes, ALIGN) <= begin:
                break
            at = max(at, end)
        offsets[index] = at
        placed.append(index)
        total = max(total, at + round_up(one.bytes, ALIGN))
    return Placement(tuple(offsets), total)
