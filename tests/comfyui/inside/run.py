"""Runs the checks of this folder in ComfyUI's interpreter, against the real comfy.sd.VAE.

Usage: python run.py COMFYUI_DIR VAE_FILE. Prints one JSON object per check. A check is a function
check_* that takes a fresh VAE and the pack, and raises when it fails, or SkipTest where this
ComfyUI lacks what it is about.
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
import unittest
from pathlib import Path

MODULES = (
    "checks_of_identity",
    "checks_of_results",
    "checks_of_memory",
    "checks_of_weights",
    "checks_of_exact_video",
    "checks_of_image_vaes",
    "checks_of_sizes",
)


def main(comfyui: str, vae_file: str) -> None:
    sys.path.insert(0, comfyui)
    import comfy.cli_args

    comfy.cli_args.args.cpu = True  # read when model_management is imported
    import comfy.sd
    import comfy.utils
    import torch
    from helpers import Pack

    sys.path.insert(0, str(Path(__file__).parents[1] / "probe_pack"))
    import narrow_wan

    narrow_wan.accept()
    pack = Pack()
    weights = comfy.utils.load_torch_file(vae_file)
    for module in map(importlib.import_module, MODULES):
        for name, check in vars(module).items():
            if not name.startswith("check_"):
                continue
            failure = skipped = ""
            try:
                with torch.no_grad():
                    check(comfy.sd.VAE(sd=dict(weights)), pack)
            except unittest.SkipTest as reason:
                skipped = str(reason)
            except Exception:
                failure = traceback.format_exc()
            print(json.dumps({"check": name, "failure": failure, "skipped": skipped}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
