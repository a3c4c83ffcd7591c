"""Bad input: the error names the argument, the value and what is allowed."""

from __future__ import annotations

import math

import pytest
import torch
from toy_vaes import LATENT_CHANNELS, CausalVae, PixelVae

import truetile
from truetile.errors import BudgetError, InvalidArgument, NonFiniteError

IMAGE = PixelVae().port()
VIDEO = CausalVae().port()


def latent(*shape: int) -> torch.Tensor:
    return torch.randn(*shape)


@pytest.mark.parametrize(
    ("port", "shape", "message"),
    [
        (IMAGE, (4, 8, 8), r"samples of shape \[4, 8, 8\]: must be \[B, C, h, w\]"),
        (IMAGE, (1, 4, 3, 8, 8), r"must be \[B, C, h, w\] for this image VAE"),
        (VIDEO, (1, 4, 8, 8), r"must be \[B, C, T, h, w\] for this video VAE"),
        (VIDEO, (1, 4, 0, 8, 8), r"samples of shape \[1, 4, 0, 8, 8\]: must not have an empty"),
        (IMAGE, (1, 16, 8, 8), "must have 4 channels for this VAE, not 16"),
    ],
)
def test_latents_of_a_wrong_shape(port, shape, message) -> None:
    with pytest.raises(InvalidArgument, match=message):
        truetile.decode(port, latent(*shape))


@pytest.mark.parametrize(
    ("port", "shape", "message"),
    [
        (IMAGE, (1, 5, 64, 3), "pixels of height 5: must be at least 8"),
        (IMAGE, (1, 64, 64, 1), "must have 3 channels"),
        (VIDEO, (1, 64, 64, 3), r"must be \[B, T, H, W, C\] for this video VAE"),
        (VIDEO, (1, 0, 64, 64, 3), "must not have an empty axis"),
    ],
)
def test_pixels_of_a_wrong_shape(port, shape, message) -> None:
    with pytest.raises(InvalidArgument, match=message):
        truetile.encode(port, torch.rand(*shape))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_latent_that_is_not_finite_is_not_blamed_on_the_vae(bad: float) -> None:
    samples = latent(1, 4, 16, 16)
    samples[0, 1, 2, 3] = bad
    with pytest.raises(
        InvalidArgument, match=r"samples holds 1 NaN or Inf values of 1024.*sampler"
    ):
        truetile.decode(IMAGE, samples)


def test_pixels_that_are_not_finite_are_not_blamed_on_the_vae() -> None:
    pixels = torch.rand(1, 64, 64, 3)
    pixels[0, 5, 6, 0] = math.nan
    with pytest.raises(InvalidArgument, match="pixels holds 1 NaN or Inf values of 12288"):
        truetile.encode(IMAGE, pixels)


def test_large_finite_latents_are_no_error() -> None:
    # Their sum overflows float32, they do not.
    samples = torch.full((1, 4, 16, 16), 3e38)
    pixels, _ = truetile.decode(IMAGE, samples.clamp(max=1e38))
    assert torch.isfinite(pixels).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "fast"}, "mode='fast': must be one of auto, exact, blended, untiled"),
        ({"tile_size": 64, "overlap": 64}, r"overlap=64: must be in \[0, 63\] \(tile_size=64\)"),
        ({"tile_size": 64, "overlap": -8}, r"overlap=-8: must be in \[0, 63\]"),
        ({"tile_size": 64, "overlap": 60}, r"overlap=60: must be at most 56 .*8 pixels a latent"),
        ({"tile_size": 0}, "tile_size=0: must be at least 1"),
        ({"temporal_size": 8, "temporal_overlap": 8}, r"temporal_overlap=8: must be in \[0, 7\]"),
        ({"budget": 0}, "budget=0: must be None or at least 1 byte"),
    ],
)
def test_settings_out_of_range(options, message) -> None:
    with pytest.raises(InvalidArgument, match=message):
        truetile.decode(IMAGE, latent(1, 4, 16, 16), **options)


@pytest.mark.parametrize("mode", ["auto", "blended", "untiled", "exact"])
def test_a_budget_below_the_smallest_plan_names_what_each_needs(mode: str) -> None:
    with pytest.raises(BudgetError, match=r"budget=1000: must be at least \d+ bytes.*: .* [KM]iB"):
        truetile.decode(IMAGE, latent(1, 4, 64, 64), mode=mode, budget=1000)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_what_is_no_tensor_and_what_is_no_vae() -> None:
    with pytest.raises(InvalidArgument, match=r"samples=list: must be a torch\.Tensor"):
        truetile.decode(IMAGE, [1, 2])
    with pytest.raises(InvalidArgument, match=r"samples of dtype torch\.int64"):
        truetile.decode(IMAGE, torch.ones(1, 4, 8, 8, dtype=torch.int64))
    with pytest.raises(InvalidArgument, match="vae=object: must be a ComfyUI VAE"):
        truetile.decode(object(), latent(1, 4, 8, 8))
    nested = torch.nested.nested_tensor([torch.ones(4, 8, 8), torch.ones(4, 8, 9)])
    with pytest.raises(InvalidArgument, match="nested tensor: must be one tensor"):
        truetile.decode(IMAGE, nested)
    with pytest.raises(InvalidArgument, match="encode=None: these Callables cannot encode"):
        truetile.encode(PixelVae().port(encode=None), torch.rand(1, 64, 64, 3))


def test_wrongly_declared_scale_factors_are_found() -> None:
    with pytest.raises(RuntimeError, match=r"the VAE returned \(1, 3, 128, 128\), expected"):
        truetile.decode(PixelVae().port(spatial=4), latent(1, 4, 16, 16))


class Overflowing(PixelVae):
    """A decoder whose half-precision result overflows where the latent is large."""

    def decode(self, latent):
        return super().decode(latent) * (1.0 if latent.dtype == torch.float32 else 1e5)


def test_a_tile_that_overflows_in_half_precision_is_repeated_in_float32() -> None:
    # float16 reaches 65504: only the tiles that hold the large corner overflow.
    samples = torch.full((1, LATENT_CHANNELS, 32, 32), 0.01)
    samples[..., -4:, -4:] = 0.9
    calls = []

    def decode(latent):
        calls.append(latent.dtype)
        return Overflowing().decode(latent)

    port = PixelVae().port(decode=decode, dtype=torch.float16)
    pixels, report = truetile.decode(port, samples, mode="blended", tile_size=128, overlap=16)
    assert torch.isfinite(pixels).all()
    assert calls.count(torch.float32) == 1
    assert calls.count(torch.float16) == report.tiles == 9
    assert any("1 tile(s) overflowed in half precision" in text for text in report.warnings)
    assert pixels[0, -1, -1, 0] == pytest.approx(1.0)


def test_nan_in_float32_too_says_where() -> None:
    def decode(latent):
        return PixelVae().decode(latent) * math.nan

    with pytest.raises(NonFiniteError, match=r"frames 0..0, rows 0..127, columns 0..127"):
        truetile.decode(PixelVae().port(decode=decode), latent(1, 4, 16, 16))
