"""Convolutions with very few channels on one side, as convolutions of blocks of pixels in a row.

Tensor cores work on tiles of 32 channels or more. A decoder's last convolution makes three, an
encoder's first one reads three: nearly all of a tile is idle. With `WIDTH` neighbouring pixels as
one of that many times the channels, most of what is added is zeros in the weights, and what remains
is several times faster. Rows and frames stay as they are, and a row of blocks is a row of pixels
in memory, so that nothing is moved around.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..stream import LayerKind, StreamLayer

WIDTH = 8
_FEW, _MANY = 4, 32


def blocked_size(layer: StreamLayer) -> int:
    """Elements of a layer's blocked weight; 0 where blocks do not serve it."""
    plain = layer.columns.stride == layer.columns.up == layer.rows.up == 1
    if layer.kind != LayerKind.CONV or not plain or not 1 < layer.columns.kernel <= WIDTH:
        return 0
    count = layer.in_channels * layer.out_channels * layer.kernel_t * layer.rows.kernel
    if layer.out_channels <= _FEW and layer.in_channels >= _MANY:
        return count * WIDTH * (layer.columns.kernel + WIDTH - 1)
    if layer.in_channels <= _FEW and layer.out_channels >= _MANY:
        return count * WIDTH * WIDTH * 2
    return 0


def block_weight(weight: torch.Tensor) -> torch.Tensor:
    """Of [O, I, ..., kw] with few O: [WIDTH * O, I, ..., kw + WIDTH - 1], stride WIDTH in columns.

    With few I: [WIDTH * O, WIDTH * I, ..., 2] for blocks of input pixels.
    """
    outputs, inputs, kernel = weight.shape[0], weight.shape[1], weight.shape[-1]
    middle = weight.shape[2:-1]
    if outputs <= _FEW:
        made = weight.new_zeros(WIDTH, outputs, inputs, *middle, kernel + WIDTH - 1)
        for pixel in range(WIDTH):
            made[pixel, ..., pixel : pixel + kernel] = weight
        return made.flatten(0, 1)
    made = weight.new_zeros(WIDTH, outputs, WIDTH, inputs, *middle, 2)
    for pixel in range(WIDTH):
        for tap in range(kernel):
            block, place = divmod(pixel + tap, WIDTH)
            made[pixel, :, place, ..., block] = weight[..., tap]
    return made.flatten(0, 1).flatten(1, 2)


def serves(x: torch.Tensor, layer: StreamLayer) -> bool:
    """Whether blocks serve a padded input [t, h, w, C] on its device."""
    if x.device.type != "cuda":
        return False
    # Few outputs: the columns are read where they lie, and must be whole blocks.
    return layer.in_channels <= _FEW or _outputs(x, layer) % WIDTH == 0


def convolve_blocks(
    x: torch.Tensor, weight: torch.Tensor, layer: StreamLayer, convolve
) -> torch.Tensor:
    """The convolution of a padded [t, h, w, C] input with a blocked weight, as [t', h', w', C'].

    `convolve(x, weight, stride)` does it with a stride in columns.
    """
    if layer.in_channels > _FEW:
        made = convolve(x, weight, WIDTH)
        return made.view(*made.shape[:2], -1, layer.out_channels)
    columns = _outputs(x, layer)
    blocks = -(-columns // WIDTH) + 1
    x = F.pad(x, (0, 0, 0, blocks * WIDTH - x.shape[2]))
    made = convolve(x.view(*x.shape[:2], blocks, -1), weight, 1)
    return made.view(*made.shape[:2], -1, layer.out_channels)[:, :, :columns]


def _outputs(x: torch.Tensor, layer: StreamLayer) -> int:
    return x.shape[2] - layer.columns.kernel + 1
