"""copy_boxes on CUDA against torch's copies."""

import pytest
import torch
from copy_boxes_cases import check_copy_boxes, check_padded_input
from layer_cases import CHANNELS, FLOATS, VIEW_PAIRS, VIEWS, randn

from truetile import native
from truetile.errors import InvalidArgument

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("native_cuda")]
PLAIN = ("contiguous", "contiguous")


@pytest.mark.parametrize("views", VIEW_PAIRS, ids=str)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_copies_every_bit_between_any_views(dtype, views):
    sizes = [(2, 300, 77, 16), (1, 3, 700, 5), (3, 1, 1, 8), (2, 5, 130, 96)]
    check_copy_boxes(native.copy_boxes, sizes, dtype, "cuda", [views] * 4)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_of_any_channels(dtype, channels):
    sizes = [(2, 3, 41, channels), (1, 2, 5, channels)]
    check_copy_boxes(native.copy_boxes, sizes, dtype, "cuda", [PLAIN, ("cropped", "odd")])


@pytest.mark.parametrize("seed", range(100))
def test_of_random_boxes(seed):
    pick = torch.Generator().manual_seed(seed)

    def below(n):
        return int(torch.randint(n, (), generator=pick))

    count = below(5)
    longest = (5, 20, 200, 40)
    sizes = [tuple(below(n if below(3) else 3) for n in longest) for _ in range(count)]
    views = [(VIEWS[below(4)], VIEWS[below(4)]) for _ in range(count)]
    check_copy_boxes(native.copy_boxes, sizes, FLOATS[below(3)], "cuda", views)


@pytest.mark.parametrize("channels", [3, 96, 100])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_of_the_engines_buffers(dtype, channels):
    """Of many rows a warp goes over its segment more than once."""
    check_padded_input(native.copy_boxes, dtype, "cuda", 12, 834, channels)
    check_padded_input(native.copy_boxes, dtype, "cuda", 482, 834, channels)


def test_is_one_launch():
    x = [torch.randn(2, 3, 4, 8, device="cuda") for _ in range(4)]
    out = [torch.empty_like(one) for one in x]
    native.copy_boxes(x, out)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        native.copy_boxes(x, out)
        torch.cuda.synchronize()
    kernels = [event.name for event in profile.events() if "copy_boxes_kernel" in event.name]
    assert len(kernels) == 1


def test_wrong_device_is_named():
    x = torch.zeros(1, 2, 2, 8, device="cuda")
    with pytest.raises(InvalidArgument, match=r"sources\[1\]\.device=cpu: must be cuda:0"):
        native.copy_boxes([x, x.cpu()], [torch.empty_like(x), x.cpu()])
    with pytest.raises(InvalidArgument, match=r"targets\[0\]\.device=cpu: must be cuda:0"):
        native.copy_boxes([x], [x.cpu()])


def test_runs_in_order_on_the_current_stream_and_into_a_graph():
    x, y = (
        randn((2, 5, 77, 24), torch.bfloat16, "cuda"),
        randn((1, 3, 9, 7), torch.bfloat16, "cuda"),
    )
    first, second = torch.zeros_like(x), torch.zeros_like(y)
    native.copy_boxes([x, y], [first, second])  # loads the kernel, which a capture may not
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        native.copy_boxes([x, y], [first, second])
    x.neg_()
    y.neg_()
    graph.replay()
    assert torch.equal(first, x)
    assert torch.equal(second, y)
    side = torch.cuda.Stream()
    torch.cuda.synchronize()
    value = x.clone()
    x.zero_()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        torch.cuda._sleep(200_000_000)  # a tenth of a second: another stream would overtake
        x.copy_(value)
        native.copy_boxes([x], [first])
    side.synchronize()
    assert torch.equal(first, value)


@pytest.mark.slow
def test_boxes_beyond_two_to_the_31_elements():
    if torch.cuda.mem_get_info()[0] < 12 * 2**30:
        pytest.skip("needs 12 GiB of free device memory")
    for channels in (96, 95):  # vectors, elements: with 95 each frame begins at an odd place
        x = torch.zeros(2, 5201, 2301, channels, dtype=torch.bfloat16, device="cuda")
        assert x.numel() > 2**31
        x[-1, -1, -1] = 2.0
        out = torch.full_like(x, torch.nan)
        few, other = torch.ones(1, 1, 1, 8, dtype=x.dtype, device="cuda"), x.new_zeros(1, 1, 1, 8)
        native.copy_boxes([few, x], [other, out])
        assert (out[-1, -1, -1] == 2).all()
        assert int(torch.count_nonzero(out)) == channels
        assert (other == 1).all()
        del x, out


def test_opcheck():
    x = [torch.randn(1, 2, 2, 8, device="cuda") for _ in range(2)]
    out = [torch.zeros_like(one) for one in x]
    torch.library.opcheck(torch.ops.truetile.copy_boxes.two, (*x, *out))
