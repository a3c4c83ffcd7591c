"""Weight-free layers and shortcuts: pixels out of channels and into them, repeated or averaged.

Unpacking and packing are one map read in two directions; `families/packing.py` says where a pixel
lies. Tensors are [T, H, W, C].
"""

from __future__ import annotations

import torch

from ..families.packing import Axis, Packing, block, packed
from ..stream import Shuffle, TimeRule


def move(
    out: torch.Tensor,
    x: torch.Tensor,
    rule: Shuffle,
    packing: Packing,
    *,
    row: int,
    first: bool,
    add: bool,
) -> None:
    """Writes what `rule` and `packing` make of `x` into `out`, or adds it.

    `row` is the clip's row at which `out` begins; `first` says that it begins with the clip's first
    frame. `x` holds just the rows and frames that `out` is made of.
    """
    same = rule.up == rule.down == 1 and rule.time == TimeRule.SAME
    packs = rule.down > 1 or rule.time == TimeRule.HALVE
    if packs or (same and x.shape[3] > out.shape[3]):
        _pack(out, x, rule, packing, first, add)
    else:
        _unpack(out, x, rule, packing, row % rule.up, first, add)


def _unpack(out, x, rule: Shuffle, packing: Packing, skip: int, first: bool, add: bool) -> None:
    channels, pair = out.shape[3], 2 if rule.time == TimeRule.DOUBLE else 1
    sizes = block(channels, rule.up, pair)
    if first and pair > 1:
        if packing.lone_pair:
            _spread(out[:1], x[:1], sizes, packing, 1, skip, add)
        else:
            alone = block(channels, rule.up)
            # A pair's channels: the first ones are the first frame's.
            alone["c"] *= max(1, x.shape[3] // packed(alone))
            _spread(out[:1], x[:1], alone, packing, 0, skip, add)
        out, x = out[1:], x[1:]
    for frame in range(pair):
        _spread(out[frame::pair], x, sizes, packing, frame, skip, add)


def _spread(out, x, sizes, packing: Packing, frame: int, skip: int, add: bool) -> None:
    """Unpacks each frame of `x` into frame `frame` of its block, one row of blocks at a time."""
    if out.shape[0] == 0:
        return
    apart, shared = packing.axes(sizes, x.shape[3])
    up, channels = sizes["h"], out.shape[3]
    blocks = x.unflatten(3, [one.size for one in apart])
    inner = _size(shared, "c")
    for phase in range(up):
        start = (phase - skip) % up
        target = out[:, start::up].unflatten(2, (x.shape[2], up))
        begin = (skip + start) // up
        part = blocks[:, begin : begin + target.shape[1]]
        names = [one.name for one in apart]
        for name, index in (("t", frame), ("h", phase)):
            if name in names:
                part = part.select(3 + names.index(name), index)
                names.remove(name)
        for name in ("w", "c"):
            if name not in names:
                names.append(name)
                part = part.unsqueeze(-1)
        part = part.movedim((3 + names.index("w"), 3 + names.index("c")), (3, 4))
        part = part[..., : channels // inner].unsqueeze(-1)
        _put(target.unflatten(4, (channels // inner, inner)), part, add)


def _pack(out, x, rule: Shuffle, packing: Packing, first: bool, add: bool) -> None:
    channels, pair = x.shape[3], 2 if rule.time == TimeRule.HALVE else 1
    # A row or column that no whole block is left for is nobody's.
    x = x[:, : out.shape[1] * rule.down, : out.shape[2] * rule.down]
    if first and pair > 1:
        alone = block(channels, rule.down)
        if packing.lone_pair:
            _gather(out[:1], x[:1], block(channels, rule.down, 2), packing, add, lone=True)
        else:
            width = min(out.shape[3], packed(alone))
            for at in range(0, out.shape[3], width):
                _gather(out[:1, ..., at : at + width], x[:1], alone, packing, add)
        out, x = out[1:], x[1:]
    _gather(out, x, block(channels, rule.down, pair), packing, add)


def _gather(out, x, sizes, packing: Packing, add: bool, lone: bool = False) -> None:
    """Packs blocks of `x` into `out`; with `lone` the earlier frame of each pair is zero."""
    if out.shape[0] == 0:
        return
    apart, shared = packing.axes(sizes, out.shape[3])
    frames = 1 if lone else sizes["t"]
    view = x.unflatten(3, (_size(apart, "c"), _size(shared, "c")))
    view = view.unflatten(2, (out.shape[2], sizes["w"])).unflatten(1, (out.shape[1], sizes["h"]))
    view = view.unflatten(0, (out.shape[0], frames))
    # [T, t, H, h, W, w, c apart, c shared]
    places = {"t": 1, "h": 3, "w": 5}
    target = out.unflatten(3, [one.size for one in apart])
    weight = 1.0
    if lone and Axis("t", 2) in apart:
        at = 3 + apart.index(Axis("t", 2))
        if not add:
            target.select(at, 0).zero_()
        target = target.select(at, 1)
        apart.remove(Axis("t", 2))
    elif lone:
        weight = 0.5
        shared.remove(Axis("t", 2))
    order = [0, 2, 4] + [places.get(one.name, 6) for one in apart]
    order += [places.get(one.name, 7) for one in shared]
    unused = [at for at in range(8) if at not in order]
    value = view.permute(*order, *unused).flatten(len(order) - 1) if unused else view.permute(order)
    if shared:
        value = value.mean(tuple(range(value.dim() - len(shared), value.dim())))
    _put(target, value, add, weight)


def _size(axes: list[Axis], name: str) -> int:
    return next((one.size for one in axes if one.name == name), 1)


def _put(target: torch.Tensor, value: torch.Tensor, add: bool, weight: float = 1.0) -> None:
    if add:
        target.add_(value, alpha=weight)
    elif weight == 1.0:
        target.copy_(value)
    else:
        torch.mul(value, weight, out=target)
