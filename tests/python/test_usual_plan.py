"""Which plan is taken where plenty of memory is free and nobody set a budget."""

from __future__ import annotations

import pytest
import torch

from truetile.engine.diffusers_port import DiffusersPort
from truetile.engine.exact_planning import make_offer
from truetile.families.presets import empty_vae

pytest.importorskip("diffusers")

BUS = 45e9  # bytes a second


def offer_of(family: str, *size: int):
    vae = torch.nn.Module.to(empty_vae(family), device="meta", dtype=torch.bfloat16).eval()
    return make_offer(DiffusersPort(vae), "decode", torch.empty(size, device="meta"))


@pytest.mark.parametrize("size", [(60, 104), (90, 160)])
def test_a_clip_pays_for_memory_what_moving_it_away_and_back_takes(size) -> None:
    offer = offer_of("wan2.1", 1, 16, 21, *size)
    fastest, usual = offer.plans[0], offer.usual()
    assert usual.seconds <= 1.09 * fastest.seconds
    assert usual.bytes < fastest.bytes / 10

    def cost(plan) -> float:
        return plan.seconds + 2 * plan.bytes / BUS

    near = [plan for plan in offer.plans if plan.seconds <= 1.09 * fastest.seconds]
    assert cost(usual) == min(map(cost, near))
    assert usual != near[-1], "not just the least memory"


def test_passes_take_the_least_memory() -> None:
    offer = offer_of("sdxl", 1, 4, 256, 256)
    near = [plan for plan in offer.plans if plan.seconds <= 1.09 * offer.plans[0].seconds]
    assert offer.usual() == near[-1]


def test_weights_of_one_clip_leave_and_those_of_a_batch_stay() -> None:
    one, two = (offer_of("wan2.1", count, 16, 21, 60, 104) for count in (1, 2))
    # Two thirds of them belong to the layers that run first, whole and small.
    saved = two.needs(two.plans[-1], packing=False) - one.needs(one.plans[-1], packing=False)
    assert 64 << 20 < saved < 128 << 20
    assert one.counted_bytes > 128 << 20 and two.counted_bytes == 0
    assert one.beside_bytes + one.counted_bytes == two.beside_bytes
