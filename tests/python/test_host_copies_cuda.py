"""Pixels are copied to the host beside the next kernels, and nothing overtakes them."""

from __future__ import annotations

import pytest
import torch

from truetile.engine.output import HostBatch

pytestmark = pytest.mark.cuda

CUDA = torch.device("cuda")
SLEEP = 10**9  # about half a second
WIDTH = 8


def batch_of(frames: int, rows: int, *, pixels: bool = True) -> HostBatch:
    size = (frames, rows, WIDTH)
    new = {"dtype": torch.float32, "device": CUDA}
    batch = HostBatch(1, 3, size, **new, channels_last=pixels, pin=True)
    batch.tensor.fill_(-1.0)
    return batch


def put(batch: HostBatch, rows: tuple[int, int], value: float) -> torch.Tensor:
    """Fills rows of all frames as a kernel would; the memory that it wrote into."""
    item, frames = batch.item(0), batch.planes.shape[2]
    begin, end = (0, rows[0], 0), (frames, rows[1], WIDTH)
    target = item.target(begin, end, beside=True)
    target.copy_(torch.full(target.shape, value, device=CUDA), non_blocking=True)
    item.commit(begin, end, target)
    return target


@pytest.fixture(autouse=True)
def launched() -> None:
    """Every kernel once, for its first launch may wait for all others."""
    put(batch_of(1, 1), (0, 1), 0.0)
    torch.cuda._sleep(1)
    torch.cuda.synchronize()


def test_strips_follow_each_other_through_one_place() -> None:
    batch = batch_of(5, 12)
    for strip in range(4):
        # The copies are late; what is written for the next strip must wait for them.
        with torch.cuda.stream(batch._copies.stream):
            torch.cuda._sleep(SLEEP // 10)
        assert put(batch, (3 * strip, 3 * strip + 3), float(strip)).is_cuda
    made = batch.finish()
    want = torch.arange(4.0).repeat_interleave(3).view(1, 1, 12, 1, 1).expand(made.shape)
    assert torch.equal(made, want)
    assert batch._copies.stream.query()


def test_the_event_passes_when_the_copies_have() -> None:
    batch = batch_of(1, 4)
    with torch.cuda.stream(batch._copies.stream):
        torch.cuda._sleep(SLEEP)
    put(batch, (0, 4), 0.5)
    event = batch.all_written()
    assert not event.query() and (batch.tensor == -1.0).all()
    event.synchronize()
    assert (batch.tensor == 0.5).all()


def test_the_place_is_free_once_settled() -> None:
    batch = batch_of(2, 256)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    put(batch, (0, 256), 1.0)
    assert torch.cuda.memory_allocated() - before == 2 * 256 * WIDTH * 3 * 4
    batch.item(0).settle()
    assert torch.cuda.memory_allocated() == before
    batch.finish()


@pytest.mark.parametrize("pixels", [True, False], ids=["part of the columns", "latents"])
def test_what_lies_in_many_pieces_is_written_by_the_kernel(pixels: bool) -> None:
    batch = batch_of(2, 4, pixels=pixels)
    end = (2, 4, WIDTH // 2 if pixels else WIDTH)
    target = batch.item(0).target((0, 0, 0), end, beside=True)
    assert target.is_pinned() and not target.is_cuda
