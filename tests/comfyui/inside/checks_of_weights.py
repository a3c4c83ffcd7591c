"""Whose weights compute: ComfyUI's leave while packed ones are there, and patches count in both."""

from __future__ import annotations

import copy
import gc
import importlib
import operator
from types import SimpleNamespace

import torch
from helpers import equal, latent

# One of each kind: a first layer, one of time, one behind an upsampling, attention, the last.
_CONVOLUTIONS = (
    "decoder.conv1", "decoder.middle.0.residual.2", "decoder.middle.1.to_qkv",
    "decoder.upsamples.3.time_conv", "decoder.upsamples.3.resample.1", "decoder.head.2",
)  # fmt: skip


def _listed():
    from comfy import model_management

    return [loaded.model for loaded in model_management.current_loaded_models]


def _exactly(vae, pack, given):
    """Pixels of the exact engine."""
    pixels, report = pack.service.decode(vae, given, pack.service.Settings(mode="exact"))
    assert report.plan.startswith("Wan 2.1"), report
    return pixels


def _lora(vae, strength=1.0):
    """Low-rank changes of some convolutions, as a LoRA file has them, and a whole one of a norm."""
    import comfy.lora

    generator = torch.Generator().manual_seed(1)
    weights, state = {}, vae.first_stage_model.state_dict()
    for name in _CONVOLUTIONS:
        outputs, *inputs = state[f"{name}.weight"].shape
        scale = float(state[f"{name}.weight"].std())
        weights[f"{name}.lora_up.weight"] = torch.randn(outputs, 2, 1, 1, generator=generator)
        down = torch.randn(2, *inputs, generator=generator)
        weights[f"{name}.lora_down.weight"] = scale * down.reshape(2, inputs[0], -1, 1)
        weights[f"{name}.alpha"] = torch.tensor(1.0)
    names = {name: f"{name}.weight" for name in _CONVOLUTIONS}
    patches = comfy.lora.load_lora(weights, names)
    assert patches.keys() == set(names.values())
    for name, factor in (("decoder.head.0.gamma", 0.5), ("decoder.conv1.bias", 0.2)):
        patches[name] = ("diff", (torch.full_like(state[name], factor),))
    added = vae.patcher.add_patches(patches, strength)
    assert set(added) == patches.keys()


def check_the_vae_is_unloaded_while_it_decodes_exactly(vae, pack):
    import comfy.sd

    other = comfy.sd.VAE(sd=vae.get_sd())
    given = latent(3, 12, 12)
    _exactly(vae, pack, given)  # the self-test has passed
    stock = vae.decode(given)
    other.decode(given)
    assert {id(one) for one in _listed()} == {id(vae.patcher), id(other.patcher)}
    seen, check = [], pack.service.host.check_interrupt
    pack.service.host.check_interrupt = lambda: seen.append(_listed())
    try:
        equal(_exactly(vae, pack, given), stock)
    finally:
        pack.service.host.check_interrupt = check
    assert len(seen) > 10 and all(one == [other.patcher] for one in seen), seen
    assert torch.equal(vae.decode(given), stock), "ComfyUI loads it again"


def check_a_lora_counts_whatever_is_loaded(vae, pack):
    given, settings = latent(2, 8, 8), pack.service.Settings(mode="exact")
    plain = _exactly(vae, pack, given)
    _lora(vae, strength=0.7)
    patched = _exactly(vae, pack, given)  # before ComfyUI has loaded it with its patches
    stock = vae.decode(given)
    assert (patched - plain).abs().mean() > 0.02
    equal(patched, stock)
    equal(_exactly(vae, pack, given), stock)  # when it has patched the weights in place
    assert torch.equal(vae.decode(given), stock)
    pixels = torch.rand(5, 64, 64, 3)
    ours, report = pack.service.encode(vae, pixels, settings)
    assert report.plan.startswith("Wan 2.1"), report
    equal(ours, vae.encode(pixels))


def check_a_second_patch_of_the_same_weight_counts(vae, pack):
    given = latent(1, 8, 8)
    _lora(vae)
    first = _exactly(vae, pack, given)
    vae.decode(given)
    _lora(vae, strength=-0.5)
    second = _exactly(vae, pack, given)
    assert (second - first).abs().mean() > 0.01
    equal(second, vae.decode(given))


def check_patchers_of_one_model_keep_their_patches_apart(vae, pack):
    given = latent(1, 8, 8)
    patched = copy.copy(vae)
    patched.patcher = vae.patcher.clone()
    _lora(patched)
    stock = vae.decode(given)
    with_lora = patched.decode(given)  # its patches are in the weights of both now
    equal(_exactly(vae, pack, given), stock)
    equal(_exactly(patched, pack, given), with_lora)
    patched.decode(given)
    assert torch.equal(vae.decode(given), stock)


def check_a_patched_vae_is_tested_again(vae, pack):
    given = latent(1, 8, 8)
    _exactly(vae, pack, given)
    selftest = pack.vae_port.ports.__name__.replace("ports", "selftest")
    results = __import__(selftest, fromlist=["_results"])._results
    before = len(results)
    _exactly(vae, pack, given)
    assert len(results) == before
    _lora(vae)
    _exactly(vae, pack, given)
    _exactly(vae, pack, given)
    assert len(results) == before + 1


def check_wrappers_of_weights_count(vae, pack):
    given = latent(1, 8, 8)
    plain = _exactly(vae, pack, given)
    _lora(vae)
    for name in ("decoder.conv1.weight", "decoder.head.2.bias"):
        vae.patcher.add_weight_wrapper(name, lambda weight: weight.mul_(1.5))
    wrapped = _exactly(vae, pack, given)
    assert (wrapped - plain).abs().mean() > 0.02
    equal(wrapped, vae.decode(given))


def check_a_swapped_model_has_no_patches(vae, pack):
    """The patcher then loads another model than the one that decodes."""
    given = latent(1, 8, 8)
    swapped = copy.copy(vae)
    swapped.first_stage_model = copy.deepcopy(vae.first_stage_model)
    stock = vae.decode(given)
    _lora(vae)
    equal(_exactly(swapped, pack, given), stock)


def check_what_more_than_weights_can_tell_is_declined(vae, pack):
    from comfy.patcher_extension import PatcherInjection

    given, settings = latent(1, 8, 8), pack.service.Settings()
    block = vae.first_stage_model.decoder.middle[0]
    forward = block.forward
    hook = vae.first_stage_model.decoder.register_forward_hook
    cases = {
        "patched objects: decoder.conv1": lambda: vae.patcher.add_object_patch(
            "decoder.conv1", copy.deepcopy(vae.first_stage_model.decoder.conv1)
        ),
        "its patcher has injections": lambda: vae.patcher.set_injections(
            "test", [PatcherInjection(lambda _: None, lambda _: None)]
        ),
        "decoder.middle.0 has forward of its own": lambda: setattr(
            block, "forward", lambda *given, **options: forward(*given, **options)
        ),
        "decoder has hooks of its own": lambda: hook(lambda *_: None),
    }
    for why, change in cases.items():
        patcher = vae.patcher
        vae.patcher = patcher.clone()
        undo = change()
        ours, report = pack.service.decode(vae, given, settings)
        assert f"not the exact engine: {why}" in report.why, report
        equal(ours, vae.decode(given))
        vae.patcher = patcher
        vars(block).pop("forward", None)
        if undo is not None:
            undo.remove()
    assert _exactly(vae, pack, given).isfinite().all()


def check_a_patch_that_changes_a_shape_is_declined(vae, pack):
    name = "decoder.conv1.weight"
    shape = vae.first_stage_model.state_dict()[name].shape
    wider = torch.zeros(shape[0], shape[1] + 1, *shape[2:])
    vae.patcher.add_patches({name: ("diff", (wider, {"pad_weight": True}))})
    reader = pack.vae_weights.VaeWeights(vae.patcher, vae.first_stage_model)
    cpu, module = torch.device("cpu"), vae.first_stage_model.decoder.conv1
    try:
        reader.read(module, "weight", cpu, torch.float32)
    except pack.vae_weights.Declined as reason:
        assert f"{shape[1] + 1}" in str(reason) and name in str(reason), reason
    else:
        raise AssertionError("it was accepted")


def check_stored_weights_are_read_as_comfyui_would(vae, pack):
    """In a lower precision, and missing ones as the zeros that ComfyUI makes of them."""
    linear = torch.nn.Linear(2, 2)
    linear.weight = torch.nn.Parameter(linear.weight.to(torch.float8_e4m3fn), requires_grad=False)
    linear.bias = torch.nn.Parameter(linear.bias.to("meta"))
    model = torch.nn.Sequential(linear)
    patcher = SimpleNamespace(model=model)
    reader = pack.vae_weights.VaeWeights(patcher, model)
    cpu = torch.device("cpu")
    found = reader.read(linear, "weight", cpu, torch.bfloat16)
    assert torch.equal(found.to(torch.bfloat16), linear.weight.to(torch.bfloat16))
    assert torch.equal(reader.read(linear, "bias", cpu, torch.float32), torch.zeros(2))
    assert reader.read(linear, "gamma", cpu, torch.float32) is None
    patcher.patches = {"0.weight": [(1.0, ("diff", (torch.ones(2, 2),)), 1.0, None, None)]}
    assert torch.equal(
        reader.read(linear, "weight", cpu, torch.bfloat16),
        (linear.weight.float() + 1).to(torch.bfloat16),
    )


def _root(pack) -> str:
    return pack.memory.__name__.removesuffix(".memory")


def _kept(pack):
    """Packed weights of calls on this machine's CPU, which are not kept otherwise."""
    module = importlib.import_module(f"{_root(pack)}.engine.kept_weights")
    return module.KeptWeights(types=("cpu",))


def check_packed_weights_are_kept_until_they_change(vae, pack):
    """Through ComfyUI's own loading and unloading, patching and its end."""
    port, kept, cpu = pack.vae_port.ComfyVaePort, _kept(pack), torch.device("cpu")
    exact = importlib.import_module(f"{_root(pack)}.engine.exact_weights")

    def hit(of) -> bool:
        asked = port(of, "decode")
        program = asked.program("decode", still=False)
        asked.unload()
        found = kept.find(program, asked, torch.float32)
        packed = exact.pack(program, cpu, torch.float32, asked.weight)
        if found is None:
            kept.keep(program, asked, torch.float32, packed)
            return False
        for one, other in zip(found, packed, strict=True):
            for name, value in vars(one).items() if one is not None else ():
                same = torch.equal if isinstance(value, torch.Tensor) else operator.eq
                assert same(value, getattr(other, name)), name
        return True

    assert not hit(vae) and hit(vae)
    vae.decode(latent(1, 8, 8))  # loads it
    assert hit(vae)
    patched = copy.copy(vae)
    patched.patcher = vae.patcher.clone()
    _lora(patched)
    assert not hit(patched) and not hit(patched)
    patched.decode(latent(1, 8, 8))  # its patches are in the weights of both now
    assert hit(vae), "the patches are out again"
    with torch.inference_mode():
        weight = max(vae.first_stage_model.decoder.parameters(), key=torch.Tensor.numel)
        weight.data.mul_(1.5)
    assert not hit(vae) and hit(vae)
    state = {name: value * 0.5 for name, value in vae.first_stage_model.state_dict().items()}
    vae.first_stage_model.load_state_dict(state)
    assert not hit(vae) and hit(vae)
    vae.first_stage_model.to(torch.float16).to(torch.float32)
    assert not hit(vae) and hit(vae)
    assert kept.bytes()


def check_packed_weights_go_with_the_vae(vae, pack):
    import comfy.sd

    kept = _kept(pack)
    exact = importlib.import_module(f"{_root(pack)}.engine.exact_weights")
    other = comfy.sd.VAE(sd=copy.deepcopy(vae.get_sd()))
    asked = pack.vae_port.ComfyVaePort(other, "decode")
    program = asked.program("decode", still=True)
    weights = exact.pack(program, torch.device("cpu"), torch.float32, asked.weight)
    kept.keep(program, asked, torch.float32, weights)
    assert kept.bytes()
    del other, asked, program, weights
    gc.collect()
    assert not kept.bytes()
