"""Argument checks of the torch twins; `csrc/ops/checks.hpp` says the same in C++.

Each message names the argument, the value it got and what is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..errors import InvalidArgument

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
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
        _rank(op, name, tensor, 4)
        _dtype(op, name, tensor, _DTYPES)
    triples = {"use": use, "lead": lead, "tail": tail, "offset": offset, "origin": origin}
    triples["out_origin"] = out_origin
    for name, values in triples.items():
        if len(values) != 3:
            _fail(op, f"len({name})", len(values), "must be 3 (t, y, x)")
    if not lo <= hi:
        _fail(op, "lo", f"{lo:g}", f"must be <= hi={hi:g}")
    channels = block.shape[0]
    if out.shape[0] != channels:
        _fail(op, "out.size(0)", out.shape[0], f"must be {channels} (channels of block)")
    if out.device != block.device and not (out.device.type == "cpu" and _off_cpu(block)):
        _fail(op, "out.device", out.device, f"must be {block.device} (block) or pinned cpu memory")
    for i, axis in enumerate(_AXES):
        size = block.shape[1 + i]
        if use[i] < 0:
            _fail(op, f"use[{i}]", use[i], f"must be >= 0 (axis {axis})")
        _range(op, f"tail[{i}]", tail[i], 0, use[i], f"use={use[i]}")
        _range(op, f"lead[{i}]", lead[i], 0, use[i] - tail[i], f"use={use[i]}, tail={tail[i]}")
        _range(op, f"offset[{i}]", offset[i], 0, use[i] - size, f"use={use[i]}, block={size}")
        if origin[i] < 0:
            _fail(op, f"origin[{i}]", origin[i], f"must be >= 0 (axis {axis})")
        # Only what becomes final is written: the tail zone stays in the line buffer.
        final = min(offset[i] + size, use[i] - tail[i]) - offset[i]
        limit = out.shape[1 + i] - max(0, final) - offset[i]
        why = f"out={out.shape[1 + i]}, offset={offset[i]}, final={max(0, final)}"
        _range(op, f"out_origin[{i}]", out_origin[i], -offset[i], limit, why)

    zone = [max(p, q) for p, q in zip(lead, tail, strict=True)]
    frames, columns = origin[0] + use[0], origin[2] + use[2]
    _line(op, "line_x", line_x, block, zone[2], (channels, frames, use[1], zone[2]))
    _line(op, "line_y", line_y, block, zone[1], (channels, frames, zone[1], columns))
    _line(op, "line_t", line_t, block, zone[0], (channels, zone[0], use[1], use[2]))


def count_nonfinite(x: torch.Tensor, counts: torch.Tensor) -> None:
    """Raise InvalidArgument when `counts` cannot take the two counts of `x`."""
    op = "count_nonfinite"
    _dtype(op, "x", x, _DTYPES)
    _rank(op, "counts", counts, 1)
    _dtype(op, "counts", counts, (torch.int64,))
    if counts.shape[0] != 2:
        _fail(op, "counts.size(0)", counts.shape[0], "must be 2 (NaN, Inf)")
    if not counts.is_contiguous():
        _fail(op, "counts.stride(0)", counts.stride(0), "must be 1 (contiguous)")
    if counts.device != x.device:
        _fail(op, "counts.device", counts.device, f"must be {x.device} (x)")


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
    _rank(op, name, line, 4)
    _dtype(op, name, line, (torch.float32,))
    if line.device != block.device:
        _fail(op, f"{name}.device", line.device, f"must be {block.device} (block)")
    if not line.is_contiguous():
        _fail(op, f"{name}.stride()", list(line.stride()), "must be contiguous")
    if line.shape[0] != least[0]:
        _fail(op, f"{name}.size(0)", line.shape[0], f"must be {least[0]} (channels of block)")
    for i in range(1, 4):
        if line.shape[i] < least[i]:
            _fail(op, f"{name}.size({i})", line.shape[i], f"must be >= {least[i]}")


def _off_cpu(block: torch.Tensor) -> bool:
    return block.device.type != "cpu"


def _rank(op: str, name: str, tensor: torch.Tensor, rank: int) -> None:
    if tensor.dim() != rank:
        _fail(op, f"{name}.dim()", tensor.dim(), f"must be {rank}")


def _dtype(op: str, name: str, tensor: torch.Tensor, allowed: tuple[torch.dtype, ...]) -> None:
    if tensor.dtype not in allowed:
        names = ", ".join(str(d).removeprefix("torch.") for d in allowed)
        got = str(tensor.dtype).removeprefix("torch.")
        _fail(op, f"{name}.dtype", got, f"must be one of {names}")


def _range(op: str, name: str, value: int, low: int, high: int, why: str) -> None:
    if not low <= value <= high:
        _fail(op, name, value, f"must be in [{low}, {high}] ({why})")


def _fail(op: str, name: str, got: object, rule: str) -> None:
    raise InvalidArgument(f"{op}: {name}={got}: {rule}")
