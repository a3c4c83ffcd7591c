"""The layer ops on CUDA against the float64 reference, and against each other."""

import pytest
import torch
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
    randn,
)

from truetile import native
from truetile.errors import InvalidArgument

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("native_cuda")]
WIDE = (2, 5, 77, 24)


def check(*args, **kwargs):
    case = NormPad(*args, **kwargs)
    case.run(native.norm_pad)
    case.check()


@pytest.mark.parametrize("pad", PADS, ids=str)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_norm_pad_equals_its_formula(dtype, norm, pad):
    check(WIDE, dtype, "cuda", norm, pad)
    check((1, 3, 9, 7), dtype, "cuda", norm, pad)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_norm_pad_of_any_channels(dtype, channels):
    for norm in ("rms silu", "rms shift"):
        check((2, 3, 41, channels), dtype, "cuda", norm, PADS[1])


@pytest.mark.parametrize("channels", range(8, 1025, 40))
def test_norm_pad_of_every_layout(channels):
    check((1, 2, 19, channels), torch.bfloat16, "cuda", "rms silu", PADS[2])
    check((1, 2, 19, channels), torch.float32, "cuda", "affine", PADS[2])


@pytest.mark.parametrize("views", VIEW_PAIRS, ids=str)
def test_norm_pad_of_any_strides(views):
    check((2, 3, 40, 16), torch.float16, "cuda", "affine silu", PADS[3], views)


@pytest.mark.parametrize("pad", [PADS[1], PADS[3]], ids=str)
def test_norm_pad_of_many_segments(pad):
    """Enough work that a warp goes over its segment more than once."""
    check((3, 190, 1100, 96), torch.bfloat16, "cuda", "rms silu", pad)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("bias", [None, "own", "float32"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_merge_equals_its_formula(dtype, bias, residual):
    for in_place in (None, "y", "residual") if residual else (None, "y"):
        check_merge(native.merge, WIDE, dtype, "cuda", bias, residual, in_place=in_place)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_merge_of_any_channels(dtype, channels):
    check_merge(native.merge, (2, 3, 41, channels), dtype, "cuda", "float32", True)


@pytest.mark.parametrize("views", [(a, b, c) for a, b in VIEW_PAIRS for c in VIEWS], ids=str)
def test_merge_of_any_strides(views):
    check_merge(native.merge, (2, 3, 45, 16), torch.bfloat16, "cuda", "own", True, views)


@pytest.mark.parametrize("channels", [5, 8, 96, 2056])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_merge_of_one_value_copies_every_bit(dtype, channels):
    for views in VIEW_PAIRS:
        check_copy(native.merge, dtype, "cuda", channels, views)


def test_merge_copies_frames_between_large_views():
    """Many segments of gapless rows, as the frames that a chunk leaves to the next."""
    padded = randn((3, 90, 834, 96), torch.bfloat16, "cuda")
    cache = torch.full((2, 100, 834, 96), torch.nan, dtype=torch.bfloat16, device="cuda")
    native.merge(padded[1:], None, None, cache[:, :90])
    assert torch.equal(cache[:, :90], padded[1:])
    assert cache[:, 90:].isnan().all()


@pytest.mark.parametrize("pad", PADS, ids=str)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_merge_norm_pad_equals_the_two_ops(dtype, norm, pad):
    for fresh in (0, 2, 5):
        check_merge_norm_pad(native, WIDE, dtype, "cuda", norm, pad, fresh)


@pytest.mark.parametrize("channels", [*CHANNELS, *range(8, 1025, 40)])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_merge_norm_pad_of_any_channels(dtype, channels):
    check_merge_norm_pad(
        native, (2, 3, 41, channels), dtype, "cuda", "rms silu", PADS[1], 1, bias="float32"
    )


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("bias", [None, "own", "float32"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_merge_norm_pad_with_and_without_bias_and_residual(dtype, bias, residual, in_place):
    kinds = {"bias": bias, "residual": residual, "in_place": in_place}
    check_merge_norm_pad(native, WIDE, dtype, "cuda", "rms silu", PADS[1], 1, **kinds)


@pytest.mark.parametrize("views", [(*a, *b) for a in VIEW_PAIRS for b in VIEW_PAIRS], ids=str)
def test_merge_norm_pad_of_any_strides(views):
    size = (2, 3, 40, 16)
    check_merge_norm_pad(
        native, size, torch.float16, "cuda", "affine silu", PADS[3], 1, views=views
    )


@pytest.mark.parametrize("channels", [96, 128, 512])
def test_merge_norm_pad_of_many_segments(channels):
    size = (3, 190, 1100 * 96 // channels, channels)
    check_merge_norm_pad(native, size, torch.bfloat16, "cuda", "rms silu", PADS[3], 7)


@pytest.mark.parametrize("pad", PADS, ids=str)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_merge_norm_pad_keeps_no_window_but_the_interior(dtype, norm, pad):
    for views in ("contiguous", VIEW_PAIRS[-1][1]):
        check_merge_norm_pad_alone(native, WIDE, dtype, "cuda", norm, pad, views)
        check_merge_norm_pad_alone(native, (1, 3, 9, 7), dtype, "cuda", norm, pad, views)


@pytest.mark.parametrize("size", [(0, 2, 3, 4), (1, 0, 3, 4), (1, 2, 0, 4), (1, 2, 3, 0)], ids=str)
def test_empty_tensors_are_fine(size):
    check_merge(native.merge, size, torch.float32, "cuda", "own", True)
    check(size, torch.float32, "cuda", "rms silu", PADS[1])
    check_merge_norm_pad(native, size, torch.float32, "cuda", "rms silu", PADS[1], 0)


@pytest.mark.parametrize("channels", [5, 8])
def test_copies_keep_every_bit_and_norms_keep_nan(channels):
    x = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, 1e-40], device="cuda")
    x = x.repeat(2)[:channels].view(1, 1, 1, channels)
    out = torch.empty_like(x)
    native.norm_pad(x, out)
    assert torch.equal(out.view(torch.int32), x.view(torch.int32))
    x = torch.zeros(1, 1, 3, channels, device="cuda")
    x[0, 0, 1, 3] = torch.nan
    out = torch.empty_like(x)
    native.norm_pad(x, out, torch.ones(channels, device="cuda"), rms=True)
    assert out.isnan()[0, 0].all(dim=-1).tolist() == [False, True, False]
    assert (out[0, 0, ::2] == 0).all()


def test_wrong_device_is_named():
    x = torch.zeros(1, 2, 2, 8, device="cuda")
    with pytest.raises(InvalidArgument, match=r"scale\.device=cpu: must be cuda:0 \(x\)"):
        native.norm_pad(x, torch.empty_like(x), torch.ones(8))
    with pytest.raises(InvalidArgument, match=r"residual\.device=cpu: must be cuda:0 \(y\)"):
        native.merge(x, None, x.cpu(), torch.empty_like(x))
    with pytest.raises(InvalidArgument, match=r"out\.device=cpu: must be cuda:0 \(window\)"):
        native.merge_norm_pad(x, None, None, torch.empty_like(x), 0, x.cpu())


def test_runs_in_order_on_the_current_stream_and_into_a_graph():
    case = NormPad(WIDE, torch.bfloat16, "cuda", "rms silu", PADS[1])
    value, y = case.x.clone(), torch.zeros_like(case.x)
    case.run(native.norm_pad)  # loads the kernels, which a capture may not
    native.merge(value, None, None, y)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        native.merge(value, None, None, y)
        case.run(native.norm_pad)
    for seed in (7, 8):
        case.x.copy_(randn(WIDE, torch.bfloat16, "cuda", seed))
        case.out.fill_(torch.nan)
        graph.replay()
        case.check()
    assert torch.equal(y, value)
    side = torch.cuda.Stream()
    torch.cuda.synchronize()
    case.x.zero_()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        torch.cuda._sleep(200_000_000)  # a tenth of a second: another stream would overtake
        case.x.copy_(value)
        case.run(native.norm_pad)
    side.synchronize()
    case.check()


@pytest.mark.slow
def test_tensors_beyond_two_to_the_31_elements():
    if torch.cuda.mem_get_info()[0] < 12 * 2**30:
        pytest.skip("needs 12 GiB of free device memory")
    x = torch.zeros(2, 5200, 2200, 96, dtype=torch.bfloat16, device="cuda")
    assert x.numel() > 2**31
    x[-1, -1, -1] = 2.0
    out = torch.full_like(x, torch.nan)
    native.norm_pad(x, out, torch.ones(96, device="cuda"), rms=True)
    assert (out[-1, -1, -1] == 1).all()
    assert int(torch.count_nonzero(out)) == 96
    native.merge(x, None, out, out)
    assert (out[-1, -1, -1] == 3).all()
    assert int(torch.count_nonzero(out)) == 96


def test_opcheck():
    ops, x = torch.ops.truetile, torch.randn(1, 2, 2, 8, device="cuda")
    out, scale = torch.zeros(1, 4, 4, 8, device="cuda"), torch.ones(8, device="cuda")
    norm = (out, scale, None, True, True, 1, 1, 1, 1)
    torch.library.opcheck(ops.norm_pad.default, (x, *norm))
    torch.library.opcheck(ops.merge.default, (x, None, x, torch.zeros_like(x)))
    merged = (x[:, 1:].clone(), None, None, torch.zeros_like(x), 1)
    torch.library.opcheck(ops.merge_norm_pad.default, (*merged, *norm))
