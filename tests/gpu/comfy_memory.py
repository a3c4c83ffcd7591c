"""ComfyUI on a GPU, prompts with memory nodes, and what their reports say."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prompts import Graph, give_latent, smooth_latent
from server import ComfyServer, python_of_comfyui

MIB, GIB = 2**20, 2**30
USUAL = {
    "action": "observe", "may_stay_gib": 0.0, "must_be_free_gib": 0.0,
    "on_violation": "warn", "clear_torch_cache": True,
}  # fmt: skip

MODES = {
    "dynamic": ("--cache-none",),
    "legacy": ("--cache-none", "--disable-dynamic-vram", "--disable-cuda-malloc"),
    "legacy-async": ("--cache-none", "--disable-dynamic-vram"),
}


@contextmanager
def serving(mode: str, base: Path, packs: Sequence[Path] = ()) -> Iterator[ComfyServer]:
    """ComfyUI in one of MODES on an empty folder `base`, with node packs of the tests besides."""
    comfyui = Path(os.environ["COMFYUI_DIR"]).resolve()
    running = ComfyServer(comfyui, python_of_comfyui(), base, MODES[mode])
    for pack in packs:
        shutil.copytree(pack, base / "custom_nodes" / pack.name)
    try:
        running.start()
        dynamic = "DynamicVRAM support detected and enabled" in running.log
        assert dynamic == (mode == "dynamic"), running.log[-3000:]
        yield running
    finally:
        running.stop()


def checkpoint(graph: Graph, wire, phase: str, **changes):
    return graph.add("MemoryCheckpoint", anything=wire, phase=phase, **{**USUAL, **changes})


def decoded(graph: Graph, server, name: str, vae=None):
    latent = graph.add(
        "LoadLatent", latent=give_latent(server, name, smooth_latent(16, 5, 60, 104))
    )
    return graph.add("VAEDecode", samples=latent[0], vae=vae or graph.vae())[0]


def timeline(server, outputs: dict, node: str) -> dict:
    written = re.search(r"written: ([^,]*)", "\n".join(outputs[node]["text"])).group(1)
    return json.loads((server.base / "output" / "memory" / written).read_text())


def entry_of(server, outputs: dict, report, name: str) -> dict:
    """The last entry of that name: the record goes on over prompts until a report clears it."""
    entries = timeline(server, outputs, report.name)["entries"]
    return [entry for entry in entries if entry["name"] == name][-1]["data"]


def bytes_of(account: dict, *kinds: str) -> int:
    return sum(part["bytes"] for part in account["parts"] if part["kind"] in kinds)


def check_account(account: dict) -> None:
    """It closes, and nothing large is without a name."""
    assert sum(part["bytes"] for part in account["parts"]) == account["used"]
    assert abs(account["unknown"]) < 32 * MIB, account
    assert abs(bytes_of(account, "torch")) < 32 * MIB, account
