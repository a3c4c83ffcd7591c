"""A VAE half as a list of layers: geometry for the planner, weights by reference for the executor.

A family file walks a module and adds its layers here. Nothing is copied: weights stay the module's
and are read when a program runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..stream import AttentionWay, LayerKind, Span, StreamLayer
from .packing import Packing

if TYPE_CHECKING:
    import torch


class Declined(Exception):
    """Why a module is not run exactly; the message ends up in the report."""


@dataclass(frozen=True)
class Layer:
    """One layer: its geometry and the modules that hold its weights.

    `norm` (an RMS norm over channels, or a group norm where the shape has groups) and, with `silu`,
    the activation come before `conv`. For attention `conv` makes queries, keys and values, or only
    the queries where `more` makes the other two, and `proj` the output. `outputs` keeps only the
    first so many channels of the convolution (0: all). A still sees zeros before its one frame, so
    that only the last temporal tap of each kernel matters: `still`.

    `replicate`: around its input, in space and before the first frame, stand copies of its edges
    instead of zeros; all temporal taps of a still see the same frame then. `packing` says how a
    shuffle or a shortcut finds its channels; of the residual the first `residual_used` channels
    count (0: all). `causal` attention over the clip looks at no later frame. `conv` is None for a
    shuffle.
    """

    shape: StreamLayer
    conv: torch.nn.Module | None
    norm: torch.nn.Module | None = None
    silu: bool = False
    proj: torch.nn.Module | None = None
    outputs: int = 0
    still: bool = False
    more: tuple[torch.nn.Module, ...] = ()
    replicate: bool = False
    packing: Packing | None = None
    residual_used: int = 0
    causal: bool = False


@dataclass(frozen=True)
class Roll:
    """Layers [first, last) take the clip in spans: `lead` frames of what they read, then `step`.

    Their convolutions see the frames before a span, their group norms only those in it.
    """

    first: int
    last: int
    lead: int
    step: int

    def spans(self, frames: int) -> list[Span]:
        """All spans of a clip of `frames`."""
        edges = [0, *range(min(self.lead, frames), frames, self.step), frames]
        return [Span(begin, end) for begin, end in itertools.pairwise(edges)]


@dataclass(frozen=True)
class Program:
    """What `operation` of a family does, for clips or for single images (`still`).

    All frames go through layer after layer, but for those of `roll`.
    """

    family: str
    operation: str
    still: bool
    layers: tuple[Layer, ...]
    roll: Roll | None = None

    @property
    def shapes(self) -> tuple[StreamLayer, ...]:
        return tuple(layer.shape for layer in self.layers)

    @property
    def frame_unit(self) -> int:
        """Frames behind the first one that its halvings of time make into one."""
        return 2 ** sum(layer.time.halves for layer in self.shapes)

    @property
    def in_passes(self) -> bool:
        """Whether it runs in passes: a group norm needs the moments of a whole value first."""
        return any(layer.shape.groups for layer in self.layers)

    def sees_clip(self, first: int, last: int) -> bool:
        """Whether one of layers [first, last) needs all frames at once."""
        layers = self.shapes[first:last]
        return any(layer.kind == LayerKind.CLIP_ATTENTION for layer in layers)

    @property
    def structure(self) -> tuple:
        """Equal for programs that differ in their weights only."""
        return self.family, self.operation, self.still, self.shapes, self.roll

    def attending(self, way: AttentionWay) -> Program:
        """The same with attention computed in this way."""
        layers = tuple(
            replace(layer, shape=replace_shape(layer.shape, way=way))
            if layer.shape.attends
            else layer
            for layer in self.layers
        )
        return replace(self, layers=layers)

    def part(self, first: int, shapes: Sequence[StreamLayer]) -> Program:
        """As many layers from `first` on as a program of their own, with these shapes."""
        own = zip(self.layers[first : first + len(shapes)], shapes, strict=True)
        layers = tuple(replace(layer, shape=shape) for layer, shape in own)
        return replace(self, layers=layers, roll=None)


def replace_shape(shape: StreamLayer, **changes) -> StreamLayer:
    """A copy with some fields changed, for either backend's type."""
    names = ("kind", "source", "in_channels", "out_channels", "residual", "kernel_t", "rows")
    names += ("columns", "padded", "shuffle", "shortcut", "residual_channels", "groups")
    names += ("time_rule", "way")
    return StreamLayer(**({name: getattr(shape, name) for name in names} | changes))


def plain(module: torch.nn.Module, name: str) -> torch.Tensor:
    """The weight `name` of a module, if it is one that any convolution can take."""
    import torch

    for patched in ("forward", "_conv_forward"):
        if patched in vars(module):
            raise Declined(f"{type(module).__name__} has another {patched} than its class")
    if getattr(module, "padding_mode", "zeros") != "zeros":
        raise Declined(f"padding_mode={module.padding_mode!r}: must be 'zeros'")
    if getattr(module, "groups", 1) != 1 or set(getattr(module, "dilation", (1,))) != {1}:
        raise Declined(f"{type(module).__name__} is grouped or dilated")
    weight = getattr(module, name, None)
    if not isinstance(weight, torch.Tensor):
        raise Declined(f"{type(module).__name__} has no {name}")
    if type(weight.data) is not torch.Tensor or not weight.is_floating_point():
        raise Declined(f"{name} of {type(module).__name__} is quantised ({weight.dtype})")
    return weight


def diffusers_middle(half: torch.nn.Module) -> list[torch.nn.Module]:
    """The residual blocks and attentions of a diffusers mid block, in the order they run."""
    blocks = [half.mid_block.resnets[0]]
    pairs = zip(half.mid_block.attentions, list(half.mid_block.resnets)[1:], strict=True)
    for attention, resnet in pairs:
        blocks += [resnet] if attention is None else [attention, resnet]
    return blocks
