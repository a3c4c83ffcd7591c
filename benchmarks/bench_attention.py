"""Attention of one head by blocks of rows: which block is best, and against torch's own.

    PYTHONPATH=. python benchmarks/bench_attention.py [--channels 512] [--runs 10] [--out FILE.json]

Times are medians of CUDA event pairs around one call over all tokens, warm. TFLOP/s count both
products. Errors are against float64 on 2048 of the queries: mean and 99.9th percentile. MiB is
what a call allocates. Exits with 2 where there is no CUDA device.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from cuda_timing import median_us

from truetile.engine.attention import attention_way, by_products, by_sdpa
from truetile.stream import AttentionWay

TOKENS = (1024, 4096, 16384, 36864, 65536)  # SDXL at 256^2 ... 2048^2
ROWS = (128, 256, 512, 1024, 2048, 4096, 8192, 16384)
FUSED_ROWS = ROWS[3:]  # of torch's own, besides all at once
MOST = 2**28  # scores at once
CHECKED = 2048


@dataclass
class Row:
    """One way of computing it; milliseconds, TFLOP/s, MiB, and two measures of the error."""

    dtype: str
    tokens: int
    way: str
    rows: int
    ms: float
    tflops: float
    mib: float
    mean_error: float
    p999_error: float


def whole(by, q, k, v, rows: int) -> torch.Tensor:
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    by(q, k, v, out, rows)
    return out


def measure(dtype: torch.dtype, tokens: int, channels: int, runs: int) -> list[Row]:
    qkv = torch.randn(tokens, 3 * channels, device="cuda").to(dtype)
    q, k, v = qkv.chunk(3, dim=-1)
    picked = torch.linspace(0, tokens - 1, min(tokens, CHECKED), device="cuda").long()
    wanted = torch.cat([
        (part.double() @ k.double().t() * channels**-0.5).softmax(-1) @ v.double()
        for part in q[picked].split(256)
    ])  # fmt: skip
    fused = [rows for rows in FUSED_ROWS if rows < tokens]
    ways = [("sdpa", by_sdpa, rows) for rows in (*fused, tokens)]
    if attention_way("cuda", dtype) == AttentionWay.PRODUCTS:
        ways += [("matmul", by_products, r) for r in ROWS if r <= tokens and r * tokens <= MOST]
    answer = []
    for way, by, rows in ways:
        call = functools.partial(whole, by, q, k, v, rows)
        ms = median_us(call, runs) / 1e3
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        out = call()
        mib = (torch.cuda.max_memory_allocated() - before) / 2**20
        off = (out[picked].double() - wanted).abs().flatten()
        p999 = off.kthvalue(int(0.999 * off.numel())).values.item()
        tflops = 4 * tokens**2 * channels / ms / 1e9
        name = str(dtype).removeprefix("torch.")
        answer.append(Row(name, tokens, way, rows, ms, tflops, mib, off.mean().item(), p999))
    return answer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print(f"bench_attention: no CUDA device: torch {torch.__version__} sees none")
        return 2
    gpu = torch.cuda.get_device_name()
    print(f"{gpu}, torch {torch.__version__}, one head of {options.channels}\n")
    print("| dtype | tokens | way | rows | ms | TFLOP/s | MiB | mean error | 99.9 % |")
    print("|---|---:|---|---:|---:|---:|---:|---:|---:|")
    rows: list[Row] = []
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        for tokens in TOKENS:
            for row in measure(dtype, tokens, options.channels, options.runs):
                rows.append(row)
                print(
                    f"| {row.dtype} | {row.tokens} | {row.way} | {row.rows} | {row.ms:.3f} "
                    f"| {row.tflops:.0f} | {row.mib:.1f} | {row.mean_error:.2e} "
                    f"| {row.p999_error:.2e} |",
                    flush=True,
                )
            torch.cuda.empty_cache()
    if options.out:
        answer = {"gpu": gpu, "torch": torch.__version__, "rows": [asdict(row) for row in rows]}
        options.out.write_text(json.dumps(answer, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
