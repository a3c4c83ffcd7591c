"""The values of a program: their sizes, and where it may be cut between them.

Twin of csrc/core/stream/values.hpp. Working out sizes is also what checks a program.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..grid import require, require_range
from .layer import AxisRule, LayerKind, Size, StreamLayer
from .placement import round_up
from .shuffle import Shuffle, TimeRule, frames_made

MAX_LAYERS = 512
MAX_EDGE = 1 << 24
MAX_ELEMENTS = 1 << 42  # of one value
BLOCK = 512  # torch's CUDA allocator hands out multiples of so many bytes


def value_bytes(size: Size, elem_bytes: int) -> int:
    """What a value, or a part of one, takes."""
    t, h, w, c = size
    return t * h * w * c * elem_bytes


def store_bytes(size: Size, elem_bytes: int) -> int:
    """The same of an allocation of its own, such as a whole value between two segments."""
    return round_up(value_bytes(size, elem_bytes), BLOCK)


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


def clean_cuts(layers: Sequence[StreamLayer]) -> list[bool]:
    """For each value whether it is the only one that layers behind it read of those up to it."""
    clean = [True] * (len(layers) + 1)
    for index, layer in enumerate(layers):
        for value in (layer.source, layer.residual):
            for cut in range(value + 1, index + 1 if value >= 0 else 0):
                clean[cut] = False
    return clean


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
