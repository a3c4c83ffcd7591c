"""Finished pixels on their way to the host, beside the work on what follows."""

from __future__ import annotations

import torch


class HostCopies:
    """Copies boxes of a clip to page-locked memory, on a stream of its own and one at a time.

    A kernel that writes over the bus keeps the GPU for as long as the bus takes; a copy does not.
    All methods belong to the stream on which boxes are made, the current one.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)
        self._device = device
        self._place: torch.Tensor | None = None

    def place(self, box: torch.Tensor) -> torch.Tensor:
        """Memory on the device for what `box` [C, t, h, w] will hold, in the same order."""
        self.settle()
        shape = box.permute(1, 2, 3, 0).shape
        self._place = torch.empty(shape, dtype=box.dtype, device=self._device)
        return self._place.permute(3, 0, 1, 2)

    def send(self, box: torch.Tensor) -> None:
        """Copies what was written into the place to `box`, whose frames are in one piece each."""
        self.stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self.stream):
            for frame, made in zip(box.permute(1, 2, 3, 0), self._place, strict=True):
                frame.copy_(made, non_blocking=True)

    def settle(self) -> None:
        """What is launched from now on waits for the copies, and may have the place's memory."""
        if self._place is not None:
            torch.cuda.current_stream(self._device).wait_stream(self.stream)
            self._place = None


def in_pieces(box: torch.Tensor) -> bool:
    """Whether each frame of a box [C, t, h, w] lies in one piece, as pixels of whole rows do."""
    return box.permute(1, 2, 3, 0)[0].is_contiguous()
