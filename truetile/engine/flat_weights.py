"""Packed weights in one buffer, so that one copy moves all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import torch

from .call_weights import Weights
from .exact_weights import Packed
from .memory import in_blocks


def flat_bytes(weights: Weights) -> int:
    """Bytes of a buffer for them, in the blocks that they take one by one."""
    return sum(in_blocks(one.numel() * one.itemsize) for one in _tensors(weights))


def copied_into(flat: torch.Tensor, weights: Weights) -> Weights:
    """The same weights as views of `flat`: `flat_bytes` in uint8, on any device.

    Strides are kept, those of channels-last convolutions too. The copies are asynchronous where
    `flat` is page-locked and the weights are on a GPU.
    """
    typed = _Typed(flat)
    begin = 0

    def copied(value: torch.Tensor) -> torch.Tensor:
        nonlocal begin
        # Strides without gaps: a part of a larger tensor is copied alone.
        form = torch.empty_like(value, device="meta")
        view = typed.view(value.dtype, form.shape, form.stride(), begin // value.itemsize)
        begin += in_blocks(value.numel() * value.itemsize)
        return view.copy_(value, non_blocking=True)

    return _each(weights, copied)


def seen_in(flat: torch.Tensor, weights: Weights, begin: int = 0) -> Weights:
    """Weights that `copied_into` gave, as views of a copy of their buffer from byte `begin` on."""
    typed = _Typed(flat)

    def seen(value: torch.Tensor) -> torch.Tensor:
        offset = value.storage_offset() - begin // value.itemsize
        return typed.view(value.dtype, value.shape, value.stride(), offset)

    return _each(weights, seen)


class _Typed:
    """A buffer of bytes, seen in the dtypes of what lies in it."""

    def __init__(self, flat: torch.Tensor) -> None:
        self._flat = flat
        self._seen: dict[torch.dtype, torch.Tensor] = {}

    def view(
        self, dtype: torch.dtype, shape: Iterable[int], stride: Iterable[int], offset: int
    ) -> torch.Tensor:
        if dtype not in self._seen:
            self._seen[dtype] = self._flat.view(dtype)
        return self._seen[dtype].as_strided(shape, stride, offset)


def _tensors(weights: Weights) -> Iterator[torch.Tensor]:
    for one in weights:
        if one is not None:
            yield from _fields(one).values()


def _each(weights: Weights, change: Callable[[torch.Tensor], torch.Tensor]) -> Weights:
    return tuple(
        None
        if one is None
        else replace(one, **{name: change(value) for name, value in _fields(one).items()})
        for one in weights
    )


def _fields(one: Packed) -> dict[str, torch.Tensor]:
    return {name: value for name, value in vars(one).items() if isinstance(value, torch.Tensor)}
