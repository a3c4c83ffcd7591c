"""The sampler of either backend: spikes, marks, gaps, and no peak that is not there."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from truetile.memory import core
from truetile.memory.monitor import Monitor
from truetile.native import memory as twin
from truetile.native.memory.pace import MOVED, STILL, Pace

GIB = 1 << 30

BACKENDS = [twin] + ([core] if core.BACKEND == "native" else [])
backends = pytest.mark.parametrize("backend", BACKENDS, ids=["python", "native"][: len(BACKENDS)])


def channel(backend, stats, name):
    return stats.channels[backend.CHANNELS.index(name)]


@backends
def test_a_spike_of_50_ms_is_seen_by_samples(backend):
    used = [100]
    sampler = backend.Sampler(interval=0.005, read=lambda: {"driver_used": used[0]})
    sampler.start()
    phase = sampler.begin_phase("spike")
    time.sleep(0.03)
    used[0] = 3 * 2**30
    time.sleep(0.05)
    used[0] = 100
    time.sleep(0.03)
    stats = sampler.end_phase(phase)
    sampler.stop()
    found = channel(backend, stats, "driver_used")
    assert (found.peak, found.minimum, found.rank) == (3 * 2**30, 100, "sample")
    assert found.minimum < found.mean < found.peak
    assert 0 < stats.widest_gap < 0.2
    assert channel(backend, stats, "own_process").peak is None


def test_samples_lie_two_intervals_apart_while_nothing_moves():
    def intervals(values, **channels):
        pace = Pace()
        for value in values:
            told = {"driver_used": value, **channels}
            pace.add(twin.Sample(0.0, tuple(told.get(name) for name in twin.CHANNELS)))
        return pace.intervals()

    assert intervals([GIB] * STILL) == 1
    assert intervals([GIB] * (STILL + 1)) == 2
    assert intervals([GIB] * 100 + [GIB + MOVED - 1]) == 2
    assert intervals([GIB] * 100 + [GIB - MOVED]) == 1
    assert intervals([i * MOVED // 8 for i in range(200)]) == 1
    assert intervals([None] * 100, ram=GIB) == 2, "without a device the process is watched"
    assert intervals([None] * 100) == 2


@backends
def test_torchs_mark_is_exact_and_an_old_one_is_not_ours(backend):
    sampler = backend.Sampler(interval=60.0)
    sampler.feed(backend.TorchMarks(100, 200, 900, 950))
    phase = sampler.begin_phase("decode")
    sampler.feed(backend.TorchMarks(100, 200, 3000, 950))
    stats = sampler.end_phase(phase)
    allocated = channel(backend, stats, "torch_allocated")
    assert (allocated.peak, allocated.rank) == (3000, "high-water mark")
    reserved = channel(backend, stats, "torch_reserved")
    assert reserved.peak == 200, "950 was reached before this phase"
    assert stats.resets == 0


@backends
def test_a_reset_by_another_node_is_noticed(backend):
    sampler = backend.Sampler(interval=60.0)
    sampler.feed(backend.TorchMarks(100, 200, 9000, 9500))
    phase = sampler.begin_phase("decode")
    sampler.feed(backend.TorchMarks(100, 200, 400, 500))
    stats = sampler.end_phase(phase)
    assert stats.resets == 1
    assert channel(backend, stats, "torch_allocated").peak == 400


@backends
def test_an_event_outranks_a_sample(backend):
    sampler = backend.Sampler(interval=60.0, read=lambda: {"driver_used": 5})
    phase = sampler.begin_phase("told")
    sampler.event("driver_used", 70)
    found = channel(backend, sampler.end_phase(phase), "driver_used")
    assert (found.peak, found.rank) == (70, "event")


QUIET = """
import gc, json, sys
gc.disable()
sys.path.insert(0, sys.argv[1])
if sys.argv[2] == "native":
    from truetile.memory import core as backend
    assert backend.BACKEND == "native"
else:
    from truetile.native import memory as backend
ram = backend.CHANNELS.index("ram")
sampler = backend.Sampler(interval=60.0)

def kernel():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))

def reading():
    before = kernel()
    sampler.begin_phase("ram")
    return [before, sampler.samples()[-1].values[ram], kernel()]

found = [reading()]
block = bytearray(b"x") * (96 * 2**20)
found.append(reading())
block = None
found.append(reading())
print(json.dumps(found))
"""
ARENA = 2**20  # what Python's allocator maps or gives back at once


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the witness is /proc")
@backends
def test_the_ram_is_that_of_this_process(backend):
    """Equal to the kernel's figure just before and after, in a process that does nothing else.

    Not a difference of two readings of the test's own process: there, what earlier tests have left
    is freed at any moment, and pages of libraries leave when the machine is short of memory.
    """
    name = "python" if backend is twin else "native"
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", QUIET, str(root), name], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    readings = json.loads(done.stdout)
    for before, read, after in readings:
        low, high = min(before, after), max(before, after)
        assert low - ARENA <= read <= high + ARENA, readings
    sizes = [read for _, read, _ in readings]
    assert sizes[0] != sizes[1] != sizes[2], "read anew each time"


@backends
def test_a_failing_source_leaves_the_channel_empty_and_a_sampler_can_be_dropped(backend):
    if backend is twin:
        pytest.skip("the twin's sources are its own")

    def fail():
        raise RuntimeError("driver gone")

    sampler = backend.Sampler(interval=0.002, read=fail)
    sampler.start()
    time.sleep(0.02)
    assert sampler.taken > 0
    assert all(sample.values[0] is None for sample in sampler.samples())
    del sampler


@backends
def test_many_threads_at_once(backend):
    sampler = backend.Sampler(interval=0.001, capacity=100, read=lambda: {"driver_used": 1})
    sampler.start()

    def work():
        for i in range(100):
            phase = sampler.begin_phase("p")
            sampler.feed(backend.TorchMarks(i, i, i, i))
            sampler.samples()
            sampler.end_phase(phase)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sampler.stop()
    assert sampler.taken >= 800
    assert len(sampler.samples()) == 100


@pytest.mark.skipif(core.BACKEND != "native", reason="the native core is not built")
def test_the_native_sampler_goes_on_while_python_does_not_let_go():
    """It never enters Python: a long call that holds the GIL does not widen its gaps."""
    sampler = core.Sampler(interval=0.005)
    sampler.start()
    phase = sampler.begin_phase("busy")
    sum(range(20_000_000))  # one call of C code, about half a second, holding the GIL
    stats = sampler.end_phase(phase)
    sampler.stop()
    assert stats.samples > 20
    assert stats.widest_gap < 0.25
    length = stats.end - stats.begin
    assert sampler.cpu_seconds < 0.02 * max(length, 0.1), "2 % of a core at 5 ms, in RAM readings"


def test_a_monitor_makes_phases_and_a_timeline():
    monitor = Monitor(interval=0.005)
    monitor.start()
    monitor.begin_phase("load")
    time.sleep(0.03)
    monitor.begin_phase("decode")
    monitor.record("checkpoint", "decode", {"outcome": "pass"})
    stats = monitor.end_phase()
    monitor.stop()
    assert monitor.end_phase() is None
    assert stats.name == "decode"
    data = json.loads(monitor.to_json())
    assert [phase["name"] for phase in data["phases"]] == ["load", "decode"]
    assert data["entries"][0]["data"] == {"outcome": "pass"}
    assert len(data["samples"]) > 3
    assert data["channels"] == list(core.CHANNELS)
    lines = monitor.to_csv().splitlines()
    assert lines[0] == "seconds," + ",".join(core.CHANNELS)
    assert len(lines) == len(data["samples"]) + 1
    assert lines[1].split(",")[1] == "", "no driver: empty, not 0"
    assert "phase 'load'" in monitor.text()
