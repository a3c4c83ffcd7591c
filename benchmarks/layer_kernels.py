"""The cases of `norm_pad` and `merge` for bench_kernels.py, at the sizes of Wan's decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32
FULL, HALF, QUARTER = (2, 1080, 1920), (4, 540, 960), (4, 270, 480)  # frames, height, width

Case = tuple[str, str, tuple[Any, ...], int]
"""Name of the row, name of the op, its arguments, bytes it must move."""


def cases() -> Iterator[Case]:
    """One at a time: the tensors of a case are freed before the next."""
    for c, frame, dtype in (
        (96, FULL, BF16),
        (192, HALF, BF16),
        (384, QUARTER, BF16),
        (128, FULL, FP16),
        (512, QUARTER, FP16),
        (1024, QUARTER, BF16),
        (96, HALF, FP32),
        (512, QUARTER, FP32),
    ):
        yield _norm_pad("rms silu", c, frame, dtype)
    for what in ("copy", "rms", "affine silu"):
        yield _norm_pad(what, 128, FULL, BF16)
    for up, c, frame in ((2, 192, HALF), (2, 384, QUARTER), (3, 96, HALF)):
        yield _norm_pad("copy", c, frame, BF16, up)
    yield _norm_pad("rms silu", 100, HALF, BF16)
    for c, frame, dtype in ((96, FULL, BF16), (384, QUARTER, BF16), (128, FULL, FP16)):
        yield _merge("bias, residual", c, frame, dtype)
    yield _merge("bias, residual", 96, HALF, FP32)
    yield _merge("bias, residual, in place", 96, FULL, BF16, in_place=True)
    yield _merge("bias", 96, FULL, BF16, residual=False)
    yield _merge("bias, into every other row and column", 192, HALF, BF16, False, phases=True)


def _named(op: str, what: str, c: int, frame: tuple[int, ...], dtype: torch.dtype) -> str:
    size = "x".join(map(str, frame))
    return f"{op} {what}, {str(dtype).removeprefix('torch.')} {size}x{c}"


def _rand(*size: int, dtype: torch.dtype = FP32) -> torch.Tensor:
    return torch.rand(size, device="cuda", dtype=dtype)


def _norm_pad(
    what: str, c: int, frame: tuple[int, int, int], dtype: torch.dtype, up: int = 1
) -> Case:
    t, h, w = frame
    x = _rand(t, h, w, c, dtype=dtype)
    out = torch.zeros(t, h * up + 2, w * up + 2, c, dtype=dtype, device="cuda")
    scale = None if what == "copy" else _rand(c)
    shift = _rand(c) if "affine" in what else None
    args = (x, out, scale, shift, "rms" in what, "silu" in what, up, 0, 1, 1, 1, 1)
    name = _named("norm_pad", what if up == 1 else f"{what} up {up}", c, frame, dtype)
    return name, "norm_pad", args, (x.numel() + out.numel()) * x.element_size()


def _merge(
    what: str,
    c: int,
    frame: tuple[int, int, int],
    dtype: torch.dtype,
    residual: bool = True,
    *,
    in_place: bool = False,
    phases: bool = False,
) -> Case:
    t, h, w = frame
    y, bias = _rand(*frame, c, dtype=dtype), _rand(c)
    r = _rand(*frame, c, dtype=dtype) if residual else None
    if in_place:
        out = r
    elif phases:
        out = torch.zeros(t, 2 * h, 2 * w, c, dtype=dtype, device="cuda")[:, 1::2, ::2]
    else:
        out = torch.zeros_like(y)
    size = y.numel() * y.element_size() * (3 if residual else 2)
    return _named("merge", what, c, frame, dtype), "merge", (y, bias, r, out), size


def call_of(op: Callable[..., None], args: tuple[Any, ...]) -> Callable[[], None]:
    return lambda: op(*args)
