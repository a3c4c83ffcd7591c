"""The CUDA ops of GroupNorm against two passes in float64 and against torch."""

import pytest
import torch
import torch.nn.functional as F
from group_norm_cases import FLOATS, LAYOUTS, assert_moments, moments, new_state, strip_of

from truetile import native

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("native_cuda")]

# The kernel's sums are off by less than 23 * 2^-24 of M2 * (1 + k * k), where a block's shift, a
# mean of a few of its values, lies k deviations from the mean. Over the blocks of a large strip
# k * k is about 1, so that 1e-5 holds with room; in a small one a single block may have k = 5.
LARGE = 1e-5
SMALL = 23 * 2**-24 * 26


def check(x, groups, cuts=(), layout="dense", rtol=SMALL):
    state, scratch = new_state(groups, "cuda")
    for strip in torch.tensor_split(x, list(cuts), dim=1):
        native.group_moments(strip_of(strip, layout), state, scratch, groups)
    assert_moments(state, moments(x, groups), rtol)


def randn(*size, seed=0):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)).cuda()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("channels", "groups"),
    [(128, 32), (256, 32), (512, 32), (64, 32), (96, 32), (320, 32), (512, 1), (7, 7), (1, 1)],
)
def test_equals_two_passes(channels, groups, layout, dtype):
    check(randn(2, 23, 45, channels).to(dtype), groups, (3, 3, 8), layout)


@pytest.mark.parametrize("channels", [2056, 4096, 65536])
def test_many_channels(channels):
    check(randn(1, 3, 5, channels).half(), 8, (1,))


@pytest.mark.parametrize("channels", [128, 512])
@pytest.mark.parametrize("mean", [0.0, 1000.0, -1000.0])
def test_a_mean_far_from_zero_costs_no_digits(mean, channels):
    check(mean + randn(1, 256, 256, channels), 32, (64, 128, 192), rtol=LARGE)


def test_a_mean_that_wanders():
    rows = torch.linspace(-50, 900, 512, device="cuda")[:, None, None]
    check(rows + randn(1, 512, 64, 128), 32, range(1, 512, 60), rtol=LARGE)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_large_strip(dtype):
    check(3 + randn(1, 300, 1000, 128).to(dtype), 32, (100,), rtol=LARGE)


@pytest.mark.parametrize("seed", range(60))
def test_random_strips(seed):
    pick = torch.Generator().manual_seed(seed)

    def below(n):
        return int(torch.randint(n, (), generator=pick))

    groups = 32 if below(2) else 1 + below(40)
    size = (1 + below(3), 1 + below(40), 1 + below(200), groups * (1 + below(20)))
    x = 10 * below(3) + randn(*size, seed=seed)
    cuts = sorted(below(40) for _ in range(below(4)))
    check(x.to(FLOATS[below(3)]), groups, cuts, LAYOUTS[below(len(LAYOUTS))])


@pytest.mark.parametrize("value", [0.1, 3e38, -3e38])
def test_constants_have_no_variance(value):
    x = torch.full((1, 70, 90, 128), value, device="cuda")
    state, scratch = new_state(32, "cuda")
    native.group_moments(x, state, scratch, 32)
    assert state[:, 0].tolist() == [70 * 90 * 4] * 32
    assert (state[:, 1] == x[0, 0, 0, 0].double()).all()
    assert (state[:, 2] == 0).all()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("at", [(0, 0, 0, 9), (0, 40, 50, 9)])
def test_what_is_not_finite_spoils_its_group_alone(bad, at):
    x = randn(1, 64, 64, 128).bfloat16()
    x[at] = bad
    state, scratch = new_state(32, "cuda")
    native.group_moments(x, state, scratch, 32)
    assert state[:, 2].isnan().nonzero().tolist() == [[2]]


@pytest.mark.parametrize("shape", [(0, 4, 4, 8), (1, 0, 4, 8), (1, 4, 0, 8)])
def test_an_empty_strip_changes_nothing(shape):
    state, scratch = new_state(2, "cuda")
    state += 3
    native.group_moments(torch.zeros(shape, device="cuda"), state, scratch, 2)
    assert (state == 3).all()


def test_the_same_bits_every_time():
    x = randn(1, 512, 512, 128).bfloat16()
    results = []
    for _ in range(20):
        state, scratch = new_state(32, "cuda")
        for strip in x.split(100, dim=1):
            native.group_moments(strip, state, scratch, 32)
        results.append(state)
    assert all(torch.equal(state, results[0]) for state in results)


def test_calls_are_in_order_in_a_graph():
    x = randn(1, 64, 64, 128)
    state, scratch = new_state(32, "cuda")
    scale, shift = torch.empty(128, device="cuda"), torch.empty(128, device="cuda")

    def call():
        state.zero_()
        for strip in x.split(20, dim=1):
            native.group_moments(strip, state, scratch, 32)
        native.group_affine(state, None, None, 1e-6, scale, shift)

    call()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    x.mul_(3).add_(1)
    graph.replay()
    assert_moments(state, moments(x, 32), SMALL)


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16, torch.float16, None], ids=str)
def test_together_they_are_group_norm(weights):
    x = 100 + randn(1, 200, 240, 128)
    gamma = beta = None
    if weights is not None:
        gamma, beta = (randn(128, seed=s).to(weights) for s in (1, 2))
    state, scratch = new_state(32, "cuda")
    for strip in x.split(70, dim=1):
        native.group_moments(strip, state, scratch, 32)
    scale, shift = torch.empty(128, device="cuda"), torch.empty(128, device="cuda")
    native.group_affine(state, gamma, beta, 1e-6, scale, shift)
    wide = [None if w is None else w.double() for w in (gamma, beta)]
    wanted = F.group_norm(x.double().permute(0, 3, 1, 2), 32, *wide, eps=1e-6).permute(0, 2, 3, 1)
    got = torch.addcmul(shift, x, scale).double()
    # Three roundings of float32 of values as large as |x * scale|, and the error of the moments.
    allowed = 3 * 2**-24 * ((x.double() * scale).abs() + shift.double().abs() + wanted.abs())
    bias = 0.0 if beta is None else wide[1]
    allowed += LARGE * ((wanted - bias).abs() + scale.double().abs())  # the deviation is 1
    assert ((got - wanted).abs() <= allowed).all()
