"""The blended engine beside ComfyUI's own tiled VAE nodes, on the same weights in one run.

    python benchmarks/bench_tiled.py --comfyui DIR [--out RESULTS] [--only sdxl,wan21]

Same tile size and overlap for both. Warm: each call runs twice before it is timed; the median of
the timed calls counts. The result is on the CPU as ComfyUI returns it. `peak` is what torch had
allocated at the most. Differences are against ComfyUI's untiled result in the same dtype.
"""

from __future__ import annotations

import statistics
import time

import comfy_env
import torch
from comfy_cases import arguments, chosen, make_vae, name_of, save

TILE, OVERLAP, FRAMES, FRAME_OVERLAP = 512, 64, 64, 8
CASES = [
    # family, operation, height, width, frames, timed runs
    ("sdxl", "decode", 1024, 1024, 0, 7),
    ("sdxl", "decode", 2048, 2048, 0, 5),
    ("sdxl", "encode", 2048, 2048, 0, 5),
    ("wan21", "decode", 480, 832, 81, 3),
    ("wan21", "encode", 480, 832, 81, 3),
]


def inputs(vae, operation: str, height: int, width: int, frames: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    if operation == "encode":
        low = torch.rand(max(frames, 1), 3, height // 16, width // 16, generator=generator)
        pixels = torch.nn.functional.interpolate(low, (height, width), mode="bicubic")
        return pixels.clamp(0, 1).movedim(1, -1).contiguous()
    factor = vae.spacial_compression_decode()
    shape = (1, vae.latent_channels, height // factor, width // factor)
    if frames:
        shape = (*shape[:2], 1 + (frames - 1) // 4, *shape[2:])
    return torch.randn(shape, generator=generator)


def core_tiled(vae, operation: str, data: torch.Tensor) -> torch.Tensor:
    """What the nodes VAEDecodeTiled and VAEEncodeTiled call with these settings."""
    time_factor = vae.temporal_compression_decode()
    if operation == "encode":
        return vae.encode_tiled(
            data, tile_x=TILE, tile_y=TILE, overlap=OVERLAP, tile_t=FRAMES, overlap_t=FRAME_OVERLAP
        )
    frames = overlap = None
    if time_factor is not None:
        frames = max(2, FRAMES // time_factor)
        overlap = max(1, min(frames // 2, FRAME_OVERLAP // time_factor))
    factor = vae.spacial_compression_decode()
    return vae.decode_tiled(
        data,
        tile_x=TILE // factor,
        tile_y=TILE // factor,
        overlap=OVERLAP // factor,
        tile_t=frames,
        overlap_t=overlap,
    )


def measure(call, runs: int) -> tuple[torch.Tensor, dict]:
    cuda = torch.cuda.is_available()
    seconds = []
    for index in range(runs + (2 if cuda else 0)):
        result = None
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        result = call()
        if cuda:
            torch.cuda.synchronize()
        if index >= (2 if cuda else 0):
            seconds.append(time.perf_counter() - began)
    peak = torch.cuda.max_memory_allocated() if cuda else None
    figures = {"seconds": statistics.median(seconds), "all_seconds": seconds, "peak_bytes": peak}
    return result, figures


def difference(result: torch.Tensor, reference: torch.Tensor) -> dict:
    error = (result.float().reshape(reference.shape) - reference.float()).abs().flatten()
    sample = error[:: max(1, error.numel() // 4_000_000)]
    return {
        "mean": error.mean().item(),
        "p999": torch.quantile(sample[:4_000_000].double(), 0.999).item(),
        "max": error.max().item(),
    }


def run_case(truetile, vae, case: tuple) -> dict:
    _, operation, height, width, frames, runs = case
    data = inputs(vae, operation, height, width, frames)
    stock = vae.decode if operation == "decode" else vae.encode
    ours_data = data
    if operation == "encode" and frames:
        ours_data = data.unsqueeze(0)
    call = getattr(truetile, operation)
    reports = []

    def ours():
        result, report = call(
            vae,
            ours_data,
            mode="blended",
            tile_size=TILE,
            overlap=OVERLAP,
            temporal_size=FRAMES,
            temporal_overlap=FRAME_OVERLAP,
        )
        reports.append(report)
        return result

    reference, untiled = measure(lambda: stock(data), max(1, runs // 2))
    theirs, core = measure(lambda: core_tiled(vae, operation, data), runs)
    core |= difference(theirs, reference)
    del theirs
    mine, blended = measure(ours, runs)
    blended |= difference(mine, reference) | {"report": reports[-1].to_dict()}
    row = {
        "case": name_of(case),
        "untiled": untiled,
        "core_tiled": core,
        "truetile": blended,
        "time_ratio": blended["seconds"] / core["seconds"],
        "error_ratio": blended["mean"] / max(core["mean"], 1e-12),
    }
    if core["peak_bytes"]:
        row["peak_ratio"] = blended["peak_bytes"] / core["peak_bytes"]
    return row


def table(rows: list[dict]) -> str:
    def gib(value):
        return "-" if value is None else f"{value / 2**30:.2f}"

    lines = ["| work | core tiled | TrueTile | time | peak (GiB) | mean error |", "|---" * 6 + "|"]
    for r in rows:
        core, ours = r["core_tiled"], r["truetile"]
        lines.append(
            f"| {r['case']} | {core['seconds']:.3f} s | {ours['seconds']:.3f} s "
            f"| {r['time_ratio']:.2f} x | {gib(core['peak_bytes'])} -> {gib(ours['peak_bytes'])} "
            f"| {core['mean']:.4f} -> {ours['mean']:.4f} |"
        )
    return "\n".join(lines)


@torch.inference_mode()
def main() -> None:
    args = arguments(__doc__).parse_args()
    comfy_env.start(args.comfyui)
    truetile = comfy_env.pack()
    settings = {"tile": TILE, "overlap": OVERLAP, "temporal": [FRAMES, FRAME_OVERLAP]}
    rows, vaes = [], {}
    for case in chosen(args, CASES):
        if case[0] not in vaes:
            vaes = {case[0]: make_vae(args, case[0])}
        rows.append(run_case(truetile, vaes[case[0]], case))
        print(table(rows[-1:]).splitlines()[-1], flush=True)
        save(args.out, truetile, rows, table(rows), settings=settings)
    print(table(rows))


if __name__ == "__main__":
    main()
