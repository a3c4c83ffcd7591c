"""Whose weights keep half-empty segments, and that moving just them brings the memory back."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from simulated import MIB, SimulatedDevice, SimulatedManager, SimulatedModel

from truetile.memory import core, torch_stats
from truetile.memory.compact import compact
from truetile.memory.repair import repair
from truetile.native import memory as twin

BACKENDS = [twin] + ([core] if core.BACKEND == "native" else [])
STEP = "move weights beside stranded blocks"
kept: list = []


@pytest.fixture(autouse=True)
def nothing_kept():
    yield
    kept.clear()
    gc.collect()


class Comb:
    """A model with one weight of 2 MiB at the bottom of each 20 MiB segment, the rest free."""

    def __init__(self, teeth: int = 8) -> None:
        self.device = SimulatedDevice()
        self.model = SimulatedModel(self.device, "WAN21", teeth * 2 * MIB)
        self.manager = SimulatedManager(self.model)
        between = []
        for i in range(teeth):
            self.model.weights.append(self.device.allocate(2 * MIB).fill_(i + 1))
            between += [self.device.allocate(2 * MIB) for _ in range(9)]
        del between
        assert self.device.reserved == teeth * 20 * MIB
        assert self.device.stranded() == teeth * 18 * MIB

    def check(self) -> None:
        """Every weight is on the device with what was in it."""
        for i, weight in enumerate(self.model.weights):
            assert self.device.holds(weight)
            assert weight.numel() == 2 * MIB and bool((weight == i + 1).all())


def test_only_the_weights_in_the_way_move_and_they_are_as_before():
    comb = Comb()
    free = comb.device.readings()
    goal = free.driver_total - free.driver_used + 100 * MIB
    comb.model.unload = lambda: pytest.fail("a whole model left for what 16 MiB of it did")
    done = repair(comb.device, goal, [comb.manager])
    assert done.met and done.steps[-1].name == STEP
    assert comb.device.reserved == 20 * MIB, "eight segments have become one"
    assert "8 segments with 144.0 MiB free kept by WAN21 (16.0 MiB)" in done.steps[-1].detail
    assert "WAN21 (16.0 MiB)" in str(done)
    comb.check()


def test_it_stops_when_enough_has_come_back():
    comb = Comb(16)
    done = compact(comb.device, [comb.manager], 20 * MIB)
    assert "3 segments with 54.0 MiB free" in done, "20 MiB, and what regrouping may take again"
    comb.check()


def test_a_segment_with_somebody_elses_tensor_is_left_alone_and_named():
    comb = Comb(4)
    kept.append(comb.device.allocate(2 * MIB))  # takes the first gap: beside the first weight
    where = comb.model.weights[0].data_ptr()
    done = compact(comb.device, [comb.manager], 2**40)
    assert "3 segments with 54.0 MiB free kept by WAN21 (6.0 MiB)" in done
    assert "1 segment with 16.0 MiB free cannot be given back" in done
    assert "test_compact" in done and "[2097152 uint8] (2.0 MiB)" in done
    assert comb.model.weights[0].data_ptr() == where
    comb.check()


def test_a_weight_that_somebody_else_shows_would_free_nothing():
    comb = Comb(2)
    kept.append(comb.model.weights[1][5:9])
    done = compact(comb.device, [comb.manager], 2**40)
    assert "1 segment with 18.0 MiB free kept by WAN21 (2.0 MiB)" in done
    assert "1 segment with 18.0 MiB free cannot be given back: WAN21 (2.0 MiB)" in done
    assert kept[0].tolist() == [2] * 4
    comb.check()


def test_tied_weights_stay_tied():
    comb = Comb(2)
    whole = comb.model.weights[0]
    tied = [whole.view(torch.float32)[8:20].view(3, 4), whole[MIB:]]
    comb.model.weights += tied
    before = [tensor.clone() for tensor in tied]
    compact(comb.device, [comb.manager], 2**40)
    addresses = {tensor.untyped_storage().data_ptr() for tensor in (whole, *tied)}
    assert len(addresses) == 1 and comb.device.holds(tied[0])
    for tensor, old in zip(tied, before, strict=True):
        assert (tensor.shape, tensor.dtype) == (old.shape, old.dtype)
        assert torch.equal(tensor.view(torch.uint8), old.view(torch.uint8))
    assert comb.device.reserved == 20 * MIB


@pytest.mark.parametrize("made_in", [False, True])
@pytest.mark.parametrize("moved_in", [False, True])
def test_parameters_stay_what_they_are(made_in, moved_in):
    """Made in inference mode, as ComfyUI's nodes make weights, or with gradients."""
    comb = Comb(2)
    shown = comb.model.weights[0]
    with torch.inference_mode(made_in):
        weight = torch.nn.Parameter(shown.view(torch.float32), requires_grad=not made_in)
    del shown
    comb.model.weights[0] = weight
    before = weight.detach().clone()
    with torch.inference_mode(moved_in):
        done = compact(comb.device, [comb.manager], 2**40)
    assert "kept by WAN21 (4.0 MiB): moved 4.0 MiB" in done and "cannot" not in done
    assert comb.device.holds(weight) and torch.equal(weight, before)
    assert type(weight) is torch.nn.Parameter
    assert (weight.is_inference(), weight.requires_grad) == (made_in, not made_in)
    if not made_in:
        weight[:4].sum().backward()
        assert weight.grad.sum() == 4


def test_a_model_that_does_not_fit_again_is_unloaded_and_said():
    comb = Comb(4)
    other = SimulatedModel(comb.device, "CLIP", 64 * MIB).load()
    comb.manager.listed.append(other)

    def somebody_takes_it() -> None:
        comb.device.total = comb.device.allocated + 4 * MIB

    empty = comb.device.empty_cache
    comb.device.empty_cache = lambda: (empty(), somebody_takes_it())
    done = compact(comb.device, [comb.manager], 2**40)
    assert "WAN21 did not fit again and was unloaded" in done
    assert comb.model.weights == [] and len(other.weights) == 4, "only the one"
    assert all(comb.device.holds(weight) for weight in other.weights)


def test_what_another_allocator_does_not_tell_is_said():
    device = SimulatedDevice("cudaMallocAsync")
    manager = SimulatedManager(SimulatedModel(device, "WAN21", 64 * MIB).load())
    done = repair(device, 2**50, [manager])
    (step,) = [step for step in done.steps if step.name == STEP]
    assert step.detail == "not possible: cudaMallocAsync does not track blocks"


def test_large_weights_are_not_copied_for_little():
    comb = Comb(1)
    comb.model.weights.append(comb.device.allocate(9 * MIB))
    kept.append(comb.device.allocate(9 * MIB))
    kept.pop()
    full = SimulatedModel(comb.device, "full", 19 * MIB)
    full.weights = [comb.device.allocate(9 * MIB + 2**19) for _ in range(2)]
    comb.manager.listed = [full]
    comb.model.weights.clear()
    comb.device.empty_cache()
    assert comb.device.stranded() == MIB
    assert "too large for what a move would bring back" in compact(
        comb.device, [comb.manager], 2**40
    )


# As torch 2.11 gives them, without the fields that nobody reads here.
RECORDED = [
    {
        "device": 0, "address": 0x7F0000000000, "total_size": 20971520, "stream": 0,
        "segment_type": "large", "segment_pool_id": (0, 0), "is_expandable": False,
        "blocks": [
            {"address": 0x7F0000000000, "size": 4194304, "requested_size": 4194304,
             "state": "active_allocated"},
            {"address": 0x7F0000400000, "size": 8388608, "requested_size": 0, "state": "inactive"},
            {"address": 0x7F0000C00000, "size": 2097152, "requested_size": 2096000,
             "state": "active_allocated"},
            {"address": 0x7F0000E00000, "size": 6291456, "requested_size": 0, "state": "inactive"},
        ],
    },
    {
        "device": 0, "address": 0x7F1000000000, "total_size": 2097152, "stream": 0,
        "segment_type": "small", "segment_pool_id": (0, 0), "is_expandable": False,
        "blocks": [
            {"address": 0x7F1000000000, "size": 1024, "requested_size": 800,
             "state": "active_pending_free"},
            {"address": 0x7F1000000400, "size": 2096128, "requested_size": 0, "state": "inactive"},
        ],
    },
    {
        "device": 0, "address": 0x7F2000000000, "total_size": 2097152, "stream": 0,
        "segment_type": "large", "segment_pool_id": (0, 0), "is_expandable": True,
        "blocks": [
            {"address": 0x7F2000000000, "size": 1048576, "requested_size": 1048576,
             "state": "active_allocated"},
            {"address": 0x7F2000100000, "size": 1048576, "requested_size": 0, "state": "inactive"},
        ],
    },
    {"device": 1, "address": 0x7F3000000000, "segment_type": "large", "blocks": []},
]  # fmt: skip


def test_a_snapshot_as_torch_gives_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "memory_snapshot", lambda: RECORDED)
    monkeypatch.setattr(torch.cuda, "get_allocator_backend", lambda: "native")
    segments, why = torch_stats.segments(torch.device("cuda", 0))
    assert (len(segments), why) == (3, "")
    # The last one lies in the middle of its block, as a weight in a flat buffer does.
    small, large = core.find_pins(segments, [0x7F2000000000, 0x7F0000000000, 0x7F0000000100])
    assert (large.address, large.size, large.free) == (0x7F0000000000, 20 * MIB, 14 * MIB)
    assert (large.live, large.unknown, large.awaiting) == (6 * MIB, 2 * MIB, 0)
    assert tuple(large.storages) == (1, 2)
    assert (small.live, small.awaiting, tuple(small.storages)) == (0, 1024, ())


block = st.tuples(st.integers(0, 40), st.sampled_from(["live", "awaiting", "free"]))
layout = st.lists(st.tuples(st.booleans(), st.lists(block, max_size=6)), max_size=6)


@settings(max_examples=300, deadline=None)
@given(layout, st.lists(st.integers(0, 1500), max_size=20))
def test_pins_are_what_a_look_at_every_byte_gives(segments, storages):
    """The naive truth: one dictionary entry for each byte of memory."""
    owner: dict[int, tuple[int, int, str]] = {}  # byte -> segment, block, state
    for i, (_, blocks) in enumerate(segments):
        at = 250 * i
        for j, (size, state) in enumerate(blocks):
            owner.update({at + k: (i, j, state) for k in range(size)})
            at += size
    expected = {}
    for i, (grows, blocks) in enumerate(segments):
        sums = {s: sum(n for n, state in blocks if state == s) for s in ("live", "awaiting")}
        free = sum(n for n, state in blocks if state == "free")
        if grows or not free or not any(sums.values()):
            continue
        inside = [
            k for k, a in enumerate(storages) if owner.get(a, (None,))[0] == i
            and owner[a][2] == "live"
        ]  # fmt: skip
        named = {owner[storages[k]][1] for k in inside}
        unknown = sum(
            n for j, (n, state) in enumerate(blocks) if state == "live" and j not in named
        )
        expected[250 * i] = (free, *sums.values(), unknown, inside)
    for backend in BACKENDS:
        found = backend.find_pins(
            [
                backend.Segment(
                    250 * i, 0, "large", grows, [backend.Block(n, 0, state) for n, state in blocks]
                )
                for i, (grows, blocks) in enumerate(segments)
            ],
            storages,
        )
        got = {p.address: (p.free, p.live, p.awaiting, p.unknown, list(p.storages)) for p in found}
        assert got == expected
        gains = [p.free / p.live if p.live else float("inf") for p in found]
        assert gains == sorted(gains, reverse=True)
