"""What the argument checks of the torch twins are made of; as `csrc/ops/checks.hpp` and
`pixel_checks.hpp` in C++.

Each message names the op, the argument, the value it got and what is allowed.
"""

from __future__ import annotations

from typing import NoReturn

import torch

from ..errors import InvalidArgument

DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def fail(op: str, name: str, got: object, rule: str) -> NoReturn:
    """Raise InvalidArgument."""
    raise InvalidArgument(f"{op}: {name}={got}: {rule}")


def check_rank(op: str, name: str, tensor: torch.Tensor, rank: int) -> None:
    """The number of dimensions."""
    if tensor.dim() != rank:
        fail(op, f"{name}.dim()", tensor.dim(), f"must be {rank}")


def check_dtype(op: str, name: str, tensor: torch.Tensor, allowed: tuple[torch.dtype, ...]) -> None:
    """One of these dtypes."""
    if tensor.dtype not in allowed:
        names = ", ".join(str(d).removeprefix("torch.") for d in allowed)
        got = str(tensor.dtype).removeprefix("torch.")
        fail(op, f"{name}.dtype", got, f"must be one of {names}")


def check_range(op: str, name: str, value: int, low: int, high: int, why: str) -> None:
    """A number in [low, high], for the reason `why`."""
    if not low <= value <= high:
        fail(op, name, value, f"must be in [{low}, {high}] ({why})")


def check_device(op: str, name: str, tensor: torch.Tensor, like: torch.Tensor, what: str) -> None:
    """The device of `like`, which the message calls `what`."""
    if tensor.device != like.device:
        fail(op, f"{name}.device", tensor.device, f"must be {like.device} ({what})")


def check_like(op: str, name: str, tensor: torch.Tensor, like: torch.Tensor, what: str) -> None:
    """Dtype and device of `like`, which the message calls `what`."""
    if tensor.dtype != like.dtype:
        got = str(tensor.dtype).removeprefix("torch.")
        fail(op, f"{name}.dtype", got, f"must be that of {what}")
    check_device(op, name, tensor, like, what)


def check_size(op: str, name: str, tensor: torch.Tensor, dim: int, size: int, what: str) -> None:
    """The length of one dimension, which the message calls `what`."""
    if tensor.shape[dim] != size:
        fail(op, f"{name}.size({dim})", tensor.shape[dim], f"must be {size} ({what})")


def check_adjacent(op: str, name: str, tensor: torch.Tensor) -> None:
    """The elements of the last dimension lie side by side."""
    dim = tensor.dim() - 1
    if tensor.shape[dim] > 1 and tensor.stride(dim) != 1:
        fail(op, f"{name}.stride({dim})", tensor.stride(dim), "must be 1")
