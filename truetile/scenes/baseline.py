"""The performance baseline of a run: figures, criteria, comparison with the one before."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..watch import files
from . import markdown

FOLDER = "baselines"
NAME = "baseline"


@dataclass(frozen=True)
class Criteria:
    """When a run counts as good. Bytes and seconds."""

    max_seconds: float = 60.0
    min_free: int = 4 * 2**30
    in_a_row: int = 10


def make(
    run: dict[str, Any], results: Sequence[dict[str, Any]], criteria: Criteria, folder: Path
) -> dict[str, Any]:
    """The baseline as plain data. `run`: the journal's data."""
    real = [r["seconds"] for r in results if _timed(r)]
    memory = [r["memory"] for r in results if r["memory"] is not None]
    lowest = [m["free_min"] for m in memory if m["free_min"] is not None]
    data = {
        "version": 1,
        "run": run["run"],
        "started_at": run["started_at"],
        "finished_at": time.time(),
        "device": next((m["device"] for m in memory if m["device"]), None),
        "totals": {
            "scenes": len(results),
            "succeeded": sum(r["status"] == "success" for r in results),
            "cached": sum(r["status"] == "success" and r["kind"] == "cached" for r in results),
            "seconds": sum(real) if real else None,
            "seconds_mean": sum(real) / len(real) if real else None,
            "seconds_max": max(real, default=None),
            "free_min": min(lowest, default=None),
        },
        "criteria": _judge(results, criteria),
        "limits": asdict(criteria),
        "scenes": list(results),
        "notes": run["notes"],
    }
    before = previous(folder, run["run"])
    data["comparison"] = compare(data, before) if before is not None else None
    return data


def write(data: dict[str, Any], folder: Path) -> list[Path]:
    """baseline.json and baseline.md, and a copy that later runs do not replace."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(data["started_at"]))
    kept = files.folder("out", folder / FOLDER) / f"{stamp}-{data['run'][:8]}.json"
    text = json.dumps(data, indent=1)
    page, record = folder / f"{NAME}.md", folder / f"{NAME}.json"
    files.write_all({kept: text, page: markdown.page(data), record: text})
    return [page, record]


def previous(folder: Path, run: str) -> dict[str, Any] | None:
    """The newest baseline of another run in this folder."""
    found = []
    for path in (folder / FOLDER).glob("*.json"):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["version"] == 1 and data["run"] != run:
                found.append(data)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not one of ours
    return max(found, key=lambda data: data["finished_at"], default=None)


def compare(now: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """By scene: seconds and least free memory against before; only what both really did."""
    old = {scene["name"]: scene for scene in before["scenes"]}
    scenes = []
    for scene in now["scenes"]:
        then = old.get(scene["name"])
        if then is None:
            continue
        both = _timed(scene) and _timed(then)
        scenes.append(
            {
                "name": scene["name"],
                "seconds_before": then["seconds"] if both else None,
                "seconds": scene["seconds"] if both else None,
                "free_min_before": (then["memory"] or {}).get("free_min") if both else None,
                "free_min": (scene["memory"] or {}).get("free_min") if both else None,
                "status_before": then["status"],
                "status": scene["status"],
            }
        )
    timed = [scene for scene in scenes if scene["seconds"] is not None]
    return {
        "run": before["run"],
        "finished_at": before["finished_at"],
        "seconds_before": sum(s["seconds_before"] for s in timed) if timed else None,
        "seconds": sum(s["seconds"] for s in timed) if timed else None,
        "scenes": scenes,
    }


def _timed(result: dict[str, Any]) -> bool:
    """Whether the time says something: a scene from the cache took none."""
    good = result["status"] == "success" and result["seconds"] is not None
    return good and result["kind"] != "cached"


def _judge(results: Sequence[dict[str, Any]], limits: Criteria) -> dict[str, dict[str, Any]]:
    """Each criterion: met True or False, None where it cannot be told; and the figure."""
    slowest = max((r["seconds"] for r in results if _timed(r)), default=None)
    real = [r for r in results if r["status"] == "success" and r["kind"] != "cached"]
    free = [(r["memory"] or {}).get("free_min") for r in real]
    least = min((value for value in free if value is not None), default=None)
    told = least is not None and None not in free
    best = streak = 0
    for result in results:
        if result["kind"] == "cached" and result["status"] == "success":
            continue  # nothing was computed: it proves nothing and breaks nothing
        streak = streak + 1 if result["status"] == "success" else 0
        best = max(best, streak)
    enough: bool | None = None if least is None else least > limits.min_free
    return {
        "seconds": {"met": None if slowest is None else slowest < limits.max_seconds,
                    "value": slowest},
        # One scene without a reading leaves a "met" open, and a "not met" as it is.
        "free": {"met": enough if told or enough is False else None, "value": least},
        "in_a_row": {"met": best >= limits.in_a_row, "value": best},
    }  # fmt: skip
