"""The layer ops' cases for bench_kernels.py: sizes of decoders, and blocks of attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from truetile.native import twins

BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32
FULL, HALF, QUARTER = (2, 1080, 1920), (4, 540, 960), (4, 270, 480)  # frames, height, width

Case = tuple[str, Callable[[], None], Callable[[], None], int]
"""Name of the row, a call of the op, one of its twin, bytes they must move."""


def cases() -> Iterator[Case]:
    """One at a time: the tensors of a case are freed before the next."""
    for c, frame, dtype in (
        (96, FULL, BF16),
        (192, HALF, BF16),
        (384, QUARTER, BF16),
        (128, FULL, FP16),
        (512, QUARTER, FP16),
        (512, QUARTER, BF16),
        (1024, QUARTER, BF16),
        (96, HALF, FP32),
        (512, QUARTER, FP32),
    ):
        yield _norm_pad("rms silu", c, frame, dtype)
    for what in ("copy", "rms", "affine silu"):
        yield _norm_pad(what, 128, FULL, BF16)
    yield _norm_pad("rms silu", 100, HALF, BF16)
    for c, frame, dtype in ((96, FULL, BF16), (384, QUARTER, BF16), (128, FULL, FP16)):
        yield _merge("bias, residual", c, frame, dtype)
    yield _merge("bias, residual", 96, HALF, FP32)
    yield _merge("bias, residual, in place", 96, FULL, BF16, in_place=True)
    yield _merge("bias", 96, FULL, BF16, residual=False)
    yield _merge("bias, into every other row and column", 192, HALF, BF16, False, phases=True)
    for c, frame, dtype in (
        (96, FULL, BF16),
        (128, FULL, BF16),
        (192, HALF, BF16),
        (256, HALF, BF16),
        (384, QUARTER, BF16),
        (512, QUARTER, BF16),
        (1024, QUARTER, BF16),
        (128, FULL, FP16),
        (96, HALF, FP32),
    ):
        yield _merge_norm_pad("bias, residual, rms silu", c, frame, dtype)
    yield _merge_norm_pad("bias, rms silu", 96, FULL, BF16, residual=False)
    yield _merge_norm_pad("bias, residual, affine silu", 128, FULL, BF16)
    for c, rows, columns in ((96, 482, 834), (192, 242, 418), (384, 122, 210), (100, 482, 834)):
        yield _cached_frames(c, rows, columns, BF16)
    yield _cached_frames(96, 482, 834, FP32)
    for frames, columns, c in ((16, 834, 96), (16, 418, 192), (8, 210, 384), (4, 106, 384)):
        yield _carried(frames, columns, c, one_by_one=False)
        yield _carried(frames, columns, c, one_by_one=True)
    for rows, columns in ((4096, 4096), (1024, 16384), (512, 32401), (128, 131072), (128, 2**20)):
        yield _softmax_rows(rows, columns, BF16)
    yield _softmax_rows(128, 131072, FP16)
    yield _softmax_rows(1024, 16384, FP32)
    yield _softmax_rows(128, 2**20, FP32)
    yield _conv_few_outputs((12, 32, 832), 96, 3, BF16)
    yield _conv_few_outputs((12, 32, 1280), 96, 3, BF16)
    yield _conv_few_outputs((1, 1024, 1024), 128, 1, BF16)
    yield _conv_few_outputs((1, 1024, 1024), 128, 1, FP16)


def _named(op: str, what: str, c: int, frame: tuple[int, ...], dtype: torch.dtype) -> str:
    size = "x".join(map(str, frame))
    return f"{op} {what}, {str(dtype).removeprefix('torch.')} {size}x{c}"


def _rand(*size: int, dtype: torch.dtype = FP32) -> torch.Tensor:
    return torch.rand(size, device="cuda", dtype=dtype)


def _norm_pad(what: str, c: int, frame: tuple[int, int, int], dtype: torch.dtype) -> Case:
    t, h, w = frame
    x = _rand(t, h, w, c, dtype=dtype)
    out = torch.zeros(t, h + 2, w + 2, c, dtype=dtype, device="cuda")
    scale = None if what == "copy" else _rand(c)
    shift = _rand(c) if "affine" in what else None
    args = (x, out, scale, shift, "rms" in what, "silu" in what, 1, 1, 1, 1)
    name = _named("norm_pad", what, c, frame, dtype)
    return _case(name, "norm_pad", args, (x.numel() + out.numel()) * x.element_size())


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
    return _case(_named("merge", what, c, frame, dtype), "merge", (y, bias, r, out), size)


def _merge_norm_pad(
    what: str,
    c: int,
    frame: tuple[int, int, int],
    dtype: torch.dtype,
    residual: bool = True,
) -> Case:
    """Of the window two rows are there already."""
    t, h, w = frame
    fresh, new = 2, (t, h - 2, w, c)
    y, r = _rand(*new, dtype=dtype), _rand(*new, dtype=dtype) if residual else None
    window = _rand(t, h, w, c, dtype=dtype)
    out = torch.zeros(t, h + 2, w + 2, c, dtype=dtype, device="cuda")
    shift = _rand(c) if "affine" in what else None
    norm = (out, _rand(c), shift, "rms" in what, "silu" in what, 1, 1, 1, 1)
    size = y.numel() * (3 if residual else 2) + (window.numel() - y.numel()) + out.numel()
    args = (y, _rand(c), r, window, fresh, *norm)
    name = _named("merge_norm_pad", what, c, frame, dtype)
    return _case(name, "merge_norm_pad", args, size * y.element_size())


def _cached_frames(c: int, rows: int, columns: int, dtype: torch.dtype) -> Case:
    """The last two frames of a padded buffer, into a cache with room for more rows."""
    padded = _rand(6, rows, columns, c, dtype=dtype)
    cache = torch.zeros(2, rows + 30, columns, c, dtype=dtype, device="cuda")
    args = (padded[4:], None, None, cache[:, :rows])
    name = _named("merge", "copy of cached frames", c, (2, rows, columns), dtype)
    return _case(name, "merge", args, 2 * padded[4:].numel() * padded.element_size())


def _softmax_rows(rows: int, columns: int, dtype: torch.dtype) -> Case:
    """A block of attention's scores, in place in float32. Scores count once, but are read twice."""
    scores = _rand(rows, columns)
    out = scores if dtype == FP32 else torch.zeros_like(scores, dtype=dtype)
    name = f"softmax_rows {str(dtype).removeprefix('torch.')} {rows}x{columns}"
    return _case(name, "softmax_rows", (scores, out), scores.numel() * (4 + out.element_size()))


def _conv_few_outputs(frame: tuple[int, int, int], c: int, taps_t: int, dtype: torch.dtype) -> Case:
    """A decoder's last convolution, of three outputs; `frame` is that of what it makes."""
    t, h, w = frame
    x = _rand(t + taps_t - 1, h + 2, w + 2, c, dtype=dtype)
    weight, out = _rand(3, taps_t, 3, 3, c, dtype=dtype), _rand(*frame, 3, dtype=dtype)
    name = _named("conv_few_outputs", f"{taps_t}x3x3", c, frame, dtype)
    return _case(
        name, "conv_few_outputs", (x, weight, out), (x.numel() + out.numel()) * x.element_size()
    )


def _carried(frames: int, columns: int, c: int, *, one_by_one: bool) -> Case:
    """Cached frames and the rows kept in front of new ones, into a padded input of 34 rows."""
    rows, kept = 34, 2
    cache = _rand(2, rows + 30, columns, c, dtype=BF16)[:, :rows]
    lines = _rand(frames + 4, kept, columns, c, dtype=BF16)[4:]
    padded = torch.zeros(2 + frames, rows, columns, c, dtype=BF16, device="cuda")
    sources, targets = (cache, lines), (padded[:2], padded[2:, :kept])
    size = 2 * sum(source.numel() * source.element_size() for source in sources)
    what, frame = "cached frames and kept rows", (frames, rows, columns)
    name = _named("copy_boxes", what, c, frame, BF16)
    case = _case(name, "copy_boxes.two", (*sources, *targets), size)
    if not one_by_one:
        return case
    merge = torch.ops.truetile.merge.default

    def merges() -> None:
        for source, target in zip(sources, targets, strict=True):
            merge(source, None, None, target)

    return _named("merge, twice,", what, c, frame, BF16), merges, case[2], size


def _case(name: str, op: str, args: tuple[Any, ...], size: int) -> Case:
    packet, _, overload = op.partition(".")
    native = getattr(getattr(torch.ops.truetile, packet), overload or "default")
    twin = getattr(twins, packet)
    return name, lambda: native(*args), lambda: twin(*args), size
