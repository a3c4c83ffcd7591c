"""The CUDA ops in their surroundings: host memory, streams, graphs, devices, huge canvases."""

import pytest
import torch
from blend_cases import (
    ALIGNED,
    FINISH,
    MIXED,
    assemble,
    assert_close,
    empty_lines,
    lay_out,
    make_blocks,
    poisoned,
    randn,
    reference,
    twin,
)

from truetile import native
from truetile.errors import InvalidArgument

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("native_cuda")]


@pytest.mark.parametrize(
    "dtypes", [(torch.bfloat16, torch.float32), (torch.float32, torch.float16)]
)
@pytest.mark.parametrize("layouts", [("planar", "planar"), ("nhwc", "nhwc")], ids=str)
@pytest.mark.parametrize("tiling", [MIXED, ALIGNED], ids=["mixed", "aligned"])
def test_pinned_host_output(tiling, layouts, dtypes):
    blocks = make_blocks(tiling, 3, randn(1, dtypes[0], "cuda"))
    out = poisoned(layouts[1], (3, *tiling.size), dtypes[1], pin=True)
    laid_out = [lay_out(block, layouts[0]) for block in blocks]
    assemble(native.blend_tile, tiling, laid_out, out, **FINISH)
    torch.cuda.synchronize()
    assert_close(out, reference(tiling, blocks, *FINISH.values()), dtypes[1])


def test_pageable_host_output_goes_to_the_twin():
    blocks = make_blocks(ALIGNED, 3, randn(1, torch.float32, "cuda"))
    out = poisoned("nhwc", (3, *ALIGNED.size), torch.float32)
    assemble(native.blend_tile, ALIGNED, blocks, out, **FINISH)
    assert_close(out, reference(ALIGNED, blocks, *FINISH.values()), torch.float32)
    assert any("pageable" in key for key in native.status()["calls"])


def test_pageable_host_output_is_refused_by_the_op_itself():
    block, out, empty = torch.zeros(1, 1, 4, 4, device="cuda"), torch.zeros(1, 1, 4, 4), [0, 0, 0]
    lines = [torch.empty(0, device="cuda")] * 3
    with pytest.raises(RuntimeError, match=r"blend_tile: out\.is_pinned\(\)=False: must be pinned"):
        torch.ops.truetile.blend_tile(
            block, out, *lines, [1, 4, 4], empty, empty, empty, empty, empty, 1.0, 0.0, 0.0, 1.0
        )


def test_the_twin_serves_cuda_and_pinned_memory_too():
    blocks = make_blocks(MIXED, 3, randn(2, torch.bfloat16, "cuda"))
    wanted = reference(MIXED, blocks, *FINISH.values())
    for device, pin in (("cuda", False), ("cpu", True), ("cpu", False)):
        out = poisoned("nhwc", (3, *MIXED.size), torch.float32, device, pin)
        assemble(twin, MIXED, blocks, out, **FINISH)
        assert_close(out, wanted, torch.float32)


def test_wrong_device_is_named():
    line = torch.zeros(1, 1, 4, 2)  # on the CPU
    with pytest.raises(InvalidArgument, match=r"line_x\.device=cpu: must be cuda:0 \(block\)"):
        native.blend_tile(
            torch.zeros(1, 1, 4, 4, device="cuda"),
            torch.zeros(1, 1, 4, 4, device="cuda"),
            line,
            line,
            line,
            use=[1, 4, 4],
            lead=[0, 0, 0],
            tail=[0, 0, 2],
            offset=[0, 0, 0],
            origin=[0, 0, 0],
        )


def test_runs_in_order_on_the_current_stream():
    blocks = make_blocks(ALIGNED, 3, randn(3, torch.float32, "cuda"))
    late = [torch.zeros_like(block) for block in blocks]
    out = poisoned("planar", (3, *ALIGNED.size), torch.float32, "cuda")
    lines = empty_lines(ALIGNED, 3, "cuda")
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        torch.cuda._sleep(200_000_000)  # a tenth of a second: another stream would overtake
        for to, block in zip(late, blocks, strict=True):
            to.copy_(block)
        assemble(native.blend_tile, ALIGNED, late, out, lines=lines, **FINISH)
    side.synchronize()
    assert_close(out, reference(ALIGNED, blocks, *FINISH.values()), torch.float32)


def test_capture_into_a_graph():
    blocks = make_blocks(MIXED, 3, randn(4, torch.bfloat16, "cuda"))
    out = poisoned("nhwc", (3, *MIXED.size), torch.float32, "cuda")
    counts = torch.zeros(2, dtype=torch.int64, device="cuda")
    lines = empty_lines(MIXED, 3, "cuda")

    def work():
        assemble(native.blend_tile, MIXED, blocks, out, lines=lines, **FINISH)
        native.count_nonfinite(blocks[0], counts)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        work()  # loads the kernels, which a capture may not
    side.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    counts.zero_()
    for seed in (5, 6):
        for block, fresh in zip(
            blocks, make_blocks(MIXED, 3, randn(seed, torch.bfloat16)), strict=True
        ):
            block.copy_(fresh)
        out.fill_(torch.nan)
        graph.replay()
        assert_close(out, reference(MIXED, blocks, *FINISH.values()), torch.float32)
    assert counts.tolist() == [0, 0]
    blocks[0][0, 0, 0, :2] = torch.tensor([torch.nan, torch.inf])
    graph.replay()
    assert counts.tolist() == [1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["planar", "nhwc"])
def test_a_canvas_beyond_two_to_the_31_elements(layout):
    size = (3, 3, 16384, 16384)
    assert 3 * 3 * 16384 * 16384 > 2**31
    if torch.cuda.mem_get_info()[0] < 10 * 2**30:
        pytest.skip("needs 10 GiB of free device memory")
    shape = size if layout == "planar" else (3, 16384, 16384, 3)
    canvas = torch.zeros(shape, dtype=torch.float16, device="cuda")
    out = canvas if layout == "planar" else canvas.permute(3, 0, 1, 2)
    block = torch.rand(3, 1, 64, 136, device="cuda") + 1
    lines = [torch.empty(0, device="cuda")] * 3
    origin = [2, 16384 - 64, 16384 - 136]
    native.blend_tile(
        block, out, *lines, use=[1, 64, 136], lead=[0, 0, 0], tail=[0, 0, 0],
        offset=[0, 0, 0], origin=origin,
    )  # fmt: skip
    assert torch.equal(out[:, 2:, origin[1] :, origin[2] :], block.half())
    assert int(torch.count_nonzero(canvas)) == block.numel()
    counts = torch.zeros(2, dtype=torch.int64, device="cuda")
    canvas.view(-1)[-1] = torch.nan
    canvas.view(-1)[0] = torch.inf
    native.count_nonfinite(out, counts)
    assert counts.tolist() == [1, 1]


def test_opcheck():
    lines = [torch.zeros_like(line) for line in empty_lines(ALIGNED, 3, "cuda")]
    tile = ALIGNED.in_order()[0]
    triples = [[a.use for a in tile], [a.lead for a in tile], [a.tail for a in tile]]
    triples += [[0, 0, 0]] * 3
    block = torch.randn(3, *(a.use for a in tile), device="cuda")
    out = torch.zeros(3, *ALIGNED.size, device="cuda")
    torch.library.opcheck(
        torch.ops.truetile.blend_tile.default, (block, out, *lines, *triples, *FINISH.values())
    )
    counts = torch.zeros(2, dtype=torch.int64, device="cuda")
    torch.library.opcheck(torch.ops.truetile.count_nonfinite.default, (block, counts))


def test_the_device_of_the_tensors_counts_not_the_current_one():
    if torch.cuda.device_count() < 2:
        pytest.skip(f"needs two CUDA devices, found {torch.cuda.device_count()}")
    x = torch.full((1, 1, 4, 8), 2.0, device="cuda:1")
    out = torch.zeros_like(x)
    lines = [torch.empty(0, device="cuda:1")] * 3
    native.blend_tile(
        x, out, *lines, use=[1, 4, 8], lead=[0] * 3, tail=[0] * 3, offset=[0] * 3, origin=[0] * 3
    )
    assert torch.equal(out, x)
    assert torch.cuda.current_device() == 0
