"""`truetile run` with a real ComfyUI: crashes of either side, caches, comparisons, leaks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from prompts import VAE_NAME, Graph
from server import DEMO_VAE, PACK_NAME, REPOSITORY, environment, python_of_comfyui

ARGV = [sys.executable, "-m", "truetile.cli", "run"]


def start(*argv: object) -> subprocess.Popen:
    return subprocess.Popen(
        [*ARGV, *map(str, argv)],
        cwd=REPOSITORY,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(*argv: object, expected: int = 0) -> str:
    process = start(*argv)
    said, _ = process.communicate(timeout=400)
    assert process.returncode == expected, said
    return said


def scene(name: str, frames: int, size: int, leak: int = 0) -> dict:
    graph = Graph()
    images = graph.add("ProbeFrames", frames=frames, height=size, width=size)[0]
    if leak:
        images = graph.add("ProbeLeak", images=images, mib=leak)[0]
    vae = graph.vae()
    latent = graph.add("VAEEncode", pixels=images, vae=vae)[0]
    graph.save(name, images=graph.add("VAEDecode", samples=latent, vae=vae)[0])
    return graph.prompt


def write(folder: Path, **prompts: dict) -> str:
    folder.mkdir(exist_ok=True)
    for name, prompt in prompts.items():
        (folder / f"{name}.json").write_text(json.dumps(prompt))
    return f"{folder}/*.json"


def journal(out: Path) -> dict:
    with contextlib.suppress(OSError, ValueError):
        return json.loads((out / "journal.json").read_text())
    return {"scenes": {}, "server": None}


def wait_for(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def began(out: Path, name: str) -> bool:
    return name in journal(out)["scenes"]


def baseline(out: Path) -> dict:
    return json.loads((out / "baseline.json").read_text())


def test_a_killed_runner_resumes_and_loses_no_scene(server, tmp_path) -> None:
    """Killed while the second of three runs: the first is kept, the second found again."""
    out, url = tmp_path / "out", server.address
    long = {"frames": 17, "size": 256}
    scenes = write(
        tmp_path / "scenes", a=scene("a", 1, 96), b=scene("b", **long), c=scene("c", 1, 112)
    )
    before = set(server.get("/history"))
    runner = start(scenes, "--server", url, "--out", out)
    wait_for(lambda: began(out, "b") and server.get("/queue")["queue_running"])
    runner.kill()
    runner.communicate()
    kept = journal(out)["scenes"]
    assert kept["a"]["result"]["status"] == "success" and kept["b"]["result"] is None
    said = run(scenes, "--server", url, "--out", out)
    assert "resuming a run that did not end" in said and "1/3 a: done before" in said
    new = [entry for name, entry in server.get("/history").items() if name not in before]
    tags = sorted(entry["prompt"][3]["truetile"].split("/")[1] for entry in new)
    assert tags == ["a", "b", "c"], "nothing was queued twice"
    data = baseline(out)
    assert [s["name"] for s in data["scenes"]] == ["a", "b", "c"]
    assert [s["found_again"] for s in data["scenes"]] == [False, True, False]
    assert data["scenes"][0] == kept["a"]["result"] | {
        "process_after": data["scenes"][0]["process_after"]
    }
    assert data["scenes"][1]["seconds"] > 0.5
    assert not (out / "journal.json").exists()
    page = (out / "baseline.md").read_text()
    assert "not measured: it ended while the runner was away" in page


def test_cached_outputs_are_told_apart_and_runs_compared(server, tmp_path) -> None:
    out, url = tmp_path / "out", server.address
    scenes = write(tmp_path / "scenes", x=scene("x", 5, 128), y=scene("y", 1, 144))
    said = run(scenes, "--repeat", 2, "--server", url, "--out", out)
    assert "2/4 x#2: 0.0 s, every output from the cache" in said
    data = baseline(out)
    kinds = {s["name"]: s["kind"] for s in data["scenes"]}
    assert kinds == {"x": "real", "x#2": "cached", "y": "real", "y#2": "cached"}
    assert data["totals"]["cached"] == 2 and data["comparison"] is None
    for entry in data["scenes"]:
        memory = entry["memory"]
        assert 0 < memory["free_min"] <= memory["free_mean"] <= memory["free_peak"]
        assert memory["free_peak"] < memory["total"]
    assert data["criteria"]["in_a_row"] == {"met": False, "value": 2}
    assert data["criteria"]["seconds"]["met"] is True
    # ComfyUI still has the last one in its cache.
    run(tmp_path / "scenes" / "y.json", "--server", url, "--out", out)
    compared = baseline(out)["comparison"]
    assert compared["run"] == data["run"], "with the run before"
    assert compared["seconds"] is None, "no time of a cached scene is compared"
    run(scenes, "--server", url, "--out", out)
    compared = {s["name"]: s for s in baseline(out)["comparison"]["scenes"]}
    assert compared["y"]["seconds_before"] is None
    page = (out / "baseline.md").read_text()
    assert "## Against the run of" in page
    assert len(list((out / "baselines").glob("*.json"))) == 3, "earlier ones are kept"


def test_failed_scenes_do_not_stop_the_others(server, tmp_path) -> None:
    out, url = tmp_path / "out", server.address
    refused = {"1": {"class_type": "NoSuchNode", "inputs": {}}}
    broken = scene("b", 1, 96)
    broken["1"]["inputs"]["frames"] = 4096
    broken["1"]["inputs"]["height"] = broken["1"]["inputs"]["width"] = 4096
    scenes = write(tmp_path / "scenes", a=refused, b=broken, c=scene("c", 1, 208))
    said = run(scenes, "--server", url, "--out", out, expected=1)
    assert "1/3 a: FAILED: ComfyUI refuses the prompt: " in said and "NoSuchNode" in said
    assert "2/3 b: FAILED: node 1 (ProbeFrames): " in said
    assert "3/3 c: " in said and baseline(out)["totals"]["succeeded"] == 1


@pytest.fixture
def base(tmp_path) -> Path:
    folder = tmp_path / "base"
    for name in ("models/vae", "input", "output", "temp", "user", "custom_nodes"):
        (folder / name).mkdir(parents=True)
    (folder / "custom_nodes" / PACK_NAME).symlink_to(REPOSITORY, target_is_directory=True)
    probes = Path(__file__).parent / "probe_pack"
    (folder / "custom_nodes" / "probe_pack").symlink_to(probes, target_is_directory=True)
    (folder / "models" / "vae" / VAE_NAME).symlink_to(DEMO_VAE)
    return folder


@pytest.mark.slow
def test_a_server_of_its_own_through_crashes_and_a_leak(comfyui, base, tmp_path) -> None:
    """The server is killed in a scene, then the runner; then 200 MiB a scene leak."""
    out = tmp_path / "out"
    flags = f"--cpu --base-directory {base} --disable-api-nodes --database-url sqlite:///:memory:"
    flags += " " + os.environ.get("COMFYUI_FLAGS", "")
    own = ["--comfyui", comfyui, "--python", python_of_comfyui(), f"--flags={flags}"]
    leaks = {f"c{i}": scene(f"c{i}", 1, 96 + 16 * i, leak=200) for i in range(4)}
    long = scene("long", 17, 256)
    scenes = write(tmp_path / "scenes", a=scene("a", 1, 96), b=long, **leaks)
    runner = start(scenes, *own, "--out", out)
    try:
        wait_for(lambda: began(out, "b"))
        first = journal(out)["server"]["pid"]
        os.killpg(first, signal.SIGKILL)
        wait_for(lambda: (journal(out)["server"] or {"pid": first})["pid"] != first)
        wait_for(lambda: journal(out)["scenes"]["b"]["result"])
    finally:
        runner.kill()
        runner.communicate()
    second = journal(out)["server"]["pid"]
    os.kill(second, 0)  # it outlives the runner
    said = run(scenes, *own, "--out", out)
    assert "1/6 a: done before\n2/6 b: done before" in said
    data = baseline(out)
    assert all(s["status"] == "success" for s in data["scenes"])
    notes = " ".join(data["notes"])
    assert "b: ComfyUI ended while the scene ran" in notes or "b: ComfyUI did not answer" in notes
    assert "memory grows" in notes and "ProbeLeak" in notes and "ComfyUI is restarted" in notes
    held = [s["process_after"] for s in data["scenes"][2:]]
    drops = [before - after for before, after in pairwise(held)]
    assert max(drops) > 300 * 2**20, "a restart has brought it back"
    assert sum(drop > 0 for drop in drops) == 1, "and it was needed once"
    with pytest.raises(ProcessLookupError):
        os.killpg(second, 0)
