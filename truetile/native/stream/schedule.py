"""One segment of a program as strips of rows and chunks of frames, with its memory to the byte.

Twin of csrc/core/stream/schedule.hpp. Order of work: strips outside, chunks inside, layers
innermost. What lives how long:

- a *window* (one value in one strip and chunk): from its layer to its last reader; in the workspace
- a *padded* input of a convolution: while that layer runs; in the workspace
- a *line* buffer (the rows a value keeps, all frames of the clip; of a direct value those of the
  next layer's padded input): the whole segment
- *cached frames* of a causal convolution (its padded rows of one strip): the whole segment
- *call* bytes: what torch allocates within one layer (a convolution's result, attention's scores)
- a *landing place*, where parts of the clip arrive from the host: from the first read to the end
- a *departure place*, from where pixels go to the host: from the first ones to the end
- a *store* (a whole value between two segments): see plan.py

Every strip meets every chunk, so that the largest rows and the largest frames meet too, and the
offsets of the workspace are the same in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..grid import require, require_range
from .attention import attention_rows
from .frames import FramePlan, LayerFrames, frame_limits
from .handover import Handover, handovers
from .layer import LayerKind, Size, StreamLayer
from .layer_call import LayerCall
from .placement import Buffer, place, round_up
from .rows import RowPlan, StripRows, row_limits
from .values import BLOCK, store_bytes, value_bytes, value_sizes


@dataclass(frozen=True)
class Segment:
    """Layers [first, last) in strips of `rows` output rows and chunks of `chunk`; 0 is whole.

    `keep`: what the last layer makes is stored for later segments; else only its moments are
    gathered. `over`: the stored value in whose memory it is written, row by row, or -1. `queries`:
    of an attention scored at once; 0: `attention_rows`.
    """

    first: int
    last: int
    rows: int = 0
    chunk: int = 0
    keep: bool = True
    over: int = -1
    queries: int = 0


def layer_macs(layer: StreamLayer, tokens: int) -> int:
    """Multiply-adds for one element of a layer's output; `tokens` of a frame for attention."""
    if layer.attends:
        return 2 * layer.in_channels + 2 * tokens
    if layer.kind == LayerKind.SHUFFLE:
        return 0
    return layer.taps_t * layer.rows.taps * layer.columns.taps * layer.in_channels


class Schedule:
    """A segment of `layers` over an input of size `clip`, in elements of `elem_bytes`.

    `begin`: the first output row to make. Attention needs whole frames: `rows` must be 0 there.

    Attributes:
        sizes: of all values of the program.
        strip_count, chunk_count: how often the layers run.
        lines: [frames, rows, columns, channels] of the line buffer of what each layer makes.
        caches: the same of each layer's cached frames, as they lie in its padded input.
        offsets: of each layer's padded input and of the window of what it makes, in turn.
        workspace_bytes, line_bytes, cache_bytes, call_bytes, landing_bytes, departure_bytes: see
            above.
    """

    def __init__(
        self,
        layers: Sequence[StreamLayer],
        clip: Size,
        segment: Segment,
        elem_bytes: int,
        begin: int = 0,
    ) -> None:
        require_range("elem_bytes", elem_bytes, 1, 8)
        self.segment, self.elem_bytes = segment, elem_bytes
        self.sizes = value_sizes(layers, clip)
        heights = [size[1] for size in self.sizes]
        self._row_plan = RowPlan(layers, segment.first, segment.last, heights, segment.rows, begin)
        frames = self.sizes[layers[segment.first].source][0]
        self._frame_plan = FramePlan(layers, segment.first, segment.last, frames, segment.chunk)
        self.strip_count, self.chunk_count = self._row_plan.count, self._frame_plan.count
        self.layers = tuple(layers[segment.first : segment.last])
        for at, layer in enumerate(self.layers):
            where = f"attention in layer {segment.first + at})"
            whole = not layer.attends or self.strip_count == 1
            require(whole, "rows", segment.rows, f"0 ({where}")
            clip = layer.kind != LayerKind.CLIP_ATTENTION or self.chunk_count == 1
            require(clip, "chunk", segment.chunk, f"0 (clip {where}")
        self._rows, self._frames = row_limits(self._row_plan), frame_limits(self._frame_plan)
        self._handovers = handovers(self.layers, segment.first, self._row_plan)
        self._measure()

    def strip(self, index: int) -> StripRows:
        """The rows of strip `index` of `strip_count`."""
        return self._row_plan.strip(index)

    def chunk(self, index: int) -> tuple[LayerFrames, ...]:
        """The frames of chunk `index` of `chunk_count`, layer by layer."""
        return self._frame_plan.chunk(index)

    def reads_ahead(self, value: int) -> bool:
        """Whether no strip reads rows of `value` that strips before it have made of the output."""
        return self._row_plan.reads_ahead(value)

    def handover(self, at: int) -> Handover:
        """How what layer `first + at` makes gets to the next one."""
        return self._handovers[at]

    @property
    def peak_bytes(self) -> int:
        """Everything of this segment but the stores it reads and writes."""
        workspace = round_up(self.workspace_bytes, BLOCK)
        kept = self.line_bytes + self.cache_bytes + self.landing_bytes + self.departure_bytes
        return kept + workspace + self.call_bytes

    @property
    def calls(self) -> tuple[int, ...]:
        """In how many strips each layer makes rows."""
        return self._rows.calls

    def strip_macs(self, index: int) -> float:
        """Multiply-adds of one strip over all chunks."""
        strip = self.strip(index)
        total = 0.0
        for at, layer in enumerate(self.layers):
            t, _, w, c = self.made(at)
            macs = float(layer_macs(layer, self.tokens(at)))
            total += macs * (t * w * c) * strip.layers[at].out.length
        return total

    def made(self, at: int) -> Size:
        """Size of what layer `first + at` makes."""
        return self.sizes[self.segment.first + at + 1]

    def tokens(self, at: int) -> int:
        """How many positions attention in layer `first + at` sees: of a frame, or of the clip."""
        return self.layers[at].tokens(self.made(at))

    def queries(self, at: int) -> int:
        """How many of them it scores at once."""
        tokens = self.tokens(at)
        if self.segment.queries:
            return min(self.segment.queries, tokens)
        return attention_rows(tokens, self.layers[at].way)

    def _measure(self) -> None:
        own = range(len(self.layers))
        self.lines = [self._line(i) for i in own]
        self.caches = [self._cache(i) for i in own]
        placed = place(self._buffers())
        self.offsets, self.workspace_bytes = placed.offsets, placed.bytes
        self.line_bytes = sum(store_bytes(size, self.elem_bytes) for size in self.lines)
        self.cache_bytes = sum(store_bytes(size, self.elem_bytes) for size in self.caches)
        calls = [self._call(at) for at in own]
        self.call_bytes = max(call.bytes for call in calls)
        self.landing_bytes = max(call.landing_bytes for call in calls)
        self.departure_bytes = calls[-1].departure_bytes if self._gives_out() else 0

    def _line(self, at: int) -> Size:
        t, _, w, c = self.made(at)
        direct = self._handovers[at] == Handover.DIRECT
        return t, self._rows.keep[at], self._padded(at + 1)[2] if direct else w, c

    def _cache(self, at: int) -> Size:
        frames = self.layers[at].cached_frames if self.chunk_count > 1 else 0
        return frames, *self._padded(at)[1:]

    def _padded(self, at: int) -> Size:
        """The largest padded input of layer `first + at`: cached frames, then those of a chunk."""
        layer, count = self.layers[at], self._frames.convolved[at]
        columns = layer.columns.padded(0, self.made(at)[2])
        count += layer.cached_frames if count else 0
        return count, self._rows.padded[at], columns, layer.in_channels

    def _buffers(self) -> list[Buffer]:
        """What shares the workspace, in the order of `offsets`; a layer takes three moments.

        First its padded input is filled, then it is convolved, then its window is written.
        """
        last = [3 * at + 2 for at in range(len(self.layers))]
        for at, layer in enumerate(self.layers):
            # Attention adds its input to its output; time layers copy their first frame over.
            read = 3 * at + (0 if layer.kind == LayerKind.CONV else 2)
            if not layer.padded:
                read = max(read, 3 * at + 1)
            # A residual is added when its sum is merged.
            added = 3 * at + (2 if self._handovers[at] == Handover.WINDOW else 3)
            for value, moment in ((layer.source, read), (layer.residual, added)):
                index = value - 1 - self.segment.first
                if index >= 0:
                    last[index] = max(last[index], moment)
        buffers = []
        for at, layer in enumerate(self.layers):
            padded = value_bytes(self._padded(at), self.elem_bytes) if layer.padded else 0
            _, _, columns, channels = self.made(at)
            # The segment's own output goes to its store or to the host.
            windowed = at + 1 < len(self.layers) and self._handovers[at] != Handover.DIRECT
            rows = self._rows.window[at] if windowed else 0
            size = self._frames.out[at], rows, columns, channels
            window = value_bytes(size, self.elem_bytes)
            buffers.append(Buffer(padded, 3 * at, 3 * at + 1))
            buffers.append(Buffer(window, 3 * at + 2, last[at]))
        return buffers

    def _call(self, at: int) -> LayerCall:
        layer, last = self.layers[at], at + 1 == len(self.layers)
        _, _, columns, channels = self.made(at)
        return LayerCall(
            layer,
            self.elem_bytes,
            read=(
                self._frames.read[at],
                self._rows.read[at],
                self.sizes[layer.source][2],
                layer.in_channels,
            ),
            padded=self._padded(at),
            made=(self._frames.out[at], self._rows.out[at], columns, channels),
            convolved=self._frames.convolved[at],
            tokens=self.tokens(at),
            queries=self.queries(at),
            last=last,
            placed=self.segment.keep and not self._gives_out(),
        )

    def _gives_out(self) -> bool:
        """Whether the segment makes the result of the program."""
        return self.segment.last + 1 == len(self.sizes)
