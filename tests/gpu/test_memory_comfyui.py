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
from server import DEMO_VAE, ComfyServer, python_of_comfyui

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


def test_the_account_closes_and_the_offload_is_proven(server):
    """The VAE is wired on: with --cache-none ComfyUI drops what no later node takes."""
    graph = Graph()
    vae = graph.vae()
    images = decoded(graph, server, "account", vae)
    loaded = checkpoint(graph, images, "loaded", vae=vae)
    freed = checkpoint(
        graph, loaded[0], "freed", vae=loaded[3], action="offload", on_violation="error"
    )
    report = graph.add("MemoryReport", anything=freed[0], name="run", clear=True)
    outputs = server.run(graph.prompt)
    before, after = (entry_of(server, outputs, report, name) for name in ("loaded", "freed"))
    check_account(before["account"])
    check_account(after["account"])
    # The least that the weights can take, by the file: half precision.
    assert bytes_of(before["account"], "model") >= DEMO_VAE.stat().st_size * 0.45, before
    assert after["verdict"]["outcome"] == "pass", after
    assert after["verdict"]["levels"][0]["expected"] > 0, "something really had to leave"
    assert bytes_of(after["account"], "model") == 0
    uuid = memory.device_for().uuid
    assert abs(witness.used(uuid) - after["account"]["used"]) < 64 * MIB


def test_a_model_that_nobody_refers_to_leaves_nothing_nameless(server):
    graph = Graph()
    loaded = checkpoint(graph, decoded(graph, server, "dropped"), "dropped")
    report = graph.add("MemoryReport", anything=loaded[0], name="dropped", clear=True)
    account = entry_of(server, server.run(graph.prompt), report, "dropped")["account"]
    check_account(account)
    if account_models := bytes_of(account, "model"):
        assert account_models >= DEMO_VAE.stat().st_size * 0.45, account
    assert bytes_of(account, "tensors") < 32 * MIB, account


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
    data = entry_of(server, outputs, report, "keep")
    assert bytes_of(data["account"], "model") >= DEMO_VAE.stat().st_size * 0.45, data
    assert data["verdict"]["outcome"] == "pass", data


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
