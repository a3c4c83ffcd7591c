"""Collects the layers of a program, with the geometry that its modules' weights tell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..stream import AxisRule, LayerKind, Shuffle, StreamLayer, TimeRule
from .packing import Packing, block, packed
from .program import Declined, Layer, Program, Roll, plain, replace_shape

if TYPE_CHECKING:
    import torch


class Builder:
    """Collects layers one after the other; `value` is what the last one makes."""

    def __init__(self, channels: int, still: bool, replicate: bool = False) -> None:
        self._layers: list[Layer] = []
        self._channels = [channels]
        self._still, self._replicate = still, replicate
        self._roll: Roll | None = None

    @property
    def value(self) -> int:
        return len(self._layers)

    @property
    def channels(self) -> int:
        """Of the last value."""
        return self._channels[-1]

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
        time: TimeRule = TimeRule.SAME,
    ) -> int:
        """A convolution that keeps the size, doubles it (`up`) or halves it (`stride`).

        `time` says what becomes of the frames. Copies of edges stand on all sides; zeros of a
        halving one below and to the right only, as in every VAE of this kind.
        """
        weight = plain(module, "weight")
        taps = weight.shape[2] if weight.dim() == 5 else 1
        if time != TimeRule.SAME and not (self._replicate and taps == 3):
            raise Declined(f"a kernel of {taps} frames with zeros before them resamples time")
        rules = [_rule(kernel, stride, up, self._replicate) for kernel in weight.shape[-2:]]
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
            groups=_groups(norm),
            time_rule=TimeRule.SAME if self._still else time,
        )
        own = {"outputs": outputs, "still": self._still, "replicate": self._replicate}
        return self._add(Layer(shape, module, norm, silu, **own))

    def attention(
        self,
        norm: torch.nn.Module,
        qkv: torch.nn.Module | tuple[torch.nn.Module, ...],
        proj: torch.nn.Module,
        *,
        clip: bool = False,
        causal: bool = False,
    ) -> int:
        """One-head attention over each frame, or over the `clip`, added to its input.

        `qkv` is one module or three.
        """
        channels = plain(proj, "weight").shape[0]
        first, *more = qkv if isinstance(qkv, tuple) else (qkv,)
        if len({part.bias is None for part in (first, *more)}) > 1:
            raise Declined("only some of an attention's projections have a bias")
        made = sum(plain(part, "weight").shape[0] for part in (first, *more))
        if made != 3 * channels:
            raise Declined(f"attention makes {made} channels of queries, keys and values")
        kind = LayerKind.CLIP_ATTENTION if clip else LayerKind.ATTENTION
        groups = _groups(norm)
        shape = StreamLayer(kind, self.value, channels, channels, padded=False, groups=groups)
        return self._add(Layer(shape, first, norm, proj=proj, more=tuple(more), causal=causal))

    def shuffle(self, rule: Shuffle, packing: Packing) -> int:
        """Takes pixels out of the channels or puts them in; nothing is repeated or averaged."""
        pair = 1 if rule.time == TimeRule.SAME else 2
        reads = self._channels[-1]
        count = packed(block(1, max(rule.up, rule.down), pair))
        unpacks = rule.up > 1 or rule.time == TimeRule.DOUBLE
        if unpacks and reads % count:
            raise Declined(f"{reads} channels are not blocks of {count}")
        makes = reads // count if unpacks else reads * count
        shape = StreamLayer(LayerKind.SHUFFLE, self.value, reads, makes, padded=False, shuffle=rule)
        return self._add(Layer(shape, None, packing=packing))

    def shortcut(self, value: int, rule: Shuffle, packing: Packing, used: int = 0) -> int:
        """Adds an earlier value, read through `rule`, to what the last layer makes."""
        if self._layers[-1].shape.residual >= 0:
            self.shuffle(Shuffle(), packing)
        last = self._layers.pop()
        del self._channels[-1]
        _check_shortcut(rule, packing, used or self._channels[value], last.shape.out_channels)
        shape = replace_shape(
            last.shape, residual=value, shortcut=rule, residual_channels=self._channels[value]
        )
        return self._add(replace(last, shape=shape, packing=packing, residual_used=used))

    def time(self, module: torch.nn.Module, kind: LayerKind) -> int:
        """A layer that doubles or halves the frames; for a still it does not exist."""
        weight = plain(module, "weight")
        if self._still:
            return self.value
        if weight.shape[2:] != (3, 1, 1):
            raise Declined(f"a convolution of time with a kernel of {tuple(weight.shape[2:])}")
        channels = weight.shape[1]
        return self._add(Layer(StreamLayer(kind, self.value, channels, channels), module))

    def roll(self, first: int, lead: int, step: int) -> None:
        """The layers from value `first` to the last value take the clip in spans."""
        self._roll = Roll(first, self.value, lead, step)

    def program(self, family: str, operation: str) -> Program:
        layers = tuple(self._layers)
        return Program(family, operation, self._still, layers, self._roll)

    def _add(self, layer: Layer) -> int:
        shape = layer.shape
        for name, value, channels in (
            ("source", shape.source, shape.in_channels),
            ("residual", shape.residual, shape.out_channels),
        ):
            through = name == "residual" and shape.residual_channels == self._channels[value]
            if value >= 0 and self._channels[value] != channels and not through:
                raise Declined(
                    f"layer {len(self._layers)}: {name} has {self._channels[value]} channels, "
                    f"its weights want {channels}"
                )
        self._layers.append(layer)
        self._channels.append(shape.out_channels)
        return self.value


def _groups(norm: torch.nn.Module | None) -> int:
    """Groups of a group norm, 0 for another one or none."""
    groups = getattr(norm, "num_groups", 0)
    if groups and (norm.weight is None or norm.bias is None):
        raise Declined("a group norm without weights")
    return groups


def _rule(kernel: int, stride: int, up: int, around: bool) -> AxisRule:
    if stride > 1 and not around:
        return AxisRule(kernel, stride, 0, kernel - stride, up)
    if kernel % 2 == 0:
        raise Declined(f"kernel of {kernel}: only odd ones keep the size")
    return AxisRule(kernel, stride, kernel // 2, kernel // 2, up)


def _check_shortcut(rule: Shuffle, packing: Packing, channels: int, makes: int) -> None:
    """Declines a shortcut whose channels are neither repeated nor averaged evenly."""
    pair = 1 if rule.time == TimeRule.SAME else 2
    pixels = max(rule.up, rule.down)
    unpacks = rule.up > 1 or rule.time == TimeRule.DOUBLE or (pixels == 1 and makes >= channels)
    try:
        if unpacks:
            packing.axes(block(makes, pixels, pair), channels)
        else:
            packing.axes(block(channels, pixels, pair), makes)
    except ValueError as error:
        raise Declined(f"a shortcut of {error}") from error
