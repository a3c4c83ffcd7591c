"""Weights of a program as its convolutions take them: device, dtype, layout, only what is used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from .. import native
from ..families.program import Layer, Program
from ..stream import LayerKind, StreamLayer
from . import few_outputs
from .attention_weights import merged_projections
from .blocked import block_weight, blocked_size


@dataclass(frozen=True)
class Packed:
    """One layer's weights.

    `weight` is [O, I, kh, kw], or [O, I, kt, kh, kw] where time is convolved; an upsampling one has
    the phases' weights one after the other in O, those of time outermost. [C, C] for attention with
    `proj` [C, C]: see `merged_projections`. `gamma` and `beta` [I] of the norm are float32, and so
    is the bias of a convolution. A group norm has `eps`: `gamma` and `beta` are the module's, until
    `with_moments` makes them the factor and the summand of each channel. `blocked` is the weight
    once more where blocks of pixels may serve.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    gamma: torch.Tensor | None
    beta: torch.Tensor | None
    proj: torch.Tensor | None
    proj_bias: torch.Tensor | None
    eps: float | None = None
    blocked: torch.Tensor | None = None

    @property
    def rms(self) -> bool:
        """Whether its norm is an RMS norm over channels."""
        return self.gamma is not None and self.eps is None

    def with_moments(self, state: torch.Tensor) -> Packed:
        """The same with a group norm over values of these moments, as x * gamma + beta."""
        scale, shift = torch.empty_like(self.gamma), torch.empty_like(self.beta)
        native.group_affine(state, self.gamma, self.beta, self.eps, scale, shift)
        return replace(self, gamma=scale, beta=shift)


Reader = Callable[[torch.nn.Module, str, torch.dtype], "torch.Tensor | None"]


def as_stored(module: torch.nn.Module, name: str, dtype: torch.dtype) -> torch.Tensor | None:
    """The weight `name` of a module as it lies there; a port's `weight` may know more."""
    value = getattr(module, name, None)
    return value.detach() if isinstance(value, torch.Tensor) else None


def pack(
    program: Program, device: torch.device, dtype: torch.dtype, read: Reader = as_stored
) -> tuple[Packed | None, ...]:
    """All layers' weights on `device`; the caller drops them when it is done.

    `read` gives the weights of the program's modules, on any device; see `VaePort.weight`.
    """
    packing = _Packing(device, dtype, read)
    return tuple(None if layer.conv is None else packing.packed(layer) for layer in program.layers)


def weights_of(program: Program) -> Iterator[tuple[torch.nn.Module, str]]:
    """All that `pack` reads: modules, and the names of their weights, whether they have them."""
    for layer in program.layers:
        if layer.conv is None:
            continue
        for part in (layer.conv, *layer.more, layer.proj):
            yield from () if part is None else ((part, "weight"), (part, "bias"))
        if layer.norm is not None:
            yield from ((layer.norm, _gamma(layer)), (layer.norm, "bias"))


def norm_eps(layer: Layer) -> float | None:
    """Of a layer's group norm; None where it has none."""
    return float(layer.norm.eps) if layer.shape.groups else None


def packed_bytes(program: Program, device: torch.device, dtype: torch.dtype) -> int:
    """What `pack` leaves allocated on `device`, in the blocks of torch's allocator."""
    total = 0
    for layer in program.layers:
        if layer.conv is None:
            continue
        sizes = [_size(layer.norm, name) * 4 for name in (_gamma(layer), "bias")]
        if layer.shape.attends:
            channels, bias = layer.shape.in_channels, _size(layer.conv, "bias") > 0
            # Two of each; the second bias is there where values or the output have one.
            sizes += [channels**2 * dtype.itemsize] * 2
            if bias:
                sizes.append(channels * dtype.itemsize)
            if bias or _size(layer.proj, "bias"):
                sizes.append(channels * dtype.itemsize)
        else:
            sizes += [_count(layer) * dtype.itemsize, _size(layer.conv, "bias") * 4]
            if _blocks(layer.shape, device, dtype):
                sizes.append(blocked_size(layer.shape) * dtype.itemsize)
        total += sum(-(-size // BLOCK) * BLOCK for size in sizes)
    return total


def packing_bytes(program: Program) -> int:
    """The most that `pack` takes for a moment besides what it leaves: for its largest layer."""
    return max(
        (
            layer.shape.in_channels**2 * _MERGING
            if layer.shape.attends
            else _size(layer.conv, "weight") * _PACKING[_upsampled_axes(layer)]
            for layer in program.layers
            if layer.conv is not None
        ),
        default=0,
    )


BLOCK = 512  # bytes of torch's allocator on CUDA
# Bytes an element, by how many axes are upsampled: the weight as it was stored, and in float32 with
# what a patch adds to it; or the float32 kernels of the last axis' phases, which have 4/3 as many
# elements for each axis, before and after they are joined.
_PACKING = (12, 24, 24, 32)
# Of attention, for each pair of channels: four weights as they were stored, in float32 with what a
# patch adds to one, and three in float64 at once.
_MERGING = 4 * 4 + 4 + 3 * 8


def _count(layer: Layer) -> int:
    """Elements of the packed weight."""
    count = math.prod(_used_shape(layer, layer.conv.weight.shape))
    for rule in (layer.shape.rows, layer.shape.columns):
        count = count // rule.kernel * rule.taps * rule.up
    if layer.shape.up_t > 1:
        count = count // layer.shape.kernel_t * layer.shape.taps_t * layer.shape.up_t
    return count


def _used_shape(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    outputs, *rest = shape
    if _flat_in_time(layer, shape):
        rest = [rest[0], *rest[2:]]
    return (layer.outputs or outputs, *rest)


def _flat_in_time(layer: Layer, shape: tuple[int, ...]) -> bool:
    """Whether all temporal taps of its kernel are one."""
    return len(shape) == 5 and (layer.still or shape[2] == 1)


def _upsampled_axes(layer: Layer) -> int:
    shape = layer.shape
    return sum(up > 1 for up in (shape.rows.up, shape.columns.up, shape.up_t))


def _gamma(layer: Layer) -> str:
    """What a norm of this kind calls its factor."""
    return "weight" if layer.shape.groups else "gamma"


def _blocks(layer: StreamLayer, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a layer's weight is there for blocks of pixels too."""
    return blocked_size(layer) > 0 and not few_outputs.serves(layer, device, dtype)


def _size(module: torch.nn.Module | None, name: str) -> int:
    value = getattr(module, name, None)
    return value.numel() if isinstance(value, torch.Tensor) else 0


def _phased(weight: torch.Tensor, up: int, axis: int) -> torch.Tensor:
    """Kernels of 3 behind an upsampling as two kernels of 2, one after the other in axis 0.

    An even output sees the input before it once and its own twice, an odd one its own twice and the
    next one once; what sees the same input is added up. A causal one in time sees one input less
    ahead: the same two kernels make an input's later repetition and the earlier one of the next.
    """
    if up == 1:
        return weight
    first, own, last = weight.float().unbind(axis)
    even = torch.stack((first, own + last), axis)
    odd = torch.stack((first + own, last), axis)
    return torch.cat((even, odd))


def _channels_last(weight: torch.Tensor) -> torch.Tensor:
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return weight.contiguous(memory_format=formats.get(weight.dim(), torch.contiguous_format))


class _Packing:
    """Packs layer after layer; of a layer's own weights nothing stays."""

    def __init__(self, device: torch.device, dtype: torch.dtype, read: Reader) -> None:
        self._device, self._dtype, self._read = device, dtype, read

    def packed(self, layer: Layer) -> Packed:
        norm = (
            self._vector(layer.norm, _gamma(layer)),
            self._vector(layer.norm, "bias"),
        )
        eps = norm_eps(layer)
        if layer.shape.attends:
            weight, bias, proj, proj_bias = self._attention(layer)
            return Packed(weight, bias, *norm, proj, proj_bias, eps)
        bias, weight = self._vector(layer.conv, "bias"), self._weight(layer)
        blocked = None
        if _blocks(layer.shape, self._device, self._dtype):
            blocked = _channels_last(block_weight(weight, layer.shape))
        return Packed(
            weight,
            bias[: layer.outputs] if layer.outputs and bias is not None else bias,
            *norm,
            None,
            None,
            eps,
            blocked,
        )

    def _attention(self, layer: Layer) -> list[torch.Tensor | None]:
        """Weight and bias of its queries, then of its output."""
        parts = (layer.conv, *layer.more)
        weights = [self._moved(part, "weight").flatten(1) for part in parts]
        biases = [self._moved(part, "bias") for part in parts]
        merged = merged_projections(
            torch.cat(weights) if layer.more else weights[0],
            None if biases[0] is None else torch.cat(biases),
            self._moved(layer.proj, "weight").flatten(1),
            self._moved(layer.proj, "bias"),
        )
        return [None if one is None else one.to(self._dtype) for one in merged]

    def _weight(self, layer: Layer) -> torch.Tensor:
        weight = self._used(layer)
        if layer.shape.kind == LayerKind.CONV:
            # Columns first: the phases of the rows shall be around theirs, those of time outermost.
            weight = _phased(_phased(weight, layer.shape.columns.up, -1), layer.shape.rows.up, -2)
            weight = _phased(weight, layer.shape.up_t, -3)
        return _channels_last(weight.to(dtype=self._dtype))

    def _used(self, layer: Layer) -> torch.Tensor:
        """What matters of a convolution's weight, without a temporal axis of one tap."""
        weight = self._moved(layer.conv, "weight")
        if layer.outputs:
            weight = weight[: layer.outputs]
        if _flat_in_time(layer, weight.shape):
            weight = weight.float().sum(2) if layer.replicate else weight[:, :, -1]
        return weight

    def _vector(self, module: torch.nn.Module | None, name: str) -> torch.Tensor | None:
        value = self._moved(module, name)
        return None if value is None else value.flatten().float()

    def _moved(self, module: torch.nn.Module | None, name: str) -> torch.Tensor | None:
        value = None if module is None else self._read(module, name, self._dtype)
        return None if value is None else value.to(device=self._device)
