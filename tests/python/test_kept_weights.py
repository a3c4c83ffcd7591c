"""Packed weights kept between calls: never out of date, gone with the VAE, within their share."""

from __future__ import annotations

import copy
import gc

import pytest
import torch
from exact_cases import latents, wan
from kl_cases import kl_module
from test_flat_weights import check_equal

import truetile
from truetile.engine import exact_request, kept_weights, selftest
from truetile.engine.diffusers_port import DiffusersPort
from truetile.engine.exact_planning import plans_for
from truetile.engine.exact_weights import pack
from truetile.engine.kept_weights import KeptWeights
from truetile.engine.weight_bytes import packing_bytes
from truetile.families.recognise import program_of
from truetile.memory import describe, ram

pytest.importorskip("diffusers")


class PatchedPort(DiffusersPort):
    """A host's patches: the weights are made anew each time that they are read."""

    patched = None

    def patches(self):
        return self.patched

    def weight(self, module, name, dtype):
        value = super().weight(module, name, dtype)
        return value if self.patched is None or value is None else value * 2


@pytest.fixture
def kept(monkeypatch, fresh_selftest) -> KeptWeights:
    """Calls on the CPU keep their weights in it, too."""
    made = KeptWeights(types=("cpu",))
    monkeypatch.setattr(exact_request, "KEPT", made)
    return made


@pytest.fixture
def packings(monkeypatch, kept) -> list:
    """One more for each call that packed."""
    calls = []

    def counted(*args):
        calls.append(args)
        return pack(*args)

    monkeypatch.setattr(exact_request, "pack", counted)
    return calls


@pytest.fixture
def vae():
    return wan(base_dim=16)


def decode(vae, frames: int = 2):
    pixels, report = truetile.decode(vae, latents(frames, 6, 5), mode="exact")
    assert report.exact and "not the exact engine" not in report.why
    return pixels


def parts(vae):
    """A small weight, a large one, and one of the norms."""
    block = vae.decoder.mid_block.resnets[0]
    return block.conv1.bias, block.conv1.weight, block.norm1.gamma


def test_what_packing_takes_is_said_of_calls_that_pack(vae, kept) -> None:
    _, first = truetile.decode(vae, latents(1, 1, 1), mode="exact")
    _, second = truetile.decode(vae, latents(1, 1, 1), mode="exact")
    program = program_of(vae, "decode", still=True)
    packing = packing_bytes(program, torch.device("cpu"), torch.float32, patched=False)
    (plan,) = plans_for(program, (1, 1, 1, 4), 4, torch.device("cpu"))
    assert plan.bytes < packing, "packing takes the most"
    saved = packing - plan.bytes
    assert first.rungs[-1]["bytes"] - second.rungs[-1]["bytes"] == saved


def test_a_second_call_packs_nothing_and_gives_the_same(vae, kept, packings) -> None:
    first = decode(vae)
    assert len(packings) == 1 and kept.bytes() > 0
    assert torch.equal(decode(vae), first) and torch.equal(decode(vae), first)
    assert len(packings) == 1
    program, _, dtype, _ = packings[0]
    again = kept.find(program, DiffusersPort(vae), dtype)
    check_equal(again, pack(program, torch.device("cpu"), dtype))


def test_other_programs_are_kept_beside(vae, kept, packings) -> None:
    clip, still = decode(vae, 2), decode(vae, 1)
    one = kept.bytes()
    latent, _ = truetile.encode(vae, torch.rand(1, 5, 32, 32, 3), mode="exact")
    assert latent.isfinite().all() and kept.bytes() > one
    assert len(packings) == 3
    assert torch.equal(decode(vae, 2), clip) and torch.equal(decode(vae, 1), still)
    assert len(packings) == 3


def test_two_vaes_of_one_structure_are_kept_apart(vae, packings) -> None:
    other = copy.deepcopy(vae)
    for weight in other.parameters():
        weight.mul_(0.9)
    first, second = decode(vae), decode(other)
    assert not torch.equal(first, second)
    assert torch.equal(decode(vae), first) and torch.equal(decode(other), second)
    assert len(packings) == 2


def test_nothing_is_copied_for_another_vae(vae, kept, monkeypatch) -> None:
    copied = []
    uploaded = kept_weights._uploaded
    counted = lambda entry, device: (copied.append(entry), uploaded(entry, device))[1]  # noqa: E731
    monkeypatch.setattr(kept_weights, "_uploaded", counted)
    other = copy.deepcopy(vae)
    decode(vae)
    decode(other)
    assert not copied
    decode(vae)
    decode(other)
    assert len(copied) == 2 and copied[0] is not copied[1]


def added(weight) -> None:
    weight.add_(0.125)


def added_to_data(weight) -> None:
    weight.data.add_(0.125)


def other_data(weight) -> None:
    weight.data = weight.data + 0.125


def in_inference_mode(weight) -> None:
    with torch.inference_mode():
        weight.add_(0.125)


@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("change", [added, added_to_data, other_data, in_inference_mode])
def test_a_changed_weight_is_packed_anew(vae, kept, packings, change, part) -> None:
    first, held = decode(vae), kept.bytes()
    change(parts(vae)[part])
    second = decode(vae)
    assert len(packings) == 2 and not torch.equal(first, second)
    assert torch.equal(decode(vae), second) and len(packings) == 2
    assert kept.bytes() == held, "what is out of date must not stay"


def test_one_element_changed_as_torch_counts_is_noticed(vae, packings) -> None:
    first = decode(vae)
    parts(vae)[1].flatten()[-1] += 1.0
    assert not torch.equal(decode(vae), first) and len(packings) == 2


@pytest.mark.parametrize("part", range(3))
def test_another_parameter_is_noticed(vae, packings, part) -> None:
    first = decode(vae)
    block = vae.decoder.mid_block.resnets[0]
    owner, name = ((block.conv1, "bias"), (block.conv1, "weight"), (block.norm1, "gamma"))[part]
    old = getattr(owner, name)  # stays alive
    setattr(owner, name, torch.nn.Parameter(old * 0.5, requires_grad=False))
    assert not torch.equal(decode(vae), first) and len(packings) == 2
    setattr(owner, name, old)
    assert torch.equal(decode(vae), first)


def test_another_module_or_epsilon_is_noticed() -> None:
    """What no weight tells."""
    made = KeptWeights(types=("cpu",))
    vae = kl_module(block_out_channels=(32, 64))
    port = DiffusersPort(vae)

    def found() -> bool:
        program = port.program("decode", still=True)
        hit = made.find(program, port, torch.float32) is not None
        if not hit:
            weights = pack(program, port.device, torch.float32, port.weight)
            made.keep(program, port, torch.float32, weights)
        return hit

    assert not found() and found()
    resnet = vae.decoder.mid_block.resnets[0]
    resnet.norm1.eps *= 2
    assert not found() and found()
    old = resnet.conv1  # stays alive
    resnet.conv1 = copy.deepcopy(old)
    resnet.conv1.weight.mul_(2)
    assert not found() and found()


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("inference", [False, True])
def test_another_state_dict_is_noticed(kept, packings, assign, inference) -> None:
    # Torch counts no writes where the module was made in inference mode, as ComfyUI does.
    with torch.inference_mode(inference):
        vae = wan(base_dim=16)
        first = decode(vae)
        state = {name: value * 0.9 for name, value in vae.state_dict().items()}
        vae.load_state_dict(state, assign=assign)
        assert not torch.equal(decode(vae), first) and len(packings) == 2
        decode(vae)
        assert len(packings) == 2


def test_a_parameter_wrapped_again_is_the_same(vae, packings) -> None:
    """As ComfyUI puts weights back that dynamic VRAM had loaded."""
    first = decode(vae)
    for part in vae.modules():
        for name, value in part.named_parameters(recurse=False):
            setattr(part, name, torch.nn.Parameter(value, requires_grad=False))
    assert torch.equal(decode(vae), first) and len(packings) == 1


def test_a_small_weight_made_anew_is_known_by_its_values(vae, kept, packings) -> None:
    """As the convolution that a family makes of a VAE's statistics of latents."""

    class Derived(DiffusersPort):
        factor = 1.0

        def weight(self, module, name, dtype):
            value = super().weight(module, name, dtype)
            return value * self.factor if name == "gamma" and value is not None else value

    port = Derived(vae)
    program = port.program("decode", still=True)

    def weights():
        return pack(program, port.device, torch.float32, port.weight)

    kept.keep(program, port, torch.float32, weights())
    check_equal(kept.find(program, port, torch.float32), weights())
    port.factor = 1.5
    assert kept.find(program, port, torch.float32) is None


def test_another_dtype_is_packed(vae, packings) -> None:
    first = decode(vae)
    decode(vae.half())
    assert len(packings) == 2
    assert packings[1][2] == torch.float16
    assert decode(vae.float()).shape == first.shape
    assert len(packings) == 3, "the weights are rounded now, and elsewhere in memory"


def test_patched_weights_are_not_kept(vae, packings, monkeypatch) -> None:
    # The module itself is not patched: it would differ.
    monkeypatch.setattr(selftest, "require_equal", lambda *_: None)
    port = PatchedPort(vae)
    plain = decode(port)
    port.patched = "by a LoRA"
    patched = decode(port)
    assert not torch.equal(plain, patched) and torch.equal(decode(port), patched)
    assert len(packings) == 3
    port.patched = None
    assert torch.equal(decode(port), plain) and len(packings) == 3


def test_nothing_is_kept_for_the_cpu_as_it_is(vae, monkeypatch) -> None:
    made = KeptWeights()
    monkeypatch.setattr(exact_request, "KEPT", made)
    decode(vae)
    assert made.bytes() == 0


def test_an_entry_goes_with_its_module(kept) -> None:
    vae = wan(base_dim=16)
    decode(vae)
    decode(vae, 1)
    assert kept.bytes()
    del vae
    gc.collect()
    assert kept.bytes() == 0


def test_an_entry_goes_when_its_weights_are_moved(vae, kept) -> None:
    decode(vae)
    vae.decoder.conv_in.weight.data = vae.decoder.conv_in.weight.data.clone()
    assert kept.bytes(), "that one is small"
    large = max(vae.decoder.parameters(), key=torch.Tensor.numel)
    large.data = large.data.clone()
    assert kept.bytes() == 0


def test_the_oldest_goes_first(vae, kept, packings, monkeypatch) -> None:
    decode(vae, 1)
    still = kept.bytes()
    decode(vae, 2)
    clip = kept.bytes() - still
    decode(vae, 1)  # used again
    share = kept_weights.PINNED_SHARE

    def free(count: int) -> None:
        monkeypatch.setattr(kept_weights, "free_ram", lambda: count / share - kept.bytes())

    free(still)
    decode(vae, 1)
    assert kept.bytes() == still and len(packings) == 2, "the one in use stays"
    free(clip)
    decode(vae, 2)
    assert kept.bytes() == clip and len(packings) == 3
    free(clip - 1)
    packings.clear()
    decode(vae, 2)
    decode(vae, 2)
    assert kept.bytes() == 0 and len(packings) == 2, "none fits"


def test_what_the_system_refuses_is_packed_each_time(vae, kept, packings, monkeypatch) -> None:
    monkeypatch.setattr(kept, "_buffer", lambda *_: None)
    assert torch.equal(decode(vae), decode(vae))
    assert kept.bytes() == 0 and len(packings) == 2


def test_the_report_names_it(vae, kept, monkeypatch) -> None:
    monkeypatch.setattr(ram, "_holders", [])
    ram.register_pinned("TrueTile's packed weights", kept.bytes)
    assert "TrueTile" not in describe.ram_text(ram.read())
    decode(vae)
    held = describe.say_bytes(kept.bytes())
    assert f"(TrueTile's packed weights {held})" in describe.ram_text(ram.read())
    kept.forget()
    assert "TrueTile" not in describe.ram_text(ram.read())
