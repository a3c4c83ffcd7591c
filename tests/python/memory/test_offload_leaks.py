"""Planted leaks on a simulated device: an offload fails and names each of them."""

from __future__ import annotations

import gc
import sys
import types
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves siblings out

from offload_cases import BACKENDS, build, run
from simulated import GIB, MIB, SimulatedDevice

from truetile import memory

kept: list = []  # what a leaky custom node keeps in a global of its module


class PrivateModel(torch.nn.Module):
    """A custom node's own model, which no manager knows."""

    def __init__(self, device: SimulatedDevice) -> None:
        super().__init__()
        self.weight = device.allocate(GIB)


class Cycle:
    """Refers to itself; alive while an error's traceback is."""

    def __init__(self, device: SimulatedDevice) -> None:
        self.me, self.tensor = self, device.allocate(GIB)


@pytest.fixture(autouse=True)
def nothing_kept():
    yield
    kept.clear()
    sys.modules.pop("leaky_node", None)
    gc.collect()


# Each plants something and says what the verdict must name.


def private_tensor(device, manager):
    module = types.ModuleType("leaky_node")
    sys.modules["leaky_node"] = module
    module.cache = device.allocate(GIB)
    return "a global of leaky_node"


def closure(device, manager):
    tensor = device.allocate(GIB)
    kept.append(lambda: tensor)
    return "test_offload_leaks"


def private_model(device, manager):
    kept.append(PrivateModel(device))
    return "PrivateModel"


def reference_cycle(device, manager):
    def fail():
        cycle = Cycle(device)
        raise RuntimeError(str(type(cycle)))

    try:
        fail()
    except RuntimeError as error:
        kept.append(error)
    return "Cycle"


def model_kept_by_a_custom_node(device, manager):
    class LoadedOnce:
        pass

    node = LoadedOnce()
    node.weights = manager.listed[0].weights[:2]
    kept.append(node)
    return "LoadedOnce"


def model_that_does_not_unload(device, manager):
    manager.listed[1].stuck = True
    return "T5"


def pinned_pages(device, manager):
    manager.listed[0].pinned = 3 * GIB
    return "WAN21 (dynamic pages)"


def library_outside_torch(device, manager):
    def grow():
        device.context = 620 * MIB + (GIB if not manager.listed[1].weights else 0)

    device.on_synchronize = grow
    return "own memory outside torch"


def invisible_tensor(device, manager):
    device.hidden = GIB
    return "torch tensors of no known owner"


def tensors_of_an_error(device, manager):
    def decode():
        frames = device.allocate(GIB)
        raise RuntimeError(str(frames.shape))

    try:
        decode()
    except RuntimeError as error:
        kept.append(error)
    return "decode"


def output_in_a_cache(device, manager):
    class CacheEntry:
        pass

    entry = CacheEntry()
    entry.outputs = [[device.allocate(GIB)]]
    kept.append({"12": entry})
    return "CacheEntry"


LEAKS = [
    (private_tensor, False), (closure, False), (private_model, False), (reference_cycle, False),
    (model_kept_by_a_custom_node, False), (model_that_does_not_unload, False),
    (pinned_pages, True), (library_outside_torch, False), (invisible_tensor, False),
    (tensors_of_an_error, False), (output_in_a_cache, False),
]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("plant", "dynamic"), LEAKS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_planted_leak_fails_and_is_named(plant, dynamic, backend):
    device, manager = build(backend, dynamic)
    name = plant(device, manager)
    outcome = run(device, manager)
    assert outcome.verdict.outcome == "fail", memory.outcome_text(outcome)
    holders = {holder.name: holder.bytes for holder in outcome.verdict.holders}
    assert any(name in holder for holder in holders), holders
    # One cause, one name, and the right number of bytes.
    assert len(holders) <= 2, holders
    assert max(holders.values()) >= GIB // 2
