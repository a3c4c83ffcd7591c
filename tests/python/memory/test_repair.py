"""The repair ladder, growth from run to run, and what allocator settings are worth."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from simulated import GIB, MIB, SimulatedDevice, SimulatedManager, SimulatedModel

from truetile import memory
from truetile.memory import allocator
from truetile.memory.growth import GrowthWatcher
from truetile.memory.repair import repair

kept: list = []


@pytest.fixture(autouse=True)
def nothing_kept():
    yield
    kept.clear()
    gc.collect()


def build():
    device = SimulatedDevice(total=24 * GIB)
    model = SimulatedModel(device, "WAN21", 8 * GIB).load()
    manager = SimulatedManager(model)
    slack = device.allocate(4 * GIB)
    del slack
    manager.cast_buffers.append(device.allocate(GIB))
    return device, manager


def test_it_stops_at_the_first_step_that_is_enough():
    device, manager = build()
    found = repair(device, 14 * GIB, [manager])
    assert found.met
    assert [step.name for step in found.steps][-1] == "empty torch's cache"
    assert found.steps[-1].gained == 5 * GIB, "slack, and the cast buffer released before"
    assert manager.listed[0].weights, "the model was left alone"
    assert not found.restart


def test_it_goes_on_to_unload_when_it_must():
    device, manager = build()
    found = repair(device, 22 * GIB, [manager])
    assert found.met
    assert found.steps[-1].name == "unload all models"
    assert not manager.listed[0].weights


def test_a_goal_that_is_met_costs_nothing():
    device, manager = build()
    assert repair(device, GIB, [manager]).steps == ()
    assert manager.cast_buffers


def test_it_says_when_only_a_restart_helps_and_who_is_left():
    device, manager = build()
    kept.append(device.allocate(3 * GIB))
    found = repair(device, 22 * GIB, [manager])
    assert not found.met
    assert any(owner.bytes == 3 * GIB for owner in found.left)
    assert "a restart of ComfyUI would free" in found.restart
    kept.clear()
    device.others[5] = 6 * GIB
    found = repair(device, 22 * GIB, [manager])
    assert "other programs hold it" in found.restart
    assert "NOT met" in str(found)


def test_a_leak_of_200_mb_a_scene_is_named_by_the_third():
    device, manager = build()
    watcher, said = GrowthWatcher(), []
    for _ in range(3):
        kept.append(device.allocate(200 * MIB))
        memory.offload(device, memory.Request("all"), [manager], sleep=lambda seconds: None)
        held = memory.holdings(device, [manager])
        account = memory.take_account(device, held)
        said.append(watcher.see("scene", device, account, held))
        del held
    assert said[:2] == [None, None]
    assert said[2].bytes_per_run == 200 * MIB
    assert any("test_repair" in owner.name for owner in said[2].suspects), str(said[2])


def test_twenty_flat_scenes_raise_no_alarm():
    device, manager = build()
    watcher = GrowthWatcher()
    for scene in range(20):
        manager.listed[0].load()
        device.context += MIB * (scene % 3)
        memory.offload(device, memory.Request("all"), [manager], sleep=lambda seconds: None)
        held = memory.holdings(device, [manager])
        assert watcher.see("scene", device, memory.take_account(device, held), held) is None


def test_the_advised_settings_do_nothing_on_the_usual_backend():
    """The line of the first report, on ComfyUI's default allocator."""
    text = "max_split_size_mb:256,,garbage_collection_threshold:0.8,backend:cudaMallocAsync"
    found = allocator.settings("cudaMallocAsync", {"PYTORCH_CUDA_ALLOC_CONF": text})
    state = {option.name: option.in_force for option in found.options}
    assert state == {
        "max_split_size_mb": False,
        "garbage_collection_threshold": False,
        "backend": True,
        "(empty)": False,
    }
    assert "--disable-cuda-malloc" in str(found)
    native = allocator.settings("native", {"PYTORCH_ALLOC_CONF": "expandable_segments:True"})
    assert native.options[0].in_force
    dynamic = allocator.settings(
        "native", {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}, dynamic_vram=True
    )
    assert "ComfyUI removes it" in str(dynamic)


def test_brackets_keep_their_commas():
    assert allocator.parse("roundup_power2_divisions:[256:1,512:2],x:1") == [
        ("roundup_power2_divisions", "[256:1,512:2]"),
        ("x", "1"),
    ]


@pytest.mark.parametrize("text", ["ten", "-1", "nan", "5000"])
def test_a_bad_reserve_is_named(text):
    with pytest.raises(ValueError, match=f"TRUETILE_RESERVE_GIB={text}: must be a number"):
        allocator.reserve_bytes({"TRUETILE_RESERVE_GIB": text})
    assert allocator.reserve_bytes({"TRUETILE_RESERVE_GIB": "1.5"}) == 3 * 2**29
    assert allocator.reserve_bytes({}) == 0
