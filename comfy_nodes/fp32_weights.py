"""Half-precision weights in float32 for the length of one tile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch

_HALF = (torch.float16, torch.bfloat16)


@contextmanager
def float32_weights(model: torch.nn.Module) -> Iterator[None]:
    """Gives `model` float32 copies of its weights, and afterwards the very same storages back.

    The parameters stay the same objects, so whoever counts or moves them by identity (ComfyUI's
    model manager) sees no change. Quantised tensors, which have a class of their own, are left
    alone: their layers convert to the dtype of the input.
    """
    original: list[tuple[torch.Tensor, torch.Tensor]] = []
    try:
        # Inference mode would make the copies inference tensors, which a parameter created
        # outside of it must not point at.
        with torch.inference_mode(False), torch.no_grad():
            for tensor in chain(model.parameters(), model.buffers()):
                if tensor.dtype in _HALF and type(tensor.data) is torch.Tensor:
                    original.append((tensor, tensor.data))
                    tensor.data = tensor.data.float()
        yield
    finally:
        for tensor, data in original:
            tensor.data = data
