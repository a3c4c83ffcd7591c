"""Weights of a program as its convolutions take them: device, dtype, layout, only what is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from .. import native
from ..families.program import Layer, Program
from ..stream import LayerKind
from .attention_weights import merged_projections
from .blocked import block_weight
from .weight_bytes import blocked_elements, flat_in_time, gamma_name


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
            yield from ((layer.norm, gamma_name(layer)), (layer.norm, "bias"))


def norm_eps(layer: Layer) -> float | None:
    """Of a layer's group norm; None where it has none."""
    return float(layer.norm.eps) if layer.shape.groups else None


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
            self._vector(layer.norm, gamma_name(layer)),
            self._vector(layer.norm, "bias"),
        )
        eps = norm_eps(layer)
        if layer.shape.attends:
            weight, bias, proj, proj_bias = self._attention(layer)
            return Packed(weight, bias, *norm, proj, proj_bias, eps)
        bias, weight = self._vector(layer.conv, "bias"), self._weight(layer)
        blocked = None
        if blocked_elements(layer, self._device, self._dtype):
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
            # One after the other, so that what an earlier one read is gone.
            weight = _phased(weight, layer.shape.columns.up, -1)
            weight = _phased(weight, layer.shape.rows.up, -2)
            weight = _phased(weight, layer.shape.up_t, -3)
        return _channels_last(weight.to(dtype=self._dtype))

    def _used(self, layer: Layer) -> torch.Tensor:
        """What matters of a convolution's weight, without a temporal axis of one tap."""
        weight = self._moved(layer.conv, "weight")
        if layer.outputs:
            weight = weight[: layer.outputs]
        if flat_in_time(layer, weight.shape):
            weight = weight.float().sum(2) if layer.replicate else weight[:, :, -1]
        return weight

    def _vector(self, module: torch.nn.Module | None, name: str) -> torch.Tensor | None:
        value = self._moved(module, name)
        return None if value is None else value.flatten().float()

    def _moved(self, module: torch.nn.Module | None, name: str) -> torch.Tensor | None:
        value = None if module is None else self._read(module, name, self._dtype)
        return None if value is None else value.to(device=self._device)
