"""The checkpoint in ComfyUI on a real GPU, with legacy and with dynamic VRAM management.

COMFYUI_DIR=... COMFYUI_PYTHON=... COMFYUI_FLAGS="--front-end-root DIR" pytest tests/gpu
"""

from __future__ import annotations

import io
import os
import re
from itertools import pairwise

import pytest
import witness
from comfy_memory import (
    GIB,
    MIB,
    MODES,
    USUAL,
    bytes_of,
    check_account,
    checkpoint,
    decoded,
    entry_of,
    serving,
    timeline,
)
from PIL import Image
from prompts import Graph, give_latent, saved, settings_of, smooth_latent
from server import DEMO_VAE

from truetile import memory

pytestmark = pytest.mark.skipif(not os.environ.get("COMFYUI_DIR"), reason="needs COMFYUI_DIR")


@pytest.fixture(scope="module", params=MODES)
def server(request, tmp_path_factory):
    with serving(request.param, tmp_path_factory.mktemp(request.param) / "base") as running:
        yield running


def test_r5_offload_is_verified(server):
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
        budget = witness.total(memory.device_for().uuid) / GIB - 3
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
    server.run(graph.prompt)  # ComfyUI's first decode of a process may differ in its last bits
    for scene in range(20):
        server.run(graph.prompt)
        used.append(witness.used(uuid))
        files.add((server.base / "output" / "soak.safetensors").read_bytes())
        assert scene < 2 or used[-1] <= used[1] + 32 * MIB, used
    assert len(files) == 1, "all scenes equal"


def test_r5_encode_with_spatial_tiles(server):
    """832x480 is no multiple of 256 and a clip has 4n + 1 frames."""
    shapes, files, text = [], [], ""
    for name, node in (("stock", "VAEEncode"), ("one", "TrueTileVAEEncode"), ("two", None)):
        graph = Graph()
        pixels = graph.add("ProbeFrames", frames=5, height=480, width=832)[0]
        tiled = settings_of({"mode": "blended", "tile_size": 256}) if name != "stock" else {}
        kind = node or "TrueTileVAEEncode"
        encoded = graph.add(kind, pixels=pixels, vae=graph.vae(), **tiled)
        through = checkpoint(graph, encoded[0], name, action="offload", on_violation="error")
        graph.save(f"encode_{name}", samples=through[0])
        shown = graph.add("PreviewAny", source=encoded[1]).name if tiled else None
        outputs = server.run(graph.prompt)
        latent = saved(server, f"encode_{name}")
        assert latent.isfinite().all()
        shapes.append(tuple(latent.shape))
        files.append((server.base / "output" / f"encode_{name}.safetensors").read_bytes())
        text = "\n".join(outputs[shown]["text"]) if shown else text
    assert len(set(shapes)) == 1, shapes
    assert files[1] == files[2], "the same tiles after an offload"
    assert "tiles of 256 px" in text and int(re.search(r"(\d+) tiles,", text).group(1)) >= 8, text


BUDGETS = {
    "after text encoding": 1, "after LoRA offload": 5, "before VAE encode": 2,
    "VAE encode": 5, "single frame": 2,
}  # fmt: skip


def leaking(graph: Graph, images: list, mib: int) -> list:
    return graph.add("ProbeLeak", images=images, mib=mib, device="cuda")[0]


def test_r5_budgets_per_phase(server):
    """Each budget is kept after real work; a leak breaks it, stops the run and is named."""
    graph = Graph()
    images = decoded(graph, server, "budgets")
    for phase, gib in BUDGETS.items():
        settings = {"action": "offload", "may_stay_gib": float(gib), "on_violation": "error"}
        images = checkpoint(graph, images, phase, **settings)[0]
    graph.add("PreviewImage", images=images)
    server.run(graph.prompt)
    for mib, gib in ((1200, 1.0), (2200, 2.0)):
        graph = Graph()
        images = leaking(graph, graph.add("ProbeFrames", frames=1, height=64, width=64)[0], mib)
        settings = {"action": "verify", "may_stay_gib": gib, "on_violation": "error"}
        graph.add("PreviewAny", source=checkpoint(graph, images, "broken", **settings)[5])
        before = witness.processes(memory.device_for().uuid)[server._process.pid]
        with pytest.raises(RuntimeError, match="ProbeLeak"):
            server.run(graph.prompt)
        after = witness.processes(memory.device_for().uuid)[server._process.pid]
        assert after - before >= (mib - 64) * MIB, "the leak is real"
        graph = Graph()
        images = leaking(graph, graph.add("ProbeFrames", frames=1, height=64, width=64)[0], 0)
        graph.add("PreviewAny", source=checkpoint(graph, images, "clear", action="offload")[5])
        server.run(graph.prompt)


def test_r5_clean_transitions(server):
    """Seven phases that each load the VAE and leave: all end where the first one ended."""
    graph = Graph()
    thing = None
    for phase in range(7):
        vae = graph.vae()
        name = give_latent(server, f"phase{phase}", smooth_latent(16, 1, 32, 32, seed=phase))
        latent = graph.add("LoadLatent", latent=name)[0]
        images = graph.add("VAEDecode", samples=latent, vae=vae)[0]
        # The one before is wired in, so that the phases come one after the other.
        both = graph.add("ImageBatch", image1=images, image2=thing)[0] if thing else images
        node = checkpoint(
            graph, both, f"phase {phase}", vae=vae, action="offload", on_violation="error"
        )
        thing = node[0]
    report = graph.add("MemoryReport", anything=thing, name="transitions", clear=True)
    outputs = server.run(graph.prompt)
    entries = timeline(server, outputs, report.name)["entries"][-7:]
    assert [entry["name"] for entry in entries] == [f"phase {i}" for i in range(7)]
    assert all(entry["data"]["verdict"]["outcome"] == "pass" for entry in entries)
    used = [entry["data"]["account"]["used"] for entry in entries]
    assert all(abs(b - a) <= 32 * MIB for a, b in pairwise(used)), used
    assert abs(witness.used(memory.device_for().uuid) - used[-1]) < 64 * MIB


def test_r5_reports_are_truthful(server):
    """Used bytes, this process, another program, the free bytes: each as nvidia-smi says."""
    uuid = memory.device_for().uuid
    with witness.another_process(2) as pid:
        graph = Graph()
        node = checkpoint(graph, decoded(graph, server, "truth"), "truth", action="offload")
        probe = graph.add("FreeMemoryProbe", anything=node[0], probe_largest_block=False)
        shown = graph.add("PreviewAny", source=probe[3]).name
        report = graph.add("MemoryReport", anything=probe[0], name="truth", clear=True)
        outputs = server.run(graph.prompt)
        used, processes = witness.used(uuid), witness.processes(uuid)
        free = witness.free(uuid)
    account = entry_of(server, outputs, report, "truth")["account"]
    check_account(account)
    assert abs(account["used"] - used) < 64 * MIB
    theirs = next(part for part in account["parts"] if f"pid {pid}" in part["name"])
    assert abs(theirs["bytes"] - processes[pid]) <= 2 * MIB
    ours = account["used"] - account["unknown"] - bytes_of(account, "process")
    assert abs(ours - processes[server._process.pid]) < 64 * MIB
    assert abs(int(outputs[shown]["text"][0]) - free) < 64 * MIB
    assert f"pid {pid}" in "\n".join(outputs[report.name]["text"])
    (entry,) = outputs[report.name]["images"]
    plot = Image.open(io.BytesIO(server.path_of(entry).read_bytes())).convert("RGB")
    line = (0x7A, 0xA2, 0xFF)  # the device, by the driver
    assert any(
        all(abs(a - b) < 24 for a, b in zip(pixel, line, strict=True))
        for _, pixel in plot.getcolors(2**20)
    )


def test_the_allocator_is_the_one_that_comfyui_names(server):
    named = server.get("/system_stats")["devices"][0]["name"].rpartition(" : ")[2]
    told = server.post("/truetile/memory/allocator")
    assert told["backend"] == named in ("native", "cudaMallocAsync")
    assert told["text"].startswith(f"torch's allocator: {named}")


def test_a_leak_of_200_mb_a_scene_on_the_card_is_named_by_the_third(server):
    said = []
    for _ in range(3):
        graph = Graph()
        images = leaking(graph, decoded(graph, server, "leak"), 200)
        node = checkpoint(graph, images, "leaking scene", action="offload")
        shown = graph.add("PreviewAny", source=node[5]).name
        said.append("\n".join(server.run(graph.prompt)[shown]["text"]))
    assert "memory grows" not in said[0] + said[1]
    rate = re.search(r"memory grows: ([\d.]+) MiB a run", said[2])
    # What the process takes besides, for kernels that it loads, counts as well.
    assert rate and 190 <= float(rate.group(1)) < 300, said[2]
    assert "ProbeLeak" in said[2], said[2]
    graph = Graph()
    images = leaking(graph, graph.add("ProbeFrames", frames=1, height=64, width=64)[0], 0)
    graph.add("PreviewAny", source=checkpoint(graph, images, "clear", action="offload")[5])
    server.run(graph.prompt)
