"""Geometry of a program's layers: what each reads and makes, without any weight.

Twin of csrc/core/stream/layer.hpp. A program is a list of layers. Value 0 is its input, value i + 1
what layer i makes; a layer reads an earlier value and may add another one (its residual).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from .attention import AttentionWay
from .shuffle import Shuffle, TimeRule, frames_made

Size = tuple[int, int, int, int]  # frames, rows, columns, channels


class LayerKind(enum.IntEnum):
    """What a layer does beyond its spatial geometry.

    TIME_UP and TIME_DOWN double and halve the frames behind the first one, which passes unchanged.
    """

    CONV = 0
    ATTENTION = 1  # over a whole frame
    TIME_UP = 2
    TIME_DOWN = 3
    CLIP_ATTENTION = 4  # over the whole clip
    SHUFFLE = 5  # without weights


@dataclass(frozen=True)
class AxisRule:
    """A convolution along rows or columns: zeros around, kernel, stride.

    With `up` of 2 it is nearest upsampling followed by a kernel of 3. An output then sees two
    inputs only, so that it is done at the low resolution: outputs of one parity (a phase) are a
    convolution of their own with two taps.
    """

    kernel: int = 1
    stride: int = 1
    before: int = 0
    after: int = 0
    up: int = 1

    @property
    def taps(self) -> int:
        """Inputs that an output reads."""
        return 2 if self.up > 1 else self.kernel

    def lead(self, out: int) -> int:
        """The first input that output `out` reads; negative among the zeros before."""
        return (out + 1) // 2 - 1 if self.up > 1 else out * self.stride - self.before

    def padded(self, begin: int, end: int) -> int:
        """Inputs that outputs [begin, end) read, zeros included."""
        return self.lead(end - 1) + self.taps - self.lead(begin)

    def size(self, n: int) -> int:
        """Outputs of `n` inputs."""
        room = n * self.up + self.before + self.after - self.kernel
        return room // self.stride + 1 if room >= 0 else 0

    def begin(self, out: int, n: int) -> int:
        """The first of `n` inputs that output `out` or a later one reads; n when there is none."""
        if out >= self.size(n):
            return n
        return min(n, max(0, self.lead(out)))

    def end(self, out: int, n: int) -> int:
        """How many of `n` inputs outputs [0, out) need; all of them for the last output."""
        if out <= 0:
            return 0
        if out >= self.size(n):
            return n
        return min(n, max(0, self.reach(out)))

    def reach(self, out: int) -> int:
        """Inputs needed for the outputs before `out`, as if there were no first and no last one."""
        return self.lead(out - 1) + self.taps


@dataclass(frozen=True)
class StreamLayer:
    """One layer. `padded`: its input is first written, normalised, into a buffer with zeros around.

    `kernel_t`: frames a causal convolution sees, the last of them its own. `time_rule`: it halves
    the frames by a stride, or doubles them before it sees them: each is repeated but the first one
    of the clip, before which copies of it stand. An output then sees two frames only, so that this
    is done with the frames that are there, like upsampling in space. `shuffle`: how a shuffle
    reads its source; `shortcut`: how any layer reads its residual of `residual_channels` (0: as
    many as its own). `groups` of the group norm before it, 0 without one: such a norm needs the
    moments of the whole source first. `way`: how it attends.
    """

    kind: LayerKind
    source: int
    in_channels: int
    out_channels: int
    residual: int = -1
    kernel_t: int = 1
    rows: AxisRule = field(default_factory=AxisRule)
    columns: AxisRule = field(default_factory=AxisRule)
    padded: bool = True
    shuffle: Shuffle = field(default_factory=Shuffle)
    shortcut: Shuffle = field(default_factory=Shuffle)
    residual_channels: int = 0
    groups: int = 0
    time_rule: TimeRule = TimeRule.SAME
    way: AttentionWay = AttentionWay.FUSED

    @property
    def attends(self) -> bool:
        return self.kind in (LayerKind.ATTENTION, LayerKind.CLIP_ATTENTION)

    def tokens(self, made: Size) -> int:
        """How many positions of a value of size `made` an attention sees: a frame's or a clip's."""
        return (made[0] if self.kind == LayerKind.CLIP_ATTENTION else 1) * made[1] * made[2]

    @property
    def time(self) -> TimeRule:
        if self.kind == LayerKind.TIME_UP:
            return TimeRule.DOUBLE
        if self.kind == LayerKind.TIME_DOWN:
            return TimeRule.HALVE
        return self.shuffle.time if self.kind == LayerKind.SHUFFLE else self.time_rule

    @property
    def vertical(self) -> AxisRule | Shuffle:
        """What makes rows of rows."""
        return self.shuffle if self.kind == LayerKind.SHUFFLE else self.rows

    @property
    def averages(self) -> bool:
        """Whether adding the residual averages it first."""
        channels = self.residual_channels if self.residual >= 0 else 0
        return channels > 0 and self.shortcut.averaged(channels, self.out_channels) > 1

    @property
    def up_t(self) -> int:
        """Phases in time of its convolution: 2 where it doubles the frames before it sees them."""
        return 2 if self.kind == LayerKind.CONV and self.time_rule.doubles else 1

    @property
    def taps_t(self) -> int:
        """Frames that an output of its convolution reads."""
        if self.kind != LayerKind.CONV:
            return 3
        return 2 if self.up_t > 1 else self.kernel_t

    @property
    def cached_frames(self) -> int:
        """Frames before a chunk that its convolution reads."""
        return 1 if self.kind == LayerKind.TIME_DOWN else self.taps_t - 1

    def frames(self, n: int) -> int:
        """Frames complete when `n` input frames are."""
        return frames_made(self.time, n)
