"""Packed weights in page-locked main memory, so that the next call need not pack them.

Between two calls the GPU holds nothing of them. A call copies them there in one piece, if every
weight that they were made of is still the same; see `Mark` for what that means.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..memory import ram
from .exact_weights import norm_eps, weights_of
from .flat_weights import Weights, copied_into, flat_bytes, seen_in
from .memory import PINNED_SHARE, free_ram, pinned
from .weight_marks import Mark

if TYPE_CHECKING:
    from ..families.program import Program
    from .ports import VaePort


@dataclass(frozen=True)
class _Entry:
    """One program's packed weights in `flat`, and what they were made of."""

    settings: Hashable
    marks: tuple[Mark, ...]
    flat: torch.Tensor
    weights: Weights  # views of it
    written: torch.cuda.Event | None  # when the copies from the GPU are done

    @property
    def bytes(self) -> int:
        return _taken(self.flat.numel())

    def is_of(self, now: Sequence[torch.Tensor]) -> bool:
        """Whether the larger ones of these weights lie where they lay; nothing is read of them."""
        memories = (mark.memory for mark in self.marks)
        return len(self.marks) == len(now) and all(
            memory is None or memory == id(weight.untyped_storage())
            for memory, weight in zip(memories, now, strict=True)
        )

    def fits(self, now: Sequence[torch.Tensor]) -> bool:
        return len(self.marks) == len(now) and all(map(Mark.fits, self.marks, now))


class KeptWeights:
    """Packed weights of calls so far, the longest unused first, for devices of these types.

    Weights that a host patches, and those that lie on the device, are not kept: the former are
    made anew for each call, from the latter they are packed in a few milliseconds. All together
    takes at most a share of the RAM that is free. An entry goes when the memory of a weight that it
    was made of is given up: with its module, or when the module is loaded elsewhere.

    Nothing here waits or locks: calls come from one thread, while others may ask for `bytes` and
    collect garbage, which drops entries; each step on `_entries` is one of the interpreter's own.
    """

    def __init__(self, types: Sequence[str] = ("cuda",)) -> None:
        self._types = types
        self._entries: dict[int, _Entry] = {}
        self._numbers = itertools.count()

    def bytes(self) -> int:
        """Page-locked memory that is held now."""
        return sum(entry.bytes for entry in list(self._entries.values()))

    def forget(self) -> None:
        """Gives all of it up."""
        self._entries.clear()

    def find(
        self, program: Program, port: VaePort, dtype: torch.dtype, cuts: Sequence[int] = ()
    ) -> Weights | None:
        """On the port's device what `pack` would make; None where nothing is kept.

        They lie in one block, or in one up to each of the layers in `cuts` and one for the rest.
        """
        if not self._serves(port):
            return None
        self._make_room(0)
        settings = _settings(program, port, dtype)
        candidates = [item for item in list(self._entries.items()) if item[1].settings == settings]
        if not candidates:
            return None
        now = list(_stored(program, port, dtype))
        for number, entry in candidates:
            if not entry.is_of(now):
                continue
            # On its way while the values are compared; in vain only where some were changed.
            weights = _uploaded(entry, port.device, cuts)
            if entry.fits(now):
                self._entries.pop(number, None)
                self._entries[number] = entry  # the last one to go
                return weights
        return None

    def keep(self, program: Program, port: VaePort, dtype: torch.dtype, weights: Weights) -> None:
        """Takes a copy of packed weights, while the GPU goes on; nothing where it cannot."""
        if not self._serves(port):
            return
        now = list(_stored(program, port, dtype))
        if any(weight.device.type != "cpu" for weight in now):
            return
        number = next(self._numbers)
        forget = functools.partial(self._entries.pop, number, None)
        marks = tuple(Mark(weight, forget) for weight in now)
        memories = _memories(marks)
        settings = _settings(program, port, dtype)
        for old, entry in list(self._entries.items()):
            # Of the same weights, which have been changed in place since then.
            if entry.settings == settings and memories & _memories(entry.marks):
                self._entries.pop(old, None)
        flat = self._buffer(flat_bytes(weights), port.device)
        if flat is None:
            return
        copy = copied_into(flat, weights)
        written = None
        if port.device.type == "cuda":
            written = torch.cuda.current_stream(port.device).record_event()
        self._entries[number] = _Entry(settings, marks, flat, copy, written)

    def _serves(self, port: VaePort) -> bool:
        return port.device.type in self._types and port.patches() is None

    def _buffer(self, size: int, device: torch.device) -> torch.Tensor | None:
        if not self._make_room(_taken(size)):
            return None
        if device.type == "cuda":
            return pinned((size,), torch.uint8)
        return torch.empty(size, dtype=torch.uint8)

    def _make_room(self, wanted: int) -> bool:
        """Drops the oldest until all fit their share of RAM; whether `wanted` bytes fit then."""
        share = PINNED_SHARE * (free_ram() + self.bytes())
        for number in list(self._entries):
            if self.bytes() + wanted <= share:
                break
            self._entries.pop(number, None)
        return self.bytes() + wanted <= share


def _settings(program: Program, port: VaePort, dtype: torch.dtype) -> Hashable:
    """Equal where the same weights are packed in the same way for the same device."""
    each = ((one.outputs, one.still, one.replicate, norm_eps(one)) for one in program.layers)
    return str(port.device), dtype, program.structure, tuple(each)


def _stored(program: Program, port: VaePort, dtype: torch.dtype) -> Iterator[torch.Tensor]:
    """The weights as the port gives them for packing."""
    for module, name in weights_of(program):
        weight = port.weight(module, name, dtype)
        if weight is not None:
            yield weight


def _memories(marks: Sequence[Mark]) -> set[int | None]:
    return {mark.memory for mark in marks} - {None}


def _taken(size: int) -> int:
    """What torch takes for so much page-locked memory."""
    return 1 << (size - 1).bit_length()


def _uploaded(entry: _Entry, device: torch.device, cuts: Sequence[int]) -> Weights:
    if entry.written is not None:
        torch.cuda.current_stream(device).wait_event(entry.written)
    found: Weights = ()
    begin = 0
    for first, last in itertools.pairwise((0, *cuts, len(entry.weights))):
        part = entry.weights[first:last]
        size = flat_bytes(part)
        own = entry.flat[begin : begin + size]
        block = torch.empty(size, dtype=torch.uint8, device=device)
        found += seen_in(block.copy_(own, non_blocking=True), part, begin)
        begin += size
    return found


KEPT = KeptWeights()
ram.register_pinned("TrueTile's packed weights", KEPT.bytes)
