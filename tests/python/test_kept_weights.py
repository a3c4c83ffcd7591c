"""Packed weights kept between calls: used again, gone with the VAE, within their share."""

from __future__ import annotations

import copy
import gc

import pytest
import torch
from exact_cases import decode_exactly, latents
from test_flat_weights import check_equal
from video_modules import wan

import truetile
from truetile.engine import exact_request, kept_weights
from truetile.engine.diffusers_port import DiffusersPort
from truetile.engine.exact_planning import plans_for
from truetile.engine.exact_weights import pack
from truetile.engine.kept_weights import KeptWeights
from truetile.engine.weight_bytes import layer_bytes, packing_bytes
from truetile.families.recognise import program_of
from truetile.memory import describe, ram

pytest.importorskip("diffusers")


@pytest.fixture
def vae():
    return wan(base_dim=16)


def test_what_packing_takes_is_said_of_calls_that_pack(vae, kept) -> None:
    _, first = truetile.decode(vae, latents(1, 1, 1), mode="exact")
    _, second = truetile.decode(vae, latents(1, 1, 1), mode="exact")
    program = program_of(vae, "decode", still=True)
    weights = layer_bytes(program, torch.device("cpu"), torch.float32)
    packing = packing_bytes(program, torch.device("cpu"), torch.float32, patched=False)
    (plan,) = plans_for(program, (1, 1, 1, 4), 4, torch.device("cpu"), weights)
    saved = sum(weights) + packing - plan.bytes
    assert saved > 0, "packing takes the most"
    assert first.rungs[-1]["bytes"] - second.rungs[-1]["bytes"] == saved


def test_a_second_call_packs_nothing_and_gives_the_same(vae, kept, packings) -> None:
    first = decode_exactly(vae)
    assert len(packings) == 1 and kept.bytes() > 0
    assert torch.equal(decode_exactly(vae), first) and torch.equal(decode_exactly(vae), first)
    assert len(packings) == 1
    program, _, dtype, _ = packings[0]
    again = kept.find(program, DiffusersPort(vae), dtype)
    check_equal(again, pack(program, torch.device("cpu"), dtype))


def test_other_programs_are_kept_beside(vae, kept, packings) -> None:
    clip, still = decode_exactly(vae, 2), decode_exactly(vae, 1)
    one = kept.bytes()
    latent, _ = truetile.encode(vae, torch.rand(1, 5, 32, 32, 3), mode="exact")
    assert latent.isfinite().all() and kept.bytes() > one
    assert len(packings) == 3
    assert torch.equal(decode_exactly(vae, 2), clip) and torch.equal(decode_exactly(vae, 1), still)
    assert len(packings) == 3


def test_two_vaes_of_one_structure_are_kept_apart(vae, packings) -> None:
    other = copy.deepcopy(vae)
    for weight in other.parameters():
        weight.mul_(0.9)
    first, second = decode_exactly(vae), decode_exactly(other)
    assert not torch.equal(first, second)
    assert torch.equal(decode_exactly(vae), first) and torch.equal(decode_exactly(other), second)
    assert len(packings) == 2


def test_nothing_is_copied_for_another_vae(vae, kept, monkeypatch) -> None:
    copied = []
    uploaded = kept_weights._uploaded
    counted = lambda *args: (copied.append(args[0]), uploaded(*args))[1]  # noqa: E731
    monkeypatch.setattr(kept_weights, "_uploaded", counted)
    other = copy.deepcopy(vae)
    decode_exactly(vae)
    decode_exactly(other)
    assert not copied
    decode_exactly(vae)
    decode_exactly(other)
    assert len(copied) == 2 and copied[0] is not copied[1]


def test_nothing_is_kept_for_the_cpu_as_it_is(vae, monkeypatch) -> None:
    made = KeptWeights()
    monkeypatch.setattr(exact_request, "KEPT", made)
    decode_exactly(vae)
    assert made.bytes() == 0


def test_an_entry_goes_with_its_module(kept) -> None:
    vae = wan(base_dim=16)
    decode_exactly(vae)
    decode_exactly(vae, 1)
    assert kept.bytes()
    del vae
    gc.collect()
    assert kept.bytes() == 0


def test_an_entry_goes_when_its_weights_are_moved(vae, kept) -> None:
    decode_exactly(vae)
    vae.decoder.conv_in.weight.data = vae.decoder.conv_in.weight.data.clone()
    assert kept.bytes(), "that one is small"
    large = max(vae.decoder.parameters(), key=torch.Tensor.numel)
    large.data = large.data.clone()
    assert kept.bytes() == 0


def test_the_oldest_goes_first(vae, kept, packings, monkeypatch) -> None:
    decode_exactly(vae, 1)
    still = kept.bytes()
    decode_exactly(vae, 2)
    clip = kept.bytes() - still
    decode_exactly(vae, 1)  # used again
    share = kept_weights.PINNED_SHARE

    def free(count: int) -> None:
        monkeypatch.setattr(kept_weights, "free_ram", lambda: count / share - kept.bytes())

    free(still)
    decode_exactly(vae, 1)
    assert kept.bytes() == still and len(packings) == 2, "the one in use stays"
    free(clip)
    decode_exactly(vae, 2)
    assert kept.bytes() == clip and len(packings) == 3
    free(clip - 1)
    packings.clear()
    decode_exactly(vae, 2)
    decode_exactly(vae, 2)
    assert kept.bytes() == 0 and len(packings) == 2, "none fits"


def test_what_the_system_refuses_is_packed_each_time(vae, kept, packings, monkeypatch) -> None:
    monkeypatch.setattr(kept, "_buffer", lambda *_: None)
    assert torch.equal(decode_exactly(vae), decode_exactly(vae))
    assert kept.bytes() == 0 and len(packings) == 2


def test_the_report_names_it(vae, kept, monkeypatch) -> None:
    monkeypatch.setattr(ram, "_holders", [])
    ram.register_pinned("TrueTile's packed weights", kept.bytes)
    assert "TrueTile" not in describe.ram_text(ram.read())
    decode_exactly(vae)
    held = describe.say_bytes(kept.bytes())
    assert f"(TrueTile's packed weights {held})" in describe.ram_text(ram.read())
    kept.forget()
    assert "TrueTile" not in describe.ram_text(ram.read())
