"""softmax_rows on CUDA against float64."""

import pytest
import torch
from layer_cases import FLOATS
from softmax_cases import (
    LENGTHS,
    VIEWS,
    assert_softmax,
    check,
    check_in_place,
    check_special,
    randn,
)

from truetile import native
from truetile.errors import InvalidArgument

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("native_cuda")]
# One batch of a block and its neighbours, several batches and odd lengths.
LONG = (16383, 16384, 16390, 32401, 131_072, 131_075)


@pytest.mark.parametrize("columns", [*LENGTHS, *LONG])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_equals_its_formula(dtype, columns):
    check(native.softmax_rows, 5, columns, dtype, "cuda")
    check(native.softmax_rows, 300, min(columns, 5000), dtype, "cuda")


@pytest.mark.parametrize("spread", [0.0, 1e-3, 30.0, 1000.0])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_of_any_spread(dtype, spread):
    check(native.softmax_rows, 3, 50_000, dtype, "cuda", spread=spread)


@pytest.mark.parametrize("views", [(a, b) for a in VIEWS for b in VIEWS], ids=str)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_of_any_stride_of_rows(dtype, views):
    for columns in (37, 20_001):
        check(native.softmax_rows, 9, columns, dtype, "cuda", views)


@pytest.mark.parametrize("seed", range(60))
def test_of_random_sizes(seed):
    pick = torch.Generator().manual_seed(seed)

    def below(n):
        return int(torch.randint(n, (), generator=pick))

    columns = 1 + below(40 if below(2) else 40_000)
    views = (VIEWS[below(3)], VIEWS[below(3)])
    check(native.softmax_rows, below(20), columns, FLOATS[below(3)], "cuda", views)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_of_a_million_columns(dtype):
    check(native.softmax_rows, 128, 1 << 20, dtype, "cuda", spread=0.01)


@pytest.mark.parametrize("rising", [True, False])
def test_of_scores_that_rise_or_fall(rising):
    scores = torch.linspace(-8, 8, 1 << 20, device="cuda").repeat(2, 1)
    scores = scores if rising else scores.flip(-1)
    out = torch.empty_like(scores)
    native.softmax_rows(scores, out)
    assert_softmax(out, scores)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("columns", [513, 70_001])
def test_in_place(columns, view):
    check_in_place(native.softmax_rows, 200, columns, "cuda", view)


@pytest.mark.parametrize("columns", [50, 40_001])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_what_is_not_finite_is_as_in_torch(dtype, columns):
    check_special(native.softmax_rows, dtype, "cuda", columns)


@pytest.mark.parametrize("size", [(0, 4), (4, 0)], ids=str)
def test_empty_matrices_are_fine(size):
    native.softmax_rows(torch.zeros(size, device="cuda"), torch.zeros(size, device="cuda"))


def test_wrong_device_is_named():
    x = torch.zeros(2, 8, device="cuda")
    with pytest.raises(InvalidArgument, match=r"out\.device=cpu: must be cuda:0 \(scores\)"):
        native.softmax_rows(x, x.cpu())


def test_allocates_nothing_and_gives_the_same_bits_every_time():
    scores = randn(128, 131_072, "cuda")
    first, again = (torch.empty_like(scores, dtype=torch.bfloat16) for _ in range(2))
    native.softmax_rows(scores, first)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(20):
        native.softmax_rows(scores, again)
    assert torch.cuda.max_memory_allocated() == before
    assert torch.equal(first.view(torch.int16), again.view(torch.int16))


def test_runs_in_order_on_the_current_stream_and_into_a_graph():
    scores, out = randn(140, 5000, "cuda"), torch.empty(140, 5000, device="cuda")
    native.softmax_rows(scores, out)  # loads the kernel, which a capture may not
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        native.softmax_rows(scores, out)
    for seed in (7, 8):
        scores.copy_(randn(140, 5000, "cuda", seed=seed))
        out.fill_(torch.nan)
        graph.replay()
        assert_softmax(out, scores)
    wanted = randn(140, 5000, "cuda", seed=9)
    side = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        torch.cuda._sleep(200_000_000)  # a tenth of a second: another stream would overtake
        scores.copy_(wanted)
        native.softmax_rows(scores, out)
    side.synchronize()
    assert_softmax(out, wanted)


@pytest.mark.slow
def test_matrices_beyond_two_to_the_31_elements():
    if torch.cuda.mem_get_info()[0] < 16 * 2**30:
        pytest.skip("needs 16 GiB of free device memory")
    scores = torch.zeros(2050, 1 << 20, device="cuda")
    assert scores.numel() > 2**31
    scores[-1, -1] = 30.0
    out = torch.full_like(scores, torch.nan, dtype=torch.bfloat16)
    native.softmax_rows(scores, out)
    assert (out[:-1] == 2.0**-20).all()
    assert_softmax(out[-1:], scores[-1:])


def test_opcheck():
    out = torch.zeros(3, 8, dtype=torch.bfloat16, device="cuda")
    scores = torch.randn(3, 8, device="cuda")
    torch.library.opcheck(torch.ops.truetile.softmax_rows.default, (scores, out))
