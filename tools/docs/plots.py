"""Plots of the benchmarks, drawn from the raw figures in benchmarks/results."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bar_chart import Group, Series, bar_chart

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
_GIB = 2**30
_FAMILIES = {
    "wan21": "Wan 2.1",
    "wan22": "Wan 2.2 5B",
    "sdxl": "SDXL",
    "hunyuan10": "HunyuanVideo 1.0",
    "hunyuan15": "HunyuanVideo 1.5",
}
_UNTILED = Series("ComfyUI untiled", "#8a94a6")
_TILED = Series("ComfyUI tiled", "#d08a2e")
# By their key in the file.
_EXACT = {"untiled": _UNTILED, "tiled": _TILED, "exact": Series("TrueTile exact", "#2f7fe0")}
_ATTENTION = {
    "sdpa": Series("torch's attention", "#d08a2e"),
    "matmul": Series("TrueTile, by products", "#2f7fe0"),
}
_MANY_TOKENS = 4096  # a picture of 512 x 512
_LARGE = 2**28  # bytes: what does not lie in a cache
_BLENDED = {"core_tiled": _TILED, "truetile": Series("TrueTile blended", "#2f7fe0")}


def write(folder: Path) -> None:
    """Writes an .svg.html for each plot into `folder`: a fragment for a page, not a document."""
    exact = json.loads((RESULTS / "vae_h200.json").read_text())["rows"]
    compared = [row for row in exact if "error" in row["exact"]]
    blended = json.loads((RESULTS / "tiled_h200.json").read_text())["rows"]
    plots = {
        "exact_seconds": _plot("Seconds, warm", _EXACT, exact, lambda run: run["warm"]),
        "exact_peak": _plot("Peak, GiB", _EXACT, exact, lambda run: run["allocated"] / _GIB),
        "exact_error": _plot(
            "Mean error, thousandths", _EXACT, compared, lambda run: run["error"]["mean"] * 1000, 1
        ),
        "blended_seconds": _plot("Seconds", _BLENDED, blended, lambda run: run["seconds"]),
        "blended_error": _plot(
            "Mean error, thousandths", _BLENDED, blended, lambda run: run["mean"] * 1000, 1
        ),
    }
    plots["kernels"] = _kernels(json.loads((RESULTS / "kernels_h200.json").read_text())["rows"])
    plots["attention"] = _attention(
        json.loads((RESULTS / "attention_h200.json").read_text())["rows"]
    )
    for name, plot in plots.items():
        (folder / f"{name}.svg.html").write_text(plot + "\n", encoding="utf-8")


def _plot(
    title: str,
    methods: dict[str, Series],
    rows: list[dict[str, Any]],
    figure: Callable[[dict[str, Any]], float],
    digits: int = 2,
) -> str:
    groups = [
        Group(case_name(row["case"]), tuple(_value(row.get(key), figure) for key in methods))
        for row in rows
    ]
    return bar_chart(title, tuple(methods.values()), groups, digits)


def _kernels(rows: list[dict[str, Any]]) -> str:
    """By op: how much of the speed of a copy it reaches, the usual and the slowest large case."""
    shares = defaultdict(list)
    for row in rows:
        op = row["name"].split()[0]
        if row["bytes"] >= _LARGE:
            shares[op if "_" in op or op == "merge" else "blend_tile"].append(100 * row["of_copy"])
    series = (Series("median", "#2f7fe0"), Series("slowest", "#8a94a6"))
    groups = [Group(op, (statistics.median(all_), min(all_))) for op, all_ in shares.items()]
    return bar_chart("Percent of a copy's bandwidth", series, groups, digits=0)


def _attention(rows: list[dict[str, Any]]) -> str:
    """Milliseconds by number of tokens, each way with its best block of rows."""
    best: dict[tuple[int, str], float] = {}
    for row in rows:
        if row["dtype"] == "bfloat16":
            key = (row["tokens"], row["way"])
            best[key] = min(best.get(key, row["ms"]), row["ms"])
    tokens = sorted({count for count, _ in best if count >= _MANY_TOKENS})
    groups = [
        Group(f"{count} tokens", tuple(best.get((count, way)) for way in _ATTENTION))
        for count in tokens
    ]
    return bar_chart("Milliseconds", tuple(_ATTENTION.values()), groups, digits=1)


def _value(run: dict[str, Any] | None, figure: Callable[[dict[str, Any]], float]) -> float | None:
    """None where a method was not run or ran out of memory: then it has no figures."""
    try:
        return None if run is None else figure(run)
    except KeyError:
        return None


def case_name(case: str) -> str:
    """`wan21 decode 832x480x81` for people; a still through a video VAE is Qwen-Image's case."""
    family, operation, size = case.split()
    if family == "wan21" and size.endswith("x1"):
        return f"Qwen-Image {operation} {size.removesuffix('x1')}"
    return f"{_FAMILIES.get(family, family)} {operation} {size}"
