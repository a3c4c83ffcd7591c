"""Which parts of a value from outside the layers of a segment read, known before they do."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ..families.program import Layer
from ..stream import LayerFrames, LayerRows, frames_read
from .exact_steps import Strip
from .read_ahead import Part


def residual_part(layer: Layer, rows: LayerRows, frames: LayerFrames) -> Part:
    """Frames and rows of its residual that a layer adds in one strip and chunk."""
    if layer.packing is None:
        return frames.out, rows.out
    shortcut = layer.shape.shortcut
    return frames_read(shortcut.time, frames.out), shortcut.rows(rows.out)


def parts_of(
    value: int,
    layers: Sequence[Layer],
    strips: Sequence[Strip],
    chunks: Sequence[tuple[LayerFrames, ...]],
) -> list[Part]:
    """Frames and rows of all reads of a value, in the order of work."""
    users = [
        (at, layer)
        for at, layer in enumerate(layers)
        if value in (layer.shape.source, layer.shape.residual)
    ]
    parts: list[Part] = []
    for strip, chunk, (at, layer) in itertools.product(strips, chunks, users):
        rows, frames = strip.layers[at], chunk[at]
        if rows.out.length and layer.shape.source == value:
            parts.append((frames.read, rows.read))
        if rows.out.length and layer.shape.residual == value:
            parts.append(residual_part(layer, rows, frames))
    return parts
