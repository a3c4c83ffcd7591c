"""A weight's mark fits that weight, however it is laid out and stored, until it is changed."""

from __future__ import annotations

import gc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from truetile.engine.weight_marks import Mark

LARGE = (130, 127)  # just more than what is compared as a whole
DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn]


def nothing() -> None:
    pass


def weight_of(dtype, large: bool, layout: str) -> torch.Tensor:
    shape = (64, 32, 3, 3) if large else (4, 3, 3, 3)
    value = torch.randn(shape).to(dtype)
    if layout == "channels last":
        return value.contiguous(memory_format=torch.channels_last)
    if layout == "with an offset":
        room = torch.zeros(value.numel() + 3, dtype=dtype)
        room[3:] = value.flatten()
        return room[3:].view(shape)
    return value.expand(2, *shape) if layout == "repeated" else value


@pytest.mark.parametrize("layout", ["plain", "channels last", "with an offset", "repeated"])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_mark_fits_until_all_is_changed(dtype, large, layout) -> None:
    weight = weight_of(dtype, large, layout)
    mark = Mark(weight, nothing)
    assert mark.fits(weight) and mark.fits(weight.detach())
    assert mark.fits(torch.nn.Parameter(weight, requires_grad=False))
    room = torch.empty(0, dtype=dtype).set_(weight.untyped_storage())  # counts for itself
    room.copy_((room.float() * 2).to(dtype))
    assert not mark.fits(weight)


@settings(deadline=None)
@given(st.integers(0, LARGE[0] * LARGE[1] - 1))
def test_torch_counts_a_write_of_any_element(at) -> None:
    weight = torch.zeros(LARGE)
    mark = Mark(weight, nothing)
    weight.view(-1)[at] = 1
    assert not mark.fits(weight)


@settings(deadline=None)
@given(st.integers(0, 127))
def test_any_element_of_a_small_weight_counts(at) -> None:
    with torch.inference_mode():  # where torch does not count
        weight = torch.zeros(8, 16)
        mark = Mark(weight, nothing)
        weight.view(-1)[at] = 1
        assert not mark.fits(weight)


def test_nan_is_a_value_like_others() -> None:
    weight = torch.full(LARGE, float("nan"))
    assert Mark(weight, nothing).fits(weight)


def test_equal_values_elsewhere_are_another_large_weight() -> None:
    weight, small = torch.randn(LARGE), torch.randn(5)
    assert not Mark(weight, nothing).fits(weight.clone())
    assert Mark(small, nothing).fits(small.clone())
    assert not Mark(small, nothing).fits(small.view(1, 5)), "of another shape"


def test_another_view_of_the_same_memory_is_another_weight() -> None:
    room = torch.zeros(2 * LARGE[0], LARGE[1])
    mark = Mark(room[: LARGE[0]], nothing)
    assert mark.fits(room[: LARGE[0]])
    assert not mark.fits(room[LARGE[0] :]) and not mark.fits(room[::2])


def test_the_end_of_a_weights_memory_is_told() -> None:
    ended = []
    weight = torch.zeros(LARGE)
    kept = weight.view(-1)
    mark = Mark(weight, lambda: ended.append(True))
    del weight
    gc.collect()
    assert not ended, "somebody looks at it still"
    del kept
    gc.collect()
    assert ended and mark.memory is None
