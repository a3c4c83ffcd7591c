"""Convolutions of blocks of pixels equal the plain ones."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from truetile.engine.blocked import (
    block_weight,
    block_width,
    blocked_size,
    convolve_blocks,
    serves,
)
from truetile.engine.exact_layers import convolve
from truetile.engine.exact_weights import Packed
from truetile.native import locate
from truetile.stream import AxisRule, LayerKind, StreamLayer


def layer(inputs: int, outputs: int, kernel=3, kernel_t=1, stride=1) -> StreamLayer:
    columns = AxisRule(kernel, 1, kernel // 2, kernel // 2)
    rows = AxisRule(3, stride, 1, 1)
    return StreamLayer(LayerKind.CONV, 0, inputs, outputs, -1, kernel_t, rows, columns)


def case(shape: StreamLayer, columns: int, frames=2, device="cpu", dtype=torch.float64):
    pick = torch.Generator().manual_seed(1)
    kernel = (shape.rows.kernel, shape.columns.kernel)
    kernel = (shape.kernel_t, *kernel) if shape.kernel_t > 1 else kernel
    frames += shape.kernel_t - 1
    x = torch.randn(frames, 7, columns + kernel[-1] - 1, shape.in_channels, generator=pick)
    weight = torch.randn(shape.out_channels, shape.in_channels, *kernel, generator=pick)
    return x.to(device, dtype), weight.to(device, dtype)


def plain(x, weight, columns, rows=1):
    if weight.dim() == 5:
        y = F.conv3d(x.permute(3, 0, 1, 2)[None], weight, None, (1, rows, columns))
        return y[0].permute(1, 2, 3, 0).contiguous()
    y = F.conv2d(x.permute(0, 3, 1, 2), weight, None, (rows, columns))
    return y.permute(0, 2, 3, 1).contiguous()


@pytest.mark.parametrize("columns", [1, 7, 8, 24, 29])
@pytest.mark.parametrize("kernel_t", [1, 3])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("inputs", [1, 3, 4])
def test_few_inputs_of_any_width(inputs, kernel, kernel_t, columns) -> None:
    shape = layer(inputs, 32, kernel, kernel_t)
    x, weight = case(shape, columns)
    blocks = block_weight(weight, shape)
    assert blocks.numel() == blocked_size(shape)
    made = convolve_blocks(x, blocks, shape, plain)
    torch.testing.assert_close(made, plain(x, weight, 1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("columns", [8, 40])
@pytest.mark.parametrize("kernel_t", [1, 3])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("outputs", [1, 3, 4])
def test_few_outputs_of_whole_blocks(outputs, kernel, kernel_t, columns) -> None:
    shape = layer(32, outputs, kernel, kernel_t)
    x, weight = case(shape, columns)
    blocks = block_weight(weight, shape)
    assert blocks.numel() == blocked_size(shape)
    made = convolve_blocks(x, blocks, shape, plain)
    torch.testing.assert_close(made, plain(x, weight, 1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "shape",
    [layer(3, 31), layer(96, 5), layer(5, 96), layer(96, 3, kernel=1), layer(3, 96, stride=2)],
    ids=["few channels", "many outputs", "many inputs", "kernel of one", "strided rows"],
)
def test_where_blocks_do_not_pay(shape) -> None:
    strided = shape.rows.stride > 1
    assert (blocked_size(shape) > 0) == strided, "only the columns' stride matters"


def test_upsampling_and_strides_in_columns_are_left_alone() -> None:
    up = AxisRule(3, 1, 1, 1, 2)
    down = AxisRule(3, 2, 0, 1)
    for columns in (up, down):
        rows = up if columns is up else AxisRule(3, 1, 1, 1)
        shape = StreamLayer(LayerKind.CONV, 0, 3, 96, -1, 1, rows, columns)
        assert blocked_size(shape) == 0


def packed(weight: torch.Tensor, blocked: torch.Tensor | None) -> Packed:
    return Packed(weight, None, None, None, None, None, None, blocked)


def test_the_cpu_takes_the_plain_weight() -> None:
    shape = layer(3, 32)
    x, weight = case(shape, 8)
    assert not serves(x, shape)
    wrong = torch.zeros_like(block_weight(weight, shape))
    assert convolve(x, packed(weight, wrong), shape).abs().max() > 0


@pytest.mark.cuda
@pytest.mark.parametrize("sizes", [(96, 3, 64), (96, 3, 62), (3, 96, 64), (3, 96, 61)], ids=str)
@pytest.mark.parametrize("kernel_t", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_blocks_on_cuda_are_as_exact(dtype, kernel_t, sizes) -> None:
    inputs, outputs, columns = sizes
    shape = layer(inputs, outputs, kernel_t=kernel_t)
    x, weight = case(shape, columns, device="cuda", dtype=dtype)
    assert serves(x, shape) == (inputs == 3 or columns % block_width(shape) == 0)
    blocked = block_weight(weight, shape)
    # Without it a kernel of our own makes few outputs.
    off = locate.without_native()
    with off, torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        made = convolve(x, packed(weight, blocked), shape).double()
    exact = plain(x.double(), weight.double(), 1)
    # A sum of so many products in float32, zeros included, rounded to the dtype once.
    terms = plain(x.double().abs(), weight.double().abs(), 1)
    count = inputs * kernel_t * 9
    rounding = 0 if dtype == torch.float32 else torch.finfo(dtype).eps / 2
    assert ((made - exact).abs() <= count * 2**-24 * terms + rounding * exact.abs()).all()
