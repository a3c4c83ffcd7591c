"""conv_few_outputs on the CPU: native and twin against float64."""

import re

import pytest
import torch
from conv_cases import VIEWS, case, check, check_nan
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import FLOATS

from truetile import native
from truetile.errors import InvalidArgument
from truetile.native import locate

pytestmark = pytest.mark.usefixtures("native_or_twin")


@pytest.mark.parametrize("outputs", [1, 2, 3, 4])
@pytest.mark.parametrize("taps_t", [1, 3])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_is_the_convolution(dtype, taps_t, outputs):
    check(native.conv_few_outputs, (2, 5, 7, 48), outputs, taps_t, dtype, "cpu")


@pytest.mark.parametrize("views", [(a, b) for a in VIEWS for b in VIEWS], ids=str)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_of_any_strides(dtype, views):
    check(native.conv_few_outputs, (2, 3, 4, 16), 3, 3, dtype, "cpu", views)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_of_random_sizes(data):
    size = tuple(data.draw(st.integers(1, most)) for most in (4, 9, 9, 40))
    outputs, taps_t = data.draw(st.integers(1, 4)), data.draw(st.sampled_from((1, 3)))
    views = tuple(data.draw(st.sampled_from(VIEWS)) for _ in range(2))
    dtype = data.draw(st.sampled_from(FLOATS))
    check(native.conv_few_outputs, size, outputs, taps_t, dtype, "cpu", views)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_what_is_not_finite_stays_where_it_is_read(dtype):
    check_nan(native.conv_few_outputs, dtype, "cpu")


@pytest.mark.parametrize("size", [(0, 4, 4, 16), (1, 0, 4, 16), (1, 4, 0, 16)], ids=str)
def test_no_output_is_fine(size):
    native.conv_few_outputs(*case(size, 3, 3, torch.float32, "cpu"))


def test_an_input_smaller_than_the_kernel_makes_nothing():
    weight = torch.zeros(3, 3, 3, 3, 8)
    native.conv_few_outputs(torch.zeros(1, 1, 1, 8), weight, torch.zeros(0, 0, 0, 3))


X, WEIGHT, OUT = torch.zeros(4, 6, 7, 8), torch.zeros(3, 3, 3, 3, 8), torch.zeros(2, 4, 5, 3)
BAD = [
    ({"x": X[0]}, "x.dim()=3: must be 4"),
    ({"x": X.double()}, "must be one of float32, float16, bfloat16"),
    ({"x": torch.zeros(4, 6, 7, 16)[..., ::2]}, "x.stride(3)=2: must be 1"),
    ({"weight": WEIGHT[0]}, "weight.dim()=4: must be 5"),
    ({"weight": WEIGHT.half()}, "must be that of x"),
    ({"weight": WEIGHT[:0]}, "weight.size(0)=0: must be in [1, 4] (outputs)"),
    ({"weight": torch.zeros(5, 3, 3, 3, 8)}, "weight.size(0)=5: must be in [1, 4] (outputs)"),
    ({"weight": torch.zeros(3, 2, 3, 3, 8)}, "weight.size(1)=2: must be 1 or 3 (taps in time)"),
    ({"weight": torch.zeros(3, 3, 1, 3, 8)}, "weight.size(2)=1: must be 3 (taps in rows)"),
    ({"weight": torch.zeros(3, 3, 3, 5, 8)}, "weight.size(3)=5: must be 3 (taps in columns)"),
    ({"weight": torch.zeros(3, 3, 3, 3, 7)}, "weight.size(4)=7: must be 8 (channels of x)"),
    ({"weight": WEIGHT.transpose(2, 3)}, "weight.is_contiguous()=False: must be contiguous"),
    ({"out": OUT[0]}, "out.dim()=3: must be 4"),
    ({"out": OUT.half()}, "must be that of x"),
    ({"out": OUT[:1]}, "out.size(0)=1: must be 2 (whole kernels in the frames of x)"),
    ({"out": OUT[:, :3]}, "out.size(1)=3: must be 4 (in its rows)"),
    ({"out": OUT[:, :, :4]}, "out.size(2)=4: must be 5 (in its columns)"),
    ({"out": OUT[..., :2]}, "out.size(3)=2: must be 3 (outputs of weight)"),
    ({"out": torch.zeros(2, 4, 5, 6)[..., ::2]}, "out.stride(3)=2: must be 1"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[m for _, m in BAD])
def test_names_what_is_wrong(change, message):
    with pytest.raises(InvalidArgument, match=re.escape(message)) as caught:
        native.conv_few_outputs(**{"x": X, "weight": WEIGHT, "out": OUT.clone(), **change})
    assert str(caught.value).startswith("conv_few_outputs: ")


def test_opcheck():
    if not locate.enabled():
        pytest.skip("the twin is no op")
    args = case((1, 2, 3, 16), 3, 1, torch.bfloat16, "cpu")
    torch.library.opcheck(torch.ops.truetile.conv_few_outputs.default, args)
