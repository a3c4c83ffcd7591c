"""Convolutions that make very few channels of many, by a kernel of our own.

A video decoder's last convolution is one. cuDNN leaves tensor cores nearly idle there, and blocks
of pixels, which help, are zeros for the most part; see `blocked`, which serves where this does not:
on an H200 this takes half of its time in three dimensions, and as long in two.
"""

from __future__ import annotations

import torch

from .. import native
from ..stream import AxisRule, LayerKind, StreamLayer, TimeRule

_FEW = 4
_TAPS = 3


def serves(layer: StreamLayer, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `convolve_few_outputs` makes a layer on a GPU, in one pass over its input."""
    # Every convolution of every step asks: most go by their channels.
    if layer.out_channels > _FEW or layer.kernel_t != _TAPS or device.type != "cuda":
        return False
    if layer.kind != LayerKind.CONV or layer.time != TimeRule.SAME:
        return False
    if not (_plain(layer.rows) and _plain(layer.columns)):
        return False
    return native.why_no_conv_few_outputs(device, dtype, layer.in_channels) is None


def convolve_few_outputs(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The convolution of a padded input [t, h, w, C] with a channels-last weight, [t', h', w', O].

    The weight is [O, C, kt, 3, 3].
    """
    kernel = weight.movedim(1, -1)
    frames = x.shape[0] - kernel.shape[1] + 1
    rows, columns = x.shape[1] - _TAPS + 1, x.shape[2] - _TAPS + 1
    out = x.new_empty(frames, rows, columns, kernel.shape[0])
    native.conv_few_outputs(x, kernel, out)
    return out


def _plain(rule: AxisRule) -> bool:
    return rule.kernel == _TAPS and rule.stride == rule.up == 1
