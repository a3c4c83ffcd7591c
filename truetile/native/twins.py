"""Plain-torch twins of the native ops: the fallback on any device, and the oracle of their tests.

They state what the ops mean in the fewest operations; speed is the business of `csrc/kernels`.
"""

from .group_norm_twins import group_affine, group_moments
from .layer_twins import conv_few_outputs, copy_boxes, merge, merge_norm_pad, norm_pad, softmax_rows
from .tile_twins import blend_tile, count_nonfinite

__all__ = [
    "blend_tile",
    "conv_few_outputs",
    "copy_boxes",
    "count_nonfinite",
    "group_affine",
    "group_moments",
    "merge",
    "merge_norm_pad",
    "norm_pad",
    "softmax_rows",
]
