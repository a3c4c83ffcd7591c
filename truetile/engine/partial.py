"""The finished part of a result that is still being written, small enough to show meanwhile."""

from __future__ import annotations

import torch

from .output import Box, HostBatch

_EMPTY = 32  # what is not there yet, of 255


class PartialPicture:
    """Reads a decode's host tensor while the decode goes on; asks the device for nothing.

    `size` bounds both edges of the picture. What is read is every n-th pixel of the newest frame,
    in boxes that are surely written: on CUDA those from before the previous look, once an event
    that was recorded then has passed.
    """

    def __init__(self, result: HostBatch, size: int) -> None:
        self._result = result
        self._size = size
        self._ready = 0  # boxes that may be read
        self._pending: tuple[torch.cuda.Event, int] | None = None

    def look(self) -> torch.Tensor | None:
        """[h, w, 3] as uint8, or None while nothing new can be read."""
        before, self._ready = self._ready, self._readable()
        return self._newest() if self._ready > before else None

    def last(self) -> torch.Tensor | None:
        """The newest frame once the decode has returned; None if nothing was written."""
        self._ready = len(self._result.boxes)
        return self._newest() if self._ready else None

    def _newest(self) -> torch.Tensor | None:
        boxes = self._result.boxes[: self._ready]
        item, _, end = boxes[-1]
        return self._paint(item, end[0] - 1, boxes)

    def _readable(self) -> int:
        count = len(self._result.boxes)
        if not self._result.written_by_device:
            return count
        ready = self._ready
        if self._pending is not None and self._pending[0].query():
            ready, self._pending = self._pending[1], None
        if self._pending is None and count > ready:
            self._pending = self._result.all_written(), count
        return ready

    def _paint(self, item: int, frame: int, boxes: list[Box]) -> torch.Tensor | None:
        planes = self._result.planes[item]
        channels, _, height, width = planes.shape
        if channels < 3:
            return None
        step = max(1, -(-max(height, width) // self._size))
        shape = (-(-height // step), -(-width // step), 3)
        picture = torch.full(shape, _EMPTY, dtype=torch.uint8)
        for owner, (t0, y0, x0), (t1, y1, x1) in boxes:
            if owner != item or not t0 <= frame < t1:
                continue
            y, x = -(-y0 // step), -(-x0 // step)
            part = planes[:3, frame, y * step : y1 : step, x * step : x1 : step].permute(1, 2, 0)
            values = part.float().nan_to_num(0.0).clamp(0.0, 1.0).mul(255.0)
            picture[y : y + part.shape[0], x : x + part.shape[1]] = values.to(torch.uint8)
        return picture
