"""Where a segment's result goes: a whole value for later segments, their norms, or the host."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch

from .. import native
from ..stream import Span
from .output import HostOutput
from .ports import Affine
from .read_ahead import Part


class Output(Protocol):
    """Where a segment's last value goes."""

    def target(self, frames: Span, rows: Span) -> torch.Tensor | None:
        """Memory to write into, or None where `put` takes finished rows."""

    def put(self, frames: Span, rows: Span, made: torch.Tensor) -> None:
        """Takes finished rows [t, h, w, C]; they may be overwritten afterwards."""

    def written(self, frames: Span, rows: Span) -> None:
        """Follows when a `target` has been filled."""


class Sink(Output, Protocol):
    """Where a program's result goes."""

    def of(self, frames: Span) -> Sink:
        """Some of its frames, which count from 0 there."""

    def settle(self) -> None:
        """Nothing of the device's memory serves what came so far any longer."""

    def all_finite(self) -> bool:
        """Whether nothing that came so far is known to be NaN or Inf."""


class Store:
    """A whole value [T, H, W, C] between two segments, or some frames of it."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor

    def of(self, frames: Span) -> Store:
        """Some of its frames, which count from 0 there."""
        return Store(self._tensor[frames.begin : frames.end])

    def read(self, frames: Span, rows: Span) -> torch.Tensor:
        return self.target(frames, rows)

    def reading(self, parts: Sequence[Part]) -> AbstractContextManager[None]:
        """Nothing to prepare: it lies where it is read."""
        return nullcontext()

    def settle(self) -> None:
        """It is there to stay."""

    def all_finite(self) -> bool:
        """Nobody looks: what is made of it shows."""
        return True

    def target(self, frames: Span, rows: Span) -> torch.Tensor:
        return self._tensor[frames.begin : frames.end, rows.begin : rows.end]

    def put(self, frames: Span, rows: Span, made: torch.Tensor) -> None:
        self.target(frames, rows).copy_(made)

    def written(self, frames: Span, rows: Span) -> None:
        """Nothing more to do."""


class MeasuredOutput:
    """Gathers the moments of a value for the group norms that read it, and stores it or does not.

    `moments` is complete when the value is; `begun` tells whether any row was given a place.
    """

    def __init__(self, store: Store | None, groups: int, device: torch.device) -> None:
        new = {"dtype": torch.float64, "device": device}
        self._store = store
        self._groups = groups
        self._scratch = torch.empty(native.group_moments_scratch(max(1, groups)), **new)
        self.moments = torch.zeros((max(1, groups), 3), **new)
        self.begun = False

    def target(self, frames: Span, rows: Span) -> torch.Tensor | None:
        self.begun = True
        return None if self._store is None else self._store.target(frames, rows)

    def put(self, frames: Span, rows: Span, made: torch.Tensor) -> None:
        self._measure(made)

    def written(self, frames: Span, rows: Span) -> None:
        if self._store is not None:
            self._measure(self._store.target(frames, rows))

    def _measure(self, values: torch.Tensor) -> None:
        if self._groups:
            native.group_moments(values, self.moments, self._scratch, self._groups)


class HostSink:
    """Finishes rows (affine, clamp, layout, dtype) on their way into the host tensor.

    A convolution's result is given as it is, so that it needs no memory of its own; NaN and Inf
    are counted on the device and asked for once.
    """

    def __init__(self, output: HostOutput, finish: Affine, device: torch.device) -> None:
        self._output = output
        self._finish = finish
        self._counts = torch.zeros(2, dtype=torch.int64, device=device)
        self._no_line = torch.empty((0, 0, 0, 0), dtype=torch.float32, device=device)
        self._first = 0

    def of(self, frames: Span) -> HostSink:
        """Some frames of the result, which count from 0 there; NaN and Inf are counted together."""
        part = copy.copy(self)
        part._first = frames.begin
        return part

    def target(self, frames: Span, rows: Span) -> None:
        return None

    def put(self, frames: Span, rows: Span, made: torch.Tensor) -> None:
        values = made.permute(3, 0, 1, 2)
        native.count_nonfinite(values, self._counts)
        size = tuple(values.shape[1:])
        begin = (self._first + frames.begin, rows.begin, 0)
        end = (self._first + frames.end, rows.end, size[2])
        out = self._output.target(begin, end, beside=True)
        # One tile without zones: it has nothing to blend with.
        native.blend_tile(
            values,
            out,
            self._no_line,
            self._no_line,
            self._no_line,
            use=size,
            lead=(0, 0, 0),
            tail=(0, 0, 0),
            offset=(0, 0, 0),
            origin=(0, 0, 0),
            out_origin=(0, 0, 0),
            scale=self._finish.scale,
            shift=self._finish.shift,
            lo=self._finish.lo,
            hi=self._finish.hi,
        )
        self._output.commit(begin, end, out)

    def written(self, frames: Span, rows: Span) -> None:
        """Never called with anything new: there is no target."""

    def settle(self) -> None:
        self._output.settle()

    def all_finite(self) -> bool:
        """Whether everything so far was finite; waits for the device."""
        return not self._counts.any().item()
