"""The memory commands against a running ComfyUI."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prompts import Graph
from server import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests" / "python" / "memory_cli"))

import terminal

from truetile.watch.client import Client, Refused


def truetile(*argv: str, timeout: float = 120) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "truetile.cli", *argv]
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout, check=False
    )


def meminfo(key: str) -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":"))


@pytest.fixture
def url(server) -> str:
    return server.address


def long_prompt() -> dict:
    """Some seconds of work that no cache has."""
    graph = Graph()
    images = graph.add("ProbeFrames", frames=9, height=256, width=256)[0]
    vae = graph.vae()
    leak = graph.add("ProbeLeak", images=images, mib=0)[0]
    latent = graph.add("VAEEncode", pixels=leak, vae=vae)[0]
    graph.save("long", images=graph.add("VAEDecode", samples=latent, vae=vae)[0])
    return graph.prompt


def test_watch_reads_what_the_kernel_says(url) -> None:
    done = truetile("memory", "watch", "--server", url, "--count", "1")
    assert done.returncode == 0, done.stderr
    used, free, total = (
        float(number) * 2**30
        for number in re.search(
            r"used ([\d.]+) GiB, free ([\d.]+) GiB, total ([\d.]+) GiB", done.stdout
        ).groups()
    )
    assert abs(total - meminfo("MemTotal")) < 2**28
    assert abs(free - meminfo("MemAvailable")) < 2**30
    assert abs(used - (total - free)) < 2**26
    assert "[ComfyUI] (main memory)" in done.stdout and "torch reserved" not in done.stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_of_a_real_server(url, columns) -> None:
    frames, code, _ = terminal.watch(["--server", url, "--interval", "0.1"], columns, 24, frames=3)
    page = frames[2]
    assert code == 0 and page[2] == "main memory  [ComfyUI]"
    assert all(len(line) <= columns for line in page)
    used, total = (
        float(number) * 2**30
        for number in re.search(
            r"used +([\d.]+) GiB +\d+% of ([\d.]+) GiB, highest seen", page[3]
        ).groups()
    )
    assert abs(total - meminfo("MemTotal")) < 2**28
    assert abs(used - (meminfo("MemTotal") - meminfo("MemAvailable"))) < 2**30
    assert re.fullmatch(r"  [▁▂▃▄▅▆▇█]{3}", page[5])
    assert sum("main memory" in line for line in page) == 1, "not once more as RAM"


def test_repair_tells_each_step(url) -> None:
    done = truetile("memory", "repair", "--server", url)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^main memory: [\d.]+ GiB free$", done.stdout, re.MULTILINE)
    for step in ("collect garbage", "release cast buffers", "empty torch's cache"):
        assert re.search(rf"  {step}: free [\d.]+ GiB -> [\d.]+ GiB \(gained ", done.stdout)


def test_a_goal_that_is_met_needs_no_step_and_one_that_is_not_fails(url) -> None:
    done = truetile("memory", "repair", "--server", url, "--goal", "0.01")
    assert done.returncode == 0 and "nothing had to be done" in done.stdout
    done = truetile("memory", "repair", "--server", url, "--goal", "1000")
    assert done.returncode == 1
    assert "NOT met" in done.stdout and "a restart does not help" in done.stdout


def test_the_doctor_shows_the_settings_of_the_servers_process(url) -> None:
    done = truetile("doctor", "--server", url)
    assert done.returncode == 0, done.stderr
    ours, _, theirs = done.stdout.partition(f"ComfyUI at {url}: main memory\n")
    assert "torch " in ours and theirs.splitlines()[0] == (
        "  torch's allocator: none, main memory is the device"
    )


def test_a_running_prompt_is_not_disturbed(server, url) -> None:
    """Refused while it runs; with wait done after it, and before the next prompt."""
    first = server.queue(long_prompt())
    second = server.queue(long_prompt())
    done = truetile("memory", "repair", "--server", url)
    assert done.returncode == 1
    assert "a prompt is running or waiting" in done.stderr and done.stderr.count("\n") == 1
    answers: list = []
    waiting = threading.Thread(
        target=lambda: answers.append(
            Client(url).post(
                "/truetile/memory/growth", {"wait": True, "place": "a test"}, timeout=120
            )
        )
    )
    waiting.start()
    entries = [server.wait(name) for name in (first, second)]
    waiting.join(60)
    assert [entry["status"]["status_str"] for entry in entries] == ["success", "success"]
    assert answers and answers[0]["own_bytes"] > 2**26


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("repair", {"goal": -1}),
        ("repair", {"goal": "x"}),
        ("phase", {"end": 10**6}),
        ("repair", []),
    ],
)
def test_nonsense_is_refused(url, path, body) -> None:
    with pytest.raises(Refused) as caught:
        Client(url).post(f"/truetile/memory/{path}", body)
    assert caught.value.status == 400 and "must be" in str(caught.value)


def test_a_phase_from_outside(server, url) -> None:
    client = Client(url)
    phase = client.post("/truetile/memory/phase", {"begin": "outside"})["id"]
    server.run(long_prompt())
    data = client.post("/truetile/memory/phase", {"end": phase})
    assert data["name"] == "outside" and data["samples"] > 10
    assert data["channels"]["ram"]["peak"] > 2**26
    assert data["channels"]["driver_used"]["peak"] is None
