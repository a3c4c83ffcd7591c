"""Weights on their way through a call: got once, given up early where nothing asks any more."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from exact_cases import latents
from video_modules import wan

import truetile
from truetile.engine import exact_request, selftest
from truetile.engine.call_weights import CallWeights
from truetile.engine.exact_weights import Packed, pack

LAYERS = 4


class Loads:
    """Makes weights, and knows which of them are still there."""

    def __init__(self) -> None:
        self.count = 0
        self._made: list[weakref.ref] = []

    def __call__(self) -> tuple[Packed, ...]:
        self.count += 1
        own = tuple(Packed(torch.ones(2), *[None] * 5) for _ in range(LAYERS))
        self._made = [weakref.ref(one.weight) for one in own]
        return own

    def there(self) -> list[bool]:
        return [made() is not None for made in self._made]


def test_what_left_is_loaded_again_when_it_is_asked_for() -> None:
    loads = Loads()
    weights = CallWeights(loads, leaving=True)
    assert loads.count == 0, "nobody asked yet"
    assert None not in weights.needed_from(0)
    assert weights.needed_from(2)[:2] == (None, None) and loads.count == 1
    assert loads.there() == [False, False, True, True]
    assert None not in weights.needed_from(3)[3:] and loads.count == 1
    assert None not in weights.needed_from(1)[1:] and loads.count == 2
    weights.drop()
    assert loads.there() == [False] * LAYERS


def test_others_stay() -> None:
    loads = Loads()
    weights = CallWeights(loads)
    assert None not in weights.needed_from(0)
    assert None not in weights.needed_from(LAYERS - 1) and loads.count == 1
    assert loads.there() == [True] * LAYERS


@pytest.fixture
def packed(monkeypatch):
    """References to the weights that each call packs, layer by layer."""
    found: list[list[weakref.ref]] = []

    def packing(*args):
        own = pack(*args)
        found.append([weakref.ref(one.weight) for one in own])
        return own

    monkeypatch.setattr(exact_request, "pack", packing)
    selftest.forget()
    yield found
    selftest.forget()


@pytest.mark.parametrize("items", [1, 2])
def test_a_single_clip_gives_up_what_its_first_segment_read(packed, items: int) -> None:
    vae, seen = wan(), []

    def look() -> None:
        if packed:
            seen.append([one() is not None for one in packed[-1]])

    z = latents(3, 6, 5).expand(items, -1, -1, -1, -1)
    truetile.decode(vae, z, mode="exact", check_interrupt=look)
    assert len(packed) == 1 and all(seen[0])
    if items == 1:
        gone = seen[-1].index(True)
        assert gone > 0 and all(seen[-1][gone:]), "the first segment's, and no others"
    else:
        assert all(all(one) for one in seen), "the next item reads them again"


def test_a_call_that_fails_holds_none(packed) -> None:
    calls = []

    def stop() -> None:
        calls.extend(packed)
        if len(calls) > 5:
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop") as error:
        truetile.decode(wan(), latents(3, 6, 5), mode="exact", check_interrupt=stop)
    gc.disable()  # the traceback alone decides
    try:
        assert error.value.__traceback__ is not None
        assert packed and not any(one() is not None for one in packed[-1])
    finally:
        gc.enable()
