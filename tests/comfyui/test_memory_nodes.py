"""The three memory nodes in a real ComfyUI, on a machine whose only device is main memory."""

from __future__ import annotations

import io
import json
import re
import urllib.request
from pathlib import Path

import pytest
from PIL import Image
from prompts import Graph, picture
from server import PACK_NAME

NODES = ("MemoryCheckpoint", "MemoryReport", "FreeMemoryProbe")
CHECKPOINT = {
    "phase": "test", "action": "observe", "may_stay_gib": 0.0, "must_be_free_gib": 0.0,
    "on_violation": "warn", "clear_torch_cache": True,
}  # fmt: skip


def text_of(outputs: dict, node: str) -> str:
    return "\n".join(outputs[node]["text"])


def meminfo(key: str) -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":"))


def resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


@pytest.mark.parametrize("node", NODES)
def test_node_is_listed_and_explained(server, node):
    info = server.get(f"/object_info/{node}")[node]
    assert info["category"] == "TrueTile"
    inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    assert all(entry[-1].get("tooltip") for entry in inputs.values())
    url = f"{server.address}/extensions/{PACK_NAME}/docs/{node}.md"
    page = urllib.request.urlopen(url, timeout=30).read().decode()
    assert all(f"`{name}`" in page for name in inputs)


def test_a_checkpoint_passes_any_wire_through(server):
    """IMAGE, LATENT, VAE and STRING go in as "anything" and come out as they were."""
    graph = Graph()
    images = graph.add("ProbeFrames", frames=1, height=64, width=64)[0]
    vae = graph.vae()
    latent = graph.add("VAEEncode", pixels=images, vae=vae)[0]
    through = [
        graph.add("MemoryCheckpoint", anything=wire, **CHECKPOINT) for wire in (images, latent, vae)
    ]
    decoded = graph.add("VAEDecode", samples=through[1][0], vae=through[2][0])[0]
    saved = graph.add("SaveImage", images=through[0][0], filename_prefix="through").name
    graph.add("SaveImage", images=decoded, filename_prefix="decoded")
    plain = graph.add("SaveImage", images=images, filename_prefix="plain").name
    text = graph.add("PreviewAny", source=through[0][5]).name
    again = graph.add("MemoryCheckpoint", anything=through[0][5], **CHECKPOINT)
    graph.add("PreviewAny", source=again[0])
    outputs = server.run(graph.prompt)
    ours, theirs = (server.path_of(outputs[node]["images"][0]) for node in (saved, plain))
    assert (picture(ours) == picture(theirs)).all()
    assert "verdict: PASS" in text_of(outputs, text)


def test_it_runs_in_every_prompt(server):
    graph = Graph()
    images = graph.add("ProbeFrames", frames=1, height=64, width=64)[0]
    node = graph.add("MemoryCheckpoint", anything=images, **CHECKPOINT)
    shown = graph.add("PreviewAny", source=node[5]).name
    first, second = (server.run(graph.prompt) for _ in range(2))
    for outputs in (first, second):
        assert "TrueTile memory checkpoint 'test'" in text_of(outputs, shown)
    assert "phase 'test'" in text_of(second, shown), "the phase that the first one began"


def test_the_report_agrees_with_the_kernel(server):
    """The figures of the report against /proc of the server's process, read from outside."""
    graph = Graph()
    images = graph.add("ProbeFrames", frames=1, height=64, width=64)[0]
    node = graph.add("MemoryCheckpoint", anything=images, **CHECKPOINT)
    probe = graph.add("FreeMemoryProbe", anything=node[0], probe_largest_block=False)
    shown = [graph.add("PreviewAny", source=wire).name for wire in (node[5], probe[5], probe[2])]
    outputs = server.run(graph.prompt)
    report, data, free = (text_of(outputs, name) for name in shown)
    used, total = (
        float(value) * 2**30
        for value in re.search(r"used ([\d.]+) GiB of ([\d.]+) GiB", report).groups()
    )
    assert abs(total - meminfo("MemTotal")) < 2**28
    assert abs(used - (meminfo("MemTotal") - meminfo("MemAvailable"))) < 2**30
    assert abs(int(free) - meminfo("MemAvailable")) < 2**30
    figures = json.loads(data)
    assert figures["largest_block"] is None, "unknown is not 0"
    assert "no allocator" in figures["unavailable"]["largest_block"]
    assert "other processes: not available" in report


def test_a_budget_that_is_not_kept_stops_the_run_and_names_the_holder(server):
    graph = Graph()
    images = graph.add("ProbeFrames", frames=1, height=64, width=64)[0]
    settings = {**CHECKPOINT, "may_stay_gib": 0.25, "action": "offload", "on_violation": "error"}
    node = graph.add("MemoryCheckpoint", anything=images, **settings)
    graph.add("PreviewAny", source=node[5])
    with pytest.raises(RuntimeError, match="MemoryBudgetError") as caught:
        server.run(graph.prompt)
    message = str(caught.value)
    assert "stay on the device, the budget is 256.0 MiB" in message
    assert "verdict: FAIL" in message
    # The same budget only warns when it is told to.
    graph.prompt[node.name]["inputs"]["on_violation"] = "warn"
    outputs = server.run(graph.prompt)
    assert "verdict: FAIL" in text_of(outputs, node.name)


def test_after_an_offload_the_vae_decodes_bit_for_bit_the_same(server):
    graph = Graph()
    images = graph.add("ProbeFrames", frames=1, height=64, width=64)[0]
    vae = graph.vae()
    latent = graph.add("VAEEncode", pixels=images, vae=vae)[0]
    before = graph.add("VAEDecode", samples=latent, vae=vae)[0]
    graph.save("before_offload", images=before)
    settings = {**CHECKPOINT, "action": "offload"}
    node = graph.add("MemoryCheckpoint", anything=before, vae=vae, **settings)
    same = graph.add("VAEDecode", samples=latent, vae=node[3])[0]
    graph.save("after_offload", images=same)
    server.run(graph.prompt)
    output = server.base / "output"
    first, second = (
        (output / f"{name}.safetensors").read_bytes()
        for name in ("before_offload", "after_offload")
    )
    assert first == second


def test_a_report_of_two_phases_is_written_as_four_files(server):
    graph = Graph()
    images = graph.add("ProbeFrames", frames=1, height=64, width=64)[0]
    one = graph.add("MemoryCheckpoint", anything=images, **{**CHECKPOINT, "phase": "one"})
    two = graph.add("MemoryCheckpoint", anything=one[0], **{**CHECKPOINT, "phase": "two"})
    report = graph.add("MemoryReport", anything=two[0], name="../run", clear=True)
    outputs = server.run(graph.prompt)
    text = text_of(outputs, report.name)
    assert "phase 'one'" in text
    assert "phase 'two'" in text
    written = re.search(r"written: (.*)", text).group(1).split(", ")
    folder = server.base / "output" / "memory"
    assert [Path(name).suffix for name in written] == [".json", ".csv", ".txt", ".html"]
    data = json.loads((folder / written[0]).read_text())
    assert [phase["name"] for phase in data["phases"]][-2:] == ["one", "two"]
    assert data["entries"][-1]["data"]["prompt"], "the checkpoints are there, with their prompt"
    shown = (folder / written[3]).read_text()
    assert "<svg" in shown
    assert "main memory, this process" in shown
    assert re.search("[▁▂▃▄▅▆▇█]", text), "a line of bars on the node"
    peak = data["phases"][-1]["channels"]["ram"]["peak"]
    assert peak <= meminfo("MemTotal")
    lines = (folder / written[1]).read_text().splitlines()
    assert lines[0].startswith("seconds,driver_used")
    assert all(line.split(",")[1] == "" for line in lines[1:50]), "no driver here: empty, not 0"
    assert not list((server.base / "output").glob("run*")), "a name cannot leave the folder"


@pytest.mark.parametrize(("theme", "paper"), [("dark", (20, 23, 28)), ("light", (255, 255, 255))])
def test_the_report_node_shows_a_plot(server, theme, paper):
    """As the editor gets it: the picture named in the node's output, fetched from the server."""
    graph = Graph()
    images = graph.add("ProbeFrames", frames=1, height=64, width=64)[0]
    one = graph.add("MemoryCheckpoint", anything=images, **{**CHECKPOINT, "phase": "one"})
    latent = graph.add("VAEEncode", pixels=one[0], vae=graph.vae())[0]
    report = graph.add("MemoryReport", anything=latent, name="plot", clear=True, plot=theme)
    before = set((server.base / "output").rglob("*.png"))
    shown = server.run(graph.prompt)[report.name]
    (entry,) = shown["images"]
    assert entry["type"] == "temp" and shown["text"]
    query = f"filename={entry['filename']}&subfolder={entry['subfolder']}&type={entry['type']}"
    url = f"{server.address}/view?{query}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.headers["Content-Type"] == "image/png"
        picture = Image.open(io.BytesIO(answer.read())).convert("RGB")
    assert picture.size == (1280, 680) and picture.getpixel((3, 3)) == paper
    # The line of main memory, in its own colour.
    line = (0xA0, 0xAE, 0xC0) if theme == "dark" else (0x6B, 0x72, 0x80)
    columns = [
        x for x in range(140, 1236)
        if any(
            all(abs(a - b) < 24 for a, b in zip(picture.getpixel((x, y)), line, strict=True))
            for y in range(172, 540)
        )
    ]  # fmt: skip
    assert len(columns) > 1000, "a line across the plot"
    assert set((server.base / "output").rglob("*.png")) == before, "the picture is only shown"


def test_reserve_and_private_modules_are_inputs_of_a_checkpoint(server):
    graph = Graph()
    images = graph.add("ProbeFrames", frames=1, height=64, width=64)[0]
    more = {"action": "offload", "reserve_gib": 1.5, "private_modules": "NoSuchModel, VideoVAE"}
    node = graph.add("MemoryCheckpoint", anything=images, **{**CHECKPOINT, **more})
    shown = graph.add("PreviewAny", source=node[5]).name
    text = text_of(server.run(graph.prompt), shown)
    assert "TrueTile's plans keep 1.50 GiB free in this phase" in text
    assert "private module 'NoSuchModel': none is alive" in text
    assert "pinned by torch not available" in text


def scene(graph: Graph, leak: int) -> str:
    """A decode with a checkpoint behind it; the name of the node that shows the report."""
    images = graph.add("ProbeFrames", frames=1, height=64, width=64)[0]
    vae = graph.vae()
    latent = graph.add(
        "VAEEncode", pixels=graph.add("ProbeLeak", images=images, mib=leak)[0], vae=vae
    )
    decoded = graph.add("VAEDecode", samples=latent[0], vae=vae)[0]
    settings = {**CHECKPOINT, "phase": "scene", "action": "offload"}
    node = graph.add("MemoryCheckpoint", anything=decoded, **settings)
    graph.save("scene", images=node[0])
    return graph.add("PreviewAny", source=node[5]).name


def test_a_new_model_in_each_scene_is_no_leak_and_does_not_hide_one(server):
    """Four models for the first time, one a prompt, each kept; then a leak beside four more."""

    def said(name: str, leak: int) -> str:
        graph = Graph()
        images = graph.add("ProbeFrames", frames=1, height=64, width=64)[0]
        images = graph.add("ProbeLeak", images=images, mib=leak)[0]
        model = graph.add("ProbeModel", images=images, name=name, mib=200)[0]
        settings = {**CHECKPOINT, "phase": "new models"}
        node = graph.add("MemoryCheckpoint", anything=images, model=model, **settings)
        shown = graph.add("PreviewAny", source=node[5]).name
        return text_of(server.run(graph.prompt), shown)

    before = resident(server._process.pid)
    quiet = [said(f"first {i}", 0) for i in range(4)]
    assert resident(server._process.pid) - before > 700 * 2**20, "the models are really there"
    assert "memory grows" not in "".join(quiet), quiet
    loud = [said(f"second {i}", 200) for i in range(4)]
    assert any("memory grows" in text for text in loud[:3]), loud
    assert "ProbeLeak" in loud[3]
    graph = Graph()
    images = graph.add("ProbeFrames", frames=1, height=64, width=64)[0]
    images = graph.add("ProbeLeak", images=images, mib=0)[0]
    model = graph.add("ProbeModel", images=images, name="none", mib=0)[0]
    graph.add("PreviewAny", source=model)
    server.run(graph.prompt)


@pytest.mark.slow
def test_twenty_scenes_are_flat_and_then_a_leak_is_named_by_the_third(server):
    """The witness of flatness is the kernel's figure of the server's process."""
    graph = Graph()
    shown = scene(graph, leak=0)
    sizes, pictures = [], set()
    for _ in range(20):
        outputs = server.run(graph.prompt)
        assert "memory grows" not in text_of(outputs, shown)
        sizes.append(resident(server._process.pid))
        pictures.add((server.base / "output" / "scene.safetensors").read_bytes())
    assert len(pictures) == 1, "twenty equal outputs"
    assert max(sizes[4:]) - sizes[4] < 64 * 2**20, sizes
    graph = Graph()
    shown = scene(graph, leak=200)
    said = [text_of(server.run(graph.prompt), shown) for _ in range(3)]
    assert "memory grows" in said[2]
    assert "ProbeLeak" in said[2], said[2]
    graph = Graph()
    scene(graph, leak=0)
    server.run(graph.prompt)
