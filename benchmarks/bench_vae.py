"""The exact engine beside ComfyUI's untiled and tiled VAE paths: same weights, one run.

    python benchmarks/bench_vae.py --comfyui DIR --out RESULTS [--only wan21,sdxl] [--small]

For each case: ComfyUI's untiled call, its tiled call at the nodes' default settings, TrueTile's
exact engine without a budget, and under a budget of the tiled call's peak. `cold` is the first call
of a kind, `warm` the median of the timed ones after it. The result is on the CPU as ComfyUI returns
it. Peaks are torch's own (allocated and reserved), weights included. Errors are against the same
module in float32 without TF32, on the finished signal; `border` compares the rows next to strip
borders with all others. Writes RESULTS.json and RESULTS.md.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Sequence

import comfy_env
import torch
from bench_tiled import core_tiled, inputs
from comfy_cases import arguments, chosen, make_vae, name_of, save

CASES = [
    # family, operation, height, width, frames, timed runs; the long ones last
    ("wan21", "decode", 480, 832, 81, 3),
    ("wan21", "encode", 480, 832, 81, 3),
    ("wan21", "decode", 2048, 2048, 1, 5),
    ("sdxl", "decode", 2048, 2048, 0, 5),
    ("sdxl", "encode", 2048, 2048, 0, 5),
    ("wan21", "decode", 720, 1280, 81, 1),
    ("sdxl", "decode", 4096, 4096, 0, 3),
    ("wan22", "decode", 704, 1280, 81, 1),
    ("hunyuan15", "decode", 480, 832, 81, 1),
    ("hunyuan10", "decode", 480, 832, 81, 1),
    ("hunyuan10", "encode", 480, 832, 81, 1),
]


def measure(call, runs: int) -> tuple[torch.Tensor, dict]:
    """The last result of `call`, and its times and peaks."""
    cuda = torch.cuda.is_available()
    seconds, peaks, result = [], [], None
    for _ in range(runs + 1):
        result = None
        gc.collect()
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        result = call()
        if cuda:
            torch.cuda.synchronize()
            peaks.append((torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()))
        seconds.append(time.perf_counter() - began)
    figures = {"cold": seconds[0], "warm": statistics.median(seconds[1:]), "all": seconds}
    if cuda:
        figures |= {"allocated": peaks[-1][0], "reserved": peaks[-1][1], "all_peaks": peaks}
    return result, figures


def reference(vae, family: str, operation: str, data: torch.Tensor, small: bool) -> torch.Tensor:
    """The same weights' result in float32."""
    tf32 = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        full = comfy_env.make_vae(family, torch.float32, width=16 if small else None)
        full.first_stage_model.load_state_dict(vae.first_stage_model.state_dict())
        return (full.decode if operation == "decode" else full.encode)(data)
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = tf32


class StripBorders:
    """The rows at which strips of a picture meet, seen while it is decoded.

    Not those of earlier passes, whose strips have heights of their own.
    """

    def __init__(self) -> None:
        self._boxes: list = []

    def begun(self, plan, why, picture) -> None:
        self._boxes = [] if picture is None else picture.boxes

    def rows(self) -> list[int]:
        return sorted({begin[1] for _, begin, _ in self._boxes} - {0})


def errors(result: torch.Tensor, exact: torch.Tensor, borders: Sequence[int] = ()) -> dict:
    """Mean, 99.9th percentile and maximum, and the mean near strip borders over that elsewhere.

    Rows are the third axis from the end.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    total, most, samples, rows = 0.0, 0.0, [], 0
    flat = result.reshape(-1, *exact.shape[-3:])
    want = exact.reshape(-1, *exact.shape[-3:])
    for one, other in zip(flat, want, strict=True):
        error = (one.to(device).float() - other.to(device).float()).abs()
        total += float(error.double().mean())
        most = max(most, float(error.max()))
        samples.append(error.flatten()[:: max(1, flat.numel() // 4_000_000)])
        rows = rows + error.double().mean((1, 2))
    found = {
        "mean": total / len(flat),
        "p999": float(torch.quantile(torch.cat(samples)[:16_000_000].double(), 0.999)),
        "max": most,
    }
    if borders:
        near = torch.zeros(len(rows), dtype=torch.bool, device=device)
        for border in borders:
            near[max(0, border - 2) : border + 2] = True
        found["border"] = float(rows[near].mean() / rows[~near].mean())
    return found


def run_case(truetile, vae, case: tuple, small: bool, compared: bool) -> dict:
    family, operation, height, width, frames, runs = case
    data = inputs(vae, operation, height, width, frames)
    stock = vae.decode if operation == "decode" else vae.encode
    clip = data.unsqueeze(0) if operation == "encode" and frames else data
    row = {"case": name_of(case)}
    untiled, row["untiled"] = measure(lambda: stock(data), runs)
    tiled, row["tiled"] = measure(lambda: core_tiled(vae, operation, data), max(1, runs // 2))

    def signal(result: torch.Tensor) -> torch.Tensor:
        """Pictures are [..., H, W, C]; latents [..., H, W] get their rows where those have them."""
        return result if operation == "decode" else result.movedim(-2, -3)

    want = signal(reference(vae, family, operation, data, small)) if compared else None
    if compared:
        row["untiled"]["error"] = errors(signal(untiled), want)
        row["tiled"]["error"] = errors(signal(tiled), want)
    del tiled, untiled
    for name, budget in (("exact", None), ("exact_tight", row["tiled"].get("allocated"))):
        reports, borders = [], StripBorders()

        def ours(budget=budget, reports=reports, borders=borders):
            call = getattr(truetile, operation)
            result, report = call(vae, clip, mode="exact", budget=budget, observer=borders)
            reports.append(report)
            return result

        try:
            result, row[name] = measure(ours, runs)
        except Exception as error:  # a row of the table says why there is none
            row[name] = {"failed": f"{type(error).__name__}: {error}"[:400]}
            continue
        report = reports[-1].to_dict()
        row[name]["report"] = report
        if compared:
            row[name]["error"] = errors(signal(result), want, borders.rows())
    return row


def table(rows: list[dict]) -> str:
    """Markdown: time and peak of each way, ratios against untiled."""

    def gib(one: dict) -> str:
        return f"{one['allocated'] / 2**30:.2f}" if "allocated" in one else "-"

    lines = [
        "| work | untiled | tiled | exact | against untiled | within the tiled peak "
        "| mean error untiled / exact |",
        "|---" * 7 + "|",
    ]
    for row in rows:
        untiled, tiled, exact, tight = (
            row[name] for name in ("untiled", "tiled", "exact", "exact_tight")
        )
        cells = [row["case"]]
        cells += [f"{one['warm']:.3f} s, {gib(one)} GiB" for one in (untiled, tiled)]
        if "failed" in exact:
            cells += [exact["failed"], "", "", ""]
        else:
            ratio = f"{exact['warm'] / untiled['warm']:.2f} x"
            if "allocated" in exact:
                ratio += f", {exact['allocated'] / untiled['allocated']:.2f} x"
            cells += [f"{exact['warm']:.3f} s, {gib(exact)} GiB", ratio]
            cells.append(tight.get("failed") or f"{tight['warm']:.3f} s, {gib(tight)} GiB")
            means = [one["error"]["mean"] for one in (untiled, exact) if "error" in one]
            cells.append(" / ".join(f"{mean:.5f}" for mean in means) or "not compared")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


@torch.inference_mode()
def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument(
        "--no-errors", action="store_true", help="without the float32 reference, which takes long"
    )
    args = parser.parse_args()
    comfy_env.start(args.comfyui)
    truetile = comfy_env.pack()
    rows, vaes = [], {}
    for case in chosen(args, CASES):
        if case[0] not in vaes:
            vaes = {case[0]: make_vae(args, case[0])}
        rows.append(run_case(truetile, vaes[case[0]], case, args.small, not args.no_errors))
        print(table(rows[-1:]).splitlines()[-1], flush=True)
        save(args.out, truetile, rows, table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
