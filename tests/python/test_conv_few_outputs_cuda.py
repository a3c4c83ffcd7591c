"""conv_few_outputs on CUDA against float64."""

import pytest
import torch
from conv_cases import VIEWS, assert_convolution, case, check, check_nan, randn

from truetile import native
from truetile.engine import few_outputs
from truetile.engine.exact_layers import convolve
from truetile.engine.exact_weights import Packed
from truetile.errors import InvalidArgument
from truetile.stream import AxisRule, LayerKind, StreamLayer

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("native_cuda")]
DTYPES = (torch.float16, torch.bfloat16)
# A block makes 4 rows x 62 columns: one less, all, one more.
EDGES = [(1, 1), (3, 61), (4, 62), (5, 63), (8, 124), (9, 125), (2, 200)]


@pytest.fixture(autouse=True)
def tensor_cores():
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("needs a GPU of compute capability 8.0")


@pytest.mark.parametrize("outputs", [1, 2, 3, 4])
@pytest.mark.parametrize("taps_t", [1, 3])
@pytest.mark.parametrize("channels", [16, 32, 48, 96, 128, 256, 512])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_is_the_convolution(dtype, channels, taps_t, outputs):
    check(native.conv_few_outputs, (2, 6, 70, channels), outputs, taps_t, dtype, "cuda")


@pytest.mark.parametrize("edges", EDGES, ids=str)
@pytest.mark.parametrize("taps_t", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_of_every_edge_of_a_block(dtype, taps_t, edges):
    for frames in (1, 2, 3, 5):
        check(native.conv_few_outputs, (frames, *edges, 48), 3, taps_t, dtype, "cuda")


@pytest.mark.parametrize("taps_t", [1, 3])
def test_of_blocks_that_make_many_frames(taps_t):
    # More blocks than any GPU runs at once, so that each takes all frames; and somewhat fewer.
    check(native.conv_few_outputs, (7, 400, 900, 16), 3, taps_t, torch.bfloat16, "cuda")
    check(native.conv_few_outputs, (13, 33, 300, 32), 3, taps_t, torch.bfloat16, "cuda")


@pytest.mark.parametrize("views", [(a, b) for a in VIEWS for b in VIEWS], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_of_any_strides(dtype, views):
    check(native.conv_few_outputs, (3, 6, 66, 32), 3, 3, dtype, "cuda", views)


@pytest.mark.parametrize("seed", range(60))
def test_of_random_sizes(seed):
    pick = torch.Generator().manual_seed(seed)

    def below(n):
        return int(torch.randint(n, (), generator=pick))

    size = (1 + below(8), 1 + below(20), 1 + below(200), 16 * (1 + below(12)))
    views = (VIEWS[below(4)], VIEWS[below(4)])
    dtype = DTYPES[below(2)]
    outputs, taps_t = 1 + below(4), (1, 3)[below(2)]
    check(native.conv_few_outputs, size, outputs, taps_t, dtype, "cuda", views, seed)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_is_not_finite_stays_where_it_is_read(dtype):
    for channels in (16, 32, 48):
        check_nan(native.conv_few_outputs, dtype, "cuda", channels)


@pytest.mark.parametrize("size", [(0, 4, 4, 16), (1, 0, 4, 16), (1, 4, 0, 16)], ids=str)
def test_no_output_is_fine(size):
    native.conv_few_outputs(*case(size, 3, 3, torch.bfloat16, "cuda"))


def test_wrong_device_is_named():
    x, weight, out = case((1, 2, 3, 16), 3, 1, torch.bfloat16, "cuda")
    with pytest.raises(InvalidArgument, match=r"out\.device=cpu: must be cuda:0 \(x\)"):
        native.conv_few_outputs(x, weight, out.cpu())
    with pytest.raises(InvalidArgument, match=r"weight\.device=cpu: must be cuda:0 \(x\)"):
        native.conv_few_outputs(x, weight.cpu(), out)


@pytest.mark.parametrize(
    ("dtype", "channels", "message"),
    [
        (torch.float32, 16, "must be one of float16, bfloat16 on CUDA"),
        (torch.bfloat16, 24, r"x\.size\(3\)=24: must be a multiple of 16 on CUDA"),
    ],
)
def test_the_op_itself_names_what_it_does_not_serve(dtype, channels, message):
    args = case((1, 2, 3, channels), 3, 1, dtype, "cuda")
    assert native.why_no_conv_few_outputs(args[0].device, dtype, channels)
    with pytest.raises(RuntimeError, match=message):
        torch.ops.truetile.conv_few_outputs(*args)


def test_allocates_nothing_and_gives_the_same_bits_every_time():
    x, weight, first = case((12, 32, 832, 96), 3, 3, torch.bfloat16, "cuda")
    again = torch.empty_like(first)
    native.conv_few_outputs(x, weight, first)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(20):
        native.conv_few_outputs(x, weight, again)
    assert torch.cuda.max_memory_allocated() == before
    assert torch.equal(first.view(torch.int16), again.view(torch.int16))
    assert_convolution(first, x, weight)


def test_runs_in_order_on_the_current_stream_and_into_a_graph():
    x, weight, out = case((2, 30, 100, 32), 3, 3, torch.bfloat16, "cuda")
    native.conv_few_outputs(x, weight, out)  # loads the kernel, which a capture may not
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        native.conv_few_outputs(x, weight, out)
    for seed in (7, 8):
        x.copy_(randn(x.shape, x.dtype, "cuda", seed))
        out.fill_(torch.nan)
        graph.replay()
        assert_convolution(out, x, weight)
    wanted = randn(x.shape, x.dtype, "cuda", 9)
    side = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        torch.cuda._sleep(200_000_000)  # a tenth of a second: another stream would overtake
        x.copy_(wanted)
        native.conv_few_outputs(x, weight, out)
    side.synchronize()
    assert_convolution(out, wanted, weight)


@pytest.mark.slow
def test_inputs_beyond_two_to_the_31_elements():
    if torch.cuda.mem_get_info()[0] < 8 * 2**30:
        pytest.skip("needs 8 GiB of free device memory")
    x = torch.zeros(5, 2050, 2050, 128, dtype=torch.bfloat16, device="cuda")
    assert x.numel() > 2**31
    weight = randn((3, 3, 3, 3, 128), x.dtype, "cuda")
    x[-3:, -10:, -80:] = randn((3, 10, 80, 128), x.dtype, "cuda", 1)
    out = torch.full((3, 2048, 2048, 3), torch.nan, dtype=x.dtype, device="cuda")
    native.conv_few_outputs(x, weight, out)
    assert_convolution(out[-1:, -8:, -78:], x[-3:, -10:, -80:], weight)
    assert (out[:, :-10] == 0).all()


def test_opcheck():
    args = case((1, 2, 3, 16), 3, 1, torch.bfloat16, "cuda")
    torch.library.opcheck(torch.ops.truetile.conv_few_outputs.default, args)


def last_layer(taps_t):
    three = AxisRule(3, 1, 1, 1)
    return StreamLayer(LayerKind.CONV, 0, 96, 3, -1, taps_t, three, three)


def test_the_engine_leaves_stills_and_float32_to_others():
    device = torch.device("cuda")
    assert few_outputs.serves(last_layer(3), device, torch.bfloat16)
    assert not few_outputs.serves(last_layer(3), device, torch.float32)
    assert not few_outputs.serves(last_layer(1), device, torch.bfloat16)


@pytest.mark.parametrize("columns", [61, 64])
def test_the_engine_takes_it_for_a_decoders_last_convolution(columns):
    layer = last_layer(3)
    x, weight, out = case((2, 6, columns, 96), 3, 3, torch.bfloat16, "cuda")
    packed = weight.movedim(-1, 1)
    before = native.status()["calls"].get("conv_few_outputs: native", 0)
    made = convolve(x, Packed(packed, None, None, None, None, None), layer)
    assert native.status()["calls"]["conv_few_outputs: native"] == before + 1
    native.conv_few_outputs(x, weight, out)
    assert torch.equal(made, out)
