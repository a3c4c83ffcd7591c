"""The checkpoint in ComfyUI on a real GPU, with legacy and with dynamic VRAM management.

COMFYUI_DIR=... COMFYUI_PYTHON=... COMFYUI_FLAGS="--front-end-root DIR" pytest tests/gpu
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import witness
from prompts import Graph, give_latent, smooth_latent
from server import ComfyServer, python_of_comfyui

from truetile import memory

MIB, GIB = 2**20, 2**30
MODES = {
    "dynamic": ("--cache-none",),
    "legacy": ("--cache-none", "--disable-dynamic-vram", "--disable-cuda-malloc"),
    "legacy-async": ("--cache-none", "--disable-dynamic-vram"),
}
USUAL = {
    "action": "observe", "may_stay_gib": 0.0, "must_be_free_gib": 0.0,
    "on_violation": "warn", "clear_torch_cache": True,
}  # fmt: skip
pytestmark = pytest.mark.skipif(not os.environ.get("COMFYUI_DIR"), reason="needs COMFYUI_DIR")


@pytest.fixture(scope="module", params=MODES)
def server(request, tmp_path_factory):
    comfyui = Path(os.environ["COMFYUI_DIR"]).resolve()
    base = tmp_path_factory.mktemp(request.param) / "base"
    running = ComfyServer(comfyui, python_of_comfyui(), base, MODES[request.param])
    try:
        running.start()
        dynamic = "DynamicVRAM support detected and enabled" in running.log
        assert dynamic == (request.param == "dynamic"), running.log[-3000:]
        yield running
    finally:
        running.stop()


def checkpoint(graph: Graph, wire, phase: str, **changes):
    return graph.add("MemoryCheckpoint", anything=wire, phase=phase, **{**USUAL, **changes})


def decoded(graph: Graph, server, name: str):
    latent = graph.add(
        "LoadLatent", latent=give_latent(server, name, smooth_latent(16, 5, 60, 104))
    )
    return graph.add("VAEDecode", samples=latent[0], vae=graph.vae())[0]


def timeline(server, outputs: dict, node: str) -> dict:
    written = re.search(r"written: ([^,]*)", "\n".join(outputs[node]["text"])).group(1)
    return json.loads((server.base / "output" / "memory" / written).read_text())


def test_the_account_closes_and_the_offload_is_proven(server):
    graph = Graph()
    images = decoded(graph, server, "account")
    loaded = checkpoint(graph, images, "loaded")
    freed = checkpoint(graph, loaded[0], "freed", action="offload", on_violation="error")
    report = graph.add("MemoryReport", anything=freed[0], name="run", clear=True)
    outputs = server.run(graph.prompt)
    entries = {e["name"]: e["data"] for e in timeline(server, outputs, report.name)["entries"]}
    for name, data in entries.items():
        account = data["account"]
        assert sum(part["bytes"] for part in account["parts"]) == account["used"]
        assert abs(account["unknown"]) < 32 * MIB, (name, account)
    models = [p for p in entries["loaded"]["account"]["parts"] if p["kind"] == "model"]
    assert sum(p["bytes"] for p in models) > 0, entries["loaded"]
    assert entries["freed"]["verdict"]["outcome"] == "pass", entries["freed"]
    left = [p for p in entries["freed"]["account"]["parts"] if p["kind"] == "model"]
    assert sum(p["bytes"] for p in left) == 0
    uuid = memory.device_for().uuid
    assert abs(witness.used(uuid) - entries["freed"]["account"]["used"]) < 64 * MIB


def test_the_model_gives_the_same_pictures_after_an_offload(server):
    files = []
    for name in ("first", "second"):
        graph = Graph()
        images = decoded(graph, server, "same")
        node = checkpoint(graph, images, name, action="offload")
        graph.save(f"offload_{name}", images=node[0])
        server.run(graph.prompt)
        files.append((server.base / "output" / f"offload_{name}.safetensors").read_bytes())
    assert files[0] == files[1]


def test_another_program_is_named_when_the_budget_breaks(server):
    with witness.another_process(4) as pid:
        graph = Graph()
        images = graph.add("ProbeFrames", frames=1, height=64, width=64)[0]
        total = witness.smi("--query-gpu=memory.total")[0][0]
        budget = int(total) / 1024 - 3
        node = checkpoint(
            graph, images, "next", action="offload", must_be_free_gib=budget, on_violation="error"
        )
        graph.add("PreviewAny", source=node[5])
        with pytest.raises(RuntimeError, match=f"pid {pid}"):
            server.run(graph.prompt)


def test_a_connected_model_stays(server):
    graph = Graph()
    vae = graph.vae()
    latent = graph.add(
        "LoadLatent", latent=give_latent(server, "keep", smooth_latent(16, 1, 32, 32))
    )
    images = graph.add("VAEDecode", samples=latent[0], vae=vae)[0]
    node = graph.add(
        "MemoryCheckpoint", anything=images, vae=vae, phase="keep",
        **{**USUAL, "action": "offload all but connected models"},
    )  # fmt: skip
    report = graph.add("MemoryReport", anything=node[0], name="keep", clear=True)
    outputs = server.run(graph.prompt)
    (entry,) = timeline(server, outputs, report.name)["entries"]
    models = [p for p in entry["data"]["account"]["parts"] if p["kind"] == "model"]
    assert sum(p["bytes"] for p in models) > 0
    assert entry["data"]["verdict"]["outcome"] == "pass", entry


def test_twenty_scenes_leave_memory_flat(server):
    graph = Graph()
    images = decoded(graph, server, "soak")
    node = checkpoint(graph, images, "scene", action="offload", on_violation="error")
    graph.save("soak", images=node[0])
    uuid, used, files = memory.device_for().uuid, [], set()
    for scene in range(20):
        server.run(graph.prompt)
        used.append(witness.used(uuid))
        files.add((server.base / "output" / "soak.safetensors").read_bytes())
        assert scene < 2 or used[-1] <= used[1] + 32 * MIB, used
    assert len(files) == 1, "all scenes equal"
