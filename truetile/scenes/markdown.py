"""A baseline for people."""

from __future__ import annotations

import time
from typing import Any

from ..native.memory import say_bytes

_MET = {True: "met", False: "NOT met", None: "cannot be told"}


def page(data: dict[str, Any]) -> str:
    """The whole Markdown file."""
    totals, limits, judged = data["totals"], data["limits"], data["criteria"]
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(data["started_at"]))
    lines = [
        "# Performance baseline",
        "",
        f"{began}, {data['device'] or 'device unknown'}: {totals['succeeded']} of "
        f"{totals['scenes']} scenes succeeded, {totals['cached']} of them from the cache; "
        f"{_seconds(totals['seconds'])} in all without those.",
        "",
        "| criterion | limit | figure | |",
        "|---|---|---|---|",
        f"| slowest scene | under {limits['max_seconds']:g} s | "
        f"{_seconds(judged['seconds']['value'])} | {_MET[judged['seconds']['met']]} |",
        f"| least free memory | over {say_bytes(limits['min_free'])} | "
        f"{say_bytes(judged['free']['value'])} | {_MET[judged['free']['met']]} |",
        f"| scenes in a row | {limits['in_a_row']} | {judged['in_a_row']['value']} | "
        f"{_MET[judged['in_a_row']['met']]} |",
        "",
        "## Scenes",
        "",
        "| scene | time | outputs | peak used | free: least | free: mean | free: most | read by |",
        "|---|---:|---|---:|---:|---:|---:|---|",
        *[_scene(scene) for scene in data["scenes"]],
    ]
    if data["notes"]:
        lines += ["", "## Notes", "", *[f"- {_cell(note)}" for note in data["notes"]]]
    if data["comparison"] is not None:
        lines += ["", *_comparison(data["comparison"])]
    return "\n".join([*lines, ""])


def _scene(scene: dict[str, Any]) -> str:
    memory = scene["memory"] or {}
    least, total = memory.get("free_min"), memory.get("total")
    peak = total - least if None not in (least, total) else None
    outputs = scene["kind"] if scene["status"] == "success" else f"FAILED: {scene['message']}"
    if scene["found_again"]:
        how = "not measured: it ended while the runner was away"
    else:
        gap = memory.get("widest_gap")
        how = memory.get("source", "no reading")
        how += "" if gap is None else f", gaps up to {gap:.2f} s"
    figures = [peak, least, memory.get("free_mean"), memory.get("free_peak")]
    cells = [scene["name"], _seconds(scene["seconds"]), outputs, *map(say_bytes, figures), how]
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _comparison(data: dict[str, Any]) -> list[str]:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(data["finished_at"]))
    lines = [
        f"## Against the run of {when}",
        "",
        "Only scenes that both runs really computed have figures.",
        "",
        "| scene | time before | now | change | least free before | now |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for scene in [*data["scenes"], {"name": "all", **data}]:
        cells = [
            scene["name"], _seconds(scene["seconds_before"]), _seconds(scene["seconds"]),
            _change(scene["seconds_before"], scene["seconds"]),
            say_bytes(scene["free_min_before"]) if "free_min" in scene else "",
            say_bytes(scene["free_min"]) if "free_min" in scene else "",
        ]  # fmt: skip
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return lines


def _change(before: float | None, now: float | None) -> str:
    return f"{(now / before - 1) * 100:+.0f} %" if before and now is not None else "unknown"


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} s"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
