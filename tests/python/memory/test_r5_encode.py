"""R5's second test: encode by spatial tiles, where every whole frame runs out of memory."""

from __future__ import annotations

import pytest
import torch
from toy_vaes import CausalVae, LimitedMemory

import truetile


@pytest.mark.parametrize("frames", [1, 5, 9])
@pytest.mark.parametrize(("height", "width"), [(480, 832), (488, 840)])
def test_r5_encode_with_spatial_tiles(frames, height, width):
    """832x480 is no multiple of 256 and clips have 4n + 1 frames: tiles must fit them anyway."""
    vae = CausalVae()
    pixels = torch.rand(1, frames, height, width, 3)
    latent, report = truetile.encode(vae.port(), pixels, mode="blended", tile_size=256, overlap=64)
    whole, _ = truetile.encode(vae.port(), pixels, mode="untiled")
    assert latent.shape == whole.shape == (1, 4, 1 + (frames - 1) // 4, height // 8, width // 8)
    assert torch.allclose(latent, whole, atol=1e-5)
    assert report.tiles >= 8


def test_r5_encode_goes_down_to_tiles_when_memory_runs_out():
    """Every 832x480 frame runs out of memory: the ladder ends in tiles and loses nothing."""
    vae = CausalVae()
    pixels = torch.rand(1, 9, 480, 832, 3)
    limited = LimitedMemory(vae.port(), [36 * 36])
    latent, report = truetile.encode(limited, pixels, tile_size=256, overlap=64)
    whole, _ = truetile.encode(vae.port(), pixels, mode="untiled")
    assert torch.allclose(latent, whole, atol=1e-5)
    assert len(report.rungs) > 1
