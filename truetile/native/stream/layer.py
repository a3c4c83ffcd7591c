"""Geometry of a program's layers: what each reads and makes, without any weight.

Twin of csrc/core/stream/layer.hpp. A program is a list of layers. Value 0 is its input, value i + 1
what layer i makes; a layer reads an earlier value and may add another one (its residual).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..grid import require, require_range
from .attention import AttentionWay
from .shuffle import Shuffle, TimeRule, frames_made

MAX_LAYERS = 512
MAX_EDGE = 1 << 24
MAX_ELEMENTS = 1 << 42  # of one value

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


def value_sizes(layers: Sequence[StreamLayer], clip: Size) -> list[Size]:
    """Sizes of all values for an input of size `clip`; InvalidArgument names a layer that is off.

    An axis rule that would leave nothing, a source that does not exist yet, channels that do not
    match and residuals of another size are errors.
    """
    require_range("layers", len(layers), 1, MAX_LAYERS)
    _check_size(clip, -1)
    sizes = [clip]
    for index, layer in enumerate(layers):
        require_range("source", layer.source, 0, index, f" (layer {index})")
        require_range("residual", layer.residual, -1, index, f" (layer {index})")
        require_range("kernel_t", layer.kernel_t, 1, 8, f" (layer {index})")
        _check_rule(layer.rows, index)
        _check_rule(layer.columns, index)
        _check_shuffle(layer.shuffle, index)
        _check_shuffle(layer.shortcut, index)
        t, h, w, c = sizes[layer.source]
        require_range("in_channels", layer.in_channels, c, c, f" (layer {index})")
        require_range("out_channels", layer.out_channels, 1, MAX_EDGE, f" (layer {index})")
        _check_groups(layer, index)
        _check_time(layer, index)
        across = layer.shuffle if layer.kind == LayerKind.SHUFFLE else layer.columns
        size = (layer.frames(t), layer.vertical.size(h), across.size(w), layer.out_channels)
        _check_size(size, index)
        plain = layer.residual != 0 or layer.shortcut == Shuffle()
        where = f"read row by row, the input is not unpacked (layer {index})"
        require(plain, "residual", 0, where)
        if layer.residual >= 0 and _shortcut_size(layer, sizes[layer.residual]) != size:
            where = f"a value of the layer's size (layer {index})"
            require(False, "residual", layer.residual, where)
        if layer.kind == LayerKind.SHUFFLE:
            _check_shuffled(layer, index)
        if layer.attends and size != sizes[layer.source]:
            require(False, "out_channels", c, f"such that attention keeps its size (layer {index})")
        sizes.append(size)
    return sizes


def _shortcut_size(layer: StreamLayer, size: Size) -> Size:
    """The size of a layer's residual as the layer reads it."""
    t, h, w, c = size
    rule = layer.shortcut
    channels = layer.out_channels if layer.residual_channels == c else c
    return frames_made(rule.time, t), rule.size(h), rule.size(w), channels


def _check_shuffled(layer: StreamLayer, index: int) -> None:
    packed = layer.shuffle.averaged(layer.in_channels, 1)
    pair = 2 if layer.shuffle.time.doubles else 1
    unpacked = layer.out_channels * layer.shuffle.up**2 * pair
    allowed = f"such that a shuffle keeps every value (layer {index})"
    require(packed == unpacked, "out_channels", layer.out_channels, allowed)


def _check_shuffle(shuffle: Shuffle, index: int) -> None:
    where = f" (layer {index})"
    require_range("up", shuffle.up, 1, 4, where)
    require_range("down", shuffle.down, 1, 1 if shuffle.up > 1 else 4, where)


def clean_cuts(layers: Sequence[StreamLayer]) -> list[bool]:
    """For each value whether it is the only one that layers behind it read of those up to it."""
    clean = [True] * (len(layers) + 1)
    for index, layer in enumerate(layers):
        for value in (layer.source, layer.residual):
            for cut in range(value + 1, index + 1 if value >= 0 else 0):
                clean[cut] = False
    return clean


def _check_groups(layer: StreamLayer, index: int) -> None:
    where = f" (layer {index})"
    require_range("groups", layer.groups, 0, layer.in_channels, where)
    even = layer.groups == 0 or layer.in_channels % layer.groups == 0
    require(even, "groups", layer.groups, f"a divisor of in_channels={layer.in_channels}{where}")


def _check_time(layer: StreamLayer, index: int) -> None:
    three = layer.kind == LayerKind.CONV and layer.kernel_t == 3 and layer.padded
    allowed = f"SAME unless a padded convolution with kernel_t=3 (layer {index})"
    plain = layer.time_rule == TimeRule.SAME
    require(plain or three, "time_rule", layer.time_rule.name, allowed)


def _check_size(size: Size, index: int) -> None:
    where = f" (layer {index})" if index >= 0 else " (input)"
    for name, edge in zip(("frames", "rows", "columns", "channels"), size, strict=True):
        require_range(name, edge, 1, MAX_EDGE, where)
    elements = size[0] * size[1] * float(size[2] * size[3])
    require(elements <= MAX_ELEMENTS, "size", f"{elements:g}", f"at most 2^42 elements{where}")


def _check_rule(rule: AxisRule, index: int) -> None:
    where = f" (layer {index})"
    require_range("kernel", rule.kernel, 1, 16, where)
    require_range("stride", rule.stride, 1, 4, where)
    require_range("before", rule.before, 0, rule.kernel - 1, where)
    require_range("after", rule.after, 0, rule.kernel - 1, where)
    require_range("up", rule.up, 1, 2, where)
    three = (rule.kernel, rule.stride, rule.before, rule.after) == (3, 1, 1, 1)
    allowed = f"1 unless kernel=3, stride=1, before=1, after=1{where}"
    require(rule.up == 1 or three, "up", rule.up, allowed)
