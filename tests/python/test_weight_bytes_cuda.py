"""What packing takes on a GPU, for the VAEs of all families, as torch's allocator counts it."""

from __future__ import annotations

import pytest
import torch

from truetile.engine.exact_weights import pack
from truetile.engine.weight_bytes import packed_bytes, packing_bytes
from truetile.families import presets
from truetile.families.recognise import program_of

pytest.importorskip("diffusers")
pytestmark = pytest.mark.cuda


def requested(when: str) -> int:
    """Bytes that were asked for: what a block of the allocator has more depends on earlier ones."""
    return torch.cuda.memory_stats()[f"requested_bytes.all.{when}"]


@pytest.mark.parametrize("operation", ["decode", "encode"])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", presets.NAMES)
def test_packing_takes_what_was_said(name: str, stored: torch.dtype, operation: str) -> None:
    module = presets.empty_vae(name).to(stored).to_empty(device="cpu")
    program = program_of(module, operation, still="sdxl" in name or "flux" in name)
    place = torch.device("cuda"), torch.bfloat16
    left = packed_bytes(program, *place)
    most = left + packing_bytes(program, *place, patched=False)
    # cuBLAS' workspace, which a process takes once, counts elsewhere.
    square = torch.ones(64, 64, dtype=torch.float64, device="cuda")
    torch.mv(square @ square, square[0])
    begun = requested("current")
    torch.cuda.reset_peak_memory_stats()
    packed = pack(program, *place)
    counts = [requested(when) - begun for when in ("peak", "current")]
    assert len(packed) == len(program.layers)
    # The rest are blocks that are not full, and what a view keeps besides its own part.
    assert 0.99 * most <= counts[0] <= most
    assert 0.99 * left <= counts[1] <= 1.001 * left
