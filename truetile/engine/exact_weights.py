"""Weights of a program as its convolutions take them: device, dtype, layout, only what is used."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from .. import native
from ..families.program import Layer, Program
from ..stream import AxisRule, LayerKind


@dataclass(frozen=True)
class Packed:
    """One layer's weights.

    `weight` is [O, I, kh, kw], or [O, I, kt, kh, kw] where time is convolved; an upsampling one has
    the phases' weights one after the other in O. [3C, C] for attention with `proj` [C, C]. `gamma`
    and `beta` [I] of the norm are float32, and so is the bias of a convolution. A group norm has
    `eps`: `gamma` and `beta` are the module's, until `with_moments` makes them the factor and the
    summand of each channel.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    gamma: torch.Tensor | None
    beta: torch.Tensor | None
    proj: torch.Tensor | None
    proj_bias: torch.Tensor | None
    eps: float | None = None

    @property
    def rms(self) -> bool:
        """Whether its norm is an RMS norm over channels."""
        return self.gamma is not None and self.eps is None

    def with_moments(self, state: torch.Tensor) -> Packed:
        """The same with a group norm over values of these moments, as x * gamma + beta."""
        scale, shift = torch.empty_like(self.gamma), torch.empty_like(self.beta)
        native.group_affine(state, self.gamma, self.beta, self.eps, scale, shift)
        return replace(self, gamma=scale, beta=shift)


def pack(program: Program, device: torch.device, dtype: torch.dtype) -> tuple[Packed | None, ...]:
    """All layers' weights on `device`; the caller drops them when it is done."""
    return tuple(
        None if layer.conv is None else _pack(layer, device, dtype) for layer in program.layers
    )


def packed_bytes(program: Program, dtype: torch.dtype) -> int:
    """What `pack` allocates, norms and biases left out."""
    count = sum(_count(layer) for layer in program.layers if layer.conv is not None)
    return count * dtype.itemsize


def _count(layer: Layer) -> int:
    shape, count = layer.shape, _used(layer).numel()
    for rule in (shape.rows, shape.columns):
        count = count // rule.kernel * rule.taps * rule.up
    return count


def _used(layer: Layer) -> torch.Tensor:
    """The part of a convolution's weight that matters, without a temporal axis of one tap."""
    weight = layer.conv.weight.detach()
    if layer.outputs:
        weight = weight[: layer.outputs]
    if weight.dim() == 5 and (layer.still or weight.shape[2] == 1):
        weight = weight[:, :, -1]
    if layer.shape.attends:
        parts = [part.weight.detach().flatten(1) for part in (layer.conv, *layer.more)]
        weight = torch.cat(parts) if layer.more else parts[0]
    return weight


def _phased(weight: torch.Tensor, rule: AxisRule, axis: int) -> torch.Tensor:
    """Kernels of 3 behind an upsampling as two kernels of 2, one after the other in axis 0.

    An even output sees the input before it once and its own twice, an odd one its own twice and the
    next one once; what sees the same input is added up.
    """
    if rule.up == 1:
        return weight
    first, own, last = weight.float().unbind(axis)
    even = torch.stack((first, own + last), axis)
    odd = torch.stack((first + own, last), axis)
    return torch.cat((even, odd))


def _pack(layer: Layer, device: torch.device, dtype: torch.dtype) -> Packed:
    weight = _used(layer).to(device=device)
    if layer.shape.kind == LayerKind.CONV:
        # Columns first: the phases of the rows shall be the outer ones.
        weight = _phased(_phased(weight, layer.shape.columns, -1), layer.shape.rows, -2)
    weight = weight.to(dtype=dtype)
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    weight = weight.contiguous(memory_format=formats.get(weight.dim(), torch.contiguous_format))

    def vector(module: torch.nn.Module | None, name: str, kind: torch.dtype):
        value = getattr(module, name, None)
        if not isinstance(value, torch.Tensor):
            return None
        return value.detach().flatten().to(device=device, dtype=kind)

    kind = dtype if layer.shape.attends else torch.float32
    bias = vector(layer.conv, "bias", kind)
    if layer.more and bias is not None:
        bias = torch.cat([bias, *(vector(part, "bias", kind) for part in layer.more)])
    grouped = layer.shape.groups > 0
    proj = None
    if layer.proj is not None:
        proj = layer.proj.weight.detach().flatten(1).to(device=device, dtype=dtype)
    return Packed(
        weight,
        bias[: layer.outputs] if layer.outputs and bias is not None else bias,
        vector(layer.norm, "weight" if grouped else "gamma", torch.float32),
        vector(layer.norm, "bias", torch.float32),
        proj,
        vector(layer.proj, "bias", dtype),
        float(layer.norm.eps) if grouped else None,
    )
