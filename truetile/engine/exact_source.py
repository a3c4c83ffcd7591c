"""What the first layers read: the clip itself, from wherever it lies."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Protocol

import torch

from ..stream import Span


class Source(Protocol):
    """What a program reads."""

    def read(self, frames: Span, rows: Span) -> torch.Tensor:
        """Frames and rows as [t, h, w, C] on the VAE's device, in its dtype."""

    def of(self, frames: Span) -> Source:
        """Some of its frames, which count from 0 there."""


class ClipSource:
    """Parts of a clip [C, T, h, w], converted to the VAE's input on its device.

    Copying from pageable memory waits for what its stream has to do, which on the engine's own
    stream would be the whole encode so far. So the copy has a stream and a landing place of its
    own; the place is free again when the part before was converted.
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
        if self._apart:
            self._stream = torch.cuda.Stream(device)
            self._converted = torch.cuda.Event()
            self._place = torch.empty(0, dtype=clip.dtype, device=device)

    def of(self, frames: Span) -> ClipSource:
        """Some frames of the clip, which count from 0 there."""
        part = copy.copy(self)
        part._clip = self._clip[:, frames.begin : frames.end]
        return part

    def read(self, frames: Span, rows: Span) -> torch.Tensor:
        """Frames and rows as contiguous [t, h, w, C]."""
        part = self._clip[None, :, frames.begin : frames.end, rows.begin : rows.end]
        moved = self._land(part) if self._apart else part.to(self._device)
        converted = self._convert(moved)[0].permute(1, 2, 3, 0)
        made = torch.empty(converted.shape, dtype=self._dtype, device=self._device)
        made.copy_(converted)
        if self._apart:
            self._converted.record()
        return made

    def _land(self, part: torch.Tensor) -> torch.Tensor:
        own = torch.cuda.current_stream(self._device)
        self._converted.synchronize()
        if self._place.numel() < part.numel():
            self._place = torch.empty(part.numel(), dtype=part.dtype, device=self._device)
            # Memory that earlier work on the engine's stream may still read.
            self._stream.wait_stream(own)
        # Images lie with their channels innermost: whole rows are copied, nothing is permuted.
        part = part.movedim(1, -1)
        moved = self._place[: part.numel()].view(part.shape)
        with torch.cuda.stream(self._stream):
            moved.copy_(part)
        own.wait_stream(self._stream)
        return moved.movedim(-1, 1)
