"""The layer ops on the CPU: native and twin against a float64 reference."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import (
    CHANNELS,
    FLOATS,
    NORMS,
    PADS,
    VIEW_PAIRS,
    VIEWS,
    NormPad,
    check_copy,
    check_merge,
    check_merge_norm_pad,
    check_merge_norm_pad_alone,
)

from truetile import native
from truetile.errors import InvalidArgument
from truetile.native import locate

pytestmark = pytest.mark.usefixtures("native_or_twin")


def check(*args, **kwargs):
    case = NormPad(*args, **kwargs)
    case.run(native.norm_pad)
    case.check()


@pytest.mark.parametrize("pad", PADS, ids=str)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_norm_pad_equals_its_formula(dtype, norm, pad):
    check((2, 5, 7, 24), dtype, "cpu", norm, pad)


@pytest.mark.parametrize("channels", CHANNELS)
def test_norm_pad_of_any_channels(channels):
    check((1, 3, 4, channels), torch.bfloat16, "cpu", "rms silu", PADS[1])


@pytest.mark.parametrize("views", VIEW_PAIRS, ids=str)
def test_norm_pad_of_any_strides(views):
    check((2, 3, 4, 16), torch.float16, "cpu", "affine silu", PADS[3], views)


def drawn_pad(data, rows, columns):
    pad = {name: data.draw(st.integers(0, 3)) for name in ("top", "bottom", "left", "right")}
    return {**pad, "cut": tuple(data.draw(st.integers(0, n)) for n in (rows, columns))}


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_norm_pad_of_random_geometries(data):
    size = tuple(data.draw(st.integers(0, 6)) for _ in range(3))
    channels = data.draw(st.integers(1, 20))
    norm = data.draw(st.sampled_from(NORMS))
    check((*size, channels), torch.float32, "cpu", norm, drawn_pad(data, *size[1:]))


def test_norm_pad_of_zeros_and_nan():
    x = torch.zeros(1, 1, 3, 8)
    x[0, 0, 1, 3] = torch.nan
    out = torch.empty_like(x)
    native.norm_pad(x, out, torch.ones(8), rms=True)
    assert out.isnan()[0, 0].all(dim=-1).tolist() == [False, True, False]
    assert (out[0, 0, ::2] == 0).all()


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("bias", [None, "own", "float32"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_merge_equals_its_formula(dtype, bias, residual):
    for in_place in (None, "y", "residual") if residual else (None, "y"):
        check_merge(native.merge, (2, 3, 5, 24), dtype, "cpu", bias, residual, in_place=in_place)


@pytest.mark.parametrize("views", [(a, b, c) for a, b in VIEW_PAIRS for c in VIEWS], ids=str)
def test_merge_of_any_strides(views):
    check_merge(native.merge, (2, 3, 5, 16), torch.bfloat16, "cpu", "own", True, views)


@pytest.mark.parametrize("channels", [5, 8, 96])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_merge_of_one_value_copies_every_bit(dtype, channels):
    for views in VIEW_PAIRS:
        check_copy(native.merge, dtype, "cpu", channels, views)


@pytest.mark.parametrize("pad", PADS, ids=str)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_merge_norm_pad_equals_the_two_ops(dtype, norm, pad):
    for fresh in (0, 2, 5):
        check_merge_norm_pad(native, (2, 5, 7, 24), dtype, "cpu", norm, pad, fresh)


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("bias", [None, "own", "float32"])
def test_merge_norm_pad_with_and_without_bias_and_residual(bias, residual, in_place):
    kinds = {"bias": bias, "residual": residual, "in_place": in_place}
    check_merge_norm_pad(
        native, (2, 4, 5, 16), torch.bfloat16, "cpu", "rms silu", PADS[1], 1, **kinds
    )


@pytest.mark.parametrize("views", [(*a, *b) for a in VIEW_PAIRS for b in VIEW_PAIRS], ids=str)
def test_merge_norm_pad_of_any_strides(views):
    size = (2, 3, 4, 16)
    check_merge_norm_pad(native, size, torch.float16, "cpu", "affine silu", PADS[3], 1, views=views)


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_merge_norm_pad_of_random_geometries(data):
    size = tuple(data.draw(st.integers(0, 6)) for _ in range(3))
    pad, fresh = drawn_pad(data, *size[1:]), data.draw(st.integers(0, size[1]))
    size = (*size, data.draw(st.integers(1, 20)))
    norm = data.draw(st.sampled_from(NORMS))
    check_merge_norm_pad(native, size, torch.float32, "cpu", norm, pad, fresh)


@pytest.mark.parametrize("pad", PADS, ids=str)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_merge_norm_pad_keeps_no_window_but_the_interior(dtype, norm, pad):
    for views in ("contiguous", VIEW_PAIRS[-1][1]):
        check_merge_norm_pad_alone(native, (2, 5, 7, 24), dtype, "cpu", norm, pad, views)


@pytest.mark.parametrize("size", [(0, 2, 3, 4), (1, 0, 3, 4), (1, 2, 0, 4), (1, 2, 3, 0)], ids=str)
def test_empty_tensors_are_fine(size):
    check_merge(native.merge, size, torch.float32, "cpu", "own", True)
    check(size, torch.float32, "cpu", "rms silu", PADS[1])
    check_merge_norm_pad(native, size, torch.float32, "cpu", "rms silu", PADS[1], 0)


X, OUT, ROW = torch.zeros(2, 3, 4, 8), torch.zeros(2, 5, 6, 8), torch.zeros(8)
GOOD = {"top": 1, "bottom": 1, "left": 1, "right": 1}
BAD_NORM_PAD = [
    ({"x": X[0]}, "x.dim()=3: must be 4"),
    ({"x": X.double()}, "must be one of float32, float16, bfloat16"),
    ({"x": torch.zeros(2, 3, 4, 16)[..., ::2]}, "x.stride(3)=2: must be 1"),
    ({"out": OUT.half()}, "must be that of x"),
    ({"out": OUT[:1]}, "out.size(0)=1: must be 2 (frames of x)"),
    ({"out": OUT[..., :4]}, "out.size(3)=4: must be 8 (channels of x)"),
    ({"top": 6}, "top=6: must be in [0, 5]"),
    ({"bottom": 5}, "bottom=5: must be in [0, 4]"),
    ({"right": -1}, "right=-1: must be in [0, 5]"),
    ({"top": 0}, "x.size(1)=3: must be >= 4 (what the interior of out reads)"),
    ({"left": 0}, "x.size(2)=4: must be >= 5 (what the interior of out reads)"),
    ({"rms": True}, "scale=None: must be given with rms=True"),
    ({"shift": ROW}, "scale=None: must be given with a shift"),
    ({"scale": ROW[0]}, "scale.dim()=0: must be 1 or 2"),
    ({"scale": ROW.half()}, "must be one of float32"),
    ({"scale": ROW[:4]}, "scale.size(0)=4: must be 8 (channels of x)"),
    ({"scale": ROW, "shift": torch.zeros(3, 8)}, "shift.size(0)=3: must be 2 (frames of x)"),
    ({"scale": torch.zeros(16)[::2]}, "scale.stride(0)=2: must be 1"),
]


@pytest.mark.parametrize(("change", "message"), BAD_NORM_PAD, ids=[m for _, m in BAD_NORM_PAD])
def test_norm_pad_names_what_is_wrong(change, message):
    native.norm_pad(X, OUT, **GOOD)
    with pytest.raises(InvalidArgument, match=re.escape(message)) as caught:
        native.norm_pad(**{"x": X, "out": OUT, **GOOD, **change})
    assert str(caught.value).startswith("norm_pad: ")


BAD_MERGE = [
    ({"y": X[0]}, "y.dim()=3: must be 4"),
    ({"out": X[:, :2]}, "out.size(1)=2: must be 3 (as y)"),
    ({"out": X.half()}, "must be that of y"),
    ({"residual": X[..., :4]}, "residual.size(3)=4: must be 8 (as y)"),
    ({"residual": torch.zeros(2, 3, 4, 16)[..., ::2]}, "residual.stride(3)=2: must be 1"),
    ({"bias": ROW.half()}, "must be that of y, or float32"),
    ({"bias": ROW[:4]}, "bias.size(0)=4: must be 8 (channels of y)"),
]


@pytest.mark.parametrize(("change", "message"), BAD_MERGE, ids=[m for _, m in BAD_MERGE])
def test_merge_names_what_is_wrong(change, message):
    with pytest.raises(InvalidArgument, match=re.escape(message)) as caught:
        native.merge(**{"y": X, "bias": ROW, "residual": X, "out": X.clone(), **change})
    assert str(caught.value).startswith("merge: ")


BAD_MERGE_NORM_PAD = [
    ({"fresh": -1}, "fresh=-1: must be >= 0"),
    ({"y": X[0]}, "y.dim()=3: must be 4"),
    ({"fresh": 2}, "window.size(1)=3: must be 4 (fresh and the rows of y)"),
    ({"window": X[:1]}, "window.size(0)=1: must be 2 (as y)"),
    ({"residual": X}, "residual.size(1)=3: must be 2 (as y)"),
    ({"bias": ROW[:4]}, "bias.size(0)=4: must be 8 (channels of y)"),
    ({"out": OUT.half()}, "must be that of window"),
    ({"out": OUT[:1]}, "out.size(0)=1: must be 2 (frames of window)"),
    ({"left": 0}, "window.size(2)=4: must be >= 5 (what the interior of out reads)"),
    ({"scale": ROW[:4]}, "scale.size(0)=4: must be 8 (channels of window)"),
    ({"rms": True}, "scale=None: must be given with rms=True"),
]


@pytest.mark.parametrize(
    ("change", "message"), BAD_MERGE_NORM_PAD, ids=[m for _, m in BAD_MERGE_NORM_PAD]
)
def test_merge_norm_pad_names_what_is_wrong(change, message):
    new = X[:, 1:].clone()
    good = {"y": new, "bias": ROW, "residual": new, "window": X.clone(), "fresh": 1, "out": OUT}
    native.merge_norm_pad(**good, **GOOD)
    with pytest.raises(InvalidArgument, match=re.escape(message)) as caught:
        native.merge_norm_pad(**{**good, **GOOD, **change})
    assert str(caught.value).startswith("merge_norm_pad: ")


def test_opcheck():
    if not locate.enabled():
        pytest.skip("the twin is no op")
    ops, x = torch.ops.truetile, torch.randn(1, 2, 2, 8)
    norm = (torch.zeros(1, 4, 4, 8), torch.ones(8), None, True, True, 1, 1, 1, 1)
    torch.library.opcheck(ops.norm_pad.default, (x, *norm))
    torch.library.opcheck(ops.merge.default, (x, None, x, torch.zeros_like(x)))
    merged = (x[:, 1:].clone(), None, None, torch.zeros_like(x), 1)
    torch.library.opcheck(ops.merge_norm_pad.default, (*merged, *norm))
