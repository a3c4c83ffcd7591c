"""The HTML page, the line of bars, private modules by name, small tensors, the reserve."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from simulated import GIB, MIB, SimulatedDevice, SimulatedManager, SimulatedModel

from truetile import memory
from truetile.memory import allocator, page, private
from truetile.memory.core import CHANNELS

KEPT: list = []


class Detector(torch.nn.Module):
    """A custom node's model of many small layers."""

    def __init__(self, device: SimulatedDevice, layers: int = 512) -> None:
        super().__init__()
        self.layers = [device.allocate(MIB // 2) for _ in range(layers)]


class Movable(torch.nn.Module):
    """Says what it was told; its weights are on the device until then."""

    def __init__(self, device: SimulatedDevice) -> None:
        super().__init__()
        self.held = device.allocate(GIB)
        self.inner = torch.nn.Linear(2, 2)

    def to(self, *_):
        self.held = None
        return self


def timeline(seconds: int = 3000) -> dict:
    """One reading each 20 ms, one spike of a single reading in the last phase."""
    device = memory.RamDevice()
    monitor = memory.Monitor(device)
    for name in ("encode <b>", "decode"):
        monitor.begin_phase(name)
        monitor.end_phase()
    data = monitor.timeline()
    row = [None] * len(CHANNELS)
    data["samples"] = []
    for i in range(seconds):
        row[CHANNELS.index("driver_used")] = 9 * GIB if i == seconds - 7 else 4 * GIB
        data["samples"].append([i * 0.02, *row])
    return data


def test_the_page_is_one_file_and_escapes_names():
    text = page.html(timeline(), "report <i>")
    assert "http" not in text.replace("http-equiv", "")
    assert "encode &lt;b&gt;" in text
    assert "report &lt;i&gt;" in text
    assert "<b>" not in text
    assert "prefers-color-scheme:dark" in text


def test_a_spike_of_one_reading_stays_in_the_plot():
    drawn = ElementTree.fromstring(page.svg(timeline(9000)))
    path = next(p for p in drawn.iter("path") if "line" in p.get("class")).get("d")
    heights = [float(point.split()[1]) for point in re.split("[ML]", path)[1:]]
    assert len(heights) <= 1300
    assert heights.count(min(heights)) == 1
    assert "█" in page.sparkline(timeline(9000))


def test_a_channel_without_readings_is_no_line():
    text = page.html(timeline())
    assert 'class="line driver_used"' in text
    assert 'class="line torch_allocated"' not in text
    empty = timeline() | {"samples": []}
    assert "No reading was taken" in page.html(empty)
    assert page.sparkline(empty) == ""


def offload(device: SimulatedDevice, manager: SimulatedManager, **request) -> memory.Outcome:
    request = memory.Request(**{"action": "all", **request})
    return memory.offload(device, request, [manager], sleep=lambda seconds: None)


def test_a_leak_of_many_small_tensors_is_named():
    device = SimulatedDevice()
    KEPT.append(Detector(device))
    try:
        outcome = offload(device, SimulatedManager())
        assert outcome.verdict.outcome == "fail"
        holder = outcome.verdict.holders[0]
        assert (holder.name, holder.bytes) == ("512 small tensors", 256 * MIB)
        assert "Detector" in holder.why
        rest = {part.name: part.bytes for part in outcome.account.parts}
        assert rest["torch tensors of no known owner"] == 0
    finally:
        KEPT.clear()


def test_an_offload_of_nothing_says_so():
    device = SimulatedDevice()
    words = "no managed model was on the device"
    assert words in memory.outcome_text(offload(device, SimulatedManager()))
    manager = SimulatedManager(SimulatedModel(device, "VAE", GIB).load())
    assert words not in memory.outcome_text(offload(device, manager))


def test_a_private_module_moves_when_it_is_named():
    device = SimulatedDevice()
    movable = Movable(device)
    assert offload(device, SimulatedManager()).verdict.outcome == "fail"
    (found,), missing = private.find(private.names_in("module Movable, Nobody"))
    assert found is movable
    assert missing == ["Nobody"]
    assert offload(device, SimulatedManager(), private=(found,)).verdict.outcome == "pass"


def test_parts_of_managed_models_are_left_to_their_manager():
    model = Movable(SimulatedDevice())
    assert private.find(["Movable"], [id(model)]) == ([], ["Movable"])
    found, _ = private.find(["Movable", "Linear"])
    assert model in found
    assert model.inner not in found, "it moves with the whole"
    assert private.find([]) == ([], [])


def test_the_larger_reserve_counts():
    before = allocator.set_reserve(2 * GIB)
    try:
        assert allocator.reserve_bytes({}) == 2 * GIB
        assert allocator.reserve_bytes({"TRUETILE_RESERVE_GIB": "3"}) == 3 * GIB
        assert allocator.set_reserve(0) == 2 * GIB
    finally:
        allocator.set_reserve(before)


@pytest.mark.parametrize("pinned", [None, 3 * GIB])
def test_pinned_memory_stands_beside_the_account(monkeypatch, pinned):
    now = memory.describe.ram.Ram(64 * GIB, 32 * GIB, 8 * GIB, pinned)
    text = memory.describe.ram_text(now)
    assert "this process 8.00 GiB" in text
    assert ("pinned by torch not available" in text) == (pinned is None)
    assert ("pinned by torch 3.00 GiB" in text) == (pinned is not None)
