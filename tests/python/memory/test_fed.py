"""torch's marks between tiles: fed while a monitor runs, and nothing at all while none does."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

from simulated import GIB, MIB, SimulatedDevice
from toy_vaes import LATENT_CHANNELS, PixelVae

import truetile
from truetile.memory import core
from truetile.memory.monitor import Monitor, fed

ALLOCATED = core.CHANNELS.index("torch_allocated")
TILES = 16  # of 128 pixels in 512x512


class Marked(SimulatedDevice):
    """Counts how often its counters are read; they rise by a MiB each time."""

    reads = 0
    spike = 0

    def marks(self) -> core.TorchMarks:
        self.reads += 1
        now = self.reads * MIB
        return core.TorchMarks(now, now, max(now, self.spike), max(now, self.spike))


@pytest.fixture
def monitor():
    made = Monitor(Marked(), interval=0.002)
    made.start()
    yield made
    made.stop()


def decode(**options):
    vae = PixelVae()

    def slow(latent: torch.Tensor) -> torch.Tensor:
        time.sleep(0.004)  # two intervals
        return vae.decode(latent)

    samples = torch.randn(1, LATENT_CHANNELS, 64, 64)
    return truetile.decode(
        vae.port(decode=slow), samples, mode="blended", tile_size=128, overlap=0, **options
    )


def test_without_a_monitor_nothing_is_put_in_between():
    def progress(done: int, total: int) -> None:
        raise AssertionError

    assert fed(progress) is progress
    assert fed(None) is None


def test_each_tile_feeds_a_monitor_that_runs(monitor):
    heard: list[tuple[int, int]] = []
    before = monitor.device.reads
    _, report = decode(progress=lambda done, total: heard.append((done, total)))
    assert report.tiles == TILES == len(heard), "the caller hears what it would hear alone"
    assert heard[-1][0] == heard[-1][1] == 512 * 512
    assert monitor.device.reads - before == TILES
    seen = {sample.values[ALLOCATED] for sample in monitor.sampler.samples()} - {None}
    assert len(seen) > TILES // 2, "the samples between the tiles carry their counters"


def test_a_caller_without_progress_is_followed_too(monitor):
    before = monitor.device.reads
    decode()
    assert monitor.device.reads - before == TILES
    monitor.stop()
    decode()
    assert monitor.device.reads - before == TILES, "it does not run any more"


def test_a_mark_that_rose_in_a_tile_is_an_exact_peak_of_the_phase(monitor):
    monitor.begin_phase("decode")
    calls = [0]

    def progress(done: int, total: int) -> None:
        calls[0] += 1
        if calls[0] == TILES // 2:
            monitor.device.spike = 3 * GIB  # as if the next tile had needed it

    decode(progress=progress)
    monitor.device.spike = 0  # somebody resets the counter: what was fed before stays known
    stats = monitor.end_phase()
    peak = stats.channels[ALLOCATED]
    assert (peak.peak, peak.rank) == (3 * GIB, "high-water mark")
    assert stats.resets == 1


def test_thousands_of_strips_read_the_counters_once_in_an_interval():
    device = Marked()
    monitor = Monitor(device, interval=0.05)
    monitor.start()
    try:
        hear, began = fed(None), time.monotonic()
        for i in range(20_000):
            hear(i, 20_000)
        took = time.monotonic() - began
    finally:
        monitor.stop()
    assert 1 <= device.reads <= took / 0.05 + 1
