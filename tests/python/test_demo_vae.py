"""The embedded demo VAE: its file, its key names, and how well it keeps the demo's material."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")
pytest.importorskip("diffusers")
safetensors_torch = pytest.importorskip("safetensors.torch")
Image = pytest.importorskip("PIL.Image")
ImageSequence = pytest.importorskip("PIL.ImageSequence")

from truetile.demo.vae import (  # noqa: E402
    DEFAULT_PATH,
    load_demo_vae,
    new_demo_vae,
    to_wan_state_dict,
)

ASSETS = Path(DEFAULT_PATH).parent


@pytest.fixture(scope="module")
def vae():
    return load_demo_vae()


def read_frames(name: str, frames: int, box: tuple[int, int, int, int]) -> torch.Tensor:
    """Return the cut-out ``box`` of the first frames as (1, 3, T, H, W) in [-1, 1]."""
    with Image.open(ASSETS / name) as image:
        pages = [np.array(page.convert("RGB")) for page in ImageSequence.Iterator(image)]
    left, top, right, bottom = box
    clip = torch.from_numpy(np.stack(pages[:frames]))[:, top:bottom, left:right]
    return clip.permute(3, 0, 1, 2)[None].float() / 127.5 - 1


@torch.no_grad()
def psnr(vae, clip: torch.Tensor) -> float:
    """Return the PSNR in dB of the round trip through the latent."""
    latent = vae.encode(clip).latent_dist.mode()
    assert latent.shape[1] == 16
    assert latent.shape[2] == (clip.shape[2] + 3) // 4
    error = (vae.decode(latent).sample - clip) / 2
    return float(-10 * error.square().mean().log10())


def test_photograph_keeps_25_db(vae):
    assert psnr(vae, read_frames("demo_photo.jpg", 1, (256, 192, 768, 576))) >= 25


def test_clip_keeps_22_db(vae):
    assert psnr(vae, read_frames("heldout_clip.webp", 9, (0, 0, 256, 256))) >= 22


def test_file_is_small_and_keeps_every_weight_finite():
    assert DEFAULT_PATH.stat().st_size <= 8_000_000
    weights = safetensors_torch.load_file(str(DEFAULT_PATH))
    assert all(bool(w.isfinite().all()) for w in weights.values())


def test_key_names_are_those_diffusers_converts(vae):
    single_file_utils = pytest.importorskip("diffusers.loaders.single_file_utils")
    converted = single_file_utils.convert_wan_vae_to_diffusers(to_wan_state_dict(vae))
    own = vae.state_dict()
    assert set(converted) == set(own)
    assert all(torch.equal(converted[key], own[key]) for key in own)


def test_width_is_read_from_the_weights(tmp_path):
    path = tmp_path / "narrow.safetensors"
    safetensors_torch.save_file(to_wan_state_dict(new_demo_vae(base_dim=8)), str(path))
    assert load_demo_vae(path).config.base_dim == 8


def test_another_file_is_refused_with_its_reason(tmp_path):
    path = tmp_path / "other.safetensors"
    safetensors_torch.save_file({"weight": torch.zeros(1)}, str(path))
    with pytest.raises(ValueError, match=r"other\.safetensors has no decoder\.head\.0\.gamma"):
        load_demo_vae(path)


def test_a_missing_weight_is_named(tmp_path):
    weights = to_wan_state_dict(new_demo_vae(base_dim=8))
    del weights["conv2.bias"]
    path = tmp_path / "short.safetensors"
    safetensors_torch.save_file(weights, str(path))
    with pytest.raises(ValueError, match=r"missing \['conv2\.bias'\]"):
        load_demo_vae(path)
