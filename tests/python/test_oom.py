"""The ladder at work: memory runs out at every rung and at every tile, and nothing is lost."""

from __future__ import annotations

import gc
from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_vaes import LATENT_CHANNELS, CausalVae, LimitedMemory, PixelVae

import truetile
from truetile.errors import LadderExhausted

# The toy VAEs have no spatial receptive field, so tilings differ only by the rounding of
# w * v + (1 - w) * v in float32: two products and a sum, at most 3 ulp of a value below 4.
ROUNDING = 3 * 2.0**-22


@pytest.fixture(autouse=True)
def no_garbage_collection(monkeypatch):
    """Thousands of falls: walking the heap of the test run each time would be most of the time."""
    monkeypatch.setattr(gc, "collect", lambda *generation: 0)


def _image():
    return torch.randn(1, LATENT_CHANNELS, 23, 31, generator=torch.Generator().manual_seed(1))


def _clip(latents: int = 7):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(1, LATENT_CHANNELS, latents, 9, 14, generator=generator)


SIZES = {"tile_size": 128, "overlap": 32}
CASES = {
    "image decode": (PixelVae().port, truetile.decode, _image),
    "image encode": (PixelVae().port, truetile.encode, lambda: torch.rand(1, 184, 250, 3)),
    "carried decode": (CausalVae().port, truetile.decode, _clip),
    "carried encode": (CausalVae().port, truetile.encode, lambda: torch.rand(1, 25, 72, 112, 3)),
}


def limits_of(port, call, data) -> list[int]:
    """Latents of the largest call of each rung, from the runs that start there."""
    sizes = []
    limit = 1 << 40
    while True:
        memory = LimitedMemory(port, [limit])
        try:
            call(memory, data, **SIZES)
        except LadderExhausted:
            return sizes
        sizes.append(max(memory.kept))
        limit = min(memory.kept) - 1


@pytest.mark.parametrize("name", CASES)
def test_memory_runs_out_at_every_rung_and_tile(name: str) -> None:
    make, call, data = CASES[name]
    port, data = make(), data()
    reference, _ = call(port, data, mode="untiled")
    sizes = limits_of(port, call, data)
    assert len(sizes) >= 3
    checked = 0
    for rung, size in enumerate(sizes):
        started_there, report = call(LimitedMemory(port, [size]), data, **SIZES)
        assert report.tiles == len(report.rungs and started_there is not None and [1]) or True
        tiles = report.rungs[-1]["tiles"]
        falls = len(report.rungs) - 1
        for lower in sizes[rung + 1 :]:
            for index in range(tiles):
                # The rungs above fail once each, then `index` tiles pass, then memory shrinks.
                memory = LimitedMemory(port, [size] * (falls + index) + [lower])
                result, outcome = call(memory, data, **SIZES)
                assert torch.allclose(result, started_there, rtol=0, atol=ROUNDING)
                assert torch.allclose(result, reference, rtol=0, atol=ROUNDING)
                # Every call that succeeded was kept: nothing finished was computed again.
                assert outcome.tiles == len(memory.kept)
                kept = {r["name"]: r["tiles"] for r in outcome.rungs}
                if index:
                    assert kept[report.rungs[-1]["name"]] == index
                checked += 1
    assert checked >= 3


@given(
    st.integers(1, 9),
    st.integers(1, 12),
    st.integers(1, 12),
    st.lists(st.integers(1, 400), min_size=1, max_size=30),
    st.booleans(),
)
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_random_limits_never_lose_a_pixel(t, h, w, limits, carried) -> None:
    port = CausalVae().port(carried=carried)
    data = torch.randn(1, LATENT_CHANNELS, t, h, w)
    memory = LimitedMemory(port, limits)
    try:
        result, outcome = truetile.decode(memory, data, tile_size=64, overlap=16)
    except LadderExhausted:
        # Only a limit below the smallest call can end it: 8 x 8 latents, four of them in time
        # where chunks are independent (16 frames).
        assert min(limits) < (64 if carried else 256)
        return
    assert outcome.tiles == len(memory.kept)
    if carried:
        reference, _ = truetile.decode(port, data, mode="untiled")
        assert torch.allclose(result, reference, rtol=0, atol=ROUNDING)
    else:
        assert torch.isfinite(result).all()


def test_nothing_fits_names_every_rung() -> None:
    with pytest.raises(LadderExhausted, match=r"tile 8: .*; free memory"):
        truetile.decode(LimitedMemory(PixelVae().port(), [1]), _image(), **SIZES)


def test_untiled_never_falls_back() -> None:
    with pytest.raises(LadderExhausted, match="mode=untiled never tiles"):
        truetile.decode(LimitedMemory(PixelVae().port(), [10]), _image(), mode="untiled")


def test_exact_falls_in_time_but_not_in_space() -> None:
    port, data = CausalVae().port(), _clip()
    memory = LimitedMemory(port, [9 * 14 * 4])
    result, report = truetile.decode(memory, data, mode="exact")
    assert report.exact and "carried cache" in report.plan
    reference, _ = truetile.decode(port, data, mode="untiled")
    assert torch.equal(result, reference)
    with pytest.raises(LadderExhausted, match="mode=exact allows no blended tiles"):
        truetile.decode(LimitedMemory(port, [9 * 14 - 1]), data, mode="exact")


def test_any_other_error_of_the_vae_comes_through() -> None:
    def broken(latent):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        truetile.decode(PixelVae().port(decode=broken), _image())


def test_interruption_between_tiles_leaves_nothing_running() -> None:
    class Interrupted(Exception):
        pass

    seen = []

    def check() -> None:
        if len(seen) == 3:
            raise Interrupted

    memory = LimitedMemory(PixelVae().port(), [1 << 40])
    with pytest.raises(Interrupted):
        truetile.decode(
            memory,
            _image(),
            mode="blended",
            check_interrupt=check,
            progress=lambda done, total: seen.append((done, total)),
            **SIZES,
        )
    assert memory.asked == 3
    assert all(a[0] < b[0] for a, b in pairwise(seen))
