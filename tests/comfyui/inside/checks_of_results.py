"""A wrapped VAE gives what the stock VAE gives, also where something goes wrong on the way."""

from __future__ import annotations

import importlib
from contextlib import contextmanager

import torch
from helpers import equal, latent, need

SIZES = {"tile_size": 96, "overlap": 32}


class DriverError(RuntimeError):
    """An error that torch does not name, but ComfyUI does."""


@contextmanager
def _known_to_comfyui():
    from comfy import model_management

    need(model_management, "is_oom")
    known = model_management.is_oom
    model_management.is_oom = lambda error: isinstance(error, DriverError) or known(error)
    try:
        yield
    finally:
        model_management.is_oom = known


def check_shapes_dtypes_and_values_are_those_of_the_stock_vae(vae, pack):
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    for shape in ((1, 1, 8, 8), (2, 2, 8, 12)):
        given = latent(*shape[1:], batch=shape[0])
        equal(wrapped.decode(given), vae.decode(given))
    for shape in ((1, 32, 48, 3), (6, 41, 50, 4)):
        pixels = torch.rand(shape)  # an alpha channel is dropped: by later ComfyUIs in the VAE
        equal(wrapped.encode(pixels), vae.encode(pixels[..., :3]))


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


def check_known_layers_are_streamed(vae, pack):
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    for frames, height in ((1, 8), (3, 12)):
        given = latent(frames, height, 8)
        equal(wrapped.decode(given), vae.decode(given))
        assert wrapped.truetile_report.plan.startswith("Wan 2.1"), wrapped.truetile_report
        pixels = torch.rand(4 * frames - 3, 8 * height, 64, 3)
        equal(wrapped.encode(pixels), vae.encode(pixels))
        assert wrapped.truetile_report.plan.startswith("Wan 2.1"), wrapped.truetile_report


def check_new_weights_are_noticed(vae, pack):
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    given = latent(2, 8, 8)
    wrapped.decode(given)
    vae.first_stage_model.decoder.head[2].bias.data += 0.1
    equal(wrapped.decode(given), vae.decode(given))
    assert wrapped.truetile_report.plan.startswith("Wan 2.1")


def check_a_memory_error_that_only_comfyui_knows_takes_the_next_plan(vae, pack):
    exact = importlib.import_module(f"{pack.service.truetile.__name__}.engine.exact_segment")
    wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings())
    given = latent(2, 12, 12)
    wrapped.decode(given)  # the self-test has passed
    convolve, failed = exact.convolve, []

    def failing(*args):
        if not failed:
            failed.append(args)
            raise DriverError("CUDA error 2")
        return convolve(*args)

    exact.convolve = failing
    try:
        with _known_to_comfyui():
            pixels = wrapped.decode(given)
    finally:
        exact.convolve = convolve
    assert failed and "memory ran out 1 time" in wrapped.truetile_report.why
    equal(pixels, vae.decode(given))


def check_a_memory_error_that_only_comfyui_knows_takes_the_next_rung(vae, pack):
    inner, wide = vae.first_stage_model.decode, []

    def failing(z, **_):
        if z.shape[-1] > 12:
            wide.append(z.shape)
            raise DriverError("CUDA error 2")
        return inner(z)

    vae.first_stage_model.decode = failing
    with _known_to_comfyui():
        wrapped = pack.wrapped_vae.wrap(vae, pack.service.Settings(**SIZES))
        # Options of its own are not for the exact engine.
        pixels = wrapped.decode(latent(1, 16, 20), {"own": True})
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
