"""Packed weights kept between calls are never out of date."""

from __future__ import annotations

import copy

import pytest
import torch
from exact_cases import decode_exactly
from kl_cases import kl_module
from test_flat_weights import check_equal
from video_modules import wan

from truetile.engine import selftest
from truetile.engine.diffusers_port import DiffusersPort
from truetile.engine.exact_weights import pack
from truetile.engine.kept_weights import KeptWeights

pytest.importorskip("diffusers")


@pytest.fixture
def vae():
    return wan(base_dim=16)


class PatchedPort(DiffusersPort):
    """A host's patches: the weights are made anew each time that they are read."""

    patched = None

    def patches(self):
        return self.patched

    def weight(self, module, name, dtype):
        value = super().weight(module, name, dtype)
        return value if self.patched is None or value is None else value * 2


def parts(vae):
    """A small weight, a large one, and one of the norms."""
    block = vae.decoder.mid_block.resnets[0]
    return block.conv1.bias, block.conv1.weight, block.norm1.gamma


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
    first, held = decode_exactly(vae), kept.bytes()
    change(parts(vae)[part])
    second = decode_exactly(vae)
    assert len(packings) == 2 and not torch.equal(first, second)
    assert torch.equal(decode_exactly(vae), second) and len(packings) == 2
    assert kept.bytes() == held, "what is out of date must not stay"


def test_one_element_changed_as_torch_counts_is_noticed(vae, packings) -> None:
    first = decode_exactly(vae)
    parts(vae)[1].flatten()[-1] += 1.0
    assert not torch.equal(decode_exactly(vae), first) and len(packings) == 2


@pytest.mark.parametrize("part", range(3))
def test_another_parameter_is_noticed(vae, packings, part) -> None:
    first = decode_exactly(vae)
    block = vae.decoder.mid_block.resnets[0]
    owner, name = ((block.conv1, "bias"), (block.conv1, "weight"), (block.norm1, "gamma"))[part]
    old = getattr(owner, name)  # stays alive
    setattr(owner, name, torch.nn.Parameter(old * 0.5, requires_grad=False))
    assert not torch.equal(decode_exactly(vae), first) and len(packings) == 2
    setattr(owner, name, old)
    assert torch.equal(decode_exactly(vae), first)


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
        first = decode_exactly(vae)
        state = {name: value * 0.9 for name, value in vae.state_dict().items()}
        vae.load_state_dict(state, assign=assign)
        assert not torch.equal(decode_exactly(vae), first) and len(packings) == 2
        decode_exactly(vae)
        assert len(packings) == 2


def test_a_parameter_wrapped_again_is_the_same(vae, packings) -> None:
    """As ComfyUI puts weights back that dynamic VRAM had loaded."""
    first = decode_exactly(vae)
    for part in vae.modules():
        for name, value in part.named_parameters(recurse=False):
            setattr(part, name, torch.nn.Parameter(value, requires_grad=False))
    assert torch.equal(decode_exactly(vae), first) and len(packings) == 1


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
    first = decode_exactly(vae)
    decode_exactly(vae.half())
    assert len(packings) == 2
    assert packings[1][2] == torch.float16
    assert decode_exactly(vae.float()).shape == first.shape
    assert len(packings) == 3, "the weights are rounded now, and elsewhere in memory"


def test_patched_weights_are_not_kept(vae, packings, monkeypatch) -> None:
    # The module itself is not patched: it would differ.
    monkeypatch.setattr(selftest, "require_equal", lambda *_: None)
    port = PatchedPort(vae)
    plain = decode_exactly(port)
    port.patched = "by a LoRA"
    patched = decode_exactly(port)
    assert not torch.equal(plain, patched) and torch.equal(decode_exactly(port), patched)
    assert len(packings) == 3
    port.patched = None
    assert torch.equal(decode_exactly(port), plain) and len(packings) == 3
