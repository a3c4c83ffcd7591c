"""Packed weights: what they take, whose they are, and when the module's own ones are there."""

from __future__ import annotations

import gc

import pytest
import torch
from exact_cases import latents, pixels, program_for
from kl_cases import kl_module, picture
from live_bytes import LiveBytes
from video_modules import wan

import truetile
from truetile.engine import exact_request, exact_segment
from truetile.engine.diffusers_port import DiffusersPort
from truetile.engine.exact_weights import Packed, as_stored, pack
from truetile.engine.weight_bytes import packed_bytes, packing_bytes
from truetile.errors import BudgetError, LadderExhausted

diffusers = pytest.importorskip("diffusers")
MIB = 2**20


pytestmark = pytest.mark.usefixtures("fresh_selftest")


def programs():
    video, image = wan(base_dim=16), kl_module(block_out_channels=(32, 64))
    for operation, still, clip in (
        ("decode", latents(1, 4, 4), latents(2, 4, 4)),
        ("encode", pixels(1, 32, 32), pixels(5, 32, 32)),
    ):
        yield program_for(video, operation, still)
        yield program_for(video, operation, clip)
    yield program_for(image, "decode", picture(4, 5, 3))
    yield program_for(image, "encode", picture(3, 16, 16))


def test_packed_weights_take_what_was_said() -> None:
    for program in programs():
        said = packed_bytes(program, torch.device("cpu"), torch.bfloat16)
        moment = packing_bytes(program, torch.device("cpu"), torch.bfloat16, patched=False)
        with LiveBytes() as live:
            packed = pack(program, torch.device("cpu"), torch.bfloat16)
        gc.collect()
        tensors = [
            value
            for one in packed
            if one is not None
            for value in vars(one).values()
            if isinstance(value, torch.Tensor)
        ]
        taken = {one.data_ptr(): one.untyped_storage().nbytes() for one in tensors}
        # Where a convolution makes more than is used, a little more than its used part stays.
        assert said <= sum(-(-one // 512) * 512 for one in taken.values()) <= 1.001 * said
        assert live.peak <= said + moment, "packing takes more for a moment than was said"


def test_weights_are_read_as_the_port_says() -> None:
    program = program_for(wan(), "decode", latents(2, 4, 4))

    def doubled(module, name, dtype):
        value = as_stored(module, name, dtype)
        return None if value is None else value * 2

    cpu = torch.device("cpu")
    plain, twice = (pack(program, cpu, torch.float32, read) for read in (as_stored, doubled))
    for one, other in zip(plain, twice, strict=True):
        attends = one is not None and one.proj is not None
        for name, value in vars(one).items() if one is not None else ():
            # Projections of an attention are products of two; its output's bias is a sum with one.
            factor = 4 if attends and name in ("weight", "bias", "proj") else 2
            if isinstance(value, torch.Tensor) and name != "proj_bias":
                assert torch.allclose(getattr(other, name), value * factor), name


class RecordingPort(DiffusersPort):
    """Remembers what it was asked for; `staying` bytes of its weights cannot leave."""

    def __init__(self, vae, staying: int = 0) -> None:
        super().__init__(vae)
        self.calls: list[str] = []
        self.staying, self.version = staying, 0

    def decode(self, latent):
        self.calls.append("decode")
        return super().decode(latent)

    def prepare(self, needed_bytes):
        self.calls.append("prepare")

    def unload(self):
        self.calls.append("unload")
        return self.staying

    def make_room(self, needed_bytes):
        self.calls.append("make room")

    def weight(self, module, name, dtype):
        self.calls.append("weight")
        return super().weight(module, name, dtype)

    def patches(self):
        return self.version


def steps(port: RecordingPort) -> list[str]:
    """The calls since the last time, repeated ones once."""
    calls = [
        call for call, before in zip(port.calls, ["", *port.calls], strict=False) if call != before
    ]
    port.calls.clear()
    return calls


def test_the_modules_own_weights_are_there_for_the_self_test_only() -> None:
    port, z = RecordingPort(wan()), latents(2, 6, 5)
    run = ["unload", "make room", "weight"]
    for changed in (True, False, True, False):
        port.version += changed
        truetile.decode(port, z)
        test = ["prepare", "decode", "unload", "weight"] if changed else []
        assert steps(port) == test + run


def test_the_ladder_loads_the_modules_own_weights(monkeypatch) -> None:
    port, z = RecordingPort(wan()), latents(2, 6, 5)
    truetile.decode(port, z)
    steps(port)

    def fails(*_):
        raise torch.OutOfMemoryError("fake")

    monkeypatch.setattr(exact_segment, "convolve", fails)
    pixels_, report = truetile.decode(port, z)
    assert "not the exact engine: out of memory" in report.why
    assert steps(port) == ["unload", "make room", "weight", "prepare", "decode"]
    assert pixels_.isfinite().all()


def test_no_memory_for_packed_weights_is_the_ladders_turn(monkeypatch) -> None:
    port, z = RecordingPort(wan()), latents(2, 6, 5)
    truetile.decode(port, z)

    def fails(*_):
        raise torch.OutOfMemoryError("fake")

    monkeypatch.setattr(exact_request, "pack", fails)
    with pytest.raises(LadderExhausted, match=r"out of memory: packed weights need .* [KM]iB"):
        truetile.decode(port, z, mode="exact")
    _, report = truetile.decode(port, z)
    assert "not the exact engine: out of memory: packed weights" in report.why


def test_nothing_is_moved_for_a_budget_that_no_plan_keeps() -> None:
    port, z = RecordingPort(wan()), latents(2, 6, 5)
    truetile.decode(port, z)
    steps(port)
    with pytest.raises(BudgetError):
        truetile.decode(port, z, mode="exact", budget=1000)
    assert steps(port) == []


def test_weights_that_cannot_leave_count() -> None:
    vae, z = wan(), latents(2, 6, 5)
    _, report = truetile.decode(RecordingPort(vae), z, mode="exact")
    need = report.rungs[-1]["bytes"]
    _, report = truetile.decode(RecordingPort(vae, 100 * MIB), z, mode="exact")
    assert report.rungs[-1]["bytes"] == need + 100 * MIB
    with pytest.raises(BudgetError, match="must be at least"):
        truetile.decode(RecordingPort(vae, 100 * MIB), z, mode="exact", budget=100 * MIB)


def test_nothing_packed_is_left_when_a_call_ends(monkeypatch) -> None:
    vae, z = wan(), latents(2, 6, 5)

    def left() -> int:
        gc.collect()
        return sum(type(one) is Packed for one in gc.get_objects())

    before = left()
    truetile.decode(vae, z)
    assert left() == before
    request = exact_request.ExactRequest
    made = []
    init = request.__init__
    monkeypatch.setattr(
        request, "__init__", lambda self, *a: (made.append(self), init(self, *a))[0]
    )

    def stop():
        raise KeyError("stop")

    with pytest.raises(KeyError):
        truetile.decode(vae, z, check_interrupt=stop)
    assert made and left() == before, "neither by a failed one that somebody still holds"


def test_a_whole_call_takes_no_more_than_was_said() -> None:
    """Packing, all items, and the repetition of one in float32 included."""
    vae = wan(base_dim=16).half()
    z = torch.cat([latents(1, 8, 6)] * 2).half()
    truetile.decode(vae, z)
    for overflowing in (False, True):
        if overflowing:
            for resnet in vae.decoder.up_blocks[-1].resnets:
                resnet.conv2.bias.data.fill_(6e4)
        with LiveBytes() as live:
            result, report = truetile.decode(vae, z, mode="exact")
        assert any("float32" in text for text in report.warnings) == overflowing
        assert live.peak <= report.rungs[0]["bytes"]
        assert result.isfinite().all()


def test_diffusers_modules_stay_where_they_lie() -> None:
    vae = wan()
    port = DiffusersPort(vae)
    assert port.unload() == 0, "main memory does not count"
    stored = vae.decoder.conv_in
    assert torch.equal(port.weight(stored, "weight", torch.float32), stored.weight)
    assert port.weight(stored, "gamma", torch.float32) is None
