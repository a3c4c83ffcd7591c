"""The CUDA ops against the float64 reference: types, strides, boxes, random geometries."""

import pytest
import torch
from blend_cases import (
    ALIGNED,
    FINISH,
    FLOATS,
    LAYOUTS,
    MIXED,
    WHOLE,
    Tiling,
    assemble,
    assert_close,
    axis_of,
    lay_out,
    make_blocks,
    poisoned,
    randn,
    reference,
)

from truetile import native
from truetile.native import twins

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("native_cuda")]


def check(tiling, channels, dtype, out_dtype, layouts, box=None, seed=0):
    blocks = make_blocks(tiling, channels, randn(seed, dtype, "cuda"))
    out = poisoned(layouts[1], (channels, *tiling.size), out_dtype, "cuda")
    assemble(
        native.blend_tile, tiling, [lay_out(b, layouts[0]) for b in blocks], out, box, **FINISH
    )
    assert_close(out, reference(tiling, blocks, *FINISH.values()), out_dtype)


@pytest.mark.parametrize("out_dtype", FLOATS, ids=str)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("layout", ["planar", "nhwc"])
@pytest.mark.parametrize("tiling", [WHOLE, MIXED, ALIGNED], ids=["whole", "mixed", "aligned"])
def test_equals_the_weighted_sum(tiling, layout, dtype, out_dtype):
    check(tiling, 3, dtype, out_dtype, ("planar", layout))


@pytest.mark.parametrize("out_layout", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("tiling", [MIXED, ALIGNED], ids=["mixed", "aligned"])
def test_any_strides(tiling, layout, out_layout):
    check(tiling, 3, torch.bfloat16, torch.float32, (layout, out_layout))


@pytest.mark.parametrize("channels", [1, 2, 4, 16])
def test_any_channels(channels):
    check(MIXED, channels, torch.float32, torch.float32, ("nhwc", "nhwc"))
    check(MIXED, channels, torch.float16, torch.float16, ("planar", "planar"))


@pytest.mark.parametrize("box", [(1, 1, 1), (2, 3, 4), (99, 4, 32), (3, 99, 5)], ids=str)
def test_boxes_of_a_tile(box):
    check(MIXED, 3, torch.float32, torch.float32, ("planar", "nhwc"), box)


@pytest.mark.parametrize("seed", range(60))
def test_random_geometries(seed):
    pick = torch.Generator().manual_seed(seed)

    def below(n):
        return int(torch.randint(n, (), generator=pick))

    def axis(longest):
        n = 1 + below(3)
        return axis_of([below(longest) for _ in range(n)], [below(20) for _ in range(n - 1)])

    names = sorted(LAYOUTS)
    layouts = (names[below(len(names))], names[below(len(names))])
    box = None if below(2) else (1 + below(4), 1 + below(30), 1 + below(200))
    tiling = Tiling(axis(4), axis(40), axis(300))
    check(tiling, 1 + below(4), FLOATS[below(3)], FLOATS[below(3)], layouts, box, seed)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("size", [(), (1,), (7,), (3, 1023, 1025), (2, 3, 65, 67), (5_000_001,)])
def test_counts_add_up(dtype, size):
    x = torch.randn(size, device="cuda").to(dtype)
    flat = x.view(-1)
    flat[::7] = torch.nan
    flat[3::11] = -torch.inf
    views = [x]
    if x.dim() >= 3:
        views += [x[..., 1:, 3:], x[..., ::3], x.transpose(-1, -2), x[:, :1].expand_as(x)]
    for view in views:
        counts = torch.tensor([10, 20], device="cuda")
        native.count_nonfinite(view, counts)
        wanted = torch.tensor([10, 20], device="cuda")
        twins.count_nonfinite(view, wanted)
        assert counts.tolist() == wanted.tolist()
    if x.numel() > 7:
        counts = torch.zeros(2, dtype=torch.int64, device="cuda")
        native.count_nonfinite(flat[1:], counts)  # not aligned to a vector
        assert counts.tolist() == [int(flat[1:].isnan().sum()), int(flat[1:].isinf().sum())]
