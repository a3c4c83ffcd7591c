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
from truetile.memory.growth import GrowthWatcher, kept_bytes
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


def watch(watcher, device, manager, place="scene"):
    held = memory.holdings(device, [manager])
    return watcher.see(place, device, memory.take_account(device, held), held)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("backend", ["native", "cudaMallocAsync"])
def test_models_that_are_new_in_each_scene_are_no_leak(backend, dynamic):
    """Five models for the first time, one a scene, each left on the card."""
    device = SimulatedDevice(backend, total=64 * GIB)
    manager, watcher = SimulatedManager(), GrowthWatcher()
    for scene in range(5):
        model = SimulatedModel(device, f"model {scene}", (scene + 1) * GIB, dynamic)
        manager.listed.append(model.load())
        manager.cast_buffers.append(device.allocate(100 * MIB))
        used = device.allocate((scene + 1) * 200 * MIB)  # what torch then keeps unused
        del used
        assert watch(watcher, device, manager) is None, scene


def test_a_leak_beside_new_models_and_beside_ones_that_go_is_named_by_the_third():
    for sizes in ([1, 2, 3], [3, 2, 1]):
        device, watcher = SimulatedDevice(total=64 * GIB), GrowthWatcher()
        said = []
        for scene, size in enumerate(sizes):
            model = SimulatedModel(device, f"model {scene}", size * GIB).load()
            manager = SimulatedManager(model)  # the one before has gone with its weights
            kept.append(device.allocate(200 * MIB))
            said.append(watch(watcher, device, manager))
        assert said[:2] == [None, None]
        assert said[2].bytes_per_run == 200 * MIB
        assert any("test_repair" in owner.name for owner in said[2].suspects), str(said[2])
        kept.clear()


def test_models_that_no_manager_can_move_any_more_are_a_leak():
    device, manager, watcher = SimulatedDevice(), SimulatedManager(), GrowthWatcher()
    said = []
    for scene in range(3):
        model = SimulatedModel(device, f"copy {scene}", 512 * MIB).load()
        model.leaked = True
        manager.listed.append(model)
        said.append(watch(watcher, device, manager))
    assert said[:2] == [None, None] and said[2].bytes_per_run == 512 * MIB


def test_unused_blocks_count_as_kept_only_where_they_are_stranded():
    for backend, stranded in (("native", 90 * MIB), ("cudaMallocAsync", 0)):
        device = SimulatedDevice(backend)
        account = memory.take_account(device, memory.holdings(device, []))
        before = kept_bytes(account, memory.holdings(device, []), device.stranded())
        between = []
        for _ in range(5):
            kept.append(device.allocate(2 * MIB))
            between += [device.allocate(2 * MIB) for _ in range(9)]
        between.clear()
        held = memory.holdings(device, [])
        after = kept_bytes(memory.take_account(device, held), held, device.stranded())
        assert after - before == 10 * MIB + stranded
        kept.clear()


def test_without_the_drivers_table_of_processes_torchs_tensors_are_still_followed():
    """Windows and WSL2 do not tell the memory of a process."""
    device, manager, watcher = SimulatedDevice(nvml=False), SimulatedManager(), GrowthWatcher()
    said = []
    for _ in range(3):
        kept.append(device.allocate(200 * MIB))
        said.append(watch(watcher, device, manager))
    assert said[:2] == [None, None] and said[2].bytes_per_run == 200 * MIB


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


def test_no_setting_is_in_force_without_a_device():
    found = allocator.settings("ram", {"PYTORCH_ALLOC_CONF": "expandable_segments:True"})
    assert str(found).splitlines() == [
        "torch's allocator: none, main memory is the device",
        "  PYTORCH_ALLOC_CONF=expandable_segments:True",
        "  expandable_segments:True: NOT in force: there is no CUDA device",
    ]


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
