"""What the first layers read: the clip itself, from wherever it lies."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

import torch

from ..stream import Span
from .memory import pinned
from .read_ahead import Part, ReadAhead


class Source(Protocol):
    """What a program reads."""

    def read(self, frames: Span, rows: Span) -> torch.Tensor:
        """Frames and rows as [t, h, w, C] on the VAE's device, in its dtype."""

    def reading(self, parts: Sequence[Part]) -> AbstractContextManager[None]:
        """Within it these parts are read in this order, perhaps with others between them."""

    def of(self, frames: Span) -> Source:
        """Some of its frames, which count from 0 there."""


class ClipSource:
    """Parts of a clip [C, T, h, w], converted to the VAE's input on its device.

    A copy to CUDA has a stream and a landing place of its own, so that it waits for nothing but
    the conversion of the part before it, in whose place it lands, and only its own conversion waits
    for it. From pageable memory it is slow and holds its caller up all the same; `reading` has a
    thread bring the parts to page-locked memory ahead of need, from where they take neither.
    """

    def __init__(
        self,
        clip: torch.Tensor,
        convert: Callable[[torch.Tensor], torch.Tensor],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._clip, self._convert = clip, convert
        self._device, self._dtype = device, dtype
        self._apart = device.type == "cuda" and clip.device.type == "cpu"
        # As images lie; latents have rows innermost.
        self._channels_last = clip.stride(0) < clip.stride(3)
        self._ahead: ReadAhead | None = None
        if self._apart:
            self._stream = torch.cuda.Stream(device)
            self._converted = torch.cuda.Event()
            self._place = torch.empty(0, dtype=clip.dtype, device=device)

    def of(self, frames: Span) -> ClipSource:
        """Some frames of the clip, which count from 0 there."""
        part = copy.copy(self)
        part._clip = self._clip[:, frames.begin : frames.end]
        return part

    @contextmanager
    def reading(self, parts: Sequence[Part]) -> Iterator[None]:
        """Within it these parts are read in this order; others between them take longer."""
        if not (self._apart and parts):
            yield
            return
        channels, _, _, columns = self._clip.shape
        most = max(frames.length * rows.length for frames, rows in parts) * columns * channels
        self._land_in(most)
        ahead = self._read_ahead(parts, most)
        try:
            with ahead or nullcontext():
                self._ahead = ahead
                yield
        finally:
            self._ahead = None
            # Later work on the engine's stream may get the place's memory: behind the last copy.
            torch.cuda.current_stream(self._device).wait_stream(self._stream)
            self._place = self._place.new_empty(0)

    def read(self, frames: Span, rows: Span) -> torch.Tensor:
        """Frames and rows as contiguous [t, h, w, C]."""
        if self._apart:
            moved = self._land(frames, rows)
        else:
            moved = self._view(frames, rows).to(self._device)
        converted = self._convert(self._planar(moved))[0].permute(1, 2, 3, 0)
        made = torch.empty(converted.shape, dtype=self._dtype, device=self._device)
        made.copy_(converted)
        if self._apart:
            self._converted.record()
        return made

    def _view(self, frames: Span, rows: Span) -> torch.Tensor:
        """[1, t, h, w, C] or [1, C, t, h, w], as it lies: in another order the host is slow."""
        part = self._clip[None, :, frames.begin : frames.end, rows.begin : rows.end]
        return part.movedim(1, -1) if self._channels_last else part

    def _planar(self, part: torch.Tensor) -> torch.Tensor:
        """[1, C, t, h, w] of what `_view` gave."""
        return part.movedim(-1, 1) if self._channels_last else part

    def _land(self, frames: Span, rows: Span) -> torch.Tensor:
        own = torch.cuda.current_stream(self._device)
        staged = None if self._ahead is None else self._ahead.take((frames, rows))
        part = self._view(frames, rows) if staged is None else staged
        if self._place.numel() < part.numel():
            self._land_in(part.numel())
        moved = self._place[: part.numel()].view(part.shape)
        # The place holds the part before until that was converted.
        self._stream.wait_event(self._converted)
        with torch.cuda.stream(self._stream):
            moved.copy_(part, non_blocking=staged is not None)
        own.wait_stream(self._stream)
        return moved

    def _land_in(self, count: int) -> None:
        """Takes a landing place of so many elements."""
        self._place = self._place.new_empty(0)  # never both at once
        self._place = self._place.new_empty(count)
        # Memory that earlier work on the engine's stream may still read.
        self._stream.wait_stream(torch.cuda.current_stream(self._device))

    def _read_ahead(self, parts: Sequence[Part], most: int) -> ReadAhead | None:
        """None where no copy would be made ahead of another, or no memory can be page-locked."""
        slots = pinned((2, most), self._clip.dtype) if len(parts) > 1 else None
        return None if slots is None else ReadAhead(self._view, parts, slots, self._fence)

    def _fence(self) -> Callable[[], None]:
        """Waits for the copies from staging memory that were launched so far."""
        # One that sleeps: a spinning thread would take a core.
        event = torch.cuda.Event(blocking=True)
        event.record(self._stream)
        return event.synchronize
