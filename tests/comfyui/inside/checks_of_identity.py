"""A wrapped VAE is still the VAE: attributes, copies, swaps, and whose code runs."""

from __future__ import annotations

import copy

import torch
from helpers import equal, latent, need, recorded_loads


def check_it_is_the_vae_it_was_made_of(vae, pack):
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    assert isinstance(wrapped, type(vae))
    for name, value in vars(vae).items():
        assert getattr(wrapped, name) is value, name
    assert wrapped.get_sd().keys() == vae.get_sd().keys()
    assert wrapped.spacial_compression_encode() == vae.spacial_compression_encode() == 8
    assert wrapped.spacial_compression_decode() == vae.spacial_compression_decode() == 8
    assert wrapped.temporal_compression_decode() == vae.temporal_compression_decode() == 4
    wrapped.throw_exception_if_invalid()
    if hasattr(vae, "is_dynamic"):
        assert wrapped.is_dynamic() == vae.is_dynamic()
    if hasattr(vae, "prepare_decode"):
        assert wrapped.prepare_decode((1, 16, 1, 8, 8)) >= 1


def check_the_vae_that_went_in_stays_as_it_is(vae, pack):
    before, methods = dict(vars(vae)), type(vae)
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    wrapped.decode(latent(1, 8, 8))
    assert type(vae) is methods
    assert vars(vae) == before


def check_a_copy_is_independent(vae, pack):
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    other = copy.copy(wrapped)
    other.patcher = wrapped.patcher.clone()
    other.device, other.vae_dtype = "elsewhere", torch.bfloat16
    assert wrapped.patcher is vae.patcher
    assert wrapped.device == vae.device
    assert wrapped.vae_dtype == vae.vae_dtype
    assert type(other) is type(wrapped)


def check_wrapping_twice_only_changes_the_settings(vae, pack):
    once = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    twice = pack.wrapped_vae.wrap(once, pack.service.Settings(mode="blended"))
    assert type(twice) is type(once)
    assert once.truetile_settings.mode == "auto"
    assert twice.truetile_settings.mode == "blended"


def check_a_swapped_patcher_is_the_one_that_is_loaded(vae, pack):
    """nodes_model_patch swaps the patcher, encodes, and puts the old one back."""
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    wrapped.patcher = vae.patcher.clone()
    with recorded_loads() as loads:
        wrapped.encode(torch.rand(1, 64, 64, 3))
    assert loads
    assert all(models == [wrapped.patcher] for models in loads)


def check_a_swapped_model_is_the_one_that_runs(vae, pack):
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    wrapped.first_stage_model = copy.deepcopy(vae.first_stage_model)
    with torch.no_grad():
        for parameter in wrapped.first_stage_model.decoder.head.parameters():
            parameter.zero_()
    assert (wrapped.decode(latent(1, 8, 8)) == 0.5).all()


def check_tiled_calls_take_the_sizes_of_the_caller(vae, pack):
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings(mode="blended"))
    wrapped.decode_tiled(latent(1, 16, 20), tile_x=12, tile_y=12, overlap=4, tile_t=8, overlap_t=1)
    assert wrapped.truetile_report.tiles == 4, wrapped.truetile_report
    wrapped.encode_tiled(torch.rand(1, 128, 160, 3), tile_x=96, tile_y=96, overlap=32)
    assert wrapped.truetile_report.tiles == 4, wrapped.truetile_report


def check_vae_options_reach_the_model(vae, pack):
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    seen = {}
    inner = vae.first_stage_model.decode
    vae.first_stage_model.decode = lambda z, **options: seen.update(options) or inner(z)
    wrapped.decode(latent(1, 8, 8), vae_options={"sharper": 1})
    assert seen == {"sharper": 1}


def check_a_vae_that_tiles_itself_is_left_to_comfyui(vae, pack):
    need(vae, "handles_tiling")
    vae.handles_tiling = True
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings(mode="blended"))
    given = latent(1, 8, 8)
    equal(wrapped.decode(given), vae.decode(given))
    assert "tiles itself" in wrapped.truetile_report.why
    calls = []
    vae.first_stage_model.decode_tiled = lambda z, **sizes: calls.append(sizes) or torch.zeros(
        z.shape
    )
    wrapped.decode_tiled(given, tile_x=4, tile_y=4, overlap=1)
    assert calls == [{"tile_x": 4, "tile_y": 4, "overlap": 1}]
