"""Counts the bytes of tensors that are alive, on any device, without the allocator's help."""

from __future__ import annotations

import functools
import weakref
from contextlib import ExitStack
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from truetile.native import twins

# Twins of a norm may hold vectors of channels in float64.
_SMALL = 1 << 20


class LiveBytes(TorchDispatchMode):
    """Within it each new storage counts until it is freed; what was there before does not.

    `peak` is the most that was alive at once, but for what a twin of an op took while it ran:
    plans are made for native ops, which allocate nothing. `twin_copies` is the most that one took,
    in float32 copies of the largest tensor that it was given, or of 1 MiB.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sizes: dict[int, int] = {}
        self._live = 0
        self.peak = 0
        self.twin_copies = 0.0
        self._twins = ExitStack()

    def __enter__(self) -> LiveBytes:
        for name in twins.__all__:
            counted = self._apart(getattr(twins, name))
            self._twins.enter_context(mock.patch.object(twins, name, counted))
        return super().__enter__()

    def __exit__(self, *error) -> None:
        self._twins.close()
        super().__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        given = {id_ for id_, _ in _storages((args, kwargs))}
        made = function(*args, **(kwargs or {}))
        for key, storage in _storages(made):
            if key not in given:
                self._count(key, storage)
        return made

    def _apart(self, twin):
        @functools.wraps(twin)
        def counted(*args):
            before, peak = self._live, self.peak
            self.peak = before
            twin(*args)
            given = [4 * one.numel() for one in args if isinstance(one, torch.Tensor)]
            self.twin_copies = max(self.twin_copies, (self.peak - before) / max(_SMALL, *given))
            self.peak = peak

        return counted

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
