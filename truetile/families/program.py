"""A VAE half as a list of layers: geometry for the planner, weights by reference for the executor.

A family file walks a module and adds its layers here. Nothing is copied: weights stay the module's
and are read when a program runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..stream import AxisRule, LayerKind, StreamLayer

if TYPE_CHECKING:
    import torch


class Declined(Exception):
    """Why a module is not run exactly; the message ends up in the report."""


@dataclass(frozen=True)
class Layer:
    """One layer: its geometry and the modules that hold its weights.

    `norm` (an RMS norm over channels) and, with `silu`, the activation come before `conv`. For
    attention `conv` makes queries, keys and values and `proj` the output. `outputs` keeps only the
    first so many channels of the convolution (0: all). A still sees zeros before its one frame, so
    that only the last temporal tap of each kernel matters: `still`.
    """

    shape: StreamLayer
    conv: torch.nn.Module
    norm: torch.nn.Module | None = None
    silu: bool = False
    proj: torch.nn.Module | None = None
    outputs: int = 0
    still: bool = False


@dataclass(frozen=True)
class Program:
    """What `operation` of a family does, for clips or for single images (`still`)."""

    family: str
    operation: str
    still: bool
    layers: tuple[Layer, ...]

    @property
    def shapes(self) -> tuple[StreamLayer, ...]:
        return tuple(layer.shape for layer in self.layers)

    @property
    def structure(self) -> tuple:
        """Equal for programs that differ in their weights only."""
        return self.family, self.operation, self.still, self.shapes


class Builder:
    """Collects layers one after the other; `value` is what the last one makes."""

    def __init__(self, channels: int, still: bool) -> None:
        self._layers: list[Layer] = []
        self._channels = [channels]
        self._still = still

    @property
    def value(self) -> int:
        return len(self._layers)

    def conv(
        self,
        module: torch.nn.Module,
        *,
        source: int | None = None,
        residual: int = -1,
        norm: torch.nn.Module | None = None,
        silu: bool = False,
        up: int = 1,
        stride: int = 1,
        outputs: int = 0,
    ) -> int:
        """A convolution that keeps the size, doubles it (`up`) or halves it (`stride`).

        The halving one has its zeros below and to the right only, as in every VAE of this kind.
        """
        weight = plain(module, "weight")
        taps = weight.shape[2] if weight.dim() == 5 else 1
        rules = [_rule(kernel, stride, up) for kernel in weight.shape[-2:]]
        rows, columns = rules
        kernel_t = 1 if self._still else taps
        unpadded = rows.kernel == columns.kernel == kernel_t == up == 1 and norm is None
        shape = StreamLayer(
            LayerKind.CONV,
            self.value if source is None else source,
            weight.shape[1],
            outputs or weight.shape[0],
            residual,
            kernel_t,
            rows,
            columns,
            padded=not unpadded,
        )
        return self._add(Layer(shape, module, norm, silu, None, outputs, self._still))

    def attention(self, norm: torch.nn.Module, qkv: torch.nn.Module, proj: torch.nn.Module) -> int:
        """One-head attention over each frame, added to its input."""
        channels = plain(proj, "weight").shape[0]
        plain(qkv, "weight")
        shape = StreamLayer(LayerKind.ATTENTION, self.value, channels, channels, padded=False)
        return self._add(Layer(shape, qkv, norm, proj=proj))

    def time(self, module: torch.nn.Module, kind: LayerKind) -> int:
        """A layer that doubles or halves the frames; for a still it does not exist."""
        weight = plain(module, "weight")
        if self._still:
            return self.value
        channels = weight.shape[1]
        return self._add(Layer(StreamLayer(kind, self.value, channels, channels), module))

    def program(self, family: str, operation: str) -> Program:
        return Program(family, operation, self._still, tuple(self._layers))

    def _add(self, layer: Layer) -> int:
        shape = layer.shape
        for name, value, channels in (
            ("source", shape.source, shape.in_channels),
            ("residual", shape.residual, shape.out_channels),
        ):
            if value >= 0 and self._channels[value] != channels:
                raise Declined(
                    f"layer {len(self._layers)}: {name} has {self._channels[value]} channels, "
                    f"its weights want {channels}"
                )
        self._layers.append(layer)
        self._channels.append(shape.out_channels)
        return self.value


def _rule(kernel: int, stride: int, up: int) -> AxisRule:
    if stride > 1:
        return AxisRule(kernel, stride, 0, kernel - stride, up)
    if kernel % 2 == 0:
        raise Declined(f"kernel of {kernel}: only odd ones keep the size")
    return AxisRule(kernel, 1, kernel // 2, kernel // 2, up)


def plain(module: torch.nn.Module, name: str) -> torch.Tensor:
    """The weight `name` of a module, if it is one that any convolution can take."""
    import torch

    weight = getattr(module, name, None)
    if not isinstance(weight, torch.Tensor):
        raise Declined(f"{type(module).__name__} has no {name}")
    if type(weight.data) is not torch.Tensor or not weight.is_floating_point():
        raise Declined(f"{name} of {type(module).__name__} is quantised ({weight.dtype})")
    return weight


__all__ = ["Builder", "Declined", "Layer", "Program", "plain"]
