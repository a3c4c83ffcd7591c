"""Copies of a clip's parts in staging memory, made by a thread before they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from ..stream import Span

Part = tuple[Span, Span]  # frames, rows

THREAD = "truetile-read-ahead"


class ReadAhead:
    """Within it one part of a list is always being copied while the part before it is used.

    view: gives a part of the clip, on the host. slots: flat staging memory for two parts, of which
    each has room for any. fence: is called once all that read a taken part has been launched, and
    gives what waits, on the thread, until that has been done; then the part may be overwritten.

    Afterwards the thread is gone, and nothing here holds the slots.
    """

    def __init__(
        self,
        view: Callable[[Span, Span], torch.Tensor],
        parts: Sequence[Part],
        slots: torch.Tensor,
        fence: Callable[[], Callable[[], None]],
    ) -> None:
        self._view, self._parts, self._fence = view, parts, fence
        self._slots: torch.Tensor | None = slots
        self._copy: Future[torch.Tensor] | None = None
        self._taken = 0

    def __enter__(self) -> ReadAhead:
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=THREAD)
        self._begin_next()
        return self

    def __exit__(self, *_) -> None:
        self._worker.shutdown(cancel_futures=True)
        # Tracebacks may hold this object for long.
        self._slots = self._copy = None

    def take(self, part: Part) -> torch.Tensor | None:
        """The copy of the list's next part, to be read until the next call; None if another's turn.

        Raises what the copying thread raised.
        """
        if self._taken == len(self._parts) or part != self._parts[self._taken]:
            return None
        copy = self._copy
        self._taken += 1
        # Whatever reads the part before, in the slot that comes next, has been launched by now.
        self._begin_next()
        return copy.result()

    def _begin_next(self) -> None:
        if self._taken < len(self._parts):
            self._copy = self._worker.submit(self._fill, self._taken, self._fence())

    def _fill(self, index: int, wait: Callable[[], None]) -> torch.Tensor:
        wait()
        # Inference mode is each thread's own, and the slots may have been made in it.
        with torch.inference_mode():
            part = self._view(*self._parts[index])
            # No name for the slot: the traceback of an error would hold it.
            return self._slots[index % 2, : part.numel()].view(part.shape).copy_(part)
