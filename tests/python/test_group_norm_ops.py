"""GroupNorm over strips: native op and twin against two passes in float64, and against torch."""

import re

import pytest
import torch
import torch.nn.functional as F
from group_norm_cases import FLOATS, LAYOUTS, assert_moments, moments, new_state, strip_of
from hypothesis import given, settings
from hypothesis import strategies as st

from truetile import native
from truetile.errors import InvalidArgument
from truetile.native import locate, twins

# Sums in float64 of differences from a value of the data: no more than n * 2^-51 for n values,
# and no test has more than 2^18 in a group.
RTOL = 1e-10


@pytest.fixture(params=["native", "twin"])
def op(request):
    if request.param == "twin":
        return twins
    require_native()
    return native


def require_native():
    if not locate.enabled():
        pytest.skip("TRUETILE_NATIVE=0")
    assert native.why_twin("cpu") is None


def check(op, x, groups, cuts=(), layout="dense"):
    state, scratch = new_state(groups)
    for strip in torch.tensor_split(x, list(cuts), dim=1):
        op.group_moments(strip_of(strip, layout), state, scratch, groups)
    assert_moments(state, moments(x, groups), RTOL)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("channels", "groups"), [(128, 32), (96, 32), (40, 1), (7, 7), (1, 1)])
def test_equals_two_passes(op, channels, groups, layout, dtype):
    x = torch.randn(2, 11, 13, channels, generator=torch.Generator().manual_seed(1)).to(dtype)
    check(op, x, groups, (3, 3, 8), layout)


def test_a_mean_far_from_zero_costs_no_digits(op):
    x = 1000 + torch.randn(1, 64, 64, 64, generator=torch.Generator().manual_seed(2))
    check(op, x, 4, (20, 41))


def test_a_mean_that_wanders_from_strip_to_strip(op):
    rows = torch.linspace(-50, 900, 60)[:, None, None]
    x = rows + torch.randn(1, 60, 8, 16, generator=torch.Generator().manual_seed(3))
    check(op, x, 2, range(1, 60, 7))


def test_constants_have_no_variance(op):
    state, scratch = new_state(4)
    for _ in range(3):
        op.group_moments(torch.full((1, 5, 7, 8), 0.1), state, scratch, 4)
    assert state[:, 0].tolist() == [210] * 4
    assert state[:, 2].abs().max() <= 210 * 1e-33  # 0.1 to the last place of float64, squared
    assert (state[:, 1] - torch.tensor(0.1).double()).abs().max() <= 1e-16


def test_counts_pass_2_to_the_24(op):
    state, scratch = new_state(2)
    state[:, 0] = 2**40
    op.group_moments(torch.zeros(1, 1, 1, 2), state, scratch, 2)
    assert state.tolist() == [[2**40 + 1, 0, 0]] * 2


@pytest.mark.parametrize("shape", [(0, 4, 4, 8), (1, 0, 4, 8), (1, 4, 0, 8)])
def test_an_empty_strip_changes_nothing(op, shape):
    state, scratch = new_state(2)
    state += 3
    op.group_moments(torch.zeros(shape), state, scratch, 2)
    assert (state == 3).all()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_spoils_its_group_alone(op, bad):
    x = torch.randn(1, 9, 9, 8)
    x[0, 5, 5, 3] = bad
    state, scratch = new_state(4)
    op.group_moments(x, state, scratch, 4)
    assert state[:, 2].isnan().tolist() == [False, True, False, False]


def test_bits_do_not_depend_on_the_number_of_threads():
    require_native()
    x = torch.randn(1, 64, 128, 128).bfloat16()
    results, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            state, scratch = new_state(32)
            native.group_moments(x, state, scratch, 32)
            results.append(state)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@settings(deadline=None, max_examples=150)
@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    groups=st.integers(1, 6),
    width=st.integers(1, 24),
    cuts=st.lists(st.integers(0, 9), max_size=3).map(sorted),
    layout=st.sampled_from(LAYOUTS),
    dtype=st.sampled_from(FLOATS),
    mean=st.sampled_from([0.0, -3.0, 100.0]),
    seed=st.integers(0, 99),
)
def test_random_strips(size, groups, width, cuts, layout, dtype, mean, seed):
    require_native()
    pick = torch.Generator().manual_seed(seed)
    x = (mean + torch.randn(*size, groups * width, generator=pick)).to(dtype)
    for op in (native, twins):
        check(op, x, groups, cuts, layout)


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16, torch.float16, None], ids=str)
@pytest.mark.parametrize("mean", [0.0, 100.0])
def test_together_they_are_group_norm(op, weights, mean):
    pick = torch.Generator().manual_seed(5)
    x = mean + torch.randn(1, 20, 24, 64, generator=pick)
    gamma = beta = None
    if weights is not None:
        gamma, beta = (torch.randn(64, generator=pick).to(weights) for _ in range(2))
    state, scratch = new_state(16)
    for strip in x.split(7, dim=1):
        op.group_moments(strip, state, scratch, 16)
    scale, shift = torch.empty(64), torch.empty(64)
    op.group_affine(state, gamma, beta, 1e-6, scale, shift)
    wide = [None if w is None else w.double() for w in (gamma, beta)]
    wanted = F.group_norm(x.double().permute(0, 3, 1, 2), 16, *wide, eps=1e-6).permute(0, 2, 3, 1)
    got = torch.addcmul(shift, x, scale)
    # Three roundings of float32 (scale, shift, product or sum) of values as large as |x * scale|.
    allowed = 3 * 2**-24 * ((x.double() * scale).abs() + shift.double().abs() + wanted.abs())
    assert ((got.double() - wanted).abs() <= allowed).all()


def test_scale_and_shift_are_rounded_once(op):
    pick = torch.Generator().manual_seed(6)
    state = torch.rand(8, 3, generator=pick, dtype=torch.float64) + 0.1
    gamma, beta = (torch.randn(32, generator=pick) for _ in range(2))
    scale, shift = torch.empty(32), torch.empty(32)
    op.group_affine(state, gamma, beta, 1e-5, scale, shift)
    count, mean, m2 = state.repeat_interleave(4, 0).unbind(1)
    wanted = gamma.double() / (m2 / count + 1e-5).sqrt()
    torch.testing.assert_close(scale.double(), wanted, rtol=2**-24, atol=0)
    wanted = beta.double() - mean * scale.double()
    torch.testing.assert_close(shift.double(), wanted, rtol=2**-24, atol=1e-15)


def test_scratch_is_as_large_as_the_binary_says():
    require_native()
    state, scratch = new_state(3)
    needed = native.group_moments_scratch(3)
    assert scratch.numel() == needed
    with pytest.raises(InvalidArgument, match=f"must be >= {needed}$"):
        native.group_moments(torch.zeros(1, 1, 1, 3), state, scratch[1:], 3)
    with pytest.raises(InvalidArgument, match="groups=0: must be >= 1"):
        native.group_moments_scratch(0)


X, STATE = torch.zeros(1, 2, 3, 8), torch.zeros(4, 3, dtype=torch.float64)
MOMENTS = {"x": X, "state": STATE, "scratch": new_state(4)[1], "groups": 4}
BAD_MOMENTS = {
    "rank": ({"x": X[0]}, "x.dim()=3: must be 4"),
    "dtype": ({"x": X.double()}, "x.dtype="),
    "planar": ({"x": torch.zeros(1, 8, 2, 3).permute(0, 2, 3, 1)}, "x.stride(3)=6: must be 1"),
    "no channels": ({"x": X[..., :0]}, "x.size(3)=0: must be in [1, 65536]"),
    "many channels": ({"x": torch.zeros(1, 1, 1, 65537)}, "x.size(3)=65537: must be in [1, 65536]"),
    "groups": ({"groups": 3}, "groups=3: must be >= 1 and divide x.size(3)=8"),
    "no groups": ({"groups": 0}, "groups=0: must be >= 1"),
    "state of others": ({"groups": 8}, "state.size(0)=4: must be 8 (groups)"),
    "state columns": ({"state": STATE[:, :2]}, "state.size(1)=2: must be 3 (count, mean, M2)"),
    "state dtype": ({"state": STATE.float()}, "must be one of float64"),
    "state rank": ({"state": STATE[0]}, "state.dim()=1: must be 2"),
    "state strides": (
        {"state": torch.zeros(3, 4, dtype=torch.float64).t()},
        "state.is_contiguous()=False: must be True",
    ),
    "scratch dtype": ({"scratch": torch.zeros(99999)}, "must be one of float64"),
    "scratch short": (
        {"scratch": torch.zeros(9, dtype=torch.float64)},
        "scratch.numel()=9: must be >= 12288",
    ),
}
ONES = torch.ones(8)
AFFINE = {"state": STATE, "gamma": ONES, "beta": ONES, "eps": 1e-6, "scale": ONES.clone()}
AFFINE["shift"] = ONES.clone()
BAD_AFFINE = {
    "scale rank": ({"scale": torch.ones(8, 1)}, "scale.dim()=2: must be 1"),
    "scale dtype": ({"scale": ONES.half()}, "must be one of float32"),
    "scale strides": ({"scale": torch.ones(16)[::2]}, "scale.is_contiguous()=False"),
    "no channels": ({"scale": ONES[:0]}, "scale.size(0)=0: must be >= 1"),
    "shift": ({"shift": torch.ones(4)}, "shift.size(0)=4: must be 8 (scale)"),
    "state": (
        {"state": torch.zeros(3, 3, dtype=torch.float64)},
        "state.size(0)=3: must be >= 1 and divide the channels=8",
    ),
    "gamma": ({"gamma": torch.ones(7)}, "gamma.size(0)=7: must be 8 (scale)"),
    "gamma rank": ({"gamma": torch.ones(8, 1)}, "gamma.dim()=2: must be 1"),
    "beta dtype": ({"beta": ONES.double()}, "must be one of float32, float16, bfloat16"),
    "beta strides": ({"beta": torch.ones(16)[::2]}, "beta.is_contiguous()=False"),
    "eps": ({"eps": -1.0}, "eps=-1: must be >= 0 and finite"),
    "eps nan": ({"eps": float("nan")}, "eps=nan: must be >= 0 and finite"),
    "eps infinite": ({"eps": float("inf")}, "eps=inf: must be >= 0 and finite"),
}


@pytest.mark.parametrize("case", BAD_MOMENTS)
def test_group_moments_names_what_is_wrong(op, case):
    change, message = BAD_MOMENTS[case]
    with pytest.raises(InvalidArgument, match=f"^group_moments: .*{re.escape(message)}"):
        op.group_moments(**{**MOMENTS, **change})


@pytest.mark.parametrize("case", BAD_AFFINE)
def test_group_affine_names_what_is_wrong(op, case):
    change, message = BAD_AFFINE[case]
    with pytest.raises(InvalidArgument, match=f"^group_affine: .*{re.escape(message)}"):
        op.group_affine(**{**AFFINE, **change})


def test_the_good_cases_are_good(op):
    op.group_moments(**{**MOMENTS, "state": STATE.clone()})
    op.group_affine(**AFFINE)
