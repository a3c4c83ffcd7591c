"""The ladder on a real card: torch's own allocator runs out, at every rung and every tile."""

from __future__ import annotations

import pytest
import torch
from test_oom import CASES, ROUNDING, SIZES, limits_of
from toy_vaes import LimitedMemory

pytestmark = pytest.mark.cuda

BYTES_PER_LATENT = 4 << 20  # above the 2 MiB that the allocator rounds to


class LimitedCard(LimitedMemory):
    """Each call needs a real workspace, under a real limit of the process's share of the card."""

    def _check(self, tile: torch.Tensor) -> None:
        latents = self._latents(tile)
        limit = self._limits[min(self.asked, len(self._limits) - 1)]
        self.asked += 1
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        allowed = torch.cuda.memory_reserved() + limit * BYTES_PER_LATENT + (2 << 20)
        torch.cuda.set_per_process_memory_fraction(min(1.0, allowed / total))
        try:
            torch.empty(latents * BYTES_PER_LATENT, dtype=torch.uint8, device="cuda")
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        self.kept.append(latents)


@pytest.mark.parametrize("name", CASES)
def test_the_card_runs_out_at_every_rung_and_tile(name: str) -> None:
    make, call, data = CASES[name]
    port, data = make(device="cuda"), data()
    reference, _ = call(port, data, mode="untiled")
    sizes = limits_of(port, call, data)
    for rung, size in enumerate(sizes[:-1]):
        started_there, report = call(LimitedCard(port, [size]), data, **SIZES)
        falls, tiles = len(report.rungs) - 1, report.rungs[-1]["tiles"]
        for index in range(tiles):
            limits = [size] * (falls + index) + [sizes[rung + 1]]
            memory = LimitedCard(port, limits)
            result, outcome = call(memory, data, **SIZES)
            assert torch.allclose(result, started_there, rtol=0, atol=ROUNDING)
            assert torch.allclose(result, reference, rtol=0, atol=ROUNDING)
            assert outcome.tiles == len(memory.kept)
            assert memory.asked > len(memory.kept)


def test_nothing_stays_on_the_card_after_a_failure() -> None:
    make, call, data = CASES["carried decode"]
    port, data = make(device="cuda"), data()
    call(port, data, mode="untiled")
    before = torch.cuda.memory_allocated()
    with pytest.raises(RuntimeError, match="out of memory"):
        call(LimitedCard(port, [1]), data, **SIZES)
    assert torch.cuda.memory_allocated() == before
