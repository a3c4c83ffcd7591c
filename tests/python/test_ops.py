"""`blend_tile` on the CPU: native against twin against a float64 reference."""

import pytest
import torch
from blend_cases import (
    ALIGNED,
    AS_IS,
    FINISH,
    FLOATS,
    LAYOUTS,
    MIXED,
    WHOLE,
    Tiling,
    assemble,
    assert_close,
    axis_of,
    empty_lines,
    lay_out,
    make_blocks,
    poisoned,
    randn,
    reference,
    twin,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from truetile import native
from truetile.native import locate


@pytest.fixture(params=["native", "twin"])
def op(request):
    if request.param == "twin":
        return twin
    require_native()
    return native.blend_tile


def require_native():
    if not locate.enabled():
        pytest.skip("TRUETILE_NATIVE=0")
    assert native.why_twin("cpu") is None


def check(op, tiling, channels, dtype, out_dtype, layouts=("planar", "planar"), box=None, seed=0):
    blocks = make_blocks(tiling, channels, randn(seed, dtype))
    out = poisoned(layouts[1], (channels, *tiling.size), out_dtype)
    assemble(op, tiling, [lay_out(b, layouts[0]) for b in blocks], out, box, **FINISH)
    assert_close(out, reference(tiling, blocks, *FINISH.values()), out_dtype)


@pytest.mark.parametrize("out_dtype", FLOATS, ids=str)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("tiling", [WHOLE, MIXED, ALIGNED], ids=["whole", "mixed", "aligned"])
def test_equals_the_weighted_sum(op, tiling, dtype, out_dtype):
    check(op, tiling, 3, dtype, out_dtype, ("planar", "nhwc"))


@pytest.mark.parametrize("out_layout", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_strides(op, layout, out_layout):
    check(op, MIXED, 3, torch.bfloat16, torch.float32, (layout, out_layout))


@pytest.mark.parametrize("channels", [1, 2, 4, 16])
def test_any_channels(op, channels):
    check(op, MIXED, channels, torch.float32, torch.float32, ("nhwc", "nhwc"))


@pytest.mark.parametrize("box", [(1, 1, 7), (2, 3, 4), (99, 4, 32), (3, 99, 5)], ids=str)
def test_boxes_of_a_tile(op, box):
    check(op, MIXED, 2, torch.float32, torch.float32, box=box)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.7, -3.0, 255.0])
def test_a_constant_stays_constant(op, value):
    blocks = make_blocks(MIXED, 1, lambda size: torch.full(size, value))
    out = poisoned("planar", (1, *MIXED.size), torch.float32)
    assemble(op, MIXED, blocks, out, **AS_IS)
    assert (out - value).abs().max() <= 3e-7 * abs(value)


def test_a_smooth_image_stays_itself(op):
    frames, height, width = MIXED.size
    t, y, x = torch.meshgrid(
        *(torch.linspace(0, 3, n) for n in (frames, height, width)), indexing="ij"
    )
    image = torch.stack([torch.sin(x + 2 * y), torch.cos(x * y), torch.sin(t) * y])
    blocks = [
        image[:, t.begin : t.begin + t.use, y.begin : y.begin + y.use, x.begin : x.begin + x.use]
        for t, y, x in MIXED.in_order()
    ]
    out = poisoned("nhwc", image.shape, torch.float32)
    assemble(op, MIXED, blocks, out, **AS_IS)
    assert (out - image).abs().max() <= 1e-6


axes = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), min_size=1, max_size=3).map(
    lambda pairs: axis_of([m for m, _ in pairs], [z for _, z in pairs[:-1]])
)


@settings(deadline=None, max_examples=150)
@given(
    tiling=st.builds(Tiling, axes, axes, axes),
    channels=st.integers(1, 4),
    dtypes=st.tuples(st.sampled_from(FLOATS), st.sampled_from(FLOATS)),
    layouts=st.tuples(st.sampled_from(sorted(LAYOUTS)), st.sampled_from(sorted(LAYOUTS))),
    box=st.none() | st.tuples(*[st.integers(1, 7)] * 3),
    seed=st.integers(0, 99),
)
def test_random_geometries(tiling, channels, dtypes, layouts, box, seed):
    require_native()
    for op in (native.blend_tile, twin):
        check(op, tiling, channels, *dtypes, layouts, box, seed)


def test_nan_and_infinities_pass(op):
    block = torch.tensor([-9.0, torch.nan, torch.inf, -torch.inf, 9.0]).view(1, 1, 1, 5)
    out = poisoned("planar", block.shape, torch.float32)
    tiling = Tiling(axis_of([1], []), axis_of([1], []), axis_of([5], []))
    assemble(op, tiling, [block], out, **FINISH)
    assert out.isnan().flatten().tolist() == [False, True, False, False, False]
    assert out.flatten()[[0, 2, 3, 4]].tolist() == [0, 1, 0, 1]


def test_nan_of_one_tile_stays_in_its_pixels(op):
    blocks = make_blocks(ALIGNED, 1, torch.zeros)
    blocks[1][:] = torch.nan
    out = poisoned("planar", (1, *ALIGNED.size), torch.float32)
    assemble(op, ALIGNED, blocks, out, **AS_IS)
    wanted = torch.zeros_like(out, dtype=torch.bool)
    _, y, x = ALIGNED.in_order()[1]
    wanted[:, :, y.begin : y.begin + y.use, x.begin : x.begin + x.use] = True
    assert torch.equal(out.isnan(), wanted)


def test_overflow_becomes_infinite_in_half(op):
    block = torch.tensor([65504.0, 65519.0, 65520.0, 1e30]).view(1, 1, 1, 4)
    out = poisoned("planar", block.shape, torch.float16)
    tiling = Tiling(axis_of([1], []), axis_of([1], []), axis_of([4], []))
    assemble(op, tiling, [block], out, **AS_IS)
    assert out.flatten().tolist() == [65504.0, 65504.0, torch.inf, torch.inf]


@pytest.mark.parametrize("size", [(0, 2, 3, 4), (3, 0, 3, 4), (3, 2, 0, 4), (3, 2, 3, 0)], ids=str)
def test_zero_sizes_touch_nothing(op, size):
    out = torch.full((size[0], 4, 8, 8), 7.0)
    lines = empty_lines(MIXED, size[0], "cpu")
    op(
        torch.zeros(size), out, *lines,
        use=[4, 8, 8], lead=[2, 1, 1], tail=[1, 1, 1], offset=[0, 0, 0], origin=[0, 0, 0],
    )  # fmt: skip
    assert (out == 7.0).all()


def test_out_may_be_a_part_of_the_canvas(op):
    """Only the final part of the box must fit; the line buffers still count in canvas pixels."""
    whole = poisoned("planar", (1, *ALIGNED.size), torch.float32)
    blocks = make_blocks(ALIGNED, 1, randn(5))
    assemble(op, ALIGNED, blocks, whole, **AS_IS)
    lines = empty_lines(ALIGNED, 1, "cpu")
    for tile, block in zip(ALIGNED.in_order(), blocks, strict=True):
        final = [a.use - a.tail for a in tile]
        part = torch.full((1, *final), torch.nan)
        op(
            block, part, *lines,
            use=[a.use for a in tile], lead=[a.lead for a in tile], tail=[a.tail for a in tile],
            offset=[0, 0, 0], origin=[a.begin for a in tile], out_origin=[0, 0, 0],
        )  # fmt: skip
        t, y, x = (slice(a.begin, a.begin + n) for a, n in zip(tile, final, strict=True))
        assert torch.equal(part, whole[:, t, y, x])


def test_native_equals_twin_to_the_last_bits():
    require_native()
    blocks = make_blocks(MIXED, 3, randn(3))
    outs = [poisoned("planar", (3, *MIXED.size), torch.float32) for _ in range(2)]
    for one, out in zip((native.blend_tile, twin), outs, strict=True):
        assemble(one, MIXED, blocks, out, **AS_IS)
    torch.testing.assert_close(*outs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("op_name", ["blend_tile", "count_nonfinite"])
def test_opcheck(op_name):
    require_native()
    native.count_nonfinite(torch.zeros(1), torch.zeros(2, dtype=torch.int64))  # loads the library
    if op_name == "count_nonfinite":
        args = (torch.randn(3, 4), torch.zeros(2, dtype=torch.int64))
    else:
        lines = empty_lines(ALIGNED, 3, "cpu")
        t, y, x = ALIGNED.in_order()[0]
        triples = [[a.use for a in (t, y, x)], [a.lead for a in (t, y, x)]]
        triples += [[a.tail for a in (t, y, x)], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
        block, out = torch.randn(3, t.use, y.use, x.use), torch.zeros(3, *ALIGNED.size)
        args = (block, out, *map(torch.zeros_like, lines), *triples, *FINISH.values())
    torch.library.opcheck(getattr(torch.ops.truetile, op_name).default, args)
