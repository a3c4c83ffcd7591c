"""What convolutions remember where a clip runs in spans of frames."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..stream import LayerRows, Segment, StreamLayer
from .memory import carved


class Carry:
    """The last frames that each padded convolution saw, normalised, over all rows.

    A span's strips read the frames of the span before and leave their own. Strips overlap, so that
    each leaves only the rows that no later one reads. `begun`: whether a span has been finished.
    """

    def __init__(
        self,
        layers: Sequence[StreamLayer],
        sizes: Sequence[tuple[int, int, int, int]],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.begun = False
        shapes = carried_sizes(layers, sizes)
        self._frames = dict(zip(shapes, carved(list(shapes.values()), dtype, device), strict=True))

    def load(self, index: int, padded: torch.Tensor, rows: LayerRows, left: int) -> None:
        """Fills what a padded input of layer `index` begins with, without edges."""
        frames = self._frames[index]
        inner = padded[: frames.shape[0], rows.top : rows.padded - rows.bottom]
        inner = inner[:, :, left : left + frames.shape[2]]
        inner.copy_(frames[:, rows.read.begin : rows.read.end])

    def save(
        self, index: int, padded: torch.Tensor, rows: LayerRows, left: int, until: int
    ) -> None:
        """Keeps the end of a padded input for the next span, up to row `until` of the source."""
        frames = self._frames[index]
        begin, end = rows.read.begin, min(until, rows.read.end)
        inner = padded[padded.shape[0] - frames.shape[0] :, rows.top : rows.top + end - begin]
        frames[:, begin:end].copy_(inner[:, :, left : left + frames.shape[2]])


def carried_sizes(
    layers: Sequence[StreamLayer], sizes: Sequence[tuple[int, int, int, int]]
) -> dict[int, tuple[int, int, int, int]]:
    """[frames, rows, columns, channels] that each layer carries; `sizes` are all values'."""
    return {
        index: (layer.cached_frames, *sizes[layer.source][1:])
        for index, layer in enumerate(layers)
        if layer.padded and layer.cached_frames
    }


def last_runs(segments: Sequence[Segment]) -> dict[Segment, set[int]]:
    """For each of some passes, in order, the layers that no later one runs again."""
    later: set[int] = set()
    found = {}
    for one in reversed(segments):
        own = set(range(one.first, one.last))
        found[one] = own - later
        later |= own
    return found
