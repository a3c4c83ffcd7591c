"""Argument checks of the tile twins; `csrc/ops/{blend,nonfinite}_args.hpp` say the same in C++."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .checks import (
    DTYPES,
    check_device,
    check_dtype,
    check_range,
    check_rank,
    check_size,
    fail,
)

_AXES = "tyx"


def blend_tile(
    block: torch.Tensor,
    out: torch.Tensor,
    line_x: torch.Tensor,
    line_y: torch.Tensor,
    line_t: torch.Tensor,
    use: Sequence[int],
    lead: Sequence[int],
    tail: Sequence[int],
    offset: Sequence[int],
    origin: Sequence[int],
    out_origin: Sequence[int],
    lo: float,
    hi: float,
) -> None:
    """Raise InvalidArgument when `blend_tile` would touch memory outside of its arguments."""
    op = "blend_tile"
    for name, tensor in (("block", block), ("out", out)):
        check_rank(op, name, tensor, 4)
        check_dtype(op, name, tensor, DTYPES)
    triples = {"use": use, "lead": lead, "tail": tail, "offset": offset, "origin": origin}
    triples["out_origin"] = out_origin
    for name, values in triples.items():
        if len(values) != 3:
            fail(op, f"len({name})", len(values), "must be 3 (t, y, x)")
    if not lo <= hi:
        fail(op, "lo", f"{lo:g}", f"must be <= hi={hi:g}")
    channels = block.shape[0]
    check_size(op, "out", out, 0, channels, "channels of block")
    if out.device != block.device and not (out.device.type == "cpu" and _off_cpu(block)):
        fail(op, "out.device", out.device, f"must be {block.device} (block) or pinned cpu memory")
    for i, axis in enumerate(_AXES):
        size = block.shape[1 + i]
        if use[i] < 0:
            fail(op, f"use[{i}]", use[i], f"must be >= 0 (axis {axis})")
        check_range(op, f"tail[{i}]", tail[i], 0, use[i], f"use={use[i]}")
        check_range(op, f"lead[{i}]", lead[i], 0, use[i] - tail[i], f"use={use[i]}, tail={tail[i]}")
        check_range(op, f"offset[{i}]", offset[i], 0, use[i] - size, f"use={use[i]}, block={size}")
        if origin[i] < 0:
            fail(op, f"origin[{i}]", origin[i], f"must be >= 0 (axis {axis})")
        # Only what becomes final is written: the tail zone stays in the line buffer.
        final = min(offset[i] + size, use[i] - tail[i]) - offset[i]
        limit = out.shape[1 + i] - max(0, final) - offset[i]
        why = f"out={out.shape[1 + i]}, offset={offset[i]}, final={max(0, final)}"
        check_range(op, f"out_origin[{i}]", out_origin[i], -offset[i], limit, why)

    zone = [max(p, q) for p, q in zip(lead, tail, strict=True)]
    frames, columns = origin[0] + use[0], origin[2] + use[2]
    _line(op, "line_x", line_x, block, zone[2], (channels, frames, use[1], zone[2]))
    _line(op, "line_y", line_y, block, zone[1], (channels, frames, zone[1], columns))
    _line(op, "line_t", line_t, block, zone[0], (channels, zone[0], use[1], use[2]))


def count_nonfinite(x: torch.Tensor, counts: torch.Tensor) -> None:
    """Raise InvalidArgument when `counts` cannot take the two counts of `x`."""
    op = "count_nonfinite"
    check_dtype(op, "x", x, DTYPES)
    check_rank(op, "counts", counts, 1)
    check_dtype(op, "counts", counts, (torch.int64,))
    check_size(op, "counts", counts, 0, 2, "NaN, Inf")
    if not counts.is_contiguous():
        fail(op, "counts.stride(0)", counts.stride(0), "must be 1 (contiguous)")
    check_device(op, "counts", counts, x, "x")


def _line(
    op: str,
    name: str,
    line: torch.Tensor,
    block: torch.Tensor,
    zone: int,
    least: tuple[int, int, int, int],
) -> None:
    """A line buffer is read or written only where its axis has a zone; else it may be empty."""
    if zone == 0:
        return
    check_rank(op, name, line, 4)
    check_dtype(op, name, line, (torch.float32,))
    check_device(op, name, line, block, "block")
    if not line.is_contiguous():
        fail(op, f"{name}.stride()", list(line.stride()), "must be contiguous")
    check_size(op, name, line, 0, least[0], "channels of block")
    for i in range(1, 4):
        if line.shape[i] < least[i]:
            fail(op, f"{name}.size({i})", line.shape[i], f"must be >= {least[i]}")


def _off_cpu(block: torch.Tensor) -> bool:
    return block.device.type != "cpu"
