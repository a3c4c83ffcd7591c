"""Convolutions with very few channels on one side, as convolutions of blocks of pixels in a row.

Tensor cores work on tiles of 32 channels or more. A decoder's last convolution makes three, an
encoder's first one reads three: nearly all of a tile is idle. With a few neighbouring pixels as one
of that many times the channels, most of what is added is zeros in the weights, and it is up to
twice as fast. Rows and frames stay as they are, and a row of blocks is a row of pixels in memory,
so that nothing is moved around. `few_outputs` is faster still where it serves.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..stream import LayerKind, StreamLayer, TimeRule

_FEW, _MANY = 4, 32


def block_width(layer: StreamLayer) -> int:
    """Pixels of a block: what was fastest on an H200."""
    return 4 if layer.out_channels <= _FEW and layer.kernel_t > 1 else 8


def blocked_size(layer: StreamLayer) -> int:
    """Elements of a layer's blocked weight; 0 where blocks do not serve it."""
    # Asked for every layer at each call: most go by their channels.
    if layer.out_channels > _FEW and layer.in_channels > _FEW:
        return 0
    plain = layer.columns.stride == layer.columns.up == layer.rows.up == 1
    width, kernel = block_width(layer), layer.columns.kernel
    timed = layer.time != TimeRule.SAME
    if layer.kind != LayerKind.CONV or timed or not plain or not 1 < kernel <= width + 1:
        return 0
    count = layer.in_channels * layer.out_channels * layer.kernel_t * layer.rows.kernel
    if layer.out_channels <= _FEW and layer.in_channels >= _MANY:
        return count * width * (kernel + width - 1)
    if layer.in_channels <= _FEW and layer.out_channels >= _MANY:
        return count * width * width * 2
    return 0


def block_weight(weight: torch.Tensor, layer: StreamLayer) -> torch.Tensor:
    """A layer's weight [O, I, ..., kw] for blocks of w pixels.

    With few O it is [w * O, I, ..., kw + w - 1], to be applied with a stride of w in columns. With
    few I it is [w * O, w * I, ..., 2] for blocks of input pixels.
    """
    outputs, inputs, kernel = weight.shape[0], weight.shape[1], weight.shape[-1]
    middle, width = weight.shape[2:-1], block_width(layer)
    if outputs <= _FEW:
        made = weight.new_zeros(width, outputs, inputs, *middle, kernel + width - 1)
        for pixel in range(width):
            made[pixel, ..., pixel : pixel + kernel] = weight
        return made.flatten(0, 1)
    made = weight.new_zeros(width, outputs, width, inputs, *middle, 2)
    for pixel in range(width):
        for tap in range(kernel):
            block, place = divmod(pixel + tap, width)
            made[pixel, :, place, ..., block] = weight[..., tap]
    return made.flatten(0, 1).flatten(1, 2)


def serves(x: torch.Tensor, layer: StreamLayer) -> bool:
    """Whether blocks serve a padded input [t, h, w, C] on its device."""
    if x.device.type != "cuda":
        return False
    # Few outputs: the columns are read where they lie, and must be whole blocks.
    return layer.in_channels <= _FEW or _outputs(x, layer) % block_width(layer) == 0


def convolve_blocks(
    x: torch.Tensor, weight: torch.Tensor, layer: StreamLayer, convolve
) -> torch.Tensor:
    """The convolution of a padded [t, h, w, C] input with a blocked weight, as [t', h', w', C'].

    `convolve(x, weight, stride)` does it with a stride in columns.
    """
    width = block_width(layer)
    if layer.in_channels > _FEW:
        made = convolve(x, weight, width)
        return made.view(*made.shape[:2], -1, layer.out_channels)
    columns = _outputs(x, layer)
    blocks = -(-columns // width) + 1
    x = F.pad(x, (0, 0, 0, blocks * width - x.shape[2]))
    made = convolve(x.view(*x.shape[:2], blocks, -1), weight, 1)
    return made.view(*made.shape[:2], -1, layer.out_channels)[:, :, :columns]


def _outputs(x: torch.Tensor, layer: StreamLayer) -> int:
    return x.shape[2] - layer.columns.kernel + 1
