"""Checks of the VAE adapter against the real comfy.sd.VAE, run by ComfyUI's own interpreter.

Usage: python checks_in_comfyui.py COMFYUI_DIR VAE_FILE. Prints one JSON object per check.
Each function check_* is one; it gets a fresh VAE and raises when it fails.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import json
import sys
import traceback
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SIZES = {"tile_size": 96, "overlap": 32}


def check_it_is_the_vae_it_was_made_of(vae, pack):
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    assert isinstance(wrapped, type(vae))
    for name, value in vars(vae).items():
        assert getattr(wrapped, name) is value, name
    assert wrapped.get_sd().keys() == vae.get_sd().keys()
    assert wrapped.spacial_compression_encode() == vae.spacial_compression_encode() == 8
    assert wrapped.spacial_compression_decode() == vae.spacial_compression_decode() == 8
    assert wrapped.temporal_compression_decode() == vae.temporal_compression_decode() == 4
    assert wrapped.is_dynamic() == vae.is_dynamic()
    wrapped.throw_exception_if_invalid()
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


def check_shapes_dtypes_and_values_are_those_of_the_stock_vae(vae, pack):
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    for shape in ((1, 1, 8, 8), (2, 2, 8, 12)):
        given = latent(*shape[1:], batch=shape[0])
        equal(wrapped.decode(given), vae.decode(given))
    for shape in ((1, 32, 48, 3), (6, 41, 50, 4)):
        pixels = torch.rand(shape)
        equal(wrapped.encode(pixels), vae.encode(pixels))


def check_several_clips_are_encoded_each_by_itself(vae, pack):
    """ComfyUI's own code crops the frames of such an input, so it is compared clip by clip."""
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    clips = torch.rand(2, 5, 35, 32, 3)
    equal(wrapped.encode(clips), torch.cat([vae.encode(clip) for clip in clips]))


def check_fp16_intermediates_are_honoured(vae, pack):
    import comfy.cli_args

    if not hasattr(comfy.cli_args.args, "fp16_intermediates"):
        return
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    comfy.cli_args.args.fp16_intermediates = True
    try:
        assert wrapped.decode(latent(1, 8, 8)).dtype == vae.decode(latent(1, 8, 8)).dtype
    finally:
        comfy.cli_args.args.fp16_intermediates = False


def check_not_video_makes_clips_of_one_frame(vae, pack):
    vae.not_video = True
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    pixels = torch.rand(3, 32, 32, 3)
    encoded = wrapped.encode(pixels)
    assert encoded.shape == (3, 16, 1, 4, 4)
    equal(encoded, vae.encode(pixels))


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


def check_an_own_process_output_is_applied_once(vae, pack):
    vae.process_output = lambda image: image.mul_(0.25).add_(0.5).clamp_(0.0, 1.0).square_()
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    given = latent(2, 8, 8)
    equal(wrapped.decode(given), vae.decode(given))


def check_a_nan_in_half_precision_is_repeated_in_float32(vae, pack):
    model = vae.first_stage_model
    model.half()
    vae.vae_dtype = torch.float16
    storages = [parameter.data_ptr() for parameter in model.parameters()]
    inner = model.decode

    def overflowing(z):
        out = inner(z)
        return out * float("nan") if z.dtype == torch.float16 else out

    model.decode = overflowing
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings(mode="untiled"))
    with torch.inference_mode():  # as ComfyUI executes nodes
        pixels = wrapped.decode(latent(1, 8, 8))
    assert torch.isfinite(pixels).all()
    assert any("float32" in text for text in wrapped.truetile_report.warnings)
    assert storages == [parameter.data_ptr() for parameter in model.parameters()]
    assert all(parameter.dtype == torch.float16 for parameter in model.parameters())


def check_under_dynamic_vram_weights_are_not_touched(vae, pack):
    """There every layer converts its weights to its input's dtype; the switch does so here."""
    model = vae.first_stage_model
    model.half()
    vae.vae_dtype = torch.float16
    for module in model.modules():
        if hasattr(module, "comfy_cast_weights"):
            module.comfy_cast_weights = True
    vae.patcher.is_dynamic = lambda: True
    port = pack.vae_port.ComfyVaePort(vae, "decode")
    given = latent(1, 8, 8)
    with torch.inference_mode(), port.fp32():
        assert all(parameter.dtype == torch.float16 for parameter in model.parameters())
        assert port.decode(given).dtype == torch.float32
    assert port.decode(given.half()).dtype == torch.float16


def check_a_memory_error_that_only_comfyui_knows_takes_the_next_rung(vae, pack):
    from comfy import model_management

    class DriverError(RuntimeError):
        pass

    inner, wide = vae.first_stage_model.decode, []

    def failing(z):
        if z.shape[-1] > 12:
            wide.append(z.shape)
            raise DriverError("CUDA error 2")
        return inner(z)

    vae.first_stage_model.decode = failing
    known = model_management.is_oom
    model_management.is_oom = lambda error: isinstance(error, DriverError) or known(error)
    try:
        wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings(**SIZES))
        pixels = wrapped.decode(latent(1, 16, 20))
    finally:
        model_management.is_oom = known
    assert len(wide) == 1
    assert pixels.shape == (1, 1, 128, 160, 3)


def check_the_cost_model_is_not_below_comfyuis_estimate(vae, pack):
    port = pack.vae_port.ComfyVaePort(vae, "decode")
    cost = port.cost("decode")
    for frames, latents in ((1, 1), (17, 5), (81, 21)):
        core = vae.memory_used_decode((1, 16, latents, 60, 104), vae.vae_dtype)
        live = min(frames, cost.live_frames) if cost.live_frames else frames
        ours = cost.fixed_bytes + cost.bytes_per_pixel * 60 * 104 * 64 * live
        assert 0.99 * core <= ours <= 1.5 * core, (frames, ours / core)


def check_truetile_takes_a_comfyui_vae_by_itself(vae, pack):
    pack.vae_port.register()
    pixels, report = pack.service.truetile.decode(vae, latent(1, 8, 8))
    assert pixels.shape == (1, 1, 64, 64, 3)
    assert report.operation == "decode"


def latent(frames, height, width, batch=1):
    torch.manual_seed(0)
    return torch.randn(batch, 16, frames, height, width)


def equal(ours, core):
    assert ours.shape == core.shape, (ours.shape, core.shape)
    assert ours.dtype == core.dtype
    assert ours.device == core.device
    scale = core.abs().max().clamp(min=1.0)
    assert (ours - core).abs().max() <= 1e-4 * scale, float((ours - core).abs().max())


@contextlib.contextmanager
def recorded_loads():
    from comfy import model_management

    loads, original = [], model_management.load_models_gpu

    def recording(models, memory_required=0, force_full_load=False):
        loads.append(list(models))
        return original(models, memory_required, force_full_load=force_full_load)

    model_management.load_models_gpu = recording
    try:
        yield loads
    finally:
        model_management.load_models_gpu = original


class Pack:
    """The pack, imported the way ComfyUI imports it: a folder under a name of its own."""

    def __init__(self):
        name = str(REPOSITORY).replace(".", "_x_")
        spec = importlib.util.spec_from_file_location(name, REPOSITORY / "__init__.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        for part in ("service", "vae_port", "wrapped_vae"):
            setattr(self, part, importlib.import_module(f"{name}.comfy_nodes.{part}"))


def main(comfyui: str, vae_file: str) -> None:
    sys.path.insert(0, comfyui)
    import comfy.cli_args

    comfy.cli_args.args.cpu = True  # read when model_management is imported
    import comfy.sd
    import comfy.utils

    pack = Pack()
    weights = comfy.utils.load_torch_file(vae_file)
    for name, check in list(globals().items()):
        if not name.startswith("check_"):
            continue
        failure = ""
        try:
            with torch.no_grad():
                check(comfy.sd.VAE(sd=dict(weights)), pack)
        except Exception:
            failure = traceback.format_exc()
        print(json.dumps({"check": name, "failure": failure}), flush=True)


if __name__ == "__main__":
    import torch

    main(*sys.argv[1:])
