"""Where finished pixels go: one host tensor, written once, in its final layout and dtype."""

from __future__ import annotations

import math

import torch

from .memory import free_ram
from .ports import Affine

IDENTITY = Affine(1.0, 0.0, float("-inf"), float("inf"))


class HostBatch:
    """The result of a whole batch on the CPU; `item` gives the part of one clip or image.

    On CUDA the memory is pinned and the kernel writes straight into it over the bus: no staging,
    no second copy, no conversion on the CPU. Pinning can fail (locked-memory limits); then boxes
    are staged on the device and copied.

    Args:
        items, channels, size: B, C and (T, H, W) of the result.
        channels_last: pixels are stored [B, T, H, W, C], latents [B, C, T, h, w].
    """

    def __init__(
        self,
        items: int,
        channels: int,
        size: tuple[int, int, int],
        *,
        dtype: torch.dtype,
        device: torch.device,
        channels_last: bool,
        pin: bool,
    ) -> None:
        shape = (items, *size, channels) if channels_last else (items, channels, *size)
        self.tensor = _empty(shape, dtype, pin and device.type == "cuda")
        self._planes = self.tensor.permute(0, 4, 1, 2, 3) if channels_last else self.tensor
        self._device = device
        self._direct = device.type == "cpu" or self.tensor.is_pinned()

    def item(self, index: int) -> HostOutput:
        return HostOutput(self._planes[index], self._device, self._direct)

    def finish(self) -> torch.Tensor:
        """The complete tensor; waits for the kernels that still write into it."""
        if self._direct and self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        return self.tensor


class HostOutput:
    """One clip's [C, T, H, W] view of the batch, filled box by box."""

    def __init__(self, planes: torch.Tensor, device: torch.device, direct: bool) -> None:
        self._planes = planes
        self._device = device
        self._direct = direct

    def target(self, begin: tuple[int, ...], end: tuple[int, ...]) -> torch.Tensor:
        """A [C, t, h, w] view that a kernel on the device may write for the box [begin, end)."""
        box = self._box(begin, end)
        if self._direct:
            return box
        return torch.empty(box.shape, dtype=box.dtype, device=self._device)

    def commit(self, begin: tuple[int, ...], end: tuple[int, ...], written: torch.Tensor) -> None:
        """Called once the kernel for `target` has been launched."""
        if not self._direct:
            self._box(begin, end).copy_(written)

    def _box(self, begin: tuple[int, ...], end: tuple[int, ...]) -> torch.Tensor:
        (t0, y0, x0), (t1, y1, x1) = begin, end
        return self._planes[:, t0:t1, y0:y1, x0:x1]


# Page-locked memory is taken from everybody, and the result may live long in a cache.
_PINNED_SHARE = 0.25


def _empty(shape: tuple[int, ...], dtype: torch.dtype, pinned: bool) -> torch.Tensor:
    if pinned and math.prod(shape) * dtype.itemsize <= _PINNED_SHARE * free_ram():
        try:
            return torch.empty(shape, dtype=dtype, pin_memory=True)
        except RuntimeError:
            # A locked-memory limit must not cost the decode; pageable memory is only slower.
            pass
    return torch.empty(shape, dtype=dtype)
