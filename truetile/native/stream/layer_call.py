"""What one layer takes beside its segment's buffers; twin of csrc/core/stream/layer_call.hpp."""

from __future__ import annotations

from dataclasses import dataclass

from .attention import attention_bytes
from .layer import LayerKind, Size, StreamLayer
from .placement import round_up
from .values import BLOCK, store_bytes

_FP32_BYTES = 4
# Convolutions take a scratch of their own, as measured: none to 24 MiB, or less than twice their
# result where that is less.
_CONVOLUTION_SCRATCH = 24 << 20
# Pixels have no more channels. An input of them is copied into blocks, which end so many columns
# later.
_FEW_CHANNELS, _BLOCK_COLUMNS = 4, 16


@dataclass(frozen=True)
class LayerCall:
    """A layer where it meets the largest strip and the largest chunk of its segment.

    Attributes:
        read, padded, made: [frames, rows, columns, channels] that it reads of its source, of its
            padded input with cached frames, and of what it makes.
        convolved: frames of its own in its padded input.
        tokens, queries: that an attention sees, and how many of them it scores at once.
        last: whether it ends the segment.
        placed: whether what ends the segment is written to its place at once.
    """

    layer: StreamLayer
    elem_bytes: int
    read: Size
    padded: Size
    made: Size
    convolved: int
    tokens: int
    queries: int
    last: bool
    placed: bool

    @property
    def bytes(self) -> int:
        """What torch allocates while it runs."""
        layer = self.layer
        if layer.attends:
            how = self.tokens, self.queries, self.made[3], self.elem_bytes, layer.way
            return round_up(attention_bytes(*how), BLOCK)
        if layer.kind == LayerKind.SHUFFLE:
            # It copies nothing but what it makes for the host.
            total = self._blocks(self.made) if self.last else 0
        else:
            total = self._convolution()
        if layer.averages:
            total += self._blocks(self.made)
        if layer.source == 0:
            if layer.kind != LayerKind.CONV or not layer.padded:
                total += self._blocks(self.read)  # else its padded input is all that is left
            total = max(total, _converting(self.read))
        if layer.residual == 0:
            total += _converting(self._added())
        return total

    @property
    def landing_bytes(self) -> int:
        """Where what it reads of the clip arrives, as it lies on the host."""
        read = store_bytes(self.read, _FP32_BYTES) if self.layer.source == 0 else 0
        added = store_bytes(self._added(), _FP32_BYTES) if self.layer.residual == 0 else 0
        return max(read, added)

    @property
    def departure_bytes(self) -> int:
        """Where pixels that it makes lie while they are copied to the host.

        Latents are written there at once.
        """
        return store_bytes(self.made, _FP32_BYTES) if self.made[3] <= _FEW_CHANNELS else 0

    def _convolution(self) -> int:
        layer = self.layer
        result = self._blocks(self._result())
        total = result + min(_CONVOLUTION_SCRATCH, 2 * result)
        if not layer.padded:
            total += self._blocks(self.read)  # which it may copy
        elif layer.in_channels <= _FEW_CHANNELS:
            frames, height, columns, channels = self.padded
            total += self._blocks((frames, height, columns + _BLOCK_COLUMNS, channels))
        # The phases of a result that has no place of its own are put together in a new one.
        if self._phases() > 1 and self.last and not self.placed:
            total += self._blocks(self.made)
        return total

    def _phases(self) -> int:
        return self.layer.up_t * self.layer.rows.up * self.layer.columns.up

    def _result(self) -> Size:
        """Of the convolution: phases side by side in channels, a row and a column too many."""
        layer, (frames, rows, columns, channels) = self.layer, self.made
        if layer.kind == LayerKind.TIME_UP:
            frames = 2 * self.convolved
        elif layer.kind == LayerKind.TIME_DOWN:
            frames = self.convolved // 2
        elif not layer.time.halves:
            frames = self.convolved
        rows = self.padded[1] - 1 if layer.rows.up > 1 else rows
        columns = self.padded[2] - 1 if layer.columns.up > 1 else columns
        return frames, rows, columns, channels * self._phases()

    def _added(self) -> Size:
        """The most that it adds."""
        return *self.made[:3], self.layer.residual_channels or self.made[3]

    def _blocks(self, size: Size) -> int:
        return store_bytes(size, self.elem_bytes)


def _converting(size: Size) -> int:
    """Of the clip, besides where it lands: two steps of its conversion at once."""
    return 2 * store_bytes(size, _FP32_BYTES)
