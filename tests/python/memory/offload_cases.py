"""Two models on a simulated device, and an offload of them that does not wait."""

from __future__ import annotations

from simulated import GIB, SimulatedDevice, SimulatedManager, SimulatedModel

from truetile import memory

BACKENDS = ("native", "cudaMallocAsync")


def build(backend: str = "native", dynamic: bool = False):
    device = SimulatedDevice(backend)
    unet = SimulatedModel(device, "WAN21", 4 * GIB, dynamic).load()
    clip = SimulatedModel(device, "T5", 2 * GIB).load()
    return device, SimulatedManager(unet, clip)


def run(device, manager, **request):
    """An offload whose second reading does not wait."""
    request = memory.Request(**{"action": "all", **request})
    return memory.offload(device, request, [manager], sleep=lambda seconds: None)
