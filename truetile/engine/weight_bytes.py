"""What packed weights take, and packing them: known before any of them is read."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch

from ..families.program import Layer, Program
from ..stream import StreamLayer
from . import few_outputs
from .blocked import blocked_size
from .memory import in_blocks

# Bytes an element of a weight that a patch changes: in float32 with what the patch adds, before
# and after it is scaled.
_PATCHED = 3 * 4
_PHASES = 4 / 3  # kernels of 3 become twice as many of 2


def packed_bytes(program: Program, device: torch.device, dtype: torch.dtype) -> int:
    """What `pack` leaves allocated on `device`, in the blocks of torch's allocator."""
    return sum(_bytes(_own_weights(program, device, dtype), dtype, False)[0])


def layer_bytes(program: Program, device: torch.device, dtype: torch.dtype) -> tuple[int, ...]:
    """The same for each layer of the program; 0 for those without weights."""
    own = iter(_bytes(_own_weights(program, device, dtype), dtype, False)[0])
    return tuple(0 if layer.conv is None else next(own) for layer in program.layers)


def packing_bytes(program: Program, device: torch.device, dtype: torch.dtype, patched: bool) -> int:
    """The most that `pack` has allocated at once, less what it leaves.

    `patched`: a host changes weights on the device while they are read. From the first layer on
    packed weights grow, and each layer's own ones are on their way besides.
    """
    return _bytes(_own_weights(program, device, dtype), dtype, patched)[1]


def gamma_name(layer: Layer) -> str:
    """What a norm of this kind calls its factor."""
    return "weight" if layer.shape.groups else "gamma"


def blocked_elements(layer: Layer, device: torch.device, dtype: torch.dtype) -> int:
    """Of a weight that is there for blocks of pixels too; 0 where there is none."""
    if few_outputs.serves(layer.shape, device, dtype):
        return 0
    return blocked_size(layer.shape)


def flat_in_time(layer: Layer | _Own, shape: tuple[int, ...]) -> bool:
    """Whether all temporal taps of its kernel are one."""
    return len(shape) == 5 and (layer.still or shape[2] == 1)


class _Own(NamedTuple):
    """A layer with the sizes of its module's own weights: what of both the bytes depend on."""

    shape: StreamLayer
    outputs: int
    still: bool
    replicate: bool
    weight: tuple[int, ...]
    stored: torch.dtype
    bias: int
    norm: tuple[int, int]  # factor and summand
    joined: bool  # of several modules
    proj_bias: int
    blocked: int


def _own_weights(program: Program, device: torch.device, dtype: torch.dtype) -> tuple[_Own, ...]:
    return tuple(
        _Own(
            layer.shape,
            layer.outputs,
            layer.still,
            layer.replicate,
            (weight := layer.conv.weight).shape,
            weight.dtype,
            _size(layer.conv, "bias"),
            (_size(layer.norm, gamma_name(layer)), _size(layer.norm, "bias")),
            bool(layer.more),
            _size(layer.proj, "bias"),
            blocked_elements(layer, device, dtype),
        )
        for layer in program.layers
        if layer.conv is not None
    )


# Each call of a program asks, and its key holds all that the answer is made of.
@functools.lru_cache(maxsize=64)
def _bytes(
    layers: tuple[_Own, ...], dtype: torch.dtype, patched: bool
) -> tuple[tuple[int, ...], int]:
    """What packing leaves of each layer, and what `packing_bytes` says."""
    left = tuple(_left(layer, dtype) for layer in layers)
    before = itertools.accumulate(left, initial=0)
    moments = (at + _most(layer, dtype, patched) for layer, at in zip(layers, before, strict=False))
    return left, max(0, max(moments, default=0) - sum(left))


def _left(layer: _Own, dtype: torch.dtype) -> int:
    channels, item = layer.shape.in_channels, dtype.itemsize
    if layer.shape.attends:
        # Two of each; the second bias is there where values or the output have one.
        bias = layer.bias > 0
        biases = bias + (bias or layer.proj_bias > 0)
        return _vectors(layer) + _allocated([channels**2 * item] * 2 + [channels * item] * biases)
    return _vectors(layer) + _allocated([_count(layer) * item, layer.blocked * item])


def _vectors(layer: _Own) -> int:
    """Of a norm, and a convolution's bias."""
    sizes = [size * 4 for size in layer.norm]
    if not layer.shape.attends:
        sizes.append(layer.bias * 4)
    return _allocated(sizes)


def _most(layer: _Own, dtype: torch.dtype, patched: bool) -> int:
    """The most that is allocated while one layer is packed, with what stays of it."""
    steps = _merging(layer, dtype) if layer.shape.attends else _converting(layer, dtype)
    most = max(map(_allocated, steps))
    if patched:
        most = max(most, _allocated([math.prod(layer.weight) * _PATCHED]))
    return _vectors(layer) + most


def _merging(layer: _Own, dtype: torch.dtype) -> Iterator[list[int]]:
    """Attention: weights and biases as read, and five of each in float64."""
    channels = layer.shape.in_channels
    item = max(layer.stored.itemsize, dtype.itemsize)  # patched ones come in `dtype`
    stored = [channels**2 * item, channels * item]
    joined = 3 if layer.joined else 0
    yield stored * (4 + joined) + [channels**2 * 8, channels * 8] * 5


def _converting(layer: _Own, dtype: torch.dtype) -> Iterator[list[int]]:
    """A convolution: the sizes that are there at once, step by step of `_Packing`."""
    count, stored = math.prod(layer.weight), layer.stored
    used, source = math.prod(_used_shape(layer)), count * stored.itemsize
    if layer.replicate and flat_in_time(layer, layer.weight):
        given = layer.outputs / layer.weight[0] if layer.outputs else 1
        wide = 0 if stored == torch.float32 else int(count * given) * 4
        yield [source, wide, used * 4]
        source, stored = used * 4, torch.float32
    for _ in range(_upsampled_axes(layer)):
        wide = 0 if stored == torch.float32 else used * 4
        used = math.ceil(used * _PHASES)
        yield [source, wide, used * 4, used * 4]  # kernels before and after they are joined
        source, stored = used * 4, torch.float32
    packed = _count(layer) * dtype.itemsize
    cast = packed if stored != dtype else 0
    yield [source, cast, packed]
    blocked = layer.blocked * dtype.itemsize
    yield [packed, blocked, blocked]


def _allocated(sizes: list[int]) -> int:
    return sum(map(in_blocks, sizes))


def _count(layer: _Own) -> int:
    """Elements of the packed weight."""
    count = math.prod(_used_shape(layer))
    for rule in (layer.shape.rows, layer.shape.columns):
        count = count // rule.kernel * rule.taps * rule.up
    if layer.shape.up_t > 1:
        count = count // layer.shape.kernel_t * layer.shape.taps_t * layer.shape.up_t
    return count


def _used_shape(layer: _Own) -> tuple[int, ...]:
    outputs, *rest = layer.weight
    if flat_in_time(layer, layer.weight):
        rest = [rest[0], *rest[2:]]
    return (layer.outputs or outputs, *rest)


def _upsampled_axes(layer: _Own) -> int:
    shape = layer.shape
    return sum(up > 1 for up in (shape.rows.up, shape.columns.up, shape.up_t))


def _size(module: torch.nn.Module | None, name: str) -> int:
    value = getattr(module, name, None)
    return value.numel() if isinstance(value, torch.Tensor) else 0
