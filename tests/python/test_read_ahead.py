"""Parts of a clip copied ahead of need: the right values, in time, and nothing left behind.

Runs that read nothing else are in test_read_ahead_runs.py, those of a device in
test_read_ahead_cuda.py.
"""

from __future__ import annotations

import threading
import time
import weakref

import pytest
import torch
from exact_cases import pixels
from hypothesis import given, settings
from hypothesis import strategies as st

from truetile.engine.exact_source import ClipSource
from truetile.engine.read_ahead import THREAD, ReadAhead
from truetile.stream import Span

FRAMES, ROWS, COLUMNS, CHANNELS = 5, 9, 4, 3


def clip() -> torch.Tensor:
    return torch.arange(FRAMES * ROWS * COLUMNS * CHANNELS).view(1, FRAMES, ROWS, COLUMNS, -1)


def view_of(values: torch.Tensor, frames: Span, rows: Span) -> torch.Tensor:
    return values[:, frames.begin : frames.end, rows.begin : rows.end]


def view(frames: Span, rows: Span) -> torch.Tensor:
    return view_of(clip(), frames, rows)


def slots() -> torch.Tensor:
    return torch.full((2, clip().numel()), -1)


def no_fence():
    return lambda: None


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith(THREAD)]


def spans(size: int) -> st.SearchStrategy[Span]:
    both = st.tuples(st.integers(0, size), st.integers(0, size))
    return both.map(lambda ends: Span(min(ends), max(ends)))


PARTS = st.lists(st.tuples(spans(FRAMES), spans(ROWS)), min_size=1, max_size=8)


@given(PARTS, st.data())
@settings(max_examples=100, deadline=None)
def test_what_is_next_is_there_and_nothing_else(parts, data: st.DataObject) -> None:
    """Any list, asked for in any order: what comes out of turn is left to the caller."""
    left = list(parts)
    with ReadAhead(view, parts, slots(), no_fence) as ahead:
        for part in data.draw(st.lists(st.sampled_from(parts), max_size=24)) + parts:
            taken = ahead.take(part)
            assert (taken is not None) == (left[:1] == [part])
            if taken is not None:
                left.pop(0)
                assert torch.equal(taken, view(*part))
    assert not threads()


def rows_of(count: int) -> list[tuple[Span, Span]]:
    return [(Span(0, FRAMES), Span(row, row + 1)) for row in range(count)]


def test_a_part_is_copied_before_it_is_asked_for() -> None:
    begun = [threading.Event() for _ in range(3)]

    def noting(frames: Span, rows: Span) -> torch.Tensor:
        begun[rows.begin].set()
        return view(frames, rows)

    parts = rows_of(3)
    with ReadAhead(noting, parts, slots(), no_fence) as ahead:
        assert begun[0].wait()
        ahead.take(parts[0])
        assert begun[1].wait()
        assert not begun[2].is_set(), "there are two slots"


def test_what_was_taken_stays_until_the_fence_behind_it_lets_go() -> None:
    """A device that is late: each part is read from its slot long after it was taken."""
    fences: list[threading.Event] = []

    def fence():
        fences.append(threading.Event())
        return fences[-1].wait

    parts, got = rows_of(ROWS), []
    with ReadAhead(view, parts, slots(), fence) as ahead:
        try:
            for part in parts:
                fences[-1].set()
                taken = ahead.take(part)
                # The part before goes from its slot only now: the fence behind it, the last one, is
                # shut. A thread that did not wait would have put the part after this one there.
                if got:
                    time.sleep(0.01)
                    got[-1] = got[-1].clone()
                got.append(taken)
        finally:
            for one in fences:
                one.set()
        got[-1] = got[-1].clone()
    assert len(fences) == ROWS
    assert all(torch.equal(one, view(*part)) for one, part in zip(got, parts, strict=True))


def watched_slots() -> tuple[torch.Tensor, list[str]]:
    """Slots, and a list that tells when their memory is gone."""
    memory, gone = slots(), []
    weakref.finalize(memory.untyped_storage(), gone.append, "gone")
    return memory, gone


class BrokenClipError(Exception):
    pass


def test_an_error_of_the_thread_reaches_the_caller_and_leaves_nothing() -> None:
    def failing(frames: Span, rows: Span) -> torch.Tensor:
        if rows.begin == 2:
            raise BrokenClipError
        return view(frames, rows)

    parts = rows_of(4)
    memory, gone = watched_slots()
    ahead = ReadAhead(failing, parts, memory, no_fence)
    del memory
    with pytest.raises(BrokenClipError) as told, ahead:
        for index, part in enumerate(parts):
            assert torch.equal(ahead.take(part), view(*part)), index
    assert not threads()
    assert told.value is not None and gone, "an error that is still held holds no memory"


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_an_interrupt_leaves_neither_thread_nor_memory(taken: int) -> None:
    parts = rows_of(4)
    memory, gone = watched_slots()
    ahead = ReadAhead(view, parts, memory, no_fence)
    del memory
    with pytest.raises(KeyboardInterrupt) as told, ahead:
        for part in parts[:taken]:
            assert ahead.take(part) is not None
        raise KeyboardInterrupt
    assert not threads()
    assert told.value is not None and gone


def test_slots_made_in_inference_mode_serve_too() -> None:
    """ComfyUI runs its nodes in it, and it is each thread's own."""
    parts = rows_of(3)
    with torch.inference_mode(), ReadAhead(view, parts, slots(), no_fence) as ahead:
        assert all(torch.equal(ahead.take(part), view(*part)) for part in parts)


def test_on_the_cpu_nothing_is_staged() -> None:
    source = ClipSource(pixels(5, 16, 8)[0], lambda x: x, torch.device("cpu"), torch.float32)
    parts = [(Span(0, 5), Span(row, row + 4)) for row in range(0, 16, 4)]
    with source.reading(parts):
        assert not threads()
        assert all(source.read(*part).shape == (5, 4, 8, 3) for part in parts)


@pytest.mark.parametrize("layout", ["latents", "pixels"])
def test_a_clip_is_sent_as_it_lies(layout: str) -> None:
    """Putting its channels elsewhere takes the host as long as ten copies."""
    clip = torch.rand(4, 5, 16, 8)
    if layout == "pixels":
        clip = clip.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)
    source = ClipSource(clip, lambda x: x * 2 - 1, torch.device("cpu"), torch.float32)
    whole = Span(0, 5), Span(0, 16)
    assert source._view(*whole).is_contiguous()
    for frames, rows in (whole, (Span(1, 3), Span(2, 9))):
        made = source.of(Span(0, 5)).read(frames, rows)
        part = clip[:, frames.begin : frames.end, rows.begin : rows.end]
        assert torch.equal(made, part.permute(1, 2, 3, 0) * 2 - 1) and made.is_contiguous()
