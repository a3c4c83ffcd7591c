"""What the benchmarks beside ComfyUI share: command line, cases, VAEs and records.

A case is (family, operation, height, width, frames, timed runs); an image has 0 frames.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import comfy_env
import torch

Case = tuple[str, str, int, int, int, int]


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser of what all of them take."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--comfyui", type=Path, required=True, help="a ComfyUI checkout")
    parser.add_argument("--out", type=Path, help="RESULTS: .json and .md are put behind it")
    parser.add_argument("--only", default="", help="families or names of cases, comma separated")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script")
    return parser


def name_of(case: Case) -> str:
    family, operation, height, width, frames, _ = case
    return f"{family} {operation} {width}x{height}" + (f"x{frames}" if frames else "")


def chosen(args: argparse.Namespace, cases: Sequence[Case]) -> list[Case]:
    """Those of `--only`, tiny ones with `--small`."""
    if args.small:
        cases = [(family, op, 96, 160, min(frames, 9), 1) for family, op, _, _, frames, _ in cases]
    only = [one for one in args.only.split(",") if one]
    return [case for case in cases if not only or case[0] in only or name_of(case) in only]


def make_vae(args: argparse.Namespace, family: str):
    """In the dtype of a user's machine; narrow with `--small`."""
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    return comfy_env.make_vae(family, dtype, width=16 if args.small else None)


def save(out: Path | None, truetile: ModuleType, rows: list[dict], text: str, **more) -> None:
    """Writes OUT.json with the machine and `more` beside the rows, and OUT.md; or nothing."""
    if out is None:
        return
    record = {
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(),
        **more,
        "native": truetile.native.status(),
        "rows": rows,
    }
    out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    out.with_suffix(".md").write_text(text + "\n")
