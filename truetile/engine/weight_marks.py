"""Whether a weight in main memory is still the one that it was, without reading all of it."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch

_WHOLE = 1 << 14  # elements up to which a weight is compared as a whole
_PLACES, _RUN = 8, 8  # places in a larger one, and neighbours there


class Mark:
    """What a weight was when the mark was made; `died` is called when its memory is given up.

    A small weight is known by its values, wherever they lie. A larger one is the same while it is
    the same memory, seen in the same way, with torch's count of writes where it was and the same
    values in a few evenly spaced places. Torch does not count writes through `.data`, nor any into
    what was made in inference mode: of those, one that spares all these places goes unnoticed.
    """

    def __init__(self, weight: torch.Tensor, died: Callable[[], None]) -> None:
        self._form = _form(weight)
        self._sample = _sample(weight).clone()
        self._storage = None
        if weight.numel() > _WHOLE:
            # The Python object of a storage lives as long as the storage.
            self._storage = weakref.ref(weight.untyped_storage(), lambda _: died())

    @property
    def memory(self) -> int | None:
        """Another number for each memory that is alive; None where only the values count."""
        storage = None if self._storage is None else self._storage()
        return None if storage is None else id(storage)

    def fits(self, weight: torch.Tensor) -> bool:
        """Whether `weight` is the same still."""
        if self._storage is not None and self._storage() is not weight.untyped_storage():
            return False
        return self._form == _form(weight) and torch.equal(self._sample, _sample(weight))


def _form(weight: torch.Tensor) -> tuple:
    """How the values lie and, of a larger weight, where and how often they were written."""
    form = weight.dtype, weight.shape, weight.stride(), weight.device
    if weight.numel() <= _WHOLE:
        return form
    writes = None if weight.is_inference() else weight._version
    return *form, weight.storage_offset(), writes


def _sample(weight: torch.Tensor) -> torch.Tensor:
    """The bytes of some values, or of all of a small weight."""
    if weight.numel() > _WHOLE:
        # By their places in memory: no other layout has to be made for it, and few pages of a
        # file that may have left main memory are read.
        begin = weight.storage_offset()
        there = weight.untyped_storage().nbytes() // weight.itemsize - begin
        step = max(1, (min(weight.numel(), there) - _RUN) // (_PLACES - 1))
        weight = weight.as_strided((_PLACES, _RUN), (step, 1), begin)
    return weight.contiguous().view(-1).view(torch.uint8)
