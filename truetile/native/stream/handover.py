"""How what a convolution makes gets to the layer behind it; twin of csrc/core/stream/handover.hpp.

Merging waits for the next layer where that is a convolution of a padded input, so that a value is
not read back from memory.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence

from .layer import LayerKind, StreamLayer
from .rows import RowPlan, StripRows
from .shuffle import Shuffle, TimeRule


class Handover(enum.IntEnum):
    """WINDOW: it is merged into its window, which its readers read.

    JOINED: that happens while the next layer's padded input is written. DIRECT: it goes only there;
    nobody else reads it, and it has no window. Such a value keeps rows of that input instead of its
    own.
    """

    WINDOW = 0
    JOINED = 1
    DIRECT = 2


def handovers(layers: Sequence[StreamLayer], first: int, rows: RowPlan) -> list[Handover]:
    """Of what each layer of a segment makes; `layers` are its own, the first one is `first`."""
    found = [Handover.WINDOW] * len(layers)
    for at, (layer, following) in enumerate(itertools.pairwise(layers)):
        value = first + at + 1
        if not _joins(layer, following, value):
            continue
        reads = [value in (one.source, one.residual) for one in layers]
        alone = sum(reads) == 1 and following.residual != value
        all_read = following.rows.stride == following.columns.stride == 1
        found[at] = Handover.DIRECT if alone and all_read else Handover.JOINED
    for run in rows.distinct():
        strip = rows.strip(run.begin)
        for at, how in enumerate(found):
            if how == Handover.DIRECT and not _taken(strip, at):
                found[at] = Handover.JOINED
    return found


def _joins(layer: StreamLayer, following: StreamLayer, value: int) -> bool:
    plain = layer.rows.up == layer.columns.up == 1 and layer.time == following.time == TimeRule.SAME
    own_size = layer.residual_channels == 0 and layer.shortcut == Shuffle()
    convolved = layer.kind == following.kind == LayerKind.CONV
    # A stride beyond the kernel could leave out rows that were just made.
    whole = following.rows.stride <= following.rows.taps
    return (
        convolved
        and plain
        and own_size
        and following.padded
        and whole
        and (following.source == value)
    )


def _taken(strip: StripRows, at: int) -> bool:
    """Whether a strip puts all new rows of layer `at`, and those kept, into the next input."""
    following = strip.layers[at + 1]
    if following.out.length == 0:
        return strip.layers[at].out.length == 0
    return following.read == strip.values[at].window
