"""Weights of a program as its convolutions take them: device, dtype, layout, only what is used."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..families.program import Layer, Program
from ..stream import LayerKind


@dataclass(frozen=True)
class Packed:
    """One layer's weights.

    `weight` is [O, I, kh, kw], or [O, I, kt, kh, kw] where time is convolved; [3C, C] for
    attention with `proj` [C, C]. `gamma` [I] is float32 and holds the norm's factor sqrt(I) apart,
    as `scale`.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    gamma: torch.Tensor | None
    beta: torch.Tensor | None
    proj: torch.Tensor | None
    proj_bias: torch.Tensor | None

    @property
    def scale(self) -> float:
        return float(self.gamma.numel()) ** 0.5


def pack(program: Program, device: torch.device, dtype: torch.dtype) -> tuple[Packed | None, ...]:
    """All layers' weights on `device`; the caller drops them when it is done."""
    return tuple(
        None if layer.conv is None else _pack(layer, device, dtype) for layer in program.layers
    )


def packed_bytes(program: Program, dtype: torch.dtype) -> int:
    """What `pack` allocates, norms and biases left out."""
    count = sum(_used(layer).numel() for layer in program.layers if layer.conv is not None)
    return count * dtype.itemsize


def _used(layer: Layer) -> torch.Tensor:
    """The part of a convolution's weight that matters, without a temporal axis of one tap."""
    weight = layer.conv.weight.detach()
    if layer.outputs:
        weight = weight[: layer.outputs]
    if weight.dim() == 5 and (layer.still or weight.shape[2] == 1):
        weight = weight[:, :, -1]
    if layer.shape.kind in (LayerKind.ATTENTION, LayerKind.CLIP_ATTENTION):
        parts = [part.weight.detach().flatten(1) for part in (layer.conv, *layer.more)]
        weight = torch.cat(parts) if layer.more else parts[0]
    return weight


def _pack(layer: Layer, device: torch.device, dtype: torch.dtype) -> Packed:
    weight = _used(layer).to(device=device, dtype=dtype)
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    weight = weight.contiguous(memory_format=formats.get(weight.dim(), torch.contiguous_format))

    def vector(module: torch.nn.Module | None, name: str, kind: torch.dtype):
        value = getattr(module, name, None)
        if not isinstance(value, torch.Tensor):
            return None
        return value.detach().flatten().to(device=device, dtype=kind)

    bias = vector(layer.conv, "bias", dtype)
    if layer.more and bias is not None:
        bias = torch.cat([bias, *(vector(part, "bias", dtype) for part in layer.more)])
    proj = None
    if layer.proj is not None:
        proj = layer.proj.weight.detach().flatten(1).to(device=device, dtype=dtype)
    return Packed(
        weight,
        bias[: layer.outputs] if layer.outputs and bias is not None else bias,
        vector(layer.norm, "gamma", torch.float32),
        vector(layer.norm, "bias", torch.float32),
        proj,
        vector(layer.proj, "bias", dtype),
    )
