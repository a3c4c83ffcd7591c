"""The causal cache of Wan VAEs: chunks of a clip equal the whole clip."""

from __future__ import annotations

import pytest
import torch
from toy_vaes import LimitedMemory

import truetile
from truetile.engine.diffusers_port import DiffusersPort
from truetile.families.wan_carry import carry_for

diffusers = pytest.importorskip("diffusers")

# A chunk runs the same convolutions on the same numbers; only the order of sums inside a
# convolution may differ with its shape. Two dozen layers of float32 rounding on a signal of [0, 1].
TOLERANCE = 2e-5


def wan(**changes):
    torch.manual_seed(0)
    config = {"base_dim": 8, "num_res_blocks": 1} | changes
    return diffusers.AutoencoderKLWan(**config).eval().requires_grad_(False)


def wan22():
    return wan(
        is_residual=True,
        patch_size=2,
        in_channels=12,
        out_channels=12,
        z_dim=8,
        latents_mean=[0.0] * 8,
        latents_std=[1.0] * 8,
        scale_factor_spatial=16,
    )


@pytest.fixture(scope="module", params=[wan, wan22], ids=["wan 2.1", "wan 2.2"])
def vae(request):
    return request.param()


def clip(vae, operation: str, latents: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    if operation == "decode":
        return torch.randn(1, vae.config.z_dim, latents, 6, 8, generator=generator)
    spatial = vae.config.scale_factor_spatial
    return torch.rand(1, 4 * latents - 3, 6 * spatial, 8 * spatial, 3, generator=generator)


@pytest.mark.parametrize("operation", ["decode", "encode"])
@pytest.mark.parametrize("frames", [16, 8, 4])
def test_chunks_equal_the_whole_clip(vae, operation: str, frames: int) -> None:
    call = getattr(truetile, operation)
    data = clip(vae, operation)
    whole, report = call(vae, data, mode="untiled")
    assert report.exact
    memory = LimitedMemory(DiffusersPort(vae), [6 * 8 * max(1, frames // 4)])
    chunked, report = call(memory, data, mode="exact")
    assert report.exact and report.tiles > 1
    assert torch.allclose(chunked, whole, rtol=0, atol=TOLERANCE)


def test_the_module_itself_is_the_reference(vae) -> None:
    data = clip(vae, "decode")
    pixels, _ = truetile.decode(vae, data, mode="untiled")
    reference = (vae.decode(data).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert torch.equal(pixels, reference)
    latents, _ = truetile.encode(vae, pixels, mode="untiled")
    assert torch.equal(latents, vae.encode(pixels.movedim(-1, 1) * 2 - 1).latent_dist.mode())


def test_a_clip_goes_on_in_smaller_tiles_with_its_cache_cropped(vae) -> None:
    data = clip(vae, "decode")
    # Two chunks of one latent pass as whole frames, then only quarters fit.
    limits = [48] * 4 + [40]
    memory = LimitedMemory(DiffusersPort(vae), limits)
    options = {"tile_size": 6 * vae.config.scale_factor_spatial, "overlap": 32}
    result, report = truetile.decode(memory, data, **options)
    assert not report.exact and "then tiles of" in report.plan
    reference, _ = truetile.decode(vae, data, mode="untiled")
    done = report.rungs[-2]["tiles"]
    frames = 1 + 4 * (done - 1)
    assert torch.allclose(result[:, :frames], reference[:, :frames], rtol=0, atol=TOLERANCE)
    # Tiles see less than the frame does, but the same clip: the error stays that of tiling.
    restarted, _ = truetile.decode(vae, data, mode="blended", **options)
    ours = (result - reference).abs()[:, frames:].mean()
    assert ours <= 1.1 * (restarted - reference).abs()[:, frames:].mean()


def test_a_chunk_that_failed_leaves_the_cache_as_it_was(vae) -> None:
    data = clip(vae, "decode")
    carry = carry_for(vae, "decode")
    spatial = (6, 8)
    _, state = carry.run(data[:, :, :2], None, spatial=spatial)
    before = [entry.clone() if isinstance(entry, torch.Tensor) else entry for entry in state]
    first, _ = carry.run(data[:, :, 2:4], state, spatial=spatial)
    again, _ = carry.run(data[:, :, 2:4], state, spatial=spatial)
    assert torch.equal(first, again)
    for old, now in zip(before, state, strict=True):
        assert torch.equal(old, now) if isinstance(old, torch.Tensor) else old is now
