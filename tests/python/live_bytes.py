"""Counts the bytes of tensors that are alive, on any device, without the allocator's help."""

from __future__ import annotations

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Within it each new storage counts until it is freed; what was there before does not.

    `peak` is the most that was alive at once; `largest_norm` the temporaries of one norm.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sizes: dict[int, int] = {}
        self._live = 0
        self.peak = self.largest_norm = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        given = {id_ for id_, _ in _storages((args, kwargs))}
        made = function(*args, **(kwargs or {}))
        for key, storage in _storages(made):
            if key not in given:
                self._count(key, storage)
        if function is torch.ops.aten.linalg_vector_norm.default:
            self.largest_norm = max(self.largest_norm, 3 * args[0].numel() * 4)
        return made

    def _count(self, key: int, storage: torch.UntypedStorage) -> None:
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes()
        self._live += storage.nbytes()
        self.peak = max(self.peak, self._live)
        weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self._live -= self._sizes.pop(key)


def _storages(tree) -> list[tuple[int, torch.UntypedStorage]]:
    tensors = (one for one in tree_leaves(tree) if isinstance(one, torch.Tensor))
    return [(storage._cdata, storage) for storage in (one.untyped_storage() for one in tensors)]
