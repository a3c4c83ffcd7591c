"""The demo's measures and its reference method, on cases with a known answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from truetile.demo import metrics
from truetile.demo.feathered import FeatheredTiles
from truetile.demo.metrics import Borders
from truetile.demo.peak import PeakMeter
from truetile.plan import AxisScale

SPACE, TIME = AxisScale(8, 8), AxisScale(4, 1)


def test_psnr() -> None:
    zero, tenth = np.zeros((1, 4, 4, 3)), np.full((1, 4, 4, 3), 0.1)
    assert metrics.psnr(zero, zero) == math.inf
    assert metrics.psnr(tenth, zero) == pytest.approx(20.0)


def test_borders_lie_in_the_middle_of_overlaps() -> None:
    assert Borders.middles([(0, 100)]) == ()
    assert Borders.middles([(0, 100), (80, 180), (160, 200)]) == (90, 170)
    assert Borders(x=(1,)).merged(Borders(y=(2,), x=(1, 3))) == Borders((), (2,), (1, 3))


def test_seam_of_an_even_error_is_one() -> None:
    even = np.full((2, 100, 200), 0.5)
    seam = metrics.seam(even, Borders(x=(100,)))
    assert seam.ratio == pytest.approx(1) and seam.near == pytest.approx(127.5)


def test_seam_reaches_32_pixels_and_one_frame_across_a_border() -> None:
    error = np.zeros((1, 10, 200))
    error[..., 68:132] = 0.1
    assert metrics.seam(error, Borders(x=(100,))).ratio == math.inf
    near = metrics.near_borders((9, 10, 10), Borders(t=(4.0,)))
    assert near[:, 0, 0].tolist() == [False] * 3 + [True] * 2 + [False] * 4


def test_seam_where_there_is_nothing_to_say() -> None:
    error = np.zeros((1, 100, 200))
    assert metrics.seam(error, Borders()) is None
    assert metrics.seam(error[:, :, :40], Borders(x=(20,))) is None
    assert math.isnan(metrics.seam(error, Borders(x=(100,))).ratio)


def _tiles(t: int = 99, tile: int = 8, overlap: int = 2) -> FeatheredTiles:
    return FeatheredTiles((t, tile, tile), (1, overlap, overlap), (TIME, SPACE, SPACE))


def test_classic_positions_leave_a_short_last_tile() -> None:
    spans = [(s.begin, s.end) for s in _tiles().spans(1, 21)]
    assert spans == [(0, 8), (6, 14), (12, 20), (18, 21)]
    assert [(s.begin, s.end) for s in _tiles().spans(1, 8)] == [(0, 8)]


def test_classic_weights_rise_from_every_edge() -> None:
    mask = _tiles().mask((1, 64, 64), encode=False)[0, 0, 0]
    assert mask[0, 32] == pytest.approx(1 / 16) and mask[15, 32] == 1 and mask[63, 32] == 1 / 16
    assert mask[0, 0] == pytest.approx(1 / 256)


@pytest.mark.parametrize("size", [(1, 21, 13), (9, 8, 17), (5, 3, 3)])
def test_classic_weights_sum_to_one(size: tuple[int, int, int]) -> None:
    """A VAE without a receptive field comes out of any tiling as it went in."""
    latent = torch.rand(1, 3, *size)

    def decode(block: torch.Tensor) -> torch.Tensor:
        frames = block.repeat_interleave(4, 2)[:, :, 3:]
        return frames.repeat_interleave(8, 3).repeat_interleave(8, 4)

    def encode(block: torch.Tensor) -> torch.Tensor:
        return block[:, :, ::4, ::8, ::8].clone()

    tiles = _tiles(t=4)
    pixels = tiles.run(decode, latent, encode=False)
    assert torch.allclose(pixels, decode(latent), atol=1e-6)
    seen = []
    again = tiles.run(encode, pixels, encode=True, progress=lambda *at: seen.append(at))
    assert torch.allclose(again, latent, atol=1e-6)
    assert seen[-1][0] == seen[-1][1] == len(seen)


def test_peak_is_that_of_the_span_alone() -> None:
    cpu = torch.device("cpu")
    with PeakMeter(cpu) as large:
        torch.ones(48 << 18).sum()  # 48 MiB
    with PeakMeter(cpu) as small:
        torch.ones(4 << 18).sum()
    assert 40 << 20 < large.bytes < 80 << 20
    assert small.bytes < 24 << 20
