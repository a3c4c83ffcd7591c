"""Verified offload on a simulated device: budgets, clean runs, and what cannot be proven."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves siblings out

from offload_cases import BACKENDS, build, run
from simulated import GIB, MIB, SimulatedDevice, SimulatedManager, SimulatedModel

from truetile import memory


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_process_that_holds_4_gib_is_named(backend):
    device, manager = build(backend)
    device.others[4242] = 4 * GIB
    outcome = run(device, manager, must_be_free=22 * GIB)
    assert outcome.verdict.outcome == "fail"
    assert outcome.verdict.holders[0].name == "server (pid 4242)"
    assert outcome.verdict.holders[0].bytes == 4 * GIB


@pytest.mark.parametrize("action", ["all", "all_but", "models", "bytes", "none"])
@pytest.mark.parametrize("drift", [0, 3 * GIB])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_clean_offload_passes(backend, action, drift):
    """Twenty cases without a leak; in half of them another program takes memory meanwhile."""
    device, manager = build(backend, dynamic=backend != "native")
    device.on_synchronize = lambda: device.others.update({77: drift} if drift else {})
    wan, text = manager.models(device)
    keys = (wan.key,) if action in ("all_but", "models") else ()
    outcome = run(device, manager, action=action, models=keys, count=GIB)
    assert outcome.verdict.outcome == "pass", memory.outcome_text(outcome)
    assert not outcome.verdict.holders
    assert outcome.first is None, "no second reading where the first one proves it"
    left = {model.name: model.resident for model in manager.models(device)}
    stay = {"all": [], "all_but": ["WAN21"], "models": ["T5"], "bytes": ["T5"]}
    for name in stay.get(action, ["WAN21", "T5"]):
        assert left[name] > 0
    assert sum(count > 0 for count in left.values()) == len(stay.get(action, left))
    assert outcome.account.unknown == device.overhead
    assert text.name == "T5"


def test_r5_offload_is_verified():
    """R5: 33.4 GB stay while the report says "optimised". Dynamic pages fool torch's counters."""
    device = SimulatedDevice("cudaMallocAsync", total=48 * GIB)
    model = SimulatedModel(device, "WAN22", 33 * GIB, dynamic=True).load()
    model.pinned = 33 * GIB
    outcome = run(device, SimulatedManager(model))
    assert device.allocated == 0, "torch alone sees nothing"
    assert outcome.verdict.outcome == "fail"
    assert outcome.verdict.holders[0].name == "WAN22 (dynamic pages)"
    model.pinned = 0
    assert run(device, SimulatedManager(model)).ok


@pytest.mark.parametrize(
    ("phase", "budget", "load"),
    [("after text encoding", GIB, 0), ("after LoRA offload", 5 * GIB, 4 * GIB),
     ("before VAE encode", 2 * GIB, GIB), ("VAE encode", 5 * GIB, 4 * GIB),
     ("single frame", 2 * GIB, GIB)],
)  # fmt: skip
def test_r5_budgets_per_phase(phase, budget, load):
    """R5's budgets: kept they pass; broken they fail and name who is over."""
    device, manager = build()
    run(device, manager)
    own = device.allocate(load) if load else None
    tensors = (own,) if own is not None else ()
    outcome = run(device, manager, may_stay=budget, own_tensors=tensors)
    assert outcome.verdict.outcome == "pass", f"{phase}: {memory.outcome_text(outcome)}"
    more = device.allocate(budget - load + 4 * MIB)
    outcome = run(device, manager, may_stay=budget, own_tensors=tensors)
    assert outcome.verdict.outcome == "fail"
    assert any("stay on the device" in note for note in outcome.verdict.notes)
    del more


def test_r5_clean_transitions():
    """Seven phases that each load and leave a model end where they began."""
    device, manager = build()
    run(device, manager)
    begin = device.readings().driver_used
    for _ in range(7):
        for model in manager.listed:
            model.load()
        manager.cast_buffers.append(device.allocate(100 * MIB))
        assert run(device, manager).ok
        assert device.readings().driver_used == begin


@pytest.mark.parametrize("nvml", [True, False])
def test_r5_reports_are_truthful(nvml):
    """Every figure of the report is the simulated device's own; what it hides is not called 0."""
    device, manager = build()
    device.nvml = nvml
    device.others[9] = 2 * GIB
    outcome = run(device, manager, action="none")
    now = device.readings()
    assert outcome.account.used == now.driver_used
    assert sum(part.bytes for part in outcome.account.parts) == now.driver_used
    parts = {part.name: part.bytes for part in outcome.account.parts}
    assert (parts["WAN21"], parts["T5"]) == (4 * GIB, 2 * GIB)
    text = memory.outcome_text(outcome)
    if nvml:
        assert parts["server (pid 9)"] == 2 * GIB
        assert outcome.account.unknown == device.overhead
    else:
        assert "other processes: not available" in text
        assert not any("pid" in name for name in parts)
        assert outcome.account.unknown == device.overhead + 2 * GIB + device.context


def test_a_second_reading_saves_a_slow_driver():
    """What leaves late is no leak: aimdo polls every 2 s, ROCm lags."""
    device, manager = build()
    device.nvml = False
    late = [3 * GIB]
    device.on_synchronize = lambda: None
    outcome = memory.offload(
        device,
        memory.Request("all"),
        [_Slow(manager, device, late)],
        sleep=lambda seconds: device.others.clear(),
    )
    assert outcome.first is not None
    assert outcome.first.outcome == "partial"
    assert outcome.verdict.outcome == "pass"


class _Slow:
    """A manager after whose unload something else takes memory for a moment."""

    def __init__(self, manager, device, late):
        self._manager, self._device, self._late = manager, device, late

    def __getattr__(self, name):
        return getattr(self._manager, name)

    def unload(self, device, keep):
        self._manager.unload(device, keep)
        self._device.others[5] = self._late[0]


def test_memory_in_torchs_cache_is_partial_and_says_stranded():
    device = SimulatedDevice()
    model = SimulatedModel(device, "VAE", 32 * MIB)
    blocks = [device.allocate(MIB) for _ in range(20)]
    model.weights, keep = blocks[:19], blocks[19]
    del blocks
    outcome = run(device, SimulatedManager(model), action="models", models=(id(model),))
    assert outcome.verdict.outcome == "partial"
    assert outcome.verdict.holders[0].name == "torch's cache"
    assert "19.0 MiB of it stranded" in outcome.verdict.holders[0].why
    assert keep.nbytes == MIB


def test_without_a_gpu_the_account_is_of_main_memory():
    device = memory.RamDevice()
    outcome = memory.offload(device, memory.Request("all", may_stay=2**50), [])
    assert outcome.verdict.outcome == "pass"
    assert outcome.account.total > 0
    with_less = memory.offload(device, memory.Request("none", may_stay=1), [])
    assert with_less.verdict.outcome == "fail"


def test_real_ram_of_this_process_is_what_the_kernel_says():
    """Checked against /proc/self/status, which the code does not read."""
    block = torch.ones(128 * MIB, dtype=torch.uint8)
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs /proc")
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    resident = int(lines["VmRSS"].split()[0]) * 1024
    assert abs(memory.RamDevice().readings().own_process - resident) < 16 * MIB
    assert block[-1] == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [({"action": "purge"}, "action=purge: must be one of none, all"),
     ({"count": -1}, "count=-1: must be at least 0"),
     ({"may_stay": -5}, "may_stay=-5: must be None or at least 0")],
)  # fmt: skip
def test_a_bad_request_is_named(values, words):
    with pytest.raises(ValueError, match=words):
        memory.Request(**values)
