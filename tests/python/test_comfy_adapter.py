"""The ComfyUI adapter's reading of VAEs, without ComfyUI: fakes with core's own formulas."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "truetile_pack_under_test"


@pytest.fixture(scope="module")
def pack():
    """The checkout as ComfyUI imports it: a package under a name of its own."""
    spec = importlib.util.spec_from_file_location(NAME, REPOSITORY / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    yield module
    for name in [name for name in sys.modules if name.split(".")[0] == NAME]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def facts(pack):
    return importlib.import_module(f"{NAME}.comfy_nodes.vae_facts")


def clamped(image):
    return image.add_(1.0).div_(2.0).clamp_(0.0, 1.0)


def image_vae(scale=8, **changes):
    """The defaults of comfy.sd.VAE.__init__: an AutoencoderKL."""
    values = {
        "first_stage_model": torch.nn.Identity(),
        "patcher": object(),
        "device": torch.device("cpu"),
        "vae_dtype": torch.float16,
        "latent_dim": 2,
        "latent_channels": 4,
        "output_channels": 3,
        "upscale_ratio": scale,
        "downscale_ratio": scale,
        "process_output": clamped,
        "memory_used_decode": lambda shape, dtype: 2178 * shape[2] * shape[3] * 64 * 2,
        "memory_used_encode": lambda shape, dtype: 1767 * shape[2] * shape[3] * 2,
    }
    return SimpleNamespace(**{**values, **changes})


def video_vae(factor, scale, **changes):
    """A causal video VAE, with the formulas that core gives to Wan, LTX, Mochi and Hunyuan."""
    up = (lambda a: max(0, a * factor - (factor - 1)), scale, scale)
    down = (lambda a: max(0, math.floor((a + factor - 1) / factor)), scale, scale)
    changes = {"latent_dim": 3, "upscale_ratio": up, "downscale_ratio": down, **changes}
    return image_vae(**changes)


def test_the_root_exports_what_comfyui_needs_and_no_v1_mapping(pack):
    assert callable(pack.comfy_entrypoint)
    assert (REPOSITORY / pack.WEB_DIRECTORY / "docs").is_dir()
    # With a V1 mapping, even an empty one, ComfyUI would ignore the entrypoint silently.
    assert not hasattr(pack, "NODE_CLASS_MAPPINGS")


def test_the_root_can_be_imported_alone():
    spec = importlib.util.spec_from_file_location("alone", REPOSITORY / "__init__.py")
    spec.submodule_search_locations = None
    module = importlib.util.module_from_spec(spec)
    module.__package__ = ""
    spec.loader.exec_module(module)
    assert module.WEB_DIRECTORY


@pytest.mark.parametrize(("factor", "scale"), [(4, 8), (4, 16), (8, 32), (6, 8), (8, 8)], ids=str)
def test_time_comes_from_the_vaes_formulas(facts, factor, scale):
    vae = video_vae(factor, scale)
    time = facts.time_scale(vae)
    assert (time.factor, time.first) == (factor, 1)
    assert facts.spatial_factor(vae, "decode") == facts.spatial_factor(vae, "encode") == scale


def test_an_image_vae_has_no_time(facts):
    assert facts.time_scale(image_vae()) is None
    assert facts.spatial_factor(image_vae(scale=32), "decode") == 32


def test_a_vae_may_read_and_write_at_different_scales(facts):
    stage_c = image_vae(upscale_ratio=8, downscale_ratio=32)
    assert facts.spatial_factor(stage_c, "decode") == 8
    assert facts.spatial_factor(stage_c, "encode") == 32


def test_pixel_channels_differ_by_operation_where_the_vae_says_so(facts):
    layered = video_vae(4, 8, output_channels=4, conv_out_channels=3)
    assert facts.pixel_channels(layered, "encode") == 4
    assert facts.pixel_channels(layered, "decode") == 3


@pytest.mark.parametrize(
    ("vae", "reason"),
    [
        (SimpleNamespace(decode=None), "not a comfy.sd.VAE"),
        (image_vae(latent_dim=1), "audio"),
        (image_vae(extra_1d_channel=16), "audio"),
        (image_vae(output_channels=2), "audio"),
        (video_vae(4, 8, handles_tiling=True), "tiles itself"),
    ],
)
def test_what_is_left_to_comfyui_says_why(facts, vae, reason):
    with pytest.raises(facts.NotTileable, match=reason):
        facts.require_tileable(vae)


def test_an_uneven_frame_formula_is_refused(facts):
    """MiniMax-H3: 17 frames for five latents."""
    vae = video_vae(4, 16, upscale_ratio=(lambda a: max(1, (a - 2) // 5 * 17 + 5), 16, 16))
    with pytest.raises(facts.NotTileable, match="evenly"):
        facts.time_scale(vae)


def test_a_scale_that_is_no_whole_number_is_refused(facts):
    with pytest.raises(facts.NotTileable, match="whole number"):
        facts.spatial_factor(image_vae(scale=1411.2), "decode")


def test_process_output_is_fused_where_it_is_the_usual_one(facts):
    for usual in (clamped, lambda image: torch.clamp((image + 1.0) / 2.0, min=0.0, max=1.0)):
        affine = facts.finish_of(image_vae(process_output=usual))
        assert (affine.scale, affine.shift, affine.lo, affine.hi) == (0.5, 0.5, 0.0, 1.0)
    identity = facts.finish_of(image_vae(process_output=lambda image: image))
    assert (identity.scale, identity.shift, identity.lo) == (1.0, 0.0, -math.inf)


def test_another_process_output_stays_a_function(facts):
    finish = facts.finish_of(image_vae(process_output=torch.sigmoid))
    values = torch.linspace(-2, 2, 5)
    assert torch.equal(finish(values), torch.sigmoid(values))


def estimates(name):
    """Core's byte estimates of a decode, two bytes an element."""
    return {
        "wan": lambda s, d: (2200 if s[2] <= 4 else 7000) * s[3] * s[4] * 64 * 2,
        "ltx": lambda s, d: 1200 * s[2] * s[3] * s[4] * 512 * 2,
        "hunyuan": lambda s, d: 2800 * min(8, (s[2] - 1) * 4 + 1) * s[3] * s[4] * 64 * 2,
        "fixed": lambda s, d: 7000 * s[3] * s[4] * 64 * 2 + 384 * 2**20,
    }[name]


@pytest.mark.parametrize(
    ("name", "factor", "scale"),
    [("wan", 4, 8), ("ltx", 8, 32), ("hunyuan", 4, 8), ("fixed", 4, 8)],
)
@pytest.mark.parametrize("latents", [5, 9, 31])
def test_the_cost_model_is_core_s_estimate_or_cautiously_above(pack, name, factor, scale, latents):
    vae_cost = importlib.import_module(f"{NAME}.comfy_nodes.vae_cost")
    facts = importlib.import_module(f"{NAME}.comfy_nodes.vae_facts")
    vae = video_vae(factor, scale, memory_used_decode=estimates(name))
    time = facts.time_scale(vae)
    cost = vae_cost.cost_of(vae, "decode", spatial=scale, time=time, channels=3)
    frames, h, w = time.pixels(latents), 60, 104
    live = min(frames, cost.live_frames) if cost.live_frames else frames
    ours = cost.fixed_bytes + cost.bytes_per_pixel * h * w * scale**2 * live
    core = estimates(name)((1, 16, latents, h, w), torch.float16)
    assert 0.999 * core <= ours <= 2.0 * core


def test_a_cost_estimate_that_raises_is_no_obstacle(pack):
    vae_cost = importlib.import_module(f"{NAME}.comfy_nodes.vae_cost")

    def refuses(shape, dtype):
        raise RuntimeError("cannot decode")

    vae = image_vae(memory_used_decode=refuses)
    assert vae_cost.cost_of(vae, "decode", spatial=8, time=None, channels=3) is None


def test_half_weights_become_float32_and_come_back_as_the_same_storages(pack):
    fp32 = importlib.import_module(f"{NAME}.comfy_nodes.fp32_weights")
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.GroupNorm(2, 4)).half()
    parameters = list(model.parameters())
    pointers = [p.data_ptr() for p in parameters]
    with torch.inference_mode(), pytest.raises(KeyError), fp32.float32_weights(model):
        assert all(p.dtype == torch.float32 for p in model.parameters())
        assert model(torch.rand(1, 3, 8, 8)).dtype == torch.float32
        raise KeyError("whatever happens inside")
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    assert [p.data_ptr() for p in model.parameters()] == pointers
    assert all(p.dtype == torch.float16 for p in model.parameters())
