"""The CUDA ops against a device copy and against their torch twins, in one run.

    PYTHONPATH=. python benchmarks/bench_kernels.py [--out FILE.json] [--runs N]

Times are medians of CUDA event pairs around single calls, warm, each call on data larger than the
second-level cache unless its name says so. Bytes are those that must move: the block read, the
finished pixels written, line-buffer slots read and written; strips are read once. The share is that
of a device copy (bytes read and written) in the same run; into host memory, of a copy into pinned
memory.
Exits with 2 where there is no CUDA device, with 1 where the native library does not serve.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import layer_kernels
import torch
from cuda_timing import median_us

from truetile import native
from truetile.native import twins

FINISH = {"scale": 0.5, "shift": 0.5, "lo": 0.0, "hi": 1.0}
CLIP = (3, 16, 1080, 1920)  # channels, frames, height, width
TILE = (3, 1, 512, 512)
BF16, FP32 = torch.bfloat16, torch.float32


@dataclass
class Row:
    """One measured op; microseconds, bytes, GB/s, and the share of the copy it is compared with."""

    name: str
    us: float
    bytes: int
    gb_s: float
    of_copy: float
    twin_us: float


@dataclass(frozen=True)
class Case:
    """A blend of one whole tile of the given size; zone is its fade length on t, y and x."""

    name: str
    dtype: torch.dtype
    out_dtype: torch.dtype
    size: tuple[int, int, int, int] = CLIP
    block_nhwc: bool = False
    out_nhwc: bool = True
    zone: tuple[int, int, int] = (0, 0, 0)
    shift_x: int = 0
    pinned: bool = False


CASES = [
    Case("bf16 planar -> fp32 NHWC", BF16, FP32),
    Case("fp32 planar -> fp32 NHWC", FP32, FP32),
    Case("bf16 planar -> bf16 planar", BF16, BF16, out_nhwc=False),
    Case("fp32 planar -> fp32 planar", FP32, FP32, out_nhwc=False),
    Case("bf16 planar -> fp32 planar", BF16, FP32, out_nhwc=False),
    Case("bf16 NHWC -> fp32 NHWC", BF16, FP32, block_nhwc=True),
    Case("fp32 NHWC -> fp32 NHWC", FP32, FP32, block_nhwc=True),
    Case("bf16 -> fp32 NHWC, 64 px zones", BF16, FP32, zone=(0, 64, 64)),
    Case("bf16 -> fp32 NHWC, 64 px and 4 frame zones", BF16, FP32, zone=(4, 64, 64)),
    Case("bf16 -> fp32 NHWC, off by one pixel", BF16, FP32, shift_x=1),
    Case("bf16 -> fp32 NHWC, one 512 px tile (in cache)", BF16, FP32, TILE),
    Case("same with 64 px zones", BF16, FP32, TILE, zone=(0, 64, 64)),
    Case("bf16 -> fp32 NHWC, pinned host output", BF16, FP32, pinned=True),
]


def canvas(
    size: Sequence[int], dtype: torch.dtype, nhwc: bool, *, pinned: bool = False
) -> torch.Tensor:
    """A [C, T, H, W] view, planar or with the channels last, on the device or pinned."""
    c, t, h, w = size
    shape = (t, h, w, c) if nhwc else (c, t, h, w)
    where = {"pin_memory": True} if pinned else {"device": "cuda"}
    out = torch.zeros(shape, dtype=dtype, **where)
    return out.permute(3, 0, 1, 2) if nhwc else out


def moved(case: Case, block: torch.Tensor, out: torch.Tensor) -> int:
    """Bytes that the op must move: with lead and tail zones of equal length on each axis."""
    c = block.shape[0]
    use = block.shape[1:]
    (zt, zy, zx), (_, y, x) = case.zone, use
    rest = [n - z for n, z in zip(use, case.zone, strict=True)]  # before the tail zone
    read = zt * y * x + rest[0] * y * zx + rest[0] * zy * rest[2]
    final = rest[0] * rest[1] * rest[2]
    # Lines are read in lead zones and written in tail zones, which hold as many slots.
    lines = 2 * 4 * c * read
    return block.numel() * block.element_size() + c * final * out.element_size() + lines


def blend_call(case: Case) -> tuple[Callable[[Callable[..., None]], None], int]:
    """The call to measure, as a function of the op, and the bytes it moves."""
    c, *use = case.size
    block = canvas(case.size, case.dtype, case.block_nhwc)
    block.copy_(torch.rand(case.size, device="cuda") * 2 - 1)
    size = (c, use[0], use[1], use[2] + case.shift_x)
    out = canvas(size, case.out_dtype, case.out_nhwc, pinned=case.pinned)
    zt, zy, zx = case.zone
    lines = [
        torch.zeros(shape, device="cuda")
        for shape in ((c, use[0], use[1], zx), (c, use[0], zy, size[3]), (c, zt, use[1], use[2]))
    ]
    zone, none, origin = list(case.zone), [0, 0, 0], [0, 0, case.shift_x]

    def call(op: Callable[..., None]) -> None:
        op(block, out, *lines, use, zone, zone, none, origin, origin, *FINISH.values())

    return call, moved(case, block, out)


def copy_gb_s(runs: int, *, to_host: bool) -> float:
    """GB/s of a copy: read and written on the device, written into pinned memory."""
    n = 2**28 if to_host else 2**30
    source = torch.ones(n, dtype=torch.uint8, device="cuda")
    target = torch.empty(n, dtype=torch.uint8, pin_memory=True) if to_host else source.clone()
    us = median_us(lambda: target.copy_(source, non_blocking=True), runs)
    return (1 if to_host else 2) * n / us / 1e3


# frames, rows, columns and channels of the strips whose moments are taken, in 32 groups: whole
# values of SDXL's decoder at 2048^2, then strips of 64 and 256 rows.
STRIPS = [
    ((1, 2048, 2048, 128), BF16),
    ((1, 2048, 2048, 128), FP32),
    ((1, 2048, 2048, 256), BF16),
    ((1, 1024, 1024, 512), BF16),
    ((1, 256, 2048, 128), BF16),
    ((1, 64, 2048, 128), BF16),
    ((1, 64, 512, 512), BF16),
    ((1, 1024, 1024, 320), BF16),
]


def moments_call(
    shape: tuple[int, int, int, int], dtype: torch.dtype
) -> tuple[Callable[[Callable[..., None]], None], int]:
    """The call to measure, as a function of the op, and the bytes of a strip, read once."""
    groups = 32
    state = torch.zeros(groups, 3, dtype=torch.float64, device="cuda")
    scratch = torch.empty(native.group_moments_scratch(groups), dtype=torch.float64, device="cuda")
    size = torch.Size(shape).numel() * dtype.itemsize
    # Strips follow one another in a buffer that the cache does not hold.
    strips = torch.randn(-(-(2**28) // size), *shape, device="cuda").to(dtype)
    turns = itertools.cycle(strips)

    def call(op: Callable[..., None]) -> None:
        op(next(turns), state, scratch, groups)

    return call, size


def measure(runs: int) -> tuple[dict[str, float], list[Row]]:
    copies = {"device": copy_gb_s(runs, to_host=False), "host": copy_gb_s(runs, to_host=True)}
    rows = []
    ops = torch.ops.truetile
    for case in CASES:
        call, size = blend_call(case)
        us = median_us(lambda call=call: call(ops.blend_tile), runs)
        twin_us = median_us(lambda call=call: call(twins.blend_tile), max(3, runs // 5))
        if case.pinned:
            size = 4 * torch.Size(case.size).numel()  # the bus carries the output alone
        copy = copies["host" if case.pinned else "device"]
        gb_s = size / us / 1e3
        rows.append(Row(case.name, us, size, gb_s, gb_s / copy, twin_us))
        torch.cuda.empty_cache()
    counts = torch.zeros(2, dtype=torch.int64, device="cuda")
    for name, dtype in (("fp32", FP32), ("bf16", BF16)):
        x = torch.rand(CLIP, device="cuda").to(dtype)
        us = median_us(lambda x=x: ops.count_nonfinite(x, counts), runs)
        twin_us = median_us(lambda x=x: twins.count_nonfinite(x, counts), max(3, runs // 5))
        gb_s = x.numel() * x.element_size() / us / 1e3
        of_copy = gb_s / copies["device"]
        size = x.numel() * x.element_size()
        rows.append(Row(f"count_nonfinite {name}", us, size, gb_s, of_copy, twin_us))
    for name, call, twin, size in layer_kernels.cases():
        us = median_us(call, runs)
        twin_us = median_us(twin, max(3, runs // 5))
        gb_s = size / us / 1e3
        rows.append(Row(name, us, size, gb_s, gb_s / copies["device"], twin_us))
        del call, twin
    for shape, dtype in STRIPS:
        call, size = moments_call(shape, dtype)
        us = median_us(lambda call=call: call(ops.group_moments), runs)
        twin_us = median_us(lambda call=call: call(twins.group_moments), max(3, runs // 5))
        gb_s = size / us / 1e3
        name = f"group_moments {str(dtype).removeprefix('torch.')} {' x '.join(map(str, shape))}"
        rows.append(Row(name, us, size, gb_s, gb_s / copies["device"], twin_us))
        del call
        torch.cuda.empty_cache()
    return copies, rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/kernels_<gpu>.json")
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print(f"bench_kernels: no CUDA device: torch {torch.__version__} sees none")
        return 2
    if reason := native.why_twin("cuda"):
        print(f"bench_kernels: the native library does not serve: {reason}")
        return 1
    gpu = torch.cuda.get_device_name()
    copies, rows = measure(options.runs)
    print(f"{gpu}, torch {torch.__version__}: device copy {copies['device']:.0f} GB/s, "
          f"copy to pinned memory {copies['host']:.1f} GB/s\n")  # fmt: skip
    print("| op | µs | MB | GB/s | of copy | twin µs | times faster |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        print(
            f"| {row.name} | {row.us:.1f} | {row.bytes / 1e6:.1f} | {row.gb_s:.0f} "
            f"| {row.of_copy:.0%} | {row.twin_us:.1f} | {row.twin_us / row.us:.1f} |"
        )
    file_name = f"kernels_{gpu.lower().replace(' ', '_')}.json"
    path = options.out or Path(__file__).parent / "results" / file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    answer = {"gpu": gpu, "torch": torch.__version__, "runs": options.runs, "copy_gb_s": copies}
    path.write_text(json.dumps({**answer, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    print(f"\nwritten to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
