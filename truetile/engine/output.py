"""Where finished pixels go: one host tensor, written once, in its final layout and dtype."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .host_copies import HostCopies, in_pieces
from .memory import pinned
from .ports import Affine

IDENTITY = Affine(1.0, 0.0, float("-inf"), float("inf"))
# An item of the batch, and begin and end of a box (t, y, x) in it.
Box = tuple[int, tuple[int, ...], tuple[int, ...]]
Wrote = Callable[[tuple[int, ...], tuple[int, ...]], None]


class HostBatch:
    """The result of a whole batch on the CPU; `item` gives the part of one clip or image.

    On CUDA the memory is pinned and the kernel writes straight into it over the bus: no staging,
    no second copy, no conversion on the CPU. Who makes whole rows of pixels may have them copied
    beside the next kernels instead. Pinning can fail (locked-memory limits); then boxes are staged
    on the device and copied.

    Args:
        items, channels, size: B, C and (T, H, W) of the result.
        channels_last: pixels are stored [B, T, H, W, C], latents [B, C, T, h, w].

    Within it the work is done: it is left when no kernel writes any more, for what a failed call
    gives back is page-locked memory that others may write into at once.

    `planes` is the result as [B, C, T, H, W]; `boxes` lists what of it was written so far, where
    `written_by_device` says that the kernels may still be at it.
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
        locked = pinned(shape, dtype) if pin and device.type == "cuda" else None
        self.tensor = torch.empty(shape, dtype=dtype) if locked is None else locked
        self.planes = self.tensor.permute(0, 4, 1, 2, 3) if channels_last else self.tensor
        self.boxes: list[Box] = []
        self.device = device
        self._direct = device.type == "cpu" or self.tensor.is_pinned()
        self._copies = HostCopies(device) if self.written_by_device else None

    def __enter__(self) -> HostBatch:
        return self

    def __exit__(self, *_) -> None:
        self.finish()

    @property
    def written_by_device(self) -> bool:
        return self._direct and self.device.type == "cuda"

    def item(self, index: int) -> HostOutput:
        def wrote(begin: tuple[int, ...], end: tuple[int, ...]) -> None:
            self.boxes.append((index, begin, end))

        return HostOutput(self.planes[index], self.device, self._direct, self._copies, wrote)

    def all_written(self) -> torch.cuda.Event:
        """Passes when the boxes so far are written by the device."""
        event = torch.cuda.Event()
        self._copies.stream.wait_stream(torch.cuda.current_stream(self.device))
        event.record(self._copies.stream)
        return event

    def finish(self) -> torch.Tensor:
        """The complete tensor; waits for the kernels that still write into it."""
        if self.written_by_device:
            self._copies.settle()
            torch.cuda.current_stream(self.device).synchronize()
        return self.tensor


class HostOutput:
    """One clip's [C, T, H, W] view of the batch, filled box by box; `wrote` is told of each."""

    def __init__(
        self,
        planes: torch.Tensor,
        device: torch.device,
        direct: bool,
        copies: HostCopies | None,
        wrote: Wrote,
    ) -> None:
        self._planes = planes
        self._device = device
        self._direct = direct
        self._copies = copies
        self._wrote = wrote

    def target(
        self, begin: tuple[int, ...], end: tuple[int, ...], beside: bool = False
    ) -> torch.Tensor:
        """A [C, t, h, w] view that a kernel on the device may write for the box [begin, end).

        `beside`: memory on the device serves as well, if it is copied beside the next kernels.
        """
        box = self._box(begin, end)
        if beside and self._copies is not None and in_pieces(box):
            return self._copies.place(box)
        if self._direct:
            return box
        return torch.empty(box.shape, dtype=box.dtype, device=self._device)

    def commit(self, begin: tuple[int, ...], end: tuple[int, ...], written: torch.Tensor) -> None:
        """Called once the kernel for `target` has been launched."""
        box = self._box(begin, end)
        if not self._direct:
            box.copy_(written)
        elif written.device != box.device:
            self._copies.send(box)
        self._wrote(begin, end)

    def settle(self) -> None:
        """Memory of copies that are still on their way belongs to what is launched next."""
        if self._copies is not None:
            self._copies.settle()

    def _box(self, begin: tuple[int, ...], end: tuple[int, ...]) -> torch.Tensor:
        (t0, y0, x0), (t1, y1, x1) = begin, end
        return self._planes[:, t0:t1, y0:y1, x0:x1]
