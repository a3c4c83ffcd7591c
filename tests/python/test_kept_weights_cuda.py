"""Packed weights kept for CUDA: page-locked, moved without waiting, in the bytes that were said."""

from __future__ import annotations

import gc

import pytest
import torch
from exact_cases import latents
from kl_cases import kl_module
from test_flat_weights import check_equal
from video_modules import wan

import truetile
from truetile.engine import exact_request
from truetile.engine.diffusers_port import DiffusersPort
from truetile.engine.exact_weights import pack
from truetile.engine.kept_weights import KeptWeights
from truetile.engine.weight_bytes import layer_bytes, packed_bytes

pytest.importorskip("diffusers")
pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("fresh_selftest")]
CYCLES = 2 * 10**9  # of the GPU, more than half a second: longer than anything the host does here


class HostedPort(DiffusersPort):
    """Computes on CUDA a module that rests in main memory, as a host of models does."""

    device = torch.device("cuda", 0)

    def prepare(self, needed_bytes):
        self._vae.to(self.device)

    def unload(self):
        self._vae.to("cpu")
        return 0


@pytest.fixture
def kept(monkeypatch) -> KeptWeights:
    made = KeptWeights()
    monkeypatch.setattr(exact_request, "KEPT", made)
    return made


@pytest.fixture(params=["video", "image"])
def port(request):
    if request.param == "video":
        return HostedPort(wan(base_dim=64, num_res_blocks=2).to(torch.bfloat16))
    sizes = {"block_out_channels": (128, 256), "norm_num_groups": 32}
    return HostedPort(kl_module(**sizes).to(torch.bfloat16))


def source_of(port) -> torch.Tensor:
    z = latents(3, 24, 20).to(torch.bfloat16)
    return z if port.time is not None else z[:, :, 0]


def packed(port):
    program = port.program("decode", still=port.time is None)
    return program, pack(program, port.device, port.dtype, port.weight)


def entry_of(kept: KeptWeights):
    (entry,) = kept._entries.values()
    return entry


def busy() -> torch.cuda.Event:
    """The GPU works for a while; the event comes when that is done."""
    torch.cuda._sleep(CYCLES)
    return torch.cuda.current_stream().record_event()


def test_later_calls_give_the_same_bits_and_leave_the_card_as_it_was(kept, port, monkeypatch):
    calls = []
    monkeypatch.setattr(exact_request, "pack", lambda *args: (calls.append(1), pack(*args))[1])
    z = source_of(port)
    first, report = truetile.decode(port, z, mode="exact")
    assert report.exact and "not the exact engine" not in report.why
    assert entry_of(kept).flat.is_pinned()
    assert entry_of(kept).written.query(), "the result is there, so the copies are"
    torch.cuda.synchronize()
    between = torch.cuda.memory_allocated()
    for _ in range(2):
        torch.cuda.reset_peak_memory_stats()
        again, report = truetile.decode(port, z, mode="exact")
        assert torch.equal(again, first)
        torch.cuda.synchronize()
        assert torch.cuda.max_memory_allocated() - between <= report.rungs[-1]["bytes"]
        assert torch.cuda.memory_allocated() == between
    assert len(calls) == 1


def test_weights_come_back_in_one_block_of_what_was_said(kept, port):
    program, weights = packed(port)
    gc.collect()  # of other tests
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    kept.keep(program, port, port.dtype, weights)
    torch.cuda.synchronize()
    assert torch.cuda.max_memory_allocated() == before, "keeping takes nothing of the card"
    found = kept.find(program, port, port.dtype)
    torch.cuda.synchronize()
    # Of a large block that torch hands out up to a megabyte stays unused.
    said = packed_bytes(program, port.device, port.dtype) + (1 << 20)
    assert torch.cuda.max_memory_allocated() - before <= said
    assert torch.cuda.memory_allocated() - before <= said
    check_equal(found, weights)
    tensors = [v for one in found if one for v in vars(one).values() if isinstance(v, torch.Tensor)]
    assert len({one.untyped_storage().data_ptr() for one in tensors}) == 1
    assert all(one.is_cuda and one.data_ptr() % 512 == 0 for one in tensors)
    del found, tensors
    assert torch.cuda.memory_allocated() == before


def test_each_part_of_a_plan_has_a_block_of_its_own(kept, port):
    """So that the memory of one is free while the other's is read."""
    program, weights = packed(port)
    kept.keep(program, port, port.dtype, weights)
    torch.cuda.synchronize()
    cut = len(weights) // 2
    found = kept.find(program, port, port.dtype, [cut])
    check_equal(found, weights)
    gone = sum(layer_bytes(program, port.device, port.dtype)[:cut])
    before = torch.cuda.memory_allocated()
    found = (None,) * cut + found[cut:]
    assert before - torch.cuda.memory_allocated() >= gone


def test_nothing_waits_for_the_card(kept, port):
    program, weights = packed(port)
    # On another stream, which must not read before the copies have ended. Its memory is there
    # already: the driver may wait for the device before it gives any.
    other = torch.cuda.Stream()
    with torch.cuda.stream(other):
        size = packed_bytes(program, port.device, port.dtype)
        torch.empty(size, dtype=torch.uint8, device=port.device)
    for _ in range(2):  # once for the page-locked memory, which torch keeps for the next one
        kept.forget()
        torch.cuda.synchronize()
        working = busy()
        kept.keep(program, port, port.dtype, weights)
    assert not working.query(), "keeping waited"
    with torch.cuda.stream(other):
        found = kept.find(program, port, port.dtype)
        assert not working.query(), "finding waited"
        torch.cuda.current_stream().synchronize()
        check_equal(found, weights)


def test_an_entry_that_goes_while_it_is_copied_does_no_harm(kept, port):
    program, weights = packed(port)
    kept.keep(program, port, port.dtype, weights)
    torch.cuda.synchronize()
    busy()
    found = kept.find(program, port, port.dtype)
    size = entry_of(kept).flat.numel()
    kept.forget()
    other = torch.empty(size, dtype=torch.uint8, pin_memory=True).fill_(255)
    torch.cuda.synchronize()
    check_equal(found, weights)
    assert bool((other == 255).all())


def test_the_figure_is_torchs_own(kept, port):
    program, weights = packed(port)
    gc.collect()
    torch.cuda.synchronize()
    torch.empty(1, pin_memory=True)  # takes note of what earlier tests gave back
    before = pinned_in_use()
    kept.keep(program, port, port.dtype, weights)
    taken = pinned_in_use() - before
    assert 0 < taken <= kept.bytes() < 2 * entry_of(kept).flat.numel()


def pinned_in_use() -> int:
    """Bytes of page-locked blocks that somebody holds, without those kept for the next one."""
    stats = torch.cuda.host_memory_stats()
    # Older torch calls them allocated, which has come to mean both.
    return stats.get("active_bytes.current", stats["allocated_bytes.current"])


def test_weights_on_the_card_are_not_kept(kept):
    vae = wan(base_dim=16).cuda()
    truetile.decode(vae, latents(2, 6, 5), mode="exact")
    assert kept.bytes() == 0
