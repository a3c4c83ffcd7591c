"""A program's packed weights while one call needs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .exact_weights import Packed

Weights = tuple[Packed | None, ...]
NeededFrom = Callable[[int], Weights]  # see `CallWeights.needed_from`


class CallWeights:
    """Gets weights with `load` when they are first asked for, and again where they have left.

    With `leaving`, layers that nothing asks for any more give theirs up: the memory is free for
    what comes, as plans for a single item count on (`candidates` with `weights`). Otherwise all
    stay until `drop`. No caller may hold what it got longer than it needs it.
    """

    def __init__(self, load: Callable[[], Sequence[Packed | None]], leaving: bool = False) -> None:
        self._load, self._leaving = load, leaving
        self._held: Weights = ()
        self._first = 0  # the first layer whose weights are there

    def needed_from(self, first: int) -> Weights:
        """All from layer `first` on; what was before them may be None."""
        if not self._held or first < self._first:
            self.drop()
            self._held = tuple(self._load())
        if self._leaving and first > self._first:
            self._held = (None,) * first + self._held[first:]
            self._first = first
        return self._held

    def drop(self) -> None:
        """Gives all of them up."""
        self._held, self._first = (), 0
