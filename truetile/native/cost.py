"""Byte estimates: the pure-Python twin of csrc/core/cost.hpp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite

from .grid import MAX_SIZE, require, require_range

MAX_BYTES = 1 << 60  # each term of an estimate saturates here
_FP32_BYTES = 4


@dataclass(frozen=True, slots=True)
class CostModel:
    """Bytes of one VAE call: `fixed_bytes + bytes_per_pixel * h * w * frames`, plus its result.

    live_frames: pixel frames alive at once inside a call (0 = all of them). out_channels and
    out_elem_bytes describe the block that the call returns.
    """

    fixed_bytes: int = 0
    bytes_per_pixel: float = 0.0
    live_frames: int = 0
    out_channels: int = 3
    out_elem_bytes: int = 4


def check_cost(cost: CostModel) -> None:
    """Raise InvalidArgument for the first field outside its range."""
    require_range("fixed_bytes", cost.fixed_bytes, 0, MAX_BYTES)
    value = cost.bytes_per_pixel
    finite = isfinite(value) and value >= 0
    require(finite, "bytes_per_pixel", f"{value:g}", "finite and at least 0")
    require_range("live_frames", cost.live_frames, 0, MAX_SIZE)
    require_range("out_channels", cost.out_channels, 1, 1024)
    require_range("out_elem_bytes", cost.out_elem_bytes, 1, 8)


def call_bytes(cost: CostModel, pixel: Sequence[int], out: Sequence[int]) -> int:
    """Bytes of a call on `pixel` (frames, h, w) that returns `out` (t, y, x) elements."""
    frames = min(pixel[0], cost.live_frames) if cost.live_frames else pixel[0]
    work = cost.bytes_per_pixel * float(frames * pixel[1] * pixel[2])
    block = out[0] * out[1] * out[2] * cost.out_channels * cost.out_elem_bytes
    return cost.fixed_bytes + ceil(min(work, float(MAX_BYTES))) + min(block, MAX_BYTES)


def line_bytes(cost: CostModel, elements: int) -> int:
    """Bytes of the fp32 line buffers that hold `elements` of each channel."""
    return min(elements * cost.out_channels * _FP32_BYTES, MAX_BYTES)


def format_bytes(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.2f} MiB"
